//! Hostile disk images through the whole program: broken structures of NTFS, of the partition
//! table and of the container. Every scan ends soon, with an exit code that fits, without a
//! panic, and problems.csv (or the refusal) says where.
//!
//! `tests/robustness_images.py` does the same at random, with many more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod lab;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What counts as a hang, in a debug build on a busy machine.
const HANG: Duration = Duration::from_secs(60);
const RECORD: usize = 1024;
/// Where the only partition begins.
const VOLUME: usize = 1 << 20;

/// What must be said of a mutant.
#[derive(Clone, Copy, PartialEq)]
enum Said {
    /// It may read as if nothing were wrong.
    Anything,
    /// Something was lost: exit 3 with a problem, or exit 4 with a reason.
    Loss,
    /// As `Loss`, and some problem has a path and a place in it.
    Place,
}
use Said::{Anything, Loss, Place};

type Change = Box<dyn Fn(&mut Vec<u8>) + Send + Sync>;

struct Mutant {
    name: String,
    file: &'static str,
    said: Said,
    change: Change,
}

fn put(disk: &mut [u8], at: usize, bytes: &[u8]) {
    disk[at..at + bytes.len()].copy_from_slice(bytes);
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()))
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Where the first record of the master file table lies on the disk.
fn table(disk: &[u8]) -> usize {
    let cluster = u16_at(disk, VOLUME + 11) * usize::from(disk[VOLUME + 13]);
    VOLUME + u64_at(disk, VOLUME + 48) as usize * cluster
}

/// The record of the file of that name, and its number.
fn record_of(disk: &[u8], name: &str) -> (usize, usize) {
    let wanted: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let first = table(disk);
    for number in 0..512 {
        let at = first + number * RECORD;
        if disk[at..].starts_with(b"FILE") {
            let named = attribute(disk, at, 0x30).map(|range| &disk[range]);
            if named.is_some_and(|name| name[24 + 66..].starts_with(&wanted)) {
                return (at, number);
            }
        }
    }
    panic!("no file {name}");
}

/// An attribute of the record at `at`: the first of that type.
fn attribute(disk: &[u8], at: usize, kind: usize) -> Option<Range<usize>> {
    let mut place = at + u16_at(disk, at + 20);
    while place + 16 < at + RECORD && u32_at(disk, place) != 0xffff_ffff {
        let length = u32_at(disk, place + 4);
        if u32_at(disk, place) == kind {
            return Some(place..place + length);
        }
        place += length.max(8);
    }
    None
}

const LOG: &str = "System.evtx";

