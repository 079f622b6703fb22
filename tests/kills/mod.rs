//! Runs that are killed at random moments: what they leave, and what completing them gives.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

/// Members of a bundle that tell of the run, not of the evidence.
const OF_THE_RUN: [&str; 5] =
    ["data/results/run.json", "data/started.json", "data/actions.log", "bag-info.txt", "manifest-"];

/// How often is killed: what `ADIT_KILLS` says, else the usual number.
fn kills(usual: u64) -> u64 {
    std::env::var("ADIT_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

fn run(mut command: Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
}

/// Exit code and words of `adit verify`.
pub fn verify(path: &Path) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_adit")).arg("verify").arg(path).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

/// The bundle's members and their content.
pub fn bundle(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let path = bundles(out).pop().expect("a bundle");
    let mut archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let count = archive.len();
    let member = |n| {
        let mut file = archive.by_index(n).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        (String::from_utf8_lossy(file.name_raw()).into_owned(), bytes)
    };
    (0..count).map(member).collect()
}

pub fn bundles(out: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(out).into_iter().flatten();
    let paths = files.map(walkdir::DirEntry::into_path);
    paths.filter(|path| path.to_string_lossy().contains(".zip")).collect()
}

/// Numbers that look random, from a seed that is told.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        println!("seed {seed}");
        Self(seed)
    }

    /// Below `most`.
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most.max(1)
    }
}

/// Everything that the evidence alone decides: result files, and members of the bundle.
pub fn results(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all: BTreeMap<String, Vec<u8>> = walkdir::WalkDir::new(out)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(out).unwrap().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).unwrap())
        })
        .filter(|(name, _)| {
            !name.ends_with("run.json") && !name.contains(".zip") && name != ".adit-batch.jsonl"
        })
        .collect();
    let ours = |name: &String| {
        !OF_THE_RUN.iter().any(|of| name.starts_with(of)) && !name.starts_with("tagmanifest")
    };
    all.extend(bundle(out).into_iter().filter(|(name, _)| ours(name)));
    all
}

pub fn assert_same(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>, when: &str) {
    let names = |all: &BTreeMap<String, Vec<u8>>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(one), names(other), "{when}");
    for (name, bytes) in one {
        assert!(*bytes == other[name], "{when}: {name} differs");
    }
}

/// Opens a bundle, whole or not, as any zip tool does; the members that it lists.
pub fn open(bundle: &Path) -> usize {
    // Killed before the first byte.
    if fs::metadata(bundle).unwrap().len() == 0 {
        return 0;
    }
    let mut archive = zip::ZipArchive::new(fs::File::open(bundle).unwrap()).unwrap();
    for n in 0..archive.len() {
        let mut member = archive.by_index(n).unwrap();
        std::io::copy(&mut member, &mut std::io::sink()).unwrap();
    }
    archive.len()
}

/// Kills runs at random moments; what each leaves is consistent, and completed is the
/// same as if nothing had happened.
///
/// `command` makes a run into a folder, and one that resumes it; `usual` is the number of
/// kills unless `ADIT_KILLS` says another; `check` sees what each kill left.
pub fn survives(usual: u64, command: &dyn Fn(&Path, bool) -> Command, check: &dyn Fn(&Path, &str)) {
    let place = TempDir::new().unwrap();
    // The first is slower: what it reads is not at hand yet.
    let [_, takes] = ["first", "whole"].map(|name| {
        let begun = Instant::now();
        run(command(&place.path().join(name), false));
        begun.elapsed()
    });
    let whole = place.path().join("whole");
    let expected = results(&whole);
    let mut random = Random::new();
    let (mut early, mut cut, mut late) = (0, 0, 0);
    for n in 0..kills(usual) {
        let out = place.path().join(format!("out{n}"));
        let mut child =
            command(&out, false).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let after = Duration::from_micros(random.below(takes.as_micros() as u64 * 11 / 10));
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
        let when = format!("kill {n} after {after:?}");
        if out.exists() {
            let (code, said) = verify(&out);
            let consistent = said.contains(": incomplete, consistent");
            assert!(
                consistent && code == 3 || said.contains(": complete") && code == 0,
                "{when}: {said}"
            );
            for bundle in bundles(&out) {
                let (_, said) = verify(&bundle);
                assert!(!said.contains("damaged"), "{when}: {said}");
                let listed = open(&bundle);
                println!("{when}: {listed} members listed; {said}");
            }
            check(&out, &when);
            if consistent { cut += 1 } else { late += 1 }
        } else {
            early += 1;
        }
        run(command(&out, true));
        assert!(verify(&out).1.contains(": complete"), "{when}: {}", verify(&out).1);
        assert_eq!(bundles(&out).len(), 1, "{when}: one bundle is left");
        assert_same(&expected, &results(&out), &when);
        fs::remove_dir_all(&out).unwrap();
    }
    println!("{early} killed before anything was written, {cut} in between, {late} after the end");
}
