//! Writes what was found. The only code of the crate that writes, and never onto
//! evidence.
//!
//! [`write_host`] fills one folder per host and seals it in a bundle,
//! [`write_hosts`] the table over all hosts, [`Record`] what is done of a batch,
//! [`summary_text`] what a person reads at the end. Everything but run.json and the bundle is a function of the report
//! alone: same report, same bytes. Rows arrive sorted and redacted; escaping is
//! done here.

mod bodyfile;
mod bundle;
mod column;
mod coverage;
mod csv;
mod findings;
mod fresh;
mod grouped;
mod hosts;
mod jsonl;
mod record;
mod report;
mod run_json;
mod verdict;
mod volatile;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::model::{HostReport, Problem};

pub use bodyfile::{append_finished as append_bodyfile, start as start_bodyfile};
pub use bundle::{Begun, Collected, begin as begin_bundle, whole_of};
pub use column::COLUMNS as TIMELINE_COLUMNS;
pub use coverage::{COVERAGE_COLUMNS, PROBLEM_COLUMNS};
pub use csv::{CsvStyle, escape_controls};
pub use findings::COLUMNS as FINDINGS_COLUMNS;
pub use grouped::{DNS_COLUMNS, SUMMARY_COLUMNS};
pub use hosts::{COLUMNS as HOSTS_COLUMNS, HostSummary, write_hosts};
pub use record::{
    Done, DoneHost, Entry, RECORD, Record, clear_host, finish_record, finished, read_record, settle,
};
pub use report::summary_text;
pub use run_json::{ImageFacts, RunFacts, SCHEMA as RUN_SCHEMA};
pub use verdict::SCHEMA as VERDICT_SCHEMA;
pub use volatile::{Kept, forget_volatile, keep_volatile, read_volatile};

/// The results that depend on nothing but the report, in the order written.
const RESULTS: [&str; 9] = [
    "findings.csv",
    "verdict.json",
    "timeline.csv",
    "timeline.jsonl",
    "notime.csv",
    "summary.csv",
    "dns.csv",
    "coverage.csv",
    PROBLEMS,
];

/// What could not be read; known in full when the bundle's copies are made.
const PROBLEMS: &str = "problems.csv";

/// Facts of a running machine; written before its files are read.
const VOLATILE: &str = "volatile.jsonl";

/// Longest host folder name, in bytes: 64 and a running number.
const MAX_HOST_NAME: usize = 80;

/// Bytes read at once when a file is hashed or copied.
const CHUNK_BYTES: usize = 64 << 10;

/// Which collected files go into the bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collect {
    /// None.
    None,
    /// Those that rows of level low or above rest on.
    #[default]
    Hits,
    /// All that were handed over.
    All,
}

/// Chain of custody, as the user stated it. Empty means not stated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Custody {
    /// The case's number or name.
    pub case: String,
    /// The number of the piece of evidence.
    pub evidence: String,
    /// Who collected it.
    pub examiner: String,
    /// Whatever else was said.
    pub note: String,
    /// How far the machine's clock was ahead of a trusted one, as it was read off.
    pub clock_offset: String,
}

/// What is written, and how.
#[derive(Clone, Debug, Default)]
pub struct ExportOptions {
    /// Whether a bundle is made.
    pub bundle: bool,
    /// `--csv-excel-safe`
    pub csv_excel_safe: bool,
    /// Appended to; [`start_bodyfile`] empties it before the first host.
    pub bodyfile: Option<PathBuf>,
    /// `--collect`
    pub collect: Collect,
    /// Goes to run.json and bag-info.txt.
    pub custody: Custody,
}

/// Why the results could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The disk or the quota is full, or the file system takes no larger file.
    #[error("{}: no space left to write the results", path.display())]
    NoSpace { path: PathBuf, source: io::Error },
    /// The place is read-only or belongs to somebody else.
    #[error("{}: not permitted to write the results: {source}", path.display())]
    Permission { path: PathBuf, source: io::Error },
    /// The volume was pulled out or unmounted while results were written to it.
    #[error("{}: is not the place any more that it was when the run began", path.display())]
    Gone { path: PathBuf },
    /// Refused for safety.
    #[error("{}: a link stands where results should go; nothing is written through it", path.display())]
    Link { path: PathBuf },
    /// Refused for safety.
    #[error("{host:?} is no name for a results folder: expected 1 to 80 of [A-Za-z0-9._~-]")]
    HostName { host: String },
    /// Anything else that the operating system reports.
    #[error("{}: cannot write the results: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl ExportError {
    /// The error for what happened at `path`.
    fn at(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::WriteZero => Self::NoSpace { path, source },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Permission { path, source }
            }
            _ => Self::Io { path, source },
        }
    }

    /// Whether writing was refused for safety rather than failed.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Link { .. } | Self::HostName { .. })
    }
}

/// Where results go, known again by the volume that it lies on.
#[derive(Clone, Debug)]
pub struct Destination {
    folder: PathBuf,
    volume: Option<u64>,
}

impl Destination {
    /// The folder as it is now.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), volume: volume(folder) }
    }

    /// Whether the folder is still there, on the same volume.
    ///
    /// # Errors
    ///
    /// [`ExportError::Gone`] when it is not.
    pub fn check(&self) -> Result<(), ExportError> {
        if self.folder.is_dir() && volume(&self.folder) == self.volume {
            return Ok(());
        }
        Err(ExportError::Gone { path: self.folder.clone() })
    }
}

