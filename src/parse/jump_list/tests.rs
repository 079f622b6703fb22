//! Lists of both kinds, old and new, and damaged ones.

use super::*;
use crate::parse::testing::{all_shown, expect, parse, sample, torment};

const AUTOMATIC: &str = "jump_list/5f7b5f1e01b83767.automaticDestinations-ms";
const CUSTOM: &str = "jump_list/590aee7bdd69b59b.customDestinations-ms";

#[test]
fn every_sample() {
    let parser = |name: &str| -> &'static dyn Parser {
        if name.contains("automatic") { &AutomaticDestinations } else { &CustomDestinations }
    };
    expect("jump_list", &all_shown("jump_list", parser));
}

/// A list of one entry as the version lays it out.
fn list(version: u32, path: &str) -> Vec<u8> {
    let mut out = vec![0; HEADER_BYTES_OF_LIST];
    out[..8].copy_from_slice(&[version.to_le_bytes(), 1u32.to_le_bytes()].concat());
    let mut entry = vec![0u8; if version == 1 { 112 } else { 128 }];
    entry[72..80].copy_from_slice(b"KALI-01\0");
    entry[88..92].copy_from_slice(&0x1au32.to_le_bytes());
    entry[96..100].copy_from_slice(&3f32.to_le_bytes());
    entry[100..108].copy_from_slice(&133_549_647_900_000_000u64.to_le_bytes());
    entry[108..112].copy_from_slice(&(-1i32).to_le_bytes());
    if version > 1 {
        entry[116..120].copy_from_slice(&3u32.to_le_bytes());
    }
    out.extend(entry);
    out.extend(u16::try_from(path.len()).unwrap().to_le_bytes());
    out.extend(path.encode_utf16().flat_map(u16::to_le_bytes));
    out.extend([0; 4]);
    out
}

const HEADER_BYTES_OF_LIST: usize = 32;

#[test]
fn old_and_new_lists_say_the_same() {
    for version in [1, 3, 4] {
        let mut faults = Vec::new();
        let entries = list::entries(&list(version, r"C:\n.exe"), &mut faults);
        assert_eq!((entries.len(), entries[0].number, faults.len()), (1, 0x1a, 0));
        let mut record = Record::new("jump_list", Locator::Offset(0));
        entries[0].describe(&mut record);
        assert_eq!(record.text("Image"), Some(r"C:\n.exe"));
        assert_eq!(record.text("MachineId"), Some("KALI-01"));
        assert_eq!(record.number("AccessCount"), Some(3));
        assert_eq!(record.text("Pinned"), None);
    }
}

#[test]
fn a_list_that_ends_early_is_told() {
    let mut faults = Vec::new();
    let whole = list(4, r"C:\n.exe");
    assert!(list::entries(&whole[..whole.len() - 10], &mut faults).is_empty());
    assert_eq!(faults.len(), 1);
}

#[test]
fn what_is_cut_off_is_told_and_the_rest_read() {
    let whole = sample(AUTOMATIC);
    let kept = parse(&AutomaticDestinations, &whole[..whole.len() - 4096]).unwrap();
    assert!(!kept.damage.is_empty() && !kept.records.is_empty());
    let whole = sample(CUSTOM);
    let kept = parse(&CustomDestinations, &whole[..whole.len() - 1000]).unwrap();
    assert!(!kept.damage.is_empty() && !kept.records.is_empty());
}

/// Every stream claims the greatest size, and every sector is followed by itself.
#[test]
fn streams_never_have_more_bytes_than_the_file() {
    let mut looped = sample(AUTOMATIC);
    let word =
        |bytes: &[u8], at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
    let (table, directory) = (word(&looped, 76), word(&looped, 48));
    for number in 0..128 {
        let at = (table + 1) * 512 + number * 4;
        looped[at..at + 4].copy_from_slice(&(number as u32).to_le_bytes());
    }
    for entry in 1..4 {
        let at = (directory + 1) * 512 + entry * 128 + 120;
        looped[at..at + 8].copy_from_slice(&(u64::MAX >> 1).to_le_bytes());
    }
    let mut faults = Vec::new();
    let compound = compound::Compound::read(&looped, &mut faults).unwrap();
    let sizes: Vec<usize> = compound.streams(&mut faults).map(|(_, bytes)| bytes.len()).collect();
    assert!(sizes.iter().sum::<usize>() == looped.len() && sizes.len() > 2, "{sizes:?}");
    assert!(!faults.is_empty());
}

#[test]
fn other_formats_are_refused() {
    for other in [&b""[..], b"MZ", b"L\0\0\0", &[0xd0; 600]] {
        let refused = |parser| matches!(parse(parser, other), Err(ParseError::Foreign { .. }));
        assert!(refused(&AutomaticDestinations) && refused(&CustomDestinations));
    }
}

#[test]
fn damage_never_stops_it() {
    torment(&AutomaticDestinations, &sample(AUTOMATIC), 500);
    torment(&CustomDestinations, &sample(CUSTOM), 500);
}
