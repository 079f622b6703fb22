//! The reader against volumes whose numbers somebody chose.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::source::Filesystem;

use super::Ntfs;
use super::build::{Disk, ROOT, Rec, content, paths, read, walk};

#[test]
fn directories_in_a_ring_are_shown_once() {
    let ntfs = Disk::of(vec![
        Rec::new(1, 3).name((25, 1), "a"),
        Rec::new(1, 3).name((26, 1), "b"),
        Rec::new(1, 3).name((24, 1), "c"),
        Rec::new(1, 3).name((27, 1), "itself"),
        Rec::new(1, 1).name((25, 1), "file").data(b""),
    ])
    .open();
    let expected = [
        "C:\\$OrphanFiles\\a",
        "C:\\$OrphanFiles\\a\\c",
        "C:\\$OrphanFiles\\a\\c\\b",
        "C:\\$OrphanFiles\\a\\c\\b\\file",
        "C:\\$OrphanFiles\\itself",
    ];
    assert_eq!(paths(&ntfs), expected);
    let problems = walk(&ntfs).1;
    assert_eq!(problems.iter().filter(|p| p.contains("holds itself")).count(), 2);
}

#[test]
fn a_directory_with_two_names_is_entered_once() {
    let files = (0..40u64).map(|n| {
        let parent = if n == 0 { ROOT } else { (23 + n, 1) };
        Rec::new(1, 3).name(parent, "a").name(parent, "b")
    });
    let ntfs = Disk::of(files.collect()).open();
    assert_eq!(paths(&ntfs).len(), 80);
}

#[test]
fn names_and_streams_are_not_multiplied_without_end() {
    let many = (0..2000u64).map(|n| match n {
        0 => Rec::new(1, 1).name(ROOT, "a").resident(0x80, "s", b"named").data(b"main"),
        n if n % 2 == 0 => {
            (0..6).fold(Rec::new(1, 1).base(24, 1), |r, k| r.name(ROOT, &format!("{n}-{k}")))
        }
        n => (0..6)
            .fold(Rec::new(1, 1).base(24, 1), |r, k| r.resident(0x80, &format!("{n}-{k}"), b"")),
    });
    let ntfs = Disk::of(many.collect()).open();
    let began = Instant::now();
    let (entries, problems) = walk(&ntfs);
    assert_eq!(entries.len(), 1 + 999 * 6 + 1 + 1000 * 6);
    assert!(problems.iter().any(|p| p.contains("very many names and streams")));
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(content(&ntfs, "C:\\a").unwrap(), b"main");
    assert_eq!(content(&ntfs, "C:\\a:s").unwrap(), b"named");
}

#[test]
fn depth_has_a_limit() {
    let files = (0..900u64).map(|n| {
        let parent = if n == 0 { ROOT } else { (23 + n, 1) };
        Rec::new(1, 3).name(parent, &"d".repeat(1 + n as usize % 3))
    });
    let ntfs = Disk::of(files.collect()).open();
    let (entries, problems) = walk(&ntfs);
    assert_eq!(entries.len(), 512);
    assert!(problems.iter().any(|p| p.contains("deeper")), "{problems:?}");
}

#[test]
fn names_cannot_leave_their_place() {
    let files: Vec<Rec> = ["..", ".", "", "a\\..\\b", "x:y", "nul\0"]
        .iter()
        .map(|name| Rec::new(1, 1).name(ROOT, name).data(b""))
        .chain([Rec::new(1, 1).name_in(ROOT, 0, &[0xdc00]).data(b"")])
        .collect();
    let ntfs = Disk::of(files).open();
    let mut shown = paths(&ntfs);
    shown.dedup();
    assert_eq!(
        shown,
        ["C:\\a\u{fffd}..\u{fffd}b", "C:\\nul\u{fffd}", "C:\\x\u{fffd}y", "C:\\\u{fffd}"]
    );
    assert_eq!(walk(&ntfs).1.len(), 7);
}

