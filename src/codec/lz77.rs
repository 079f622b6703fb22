//! XPRESS without Huffman codes, as database values have it.
//!
//! ```text
//! stream = { flags:u32, 32 items }        highest bit first; 0: a byte, 1: a copy
//! copy   = u16: distance less 1 × 8 + length less 3; longer lengths follow
//! ```
//!
//! Source: [MS-XCA] section 2.4.

/// Unpacks up to `size` bytes: those before the first that cannot be unpacked.
pub(crate) fn decompress(packed: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(size.min(packed.len().saturating_mul(64)));
    let mut input = Input { bytes: packed, at: 0, half: None };
    while out.len() < size {
        let Some(flags) = input.number(4) else { break };
        for bit in (0..32).rev() {
            if out.len() >= size {
                break;
            }
            let done = match flags >> bit & 1 {
                0 => input.number(1).and_then(|byte| u8::try_from(byte).ok()).map(|b| out.push(b)),
                _ => copy(&mut input, &mut out, size),
            };
            if done.is_none() {
                return out;
            }
        }
    }
    out
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the byte stands whose upper half is the next length.
    half: Option<usize>,
}

impl Input<'_> {
    /// The next little-endian number of so many bytes.
    fn number(&mut self, bytes: usize) -> Option<usize> {
        let end = self.at.checked_add(bytes)?;
        let all = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(all.iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte)))
    }

    /// The rest of a length whose three bits do not hold it.
    fn longer(&mut self) -> Option<usize> {
        let nibble = match self.half.take() {
            Some(at) => usize::from(*self.bytes.get(at)? >> 4),
            None => {
                self.half = Some(self.at);
                self.number(1)? & 15
            }
        };
        if nibble < 15 {
            return nibble.checked_add(7);
        }
        match self.number(1)? {
            255 => match self.number(2)? {
                0 => self.number(4),
                length => Some(length),
            },
            length => length.checked_add(15 + 7),
        }
    }
}

fn copy(input: &mut Input<'_>, out: &mut Vec<u8>, size: usize) -> Option<()> {
    let code = input.number(2)?;
    let length = match code & 7 {
        7 => input.longer()?,
        short => short,
    };
    let mut from = out.len().checked_sub((code >> 3).checked_add(1)?)?;
    for _ in 0..length.checked_add(3)?.min(size.saturating_sub(out.len())) {
        out.push(*out.get(from)?);
        from = from.checked_add(1)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::decompress;

    #[test]
    fn unpacks_the_examples_of_the_specification() {
        let plain = b"\x3f\0\0\0abcdefghijklmnopqrstuvwxyz";
        assert_eq!(decompress(plain, 26), b"abcdefghijklmnopqrstuvwxyz");
        let packed = b"\xff\xff\xff\x1fabc\x17\0\x0f\xff\x26\x01";
        assert_eq!(decompress(packed, 300), b"abc".repeat(100));
    }

    #[test]
    fn stops_where_it_cannot_go_on() {
        assert_eq!(decompress(b"\0\0\0\x80", 9), b"");
        assert_eq!(decompress(b"\0\0\0\x80\x08\0", 9), b"");
        assert_eq!(decompress(b"\0\0\0\0ab", 9), b"ab");
    }
}
