//! Disks that lie as files in the evidence of another host.
//!
//! `testdata/source/nested/ext4.vhdx.gz` is the disk of a made WSL distribution with a
//! configuration of ngrok in it and a shell history.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod lab;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(120);
/// Where Windows keeps the disk of a distribution.
const PLACE: &str = "Users/mara/AppData/Local/Packages/Distribution_79rh/LocalState";
const SHOWN: &str = r"C:\Users\mara\AppData\Local\Packages\Distribution_79rh\LocalState\ext4.vhdx";

type Row = BTreeMap<String, String>;

fn sample(name: &str) -> Vec<u8> {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/source").join(name);
    let mut bytes = Vec::new();
    GzDecoder::new(&*fs::read(at).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A Windows volume, as a folder, with one file in the place of a distribution's disk.
fn windows_with(disk: &[u8]) -> (TempDir, PathBuf) {
    let place = TempDir::new().unwrap();
    let root = place.path().join("volume");
    fs::create_dir_all(root.join("Windows/System32/config")).unwrap();
    fs::create_dir_all(root.join(PLACE)).unwrap();
    lab::write_sparse(&root.join(PLACE).join("ext4.vhdx"), disk);
    (place, root)
}

fn disks(ran: &lab::Ran) -> Vec<Row> {
    ran.rows("coverage.csv").into_iter().filter(|line| line["source"] == "disk").collect()
}

#[test]
fn a_distribution_of_wsl_is_a_host_of_its_own() {
    let (_place, root) = windows_with(&sample("nested/ext4.vhdx.gz"));
    let ran = lab::scan(&root, LIMIT);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let hosts = ran.rows("hosts.csv");
    let inner = hosts.iter().find(|host| host["host"] == "jump-wsl").expect("the distribution");
    assert!(hosts.len() == 2 && inner["source"].ends_with(&format!("#{SHOWN}")), "{hosts:?}");
    assert_eq!((&*inner["configured"], &*inner["executed"]), ("yes", "yes"));
    let outer = hosts.iter().find(|host| host["host"] != "jump-wsl").unwrap();
    assert_ne!(outer["configured"], "yes");
    let rows: Vec<Row> =
        ran.rows("timeline.csv").into_iter().filter(|row| row["host"] == "jump-wsl").collect();
    assert!(rows.iter().any(|row| row["source_path"] == "/home/mara/.bash_history"), "{rows:?}");
    let line = &disks(&ran)[0];
    assert_eq!((&*line["path"], &*line["state"]), (SHOWN, "read"));
}

#[test]
fn what_cannot_be_opened_is_told_and_the_host_is_done() {
    let whole = sample("nested/ext4.vhdx.gz");
    let child = sample("container/vhdx-differencing/child.vhdx.gz");
    let mut cut = whole.clone();
    cut[0x1_0000..0x5_0000].fill(0);
    for (disk, said) in
        [(cut, "neither header is whole"), (child, "is not looked for within evidence")]
    {
        let (_place, root) = windows_with(&disk);
        let ran = lab::scan(&root, LIMIT);
        assert_eq!(ran.rows("hosts.csv").len(), 1, "{}", ran.stderr);
        let problems = ran.rows("problems.csv");
        let told = problems.iter().find(|problem| problem["path"] == SHOWN).expect(said);
        assert!(told["message"].contains(said), "{told:?}");
        assert_eq!(disks(&ran)[0]["state"], "unreadable");
    }
}

#[test]
fn a_file_that_is_only_called_so_is_none() {
    let (_place, root) = windows_with(&vec![7; 256 << 10]);
    let ran = lab::scan(&root, LIMIT);
    assert_eq!((ran.code, ran.rows("hosts.csv").len()), (Some(0), 1), "{}", ran.stderr);
    let line = &disks(&ran)[0];
    assert_eq!(line["state"], "unreadable");
    assert!(line["why"].starts_with("called like a disk"), "{line:?}");
}
