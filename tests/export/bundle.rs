//! Bundles: what is in them, and what verify makes of damage.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use adit::export::{Collect, Collected, ExportOptions, begin_bundle, write_host};
use adit::model::{EvidencePath, ReadAt};
use adit::verify::{BundleState, verify_bundle};

use crate::sample::{Failing, options, report, run, write};

#[test]
fn hits_collects_what_rows_rest_on() {
    let dir = tempfile::tempdir().unwrap();
    let output = write(dir.path(), &ExportOptions { collect: Collect::Hits, ..options() });
    let names = members(&output.bundle.unwrap().path);
    let evidence: Vec<&String> =
        names.iter().filter(|name| name.starts_with("data/evidence")).collect();
    assert_eq!(evidence, ["data/evidence/C/Windows/System32/winevt/Logs/Sysmon.evtx"]);
}

fn members(bundle: &Path) -> Vec<String> {
    let archive = zip::ZipArchive::new(fs::File::open(bundle).unwrap()).unwrap();
    archive.file_names().map(|name| name.unwrap().into_owned()).collect()
}

fn unpack(bundle: &Path, to: &Path) {
    zip::ZipArchive::new(fs::File::open(bundle).unwrap()).unwrap().extract(to).unwrap();
}

#[test]
fn the_bundle_is_a_bag() {
    let dir = tempfile::tempdir().unwrap();
    let output = write(dir.path(), &options());
    let bundle = output.bundle.unwrap();
    assert_eq!(bundle.name(), "adit_WS-01_20261122T020102Z.zip");
    let names = members(&bundle.path);
    for name in [
        "data/evidence/C/USERS/a/ngrok.yml",
        "data/evidence/C/Users~2/a/ngrok.yml",
        "data/evidence/C/a.txt_cfg",
        "data/evidence/C/._/._/etc/cron.d/x",
        "data/evidence/C/_NUL",
        "data/evidence/tmp/100_0A_ü",
        "data/manifest.json",
        "data/results/run.json",
    ] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:#?}");
    }
    let report = verify_bundle(&bundle.path).unwrap();
    assert_eq!((report.state, report.failures), (BundleState::Complete, vec![]));
    assert_eq!(report.checked, names.len());
    let open = dir.path().join("open");
    unpack(&bundle.path, &open);
    let info = fs::read_to_string(open.join("bag-info.txt")).unwrap();
    assert!(info.contains("Case-Identifier: C-7\\u000ax\n"), "{info}");
    // The standard tool agrees, where it is at hand.
    for list in ["manifest-sha256.txt", "tagmanifest-sha256.txt"] {
        let check = Command::new("sha256sum").args(["-c", list]).current_dir(&open).output();
        if let Ok(done) = check {
            assert!(done.status.success(), "{list}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }
}

#[test]
fn every_flipped_byte_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let output = write(dir.path(), &ExportOptions { collect: Collect::None, ..options() });
    let good = fs::read(output.bundle.unwrap().path).unwrap();
    let copy = dir.path().join("copy.zip");
    let mut unseen = Vec::new();
    for index in (0..good.len()).step_by(17) {
        let mut bad = good.clone();
        bad[index] ^= 0x10;
        fs::write(&copy, bad).unwrap();
        if verify_bundle(&copy).unwrap().state != BundleState::Damaged {
            unseen.push(index);
        }
    }
    // What remains is zip's own bookkeeping in the directory, never content.
    assert!(unseen.len() < 12, "{} of {}: {unseen:?}", unseen.len(), good.len());
}

#[test]
fn run_json_holds_the_hash_of_the_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = write(dir.path(), &options()).bundle.unwrap();
    let mut bytes = fs::read(&bundle.path).unwrap();
    bytes[10] ^= 1; // the time of the first member, which no manifest knows
    fs::write(&bundle.path, bytes).unwrap();
    assert_eq!(verify_bundle(&bundle.path).unwrap().state, BundleState::Damaged);
}

