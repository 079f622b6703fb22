//! The batch's record: which sources are done, so that `--resume` need not repeat
//! them.
//!
//! `.adit-batch.jsonl` in the output folder, a line for each source when its hosts
//! begin to be written and another when they are safe on the disk. A run that comes
//! to its end leaves the latter alone, in the order of the sources. A source is done
//! if its line says so and the files of its hosts are what run.json beside them says.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fresh::{Fresh, create_folder, refuse_link};
use super::{BundleFile, ExportError, HostOutput, HostSummary, check_name, hash_file};

/// The record's name in the output folder.
pub const RECORD: &str = ".adit-batch.jsonl";

/// Largest record and run.json that are read, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// A line of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Entry {
    /// The folders of a source's hosts, which are about to be written.
    Begun { source: String, folders: Vec<String> },
    /// A source whose hosts are written.
    Done(Done),
}

impl Entry {
    /// The file or folder that the hosts come from.
    pub fn source(&self) -> &str {
        match self {
            Self::Begun { source, .. } => source,
            Self::Done(done) => &done.source,
        }
    }

    /// The folders of its hosts.
    pub fn folders(&self) -> Vec<&str> {
        match self {
            Self::Begun { folders, .. } => folders.iter().map(String::as_str).collect(),
            Self::Done(done) => done.hosts.iter().map(DoneHost::folder).collect(),
        }
    }
}

/// A source that is done, and all that must be the same for it to be still so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The file or folder, as the user named it.
    pub source: String,
    /// The same for everything else that results depend on.
    pub settings: String,
    /// Files and folders that it is made of, and what tells them from changed ones.
    pub parts: Vec<(String, String)>,
    pub hosts: Vec<DoneHost>,
}

/// A host that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneHost {
    /// Its name before hosts of one name were told apart.
    pub name: String,
    /// SHA-256 of its verdict.json.
    pub verdict: String,
    /// Its row of hosts.csv.
    pub summary: HostSummary,
    /// What of it could not be read, files for the bundle included.
    pub problems: usize,
    /// Whether any file of it could be read.
    pub read: bool,
}

impl DoneHost {
    /// Its folder in the output.
    pub fn folder(&self) -> &str {
        &self.summary.host
    }
}

/// The record of a run that is under way.
#[derive(Debug)]
pub struct Record {
    file: File,
    path: PathBuf,
}

impl Record {
    /// Begins the record with the entries of an earlier run that are to stay.
    ///
    /// # Errors
    ///
    /// When it cannot be written or a link stands there.
    pub fn begin(dir: &Path, entries: &[Entry]) -> Result<Self, ExportError> {
        let path = write_all(dir, entries)?;
        refuse_link(&path)?;
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(|error| ExportError::at(&path, error))?;
        Ok(Self { file, path })
    }

    /// Adds an entry; it is safe on the disk when this returns.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn add(&mut self, entry: &Entry) -> Result<(), ExportError> {
        let written = line(entry).and_then(|line| self.file.write_all(&line));
        let synced = written.and_then(|()| self.file.sync_data());
        synced.map_err(|error| ExportError::at(&self.path, error))
    }
}

/// Writes the record of a run that came to its end.
///
/// # Errors
///
/// As [`Record::begin`].
pub fn finish_record(dir: &Path, entries: &[Entry]) -> Result<(), ExportError> {
    write_all(dir, entries).map(drop)
}

fn write_all(dir: &Path, entries: &[Entry]) -> Result<PathBuf, ExportError> {
    create_folder(dir)?;
    let path = dir.join(RECORD);
    let mut file = Fresh::create(&path)?;
    for entry in entries {
        let written = line(entry).and_then(|line| file.write_all(&line));
        written.map_err(|error| ExportError::at(&path, error))?;
    }
    file.finish_durably()?;
    sync_folder(dir);
    Ok(path)
}

/// Brings names given to files to the disk, where the system has a way to say so.
fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

fn line(entry: &Entry) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    Ok(line)
}

/// The record that an earlier run left, in the order written; empty when there is
/// none. A line that is no entry, like the last one of a run that died, is left out.
///
/// # Errors
///
/// When it is there and cannot be read, or is a link.
pub fn read_record(dir: &Path) -> Result<Vec<Entry>, ExportError> {
    let path = dir.join(RECORD);
    refuse_link(&path)?;
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = read_small(&path).map_err(|error| ExportError::at(&path, error))?;
    let lines = bytes.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

fn read_small(path: &Path) -> std::io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(std::io::Error::other("too large to be what adit wrote"));
    }
    fs::read(path)
}

