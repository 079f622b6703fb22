//! One machine in the layout of every collector: the same findings each time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../src/source/collection/archive/testing.rs"]
mod testing;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use testing::{Made, Tarred, gzip, tar, zip};

/// When every file of the machine was modified.
const MODIFIED: u32 = 1_725_300_000;

/// The machine: files by path, and where they lie with their time set.
struct Machine {
    _place: TempDir,
    folder: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
    findings: Results,
}

/// The results of one host.
#[derive(Debug, PartialEq)]
struct Results {
    findings: String,
    /// Without the column `source`.
    timeline: Vec<Vec<String>>,
}

/// What a scan said.
struct Scanned {
    _place: TempDir,
    out: PathBuf,
    code: i32,
    stderr: String,
}

static JUMP: LazyLock<Machine> = LazyLock::new(|| {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/hosts/JUMP-01");
    let place = TempDir::new().unwrap();
    let folder = place.path().join("JUMP-01");
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(&from).into_iter().flatten() {
        if !entry.file_type().is_file() {
            continue;
        }
        let name = entry.path().strip_prefix(&from).unwrap().to_str().unwrap().replace('\\', "/");
        let bytes = fs::read(entry.path()).unwrap();
        write(&folder, &name, &bytes);
        files.insert(name, bytes);
    }
    let findings = results(&scan(&folder, &[]), "JUMP-01");
    Machine { _place: place, folder, files, findings }
});

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let at = folder.join(name);
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    fs::write(&at, bytes).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED.into());
    fs::File::options().write(true).open(&at).unwrap().set_modified(time).unwrap();
}

