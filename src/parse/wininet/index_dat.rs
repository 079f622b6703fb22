//! `index.dat` of Internet Explorer 5 to 9, version 5.2.
//!
//! ```text
//! header   0 "Client UrlCache MMF Ver 5.2"   28 u32 bytes of the file
//!         72 u32 folders   76 { u32 files, 8 characters }   592 bitmap of blocks in use
//! blocks  from 16384 on, 128 bytes each; an entry has one or more
//! URL      0 "URL "   4 u32 blocks   8 FILETIME modified   16 FILETIME accessed
//!         32 u32 size of the copy   52 u32 location   56 u8 folder   60 u32 name of the copy
//!         68 u32 data   72 u32 bytes of it   80 MS-DOS time checked   84 u32 hits
//!         92 MS-DOS time of the copy; texts end with 0, offsets count from the entry
//! LEAK     as URL; a copy that could not be deleted. Of some only size, folder and name are left
//! REDR     0 "REDR"   4 u32 blocks   16 location; an address that led elsewhere
//! HASH    the table by which entries are found
//! ```
//! Entries in blocks that the bitmap says are free were deleted. They are read as far as
//! nothing else has been written over them.
//!
//! Source: libmsiecf's format documentation and samples.

use jiff::tz::TimeZone;

use super::Output;
use super::entry::Entry;
use crate::model::{Input, Locator, MAX_INLINE_BYTES, Moment, Precision, Record, Sink};
use crate::parse::bytes::{ansi, piece, u16_at, u32_at, u64_at};
use crate::parse::local_time::of_dos;
use crate::parse::offer::lost;
use crate::parse::{ParseError, Parser};

const FORMAT: &str = "index.dat";
const MARK: &[u8] = b"Client UrlCache MMF Ver ";
const VERSION: &[u8] = b"5.2";
const FOLDERS_AT: usize = 72;
/// Folders of one cache.
const MAX_FOLDERS: u32 = 32;
const BITMAP_AT: usize = 592;
const FIRST_BLOCK: usize = 0x4000;
const BLOCK: usize = 128;
/// Largest entry; real ones have a few kilobytes.
const MAX_ENTRY: usize = 256 << 10;
/// Fills what was never written.
const UNWRITTEN: u32 = 0xdead_beef;

/// Reads `index.dat`; a record for each entry, deleted ones as recovered.
pub struct IndexDat;

impl Parser for IndexDat {
    fn name(&self) -> &'static str {
        "index_dat"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        start.starts_with(MARK)
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let bytes = input.read_all(MAX_INLINE_BYTES)?;
        let Some(version) = bytes.strip_prefix(MARK) else {
            let found = format!("{:02x?}", bytes.get(..8).unwrap_or(&bytes));
            return Err(ParseError::Foreign { format: FORMAT, found });
        };
        if !version.starts_with(VERSION) {
            let what = format!("version {} is not known, 5.2 expected", ansi(version).trim());
            return Err(ParseError::Broken { format: FORMAT, offset: MARK.len() as u64, what });
        }
        let size = u32_at(&bytes, 28).unwrap_or_default();
        if u64::from(size) > bytes.len() as u64 {
            let message = format!("{FORMAT}: ends at {} bytes, it says {size}", bytes.len());
            sink.damaged(lost(bytes.len(), message));
        }
        let mut output = Output::new(input, sink);
        let mut at = FIRST_BLOCK;
        while at < bytes.len() {
            let Some(kind) = Kind::at(&bytes, at) else {
                at = at.saturating_add(BLOCK);
                continue;
            };
            let in_use = is_in_use(&bytes, at);
            let end = if in_use { end_in_use(&bytes, at) } else { end_of_deleted(&bytes, at) };
            let Some(end) = end else {
                let message = format!("{FORMAT}: an entry of impossible size");
                output.sink.damaged(lost(at, message));
                at = at.saturating_add(BLOCK);
                continue;
            };
            let entry = bytes.get(at..end).unwrap_or_default();
            if let Some(mut record) = kind.record(entry, at, &bytes, input) {
                record.recovered = !in_use;
                if output.push(record).is_break() {
                    return Ok(());
                }
            }
            at = end;
        }
        let Output { sink, extent, .. } = output;
        sink.extent(extent);
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Url,
    Leak,
    Redirected,
    Table,
}

