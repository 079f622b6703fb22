//! LZNT1: how NTFS compresses files, by units of (mostly) sixteen clusters.
//!
//! ```text
//! unit  = chunk* 00 00
//! chunk = header:16 data         header: bit 15 compressed, bits 0-11 length of data less 1
//! data  = (flags:8 token×8)*     flag 0: a byte; flag 1: distance and length in 16 bits
//! ```
//!
//! Each chunk unpacks to 4096 bytes. The further into it, the more of a token's
//! bits are the distance's. A unit with all its clusters is stored as it is, one
//! without any is zeros.
//!
//! Source: [MS-XCA] section 2.5.

use std::io;
use std::sync::{Arc, Mutex};

use crate::model::ReadAt;

use super::super::bytes::{fill, piece, u16_at};
use super::content::Content;
use super::open::invalid;

const CHUNK: usize = 4096;
/// NTFS compresses only with clusters up to 4 KiB; bytes.
const MAX_UNIT: u64 = 1 << 20;

/// A compressed content, unpacked a unit at a time.
pub(super) struct Compressed {
    content: Content,
    /// Bytes.
    unit: u64,
    last: Mutex<Option<(u64, Arc<Vec<u8>>)>>,
}

impl Compressed {
    /// Unpacks units of two to the power of `unit` clusters.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a unit larger than any.
    pub(super) fn new(content: Content, unit: u8) -> io::Result<Self> {
        let bytes = 1u64
            .checked_shl(u32::from(unit))
            .and_then(|clusters| clusters.checked_mul(content.cluster))
            .filter(|bytes| *bytes <= MAX_UNIT)
            .ok_or_else(|| invalid("its compression unit is impossibly large"))?;
        Ok(Self { content, unit: bytes, last: Mutex::new(None) })
    }

    /// The unit of that number, unpacked; what is not there is zero.
    fn unit(&self, number: u64) -> io::Result<Arc<Vec<u8>>> {
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

    fn unpack(&self, number: u64) -> io::Result<Vec<u8>> {
        let cluster = self.content.cluster;
        let start = number.saturating_mul(self.unit);
        let size = usize::try_from(self.unit).unwrap_or_default();
        let stored = self.stored(start / cluster)?;
        if stored == 0 {
            return Ok(vec![0; size]);
        }
        let length = stored.saturating_mul(cluster).min(self.unit);
        let mut packed = vec![0; usize::try_from(length).unwrap_or_default()];
        let raw = Raw(&self.content);
        let n = fill(&raw, start, &mut packed)?;
        packed.truncate(n);
        if length == self.unit {
            packed.resize(size, 0);
            return Ok(packed);
        }
        let mut out = Vec::with_capacity(size);
        decompress(&packed, size, &mut out).ok_or_else(|| {
            invalid(&format!("its compressed bytes from {start:#x} on cannot be unpacked"))
        })?;
        out.resize(size, 0);
        Ok(out)
    }

    /// How many clusters of the unit from `first` are stored.
    fn stored(&self, first: u64) -> io::Result<u64> {
        let end = first.saturating_add(self.unit / self.content.cluster);
        let mut at = first;
        let mut stored = 0u64;
        while at < end {
            let Some(run) = self.content.run_at(at) else {
                if at == first {
                    return Err(invalid("the file system does not say where all its units lie"));
                }
                break;
            };
            let next = run.end().min(end);
            if run.lcn.is_some() {
                if stored != at.saturating_sub(first) {
                    return Err(invalid("a compression unit of it has a hole before its end"));
                }
                stored = next.saturating_sub(first);
            }
            at = next;
        }
        Ok(stored)
    }
}

/// The clusters themselves, without regard to sizes.
struct Raw<'a>(&'a Content);

impl ReadAt for Raw<'_> {
    fn size(&self) -> u64 {
        u64::MAX
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_stored(offset, buf)
    }
}

impl ReadAt for Compressed {
    fn size(&self) -> u64 {
        self.content.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.content.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = left.min(buf.len());
        let mut filled = 0usize;
        while let Some(rest) = buf.get_mut(filled..wanted).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            let written = self.content.initialized.saturating_sub(at);
            if written == 0 {
                rest.fill(0);
                return Ok(wanted);
            }
            let unit = self.unit(at / self.unit)?;
            let within = usize::try_from(at % self.unit).unwrap_or_default();
            let part = unit.get(within..).unwrap_or_default();
            let n = part.len().min(rest.len());
            let n = usize::try_from(written).unwrap_or(usize::MAX).min(n);
            match (rest.get_mut(..n), part.get(..n)) {
                (Some(to), Some(from)) if n > 0 => to.copy_from_slice(from),
                _ => return Err(invalid("a compression unit of it is empty")),
            }
            filled = filled.saturating_add(n);
        }
        Ok(wanted)
    }
}

