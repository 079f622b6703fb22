//! Many sources in one run: what they share, what happens when one is broken or the run
//! is cut short, and how it goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const JUMP: &str = "testdata/hosts/JUMP-01";
const DEV: &str = "testdata/hosts/DEV-WS-11";
const RECORD: &str = ".adit-batch.jsonl";

type Files = BTreeMap<String, Vec<u8>>;

fn adit() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// A scan of sources into a folder; one tool is enough, and others need not be waited for.
fn scan(out: &Path, sources: &[PathBuf], more: &[&str]) -> Command {
    let mut command = adit();
    command.args(["scan", "--profile", "ngrok"]).args(sources).arg("--output").arg(out).args(more);
    command
}

/// Runs it, and expects an exit code.
fn run(command: &mut Command, code: i32) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Every file below a folder but links, by path with `/`.
fn contents(folder: &Path) -> Files {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten();
    entries
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap();
            (name.replace('\\', "/"), fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Those whose bytes the evidence alone decides.
fn reproducible(folder: &Path) -> Files {
    let mut files = contents(folder);
    files.retain(|name, _| !name.ends_with("/run.json") && !name.ends_with(".zip"));
    files
}

fn assert_same(one: &Files, other: &Files) {
    assert!(one.keys().eq(other.keys()), "{:?}\n{:?}", one.keys(), other.keys());
    for (name, bytes) in one {
        assert!(*bytes == other[name], "{name}");
    }
}

/// Copies of a host, without links, under the names given.
fn copies(of: &str, place: &Path, names: &[&str]) -> Vec<PathBuf> {
    let files = contents(&Path::new(env!("CARGO_MANIFEST_DIR")).join(of));
    let copy = |name: &&str| {
        for (file, bytes) in &files {
            let path = place.join(name).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        place.join(name)
    };
    names.iter().map(copy).collect()
}

/// The rows of hosts.csv by host.
fn hosts(out: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut table = csv::Reader::from_path(out.join("hosts.csv")).unwrap();
    let rows = table.deserialize().map(|row| row.unwrap());
    rows.map(|row: BTreeMap<String, String>| (row["host"].clone(), row)).collect()
}

fn bundles(folder: &Path) -> Vec<String> {
    let names = contents(folder).into_keys();
    names.filter(|name| name.contains(".zip")).collect()
}

#[test]
fn what_hosts_share_is_seen_at_once() {
    let place = TempDir::new().unwrap();
    let out = place.path().join("out");
    run(&mut scan(&out, &[JUMP.into(), DEV.into()], &["--no-bundle"]), 0);
    let apart = hosts(&out);
    assert_eq!(apart["JUMP-01"]["shared_with"], "");
    // The same agent with the same account on the developer's machine.
    let other = copies(DEV, place.path(), &["dev"]).remove(0);
    for name in ["ngrok.exe", "n.yml"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(JUMP).join("PerfLogs").join(name);
        fs::copy(from, other.join("Tools").join(name)).unwrap();
    }
    run(&mut scan(&out, &[JUMP.into(), other], &["--no-bundle"]), 0);
    let together = hosts(&out);
    let (jump, dev) = (&together["JUMP-01"], &together["DEV-WS-11"]);
    assert_eq!(dev["credentials"], "cr_2aBcDeFgHiJkLmNoPqRsTuVwXyZ(2)");
    assert!(jump["credentials"] == dev["credentials"]);
    let hash = dev["hashes"].split(' ').next().unwrap();
    assert!(hash.len() == 67 && hash.ends_with("(2)"), "{hash}");
    assert!(jump["hashes"].starts_with(hash) && jump["hashes"].contains(' '), "shared ones first");
    assert_eq!(jump["shared_with"], "DEV-WS-11(credentials,hashes)");
    assert_eq!(dev["shared_with"], "JUMP-01(credentials,hashes)");
}

#[test]
fn a_broken_image_does_not_end_the_run() {
    let place = TempDir::new().unwrap();
    let image = place.path().join("broken.E01");
    let mut bytes = b"EVF\x09\x0d\x0a\xff\x00\x01\x01\x00\x00\x00".to_vec();
    bytes.resize(1 << 17, 0xa5);
    fs::write(&image, bytes).unwrap();
    let out = place.path().join("out");
    let output = run(&mut scan(&out, &[image, DEV.into(), JUMP.into()], &["--no-bundle"]), 3);
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken.E01"));
    assert_eq!(hosts(&out).into_keys().collect::<Vec<_>>(), ["DEV-WS-11", "JUMP-01"]);
}

#[test]
fn many_hosts_give_the_same_bytes_whatever_the_threads() {
    let place = TempDir::new().unwrap();
    let mut sources = copies(DEV, place.path(), &["a", "b", "c", "d", "e"]);
    sources.insert(2, JUMP.into());
    let result = |threads: &str| {
        let out = place.path().join(format!("out{threads}"));
        run(&mut scan(&out, &sources, &["--no-bundle", "--threads", threads]), 0);
        reproducible(&out)
    };
    let one = result("1");
    assert!(one.contains_key("DEV-WS-11~5/verdict.json"));
    assert_same(&one, &result("3"));
}

/// A run that could not write its second of three hosts, and one that could.
struct Cut {
    place: TempDir,
    sources: Vec<PathBuf>,
    more: Vec<String>,
}

impl Cut {
    fn new() -> Self {
        let place = TempDir::new().unwrap();
        let mut sources = copies(DEV, place.path(), &["first", "third"]);
        sources.insert(1, copies(JUMP, place.path(), &["second"]).remove(0));
        let cut = Self { place, sources, more: Vec::new() };
        fs::create_dir(cut.out()).unwrap();
        fs::write(cut.out().join("JUMP-01"), b"in the way").unwrap();
        run(&mut cut.scan(&cut.out(), &[]), 5);
        assert!(cut.out().join("DEV-WS-11/run.json").is_file());
        assert!(!cut.out().join("DEV-WS-11~2").exists());
        fs::remove_file(cut.out().join("JUMP-01")).unwrap();
        cut
    }

    fn out(&self) -> PathBuf {
        self.place.path().join("out")
    }

    fn scan(&self, out: &Path, more: &[&str]) -> Command {
        let mut command = scan(out, &self.sources, more);
        command.arg("--bodyfile").arg(out.with_extension("body")).args(&self.more);
        command
    }

    /// Resumes, and compares with a run that was never cut.
    fn resume(&self) -> Output {
        let output = run(&mut self.scan(&self.out(), &["--resume"]), 0);
        let undisturbed = self.place.path().join("undisturbed");
        run(&mut self.scan(&undisturbed, &[]), 0);
        assert_same(&reproducible(&undisturbed), &reproducible(&self.out()));
        let body = |out: &Path| fs::read(out.with_extension("body")).unwrap();
        assert!(body(&undisturbed) == body(&self.out()));
        for host in ["DEV-WS-11", "JUMP-01", "DEV-WS-11~2"] {
            assert_eq!(bundles(&self.out().join(host)).len(), 1, "{host}");
        }
        output
    }

    fn run_json(&self, host: &str) -> Vec<u8> {
        fs::read(self.out().join(host).join("run.json")).unwrap()
    }
}

#[test]
fn a_run_goes_on_where_it_was_cut() {
    let cut = Cut::new();
    let before = cut.run_json("DEV-WS-11");
    let output = cut.resume();
    assert!(before == cut.run_json("DEV-WS-11"), "examined again");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("DEV-WS-11: done by an earlier run, kept"), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 7);
    // Nothing is left to do.
    let all: Vec<_> = ["DEV-WS-11", "JUMP-01", "DEV-WS-11~2"].map(|h| cut.run_json(h)).into();
    run(&mut cut.scan(&cut.out(), &["--resume"]), 0);
    assert!(all == ["DEV-WS-11", "JUMP-01", "DEV-WS-11~2"].map(|h| cut.run_json(h)));
}

#[test]
fn a_source_that_changed_is_examined_again() {
    let cut = Cut::new();
    let before = cut.run_json("DEV-WS-11");
    let folder = cut.out().join("DEV-WS-11");
    fs::write(folder.join("notes.txt"), b"mine").unwrap();
    fs::write(folder.join("adit_DEV-WS-11_20200101T000000Z.zip.partial"), b"of a run").unwrap();
    fs::write(cut.sources[0].join("new.txt"), b"new").unwrap();
    let output = run(&mut cut.scan(&cut.out(), &["--resume"]), 0);
    assert!(!String::from_utf8(output.stderr).unwrap().contains("by an earlier run"));
    assert!(before != cut.run_json("DEV-WS-11"));
    assert_eq!(fs::read(folder.join("notes.txt")).unwrap(), b"mine");
    fs::remove_file(folder.join("notes.txt")).unwrap();
    cut.resume();
}

#[test]
fn other_settings_or_a_lost_result_make_it_examined_again() {
    let mut cut = Cut::new();
    cut.more = ["--window", "8d"].map(String::from).into();
    let before = cut.run_json("DEV-WS-11");
    cut.resume();
    let after = cut.run_json("DEV-WS-11");
    assert!(before != after);
    fs::write(cut.out().join("DEV-WS-11/timeline.csv"), b"touched").unwrap();
    let jump = cut.run_json("JUMP-01");
    run(&mut cut.scan(&cut.out(), &["--resume"]), 0);
    assert!(after != cut.run_json("DEV-WS-11") && jump == cut.run_json("JUMP-01"));
}

#[test]
fn a_host_whose_name_would_be_another_is_examined_again() {
    let cut = Cut::new();
    run(&mut cut.scan(&cut.out(), &["--resume"]), 0);
    // Without the first, the third is no longer the second of its name.
    let left = &cut.sources[1..];
    run(&mut scan(&cut.out(), left, &["--resume"]), 0);
    let names: Vec<String> = hosts(&cut.out()).into_keys().collect();
    assert_eq!(names, ["DEV-WS-11", "JUMP-01"]);
    assert!(!cut.out().join("DEV-WS-11~2").exists());
    let verdict = fs::read_to_string(cut.out().join("DEV-WS-11/timeline.jsonl")).unwrap();
    assert!(verdict.contains("third") && !verdict.contains("first/"), "{verdict}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_is_complete_as_far_as_it_goes() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let place = TempDir::new().unwrap();
    let names: Vec<String> = (0..16).map(|n| format!("source{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let sources = copies(JUMP, place.path(), &names);
    let out = place.path().join("out");
    let more = ["--threads", "1", "--no-bundle", "--progress", "jsonl"];
    let mut child =
        scan(&out, &sources, &more).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    // The third is begun when the first is written.
    let third =
        |line: &str| (2..16).any(|n| line.contains(names[n])) && line.contains("\"source\"");
    assert!(said.any(|line| third(&line.unwrap())), "too fast for a signal");
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let rest: String = said.map(|line| line.unwrap() + "\n").collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("interrupted") && rest.contains("--resume"), "{rest}");
    let some = hosts(&out).len();
    assert!((1..16).contains(&some), "{some}");
    let folders = fs::read_dir(&out).unwrap().flatten().filter(|e| e.path().is_dir()).count();
    assert_eq!(folders, some, "nothing half-written");
    run(&mut scan(&out, &sources, &["--no-bundle", "--resume"]), 0);
    let undisturbed = place.path().join("undisturbed");
    run(&mut scan(&undisturbed, &sources, &["--no-bundle"]), 0);
    assert_same(&reproducible(&undisturbed), &reproducible(&out));
    assert!(out.join(RECORD).is_file());
}
