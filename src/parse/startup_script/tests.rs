//! Scripts of several kinds, and what is none.

use super::*;
use crate::parse::testing::{
    Words, all_shown, expect, parse, parse_with, sample, samples, torment,
};

#[test]
fn every_sample() {
    expect("startup_script", &all_shown("startup_script", |_| &StartupScript));
}

#[test]
fn only_what_matters() {
    let script = sample("startup_script/start.cmd");
    let kept = parse_with(&StartupScript, &script, &Words(&["ngrok"])).unwrap();
    assert_eq!(kept.records.len(), 1, "the comment is none");
}

#[test]
fn other_formats_are_refused() {
    let program = [&b"MZ"[..], &[0, 1, 2, 3, 0, 0, 7].repeat(9)].concat();
    assert!(matches!(parse(&StartupScript, &program), Err(ParseError::Foreign { .. })));
    assert!(parse(&StartupScript, b"").unwrap().records.is_empty());
}

#[test]
fn a_cut_script_is_read_to_its_end() {
    let script = sample("startup_script/run.vbs");
    let kept = parse(&StartupScript, &script[..script.len() - 9]).unwrap();
    assert_eq!(kept.records.len(), 1);
}

#[test]
fn damage_never_stops_it() {
    for name in samples("startup_script") {
        torment(&StartupScript, &sample(&name), 300);
    }
}
