//! What a rule needs to see before it can match: the language between those
//! who look (rules, pivots) and the screen that skips what cannot match.

/// A monotone formula over literals.
///
/// If a record matches the rule, then the formula is true of any block of bytes
/// that holds the whole record. `True` means that nothing can be skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
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
