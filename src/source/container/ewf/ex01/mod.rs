//! The sections of one segment file of version 2, from its end.
//!
//! | offset | bytes | of a section's descriptor, which stands behind its data |
//! |---|---|---|
//! | 0 | 4 | type |
//! | 4 | 4 | flags: 1 the data's MD5 is set, 2 encrypted |
//! | 8 | 8 | offset of the descriptor before; 0 in the first one |
//! | 16 | 8 | bytes of the data |
//! | 24 | 4 | bytes of the descriptor: 64 |
//! | 32 | 16 | MD5 of the data |
//! | 60 | 4 | Adler-32 of the 60 bytes before |
//!
//! Where a descriptor is damaged, or the file is cut, the next one before is looked for.

use md5::{Digest, Md5};
use memchr::memmem;

use super::super::bytes::{array, le32, le64, utf16};
use super::super::inflate::{Inflater, Wrapping, adler32, begins_as_bzip2, bunzip2};
use super::super::log::Log;
use super::super::parts::Parts;
use super::section::{MAX_SECTIONS, Segment, Volume, note_unread};
use super::table::{Copy, Layout, Table};

const FILE_HEADER: u64 = 32;
const DESCRIPTOR: u64 = 64;
const DESCRIPTOR_LEN: usize = 64;
/// What stands in every descriptor, and where.
const DESCRIPTOR_SIZE: &[u8] = &[64, 0, 0, 0];
const DESCRIPTOR_SIZE_AT: usize = 24;
/// Types of sections, and a number above all of them.
const DEVICE: u32 = 1;
const CASE: u32 = 2;
const TABLE: u32 = 4;
const ERRORS: u32 = 5;
const MD5: u32 = 8;
const SHA1: u32 = 9;
const KEYS: u32 = 0xb;
const NEXT: u32 = 0xd;
const DONE: u32 = 0xf;
const MAX_KIND: u32 = 0x40;
/// Flags of a section.
const HASHED: u32 = 1;
const ENCRYPTED: u32 = 2;
/// Bytes of the header of a table, padded, and of one of its entries.
const TABLE_HEADER: u64 = 32;
const ENTRY: u64 = 16;
/// Bytes of a packed text, and of what it holds.
const MAX_PACKED: u64 = 1 << 20;
const MAX_TEXT: usize = 4 << 20;
/// Bytes of a segment in which lost descriptors are looked for, and those at once.
const MAX_SEARCH: u64 = 1 << 30;
const SEARCH_BLOCK: u64 = 1 << 20;
/// What following up one that looks like a descriptor counts for in that.
const SEARCH_COST: u64 = 4096;

/// A section's descriptor.
struct Section {
    kind: u32,
    flags: u32,
    /// Offset of the descriptor.
    at: u64,
    /// That of the one before; 0 in the first.
    previous: u64,
    size: u64,
    hash: [u8; 16],
}

/// A segment being read.
struct Reader<'a> {
    parts: &'a Parts,
    file: usize,
    log: &'a Log,
    segment: Segment,
    /// Bytes of a sector and sectors of the disk.
    device: Option<(u64, u64)>,
    /// Sectors of a chunk.
    per_chunk: Option<u64>,
    /// Bytes that may still be searched.
    budget: u64,
}

/// Reads the sections of a segment file; what is wrong is noted.
pub(super) fn read(parts: &Parts, file: usize, log: &Log) -> Segment {
    let mut reader = Reader {
        parts,
        file,
        log,
        segment: Segment::default(),
        device: None,
        per_chunk: None,
        budget: MAX_SEARCH,
    };
    reader.sections();
    reader.volume();
    reader.segment
}

