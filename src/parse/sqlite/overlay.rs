//! Pages that stand beside a database: its write-ahead log or its rollback journal.
//!
//! ```text
//! -wal      32 bytes: magic 377f0682 or …83, version, page size, sequence, two salts, two sums
//!           frames: u32 page, u32 pages of the database at a commit or 0, two salts, two sums,
//!           then the page
//! -journal  28 bytes at the start of a sector: magic d9d505f920a163d7, u32 records, u32 nonce,
//!           u32 pages of the database before, u32 sector size, u32 page size
//!           records: u32 page, the page as it was, u32 sum
//! ```
//!
//! A frame of the log counts when its salts are those of the head, its sums (which go on
//! from frame to frame) are right and a commit follows it; the log then has the newer page.
//! A journal with a head is that of a transaction which was cut off; what it holds is
//! valid again. Numbers are big endian.
//!
//! Source: the SQLite project's description of its file format, sections 3 and 4.

use std::collections::BTreeMap;

use super::number::u32_at;
use crate::model::ReadAt;
use crate::parse::ParseError;
use crate::parse::bytes::read_up_to;

/// Frames or records of one sidecar that are read.
const MAX_FRAMES: u32 = 4 << 20;
const WAL_HEAD: usize = 32;
const FRAME_HEAD: usize = 24;
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Where a page stands: in which sidecar, and at what offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub sidecar: usize,
    pub offset: u64,
}

/// What the sidecars of a database hold.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// Pages that replace those of the file.
    pub pages: BTreeMap<u32, Place>,
    /// Pages of the database, if a commit or a journal says how many.
    pub count: Option<u32>,
    /// Older or never committed states of pages, in the order met.
    pub stale: Vec<Place>,
    /// Offset in a sidecar, and what is wrong there.
    pub faults: Vec<(u64, String)>,
}

/// Reads the sidecars, each by what it is.
///
/// # Errors
///
/// The read error.
pub(super) fn read(sidecars: &[&dyn ReadAt], page_size: u32) -> Result<Overlay, ParseError> {
    let mut overlay = Overlay::default();
    for (number, file) in sidecars.iter().enumerate() {
        let head = read_up_to(*file, 0, WAL_HEAD)?;
        if head.starts_with(&JOURNAL_MAGIC) {
            journal(*file, number, page_size, &mut overlay)?;
        } else if head.starts_with(&[0x37, 0x7f, 0x06]) {
            log(*file, number, &head, page_size, &mut overlay)?;
        } else if head.iter().any(|byte| *byte != 0) {
            overlay.faults.push((0, "a sidecar that is neither log nor journal".to_owned()));
        }
    }
    Ok(overlay)
}

/// The log's frames: those that count replace pages.
fn log(
    file: &dyn ReadAt,
    sidecar: usize,
    head: &[u8],
    page_size: u32,
    overlay: &mut Overlay,
) -> Result<(), ParseError> {
    if u32_at(head, 8) != Some(page_size) {
        let found = u32_at(head, 8).unwrap_or_default();
        overlay.faults.push((8, format!("log of pages of {found} bytes, not {page_size}")));
        return Ok(());
    }
    let big_endian = head.get(3).is_some_and(|last| last & 1 == 1);
    let sums = head.get(..24).map(|b| add(b, big_endian, (0, 0)));
    let stored = (u32_at(head, 24).unwrap_or_default(), u32_at(head, 28).unwrap_or_default());
    let mut valid = sums == Some(stored);
    if !valid {
        overlay.faults.push((24, "sum of the log's head is wrong".to_owned()));
    }
    let mut sums = stored;
    let mut pending: Vec<(u32, Place)> = Vec::new();
    let frame_size = usize::try_from(page_size).unwrap_or(usize::MAX).saturating_add(FRAME_HEAD);
    let mut at = WAL_HEAD as u64;
    for _ in 0..MAX_FRAMES {
        let frame = read_up_to(file, at, frame_size)?;
        let (Some(head_bytes), Some(page)) = (frame.get(..FRAME_HEAD), frame.get(FRAME_HEAD..))
        else {
            break;
        };
        if frame.len() < frame_size {
            break;
        }
        let place = Place { sidecar, offset: at.saturating_add(FRAME_HEAD as u64) };
        at = at.saturating_add(frame_size as u64);
        valid = valid && head_bytes.get(8..16) == head.get(16..24);
        if valid {
            let start = head_bytes.get(..8).unwrap_or_default();
            sums = add(page, big_endian, add(start, big_endian, sums));
            let stored = (u32_at(head_bytes, 16), u32_at(head_bytes, 20));
            valid = stored == (Some(sums.0), Some(sums.1));
        }
        if !valid {
            // Left from before the log was begun anew.
            overlay.stale.push(place);
            continue;
        }
        pending.push((u32_at(head_bytes, 0).unwrap_or_default(), place));
        let count = u32_at(head_bytes, 4).unwrap_or_default();
        if count > 0 {
            overlay.count = Some(count);
            for (page, place) in pending.drain(..) {
                overlay.stale.extend(overlay.pages.insert(page, place));
            }
        }
    }
    overlay.stale.extend(pending.into_iter().map(|(_, place)| place));
    Ok(())
}

