//! One pass over a block as it is: where needles stand in it, in any case, in UTF-8 and
//! in UTF-16.
//!
//! Four neighbouring letters of every needle, its rarest, are its fingerprint.
//! Fingerprints are dealt to eight buckets, one bit each. A table for each of the four
//! letters says which buckets a byte suits there; where some bit is left of four bytes
//! in a row, or of every other of seven for UTF-16, a needle may stand. Tables go by the
//! lower five bits of a byte: so many bytes can be looked up at once ([`Vector`]), and
//! upper and lower case are one. The four letters themselves then tell, by a hash, whether
//! they are a fingerprint, and lead to the few needles that are compared.

use std::ops::Range;

use super::fingerprint::{Bucket, CLASSES, Choice};
use super::vector::Vector;

/// Letters of a fingerprint.
pub(super) const LETTERS: usize = 4;
pub(super) const BUCKETS: usize = 8;
/// Places that needles are dealt to by their fingerprint's letters: a power of two.
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 16;
/// Slots whose forms are looked up together.
const SHARE: usize = 32;
/// Bytes from letter to letter.
pub(super) const NARROW: usize = 1;
pub(super) const WIDE: usize = 2;
/// Upper and lower case differ in this bit.
const CASE: u32 = 0x2020_2020;

/// A needle as it stands in a block.
pub(super) struct Form {
    /// Number of the needle.
    pub needle: usize,
    pub bytes: Vec<u8>,
    /// Bytes from letter to letter: [`WIDE`] in UTF-16, else [`NARROW`].
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
    narrow: Prints,
    /// Of needles in UTF-16, if there are such.
    wide: Option<Prints>,
    /// By slot; those with fewer letters than a fingerprint come last.
    forms: Vec<Ending>,
    /// Share of the slots → where its forms start; then, where those of fewer letters do.
    starts: Vec<usize>,
    vector: Vector,
}

/// The buckets that a byte suits, by its class.
#[derive(Clone, Copy)]
pub(super) struct Table {
    pub low: [u8; CLASSES / 2],
    pub high: [u8; CLASSES / 2],
}

/// The slots that fingerprints of one stride lead to, a bit for each.
pub(super) struct Prints {
    whole: Box<Slots>,
    /// Of the last two letters of those that have no more, if there are such.
    short: Option<Box<Slots>>,
}

type Slots = [u64; SLOTS / 64];

/// A form, and how many of its bytes end with its fingerprint.
struct Ending {
    form: Form,
    until: usize,
    /// The fingerprint's letters, all set where it has none.
    letters: u32,
    /// What is set of letters that it does not have.
    missing: u32,
}

impl Sweep {
    pub(super) fn of(mut forms: Vec<Form>) -> Self {
        let mut buckets = [(); BUCKETS].map(|()| Bucket::default());
        let mut endings = Vec::with_capacity(forms.len());
        // The short have the least choice; both forms of a text have the same letters.
        forms.sort_by_cached_key(|form| (form.letters().len(), form.letters()));
        let mut choice: Option<(Vec<u8>, Choice)> = None;
        for form in forms {
            let letters = form.letters();
            if choice.as_ref().is_none_or(|(known, _)| *known != letters) {
                choice = Choice::cheapest(&letters, &buckets).map(|choice| (letters, choice));
            }
            let Some((.., chosen)) = &choice else { continue };
            buckets.get_mut(chosen.bucket).into_iter().for_each(|of| of.join(&chosen.own));
            endings.push(Ending::of(form, chosen.last));
        }
        let mut tables = [Table::EMPTY; LETTERS];
        for (bucket, of) in buckets.iter().enumerate() {
            for (table, suits) in tables.iter_mut().zip(of.suits()) {
                table.add(suits, 1 << bucket);
            }
        }
        endings.sort_by_key(Ending::slot);
        let of = |stride| endings.iter().filter(move |ending| ending.form.stride == stride);
        let narrow = Prints::of(of(NARROW));
        let wide = of(WIDE).next().is_some().then(|| Prints::of(of(WIDE)));
        let start = |share: usize| endings.partition_point(|form| form.slot() < share * SHARE);
        let starts = (0..=SLOTS / SHARE).map(start).collect();
        Self { tables, narrow, wide, forms: endings, starts, vector: Vector::default() }
    }

