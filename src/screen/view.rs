//! A block in the forms in which text is searched for.

use std::cell::RefCell;
use std::ops::Range;

thread_local! {
    /// One block per thread.
    static VIEW: RefCell<View> = RefCell::new(View::default());
}

/// A block in lower case, and its bytes at even and at odd places side by side:
/// UTF-16 of ASCII text reads as plain text in one of these lanes.
#[derive(Default)]
pub(super) struct View {
    pub(super) lowered: Vec<u8>,
    even: Vec<u8>,
    odd: Vec<u8>,
}

impl View {
    pub(super) fn lower(&mut self, block: &[u8]) {
        self.lowered.clear();
        self.lowered.extend_from_slice(block);
        self.lowered.make_ascii_lowercase();
    }

    pub(super) fn split(&mut self) {
        let (pairs, rest) = self.lowered.as_chunks::<2>();
        self.even.resize(pairs.len(), 0);
        self.odd.resize(pairs.len(), 0);
        // Eight bytes at a time: the wanted bytes of a word are drawn together.
        let (words, tail) = pairs.as_chunks::<4>();
        let even = self.even.as_chunks_mut::<4>().0;
        let odd = self.odd.as_chunks_mut::<4>().0;
        for ((word, even), odd) in words.iter().zip(even).zip(odd) {
            let word = u64::from_le_bytes(*word.as_flattened().first_chunk().unwrap_or(&[0; 8]));
            *even = every_other(word);
            *odd = every_other(word >> 8);
        }
        let done = pairs.len().saturating_sub(tail.len());
        let lanes = self.even.iter_mut().zip(&mut self.odd).skip(done);
        for (pair, (even, odd)) in tail.iter().zip(lanes) {
            [*even, *odd] = *pair;
        }
        self.even.extend(rest);
    }

    /// The part of the block in each of its forms.
    pub(super) fn part(&self, part: &Range<usize>) -> [&[u8]; 3] {
        let up = |n: usize| n.div_ceil(2);
        [
            self.lowered.get(part.clone()),
            self.even.get(up(part.start)..up(part.end)),
            self.odd.get(part.start / 2..part.end / 2),
        ]
        .map(Option::unwrap_or_default)
    }
}

/// Bytes 0, 2, 4 and 6 of a word, counted from the lowest.
fn every_other(word: u64) -> [u8; 4] {
    let word = word & 0x00ff_00ff_00ff_00ff;
    let word = (word | word >> 8) & 0x0000_ffff_0000_ffff;
    let [a, b, _, _, c, d, _, _] = word.to_le_bytes();
    [a, b, c, d]
}

pub(super) fn with_view<T>(use_it: impl FnOnce(&mut View) -> T) -> T {
    VIEW.with(|view| match view.try_borrow_mut() {
        Ok(mut view) => use_it(&mut view),
        Err(_) => use_it(&mut View::default()),
    })
}
