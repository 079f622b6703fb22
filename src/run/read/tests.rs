//! Files that change while they are read.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::Progress;
use super::*;
use crate::model::{Everything, EvidencePath, Limits, Problem, RowStage};
use crate::source::{Kind, SourceError, State, Times};

const HIVE: &str = r"C:\Windows\System32\config\SYSTEM";
const DIRTY: &[u8] = include_bytes!("../../../testdata/parse/registry/dirty-SYSTEM");
const LOG: &[u8] = include_bytes!("../../../testdata/parse/registry/dirty-SYSTEM.LOG1");

/// A hive and its log at one moment after the other; the last state stays, unless they
/// come round again.
struct Busy {
    moment: AtomicUsize,
    states: Vec<(Vec<u8>, Vec<u8>)>,
    again: bool,
}

impl Busy {
    fn now(&self) -> &(Vec<u8>, Vec<u8>) {
        let (moment, count) = (self.moment.load(Ordering::Relaxed), self.states.len());
        &self.states[if self.again { moment % count } else { moment.min(count - 1) }]
    }
}

/// The tree of that hive: time goes on whenever it is to forget.
struct Tree(Arc<Busy>);

impl Filesystem for Tree {
    fn walk(&self, _: &mut dyn FnMut(Entry), _: &mut dyn FnMut(Problem)) {}

    fn open(&self, file: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
        Ok(Box::new(Opened { busy: self.0.clone(), is_log: file.path.as_str() != HIVE }))
    }

    fn entry(&self, _: &EvidencePath) -> Option<Entry> {
        None
    }

    fn case_insensitive(&self) -> bool {
        true
    }

    fn forget(&self) {
        self.0.moment.fetch_add(1, Ordering::Relaxed);
    }
}

struct Opened {
    busy: Arc<Busy>,
    is_log: bool,
}

impl Opened {
    fn bytes(&self) -> &Vec<u8> {
        let (hive, log) = self.busy.now();
        if self.is_log { log } else { hive }
    }
}

impl ReadAt for Opened {
    fn size(&self) -> u64 {
        self.bytes().size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.bytes().read_at(offset, buf)
    }
}

fn entry(path: &str) -> Entry {
    Entry {
        path: EvidencePath::new(path),
        kind: Kind::File,
        size: DIRTY.len() as u64,
        times: Times::default(),
        name_times: None,
        id: None,
        state: State::Present,
        link_target: None,
        handle: 0,
    }
}

/// What is read of the hive, its states coming one after the other: records, what was
/// lost, and how many readings were asked for.
fn check(
    path: &str,
    is_live: bool,
    again: bool,
    states: Vec<(Vec<u8>, Vec<u8>)>,
) -> (Vec<String>, Vec<String>, usize) {
    let busy = Arc::new(Busy { moment: AtomicUsize::new(0), states, again });
    let (tree, artifacts, progress) =
        (Tree(busy.clone()), Artifacts::default(), Progress::default());
    let source = progress.begin("live".into(), &Limits::default());
    let judge = |record: &Record| {
        vec![Hit {
            tool: "t".into(),
            rule: "r".into(),
            clauses: Arc::default(),
            techniques: Arc::default(),
            stage: RowStage::default(),
            score: 0,
            tags: Vec::new(),
            message: record.locator.to_string(),
            suppressed_by: None,
        }]
    };
    let pass = Pass {
        filesystem: &tree,
        artifacts: &artifacts,
        source: "live".into(),
        computer: None,
        zone: None,
        filter: &|_| &Everything,
        judge: &judge,
        progress: &source,
        is_first: true,
        is_live,
    };
    let file = Located {
        artifact: "windows.registry.system".into(),
        entry: entry(path),
        parser: "registry".into(),
        sidecars: vec![entry(&format!("{HIVE}.LOG1"))],
        held: None,
        settled: None,
    };
    let reading = pass.read(&[&file]).pop().unwrap();
    let records = reading.events.iter().map(|event| format!("{:?}", event.record.fields));
    let lost = reading.damages.iter().filter(|damage| damage.lost);
    let lost = lost.map(|damage| damage.message.clone()).chain(reading.error.clone());
    (records.collect(), lost.collect(), busy.moment.load(Ordering::Relaxed))
}

fn dirty() -> (Vec<u8>, Vec<u8>) {
    (DIRTY.to_vec(), LOG.to_vec())
}

/// The hive in the middle of being written: a part of it is not there yet.
fn torn() -> (Vec<u8>, Vec<u8>) {
    let (mut hive, log) = dirty();
    let middle = hive.len() / 2;
    hive[middle..middle + 4096].fill(0);
    (hive, log)
}

