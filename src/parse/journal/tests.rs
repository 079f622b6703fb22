//! Files of every version and packing; unclean, torn and foreign ones.

use std::io::Read as _;

use super::*;
use crate::parse::testing::{Words, expect, parse, parse_with, sample, samples, torment};

fn journal(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&*sample(name)).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn every_sample() {
    let mut shown = String::new();
    for name in samples("journal") {
        let bytes = journal(&name);
        assert!(Journal.recognizes(&bytes), "{name}");
        let kept = parse(&Journal, &bytes).unwrap();
        assert!(kept.damage.is_empty(), "{name}: {:?}", kept.damage);
        shown.push_str(&format!("# {name}\n{}{:?}\n", kept.shown(), kept.extents));
    }
    expect("journal", &shown);
}

#[test]
fn what_does_not_matter_is_left_out() {
    let kept = parse_with(&Journal, &journal("journal/compact.journal.gz"), &Words(&["49812"]));
    let kept = kept.unwrap();
    let found = |category| kept.records.iter().filter(|r| r.category == category).count();
    assert_eq!((found("ssh_login"), found("journal")), (1, 0));
}

/// Offsets of the entries of a sample.
fn entries(bytes: &[u8]) -> Vec<usize> {
    let (mut at, mut found) = (264usize, Vec::new());
    while let Ok(object) =
        Object::read(bytes.get(at..).unwrap_or_default(), at as u64, bytes.len() as u64)
    {
        if object.kind == Kind::Entry {
            found.push(at);
        }
        at = object.next() as usize;
    }
    found
}

#[test]
fn a_damaged_place_costs_only_itself() {
    let mut bytes = journal("journal/regular.journal.gz");
    let all = parse(&Journal, &bytes).unwrap().records.len();
    let entries = entries(&bytes);
    assert_eq!(entries.len(), all);
    let middle = entries[all / 2];
    bytes[middle..middle + 16].fill(0xee);
    let kept = parse(&Journal, &bytes).unwrap();
    assert_eq!(kept.records.len(), all - 1);
    assert!(kept.damage.iter().any(|damage| damage.lost));
    let cut = bytes.get(..entries[all - 1] + 20).unwrap();
    let kept = parse(&Journal, cut).unwrap();
    assert_eq!(kept.records.len(), all - 2);
    assert!(kept.damage.iter().any(|damage| damage.message.contains("beyond the end")));
}

#[test]
fn foreign_and_torn_files() {
    assert!(parse(&Journal, b"no journal").is_err());
    let bytes = journal("journal/compact.journal.gz");
    let mut unknown = bytes.clone();
    unknown[12] = 0xff;
    assert!(parse(&Journal, &unknown).err().unwrap().to_string().contains("incompatible"));
    assert!(parse(&Journal, bytes.get(..100).unwrap()).is_err());
    // Without its hash tables, so that the torment meets more than zeros.
    let start = entries(&bytes)[0].saturating_sub(4096) & !7;
    let mut short = bytes.get(..264).unwrap().to_vec();
    short[136..144].fill(0);
    short.extend_from_slice(&bytes[start..]);
    torment(&Journal, &short, 150);
}
