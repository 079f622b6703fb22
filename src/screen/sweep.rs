//! One pass over a block as it is: where needles stand in it, in any case, in UTF-8 and
//! in UTF-16.
//!
//! Four neighbouring letters of every needle, its rarest, are its fingerprint.
//! Fingerprints are dealt to eight buckets, one bit each. A table for each of the four
//! letters says which buckets a byte suits there; where some bit is left of four bytes
//! in a row, or of every other of seven for UTF-16, a needle may stand. Tables go by the
//! halves of a byte: so many bytes can be looked up at once ([`Vector`]), and upper and
//! lower case, which differ in one half only, both suit. The four letters themselves then
//! lead to the few needles that are compared.

use std::ops::Range;

use super::ordinary::{excess, frequency};
use super::vector::Vector;

/// Letters of a fingerprint.
pub(super) const LETTERS: usize = 4;
const BUCKETS: usize = 8;
/// Places that needles are dealt to by their fingerprint's letters: a power of two.
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 12;
/// Letters of a needle out of which its fingerprint is chosen.
const WINDOWS: usize = 24;

/// A needle as it stands in a block.
pub(super) struct Form {
    /// Number of the needle.
    pub needle: usize,
    pub bytes: Vec<u8>,
    /// Bytes from letter to letter: 2 in UTF-16, else 1.
    pub stride: usize,
    /// Whether case is one.
    pub folded: bool,
}

/// Where a needle stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    pub needle: usize,
    pub at: Range<usize>,
}

/// The search for some needles in all their forms.
pub(super) struct Sweep {
    tables: [Table; LETTERS],
    /// Forms of stride 1 and of stride 2.
    dealt: [Dealt; 2],
    vector: Vector,
}

/// The buckets that a byte suits: those that its lower and its upper half suit.
#[derive(Clone, Copy)]
pub(super) struct Table {
    pub low: [u8; 16],
    pub high: [u8; 16],
}

/// Forms of one stride by the letters of their fingerprints.
#[derive(Default)]
struct Dealt {
    /// By their slots; those with fewer letters than a fingerprint come last.
    forms: Vec<Ending>,
    /// Slot → where its forms start, and where the last one's end.
    starts: Vec<usize>,
    /// A bit for each slot that has forms.
    taken: Vec<u64>,
    /// Whether a form with fewer letters ends its fingerprint with this byte.
    ends_short: Vec<bool>,
}

/// A form, and how many of its bytes end with its fingerprint.
struct Ending {
    form: Form,
    until: usize,
}

impl Sweep {
    pub(super) fn of(mut forms: Vec<Form>) -> Self {
        let mut prints = [Fingerprint::default(); BUCKETS];
        let mut endings: [Vec<Ending>; 2] = Default::default();
        // The short have the least choice; both forms of a text have the same letters.
        forms.sort_by_cached_key(|form| (form.letters().len(), form.letters()));
        let mut choice: Option<(Vec<u8>, bool, Choice)> = None;
        for form in forms {
            let (letters, folded) = (form.letters(), form.folded);
            if choice.as_ref().is_none_or(|known| (&known.0, known.1) != (&letters, folded)) {
                let cheapest = Choice::cheapest(&letters, folded, &prints);
                choice = cheapest.map(|choice| (letters, folded, choice));
            }
            let Some((.., chosen)) = &choice else { continue };
            let endings = endings.get_mut(form.stride.saturating_sub(1));
            if let (Some(print), Some(endings)) = (prints.get_mut(chosen.bucket), endings) {
                *print = chosen.joined;
                let until = chosen.last.saturating_mul(form.stride).saturating_add(1);
                endings.push(Ending { form, until });
            }
        }
        let mut tables = [Table::EMPTY; LETTERS];
        for (bucket, print) in prints.iter().enumerate() {
            for (table, suits) in tables.iter_mut().zip(print.0) {
                table.add(suits, 1 << bucket);
            }
        }
        Self { tables, dealt: endings.map(Dealt::of), vector: Vector::default() }
    }

    /// Tells of every place of a needle, in no order.
    pub(super) fn each(&self, block: &[u8], seen: &mut dyn FnMut(Sighting)) {
        let [narrow, wide] = &self.dealt;
        let mut compare = |last: usize| {
            let (one, other) = letters_until(block, last);
            narrow.compare(block, last, one, seen);
            wide.compare(block, last, other, seen);
        };
        let swept = self.vector.sweep(&self.tables, block, &mut compare);
        (swept..block.len()).for_each(compare);
    }
}

impl Dealt {
    fn of(mut forms: Vec<Ending>) -> Self {
        let slot = |ending: &Ending| ending.letters().map_or(SLOTS, slot);
        forms.sort_by_key(slot);
        let start = |number: usize| forms.partition_point(|ending| slot(ending) < number);
        let starts: Vec<usize> = (0..=SLOTS).map(start).collect();
        let mut taken = vec![0; SLOTS.div_ceil(64)];
        for number in forms.iter().map(slot) {
            taken.get_mut(number / 64).into_iter().for_each(|bits| *bits |= 1 << (number % 64));
        }
        let mut ends_short = vec![false; 256];
        for ending in forms.iter().filter(|ending| slot(ending) == SLOTS) {
            for byte in ending.last_letter() {
                ends_short.get_mut(usize::from(byte)).into_iter().for_each(|ends| *ends = true);
            }
        }
        Self { forms, starts, taken, ends_short }
    }

