//! A report, a cut one, other texts.

use super::*;
use crate::parse::testing::{Words, all_shown, expect, parse, parse_with, sample, torment};

#[test]
fn every_sample() {
    expect("error_report", &all_shown("error_report", |_| &ErrorReport));
}

#[test]
fn only_what_matters() {
    let report = sample("error_report/Report.wer");
    assert!(ErrorReport.recognizes(&report));
    assert!(parse_with(&ErrorReport, &report, &Words(&["chisel"])).unwrap().records.is_empty());
}

#[test]
fn a_cut_report_tells_what_is_left() {
    let report = sample("error_report/Report.wer");
    let kept = parse(&ErrorReport, &report[..801]).unwrap();
    assert_eq!(kept.records[0].text("Image"), Some("ngrok.exe"));
    assert_eq!(kept.records[0].times.len(), 2);
}

#[test]
fn other_formats_are_refused() {
    for other in [&b""[..], b"MZ", b"Version=1\nx=y\n"] {
        assert!(matches!(parse(&ErrorReport, other), Err(ParseError::Foreign { .. })));
        assert!(!ErrorReport.recognizes(other));
    }
}

#[test]
fn damage_never_stops_it() {
    torment(&ErrorReport, &sample("error_report/Report.wer"), 300);
}
