//! A directory before and after deletions, damaged ones, others.

use super::*;
use crate::model::{Everything, PathResolver, ReadAt};
use crate::parse::testing::{Kept, Words, expect, parse, parse_with, sample, torment};

const BLOCK: usize = 4096;

/// Names in use and left over in a stream.
fn names(stream: &[u8], bitmap: Option<&[u8]>) -> (Vec<String>, Vec<String>) {
    let all: Vec<_> = entries(stream, BLOCK, bitmap).flat_map(|block| block.entries).collect();
    let of = |slack: bool| {
        let those = all.iter().filter(|entry| entry.slack == slack);
        those.map(|entry| entry.file.name.clone()).collect::<Vec<_>>()
    };
    (of(false), of(true))
}

#[test]
fn a_directory_and_what_was_deleted_from_it() {
    let mut shown = String::new();
    for (name, in_use, left_over) in
        [("index/start.bin", 50, 21), ("index/second-delete.bin", 10, 42)]
    {
        let bytes = sample(name);
        assert!(DirectoryIndex.recognizes(&bytes[..512]), "{name}");
        let kept = parse(&DirectoryIndex, &bytes).unwrap();
        let recovered = kept.records.iter().filter(|r| r.recovered).count();
        assert_eq!((kept.records.len() - recovered, recovered), (in_use, left_over), "{name}");
        assert_eq!(kept.damage, []);
        shown = kept.shown();
    }
    expect("index/second-delete", &shown);
}

#[test]
fn left_over_entries_keep_what_is_left_of_them() {
    let bytes = sample("index/second-delete.bin");
    let all: Vec<_> = entries(&bytes, BLOCK, None).flat_map(|block| block.entries).collect();
    let found = |name: &str| all.iter().find(|e| e.slack && e.file.name == name).unwrap();
    // Its head is whole.
    let whole = found("New Text Document - Copy (10).txt");
    assert_eq!(whole.reference.unwrap().to_string(), "119373-11");
    assert_eq!(whole.file.parent.unwrap().to_string(), "118852-18");
    // An end of the entries in use was written over its head.
    assert_eq!(found("Folder5").reference, None);
    assert!(all.iter().all(|entry| !entry.slack || entry.file.created > 0));
}

#[test]
fn blocks_in_no_use_hold_left_over_entries_only() {
    let bytes = sample("index/second-delete.bin");
    let (in_use, left_over) = names(&bytes, None);
    let (none, all) = names(&bytes, Some(&[0]));
    assert_eq!((none.len(), all.len()), (0, in_use.len() + left_over.len()));
    let bitmap = vec![1u8];
    let input = Input {
        bytes: &bytes,
        sidecars: vec![&bitmap],
        name: "$I30",
        modified: None,
        filter: &Everything,
        paths: None,
        zone: None,
    };
    let mut kept = Kept::default();
    DirectoryIndex.parse(&input, &mut kept).unwrap();
    let first = kept.records.iter().filter(|record| !record.recovered);
    assert!(first.count() < in_use.len());
}

#[test]
fn a_root_lists_the_same_way() {
    // An $INDEX_ROOT with the entries of the first block, as a small directory has it.
    let block = sample("index/second-delete.bin")[..512].to_vec();
    let mut root = vec![0x30, 0, 0, 0, 1, 0, 0, 0, 0, 0x10, 0, 0, 1, 0, 0, 0];
    let header = [0x10u32, 0x10 + 0x60 + 0x10, 0x1000, 0];
    root.extend(header.into_iter().flat_map(u32::to_le_bytes));
    root.extend(&block[0x40..0x40 + 0x60]);
    root.extend([0; 8].into_iter().chain([0x10, 0, 0, 0, 2, 0, 0, 0]));
    assert!(DirectoryIndex.recognizes(&root));
    let found = root_entries(&root);
    assert_eq!(found.damage, []);
    let names: Vec<_> = found.entries.iter().map(|e| (e.slack, e.file.name.as_str())).collect();
    assert_eq!(names, [(false, "Folder2")]);
    assert_eq!(parse(&DirectoryIndex, &root).unwrap().records.len(), 1);
}