impl Kind {
    /// What begins in the block at `at`.
    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        Some(match piece(bytes, at, 4)? {
            b"URL " => Self::Url,
            b"LEAK" => Self::Leak,
            b"REDR" => Self::Redirected,
            b"HASH" => Self::Table,
            _ => return None,
        })
    }

    fn record(self, entry: &[u8], at: usize, file: &[u8], input: &Input<'_>) -> Option<Record> {
        let locator = Locator::Offset(at as u64);
        match self {
            Self::Table => None,
            Self::Redirected => {
                let location = ansi(entry.get(16..)?);
                let mut record =
                    Entry { location, ..Entry::default() }.record(locator, input.zone)?;
                record.push("State", "redirected");
                Some(record)
            }
            Self::Url | Self::Leak => {
                let mut record = read(entry, file).record(locator, input.zone)?;
                if self == Self::Leak {
                    record.push("State", "copy not deleted");
                }
                Some(record)
            }
        }
    }
}

/// Whether the block at `at` is in use.
fn is_in_use(bytes: &[u8], at: usize) -> bool {
    let block = at.saturating_sub(FIRST_BLOCK) / BLOCK;
    let byte = BITMAP_AT.checked_add(block / 8).filter(|at| *at < FIRST_BLOCK);
    byte.and_then(|at| bytes.get(at)).is_some_and(|byte| byte >> (block % 8) & 1 == 1)
}

/// Where the entry at `at` says that it ends; `None` where that cannot be.
fn end_said(bytes: &[u8], at: usize) -> Option<usize> {
    let blocks = usize::try_from(u32_at(bytes, at.checked_add(4)?)?).ok()?;
    let size = blocks.checked_mul(BLOCK).filter(|size| (1..=MAX_ENTRY).contains(size))?;
    at.checked_add(size)
}

fn end_in_use(bytes: &[u8], at: usize) -> Option<usize> {
    end_said(bytes, at).filter(|end| *end <= bytes.len())
}

/// Where a deleted entry ends, or what was written over it begins.
fn end_of_deleted(bytes: &[u8], at: usize) -> Option<usize> {
    let end = end_said(bytes, at).unwrap_or_default().min(bytes.len());
    let mut next = at.checked_add(BLOCK)?;
    while next < end && !is_in_use(bytes, next) && Kind::at(bytes, next).is_none() {
        next = next.checked_add(BLOCK)?;
    }
    Some(next.min(bytes.len()))
}

fn read(entry: &[u8], file: &[u8]) -> Entry {
    let word = |at| u32_at(entry, at).filter(|word| *word != UNWRITTEN && *word != 0);
    let start = |at| word(at).and_then(|start| usize::try_from(start).ok());
    let text = |at| start(at).and_then(|from| entry.get(from..)).map(ansi).unwrap_or_default();
    let ticks = |at| {
        const NEVER: u64 = 0xdead_beef_dead_beef;
        u64_at(entry, at).filter(|ticks| *ticks != NEVER).unwrap_or_default()
    };
    let data = start(68).zip(start(72)).map(|(from, len)| {
        let all = entry.get(from..).unwrap_or_default();
        all.get(..len).unwrap_or(all).to_vec()
    });
    let name = text(60);
    let folder = entry.get(56).and_then(|index| folder(file, *index));
    Entry {
        location: text(52),
        accessed: ticks(16),
        modified: ticks(8),
        created: dos_moment(entry, 92, "Cache File Created"),
        checked: dos_moment(entry, 80, "Last Checked with the Server"),
        hits: word(84).map(i64::from),
        size: word(32).map(i64::from),
        cache_file: match folder {
            Some(folder) if !name.is_empty() => format!("{folder}\\{name}"),
            _ => name,
        },
        data: data.unwrap_or_default(),
    }
}

/// The name of the folder of that number.
fn folder(file: &[u8], index: u8) -> Option<String> {
    let count = u32_at(file, FOLDERS_AT)?.min(MAX_FOLDERS);
    (u32::from(index) < count).then_some(())?;
    let at = usize::from(index).checked_mul(12)?.checked_add(FOLDERS_AT + 8)?;
    Some(ansi(piece(file, at, 8)?)).filter(|name| !name.is_empty())
}

/// The moment of an MS-DOS pair, which counts UTC here; `None` where there is none.
fn dos_moment(entry: &[u8], at: usize, meaning: &'static str) -> Option<Moment> {
    let (date, time) = (u16_at(entry, at)?, u16_at(entry, at.checked_add(2)?)?);
    if u32_at(entry, at).is_none_or(|word| word == 0 || word == UNWRITTEN) {
        return None;
    }
    Some(Moment {
        at: of_dos(date, time).and_then(|at| TimeZone::UTC.to_timestamp(at).ok()),
        meaning,
        precision: Precision::Second,
        raw: format!("{date:04x} {time:04x}"),
    })
}
