//! run.json: how the results came about; the only result with a clock in it.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::csv::escape_controls;
use super::verdict::write_json;
use super::{BundleFile, Custody, ExportError};
use crate::model::{Action, to_iso};

/// Name and version of the format.
pub const SCHEMA: &str = "adit-run/1";
/// Name and version of what a bundle begins with.
const STARTED_SCHEMA: &str = "adit-started/1";

/// What a run was, for run.json and the bundle's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// adit's own version.
    pub version: String,
    /// The command line's arguments, without the program's name.
    pub arguments: Vec<String>,
    /// When the program started.
    pub started: Timestamp,
    /// When the evidence was worked through; names the bundle.
    pub finished: Timestamp,
    /// Id and SHA-256 of every profile in use, by id.
    pub profiles: Vec<(String, String)>,
    /// Id and SHA-256 of every artifact definition in use, by id.
    pub artifacts: Vec<(String, String)>,
    /// Whether secrets stand in clear in the results.
    pub reveal_secrets: bool,
    /// Worker threads.
    pub threads: usize,
    /// The sources as the user named them.
    pub sources: Vec<String>,
    /// SHA-256 of the program, where it was taken.
    pub executable: Option<String>,
    /// What was done on a running machine, in order.
    pub actions: Vec<Action>,
    /// The disk image that the host lay in.
    pub image: Option<ImageFacts>,
}

/// A disk image and how much of it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// What it is, in a few words.
    pub format: String,
    /// All files it is made of.
    pub files: Vec<String>,
    /// Bytes of the disk.
    pub size: u64,
    /// Bytes of the disk that were read, repeated reads included.
    pub read: u64,
    /// Packed chunks that were unpacked, and how many of them not for the first time.
    pub unpacked: (u64, u64),
}

/// One result file, as run.json lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResultFile {
    pub(super) name: String,
    /// Bytes.
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// Writes run.json; `bundle` is known only outside of the bundle.
pub(super) fn write(
    path: &Path,
    host: &str,
    run: &RunFacts,
    custody: &Custody,
    results: &[ResultFile],
    bundle: Option<&BundleFile>,
) -> Result<(), ExportError> {
    let value = json!({
        "schema": SCHEMA,
        "host": host,
        "version": run.version,
        "arguments": run.arguments,
        "started": to_iso(run.started),
        "finished": to_iso(run.finished),
        "sources": run.sources,
        "threads": run.threads,
        "reveal_secrets": run.reveal_secrets,
        "image": run.image.as_ref().map(|image| json!({
            "format": image.format,
            "files": image.files,
            "size": image.size,
            "read": image.read,
            "chunks_unpacked": image.unpacked.0,
            "chunks_unpacked_again": image.unpacked.1,
        })),
        "custody": custody_of(custody),
        "executable_sha256": run.executable,
        "actions": run.actions.iter().map(|action| json!({
            "at": to_iso(action.at),
            "what": action.what,
        })).collect::<Vec<_>>(),
        "profiles": named(&run.profiles),
        "artifacts": named(&run.artifacts),
        "results": results.iter().map(|file| json!({
            "name": file.name,
            "size": file.size,
            "sha256": file.sha256,
        })).collect::<Vec<_>>(),
        "bundle": bundle.map(|bundle| json!({
            "name": bundle.name(),
            "size": bundle.size,
            "sha256": bundle.sha256,
        })),
    });
    write_json(path, &value)
}

/// What is known when the examination of a running machine begins.
pub(super) fn started(host: &str, run: &RunFacts, custody: &Custody) -> Value {
    json!({
        "schema": STARTED_SCHEMA,
        "host": host,
        "version": run.version,
        "arguments": run.arguments,
        "executable_sha256": run.executable,
        "started": to_iso(run.started),
        "custody": custody_of(custody),
        "actions": actions_log(&run.actions).lines().collect::<Vec<_>>(),
    })
}

/// A line for each action: when and what.
pub(super) fn actions_log(actions: &[Action]) -> String {
    let line = |a: &Action| format!("{}  {}\n", to_iso(a.at), escape_controls(&a.what));
    actions.iter().map(line).collect()
}

fn custody_of(custody: &Custody) -> Value {
    json!({
        "case": custody.case,
        "evidence": custody.evidence,
        "examiner": custody.examiner,
        "note": custody.note,
        "clock_offset": custody.clock_offset,
    })
}

fn named(hashes: &[(String, String)]) -> Vec<Value> {
    hashes.iter().map(|(id, sha256)| json!({ "id": id, "sha256": sha256 })).collect()
}
