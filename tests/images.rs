//! A small disk image through the whole program: what was planted on it shows, and every
//! kind of image of the same disk gives the same results.
//!
//! `testdata/images/LAB-07.truth.json` says what was planted, `LAB-07.golden` what the timeline
//! is (written anew with `UPDATE_GOLDEN=1`). Kinds that only qemu-img makes are left out where
//! it is not installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod lab;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use adit::model::EvidencePath;
use adit::source::{self, Clues};
use serde_json::Value;

type Row = BTreeMap<String, String>;

const LIMIT: Duration = Duration::from_secs(120);
/// Of the split raw image; bytes.
const SEGMENT: usize = 5 << 20;
/// What the reading of the image decides: not the weight that rules give to it.
const GOLDEN: [&str; 7] =
    ["datetime_raw", "timestamp_desc", "tool", "source_path", "locator", "path", "tag"];
const FILES: [&str; 8] = [
    "timeline.csv",
    "notime.csv",
    "findings.csv",
    "summary.csv",
    "dns.csv",
    "verdict.json",
    "coverage.csv",
    "problems.csv",
];

static SCANNED: LazyLock<lab::Ran> = LazyLock::new(|| lab::scan(&lab::image(), LIMIT));

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/images").join(name)
}

fn all_rows() -> Vec<Row> {
    let mut rows = SCANNED.rows("timeline.csv");
    rows.extend(SCANNED.rows("notime.csv"));
    rows
}

#[test]
fn the_timeline_is_the_golden_one() {
    assert_eq!(SCANNED.code, Some(0), "{}", SCANNED.stderr);
    let line = |row: &Row| GOLDEN.map(|column| row[column].as_str()).join(" | ") + "\n";
    let found: String = SCANNED.rows("timeline.csv").iter().map(line).collect();
    let golden = testdata("LAB-07.golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(golden, found).unwrap();
        return;
    }
    let expected = fs::read_to_string(golden).unwrap();
    let lacks: Vec<_> = expected.lines().filter(|l| !found.lines().any(|f| f == *l)).collect();
    let more: Vec<_> = found.lines().filter(|l| !expected.lines().any(|e| e == *l)).collect();
    assert_eq!(found, expected, "missing {lacks:#?}, more {more:#?}");
}

#[test]
fn everything_planted_shows() {
    let truth = fs::read_to_string(testdata("LAB-07.truth.json")).unwrap();
    let truth: Value = serde_json::from_str(&truth).unwrap();
    let rows = all_rows();
    let traces = truth["traces"].as_array().unwrap();
    let missing: Vec<_> =
        traces.iter().filter(|trace| !rows.iter().any(|row| shows(row, trace))).collect();
    assert!(traces.len() > 15 && missing.is_empty(), "{missing:#?}");
    for decoy in truth["decoys"].as_array().unwrap() {
        assert!(!rows.iter().any(|row| row["path"] == decoy["path"].as_str().unwrap()), "{decoy}");
    }
}

/// Whether a row of some tool speaks of the planted thing, with its time.
fn shows(row: &Row, trace: &Value) -> bool {
    let word = |key: &str| trace[key].as_str().unwrap_or_default();
    let (path, source) = (&row["path"], &row["source_path"]);
    let about = match word("kind") {
        "usn-journal" => {
            *source == r"C:\$Extend\$UsnJrnl:$J" && row["locator"].starts_with("usn:") && {
                let name = trace["details"]["name"].as_str().unwrap();
                path.ends_with(name) || row["message"].contains(name)
            }
        }
        "event" => source == word("path") && row["locator"] == format!("record:{}", word("record")),
        "service" => source == word("path") && row["locator"].contains(word("key")),
        "ads-config" => source.starts_with(&format!("{}:", word("path"))),
        _ => source == word("path") || path == word("path"),
    };
    // Both have digits down to the microsecond and end in the zone.
    let time = word("time_utc").trim_end_matches('Z');
    // A stream has no times but its file's.
    about && row["tool"] == "ngrok" && row["datetime"].starts_with(time)
}

#[test]
fn what_only_an_image_holds_is_told() {
    let rows = all_rows();
    let find = |test: &dyn Fn(&&Row) -> bool| rows.iter().find(test).is_some();
    let deleted = |row: &&Row| {
        row["path"].ends_with(r"Temp\ngrok.exe") && row["tag"].split(' ').any(|t| t == "deleted")
    };
    assert!(find(&deleted), "the removed agent");
    let config = |row: &&Row| row["source_path"] == r"C:\ProgramData\Drivers\desktop.ini:cfg";
    assert!(find(&config), "the configuration in a stream");
    let stomped =
        |row: &&Row| row["path"].ends_with("audiosvc.exe") && row["tag"].contains("timestomped");
    assert!(find(&stomped), "times set back");
    let renamed =
        |row: &&Row| row["source_path"].ends_with("$J") && row["path"].ends_with("audiosvc.exe");
    assert!(find(&renamed), "the agent renamed");
    let verdict: Value = serde_json::from_str(SCANNED.text("verdict.json")).unwrap();
    let tools = verdict["tools"].as_array().unwrap();
    let rungs = &tools.iter().find(|tool| tool["tool"] == "ngrok").unwrap()["rungs"];
    for rung in ["delivered", "configured", "executed", "persisted", "cleaned_up"] {
        assert_eq!(rungs[rung]["answer"], "yes", "{rung}");
        // Not the year that the agent's file was set back to.
        assert!(rungs[rung]["first"].as_str().unwrap().starts_with("2024-03-12"), "{rung}");
    }
}

