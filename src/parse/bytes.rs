//! Small integers and pieces of a file, read without trusting it.

use std::io;

use crate::model::ReadAt;

/// The little-endian 16-bit number at `at`.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let end = at.checked_add(2)?;
    bytes.get(at..end)?.try_into().ok().map(u16::from_le_bytes)
}

/// The little-endian 32-bit number at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    bytes.get(at..end)?.try_into().ok().map(u32::from_le_bytes)
}

/// The little-endian 64-bit number at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let end = at.checked_add(8)?;
    bytes.get(at..end)?.try_into().ok().map(u64::from_le_bytes)
}

/// `len` bytes at `at`; `None` when they reach beyond the end.
pub(crate) fn piece(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(len)?)
}

/// The text of UTF-16 little endian units, damaged characters replaced.
pub(crate) fn utf16(bytes: &[u8]) -> String {
    let (units, _) = bytes.as_chunks::<2>();
    let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
    char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect()
}

/// A security identifier as it is written.
pub(crate) fn sid(bytes: &[u8]) -> Option<String> {
    let (revision, count) = (bytes.first()?, usize::from(*bytes.get(1)?));
    let authority = bytes.get(2..8)?.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    let mut out = format!("S-{revision}-{authority}");
    for index in 0..count {
        let at = index.checked_mul(4)?.checked_add(8)?;
        out.push_str(&format!("-{}", u32_at(bytes, at)?));
    }
    Some(out)
}

/// Up to `len` bytes of the file at `offset`, fewer only at its end.
///
/// # Errors
///
/// The read error.
pub(crate) fn read_up_to(source: &dyn ReadAt, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let left = source.size().saturating_sub(offset);
    let len = usize::try_from(left).unwrap_or(usize::MAX).min(len);
    let mut out = vec![0; len];
    let mut filled = 0usize;
    while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let n = source.read_at(offset.saturating_add(filled as u64), rest)?;
        if n == 0 {
            break;
        }
        filled = filled.saturating_add(n);
    }
    out.truncate(filled);
    Ok(out)
}

/// The text of UTF-16LE bytes up to the first zero character; damaged characters replaced.
pub(crate) fn utf16_text(bytes: &[u8]) -> String {
    let (pairs, _) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).take_while(|unit| *unit != 0);
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Narrow text up to the first zero: UTF-8 if it is, else Western European, the
/// commonest code page, for the file does not say which one it is in.
pub(crate) fn ansi(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    match str::from_utf8(text) {
        Ok(text) => text.to_owned(),
        Err(_) => text.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// A GUID in its usual text form.
pub(crate) fn guid(bytes: &[u8]) -> Option<String> {
    let (a, b, c) = (u32_at(bytes, 0)?, u16_at(bytes, 4)?, u16_at(bytes, 6)?);
    let hex = |part: &[u8]| part.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    Some(format!(
        "{{{a:08X}-{b:04X}-{c:04X}-{}-{}}}",
        hex(bytes.get(8..10)?),
        hex(bytes.get(10..16)?)
    ))
}
