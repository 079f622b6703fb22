//! The reader against volumes that were put together for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{EvidencePath, ReadAt};
use crate::source::{Entry, FileId, Filesystem, Kind, Start};

use super::Ntfs;
use super::build::{CLUSTER, Disk, ROOT, Rec, content, paths, read, reference, walk};

fn check(files: Vec<Rec>, expected: &[&str]) {
    assert_eq!(paths(&Disk::of(files).open()), expected);
}

#[test]
fn directories_come_before_what_they_hold_and_names_in_order() {
    check(
        vec![
            Rec::new(1, 1).name((25, 9), "b.txt").data(b"b"),
            Rec::new(9, 3).name(ROOT, "Folder"),
            Rec::new(1, 1).name((25, 9), "A.txt").data(b"a"),
            Rec::new(1, 1).name(ROOT, "folder.txt").data(b""),
            Rec::new(1, 1).name(ROOT, "Überall").data(b""),
            Rec::new(1, 1).name(ROOT, "zz").data(b""),
        ],
        &[
            "C:\\Folder",
            "C:\\Folder\\A.txt",
            "C:\\Folder\\b.txt",
            "C:\\folder.txt",
            "C:\\zz",
            "C:\\Überall",
        ],
    );
}

#[test]
fn every_name_is_shown_but_short_ones_and_all_are_found() {
    let short: Vec<u16> = "LONGNA~1.TXT".encode_utf16().collect();
    let disk = Disk::of(vec![
        Rec::new(1, 1)
            .name_in(ROOT, 2, &short)
            .name(ROOT, "Long name.txt")
            .name(ROOT, "Another.txt")
            .data(b"content")
            .resident(0x80, "cfg", b"stream"),
        Rec::new(1, 1).name_in(ROOT, 2, &[0x41]).data(b"only a short name"),
        Rec::new(1, 3).name(ROOT, "dir").resident(0x80, "of dir", b"on a directory"),
    ]);
    let ntfs = disk.open();
    let expected = [
        "C:\\A",
        "C:\\Another.txt",
        "C:\\Another.txt:cfg",
        "C:\\dir",
        "C:\\dir:of dir",
        "C:\\Long name.txt",
        "C:\\Long name.txt:cfg",
    ];
    assert_eq!(paths(&ntfs), expected);
    let found = |path: &str| ntfs.entry(&EvidencePath::new(path)).map(|e| e.path.to_string());
    assert_eq!(found("c:\\LONGNA~1.txt").as_deref(), Some("C:\\Long name.txt"));
    assert_eq!(found("C:\\long NAME.txt:CFG").as_deref(), Some("C:\\Long name.txt:cfg"));
    assert_eq!(found("C:\\long NAME.txt::$data").as_deref(), Some("C:\\Long name.txt"));
    assert_eq!(found("C:\\dir:OF DIR").as_deref(), Some("C:\\dir:of dir"));
    for path in ["C:\\", "C:\\none", "D:\\dir", "C:\\dir\\none", "C:\\dir:none", "", "C:\\A\\b"] {
        assert_eq!(found(path), None, "{path}");
    }
    assert_eq!(content(&ntfs, "C:\\dir:of dir").unwrap(), b"on a directory");
    assert_eq!(content(&ntfs, "C:\\Another.txt").unwrap(), b"content");
}

#[test]
fn times_are_those_of_the_file_and_of_the_name() {
    let ticks = |n: u64| 133_549_647_900_000_000 + n;
    let ntfs = Disk::of(vec![
        Rec::sized(1024, 1, 1).times([ticks(1), ticks(2), ticks(3), ticks(4)]).name(ROOT, "a"),
    ])
    .open();
    let entry = ntfs.entry(&EvidencePath::new("C:\\a")).unwrap();
    let at = |n| crate::model::from_filetime(ticks(n));
    let times = entry.times;
    assert_eq!(
        [times.created, times.modified, times.changed, times.accessed],
        [at(1), at(2), at(3), at(4)]
    );
    assert_eq!(entry.name_times.unwrap().created, crate::model::from_filetime(11));
    assert_eq!(entry.id, Some(FileId { number: 24, sequence: 1 }));
}

