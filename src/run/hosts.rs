//! Which host an event belongs to, what hosts are called, and which files of
//! theirs go into the bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, PoisonError};

use super::Job;
use super::passes::Reading;
use crate::export::{Collect, Collected};
use crate::model::{
    Event, EvidencePath, HostReport, Level, Problem, Reached, ReadAt, Stage, SystemFacts,
};
use crate::source::{Entry, Filesystem, HostEvidence, Layout, SourceError};

/// Longest host name as a folder.
const MAX_NAME: usize = 64;

/// Folder names already given.
#[derive(Clone, Debug, Default)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// Whether the name is taken.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(&name.to_lowercase())
    }

    /// The name, with `~2`, `~3`, … where it is taken (whatever its case).
    pub fn unique(&mut self, name: &str) -> String {
        let mut candidate = name.to_owned();
        let mut n = 1u32;
        while !self.0.insert(candidate.to_lowercase()) {
            n = n.saturating_add(1);
            candidate = format!("{name}~{n}");
        }
        candidate
    }
}

/// One host's share of a source.
pub struct Share {
    /// Folder-safe.
    pub name: String,
    pub events: Vec<Event>,
    /// The host whose evidence this is, not one whose events were forwarded.
    pub is_own: bool,
    pub system: SystemFacts,
}

/// Splits events by host: forwarded events go to the computer they name.
///
/// On a volume only the ForwardedEvents log holds others' events; a machine's own
/// logs under an earlier name stay with it. In a loose folder every log's
/// `Computer` counts, and what names none goes to the most frequent one.
pub fn split(evidence: &HostEvidence, system: &SystemFacts, reading: Reading) -> Vec<Share> {
    let computers = reading.files.iter().filter_map(|f| f.extent.as_ref()?.computer.as_deref());
    let mut counted: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for computer in computers {
        let entry = counted.entry(label(computer)).or_insert((0, first_label(computer).to_owned()));
        entry.0 += 1;
    }
    let common = counted.values().max_by_key(|(n, name)| (*n, std::cmp::Reverse(name.clone())));
    let own = system.name.clone().or_else(|| common.map(|(_, name)| name.clone()));
    let own = own.unwrap_or_else(|| evidence.name.clone());
    let loose = matches!(evidence.layout, Layout::Loose | Layout::SingleFile);
    let mut others: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    let mut mine = Vec::new();
    for event in reading.events {
        let named = event.record.text("Computer").unwrap_or_default();
        let foreign = !named.is_empty()
            && label(named) != label(&own)
            && (loose && system.name.is_none() || is_forwarded(&event));
        if foreign { others.entry(label(named)).or_default().push(event) } else { mine.push(event) }
    }
    // Hosts that a loose folder knows only from logs without findings count too.
    if loose && system.name.is_none() {
        for name in counted.keys().filter(|name| **name != label(&own)) {
            others.entry(name.clone()).or_default();
        }
    }
    let mut out =
        vec![Share { name: safe_name(&own), events: mine, is_own: true, system: system.clone() }];
    for (name, events) in others {
        let shown = events
            .first()
            .and_then(|e| e.record.text("Computer"))
            .map(|c| first_label(c).to_owned())
            .or_else(|| counted.get(&name).map(|(_, shown)| shown.clone()))
            .unwrap_or(name);
        let system = SystemFacts { name: Some(shown.clone()), ..SystemFacts::default() };
        out.push(Share { name: safe_name(&shown), events, is_own: false, system });
    }
    out
}

fn is_forwarded(event: &Event) -> bool {
    let name = event.path.file_name().to_ascii_lowercase();
    event.path.as_str().is_empty() || name.contains("forwardedevents")
}

/// A computer's first label, for comparison.
fn label(computer: &str) -> String {
    first_label(computer).to_lowercase()
}

fn first_label(computer: &str) -> &str {
    computer.split('.').next().unwrap_or(computer)
}

/// The name cut to what every file system takes; `host` when no letter or digit is left.
pub fn safe_name(name: &str) -> String {
    let kept: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        .take(MAX_NAME)
        .collect();
    let kept = kept.trim_matches('.').to_owned();
    if !kept.contains(|c: char| c.is_ascii_alphanumeric()) { "host".into() } else { kept }
}