/// Goes on with the log's sum over whole pairs of words.
fn add(bytes: &[u8], big_endian: bool, sums: (u32, u32)) -> (u32, u32) {
    let (words, _) = bytes.as_chunks::<4>();
    let word = |b: &[u8; 4]| {
        if big_endian { u32::from_be_bytes(*b) } else { u32::from_le_bytes(*b) }
    };
    let (pairs, _) = words.as_chunks::<2>();
    pairs.iter().fold(sums, |(first, second), [one, two]| {
        let first = first.wrapping_add(word(one)).wrapping_add(second);
        (first, second.wrapping_add(word(two)).wrapping_add(first))
    })
}

/// The journal's records: pages as they were before a transaction that did not end.
fn journal(
    file: &dyn ReadAt,
    sidecar: usize,
    page_size: u32,
    overlay: &mut Overlay,
) -> Result<(), ParseError> {
    let size = usize::try_from(page_size).unwrap_or(usize::MAX);
    let record_size = size.saturating_add(8);
    let (mut at, mut left) = (0u64, MAX_FRAMES);
    loop {
        let head = read_up_to(file, at, 28)?;
        if !head.starts_with(&JOURNAL_MAGIC) {
            return Ok(());
        }
        let field = |at| u32_at(&head, at).unwrap_or_default();
        let (mut records, nonce, sector) = (field(8), field(12), field(20).max(512));
        if at == 0 {
            overlay.count = Some(field(16));
        }
        if field(24) != page_size && field(24) != 0 {
            let what = format!("journal of pages of {} bytes, not {page_size}", field(24));
            overlay.faults.push((at.saturating_add(24), what));
            return Ok(());
        }
        at = at.saturating_add(u64::from(sector));
        while records > 0 && left > 0 {
            let record = read_up_to(file, at, record_size)?;
            let page = record.get(4..).and_then(|rest| rest.get(..size));
            let Some((number, page)) = u32_at(&record, 0).zip(page) else { return Ok(()) };
            if u32_at(&record, size.saturating_add(4)) != Some(journal_sum(page, nonce)) {
                return Ok(()); // never written to the end: neither was its page
            }
            let place = Place { sidecar, offset: at.saturating_add(4) };
            overlay.pages.entry(number).or_insert(place);
            at = at.saturating_add(record_size as u64);
            records = records.saturating_sub(1);
            left = left.saturating_sub(1);
        }
        if left == 0 {
            return Ok(());
        }
        at = at.next_multiple_of(u64::from(sector));
    }
}

/// The nonce and every 200th byte, counted from the page's end.
fn journal_sum(page: &[u8], nonce: u32) -> u32 {
    let from = page.len().checked_sub(200);
    let places = std::iter::successors(from, |at| at.checked_sub(200)).take_while(|at| *at > 0);
    places.filter_map(|at| page.get(at)).fold(nonce, |sum, b| sum.wrapping_add(u32::from(*b)))
}
