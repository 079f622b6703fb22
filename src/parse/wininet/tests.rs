//! Stores made for the tests, as libmsiecf and libesedb read them.

use std::io::Read;

use super::{IndexDat, WebCache};
use crate::model::Zone;
use crate::parse::Parser;
use crate::parse::testing::{Kept, Words, all_shown, expect, parse, parse_with, sample, torment};

#[test]
fn entries_of_index_dat() {
    expect("index_dat", &all_shown("index_dat", |_| &IndexDat));
}

#[test]
fn entries_of_a_web_cache() {
    let kept = parse(&WebCache, &sample("web_cache/WebCacheV01.dat")).unwrap();
    assert!(kept.damage.is_empty(), "{:?}", kept.damage);
    assert_eq!(kept.records.len(), 50, "without the list that came along");
    let kept = parse_with(
        &WebCache,
        &sample("web_cache/WebCacheV01.dat"),
        &Words(&["ngrok", "example.com", "example.org/page/40"]),
    );
    expect("web_cache", &kept.unwrap().shown());
}

#[test]
fn large_pages_say_the_same() {
    let mut bytes = Vec::new();
    let packed = sample("web_cache/large.gz");
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    let large = parse(&WebCache, &bytes).unwrap();
    assert!(large.damage.is_empty(), "{:?}", large.damage);
    let small = parse(&WebCache, &sample("web_cache/WebCacheV01.dat")).unwrap();
    assert_eq!(large.shown(), small.shown());
}

#[test]
fn deleted_and_overwritten_entries() {
    let recovered = |kept: &Kept| -> Vec<String> {
        let gone = kept.records.iter().filter(|r| r.recovered);
        gone.map(|r| r.text("Url").unwrap().to_owned()).collect()
    };
    let bytes = sample("index_dat/history.dat");
    let kept = parse(&IndexDat, &bytes).unwrap();
    assert_eq!(
        recovered(&kept),
        ["https://ngrok.com/download", "https://www.example.com/overwritten"]
    );
    let mut unused = bytes.clone();
    unused[592..620].fill(0);
    assert_eq!(recovered(&parse(&IndexDat, &unused).unwrap()).len(), 5);
    let kept = parse(&WebCache, &sample("web_cache/WebCacheV01.dat")).unwrap();
    assert_eq!(recovered(&kept), ["https://www.example.com/"]);
}

#[test]
fn the_local_time_of_a_week_needs_the_zone() {
    let bytes = sample("index_dat/week.dat");
    let zone = Zone::of_posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
    let input = crate::model::Input {
        bytes: &bytes,
        sidecars: Vec::new(),
        name: "index.dat",
        modified: None,
        filter: &crate::model::Everything,
        paths: None,
        zone: Some(&zone),
    };
    let mut kept = Kept::default();
    IndexDat.parse(&input, &mut kept).unwrap();
    let at = kept.records[0].times[0].at.unwrap();
    assert_eq!(at.to_string(), "2024-03-15T21:30:00Z");
}

#[test]
fn unclosed_and_damaged() {
    let good = sample("web_cache/WebCacheV01.dat");
    let mut dirty = good.clone();
    dirty[52] = 2;
    let kept = parse(&WebCache, &dirty).unwrap();
    assert_eq!(kept.records.len(), 50);
    let says = |what: &str| kept.damage.iter().any(|d| d.lost && d.message.contains(what));
    assert!(says("dirty shutdown") && says("50 rows from 2024"), "{:?}", kept.damage);
    let kept = parse(&WebCache, &good[..good.len() / 2]);
    assert!(kept.is_err() || kept.unwrap().damage.iter().any(|d| d.lost));
    torment(&WebCache, &good, 60);

    let good = sample("index_dat/content.dat");
    let cut = parse(&IndexDat, &good[..good.len() - 1300]).unwrap();
    assert!(!cut.records.is_empty() && cut.damage.iter().any(|d| d.lost), "{:?}", cut.damage);
    let mut absurd = good.clone();
    absurd[0x5004..0x5008].fill(0xff);
    let kept = parse(&IndexDat, &absurd).unwrap();
    assert_eq!(kept.records.len(), 4);
    assert!(kept.damage[0].message.contains("impossible size"));
    torment(&IndexDat, &good, 300);
    torment(&IndexDat, &sample("index_dat/history.dat"), 100);
}

#[test]
fn foreign() {
    for bytes in [b"".as_slice(), &[0xff; 300], b"Client UrlCache MMF Ver 4.7\0"] {
        assert!(parse(&IndexDat, bytes).is_err());
        assert!(parse(&WebCache, bytes).is_err());
    }
    assert!(IndexDat.recognizes(&sample("index_dat/day.dat")));
    assert!(parse(&WebCache, &sample("srum/SRUDB.dat")).is_err());
    assert!(parse(&IndexDat, &sample("web_cache/WebCacheV01.dat")).is_err());
}
