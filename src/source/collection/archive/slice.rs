//! Parts of a source as files: one stretch of it, or several with holes between.

use std::io;
use std::sync::{Arc, Mutex};

use super::inflated::Complain;
use super::pool::lock;
use super::stream::WRONG_CHECKSUM;
use crate::model::ReadAt;

/// Bytes of a source from an offset on.
pub(in super::super) struct Slice {
    source: Arc<dyn ReadAt>,
    start: u64,
    size: u64,
    check: Option<Mutex<Check>>,
}

/// A checksum under way: as long as reading goes forward without a gap.
struct Check {
    next: u64,
    hasher: crc32fast::Hasher,
    crc: u32,
    complain: Option<Complain>,
}

impl Slice {
    pub(in super::super) fn new(source: Arc<dyn ReadAt>, start: u64, size: u64) -> Self {
        Self { source, start, size, check: None }
    }

    /// Complains when the whole was read in order and has another checksum.
    pub(in super::super) fn checked(self, crc: u32, complain: Complain) -> Self {
        let hasher = crc32fast::Hasher::new();
        let check = Check { next: 0, hasher, crc, complain: Some(complain) };
        Self { check: Some(Mutex::new(check)), ..self }
    }

    fn verify(&self, offset: u64, bytes: &[u8]) {
        let Some(check) = &self.check else { return };
        let mut check = lock(check);
        let end = offset.saturating_add(bytes.len() as u64);
        if offset > check.next || end <= check.next {
            return;
        }
        let known = usize::try_from(check.next.saturating_sub(offset)).unwrap_or(usize::MAX);
        check.hasher.update(bytes.get(known..).unwrap_or_default());
        check.next = end;
        let wrong = end == self.size && check.hasher.clone().finalize() != check.crc;
        if let Some(complain) = check.complain.take_if(|_| wrong) {
            complain(WRONG_CHECKSUM.to_owned());
        }
    }
}

impl ReadAt for Slice {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = buf.len().min(left);
        let window = buf.get_mut(..length).unwrap_or_default();
        if window.is_empty() {
            return Ok(0);
        }
        let n = self.source.read_at(self.start.saturating_add(offset), window)?;
        if n == 0 {
            let message = format!("the archive ends at byte {offset} of {}", self.size);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.verify(offset, window.get(..n).unwrap_or_default());
        Ok(n)
    }
}

/// A stretch of a file that is stored; what lies between stretches is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Stretch {
    /// Offset in the file as it was.
    pub(in super::super) at: u64,
    /// Offset in what is stored.
    pub(in super::super) stored: u64,
    pub(in super::super) length: u64,
}

/// A file with holes.
pub(in super::super) struct Sparse {
    source: Box<dyn ReadAt>,
    /// By offset, not overlapping.
    stretches: Vec<Stretch>,
    size: u64,
}

impl Sparse {
    /// `None` when the stretches overlap or leave the file.
    pub(in super::super) fn new(
        source: Box<dyn ReadAt>,
        mut stretches: Vec<Stretch>,
        size: u64,
    ) -> Option<Self> {
        stretches.retain(|stretch| stretch.length > 0);
        stretches.sort_by_key(|stretch| stretch.at);
        let mut end = 0;
        for stretch in &stretches {
            if stretch.at < end {
                return None;
            }
            end = stretch.at.checked_add(stretch.length).filter(|end| *end <= size)?;
            stretch.stored.checked_add(stretch.length).filter(|e| *e <= source.size())?;
        }
        Some(Self { source, stretches, size })
    }
}

impl ReadAt for Sparse {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0_usize;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            if at >= self.size {
                break;
            }
            let next = self.stretches.partition_point(|s| s.at.saturating_add(s.length) <= at);
            let stretch = self.stretches.get(next);
            let (until, stored) = match stretch {
                Some(s) if s.at <= at => {
                    let within = at.saturating_sub(s.at);
                    (s.at.saturating_add(s.length), Some(s.stored.saturating_add(within)))
                }
                Some(s) => (s.at, None),
                None => (self.size, None),
            };
            let left = usize::try_from(until.saturating_sub(at)).unwrap_or(usize::MAX);
            let length = rest.len().min(left);
            let window = rest.get_mut(..length).unwrap_or_default();
            let n = match stored {
                Some(stored) => self.source.read_at(stored, window)?,
                None => {
                    window.fill(0);
                    length
                }
            };
            if n == 0 {
                break;
            }
            filled = filled.saturating_add(n);
        }
        Ok(filled)
    }
}
