//! Real journals, made ones, damaged ones.

use std::io;

use super::*;
use crate::model::{Everything, FileReference, PathResolver, ReadAt};
use crate::parse::testing::{Kept, Words, expect, parse, parse_with, sample, torment};

const CREATE: u32 = 0x100;
const DELETE: u32 = 0x200;
const OLD: u32 = 0x1000;
const NEW: u32 = 0x2000;
const CLOSE: u32 = 0x8000_0000;
const FILE: u32 = 0x20;
const FOLDER: u32 = 0x10;
const ROOT: u64 = 5 << 48 | 5;

/// A journal in the making; records are numbered by their place.
#[derive(Default)]
struct Journal(Vec<u8>);

impl Journal {
    fn add(mut self, file: u64, parent: u64, name: &str, reasons: u32, attributes: u32) -> Self {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = (60 + name.len()).next_multiple_of(8);
        let start = self.0.len();
        let put = &mut self.0;
        put.extend(u32::try_from(length).unwrap().to_le_bytes());
        put.extend([2, 0, 0, 0]);
        put.extend(file.to_le_bytes());
        put.extend(parent.to_le_bytes());
        put.extend((start as u64).to_le_bytes());
        put.extend((133_549_647_900_000_000 + start as u64).to_le_bytes());
        for word in [reasons, 0, 0, attributes] {
            put.extend(word.to_le_bytes());
        }
        put.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        put.extend(60u16.to_le_bytes());
        put.extend(name);
        put.resize(start + length, 0);
        self
    }
}

fn paths(kept: &Kept) -> Vec<&str> {
    kept.records.iter().map(|r| r.text("TargetFilename").unwrap()).collect()
}

/// A journal in which a folder moves twice under the files in it.
fn moving() -> Vec<u8> {
    Journal::default()
        .add(40, 30, "ngrok.exe", CREATE, FILE)
        .add(30, ROOT, "Tools", OLD, FOLDER)
        .add(30, ROOT, "Temp", NEW, FOLDER)
        .add(40, 30, "ngrok.exe", CLOSE, FILE)
        .add(40, 30, "ngrok.exe", OLD, FILE)
        .add(40, 31, "svchost32.exe", NEW, FILE)
        .add(40, 31, "svchost32.exe", NEW | CLOSE, FILE)
        .add(31, 30, "sub", CREATE, FOLDER)
        .add(30, 77, "Last", OLD | NEW, FOLDER)
        .add(40, 31, "svchost32.exe", DELETE | CLOSE, FILE)
        .0
}

#[test]
fn real_journals() {
    for (name, count) in [("usn/rename.bin", 19), ("usn/deletions.bin", 208)] {
        let bytes = sample(name);
        assert!(UsnJournal.recognizes(&bytes[..1024]), "{name}");
        let kept = parse(&UsnJournal, &bytes).unwrap();
        assert_eq!(kept.records.len(), count, "{name}");
        assert_eq!(kept.extents[0].records, count as u64);
        assert_eq!(kept.damage, [], "{name}");
    }
    expect("usn/rename", &parse(&UsnJournal, &sample("usn/rename.bin")).unwrap().shown());
}

#[test]
fn paths_are_those_of_their_time() {
    let kept = parse(&UsnJournal, &moving()).unwrap();
    let expected = [
        r"\Tools\ngrok.exe",
        r"\Tools",
        r"\Temp",
        r"\Temp\ngrok.exe",
        r"\Temp\ngrok.exe",
        r"\Temp\sub\svchost32.exe",
        r"\Temp\sub\svchost32.exe",
        r"\Temp\sub",
        "Last",
        r"Last\sub\svchost32.exe",
    ];
    assert_eq!(paths(&kept), expected);
}

/// Knows two directories.
struct Volume;

impl PathResolver for Volume {
    fn directory(&self, reference: FileReference) -> Option<(String, FileReference)> {
        match reference.record {
            77 => Some(("Windows".to_owned(), FileReference::from_raw(ROOT))),
            30 => panic!("the journal knows better"),
            _ => None,
        }
    }

