//! XPRESS with Huffman codes, as packed system files and Prefetch files have it.
//!
//! ```text
//! stream = chunk*                       of 64 KiB unpacked, the last one shorter
//! chunk  = lengths:512×4 bits           of the codes of 512 symbols
//! symbol = byte | 256 + distance's bits × 16 + length less 3
//! ```
//!
//! Bits come in words of 16, highest first, two words ahead of the bytes that
//! lengths of 18 and more are stored in, so both are read from one place. The
//! last symbols lie in the words read ahead: the input's end is not the end.
//! A copy may reach back into chunks before its own.
//!
//! Source: [MS-XCA] section 2.2.

use super::prefix::Code;

/// Bytes of the lengths.
const LENGTHS: usize = 256;
/// Bytes that a chunk unpacks to.
const CHUNK: usize = 64 << 10;
/// Bytes read ahead: so far behind the end its last symbols can seem to lie.
const AHEAD: usize = 4;

/// Unpacks `size` bytes; `None` for bytes that are no XPRESS, or too few.
pub(crate) fn decompress(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    let out = decompress_part(packed, size);
    (out.len() == size).then_some(out)
}

/// Unpacks up to `size` bytes: those before the first that cannot be unpacked.
pub(crate) fn decompress_part(packed: &[u8], size: usize) -> Vec<u8> {
    // A size that lies is not believed before the bytes are there.
    let mut out = Vec::with_capacity(size.min(packed.len().saturating_mul(64)));
    let mut rest = packed;
    while out.len() < size && !rest.is_empty() {
        let end = out.len().saturating_add(CHUNK).min(size);
        let Some(used) = chunk(rest, &mut out, end, size) else { break };
        rest = rest.get(used..).unwrap_or_default();
    }
    out
}

/// Unpacks one chunk, until `out` has `end` bytes; the bytes of it.
fn chunk(packed: &[u8], out: &mut Vec<u8>, end: usize, size: usize) -> Option<usize> {
    let table = packed.get(..LENGTHS)?;
    let lengths: Vec<u8> = table.iter().flat_map(|pair| [pair & 15, pair >> 4]).collect();
    let code = Code::of(&lengths)?;
    let mut bits = Bits { bytes: packed, at: LENGTHS, window: 0, ahead: 0 };
    bits.window = bits.word() << 16 | bits.word();
    bits.ahead = 16;
    while out.len() < end {
        if bits.at > packed.len().saturating_add(AHEAD) {
            return None;
        }
        let (symbol, length) = code.find(bits.window >> 16)?;
        bits.take(length);
        match u8::try_from(symbol) {
            Ok(byte) => out.push(byte),
            Err(_) => copy(symbol.checked_sub(256)?, &mut bits, out, size)?,
        }
    }
    Some(bits.at)
}

fn copy(symbol: u16, bits: &mut Bits<'_>, out: &mut Vec<u8>, size: usize) -> Option<()> {
    let mut length = usize::from(symbol & 15);
    if length == 15 {
        length = usize::from(bits.byte()) + 15;
        if length == 255 + 15 {
            length = bits.word() as usize;
            if length == 0 {
                length = (bits.word() | bits.word() << 16) as usize;
            }
        }
    }
    let width = u32::from(symbol >> 4);
    let distance = (1usize << width) + bits.take(width) as usize;
    let from = out.len().checked_sub(distance)?;
    let end = out.len().checked_add(length)?.checked_add(3)?;
    if end > size {
        return None;
    }
    for at in from..from.checked_add(length)?.checked_add(3)? {
        let byte = *out.get(at)?;
        out.push(byte);
    }
    Some(())
}

/// Bits and bytes from one place; zeros behind the end.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, highest first; sixteen of them at least.
    window: u32,
    /// How many more than sixteen.
    ahead: u32,
}

impl Bits<'_> {
    fn word(&mut self) -> u32 {
        let word = u16::from_le_bytes([self.byte(), self.byte()]);
        u32::from(word)
    }

    fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or_default();
        self.at = self.at.saturating_add(1);
        byte
    }

    /// The next `count` bits, fifteen at most.
    fn take(&mut self, count: u32) -> u32 {
        let taken = (u64::from(self.window) >> (32 - count)) as u32;
        self.window <<= count;
        match self.ahead.checked_sub(count) {
            Some(ahead) => self.ahead = ahead,
            None => {
                let missing = count - self.ahead;
                self.window |= self.word() << missing;
                self.ahead = 16 - missing;
            }
        }
        taken
    }
}