    /// Tells of every place of a needle, in no order.
    pub(super) fn each(&self, block: &[u8], seen: &mut dyn FnMut(Sighting)) {
        let (narrow, wide) = (&self.narrow, self.wide.as_ref());
        let mut compare = |last: usize, stride: usize| self.compare(block, last, stride, seen);
        let swept = self.vector.sweep(&self.tables, narrow, wide, block, &mut compare);
        for last in swept..block.len() {
            if narrow.may_end::<NARROW>(block, last) {
                compare(last, NARROW);
            }
            if wide.is_some_and(|wide| wide.may_end::<WIDE>(block, last)) {
                compare(last, WIDE);
            }
        }
    }

    /// Compares the needles of that stride whose fingerprint may end with this byte.
    fn compare(&self, block: &[u8], last: usize, stride: usize, seen: &mut dyn FnMut(Sighting)) {
        let (narrow, wide) = letters_until(block, last);
        let letters = if stride == WIDE { wide } else { narrow } | CASE;
        let share = slot(letters) / SHARE;
        let start = |share: usize| self.starts.get(share).copied().unwrap_or_default();
        let short = start(SLOTS / SHARE)..self.forms.len();
        for range in [start(share)..start(share.saturating_add(1)), short] {
            for form in self.forms.get(range).unwrap_or_default() {
                if form.form.stride != stride || form.letters != letters | form.missing {
                    continue;
                }
                if let Some(at) = form.stands(block, last) {
                    seen(Sighting { needle: form.form.needle, at });
                }
            }
        }
    }
}

impl Prints {
    fn of<'a>(forms: impl Iterator<Item = &'a Ending>) -> Self {
        let mut prints = Self { whole: Box::new([0; SLOTS / 64]), short: None };
        let any_byte = || 0..=u32::from(u8::MAX);
        for form in forms {
            let known = form.letters & !form.missing;
            match form.missing.count_ones() / u8::BITS {
                0 => take(&mut prints.whole, slot(form.letters)),
                1 => {
                    any_byte().for_each(|first| take(&mut prints.whole, slot(known | first | CASE)))
                }
                2 => take(prints.short(), short_slot(form.letters)),
                _ => any_byte().for_each(|before| {
                    take(prints.short(), short_slot(known | before << 16 | CASE));
                }),
            }
        }
        prints
    }

    fn short(&mut self) -> &mut Slots {
        self.short.get_or_insert_with(|| Box::new([0; SLOTS / 64]))
    }

    /// Whether a fingerprint of that stride may end with this byte of the block.
    #[inline(always)]
    pub(super) fn may_end<const STRIDE: usize>(&self, block: &[u8], last: usize) -> bool {
        let (narrow, wide) = letters_until(block, last);
        let letters = if STRIDE == WIDE { wide } else { narrow } | CASE;
        let short = self.short.as_ref();
        holds(&self.whole, slot(letters)) | short.is_some_and(|s| holds(s, short_slot(letters)))
    }
}

fn take(slots: &mut Slots, slot: usize) {
    slots.get_mut(slot / 64).into_iter().for_each(|word| *word |= 1 << (slot % 64));
}

#[inline(always)]
fn holds(slots: &Slots, slot: usize) -> bool {
    slots.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
}

/// The slot of a fingerprint's letters.
#[inline(always)]
fn slot(letters: u32) -> usize {
    // A factor that spreads neighbours: 2^32 over the golden ratio.
    let spread = letters.wrapping_mul(0x9e37_79b1) >> (u32::BITS - SLOT_BITS);
    usize::try_from(spread).unwrap_or_default()
}

/// The slot of the last two letters.
#[inline(always)]
fn short_slot(letters: u32) -> usize {
    slot(letters >> 16)
}

/// The letters of which this byte is the last: side by side, and every other byte.
/// What would stand before the block is zero.
#[inline(always)]
fn letters_until(block: &[u8], last: usize) -> (u32, u32) {
    let bytes = last.checked_sub(7).and_then(|first| block.get(first..)?.first_chunk::<8>());
    let bytes = bytes.copied().unwrap_or_else(|| first_letters(block, last));
    let all = u64::from_le_bytes(bytes);
    let odd = all >> 8 & 0x00ff_00ff_00ff_00ff;
    let odd = (odd | odd >> 8) & 0x0000_ffff_0000_ffff;
    (low(all >> 32), low(odd | odd >> 16))
}

