//! A real database made small, with two programs renamed.

use super::names::image;
use super::*;
use crate::model::Everything;
use crate::parse::bytes::sid;
use crate::parse::testing::{Words, expect, parse, parse_with, sample, torment};

#[test]
fn programs_in_every_form() {
    let path = r"\device\harddiskvolume3\users\jane\ngrok.exe";
    for (text, expected) in [
        (path, path),
        (&format!("{path} [LocalService]"), path),
        (r"\device\a [b]\c.exe", r"\device\a [b]\c.exe"),
        ("!!ngrok.exe!2022/03/18:20:18:05!2f31a!", "ngrok.exe"),
        ("!!svchost.exe!1972/12/14:16:22:50!1c364![NetworkService] [Dnscache]", "svchost.exe"),
        ("Pack_1.0_x64__a!App!Photos.exe!2019/07/26:03:32:46!0!", "Photos.exe"),
        ("Pack_1.0_x64__a", "Pack_1.0_x64__a"),
        ("!!!!", "!!!!"),
        ("", ""),
    ] {
        assert_eq!(image(text), expected);
    }
}

#[test]
fn users_and_days() {
    let system = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    assert_eq!(sid(&system).as_deref(), Some("S-1-5-18"));
    assert_eq!(sid(&system[..10]), None);
    let at = written_at(4_676_366_809_043_158_812, HOURLY);
    assert_eq!(at.raw, "2022-03-10T16:35:00.000Z");
    for wrong in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        assert_eq!(written_at(wrong.to_bits(), HOURLY).at, None);
    }
}

#[test]
fn bytes_of_a_program_by_the_hour() {
    let bytes = sample("srum/SRUDB.dat");
    let all = parse_with(&Srum, &bytes, &Everything).unwrap();
    assert!(all.damage.is_empty(), "{:?}", all.damage);
    assert_eq!(all.records.len(), 96 + 26 + 6);
    let kept = parse_with(&Srum, &bytes, &Words(&["ngrok.exe"])).unwrap();
    expect("srum", &kept.shown());
}

#[test]
fn a_new_one_has_measured_nothing() {
    let kept = parse(&Srum, &sample("srum/new_SRUDB.dat")).unwrap();
    assert!(kept.records.is_empty() && kept.damage.is_empty(), "{:?}", kept.damage);
}

#[test]
fn unclosed_damaged_and_foreign() {
    let good = sample("srum/SRUDB.dat");
    let mut dirty = good.clone();
    dirty[52] = 2;
    let kept = parse(&Srum, &dirty).unwrap();
    assert_eq!(kept.records.len(), 128);
    let says = |what: &str| kept.damage.iter().any(|d| d.lost && d.message.contains(what));
    assert!(says("dirty shutdown") && says("128 rows from 2022"), "{:?}", kept.damage);
    let kept = parse(&Srum, &good[..good.len() * 2 / 3]).unwrap();
    assert!(kept.damage.iter().any(|d| d.lost));
    assert!(parse(&Srum, b"").is_err());
    assert!(parse(&Srum, &sample("bits_queue/qmgr.db")).is_err());
    torment(&Srum, &good, 60);
}
