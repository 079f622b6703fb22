//! Text logs that were packed when they were rotated: gzip, zstd, xz.

use std::io::{self, Read};

use crate::model::ReadAt;

/// Bytes of unpacked text that are read of one file.
const MAX_UNPACKED_BYTES: u64 = 512 << 20;
/// Memory that an xz stream may ask for, in KiB.
const MAX_XZ_MEMORY_KIB: u32 = 128 << 10;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

impl Packing {
    /// The packing of a file that starts so.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            _ => None,
        }
    }

    fn reader<'a>(self, packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        let broken = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
            Self::Zstd => Box::new(
                ruzstd::decoding::StreamingDecoder::new(packed)
                    .map_err(|error| broken(error.to_string()))?,
            ),
            Self::Xz => {
                Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, MAX_XZ_MEMORY_KIB))
            }
            Self::Bzip2 => return Err(broken("packed with bzip2, which is not read".into())),
        })
    }
}

/// As much of the beginning of a packed text as these bytes hold.
pub(super) fn start(packing: Packing, start: &[u8]) -> Vec<u8> {
    const ENOUGH: u64 = 16 << 10;
    let mut out = Vec::new();
    if let Ok(reader) = packing.reader(start) {
        // The stream is cut off, so it ends with an error.
        let _ = reader.take(ENOUGH).read_to_end(&mut out);
    }
    out
}

/// A packed text, and what was wrong when it could not be unpacked to its end.
pub(super) fn unpack(packing: Packing, source: &dyn ReadAt) -> (Vec<u8>, Option<String>) {
    let mut out = Vec::new();
    let result = packing
        .reader(Stream { source, at: 0 })
        .and_then(|reader| reader.take(MAX_UNPACKED_BYTES).read_to_end(&mut out));
    let fault = match result {
        Err(error) => Some(format!("unpacked to {} bytes, then: {error}", out.len())),
        Ok(n) if n as u64 >= MAX_UNPACKED_BYTES => {
            Some(format!("only the first {MAX_UNPACKED_BYTES} bytes of it are read"))
        }
        Ok(_) => None,
    };
    (out, fault)
}

/// A packed file, unpacked from its beginning.
///
/// # Errors
///
/// When its head is broken, or it is packed in a way that is not read.
pub(super) fn stream<'a>(
    packing: Packing,
    source: &'a dyn ReadAt,
) -> io::Result<Box<dyn Read + 'a>> {
    packing.reader(Stream { source, at: 0 })
}

/// A file from some place on.
pub(super) struct Stream<'a> {
    pub source: &'a dyn ReadAt,
    pub at: u64,
}

impl Read for Stream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read_at(self.at, buf)?;
        self.at = self.at.saturating_add(n as u64);
        Ok(n)
    }
}