#[test]
fn removed_files_lie_where_they_were_if_that_can_be_told() {
    let disk = Disk::of(vec![
        Rec::new(3, 0).name(ROOT, "gone.txt").data(b"gone"),
        Rec::new(8, 2).name(ROOT, "old"), // removed: had sequence 7
        Rec::new(2, 0).name((25, 7), "below.txt").data(b"below"),
        Rec::new(2, 0).name((25, 6), "older.txt").data(b"from before it was given away"),
        Rec::new(2, 0).name((29, 3), "elsewhere.txt").data(b"its directory is a file now"),
        Rec::new(4, 1).name(ROOT, "now a file").data(b""),
        Rec::new(2, 0).data(b"no name"),
        Rec::new(1, 1).name((25, 7), "present.txt").data(b"present in what is not"),
    ]);
    let ntfs = disk.open();
    let expected = [
        "C:\\gone.txt (Whole)",
        "C:\\now a file",
        "C:\\old (Nothing)",
        "C:\\old\\below.txt (Whole)",
        "C:\\$OrphanFiles\\elsewhere.txt (Whole)",
        "C:\\$OrphanFiles\\older.txt (Whole)",
        "C:\\$OrphanFiles\\present.txt",
        "C:\\$OrphanFiles\\OrphanFile-30 (Whole)",
    ];
    assert_eq!(paths(&ntfs), expected);
    assert_eq!(content(&ntfs, "C:\\old\\below.txt").unwrap(), b"below");
    assert_eq!(ntfs.entry(&EvidencePath::new("C:\\gone.txt")), None);
    let orphan = ntfs.entry(&EvidencePath::new("c:\\$orphanfiles\\PRESENT.txt")).unwrap();
    assert_eq!(orphan.path.as_str(), "C:\\$OrphanFiles\\present.txt");
    assert_eq!(ntfs.entry(&EvidencePath::new("C:\\$OrphanFiles")), None);
    let path = |number, sequence| ntfs.path_of(FileId { number, sequence });
    assert_eq!(path(26, 1).as_deref(), Some("C:\\old\\below.txt"));
    assert_eq!(path(25, 7).as_deref(), Some("C:\\old"));
    assert_eq!(path(25, 6), None);
    assert_eq!(path(29, 4).as_deref(), Some("C:\\now a file"));
    assert_eq!(path(29, 3), None);
    assert_eq!(path(u64::MAX, 1), None);
    assert!(walk(&ntfs).1.iter().any(|p| p.starts_with("record 31: present, but")));
}

#[test]
fn removed_content_is_opened_only_from_clusters_that_are_free() {
    let mut disk = Disk::of(vec![
        Rec::new(2, 0).name(ROOT, "free").extents("", 0, 600, &[0x21, 2, 0x00, 0x02]),
        Rec::new(2, 0).name(ROOT, "taken").extents("", 0, 600, &[0x21, 2, 0x10, 0x02]),
        Rec::new(2, 0).name(ROOT, "cut").extents("", 0, 6000, &[0x21, 2, 0x20, 0x02]),
        Rec::new(2, 0).name(ROOT, "first").times([1, 1, 1, 1]).extents(
            "",
            0,
            600,
            &[0x21, 2, 0x30, 2],
        ),
        Rec::new(2, 0).name(ROOT, "later").times([9, 9, 9, 9]).extents(
            "",
            0,
            600,
            &[0x21, 2, 0x31, 2],
        ),
        Rec::new(2, 0).name(ROOT, "broken").extents("", 0, 600, &[0x31, 2, 0, 0, 9]),
    ]);
    disk.bitmap[0x211 / 8] = 1 << (0x211 % 8);
    disk.clusters.push((0x200, vec![b'x'; 1024]));
    let ntfs = disk.open();
    let expected = [
        "C:\\broken (Nothing)",
        "C:\\cut (Nothing)",
        "C:\\first (Nothing)",
        "C:\\free (Likely)",
        "C:\\later (Likely)",
        "C:\\taken (Nothing)",
    ];
    assert_eq!(paths(&ntfs), expected);
    assert_eq!(content(&ntfs, "C:\\free").unwrap(), vec![b'x'; 600]);
    assert!(content(&ntfs, "C:\\taken").unwrap_err().contains("removed"));
}

