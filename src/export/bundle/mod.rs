//! The bundle: results and collected evidence as one bag in one zip file.
//!
//! Streamed to `NAME.partial`, results first, then evidence, then what went wrong with
//! that, manifests last, and renamed when it is safe on the disk. That of a running machine is begun before
//! any file of it is read, with its volatile facts. A run that dies leaves the `.partial`:
//! every zip tool opens it, and `adit verify` reads it by the headers before the members.

mod bag;
mod copy;
mod ending;
mod names;
mod zip;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::bag::Entry;
pub use self::ending::whole_of;
use self::names::Names;
use self::zip::Archive;
use super::verdict::to_text;
use super::{
    BundleFile, CHUNK_BYTES, Collect, ExportError, ExportOptions, HostOutput, RunFacts, hash_file,
    hex,
};
use crate::model::{EvidencePath, HostReport, Level, Problem, ReadAt, Saved, Stage, Volatile};

/// Name and version of data/manifest.json.
const MANIFEST_SCHEMA: &str = "adit-manifest/1";

/// Results that tell how the copying went.
const LATE: [&str; 2] = [super::PROBLEMS, "run.json"];

/// Who examines what since when, written first.
const STARTED: &str = "data/started.json";

/// What the files are called that a hive or a database is incomplete without.
const SIDECARS: [&str; 5] = [".log1", ".log2", "-wal", "-shm", "-journal"];

/// A file of the evidence that may go into the bundle.
pub struct Collected<'a> {
    /// In the evidence's own notation; becomes its name in the bundle.
    pub path: EvidencePath,
    /// Its content; read twice, to tell whether it changed meanwhile.
    pub bytes: &'a dyn ReadAt,
    /// How it is read: `api`, `raw`, `image`, `vss2`.
    pub method: &'static str,
    /// Its times and what they mean (`File Created`), as the source has them.
    pub times: Vec<(String, Timestamp)>,
    /// The volume it lies on.
    pub volume: String,
}

/// A bundle that was begun before the evidence was read: it holds what is gone soonest.
pub struct Begun {
    host: String,
    archive: Archive,
    tags: Vec<Entry>,
    payload: Vec<Entry>,
    described: Vec<Value>,
    names: Names,
}

impl Begun {
    fn new(host: &str, path: &Path) -> Result<Self, ExportError> {
        let mut archive = Archive::create(path)?;
        archive.add_durably("bagit.txt", bag::DECLARATION.as_bytes())?;
        let tags = vec![Entry::of("bagit.txt", bag::DECLARATION.as_bytes())];
        let (payload, described, names) = (Vec::new(), Vec::new(), Names::default());
        Ok(Self { host: host.to_owned(), archive, tags, payload, described, names })
    }

    /// Whether it is that host's.
    pub fn is_of(&self, host: &str) -> bool {
        self.host == host
    }

    /// Copies a file of the evidence; what could not be read of it.
    fn copy(&mut self, file: &Collected<'_>) -> Result<Vec<Problem>, ExportError> {
        let name = self.names.of(file.path.as_str());
        let copied = copy::copy(&mut self.archive, &name, file.bytes)?;
        self.described.push(describe(file, &name, &copied));
        self.payload.push(Entry { name, size: copied.size, sha256: copied.before });
        let problem = |message: &String| Problem {
            path: Some(file.path.clone()),
            locator: None,
            stage: Stage::Export,
            message: message.clone(),
        };
        Ok(copied.errors.iter().map(problem).collect())
    }

