//! What a volume holds, told from its magic numbers.
//!
//! A file system that is not read is named all the same, with the reason: what
//! was not looked at is a finding. Source of the numbers: the specification or
//! the on-disk headers of each system, as util-linux and cryptsetup also use them.
//! What cannot be told apart from random bytes (VeraCrypt, plain dm-crypt) is
//! "unknown".

use std::borrow::Cow;

use crate::model::ReadAt;

use super::bytes::{piece, read_up_to, u16_at, u32_at, u64_at};

/// A file system that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    Ntfs,
    /// FAT12, FAT16 or FAT32.
    Fat,
    ExFat,
    /// ext2, ext3 or ext4.
    Ext,
}

/// What a volume holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognized {
    /// The reader for it; `None` when there is none.
    pub format: Option<Format>,
    /// A short name: `NTFS`, `FAT16`, `BitLocker`, `empty`, `unknown`.
    pub name: &'static str,
    /// A sentence on why it is not read; empty where it is.
    pub why: Cow<'static, str>,
}

impl Recognized {
    fn read(format: Format, name: &'static str) -> Self {
        Self { format: Some(format), name, why: Cow::Borrowed("") }
    }

    fn named(name: &'static str, why: &'static str) -> Self {
        Self { format: None, name, why: Cow::Borrowed(why) }
    }
}

const NO_READER: &str = "there is no reader for this file system; its files were not looked at";
const ENCRYPTED: &str = "encrypted; not read without its key. Decrypt it and give the result";
const POOL: &str =
    "one part of a storage pool; not read by itself. Assemble the pool and give the result";
const UNREADABLE: &str = "its first sectors cannot be read";

/// Bytes at the start of a volume that most magic numbers lie in.
const HEAD: usize = 128 << 10;
/// Sampled beyond the head when nothing is known, to tell empty from unknown.
const SAMPLES: u64 = 64;

/// What lies on a volume.
///
/// Reads the first 128 KiB, the last 128 KiB and a few sectors between.
pub fn recognize(volume: &dyn ReadAt) -> Recognized {
    let Ok(head) = read_up_to(volume, 0, HEAD) else {
        return Recognized::named("unreadable", UNREADABLE);
    };
    let found = bitlocker(&head)
        .or_else(|| boot_sector(&head))
        // Making an ext clears the first KiB and little else, so what stands there is newer.
        .or_else(|| by_magic(&head, |at, magic| at < 1024 && magic.len() >= 4))
        .or_else(|| ext(&head))
        .or_else(|| by_magic(&head, |_, _| true))
        .or_else(|| swap(&head))
        .or_else(|| zfs(&head));
    let raid = raid(volume, &head);
    match (found, raid) {
        // The first member of a mirror whose superblock lies at the end reads as it is.
        (Some(found), Some(Raid::Mirror)) if found.format.is_some() => found,
        (_, Some(_)) => Recognized::named("Linux RAID member", POOL),
        (Some(found), None) => found,
        (None, None) => unknown(volume, &head),
    }
}

fn is(head: &[u8], offset: usize, magic: &[u8]) -> bool {
    piece(head, offset, magic.len()) == Some(magic)
}

/// BitLocker and BitLocker To Go, whose boot sectors imitate NTFS and FAT32.
fn bitlocker(head: &[u8]) -> Option<Recognized> {
    // GUID 4967d63b-2e29-4ad8-8399-f6a339e3d001 as stored.
    const TO_GO: [u8; 16] = [
        0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0,
        0x01,
    ];
    if is(head, 3, b"-FVE-FS-") {
        return Some(Recognized::named("BitLocker", ENCRYPTED));
    }
    is(head, 424, &TO_GO).then(|| Recognized::named("BitLocker To Go", ENCRYPTED))
}

/// The file systems of Windows begin with a boot sector.
fn boot_sector(head: &[u8]) -> Option<Recognized> {
    if is(head, 3, b"NTFS    ") {
        return Some(Recognized::read(Format::Ntfs, "NTFS"));
    }
    if is(head, 3, b"EXFAT   ") {
        return Some(Recognized::read(Format::ExFat, "exFAT"));
    }
    if is(head, 3, b"ReFS\0\0\0\0") {
        return Some(Recognized::named("ReFS", NO_READER));
    }
    fat(head).map(|name| Recognized::read(Format::Fat, name))
}