#[test]
fn attributes_in_other_records_belong_to_their_file() {
    let mut disk = Disk::of(vec![
        Rec::new(1, 1).name(ROOT, "large").extents("", 0, 2048, &[0x21, 2, 0, 2]),
        Rec::new(1, 1).base(24, 1).extents("", 2, 0, &[0x21, 2, 0x40, 2]),
        Rec::new(1, 1).base(24, 1).name(ROOT, "other name").resident(0x80, "s", b"far stream"),
        Rec::new(1, 1).base(24, 7).name(ROOT, "stale").resident(0x80, "stale", b""),
        Rec::new(1, 0).base(24, 1).name(ROOT, "freed"),
        Rec::new(1, 1).base(0xffff_ffff_ffff, 1).name(ROOT, "nowhere"),
    ]);
    disk.clusters.push((0x200, vec![b'a'; 1024]));
    disk.clusters.push((0x240, vec![b'b'; 1024]));
    let ntfs = disk.open();
    assert_eq!(paths(&ntfs), ["C:\\large", "C:\\large:s", "C:\\other name", "C:\\other name:s"]);
    let expected = [vec![b'a'; 1024], vec![b'b'; 1024]].concat();
    assert_eq!(content(&ntfs, "C:\\other name").unwrap(), expected);
    assert_eq!(content(&ntfs, "C:\\large:s").unwrap(), b"far stream");
}

#[test]
fn the_mft_itself_may_lie_in_pieces() {
    // Records 0-27 lie where they do; the next four follow elsewhere, as record 15 says.
    let [low, high] = 56u16.to_le_bytes();
    let size = 32 * 1024;
    let list = |kind: u32, first: u64, record: u64| {
        let mut entry = vec![0; 32];
        entry[..4].copy_from_slice(&kind.to_le_bytes());
        entry[4] = 32;
        entry[8..16].copy_from_slice(&first.to_le_bytes());
        entry[16..24].copy_from_slice(&reference(record, 1).to_le_bytes());
        entry
    };
    // One entry names the record itself, one a record that is not there.
    let list = [list(0x80, 0, 0), list(0x80, 56, 15), list(0x80, 57, 0), list(0x80, 99, 9999)];
    let base = Rec::new(1, 1).resident(0x20, "", &list.concat()).name(ROOT, "$MFT").extents(
        "",
        0,
        size,
        &[0x12, low, high, 16],
    );
    let mut disk = Disk::of(vec![Rec::new(1, 1).name(ROOT, "near").data(b"")]);
    disk.records[0] = Some(base);
    disk.records[15] = Some(Rec::new(1, 1).base(0, 1).extents("", 56, 0, &[0x21, 8, 0, 3]));
    let far = Disk::of(vec![Rec::new(1, 1).name(ROOT, "far").data(b"!")]).mft();
    disk.clusters.push((0x300, far[24 * 1024..].to_vec()));
    let ntfs = disk.open();
    assert_eq!(paths(&ntfs), ["C:\\far", "C:\\near"]);
    assert_eq!(content(&ntfs, "C:\\far").unwrap(), b"!");
    let mft = ntfs.entry(&EvidencePath::new("C:\\$MFT")).unwrap();
    let bytes = read(&*ntfs.open(&mft).unwrap()).unwrap();
    assert!(bytes.len() == 32 * 1024 && bytes[28 * 1024..29 * 1024] == far[24 * 1024..]);
}

#[test]
fn records_may_have_4096_bytes() {
    let many =
        |record: Rec| (0..9).fold(record, |r, n| r.name(ROOT, &format!("{n}{}", "x".repeat(120))));
    let disk = Disk::sized(4096, vec![many(Rec::sized(4096, 1, 1)).data(b"large record")]);
    let ntfs = disk.open();
    assert_eq!(paths(&ntfs).len(), 9);
    let last = format!("C:\\8{}", "x".repeat(120));
    assert_eq!(content(&ntfs, &last).unwrap(), b"large record");
}

#[test]
fn the_mirror_and_the_last_sector_stand_in() {
    let disk = Disk::of(vec![Rec::new(1, 1).name(ROOT, "a").data(b"a")]);
    let mut bytes = disk.bytes();
    bytes[16 * CLUSTER..][..1024].fill(0xee);
    bytes[..512].fill(0);
    let ntfs = Ntfs::open(Arc::new(bytes.clone()), "C:\\").unwrap();
    assert_eq!(paths(&ntfs), ["C:\\a"]);
    let problems = walk(&ntfs).1.join("\n");
    for part in ["its copy in the last sector", "$MFTMirr is used", "record 0: damaged; read from"]
    {
        assert!(problems.contains(part), "{problems}");
    }
    bytes[8 * CLUSTER..][..1024].fill(0xee);
    assert!(Ntfs::open(Arc::new(bytes), "C:\\").is_err());
}

