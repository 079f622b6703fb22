//! Both lists, and lines of no list.

use super::*;
use crate::parse::testing::{
    Words, all_shown, expect, parse, parse_with, sample, samples, torment,
};

#[test]
fn every_sample() {
    expect("pca", &all_shown("pca", |_| &Pca));
}

#[test]
fn only_what_matters() {
    let list = sample("pca/PcaAppLaunchDic.txt");
    let kept = parse_with(&Pca, &list, &Words(&["everything.exe"])).unwrap();
    assert_eq!(kept.records.len(), 1);
    assert_eq!(kept.extents[0].records, 12);
}

#[test]
fn a_line_that_makes_no_sense_is_told() {
    let kept = parse(&Pca, b"C:\\a.exe|2023-01-02 03:04:05.678\r\nC:\\b.ex").unwrap();
    assert_eq!((kept.records.len(), kept.damage.len()), (1, 1));
    assert_eq!(kept.damage[0].locator, Some(Locator::Line(2)));
}

#[test]
fn other_formats_are_refused() {
    for other in [&b"MZ|x"[..], b"a|b|c\n", b"C:\\a.exe|2023-13-02 03:04:05.678"] {
        assert!(matches!(parse(&Pca, other), Err(ParseError::Foreign { .. })));
        assert!(!Pca.recognizes(other));
    }
    assert!(parse(&Pca, b"").unwrap().records.is_empty());
    assert!(Pca.recognizes(&sample("pca/PcaGeneralDb0.txt")));
}

#[test]
fn damage_never_stops_it() {
    for name in samples("pca") {
        torment(&Pca, &sample(&name), 200);
    }
}
