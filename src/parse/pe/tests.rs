//! Programs with and without version information; cut and foreign ones.

use super::*;
use crate::parse::testing::{Words, expect, parse, parse_with, sample, samples, torment};

#[test]
fn every_sample() {
    let mut shown = String::new();
    for name in samples("pe") {
        let bytes = sample(&name);
        assert!(Pe.recognizes(&bytes), "{name}");
        let kept = parse(&Pe, &bytes).unwrap();
        shown.push_str(&format!("# {name}\n{}", kept.shown()));
        for damage in kept.damage {
            shown.push_str(&format!("{} lost={}\n", damage.message, damage.lost));
        }
    }
    expect("pe", &shown);
}

#[test]
fn what_does_not_matter_is_left_out() {
    let bytes = sample("pe/version.exe");
    assert_eq!(parse_with(&Pe, &bytes, &Words(&["ngrok"])).unwrap().records.len(), 1);
    assert_eq!(parse_with(&Pe, &bytes, &Words(&["frpc"])).unwrap().records.len(), 0);
    const HASH: &str = "c440aa8b505a068a8782230864081e78ab1a2edac541889345543b203a501f12";
    assert_eq!(parse_with(&Pe, &bytes, &Words(&[HASH])).unwrap().records.len(), 1);
}

#[test]
fn other_files_are_none() {
    for bytes in [&b""[..], b"PK\x03\x04", b"M"] {
        assert!(matches!(parse(&Pe, bytes), Err(ParseError::Foreign { .. })));
    }
    let kept = parse(&Pe, b"MZ").unwrap();
    assert!(
        kept.records.is_empty() && kept.damage.iter().all(|d| d.lost) && kept.damage.len() == 1
    );
}

#[test]
fn damage_never_stops_it() {
    for name in samples("pe") {
        torment(&Pe, &sample(&name), 40);
    }
    // Damage where it hurts: headers and resources.
    let whole = sample("pe/version.exe");
    for at in 0..1024 {
        for value in [0, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let _ = parse(&Pe, &bytes);
        }
    }
}