impl Reader<'_> {
    fn note(&self, at: u64, message: impl Into<String>) {
        self.log.note(self.parts.path(self.file), Some(at), message);
    }

    fn sections(&mut self) {
        let mut at = self.parts.size(self.file).saturating_sub(DESCRIPTOR);
        for _ in 0..MAX_SECTIONS {
            let section = self.descriptor(at).or_else(|| self.beyond(at));
            let Some(section) = section else { return };
            self.take(&section);
            if section.previous == 0 || self.segment.encrypted {
                return;
            }
            at = section.previous;
        }
        self.note(at, format!("more than {MAX_SECTIONS} sections"));
    }

    /// The section before the one whose descriptor should be at an offset and is not.
    fn beyond(&mut self, at: u64) -> Option<Section> {
        let found = self.search(at);
        let then = match &found {
            Some(section) => format!("read on from that at {:#x}", section.at),
            None => "none is found before".to_owned(),
        };
        self.note(at, format!("section descriptor is damaged or missing: {then}"));
        // A table, the only one of its chunks, can be told by its own checksum. It ends
        // where it should, which what looks like one among the sectors does not.
        let start = found.as_ref()?.at.saturating_add(DESCRIPTOR);
        if self.table(start, at.saturating_sub(DESCRIPTOR)).is_none() {
            self.segment.tables.extend(self.table(start, at).map(Some));
        }
        found
    }

    /// The descriptor at an offset, if one is there.
    fn descriptor(&self, at: u64) -> Option<Section> {
        let bytes = self.parts.bytes(self.file, at, DESCRIPTOR_LEN).ok()?;
        parse(&bytes, at)
    }

    /// The last descriptor before `end` that another one stands before, or the start of
    /// the file. That tells it from one of an image that lies on the disk.
    fn search(&mut self, mut end: u64) -> Option<Section> {
        while end > FILE_HEADER && self.budget > 0 {
            let start = end.saturating_sub(SEARCH_BLOCK).max(FILE_HEADER);
            let searched = end.saturating_sub(start);
            self.budget = self.budget.saturating_sub(searched);
            // Descriptors that begin before `end` may go beyond it.
            let len = usize::try_from(searched.saturating_add(DESCRIPTOR)).ok()?;
            let bytes = self.parts.bytes(self.file, start, len).ok()?;
            for place in memmem::rfind_iter(&bytes, DESCRIPTOR_SIZE) {
                let Some(within) = place.checked_sub(DESCRIPTOR_SIZE_AT) else { continue };
                let at = start.saturating_add(within as u64);
                let found = parse(bytes.get(within..).unwrap_or_default(), at);
                let Some(section) = found.filter(|_| at < end) else { continue };
                self.budget = self.budget.saturating_sub(SEARCH_COST);
                if self.follows_another(&section) {
                    return Some(section);
                }
            }
            end = start;
        }
        None
    }

    fn follows_another(&self, section: &Section) -> bool {
        match section.previous {
            0 => section.at.checked_sub(section.size) == Some(FILE_HEADER),
            previous => self.descriptor(previous).is_some(),
        }
    }

    fn take(&mut self, section: &Section) {
        if section.flags & ENCRYPTED != 0 || section.kind == KEYS {
            self.segment.encrypted = true;
            return;
        }
        let data = section.at.saturating_sub(section.size);
        match section.kind {
            DEVICE => {
                let text = self.text(section, "device information");
                self.device = text.and_then(|text| device(&text));
            }
            CASE => {
                let text = self.text(section, "case data");
                self.per_chunk = text.and_then(|text| number(&text, "sb"));
            }
            TABLE => match self.table(data, section.at) {
                Some(table) => self.segment.tables.push(Some(table)),
                None => self.note(data, "header of a sector table is damaged"),
            },
            ERRORS => {
                let header: Option<[u8; 16]> = self.sealed(data, "error table");
                let ranges = header.and_then(|header| le32(&header, 0)).unwrap_or_default();
                note_unread(ranges, self.parts.path(self.file), data, self.log);
            }
            MD5 => self.segment.md5 = self.sealed(data, "MD5").filter(|hash| *hash != [0; 16]),
            SHA1 => {
                self.segment.sha1 = self.sealed(data, "SHA-1").filter(|hash| *hash != [0; 20]);
            }
            NEXT => self.segment.goes_on = true,
            DONE => self.segment.done = true,
            _ => {}
        }
    }

    /// `N` bytes with their Adler-32 behind, if it is right.
    fn checked<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let bytes = self.parts.bytes(self.file, at, N.saturating_add(4)).ok()?;
        let data: [u8; N] = array(&bytes, 0)?;
        (le32(&bytes, N) == Some(adler32(&data))).then_some(data)
    }

    /// The same of what bears a name; that it is wrong is noted.
    fn sealed<const N: usize>(&self, at: u64, name: &str) -> Option<[u8; N]> {
        let data = self.checked(at);
        if data.is_none() {
            self.note(at, format!("checksum of {name} is wrong"));
        }
        data
    }

    /// The table between two offsets, if its header is whole and its entries fit there.
    fn table(&self, start: u64, end: u64) -> Option<Table> {
        let header: [u8; 16] = self.checked(start)?;
        let first_chunk = le64(&header, 0)?;
        let count = u64::from(le32(&header, 8)?);
        let entries = start.checked_add(TABLE_HEADER)?;
        let entries_end = count.checked_mul(ENTRY)?.checked_add(entries)?;
        if count == 0 || entries_end > end || first_chunk.checked_add(count).is_none() {
            return None;
        }
        let layout = Layout::Places;
        Some(Table::new(first_chunk, Copy { file: self.file, entries, count, layout }))
    }

    /// The text of a section: UTF-16, packed.
    fn text(&self, section: &Section, name: &str) -> Option<String> {
        let at = section.at.saturating_sub(section.size);
        let text = self.unpacked(section, at);
        text.map_err(|what| self.note(at, format!("{name}: {what}"))).ok()
    }

    fn unpacked(&self, section: &Section, at: u64) -> Result<String, String> {
        if section.size > MAX_PACKED {
            return Err(format!("{} bytes are too many", section.size));
        }
        let len = usize::try_from(section.size).map_err(|e| e.to_string())?;
        let bytes = self.parts.bytes(self.file, at, len).map_err(|e| e.to_string())?;
        let is_plain = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        let text = if is_plain {
            // What is packed has a checksum of its own.
            let hash: [u8; 16] = Md5::digest(&bytes).into();
            if section.flags & HASHED != 0 && hash != section.hash {
                return Err("MD5 is wrong".to_owned());
            }
            bytes
        } else if begins_as_bzip2(&bytes) {
            bunzip2(&bytes, MAX_TEXT)?
        } else {
            Inflater::new(Wrapping::Zlib).inflate(&bytes, MAX_TEXT)?
        };
        let big = text.starts_with(&[0xfe, 0xff]);
        let read = if big { u16::from_be_bytes } else { u16::from_le_bytes };
        Ok(utf16(text.get(2..).unwrap_or_default(), read))
    }

    /// Puts together what the two texts say of the geometry.
    fn volume(&mut self) {
        let (Some((sector, sectors)), Some(per_chunk)) = (self.device, self.per_chunk) else {
            return;
        };
        match Volume::new(sectors, sector, per_chunk) {
            Ok(volume) => self.segment.volume = Some(volume),
            Err(what) => self.note(FILE_HEADER, what),
        }
    }
}

