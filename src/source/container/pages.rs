//! Small structures of a container (block tables, bitmaps), through pages of its
//! files that are kept.

use std::io;

use super::cache::{Cache, TABLE_CACHE_BYTES};
use super::parts::Parts;

/// Bytes of a page.
const PAGE: u64 = 64 * 1024;
const PAGE_LEN: usize = 64 * 1024;
/// Offsets below this are told apart: 8 EiB.
const OFFSET_BITS: u32 = 47;

/// Pages of the files of one image.
pub(super) struct Pages(Cache);

impl Pages {
    pub(super) fn new() -> Self {
        Self(Cache::new(TABLE_CACHE_BYTES, PAGE_LEN))
    }

    /// `N` bytes at `offset` of a file.
    ///
    /// # Errors
    ///
    /// The read error, or `UnexpectedEof` when the file ends before.
    pub(super) fn array<const N: usize>(
        &self,
        parts: &Parts,
        file: usize,
        offset: u64,
    ) -> io::Result<[u8; N]> {
        let mut out = [0; N];
        self.read(parts, file, offset, &mut out)?;
        Ok(out)
    }

    /// Fills `buf` from `offset` of a file.
    ///
    /// # Errors
    ///
    /// As [`Pages::array`].
    pub(super) fn read(
        &self,
        parts: &Parts,
        file: usize,
        offset: u64,
        buf: &mut [u8],
    ) -> io::Result<()> {
        let mut filled = 0usize;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            let page = at / PAGE;
            let key = ((file as u64) << OFFSET_BITS) | page;
            let bytes =
                self.0.get(key, || parts.bytes(file, page.saturating_mul(PAGE), PAGE_LEN))?;
            let within = usize::try_from(at % PAGE).unwrap_or(usize::MAX);
            let from = bytes.get(within..).unwrap_or_default();
            let n = from.len().min(rest.len());
            if n == 0 {
                return parts.read_exact(file, at, rest); // gives the error that names the place
            }
            let (to, from) = (rest.get_mut(..n), from.get(..n));
            if let (Some(to), Some(from)) = (to, from) {
                to.copy_from_slice(from);
            }
            filled = filled.saturating_add(n);
        }
        Ok(())
    }
}
