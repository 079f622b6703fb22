//! Tasks in both formats, whole and damaged.

use super::*;
use crate::parse::testing::{expect, parse, sample, torment};

#[test]
fn real_and_made_tasks() {
    for name in ["GameOver", "MicrosoftEdgeUpdateTaskMachineUA", "several_actions", "utf8"] {
        let bytes = sample(&format!("task/{name}"));
        assert!(TaskXml.recognizes(bytes.get(..4608).unwrap_or(&bytes)), "{name}");
        let kept = parse(&TaskXml, &bytes).unwrap();
        expect(&format!("task/{name}"), &kept.shown());
        assert!(kept.damage.is_empty(), "{name}");
    }
}

#[test]
fn a_job_file() {
    let bytes = sample("task/old.job");
    assert!(TaskJob.recognizes(&bytes));
    expect("task/old.job", &parse(&TaskJob, &bytes).unwrap().shown());
}

#[test]
fn what_stands_before_damage_is_told() {
    let bytes = sample("task/several_actions");
    let cut = bytes.len() - 400;
    let kept = parse(&TaskXml, &bytes[..cut]).unwrap();
    assert!(!kept.records.is_empty());
    assert!(kept.damage.iter().any(|damage| damage.lost));
    let job = sample("task/old.job");
    let kept = parse(&TaskJob, &job[..100]).unwrap();
    assert_eq!((kept.records.len(), kept.damage.len()), (1, 1));
}

#[test]
fn foreign_files_are_refused() {
    for foreign in [&b""[..], b"<html></html>", b"MZ\x90\0", &[0, 1, 2, 3, 0, 0, 0, 9]] {
        assert!(parse(&TaskXml, foreign).is_err());
        assert!(parse(&TaskJob, foreign).is_err());
        assert!(!TaskXml.recognizes(foreign) && !TaskJob.recognizes(foreign));
    }
    torment(&TaskXml, &sample("task/several_actions"), 300);
    torment(&TaskJob, &sample("task/old.job"), 300);
}
