//! Searches for many literals at once.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::formula::{Literal, utf8_forms, utf16};
use super::sweep::Sighting;

/// Bytes of patterns up to which an automaton is built as a table.
const TABLE_BYTES: usize = 24 << 10;

/// A search for literals in some form.
pub(super) struct Automaton {
    search: AhoCorasick,
    literal_of: Vec<usize>,
}

impl Automaton {
    /// For literals as rendered text holds them; `None` if there are none.
    pub(super) fn of_text(literals: &[Literal]) -> Option<Self> {
        Self::for_much(literals, |literal| utf8_forms(literal.text()))
    }

    /// Quick at searching.
    fn for_much(literals: &[Literal], forms: impl Fn(&Literal) -> Vec<Vec<u8>>) -> Option<Self> {
        // A table is faster while it is small enough to be built at once.
        let bytes: usize = literals.iter().flat_map(&forms).map(|form| form.len()).sum();
        match bytes < TABLE_BYTES {
            true => Self::of(literals, forms, AhoCorasickKind::DFA),
            false => Self::of(literals, forms, AhoCorasickKind::ContiguousNFA),
        }
    }

    fn of(
        literals: &[Literal],
        forms: impl Fn(&Literal) -> Vec<Vec<u8>>,
        kind: AhoCorasickKind,
    ) -> Option<Self> {
        let (mut patterns, mut literal_of) = (Vec::new(), Vec::new());
        for (literal, forms) in literals.iter().map(forms).enumerate() {
            literal_of.extend(forms.iter().map(|_| literal));
            patterns.extend(forms);
        }
        if patterns.is_empty() {
            return None;
        }
        let builder =
            AhoCorasick::builder().match_kind(MatchKind::Standard).kind(Some(kind)).build(patterns);
        Some(Self { search: builder.ok()?, literal_of })
    }

    /// Tells of every place of a literal, those that overlap too.
    pub(super) fn each(&self, haystack: &[u8], seen: &mut dyn FnMut(usize, Range<usize>)) {
        for found in self.search.find_overlapping_iter(haystack) {
            if let Some(literal) = self.literal_of.get(found.pattern().as_usize()) {
                seen(*literal, found.start()..found.end());
            }
        }
    }
}

/// A search for all literals in blocks: texts in both encodings, bytes as they are.
pub(super) struct Literals {
    texts: Option<Automaton>,
    bytes: Option<Automaton>,
}

impl Literals {
    pub(super) fn of(literals: &[Literal]) -> Self {
        let texts = Automaton::for_much(literals, |literal| match literal {
            Literal::Text(text) => vec![text.clone().into_bytes(), utf16(text)],
            Literal::Bytes { .. } => Vec::new(),
        });
        let bytes = Automaton::for_much(literals, |literal| match literal {
            Literal::Bytes { bytes, .. } => vec![bytes.clone()],
            Literal::Text(_) => Vec::new(),
        });
        Self { texts, bytes }
    }

    /// Tells of every place of a literal, by its number, in no order.
    pub(super) fn each(&self, block: &[u8], seen: &mut dyn FnMut(Sighting)) {
        let mut see = |needle, at| seen(Sighting { needle, at });
        if let Some(texts) = &self.texts {
            texts.each(&block.to_ascii_lowercase(), &mut see);
        }
        if let Some(bytes) = &self.bytes {
            bytes.each(block, &mut see);
        }
    }
}

/// For each literal the needles that stand wherever it does, in order.
pub(super) fn inside(needles: &[Literal], literals: &[Literal]) -> Vec<Vec<usize>> {
    let form = |needle: &Literal| match needle {
        Literal::Text(text) => vec![text.clone().into_bytes()],
        Literal::Bytes { .. } => Vec::new(),
    };
    // Little is searched: what is quick to build is quicker.
    let texts = Automaton::of(needles, form, AhoCorasickKind::NoncontiguousNFA);
    let of = |literal: &Literal| {
        let mut inside = Vec::new();
        match (literal, &texts) {
            (Literal::Text(text), Some(texts)) => {
                texts.each(text.as_bytes(), &mut |needle, _| inside.push(needle));
            }
            _ => inside.extend(needles.iter().position(|needle| needle == literal)),
        }
        inside.sort_unstable();
        inside.dedup();
        inside
    };
    literals.iter().map(of).collect()
}
