//! What a rule needs to see before it can match: the language between those
//! who look (rules, pivots) and the screen that skips what cannot match.

use std::ops::Range;

/// A monotone formula over literals.
///
/// If a record matches the rule, then the formula is true of any block of bytes
/// that holds the whole record. `True` means that nothing can be skipped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Requirement {
    True,
    /// The text occurs, ASCII case aside, as UTF-8 or UTF-16.
    Text(String),
    /// The bytes occur (in binary blocks), or the text (in rendered ones).
    Bytes {
        bytes: Vec<u8>,
        text: String,
    },
    All(Vec<Requirement>),
    /// Empty: can never match.
    Any(Vec<Requirement>),
}

/// Tells parsers which blocks and records can matter.
///
/// It may only reject what provably cannot match.
pub trait Filter: Send + Sync {
    /// Whether this block of a binary file (an event-log chunk with its
    /// templates, a hive bin, a block of text in UTF-8 or UTF-16LE) can hold a match.
    fn admits(&self, block: &[u8]) -> bool;

    /// Whether this record, rendered as UTF-8 text or JSON, can match.
    /// In JSON a backslash of a literal stands as `\\`.
    fn admits_text(&self, text: &[u8]) -> bool;

    /// Whether nothing is asked of this block, not even what is lost of it: so in a
    /// further pass, where it cannot hold a match.
    fn passes_over(&self, _block: &[u8]) -> bool {
        false
    }

    /// Which records of a block can hold a match, by number in order: like
    /// [`Filter::admits`], but record by record. `cut` is only asked when needed.
    fn picks(&self, block: &[u8], cut: &dyn Fn() -> Cut) -> Vec<usize> {
        if self.admits(block) { (0..cut().records.len()).collect() } else { Vec::new() }
    }
}

/// Where in a block the text of its records stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// What any of the records may draw text from.
    pub shared: Vec<Range<usize>>,
    /// What each record holds itself; `None`: its text may stand anywhere in the block.
    pub records: Vec<Option<Range<usize>>>,
}

/// The filter that rejects nothing (`--no-screen`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Everything;

impl Filter for Everything {
    fn admits(&self, _: &[u8]) -> bool {
        true
    }

    fn admits_text(&self, _: &[u8]) -> bool {
        true
    }
}
