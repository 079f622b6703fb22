//! Zip files as others write them, and as nobody should.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pool::Pool;
use super::stream::{Stream, Wrapping};
use super::testing::{Made, zip};
use super::*;
use crate::model::{Problem, ReadAt};
use crate::source::{Entry, Filesystem, Kind};

fn tree(members: &[Made]) -> ZipTree {
    open(zip(members)).expect("a zip")
}

fn open(bytes: Vec<u8>) -> Option<ZipTree> {
    ZipTree::open(Arc::new(bytes)).unwrap()
}

pub(super) fn walk(tree: &dyn Filesystem) -> (Vec<Entry>, Vec<Problem>) {
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    tree.walk(&mut |entry| entries.push(entry), &mut |problem| problems.push(problem));
    (entries, problems)
}

pub(super) fn names(tree: &dyn Filesystem) -> Vec<String> {
    walk(tree).0.iter().map(|entry| entry.path.to_string()).collect()
}

pub(super) fn said(tree: &dyn Filesystem) -> String {
    let problems = walk(tree).1;
    problems.iter().map(|p| format!("{:?} {}\n", p.path, p.message)).collect()
}

/// The content, or why there is none.
pub(super) fn content(tree: &dyn Filesystem, path: &str) -> Result<Vec<u8>, String> {
    let entry = tree.entry(&crate::model::EvidencePath::new(path)).ok_or("absent")?;
    let file = tree.open(&entry).map_err(|error| error.to_string())?;
    assert_eq!(file.size(), entry.size);
    let mut bytes = vec![0; usize::try_from(entry.size).unwrap().min(1 << 26)];
    let n = read_full(&*file, 0, &mut bytes).map_err(|error| error.to_string())?;
    bytes.truncate(n);
    Ok(bytes)
}

/// Bytes that deflate cannot shrink much, the same every time.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    (0..length)
        .map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if at % 3 == 0 { (state >> 24) as u8 } else { (at / 100) as u8 }
        })
        .collect()
}

#[test]
fn members_in_the_order_of_a_walk() {
    let tree = tree(&[
        Made::new("b/two.txt", b"two"),
        Made::new("B", b"one"),
        Made { stored: true, ..Made::new("a.txt", b"stored") },
        Made::new("a/x", b""),
        Made { modified: Some(1_700_000_000), ..Made::new("a/y/", b"") },
    ]);
    assert_eq!(names(&tree), ["a", "a/x", "a/y", "a.txt", "B", "b", "b/two.txt"]);
    assert_eq!(said(&tree), "");
    assert_eq!(content(&tree, "b/two.txt").unwrap(), b"two");
    assert_eq!(content(&tree, "a.txt").unwrap(), b"stored");
    assert_eq!(content(&tree, "a/x").unwrap(), b"");
    assert!(content(&tree, "A.TXT").is_err());
}

#[test]
fn only_times_with_a_zone_are_times() {
    let tree = tree(&[
        Made { modified: Some(1_700_000_000), ..Made::new("a", b"a") },
        Made::new("b", b"b"),
    ]);
    let (entries, _) = walk(&tree);
    assert_eq!(entries[0].times.modified.unwrap().as_second(), 1_700_000_000);
    assert_eq!(entries[1].times, crate::source::Times::default());
}

#[test]
fn names_of_windows_and_of_nobody() {
    let tree = tree(&[
        Made { system: 0, ..Made::new(r"C\Windows\a", b"1") },
        Made::new(r"etc/x\2dy", b"2"),
        Made::new("/abs", b"3"),
        Made::new("../../escape", b"4"),
        Made { system: 0, ..Made::new(r"a\..\..\escape", b"5") },
        Made::new("same", b"6"),
        Made::new("same", b"7"),
        Made::new("file", b"8"),
        Made::new("file/below", b"9"),
    ]);
    let expected = [
        "abs",
        "C",
        "C/Windows",
        "C/Windows/a",
        "etc",
        r"etc/x\2dy",
        "file",
        "file/below",
        "file~2",
        "same",
        "same~2",
    ];
    assert_eq!(names(&tree), expected);
    let said = said(&tree);
    assert_eq!(said.matches("may leave the archive").count(), 2, "{said}");
    assert!(said.contains("absolute names"), "{said}");
    assert_eq!(said.matches("stored more than once").count(), 2, "{said}");
    assert_eq!(content(&tree, "same~2").unwrap(), b"7");
}

