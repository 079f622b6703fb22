//! Damaged evidence: every small sample cut at ten points and with one byte in a hundred
//! flipped. The program neither panics nor hangs, and says so where records were lost.
//!
//! `tests/robustness.py` does the same with any folder of files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Larger samples are left to `robustness.py`.
const MAX_SAMPLE: u64 = 160 * 1024;
/// What counts as a hang, in a debug build on a busy machine.
const HANG: Duration = Duration::from_secs(120);
const CUTS: u64 = 10;
/// Samples whose mutants are scanned by one run: it takes longer to start than to scan one's.
const TOGETHER: usize = 8;
/// Of the mutants of a log or hive, those that are also scanned alone.
const ALONE: [u64; 2] = [5, CUTS];

/// Marsaglia's xorshift with a multiplier: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn new(name: &str, index: u64) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
        Self((hash ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15)).max(1))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

/// The sample with its index-th damage: 0..10 cut short, 10 bytes flipped.
fn damage(name: &str, sample: &[u8], index: u64) -> Vec<u8> {
    let mut random = Random::new(name, index);
    if index < CUTS {
        return sample[..random.below(sample.len())].to_vec();
    }
    let mut bytes = sample.to_vec();
    for _ in 0..sample.len().div_ceil(100) {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 + random.below(255) as u8;
    }
    bytes
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes(b.try_into().unwrap()) as usize)
}

/// Whether the damage certainly took records: a log's chunk, or a hive's bins, that are no
/// longer all there, or records of a log that no longer have their checksum.
fn lost(sample: &[u8], bytes: &[u8]) -> bool {
    if sample.starts_with(b"regf") {
        return bytes.len() < (4096 + u32_at(sample, 40)).min(sample.len());
    }
    if !sample.starts_with(b"ElfFile\0") {
        return false;
    }
    (4096..sample.len()).step_by(65536).any(|chunk| {
        if !sample[chunk..].starts_with(b"ElfChnk\0") {
            return false;
        }
        let end = (chunk + u32_at(sample, chunk + 48)).min(sample.len());
        let start = (chunk + 512).min(end);
        start < end && bytes.get(start..end) != Some(&sample[start..end])
    })
}

/// What a scan came to: its exit code (none if it hung or was killed), what it said, and
/// whether it wrote a row of problems.csv.
struct Outcome {
    code: Option<i32>,
    said: String,
    problems: bool,
}

fn scan(sources: &[PathBuf], out: &Path) -> Outcome {
    let mut child = Command::new(env!("CARGO_BIN_EXE_adit"))
        .args(["scan", "--profile", "ngrok", "--no-bundle", "--progress", "none"])
        .args(sources)
        .arg("-o")
        .arg(out)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stderr.take().unwrap();
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        pipe.read_to_end(&mut said).ok();
        String::from_utf8_lossy(&said).into_owned()
    });
    let code = wait(&mut child);
    let said = reader.join().unwrap();
    Outcome { code, said, problems: has_problems(out) }
}

fn wait(child: &mut Child) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if start.elapsed() > HANG {
            child.kill().ok();
            child.wait().ok();
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn has_problems(out: &Path) -> bool {
    walkdir::WalkDir::new(out)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_name() == "problems.csv")
        .any(|entry| fs::read_to_string(entry.path()).is_ok_and(|text| text.lines().count() > 1))
}

/// A sample's name, and the folders of its mutants.
type Mutants<'a> = (&'a str, Vec<PathBuf>);

/// Writes every mutant of a sample into a folder of its own.
fn write_mutants<'a>(name: &'a str, file: &Path, to: &Path) -> Mutants<'a> {
    let sample = fs::read(file).unwrap();
    let written = (0..=CUTS).map(|index| {
        let place = to.join(format!("m{index}"));
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join(file.file_name().unwrap()), damage(name, &sample, index)).unwrap();
        place
    });
    (name, written.collect())
}

/// What is wrong with the program's answer to all mutants of these samples: where there is,
/// each sample's are scanned apart, so that it is named.
fn complaint(of: &[Mutants<'_>], folder: &Path) -> Vec<String> {
    let all: Vec<PathBuf> = of.iter().flat_map(|(_, places)| places).cloned().collect();
    let out = tempfile::tempdir_in(folder).unwrap();
    let together = scan(&all, out.path());
    if matches!(together.code, Some(0 | 3 | 4)) && !together.said.contains("panicked at") {
        return Vec::new();
    }
    let names: Vec<&str> = of.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    let mut found = vec![format!("{names}: exit {:?}: {}", together.code, together.said)];
    if of.len() > 1 {
        found.extend(of.chunks(1).flat_map(|one| complaint(one, folder)));
    }
    found
}

/// What is wrong with the program's answer to these samples' mutants.
fn complaints(samples: &[(String, PathBuf)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mutants: Vec<Mutants<'_>> = samples
        .iter()
        .enumerate()
        .map(|(at, (name, file))| write_mutants(name, file, &folder.path().join(at.to_string())))
        .collect();
    let mut found = complaint(&mutants, folder.path());
    for ((_, file), (name, places)) in samples.iter().zip(&mutants) {
        found.extend(unsaid(name, file, places, folder.path()));
    }
    found
}

/// Mutants of a log or a hive that lost records without a word.
fn unsaid(name: &str, file: &Path, places: &[PathBuf], folder: &Path) -> Vec<String> {
    let sample = fs::read(file).unwrap();
    let mut found = Vec::new();
    // A transaction log is no hive of its own, though it begins like one.
    let hive = sample.starts_with(b"regf") && !name.to_ascii_uppercase().contains(".LOG");
    if !hive && !sample.starts_with(b"ElfFile\0") {
        return found;
    }
    for index in ALONE {
        let out = tempfile::tempdir_in(folder).unwrap();
        let one = scan(&places[index as usize..=index as usize], out.path());
        let said = match one.code {
            Some(0) => !lost(&sample, &damage(name, &sample, index)),
            Some(3) => one.problems,
            Some(4) => true,
            _ => false,
        };
        if !said || one.said.contains("panicked at") {
            let (code, problems) = (one.code, one.problems);
            let text = format!("{name}, mutant {index}: exit {code:?}, problems {problems}");
            found.push(format!("{text}: {}", one.said));
        }
    }
    found
}

#[test]
fn damage_never_panics_hangs_or_goes_unsaid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut samples = Vec::new();
    for entry in walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().flatten() {
        let name = entry.path().strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let whole_host = name.starts_with("hosts");
        // What samples are compared with is no evidence.
        let told = name.ends_with(".expected") || name.starts_with("detect");
        let size = entry.metadata().unwrap().len();
        let fits = !whole_host && !told && (1..=MAX_SAMPLE).contains(&size);
        if entry.file_type().is_file() && fits {
            samples.push((name, entry.into_path()));
        }
    }
    let groups: Vec<_> = samples.chunks(TOGETHER).collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(of) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                    found.lock().unwrap().extend(complaints(of));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
