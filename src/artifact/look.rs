//! The look into a file: what its first bytes make of it, and whether anything in it
//! matters to those who would read it.

use std::io;
use std::sync::Arc;

use crate::model::{Damage, ReadAt};
use crate::source::{Entry, Filesystem};

use super::{Artifact, Formats, MAX_SNIFFED_BYTES};

/// What is asked about files while they are located.
pub struct Questions<'a> {
    /// Which of these paths somebody looks for by their names.
    pub names: &'a dyn Fn(&[&str]) -> Vec<bool>,
    /// Asked where a file's first bytes were just read, so that no part of a disk is
    /// read twice.
    pub settles: &'a Settles<'a>,
}

/// Reads a file with the parser of that name: what it came to if nothing of it matters;
/// `None` is always true.
pub type Settles<'a> = dyn Fn(&Entry, &str, &dyn ReadAt) -> Option<Settled> + Sync + 'a;

/// What reading a file came to in which nothing matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    pub damages: Vec<Damage>,
    /// Of a program that was hashed, in lowercase hexadecimal.
    pub sha256: Option<String>,
}

/// A file that artifacts claim, or may claim.
pub(super) struct Candidate<'a> {
    pub(super) entry: Entry,
    pub(super) by_place: Vec<&'a Artifact>,
    /// Where its first bytes lie, if they are to be looked into.
    pub(super) place: Option<u64>,
    pub(super) look: Look,
    pub(super) by_content: Vec<&'a Artifact>,
    /// Parsers to which nothing in it matters, and what it came to for them.
    pub(super) settled: Vec<(&'a str, Settled)>,
    /// All of its content, if it is short and claimed.
    pub(super) held: Option<Arc<[u8]>>,
    pub(super) problem: Option<String>,
}

/// What is looked into of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Its first bytes tell what it is, and parts of it then whether that matters.
    Start,
    /// What it is is known.
    Whole,
}

impl<'a> Candidate<'a> {
    pub(super) fn new(
        entry: Entry,
        by_place: Vec<&'a Artifact>,
        place: Option<u64>,
        look: Look,
    ) -> Self {
        let (by_content, settled) = (Vec::new(), Vec::new());
        Self { entry, by_place, place, look, by_content, settled, held: None, problem: None }
    }

    /// Reads what tells who claims the file, and whether anything in it matters to them.
    pub(super) fn look_into(&mut self, sight: &Sight<'a, '_>, start: &mut Vec<u8>) {
        // What cannot be opened is told where it is read, if its place claims it.
        self.problem = self.read(sight, start).err().filter(|_| self.look == Look::Start);
    }

    fn read(&mut self, sight: &Sight<'a, '_>, start: &mut Vec<u8>) -> Result<(), String> {
        let file = sight.filesystem.open(&self.entry).map_err(|error| error.to_string())?;
        start.clear();
        if self.look == Look::Start {
            read_start(&*file, self.entry.size, start)?;
            self.by_content.extend(sight.formats.of(start));
        }
        self.settle(sight, &Begun { start, file: &*file });
        let mut all = self.by_content.iter().chain(&self.by_place);
        let is_wanted = all.any(|artifact| !self.is_settled(&artifact.parser));
        if is_wanted && !self.by_content.is_empty() && self.entry.size == start.len() as u64 {
            self.held = Some(Arc::from(start.as_slice()));
        }
        Ok(())
    }

    /// Lets those who claim the file read it.
    pub(super) fn settle(&mut self, sight: &Sight<'a, '_>, bytes: &dyn ReadAt) {
        for artifact in self.by_place.iter().chain(&self.by_content) {
            let parser = artifact.parser.as_str();
            let alone = artifact.sidecars.is_empty();
            let fits = artifact.max_size.is_none_or(|limit| self.entry.size <= limit);
            if alone && fits && !self.is_settled(parser) {
                let settled = (sight.settles)(&self.entry, parser, bytes);
                self.settled.extend(settled.map(|settled| (parser, settled)));
            }
        }
    }

    fn is_settled(&self, parser: &str) -> bool {
        self.settled.iter().any(|(known, _)| *known == parser)
    }
}

/// What looks into files ask for.
pub(super) struct Sight<'a, 's> {
    pub(super) formats: &'s Formats<'a>,
    pub(super) filesystem: &'s dyn Filesystem,
    pub(super) settles: &'s Settles<'s>,
}

/// A file whose first bytes were read.
struct Begun<'s> {
    start: &'s [u8],
    file: &'s dyn ReadAt,
}

impl ReadAt for Begun<'_> {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let known = self.start.get(at..).unwrap_or_default();
        let known = known.get(..buf.len()).unwrap_or(known);
        let (begin, rest) = buf.split_at_mut(known.len());
        begin.copy_from_slice(known);
        if rest.is_empty() || known.len() as u64 >= self.size().saturating_sub(offset) {
            return Ok(known.len());
        }
        let n = self.file.read_at(offset.saturating_add(known.len() as u64), rest)?;
        Ok(known.len().saturating_add(n))
    }

    fn data_from(&self, offset: u64) -> u64 {
        self.file.data_from(offset)
    }
}

/// Reads the first bytes of a file of that size.
///
/// # Errors
///
/// Why there are none.
fn read_start(file: &dyn ReadAt, size: u64, start: &mut Vec<u8>) -> Result<(), String> {
    let size = usize::try_from(size).unwrap_or(MAX_SNIFFED_BYTES);
    start.resize(size.min(MAX_SNIFFED_BYTES), 0);
    let n = file.read_at(0, start).map_err(|error| format!("cannot be read: {error}"))?;
    start.truncate(n);
    Ok(())
}
