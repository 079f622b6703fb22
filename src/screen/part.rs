//! A part of a block, asked for literals: only what its needles leave possible is
//! searched for, and each only once.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use memchr::memmem;

use super::formula::{Literal, utf16};
use super::sweep::Sighting;
use super::triggers::Triggers;

/// Some bytes of a block, and the needles in them.
pub(super) struct Part<'a> {
    triggers: &'a Triggers,
    literals: &'a [Literal],
    bytes: Vec<&'a [u8]>,
    needles: BTreeSet<usize>,
    /// In lower case.
    folded: OnceCell<Vec<Vec<u8>>>,
    known: RefCell<BTreeMap<usize, bool>>,
}

impl<'a> Part<'a> {
    /// These ranges of the block; `sightings` are those of the block, by their start.
    pub(super) fn of(
        triggers: &'a Triggers,
        literals: &'a [Literal],
        block: &'a [u8],
        sightings: &[Sighting],
        ranges: &[Range<usize>],
    ) -> Self {
        let mut needles = BTreeSet::new();
        for range in ranges {
            let from = sightings.partition_point(|sighting| sighting.at.start < range.start);
            let started = sightings.iter().skip(from);
            let started = started.take_while(|sighting| sighting.at.start < range.end);
            let whole = started.filter(|sighting| sighting.at.end <= range.end);
            needles.extend(whole.map(|sighting| sighting.needle));
        }
        let bytes = ranges.iter().filter_map(|range| block.get(range.clone())).collect();
        let known = RefCell::default();
        Self { triggers, literals, bytes, needles, folded: OnceCell::new(), known }
    }

    /// Whether some needle stands in it.
    pub(super) fn is_suspect(&self) -> bool {
        !self.needles.is_empty()
    }

    /// The literals that its needles point at.
    pub(super) fn possible(&self) -> impl Iterator<Item = usize> {
        let of = |needle: &usize| self.triggers.literals_of.get(*needle);
        self.needles.iter().filter_map(of).flatten().copied()
    }

    /// Whether the literal may stand in it as far as needles tell.
    pub(super) fn may_hold(&self, literal: usize) -> bool {
        self.triggers.may_stand(literal, &self.needles)
    }

    /// Whether the literal stands in it.
    pub(super) fn holds(&self, literal: usize) -> bool {
        if !self.may_hold(literal) {
            return false;
        }
        let known = self.known.borrow().get(&literal).copied();
        known.unwrap_or_else(|| {
            let held = self.triggers.are(&self.needles, literal) || self.search(literal);
            self.known.borrow_mut().insert(literal, held);
            held
        })
    }

    fn search(&self, literal: usize) -> bool {
        let found = |bytes: &[u8], text: &[u8]| memmem::find(bytes, text).is_some();
        match self.literals.get(literal) {
            // What is not known may be there.
            None => true,
            Some(Literal::Bytes { bytes, .. }) => self.bytes.iter().any(|part| found(part, bytes)),
            Some(Literal::Text(text)) => {
                let wide = utf16(text);
                let folded = || self.bytes.iter().map(|part| part.to_ascii_lowercase()).collect();
                let mut folded = self.folded.get_or_init(folded).iter();
                folded.any(|part| found(part, text.as_bytes()) || found(part, &wide))
            }
        }
    }
}
