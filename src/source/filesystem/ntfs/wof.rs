//! Files that Windows keeps packed ("CompactOS"): the content is in the stream
//! `WofCompressedData`, a reparse point names the algorithm, and the stream
//! without a name is one hole of the size unpacked.
//!
//! ```text
//! stream = offset* chunk*      one offset (32 bits, or 64 for files over 4 GiB) for
//!                              each chunk but the first, from the first chunk on
//! ```
//!
//! A chunk as long packed as unpacked is stored as it is.
//!
//! Source: [MS-FSCC] 2.1.2.3 and the FILE_PROVIDER_COMPRESSION constants of the
//! Windows SDK; the chunk table is that of the Windows Imaging format.

use std::io;
use std::sync::{Arc, Mutex};

use crate::codec::xpress;
use crate::model::ReadAt;

use super::super::bytes::{fill_exactly, u32_at, u64_at};
use super::lzx;
use super::open::invalid;

/// The name of the stream with the packed content.
pub(super) const STREAM: &str = "WofCompressedData";

/// How the chunks are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Xpress,
    Lzx,
}

/// A packed content, unpacked a chunk at a time.
pub(super) struct Packed {
    stream: Box<dyn ReadAt>,
    algorithm: Algorithm,
    /// Bytes that a chunk unpacks to.
    chunk: u64,
    /// Bytes unpacked.
    size: u64,
    last: Mutex<Option<(u64, Arc<Vec<u8>>)>>,
}

impl Packed {
    /// Unpacks `stream` to `size` bytes by the algorithm of that number.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a number that is not known.
    pub(super) fn new(stream: Box<dyn ReadAt>, algorithm: u32, size: u64) -> io::Result<Self> {
        let (algorithm, chunk) = match algorithm {
            0 => (Algorithm::Xpress, 4 << 10),
            1 => (Algorithm::Lzx, lzx::CHUNK as u64),
            2 => (Algorithm::Xpress, 8 << 10),
            3 => (Algorithm::Xpress, 16 << 10),
            other => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!("packed by the system with an unknown algorithm ({other})"),
                ));
            }
        };
        Ok(Self { stream, algorithm, chunk, size, last: Mutex::new(None) })
    }

    /// Where that chunk ends, from the first chunk on; 0 for the one before it.
    fn end(&self, number: u64, chunks: u64, table: u64, wide: bool) -> io::Result<u64> {
        if number.saturating_add(1) >= chunks {
            return Ok(self.stream.size().saturating_sub(table));
        }
        let mut bytes = [0; 8];
        if wide {
            fill_exactly(&*self.stream, number.saturating_mul(8), &mut bytes)?;
            Ok(u64_at(&bytes, 0).unwrap_or_default())
        } else {
            let own = bytes.get_mut(..4).unwrap_or_default();
            fill_exactly(&*self.stream, number.saturating_mul(4), own)?;
            Ok(u64::from(u32_at(&bytes, 0).unwrap_or_default()))
        }
    }

    fn unpack(&self, number: u64) -> io::Result<Vec<u8>> {
        let chunks = self.size.div_ceil(self.chunk);
        let wide = self.size > u64::from(u32::MAX);
        let table = chunks.saturating_sub(1).saturating_mul(if wide { 8 } else { 4 });
        let start = match number.checked_sub(1) {
            None => 0,
            Some(before) => self.end(before, chunks, table, wide)?,
        };
        let end = self.end(number, chunks, table, wide)?;
        let size = self.size.saturating_sub(number.saturating_mul(self.chunk)).min(self.chunk);
        let bad = || invalid(&format!("its packed chunk {number} cannot be unpacked"));
        let length = end.checked_sub(start).filter(|n| (1..=size).contains(n)).ok_or_else(bad)?;
        let mut packed = vec![0; usize::try_from(length).unwrap_or_default()];
        fill_exactly(&*self.stream, table.saturating_add(start), &mut packed)?;
        if length == size {
            return Ok(packed);
        }
        let size = usize::try_from(size).unwrap_or_default();
        let unpacked = match self.algorithm {
            Algorithm::Xpress => xpress::decompress(&packed, size),
            Algorithm::Lzx => lzx::decompress(&packed, size),
        };
        unpacked.filter(|bytes| bytes.len() == size).ok_or_else(bad)
    }

    fn chunk(&self, number: u64) -> io::Result<Arc<Vec<u8>>> {
        if let Ok(last) = self.last.lock()
            && let Some((at, bytes)) = &*last
            && *at == number
        {
            return Ok(Arc::clone(bytes));
        }
        let bytes = Arc::new(self.unpack(number)?);
        if let Ok(mut last) = self.last.lock() {
            *last = Some((number, Arc::clone(&bytes)));
        }
        Ok(bytes)
    }
}

impl ReadAt for Packed {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = left.min(buf.len());
        let mut filled = 0usize;
        while let Some(rest) = buf.get_mut(filled..wanted).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            let chunk = self.chunk(at / self.chunk)?;
            let within = usize::try_from(at % self.chunk).unwrap_or_default();
            let part = chunk.get(within..).unwrap_or_default();
            let n = part.len().min(rest.len());
            match (rest.get_mut(..n), part.get(..n)) {
                (Some(to), Some(from)) if n > 0 => to.copy_from_slice(from),
                _ => return Err(invalid("a packed chunk of it is empty")),
            }
            filled = filled.saturating_add(n);
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// One file packed four ways by another implementation.
    fn check(name: &str, algorithm: u32) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/source/ntfs/");
        let read = |name: &str| fs::read(format!("{folder}{name}")).unwrap();
        let plain = read("packed.plain");
        let stream: Box<dyn ReadAt> = Box::new(read(name));
        let packed = Packed::new(stream, algorithm, plain.len() as u64).unwrap();
        let mut all = vec![0; plain.len() + 9];
        assert_eq!(packed.read_at(0, &mut all).unwrap(), plain.len());
        assert!(all[..plain.len()] == plain, "{name}");
        let mut some = [0; 100];
        assert_eq!(packed.read_at(32_700, &mut some).unwrap(), 100);
        assert_eq!(some, plain[32_700..32_800]);
    }

    #[test]
    fn chunks_of_all_algorithms_unpack() {
        check("packed.xpress4k", 0);
        check("packed.lzx", 1);
        check("packed.xpress8k", 2);
        check("packed.xpress16k", 3);
    }
}