/// Which FAT it is, if every number of the boot sector makes sense for one.
fn fat(head: &[u8]) -> Option<&'static str> {
    let sector = u16_at(head, 11)?;
    let per_cluster = *head.get(13)?;
    let reserved = u16_at(head, 14)?;
    let fats = *head.get(16)?;
    let roots = u16_at(head, 17)?;
    let media = *head.get(21)?;
    let fat_sectors = match u16_at(head, 22)? {
        0 => u32_at(head, 36)?,
        n => u32::from(n),
    };
    let sectors = match u16_at(head, 19)? {
        0 => u32_at(head, 32)?,
        n => u32::from(n),
    };
    let sound = is(head, 510, b"\x55\xaa")
        && matches!(sector, 512 | 1024 | 2048 | 4096)
        && per_cluster.is_power_of_two()
        && reserved > 0
        && (1..=4).contains(&fats)
        && (media == 0xf0 || media >= 0xf8)
        && fat_sectors > 0
        && sectors > 0;
    if !sound {
        return None;
    }
    if u16_at(head, 22)? == 0 {
        return (roots == 0).then_some("FAT32");
    }
    let root_sectors = (u32::from(roots) * 32).div_ceil(u32::from(sector));
    let before =
        u64::from(reserved) + u64::from(fats) * u64::from(fat_sectors) + u64::from(root_sectors);
    let clusters = u64::from(sectors).checked_sub(before)? / u64::from(per_cluster);
    Some(if clusters < 4085 { "FAT12" } else { "FAT16" })
}

/// ext2, ext3 or ext4: told apart by the features that each brought.
fn ext(head: &[u8]) -> Option<Recognized> {
    const JOURNAL: u32 = 0x4;
    const JOURNAL_DEVICE: u32 = 0x8;
    /// Extents, 64 bits, flexible groups and what came later.
    const EXT4_INCOMPAT: u32 = !0x1f;
    /// Huge files, checksummed groups, many links, large inodes and what came later.
    const EXT4_RO_COMPAT: u32 = !0x7;
    let counts = [0x400, 0x404, 0x420, 0x428].map(|at| u32_at(head, at));
    let sound = counts.iter().all(|count| count.is_some_and(|count| count > 0))
        && u32_at(head, 0x418)? <= 6
        && u32_at(head, 0x44c)? <= 1;
    if !is(head, 0x438, b"\x53\xef") || !sound {
        return None;
    }
    let (compat, incompat) = (u32_at(head, 0x45c)?, u32_at(head, 0x460)?);
    let read_only = u32_at(head, 0x464)?;
    if incompat & JOURNAL_DEVICE != 0 {
        return Some(Recognized::named("ext journal", "the journal of another volume"));
    }
    let name = if incompat & EXT4_INCOMPAT != 0 || read_only & EXT4_RO_COMPAT != 0 {
        "ext4"
    } else if compat & JOURNAL != 0 {
        "ext3"
    } else {
        "ext2"
    };
    Some(Recognized::read(Format::Ext, name))
}

