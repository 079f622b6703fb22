//! The content of a file as runs of its volume.

use std::io;
use std::sync::Arc;

use crate::model::ReadAt;

use super::bytes::{ends_before, fill};

/// A file in more pieces than this is not read.
pub const MAX_RUNS: usize = 4_000_000;

/// Where a piece of a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At this byte of the volume.
    At(u64),
    /// Nowhere: it reads as zeros.
    Zeros,
    /// The volume does not say, or says what cannot be.
    Lost,
}

/// One piece of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// First byte of the file.
    start: u64,
    pub(super) len: u64,
    pub(super) place: Place,
}

/// The pieces of a file in their order, without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    runs: Vec<Run>,
}

/// A file has more than [`MAX_RUNS`] pieces.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Runs {
    /// How many bytes the pieces so far make.
    pub(super) fn len(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.start.saturating_add(run.len))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    /// Whether some of it is lost.
    pub(super) fn is_broken(&self) -> bool {
        self.runs.iter().any(|run| run.place == Place::Lost)
    }

    /// Adds a piece at the end, joined to the last one where they touch.
    ///
    /// # Errors
    ///
    /// [`TooMany`].
    pub(super) fn push(&mut self, place: Place, len: u64) -> Result<(), TooMany> {
        if len == 0 {
            return Ok(());
        }
        let start = self.len();
        if let Some(last) = self.runs.last_mut()
            && continues(last, place)
        {
            last.len = last.len.saturating_add(len);
            return Ok(());
        }
        if self.runs.len() >= MAX_RUNS {
            return Err(TooMany);
        }
        self.runs.push(Run { start, len, place });
        Ok(())
    }

    /// Ends it before the first piece that lies where an earlier one lies; whether
    /// there was one.
    pub(super) fn cut_repeats(&mut self) -> bool {
        let mut placed: Vec<(u64, u64, u64)> = Vec::new();
        for run in &self.runs {
            if let Place::At(at) = run.place {
                placed.push((at, at.saturating_add(run.len), run.start));
            }
        }
        placed.sort_unstable();
        let mut furthest = (0, 0);
        let mut cut = None;
        for (at, end, start) in placed {
            if at < furthest.0 {
                let repeat = start.max(furthest.1);
                cut = Some(cut.map_or(repeat, |cut: u64| cut.min(repeat)));
            }
            furthest = furthest.max((end, start));
        }
        cut.inspect(|cut| self.fit(*cut, Place::Lost)).is_some()
    }

    /// Makes it that many bytes long: cut, or continued with what `rest` says.
    pub(super) fn fit(&mut self, size: u64, rest: Place) {
        while self.runs.last().is_some_and(|run| run.start >= size) {
            self.runs.pop();
        }
        if let Some(last) = self.runs.last_mut() {
            last.len = last.len.min(size.saturating_sub(last.start));
        }
        let missing = size.saturating_sub(self.len());
        if missing > 0 {
            // One more than the limit does no harm.
            self.runs.push(Run { start: self.len(), len: missing, place: rest });
        }
    }

    /// What lies from `size` on reads as zeros (the part of a file never written).
    pub(super) fn zero_from(&mut self, size: u64) {
        let total = self.len();
        if size < total {
            self.fit(size, Place::Zeros);
            self.fit(total, Place::Zeros);
        }
    }
}

/// Whether a piece at `place` goes on where `last` ends.
fn continues(last: &Run, place: Place) -> bool {
    match (last.place, place) {
        (Place::At(a), Place::At(b)) => a.checked_add(last.len) == Some(b),
        (a, b) => a == b,
    }
}

/// A file's bytes.
pub(super) struct Content {
    volume: Arc<dyn ReadAt>,
    runs: Runs,
}

impl Content {
    pub(super) fn new(volume: Arc<dyn ReadAt>, runs: Runs) -> Self {
        Self { volume, runs }
    }
}

impl ReadAt for Content {
    fn size(&self) -> u64 {
        self.runs.len()
    }

    /// Fails where the piece is lost or beyond the volume's end, rather than
    /// showing something else.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let runs = &self.runs.runs;
        let first = runs.partition_point(|run| run.start.saturating_add(run.len) <= offset);
        let mut filled = 0usize;
        for run in runs.get(first..).unwrap_or_default() {
            let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) else { break };
            let skip = offset.saturating_add(filled as u64).saturating_sub(run.start);
            let here = usize::try_from(run.len.saturating_sub(skip)).unwrap_or(usize::MAX);
            let n = here.min(rest.len());
            let Some(part) = rest.get_mut(..n) else { break };
            match run.place {
                Place::Zeros => part.fill(0),
                Place::Lost => return Err(lost(run.start)),
                Place::At(at) => {
                    let at = at.saturating_add(skip);
                    if fill(&*self.volume, at, part)? < n {
                        return Err(ends_before(&*self.volume, at));
                    }
                }
            }
            filled = filled.saturating_add(n);
        }
        Ok(filled)
    }
}

fn lost(start: u64) -> io::Error {
    let message = format!("the volume does not say where the bytes from {start} on lie");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        let volume: Vec<u8> = (0..100).collect();
        let mut runs = Runs::default();
        for (place, len) in
            [(Place::At(10), 5), (Place::At(15), 5), (Place::Zeros, 4), (Place::At(90), 30)]
        {
            runs.push(place, len).unwrap();
        }
        Content::new(Arc::new(volume), runs)
    }

    #[test]
    fn pieces_are_joined_and_read_across() {
        let content = content();
        assert_eq!(content.runs.runs.len(), 3);
        let mut buf = [0xff; 12];
        assert_eq!(content.read_at(5, &mut buf).unwrap(), 12);
        assert_eq!(buf, [15, 16, 17, 18, 19, 0, 0, 0, 0, 90, 91, 92]);
    }

    #[test]
    fn what_is_not_there_is_an_error_and_the_end_is_the_end() {
        let content = content();
        let mut buf = [0; 12];
        assert!(content.read_at(20, &mut buf).is_err(), "beyond the volume");
        assert_eq!(content.read_at(content.size(), &mut buf).unwrap(), 0);
        let mut runs = content.runs.clone();
        runs.fit(12, Place::Lost);
        assert_eq!((runs.len(), runs.is_broken()), (12, false));
        runs.fit(20, Place::Lost);
        assert_eq!((runs.len(), runs.is_broken()), (20, true));
        assert!(Content::new(Arc::new(Vec::new()), runs).read_at(12, &mut buf).is_err());
    }
}
