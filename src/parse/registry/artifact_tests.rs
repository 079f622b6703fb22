//! Made hives with one of each artifact: whole, screened, altered.

use crate::parse::testing::{Words, expect, parse, parse_with, sample, torment};

use super::{Registry, facts_of_hive};

const SAMPLES: &[&str] = &["SYSTEM", "SOFTWARE", "NTUSER.DAT", "UsrClass.dat", "Amcache.hve"];

fn made(name: &str) -> Vec<u8> {
    sample(&format!("registry/artifacts-{name}"))
}

#[test]
fn every_artifact_is_read() {
    for name in SAMPLES {
        let kept = parse(&Registry, &made(name)).unwrap();
        assert!(kept.damage.is_empty(), "{name}: {:?}", kept.damage);
        expect(&format!("registry_artifacts_{name}"), &kept.shown());
    }
}

#[test]
fn a_deleted_key_is_read_like_a_live_one() {
    let kept = parse(&Registry, &made("SYSTEM")).unwrap();
    let deleted: Vec<_> = kept.records.iter().filter(|record| record.recovered).collect();
    let [bam] = deleted.as_slice() else { panic!("{deleted:?}") };
    assert_eq!(bam.text("UserSid"), Some("S-1-5-18"));
    assert_eq!(bam.times[0].raw, "2024-03-18T10:00:03.0000000Z");
}

#[test]
fn names_are_decoded_before_they_are_screened() {
    let kept = parse_with(&Registry, &made("NTUSER.DAT"), &Words(&["jane\\ngrok.exe"])).unwrap();
    let [record] = kept.records.as_slice() else { panic!("{}", kept.shown()) };
    assert_eq!(record.category, "userassist");
}

#[test]
fn a_damaged_hive_yields_the_same_once() {
    for name in SAMPLES {
        let mut bytes = made(name);
        let sound = parse(&Registry, &bytes).unwrap();
        // Without its marks of a bin the hive is salvaged key by key.
        bytes[4096 + 8] = 0xFF;
        let found = parse(&Registry, &bytes).unwrap();
        assert!(found.damage.iter().any(|damage| damage.lost));
        for record in sound.records.iter().filter(|r| !r.recovered && r.category != "shell_bag") {
            let count = found.records.iter().filter(|r| {
                r.locator == record.locator && r.fields == record.fields && r.times == record.times
            });
            assert_eq!(count.count(), 1, "{name}: {record:?}");
        }
    }
}

#[test]
fn alterations_stop_nothing() {
    for name in SAMPLES {
        torment(&Registry, &made(name), 60);
    }
}

#[test]
fn switches_are_facts() {
    let bytes = made("SYSTEM");
    let input = crate::model::Input {
        bytes: &bytes,
        sidecars: Vec::new(),
        name: "SYSTEM",
        modified: None,
        filter: &crate::model::Everything,
        paths: None,
        zone: None,
    };
    let facts = facts_of_hive(&input).unwrap();
    assert_eq!(facts.remote_desktop_port, Some(3390));
    assert_eq!((facts.remote_desktop, facts.prefetch), (Some(true), Some(false)));
}