#[test]
fn impossible_sizes_cost_nothing() {
    let ntfs = Disk::of(vec![
        Rec::new(1, 1).name(ROOT, "huge").extents("", 0, 1 << 60, &[0x21, 2, 0, 2]),
        Rec::new(1, 1).name(ROOT, "beyond").extents("", 0, 600, &[0x31, 2, 0, 0, 0x7f]),
        Rec::new(1, 1).name(ROOT, "most").extents(
            "",
            0,
            u64::MAX,
            &[0x08, 255, 255, 255, 255, 255, 255, 255, 63],
        ),
        Rec::new(1, 1).name(ROOT, "hole").extents("", 0, 1 << 50, &[0x07, 0, 0, 0, 0, 0, 0, 2]),
    ])
    .open();
    let entry = |at: usize| walk(&ntfs).0.remove(at);
    assert_eq!(entry(2).size, 1 << 60);
    assert!(content(&ntfs, "C:\\huge").unwrap_err().contains("does not say where"));
    let part = ntfs.open(&entry(2)).unwrap();
    assert_eq!(part.read_at(0, &mut [0; 1024]).unwrap(), 1024);
    assert!(content(&ntfs, "C:\\beyond").unwrap_err().contains("leaves the volume"));
    assert_eq!(content(&ntfs, "C:\\most").unwrap(), vec![0; 1 << 20]);
    assert_eq!(content(&ntfs, "C:\\hole").unwrap(), vec![0; 1 << 20]);
}

#[test]
fn damaged_records_are_counted_and_the_rest_is_read() {
    let files = (0..100).map(|n| Rec::new(1, 1).name(ROOT, &format!("f{n:02}")).data(b""));
    let disk = Disk::of(files.collect());
    let mut bytes = disk.bytes();
    for n in 0..60 {
        let record = &mut bytes[16 * 512 + (24 + n) * 1024..][..1024];
        match n % 4 {
            0 => record[..4].copy_from_slice(b"BAAD"),
            1 => record[1022] ^= 1,
            2 => record[0] = b'X',
            _ => record[5] = 9,
        }
    }
    let ntfs = Ntfs::open(Arc::new(bytes.clone()), "C:\\").unwrap();
    let (entries, problems) = walk(&ntfs);
    assert_eq!(entries.len(), 40);
    assert_eq!(problems.len(), 60);
    for n in 0..40 {
        bytes[16 * 512 + (84 + n) * 1024..][..4].copy_from_slice(b"BAAD");
    }
    let ntfs = Ntfs::open(Arc::new(bytes), "C:\\").unwrap();
    let problems = walk(&ntfs).1;
    assert!(
        problems.contains(
            &"35 more records like it: marked BAAD: a consistency check gave it up; not read"
                .to_owned()
        ),
        "{problems:?}"
    );
}

/// Bytes changed at random: every read ends, in order or with an error.
#[test]
fn changed_bytes_never_stop_the_reader() {
    let mut disk = Disk::of(vec![
        Rec::new(1, 1).name(ROOT, "large").extents("", 0, 2048, &[0x21, 2, 0, 2]),
        Rec::new(1, 1).base(24, 1).extents("", 2, 0, &[0x21, 2, 0x40, 2]),
        Rec::new(1, 3).name(ROOT, "dir").resident(0x80, "s", b"stream"),
        Rec::new(2, 0).name((26, 1), "gone").extents("", 0, 600, &[0x21, 2, 0x10, 2]),
        Rec::new(1, 1).name((26, 1), "link").resident(
            0xc0,
            "",
            &[3, 0, 0, 0xa0, 8, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 65, 0],
        ),
        Rec::new(1, 1)
            .name((26, 1), "packed")
            .resident(0x80, "WofCompressedData", &[0; 300])
            .resident(
                0xc0,
                "",
                &[0x17, 0, 0, 0x80, 16, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0],
            )
            .extents("", 0, 9000, &[0x01, 20]),
    ]);
    disk.clusters.push((0x200, vec![b'a'; 4096]));
    let plain = disk.bytes();
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let began = Instant::now();
    for _ in 0..1500 {
        let mut bytes = plain.clone();
        for _ in 0..1 + random(6) {
            // The boot sector, a record that is there, or the bitmap.
            let at = match random(8) {
                0 => random(80),
                1 => 16 * 512 + random(1024),
                _ => 16 * 512 + 24 * 1024 + random(6 * 1024),
            };
            bytes[at] = [0, 1, 0x7f, 0x80, 0xff, random(256) as u8][random(6)];
        }
        let Ok(ntfs) = Ntfs::open(Arc::new(bytes), "C:\\") else { continue };
        for entry in walk(&ntfs).0 {
            let _ = ntfs.open(&entry).map(|content| read(&*content));
            let _ = ntfs.entry(&entry.path);
            let _ = entry.id.and_then(|id| ntfs.path_of(id));
        }
    }
    assert!(began.elapsed() < Duration::from_secs(60));
}
