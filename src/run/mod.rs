//! The pipeline on one screen; the only module that knows every stage.
//!
//! open → facts → locate → (screen → parse → detect → learn)* → conclude → export

mod batch;
mod coverage;
mod facts;
mod files;
mod hosts;
mod kept;
mod nested;
mod passes;
mod pipeline;
mod progress;
mod read;
mod resume;
mod services;
mod snapshots;
mod twice;
mod volatile;

use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use jiff::{SignedDuration, Timestamp};

use crate::artifact::{self, ArtifactError, Artifacts, Locations, Questions};
use crate::correlate::{self, Settings};
use crate::detect::Detector;
use crate::export::{ExportError, ExportOptions, HostOutput};
use crate::model::{Actions, HostReport, Level, Limits, Problem, Reached, ReadAt, Stage, Stop};
use crate::parse::{PARSERS, secret};
use crate::source::{self, Clues, Entry, HostEvidence, SourceError, live};

pub use progress::{Counts, Progress, SourceProgress};

/// A worker that waits for others may meanwhile begin another source, so several of
/// them can be on one stack.
const STACK_BYTES: usize = 8 << 20;

/// What a scan is asked to do.
#[derive(Clone, Debug)]
pub struct Job {
    pub sources: Vec<PathBuf>,
    /// The running system, as the only source.
    pub live: Option<live::Wanted>,
    pub output: PathBuf,
    /// Profiles by name, file or folder; empty means all built in.
    pub profiles: Vec<String>,
    pub artifacts: Option<PathBuf>,
    pub threads: usize,
    /// Whether blocks that cannot match are skipped.
    pub screen: bool,
    /// Whether disks that lie in the evidence are examined too.
    pub nested: bool,
    pub since: Option<TimeBound>,
    pub until: Option<TimeBound>,
    pub window: SignedDuration,
    pub reveal_secrets: bool,
    pub allow_output_on_source: bool,
    /// Whether sources are left out that an earlier run into the same folder finished.
    pub resume: bool,
    pub export: ExportOptions,
    pub arguments: Vec<String>,
    pub started: Timestamp,
    /// SHA-256 of the program itself, where it is wanted.
    pub executable: Option<String>,
    /// Everything done on the machine that the custodian may be asked for.
    pub actions: Actions,
    /// Ends the run early, with what is complete.
    pub stop: Stop,
    /// What the run may take.
    pub limits: Limits,
}

/// A bound of the timeline: a moment, or so long before the evidence's last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeBound {
    At(Timestamp),
    BeforeLast(SignedDuration),
}

impl TimeBound {
    fn resolve(self, last: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(at),
            Self::BeforeLast(span) => last?.checked_sub(span).ok(),
        }
    }
}

/// What a scan came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Host reports' summaries and where their files are, in order.
    pub hosts: Vec<HostOutcome>,
    /// Sources that could not be opened.
    pub refused: Vec<SourceError>,
    /// Everything found in the sources that holds hosts: an image, a collection, a folder.
    pub sources: usize,
    /// Of these, those not worked through because the run was stopped.
    pub unfinished: usize,
    /// Why a part of the evidence was left out, if one was.
    pub cut: Option<Reached>,
    pub hosts_csv: Option<PathBuf>,
}

/// One host's part of an outcome.
#[derive(Debug)]
pub struct HostOutcome {
    pub output: HostOutput,
    pub level: Level,
    pub problems: usize,
    /// Whether any file of it could be read, or of an image at least the names.
    pub read: bool,
    /// What to tell a person.
    pub text: String,
}

/// A scan that could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Artifact(#[from] artifact::ArtifactError),
    #[error(transparent)]
    Detect(#[from] crate::detect::DetectError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(
        "{} lies on the evidence {}: choose another --output, or say --allow-output-on-source",
        output.display(), source_path.display()
    )]
    OutputOnSource { output: PathBuf, source_path: PathBuf },
    #[error("the worker threads could not be started: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// Scans every source and writes the results of every host.
///
/// # Errors
///
/// When definitions are wrong, the output lies on the evidence, or results
/// cannot be written. A source that cannot be opened is part of the outcome.
pub fn scan(job: &Job, progress: &Progress) -> Result<Outcome, RunError> {
    refuse_output_on_source(job)?;
    let (artifacts, detector) = rayon::join(|| artifacts_of(job), || Detector::load(&job.profiles));
    let artifacts = artifacts?;
    // The process ends after its run: thousands of rules are not taken apart before.
    let detector = ManuallyDrop::new(detector?);
    let definitions = passes::Definitions::new(&artifacts, &detector, job.screen);
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(job.threads).stack_size(STACK_BYTES).build()?;
    batch::run(job, &definitions, &pool, progress)
}

/// The definitions that are built in, and those of the user.
fn artifacts_of(job: &Job) -> Result<Artifacts, ArtifactError> {
    let mut artifacts = Artifacts::builtin()?;
    if let Some(folder) = &job.artifacts {
        artifacts.load(folder)?;
    }
    Ok(artifacts)
}

/// Opens a source as its hosts, volumes under the letters that their own Windows
/// gave them.
///
/// # Errors
///
/// As [`source::open`].
pub fn open_source(path: &Path) -> Result<Vec<HostEvidence>, SourceError> {
    source::open(path, Clues { letters: &facts::drive_letters, knows: None })
}

