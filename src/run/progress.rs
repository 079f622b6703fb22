//! How far a run is: what runs and whoever watches share.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Limits;

/// How far a scan is, over all sources and for each that is at work.
#[derive(Debug, Default)]
pub struct Progress {
    pub sources_done: AtomicU64,
    pub sources_total: AtomicU64,
    /// Sources at work, in the order in which they were begun.
    active: Mutex<Vec<Arc<SourceProgress>>>,
    /// What the sources that are done came to.
    past: Mutex<Counts>,
}

/// How far one source is.
#[derive(Debug, Default)]
pub struct SourceProgress {
    /// The file or folder.
    pub name: String,
    pub bytes_done: AtomicU64,
    pub bytes_total: AtomicU64,
    /// Files read.
    pub items: AtomicU64,
    /// Rises with every further pass over the logs.
    pub passes: AtomicU64,
    /// Once they are reached, nothing more is read.
    pub limits: Limits,
}

/// The numbers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub bytes_done: u64,
    pub bytes_total: u64,
    /// Files read.
    pub items: u64,
    /// Further passes over the logs.
    pub passes: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.bytes_done = self.bytes_done.saturating_add(other.bytes_done);
        self.bytes_total = self.bytes_total.saturating_add(other.bytes_total);
        self.items = self.items.saturating_add(other.items);
        self.passes = self.passes.saturating_add(other.passes);
    }
}

impl SourceProgress {
    /// Counts a file, or a part of one, of that many bytes as read.
    pub(super) fn done(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
        self.items.fetch_add(1, Ordering::Relaxed);
    }

    /// The numbers now.
    pub fn counts(&self) -> Counts {
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        Counts {
            bytes_done: read(&self.bytes_done),
            bytes_total: read(&self.bytes_total),
            items: read(&self.items),
            passes: read(&self.passes),
        }
    }
}

impl Progress {
    /// A source at work, until what is returned is dropped.
    pub fn begin(&self, name: String, limits: &Limits) -> Active<'_> {
        let source = SourceProgress { name, limits: limits.clone(), ..SourceProgress::default() };
        let source = Arc::new(source);
        self.active.lock().unwrap_or_else(PoisonError::into_inner).push(source.clone());
        Active { progress: self, source }
    }

    /// The sources at work, in the order in which they were begun.
    pub fn active(&self) -> Vec<Arc<SourceProgress>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The numbers of all sources together, now.
    pub fn counts(&self) -> Counts {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = *self.past.lock().unwrap_or_else(PoisonError::into_inner);
        active.iter().for_each(|source| counts.add(source.counts()));
        counts
    }
}

/// A source at work.
pub struct Active<'a> {
    progress: &'a Progress,
    source: Arc<SourceProgress>,
}

impl Deref for Active<'_> {
    type Target = SourceProgress;

    fn deref(&self) -> &SourceProgress {
        &self.source
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        // In this order everywhere: active, then past.
        let mut active = self.progress.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.retain(|source| !Arc::ptr_eq(source, &self.source));
        let mut past = self.progress.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.add(self.source.counts());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_still_counts() {
        let progress = Progress::default();
        let first = progress.begin("a".into(), &Limits::default());
        let second = progress.begin("b".into(), &Limits::default());
        first.items.fetch_add(2, Ordering::Relaxed);
        second.items.fetch_add(3, Ordering::Relaxed);
        drop(first);
        let names: Vec<String> = progress.active().iter().map(|s| s.name.clone()).collect();
        assert_eq!(names, ["b"]);
        assert_eq!(progress.counts().items, 5);
        drop(second);
        assert_eq!(progress.counts().items, 5);
    }
}
