//! Databases of every kind, damage, and what stands beside them.

use super::Sqlite;
use crate::model::{Everything, Input, ReadAt};
use crate::parse::testing::{Kept, Words, expect, parse, parse_with, sample, torment};
use crate::parse::{ParseError, Parser};

/// Bytes of a page of the sample `History`.
const PAGE: usize = 512;

const KINDS: [&str; 10] = [
    "ActivitiesCache.db",
    "History",
    "History.db",
    "QuarantineEventsV2",
    "StateRepository-Machine.srd",
    "downloads.sqlite",
    "formhistory.sqlite",
    "installed.db",
    "places.sqlite",
    "rpmdb.sqlite",
];

fn file(name: &str) -> Vec<u8> {
    sample(&format!("sqlite/{name}"))
}

/// What is said of a database with one file beside it.
fn with(bytes: &Vec<u8>, beside: &Vec<u8>) -> Result<Kept, ParseError> {
    let sidecars: Vec<&dyn ReadAt> = vec![beside];
    let filter = &Everything;
    let input =
        Input { bytes, sidecars, name: "x", modified: None, filter, paths: None, zone: None };
    let mut kept = Kept::default();
    Sqlite.parse(&input, &mut kept).map(|()| kept)
}

/// The lines of records, without damage.
fn lines(kept: &Kept) -> Vec<String> {
    kept.shown().lines().map(str::to_owned).collect()
}

#[test]
fn every_kind() {
    let mut shown = String::new();
    for name in KINDS {
        let kept = parse(&Sqlite, &file(name)).unwrap();
        assert!(kept.damage.is_empty(), "{name}: {:?}", kept.damage);
        assert_eq!(kept.extents.len(), 1);
        shown.push_str(&format!("# {name}\n{}", kept.shown()));
    }
    expect("sqlite", &shown);
}

#[test]
fn a_log_beside_it_is_newer() {
    let kept = with(&file("log"), &file("log-wal")).unwrap();
    assert!(kept.damage.is_empty(), "{:?}", kept.damage);
    let of = |row: &str| kept.records.iter().filter(|r| r.locator.to_string() == row).count();
    assert_eq!((of("row:visits/41"), of("row:visits/4")), (1, 1));
    // Deleted again, but an older page of the log has it.
    let once = kept.records.iter().find(|r| r.locator.to_string() == "row:visits/40").unwrap();
    assert!(once.recovered);
    assert_eq!(once.text("Url"), Some("https://once.example/"));
    assert_eq!(kept.records.iter().filter(|r| r.recovered).count(), 1);
    // Without it the newest rows are missing.
    assert!(!parse(&Sqlite, &file("log")).unwrap().shown().contains("visits/41"));
    // A frame that is not whole ends it; what came before stays.
    let mut torn = file("log-wal");
    torn[32 + 24 + 100] ^= 1;
    assert!(with(&file("log"), &torn).unwrap().shown().contains("visits/39"));
    // One of other pages is said.
    let mut other = file("log-wal");
    other[10] = 8;
    assert_eq!(with(&file("log"), &other).unwrap().damage.len(), 1);
}

#[test]
fn a_cut_transaction_is_taken_back() {
    let whole = lines(&parse(&Sqlite, &file("History")).unwrap());
    let cut = with(&file("cut"), &file("cut-journal")).unwrap();
    assert!(cut.damage.is_empty(), "{:?}", cut.damage);
    assert_eq!(lines(&cut), whole);
    // Ended transactions leave a journal whose head is empty.
    let mut ended = file("cut-journal");
    ended[..28].fill(0);
    assert!(with(&file("History"), &ended).unwrap().damage.is_empty());
}

#[test]
fn the_filter_sees_whole_records() {
    let kept = parse_with(&Sqlite, &file("History"), &Words(&["inspect/http"])).unwrap();
    assert_eq!(kept.records.len(), 1);
    assert_eq!(kept.extents[0].records, 42);
}

#[test]
fn damage_is_said_and_the_rest_is_read() {
    let good = file("History");
    let whole = parse(&Sqlite, &good).unwrap().records.len();
    // Cut: pages at the end are missing.
    let cut = parse(&Sqlite, &good[..good.len() / 2]).unwrap();
    assert!(!cut.damage.is_empty(), "{}", cut.shown());
    assert!(!cut.records.is_empty() && cut.records.len() <= whole, "{}", cut.shown());
    // The tree of visits no longer leads to its leaves: they are found by their shape.
    let pages = good.len() / PAGE;
    let inner = (1..pages).rfind(|n| good[n * PAGE] == 5).unwrap();
    let mut lost = good.clone();
    lost[inner * PAGE..(inner + 1) * PAGE].fill(0);
    let lost = parse(&Sqlite, &lost).unwrap();
    assert_eq!(lost.damage.len(), 1, "{:?}", lost.damage);
    let recovered = lost.records.iter().filter(|r| r.recovered).count();
    assert!(recovered >= 30, "{recovered}");
    // A tree that leads to itself.
    let mut looped = good.clone();
    let number = u32::try_from(inner + 1).unwrap().to_be_bytes();
    looped[inner * PAGE + 8..inner * PAGE + 12].copy_from_slice(&number);
    let looped = parse(&Sqlite, &looped).unwrap();
    assert!(looped.damage[0].message.contains("reached twice"), "{:?}", looped.damage);
    // Rows of absurd length.
    let mut absurd = good.clone();
    let page = (1..pages).rfind(|n| good[n * PAGE] == 13).unwrap() * PAGE;
    let cell = page + usize::from(good[page + 8]) * 256 + usize::from(good[page + 9]);
    absurd[cell..cell + 9].fill(0xff);
    let absurd = parse(&Sqlite, &absurd).unwrap();
    assert!(absurd.damage.iter().any(|d| d.message.contains("absurd")), "{:?}", absurd.damage);
}

#[test]
fn foreign() {
    assert!(matches!(parse(&Sqlite, b""), Err(ParseError::Foreign { .. })));
    assert!(matches!(parse(&Sqlite, b"SQLite 2"), Err(ParseError::Foreign { .. })));
    let mut pages = file("History");
    pages[17] = 3;
    assert!(matches!(parse(&Sqlite, &pages), Err(ParseError::Broken { .. })));
    // A database of a kind that nobody reads.
    let text = String::from_utf8_lossy(&file("rpmdb.sqlite")).into_owned();
    assert!(text.contains("Installtid"));
    let mut other = file("rpmdb.sqlite");
    let at = memchr::memmem::find(&other, b"Installtid").unwrap();
    let mut from = at;
    while let Some(next) = memchr::memmem::find(&other[from..], b"Installtid") {
        other[from + next] = b'X';
        from += next;
    }
    assert!(matches!(parse(&Sqlite, &other), Err(ParseError::Foreign { .. })));
}

#[test]
fn altered_files_come_back() {
    for name in KINDS {
        torment(&Sqlite, &file(name), 60);
    }
    let (bytes, mut beside) = (file("log"), file("log-wal"));
    for at in (0..beside.len()).step_by(97) {
        beside[at] ^= 0xff;
        let _ = with(&bytes, &beside);
    }
}