    fn volume(&self) -> &str {
        "C:"
    }
}

#[test]
fn the_volume_fills_in() {
    let bytes = moving();
    let filter = &Everything;
    let input = Input {
        bytes: &bytes,
        sidecars: Vec::new(),
        name: "$J",
        modified: None,
        filter,
        paths: Some(&Volume),
        zone: None,
    };
    let mut kept = Kept::default();
    UsnJournal.parse(&input, &mut kept).unwrap();
    let paths = paths(&kept);
    assert_eq!(paths[0], r"C:\Tools\ngrok.exe");
    assert_eq!(paths[9], r"C:\Windows\Last\sub\svchost32.exe");
}

#[test]
fn both_halves_of_a_renaming_know_both_names() {
    let kept = parse(&UsnJournal, &moving()).unwrap();
    for record in &kept.records[4..7] {
        assert_eq!(record.text("OldName"), Some("ngrok.exe"));
        assert_eq!(record.text("NewName"), Some("svchost32.exe"));
        assert_eq!(record.text("OldFilename"), Some(r"\Temp\ngrok.exe"));
        assert_eq!(record.text("NewFilename"), Some(r"\Temp\sub\svchost32.exe"));
    }
    assert_eq!(kept.records.iter().filter(|r| r.value("OldName").is_some()).count(), 5);
}

#[test]
fn the_screen_takes_nothing_that_matches() {
    let bytes = moving();
    let all = parse(&UsnJournal, &bytes).unwrap();
    for words in [
        &["ngrok.exe"] as &'static [&'static str],
        &[r"\temp\sub\"],
        &[r"\tools"],
        &["file_delete|close"],
        &["directory"],
        &["40-0"],
        &["nothing of it"],
        &["last"],
    ] {
        let screened = parse_with(&UsnJournal, &bytes, &Words(words)).unwrap();
        let expected: Vec<String> = all
            .records
            .iter()
            .filter(|r| {
                let fields = r.fields.iter().map(|(_, v)| v.to_string().to_lowercase());
                fields.into_iter().any(|text| text.contains(words[0]))
            })
            .map(|r| format!("{r:?}"))
            .collect();
        let found: Vec<String> = screened.records.iter().map(|r| format!("{r:?}")).collect();
        assert_eq!(found, expected, "{words:?}");
    }
}

#[test]
fn wide_references_and_ranges() {
    let mut bytes = vec![0u8; 8 * 1024];
    let mut v3 = Vec::new();
    v3.extend(80u32.to_le_bytes());
    v3.extend([3, 0, 0, 0]);
    v3.extend((3u128 << 48 | 4711).to_le_bytes());
    v3.extend((1u128 << 64).to_le_bytes());
    v3.extend(8192u64.to_le_bytes());
    v3.extend(0u64.to_le_bytes());
    for word in [0x0200_0001u32, 8, 0, 0] {
        v3.extend(word.to_le_bytes());
    }
    v3.extend([4, 0, 76, 0]);
    v3.extend("é!".encode_utf16().flat_map(u16::to_le_bytes));
    let mut v4 = Vec::new();
    v4.extend(80u32.to_le_bytes());
    v4.extend([4, 0, 0, 0]);
    v4.extend(4711u128.to_le_bytes());
    v4.extend(5u128.to_le_bytes());
    v4.extend(8272u64.to_le_bytes());
    for word in [1u32, 0, 0, 0x0010_0001] {
        v4.extend(word.to_le_bytes());
    }
    v4.extend([0x1000u64, 0x200].into_iter().flat_map(u64::to_le_bytes));
    bytes.extend([v3, v4].concat());
    let shown = parse(&UsnJournal, &bytes).unwrap().shown();
    let expected = "file_change usn:8192 | TargetFilename=é! | FileName=é! | FileReference=4711-3 \
        | ParentReference=0x00000000000000010000000000000000 | Reason=DATA_OVERWRITE|0x2000000 \
        | SourceInfo=CLIENT_REPLICATION_MANAGEMENT | Usn=8192\n\
        file_change usn:8272 | FileReference=4711-0 | ParentReference=5-0 | Reason=DATA_OVERWRITE \
        | Usn=8272 | Extents=0x1000+0x200\n";
    assert_eq!(shown, expected);
}

