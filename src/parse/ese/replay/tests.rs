//! The logs of a real database, applied to what is left when pages were not yet written:
//! they must come out as the engine itself wrote them.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
use std::rc::Rc;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::image::{Image, Stored};
use super::log_file::LogFile;
use super::node::change;
use super::record::{Record, What};
use super::{Replayed, Wanted, replay};
use crate::model::{Everything, Input, ReadAt};
use crate::parse::Parser;
use crate::parse::ese::MAGIC;
use crate::parse::ese::page::{Page, SPACE, xor};
use crate::parse::srum::Srum;
use crate::parse::testing::Kept;

const PAGE: usize = 4096;
const GENERATIONS: [&str; 7] = ["00003", "00004", "00005", "00006", "00007", "00008", ""];

fn at(name: &str) -> PathBuf {
    let folder = "testdata/parse/ese/replay";
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder).join(format!("{name}.gz"))
}

fn unpacked(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(at(name)).unwrap();
    GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    bytes
}

fn logs() -> Vec<Vec<u8>> {
    GENERATIONS.iter().map(|n| unpacked(&format!("SRU{n}.log"))).collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn page(base: &[u8], number: u32) -> Option<Page> {
    let at = (number as usize + 1) * PAGE;
    base.get(at..at + PAGE).map(|bytes| Page::new(number, bytes.to_vec(), 110))
}

fn wanted(base: &[u8]) -> Wanted {
    let signature = base[108..136].to_vec();
    Wanted { signature, database: 1, page_size: PAGE, is_large: false, first: 3, last: 9 }
}

/// Pages that begin within the logs.
fn born(base: &[u8], logs: &[Vec<u8>]) -> BTreeSet<u32> {
    let (mut born, mut met) = (BTreeSet::new(), BTreeSet::new());
    for log in logs {
        let log = LogFile::open(log, &wanted(base)).unwrap().unwrap();
        let read = log.each(&mut |_, bytes| {
            if let Record::Change(change) = Record::read(bytes)? {
                let new = match &change.what {
                    What::NewPage { .. } | What::NewTree { .. } => Some(change.page),
                    What::Split(split) if split.new != 0 => Some(split.new),
                    _ => None,
                };
                born.extend(new.filter(|page| met.insert(*page)));
                met.insert(change.page);
            }
            Some(())
        });
        read.unwrap();
    }
    born.retain(|number| page(base, *number).unwrap().flags() & SPACE == 0);
    born
}

/// The database as it would be left if no page that the logs begin had been written.
fn crashed() -> Vec<u8> {
    let mut base = unpacked("closed.dat");
    for number in born(&base, &logs()) {
        let at = (number as usize + 1) * PAGE;
        base[at..at + PAGE].fill(0);
    }
    for copy in [0, PAGE] {
        let header = &mut base[copy..copy + PAGE];
        put(header, 52, 2);
        put(header, 296, 3);
        put(header, 300, 9);
        let sum = xor(header, 4, MAGIC);
        put(header, 0, sum);
    }
    base
}

fn replayed(base: &[u8], logs: &[Vec<u8>]) -> Replayed {
    let logs: Vec<&dyn ReadAt> = logs.iter().map(|log| log as &dyn ReadAt).collect();
    replay(&wanted(base), &logs, &|number| page(base, number))
}

fn srum(base: &Vec<u8>, logs: &[Vec<u8>]) -> Kept {
    let sidecars = logs.iter().map(|log| log as &dyn ReadAt).collect();
    let (name, modified, filter) = ("SRUDB.dat", None, &Everything);
    let input = Input { bytes: base, sidecars, name, modified, filter, paths: None, zone: None };
    let mut kept = Kept::default();
    Srum.parse(&input, &mut kept).unwrap();
    kept
}

#[test]
fn pages_come_out_as_the_engine_wrote_them() {
    let (closed, logs) = (unpacked("closed.dat"), logs());
    let done = replayed(&crashed(), &logs);
    assert!(done.complete && done.faults.is_empty(), "{:?}", done.faults);
    assert_eq!(done.said, "1746 changes of its transaction logs 3 to 9 are applied");
    let born = born(&closed, &logs);
    assert_eq!(born.len(), 60);
    for number in born {
        let real = Image::of(&page(&closed, number).unwrap()).unwrap();
        let ours = Image::clone(&done.images[&number]);
        let (flags, removed) = (real.flags, Vec::new());
        assert_eq!(ours.flags & 0xff, flags & 0xff, "page {number}");
        assert_eq!(Image { flags, removed, ..ours }, real, "page {number}");
    }
}

#[test]
fn rows_that_only_the_logs_hold_are_told() {
    let packed = at("SRUDB.dat");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let file = std::fs::File::create(&packed).unwrap();
        let mut out = GzEncoder::new(file, Compression::best());
        std::io::copy(&mut crashed().as_slice(), &mut out).unwrap();
        out.finish().unwrap();
    }
    let crashed = crashed();
    assert!(unpacked("SRUDB.dat") == crashed, "the sample is what it is said to be");
    let live = |kept: &Kept| {
        let rows = kept.records.iter().filter(|record| !record.recovered);
        rows.map(|record| format!("{record:?}")).collect::<BTreeSet<_>>()
    };
    let whole = srum(&unpacked("closed.dat"), &[]);
    let with = srum(&crashed, &logs());
    let without = srum(&crashed, &[]);
    assert_eq!(live(&with), live(&whole));
    assert!(live(&without).len() < live(&whole).len() / 2, "{}", live(&without).len());
    assert!(with.damage.iter().all(|damage| !damage.lost), "{:?}", with.damage);
    let said = &with.damage.last().unwrap().message;
    assert!(said.contains("not closed") && said.contains("logs 3 to 9 are applied"), "{said}");
    assert!(without.damage.iter().any(|damage| damage.lost));
}

