//! Metadata blocks that name their successor.

use std::collections::HashSet;

use super::layout::{BLOCK_BYTES, HEAD_BYTES, Head, Kind, read_full};
use crate::model::ReadAt;

/// Blocks of one chain (1 GiB); a longer one is a made one.
const MAX_BLOCKS: usize = 64 << 10;

/// A chain of blocks, block by block.
pub(super) struct Chain<'a> {
    volume: &'a dyn ReadAt,
    kind: Kind,
    /// Offset of the next block; 0 at the end.
    next: u64,
    seen: HashSet<u64>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(volume: &'a dyn ReadAt, kind: Kind, at: u64) -> Self {
        Self { volume, kind, next: at, seen: HashSet::new() }
    }

    /// The offset of the next block and what it holds behind its head; `None` at the
    /// end. A block that cannot be read is told and ends the chain.
    pub(super) fn next(&mut self, problem: &mut dyn FnMut(u64, String)) -> Option<(u64, Vec<u8>)> {
        let at = std::mem::take(&mut self.next);
        if at == 0 {
            return None;
        }
        if self.seen.len() >= MAX_BLOCKS || !self.seen.insert(at) {
            problem(at, format!("{}: the chain of blocks does not end", self.kind.as_str()));
            return None;
        }
        let mut block = vec![0; usize::try_from(BLOCK_BYTES).unwrap_or_default()];
        let head = match read_full(self.volume, at, &mut block) {
            Ok(n) => Head::read(block.get(..n).unwrap_or_default(), self.kind, at),
            Err(error) => Err(format!("{} at {at:#x}: {error}", self.kind.as_str())),
        };
        match head {
            Ok(head) => {
                self.next = head.next;
                block.drain(..HEAD_BYTES.min(block.len()));
                Some((at, block))
            }
            Err(what) => {
                problem(at, what);
                None
            }
        }
    }
}