#[test]
fn a_bundle_cut_anywhere_is_never_complete_and_never_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = write(dir.path(), &options()).bundle.unwrap();
    let good = fs::read(&bundle.path).unwrap();
    let copy = dir.path().join("copy.zip.partial");
    for length in (0..good.len()).step_by(997).chain(good.len() - 300..good.len()) {
        fs::write(&copy, &good[..length]).unwrap();
        let report = verify_bundle(&copy).unwrap();
        assert_eq!(report.state, BundleState::IncompleteConsistent, "{length}: {report:?}");
    }
    // Damage in what is left is still seen.
    let mut bad = good[..good.len() - 500].to_vec();
    bad[60] ^= 0xff;
    fs::write(&copy, bad).unwrap();
    assert_eq!(verify_bundle(&copy).unwrap().state, BundleState::Damaged);
}

#[test]
fn a_missing_or_added_member_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = write(dir.path(), &options()).bundle.unwrap();
    let rebuilt = dir.path().join("rebuilt.zip");
    let rebuild = |drop: &str, add: Option<&str>| {
        let mut from = zip::ZipArchive::new(fs::File::open(&bundle.path).unwrap()).unwrap();
        let mut to = zip::ZipWriter::new(fs::File::create(&rebuilt).unwrap());
        for index in 0..from.len() {
            let member = from.by_index_raw(index).unwrap();
            if String::from_utf8_lossy(member.name_raw()) != drop {
                to.raw_copy_file(member).unwrap();
            }
        }
        if let Some(name) = add {
            to.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            to.write_all(b"more").unwrap();
        }
        to.finish().unwrap();
        verify_bundle(&rebuilt).unwrap()
    };
    assert_eq!(rebuild("", None).state, BundleState::Complete);
    let missing = rebuild("data/results/findings.csv", None);
    assert_eq!(missing.state, BundleState::Damaged);
    assert!(missing.failures[0].starts_with("data/results/findings.csv: missing"), "{missing:?}");
    assert_eq!(rebuild("", Some("data/evidence/planted")).state, BundleState::Damaged);
    assert_eq!(rebuild("manifest-sha256.txt", None).state, BundleState::Damaged);
}

#[test]
fn what_is_no_bundle_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zip");
    fs::write(&path, b"not a zip file at all, but long enough to look at").unwrap();
    assert_eq!(verify_bundle(&path).unwrap().state, BundleState::Damaged);
    assert!(verify_bundle(&dir.path().join("absent.zip")).is_err());
}

#[test]
fn a_member_that_was_being_written_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = write(dir.path(), &options()).bundle.unwrap();
    let mut bytes = fs::read(&bundle.path).unwrap();
    let name = b"data/evidence/C/Windows/System32/winevt/Logs/Sysmon.evtx";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    // Checksum and sizes are filled in when a member is complete.
    bytes[at - 16..at - 4].fill(0);
    bytes.truncate(at + 5000);
    let partial = dir.path().join("x.zip.partial");
    fs::write(&partial, bytes).unwrap();
    let report = verify_bundle(&partial).unwrap();
    assert_eq!(report.state, BundleState::IncompleteConsistent, "{report:?}");
    assert!(report.remarks[0].ends_with("Sysmon.evtx: was being written"), "{report:?}");
    assert!(report.checked > 10, "{report:?}");
}

