//! Many files looked into on one way over the disk: first bytes, and lists of names
//! that lie in many pieces, each piece read where the way passes it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::model::ReadAt;

use super::look::{Candidate, Look, Sight};

/// Bytes of lists that are held until they are whole; further ones are read at once.
const MAX_GATHERED_BYTES: u64 = 64 << 20;

/// A file whose pieces are gathered.
struct Gathering<'c, 'a> {
    candidate: Mutex<&'c mut Candidate<'a>>,
    file: Box<dyn ReadAt>,
    content: Mutex<Vec<u8>>,
    /// Pieces that are not read yet.
    left: AtomicUsize,
    is_broken: AtomicBool,
}

enum Step<'c, 'a> {
    Look(&'c mut Candidate<'a>),
    /// Of the file of that number: first byte and length.
    Piece(usize, u64, u64),
}

/// Looks into the files in the order in which they and their pieces lie.
pub(super) fn look_into<'c, 'a: 'c>(
    sight: &Sight<'a, '_>,
    candidates: impl Iterator<Item = &'c mut Candidate<'a>>,
) {
    let (mut steps, mut gatherings, mut bytes) = (Vec::new(), Vec::new(), 0u64);
    for candidate in candidates {
        let place = candidate.place.unwrap_or_default();
        let pieces = match candidate.look {
            Look::Start => Vec::new(),
            Look::Whole => sight.filesystem.pieces(&candidate.entry),
        };
        let size = pieces.iter().fold(0u64, |sum, piece| sum.saturating_add(piece.len));
        let room = bytes.saturating_add(size) <= MAX_GATHERED_BYTES;
        let file = (pieces.len() > 1 && room)
            .then(|| sight.filesystem.open(&candidate.entry).ok())
            .flatten()
            .filter(|file| file.size() <= size);
        let Some(file) = file else {
            steps.push((place, Step::Look(candidate)));
            continue;
        };
        bytes = bytes.saturating_add(size);
        for piece in &pieces {
            steps.push((piece.place, Step::Piece(gatherings.len(), piece.offset, piece.len)));
        }
        gatherings.push(Gathering {
            candidate: Mutex::new(candidate),
            content: Mutex::default(),
            left: AtomicUsize::new(pieces.len()),
            is_broken: AtomicBool::new(false),
            file,
        });
    }
    steps.sort_by_key(|(place, _)| *place);
    steps.into_par_iter().for_each_init(Vec::new, |start, (_, step)| match step {
        Step::Look(candidate) => candidate.look_into(sight, start),
        Step::Piece(file, offset, len) => {
            if let Some(gathering) = gatherings.get(file) {
                gathering.piece(sight, (offset, len), start);
            }
        }
    });
}

impl<'a> Gathering<'_, 'a> {
    /// Reads a piece; with the last one, whoever claims the file gets it.
    fn piece(&self, sight: &Sight<'a, '_>, (offset, len): (u64, u64), buffer: &mut Vec<u8>) {
        let left = self.file.size().saturating_sub(offset);
        buffer.resize(usize::try_from(left.min(len)).unwrap_or_default(), 0);
        let whole = self.file.read_at(offset, buffer).is_ok_and(|n| n == buffer.len());
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if content.is_empty() {
            content.resize(usize::try_from(self.file.size()).unwrap_or_default(), 0);
        }
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let place = at..at.saturating_add(buffer.len());
        match content.get_mut(place).filter(|_| whole) {
            Some(place) => place.copy_from_slice(buffer),
            None => self.is_broken.store(true, Ordering::Relaxed),
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let content = std::mem::take(&mut *content);
            // What cannot be read is told where all of it is read.
            if !self.is_broken.load(Ordering::Relaxed) {
                let mut candidate = self.candidate.lock().unwrap_or_else(PoisonError::into_inner);
                candidate.settle(sight, &content);
            }
        }
    }
}
