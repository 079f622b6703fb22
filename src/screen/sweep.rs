//! One pass over a block as it is: where needles stand in it, in any case, in UTF-8 and
//! in UTF-16.
//!
//! Four neighbouring letters of every needle, its rarest, are its fingerprint.
//! Fingerprints are dealt to eight buckets, one bit each. A table for each of the four
//! letters says which buckets a byte suits there; where some bit is left of four bytes
//! in a row, or of every other of seven for UTF-16, the needles of that bucket are
//! compared. Tables go by the halves of a byte: so many bytes can be looked up at once
//! ([`Vector`]), and upper and lower case, which differ in one half only, both suit.

use std::ops::Range;

use super::ordinary::{excess, frequency};
use super::vector::Vector;

/// Letters of a fingerprint.
pub(super) const LETTERS: usize = 4;
const BUCKETS: usize = 8;
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
    buckets: [[Vec<Dealt>; BUCKETS]; 2],
    vector: Vector,
}

/// The buckets that a byte suits: those that its lower and its upper half suit.
#[derive(Clone, Copy)]
pub(super) struct Table {
    pub low: [u8; 16],
    pub high: [u8; 16],
    /// The same by the whole byte.
    whole: [u8; 256],
}

/// A form in its bucket, and how many of its bytes end with its fingerprint.
struct Dealt {
    form: Form,
    until: usize,
}

impl Sweep {
    pub(super) fn of(mut forms: Vec<Form>) -> Self {
        let tables = [Table::EMPTY; LETTERS];
        let mut sweep = Self { tables, buckets: Default::default(), vector: Vector::default() };
        let mut prints = [Fingerprint::default(); BUCKETS];
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
            let buckets = sweep.buckets.get_mut(form.stride.saturating_sub(1));
            let bucket = buckets.and_then(|buckets| buckets.get_mut(chosen.bucket));
            if let (Some(print), Some(bucket)) = (prints.get_mut(chosen.bucket), bucket) {
                *print = chosen.joined;
                let until = chosen.last.saturating_mul(form.stride).saturating_add(1);
                bucket.push(Dealt { form, until });
            }
        }
        for (bucket, print) in prints.iter().enumerate() {
            for (table, suits) in sweep.tables.iter_mut().zip(print.0) {
                table.add(suits, 1 << bucket);
            }
        }
        sweep
    }

    /// Tells of every place of a needle, in no order.
    pub(super) fn each(&self, block: &[u8], seen: &mut dyn FnMut(Sighting)) {
        let mut compare = |last: usize| self.compare(block, last, seen);
        let swept = self.vector.sweep(&self.tables, block, &mut compare);
        (swept..block.len()).for_each(compare);
    }

    /// Compares the needles whose fingerprint may end with this byte.
    fn compare(&self, block: &[u8], last: usize, seen: &mut dyn FnMut(Sighting)) {
        for (buckets, stride) in self.buckets.iter().zip(1..) {
            let suited = self.suited(block, last, stride);
            if suited == 0 {
                continue;
            }
            let suited = buckets.iter().enumerate().filter(|(bit, _)| suited >> bit & 1 == 1);
            for dealt in suited.flat_map(|(_, bucket)| bucket) {
                if let Some(at) = dealt.stands(block, last) {
                    seen(Sighting { needle: dealt.form.needle, at });
                }
            }
        }
    }

    /// The buckets that are suited by the letters up to this byte; what would stand
    /// before the block suits all.
    fn suited(&self, block: &[u8], last: usize, stride: usize) -> u8 {
        let mut back = LETTERS.saturating_mul(stride);
        self.tables.iter().fold(u8::MAX, |suited, table| {
            back = back.saturating_sub(stride);
            let byte = last.checked_sub(back).and_then(|at| block.get(at));
            byte.map_or(suited, |byte| suited & table.suited(*byte))
        })
    }
}

impl Table {
    const EMPTY: Self = Self { low: [0; 16], high: [0; 16], whole: [0; 256] };

    fn add(&mut self, suits: Suits, bucket: u8) {
        let halves = [(&mut self.low, suits.low), (&mut self.high, suits.high)];
        for (half, values) in halves {
            let suited = half.iter_mut().enumerate().filter(|(n, _)| values >> n & 1 == 1);
            suited.for_each(|(_, buckets)| *buckets |= bucket);
        }
        let suited = (0..=u8::MAX).zip(&mut self.whole).filter(|(byte, _)| suits.has(*byte));
        suited.for_each(|(_, buckets)| *buckets |= bucket);
    }

    fn suited(&self, byte: u8) -> u8 {
        self.whole.get(usize::from(byte)).copied().unwrap_or_default()
    }
}

impl Dealt {
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
        let high = (0..16).filter(|half| self.high >> half & 1 == 1);
        let low = || (0..16).filter(|half| self.low >> half & 1 == 1);
        high.flat_map(|high| low().map(move |low| frequency(high << 4 | low))).sum()
    }

    fn has(&self, byte: u8) -> bool {
        self.low >> (byte & 15) & self.high >> (byte >> 4) & 1 == 1
    }
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
