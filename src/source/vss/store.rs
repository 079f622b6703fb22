//! One store: which blocks of the volume it keeps old copies of.

use std::collections::{BTreeMap, HashMap};

use super::chain::Chain;
use super::layout::{BLOCK_BYTES, DESCRIPTOR_BYTES, Descriptor, Kind, OVERLAY_UNIT, Places};
use crate::model::ReadAt;

/// Block descriptors taken from all stores of a volume together (256 GiB of old
/// data); what comes later is not known.
pub(super) const MAX_DESCRIPTORS: usize = 16 << 20;
/// Overlaid blocks of one store.
const MAX_OVERLAYS: usize = 4 << 20;

/// Where a block's old content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// Copied to this offset of the volume.
    Copied(u64),
    /// At this offset of the volume as the next store has it.
    Forwarded(u64),
}

/// Parts of a block that a later copy covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overlay {
    /// Offset of the copy in the volume.
    pub copy: u64,
    parts: u32,
}

impl Overlay {
    /// Whether the byte at that place of the block is covered, and how many bytes
    /// from there on are alike.
    pub(super) fn covers(&self, within: u64) -> (bool, u64) {
        let part = u32::try_from(within / OVERLAY_UNIT).unwrap_or(31).min(31);
        let rest = self.parts >> part;
        let covered = rest & 1 != 0;
        let alike = if covered { rest.trailing_ones() } else { rest.trailing_zeros() };
        let end = u64::from(part.saturating_add(alike).min(32)).saturating_mul(OVERLAY_UNIT);
        (covered, end.saturating_sub(within))
    }
}

/// What a store keeps, by block number of the volume.
#[derive(Debug, Default)]
pub(super) struct Store {
    blocks: BTreeMap<u64, Base>,
    overlays: BTreeMap<u64, Overlay>,
    /// Forwarders that nothing has met yet: target to original, block numbers.
    reverse: HashMap<u64, u64>,
    /// Blocks of the volume that were in no use when the store was made.
    bitmap: Bitmap,
    /// The same as the store before knew it.
    previous: Option<Bitmap>,
}

impl Store {
    /// Reads what lies at these places; what cannot be read is told with its offset.
    /// `room` is how many descriptors may still be taken in.
    pub(super) fn read(
        volume: &dyn ReadAt,
        places: Places,
        room: &mut usize,
        problem: &mut dyn FnMut(u64, String),
    ) -> Self {
        let mut store = Self::default();
        let mut list = Chain::new(volume, Kind::BlockList, places.block_list);
        'list: while let Some((offset, content)) = list.next(problem) {
            for bytes in content.chunks_exact(DESCRIPTOR_BYTES) {
                let Some(descriptor) = Descriptor::read(bytes) else { continue };
                if *room == 0 || store.overlays.len() >= MAX_OVERLAYS {
                    problem(offset, "more block descriptors than are kept".to_owned());
                    break 'list;
                }
                *room = room.saturating_sub(1);
                store.add(descriptor);
            }
        }
        store
    }

    /// Reads the bitmaps, which only the latest store's snapshot is read with.
    pub(super) fn read_bitmaps(
        &mut self,
        volume: &dyn ReadAt,
        places: Places,
        problem: &mut dyn FnMut(u64, String),
    ) {
        self.bitmap = Bitmap::read(volume, places.bitmap, problem);
        if places.previous_bitmap != 0 {
            self.previous = Some(Bitmap::read(volume, places.previous_bitmap, problem));
        }
    }

    /// Takes in one descriptor; they stand in the order in which they were written.
    fn add(&mut self, descriptor: Descriptor) {
        if descriptor.is_unused() {
            return;
        }
        let mut original = descriptor.original / BLOCK_BYTES;
        let target = descriptor.relative / BLOCK_BYTES;
        if descriptor.is_overlay() {
            let new = Overlay { copy: descriptor.copy, parts: 0 };
            self.overlays.entry(original).or_insert(new).parts |= descriptor.parts;
            return;
        }
        if let Some(forwarded) = self.reverse.remove(&original) {
            original = forwarded;
        }
        if descriptor.is_forwarder() && original == target {
            return;
        }
        let base = if descriptor.is_forwarder() {
            self.reverse.insert(target, original);
            Base::Forwarded(descriptor.relative)
        } else {
            Base::Copied(descriptor.copy)
        };
        self.blocks.insert(original, base);
    }

    pub(super) fn base(&self, block: u64) -> Option<Base> {
        self.blocks.get(&block).copied()
    }

    pub(super) fn overlay(&self, block: u64) -> Option<Overlay> {
        self.overlays.get(&block).copied()
    }

    /// Whether nothing of the volume lay in that block when the store was made, so
    /// that what lies there now says nothing.
    pub(super) fn is_unused(&self, block: u64) -> bool {
        !self.reverse.contains_key(&block)
            && self.bitmap.has(block)
            && self.previous.as_ref().is_none_or(|previous| previous.has(block))
    }
}

/// A bit per block.
#[derive(Debug, Default)]
struct Bitmap(Vec<u8>);

impl Bitmap {
    fn read(volume: &dyn ReadAt, at: u64, problem: &mut dyn FnMut(u64, String)) -> Self {
        let bits = volume.size().div_ceil(BLOCK_BYTES);
        let needed = usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX);
        let mut all = Vec::new();
        let mut chain = Chain::new(volume, Kind::Bitmap, at);
        while all.len() < needed
            && let Some((_, content)) = chain.next(problem)
        {
            all.extend_from_slice(&content);
        }
        Self(all)
    }

    fn has(&self, block: u64) -> bool {
        let byte = usize::try_from(block / 8).ok().and_then(|at| self.0.get(at));
        byte.is_some_and(|byte| byte >> (block % 8) & 1 != 0)
    }
}
