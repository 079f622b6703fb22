//! `adit verify`: checks bundles, and disk images against the hashes they record.

use std::path::{Path, PathBuf};

use super::Exit;
use crate::source::container::{self, ContainerError, HashKind, Image};
use crate::verify::{self, BundleState, verify_bundle, verify_output};

/// Prints the state of every bundle or image and what is wrong with it.
pub fn run(paths: &[PathBuf]) -> Exit {
    let mut exit = Exit::Complete;
    for path in paths {
        let one = match container::open(path) {
            _ if verify::is_output(path) => check_bundle(path),
            Ok(Some(image)) => check_image(path, &image),
            // What cannot be opened at all is told as for any bundle.
            Ok(None) | Err(ContainerError::Unreadable { .. }) => check_bundle(path),
            Err(error) => {
                eprintln!("adit: {error}");
                Exit::Incomplete
            }
        };
        // A path that was not looked at weighs more than one that is not whole.
        if exit != Exit::NoSource && one != Exit::Complete {
            exit = one;
        }
    }
    exit
}

/// Compares the disk in an image with what the image says of it.
fn check_image(path: &Path, image: &Image) -> Exit {
    let shown = path.display();
    let verified = match image.verify(&|_| {}) {
        Ok(verified) => verified,
        Err(error) => {
            println!("{shown}: {}, cannot be read whole: {error}", image.format);
            return Exit::Incomplete;
        }
    };
    if verified.is_empty() {
        println!("{shown}: {}, no stored hash: nothing to compare with", image.format);
    }
    for hash in &verified {
        let kind = match hash.stored.kind {
            HashKind::Md5 => "md5",
            HashKind::Sha1 => "sha1",
        };
        if hash.matches() {
            println!("{shown}: {kind} {} matches", hash.stored.hex);
        } else {
            println!("{shown}: {kind} {} DIFFERS: found {}", hash.stored.hex, hash.found);
        }
    }
    let problems = image.problems();
    problems.iter().for_each(|problem| println!("  {problem}"));
    // Hashes that match outweigh what was noted about the image around the disk.
    let good = match verified.as_slice() {
        [] => problems.is_empty(),
        hashes => hashes.iter().all(|hash| hash.matches()),
    };
    if good { Exit::Complete } else { Exit::Incomplete }
}

fn check_bundle(path: &Path) -> Exit {
    let checked = if path.is_dir() { verify_output(path) } else { verify_bundle(path) };
    match checked {
        Ok(report) => {
            let state = report.state.as_str();
            println!("{}: {state}, {} members checked", path.display(), report.checked);
            report.failures.iter().for_each(|failure| println!("  {failure}"));
            report.remarks.iter().for_each(|remark| println!("  {remark}"));
            if report.state == BundleState::Complete { Exit::Complete } else { Exit::Incomplete }
        }
        Err(error) => {
            eprintln!("adit: {error}");
            Exit::NoSource
        }
    }
}
