//! A snapshot's bytes, put together from the volume and the stores.
//!
//! A store keeps what the volume had at its time and was overwritten before the next
//! one began. To read an old snapshot, each block is looked for in its own store,
//! then in every later one, and is at last the volume's own.

use std::io;
use std::sync::Arc;

use super::layout::{BLOCK_BYTES, read_full};
use super::store::{Base, Store};
use crate::model::ReadAt;

/// The volume as it was when a snapshot was made.
pub(super) struct SnapshotBytes {
    pub volume: Arc<dyn ReadAt>,
    /// From this snapshot's own store to the latest.
    pub stores: Vec<Arc<Store>>,
    pub size: u64,
}

/// Where some bytes of a snapshot are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Volume(u64),
    /// In no use then: what is there now came later.
    Unused,
}

impl SnapshotBytes {
    /// Where the byte at `offset` is, and how many from there on lie in a row.
    fn locate(&self, offset: u64) -> (Place, u64) {
        let mut at = offset;
        let mut length = u64::MAX;
        for (number, store) in self.stores.iter().enumerate() {
            let (block, within) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
            length = length.min(BLOCK_BYTES.saturating_sub(within));
            // Overlays hold for the snapshot itself, not for those before it.
            if let Some(overlay) = store.overlay(block).filter(|_| number == 0) {
                let (covered, alike) = overlay.covers(within);
                length = length.min(alike.max(1));
                if covered {
                    return (Place::Volume(overlay.copy.saturating_add(within)), length);
                }
            }
            match store.base(block) {
                Some(Base::Copied(copy)) => {
                    return (Place::Volume(copy.saturating_add(within)), length);
                }
                Some(Base::Forwarded(to)) => at = to.saturating_add(within),
                None if self.stores.len() == 1 && store.is_unused(block) => {
                    return (Place::Unused, length);
                }
                None => {}
            }
        }
        (Place::Volume(at), length.min(BLOCK_BYTES))
    }

    /// Like [`Self::locate`], with what follows in a row joined, up to `most` bytes.
    fn run(&self, offset: u64, most: u64) -> (Place, u64) {
        let (place, mut length) = self.locate(offset);
        while length < most {
            let (next, further) = self.locate(offset.saturating_add(length));
            let follows = match place {
                Place::Volume(at) => next == Place::Volume(at.saturating_add(length)),
                Place::Unused => next == Place::Unused,
            };
            if !follows {
                break;
            }
            length = length.saturating_add(further);
        }
        (place, length.min(most))
    }
}

impl ReadAt for SnapshotBytes {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(offset);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let mut filled = 0usize;
        while let Some(rest) = buf.get_mut(filled..wanted).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            let (place, length) = self.run(at, rest.len() as u64);
            let length = usize::try_from(length).unwrap_or(rest.len()).clamp(1, rest.len());
            let piece = rest.get_mut(..length).unwrap_or_default();
            match place {
                Place::Unused => piece.fill(0),
                Place::Volume(from) => {
                    if read_full(&*self.volume, from, piece)? < length {
                        let what =
                            format!("snapshot: {at:#x} lies at {from:#x}, behind the volume");
                        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
                    }
                }
            }
            filled = filled.saturating_add(length);
        }
        Ok(filled)
    }
}
