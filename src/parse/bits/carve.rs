//! Jobs and files anywhere in a queue, whatever lies between them.

use std::collections::BTreeSet;

use memchr::memmem;

use super::layout::{BEFORE_DRIVE, DRIVE, File, Id, JOB_MARKS, Job};

/// Bytes before a file's target in which its row's Id lies: the mark of the file, what
/// the database puts before a value, and the Id.
const BEFORE_FILE: usize = 64;

/// Something and where it stands.
pub(super) struct Found<T> {
    pub(super) at: usize,
    pub(super) what: T,
}

/// Every job, by offset.
pub(super) fn jobs(bytes: &[u8]) -> Vec<Found<Job>> {
    let marks = JOB_MARKS.map(u128::to_be_bytes);
    let mut starts: Vec<usize> =
        marks.iter().flat_map(|mark| memmem::find_iter(bytes, mark)).collect();
    starts.sort_unstable();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let job = |(at, end): (&usize, usize)| {
        Some(Found { at: *at, what: Job::read(bytes.get(..end)?, *at)? })
    };
    starts.iter().zip(ends).filter_map(job).collect()
}

/// Every file that is fetched, by offset: an address behind the path it goes to.
pub(super) fn files(bytes: &[u8]) -> Vec<Found<File>> {
    let starts = memmem::find_iter(bytes, DRIVE).filter_map(|at| at.checked_sub(BEFORE_DRIVE));
    starts.filter_map(|at| Some(Found { at, what: File::read(bytes, at)? })).collect()
}

/// The one of these Ids that stands before the file whose target is at `at`.
pub(super) fn id_before(bytes: &[u8], at: usize, ids: &BTreeSet<Id>) -> Option<Id> {
    let before = bytes.get(at.saturating_sub(BEFORE_FILE)..at)?;
    let windows = before.windows(size_of::<Id>()).rev();
    windows.filter_map(|window| Id::try_from(window).ok()).find(|id| ids.contains(id))
}