    /// Adds results that are not in it yet.
    fn results<'a>(&mut self, files: impl Iterator<Item = &'a PathBuf>) -> Result<(), ExportError> {
        for file in files {
            let name = member_of(file);
            if !self.payload.iter().any(|entry| entry.name == name) {
                self.payload.push(add_result(&mut self.archive, file)?);
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), ExportError> {
        self.payload.push(add_bytes(&mut self.archive, name, bytes)?);
        Ok(())
    }
}

/// Begins the bundle of a running machine: its volatile facts, what no file of it holds,
/// and who asked for it when. All of that is on the disk when this returns.
///
/// # Errors
///
/// When it cannot be written, or a link stands in the way.
pub fn begin(
    dir: &Path,
    host: &str,
    run: &RunFacts,
    options: &ExportOptions,
    facts: &[Volatile],
    saved: &[Saved],
) -> Result<Option<Begun>, ExportError> {
    super::check_name(host)?;
    let folder = dir.join(host);
    super::fresh::enter_folder(&folder)?;
    let results = folder.join(super::VOLATILE);
    super::volatile::write(&results, facts)?;
    if !options.bundle {
        return Ok(None);
    }
    let mut begun = Begun::new(host, &path_of(&folder, host, run.started))?;
    begun.payload.push(add_result(&mut begun.archive, &results)?);
    for saved in saved.iter().filter(|_| options.collect != Collect::None) {
        let (path, bytes) = (saved.path.clone(), &*saved.bytes);
        let volume = String::new();
        begun.copy(&Collected { path, bytes, method: saved.method, times: vec![], volume })?;
    }
    let started = super::run_json::started(host, run, &options.custody);
    let started =
        to_text(&started).map_err(|error| ExportError::at(begun.archive.path(), error))?;
    begun.archive.add_durably(STARTED, &started)?;
    begun.payload.push(Entry::of(STARTED, &started));
    Ok(Some(begun))
}

fn path_of(folder: &Path, host: &str, at: Timestamp) -> PathBuf {
    folder.join(format!("adit_{host}_{}.zip", at.strftime("%Y%m%dT%H%M%SZ")))
}

/// Writes the bundle into the host's folder, or the rest of one that was begun; `met`
/// gets what could not be read, if anything, and writes the results that tell of it.
pub(super) fn write(
    output: &HostOutput,
    report: &HostReport,
    run: &RunFacts,
    collected: &[Collected<'_>],
    options: &ExportOptions,
    begun: Option<Begun>,
    met: impl FnOnce(&[Problem]) -> Result<(), ExportError>,
) -> Result<(BundleFile, Vec<Problem>), ExportError> {
    let mut bundle = match begun {
        Some(begun) => begun,
        None => Begun::new(&report.host, &path_of(&output.folder, &report.host, run.finished))?,
    };
    let path = bundle.archive.path().to_owned();
    let is_late = |file: &&PathBuf| LATE.iter().any(|name| file.ends_with(name));
    bundle.results(output.files.iter().filter(|file| !is_late(file)))?;
    let mut problems = Vec::new();
    for file in selected(report, collected, options.collect) {
        problems.extend(bundle.copy(file)?);
    }
    if !problems.is_empty() {
        met(&problems)?;
    }
    bundle.results(output.files.iter().filter(is_late))?;
    let manifest = json!({ "schema": MANIFEST_SCHEMA, "files": bundle.described });
    let manifest = to_text(&manifest).map_err(|error| ExportError::at(&path, error))?;
    bundle.add("data/manifest.json", &manifest)?;
    if !run.actions.is_empty() {
        bundle.add("data/actions.log", super::run_json::actions_log(&run.actions).as_bytes())?;
    }
    let Begun { mut archive, mut tags, payload, .. } = bundle;
    let info = bag::info(&report.host, run, &options.custody, &payload);
    tags.push(add_bytes(&mut archive, "bag-info.txt", info.as_bytes())?);
    let list = bag::manifest(&payload);
    tags.push(add_bytes(&mut archive, "manifest-sha256.txt", list.as_bytes())?);
    let list = bag::manifest(&tags);
    add_bytes(&mut archive, "tagmanifest-sha256.txt", list.as_bytes())?;
    archive.finish()?;
    let (size, sha256) = hash_file(&path).map_err(|error| ExportError::at(&path, error))?;
    Ok((BundleFile { path, size, sha256 }, problems))
}

/// The files that the option asks for, by path; of one path the first alone.
fn selected<'a, 'b>(
    report: &HostReport,
    collected: &'a [Collected<'b>],
    collect: Collect,
) -> Vec<&'a Collected<'b>> {
    let mut needed: BTreeSet<String> = BTreeSet::new();
    for row in report.rows.iter().filter(|row| row.level >= Level::Low) {
        needed.insert(row.source_path.to_lowercase());
        needed.insert(row.path.to_lowercase());
    }
    let mut files: Vec<&Collected<'_>> = collected
        .iter()
        .filter(|file| match collect {
            Collect::None => false,
            Collect::Hits => is_needed(&needed, &file.path.as_str().to_lowercase()),
            Collect::All => true,
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    files
}

/// Whether rows rest on the file, or on the one that it completes.
fn is_needed(needed: &BTreeSet<String>, path: &str) -> bool {
    let completed = SIDECARS.iter().filter_map(|suffix| path.strip_suffix(suffix));
    std::iter::once(path).chain(completed).any(|path| needed.contains(path))
}

fn describe(file: &Collected<'_>, name: &str, copied: &copy::Copied) -> Value {
    let times = file.times.iter();
    let times = times.map(|(meaning, at)| json!({ "meaning": meaning, "at": format!("{at:.7}") }));
    json!({
        "name": name,
        "path": file.path.as_str(),
        "volume": file.volume,
        "times": times.collect::<Vec<_>>(),
        "size": copied.size,
        "sha256_before": copied.before,
        "sha256_after": copied.after,
        "method": file.method,
        "read_errors": copied.errors,
    })
}

fn add_bytes(archive: &mut Archive, name: &str, bytes: &[u8]) -> Result<Entry, ExportError> {
    archive.begin(name, u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
    archive.write(bytes)?;
    Ok(Entry::of(name, bytes))
}

/// The name of a file of the results in the bundle.
fn member_of(path: &Path) -> String {
    format!("data/results/{}", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Adds a file that this run wrote.
fn add_result(archive: &mut Archive, path: &Path) -> Result<Entry, ExportError> {
    let failed = |error| ExportError::at(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let name = member_of(path);
    archive.begin(&name, size)?;
    let mut hasher = Sha256::new();
    let mut written = 0_u64;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let n = file.read(&mut buffer).map_err(failed)?;
        let Some(read) = buffer.get(..n).filter(|read| !read.is_empty()) else { break };
        hasher.update(read);
        archive.write(read)?;
        written = written.saturating_add(u64::try_from(n).unwrap_or_default());
    }
    Ok(Entry { name, size: written, sha256: hex(&hasher.finalize()) })
}
