//! The sample image and what tests do with it: read its disk, write it sparsely, scan.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use adit::source::container;
use tempfile::TempDir;

/// Name of the host on the image.
pub const HOST: &str = "LAB-07";
/// Below this many bytes at a time nothing is left out of a sparse file.
const BLOCK: usize = 64 << 10;

pub fn image() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/images/LAB-07.E01")
}

/// The bytes of the disk.
pub fn disk() -> Vec<u8> {
    let image = container::open(&image()).unwrap().expect("an image");
    let mut bytes = vec![0; image.disk.size() as usize];
    let mut at = 0;
    while at < bytes.len() {
        let n = image.disk.read_at(at as u64, &mut bytes[at..]).unwrap();
        assert!(n > 0, "the disk ends at {at:#x}");
        at += n;
    }
    bytes
}

/// Writes bytes with holes where nothing is.
pub fn write_sparse(path: &Path, bytes: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (number, block) in bytes.chunks(BLOCK).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            file.seek(SeekFrom::Start((number * BLOCK) as u64)).unwrap();
            file.write_all(block).unwrap();
        }
    }
}

/// What one run of the program gave.
pub struct Ran {
    /// None when it was ended because it took too long, or by a signal.
    pub code: Option<i32>,
    pub stderr: String,
    pub took: Duration,
    /// Every file it wrote but run.json, by path below the output.
    pub files: BTreeMap<String, String>,
}

impl Ran {
    /// A file of the host's folder; an empty text when it was not written.
    pub fn text(&self, name: &str) -> &str {
        self.files.get(&format!("{HOST}/{name}")).map_or("", String::as_str)
    }

    /// The rows of every file of that name.
    pub fn rows(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let named = |path: &&String| Path::new(path.as_str()).file_name() == Some(OsStr::new(name));
        let texts = self.files.keys().filter(named).map(|path| &self.files[path]);
        texts
            .flat_map(|text| csv::Reader::from_reader(text.as_bytes()).into_deserialize())
            .map(|row| row.unwrap())
            .collect()
    }
}

/// Scans, without a bundle, and gives up after `limit`.
pub fn scan(source: &Path, limit: Duration) -> Ran {
    let place = TempDir::new().unwrap();
    let out = place.path().join("out");
    let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
    command.args(["scan", "--no-bundle", "--progress", "none", "-o"]).arg(&out).arg(source);
    let (code, stderr, took) = run(command, limit);
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(&out).into_iter().flatten() {
        if entry.file_type().is_file() && entry.file_name() != "run.json" {
            let name = entry.path().strip_prefix(&out).unwrap().to_string_lossy().into_owned();
            let text = fs::read(entry.path()).unwrap();
            files.insert(name.replace('\\', "/"), String::from_utf8_lossy(&text).into_owned());
        }
    }
    Ran { code, stderr, took, files }
}

fn run(mut command: Command, limit: Duration) -> (Option<i32>, String, Duration) {
    let start = Instant::now();
    let (input, output) = (Stdio::null(), Stdio::null());
    let mut child = command.stdin(input).stdout(output).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stderr.take().unwrap();
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        pipe.read_to_end(&mut said).ok();
        String::from_utf8_lossy(&said).into_owned()
    });
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if start.elapsed() > limit {
            child.kill().ok();
            child.wait().ok();
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    (code, reader.join().unwrap(), start.elapsed())
}

/// Whether a program is installed.
pub fn has(program: &str) -> bool {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success())
}
