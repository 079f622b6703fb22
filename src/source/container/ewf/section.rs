//! The sections of one segment file of version 1, from its start.
//!
//! | offset | bytes | of a section's header |
//! |---|---|---|
//! | 0 | 16 | type, zero-padded |
//! | 16 | 8 | offset of the next section; of itself in the last one |
//! | 24 | 8 | size with this header |
//! | 72 | 4 | Adler-32 of the 72 bytes before |

use std::path::Path;

use super::super::bytes::{array, le32, le64};
use super::super::inflate::adler32;
use super::super::log::Log;
use super::super::parts::Parts;
use super::table::{Copy, Layout, Table};

const FILE_HEADER: u64 = 13;
const HEADER: u64 = 76;
const HEADER_LEN: usize = 76;
/// Sections of one segment file.
pub(super) const MAX_SECTIONS: usize = 1 << 20;
/// Bytes of a chunk: EnCase writes 32 KiB, others up to some MiB.
const MAX_CHUNK: u64 = 16 << 20;
/// Bytes of a sector.
const MAX_SECTOR: u64 = 1 << 16;
/// Bytes of a disk: 1 EiB.
const MAX_DISK: u64 = 1 << 60;
/// The longest volume section of interest.
const VOLUME_LEN: usize = 1052;

/// What one segment file says.
#[derive(Default)]
pub(super) struct Segment {
    pub(super) volume: Option<Volume>,
    /// In file order, of version 2 the other way round; `None` stands for a table of
    /// unknown length.
    pub(super) tables: Vec<Option<Table>>,
    pub(super) md5: Option<[u8; 16]>,
    pub(super) sha1: Option<[u8; 20]>,
    /// Nothing of it can be understood without a key.
    pub(super) encrypted: bool,
    /// The segment ends by saying that another follows.
    pub(super) goes_on: bool,
    /// The segment ends by saying that it is the last.
    pub(super) done: bool,
}

/// The geometry, in bytes.
#[derive(Clone)]
pub(super) struct Volume {
    pub(super) chunk: u64,
    pub(super) size: u64,
}

/// A section's header.
struct Section {
    kind: String,
    at: u64,
    next: u64,
    /// End of the section by its size, within the file.
    end: u64,
}

impl Segment {
    /// A segment whose file is not there: an unknown number of chunks.
    pub(super) fn missing() -> Self {
        Self { tables: vec![None], goes_on: true, ..Self::default() }
    }

    /// Reads the sections of a segment file; what is wrong is noted.
    pub(super) fn read(parts: &Parts, file: usize, log: &Log) -> Self {
        let mut segment = Self::default();
        let path = parts.path(file);
        let mut at = FILE_HEADER;
        let mut sectors_end = None;
        for _ in 0..MAX_SECTIONS {
            let section = match header(parts, file, at, log) {
                Ok(section) => section,
                Err(what) => {
                    log.note(path, Some(at), format!("{what}: the segment is not read on"));
                    segment.tables.push(None);
                    return segment;
                }
            };
            match section.kind.as_str() {
                "sectors" => sectors_end = Some(section.end.max(section.next)),
                "next" => segment.goes_on = true,
                "done" => segment.done = true,
                _ => segment.take(parts, file, &section, sectors_end, log),
            }
            if segment.goes_on || segment.done {
                return segment;
            }
            if section.next <= at {
                log.note(path, Some(at), "section chain does not go forward");
                segment.tables.push(None);
                return segment;
            }
            at = section.next;
        }
        log.note(path, None, format!("more than {MAX_SECTIONS} sections"));
        segment.tables.push(None);
        segment
    }

    fn take(
        &mut self,
        parts: &Parts,
        file: usize,
        section: &Section,
        sectors_end: Option<u64>,
        log: &Log,
    ) {
        let path = parts.path(file);
        let data = section.at.saturating_add(HEADER);
        let len = if section.kind.starts_with("table") { 24 } else { VOLUME_LEN };
        let room = usize::try_from(section.end.max(section.next).saturating_sub(data));
        let bytes = match parts.bytes(file, data, len.min(room.unwrap_or(len))) {
            Ok(bytes) => bytes,
            Err(error) => {
                log.note(path, Some(data), error.to_string());
                Vec::new()
            }
        };
        match section.kind.as_str() {
            "volume" | "disk" | "data" if self.volume.is_none() => match volume(&bytes) {
                Ok(volume) => self.volume = Some(volume),
                Err(what) => {
                    log.note(path, Some(data), format!("{} section: {what}", section.kind));
                }
            },
            "table" | "table2" => {
                let end = section.end.max(section.next).min(parts.size(file));
                let copy = copy(&bytes, file, data, end, sectors_end);
                if copy.is_none() {
                    log.note(path, Some(data), format!("{} header is damaged", section.kind));
                }
                self.table(section.kind == "table2", copy);
            }
            "hash" | "digest" => {
                let md5: Option<[u8; 16]> = array(&bytes, 0).filter(|h| *h != [0; 16]);
                self.md5 = self.md5.or(md5);
                if section.kind == "digest" {
                    self.sha1 = array(&bytes, 16).filter(|h| *h != [0; 20]);
                }
            }
            "error2" => {
                let ranges = le32(&bytes, 0).unwrap_or_default();
                note_unread(ranges, path, data, log);
            }
            _ => {}
        }
    }

