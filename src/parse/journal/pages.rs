//! The file in pages, some of which are kept: objects are small and lie all over it.

use std::collections::HashMap;
use std::io;

use crate::model::ReadAt;
use crate::parse::bytes::read_up_to;

/// Bytes of a page.
const PAGE_BYTES: u64 = 256 << 10;
/// Pages kept at a time.
const MAX_PAGES: usize = 128;

/// A file, read page by page.
pub(super) struct Pages<'a> {
    source: &'a dyn ReadAt,
    kept: HashMap<u64, Page>,
    clock: u64,
}

struct Page {
    bytes: Vec<u8>,
    used: u64,
}

impl<'a> Pages<'a> {
    pub(super) fn new(source: &'a dyn ReadAt) -> Self {
        Self { source, kept: HashMap::new(), clock: 0 }
    }

    /// Up to `len` bytes at `offset`, fewer only at the end.
    ///
    /// # Errors
    ///
    /// The read error.
    pub(super) fn read(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let end = offset.saturating_add(len as u64).min(self.source.size());
        let mut out = Vec::new();
        let mut at = offset;
        while at < end {
            let page = self.page(at / PAGE_BYTES)?;
            let from = usize::try_from(at % PAGE_BYTES).unwrap_or(usize::MAX);
            let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            let to = from.saturating_add(left).min(page.len());
            let piece = page.get(from..to).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            out.extend_from_slice(piece);
            at = at.saturating_add(piece.len() as u64);
        }
        Ok(out)
    }

    fn page(&mut self, number: u64) -> io::Result<&[u8]> {
        self.clock = self.clock.saturating_add(1);
        if !self.kept.contains_key(&number) {
            if self.kept.len() >= MAX_PAGES
                && let Some(oldest) = self.kept.iter().min_by_key(|(_, p)| p.used).map(|(n, _)| *n)
            {
                self.kept.remove(&oldest);
            }
            let start = number.saturating_mul(PAGE_BYTES);
            let len = usize::try_from(PAGE_BYTES).unwrap_or(usize::MAX);
            let bytes = read_up_to(self.source, start, len)?;
            self.kept.insert(number, Page { bytes, used: 0 });
        }
        let clock = self.clock;
        Ok(self.kept.get_mut(&number).map_or(&[], |page| {
            page.used = clock;
            &page.bytes
        }))
    }
}
