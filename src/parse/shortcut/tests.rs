//! Local and network targets, broken text, damage.

use super::*;
use crate::parse::testing::{
    Words, all_shown, expect, parse, parse_with, sample, samples, torment,
};

#[test]
fn every_sample() {
    expect("shortcut", &all_shown("shortcut", |_| &Shortcut));
}

#[test]
fn one_that_starts_at_logon_has_its_command() {
    let bytes = sample("shortcut/Updates.lnk");
    let kept = parse(&StartupShortcut, &bytes).unwrap();
    assert_eq!(kept.records[0].category, "startup_shortcut");
    let line = r#""C:\Users\jane\Downloads\ngrok agent.exe" tcp 3389"#;
    assert_eq!(kept.records[0].text("CommandLine"), Some(line));
    assert!(parse_with(&Shortcut, &bytes, &Words(&["chisel"])).unwrap().records.is_empty());
}

#[test]
fn a_cut_file_tells_what_is_left() {
    let bytes = sample("shortcut/Updates.lnk");
    for len in [20, 60, 76, 100, 200, bytes.len() - 8] {
        let kept = parse(&Shortcut, &bytes[..len]).unwrap();
        assert_eq!(kept.records.len(), 1);
        assert_eq!(kept.damage.len(), 1, "{len} bytes");
        assert!(kept.damage[0].lost);
    }
}

#[test]
fn a_length_that_lies_is_told() {
    let mut bytes = sample("shortcut/NeroInfoTool.lnk");
    bytes[0x4c..0x4e].copy_from_slice(&[0xff, 0xff]);
    let kept = parse(&Shortcut, &bytes).unwrap();
    assert!(kept.records[0].text("Image").is_some_and(|path| path.ends_with("InfoTool.exe")));
    assert_eq!(kept.damage.len(), 1);
}

#[test]
fn other_formats_are_refused() {
    for other in [&b""[..], b"L\0\0\0", b"MZ", &[0x4c; 100]] {
        assert!(matches!(parse(&Shortcut, other), Err(ParseError::Foreign { .. })));
        assert!(!Shortcut.recognizes(other));
    }
}

#[test]
fn damage_never_stops_it() {
    for name in samples("shortcut") {
        torment(&Shortcut, &sample(&name), 500);
    }
}
