//! Where the chunks lie: tables of 31-bit offsets, read when first asked for.
//!
//! An entry is the offset of a chunk from the table's base; its highest bit says that
//! the chunk is compressed. Where chunks lie further than 31 bits from the base, all
//! 32 bits are the offset of a stored chunk. Behind the entries stands their
//! Adler-32 (SMART writes none).

use std::io;
use std::sync::OnceLock;

use super::super::bytes::le32;
use super::super::cache::Cache;
use super::super::log::Log;
use super::super::parts::Parts;
use super::section::Segment;

/// Entries of a table kept as one block.
const PAGE: u64 = 16 * 1024;
/// Bytes of such a block.
pub(super) const PAGE_BYTES: usize = 4 * 16 * 1024;
const COMPRESSED: u32 = 1 << 31;

/// One copy of a table.
pub(super) struct Copy {
    pub(super) file: usize,
    /// Offset of the first entry.
    pub(super) entries: u64,
    pub(super) count: u64,
    pub(super) base: u64,
    /// Where the last chunk ends at the latest.
    pub(super) data_end: u64,
}

/// A table with its repetition.
pub(super) struct Table {
    pub(super) first_chunk: u64,
    pub(super) count: u64,
    primary: Copy,
    pub(super) backup: Option<Copy>,
    /// Whether the repetition is used, decided when the table is first read.
    uses_backup: OnceLock<bool>,
}

/// Where a chunk lies.
pub(super) struct Chunk {
    pub(super) file: usize,
    pub(super) offset: u64,
    /// Bytes up to the next chunk.
    pub(super) len: u64,
    pub(super) compressed: bool,
}

impl Table {
    pub(super) fn new(copy: Copy) -> Self {
        let count = copy.count;
        Self { first_chunk: 0, count, primary: copy, backup: None, uses_backup: OnceLock::new() }
    }

    /// The place of the table's chunk of that number; `key` is the table's number.
    ///
    /// # Errors
    ///
    /// When the entry cannot be read or points outside the segment.
    pub(super) fn chunk(
        &self,
        key: usize,
        number: u64,
        parts: &Parts,
        pages: &Cache,
        log: &Log,
    ) -> io::Result<Chunk> {
        let copy = self.copy(parts, log);
        let entry = |number: u64| -> io::Result<u32> {
            let page = number / PAGE;
            let left = copy.count.saturating_sub(page.saturating_mul(PAGE)).min(PAGE);
            let at = copy.entries.saturating_add(page.saturating_mul(PAGE.saturating_mul(4)));
            // Tables have less than 2^32 entries, hence less than 2^18 pages.
            let name = ((key as u64) << 20) | page;
            let bytes = pages.get(name, || {
                let mut bytes =
                    vec![0; usize::try_from(left.saturating_mul(4)).unwrap_or_default()];
                parts.read_exact(copy.file, at, &mut bytes)?;
                Ok(bytes)
            })?;
            let within = usize::try_from((number % PAGE).saturating_mul(4)).unwrap_or(usize::MAX);
            le32(&bytes, within).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        };
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
        let offset = copy.base.saturating_add(offset);
        let next = number.saturating_add(1);
        let mut end = copy.data_end;
        if next < copy.count {
            end = copy.base.saturating_add(resolve(entry(next)?).0);
        }
        let file_size = parts.size(copy.file);
        if end <= offset || end > file_size {
            end = file_size;
        }
        if offset >= file_size {
            let path = parts.path(copy.file);
            let at = copy.entries.saturating_add(number.saturating_mul(4));
            let message = format!("table entry points at {offset:#x}, beyond the segment");
            log.note(path, Some(at), &*message);
            let message = format!("{}: at {at:#x}: {message}", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(Chunk { file: copy.file, offset, len: end.saturating_sub(offset), compressed })
    }

    /// The copy to use: the first whose checksum is right, or else the first.
    fn copy(&self, parts: &Parts, log: &Log) -> &Copy {
        let Some(backup) = &self.backup else { return &self.primary };
        let uses_backup = *self.uses_backup.get_or_init(|| {
            if self.primary.is_whole(parts) {
                return false;
            }
            let path = parts.path(self.primary.file);
            let whole = backup.is_whole(parts);
            let then = if whole { "its copy table2 is used" } else { "and that of its copy too" };
            let message = format!("checksum of table entries is wrong: {then}");
            log.note(path, Some(self.primary.entries), message);
            whole
        });
        if uses_backup { backup } else { &self.primary }
    }
}

impl Copy {
    fn is_whole(&self, parts: &Parts) -> bool {
        let mut sum = simd_adler32::Adler32::new();
        let mut at = self.entries;
        let mut left = usize::try_from(self.count.saturating_mul(4)).unwrap_or(usize::MAX);
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
