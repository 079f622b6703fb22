//! Deflate streams of known length.

use std::sync::{Mutex, PoisonError};

use flate2::{Decompress, FlushDecompress, Status};

/// How a deflate stream is wrapped.
#[derive(Clone, Copy)]
pub(super) enum Wrapping {
    /// Two bytes before, the Adler-32 of the data behind: checked.
    Zlib,
    Bare,
}

/// Inflates stream after stream: what one needs to work is given to the next.
pub(super) struct Inflater {
    wrapping: Wrapping,
    idle: Mutex<Vec<Decompress>>,
}

impl Inflater {
    pub(super) fn new(wrapping: Wrapping) -> Self {
        Self { wrapping, idle: Mutex::default() }
    }

    /// The data of a stream, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words: damaged, too short, longer than `limit`, or
    /// a wrong checksum.
    pub(super) fn inflate(&self, input: &[u8], limit: usize) -> Result<Vec<u8>, String> {
        let zlib = matches!(self.wrapping, Wrapping::Zlib);
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = idle().pop();
        let mut stream = known.unwrap_or_else(|| Decompress::new(zlib));
        stream.reset(zlib);
        let mut out = Vec::with_capacity(limit);
        let status = stream
            .decompress_vec(input, &mut out, FlushDecompress::Finish)
            .map_err(|error| format!("deflate stream damaged: {error}"))?;
        if status != Status::StreamEnd {
            return Err("deflate stream does not end".to_owned());
        }
        idle().push(stream);
        Ok(out)
    }
}

/// The Adler-32 of bytes.
pub(super) fn adler32(bytes: &[u8]) -> u32 {
    simd_adler32::adler32(&bytes)
}
