//! Disk images of every kind, byte for byte and from several threads at once.
//!
//! Each folder of `testdata/source/container` holds one image; `images.expected` says
//! the SHA-256 of its disk, or how it is refused. With `ADIT_IMAGES` a folder made by
//! `tests/compare/containers.py` is compared too: `x.raw` with the image in `x/`, and
//! the image in `x/` must be refused where `x.refused` stands.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use adit::model::ReadAt;
use adit::source::container::{self, Image};
use sha2::{Digest, Sha256};

const READS: u64 = 200;
const THREADS: u64 = 4;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/source/container")
}

/// The regular files of a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

/// The one image of a folder.
fn only_head(folder: &Path) -> PathBuf {
    let heads = container::heads(&files(folder));
    let images: Vec<PathBuf> =
        heads.into_iter().filter(|path| !matches!(container::open(path), Ok(None))).collect();
    assert_eq!(images.len(), 1, "{}: {images:?}", folder.display());
    images[0].clone()
}

fn hash(disk: &dyn ReadAt) -> String {
    let mut sha = Sha256::new();
    let mut block = vec![0; 1_000_003];
    let mut at = 0;
    while at < disk.size() {
        let n = disk.read_at(at, &mut block).unwrap();
        assert!(n > 0, "nothing at {at:#x}");
        sha.update(&block[..n]);
        at += n as u64;
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Short and long reads at any place, several threads at once.
fn read_at_random(image: &Image, raw: &[u8]) {
    thread::scope(|scope| {
        for thread in 1..=THREADS {
            scope.spawn(move || {
                let mut state = thread.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                for _ in 0..READS {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let at = (state >> 8) as usize % raw.len();
                    let len = if state % 3 == 0 { 300_000 } else { 5_000 };
                    let mut buf = vec![0xa5; (state >> 40) as usize % len + 1];
                    let n = image.disk.read_at(at as u64, &mut buf).unwrap();
                    assert_eq!(n, buf.len().min(raw.len() - at));
                    assert!(buf[..n] == raw[at..at + n], "{n} bytes at {at:#x} differ");
                }
            });
        }
    });
}

#[test]
fn samples_hold_the_expected_disks() {
    let expected = fs::read_to_string(samples().join("images.expected")).unwrap();
    let mut folders = 0;
    for line in expected.lines() {
        let (folder, want) = line.split_once(' ').unwrap();
        let head = only_head(&samples().join(folder));
        let found = match container::open(&head) {
            Ok(Some(image)) => {
                assert_eq!(image.problems(), [], "{folder}");
                for verified in image.verify(&|_| {}).unwrap() {
                    assert!(verified.matches(), "{folder}: {verified:?}");
                }
                hash(&*image.disk)
            }
            Ok(None) => "no image".to_owned(),
            Err(error) => {
                let parent = samples().join(folder).display().to_string();
                error.to_string().replace(&parent, "").replace('\\', "/")
            }
        };
        assert_eq!(found, want, "{folder}");
        folders += 1;
    }
    let there = fs::read_dir(samples()).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir());
    assert_eq!(folders, there.count());
}

#[test]
fn made_images_equal_their_originals() {
    let Some(folder) = std::env::var_os("ADIT_IMAGES").map(PathBuf::from) else { return };
    let mut failures = 0;
    for origin in files(&folder) {
        let image = origin.with_extension("");
        let name = image.file_name().unwrap().to_string_lossy().into_owned();
        let result = match origin.extension().and_then(|e| e.to_str()) {
            Some("raw") => thread::spawn(move || compare(&image, &origin)).join(),
            Some("refused") => thread::spawn(move || refused(&image)).join(),
            _ => continue,
        };
        match result {
            Ok(found) => println!("same  {name:40} {found}"),
            Err(_) => {
                println!("WRONG {name}");
                failures += 1;
            }
        }
    }
    assert_eq!(failures, 0);
}

fn compare(folder: &Path, origin: &Path) -> String {
    let raw = fs::read(origin).unwrap();
    let image = container::open(&only_head(folder)).unwrap().unwrap();
    assert_eq!(image.disk.size(), raw.len() as u64, "{}", image.format);
    read_at_random(&image, &raw);
    let found = hash(&*image.disk);
    assert_eq!(found, hash(&raw), "{}", image.format);
    assert_eq!(image.problems(), []);
    for verified in image.verify(&|_| {}).unwrap() {
        assert!(verified.matches(), "{verified:?}");
    }
    format!("{found} {} in {} files", image.format, image.parts.len())
}

fn refused(folder: &Path) -> String {
    container::open(&only_head(folder)).map(|_| ()).expect_err("must be refused").to_string()
}
