//! Entries of all three kinds, and damaged ones.

use super::*;
use crate::parse::testing::{
    Words, all_shown, expect, parse, parse_with, sample, samples, torment,
};

#[test]
fn every_sample() {
    expect("recycle_bin", &all_shown("recycle_bin", |_| &RecycleBin));
}

#[test]
fn only_what_matters() {
    let list = sample("recycle_bin/INFO2");
    let kept = parse_with(&RecycleBin, &list, &Words(&["ngrok.yml"])).unwrap();
    assert_eq!(kept.records.len(), 1);
    assert_eq!(kept.records[0].text("LeftTheBin"), Some("true"));
}

#[test]
fn a_cut_entry_tells_what_is_left() {
    for name in ["$I7KQ2ZP.exe", "$ID5HSV3.exe", "INFO2"] {
        let whole = sample(&format!("recycle_bin/{name}"));
        let kept = parse(&RecycleBin, &whole[..whole.len() - 7]).unwrap();
        assert_eq!((kept.records.len(), kept.damage.len()), (1, 1), "{name}");
        assert!(kept.damage[0].lost);
    }
}

#[test]
fn other_formats_are_refused() {
    for other in [&b""[..], b"MZ", b"\x03\0\0\0\0\0\0\0", b"\x05\0\0\0\0\0\0\0\0\0\0\0\x07\0\0\0"] {
        assert!(matches!(parse(&RecycleBin, other), Err(ParseError::Foreign { .. })));
        assert!(!RecycleBin.recognizes(other));
    }
}

#[test]
fn damage_never_stops_it() {
    for name in samples("recycle_bin") {
        torment(&RecycleBin, &sample(&name), 300);
    }
}