/// What the system numbers a folder's volume by; other systems take drive letters away.
#[cfg(unix)]
fn volume(folder: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(folder).ok().map(|metadata| metadata.dev())
}

#[cfg(not(unix))]
fn volume(_: &Path) -> Option<u64> {
    None
}

/// A finished bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFile {
    /// In the host's folder.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Of the whole file, lower-case hexadecimal.
    pub sha256: String,
}

impl BundleFile {
    /// The file's own name.
    pub fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// What was written for one host.
#[derive(Clone, Debug)]
pub struct HostOutput {
    /// The host's folder.
    pub folder: PathBuf,
    /// The result files, in the order written; without the bundle.
    pub files: Vec<PathBuf>,
    /// The bundle, if one was asked for.
    pub bundle: Option<BundleFile>,
    /// What of the collected files could not be read; problems.csv has it, too.
    pub problems: Vec<Problem>,
}

/// Writes everything of one host to `dir/<report.host>/`.
///
/// # Errors
///
/// When a file cannot be written, a link stands in the way, or the host's name
/// could leave `dir`. What was finished before stays and is whole.
pub fn write_host(
    dir: &Path,
    report: &HostReport,
    run: &RunFacts,
    collected: &[Collected<'_>],
    options: &ExportOptions,
) -> Result<HostOutput, ExportError> {
    finish_host(dir, report, run, collected, options, None)
}

/// The same for a running machine, whose bundle was begun.
///
/// # Errors
///
/// As [`write_host`].
pub fn finish_host(
    dir: &Path,
    report: &HostReport,
    run: &RunFacts,
    collected: &[Collected<'_>],
    options: &ExportOptions,
    begun: Option<Begun>,
) -> Result<HostOutput, ExportError> {
    check_name(&report.host)?;
    let folder = dir.join(&report.host);
    fresh::enter_folder(&folder)?;
    let mut files = write_results(&folder, report, options)?;
    if let Some(facts) = &report.volatile {
        let path = folder.join(VOLATILE);
        volatile::write(&path, facts)?;
        files.push(path);
    }
    let described = files.clone();
    let results = describe(&described)?;
    let (run_path, problems_path) = (folder.join("run.json"), folder.join(PROBLEMS));
    // The bundle holds this first form, which cannot name the bundle's own hash.
    run_json::write(&run_path, &report.host, run, &options.custody, &results, None)?;
    files.push(run_path.clone());
    if let Some(path) = &options.bodyfile {
        bodyfile::append(path, &report.rows)?;
    }
    let mut output = HostOutput { folder, files, bundle: None, problems: Vec::new() };
    if options.bundle {
        let mut results = results;
        let met = |problems: &[Problem]| {
            let all: Vec<&Problem> = report.problems.iter().chain(problems).collect();
            coverage::write_problems(&problems_path, &report.host, all, style(options))?;
            results = describe(&described)?;
            run_json::write(&run_path, &report.host, run, &options.custody, &results, None)
        };
        let (bundle, problems) =
            bundle::write(&output, report, run, collected, options, begun, met)?;
        run_json::write(&run_path, &report.host, run, &options.custody, &results, Some(&bundle))?;
        output.bundle = Some(bundle);
        output.problems = problems;
    }
    Ok(output)
}

fn style(options: &ExportOptions) -> CsvStyle {
    if options.csv_excel_safe { CsvStyle::ExcelSafe } else { CsvStyle::Plain }
}

/// The files that depend on nothing but the report.
fn write_results(
    folder: &Path,
    report: &HostReport,
    options: &ExportOptions,
) -> Result<Vec<PathBuf>, ExportError> {
    let style = style(options);
    let rows = &report.rows;
    let files = RESULTS.map(|name| folder.join(name));
    let [findings, verdict, timeline, lines, notime, summary, dns, coverage, problems] = &files;
    findings::write(findings, report, style)?;
    verdict::write(verdict, report)?;
    csv::write_timeline(timeline, rows, style)?;
    jsonl::write_timeline(lines, rows)?;
    csv::write_notime(notime, rows, style)?;
    grouped::write_summary(summary, rows, style)?;
    grouped::write_dns(dns, rows, style)?;
    coverage::write_coverage(coverage, report, style)?;
    coverage::write_problems(problems, &report.host, report.problems.iter().collect(), style)?;
    Ok(files.to_vec())
}

fn describe(files: &[PathBuf]) -> Result<Vec<run_json::ResultFile>, ExportError> {
    files
        .iter()
        .map(|path| {
            let (size, sha256) = hash_file(path).map_err(|error| ExportError::at(path, error))?;
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            Ok(run_json::ResultFile { name, size, sha256 })
        })
        .collect()
}

/// Size in bytes and SHA-256 of a file.
pub(crate) fn hash_file(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut size = 0_u64;
    loop {
        let n = file.read(&mut buffer)?;
        let Some(read) = buffer.get(..n).filter(|read| !read.is_empty()) else { break };
        hasher.update(read);
        size = size.saturating_add(u64::try_from(n).unwrap_or_default());
    }
    Ok((size, hex(&hasher.finalize())))
}

/// SHA-256 of a text.
pub(crate) fn hash_text(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check_name(host: &str) -> Result<(), ExportError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._~-".contains(c);
    let good = (1..=MAX_HOST_NAME).contains(&host.len())
        && host.chars().all(allowed)
        && host.chars().any(|c| c != '.');
    if good { Ok(()) } else { Err(ExportError::HostName { host: host.to_owned() }) }
}