#[test]
fn links_are_shown_and_not_followed() {
    let tree = tree(&[Made { mode: 0o120_777, ..Made::new("link", b"/etc/passwd") }]);
    let (entries, _) = walk(&tree);
    assert_eq!(entries[0].kind, Kind::Link);
    assert_eq!(entries[0].link_target.as_deref(), Some("/etc/passwd"));
    assert!(tree.open(&entries[0]).is_err());
}

#[test]
fn what_cannot_be_read_says_why_and_the_rest_is_read() {
    let tree = tree(&[
        Made { encrypted: true, ..Made::new("secret", b"0123456789012") },
        Made { method: Some(9), ..Made::new("large", b"x") },
        Made { size: Some(99), stored: true, ..Made::new("odd", b"x") },
        Made { size: Some(1 << 30), ..Made::new("liar", &[0; 100]) },
        Made::new("plain", b"read"),
    ]);
    assert!(content(&tree, "secret").unwrap_err().contains("encrypted"));
    assert!(content(&tree, "large").unwrap_err().contains("deflate64"));
    assert!(content(&tree, "odd").unwrap_err().contains("differ"));
    assert!(content(&tree, "liar").unwrap_err().contains("bomb"));
    assert_eq!(content(&tree, "plain").unwrap(), b"read");
}

#[test]
fn suspect_members_together_have_a_limit() {
    // What is claimed counts: each says 4 GiB less a byte at a ratio of 500.
    let packed = vec![0; 8 << 20];
    let bomb = |name: &str| Made {
        size: Some(u32::MAX),
        packed: Some(packed.clone()),
        ..Made::new(name, b"")
    };
    let tree = tree(&[bomb("a"), bomb("b"), bomb("c")]);
    assert!(!content(&tree, "b").is_err_and(|why| why.contains("bomb")));
    assert!(content(&tree, "c").unwrap_err().contains("bomb"));
}

#[test]
fn members_that_share_their_bytes_are_refused() {
    let bytes = zip(&[Made::new("a", &[7; 1000]), Made::new("b", &[7; 1000])]);
    let mut bytes = bytes;
    let entry = memchr::memmem::rfind(&bytes, b"PK\x01\x02").unwrap();
    bytes[entry + 42..entry + 46].fill(0); // the second entry leads to the first member
    let tree = open(bytes).unwrap();
    assert!(content(&tree, "b").unwrap_err().contains("bomb"));
    assert_eq!(content(&tree, "a").unwrap(), [7; 1000]);
}

#[test]
fn a_wrong_checksum_is_said_and_the_content_read() {
    for stored in [true, false] {
        let content_of = noise(200_000);
        let made = Made { crc: Some(1), stored, ..Made::new("a", &content_of) };
        let tree = tree(&[made, Made::new("b", &content_of)]);
        assert_eq!(content(&tree, "a").unwrap(), content_of);
        assert_eq!(content(&tree, "b").unwrap(), content_of);
        let late = tree.late_problems();
        assert_eq!(late.len(), 1, "{late:?}");
        assert_eq!(late[0].path.as_ref().unwrap().as_str(), "a");
        assert!(late[0].message.contains("checksum"));
    }
}

#[test]
fn a_broken_stream_gives_what_stands_before() {
    let whole = noise(400_000);
    let mut packed = miniz_oxide::deflate::compress_to_vec(&whole, 6);
    packed.truncate(packed.len() / 2);
    let made = Made { packed: Some(packed), ..Made::new("a", &whole) };
    let tree = tree(&[made]);
    let entry = tree.entry(&crate::model::EvidencePath::new("a")).unwrap();
    let file = tree.open(&entry).unwrap();
    let mut bytes = vec![0; whole.len()];
    let mut at = 0;
    let error = loop {
        match file.read_at(at as u64, &mut bytes[at..]) {
            Ok(0) => panic!("ended without an error"),
            Ok(n) => at += n,
            Err(error) => break error,
        }
    };
    assert!(at > 100_000 && bytes[..at] == whole[..at], "{at}: {error}");
}

