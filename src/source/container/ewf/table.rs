//! Where the chunks lie: tables, read when first asked for.
//!
//! An entry of version 1 is the offset of a chunk from the table's base; its highest bit says that
//! the chunk is compressed. Where chunks lie further than 31 bits from the base, all
//! 32 bits are the offset of a stored chunk. One of version 2:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | offset in the segment, or eight bytes that the chunk consists of |
//! | 8 | 4 | bytes, with the checksum behind |
//! | 12 | 4 | flags: 1 packed, 2 an Adler-32 behind, 4 (with 1) the eight bytes |
//!
//! Behind the entries stands their Adler-32 (SMART writes none).

use std::io;
use std::sync::OnceLock;

use super::super::bytes::{array, le32};
use super::super::cache::Cache;
use super::super::log::Log;
use super::super::parts::Parts;
use super::section::Segment;

/// Bytes of a table kept as one block.
pub(super) const PAGE_BYTES: usize = 4 * 16 * 1024;
const COMPRESSED: u32 = 1 << 31;
/// Flags of an entry of version 2.
const PACKED: u32 = 1;
const CHECKED: u32 = 2;
const PATTERN: u32 = 4;

/// One copy of a table.
pub(super) struct Copy {
    pub(super) file: usize,
    /// Offset of the first entry.
    pub(super) entries: u64,
    pub(super) count: u64,
    pub(super) layout: Layout,
}

/// What the entries are.
#[derive(Clone, Copy)]
pub(super) enum Layout {
    /// Version 1: offsets from `base`; `data_end` is where the last chunk ends at the
    /// latest.
    Offsets { base: u64, data_end: u64 },
    /// Version 2: offset, length and flags.
    Places,
}

/// A table with its repetition.
pub(super) struct Table {
    pub(super) first_chunk: u64,
    pub(super) count: u64,
    primary: Copy,
    pub(super) backup: Option<Copy>,
    /// Found when the table is first read.
    state: OnceLock<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its checksum is right, or it has none.
    Whole,
    /// The repetition is used.
    Repeated,
    Damaged,
}

/// Where a chunk lies, and how.
pub(super) struct Chunk {
    pub(super) file: usize,
    pub(super) offset: u64,
    /// Its bytes; or those up to the next chunk.
    pub(super) len: u64,
    pub(super) form: Form,
}

/// How a chunk is stored.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// As it is, an Adler-32 behind if `checked`.
    Stored { checked: bool },
    /// Deflated, or packed by bzip2.
    Packed,
    /// Nowhere: these bytes, over and over.
    Pattern([u8; 8]),
}

/// Where tables are read from.
pub(super) struct Access<'a> {
    pub(super) parts: &'a Parts,
    pub(super) pages: &'a Cache,
    pub(super) log: &'a Log,
}

impl Table {
    /// A table of chunks from `first_chunk` on.
    pub(super) fn new(first_chunk: u64, copy: Copy) -> Self {
        let count = copy.count;
        Self { first_chunk, count, primary: copy, backup: None, state: OnceLock::new() }
    }

    /// The place of the table's chunk of that number; `key` is the table's number.
    ///
    /// # Errors
    ///
    /// When the entry cannot be read or points outside the segment.
    pub(super) fn chunk(&self, key: usize, number: u64, from: &Access) -> io::Result<Chunk> {
        let state = self.state(from.parts, from.log);
        let copy = match &self.backup {
            Some(backup) if state == State::Repeated => backup,
            _ => &self.primary,
        };
        let chunk = match copy.layout {
            Layout::Offsets { base, data_end } => {
                copy.resolve(key, number, (base, data_end), from)?
            }
            Layout::Places => copy.place(key, number, from)?,
        };
        let what = match chunk.form {
            // Nothing else tells whether it is right.
            Form::Pattern(_) if state == State::Damaged => {
                "a pattern by a damaged table, not believed".to_owned()
            }
            Form::Pattern(_) => return Ok(chunk),
            _ if chunk.offset >= from.parts.size(chunk.file) => {
                let offset = chunk.offset;
                format!("table entry points at {offset:#x}, beyond the segment")
            }
            _ => return Ok(chunk),
        };
        let path = from.parts.path(copy.file);
        let at = copy.entries.saturating_add(number.saturating_mul(copy.layout.width()));
        from.log.note(path, Some(at), &*what);
        let message = format!("{}: at {at:#x}: {what}", path.display());
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }

    /// Which copy to use: the first whose checksum is right, or else the first.
    fn state(&self, parts: &Parts, log: &Log) -> State {
        *self.state.get_or_init(|| {
            let places = matches!(self.primary.layout, Layout::Places);
            if (self.backup.is_none() && !places) || self.primary.is_whole(parts) {
                return State::Whole;
            }
            let whole = self.backup.as_ref().map(|backup| backup.is_whole(parts));
            let (state, then) = match whole {
                Some(true) => (State::Repeated, ": its copy table2 is used"),
                Some(false) => (State::Damaged, ": and that of its copy too"),
                None => (State::Damaged, ""),
            };
            let message = format!("checksum of table entries is wrong{then}");
            log.note(parts.path(self.primary.file), Some(self.primary.entries), message);
            state
        })
    }
}

impl Layout {
    /// Bytes of an entry.
    fn width(self) -> u64 {
        match self {
            Self::Offsets { .. } => 4,
            Self::Places => 16,
        }
    }
}

