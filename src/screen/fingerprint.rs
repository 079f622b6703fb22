//! Which letters of a needle are its fingerprint, and in which bucket it is dealt: what
//! ordinary logs are least likely to hold.

use super::ordinary::{Places, WORDS, places};
use super::sweep::{BUCKETS, LETTERS};

/// Bytes by their lower five bits: so case is one.
pub(super) const CLASSES: usize = 32;
/// Letters of a needle out of which its fingerprint is chosen.
const WINDOWS: usize = 24;
/// Fingerprints of a needle, its rarest, that are tried in every bucket.
const TRIED: usize = 4;
/// Shares of a log's bytes, roughly: where letters of texts stand, and where others do.
const TEXT: f64 = 0.3;
const OTHER: f64 = 0.3;

/// The class of a byte.
pub(super) fn class(byte: u8) -> usize {
    usize::from(byte) % CLASSES
}

/// Which letters of a form are its fingerprint, and in which bucket.
pub(super) struct Choice {
    pub bucket: usize,
    /// Number of the fingerprint's last letter.
    pub last: usize,
    pub own: Fingerprint,
}

impl Choice {
    /// The choice that makes candidates the least more frequent.
    pub(super) fn cheapest(letters: &[u8], buckets: &[Bucket; BUCKETS]) -> Option<Self> {
        let ends = letters.len().min(LETTERS)..=letters.len().min(WINDOWS);
        let prints = ends.filter_map(|end| {
            let own = Fingerprint::of(letters.get(end.saturating_sub(LETTERS)..end)?);
            Some((Bucket::default().frequency_with(&own), end.checked_sub(1)?, own))
        });
        let mut prints: Vec<(f64, usize, Fingerprint)> = prints.collect();
        prints.sort_by(|(one, ..), (other, ..)| one.total_cmp(other));
        let before: Vec<f64> = buckets.iter().map(Bucket::frequency).collect();
        let mut best: Option<(f64, Self)> = None;
        for (_, last, own) in prints.into_iter().take(TRIED) {
            for ((bucket, joined), before) in buckets.iter().enumerate().zip(&before) {
                let cost = joined.frequency_with(&own) - before;
                if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                    best = Some((cost, Self { bucket, last, own }));
                }
            }
        }
        best.map(|(_, choice)| choice)
    }
}

/// The classes that suit each letter, a bit for each, and where in ordinary logs they stand.
#[derive(Clone, Copy)]
pub(super) struct Fingerprint([(u32, &'static Places); LETTERS]);

impl Fingerprint {
    /// Of few letters; too few may follow anything.
    fn of(letters: &[u8]) -> Self {
        let mut print = [(u32::MAX, &[u64::MAX; WORDS]); LETTERS];
        let ends = print.iter_mut().enumerate().rev().zip(letters.iter().rev());
        for ((number, suits), letter) in ends {
            *suits = (1 << class(*letter), places(number, class(*letter)));
        }
        Self(print)
    }
}

/// The fingerprints of one bucket: any of their first letters with any second one, and so on.
#[derive(Clone)]
pub(super) struct Bucket {
    suits: [u32; LETTERS],
    places: [Places; LETTERS],
}

impl Default for Bucket {
    fn default() -> Self {
        Self { suits: [0; LETTERS], places: [[0; WORDS]; LETTERS] }
    }
}

impl Bucket {
    /// The classes that suit each letter, a bit for each.
    pub(super) fn suits(&self) -> [u32; LETTERS] {
        self.suits
    }

    pub(super) fn join(&mut self, print: &Fingerprint) {
        let own = self.suits.iter_mut().zip(&mut self.places);
        for ((suits, places), (class, more)) in own.zip(print.0) {
            *suits |= class;
            places.iter_mut().zip(more).for_each(|(word, more)| *word |= more);
        }
    }

    /// How often it occurs in logs, roughly, as a share of all places.
    fn frequency(&self) -> f64 {
        self.frequency_with(&Fingerprint([(0, &[0; WORDS]); LETTERS]))
    }

    /// The same with one more fingerprint.
    fn frequency_with(&self, print: &Fingerprint) -> f64 {
        let mut hits = [u64::MAX; WORDS];
        let mut random = OTHER;
        for ((suits, places), (class, more)) in self.suits.iter().zip(&self.places).zip(print.0) {
            let words = hits.iter_mut().zip(places).zip(more);
            words.for_each(|((hits, own), more)| *hits &= own | more);
            let suits = suits | class;
            // Half of what is no text is zero.
            let zero = f64::from(suits & 1);
            random *= (f64::from(suits.count_ones()) / 32.0 + zero) / 2.0;
        }
        let hits: u32 = hits.iter().map(|word| word.count_ones()).sum();
        let all = u32::try_from(WORDS * 64).unwrap_or(u32::MAX);
        TEXT * f64::from(hits) / f64::from(all) + random
    }
}
