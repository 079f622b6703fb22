//! Lists volumes for `tests/compare/*.py`; does nothing when no jobs are given.
//!
//! `ADIT_LIST_JOBS` names a file of lines `image TAB offset TAB bytes TAB result`.
//! Each volume's entries go to `result` as CSV, its problems to `result` + `.problems`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex};

use adit::model::{Problem, ReadAt};
use adit::source::filesystem::{self, Format, OpenError, recognize};
use adit::source::{Entry, Filesystem, Kind, Remains, State};
use sha2::{Digest, Sha256};

const COLUMNS: &str = "path,kind,state,size,id,created,modified,changed,accessed,\
name_created,name_modified,name_changed,name_accessed,link_target,sha256";

/// A part of an image file.
struct Part {
    file: Mutex<File>,
    start: u64,
    size: u64,
}

impl ReadAt for Part {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = left.min(buf.len());
        let mut file = self.file.lock().unwrap();
        file.seek(SeekFrom::Start(self.start + offset))?;
        file.read(&mut buf[..len])
    }
}

#[test]
fn list_the_volumes_asked_for() {
    let Ok(jobs) = std::env::var("ADIT_LIST_JOBS") else { return };
    for line in fs::read_to_string(jobs).unwrap().lines() {
        let [image, offset, size, result] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not a job: {line}");
        };
        let part = Part {
            file: Mutex::new(File::open(image).unwrap()),
            start: offset.parse().unwrap(),
            size: size.parse().unwrap(),
        };
        let (csv, problems) = list(Arc::new(part));
        fs::write(result, csv).unwrap();
        fs::write(format!("{result}.problems"), problems).unwrap();
    }
}

fn open(volume: Arc<dyn ReadAt>) -> Result<Box<dyn Filesystem>, String> {
    let found = recognize(&*volume);
    match found.format {
        Some(Format::Ext) => boxed(filesystem::ext::open(volume, "/")),
        Some(Format::Fat) => boxed(filesystem::fat::open(volume, "E:\\")),
        Some(Format::ExFat) => boxed(filesystem::exfat::open(volume, "E:\\")),
        _ => Err(format!("{}: {}", found.name, found.why)),
    }
}

fn boxed<T: Filesystem + 'static>(
    opened: Result<T, OpenError>,
) -> Result<Box<dyn Filesystem>, String> {
    match opened {
        Ok(tree) => Ok(Box::new(tree)),
        Err(error) => Err(error.to_string()),
    }
}

fn list(volume: Arc<dyn ReadAt>) -> (String, String) {
    let mut csv = format!("{COLUMNS}\n");
    let mut problems = String::new();
    let tree = match open(volume) {
        Ok(tree) => tree,
        Err(error) => return (csv, error),
    };
    let mut entries = Vec::new();
    tree.walk(&mut |entry| entries.push(entry), &mut |problem: Problem| {
        let path = problem.path.unwrap_or_default();
        writeln!(problems, "{path}: {}", problem.message).unwrap();
    });
    for entry in entries {
        row(&mut csv, &*tree, &entry);
    }
    (csv, problems)
}

fn row(csv: &mut String, tree: &dyn Filesystem, entry: &Entry) {
    let kind = match entry.kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Link => "link",
        Kind::Special => "special",
    };
    let state = match entry.state {
        State::Present => "present",
        State::Deleted(Remains::Whole) => "deleted-whole",
        State::Deleted(Remains::Likely) => "deleted-likely",
        State::Deleted(Remains::Nothing) => "deleted-nothing",
    };
    let id = entry.id.map(|id| id.number.to_string()).unwrap_or_default();
    let time = |at: Option<_>| at.map(|at: jiff::Timestamp| format!("{at:.7}")).unwrap_or_default();
    let names = entry.name_times.as_deref().copied().unwrap_or_default();
    let hash = if entry.is_file() { hash(tree, entry) } else { String::new() };
    let mut cells = vec![
        entry.path.as_str().to_owned(),
        kind.to_owned(),
        state.to_owned(),
        entry.size.to_string(),
        id,
    ];
    for times in [entry.times, names] {
        let all = [times.created, times.modified, times.changed, times.accessed];
        cells.extend(all.map(time));
    }
    cells.push(entry.link_target.clone().unwrap_or_default());
    cells.push(hash);
    let cells: Vec<String> =
        cells.into_iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
    writeln!(csv, "{}", cells.join(",")).unwrap();
}

/// SHA-256 of the content, or why there is none.
fn hash(tree: &dyn Filesystem, entry: &Entry) -> String {
    let bytes = match tree.open(entry) {
        Ok(bytes) => bytes,
        Err(error) => return error.to_string(),
    };
    let mut hasher = Sha256::new();
    let mut buf = vec![0; 1 << 16];
    let mut at = 0;
    loop {
        match bytes.read_at(at, &mut buf) {
            Ok(0) => break,
            Ok(n) => hasher.update(&buf[..n]),
            Err(error) => return error.to_string(),
        }
        at += buf.len() as u64;
    }
    hasher.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
