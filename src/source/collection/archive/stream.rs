//! One compressed stream: raw deflate (RFC 1951), or gzip members one after the
//! other (RFC 1952), inflated block by block from any kept state.
//!
//! ```text
//! gzip header   0 1f 8b 08   3 flags   4 time   8 extra flags, system   10 fields by flag
//! gzip trailer  0 CRC-32     4 bytes inflated, modulo 2^32
//! ```

use std::io;
use std::sync::Arc;

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use crate::model::ReadAt;

/// Compressed bytes read at a time.
const INPUT_BYTES: usize = 32 << 10;
/// Longest gzip header that is read; name and comment have no limit of their own.
const MAX_GZIP_HEADER: usize = 64 << 10;

/// How a stream is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Wrapping {
    /// Deflate alone, as in a zip.
    Raw,
    Gzip,
}

/// Where a compressed stream lies.
#[derive(Clone)]
pub(in super::super) struct Stream {
    pub(in super::super) source: Arc<dyn ReadAt>,
    /// Offsets in the source.
    pub(in super::super) start: u64,
    pub(in super::super) end: u64,
    pub(in super::super) wrapping: Wrapping,
}

/// How far a stream has been inflated; a copy of it goes on from there.
#[derive(Clone)]
pub(super) struct State {
    inflater: Box<InflateState>,
    /// Offset of the next compressed byte.
    input: u64,
    /// Bytes inflated since the start.
    pub(super) output: u64,
    /// Of what was inflated: all of it, or of the gzip member under way.
    pub(super) crc: crc32fast::Hasher,
    /// The gzip header before the data has been read, or there is none.
    in_data: bool,
    pub(super) done: bool,
}

impl State {
    pub(super) fn start(stream: &Stream) -> Self {
        Self {
            inflater: InflateState::new_boxed(DataFormat::Raw),
            input: stream.start,
            output: 0,
            crc: crc32fast::Hasher::new(),
            in_data: stream.wrapping == Wrapping::Raw,
            done: false,
        }
    }

    /// Offset of the byte after the last one used.
    pub(super) fn input(&self) -> u64 {
        self.input
    }

    /// Fills the buffer as far as the stream goes; the count is smaller only at
    /// its end, or when it is broken: then the error stands beside the count.
    pub(super) fn fill(&mut self, stream: &Stream, out: &mut [u8]) -> (usize, Option<io::Error>) {
        let mut filled = 0_usize;
        let mut input = vec![0; INPUT_BYTES];
        while filled < out.len() && !self.done {
            let rest = out.get_mut(filled..).unwrap_or_default();
            match self.step(stream, &mut input, rest) {
                Ok(n) => filled = filled.saturating_add(n),
                Err((n, error)) => return (filled.saturating_add(n), Some(error)),
            }
        }
        (filled, None)
    }

    /// Inflates some bytes; the error comes with what was inflated before it.
    fn step(
        &mut self,
        stream: &Stream,
        input: &mut [u8],
        out: &mut [u8],
    ) -> Result<usize, (usize, io::Error)> {
        if !self.in_data {
            self.header(stream).map_err(|error| (0, error))?;
            return Ok(0);
        }
        let left = usize::try_from(stream.end.saturating_sub(self.input)).unwrap_or(usize::MAX);
        let length = input.len().min(left);
        let window = input.get_mut(..length).unwrap_or_default();
        let n = read_full(&*stream.source, self.input, window).map_err(|error| (0, error))?;
        let packed = window.get(..n).unwrap_or_default();
        let result = inflate(&mut self.inflater, packed, out, MZFlush::None);
        let written = out.get(..result.bytes_written).unwrap_or_default();
        self.crc.update(written);
        self.output = self.output.saturating_add(written.len() as u64);
        self.input = self.input.saturating_add(result.bytes_consumed as u64);
        match result.status {
            Ok(MZStatus::StreamEnd) => {
                self.finish(stream).map_err(|error| (written.len(), error))?;
            }
            Ok(_) if result.bytes_written == 0 && result.bytes_consumed == 0 => {
                return Err((0, ends_early(self.input)));
            }
            Ok(_) => {}
            Err(MZError::Buf) if packed.is_empty() => {
                return Err((written.len(), ends_early(self.input)));
            }
            Err(_) => {
                let message = format!("compressed data is broken before offset {}", self.input);
                let error = io::Error::new(io::ErrorKind::InvalidData, message);
                return Err((written.len(), error));
            }
        }
        Ok(written.len())
    }

    /// Reads a gzip header; what is none ends the stream, unless it is the first.
    fn header(&mut self, stream: &Stream) -> io::Result<()> {
        let left = usize::try_from(stream.end.saturating_sub(self.input)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(MAX_GZIP_HEADER)];
        let n = read_full(&*stream.source, self.input, &mut bytes)?;
        let bytes = bytes.get(..n).unwrap_or_default();
        match gzip_header(bytes) {
            Some(length) => {
                self.input = self.input.saturating_add(length as u64);
                self.inflater = InflateState::new_boxed(DataFormat::Raw);
                self.crc = crc32fast::Hasher::new();
                self.in_data = true;
                Ok(())
            }
            // Zeros after the last member are padding of tapes.
            None if self.output > 0 || bytes.iter().all(|byte| *byte == 0) => {
                self.done = true;
                Ok(())
            }
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "the gzip header is broken")),
        }
    }

    /// The deflate stream has ended: a zip member is done, of gzip another may follow.
    fn finish(&mut self, stream: &Stream) -> io::Result<()> {
        if stream.wrapping == Wrapping::Raw {
            self.done = true;
            return Ok(());
        }
        let mut trailer = [0; 8];
        let n = read_full(&*stream.source, self.input, &mut trailer)?;
        self.input = self.input.saturating_add(n as u64);
        self.in_data = false;
        if self.input >= stream.end {
            self.done = true;
        }
        let [a, b, c, d, ..] = trailer;
        if n == trailer.len() && u32::from_le_bytes([a, b, c, d]) != self.crc.clone().finalize() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, WRONG_CHECKSUM));
        }
        Ok(())
    }
}

/// Said of content that does not match its checksum.
pub(super) const WRONG_CHECKSUM: &str = "its content does not match the archive's checksum";

fn ends_early(at: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("compressed data ends too early, at offset {at}"),
    )
}

/// Length of a gzip header.
fn gzip_header(bytes: &[u8]) -> Option<usize> {
    let flags = *bytes.get(3)?;
    if !bytes.starts_with(b"\x1f\x8b\x08") {
        return None;
    }
    let mut at = 10_usize;
    if flags & 4 != 0 {
        let low = usize::from(*bytes.get(at)?);
        let high = usize::from(*bytes.get(at.saturating_add(1))?);
        at = at.saturating_add(2).saturating_add(low | high << 8);
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let rest = bytes.get(at..)?;
            at = at.saturating_add(memchr::memchr(0, rest)?).saturating_add(1);
        }
    }
    if flags & 2 != 0 {
        at = at.saturating_add(2);
    }
    (at <= bytes.len()).then_some(at)
}

/// Reads until the buffer is full or the source ends.
pub(in super::super) fn read_full(
    source: &dyn ReadAt,
    offset: u64,
    buf: &mut [u8],
) -> io::Result<usize> {
    let mut filled = 0_usize;
    while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read_at(offset.saturating_add(filled as u64), rest) {
            Ok(0) => break,
            Ok(n) => filled = filled.saturating_add(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
