//! The journal block by block: where its records start, and what is none.

use std::io;

use super::layout::{ALIGNMENT, Found};
use crate::model::{Damage, Locator, ReadAt};

/// Bytes read at once.
const BLOCK_BYTES: usize = 1 << 20;
/// After a failed read so much is read at once and, if need be, left out.
const PAGE_BYTES: usize = 4096;
/// So many failed pages in a row end the reading.
const MAX_FAILED_PAGES: u32 = 4096;
/// Damaged places told one by one.
const MAX_DAMAGE: usize = 100;
/// Foreign bytes no further apart than this are one damaged place.
const SAME_PLACE_BYTES: u64 = 512;

/// Blocks of a journal in the order of the file.
pub(super) struct Blocks<'a> {
    source: &'a dyn ReadAt,
    buffer: Vec<u8>,
    /// Offset in the file of the first byte of `buffer`.
    start: u64,
    /// Bytes of `buffer` that are dealt with.
    done: usize,
    /// Places in `buffer` at which records start.
    entries: Vec<usize>,
    at_once: usize,
    failed: u32,
    ended: bool,
    pub lost: Lost,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(source: &'a dyn ReadAt) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            start: 0,
            done: 0,
            entries: Vec::new(),
            at_once: BLOCK_BYTES,
            failed: 0,
            ended: false,
            lost: Lost::default(),
        }
    }

    /// The next block that holds records, and where in it they start, in order;
    /// `None` after the last.
    ///
    /// # Errors
    ///
    /// The read error, when a long run of pages cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<(&[u8], &[usize])>> {
        loop {
            if self.ended {
                self.lost.close();
                return Ok(None);
            }
            self.fill()?;
            self.scan();
            if !self.entries.is_empty() {
                return Ok(Some((&self.buffer, &self.entries)));
            }
        }
    }

    /// Keeps the rest of the last block and reads on behind it.
    fn fill(&mut self) -> io::Result<()> {
        let done = self.done.min(self.buffer.len());
        self.buffer.drain(..done);
        self.start = self.start.saturating_add(done as u64);
        self.done = 0;
        if self.buffer.is_empty() {
            let from = self.source.data_from(self.start);
            self.start = from.max(self.start) & !(ALIGNMENT as u64 - 1);
        }
        let kept = self.buffer.len();
        let at = self.start.saturating_add(kept as u64);
        let left = usize::try_from(self.source.size().saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = left.min(self.at_once);
        self.buffer.resize(kept.saturating_add(wanted), 0);
        let read = read_full(self.source, at, self.buffer.get_mut(kept..).unwrap_or_default());
        self.buffer.truncate(kept.saturating_add(read.as_ref().map_or(0, |n| *n)));
        match read {
            Ok(n) => {
                self.ended = n < wanted || n == left;
                self.failed = 0;
                self.at_once = self.at_once.saturating_mul(2).min(BLOCK_BYTES);
                Ok(())
            }
            Err(_) if self.at_once > PAGE_BYTES => {
                self.at_once = PAGE_BYTES;
                Ok(())
            }
            Err(error) => self.leave_out(at, wanted, error),
        }
    }

    /// Goes on behind a page that cannot be read.
    fn leave_out(&mut self, at: u64, bytes: usize, error: io::Error) -> io::Result<()> {
        self.failed = self.failed.saturating_add(1);
        if self.failed > MAX_FAILED_PAGES {
            return Err(error);
        }
        let cut = self.buffer.len() as u64;
        if cut > 0 {
            self.lost.foreign(self.start, cut);
        }
        self.lost.close();
        self.lost.tell(at, &format!("{bytes} bytes cannot be read: {error}"));
        self.buffer.clear();
        self.start = at.saturating_add(bytes as u64);
        self.ended = self.start >= self.source.size();
        Ok(())
    }

    /// Finds the records of the buffer; one that goes beyond it is left for later.
    fn scan(&mut self) {
        self.entries.clear();
        let mut at = 0usize;
        while let Some(rest) = self.buffer.get(at..).filter(|rest| !rest.is_empty()) {
            let zeros = leading_zeros(rest);
            if zeros > 0 {
                at = at.saturating_add(zeros);
                continue;
            }
            match Found::at(rest) {
                Found::Entry(_, length) => {
                    self.entries.push(at);
                    self.lost.close();
                    at = at.saturating_add(length);
                }
                Found::Cut if !self.ended => break,
                _ if rest.len() < ALIGNMENT && !self.ended => break,
                _ => {
                    let step = rest.len().min(ALIGNMENT);
                    self.lost.foreign(self.start.saturating_add(at as u64), step as u64);
                    at = at.saturating_add(step);
                }
            }
        }
        self.done = at;
    }
}

/// Bytes of zero words at the start, whole pages at the speed of memory.
fn leading_zeros(bytes: &[u8]) -> usize {
    let is_zero = |piece: &&[u8]| piece.iter().fold(0, |all, byte| all | byte) == 0;
    if !bytes.get(..ALIGNMENT).as_ref().is_some_and(is_zero) {
        return if bytes.len() < ALIGNMENT && is_zero(&bytes) { bytes.len() } else { 0 };
    }
    let pages = bytes.chunks(PAGE_BYTES).take_while(is_zero).map(<[u8]>::len).sum();
    let rest = bytes.get(pages..).unwrap_or_default();
    rest.chunks(ALIGNMENT).take_while(is_zero).map(<[u8]>::len).fold(pages, usize::saturating_add)
}

fn read_full(source: &dyn ReadAt, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let n = source.read_at(offset.saturating_add(filled as u64), rest)?;
        if n == 0 {
            break;
        }
        filled = filled.saturating_add(n);
    }
    Ok(filled)
}

/// Bytes of the journal that are no record.
#[derive(Default)]
pub(super) struct Lost {
    /// First byte and first byte behind it of the place that is being met.
    run: Option<(u64, u64)>,
    /// Foreign bytes in the run: zeros between them are not counted.
    bytes: u64,
    /// Places told, in the order of the file.
    pub damage: Vec<Damage>,
    /// Places beyond [`MAX_DAMAGE`].
    pub untold: u64,
}

impl Lost {
    fn foreign(&mut self, at: u64, bytes: u64) {
        let end = at.saturating_add(bytes);
        match &mut self.run {
            Some((_, last)) if at.saturating_sub(*last) <= SAME_PLACE_BYTES => *last = end,
            _ => {
                self.close();
                self.run = Some((at, end));
            }
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Ends the place that is being met.
    fn close(&mut self) {
        if let Some((at, _)) = self.run.take() {
            let what = format!("{} bytes are no record", self.bytes);
            self.bytes = 0;
            self.tell(at, &what);
        }
    }

    fn tell(&mut self, at: u64, what: &str) {
        if self.damage.len() >= MAX_DAMAGE {
            self.untold = self.untold.saturating_add(1);
            return;
        }
        let message = format!("change journal: {what}");
        self.damage.push(Damage { locator: Some(Locator::Offset(at)), message, lost: true });
    }
}
