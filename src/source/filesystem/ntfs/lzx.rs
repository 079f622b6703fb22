//! LZX as Windows images and packed system files have it: chunks of 32 KiB, each
//! by itself.
//!
//! ```text
//! chunk = block*
//! block = type:3 (1:1 | 0:1 size:16) body         no size: 32768
//! body  = lengths of codes, then symbols           verbatim (1)
//!       | 8×3 bits of lengths, then as verbatim    aligned (2)
//!       | to 16 bits, three distances:32, bytes    uncompressed (3)
//! ```
//!
//! Bits come in words of 16, highest first. A main symbol is a byte, or one of
//! 30 slots of distances with a length of 2 to 8 (the last: more follow). At the
//! end the targets of x86 calls, made absolute by the packer, are made relative.
//!
//! Source: the notes on LZX of the Windows Imaging format; checked against
//! chunks that another implementation (wimlib) packed.

use super::super::bytes::u32_at;
use crate::codec::prefix::Code;

/// What a chunk unpacks to at most; bytes.
pub(super) const CHUNK: usize = 32 << 10;
const SLOTS: usize = 30;
const MAIN: usize = 256 + SLOTS * 8;
const LENGTHS: usize = 249;
/// The size of file that targets of calls are reckoned with.
const CALLS: i32 = 12_000_000;

/// Unpacks one chunk of `size` bytes; `None` for bytes that are no LZX.
pub(super) fn decompress(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    if size > CHUNK {
        return None;
    }
    let mut state = State {
        bits: Bits { bytes: packed, at: 0 },
        out: Vec::with_capacity(size),
        recent: [1; 3],
        main: [0; MAIN],
        lengths: [0; LENGTHS],
    };
    while state.out.len() < size {
        state.block(size)?;
    }
    let mut out = state.out;
    relative_calls(&mut out);
    Some(out)
}

/// Bits in words of 16, highest first; zeros behind the end.
struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl Bits<'_> {
    /// The next sixteen bits, without taking them.
    fn peek(&self) -> u32 {
        let byte = |at: usize| u32::from(self.bytes.get(at).copied().unwrap_or_default());
        let start = self.at / 16 * 2;
        let word = |at: usize| byte(at) | byte(at + 1) << 8;
        let both = word(start) << 16 | word(start + 2);
        both << (self.at % 16) >> 16
    }

    /// The next `count` bits, at most sixteen; `None` far behind the end.
    fn take(&mut self, count: u32) -> Option<u32> {
        if self.at / 8 > self.bytes.len() + 4 {
            return None;
        }
        let value = if count == 0 { 0 } else { self.peek() >> 16u32.checked_sub(count)? };
        self.at += count as usize;
        Some(value)
    }

    /// The next symbol of a code.
    fn symbol(&mut self, code: &Code) -> Option<u16> {
        let (symbol, length) = code.find(self.peek())?;
        self.take(length)?;
        Some(symbol)
    }

    /// Where the bytes behind this word begin; a word not begun yet is skipped.
    fn next_word(&self) -> usize {
        (self.at / 16 + 1) * 2
    }
}

struct State<'a> {
    bits: Bits<'a>,
    out: Vec<u8>,
    /// The last three distances.
    recent: [usize; 3],
    /// Lengths of codes; each block tells what changed.
    main: [u8; MAIN],
    lengths: [u8; LENGTHS],
}

