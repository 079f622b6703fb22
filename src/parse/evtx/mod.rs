//! Windows event logs (`.evtx`): who logged on, what ran, which service came.
//!
//! Versions 3.0 to 3.2 (Vista to Windows 11 and Server 2025). A file is a header of
//! 4096 bytes and chunks of 65536; every chunk stands alone, so that it is read,
//! screened and, when it cannot matter, skipped by itself, on any thread:
//! [`EvtxFile::open`] finds the chunks, [`parse_chunks`] reads a range of them and
//! [`crate::model::Extent::merge`] joins how far the ranges reach. Nothing holds more than a few chunks in
//! memory, whatever the file's size.
//!
//! A skipped chunk still has its checksums verified and its record headers followed;
//! one that is not as its headers promise is read whole, so that what is lost of it
//! is known.
//!
//! Source of the layout: the libevtx documentation. BinXML is read by the `evtx` crate.

mod binxml;
mod chunk;
mod cut;
mod hidden;
mod layout;
pub(super) mod normalize;
mod reach;
mod rendered;

use std::io;
use std::ops::{ControlFlow, Range};

use self::binxml::Renderer;
use self::chunk::{Chunk, Counted};
use self::layout::{CHUNK_BYTES, CHUNK_MAGIC, FILE_HEADER_BYTES, FILE_MAGIC, FileHead};
pub use self::reach::Reach;
use super::{ParseError, Parser};
use crate::model::{Category, Damage, Input, Locator, ReadAt, Sink};

const FORMAT: &str = "event log";
/// Chunks read from the file at once (256 KiB): they are still in the processor's own
/// cache when they are looked at.
const CHUNKS_PER_READ: u64 = 4;
/// More of a file is not read: 32 GiB, eight times what Windows lets a log grow to.
const MAX_CHUNKS: u64 = 1 << 19;
/// Without a file header, chunks are looked for at this many 4096-byte steps.
const MAX_BASES_TRIED: u64 = 16;
/// … and counted in this many slots from there.
const MAX_SLOTS_TRIED: u64 = 64;

/// Reads `.evtx` files.
#[derive(Clone, Copy, Debug)]
pub struct Evtx;

impl Parser for Evtx {
    fn name(&self) -> &'static str {
        "evtx"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        let first_chunk = start.get(FILE_HEADER_BYTES..).unwrap_or_default();
        start.starts_with(FILE_MAGIC)
            || start.starts_with(CHUNK_MAGIC)
            || first_chunk.starts_with(CHUNK_MAGIC)
    }

    fn categories(&self) -> Option<Vec<(Category, Vec<String>)>> {
        Some(normalize::categories())
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let file = EvtxFile::open(input.bytes)?;
        read(&file, input, 0..file.chunk_count(), sink);
        Ok(())
    }

    /// Chunks stand alone.
    fn parts(&self, input: &Input<'_>) -> u64 {
        EvtxFile::open(input.bytes).map_or(1, |file| file.chunk_count().max(1))
    }

    fn parse_part(
        &self,
        input: &Input<'_>,
        parts: Range<u64>,
        sink: &mut dyn Sink,
    ) -> Result<(), ParseError> {
        read(&EvtxFile::open(input.bytes)?, input, parts, sink);
        Ok(())
    }
}

/// Reads a range of chunks; the first range also tells what is wrong with the file.
fn read(file: &EvtxFile, input: &Input<'_>, parts: Range<u64>, sink: &mut dyn Sink) {
    if parts.start == 0 {
        file.damage.iter().cloned().for_each(|damage| sink.damaged(damage));
    }
    let reach = parse_chunks(file, input, parts, sink);
    sink.extent(reach.into_extent());
}

/// Where the chunks of one file stand.
#[derive(Clone)]
pub struct EvtxFile {
    /// Offset of the first chunk.
    base: u64,
    chunks: u64,
    dirty: bool,
    /// Chunks that an intact header counts.
    counted: Option<u64>,
    /// What is wrong with the file as a whole; the caller tells its sink once.
    pub damage: Vec<Damage>,
    renderer: Renderer,
}

impl EvtxFile {
    /// Finds the chunks of a file, also when its header is damaged or gone.
    ///
    /// # Errors
    ///
    /// [`ParseError::Foreign`] when it has neither a header nor a chunk, and read errors.
    pub fn open(bytes: &dyn ReadAt) -> Result<Self, ParseError> {
        let mut start = [0u8; FILE_HEADER_BYTES];
        let filled = read_full(bytes, 0, &mut start)?;
        let start = start.get(..filled).unwrap_or_default();
        let head = FileHead::read(start);
        let mut damage = Vec::new();
        let base = match &head {
            Some(head) => {
                if !head.intact {
                    damage.push(remark(0, "the file header's checksum does not fit", false));
                }
                FILE_HEADER_BYTES as u64
            }
            None => {
                let Some(base) = first_chunk(bytes)? else {
                    let found = start.get(..8).unwrap_or(start).escape_ascii().to_string();
                    return Err(ParseError::Foreign { format: FORMAT, found });
                };
                damage.push(remark(0, "the file header is missing or damaged", false));
                base
            }
        };
        let room = bytes.size().saturating_sub(base);
        let mut chunks = room.div_ceil(CHUNK_BYTES as u64);
        if chunks > MAX_CHUNKS {
            let what = format!("{chunks} chunks, the first {MAX_CHUNKS} are read");
            damage.push(remark(bytes.size(), &what, true));
            chunks = MAX_CHUNKS;
        }
        let over = room % CHUNK_BYTES as u64;
        if over != 0 {
            let what =
                format!("the file ends {over} bytes into chunk {}", room / CHUNK_BYTES as u64);
            damage.push(remark(bytes.size(), &what, true));
        }
        let promised = head.as_ref().map_or(0, |head| u64::from(head.chunk_count));
        if promised > chunks {
            let what = format!("the header counts {promised} chunks, the file holds {chunks}");
            // A damaged header's count proves no loss.
            let lost = head.as_ref().is_some_and(|head| head.intact);
            damage.push(remark(bytes.size(), &what, lost));
        }
        let counted = head.as_ref().filter(|head| head.intact).map(|_| promised);
        let dirty = head.is_some_and(|head| head.dirty);
        Ok(Self { base, chunks, dirty, counted, damage, renderer: Renderer::new() })
    }

