//! A system that this version cannot examine while it runs.

use std::path::{Path, PathBuf};

use super::{Preflight, Wanted};
use crate::source::{DriveLetters, HostEvidence, SourceError};

pub(super) fn open(_: &Wanted, _: &DriveLetters<'_>) -> Result<Vec<HostEvidence>, SourceError> {
    let (what, advice) = ("no Windows or Linux", "give its volumes to `adit scan`");
    Err(SourceError::Unsupported { path: "this system".into(), what, advice })
}

pub(super) fn identity(_: &Wanted) -> String {
    String::new()
}

pub(super) fn preflight(_: &Wanted) -> Preflight {
    Preflight::default()
}

pub(super) fn holds_evidence(_: &Wanted, _: &Path) -> Option<PathBuf> {
    None
}

pub(super) fn be_gentle() -> Result<(), String> {
    Err("no way to ask for it here".into())
}

pub(super) fn memory_used() -> Option<u64> {
    None
}

pub(super) fn free_space(_: &Path) -> Option<u64> {
    None
}

pub(super) fn has_own_window() -> bool {
    false
}
