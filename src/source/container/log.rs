//! What was found damaged, at opening and later while reading.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{EvidencePath, Locator, Problem, Stage};

/// Problems kept for one image; the rest is counted.
const MAX_PROBLEMS: usize = 1000;

/// Packed blocks that were unpacked, and how many of them not for the first time.
#[derive(Default)]
struct Unpacked {
    blocks: AtomicU64,
    again: AtomicU64,
}

/// The damage of one image with all its parents, each told once, and work done on it.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Kept>>, Arc<Unpacked>);

#[derive(Default)]
struct Kept {
    problems: BTreeSet<Problem>,
    left_out: u64,
}

impl Log {
    /// Notes damage of a file, at a byte offset where there is one.
    pub(super) fn note(&self, path: &Path, offset: Option<u64>, message: impl Into<String>) {
        let problem = Problem {
            path: Some(EvidencePath::new(path.display().to_string())),
            locator: offset.map(Locator::Offset),
            stage: Stage::Source,
            message: message.into(),
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.problems.len() < MAX_PROBLEMS {
            kept.problems.insert(problem);
        } else if !kept.problems.contains(&problem) {
            kept.left_out = kept.left_out.saturating_add(1);
        }
    }

    /// Counts a packed block that was unpacked.
    pub(super) fn unpacked(&self, again: bool) {
        self.1.blocks.fetch_add(1, Ordering::Relaxed);
        self.1.again.fetch_add(u64::from(again), Ordering::Relaxed);
    }

    /// Packed blocks unpacked so far, and how many of them not for the first time.
    pub(super) fn work(&self) -> (u64, u64) {
        (self.1.blocks.load(Ordering::Relaxed), self.1.again.load(Ordering::Relaxed))
    }

    /// Everything noted so far, in order.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Problem> = kept.problems.iter().cloned().collect();
        if kept.left_out > 0 {
            let message =
                format!("{} further problems of this image are not listed", kept.left_out);
            all.push(Problem { path: None, locator: None, stage: Stage::Source, message });
        }
        all
    }
}