    /// Whether the header counts this chunk. A log that was not closed may have more
    /// than it counts, and so has one of more chunks than the counter's 16 bits.
    fn counts(&self, number: u64) -> Counted {
        match self.counted {
            Some(counted) if number < counted => Counted::Yes,
            Some(_) if !self.dirty && self.chunks < u64::from(u16::MAX) => Counted::No,
            _ => Counted::Unknown,
        }
    }

    /// Where this chunk starts.
    fn offset_of(&self, number: u64) -> u64 {
        self.base.saturating_add(number.saturating_mul(CHUNK_BYTES as u64))
    }

    /// Slots for chunks, the unused and a last incomplete one included.
    pub fn chunk_count(&self) -> u64 {
        self.chunks
    }
}

/// Reads the chunks of `range` and pushes their records that can matter; returns how
/// far they reach. A chunk that cannot be read is told as lost. When the sink breaks,
/// the rest of the range is left unread.
pub fn parse_chunks(
    file: &EvtxFile,
    input: &Input<'_>,
    range: Range<u64>,
    sink: &mut dyn Sink,
) -> Reach {
    let mut reach = Reach::default();
    let end = range.end.min(file.chunks);
    let mut number = range.start;
    let mut buffer = Vec::new();
    // After a failed read chunks are read one by one, to lose no more than one.
    let (mut at_once, mut unreadable) = (CHUNKS_PER_READ, None);
    while number < end {
        let count = end.saturating_sub(number).min(at_once);
        let wanted = usize::try_from(count).unwrap_or_default().saturating_mul(CHUNK_BYTES);
        if buffer.len() < wanted {
            buffer = vec![0; wanted];
        }
        let room = buffer.get_mut(..wanted).unwrap_or_default();
        let filled = match read_full(input.bytes, file.offset_of(number), room) {
            Ok(0) => break,
            Ok(filled) => filled,
            Err(_) if at_once > 1 => {
                at_once = 1;
                continue;
            }
            Err(error) => {
                unreadable.get_or_insert((number, error));
                number = number.saturating_add(1);
                continue;
            }
        };
        tell_unreadable(file, unreadable.take(), number, sink);
        for bytes in buffer.get(..filled).unwrap_or_default().chunks(CHUNK_BYTES) {
            let offset = file.offset_of(number);
            let (dirty, counted) = (file.dirty, file.counts(number));
            let chunk = Chunk { number, offset, bytes, dirty, counted };
            let flow = chunk::read(&chunk, input.filter, &file.renderer, &mut reach, sink);
            if flow == ControlFlow::Break(()) {
                return reach;
            }
            number = number.saturating_add(1);
        }
    }
    tell_unreadable(file, unreadable, number, sink);
    reach
}

/// Tells of chunks that could not be read, from the first one to before `end`.
fn tell_unreadable(file: &EvtxFile, lost: Option<(u64, io::Error)>, end: u64, sink: &mut dyn Sink) {
    let Some((first, error)) = lost else { return };
    let last = end.saturating_sub(1);
    let what = match first == last {
        true => format!("chunk {first} cannot be read: {error}"),
        false => format!("chunks {first} to {last} cannot be read: {error}"),
    };
    sink.damaged(remark(file.offset_of(first), &what, true));
}

fn remark(at: u64, what: &str, lost: bool) -> Damage {
    let message = format!("{FORMAT}: {what}");
    Damage { locator: Some(Locator::Offset(at)), message, lost }
}

/// Fills `buffer` from `offset` as far as the file goes; returns the bytes read.
fn read_full(bytes: &dyn ReadAt, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let done = u64::try_from(filled).unwrap_or(u64::MAX);
        let n = bytes.read_at(offset.saturating_add(done), rest)?;
        if n == 0 {
            break;
        }
        filled = filled.saturating_add(n);
    }
    Ok(filled)
}

/// The offset from which most slots hold chunks, for files without a header.
fn first_chunk(bytes: &dyn ReadAt) -> io::Result<Option<u64>> {
    let header = FILE_HEADER_BYTES as u64;
    let usual = [header, 0].into_iter();
    let others = (2..MAX_BASES_TRIED).map(|n| n.saturating_mul(header));
    let mut best = (0u32, None);
    for base in usual.chain(others) {
        let mut found = 0u32;
        for slot in 0..MAX_SLOTS_TRIED {
            let at = base.saturating_add(slot.saturating_mul(CHUNK_BYTES as u64));
            let mut magic = [0u8; 8];
            if read_full(bytes, at, &mut magic)? < magic.len() {
                break;
            }
            found = found.saturating_add(u32::from(magic == CHUNK_MAGIC));
        }
        if found > best.0 {
            best = (found, Some(base));
        }
    }
    Ok(best.1)
}

#[cfg(test)]
mod tests;
