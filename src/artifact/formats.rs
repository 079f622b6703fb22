//! Which formats a file may be of, by its first bytes alone.

use crate::parse::{self, Parser};

use super::{Artifact, Artifacts};

/// Content is told from this many bytes at the start of a file: logs and hives
/// whose header is destroyed still show their first block at 4096.
pub const MAX_SNIFFED_BYTES: usize = 4608;

/// Smaller files are not looked into: no format fits.
pub const MIN_SNIFFED_BYTES: u64 = 16;

/// The artifacts that are found under any name, with what tells their files.
pub struct Formats<'a> {
    /// By falling priority, then id.
    anywhere: Vec<(&'a Artifact, &'a dyn Parser)>,
}

impl<'a> Formats<'a> {
    /// Those of the definitions that have a parser.
    pub fn new(artifacts: &'a Artifacts, parsers: &[&'a dyn Parser]) -> Self {
        let known = |artifact: &'a Artifact| {
            let parser = parsers.iter().find(|parser| parser.name() == artifact.parser)?;
            Some((artifact, *parser))
        };
        let anywhere = artifacts.iter().filter(|artifact| artifact.anywhere);
        let mut anywhere: Vec<_> = anywhere.filter_map(known).collect();
        anywhere.sort_by_key(|(artifact, _)| std::cmp::Reverse(artifact.priority));
        Self { anywhere }
    }

    /// Whether no file is found by its content.
    pub fn is_empty(&self) -> bool {
        self.anywhere.is_empty()
    }

    /// Whether a content that starts so may be of any of them.
    pub fn knows(&self, start: &[u8]) -> bool {
        self.of(start).next().is_some()
    }

    /// Those that a content that starts so may be of, in order.
    pub fn of(&self, start: &[u8]) -> impl Iterator<Item = &'a Artifact> {
        let enough = start.len() as u64 >= MIN_SNIFFED_BYTES;
        let start = start.get(..MAX_SNIFFED_BYTES).unwrap_or(start);
        let is_binary = parse::is_binary(start);
        let found = self.anywhere.iter().filter(move |(artifact, parser)| {
            !(is_binary && parser.is_text()) && parser.recognizes(start)
                || (!artifact.magic.is_empty() && start.starts_with(&artifact.magic))
        });
        found.take_while(move |_| enough).map(|(artifact, _)| *artifact)
    }
}