    /// Adds a table, or a `table2` to the table it repeats.
    fn table(&mut self, second: bool, copy: Option<Copy>) {
        if second
            && let Some(last) = self.tables.last_mut()
            && last.as_ref().is_none_or(|table| table.backup.is_none())
        {
            match (last, copy) {
                (Some(table), Some(copy)) if copy.count == table.count => {
                    table.backup = Some(copy);
                    return;
                }
                (Some(_), None) => return, // the first copy is good
                (empty @ None, Some(copy)) => {
                    *empty = Some(Table::new(0, copy));
                    return;
                }
                (None, None) => return,
                (Some(_), Some(_)) => return, // says otherwise: the first one counts
            }
        }
        self.tables.push(copy.map(|copy| Table::new(0, copy)));
    }
}

/// Notes the sectors that the tool that made the image could not read.
pub(super) fn note_unread(ranges: u32, path: &Path, at: u64, log: &Log) {
    if ranges > 0 {
        let message = format!(
            "{ranges} ranges of sectors could not be read when the image was made: \
             they hold zeros or garbage"
        );
        log.note(path, Some(at), message);
    }
}

fn header(parts: &Parts, file: usize, at: u64, log: &Log) -> Result<Section, String> {
    let bytes = parts.bytes(file, at, HEADER_LEN).map_err(|error| error.to_string())?;
    let (Some(kind), Some(next), Some(size), Some(sum)) =
        (array::<16>(&bytes, 0), le64(&bytes, 16), le64(&bytes, 24), le32(&bytes, 72))
    else {
        return Err("file ends before a section header".to_owned());
    };
    let kind: String = kind.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
    let file_size = parts.size(file);
    if bytes.get(..72).is_none_or(|bytes| adler32(bytes) != sum) {
        let known = ["table", "table2", "sectors", "volume", "data", "hash", "digest", "header"];
        let sane = known.contains(&kind.as_str()) && next > at && next < file_size;
        if !sane {
            return Err("section header is damaged".to_owned());
        }
        log.note(parts.path(file), Some(at), format!("checksum of the {kind} header is wrong"));
    }
    if next > file_size {
        return Err(format!("{kind} section ends at {next:#x}, beyond the file"));
    }
    Ok(Section { kind, at, next, end: at.saturating_add(size).min(file_size) })
}

/// The geometry: EnCase's 1052 bytes or SMART's 94.
fn volume(bytes: &[u8]) -> Result<Volume, String> {
    let cut = || "is cut".to_owned();
    let smart = bytes.len() < VOLUME_LEN;
    let end = if smart { 90 } else { 1048 };
    let sum = le32(bytes, end).ok_or_else(cut)?;
    if bytes.get(..end).is_none_or(|bytes| adler32(bytes) != sum) {
        return Err("checksum is wrong".to_owned());
    }
    let per_chunk = le32(bytes, 8).map(u64::from).ok_or_else(cut)?;
    let sector = le32(bytes, 12).map(u64::from).ok_or_else(cut)?;
    let sectors =
        if smart { le32(bytes, 16).map(u64::from) } else { le64(bytes, 16) }.ok_or_else(cut)?;
    Volume::new(sectors, sector, per_chunk)
}

impl Volume {
    /// The geometry of so many sectors of `sector` bytes, `per_chunk` of them a chunk.
    ///
    /// # Errors
    ///
    /// When no disk is like that.
    pub(super) fn new(sectors: u64, sector: u64, per_chunk: u64) -> Result<Self, String> {
        let chunk = per_chunk.saturating_mul(sector);
        let size = sectors.saturating_mul(sector);
        if sector == 0 || sector > MAX_SECTOR || chunk == 0 || chunk > MAX_CHUNK || size > MAX_DISK
        {
            return Err(format!(
                "{sectors} sectors of {sector} bytes in chunks of {per_chunk} are impossible"
            ));
        }
        Ok(Self { chunk, size })
    }
}

/// One copy of a table, if its header is whole and its entries fit in the section.
fn copy(bytes: &[u8], file: usize, data: u64, end: u64, sectors_end: Option<u64>) -> Option<Copy> {
    let sum = le32(bytes, 20)?;
    if adler32(bytes.get(..20)?) != sum {
        return None;
    }
    let count = u64::from(le32(bytes, 0)?);
    let entries = data.checked_add(24)?;
    let entries_end = count.checked_mul(4)?.checked_add(entries)?;
    if count == 0 || entries_end > end {
        return None;
    }
    let data_end = sectors_end.unwrap_or(end);
    let layout = Layout::Offsets { base: le64(bytes, 8)?, data_end };
    Some(Copy { file, entries, count, layout })
}