    /// Compares the needles whose fingerprint may end with this byte.
    #[inline(always)]
    fn compare(&self, block: &[u8], last: usize, letters: u32, seen: &mut dyn FnMut(Sighting)) {
        let slot = slot(letters);
        if self.taken.get(slot / 64).is_some_and(|bits| bits >> (slot % 64) & 1 == 1) {
            let start = |slot: usize| self.starts.get(slot).copied().unwrap_or_default();
            self.compare_all(start(slot)..start(slot.saturating_add(1)), block, last, seen);
        }
        let end = block.get(last).and_then(|byte| self.ends_short.get(usize::from(*byte)));
        if end == Some(&true) {
            let short = self.starts.last().copied().unwrap_or_default();
            self.compare_all(short..self.forms.len(), block, last, seen);
        }
    }

    fn compare_all(
        &self,
        forms: Range<usize>,
        block: &[u8],
        last: usize,
        seen: &mut dyn FnMut(Sighting),
    ) {
        for ending in self.forms.get(forms).unwrap_or_default() {
            if let Some(at) = ending.stands(block, last) {
                seen(Sighting { needle: ending.form.needle, at });
            }
        }
    }
}

/// The slot of a fingerprint's letters; case is one.
fn slot(letters: u32) -> usize {
    // A factor that spreads neighbours: 2^32 over the golden ratio.
    let spread = (letters | 0x2020_2020).wrapping_mul(0x9e37_79b1) >> (u32::BITS - SLOT_BITS);
    usize::try_from(spread).unwrap_or_default()
}

/// The letters of which this byte is the last: side by side, and every other byte.
/// What would stand before the block is zero.
fn letters_until(block: &[u8], last: usize) -> (u32, u32) {
    let bytes = last.checked_sub(7).and_then(|first| block.get(first..)?.first_chunk::<8>());
    let bytes = bytes.copied().unwrap_or_else(|| {
        let mut bytes = [0; 8];
        let before = block.get(..=last).unwrap_or_default().iter().rev();
        bytes.iter_mut().rev().zip(before).for_each(|(to, byte)| *to = *byte);
        bytes
    });
    let [_, a, _, b, c, d, e, f] = bytes;
    (u32::from_le_bytes([c, d, e, f]), u32::from_le_bytes([a, b, d, f]))
}

impl Table {
    const EMPTY: Self = Self { low: [0; 16], high: [0; 16] };

    fn add(&mut self, suits: Suits, bucket: u8) {
        let halves = [(&mut self.low, suits.low), (&mut self.high, suits.high)];
        for (half, values) in halves {
            let suited = half.iter_mut().enumerate().filter(|(n, _)| values >> n & 1 == 1);
            suited.for_each(|(_, buckets)| *buckets |= bucket);
        }
    }
}

impl Ending {
    /// Its fingerprint; none, where it has too few letters.
    fn letters(&self) -> Option<u32> {
        let last = self.until.checked_sub(1)?;
        last.checked_sub(self.form.stride.saturating_mul(LETTERS - 1))?;
        let (narrow, wide) = letters_until(&self.form.bytes, last);
        Some(if self.form.stride == 1 { narrow } else { wide })
    }

    /// The byte that its fingerprint ends with, in either case.
    fn last_letter(&self) -> impl Iterator<Item = u8> {
        let last = self.until.checked_sub(1).and_then(|last| self.form.bytes.get(last)).copied();
        last.into_iter().flat_map(|byte| [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()])
    }

    fn stands(&self, block: &[u8], last: usize) -> Option<Range<usize>> {
        let start = last.checked_add(1)?.checked_sub(self.until)?;
        let at = start..start.checked_add(self.form.bytes.len())?;
        let bytes = block.get(at.clone())?;
        let same = match self.form.folded {
            true => bytes.eq_ignore_ascii_case(&self.form.bytes),
            false => bytes == self.form.bytes,
        };
        same.then_some(at)
    }
}

impl Form {
    fn letters(&self) -> Vec<u8> {
        self.bytes.iter().copied().step_by(self.stride).collect()
    }
}

/// Which letters of a form are its fingerprint, and in which bucket.
struct Choice {
    bucket: usize,
    /// Number of the fingerprint's last letter.
    last: usize,
    /// The bucket's fingerprint with this one.
    joined: Fingerprint,
}

impl Choice {
    /// The choice that makes candidates the least more frequent.
    fn cheapest(letters: &[u8], folded: bool, prints: &[Fingerprint; BUCKETS]) -> Option<Self> {
        let before: Vec<f64> = prints.iter().map(Fingerprint::frequency).collect();
        let ends = letters.len().min(LETTERS)..=letters.len().min(WINDOWS);
        let mut best: Option<(f64, Self)> = None;
        for end in ends {
            let window = letters.get(end.saturating_sub(LETTERS)..end)?;
            let own = Fingerprint::of(window, folded);
            for ((bucket, print), before) in prints.iter().enumerate().zip(&before) {
                let joined = print.joined(&own);
                let cost = joined.frequency() - before + excess(window);
                if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                    best = Some((cost, Self { bucket, last: end.checked_sub(1)?, joined }));
                }
            }
        }
        best.map(|(_, choice)| choice)
    }
}