/// The lower half.
#[inline(always)]
fn low(of: u64) -> u32 {
    u32::try_from(of & u64::from(u32::MAX)).unwrap_or_default()
}

#[cold]
fn first_letters(block: &[u8], last: usize) -> [u8; 8] {
    let mut bytes = [0; 8];
    let before = block.get(..=last).unwrap_or_default().iter().rev();
    bytes.iter_mut().rev().zip(before).for_each(|(to, byte)| *to = *byte);
    bytes
}

impl Table {
    const EMPTY: Self = Self { low: [0; CLASSES / 2], high: [0; CLASSES / 2] };

    fn add(&mut self, suits: u32, bucket: u8) {
        let classes = self.low.iter_mut().chain(&mut self.high).enumerate();
        let suited = classes.filter(|(class, _)| suits >> class & 1 == 1);
        suited.for_each(|(_, buckets)| *buckets |= bucket);
    }
}

impl Ending {
    fn of(form: Form, last_letter: usize) -> Self {
        let until = last_letter.saturating_mul(form.stride).saturating_add(1);
        let (narrow, wide) = letters_until(&form.bytes, until.saturating_sub(1));
        let letters = if form.stride == 1 { narrow } else { wide };
        let missing = match last_letter {
            0 => 0x00ff_ffff,
            1 => 0x0000_ffff,
            2 => 0x0000_00ff,
            _ => 0,
        };
        Self { form, until, letters: letters | CASE | missing, missing }
    }

    fn slot(&self) -> usize {
        if self.missing == 0 { slot(self.letters) } else { SLOTS }
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

    /// Numbers that look random, the same each time.
    fn random() -> impl FnMut(usize) -> usize {
        let mut state = 1u64;
        move |below| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        }
    }

    /// Of few letters, so that candidates stand close and needles in each other.
    #[test]
    fn sees_what_a_search_for_each_sees() {
        let mut random = random();
        let mut forms = Vec::new();
        for needle in 0..250 {
            let letters = 1 + random(12) + usize::from(needle > 10) * 2;
            let word: String = (0..letters).map(|_| ['a', 'B', '-', 'z', '3'][random(5)]).collect();
            let word = word.to_ascii_lowercase();
            forms.extend([form(needle, &word, 1), form(needle, &word, 2)]);
        }
        let bytes = [vec![7], vec![0xff, 0], vec![0x3d, 0x0d], vec![1, 0, 0, 0, 2]];
        for (n, bytes) in bytes.into_iter().enumerate() {
            forms.push(Form { needle: 250 + n, bytes, stride: 1, folded: false });
        }
        let known: Vec<_> = forms.iter().map(|f| (f.needle, f.bytes.clone(), f.folded)).collect();
        let mut sweep = Sweep::of(forms);
        for round in 0..12 {
            let mut block = Vec::new();
            while block.len() < 5000 {
                let mut piece = known[random(known.len())].1.clone();
                match random(4) {
                    0 => piece.make_ascii_uppercase(),
                    1 => piece.iter_mut().for_each(|byte| *byte ^= u8::from(random(9) == 0)),
                    _ => {}
                }
                block.extend(piece);
                block.extend((0..random(3)).map(|_| [0, 7, b'a', 0xff][random(4)]));
            }
            if round % 2 == 1 {
                sweep.vector = Vector::none();
            }
            let mut expected = Vec::new();
            for (needle, bytes, folded) in &known {
                let same =
                    |at: &[u8]| if *folded { at.eq_ignore_ascii_case(bytes) } else { at == bytes };
                let starts = block.windows(bytes.len()).enumerate().filter(|(_, at)| same(at));
                expected.extend(starts.map(|(start, _)| (start, start + bytes.len(), *needle)));
            }
            let seen = seen(&sweep, &block).into_iter();
            let mut seen: Vec<_> = seen.map(|s| (s.at.start, s.at.end, s.needle)).collect();
            seen.sort_unstable();
            expected.sort_unstable();
            assert_eq!(seen, expected);
        }
    }

    fn seen(sweep: &Sweep, block: &[u8]) -> Vec<Sighting> {
        let mut all = Vec::new();
        sweep.each(block, &mut |sighting| all.push(sighting));
        all.sort_by_key(|sighting| sighting.at.start);
        all
    }
}
