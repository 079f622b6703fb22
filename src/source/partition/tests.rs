//! Disks made by hand: whole, with 4096-byte sectors, damaged, cut, mutated.

use std::sync::Arc;

use super::*;

const SECTOR: usize = 512;

fn put(disk: &mut [u8], at: usize, bytes: &[u8]) {
    disk[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Writes a boot record with these entries: type, first sector, sectors.
fn boot_record(disk: &mut [u8], at: usize, entries: &[(u8, u32, u32)]) {
    for (number, (kind, first, count)) in entries.iter().enumerate() {
        let entry = at + 446 + 16 * number;
        disk[entry + 4] = *kind;
        put(disk, entry + 8, &first.to_le_bytes());
        put(disk, entry + 12, &count.to_le_bytes());
    }
    put(disk, at + 510, b"\x55\xaa");
}

fn ntfs(disk: &mut [u8], at: usize) {
    put(disk, at, b"\xeb\x52\x90NTFS    ");
    put(disk, at + 510, b"\x55\xaa");
}

/// Both copies of a GPT with these entries: type GUID, first and last sector, label.
fn gpt(disk: &mut [u8], sector: usize, entries: &[(&[u8; 16], u64, u64, &str)]) {
    let last = (disk.len() / sector - 1) as u64;
    let mut table = vec![0; 128 * 128];
    for (number, (kind, first, end, name)) in entries.iter().enumerate() {
        let at = 128 * number;
        put(&mut table, at, *kind);
        put(&mut table, at + 32, &first.to_le_bytes());
        put(&mut table, at + 40, &end.to_le_bytes());
        for (n, unit) in name.encode_utf16().enumerate() {
            put(&mut table, at + 56 + 2 * n, &unit.to_le_bytes());
        }
    }
    let sectors = (table.len() / sector) as u64;
    for (own, other, entries_at) in [(1, last, 2), (last, 1, last - sectors)] {
        let mut header = vec![0; 92];
        put(&mut header, 0, b"EFI PART\0\0\x01\0");
        put(&mut header, 12, &92u32.to_le_bytes());
        put(&mut header, 24, &own.to_le_bytes());
        put(&mut header, 32, &other.to_le_bytes());
        put(&mut header, 72, &entries_at.to_le_bytes());
        put(&mut header, 80, &128u32.to_le_bytes());
        put(&mut header, 84, &128u32.to_le_bytes());
        put(&mut header, 88, &crc32fast::hash(&table).to_le_bytes());
        let crc = crc32fast::hash(&header);
        put(&mut header, 16, &crc.to_le_bytes());
        put(disk, own as usize * sector, &header);
        put(disk, entries_at as usize * sector, &table);
    }
    boot_record(disk, 0, &[(0xee, 1, u32::MAX)]);
}

const BASIC: &[u8; 16] = b"\xa2\xa0\xd0\xeb\xe5\xb9\x33\x44\x87\xc0\x68\xb6\xb7\x26\x99\xc7";
const LINUX: &[u8; 16] = b"\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4";

fn shown(disk: Vec<u8>) -> (Vec<String>, Vec<String>) {
    let Volumes { volumes, problems } = volumes(Arc::new(disk));
    let volume = |v: &Volume| {
        assert_eq!(v.bytes.size(), v.size);
        let name = v.name.as_deref().unwrap_or("-");
        format!("{} {:#x}+{:#x} {} {name}", v.number, v.start, v.size, v.type_name)
    };
    (volumes.iter().map(volume).collect(), problems.into_iter().map(|p| p.message).collect())
}

#[test]
fn primary_and_logical_partitions_come_in_disk_order() {
    let mut disk = vec![0; 0x10_0000];
    boot_record(&mut disk, 0, &[(0x05, 1024, 800), (0x07, 64, 100)]);
    boot_record(&mut disk, 1024 * SECTOR, &[(0x83, 8, 20), (0x05, 100, 100)]);
    boot_record(&mut disk, 1124 * SECTOR, &[(0x0c, 4, 30), (0x05, 0, 100)]);
    let (volumes, problems) = shown(disk);
    assert_eq!(
        volumes,
        [
            "1 0x8000+0xc800 NTFS, exFAT or HPFS -",
            "2 0x81000+0x2800 Linux -",
            "3 0x8d000+0x3c00 FAT32 -"
        ]
    );
    assert_eq!(problems, ["the chain of extended partitions is a loop"]);
}

#[test]
fn large_sectors_are_told_by_what_lies_where() {
    let mut disk = vec![0; 0x10_0000];
    boot_record(&mut disk, 0, &[(0x07, 16, 32)]);
    ntfs(&mut disk, 16 * 4096);
    assert_eq!(shown(disk).0, ["1 0x10000+0x20000 NTFS, exFAT or HPFS -"]);
}

#[test]
fn areas_beyond_or_across_the_end_are_told() {
    let mut disk = vec![0; 0x1_0000];
    boot_record(&mut disk, 0, &[(0x07, 8, 200), (0x83, 100, 10), (0x83, 4000, 8)]);
    let (volumes, problems) = shown(disk);
    assert_eq!(volumes, ["1 0x1000+0xf000 NTFS, exFAT or HPFS -", "2 0xc800+0x1400 Linux -"]);
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn both_sector_sizes_of_a_gpt_are_read() {
    for (sector, start) in [(512, "0x5000+0x5000"), (4096, "0x28000+0x28000")] {
        let mut disk = vec![0; 128 * sector];
        disk.resize(256 * sector, 0);
        gpt(&mut disk, sector, &[(LINUX, 90, 99, "root"), (BASIC, 40, 79, "Ünïcode")]);
        let (volumes, problems) = shown(disk);
        assert_eq!(volumes[0], format!("1 {start} Microsoft basic data Ünïcode"));
        assert!(volumes[1].ends_with("Linux root"));
        assert_eq!(problems, [""; 0]);
    }
}

#[test]
fn the_copy_of_a_damaged_gpt_is_used() {
    let mut whole = vec![0; 256 * SECTOR];
    gpt(&mut whole, SECTOR, &[(BASIC, 40, 79, "C")]);
    for at in [512, 512 + 20, 512 + 72, 1024 + 32, 1024 + 3000] {
        let mut disk = whole.clone();
        disk[at] ^= 0xff;
        let (volumes, problems) = shown(disk);
        assert_eq!(volumes, ["1 0x5000+0x5000 Microsoft basic data C"], "{at}");
        assert_eq!(problems.len(), 1, "{at}");
    }
    let mut disk = whole.clone();
    disk[..4096].fill(0);
    assert_eq!(shown(disk).0, ["1 0x5000+0x5000 Microsoft basic data C"]);
    whole.truncate(100 * SECTOR);
    let (volumes, problems) = shown(whole);
    assert_eq!((volumes.len(), problems.len()), (1, 1));
}

#[test]
fn a_volume_without_a_table_is_the_disk() {
    let mut disk = vec![0; 0x1_0000];
    ntfs(&mut disk, 0);
    assert_eq!(shown(disk.clone()).0, ["1 0x0+0x10000 NTFS -"]);
    disk.copy_within(0..512, 0x1_0000 - 512);
    disk[..512].fill(0);
    let (volumes, problems) = shown(disk);
    assert_eq!((volumes.len(), problems.len()), (1, 1));
    let mut ext = vec![0; 0x1_0000];
    put(&mut ext, 1080, b"\x53\xef");
    assert_eq!(shown(ext).0, ["1 0x0+0x10000 ext -"]);
    assert_eq!(shown(vec![0; 0x1_0000]).0, [""; 0]);
    assert_eq!(shown(Vec::new()).0, [""; 0]);
}

#[test]
fn no_table_is_too_damaged_to_be_looked_at() {
    let mut seeds = [vec![0; 256 * SECTOR], vec![0; 256 * SECTOR]];
    gpt(&mut seeds[0], SECTOR, &[(BASIC, 40, 79, "C"), (LINUX, 90, 99, "x")]);
    boot_record(&mut seeds[1], 0, &[(0x05, 100, 100), (0x07, 64, 30)]);
    boot_record(&mut seeds[1], 100 * SECTOR, &[(0x83, 8, 20), (0x05, 50, 100)]);
    boot_record(&mut seeds[1], 150 * SECTOR, &[(0x83, 8, 20), (0x05, 60, 40)]);
    let mut state = 0x1234_5678_9abc_def0_u64;
    for round in 0..600 {
        let mut disk = seeds[round % 2].clone();
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let place = [446 + state as usize % 66, 512 + state as usize % 700][round / 2 % 2];
            disk[place] = (state >> 32) as u8;
            disk[100 * SECTOR + 446 + (state >> 16) as usize % 64] = (state >> 40) as u8;
        }
        disk.truncate(disk.len() - (state >> 24) as usize % 2000);
        for volume in volumes(Arc::new(disk)).volumes {
            let mut byte = [0];
            volume.bytes.read_at(volume.size.saturating_sub(1), &mut byte).unwrap();
        }
    }
}
