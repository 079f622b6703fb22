//! Events of every kind, with and without auditd's names; torn and foreign files.

use super::*;
use crate::parse::testing::{Words, expect, parse, parse_with, sample, torment};

#[test]
fn every_event() {
    let mut shown = String::new();
    for name in ["audit/enriched.log", "audit/plain.log"] {
        let bytes = sample(name);
        assert!(Audit.recognizes(&bytes), "{name}");
        let kept = parse(&Audit, &bytes).unwrap();
        shown.push_str(&format!("# {name}\n{}{:?}\n", kept.shown(), kept.extents));
    }
    expect("audit", &shown);
}

#[test]
fn hexadecimal_is_seen_by_the_filter() {
    let bytes = sample("audit/enriched.log");
    let kept = parse_with(&Audit, &bytes, &Words(&["ngrok test.log"])).unwrap();
    assert_eq!(kept.records.len(), 1);
}

#[test]
fn torn_and_foreign_files() {
    let bytes = sample("audit/plain.log");
    let torn = [b"nonsense\n", bytes.as_slice()].concat();
    assert!(parse(&Audit, &torn).unwrap().damage[0].lost);
    assert!(parse(&Audit, b"a\nb\n").is_err());
    assert!(!Audit.recognizes(b"type=none\n"));
    assert!(parse(&Audit, b"").is_ok());
    torment(&Audit, &bytes, 200);
}
