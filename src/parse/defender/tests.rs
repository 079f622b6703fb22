//! Good, damaged and foreign files of Defender.

use super::*;
use crate::model::Everything;
use crate::parse::testing::{Words, expect, parse, parse_with, sample, torment};

#[test]
fn a_real_detection() {
    let bytes = sample("defender/DetectionHistory-6AFE33A0");
    assert!(DetectionHistory.recognizes(&bytes));
    let kept = parse(&DetectionHistory, &bytes).unwrap();
    expect("defender/DetectionHistory-6AFE33A0", &kept.shown());
}

#[test]
fn lines_of_every_shape() {
    let bytes = sample("defender/MPLog-20231017-224350.log");
    assert!(Mplog.recognizes(&bytes));
    let kept = parse_with(&Mplog, &bytes, &Everything).unwrap();
    expect("defender/MPLog-20231017-224350.log", &kept.shown());
    let some = parse_with(&Mplog, &bytes, &Words(&["cactus"])).unwrap();
    assert!(some.records.len() < kept.records.len());
    assert_eq!(some.extents, kept.extents);
}

#[test]
fn an_entry_of_the_quarantine() {
    let bytes = sample("defender/quarantine_entry");
    expect("defender/quarantine_entry", &parse(&Quarantine, &bytes).unwrap().shown());
    assert!(parse(&Quarantine, b"").is_err());
    assert!(parse(&Quarantine, &[7; 500]).is_err());
    assert_eq!(parse(&Quarantine, &bytes[..bytes.len() - 60]).unwrap().damage.len(), 1);
    torment(&Quarantine, &bytes, 300);
}

#[test]
fn damaged_and_foreign() {
    let detection = sample("defender/DetectionHistory-6AFE33A0");
    let kept = parse(&DetectionHistory, &detection[..1000]).unwrap();
    assert_eq!(kept.records[0].text("ThreatName"), Some("Virus:DOS/EICAR_Test_File"));
    assert_eq!(kept.damage.len(), 1);
    for foreign in [&b""[..], b"hello\n", &[0, 1, 2, 3, 0, 0, 0, 9]] {
        assert!(parse(&DetectionHistory, foreign).is_err());
        assert!(parse(&Mplog, foreign).is_err());
    }
    torment(&DetectionHistory, &detection, 300);
    torment(&Mplog, &sample("defender/MPLog-20231017-224350.log"), 100);
}
