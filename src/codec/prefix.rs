//! Canonical prefix codes, as LZX and XPRESS have them: shorter codes first, and
//! among those of one length the lower symbol first.

/// The longest code of either; bits.
const MAX_LENGTH: usize = 16;

/// A prefix code.
pub(crate) struct Code {
    /// For each length the first code that is longer, in sixteen bits, and what
    /// to add to a code to have its place among the symbols.
    limits: [(u32, i32); MAX_LENGTH + 1],
    symbols: Vec<u16>,
}

impl Code {
    /// The code in which symbol n has `lengths[n]` bits, 0 for none; `None` when
    /// there can be no such code.
    pub(crate) fn of(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0u32; MAX_LENGTH + 1];
        for length in lengths {
            *counts.get_mut(usize::from(*length))? += 1;
        }
        let mut symbols = Vec::with_capacity(lengths.len());
        let mut limits = [(0, 0); MAX_LENGTH + 1];
        let mut code = 0u32;
        for (length, (limit, count)) in (0u8..).zip(limits.iter_mut().zip(counts)).skip(1) {
            code <<= 1;
            let first = i32::try_from(symbols.len()).ok()? - i32::try_from(code).ok()?;
            code += count;
            if code > 1 << length {
                return None;
            }
            *limit = (code << (16 - u32::from(length)), first);
            if count > 0 {
                let own = (0u16..).zip(lengths).filter(|(_, other)| **other == length);
                symbols.extend(own.map(|(symbol, _)| symbol));
            }
        }
        Some(Self { limits, symbols })
    }

    /// The symbol that the next sixteen bits begin with, and its bits.
    pub(crate) fn find(&self, next: u32) -> Option<(u16, u32)> {
        for (length, (limit, first)) in (0u32..).zip(&self.limits).skip(1) {
            if next < *limit {
                let code = i32::try_from(next >> 16u32.checked_sub(length)?).ok()?;
                let place = usize::try_from(code.checked_add(*first)?).ok()?;
                return Some((*self.symbols.get(place)?, length));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_codes_come_first() {
        let code = Code::of(&[2, 0, 1, 3, 3]).unwrap();
        for (next, expected) in
            [(0x7fff, (2, 1)), (0xbfff, (0, 2)), (0xdfff, (3, 3)), (0xe000, (4, 3))]
        {
            assert_eq!(code.find(next), Some(expected));
        }
        assert!(Code::of(&[1, 1, 1]).is_none());
        assert!(Code::of(&[17]).is_none());
        assert!(Code::of(&[2]).unwrap().find(0xffff).is_none());
    }
}
