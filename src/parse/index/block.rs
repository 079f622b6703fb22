//! One block of an index: entries in use, and what is left of others behind them.
//!
//! ```text
//! block                              entry
//!  0 "INDX"                           0 u64 file reference
//!  4 u16 offset of the fixups         8 u16 bytes of the entry
//!  6 u16 count of the fixups         10 u16 bytes of its $FILE_NAME
//! 16 u64 number of the block         12 u32 flags: 1 has a child, 2 is the last
//! 24 u32 offset of the entries *     16 $FILE_NAME
//! 28 u32 end of the entries *
//! 32 u32 end of the room for them *        * counted from 24
//! ```

use super::name::{FIXED_BYTES, FileName, is_plausible};
use crate::model::{Damage, FileReference, Locator};
use crate::parse::bytes::{piece, u16_at, u32_at, u64_at};

pub(super) const MAGIC: &[u8] = b"INDX";
/// Where the index header stands in a block; in $INDEX_ROOT it is at 16.
const BLOCK_HEADER_AT: usize = 24;
const ROOT_HEADER_AT: usize = 16;
/// Bytes of an entry before its $FILE_NAME.
const ENTRY_HEAD_BYTES: usize = 16;
const ALIGNMENT: usize = 8;
/// Bytes at whose end NTFS keeps the two of the fixup.
const FIXUP_STRIDE: usize = 512;
const LAST: u32 = 2;

/// A file that an index lists or listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Byte of the stream at which its $FILE_NAME starts.
    pub offset: u64,
    /// Left over behind the entries in use, or in a block that is in no use.
    pub slack: bool,
    /// The file; `None` when other bytes took its place.
    pub reference: Option<FileReference>,
    pub file: FileName,
}

/// Which entries are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    /// Those in use are counted: what they say is known from elsewhere.
    LeftOver,
}

/// What a block or an $INDEX_ROOT holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Those in use in their order, then those left over by offset.
    pub entries: Vec<IndexEntry>,
    /// Entries in use that were counted and not read.
    pub counted: u64,
    pub damage: Vec<Damage>,
}

impl Contents {
    /// What one block at `offset` of the stream holds. A block without the signature
    /// is searched for left over entries, one of zeros holds nothing; in one that is
    /// not `in_use` all are left over.
    pub(super) fn of_block(block: &[u8], offset: u64, in_use: bool, wanted: Wanted) -> Self {
        let mut found = Self::default();
        if block.iter().all(|byte| *byte == 0) {
            return found;
        }
        if !block.starts_with(MAGIC) {
            found.tell(offset, "no index block");
            found.carve(block, 0, offset);
            return found;
        }
        let mut block = block.to_vec();
        if !fix(&mut block) {
            found.tell(offset, "a torn block: its fixups do not fit");
        }
        let wanted = if in_use { wanted } else { Wanted::All };
        found.list(&block, BLOCK_HEADER_AT, offset, wanted);
        found.entries.iter_mut().for_each(|entry| entry.slack |= !in_use);
        found
    }

    /// What the value of an $INDEX_ROOT holds.
    pub(super) fn of_root(root: &[u8], offset: u64) -> Self {
        let mut found = Self::default();
        found.list(root, ROOT_HEADER_AT, offset, Wanted::All);
        found
    }

    /// Lists what the index header at `header` promises, then what lies behind.
    fn list(&mut self, bytes: &[u8], header: usize, offset: u64, wanted: Wanted) {
        let place = |at: usize| {
            let from = usize::try_from(u32_at(bytes, header.checked_add(at)?)?).ok()?;
            header.checked_add(from).filter(|at| *at <= bytes.len())
        };
        let Some((mut at, end)) = place(0).zip(place(4)).filter(|(at, end)| at <= end) else {
            self.tell(offset, "its entries lie outside of it");
            self.carve(bytes, header, offset);
            return;
        };
        while at < end {
            let Some(entry) = Entry::read(bytes, at, end, wanted) else {
                self.tell(offset.saturating_add(at as u64), "no index entry");
                break;
            };
            self.entries.extend(entry.file.map(|file| IndexEntry {
                offset: offset.saturating_add(at.saturating_add(ENTRY_HEAD_BYTES) as u64),
                slack: false,
                reference: Some(entry.reference),
                file,
            }));
            let counted = wanted == Wanted::LeftOver && !entry.last;
            self.counted = self.counted.saturating_add(counted.into());
            at = at.saturating_add(entry.length);
            if entry.last {
                break;
            }
        }
        self.carve(bytes, at, offset);
    }