/// Brings a host's files to the disk, and returns the SHA-256 of its verdict.json.
///
/// # Errors
///
/// When one of them cannot be written or read.
pub fn settle(output: &HostOutput) -> Result<String, ExportError> {
    for path in &output.files {
        // Windows flushes only what was opened for writing.
        let file = OpenOptions::new().write(true).open(path);
        let synced = file.and_then(|file| file.sync_all());
        synced.map_err(|error| ExportError::at(path, error))?;
    }
    sync_folder(&output.folder);
    let verdict = output.folder.join("verdict.json");
    let hashed = hash_file(&verdict).map_err(|error| ExportError::at(&verdict, error))?;
    Ok(hashed.1)
}

/// The output of a host that is done, if all of it is still there: every result of
/// the size and hash in run.json, the bundle of its size where one is wanted.
pub fn finished(dir: &Path, host: &DoneHost, bundle_wanted: bool) -> Option<HostOutput> {
    check_name(host.folder()).ok()?;
    let folder = dir.join(host.folder());
    refuse_link(&folder).ok()?;
    let run: Value = serde_json::from_slice(&read_small(&folder.join("run.json")).ok()?).ok()?;
    let mut files = Vec::new();
    for result in run.get("results")?.as_array()? {
        let path = folder.join(plain_name(result.get("name")?)?);
        let (size, sha256) = hash_file(&path).ok()?;
        let same =
            result.get("size")?.as_u64()? == size && result.get("sha256")?.as_str()? == sha256;
        let is_verdict = path.file_name() == Some(OsStr::new("verdict.json"));
        if !same || is_verdict && sha256 != host.verdict {
            return None;
        }
        files.push(path);
    }
    files.iter().find(|path| path.ends_with("verdict.json"))?;
    files.push(folder.join("run.json"));
    let bundle = match run.get("bundle").filter(|bundle| !bundle.is_null()) {
        Some(said) => Some(BundleFile {
            path: folder.join(plain_name(said.get("name")?)?),
            size: said.get("size")?.as_u64()?,
            sha256: said.get("sha256")?.as_str()?.to_owned(),
        }),
        None => None,
    };
    let is_there = |bundle: &BundleFile| {
        fs::symlink_metadata(&bundle.path).is_ok_and(|f| f.is_file() && f.len() == bundle.size)
    };
    let whole = bundle.as_ref().map_or(!bundle_wanted, |bundle| bundle_wanted && is_there(bundle));
    whole.then_some(HostOutput { folder, files, bundle, problems: Vec::new() })
}

/// A file's own name, not a way out of its folder.
fn plain_name(value: &Value) -> Option<&str> {
    let name = value.as_str()?;
    (Path::new(name).file_name() == Some(OsStr::new(name))).then_some(name)
}

/// Removes what adit wrote for a host, finished or not, and the folder if nothing
/// else is in it.
///
/// # Errors
///
/// When something cannot be removed.
pub fn clear_host(dir: &Path, host: &str) -> Result<(), ExportError> {
    check_name(host)?;
    let folder = dir.join(host);
    refuse_link(&folder)?;
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_own(&name, host) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::remove_file(entry.path()).map_err(|error| ExportError::at(&entry.path(), error))?;
        }
    }
    // Stays when something else is in it.
    let _ = fs::remove_dir(&folder);
    Ok(())
}

/// Whether a file in a host's folder has a name that adit gives.
fn is_own(name: &str, host: &str) -> bool {
    let name = name.strip_suffix(".partial").unwrap_or(name);
    let bundle = name.strip_prefix(&format!("adit_{host}_")).and_then(|n| n.strip_suffix(".zip"));
    let is_time = |text: &str| {
        text.len() == 16 && text.chars().all(|c| c.is_ascii_digit() || matches!(c, 'T' | 'Z'))
    };
    super::RESULTS.contains(&name)
        || [super::VOLATILE, "run.json"].contains(&name)
        || bundle.is_some_and(is_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_adit_gives_are_its_own() {
        for own in ["verdict.json", "timeline.csv.partial", "adit_WS_20260304T101112Z.zip.partial"]
        {
            assert!(is_own(own, "WS"), "{own}");
        }
        for other in ["notes.txt", "adit_WS_copy.zip", "adit_PC_20260304T101112Z.zip", "x.partial"]
        {
            assert!(!is_own(other, "WS"), "{other}");
        }
    }

    #[test]
    fn a_cut_line_is_left_out() {
        let place = tempfile::tempdir().unwrap();
        let begun = |n: u32| Entry::Begun { source: format!("{n}.E01"), folders: vec!["A".into()] };
        let mut record = Record::begin(place.path(), &[begun(1)]).unwrap();
        record.add(&begun(2)).unwrap();
        let path = place.path().join(RECORD);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"state\":\"done\",\"sour");
        fs::write(&path, bytes).unwrap();
        assert_eq!(read_record(place.path()).unwrap(), [begun(1), begun(2)]);
        assert!(read_record(&place.path().join("none")).unwrap().is_empty());
    }
}