impl Copy {
    /// The bytes of an entry.
    fn entry<const N: usize>(&self, key: usize, number: u64, from: &Access) -> io::Result<[u8; N]> {
        let width = self.layout.width();
        let in_page = PAGE_BYTES as u64 / width;
        let page = number / in_page;
        let before = page.saturating_mul(in_page);
        let left = self.count.saturating_sub(before).min(in_page).saturating_mul(width);
        let at = self.entries.saturating_add(before.saturating_mul(width));
        // Tables have less than 2^32 entries, hence no more than 2^20 pages.
        let name = ((key as u64) << 20) | page;
        let bytes = from.pages.get(name, || {
            let mut bytes = vec![0; usize::try_from(left).unwrap_or_default()];
            from.parts.read_exact(self.file, at, &mut bytes)?;
            Ok(bytes)
        })?;
        let within = usize::try_from((number % in_page).saturating_mul(width));
        array(&bytes, within.unwrap_or(usize::MAX))
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The place of a chunk by the offsets of it and the next one.
    fn resolve(
        &self,
        key: usize,
        number: u64,
        (base, data_end): (u64, u64),
        from: &Access,
    ) -> io::Result<Chunk> {
        let entry = |number| self.entry(key, number, from).map(u32::from_le_bytes);
        let first = entry(0)? & !COMPRESSED;
        let resolve = |raw: u32| -> (u64, bool) {
            let low = raw & !COMPRESSED;
            if raw != low && low < first {
                (u64::from(raw), false)
            } else {
                (u64::from(low), raw != low)
            }
        };
        let (offset, compressed) = resolve(entry(number)?);
        let offset = base.saturating_add(offset);
        let next = number.saturating_add(1);
        let mut end = data_end;
        if next < self.count {
            end = base.saturating_add(resolve(entry(next)?).0);
        }
        let file_size = from.parts.size(self.file);
        if end <= offset || end > file_size {
            end = file_size;
        }
        let form = if compressed { Form::Packed } else { Form::Stored { checked: true } };
        Ok(Chunk { file: self.file, offset, len: end.saturating_sub(offset), form })
    }

    /// The place of a chunk as its entry says it.
    fn place(&self, key: usize, number: u64, from: &Access) -> io::Result<Chunk> {
        let entry: [u8; 16] = self.entry(key, number, from)?;
        let (Some(place), Some(len), Some(flags)) =
            (array::<8>(&entry, 0), le32(&entry, 8), le32(&entry, 12))
        else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let form = match (flags & PACKED != 0, flags & PATTERN != 0) {
            (true, true) => Form::Pattern(place),
            (true, false) => Form::Packed,
            // By the specification, a pattern is none if the chunk is not packed.
            (false, _) => Form::Stored { checked: flags & CHECKED != 0 },
        };
        Ok(Chunk { file: self.file, offset: u64::from_le_bytes(place), len: u64::from(len), form })
    }

    fn is_whole(&self, parts: &Parts) -> bool {
        let mut sum = simd_adler32::Adler32::new();
        let mut at = self.entries;
        let left = self.count.saturating_mul(self.layout.width());
        let mut left = usize::try_from(left).unwrap_or(usize::MAX);
        while left > 0 {
            let Ok(bytes) = parts.bytes(self.file, at, left.min(PAGE_BYTES)) else { return false };
            if bytes.is_empty() {
                return false;
            }
            sum.write(&bytes);
            at = at.saturating_add(bytes.len() as u64);
            left = left.saturating_sub(bytes.len());
        }
        let stored = parts.bytes(self.file, at, 4).unwrap_or_default();
        le32(&stored, 0) == Some(sum.finish())
    }
}

/// Gives every table its first chunk, and the number of chunks that no table holds.
///
/// Up to the first gap chunks are counted from the start, behind the last gap from
/// the end, if the end is there; between two gaps nothing is known.
pub(super) fn place(segments: Vec<Segment>, total: u64, ended: bool) -> (Vec<Table>, u64) {
    let all: Vec<Option<Table>> = segments.into_iter().flat_map(|segment| segment.tables).collect();
    let has_gap = all.iter().any(Option::is_none);
    let mut placed = Vec::new();
    let mut items = all.into_iter();
    let mut next = 0u64;
    for table in items.by_ref().map_while(|table| table) {
        let count = table.count;
        placed.push(Table { first_chunk: next, ..table });
        next = next.saturating_add(count);
    }
    if has_gap && ended {
        let mut behind: Vec<Table> = items.rev().map_while(|table| table).collect();
        let mut end = total;
        for table in &mut behind {
            end = end.saturating_sub(table.count);
            table.first_chunk = end;
        }
        if end >= next {
            placed.extend(behind.into_iter().rev());
        }
    }
    let held = placed.iter().fold(0u64, |sum, table| sum.saturating_add(table.count));
    (placed, total.saturating_sub(held))
}

/// The tables of version 2 in order of their chunks, which they name themselves, and the
/// number of chunks that none holds. Of two that hold the same chunk, the one that begins
/// later is left out.
pub(super) fn sort(
    segments: Vec<Segment>,
    total: u64,
    parts: &Parts,
    log: &Log,
) -> (Vec<Table>, u64) {
    let mut all: Vec<Table> = segments.into_iter().flat_map(|it| it.tables).flatten().collect();
    all.sort_by_key(|table| (table.first_chunk, table.primary.file, table.primary.entries));
    let (mut end, mut held) = (0u64, 0u64);
    all.retain(|table| {
        let Table { first_chunk: first, count, primary, .. } = table;
        let after = first.saturating_add(*count);
        if *first < end || *first >= total {
            let message = format!(
                "table of {count} chunks from {first} on is not used: those before {end} stand \
                 in others, and the disk has {total}"
            );
            log.note(parts.path(primary.file), Some(primary.entries), message);
            return false;
        }
        held = held.saturating_add(after.min(total).saturating_sub(*first));
        end = after;
        true
    });
    (all, total.saturating_sub(held))
}