#[test]
fn torn_blocks_are_told_and_read() {
    let mut bytes = sample("index/start.bin");
    let whole = parse(&DirectoryIndex, &bytes).unwrap().records.len();
    bytes[BLOCK + 510] ^= 0x55;
    bytes[3 * BLOCK..3 * BLOCK + 4].fill(b'x');
    let kept = parse(&DirectoryIndex, &bytes).unwrap();
    let told: Vec<_> = kept.damage.iter().map(|d| d.locator.clone().unwrap()).collect();
    assert_eq!(told, [Locator::Offset(4096), Locator::Offset(3 * 4096)]);
    // What has no signature is carved.
    assert!(kept.records.len() + 3 >= whole, "{} of {whole}", kept.records.len());
}

/// Knows the directory of the samples.
struct Volume;

impl PathResolver for Volume {
    fn directory(&self, reference: FileReference) -> Option<(String, FileReference)> {
        let root = FileReference { record: 5, sequence: 5 };
        (reference.record == 118_852).then(|| ("Lab".to_owned(), root))
    }

    fn volume(&self) -> &str {
        "D:"
    }
}

#[test]
fn the_volume_gives_the_path_and_knows_what_is_in_use() {
    let bytes = sample("index/second-delete.bin");
    let (filter, paths): (_, Option<&dyn PathResolver>) = (&Words(&[r"d:\lab\"]), Some(&Volume));
    let (sidecars, name, modified) = (Vec::new(), "$I30", None);
    let input = Input { bytes: &bytes, sidecars, name, modified, filter, paths, zone: None };
    let mut kept = Kept::default();
    DirectoryIndex.parse(&input, &mut kept).unwrap();
    assert!(!kept.records.is_empty() && kept.records.iter().all(|record| record.recovered));
    let named = |record: &Record| record.text("TargetFilename").unwrap().starts_with(r"D:\Lab\");
    assert!(kept.records.iter().all(named));
}

#[test]
fn the_screen_takes_nothing_that_matches() {
    let bytes = sample("index/second-delete.bin");
    let all = parse(&DirectoryIndex, &bytes).unwrap();
    for words in
        [&["copy (1"] as &'static [&'static str], &["119373-11"], &["directory"], &["none"]]
    {
        let screened = parse_with(&DirectoryIndex, &bytes, &Words(words)).unwrap();
        let matching = all.records.iter().filter(|r| {
            r.fields.iter().any(|(_, v)| v.to_string().to_lowercase().contains(words[0]))
        });
        let expected: Vec<_> = matching.map(|r| format!("{r:?}")).collect();
        let found: Vec<_> = screened.records.iter().map(|r| format!("{r:?}")).collect();
        assert_eq!(found, expected, "{words:?}");
    }
}

#[test]
fn other_files_are_none() {
    assert!(parse(&DirectoryIndex, b"").unwrap().records.is_empty());
    assert!(parse(&DirectoryIndex, &[0; 9000]).unwrap().records.is_empty());
    assert!(!DirectoryIndex.recognizes(b"INDY"));
    assert!(!DirectoryIndex.recognizes(&[0; 64]));
    let foreign = vec![b'x'; 10_000];
    assert!(matches!(parse(&DirectoryIndex, &foreign), Err(ParseError::Foreign { .. })));
}

#[test]
fn damage_never_stops_it() {
    for name in ["index/start.bin", "index/second-delete.bin"] {
        let bytes = sample(name);
        torment(&DirectoryIndex, &bytes, 150);
        // The heads, where every byte counts.
        torment(&DirectoryIndex, &bytes[..600], 300);
        assert!(bytes.size() > 0);
    }
}
