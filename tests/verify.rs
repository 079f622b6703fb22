//! `adit verify` on disk images: the bytes as they are today against the hashes stored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Unpacks a sample into a folder.
fn unpack(sample: &str, to: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/source/container").join(sample);
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(from).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    let path = to.join(sample.trim_end_matches(".gz").rsplit('/').next().unwrap());
    fs::write(&path, bytes).unwrap();
    path
}

/// Exit code, and both outputs together.
fn verify(paths: &[&Path]) -> (i32, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_adit")).arg("verify").args(paths).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (a + b) % 65521)
    });
    b << 16 | a
}

#[test]
fn an_image_is_compared_with_its_hashes() {
    let place = TempDir::new().unwrap();
    let image = unpack("e01-stored/disk.E01.gz", place.path());
    let (code, said) = verify(&[&image]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("disk.E01: md5 309824f533b79200322a5d2f31123d2b matches"), "{said}");
    // Another hash, with its section's checksum made to fit.
    let mut bytes = fs::read(&image).unwrap();
    let data = memchr::memmem::rfind(&bytes, b"hash\0").unwrap() + 76;
    bytes[data] ^= 1;
    let sum = adler32(&bytes[data..data + 32]).to_le_bytes();
    bytes[data + 32..data + 36].copy_from_slice(&sum);
    fs::write(&image, &bytes).unwrap();
    let (code, said) = verify(&[&image]);
    assert_eq!(code, 3, "{said}");
    let expected = "md5 319824f533b79200322a5d2f31123d2b DIFFERS: found 309824f533b79200";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn an_image_without_hashes_says_so() {
    let place = TempDir::new().unwrap();
    let image = unpack("vhd-fixed/disk.vhd.gz", place.path());
    let (code, said) = verify(&[&image]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("no stored hash"), "{said}");
}

#[test]
fn what_cannot_be_read_is_not_verified() {
    let place = TempDir::new().unwrap();
    let image = unpack("e01-encase6/disk.E01.gz", place.path());
    let mut bytes = fs::read(&image).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xa5);
    fs::write(&image, &bytes).unwrap();
    let (code, said) = verify(&[&image]);
    assert_eq!(code, 3, "{said}");
    let missing = place.path().join("none.zip");
    assert_eq!(verify(&[&missing, &image]).0, 4);
}
