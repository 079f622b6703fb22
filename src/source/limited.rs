//! A file tree that is read no further than the run's limits let.

use std::io;

use crate::model::{EvidencePath, Limits, PathResolver, Problem, Reached, ReadAt, Stage};

use super::{Entry, Filesystem, Piece, SourceError, Start};

/// Another tree, within limits.
pub struct Limited {
    tree: Box<dyn Filesystem>,
    limits: Limits,
}

impl Limited {
    /// The tree, shown and read until a limit is reached.
    pub fn new(tree: Box<dyn Filesystem>, limits: Limits) -> Self {
        Self { tree, limits }
    }
}

impl Filesystem for Limited {
    /// Entries beyond a limit are counted and not shown.
    fn walk(&self, visit: &mut dyn FnMut(Entry), problem: &mut dyn FnMut(Problem)) {
        let (mut unseen, mut why) = (0_u64, None);
        let mut seen = |entry: Entry| {
            why = why.or_else(|| self.limits.ended());
            if why.is_some() {
                unseen = unseen.saturating_add(1);
            } else {
                visit(entry);
            }
        };
        self.tree.walk(&mut seen, problem);
        if let Some(why) = why {
            let message = format!("{unseen} or more names were not looked at; {why}");
            problem(Problem { path: None, locator: None, stage: Stage::Locate, message });
        }
    }

    fn open(&self, file: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
        if let Some(why) = self.limits.reached() {
            return Err(SourceError::File { path: file.path.clone(), error: refusal(why) });
        }
        let bytes = self.tree.open(file)?;
        Ok(Box::new(LimitedBytes { bytes, limits: self.limits.clone() }))
    }

    fn entry(&self, path: &EvidencePath) -> Option<Entry> {
        self.tree.entry(path)
    }

    fn case_insensitive(&self) -> bool {
        self.tree.case_insensitive()
    }

    fn indexes(&self, visit: &mut dyn FnMut(Entry)) {
        self.tree.indexes(visit);
    }

    fn directories(&self, path: &EvidencePath) -> Option<&dyn PathResolver> {
        self.tree.directories(path)
    }

    fn pieces(&self, file: &Entry) -> Vec<Piece> {
        self.tree.pieces(file)
    }

    fn start(&self, file: &Entry) -> Start {
        self.tree.start(file)
    }

    fn place(&self, file: &Entry) -> u64 {
        self.tree.place(file)
    }

    fn lists(&self) -> Vec<(EvidencePath, u64)> {
        self.tree.lists()
    }

    fn method(&self, path: &EvidencePath) -> &'static str {
        self.tree.method(path)
    }

    fn forget(&self) {
        self.tree.forget();
    }

    fn late_problems(&self) -> Vec<Problem> {
        self.tree.late_problems()
    }
}

/// A file of such a tree.
struct LimitedBytes {
    bytes: Box<dyn ReadAt>,
    limits: Limits,
}

impl ReadAt for LimitedBytes {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(why) = self.limits.reached() {
            return Err(refusal(why));
        }
        let n = self.bytes.read_at(offset, buf)?;
        self.limits.count(n as u64);
        Ok(n)
    }

    fn data_from(&self, offset: u64) -> u64 {
        self.bytes.data_from(offset)
    }

    fn forget(&self) {
        self.bytes.forget();
    }
}

/// The error of what a limit forbids; no other error is of this kind.
fn refusal(why: Reached) -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, why.to_string())
}
