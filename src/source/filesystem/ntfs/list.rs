//! `$ATTRIBUTE_LIST`: in which records the attributes of a large file lie.
//!
//! ```text
//! entry = kind:32 length:16 name-length:8 name-at:8 first:64 record:64 id:16 … name
//! ```

use super::super::bytes::{piece, u16_at, u32_at, u64_at};
use super::record::Reference;

/// NTFS keeps no longer list; bytes.
pub(super) const MAX_LIST: u64 = 256 << 10;

/// Where one piece of an attribute lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) kind: u32,
    /// UTF-16LE.
    pub(super) name: &'a [u8],
    /// First cluster of the content that the piece maps.
    pub(super) first: u64,
    pub(super) record: Reference,
}

/// The entries of a list, up to the first that cannot be.
pub(super) fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        let own = piece(bytes, at, usize::from(u16_at(bytes, at.checked_add(4)?)?))?;
        if own.len() < 26 {
            return None;
        }
        at = at.checked_add(own.len())?;
        let length = usize::from(*own.get(6)?).saturating_mul(2);
        Some(Entry {
            kind: u32_at(own, 0)?,
            name: if length == 0 { &[] } else { piece(own, usize::from(*own.get(7)?), length)? },
            first: u64_at(own, 8)?,
            record: Reference::of(u64_at(own, 16)?),
        })
    })
}
