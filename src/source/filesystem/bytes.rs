//! Small integers and pieces of a volume, read without trusting it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::ReadAt;

/// The little-endian 16-bit number at `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let end = at.checked_add(2)?;
    bytes.get(at..end)?.try_into().ok().map(u16::from_le_bytes)
}

/// The little-endian 32-bit number at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    bytes.get(at..end)?.try_into().ok().map(u32::from_le_bytes)
}

/// The little-endian 64-bit number at `at`.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let end = at.checked_add(8)?;
    bytes.get(at..end)?.try_into().ok().map(u64::from_le_bytes)
}

/// `len` bytes at `at`; `None` when they reach beyond the end.
pub(super) fn piece(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(len)?)
}

/// Up to `len` bytes at `offset`, fewer only at the end.
///
/// # Errors
///
/// The read error.
pub(super) fn read_up_to(volume: &dyn ReadAt, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let left = volume.size().saturating_sub(offset);
    let len = usize::try_from(left).unwrap_or(usize::MAX).min(len);
    let mut out = vec![0; len];
    let filled = fill(volume, offset, &mut out)?;
    out.truncate(filled);
    Ok(out)
}

/// Exactly `len` bytes at `offset`.
///
/// # Errors
///
/// The read error, or `UnexpectedEof` when the volume ends before.
pub(super) fn read_exact(volume: &dyn ReadAt, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let out = read_up_to(volume, offset, len)?;
    if out.len() < len { Err(ends_before(volume, offset)) } else { Ok(out) }
}

/// Fills as much of `buf` as there is; how much that was.
///
/// # Errors
///
/// The read error.
pub(super) fn fill(volume: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0usize;
    while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let n = volume.read_at(offset.saturating_add(filled as u64), rest)?;
        if n == 0 {
            break;
        }
        filled = filled.saturating_add(n);
    }
    Ok(filled)
}

/// Fills the whole of `buf` from `offset`.
///
/// # Errors
///
/// The read error; `UnexpectedEof` when the source ends before.
pub(super) fn fill_exactly(source: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> io::Result<()> {
    let n = fill(source, offset, buf)?;
    if n == buf.len() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("{} bytes at {offset:#x}: the volume ends after {n}", buf.len()),
    ))
}

/// The error of a read that the volume is too short for.
pub(super) fn ends_before(volume: &dyn ReadAt, offset: u64) -> io::Error {
    let message = format!("offset {offset:#x} is beyond the volume's {} bytes", volume.size());
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

/// Bytes of a page.
const PAGE: usize = 16 << 10;
/// Pages kept.
const PAGES: usize = 64;

/// One page and its number.
type Page = Option<(u64, Arc<[u8]>)>;

/// The tables of a volume (inodes, FAT, bitmaps): small reads, often of the same place.
pub(super) struct Paged {
    volume: Arc<dyn ReadAt>,
    pages: Mutex<Vec<Page>>,
}

impl Paged {
    pub(super) fn new(volume: Arc<dyn ReadAt>) -> Self {
        Self { volume, pages: Mutex::new(vec![None; PAGES]) }
    }

    fn page(&self, number: u64) -> io::Result<Arc<[u8]>> {
        let slot = usize::try_from(number % PAGES as u64).unwrap_or_default();
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some((kept, page))) = pages.get(slot)
            && *kept == number
        {
            return Ok(Arc::clone(page));
        }
        let at = number.saturating_mul(PAGE as u64);
        let page: Arc<[u8]> = read_up_to(&*self.volume, at, PAGE)?.into();
        if let Some(kept) = pages.get_mut(slot) {
            *kept = Some((number, Arc::clone(&page)));
        }
        Ok(page)
    }
}

impl ReadAt for Paged {
    fn size(&self) -> u64 {
        self.volume.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let page = self.page(offset / PAGE as u64)?;
        let start = usize::try_from(offset % PAGE as u64).unwrap_or_default();
        let from = page.get(start..).unwrap_or_default();
        let n = from.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), from.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }
}
