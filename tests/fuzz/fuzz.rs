//! Feeds parsers damaged copies of the samples until the time is up:
//!
//! ```text
//! cargo run --example fuzz -- [--seconds 300] [--random 1] [PARSER]…
//! ```
//!
//! Every parser without names, but the one that reads nothing. Seeds are the files of
//! `testdata`, packed ones unpacked, that the parser gets anything from, with the files that
//! complete them. A panic or a parse that takes longer than [`HANG`] is kept as a file below
//! `target/fuzz` and makes the exit code 1. The same number after `--random` gives
//! the same copies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod mutate;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;

use adit::artifact::{Artifacts, Beside};
use adit::model::{Damage, Everything, Extent, Input, ReadAt, Record, Sink};
use adit::parse::{PARSERS, Parser};

use mutate::Random;

/// Larger samples are too slow to be damaged often.
const MAX_SEED: u64 = 512 << 10;
/// But a journal is large as it is made.
const MAX_UNPACKED: u64 = 4 << 20;
/// Images and collections, which no parser reads.
const SOURCES: &str = "source";
/// A parse of so small a file that takes longer does not end.
const HANG: Duration = Duration::from_secs(20);
/// Records after which a parse is ended.
const MAX_RECORDS: usize = 200_000;

/// Counts what a parser gives.
#[derive(Default)]
struct Counter {
    records: usize,
    extents: usize,
}

impl Sink for Counter {
    fn record(&mut self, record: Record) -> ControlFlow<()> {
        self.records += 1;
        let _ = std::hint::black_box(record);
        if self.records < MAX_RECORDS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn damaged(&mut self, damage: Damage) {
        let _ = std::hint::black_box(damage);
    }

    fn extent(&mut self, _: Extent) {
        self.extents += 1;
    }
}

/// What is being parsed, for the thread that looks for hangs.
type Current = Arc<Mutex<Option<(Instant, &'static str, Vec<u8>)>>>;

struct Seed {
    name: String,
    bytes: Vec<u8>,
    /// Files that complete it: logs and journals.
    sidecars: Vec<Vec<u8>>,
}

fn main() -> ExitCode {
    let (seconds, random, names) = arguments();
    let seeds = samples(Path::new("testdata"));
    let current: Current = Arc::default();
    watch(&current);
    panic::set_hook(Box::new(|_| {}));
    let mut bad = 0;
    for parser in PARSERS.iter().copied() {
        let named = names.iter().any(|name| name == parser.name());
        if named || names.is_empty() && parser.name() != "none" {
            bad += fuzz(parser, &seeds, Duration::from_secs(seconds), random, &current);
        }
    }
    ExitCode::from(u8::from(bad > 0))
}

fn arguments() -> (u64, u64, Vec<String>) {
    let (mut seconds, mut random, mut names) = (300, 1, Vec::new());
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut number = || given.next().and_then(|n| n.parse().ok()).expect("a number");
        match argument.as_str() {
            "--seconds" => seconds = number(),
            "--random" => random = number(),
            _ => names.push(argument),
        }
    }
    (seconds, random, names)
}

/// Every small file below a folder, by path.
fn samples(folder: &Path) -> Vec<Seed> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("run this in the repository").flatten() {
            let at = entry.path();
            if at.ends_with(SOURCES) {
                continue;
            }
            if at.is_dir() {
                folders.push(at);
            } else if entry.metadata().is_ok_and(|m| m.len() <= MAX_SEED) {
                let bytes = fs::read(&at).unwrap_or_default();
                if at.extension().is_some_and(|end| end == "gz") {
                    let mut unpacked = Vec::new();
                    let whole =
                        GzDecoder::new(&*bytes).take(MAX_UNPACKED).read_to_end(&mut unpacked);
                    whole.expect("a packed sample");
                    found.insert(at.with_extension(""), unpacked);
                }
                found.insert(at, bytes);
            }
        }
    }
    let seeds = found.iter().map(|(at, bytes)| Seed {
        name: at.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        bytes: bytes.clone(),
        sidecars: sidecars(at, &found),
    });
    seeds.collect()
}