#[test]
fn a_missing_or_damaged_log_is_told() {
    let (base, all) = (crashed(), logs());
    let says = |logs: &[Vec<u8>], what: &str| {
        let done = replayed(&base, logs);
        assert!(!done.complete, "{what}");
        let said = done.faults.iter().filter(|fault| fault.lost);
        let said: Vec<&str> = said.map(|fault| fault.message.as_str()).collect();
        assert!(said.iter().any(|said| said.contains(what)), "{what}: {said:?}");
    };
    let without = |n: usize| [&all[..n], &all[n + 1..]].concat();
    says(&[], "3 to 9 are needed, none found");
    says(&without(0), "3 to 9 are needed, none found");
    says(&without(3), "3 to 9 are needed, 3 to 5 found");
    says(&without(6), "3 to 9 are needed, 3 to 8 found");
    let damaged = |n: usize, at: usize| {
        let mut logs = all.clone();
        logs[n][at] ^= 0x40;
        logs
    };
    says(&damaged(2, 5 * PAGE + 700), "transaction log 5: the sum of segment 5 does not fit");
    says(&damaged(2, 44), "3 to 9 are needed, 3 to 4 found");
    let mut cut = all.clone();
    cut[4].truncate(PAGE + 100);
    assert!(replayed(&base, &cut).faults.is_empty() || !replayed(&base, &cut).complete);
}

#[test]
fn pages_that_the_logs_do_not_fit_are_told() {
    let (mut base, closed, logs) = (crashed(), unpacked("closed.dat"), logs());
    // A page whose last change is another than the one before the last that the logs know.
    let at = (*born(&closed, &logs).last().unwrap() as usize + 1) * PAGE;
    base[at..at + PAGE].copy_from_slice(&closed[at..at + PAGE]);
    let time = word(&base, at + 8) - 1;
    put(&mut base, at + 8, time);
    let done = replayed(&base, &logs);
    assert!(!done.complete && done.faults[0].message.contains("do not fit"), "{:?}", done.faults);
}

/// Whatever the logs say: no panic, and no page grows beyond all bounds.
#[test]
fn impossible_records_do_no_harm() {
    let (base, all) = (crashed(), logs());
    let mut random = 0x9e37_79b9_u64;
    for _ in 0..300 {
        let mut logs = all.clone();
        for _ in 0..6 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (log, value) = ((random >> 33) as usize % logs.len(), (random >> 20) as u8);
            let at = PAGE + (random >> 40) as usize % (logs[log].len() - PAGE);
            logs[log][at] = value;
            let segment = at / PAGE;
            let bytes = &mut logs[log][segment * PAGE..(segment + 1) * PAGE];
            let sum = xor(bytes, 8, segment as u32);
            put(bytes, 0, sum);
        }
        let done = replayed(&base, &logs);
        assert!(done.images.len() < 1000);
    }
}

#[test]
fn changes_of_a_line() {
    let mut image = Image { nodes: vec![Stored::new(b"k", b"0123456789")], ..Image::default() };
    let mut make = |what: What<'_>, undone| {
        let done = change(&mut image, 0, &what, undone);
        (done.is_some(), done.flatten(), image.nodes[0].clone())
    };
    // At 2 insert "ab", at 4 two bytes for one, at 8 one of the same size.
    let parts = b"\x02\x40\x02ab\x04\x00\x02\x01XY\x08\x20\x01Z";
    let (done, before, node) =
        make(What::ReplaceParts { parts, is_long: false, size: 13, number: 7 }, None);
    assert!(done && node.data == b"01ab23XY567Z9", "{node:?}");
    let (_, before) = before.unwrap();
    let (done, _, node) = make(What::Undo { operation: 2, number: 7 }, Some(&before));
    assert!(done && node.data == b"0123456789");
    let long = b"\x01\x00\x80\x01\x00\x03\x00x";
    let (done, _, node) =
        make(What::ReplaceParts { parts: long, is_long: true, size: 8, number: 8 }, None);
    assert!(done && node.data == b"0x456789", "{node:?}");
    let (_, before, node) = make(What::Add { offset: 1, by: -1, width: 4, number: 9 }, None);
    assert_eq!(node.data, b"0w456789");
    let (_, before) = before.unwrap();
    assert_eq!(make(What::Undo { operation: 4, number: 9 }, Some(&before)).2.data, b"0x456789");
    let (done, ..) = make(What::Add { offset: 6, by: 1, width: 4, number: 9 }, None);
    assert!(!done, "beyond the value");
    for (parts, size) in [(&b"\x09\x40\x01a\x02\x40\x01b"[..], 10), (b"\x02\x40\x09a", 17)] {
        assert!(!make(What::ReplaceParts { parts, is_long: false, size, number: 1 }, None).0);
    }
    assert!(make(What::FlagDelete, None).2.deleted);
    assert!(!make(What::Undo { operation: 3, number: 1 }, None).2.deleted);
    assert!(make(What::Undo { operation: 1, number: 1 }, None).2.deleted);
    let (_, _, node) = make(What::Restore { data: Some(b"new"), number: 2 }, None);
    assert_eq!(node, Stored::new(b"k", b"new"));
    assert!(change(&mut image, 1, &What::Delete, None).is_none());
    assert!(change(&mut image, 2, &What::Insert { key: b"", data: b"" }, None).is_none());
    assert!(change(&mut image, 0, &What::Delete, None).is_some());
    let page = Page::replayed(5, Rc::new(image));
    let nodes: Vec<_> = page.nodes().map(|node| (node.data.to_vec(), node.deleted)).collect();
    assert_eq!(nodes, [(b"new".to_vec(), true)], "what was removed");
}