/// A file for the bundle, opened while it is read and closed at its end: there may be
/// more of them than can be open at once.
pub struct Opened<'a> {
    filesystem: &'a dyn Filesystem,
    entry: Entry,
    open: Mutex<Option<Box<dyn ReadAt>>>,
    times: Vec<(String, jiff::Timestamp)>,
}

impl ReadAt for Opened<'_> {
    fn size(&self) -> u64 {
        self.entry.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = match open.take() {
            Some(bytes) => bytes,
            None => {
                // A second reading is for comparison with the first.
                self.filesystem.forget();
                self.filesystem.open(&self.entry).map_err(|error| match error {
                    SourceError::File { error, .. } => error,
                    other => io::Error::other(other.to_string()),
                })?
            }
        };
        let n = bytes.read_at(offset, buf)?;
        let at_end = n == 0 || offset.saturating_add(n as u64) >= self.entry.size;
        *open = Some(bytes).filter(|_| !at_end);
        Ok(n)
    }
}

/// The files of the evidence that the bundle takes, in path order.
pub fn collected<'a>(
    job: &Job,
    evidence: &'a HostEvidence,
    report: &HostReport,
) -> (Vec<Opened<'a>>, Vec<Problem>) {
    if !job.export.bundle || job.export.collect == Collect::None {
        return (Vec::new(), Vec::new());
    }
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let mut known = BTreeSet::new();
    let mut left = job.limits.bytes();
    for path in wanted(job, report) {
        let Some(entry) = evidence.filesystem.entry(&path).filter(|e| e.is_file()) else {
            continue;
        };
        if !known.insert(entry.path.clone()) {
            continue;
        }
        let over = left.is_some_and(|left| left < entry.size);
        let refused = match (job.limits.ended(), over) {
            (Some(why), _) => Some(why.to_string()),
            (None, true) => left.map(|_| too_much(job)),
            // What cannot be opened shall not be in the bundle as an empty file.
            (None, false) => evidence.filesystem.open(&entry).err().map(|e| e.to_string()),
        };
        if let Some(message) = refused {
            let (path, locator, stage) = (Some(path), None, Stage::Export);
            problems.push(Problem { path, locator, stage, message });
            continue;
        }
        left = left.map(|left| left.saturating_sub(entry.size));
        files.push(opened(&*evidence.filesystem, entry));
    }
    (files, problems)
}

fn too_much(job: &Job) -> String {
    Reached::Bytes(job.limits.bytes().unwrap_or_default()).to_string()
}

fn opened(filesystem: &dyn Filesystem, entry: Entry) -> Opened<'_> {
    let times = [
        ("File Created", entry.times.created),
        ("File Modified", entry.times.modified),
        ("File Accessed", entry.times.accessed),
    ];
    let times = times.into_iter().filter_map(|(n, at)| Some((n.to_owned(), at?))).collect();
    Opened { filesystem, entry, open: Mutex::new(None), times }
}

/// Paths that rows rest on or, if all are to be taken, that coverage tells of, with the
/// files that may complete them.
fn wanted(job: &Job, report: &HostReport) -> BTreeSet<EvidencePath> {
    let mut wanted: BTreeSet<EvidencePath> = report
        .rows
        .iter()
        .filter(|r| r.level >= Level::Low || job.export.collect == Collect::All)
        .map(|r| EvidencePath::new(r.source_path.clone()))
        .collect();
    if job.export.collect == Collect::All {
        wanted.extend(
            report
                .coverage
                .iter()
                .filter(|c| c.records > 0 || c.first.is_some())
                .map(|c| EvidencePath::new(c.path.clone())),
        );
    }
    let sidecars = wanted.iter().filter_map(|path| report.sidecars.get(path.as_str())).flatten();
    let sidecars: Vec<EvidencePath> =
        sidecars.map(|path| EvidencePath::new(path.clone())).collect();
    wanted.extend(sidecars);
    wanted
}

/// The files as export takes them.
pub fn borrowed<'a>(files: &'a [Opened<'_>]) -> Vec<Collected<'a>> {
    files
        .iter()
        .map(|file| Collected {
            path: file.entry.path.clone(),
            bytes: file,
            method: file.filesystem.method(&file.entry.path),
            times: file.times.clone(),
            volume: file
                .entry
                .path
                .as_str()
                .get(..2)
                .filter(|v| v.ends_with(':'))
                .unwrap_or_default()
                .into(),
        })
        .collect()
}
