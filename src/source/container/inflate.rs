//! Deflate and bzip2 streams of known length.

use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use bzip2::read::BzDecoder;
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

/// A bzip2 stream's first bytes, and those of a block in it.
const BZIP2: &[u8] = b"BZh";
const BZIP2_BLOCK: &[u8] = b"1AY&SY";
/// The header of a stream whose blocks may be of any size.
const BZIP2_HEADER: &[u8] = b"BZh9";

/// Whether bytes begin as a bzip2 stream does, or as a block of one.
pub(super) fn begins_as_bzip2(input: &[u8]) -> bool {
    input.starts_with(BZIP2) || input.starts_with(BZIP2_BLOCK)
}

/// The data of a bzip2 stream, or of blocks without what stands before and behind them in
/// one; at most `limit` bytes.
///
/// # Errors
///
/// What is wrong with it, in words: damaged, too short, longer than `limit`, or a wrong
/// checksum.
pub(super) fn bunzip2(input: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let bare = !input.starts_with(BZIP2);
    let header = if bare { BZIP2_HEADER } else { &[] };
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut out = Vec::with_capacity(limit.saturating_add(1));
    let mut stream = BzDecoder::new(header.chain(input)).take(most);
    if let Err(error) = stream.read_to_end(&mut out) {
        let no_footer = error.kind() == io::ErrorKind::UnexpectedEof;
        if !(bare && no_footer && !out.is_empty()) {
            return Err(format!("bzip2 stream damaged: {error}"));
        }
    }
    if out.len() > limit {
        return Err(format!("bzip2 stream holds more than {limit} bytes"));
    }
    Ok(out)
}

/// The Adler-32 of bytes.
pub(super) fn adler32(bytes: &[u8]) -> u32 {
    simd_adler32::adler32(&bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn bzip2_is_read_with_and_without_its_ends() {
        let data: Vec<u8> = (0..40_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let mut stream = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        stream.write_all(&data).unwrap();
        let whole = stream.finish().unwrap();
        assert_eq!(bunzip2(&whole, data.len()).unwrap(), data);
        assert!(bunzip2(&whole, data.len() - 1).is_err());
        assert!(bunzip2(&whole[..whole.len() - 1], data.len()).is_err());
        let short: Vec<u8> = data[..90_000].to_vec();
        let mut stream = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        stream.write_all(&short).unwrap();
        let whole = stream.finish().unwrap();
        // The end of a stream is 80 bits, made up to whole bytes.
        let bare = &whole[4..whole.len() - 10];
        assert!(begins_as_bzip2(bare));
        assert_eq!(bunzip2(bare, short.len()).unwrap(), short);
        assert!(bunzip2(&bare[..bare.len() / 2], short.len()).is_err());
        for at in (6..bare.len()).step_by(97) {
            let mut bad = bare.to_vec();
            bad[at] ^= 4;
            let found = bunzip2(&bad, short.len());
            assert!(found.is_err() || found.unwrap() == short, "{at}");
        }
    }
}