impl State<'_> {
    fn block(&mut self, size: usize) -> Option<()> {
        let kind = self.bits.take(3)?;
        let length = match self.bits.take(1)? {
            1 => CHUNK,
            _ => self.bits.take(16)? as usize,
        };
        let end = self.out.len().checked_add(length)?.min(size);
        if length == 0 {
            return None;
        }
        match kind {
            1 => self.symbols(end, None),
            2 => {
                let mut lengths = [0; 8];
                for length in &mut lengths {
                    *length = self.bits.take(3)? as u8;
                }
                let aligned = Code::of(&lengths)?;
                self.symbols(end, Some(&aligned))
            }
            3 => self.bytes(length, end),
            _ => None,
        }
    }

    fn bytes(&mut self, length: usize, end: usize) -> Option<()> {
        let mut at = self.bits.next_word();
        for distance in &mut self.recent {
            *distance = u32_at(self.bits.bytes, at)? as usize;
            at = at.checked_add(4)?;
        }
        let count = end.checked_sub(self.out.len())?;
        self.out.extend_from_slice(self.bits.bytes.get(at..at.checked_add(count)?)?);
        self.bits.at = at.checked_add(length)?.checked_add(length % 2)?.checked_mul(8)?;
        Some(())
    }

    fn symbols(&mut self, end: usize, aligned: Option<&Code>) -> Option<()> {
        let (literals, matches) = self.main.split_at_mut_checked(256)?;
        update(&mut self.bits, literals)?;
        update(&mut self.bits, matches)?;
        update(&mut self.bits, &mut self.lengths)?;
        let main = Code::of(&self.main)?;
        let lengths = Code::of(&self.lengths)?;
        while self.out.len() < end {
            let symbol = self.bits.symbol(&main)?;
            match u8::try_from(symbol) {
                Ok(byte) => self.out.push(byte),
                Err(_) => self.copy(usize::from(symbol) - 256, end, &lengths, aligned)?,
            }
        }
        Some(())
    }

    fn copy(
        &mut self,
        symbol: usize,
        end: usize,
        lengths: &Code,
        aligned: Option<&Code>,
    ) -> Option<()> {
        let length = match symbol % 8 {
            7 => usize::from(self.bits.symbol(lengths)?) + 9,
            short => short + 2,
        };
        let distance = self.distance(symbol / 8, aligned)?;
        let from = self.out.len().checked_sub(distance).filter(|_| distance > 0)?;
        if self.out.len().checked_add(length)? > end {
            return None;
        }
        for n in 0..length {
            let byte = *self.out.get(from.checked_add(n)?)?;
            self.out.push(byte);
        }
        Some(())
    }

    fn distance(&mut self, slot: usize, aligned: Option<&Code>) -> Option<usize> {
        if slot < 3 {
            self.recent.swap(0, slot);
            return self.recent.first().copied();
        }
        let extra = if slot < 4 { 0 } else { (slot as u32 / 2).checked_sub(1)? };
        let base = if slot < 4 { slot } else { (2 + slot % 2) << extra };
        let more = match aligned {
            Some(code) if extra >= 3 => {
                let high = self.bits.take(extra - 3)? << 3;
                high | u32::from(self.bits.symbol(code)?)
            }
            _ => self.bits.take(extra)?,
        };
        let distance = base.checked_add(more as usize)?.checked_sub(2)?;
        let [first, second, _] = self.recent;
        self.recent = [distance, first, second];
        Some(distance)
    }
}

/// Reads what changed in lengths of codes.
fn update(bits: &mut Bits<'_>, lengths: &mut [u8]) -> Option<()> {
    let mut own = [0u8; 20];
    for length in &mut own {
        *length = bits.take(4)? as u8;
    }
    let code = Code::of(&own)?;
    let changed = |before: u8, symbol: u16| (17 + u16::from(before) - symbol) % 17;
    let mut at = 0usize;
    while at < lengths.len() {
        let symbol = bits.symbol(&code)?;
        let (count, symbol) = match symbol {
            17 => (4 + bits.take(4)?, None),
            18 => (20 + bits.take(5)?, None),
            19 => {
                let count = 4 + bits.take(1)?;
                (count, Some(bits.symbol(&code).filter(|symbol| *symbol < 17)?))
            }
            symbol => (1, Some(symbol)),
        };
        // A run says one new length for all, reckoned from the first.
        let new = match symbol {
            None => 0,
            Some(symbol) => changed(*lengths.get(at)?, symbol) as u8,
        };
        let end = at.checked_add(count as usize)?.min(lengths.len());
        lengths.get_mut(at..end)?.fill(new);
        at = end;
    }
    Some(())
}

/// Makes the targets of x86 calls relative again.
fn relative_calls(out: &mut [u8]) {
    let Some(end) = out.len().checked_sub(10) else { return };
    let mut at = 0usize;
    while at < end {
        if out.get(at) != Some(&0xe8) {
            at += 1;
            continue;
        }
        let here = i32::try_from(at).unwrap_or(i32::MAX);
        let Some(target) = out.get_mut(at + 1..at + 5) else { return };
        let absolute = target.first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
        let relative = if (0..CALLS).contains(&absolute) {
            Some(absolute - here)
        } else if (-here..0).contains(&absolute) {
            Some(absolute + CALLS)
        } else {
            None
        };
        if let Some(relative) = relative {
            target.copy_from_slice(&relative.to_le_bytes());
        }
        at += 5;
    }
}
