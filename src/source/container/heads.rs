//! Which of many files are images of their own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{ContainerError, open};

/// The files to open of a folder of images, in the given order: those that are not
/// parts of others. Left out are later segments and split parts, the extents of a
/// VMDK whose descriptor is given, and the parents of given snapshots. A part whose
/// image is not given, or cannot be opened, stays; so does what is no image.
pub fn heads(paths: &[PathBuf]) -> Vec<PathBuf> {
    let given: BTreeSet<PathBuf> = paths.iter().filter_map(|path| identity(path)).collect();
    let mut parts = BTreeSet::new();
    for path in paths {
        match open(path) {
            Ok(Some(image)) => {
                parts.extend(image.parts.iter().skip(1).filter_map(|part| identity(part)));
            }
            Err(ContainerError::Continuation { first, .. }) => {
                let known = identity(&first).is_some_and(|first| given.contains(&first));
                parts.extend(known.then(|| identity(path)).flatten());
            }
            Ok(None) | Err(_) => {}
        }
    }
    let is_part = |path: &Path| identity(path).is_some_and(|path| parts.contains(&path));
    paths.iter().filter(|path| !is_part(path)).cloned().collect()
}

fn identity(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}