fn mutants() -> Vec<Mutant> {
    let mut all: Vec<Mutant> = Vec::new();
    let mut disk = |name: &str, said: Said, change: fn(&mut Vec<u8>)| {
        let change = Box::new(change);
        all.push(Mutant { name: name.to_owned(), file: "disk.raw", said, change });
    };
    disk("directories that hold each other", Loss, |disk| {
        let ((outer, number), (inner, _)) =
            (record_of(disk, "ProgramData"), record_of(disk, "Drivers"));
        let parent = attribute(disk, inner, 0x30).unwrap().start + 24;
        assert_eq!(u32_at(disk, parent), number);
        let inner_number = (inner - table(disk)) / RECORD;
        let sequence = u16_at(disk, inner + 16) as u64;
        let reference = inner_number as u64 | sequence << 48;
        let at = attribute(disk, outer, 0x30).unwrap().start + 24;
        put(disk, at, &reference.to_le_bytes());
    });
    disk("an attribute list that lists itself", Loss, |disk| {
        let (at, number) = record_of(disk, LOG);
        let name = attribute(disk, at, 0x30).unwrap();
        let reference = number as u64 | (u16_at(disk, at + 16) as u64) << 48;
        let mut list = Vec::new();
        for kind in [0x20u32, 0x30, 0x80] {
            list.extend_from_slice(&kind.to_le_bytes());
            list.extend_from_slice(&[32, 0, 0, 26, 0, 0, 0, 0, 0, 0, 0, 0]);
            list.extend_from_slice(&reference.to_le_bytes());
            list.extend_from_slice(&[0; 8]);
        }
        let length = 24 + list.len();
        let mut all = 0x20u32.to_le_bytes().to_vec();
        all.extend_from_slice(&(length as u32).to_le_bytes());
        all.extend_from_slice(&[0, 0, 24, 0, 0, 0, 0, 0]);
        all.extend_from_slice(&(list.len() as u32).to_le_bytes());
        all.extend_from_slice(&[24, 0, 0, 0]);
        all.extend_from_slice(&list);
        all.extend_from_slice(&[0xff; 4]);
        put(disk, name.start, &all);
    });
    disk("runs beyond the volume", Place, |disk| {
        let (at, _) = record_of(disk, LOG);
        let data = attribute(disk, at, 0x80).unwrap();
        let runs = data.start + u16_at(disk, data.start + 32);
        put(disk, runs, &[0x41, 0x40, 0xff, 0xff, 0xff, 0x7f, 0]);
    });
    disk("a run as long as can be said", Loss, |disk| {
        let (at, _) = record_of(disk, LOG);
        let data = attribute(disk, at, 0x80).unwrap();
        let runs = data.start + u16_at(disk, data.start + 32);
        put(disk, runs, &[0x17, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    });
    disk("sizes as large as can be said", Loss, |disk| {
        let (at, _) = record_of(disk, LOG);
        let data = attribute(disk, at, 0x80).unwrap();
        put(disk, data.start + 40, &[0xff; 24]);
    });
    disk("a hole of a petabyte in a log", Loss, |disk| {
        let (at, _) = record_of(disk, LOG);
        let data = attribute(disk, at, 0x80).unwrap();
        put(disk, data.start + 12, &[0, 0x80]);
        put(disk, data.start + 40, &[0, 0, 0, 0, 0, 0, 4, 0].repeat(3));
    });
    disk("a file with a last cluster beyond all", Anything, |disk| {
        let (at, _) = record_of(disk, LOG);
        let data = attribute(disk, at, 0x80).unwrap();
        put(disk, data.start + 24, &[0xff; 8]);
    });
    disk("an attribute of no length", Loss, |disk| {
        let (at, _) = record_of(disk, LOG);
        let name = attribute(disk, at, 0x30).unwrap();
        put(disk, name.start + 4, &[0; 4]);
    });
    disk("an attribute longer than its record", Loss, |disk| {
        let (at, _) = record_of(disk, LOG);
        let name = attribute(disk, at, 0x30).unwrap();
        put(disk, name.start + 4, &[0xf8, 0xff, 0xff, 0xff]);
    });
    disk("a name longer than its attribute", Loss, |disk| {
        let (at, _) = record_of(disk, LOG);
        let name = attribute(disk, at, 0x30).unwrap();
        disk[name.start + 24 + 64] = 0xff;
    });
    disk("attributes that begin beyond the record", Loss, |disk| {
        let (at, _) = record_of(disk, LOG);
        put(disk, at + 20, &[0xff, 0xff]);
    });
    disk("an update sequence beyond the record", Loss, |disk| {
        let (at, _) = record_of(disk, LOG);
        put(disk, at + 4, &[0xff, 0xff, 0xff, 0xff]);
    });
    disk("a torn record", Loss, |disk| {
        let (at, _) = record_of(disk, LOG);
        disk[at + 510] ^= 0x55;
    });
    disk("an overwritten record", Loss, |disk| {
        let (at, _) = record_of(disk, LOG);
        disk[at..at + RECORD].fill(0xa5);
    });
    disk("every record its own extension", Loss, |disk| {
        let first = table(disk);
        for number in 24..200u64 {
            let at = first + number as usize * RECORD;
            if disk[at..].starts_with(b"FILE") {
                let reference = number | (u16_at(disk, at + 16) as u64) << 48;
                put(disk, at + 32, &reference.to_le_bytes());
            }
        }
    });
    disk("a table of runs beyond the volume", Loss, |disk| {
        let at = table(disk);
        let data = attribute(disk, at, 0x80).unwrap();
        let runs = data.start + u16_at(disk, data.start + 32);
        put(disk, runs, &[0x41, 0x7f, 0xff, 0xff, 0xff, 0x7f, 0]);
    });
    disk("no first record", Loss, |disk| {
        let at = table(disk);
        disk[at..at + RECORD].fill(0);
    });
    disk("a table that is its own noise", Loss, |disk| {
        let at = table(disk);
        let mut state = 7u32;
        for byte in &mut disk[at + 16 * RECORD..at + 160 * RECORD] {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
    });
    for (name, at, bytes) in [
        ("no bytes in a sector", 11, vec![0, 0]),
        ("odd bytes in a sector", 11, vec![0xff, 0xff]),
        ("no sectors in a cluster", 13, vec![0]),
        ("clusters of 2^128 bytes", 13, vec![0x80]),
        ("more sectors than there can be", 40, vec![0xff; 8]),
        ("no sectors", 40, vec![0; 8]),
        ("the table beyond all", 48, vec![0xff; 16]),
        ("the table in the boot sector", 48, vec![0; 16]),
        ("records of 2^128 bytes", 64, vec![0x80]),
        ("records of no bytes", 64, vec![0]),
    ] {
        let said = if at == 40 { Anything } else { Loss };
        let change: Change = Box::new(move |disk| put(disk, VOLUME + at, &bytes));
        all.push(Mutant { name: name.to_owned(), file: "disk.raw", said, change });
    }
    partitions(&mut all);
    containers(&mut all);
    all
}

/// Writes an entry of a table in the sector at `sector`: type, first sector, sectors.
fn entry(disk: &mut [u8], sector: usize, number: usize, kind: u8, first: u32, count: u32) {
    let at = sector * 512 + 446 + 16 * number;
    disk[at..at + 16].fill(0);
    disk[at + 4] = kind;
    put(disk, at + 8, &first.to_le_bytes());
    put(disk, at + 12, &count.to_le_bytes());
    put(disk, sector * 512 + 510, &[0x55, 0xaa]);
}

fn partitions(all: &mut Vec<Mutant>) {
    let mut disk = |name: &str, said: Said, change: fn(&mut Vec<u8>)| {
        let change = Box::new(change);
        all.push(Mutant { name: name.to_owned(), file: "disk.raw", said, change });
    };
    disk("an extended partition that is the table", Loss, |disk| entry(disk, 0, 1, 5, 0, 4096));
    disk("an extended partition that follows itself", Loss, |disk| {
        entry(disk, 0, 1, 5, 100, 1000);
        entry(disk, 100, 0, 7, 1, 10);
        entry(disk, 100, 1, 5, 0, 1000);
    });
    disk("extended partitions in a circle", Loss, |disk| {
        entry(disk, 0, 1, 15, 100, 1000);
        for (sector, next) in [(100, 10), (110, 20), (120, 10)] {
            entry(disk, sector, 0, 7, 1, 2);
            entry(disk, sector, 1, 5, next, 10);
        }
    });
    disk("a partition beyond the disk", Loss, |disk| entry(disk, 0, 1, 7, u32::MAX, u32::MAX));
    disk("partitions over each other", Loss, |disk| {
        for number in 1..4 {
            entry(disk, 0, number, 7, 2048, 40_000);
        }
    });
    disk("a table of GUIDs that is none", Loss, |disk| {
        entry(disk, 0, 0, 0xee, 1, u32::MAX);
        put(disk, 512, b"EFI PART");
        put(disk, 512 + 72, &[0xff; 24]);
    });
}

/// The sections of an E01 file: where each begins, and its type.
fn sections(file: &[u8]) -> Vec<(usize, String)> {
    let (mut at, mut found) = (13, Vec::new());
    while at + 76 <= file.len() {
        let name = file[at..at + 16].split(|byte| *byte == 0).next().unwrap();
        found.push((at, String::from_utf8_lossy(name).into_owned()));
        let next = u64_at(file, at + 16) as usize;
        if next <= at {
            break;
        }
        at = next;
    }
    found
}

fn section(file: &[u8], name: &str) -> usize {
    sections(file).into_iter().find(|(_, found)| found == name).expect("a section").0
}

/// Writes the checksum that a changed section header needs.
fn seal(file: &mut [u8], at: usize) {
    let mut sum = simd_adler32::Adler32::from_checksum(1);
    sum.write(&file[at..at + 72]);
    put(file, at + 72, &sum.finish().to_le_bytes());
}

fn containers(all: &mut Vec<Mutant>) {
    let mut image = |name: &str, said: Said, change: fn(&mut Vec<u8>)| {
        let change = Box::new(change);
        all.push(Mutant { name: name.to_owned(), file: "disk.E01", said, change });
    };
    image("a second segment that is missing", Loss, |file| {
        let at = section(file, "done");
        put(file, at, b"next");
        seal(file, at);
    });
    image("a wrong checksum of a section", Loss, |file| {
        let at = section(file, "table");
        file[at + 72] ^= 1;
    });
    image("a wrong checksum of a table", Loss, |file| {
        let at = section(file, "table") + 76;
        file[at + 24 + 8] ^= 0x10;
    });
    image("wrong bytes in every part of the chunks", Place, |file| {
        let (at, end) = (section(file, "sectors"), section(file, "table"));
        for place in (at + 1000..end).step_by(1000) {
            file[place] ^= 0x55;
        }
    });
    // It may lie in a chunk that holds nothing of interest.
    image("a wrong byte in the middle of the chunks", Anything, |file| {
        let (at, end) = (section(file, "sectors"), section(file, "table"));
        file[(at + end) / 2] ^= 0x55;
    });
    image("a section that follows itself", Loss, |file| {
        let at = section(file, "sectors");
        put(file, at + 16, &(at as u64).to_le_bytes());
        seal(file, at);
    });
    image("a section longer than the file", Anything, |file| {
        let at = section(file, "sectors");
        put(file, at + 24, &u64::MAX.to_le_bytes());
        seal(file, at);
    });
    image("more chunks than there can be", Loss, |file| {
        let at = section(file, "volume") + 76;
        put(file, at + 4, &[0xff; 16]);
    });
    image("a volume of no sectors", Loss, |file| {
        let at = section(file, "volume") + 76;
        put(file, at + 8, &[0; 16]);
    });
    for percent in [1usize, 20, 50, 80, 99] {
        let change: Change = Box::new(move |file| file.truncate(file.len() * percent / 100));
        let name = format!("cut at {percent} %");
        all.push(Mutant { name: name.clone(), file: "disk.E01", said: Loss, change });
        let change: Change = Box::new(move |file| file.truncate(file.len() * percent / 100));
        // The last hundredth is behind the partition.
        let said = if percent == 99 { Anything } else { Loss };
        all.push(Mutant { name, file: "disk.raw", said, change });
    }
}

/// What is wrong with the program's answer to a mutant.
fn complaint(mutant: &Mutant, sample: &[u8]) -> Option<String> {
    let mut bytes = sample.to_vec();
    (mutant.change)(&mut bytes);
    let place = tempfile::tempdir().unwrap();
    let image = place.path().join(mutant.file);
    lab::write_sparse(&image, &bytes);
    let ran = lab::scan(&image, HANG);
    let problems = ran.rows("problems.csv");
    let said = match ran.code {
        Some(0) => mutant.said == Anything,
        // Every problem has a place: a path, on the disk or in the image.
        Some(3) => !problems.is_empty() && problems.iter().all(|row| !row["path"].is_empty()),
        Some(4) => !problems.is_empty() || ran.stderr.contains(mutant.file),
        _ => false,
    };
    let located = |row: &&std::collections::BTreeMap<String, String>| {
        !row["path"].is_empty() && (!row["locator"].is_empty() || row["message"].contains("0x"))
    };
    let placed = mutant.said != Place || problems.iter().any(|row| located(&row));
    if said && placed && !ran.stderr.contains("panicked at") {
        return None;
    }
    let (code, took) = (ran.code, ran.took);
    let Mutant { file, name, .. } = mutant;
    let stderr: String = ran.stderr.chars().take(400).collect();
    Some(format!("{file}, {name}: exit {code:?} after {took:?}, {problems:?}: {stderr}"))
}

#[test]
fn hostile_images_neither_stop_the_program_nor_go_unsaid() {
    let (raw, e01) = (lab::disk(), fs::read(lab::image()).unwrap());
    let all = mutants();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(mutant) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let e01_of = Path::new(mutant.file).extension().is_some_and(|e| e == "E01");
                    let sample = if e01_of { &e01 } else { &raw };
                    found.lock().unwrap().extend(complaint(mutant, sample));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort();
    assert!(found.is_empty(), "{} of {}:\n{}", found.len(), all.len(), found.join("\n"));
}
