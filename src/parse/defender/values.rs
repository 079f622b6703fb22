//! The values a detection file is made of.
//!
//! ```text
//! file  = { value }
//! value = u32 length, u32 type, length bytes, zeros up to a multiple of 8
//! bag   = (a value of type 0x28) 24 bytes, { entry }
//! entry = u32 bytes of the name, name (UTF-16, zero at its end), u32 type, content
//! content = type 3: u32; 4: u64; 5: u8; 6: u32 bytes, UTF-16; 7: u32 bytes, bytes
//! ```
//! Source: a real file, `testdata/parse/defender/DetectionHistory-6AFE33A0`.

use crate::parse::bytes::{piece, u32_at, u64_at, utf16};

/// Values of one file that are read.
const MAX_VALUES: usize = 10_000;
/// Entries of one bag that are read.
const MAX_ENTRIES: usize = 256;
const HEADER_BYTES: usize = 8;
const BAG_HEADER_BYTES: usize = 24;

/// One value, as far as its type is of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Filetime(u64),
    Bag(Vec<(String, Content)>),
    /// A number, an identifier or something unknown.
    Other,
}

/// What an entry of a bag holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    Number(u64),
    Bytes,
}

/// Whether a file that starts so is one: a threat's number and a detection's identifier.
pub(super) fn is_detection(start: &[u8]) -> bool {
    let at = |n: usize| u32_at(start, n);
    (at(0), at(4), at(16), at(20)) == (Some(8), Some(8), Some(16), Some(0x1e))
}

/// The values in order, and the offset at which reading had to stop, if it had to.
pub(super) fn values(bytes: &[u8]) -> (Vec<Value>, Option<usize>) {
    let (mut out, mut at) = (Vec::new(), 0usize);
    while at < bytes.len() {
        let length = u32_at(bytes, at).and_then(|length| usize::try_from(length).ok());
        let start = at.saturating_add(HEADER_BYTES);
        let content = length.and_then(|length| piece(bytes, start, length));
        let (Some(kind), Some(content)) = (u32_at(bytes, at.saturating_add(4)), content) else {
            return (out, Some(at));
        };
        if out.len() >= MAX_VALUES {
            return (out, Some(at));
        }
        out.push(match kind {
            0x15 => Value::Text(utf16(content).trim_end_matches('\0').to_owned()),
            0x0a => Value::Filetime(u64_at(content, 0).unwrap_or_default()),
            0x28 => Value::Bag(bag(content)),
            _ => Value::Other,
        });
        at = start.saturating_add(content.len().next_multiple_of(8));
    }
    (out, None)
}

/// The entries of a bag as far as they can be read.
fn bag(bytes: &[u8]) -> Vec<(String, Content)> {
    let mut out = Vec::new();
    let mut at = BAG_HEADER_BYTES;
    while out.len() < MAX_ENTRIES {
        let Some((name, content, next)) = entry(bytes, at) else { break };
        out.push((name, content));
        at = next;
    }
    out
}

/// The entry at `at`, and where the next one begins.
fn entry(bytes: &[u8], at: usize) -> Option<(String, Content, usize)> {
    let sized = |at: usize| {
        let length = usize::try_from(u32_at(bytes, at)?).ok()?;
        let start = at.checked_add(4)?;
        Some((piece(bytes, start, length)?, start.checked_add(length)?))
    };
    let (name, at) = sized(at)?;
    let name = utf16(name).trim_end_matches('\0').to_owned();
    let (kind, at) = (u32_at(bytes, at)?, at.checked_add(4)?);
    let (content, next) = match kind {
        3 => (Content::Number(u64::from(u32_at(bytes, at)?)), at.checked_add(4)?),
        4 => (Content::Number(u64_at(bytes, at)?), at.checked_add(8)?),
        5 => (Content::Number(u64::from(*bytes.get(at)?)), at.checked_add(1)?),
        6 => {
            let (text, next) = sized(at)?;
            (Content::Text(utf16(text).trim_end_matches('\0').to_owned()), next)
        }
        7 => (Content::Bytes, sized(at)?.1),
        _ => return None,
    };
    Some((name, content, next))
}