/// Offset, magic, name and reason of what has one magic at one place.
type Magic = (usize, &'static [u8], &'static str, &'static str);

const MAGICS: &[Magic] = &[
    (0, b"LUKS\xba\xbe\x00\x01", "LUKS1", ENCRYPTED),
    (0, b"LUKS\xba\xbe\x00\x02", "LUKS2", ENCRYPTED),
    (0, b"SKUL\xba\xbe", "LUKS2", ENCRYPTED),
    (0, b"SPACEDB", "Storage Spaces", POOL),
    (0x1000, b"SPACEDB", "Storage Spaces", POOL),
    (24, b"LVM2 001", "LVM2 physical volume", POOL),
    (512 + 24, b"LVM2 001", "LVM2 physical volume", POOL),
    (1024 + 24, b"LVM2 001", "LVM2 physical volume", POOL),
    (1536 + 24, b"LVM2 001", "LVM2 physical volume", POOL),
    (0, b"XFSB", "XFS", NO_READER),
    (0x1_0040, b"_BHRfS_M", "Btrfs", NO_READER),
    (32, b"NXSB", "APFS container", NO_READER),
    (0x400, b"H+\x00\x04", "HFS+", NO_READER),
    (0x400, b"HX\x00\x05", "HFSX", NO_READER),
    (0x400, b"BD", "HFS", NO_READER),
    (0x58, b"CS", "Core Storage", POOL),
    (0x8001, b"CD001", "ISO9660", NO_READER),
    (0x8001, b"BEA01", "UDF", NO_READER),
    (0, b"hsqs", "SquashFS", NO_READER),
    (0, b"sqsh", "SquashFS", NO_READER),
    (0x400, b"\x10\x20\xf5\xf2", "F2FS", NO_READER),
    (0x400, b"\xe2\xe1\xf5\xe0", "EROFS", NO_READER),
    (0x1_0034, b"ReIsEr", "ReiserFS", NO_READER),
    (0x2034, b"ReIsEr", "ReiserFS", NO_READER),
    (0x8000, b"JFS1", "JFS", NO_READER),
    (0x255c, b"\x54\x19\x01\x00", "UFS", NO_READER),
    (0x1_055c, b"\x19\x01\x54\x19", "UFS2", NO_READER),
    (0, b"\x45\x3d\xcd\x28", "cramfs", NO_READER),
    (0, b"bluestore block device", "Ceph BlueStore", POOL),
    (0, b"dmvdo001", "VDO", POOL),
    // UUID of bcache's superblock and of bcachefs's.
    (0x1018, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", "bcache", POOL),
    (
        0x1018,
        b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef",
        "bcachefs",
        NO_READER,
    ),
];

fn by_magic(head: &[u8], among: impl Fn(usize, &[u8]) -> bool) -> Option<Recognized> {
    let found = |(at, magic, ..): &&Magic| among(*at, magic) && is(head, *at, magic);
    let (_, _, name, why) = MAGICS.iter().find(found)?;
    Some(Recognized::named(name, why))
}

/// Linux swap: the signature ends the first page, whatever a page is there.
fn swap(head: &[u8]) -> Option<Recognized> {
    const WHY: &str = "swapped memory, no files";
    let found = [0x1000, 0x2000, 0x4000, 0x8000, 0x1_0000].into_iter().any(|page: usize| {
        let at = page.saturating_sub(10);
        is(head, at, b"SWAPSPACE2") || is(head, at, b"SWAP-SPACE")
    });
    found.then(|| Recognized::named("Linux swap", WHY))
}

/// ZFS: uberblocks at 128 KiB have no fixed slot, the vdev's name list at 16 KiB
/// begins with its encoding and names the pool's version first.
fn zfs(head: &[u8]) -> Option<Recognized> {
    let list = piece(head, 0x4000, 128)?;
    let found = list.windows(7).any(|window| window == b"version") && list.first() == Some(&1);
    found.then(|| Recognized::named("ZFS", POOL))
}

/// How a member of a Linux RAID can be read.
enum Raid {
    /// Metadata at the end and a mirror: the member is the volume.
    Mirror,
    Part,
}

/// The superblock of a Linux RAID: 1.1 at the start, 1.2 at 4 KiB, 1.0 and 0.90
/// near the end.
fn raid(volume: &dyn ReadAt, head: &[u8]) -> Option<Raid> {
    const MAGIC: u32 = 0xa92b_4efc;
    let one = |bytes: &[u8]| u32_at(bytes, 0) == Some(MAGIC) && u32_at(bytes, 4) == Some(1);
    let zero = |bytes: &[u8]| u32_at(bytes, 0) == Some(MAGIC) && u32_at(bytes, 4) == Some(0);
    let at = |offset: usize| head.get(offset..).unwrap_or_default();
    if one(at(0)) || one(at(0x1000)) {
        return Some(Raid::Part);
    }
    let kind = |level: Option<u32>| if level == Some(1) { Raid::Mirror } else { Raid::Part };
    let size = volume.size();
    let late = (size / 512).checked_sub(16)? / 8 * 8 * 512;
    let bytes = read_up_to(volume, late, 256).ok()?;
    if one(&bytes) && u64_at(&bytes, 144) == Some(late / 512) {
        return Some(kind(u32_at(&bytes, 72)));
    }
    let old = (size / 0x1_0000).checked_sub(1)? * 0x1_0000;
    let bytes = read_up_to(volume, old, 256).ok()?;
    zero(&bytes).then(|| kind(u32_at(&bytes, 28)))
}

/// Empty, or what its first bytes are.
fn unknown(volume: &dyn ReadAt, head: &[u8]) -> Recognized {
    let size = volume.size();
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let sampled = (0..SAMPLES).all(|n| {
        let at = (size / SAMPLES).saturating_mul(n);
        read_up_to(volume, at, 512).is_ok_and(|bytes| is_zero(&bytes))
    });
    let end = read_up_to(volume, size.saturating_sub(HEAD as u64), HEAD);
    if is_zero(head) && sampled && end.is_ok_and(|bytes| is_zero(&bytes)) {
        let why = "nothing but zeros where it was looked at";
        return Recognized::named("empty", why);
    }
    let first: String = head.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Recognized {
        format: None,
        name: "unknown",
        why: format!("no known file system (first bytes {first}); it may be encrypted or damaged")
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A volume of 256 KiB with those bytes at that place.
    fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut volume = vec![0; 256 << 10];
        volume[at..at + bytes.len()].copy_from_slice(bytes);
        volume
    }

    fn superblock() -> Vec<u8> {
        let mut bytes = vec![0; 64];
        for at in [0x00, 0x04, 0x20, 0x28] {
            bytes[at] = 1;
        }
        bytes[0x38..0x3a].copy_from_slice(b"\x53\xef");
        bytes
    }

    fn name(volume: &Vec<u8>) -> &'static str {
        recognize(volume).name
    }

    #[test]
    fn every_magic_is_told_by_its_name_and_reason() {
        for (at, magic, expected, why) in MAGICS {
            let found = recognize(&with(*at, magic));
            assert_eq!((found.name, &*found.why, found.format), (*expected, *why, None));
        }
        assert_eq!(name(&with(3, b"-FVE-FS-")), "BitLocker");
        assert_eq!(name(&with(0x8000 - 10, b"SWAPSPACE2")), "Linux swap");
        assert_eq!(recognize(&with(3, b"NTFS    ")).format, Some(Format::Ntfs));
        assert_eq!(recognize(&with(3, b"EXFAT   ")).format, Some(Format::ExFat));
        assert_eq!(name(&with(0x400, &superblock())), "ext2");
        assert_eq!(
            name(&with(0x438, b"\x53\xef")),
            "unknown",
            "a magic of two bytes is too little"
        );
        let mut encrypted = with(0x400, &superblock());
        encrypted[..8].copy_from_slice(b"LUKS\xba\xbe\x00\x02");
        assert_eq!(name(&encrypted), "LUKS2", "over what was an ext");
    }

    #[test]
    fn a_mirror_with_its_superblock_at_the_end_is_read_as_it_is() {
        let mut old = b"\xfc\x4e\x2b\xa9\0\0\0\0".to_vec();
        old.resize(256, 0);
        old[28] = 1;
        let mut volume = with((256 - 64) << 10, &old);
        assert_eq!(name(&volume), "Linux RAID member");
        volume[0x400..0x440].copy_from_slice(&superblock());
        assert_eq!(name(&volume), "ext2");
        volume[((256 - 64) << 10) + 28] = 5;
        assert_eq!(name(&volume), "Linux RAID member");
        assert_eq!(name(&with(0x1000, b"\xfc\x4e\x2b\xa9\x01\0\0\0")), "Linux RAID member");
    }

    #[test]
    fn empty_is_not_unknown() {
        assert_eq!(name(&Vec::new()), "empty");
        assert_eq!(name(&with(0, b"")), "empty");
        let found = recognize(&with(0, b"\x01\x02"));
        assert_eq!(found.name, "unknown");
        assert!(found.why.contains("first bytes 0102"), "{}", found.why);
        assert_eq!(name(&with(200_000, b"\x01")), "unknown");
    }

    #[test]
    fn truncated_heads_do_not_matter() {
        let whole = with(510, b"\x55\xaa");
        for len in (0..2048).step_by(7) {
            recognize(&whole[..len].to_vec());
        }
    }
}
