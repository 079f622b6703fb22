//! A transaction log: segments, and the records in them.
//!
//! ```text
//! log      = header, segment 1, segment 2, …           4096 bytes each
//! header   = sum:u32, generation:u32, segment size:u16, …; version at 32, signature at 44
//! segment  = sum:u64, u16, number:u16, generation:u32, time, …, flags:u32; records from 40 on
//! ```
//!
//! A record that does not fit into what is left of a segment is cut into fragments. The last
//! segment that was written stands twice, in case the writing was torn.

use super::Wanted;
use super::record::length;
use crate::model::ReadAt;
use crate::parse::bytes::{piece, read_up_to, u16_at, u32_at};
use crate::parse::ese::{MAGIC, page::xor};

/// The only version read: that of Windows 8 and later.
const MAJOR: u32 = 8;
const SEGMENT: usize = 4096;
const SEGMENT_HEADER: usize = 40;
const SIGNATURE_BYTES: usize = 28;
/// Largest log; the engine's default is 5 MiB.
const MAX_BYTES: usize = 64 << 20;
/// Longest record: a few pages and what is said of them.
const MAX_RECORD: usize = 1 << 20;
/// Kinds of records that are parts of another.
const FRAGMENT_BEGIN: u8 = 76;
const FRAGMENT: u8 = 77;
const NOTHING: u8 = 0;

/// One log; its segments are read when they are asked for.
pub(super) struct LogFile<'a> {
    pub(super) generation: u32,
    source: &'a dyn ReadAt,
}

/// A place in the log, and what is wrong there.
pub(super) type Wrong = (u64, String);

impl<'a> LogFile<'a> {
    /// Opens a log; `None` for one that is of another database, or empty.
    ///
    /// # Errors
    ///
    /// What makes it unreadable.
    pub(super) fn open(source: &'a dyn ReadAt, wanted: &Wanted) -> Result<Option<Self>, String> {
        if source.size() > MAX_BYTES as u64 {
            return Err(format!("{} bytes, at most {MAX_BYTES} are read", source.size()));
        }
        let header = read_up_to(source, 0, SEGMENT).map_err(|error| error.to_string())?;
        if header.len() < SEGMENT || header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let word = |at| u32_at(&header, at).unwrap_or_default();
        let (major, segment) = (word(32), u16_at(&header, 8).unwrap_or_default());
        if xor(&header, 4, MAGIC) != word(0) {
            return Err("the sum of its header does not fit".to_owned());
        }
        if major != MAJOR || usize::from(segment) != SEGMENT {
            return Err(format!("version {major} with segments of {segment} bytes is not known"));
        }
        let page_size = match u16_at(&header, 14).unwrap_or_default() {
            0 => 4096,
            size => usize::from(size),
        };
        let is_ours = piece(&header, 44, SIGNATURE_BYTES) == Some(wanted.signature.as_slice());
        if !is_ours || page_size != wanted.page_size {
            return Ok(None);
        }
        Ok(Some(Self { generation: word(4), source }))
    }

    /// Gives every record and where it stands, fragments put together.
    ///
    /// # Errors
    ///
    /// Where the log makes no sense, or `visit` sees none; what stands before was given.
    pub(super) fn each(
        &self,
        visit: &mut dyn FnMut(u64, &[u8]) -> Option<()>,
    ) -> Result<(), Wrong> {
        let bytes = read_up_to(self.source, 0, MAX_BYTES);
        let bytes = bytes.map_err(|error| (0, error.to_string()))?;
        let mut pending: Option<(usize, Vec<u8>)> = None;
        for number in 1..bytes.len() / SEGMENT {
            let Some((base, segment)) = segment(&bytes, self.generation, number)? else { break };
            let mut at = SEGMENT_HEADER;
            while let Some(rest) = segment.get(at..).filter(|rest| !rest.is_empty()) {
                let place = base.saturating_add(at as u64);
                let wrong = |what: &str| (place, what.to_owned());
                if rest.first() == Some(&NOTHING) {
                    at = at.saturating_add(1);
                    continue;
                }
                let size = length(rest).ok_or_else(|| wrong("a record of unknown kind"))?;
                let record = rest.get(..size).ok_or_else(|| wrong("a record without its end"))?;
                let senseless = || wrong("a record that makes no sense");
                match rest.first() {
                    Some(&FRAGMENT_BEGIN) => {
                        let all = u32_at(record, 1).and_then(|n| usize::try_from(n).ok());
                        let all = all.filter(|n| *n <= MAX_RECORD).ok_or_else(senseless)?;
                        pending = Some((all, record.get(7..).unwrap_or_default().to_vec()));
                    }
                    Some(&FRAGMENT) => {
                        let Some((all, bytes)) = &mut pending else {
                            at = at.saturating_add(size);
                            continue;
                        };
                        bytes.extend_from_slice(record.get(3..).unwrap_or_default());
                        if bytes.len() >= *all {
                            let is_whole = bytes.len() == *all && length(bytes) == Some(*all);
                            is_whole.then_some(()).ok_or_else(senseless)?;
                            visit(place, bytes).ok_or_else(senseless)?;
                            pending = None;
                        }
                    }
                    _ => visit(place, record).ok_or_else(senseless)?,
                }
                at = at.saturating_add(size);
            }
        }
        Ok(())
    }
}

/// The segment of that number and its offset, or its second copy; `None` after the last.
fn segment(log: &[u8], generation: u32, number: usize) -> Result<Option<(u64, &[u8])>, Wrong> {
    let copy = |at: usize| {
        let offset = at.checked_mul(SEGMENT)?;
        let bytes = piece(log, offset, SEGMENT)?;
        let is_it = u16_at(bytes, 10).map(usize::from) == Some(number)
            && u32_at(bytes, 12) == Some(generation);
        is_it.then_some((offset as u64, bytes))
    };
    let is_sound = |(_, bytes): &(u64, &[u8])| {
        u32::try_from(number).is_ok_and(|n| u32_at(bytes, 0) == Some(xor(bytes, 8, n)))
    };
    let copies = [copy(number), copy(number.saturating_add(1))];
    match copies.iter().flatten().find(|copy| is_sound(copy)) {
        Some(found) => Ok(Some(*found)),
        None if copies[0].is_none() => Ok(None),
        None => {
            let at = number.saturating_mul(SEGMENT) as u64;
            Err((at, format!("the sum of segment {number} does not fit")))
        }
    }
}