#[test]
fn bad_places_become_zeros_and_problems() {
    let dir = tempfile::tempdir().unwrap();
    let file = Failing { size: 200_000, bad: 65_536..131_072 };
    let huge = Failing { size: 5 << 30, bad: 70_000..u64::MAX };
    let collected = [("C:\\bad", &file), ("C:\\huge", &huge)].map(|(path, bytes)| Collected {
        path: EvidencePath::new(path),
        bytes,
        method: "raw",
        times: vec![],
        volume: "C:".into(),
    });
    let output = write_host(dir.path(), &report(), &run(), &collected, &options()).unwrap();
    assert!(output.problems[0].message.starts_with("bytes 65536 to 131072: "));
    assert!(output.problems.last().unwrap().message.contains("given up at byte"));
    let bundle = output.bundle.unwrap();
    assert_eq!(verify_bundle(&bundle.path).unwrap().state, BundleState::Complete);
    let open = dir.path().join("open");
    unpack(&bundle.path, &open);
    let copy = fs::read(open.join("data/evidence/C/bad")).unwrap();
    assert_eq!(copy.len(), 200_000);
    assert_eq!((copy[65_535], copy[65_536], copy[131_072]), (b'x', 0, b'x'));
    let text = fs::read_to_string(open.join("data/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["files"][0]["read_errors"].as_array().unwrap().len(), 1);
}

/// A file that is another in each of its first readings.
struct Restless {
    readings: std::sync::atomic::AtomicUsize,
    changes: usize,
}

impl ReadAt for Restless {
    fn size(&self) -> u64 {
        100
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let reading = self.readings.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        vec![reading.min(self.changes) as u8; 100].read_at(offset, buf)
    }
}

#[test]
fn a_copy_that_no_other_reading_is_like_is_a_problem_in_the_bundle_too() {
    for (changes, torn) in [(0, false), (1, false), (2, true)] {
        let dir = tempfile::tempdir().unwrap();
        let file = Restless { readings: Default::default(), changes };
        let path = EvidencePath::new(r"C:\Windows\System32\config\SAM");
        let (method, times, volume) = ("raw", vec![], "C:".to_owned());
        let file = Collected { path, bytes: &file, method, times, volume };
        let output = write_host(dir.path(), &report(), &run(), &[file], &options()).unwrap();
        assert_eq!(output.problems.len(), usize::from(torn), "{changes}");
        let own = fs::read_to_string(output.folder.join("problems.csv")).unwrap();
        assert_eq!(own.contains("changed while it was copied"), torn, "{own}");
        assert!(own.lines().count() > 1, "what was known before is still there: {own}");
        let bundle = output.bundle.unwrap();
        assert_eq!(verify_bundle(&bundle.path).unwrap().state, BundleState::Complete);
        let open = dir.path().join("open");
        unpack(&bundle.path, &open);
        assert_eq!(fs::read_to_string(open.join("data/results/problems.csv")).unwrap(), own);
        // run.json knows what problems.csv came to.
        let outside = adit::verify::verify_output(dir.path()).unwrap();
        assert!(outside.failures.is_empty(), "{:?}", outside.failures);
        let copy = fs::read(open.join("data/evidence/C/Windows/System32/config/SAM")).unwrap();
        assert_eq!(copy, [changes.min(1) as u8; 100]);
    }
}

/// What a run leaves that ends right after its bundle was begun.
fn unfinished(dir: &Path) -> std::path::PathBuf {
    let begun = begin_bundle(dir, "WS-01", &run(), &options(), &[], &[]).unwrap();
    drop(begun.unwrap());
    let files = fs::read_dir(dir.join("WS-01")).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.extension().is_some_and(|e| e == "partial")).unwrap()
}

#[test]
fn an_unfinished_bundle_opens() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = unfinished(dir.path());
    let names = ["bagit.txt", "data/results/volatile.jsonl", "data/started.json"];
    assert_eq!(members(&bundle), names);
    unpack(&bundle, &dir.path().join("open"));
    let archive = zip::ZipArchive::new(fs::File::open(&bundle).unwrap()).unwrap();
    let comment = String::from_utf8_lossy(archive.comment()).into_owned();
    assert!(comment.starts_with("unfinished: adit was still writing"), "{comment}");
    let report = verify_bundle(&bundle).unwrap();
    assert_eq!((report.state, report.checked), (BundleState::IncompleteConsistent, 3));
    // The standard tool agrees, where it is at hand.
    if let Ok(output) = Command::new("unzip").arg("-tq").arg(&bundle).output() {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn an_unfinished_bundle_is_checked_up_to_where_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = unfinished(dir.path());
    let whole = fs::read(&bundle).unwrap();
    let state = |bytes: &[u8]| {
        fs::write(&bundle, bytes).unwrap();
        verify_bundle(&bundle).unwrap().state
    };
    // The next member and the next directory were just begun.
    let after = memchr::memmem::find(&whole, &[0; 64]).unwrap();
    let mut begun = whole.clone();
    begun[after..after + 40].copy_from_slice(&whole[..40]);
    begun.extend(&whole[whole.len() - 150..whole.len() - 90]);
    assert_eq!(state(&begun), BundleState::IncompleteConsistent);
    // A member that is said to be whole was altered, or is gone.
    let data = memchr::memmem::find(&whole, b"data/started.json").unwrap();
    let mut altered = whole.clone();
    altered[data + 30] ^= 1;
    assert_eq!(state(&altered), BundleState::Damaged);
    let mut gone = whole.clone();
    gone[data - 30..data].fill(0);
    assert_eq!(state(&gone), BundleState::Damaged);
}
