//! Which formats a file may be of, by its first bytes alone.

use crate::parse::{self, Parser, WordSet};

use super::{Artifact, Artifacts};

/// Content is told from this many bytes at the start of a file: logs and hives
/// whose header is destroyed still show their first block at 4096.
pub const MAX_SNIFFED_BYTES: usize = 4608;

/// Smaller files are not looked into: no format fits.
pub const MIN_SNIFFED_BYTES: u64 = 16;

/// The artifacts that are found under any name, with what tells their files.
pub struct Formats<'a> {
    formats: Vec<Format<'a>>,
    /// All words that texts of some format are known by.
    words: WordSet,
}

/// What a parser tells by content: an artifact of each system may be read by it.
struct Format<'a> {
    parser: &'a dyn Parser,
    /// With their ranks: by falling priority, then id.
    artifacts: Vec<(usize, &'a Artifact)>,
}

impl<'a> Formats<'a> {
    /// Those of the definitions that have a parser.
    pub fn new(artifacts: &'a Artifacts, parsers: &[&'a dyn Parser]) -> Self {
        let mut anywhere: Vec<_> = artifacts.iter().filter(|artifact| artifact.anywhere).collect();
        anywhere.sort_by_key(|artifact| std::cmp::Reverse(artifact.priority));
        let format = |parser: &&'a dyn Parser| {
            let ranked = anywhere.iter().copied().enumerate();
            let artifacts: Vec<_> = ranked.filter(|(_, a)| a.parser == parser.name()).collect();
            (!artifacts.is_empty()).then_some(Format { parser: *parser, artifacts })
        };
        let formats: Vec<_> = parsers.iter().filter_map(format).collect();
        let words = formats.iter().flat_map(|format| format.parser.words().iter().copied());
        Self { words: WordSet::new(words), formats }
    }

    /// Whether no file is found by its content.
    pub fn is_empty(&self) -> bool {
        self.formats.is_empty()
    }

    /// Whether a content that starts so may be of any of them.
    pub fn knows(&self, start: &[u8]) -> bool {
        self.meant(start).next().is_some()
    }

    /// Those that a content that starts so may be of, in order.
    pub fn of(&self, start: &[u8]) -> Vec<&'a Artifact> {
        let mut found: Vec<_> = self.meant(start).collect();
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().map(|(_, artifact)| artifact).collect()
    }

    fn meant(&self, start: &[u8]) -> impl Iterator<Item = (usize, &'a Artifact)> {
        let enough = start.len() as u64 >= MIN_SNIFFED_BYTES;
        let start = start.get(..MAX_SNIFFED_BYTES).unwrap_or(start);
        let is_binary = enough && parse::is_binary(start);
        let formats = self.formats.iter().take_while(move |_| enough);
        let mut word = None;
        formats.flat_map(move |Format { parser, artifacts }| {
            let mut has_word = || *word.get_or_insert_with(|| self.words.are_mentioned(start));
            let may_be_text = !is_binary && (parser.words().is_empty() || has_word());
            let told = (may_be_text || !parser.is_text()) && parser.recognizes(start);
            let means = move |artifact: &Artifact| {
                told || (!artifact.magic.is_empty() && start.starts_with(&artifact.magic))
            };
            artifacts.iter().copied().filter(move |(_, artifact)| means(artifact))
        })
    }
}