/// Unpacks chunks until `limit` bytes are there; `None` for bytes that are no LZNT1.
pub(super) fn decompress(packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Option<()> {
    let mut at = 0usize;
    while out.len() < limit {
        let header = match u16_at(packed, at) {
            None | Some(0) => return Some(()),
            Some(header) => header,
        };
        let length = usize::from(header & 0x0fff).checked_add(1)?;
        let data = piece(packed, at.checked_add(2)?, length)?;
        at = at.checked_add(length)?.checked_add(2)?;
        let start = out.len();
        if header & 0x8000 == 0 {
            out.extend_from_slice(data);
        } else {
            chunk(data, start, out)?;
        }
        out.resize(start.checked_add(CHUNK)?, 0); // a short chunk ends in zeros
    }
    out.truncate(limit);
    Some(())
}

/// Unpacks one chunk, which begins at `start` of the output.
fn chunk(data: &[u8], start: usize, out: &mut Vec<u8>) -> Option<()> {
    let end = start.checked_add(CHUNK)?;
    let mut at = 0usize;
    while let Some(flags) = data.get(at) {
        at = at.checked_add(1)?;
        for bit in 0..8 {
            if flags >> bit & 1 == 0 {
                let Some(byte) = data.get(at) else { return Some(()) };
                out.push(*byte);
                at = at.checked_add(1)?;
            } else {
                let token = u16_at(data, at)?;
                at = at.checked_add(2)?;
                copy(token, start, out)?;
            }
            if out.len() > end {
                return None;
            }
        }
    }
    Some(())
}

fn copy(token: u16, start: usize, out: &mut Vec<u8>) -> Option<()> {
    let before = out.len().checked_sub(start)?.checked_sub(1)?;
    // Bits of the distance: four, and one more for each doubling beyond sixteen.
    let bits = (usize::BITS - before.leading_zeros()).clamp(4, 12);
    let shift = 16u32.checked_sub(bits)?;
    let distance = usize::from(token >> shift).checked_add(1)?;
    let length = usize::from(token & (0xffff >> bits)).checked_add(3)?;
    if distance > before.checked_add(1)? {
        return None;
    }
    let from = out.len().checked_sub(distance)?;
    for n in 0..length {
        let byte = *out.get(from.checked_add(n)?)?;
        out.push(byte);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(packed: &[u8], expected: Option<&[u8]>) {
        let mut out = Vec::new();
        let found = decompress(packed, CHUNK, &mut out).map(|()| {
            let used = out.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            out[..used].to_vec()
        });
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn the_specification_s_example_unpacks() {
        // [MS-XCA] 3.3
        let packed = [
            0x38, 0xb0, 0x88, 0x46, 0x23, 0x20, 0x00, 0x20, 0x47, 0x20, 0x41, 0x00, 0x10, 0xa2,
            0x47, 0x01, 0xa0, 0x45, 0x20, 0x44, 0x00, 0x08, 0x45, 0x01, 0x50, 0x79, 0x00, 0xc0,
            0x45, 0x20, 0x05, 0x24, 0x13, 0x88, 0x05, 0xb4, 0x02, 0x4a, 0x44, 0xef, 0x03, 0x58,
            0x02, 0x8c, 0x09, 0x16, 0x01, 0x48, 0x45, 0x00, 0xbe, 0x00, 0x9e, 0x00, 0x04, 0x01,
            0x18, 0x90, 0x00,
        ];
        check(
            &packed,
            Some(
                b"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D \
                  E F# G F# D E F# G F# E D E A F# F# G A A G F# E D D E F# E D D",
            ),
        );
    }

    #[test]
    fn stored_chunks_and_damage() {
        check(&[0x02, 0x30, b'a', b'b', b'c', 0, 0], Some(b"abc"));
        check(&[0x02, 0x30, b'a'], None);
        check(&[0x02, 0xb0, 0x01, 0, 0], None); // a copy from before the start
        check(&[], Some(b""));
    }
}
