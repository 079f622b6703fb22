//! Checks a folder of results: bundles, the files beside them, and the record that says
//! what is done.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{BundleState, MAX_RUN_JSON, VerifyError, VerifyReport, verify_bundle};
use crate::export::{self, Entry, RECORD};

/// Most entries of the folder that are looked at.
const MAX_ENTRIES: usize = 1_000_000;

/// Whether a folder is one that adit writes results to: its record is there, or a host's
/// results. A run that died before it wrote anything leaves an empty one.
pub fn is_output(folder: &Path) -> bool {
    let host = |path: &PathBuf| path.join("run.json").is_file() || !bundles(path).is_empty();
    folder.is_dir()
        && (folder.join(RECORD).exists()
            || host(&folder.to_owned())
            || entries(folder).iter().any(host)
            || entries(folder).iter().all(|path| path.to_string_lossy().ends_with(".partial")))
}

/// Checks every bundle and result in a folder of results.
///
/// # Errors
///
/// When the folder, or a file in it, cannot be read.
pub fn verify_output(folder: &Path) -> Result<VerifyReport, VerifyError> {
    let mut report = VerifyReport {
        state: BundleState::Complete,
        checked: 0,
        failures: Vec::new(),
        remarks: Vec::new(),
    };
    let mut hosts: Vec<PathBuf> = entries(folder);
    hosts.retain(|path| path.is_dir());
    hosts.push(folder.to_owned());
    for host in &hosts {
        results(host, &mut report);
        for bundle in bundles(host) {
            let name = bundle.strip_prefix(folder).unwrap_or(&bundle).display().to_string();
            let found = verify_bundle(&bundle)?;
            report.checked = report.checked.saturating_add(found.checked);
            report.failures.extend(found.failures.iter().map(|what| format!("{name}: {what}")));
            report.remarks.extend(found.remarks.iter().map(|what| format!("{name}: {what}")));
        }
    }
    record(folder, &mut report);
    report.state = match (report.failures.is_empty(), report.remarks.is_empty()) {
        (false, _) => BundleState::Damaged,
        (true, false) => BundleState::IncompleteConsistent,
        (true, true) => BundleState::Complete,
    };
    Ok(report)
}

/// What the record says is not done.
fn record(folder: &Path, report: &mut VerifyReport) {
    let is_host = folder.join("run.json").is_file();
    match export::read_record(folder) {
        Ok(entries) if entries.is_empty() && !is_host => {
            report.remarks.push("no source was done when the run ended".to_owned());
        }
        Ok(entries) => {
            let done = |source: &str| {
                let mut all = entries.iter();
                all.any(|entry| matches!(entry, Entry::Done(_)) && entry.source() == source)
            };
            for entry in entries.iter().filter(|entry| !done(entry.source())) {
                report.remarks.push(format!("{}: begun, not done", entry.source()));
            }
        }
        Err(error) => report.failures.push(error.to_string()),
    }
}

/// Holds a host's results against what run.json beside them says.
fn results(host: &Path, report: &mut VerifyReport) {
    let path = host.join("run.json");
    let small = fs::metadata(&path).is_ok_and(|found| found.len() <= MAX_RUN_JSON);
    if !small {
        return;
    }
    let run = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let Some(run) = run else {
        report.failures.push(format!("{}: is no JSON", path.display()));
        return;
    };
    for result in run.get("results").and_then(Value::as_array).map_or(&[][..], Vec::as_slice) {
        let text = |key: &str| result.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = Path::new(text("name"));
        let Some(name) = name.file_name().filter(|file| Path::new(file) == name) else { continue };
        let at = host.join(name);
        match export::hash_file(&at) {
            Ok((_, found)) if found == text("sha256") => {
                report.checked = report.checked.saturating_add(1);
            }
            Ok((_, found)) => report.failures.push(format!(
                "{}: run.json records SHA-256 {}, found {found}",
                at.display(),
                text("sha256")
            )),
            Err(error) => report.failures.push(format!("{}: {error}", at.display())),
        }
    }
    let bundle = run.get("bundle").and_then(|bundle| bundle.get("name")).and_then(Value::as_str);
    if let Some(name) = bundle.filter(|name| !host.join(name).is_file()) {
        report
            .failures
            .push(format!("{}: missing, though run.json names it", host.join(name).display()));
    }
}

fn bundles(host: &Path) -> Vec<PathBuf> {
    let mut found = entries(host);
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(".partial").unwrap_or(&name);
        path.is_file() && name.starts_with("adit_") && name.ends_with(".zip")
    });
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut all: Vec<PathBuf> = entries.flatten().map(|e| e.path()).take(MAX_ENTRIES).collect();
    all.sort();
    all
}