/// The bytes that suit each letter of a bucket.
#[derive(Clone, Copy, Default)]
struct Fingerprint([Suits; LETTERS]);

impl Fingerprint {
    /// Of few letters; too few may follow anything.
    fn of(letters: &[u8], folded: bool) -> Self {
        let mut print = Self([Suits::ALL; LETTERS]);
        let ends = print.0.iter_mut().rev().zip(letters.iter().rev());
        ends.for_each(|(suits, letter)| *suits = Suits::of(*letter, folded));
        print
    }

    fn joined(&self, other: &Self) -> Self {
        let mut joined = *self;
        for (suits, more) in joined.0.iter_mut().zip(other.0) {
            suits.low |= more.low;
            suits.high |= more.high;
        }
        joined
    }

    /// How often it may occur in logs, roughly.
    fn frequency(&self) -> f64 {
        self.0.iter().map(Suits::frequency).product()
    }
}

/// Bytes by their halves, a bit for each value: any lower half with any upper one.
#[derive(Clone, Copy, Default)]
struct Suits {
    low: u16,
    high: u16,
}

impl Suits {
    const ALL: Self = Self { low: u16::MAX, high: u16::MAX };

    /// The byte, and the same letter in the other case.
    fn of(byte: u8, folded: bool) -> Self {
        let other = if folded && byte.is_ascii_alphabetic() { byte ^ 0x20 } else { byte };
        Self { low: 1 << (byte & 15), high: 1 << (byte >> 4) | 1 << (other >> 4) }
    }

    fn frequency(&self) -> f64 {
        bits(self.high)
            .flat_map(|high| bits(self.low).map(move |low| high << 4 | low))
            .map(frequency)
            .sum()
    }
}

/// The numbers of the bits set, from the lowest.
fn bits(mut of: u16) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let lowest = u8::try_from(of.trailing_zeros()).ok().filter(|_| of != 0)?;
        of &= of.wrapping_sub(1);
        Some(lowest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(needle: usize, text: &str, stride: usize) -> Form {
        let bytes = match stride {
            1 => text.as_bytes().to_vec(),
            _ => super::super::formula::utf16(text),
        };
        Form { needle, bytes, stride, folded: true }
    }

    /// Both ways must see what a naive search sees, wherever in the block it stands.
    #[test]
    fn sees_every_needle_at_every_place() {
        let words = ["ngrok", "::1", "tcp ", "service run", "aaa"];
        let mut forms: Vec<Form> = Vec::new();
        for (needle, word) in words.iter().enumerate() {
            forms.extend([form(needle, word, 1), form(needle, word, 2)]);
        }
        forms.push(Form { needle: 5, bytes: vec![0x3d, 0x0d], stride: 1, folded: false });
        let mut sweep = Sweep::of(forms);
        for scalar in [false, true] {
            if scalar {
                sweep.vector = Vector::none();
            }
            for at in 0..150 {
                for (needle, word) in words.iter().enumerate() {
                    for text in
                        [word.to_uppercase().into_bytes(), super::super::formula::utf16(word)]
                    {
                        let mut block = vec![b'x'; at];
                        block.extend(&text);
                        let short = seen(&sweep, &block);
                        block.extend([b'y'; 40]);
                        let expected = vec![Sighting { needle, at: at..at + text.len() }];
                        assert_eq!((short, seen(&sweep, &block)), (expected.clone(), expected));
                    }
                }
                let block = [vec![0; at], vec![0x3d, 0x0d]].concat();
                let expected = Sighting { needle: 5, at: at..at + 2 };
                assert_eq!(seen(&sweep, &block), [expected]);
            }
        }
    }

    #[test]
    fn sees_needles_inside_each_other() {
        let sweep = Sweep::of(vec![form(0, "ngrok", 1), form(1, "grok.exe", 1)]);
        assert_eq!(seen(&sweep, b"C:\\NGROK.EXE").len(), 2);
        assert_eq!(seen(&Sweep::of(Vec::new()), &[7; 100]), []);
    }

    #[test]
    fn bytes_are_exact_and_texts_are_not() {
        let bytes = Form { needle: 1, bytes: b"tcp 1".to_vec(), stride: 1, folded: false };
        let sweep = Sweep::of(vec![bytes, form(0, "tcp 1", 1)]);
        assert_eq!(seen(&sweep, b"tcp 1").len(), 2);
        assert_eq!(seen(&sweep, b"TCP 1"), [Sighting { needle: 0, at: 0..5 }]);
    }

    fn seen(sweep: &Sweep, block: &[u8]) -> Vec<Sighting> {
        let mut all = Vec::new();
        sweep.each(block, &mut |sighting| all.push(sighting));
        all.sort_by_key(|sighting| sighting.at.start);
        all
    }
}