/// What is to be read of a host.
fn locate(definitions: &passes::Definitions<'_>, evidence: &HostEvidence) -> Locations {
    let loose = !evidence.layout.has_fixed_places();
    let names = |paths: &[&str]| {
        let mut named = definitions.screen.admits_names(paths);
        for (path, named) in paths.iter().zip(&mut named) {
            *named |= loose && source::is_log_or_hive(path);
        }
        named
    };
    let artifacts = definitions.artifacts_of(evidence.layout.os());
    let settles = |entry: &Entry, parser: &str, bytes: &dyn ReadAt| {
        definitions.settles(&*evidence.filesystem, entry, parser, bytes)
    };
    let questions = Questions { names: &names, settles: &settles };
    artifact::locate(&*evidence.filesystem, artifacts, PARSERS, &questions)
}

/// What a scan with all that is built in reads of each host.
///
/// # Errors
///
/// When a definition is wrong.
pub fn located(hosts: &[HostEvidence]) -> Result<Vec<Locations>, RunError> {
    let artifacts = Artifacts::builtin()?;
    let detector = Detector::load(&[])?;
    let definitions = passes::Definitions::new(&artifacts, &detector, true);
    Ok(hosts.iter().map(|host| locate(&definitions, host)).collect())
}

/// One source's evidence into the reports of the hosts that it speaks of, and the hosts
/// on disks that lie in it.
fn examine(
    job: &Job,
    definitions: &passes::Definitions<'_>,
    evidence: &HostEvidence,
    progress: &SourceProgress,
) -> (Vec<HostReport>, Vec<HostEvidence>) {
    let os = evidence.layout.os();
    let artifacts = definitions.artifacts_of(os);
    let found = locate(definitions, evidence);
    let total: u64 = found.files.iter().fold(0, |sum, f| sum.saturating_add(f.entry.size));
    progress.bytes_total.fetch_add(total, Ordering::Relaxed);
    let mut system = facts::of(evidence, &found);
    if evidence.is_running {
        system.name = Some(evidence.name.clone());
    }
    let nested = nested::open(job, definitions, evidence, &found);
    let reading = passes::read(definitions, evidence, &found, &system, progress);
    let mut coverage = coverage::of(definitions, evidence, &found, &reading, &system);
    coverage.extend(volatile::coverage(evidence).into_iter().chain(nested.coverage));
    coverage.sort_by(|a, b| (&a.source, &a.path).cmp(&(&b.source, &b.path)));
    let mut problems = coverage::problems(evidence, &found, &reading);
    problems.extend(nested.problems);
    let sidecars = found.files.iter().filter(|file| !file.sidecars.is_empty()).map(|file| {
        let paths = file.sidecars.iter().map(|entry| entry.path.as_str().to_owned());
        (file.entry.path.as_str().to_owned(), paths.collect())
    });
    let sidecars: BTreeMap<String, Vec<String>> = sidecars.collect();
    let tools = kept::tools_on(definitions.tools_of(os), artifacts, &system);
    let redact = |text: &str| shown(job, text);
    let tokens = |text: &str| {
        secret::tokens_in(text).into_iter().map(|t| (t.id, t.minted)).collect::<Vec<_>>()
    };
    let exists = |file: &str| facts::exists(evidence, file);
    let secrets = correlate::Secrets { redact: &redact, tokens: &tokens };
    let reports = hosts::split(evidence, &system, reading)
        .into_iter()
        .map(|host| {
            // What logs and hives say; a file's times are those of its last copy.
            let last = coverage.iter().filter_map(|line| line.last).max();
            let settings = Settings {
                window: job.window,
                since: job.since.and_then(|bound| bound.resolve(last)),
                until: job.until.and_then(|bound| bound.resolve(last)),
            };
            let own = if host.is_own { coverage.clone() } else { Vec::new() };
            let facts = if host.is_own { &system } else { &host.system };
            let known = correlate::Evidence { coverage: &own, system: facts, exists: &exists };
            let conclusion =
                correlate::conclude(&host.name, host.events, &tools, &known, &settings, &secrets);
            let running = host.is_own && evidence.is_running;
            HostReport {
                volatile: running.then(|| volatile::shown(&evidence.volatile, &redact)),
                host: host.name,
                system: if host.is_own { system.clone() } else { host.system },
                source: evidence.label.clone(),
                rows: conclusion.rows,
                chains: conclusion.chains,
                verdict: conclusion.verdict,
                coverage: own,
                problems: if host.is_own { problems.clone() } else { Vec::new() },
                sidecars: if host.is_own { sidecars.clone() } else { BTreeMap::new() },
            }
        })
        .collect();
    (reports, nested.hosts)
}

/// A text as results show it.
fn shown(job: &Job, text: &str) -> String {
    match job.reveal_secrets {
        true => text.to_owned(),
        false => secret::redact_text(text).into_owned(),
    }
}

/// The output must not change the evidence.
fn refuse_output_on_source(job: &Job) -> Result<(), RunError> {
    if job.allow_output_on_source {
        return Ok(());
    }
    if let Some(wanted) = &job.live
        && let Some(source_path) = live::holds_evidence(wanted, &job.output)
    {
        return Err(RunError::OutputOnSource { output: job.output.clone(), source_path });
    }
    let real = |path: &PathBuf| {
        let mut existing = path.as_path();
        loop {
            if let Ok(found) = existing.canonicalize() {
                return Some(found);
            }
            existing = match existing.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => return std::env::current_dir().ok(),
            };
        }
    };
    for source_path in &job.sources {
        let inside = match (real(&job.output), source_path.canonicalize().ok()) {
            (Some(output), Some(source)) => output.starts_with(&source),
            _ => false,
        };
        if inside {
            let (output, source_path) = (job.output.clone(), source_path.clone());
            return Err(RunError::OutputOnSource { output, source_path });
        }
    }
    Ok(())
}

/// A problem that concerns the whole source.
fn problem(stage: Stage, message: impl Into<String>) -> Problem {
    Problem { path: None, locator: None, stage, message: message.into() }
}