/// A file of results without what names the evidence.
fn anonymous(text: &str, image: &Path) -> String {
    text.replace(image.to_str().unwrap(), "IMAGE")
}

fn assert_alike(image: &Path) {
    let other = lab::scan(image, LIMIT);
    let name = image.display();
    assert_eq!(other.code, Some(0), "{name}: {}", other.stderr);
    for file in FILES {
        let expected = anonymous(SCANNED.text(file), &lab::image());
        let found = anonymous(other.text(file), image);
        assert!(
            expected == found,
            "{name}: {file} differs: {}",
            first_difference(&expected, &found)
        );
    }
}

fn first_difference(one: &str, other: &str) -> String {
    let mut pairs = one.lines().zip(other.lines());
    pairs.find(|(a, b)| a != b).map_or_else(|| "length".to_owned(), |(a, b)| format!("{a}\n{b}"))
}

#[test]
fn raw_and_split_images_say_the_same() {
    let place = tempfile::tempdir().unwrap();
    let disk = lab::disk();
    let raw = place.path().join("disk.raw");
    lab::write_sparse(&raw, &disk);
    assert_alike(&raw);
    for (number, part) in disk.chunks(SEGMENT).enumerate() {
        lab::write_sparse(&place.path().join(format!("part.{:03}", number + 1)), part);
    }
    assert_alike(&place.path().join("part.001"));
}

#[test]
fn images_of_other_kinds_say_the_same() {
    if !lab::has("qemu-img") {
        eprintln!("SKIPPED: qemu-img is not installed; no VHD, VHDX, VMDK, QCOW2 of the sample");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let raw = place.path().join("disk.raw");
    lab::write_sparse(&raw, &lab::disk());
    let kinds =
        [("vpc", "vhd"), ("vhdx", "vhdx"), ("vmdk", "vmdk"), ("qcow2", "qcow2"), ("vdi", "vdi")];
    for (format, ending) in kinds {
        let image = place.path().join(format!("disk.{ending}"));
        let mut command = Command::new("qemu-img");
        command.args(["convert", "-q", "-f", "raw", "-O", format]);
        if format == "vpc" {
            command.args(["-o", "force_size=on"]);
        }
        assert!(command.arg(&raw).arg(&image).status().unwrap().success(), "{format}");
        assert_alike(&image);
    }
}

#[test]
fn the_files_that_artifacts_read_are_listed() {
    let listed = |what: &str| -> Vec<Row> {
        let mut adit = Command::new(env!("CARGO_BIN_EXE_adit"));
        let ran = adit.args(["list", what]).arg(lab::image()).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        csv::Reader::from_reader(&*ran.stdout).deserialize().map(Result::unwrap).collect()
    };
    let (files, read) = (listed("files"), listed("artifacts"));
    // Indexes of directories are no files.
    let mut of_files = read.iter().filter(|one| !one["path"].contains(":$I30"));
    assert!(of_files.all(|one| files.iter().any(|file| file["path"] == one["path"])));
    let artifact_of = |end: &str| {
        let found = read.iter().find(|one| one["path"].ends_with(end));
        found.map(|one| one["artifact"].as_str())
    };
    assert_eq!(artifact_of(r"\config\SYSTEM"), Some("windows.registry.system"));
    assert_eq!(artifact_of(r"\Security.evtx"), Some("windows.evtx.security"));
    assert!(read.len() < files.len());
}

#[test]
fn an_mft_without_its_volume_shows_what_it_lists() {
    let clues = Clues { letters: &|_, _| Vec::new(), knows: None };
    let hosts = source::open(&lab::image(), clues).unwrap();
    let tree = &hosts[0].filesystem;
    let file = tree.open(&tree.entry(&EvidencePath::new(r"C:\$MFT")).unwrap()).unwrap();
    let mut mft = vec![0; usize::try_from(file.size()).unwrap()];
    assert_eq!(file.read_at(0, &mut mft).unwrap(), mft.len());
    for (place, root) in [("C/$MFT", r"C:\"), ("taken/$MFT", r"taken/$MFT\"), ("$MFT", r"$MFT\")] {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join(place);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(&at, &mft).unwrap();
        let ran = lab::scan(if place == "$MFT" { &at } else { folder.path() }, LIMIT);
        assert_eq!(ran.code, Some(0), "{place}: {}", ran.stderr);
        let rows = ran.rows("timeline.csv");
        let shown = |path: &str, locator: &str| {
            let is = |row: &&Row| row["source_path"] == path && row["locator"] == locator;
            rows.iter().filter(is).count()
        };
        let prefetch = format!(r"{root}Windows\Prefetch\NGROK.EXE-B2A38248.pf");
        assert_eq!(shown(&prefetch, "mft:123-1"), 4, "{place}: {rows:#?}");
        let stream = format!(r"{root}ProgramData\Drivers\desktop.ini:cfg");
        let tells = |row: &Row| row["source_path"] == stream && row["tool"] == "ngrok";
        assert!(rows.iter().any(tells), "{place}: what lies in a record is read");
        assert!(rows.iter().all(|row| !row["message"].contains("cannot be opened")));
        let coverage = ran.rows("coverage.csv");
        let list = coverage.iter().find(|line| line["source"] == "windows.filesystem.mft").unwrap();
        assert!(list["records"].parse::<u64>().unwrap() > 100, "{list:?}");
        assert_eq!(ran.rows("problems.csv").len(), 0, "{:?}", ran.rows("problems.csv"));
    }
}
