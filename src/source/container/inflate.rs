//! Deflate streams of known length.

use flate2::{Decompress, FlushDecompress, Status};

/// How a deflate stream is wrapped.
#[derive(Clone, Copy)]
pub(super) enum Wrapping {
    /// Two bytes before, the Adler-32 of the data behind: checked.
    Zlib,
    Bare,
}

/// The data of a stream, at most `limit` bytes.
///
/// # Errors
///
/// What is wrong with it, in words: damaged, too short, longer than `limit`, or
/// a wrong checksum.
pub(super) fn inflate(input: &[u8], wrapping: Wrapping, limit: usize) -> Result<Vec<u8>, String> {
    let mut out = vec![0; limit];
    let mut stream = Decompress::new(matches!(wrapping, Wrapping::Zlib));
    let status = stream
        .decompress(input, &mut out, FlushDecompress::Finish)
        .map_err(|error| format!("deflate stream damaged: {error}"))?;
    if status != Status::StreamEnd {
        return Err("deflate stream does not end".to_owned());
    }
    out.truncate(usize::try_from(stream.total_out()).unwrap_or(limit));
    Ok(out)
}

/// The Adler-32 of bytes.
pub(super) fn adler32(bytes: &[u8]) -> u32 {
    simd_adler32::adler32(&bytes)
}
