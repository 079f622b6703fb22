//! Records of event logs picked one by one: whatever text is looked for, those that hold
//! it are the same as when every record is rendered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use adit::model::{Cut, Damage, Everything, Extent, Filter, Input, Record, Requirement, Sink};
use adit::parse;
use adit::screen::Screen;

/// Texts looked for in each file.
const WORDS: usize = 200;

/// Has every record rendered, and keeps for each text which records hold it.
struct Rendered<'a> {
    screens: &'a [Screen],
    found: Mutex<Vec<BTreeSet<u64>>>,
}

impl Filter for Rendered<'_> {
    fn admits(&self, _: &[u8]) -> bool {
        true
    }

    fn admits_text(&self, text: &[u8]) -> bool {
        let mut found = self.found.lock().unwrap();
        for (screen, found) in self.screens.iter().zip(found.iter_mut()) {
            if screen.admits_text(text) {
                found.insert(digest(text));
            }
        }
        false
    }
}

/// Picks as the screen does, and keeps what holds the text.
#[derive(Default)]
struct Picked {
    screen: Option<Screen>,
    found: Mutex<BTreeSet<u64>>,
    rendered: AtomicUsize,
    uncut: AtomicUsize,
    parts: AtomicUsize,
}

impl Filter for Picked {
    fn admits(&self, block: &[u8]) -> bool {
        self.screen.as_ref().unwrap().admits(block)
    }

    fn admits_text(&self, text: &[u8]) -> bool {
        self.rendered.fetch_add(1, Ordering::Relaxed);
        if self.screen.as_ref().unwrap().admits_text(text) {
            self.found.lock().unwrap().insert(digest(text));
        }
        false
    }

    fn picks(&self, block: &[u8], cut: &dyn Fn() -> Cut) -> Vec<usize> {
        self.screen.as_ref().unwrap().picks(block, &|| {
            let cut = cut();
            self.parts.fetch_add(cut.records.len(), Ordering::Relaxed);
            let uncut = cut.records.iter().filter(|record| record.is_none()).count();
            self.uncut.fetch_add(uncut, Ordering::Relaxed);
            cut
        })
    }
}

fn digest(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[derive(Default)]
struct Seen(Vec<String>);

impl Sink for Seen {
    fn record(&mut self, record: Record) -> ControlFlow<()> {
        self.0.push(format!("{} {} {:?}", record.locator, record.recovered, record.fields));
        ControlFlow::Continue(())
    }

    fn damaged(&mut self, _: Damage) {}

    fn extent(&mut self, _: Extent) {}
}

fn read(bytes: &Vec<u8>, filter: &dyn Filter) -> Vec<String> {
    let mut seen = Seen::default();
    let input = Input {
        bytes,
        sidecars: Vec::new(),
        name: "x.evtx",
        modified: None,
        filter,
        paths: None,
        zone: None,
    };
    let _ = parse::by_name("evtx").unwrap().parse(&input, &mut seen);
    seen.0
}

/// Whether rendering may have made this of no text: numbers, GUIDs, SIDs, times, `null`.
fn made(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let figures = word.bytes().all(|b| b.is_ascii_hexdigit() || b"-:._xtz".contains(&b));
    figures || word.starts_with("s-1-") || ["null", "true", "false"].contains(&word.as_str())
}

/// Words of the file that stand in it as text, taken evenly over its records.
fn words(bytes: &Vec<u8>, many: usize) -> Vec<String> {
    let all = read(bytes, &Everything).join("\n");
    let lowered = bytes.to_ascii_lowercase();
    let stored = |word: &str| {
        let wide: Vec<u8> = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
        [word.as_bytes(), &wide].iter().any(|form| memchr::memmem::find(&lowered, form).is_some())
    };
    let distinct: BTreeSet<String> = all
        .split(|c: char| !(c.is_ascii_alphanumeric() || "-_.:/".contains(c)))
        .filter(|word| (4..40).contains(&word.len()))
        .filter(|word| !made(word))
        .map(str::to_ascii_lowercase)
        .collect();
    let step = distinct.len().div_ceil(many).max(1);
    distinct.into_iter().step_by(step).filter(|word| stored(word)).collect()
}

/// Compares both ways over one file; returns records rendered, uncut and cut.
fn check(path: &Path, many: usize) -> (usize, usize, usize) {
    let bytes = fs::read(path).unwrap();
    let words = words(&bytes, many);
    let compile = |word: &String| Screen::compile(&[Requirement::Text(word.clone())]);
    let screens: Vec<Screen> = words.iter().map(compile).collect();
    let found = Mutex::new(vec![BTreeSet::new(); words.len()]);
    let all = Rendered { screens: &screens, found };
    read(&bytes, &all);
    let mut counts = (0, 0, 0);
    for (word, expected) in words.iter().zip(all.found.into_inner().unwrap()) {
        let picked = Picked { screen: Some(compile(word)), ..Default::default() };
        read(&bytes, &picked);
        let found = picked.found.into_inner().unwrap();
        let lost = expected.difference(&found).count();
        assert_eq!(lost, 0, "of {} with {word} in {}", expected.len(), path.display());
        assert_eq!(found, expected, "{word} in {}", path.display());
        counts.0 += picked.rendered.into_inner();
        counts.1 += picked.uncut.into_inner();
        counts.2 += picked.parts.into_inner();
    }
    counts
}

fn logs(folder: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
    walk.map(|entry| entry.into_path())
        .filter(|path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("evtx")))
        .collect()
}

#[test]
fn picking_records_loses_none() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/parse/evtx");
    let all = logs(&samples);
    assert!(all.len() >= 5);
    for path in all {
        check(&path, 40);
    }
}

/// The same over logs elsewhere, if `ADIT_LOGS` names folders, separated by colons.
#[test]
fn picking_records_loses_none_elsewhere() {
    let folders = std::env::var("ADIT_LOGS").unwrap_or_default();
    let all: Vec<PathBuf> =
        folders.split(':').filter(|f| !f.is_empty()).flat_map(|f| logs(Path::new(f))).collect();
    let mut sum = (0, 0, 0);
    for path in &all {
        let counts = check(path, WORDS);
        println!("{counts:?} {}", path.display());
        sum = (sum.0 + counts.0, sum.1 + counts.1, sum.2 + counts.2);
    }
    println!("{} logs; rendered {}, uncut {} of {}", all.len(), sum.0, sum.1, sum.2);
}
