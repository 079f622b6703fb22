//! Disk images of every kind, byte for byte and from several threads at once.
//!
//! Each folder of `testdata/source/container` holds one image, its files gzipped;
//! `images.expected` says the SHA-256 of its disk, or how it is refused. With `ADIT_IMAGES` a folder made by
//! `tests/compare/containers.py` is compared too: `x.raw` with the image in `x/`, and
//! the image in `x/` must be refused where `x.refused` stands.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use adit::model::ReadAt;
use adit::source::container::{self, Image};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

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

/// The images of a folder.
fn heads(folder: &Path) -> Vec<PathBuf> {
    let heads = container::heads(&files(folder));
    heads.into_iter().filter(|path| !matches!(container::open(path), Ok(None))).collect()
}

/// The one image of a folder.
fn only_head(folder: &Path) -> PathBuf {
    let images = heads(folder);
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

/// Each sample's name, what is expected of it, and its unpacked folder.
fn unpacked() -> (TempDir, Vec<(String, String, PathBuf)>) {
    let base = tempfile::tempdir().unwrap();
    let expected = fs::read_to_string(samples().join("images.expected")).unwrap();
    let mut all = Vec::new();
    for line in expected.lines() {
        let (name, want) = line.split_once(' ').unwrap();
        let folder = base.path().join(name);
        fs::create_dir(&folder).unwrap();
        for packed in files(&samples().join(name)) {
            let target = folder.join(packed.file_stem().unwrap());
            let mut bytes = Vec::new();
            GzDecoder::new(File::open(&packed).unwrap()).read_to_end(&mut bytes).unwrap();
            fs::write(target, bytes).unwrap();
        }
        all.push((name.to_owned(), want.to_owned(), folder));
    }
    (base, all)
}

#[test]
fn samples_hold_the_expected_disks() {
    let (_base, all) = unpacked();
    let mut wrong = Vec::new();
    for (name, want, folder) in &all {
        // Beside another's parent, the child comes last.
        let head = heads(folder).pop().unwrap();
        let found = match container::open(&head) {
            Ok(Some(image)) => {
                assert_eq!(image.problems(), [], "{name}");
                assert_eq!(image.parts.len(), files(folder).len(), "{name}");
                for verified in image.verify(&|_| {}).unwrap() {
                    assert!(verified.matches(), "{name}: {verified:?}");
                }
                hash(&*image.disk)
            }
            Ok(None) => "no image".to_owned(),
            Err(error) => {
                let folder = format!("{}{}", folder.display(), std::path::MAIN_SEPARATOR);
                error.to_string().replace(&folder, "")
            }
        };
        if found != *want {
            wrong.push(format!("{name} {found}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let there = fs::read_dir(samples()).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir());
    assert_eq!(all.len(), there.count());
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }
}

/// Bytes that say something are changed, or the file is cut; whatever comes of it, it
/// comes soon and without a panic.
#[test]
fn mutants_are_refused_or_read_in_part() {
    let (_base, all) = unpacked();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (name, _, folder) in &all {
        let head = heads(folder).pop().unwrap();
        for target in files(folder) {
            let whole = fs::read(&target).unwrap();
            let telling: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
            // Structures come first and last.
            let few = telling.len().min(600);
            for round in 0..200 {
                let file = File::options().write(true).open(&target).unwrap();
                let mut changed = Vec::new();
                match round % 10 {
                    0 => file.set_len(random.below(whole.len()) as u64).unwrap(),
                    n => {
                        for _ in 0..n.min(4) {
                            let place = match random.below(4) {
                                0 => telling[telling.len() - 1 - random.below(few)],
                                1 => telling[random.below(telling.len())],
                                _ => telling[random.below(few)],
                            };
                            let place = (place + random.below(3)).min(whole.len() - 1);
                            let byte = [0, 0xff, 0x80, random.below(256) as u8][n % 4];
                            put(&file, place, &[byte]);
                            changed.push(place);
                        }
                    }
                }
                let started = Instant::now();
                look_around(&head, &mut random);
                let taken = started.elapsed();
                assert!(taken < Duration::from_secs(10), "{name} {round}: {taken:?}");
                for place in changed {
                    put(&file, place, &whole[place..=place]);
                }
                let len = file.metadata().unwrap().len() as usize;
                put(&file, len, &whole[len..]);
            }
            assert!(fs::read(&target).unwrap() == whole);
        }
    }
}

fn put(mut file: &File, at: usize, bytes: &[u8]) {
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(bytes).unwrap();
}

fn look_around(head: &Path, random: &mut Random) {
    let Ok(Some(image)) = container::open(head) else { return };
    let size = image.disk.size();
    let mut buf = vec![0; 70_000];
    for _ in 0..8 {
        let at = (random.below(usize::MAX) as u64).checked_rem(size).unwrap_or(0);
        for at in [at, size.saturating_sub(at % 100_000), at % 100_000] {
            if let Ok(n) = image.disk.read_at(at, &mut buf) {
                assert_eq!(n as u64, size.saturating_sub(at).min(buf.len() as u64));
            }
        }
    }
    let _ = image.problems();
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