#[test]
fn torn_and_foreign_bytes_are_told_and_passed() {
    let good = moving();
    let mut bytes = good.clone();
    bytes.extend([0xabu8; 100]);
    bytes.resize(bytes.len().next_multiple_of(8), 0xab);
    let second = bytes.len();
    bytes.extend(&good);
    bytes.truncate(bytes.len() - 8);
    let kept = parse(&UsnJournal, &bytes).unwrap();
    assert_eq!(kept.records.len(), 19);
    let at: Vec<_> = kept.damage.iter().map(|d| d.locator.clone().unwrap()).collect();
    let torn = second + good.len() - 88;
    assert_eq!(at, [Locator::Offset(good.len() as u64), Locator::Offset(torn as u64)]);
    assert!(kept.damage.iter().all(|d| d.lost && d.message.contains("bytes are no record")));
}

#[test]
fn other_files_are_none() {
    assert!(parse(&UsnJournal, b"").unwrap().records.is_empty());
    assert!(parse(&UsnJournal, &[0; 9000]).unwrap().records.is_empty());
    let foreign = [b'x'; 5000];
    assert!(!UsnJournal.recognizes(&foreign));
    assert!(!UsnJournal.recognizes(&[0; 4608]));
    assert!(matches!(parse(&UsnJournal, &foreign), Err(ParseError::Foreign { .. })));
}

/// A journal behind gigabytes of zeros, of which some pages cannot be read.
struct Sparse {
    zeros: u64,
    bytes: Vec<u8>,
    says_so: bool,
    broken: std::ops::Range<u64>,
}

impl ReadAt for Sparse {
    fn size(&self) -> u64 {
        self.zeros + self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let end = offset + buf.len() as u64;
        if offset < self.broken.end && self.broken.start < end {
            return Err(io::Error::other("bad sector"));
        }
        if offset < self.zeros {
            assert!(!self.says_so, "a hole was read");
            let n = usize::try_from((self.zeros - offset).min(buf.len() as u64)).unwrap();
            buf[..n].fill(0);
            return Ok(n);
        }
        self.bytes.read_at(offset - self.zeros, buf)
    }

    fn data_from(&self, offset: u64) -> u64 {
        if self.says_so { offset.max(self.zeros) } else { offset }
    }
}

#[test]
fn zeros_in_front_are_passed() {
    for (zeros, says_so) in [(64 << 20, false), (1 << 45, true)] {
        let journal = Sparse { zeros, bytes: moving(), says_so, broken: 0..0 };
        let kept = parse_with(&UsnJournal, &journal, &Everything).unwrap();
        assert_eq!(kept.records.len(), 10);
        assert_eq!(kept.damage, []);
    }
}

#[test]
fn pages_that_cannot_be_read_are_left_out() {
    let bytes = moving().repeat(40);
    let journal = Sparse { zeros: 0, bytes, says_so: false, broken: 8192..8193 };
    let kept = parse_with(&UsnJournal, &journal, &Everything).unwrap();
    assert!(kept.damage.iter().any(|d| d.message.contains("bad sector")));
    assert!((340..400).contains(&kept.records.len()), "{}", kept.records.len());
}

#[test]
fn loops_of_directories_end() {
    let bytes = Journal::default().add(1, 2, "a", CREATE, FOLDER).add(2, 1, "b", CREATE, FOLDER).0;
    let kept = parse(&UsnJournal, &bytes).unwrap();
    assert_eq!(kept.records.len(), 2);
}

#[test]
fn damage_never_stops_it() {
    torment(&UsnJournal, &moving(), 400);
    torment(&UsnJournal, &sample("usn/deletions.bin"), 30);
}
