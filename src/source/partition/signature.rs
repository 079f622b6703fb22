//! File systems by their first bytes, where no partition table tells.

use super::bytes_at;
use crate::model::ReadAt;

/// Offset and bytes that stand in the first 68 KiB of a volume, and its name.
const MAGIC: [(u64, &[u8], &str); 11] = [
    (1080, b"\x53\xef", "ext"),
    (0, b"XFSB", "XFS"),
    (32, b"NXSB", "APFS"),
    (1024, b"H+\x00\x04", "HFS+"),
    (1024, b"HX\x00\x05", "HFSX"),
    (0x1_0040, b"_BHRfS_M", "Btrfs"),
    (512, b"LABELONE", "LVM"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (0x8001, b"CD001", "ISO 9660"),
    (3, b"ReFS\x00\x00\x00\x00", "ReFS"),
    (4086, b"SWAPSPACE2", "Linux swap"),
];

/// The file system that begins at `offset` of a disk.
pub(super) fn of(disk: &dyn ReadAt, offset: u64) -> Option<&'static str> {
    of_boot_sector(&bytes_at(disk, offset, 512)).or_else(|| {
        let is = |(at, magic, _): &(u64, &[u8], &str)| {
            bytes_at(disk, offset.saturating_add(*at), magic.len()) == *magic
        };
        MAGIC.iter().find(|known| is(known)).map(|(.., name)| *name)
    })
}

/// The file system of a boot sector: those that stand where an MBR might.
pub(super) fn of_boot_sector(sector: &[u8]) -> Option<&'static str> {
    let is = |at: usize, bytes: &[u8]| sector.get(at..).is_some_and(|s| s.starts_with(bytes));
    if is(3, b"NTFS    ") {
        return Some("NTFS");
    }
    if is(3, b"EXFAT   ") {
        return Some("exFAT");
    }
    if is(3, b"-FVE-FS-") || is(3, b"MSWIN4.1") && is(0x1a8, b"\x3b\xd6\x67\x49") {
        return Some("BitLocker");
    }
    let jumps = is(0, b"\xeb") || is(0, b"\xe9");
    let named = is(54, b"FAT12") || is(54, b"FAT16") || is(54, b"FAT ") || is(82, b"FAT32");
    (jumps && named && is(510, b"\x55\xaa")).then_some("FAT")
}

/// Whether the last sector is the copy of an NTFS boot sector.
pub(super) fn ends_as_ntfs(disk: &dyn ReadAt) -> bool {
    let last = disk.size().saturating_sub(512);
    bytes_at(disk, last, 512).get(3..).is_some_and(|sector| sector.starts_with(b"NTFS    "))
}