#[test]
fn an_mft_without_its_volume_lists_all_and_opens_what_it_holds() {
    let disk = Disk::of(vec![
        Rec::new(1, 1).name(ROOT, "resident").data(b"here"),
        Rec::new(1, 1).name(ROOT, "elsewhere").extents("", 0, 600, &[0x21, 2, 0, 2]),
        Rec::new(2, 0).name(ROOT, "removed").extents("", 0, 600, &[0x21, 2, 0, 2]),
    ]);
    let ntfs = Ntfs::from_mft(Arc::new(disk.mft()), "").unwrap();
    let own: Vec<String> = paths(&ntfs).into_iter().filter(|path| !path.starts_with('$')).collect();
    assert_eq!(own, ["elsewhere", "removed (Nothing)", "resident"]);
    assert_eq!(content(&ntfs, "resident").unwrap(), b"here");
    assert_eq!(ntfs.entry(&EvidencePath::new("Resident")).unwrap().path.as_str(), "resident");
    assert!(content(&ntfs, "elsewhere").unwrap_err().contains("which is not here"));
    assert!(Ntfs::from_mft(Arc::new(vec![0; 1024]), "").is_err());
}

#[test]
fn links_are_shown_with_their_target_and_not_opened() {
    let target: Vec<u8> = "\\??\\C:\\x".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut point = 0xa000_0003u32.to_le_bytes().to_vec();
    point.extend([0, 0, 0, 0, 0, 0, target.len() as u8, 0, 0, 0, 0, 0]);
    point.extend(target);
    let ntfs =
        Disk::of(vec![Rec::new(1, 3).name(ROOT, "junction").resident(0xc0, "", &point)]).open();
    let entry = walk(&ntfs).0.remove(0);
    assert_eq!((entry.kind, entry.link_target.as_deref()), (Kind::Link, Some("\\??\\C:\\x")));
    assert!(ntfs.open(&entry).is_err());
}

#[test]
fn an_index_is_handed_out_from_whichever_record_holds_it() {
    let ntfs = Disk::of(vec![
        Rec::new(1, 3).name(ROOT, "dir"),
        Rec::new(1, 1).base(24, 1).resident(0x90, "$I30", b"root of the index"),
    ])
    .open();
    assert_eq!(ntfs.index_streams(24).unwrap().root, b"root of the index");
    assert!(ntfs.index_streams(23).is_err());
    assert!(ntfs.index_streams(u64::MAX).is_err());
}

#[test]
fn compressed_units_are_unpacked_stored_or_holes() {
    // Units of two clusters: one packed into one, one stored, one a hole.
    let pairs = [0x21, 1, 0, 2, 0x01, 1, 0x21, 2, 0x10, 0, 0x01, 2, 0];
    let file = Rec::new(1, 1).name(ROOT, "c").extents("", 0, 3000, &pairs).flagged(80, 1, 1);
    let mut disk = Disk::of(vec![file]);
    // "a", then a copy of 1023 bytes from one byte before.
    disk.clusters.push((0x200, vec![0x03, 0xb0, 0x02, b'a', 0xfc, 0x03, 0, 0]));
    disk.clusters.push((0x210, vec![b'b'; 1024]));
    let ntfs = disk.open();
    let expected = [vec![b'a'; 1024], vec![b'b'; 1024], vec![0; 952]].concat();
    assert!(content(&ntfs, "C:\\c").unwrap() == expected);
    disk.clusters[0].1[0] = 0x04; // the token is cut off
    assert!(content(&disk.open(), "C:\\c").is_ok());
    disk.clusters[0].1[3] = 0xff;
    disk.clusters[0].1[2] = 0x03; // a copy from before the start
    assert!(content(&disk.open(), "C:\\c").unwrap_err().contains("cannot be unpacked"));
}

