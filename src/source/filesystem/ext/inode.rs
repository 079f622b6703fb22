//! One inode: what a file is, its times, and the fields that lead to its content.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0x00 | 2 | mode: kind of file in the top four bits |
//! | 0x04, 0x6c | 4 + 4 | size, low and high |
//! | 0x08, 0x0c, 0x10, 0x14 | 4 | accessed, changed, modified, deleted: seconds since 1970 |
//! | 0x1a | 2 | links |
//! | 0x20 | 4 | flags |
//! | 0x28 | 60 | map of blocks, extents, a link's target or the first bytes of a file |
//! | 0x80 | 2 | how many bytes beyond 128 are in use |
//! | 0x84, 0x88, 0x8c | 4 | changed, modified, accessed: two bits more of seconds, nanoseconds |
//! | 0x90, 0x94 | 4 + 4 | created |

use jiff::Timestamp;

use crate::model::from_unix;
use crate::source::{Kind, Times};

use super::super::bytes::{piece, u16_at, u32_at};

const FLAG_ENCRYPTED: u32 = 0x800;
const FLAG_INDEXED: u32 = 0x1000;
const FLAG_EXTENTS: u32 = 0x8_0000;
const FLAG_INLINE: u32 = 0x1000_0000;
/// Names of extended attributes kept in an inode are looked through to this number.
const MAX_ATTRIBUTES: usize = 256;

/// One inode.
pub(super) struct Inode {
    /// Of the volume, in bytes.
    pub(super) offset: u64,
    bytes: Vec<u8>,
}

impl Inode {
    /// An inode of those bytes (at least 128, or its fields are zero).
    pub(super) fn new(offset: u64, bytes: Vec<u8>) -> Self {
        Self { offset, bytes }
    }

    fn half(&self, at: usize) -> u16 {
        u16_at(&self.bytes, at).unwrap_or_default()
    }

    fn word(&self, at: usize) -> u32 {
        u32_at(&self.bytes, at).unwrap_or_default()
    }

    /// What it describes; `None` when the mode says nothing.
    pub(super) fn kind(&self) -> Option<Kind> {
        match self.half(0) >> 12 {
            0x8 => Some(Kind::File),
            0x4 => Some(Kind::Directory),
            0xa => Some(Kind::Link),
            0x1 | 0x2 | 0x6 | 0xc => Some(Kind::Special),
            _ => None,
        }
    }

    /// Bytes.
    pub(super) fn size(&self) -> u64 {
        u64::from(self.word(0x04)) | u64::from(self.word(0x6c)) << 32
    }

    /// Whether it described a file that was removed and has not been used again.
    pub(super) fn is_removed(&self) -> bool {
        self.half(0x1a) == 0 && self.word(0x14) != 0 && self.kind().is_some()
    }

    /// Whether it describes a file now.
    pub(super) fn is_in_use(&self) -> bool {
        self.half(0x1a) != 0 && self.kind().is_some()
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.word(0x20) & FLAG_ENCRYPTED != 0
    }

    /// A directory whose first block, or more of them, hold an index of hashes.
    pub(super) fn is_indexed(&self) -> bool {
        self.word(0x20) & FLAG_INDEXED != 0
    }

    pub(super) fn has_extents(&self) -> bool {
        self.word(0x20) & FLAG_EXTENTS != 0
    }

    pub(super) fn is_inline(&self) -> bool {
        self.word(0x20) & FLAG_INLINE != 0
    }

    /// Blocks are counted in 512 bytes here; none means that a link's target
    /// stands in the map.
    pub(super) fn has_target_in_map(&self) -> bool {
        self.size() < 60 && !self.has_extents() && !self.is_inline()
    }

    /// The 60 bytes that lead to the content or are it.
    pub(super) fn map(&self) -> &[u8] {
        piece(&self.bytes, 0x28, 60).unwrap_or_default()
    }

    /// Nanoseconds and the two bits that carry seconds beyond 2038 are read
    /// where the inode has room for them.
    pub(super) fn times(&self) -> Times {
        let extra = if self.bytes.len() > 128 { usize::from(self.half(0x80)) } else { 0 };
        let time = |at: usize, fine: usize| -> Option<Timestamp> {
            let fine = if fine.saturating_add(4) <= extra.saturating_add(0x80) {
                self.word(fine)
            } else {
                0
            };
            unix(self.word(at), fine)
        };
        Times {
            created: (extra >= 0x14).then(|| time(0x90, 0x94)).flatten(),
            modified: time(0x10, 0x88),
            accessed: time(0x08, 0x8c),
            changed: time(0x0c, 0x84),
        }
    }

    /// Where in the volume the part of an inline file lies that its map has no
    /// room for: the value of the attribute `system.data`, offset and length.
    pub(super) fn inline_rest(&self) -> Option<(u64, u64)> {
        const MAGIC: u32 = 0xea02_0000;
        const SYSTEM: u8 = 7;
        let header = 128usize.checked_add(self.half(0x80).into())?;
        if self.bytes.len() <= 128 || u32_at(&self.bytes, header)? != MAGIC {
            return None;
        }
        let first = header.checked_add(4)?;
        let mut at = first;
        for _ in 0..MAX_ATTRIBUTES {
            let name_len = *self.bytes.get(at)?;
            let index = *self.bytes.get(at.checked_add(1)?)?;
            if name_len == 0 && index == 0 {
                return None;
            }
            let name = piece(&self.bytes, at.checked_add(16)?, name_len.into())?;
            if index == SYSTEM && name == b"data" {
                let value = first.checked_add(u16_at(&self.bytes, at.checked_add(2)?)?.into())?;
                let len = usize::try_from(u32_at(&self.bytes, at.checked_add(8)?)?).ok()?;
                piece(&self.bytes, value, len)?;
                return Some((self.offset.checked_add(value as u64)?, len as u64));
            }
            let step = usize::from(name_len).checked_add(16 + 3)? / 4 * 4;
            at = at.checked_add(step)?;
        }
        None
    }
}

/// The moment of an inode's time; zero is none.
fn unix(seconds: u32, fine: u32) -> Option<Timestamp> {
    let nanos = i32::try_from(fine >> 2).ok().filter(|nanos| *nanos < 1_000_000_000).unwrap_or(0);
    // Signed, as the kernel reads it; the two low bits of `fine` count rounds of 2^32 s.
    let base = i64::from(i32::from_le_bytes(seconds.to_le_bytes()));
    let whole = base.saturating_add(i64::from(fine & 3) << 32);
    if whole == 0 && nanos == 0 { None } else { from_unix(whole, nanos) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_reach_beyond_2038_and_keep_nanoseconds() {
        let iso = |seconds, fine| unix(seconds, fine).map(|at| at.to_string());
        assert_eq!(iso(0, 0), None);
        assert_eq!(iso(1, 0).as_deref(), Some("1970-01-01T00:00:01Z"));
        assert_eq!(iso(u32::MAX, 0).as_deref(), Some("1969-12-31T23:59:59Z"));
        assert_eq!(iso(0x8000_0000, 1).as_deref(), Some("2038-01-19T03:14:08Z"));
        assert_eq!(iso(1, 28).as_deref(), Some("1970-01-01T00:00:01.000000007Z"));
        assert_eq!(iso(1, 0xffff_fffc).as_deref(), Some("1970-01-01T00:00:01Z"));
    }
}