/// One tool, and what names none, are enough; others need not be waited for.
fn scan(source: &Path, arguments: &[&str]) -> Scanned {
    let place = TempDir::new().unwrap();
    let out = place.path().join("out");
    let output = Command::new(env!("CARGO_BIN_EXE_adit"))
        .args(["scan", "--profile", "ngrok", "--profile", "tunnel", "--progress", "none", "-o"])
        .arg(&out)
        .arg(source)
        .args(arguments)
        .output()
        .unwrap();
    Scanned {
        _place: place,
        out,
        code: output.status.code().expect("ended by a signal"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let record = |r: csv::StringRecord| r.iter().map(str::to_owned).collect::<Vec<_>>();
    reader.records().map(|r| record(r.unwrap())).collect()
}

fn results(scanned: &Scanned, host: &str) -> Results {
    let read = |name: &str| {
        fs::read_to_string(scanned.out.join(host).join(name))
            .unwrap_or_else(|error| panic!("{host}/{name}: {error}; {}", scanned.stderr))
    };
    let mut timeline = rows(&read("timeline.csv"));
    let source = timeline[0].iter().position(|name| name == "source").unwrap();
    timeline.iter_mut().for_each(|row| _ = row.remove(source));
    Results { findings: read("findings.csv"), timeline }
}

fn problems(scanned: &Scanned, host: &str) -> String {
    fs::read_to_string(scanned.out.join(host).join("problems.csv")).unwrap()
}

/// A name of Velociraptor's.
fn encoded(path: &str) -> String {
    path.replace('%', "%25").replace(':', "%3A")
}

/// The machine in a layout.
fn members(name: impl Fn(&str) -> String) -> Vec<Made> {
    let made = |(path, bytes): (&String, &Vec<u8>)| Made {
        modified: Some(MODIFIED),
        ..Made::new(&name(path), bytes)
    };
    JUMP.files.iter().map(made).collect()
}

fn zipped(place: &TempDir, name: &str, members: &[Made]) -> PathBuf {
    let at = place.path().join(name);
    fs::write(&at, zip(members)).unwrap();
    at
}

/// The archive and the same unpacked give what the plain folder gives.
fn check(name: &str, mut members: Vec<Made>, described: &[(&str, &str)]) {
    members.extend(described.iter().map(|(name, text)| Made::new(name, text.as_bytes())));
    let place = TempDir::new().unwrap();
    let at = zipped(&place, name, &members);
    let scanned = scan(&at, &["--no-bundle"]);
    assert_eq!(scanned.code, 0, "{name}: {}", problems(&scanned, "JUMP-01"));
    assert_eq!(results(&scanned, "JUMP-01"), JUMP.findings, "{name}");
    if cfg!(windows) && members.iter().any(|made| made.name.contains(':')) {
        return; // no such file names there
    }
    let folder = place.path().join("unpacked");
    for made in &members {
        write(&folder, &made.name.replace('\\', "/"), &made.content);
    }
    let scanned = scan(&folder, &["--no-bundle"]);
    assert_eq!(results(&scanned, "JUMP-01"), JUMP.findings, "{name}, unpacked");
}

#[test]
fn kape() {
    let log = ("2024-09-05T07_08_09_ConsoleLog.txt", "KAPE directory: D:\\KAPE\n");
    check("x.zip", members(|path| format!("C/{path}")), &[log]);
    check("y.zip", members(|path| format!("JUMP-01/C/{path}")), &[log]);
}

#[test]
fn cylr_with_the_names_of_windows() {
    let windows = |path: &str| format!("C\\{}", path.replace('/', "\\"));
    let members = members(windows).into_iter().map(|made| Made { system: 0, ..made }).collect();
    check("JUMP-01.zip", members, &[("CyLR_Collection_Log.log", "done\n")]);
}

#[test]
fn velociraptor() {
    let described = [
        ("client_info.json", r#"{"Hostname":"JUMP-01","OS":"windows"}"#),
        ("collection_context.json", r#"{"artifacts_with_results":[]}"#),
        ("uploads.json", "{}\n"),
        ("results/Windows.KapeFiles.Targets%2FAll File Metadata.json", "{}\n"),
    ];
    let raw = |path: &str| format!("uploads/ntfs/%5C%5C.%5CC%3A/{}", encoded(path));
    let auto = |path: &str| format!("uploads/auto/C%3A/{}", encoded(path));
    let streamed = |made: Made| Made { streamed: true, ..made };
    let name = "Collection-JUMP-01-2024-09-05T07_08_09Z.zip";
    check(name, members(raw).into_iter().map(streamed).collect(), &described);
    let mut both = members(raw);
    both.extend(members(auto));
    check(name, both, &described);
}

#[test]
fn acquire_in_a_zip() {
    check("x.zip", members(|path| format!("fs/sysvol/{path}")), &[]);
    check("x.zip", members(|path| format!("fs/C:/{path}")), &[("$metadata$/report.json", "{}")]);
}

#[test]
fn acquire_in_a_tar() {
    let place = TempDir::new().unwrap();
    let names: Vec<String> = JUMP.files.keys().map(|path| format!("fs/C:/{path}")).collect();
    let contents = names.iter().zip(JUMP.files.values());
    let members: Vec<Tarred<'_>> =
        contents.map(|(name, bytes)| (name.as_str(), b'0', "", bytes.as_slice())).collect();
    let bytes = tar(&members, MODIFIED);
    for (name, bytes) in [("x.tar", bytes.clone()), ("x.tar.gz", gzip(&bytes, 1))] {
        let at = place.path().join(name);
        fs::write(&at, bytes).unwrap();
        let scanned = scan(&at, &["--no-bundle"]);
        assert_eq!(scanned.code, 0, "{name}: {}", problems(&scanned, "JUMP-01"));
        assert_eq!(results(&scanned, "JUMP-01"), JUMP.findings, "{name}");
    }
}

#[test]
fn uac_is_a_linux_root() {
    let place = TempDir::new().unwrap();
    let log = b"2024-09-05 07:08:09 +0000 INF Hostname: web1\n";
    let bytes = tar(
        &[
            ("[root]/etc/passwd", b'0', "", b"root:x:0:0::/root:/bin/sh\n"),
            ("[root]/home/dev/.config/ngrok/ngrok.yml", b'0', "", b"version: 3\n"),
            ("[root]/usr/local/bin/ngrok", b'2', "/opt/ngrok", b""),
            ("live_response/process/ps.txt", b'0', "", b"ngrok tcp 22\n"),
            ("uac.log", b'0', "", log),
        ],
        MODIFIED,
    );
    let at = place.path().join("uac-other-linux-20240905070809.tar.gz");
    fs::write(&at, gzip(&bytes, 1)).unwrap();
    let scanned = scan(&at, &["--no-bundle"]);
    let said = "/home/dev/.config/ngrok/ngrok.yml bears the name of an ngrok configuration";
    assert!(scanned.stderr.contains(said), "{}", scanned.stderr);
}

#[test]
fn a_bundle_of_adits_own() {
    let scanned = scan(&JUMP.folder, &["--collect", "all"]);
    let folder = scanned.out.join("JUMP-01");
    let mut names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let bundle = names.find(|path| path.extension().is_some_and(|e| e == "zip")).unwrap();
    let again = scan(&bundle, &["--no-bundle"]);
    assert_eq!(again.code, 0, "{}", problems(&again, "JUMP-01"));
    assert_eq!(results(&again, "JUMP-01"), JUMP.findings);

    // Cut off inside the manifest at its end, as when the stick is pulled out.
    let bytes = fs::read(&bundle).unwrap();
    let manifest = memchr::memmem::find(&bytes, b"data/manifest.json").unwrap();
    let place = TempDir::new().unwrap();
    let cut = place.path().join("adit_JUMP-01_20240905T070809Z.zip.partial");
    fs::write(&cut, &bytes[..manifest + 40]).unwrap();
    let again = scan(&cut, &["--no-bundle"]);
    assert_eq!(again.code, 3);
    let said = problems(&again, "JUMP-01");
    assert!(said.contains("lost its directory") && said.contains("no manifest"), "{said}");
    // Times are gone with the manifest, nothing else is.
    let count = |results: &Results| {
        results.timeline.iter().filter(|r| !r[1].ends_with("File Modified")).count()
    };
    assert_eq!(count(&results(&again, "JUMP-01")), count(&JUMP.findings));
}

#[test]
fn collections_side_by_side_are_hosts() {
    let place = TempDir::new().unwrap();
    zipped(&place, "A.zip", &members(|path| format!("C/{path}")));
    zipped(&place, "B.zip", &members(|path| format!("C/{path}")));
    zipped(&place, "tool.zip", &[Made::new("ngrok.exe", b"MZ")]);
    let scanned = scan(place.path(), &["--no-bundle"]);
    assert_eq!(results(&scanned, "JUMP-01"), JUMP.findings);
    assert_eq!(results(&scanned, "JUMP-01~2").timeline.len(), JUMP.findings.timeline.len());
    let hosts = rows(&fs::read_to_string(scanned.out.join("hosts.csv")).unwrap());
    let sources: Vec<&str> = hosts.iter().map(|row| row[2].rsplit('/').next().unwrap()).collect();
    assert_eq!(sources[..3], ["source", "A.zip", "B.zip"]);
    assert_eq!(hosts.len(), 4, "tool.zip stays a loose file");
}

#[test]
fn loose_logs_in_a_zip_are_read() {
    let place = TempDir::new().unwrap();
    let logs: Vec<Made> = members(|path| path.rsplit('/').next().unwrap().to_owned())
        .into_iter()
        .filter(|made| made.name.ends_with(".evtx"))
        .collect();
    let scanned = scan(&zipped(&place, "logs.zip", &logs), &["--no-bundle"]);
    assert!(results(&scanned, "JUMP-01").timeline.len() > 10);
}

#[test]
fn a_zip_without_logs_stays_one_file() {
    let place = TempDir::new().unwrap();
    let at = zipped(&place, "ngrok-v3-stable-windows-amd64.zip", &[Made::new("ngrok.exe", b"MZ")]);
    let scanned = scan(&at, &["--no-bundle"]);
    let rows = fs::read_to_string(
        scanned.out.join("ngrok-v3-stable-windows-amd64.zip").join("timeline.csv"),
    );
    assert!(rows.is_ok_and(|text| text.contains("ngrok.exe")), "{}", scanned.stderr);
}

#[test]
fn encrypted_members_are_named_and_the_rest_is_read() {
    let place = TempDir::new().unwrap();
    let mut members = members(|path| format!("C/{path}"));
    let log = "C/Windows/System32/winevt/Logs/Application.evtx";
    members.iter_mut().filter(|made| made.name == log).for_each(|made| made.encrypted = true);
    let scanned = scan(&zipped(&place, "x.zip", &members), &["--no-bundle"]);
    assert_eq!(scanned.code, 3);
    let said = problems(&scanned, "JUMP-01");
    assert!(said.contains("Application.evtx") && said.contains("encrypted"), "{said}");
    assert!(results(&scanned, "JUMP-01").timeline.len() > 10);
    let locked = [Made { encrypted: true, ..Made::new("data.zip", b"x") }];
    let scanned = scan(&zipped(&place, "locked.zip", &locked), &["--no-bundle"]);
    assert!(scanned.stderr.contains("an encrypted collection"), "{}", scanned.stderr);
}