/// The descriptor that bytes begin with, those at `at` of a segment.
fn parse(bytes: &[u8], at: u64) -> Option<Section> {
    let kind = le32(bytes, 0).filter(|kind| (1..MAX_KIND).contains(kind))?;
    array::<4>(bytes, DESCRIPTOR_SIZE_AT).filter(|size| size == DESCRIPTOR_SIZE)?;
    let (previous, size) = (le64(bytes, 8)?, le64(bytes, 16)?);
    let start = if previous == 0 { FILE_HEADER } else { previous.checked_add(DESCRIPTOR)? };
    if at.checked_sub(size)? < start || adler32(bytes.get(..60)?) != le32(bytes, 60)? {
        return None;
    }
    Some(Section { kind, flags: le32(bytes, 4)?, at, previous, size, hash: array(bytes, 32)? })
}

/// Bytes of a sector, and sectors.
fn device(text: &str) -> Option<(u64, u64)> {
    Some((number(text, "bp")?, number(text, "ts")?))
}

/// A number by its tag: the third line holds tags, the fourth their values.
fn number(text: &str, tag: &str) -> Option<u64> {
    let mut lines = text.lines().skip(2);
    let at = lines.next()?.split('\t').position(|name| name == tag)?;
    lines.next()?.split('\t').nth(at)?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