/// The hive as it was read while its header still said that its logs do not matter.
fn early() -> (Vec<u8>, Vec<u8>) {
    let (mut hive, log) = dirty();
    hive.copy_within(4..8, 8);
    let words = hive[..508].as_chunks::<4>().0.iter();
    let sum = words.fold(0, |sum, word| sum ^ u32::from_le_bytes(*word));
    hive[508..512].copy_from_slice(&sum.to_le_bytes());
    (hive, log)
}

#[test]
fn a_hive_that_stands_still_is_read_once_and_checked_once() {
    let (records, lost, moments) = check(HIVE, true, false, vec![dirty()]);
    assert!(!records.is_empty() && lost.is_empty(), "{lost:?}");
    assert_eq!(moments, 1);
    // Nobody writes an image, nor a shadow copy.
    assert_eq!(check(HIVE, false, false, vec![dirty()]), (records.clone(), lost.clone(), 0));
    let historic = format!("vss1:{HIVE}");
    assert_eq!(check(&historic, true, false, vec![dirty()]).2, 0);
}

#[test]
fn a_hive_that_is_being_written_is_read_again() {
    let whole = check(HIVE, true, false, vec![dirty()]);
    let once = check(HIVE, false, false, vec![torn()]);
    assert!(once.0 != whole.0 || !once.1.is_empty(), "the torn state does not show");
    for states in [vec![torn(), dirty()], vec![torn(), early(), dirty()]] {
        let (records, lost, _) = check(HIVE, true, false, states);
        assert!(records == whole.0 && lost.is_empty(), "{records:#?}, lost {lost:#?}");
    }
}

#[test]
fn its_logs_are_applied_when_its_header_asks_for_it() {
    let whole = check(HIVE, true, false, vec![dirty()]);
    let once = check(HIVE, false, false, vec![early()]);
    assert_ne!(once.0, whole.0, "the logs hold nothing of their own");
    let (records, lost, _) = check(HIVE, true, false, vec![early(), dirty()]);
    assert!(records == whole.0 && lost.is_empty(), "{records:#?}, lost {lost:#?}");
}

#[test]
fn a_hive_that_never_stands_still_is_a_problem() {
    let (records, lost, moments) = check(HIVE, true, true, vec![early(), dirty()]);
    assert!(!records.is_empty());
    assert_eq!(lost, [twice::torn()]);
    assert_eq!(moments, twice::READINGS);
}

#[test]
fn a_log_that_grows_beside_its_hive_does_no_harm() {
    let (hive, log) = dirty();
    let grown = (hive, [&log[..], &[0; 512]].concat());
    let mut changed = grown.clone();
    changed.1[log.len() + 9] = 1;
    let (records, lost, _) = check(HIVE, true, true, vec![grown, changed]);
    assert!(!records.is_empty() && lost.is_empty(), "{lost:?}");
}

/// A tree of hives that several threads together get the bytes of, as those of packed
/// images are.
struct Packed;

impl Filesystem for Packed {
    fn walk(&self, _: &mut dyn FnMut(Entry), _: &mut dyn FnMut(Problem)) {}

    fn open(&self, _: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
        Ok(Box::new(Unpacking))
    }

    fn entry(&self, _: &EvidencePath) -> Option<Entry> {
        None
    }

    fn case_insensitive(&self) -> bool {
        true
    }
}

struct Unpacking;

impl ReadAt for Unpacking {
    fn size(&self) -> u64 {
        DIRTY.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let moment = std::time::Duration::from_micros(200);
        (0..8).into_par_iter().for_each(|_| std::thread::sleep(moment));
        DIRTY.to_vec().read_at(offset, buf)
    }
}

#[test]
fn large_files_among_others_do_not_wait_for_each_other_for_ever() {
    let (artifacts, progress) = (Artifacts::default(), Progress::default());
    let source = progress.begin("image".into(), &Limits::default());
    let pass = Pass {
        filesystem: &Packed,
        artifacts: &artifacts,
        source: "image".into(),
        computer: None,
        zone: None,
        filter: &|_| &Everything,
        judge: &|_| Vec::new(),
        progress: &source,
        is_first: true,
        is_live: false,
    };
    let file = |n: u64| Located {
        artifact: "windows.registry.system".into(),
        entry: Entry {
            size: u64::from(n.is_multiple_of(3)) * 2 * LARGE_WHOLE_BYTES,
            ..entry(HIVE)
        },
        parser: "registry".into(),
        sidecars: Vec::new(),
        held: None,
        settled: None,
    };
    let files: Vec<Located> = (0..100).map(file).collect();
    let files: Vec<&Located> = files.iter().collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(6).build().unwrap();
    let readings = pool.install(|| pass.read(&files));
    assert!(readings.iter().all(|reading| reading.extent.is_some()));
}