    /// Finds the entries left over from `from` on.
    fn carve(&mut self, bytes: &[u8], from: usize, offset: u64) {
        let mut at = from.next_multiple_of(ALIGNMENT);
        // The shortest name has one letter.
        while at.saturating_add(FIXED_BYTES) < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some((file, length)) = FileName::read_plausible(rest) else {
                at = at.saturating_add(ALIGNMENT);
                continue;
            };
            let head = at.checked_sub(ENTRY_HEAD_BYTES).filter(|head| *head >= from);
            let reference = head.and_then(|head| head_of(bytes, head, length));
            let offset = offset.saturating_add(at as u64);
            self.entries.push(IndexEntry { offset, slack: true, reference, file });
            at = at.saturating_add(length).next_multiple_of(ALIGNMENT);
        }
    }

    fn tell(&mut self, at: u64, what: &str) {
        let message = format!("directory index: {what}");
        self.damage.push(Damage { locator: Some(Locator::Offset(at)), message, lost: true });
    }
}

/// An entry in use.
struct Entry {
    reference: FileReference,
    length: usize,
    last: bool,
    /// `None` in the last one, and where it is not wanted.
    file: Option<FileName>,
}

impl Entry {
    fn read(bytes: &[u8], at: usize, end: usize, wanted: Wanted) -> Option<Self> {
        let length = usize::from(u16_at(bytes, at.checked_add(8)?)?);
        let flags = u32_at(bytes, at.checked_add(12)?)?;
        let fits = length >= ENTRY_HEAD_BYTES && at.checked_add(length)? <= end;
        let whole = piece(bytes, at, length).filter(|_| fits)?;
        let last = flags & LAST != 0;
        let content = usize::from(u16_at(whole, 10)?);
        let file = match piece(whole, ENTRY_HEAD_BYTES, content)? {
            _ if last => None,
            name if wanted == Wanted::LeftOver => {
                FileName::length(name)?;
                None
            }
            name => Some(FileName::read(name)?.0),
        };
        let reference = FileReference::from_raw(u64_at(whole, 0)?);
        Some(Self { reference, length, last, file })
    }
}

/// The reference in an entry's head, if it is the head of a $FILE_NAME of that length.
fn head_of(bytes: &[u8], at: usize, content: usize) -> Option<FileReference> {
    let reference = FileReference::from_raw(u64_at(bytes, at)?);
    let length = usize::from(u16_at(bytes, at.checked_add(8)?)?);
    let says = usize::from(u16_at(bytes, at.checked_add(10)?)?);
    let needed = ENTRY_HEAD_BYTES.checked_add(content)?.checked_next_multiple_of(ALIGNMENT)?;
    let fits = says == content && (needed..=needed.checked_add(8)?).contains(&length);
    Some(reference).filter(|reference| fits && is_plausible(reference))
}

/// Puts the two bytes that NTFS keeps apart back to the end of each 512; `false` when
/// those in their place are not the ones that were written with it.
fn fix(block: &mut [u8]) -> bool {
    let Some((at, count)) = u16_at(block, 4).zip(u16_at(block, 6)) else { return false };
    let (at, count) = (usize::from(at), usize::from(count));
    let saved = count.checked_mul(2).and_then(|bytes| piece(block, at, bytes)).map(<[u8]>::to_vec);
    let Some(saved) = saved else { return false };
    let mut pairs = saved.chunks_exact(2);
    let Some(mark) = pairs.next() else { return false };
    let mut whole = count.saturating_sub(1).saturating_mul(FIXUP_STRIDE) == block.len();
    for (stride, pair) in block.chunks_exact_mut(FIXUP_STRIDE).zip(pairs) {
        let Some(end) = stride.last_chunk_mut::<2>() else { continue };
        if end == mark {
            end.copy_from_slice(pair);
        } else {
            whole = false;
        }
    }
    whole
}
