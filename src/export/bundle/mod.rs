//! The bundle: results and collected evidence as one bag in one zip file.
//!
//! Streamed to `NAME.partial`, results first, then evidence, manifests last, and
//! renamed when it is safe on the disk. A run that dies leaves the `.partial`:
//! `adit verify` reads it by the headers before the members, and tools that
//! repair zip files do the same.

mod bag;
mod copy;
mod names;
mod zip;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::bag::Entry;
use self::names::Names;
use self::zip::Archive;
use super::verdict::to_text;
use super::{
    BundleFile, CHUNK_BYTES, Collect, ExportError, ExportOptions, HostOutput, RunFacts, hash_file,
    hex,
};
use crate::model::{EvidencePath, HostReport, Level, Problem, ReadAt, Stage};

/// Name and version of data/manifest.json.
const MANIFEST_SCHEMA: &str = "adit-manifest/1";

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

/// Writes the bundle into the host's folder.
pub(super) fn write(
    output: &HostOutput,
    report: &HostReport,
    run: &RunFacts,
    collected: &[Collected<'_>],
    options: &ExportOptions,
) -> Result<(BundleFile, Vec<Problem>), ExportError> {
    let name = format!("adit_{}_{}.zip", report.host, run.finished.strftime("%Y%m%dT%H%M%SZ"));
    let path = output.folder.join(name);
    let mut archive = Archive::create(&path)?;
    let mut tags = vec![add_bytes(&mut archive, "bagit.txt", bag::DECLARATION.as_bytes())?];
    let mut payload = Vec::new();
    for file in &output.files {
        payload.push(add_result(&mut archive, file)?);
    }
    let mut problems = Vec::new();
    let mut described = Vec::new();
    let mut names = Names::default();
    for file in selected(report, collected, options.collect) {
        let name = names.of(file.path.as_str());
        let copied = copy::copy(&mut archive, &name, file.bytes)?;
        problems.extend(copied.errors.iter().map(|message| Problem {
            path: Some(file.path.clone()),
            locator: None,
            stage: Stage::Export,
            message: message.clone(),
        }));
        described.push(describe(file, &name, &copied));
        payload.push(Entry { name, size: copied.size, sha256: copied.before });
    }
    let manifest = json!({ "schema": MANIFEST_SCHEMA, "files": described });
    let manifest = to_text(&manifest).map_err(|error| ExportError::at(&path, error))?;
    payload.push(add_bytes(&mut archive, "data/manifest.json", &manifest)?);
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

/// Adds a file that this run wrote.
fn add_result(archive: &mut Archive, path: &Path) -> Result<Entry, ExportError> {
    let failed = |error| ExportError::at(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let file_name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("data/results/{file_name}");
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