#[test]
fn packed_files_have_their_content_unpacked() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/source/ntfs/");
    let plain = std::fs::read(format!("{folder}packed.plain")).unwrap();
    let packed = std::fs::read(format!("{folder}packed.lzx")).unwrap();
    let point: Vec<u8> =
        [0x8000_0017u32, 16, 1, 2, 1, 1].iter().flat_map(|n| n.to_le_bytes()).collect();
    let [low, high] = (packed.len().div_ceil(CLUSTER) as u16).to_le_bytes();
    let file = |flags| {
        Rec::new(2, flags)
            .name(ROOT, "packed.exe")
            .resident(0xc0, "", &point)
            .extents("", 0, plain.len() as u64, &[0x02, 160, 0])
            .extents("WofCompressedData", 0, packed.len() as u64, &[0x22, low, high, 0, 2])
    };
    for (flags, shown) in [(1, ""), (0, " (Likely)")] {
        let mut disk = Disk::of(vec![file(flags)]);
        disk.clusters.push((0x200, packed.clone()));
        let ntfs = disk.open();
        let paths = paths(&ntfs);
        assert_eq!(paths[0], format!("C:\\packed.exe{shown}"));
        assert_eq!(paths[1], format!("C:\\packed.exe:WofCompressedData{shown}"));
        assert!(content(&ntfs, "C:\\packed.exe").unwrap() == plain);
        assert!(content(&ntfs, "C:\\packed.exe:WofCompressedData").unwrap() == packed);
    }
    let mut disk = Disk::of(vec![file(1)]);
    disk.clusters.push((0x200, vec![0x55; packed.len()]));
    assert!(content(&disk.open(), "C:\\packed.exe").unwrap_err().contains("cannot be unpacked"));
}

#[test]
fn a_hole_that_stands_for_content_elsewhere_is_not_read_as_zeros() {
    let file = |pairs: &[u8]| {
        Rec::new(1, 1)
            .name(ROOT, "in the cloud")
            .resident(0xc0, "", &[0x1a, 0, 0, 0x90, 0, 0, 0, 0])
            .extents("", 0, 600, pairs)
    };
    let ntfs = Disk::of(vec![file(&[0x01, 2])]).open();
    assert!(content(&ntfs, "C:\\in the cloud").unwrap_err().contains("0x9000001a"));
    let ntfs = Disk::of(vec![file(&[0x21, 2, 0, 2])]).open();
    assert_eq!(content(&ntfs, "C:\\in the cloud").unwrap().len(), 600);
}

/// A volume that counts how often it is read.
struct Counted(Vec<u8>, AtomicU64);

impl ReadAt for Counted {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read_at(offset, buf)
    }
}

#[test]
fn what_the_pass_over_the_records_saw_is_not_read_again() {
    let mut disk = Disk::of(vec![
        Rec::new(1, 1).name(ROOT, "a").data(b"known by its start"),
        Rec::new(1, 1).name(ROOT, "b").data(b"nothing that matters"),
        Rec::new(1, 1).name(ROOT, "c").extents("", 0, 1500, &[0x21, 1, 0x40, 2, 0x11, 2, 0xf0]),
        Rec::new(1, 1).name(ROOT, "d").extents("", 0, 1500, &[0x21, 1, 0, 2]),
        Rec::new(1, 1).base(27, 1).extents("", 1, 0, &[0x21, 2, 0x10, 2]),
    ]);
    disk.clusters.push((0x240, vec![b'c'; 512]));
    disk.clusters.push((0x230, vec![b'e'; 1024]));
    let volume = Arc::new(Counted(disk.bytes(), AtomicU64::new(0)));
    let knows = |start: &[u8]| start.starts_with(b"known");
    let ntfs = Ntfs::open_judged(volume.clone(), "C:\\", Some(&knows)).unwrap();
    let shown = walk(&ntfs).0;
    let starts: Vec<Start> = shown.iter().map(|entry| ntfs.start(entry)).collect();
    assert_eq!(starts, [Start::Unseen, Start::Plain, Start::Unseen, Start::Unseen]);
    let places: Vec<u64> = shown.iter().map(|entry| ntfs.place(entry)).collect();
    assert_eq!(places, [24, 25, 0x240 * 512, 27]);
    let reads = |entry: &Entry| {
        let before = volume.1.load(Ordering::Relaxed);
        let bytes = read(&*ntfs.open(entry).unwrap()).unwrap();
        (bytes, volume.1.load(Ordering::Relaxed) - before)
    };
    assert_eq!(reads(&shown[0]), (b"known by its start".to_vec(), 0));
    assert_eq!(reads(&shown[1]), (b"nothing that matters".to_vec(), 1));
    let pieces = [vec![b'c'; 512], vec![b'e'; 988]].concat();
    assert_eq!(reads(&shown[2]), (pieces, 2));
    assert!(reads(&shown[3]).1 > 2, "in two records, which must be read again");
}
