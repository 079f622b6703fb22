//! Queues of both kinds, made: one with removed jobs beside its tables, one that is texts only.

use std::collections::BTreeSet;

use super::*;
use crate::parse::testing::{expect, parse, sample, torment};

fn check(name: &str, damage: &[&str]) {
    let kept = parse(&BitsQueue, &sample(&format!("bits_queue/{name}"))).unwrap();
    expect(&format!("bits_queue/{name}"), &kept.shown());
    let said: Vec<&str> = kept.damage.iter().map(|damage| damage.message.as_str()).collect();
    assert_eq!(said.len(), damage.len(), "{said:?}");
    assert!(said.iter().zip(damage).all(|(said, what)| said.contains(what)), "{said:?}");
}

#[test]
fn jobs_of_every_kind_of_queue() {
    check("qmgr0.dat", &[]);
    check("qmgr.db", &[]);
    check("texts.db", &["its texts are searched for"]);
}

#[test]
fn what_no_table_holds_is_recovered() {
    let kept = parse(&BitsQueue, &sample("bits_queue/qmgr.db")).unwrap();
    let gone: Vec<_> = kept.records.iter().filter(|r| r.recovered).collect();
    assert_eq!(gone.len(), 1, "former states of known jobs say nothing new");
    assert_eq!(gone[0].text("JobName"), Some("gone"));
    assert_eq!(gone[0].text("State"), Some("transferred"), "the last state");
    assert_eq!(gone[0].text("Url"), Some("https://dl.example.net/ngrok.exe"));
    assert_eq!(gone[0].times.len(), 2);
}

#[test]
fn a_database_that_was_not_closed_is_said() {
    for name in ["qmgr.db", "texts.db"] {
        let mut bytes = sample(&format!("bits_queue/{name}"));
        bytes[52] = 2;
        let kept = parse(&BitsQueue, &bytes).unwrap();
        assert!(kept.damage.iter().any(|damage| damage.message.contains("dirty")), "{name}");
    }
}

#[test]
fn tables_that_cannot_be_read_are_searched() {
    let good = sample("bits_queue/qmgr.db");
    let whole = parse(&BitsQueue, &good).unwrap();
    let addresses = |kept: &crate::parse::testing::Kept| -> BTreeSet<String> {
        kept.records.iter().filter_map(|r| r.text("Url").map(str::to_owned)).collect()
    };
    let mut bytes = good.clone();
    bytes[8] = 0;
    let searched = parse(&BitsQueue, &bytes).unwrap();
    assert_eq!(addresses(&searched), addresses(&whole));
    assert!(searched.damage.iter().any(|damage| damage.lost));
    assert!(searched.records.iter().all(|record| !record.recovered));
}

#[test]
fn damaged_and_foreign() {
    let good = sample("bits_queue/qmgr0.dat");
    assert!(parse(&BitsQueue, b"").is_err());
    assert!(parse(&BitsQueue, &[0xff; 200]).is_err());
    let cut = good.len() * 2 / 3;
    assert!(!parse(&BitsQueue, &good[..cut]).unwrap().records.is_empty());
    torment(&BitsQueue, &good, 300);
    torment(&BitsQueue, &sample("bits_queue/qmgr.db"), 60);
    torment(&BitsQueue, &sample("bits_queue/texts.db"), 60);
}