/// What belongs to a file as any artifact says.
fn sidecars(of: &Path, found: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<Vec<u8>> {
    let lower = |path: &Path| path.to_string_lossy().to_lowercase();
    let artifacts = Artifacts::builtin().expect("the built-in definitions");
    let belongs = |beside: &Beside, at: &Path| beside.belongs(&lower(of), &lower(at));
    let ours = |at: &Path| {
        let mut all = artifacts.iter().flat_map(|artifact| &artifact.sidecars);
        all.any(|beside| belongs(beside, at))
    };
    found.iter().filter(|(at, _)| ours(at)).map(|(_, bytes)| bytes.clone()).collect()
}

/// Damages what the parser reads until the time is up; the number of failures.
fn fuzz(
    parser: &'static dyn Parser,
    samples: &[Seed],
    time: Duration,
    random: u64,
    current: &Current,
) -> usize {
    let seeds: Vec<&Seed> = samples.iter().filter(|seed| gives(parser, seed)).collect();
    if seeds.is_empty() {
        println!("{:20} NO SAMPLE", parser.name());
        return 1;
    }
    let (start, mut random) = (Instant::now(), Random::new(random));
    let (mut runs, mut slowest, mut panics) = (0u64, Duration::ZERO, 0);
    while start.elapsed() < time {
        let seed = seeds[random.below(seeds.len())];
        let other = seeds[random.below(seeds.len())];
        let (mut bytes, mut sidecars) = (seed.bytes.clone(), seed.sidecars.clone());
        // One of them is damaged: the file, or what completes it.
        match sidecars.get_mut(random.below(seed.sidecars.len() * 3 / 2 + 1)) {
            Some(sidecar) => {
                *sidecar = mutate::damage(sidecar, &other.bytes, &mut random);
                mutate::seal(sidecar);
            }
            None => bytes = mutate::damage(&seed.bytes, &other.bytes, &mut random),
        }
        let begun = Instant::now();
        *current.lock().unwrap() = Some((begun, parser.name(), bytes.clone()));
        let parse = || parse(parser, &seed.name, &bytes, &sidecars);
        let result = panic::catch_unwind(AssertUnwindSafe(parse));
        *current.lock().unwrap() = None;
        slowest = slowest.max(begun.elapsed());
        runs += 1;
        if result.is_err() {
            panics += 1;
            keep(parser.name(), "panic", &bytes);
            for (number, sidecar) in sidecars.iter().enumerate() {
                keep(parser.name(), &format!("panic-sidecar{number}"), sidecar);
            }
        }
    }
    let (seeds, slowest) = (seeds.len(), slowest.as_millis());
    println!(
        "{:20} {seeds:3} seeds {runs:8} runs, slowest {slowest} ms, {panics} panics",
        parser.name()
    );
    panics
}

fn gives(parser: &dyn Parser, seed: &Seed) -> bool {
    let parse = || parse(parser, &seed.name, &seed.bytes, &seed.sidecars);
    let parsed = panic::catch_unwind(AssertUnwindSafe(parse));
    parsed.is_ok_and(|counter| counter.records > 0)
}

fn parse(parser: &dyn Parser, name: &str, bytes: &Vec<u8>, sidecars: &[Vec<u8>]) -> Counter {
    let mut counter = Counter::default();
    let input = Input {
        bytes,
        sidecars: sidecars.iter().map(|bytes| bytes as &dyn ReadAt).collect(),
        name,
        modified: jiff::Timestamp::from_second(1_710_000_000).ok(),
        filter: &Everything,
        paths: None,
        zone: None,
    };
    let _ = parser.recognizes(bytes.get(..4608).unwrap_or(bytes));
    let _ = parser.parse(&input, &mut counter);
    counter
}

/// Ends the program when a parse does not end.
fn watch(current: &Current) {
    let current = current.clone();
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(1));
            let guard = current.lock().unwrap();
            if let Some((begun, parser, bytes)) = &*guard
                && begun.elapsed() > HANG
            {
                keep(parser, "hang", bytes);
                std::process::exit(1);
            }
        }
    });
}

fn keep(parser: &str, what: &str, bytes: &[u8]) {
    let folder = Path::new("target/fuzz");
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let at = folder.join(format!("{parser}-{what}-{sum:016x}"));
    let kept = fs::create_dir_all(folder).and_then(|()| fs::write(&at, bytes));
    println!("{parser}: {what}, {} ({kept:?})", at.display());
}
