//! Small integers and pieces of a volume, read without trusting it.

use std::io;

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

/// Fills as much of `buf` as there is at `offset`; the number of bytes read.
///
/// # Errors
///
/// The read error.
pub(super) fn fill(source: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0usize;
    while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let n = source.read_at(offset.saturating_add(filled as u64), rest)?;
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