#[test]
fn members_found_without_the_directory() {
    let long = noise(300_000);
    for (stored, streamed) in [(true, true), (true, false), (false, true), (false, false)] {
        let made = |name: &str| Made { stored, streamed, ..Made::new(name, &long) };
        let bytes = zip(&[made("a/1"), made("2"), made("3")]);
        let directory = memchr::memmem::find(&bytes, b"PK\x01\x02").unwrap();
        let tree = open(bytes[..directory].to_vec()).unwrap();
        assert_eq!(names(&tree), ["2", "3", "a", "a/1"], "{stored} {streamed}");
        for path in ["2", "3", "a/1"] {
            assert_eq!(content(&tree, path).unwrap(), long, "{stored} {streamed}");
        }
        assert!(said(&tree).contains("lost its directory"));
        assert!(tree.late_problems().is_empty());
        let third = memchr::memmem::rfind(&bytes[..directory], b"PK\x03\x04").unwrap();
        let tree = open(bytes[..third + 60_000].to_vec()).unwrap();
        assert!(content(&tree, "2").is_ok());
        if !(stored && streamed) {
            let part = content(&tree, "3").unwrap();
            assert!(part.len() > 50_000 && part == long[..part.len()], "{stored} {streamed}");
        }
        assert!(said(&tree).contains("3 is cut off"), "{}", said(&tree));
    }
}

#[test]
fn what_is_no_zip_is_none() {
    assert!(open(Vec::new()).is_none());
    assert!(open(b"PK".to_vec()).is_none());
    assert!(open(vec![0; 1000]).is_none());
}

/// Counts what is read of it.
struct Counted(Vec<u8>, AtomicU64);

impl ReadAt for Counted {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.read_at(offset, buf)?;
        self.1.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

#[test]
fn reading_forward_inflates_once_and_back_a_little() {
    let whole = noise(6 << 20);
    let packed = miniz_oxide::deflate::compress_to_vec(&whole, 1);
    let size = packed.len() as u64;
    let source = Arc::new(Counted(packed, AtomicU64::new(0)));
    let stream = Stream { source: source.clone(), start: 0, end: size, wrapping: Wrapping::Raw };
    let promise = inflated::Promise {
        size: whole.len() as u64,
        crc: crc32fast::hash(&whole),
        complain: Box::new(|why| panic!("{why}")),
    };
    let pool = Arc::new(Pool::default());
    let file = inflated::Inflated::new(stream, Some(promise), pool, 256 << 10);
    let mut bytes = vec![0; 10_000];
    for at in (0..whole.len()).step_by(10_000) {
        let n = read_full(&file, at as u64, &mut bytes).unwrap();
        assert!(bytes[..n] == whole[at..at + n], "{at}");
    }
    let forward = source.1.swap(0, Ordering::Relaxed);
    assert!(forward < size * 3, "{forward} read of {size}");
    for at in [5 << 20, 1 << 20, 3_345_678, 3, 23 << 18] {
        let n = read_full(&file, at as u64, &mut bytes).unwrap();
        assert!(bytes[..n] == whole[at..at + n], "{at}");
    }
    let back = source.1.load(Ordering::Relaxed);
    assert!(back < size, "{back} read of {size}");
}

#[test]
fn damage_never_stops_it() {
    let long = noise(3_000);
    let bytes = zip(&[
        Made { modified: Some(1), ..Made::new("a/b", &long) },
        Made { streamed: true, ..Made::new("c", &long) },
        Made { stored: true, ..Made::new("d", &long) },
        Made { mode: 0o120_777, ..Made::new("e", b"a/b") },
    ]);
    let mut state = 7_u32;
    for round in 0..1_000 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + round % 4 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (state >> 8) as usize % damaged.len();
            damaged[at] = (state >> 3) as u8;
        }
        if round % 5 == 0 {
            damaged.truncate((state >> 8) as usize % bytes.len());
        }
        let Some(tree) = open(damaged) else { continue };
        for entry in walk(&tree).0.iter().filter(|entry| entry.is_file()) {
            let Ok(file) = tree.open(entry) else { continue };
            let mut bytes = vec![0; 5_000];
            let _ = read_full(&*file, 0, &mut bytes);
            let _ = read_full(&*file, entry.size / 2, &mut bytes);
        }
    }
}
