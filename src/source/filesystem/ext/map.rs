//! Where the content of an inode lies: a map of blocks (ext2, ext3), a tree of
//! extents (ext4) or the inode itself.
//!
//! | offset | bytes | node of extents |
//! |---|---|---|
//! | 0x00 | 2 | magic 0xf30a |
//! | 0x02 | 2 | records in use |
//! | 0x06 | 2 | depth: 0 where the records are extents |
//! | 0x0c | 12 each | first block of the file; then count (2), block high (2) and low (4), or block low (4) and high (2) of a node |

use crate::model::ReadAt;

use super::super::bytes::{read_exact, u16_at, u32_at};
use super::super::runs::{Place, Runs, TooMany};
use super::super::tree::Budget;
use super::inode::Inode;
use super::superblock::Superblock;

/// Extents are followed to this depth; the kernel writes no deeper ones.
const MAX_DEPTH: u16 = 5;
/// Extents longer than this are set aside and not yet written.
const MAX_WRITTEN: u16 = 32768;
/// Blocks that a file can have: their numbers have 32 bits.
const MAX_BLOCKS: u64 = 1 << 32;

/// Why a file's content cannot be found.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MapError {
    #[error("size of {0} bytes is more than such a file can have")]
    Size(u64),
    #[error("more than {limit} pieces", limit = super::super::runs::MAX_RUNS)]
    TooMany,
    #[error("its map is larger than the volume")]
    Budget,
    #[error("part of its map at offset {0:#x} is no such map")]
    Damaged(u64),
    #[error("part of its map at offset {0:#x} cannot be read")]
    Unreadable(u64),
    #[error("the part that lies beside the inode is not there")]
    NoInline,
}

impl From<TooMany> for MapError {
    fn from(_: TooMany) -> Self {
        Self::TooMany
    }
}

/// Where an inode's content lies, as far as its map can be followed.
pub(super) struct Mapped {
    /// As long as the inode says; what could not be followed is lost.
    pub(super) runs: Runs,
    /// The first thing wrong.
    pub(super) error: Option<MapError>,
}

/// Follows the map of an inode. What is wrong costs that part only.
///
/// # Errors
///
/// When nothing can be read of the file: an absurd size or too many pieces.
pub(super) fn map(
    volume: &dyn ReadAt,
    superblock: &Superblock,
    inode: &Inode,
    budget: &mut Budget,
) -> Result<Mapped, MapError> {
    let size = inode.size();
    let needed = size.div_ceil(superblock.block_size);
    if needed > MAX_BLOCKS {
        return Err(MapError::Size(size));
    }
    let mut mapping = Mapping {
        volume,
        block_size: superblock.block_size,
        blocks: superblock.blocks,
        needed,
        budget,
        runs: Runs::default(),
        error: None,
    };
    if inode.is_inline() {
        mapping.inline(inode, size)?;
    } else if inode.has_extents() {
        let at = inode.offset.saturating_add(0x28);
        mapping.extents(inode.map(), at, None)?;
        if mapping.error.is_none() {
            mapping.zeros_to(needed)?;
        }
    } else {
        mapping.blocks(inode)?;
    }
    let Mapping { mut runs, error, .. } = mapping;
    runs.fit(size, Place::Lost);
    Ok(Mapped { runs, error })
}

struct Mapping<'a> {
    volume: &'a dyn ReadAt,
    block_size: u64,
    /// Of the volume.
    blocks: u64,
    /// Of the file.
    needed: u64,
    budget: &'a mut Budget,
    runs: Runs,
    error: Option<MapError>,
}

impl Mapping<'_> {
    /// Blocks mapped so far.
    fn mapped(&self) -> u64 {
        self.runs.len() / self.block_size
    }

    fn is_done(&self) -> bool {
        self.mapped() >= self.needed
    }

    fn push(&mut self, place: Place, blocks: u64) -> Result<(), MapError> {
        let left = self.needed.saturating_sub(self.mapped());
        let len = blocks.min(left).saturating_mul(self.block_size);
        Ok(self.runs.push(place, len)?)
    }

    fn zeros_to(&mut self, block: u64) -> Result<(), MapError> {
        self.push(Place::Zeros, block.saturating_sub(self.mapped()))
    }

    /// Notes the first thing wrong.
    fn wrong(&mut self, error: MapError) {
        self.error.get_or_insert(error);
    }

    /// Where blocks of the volume lie, if it has them.
    fn place(&self, block: u64, count: u64) -> Place {
        let is_there = block.checked_add(count).is_some_and(|end| end <= self.blocks);
        match block.checked_mul(self.block_size) {
            Some(at) if is_there && block > 0 => Place::At(at),
            _ => Place::Lost,
        }
    }

    /// A block of the map.
    fn read(&mut self, block: u64) -> Result<(u64, Vec<u8>), MapError> {
        let Place::At(at) = self.place(block, 1) else {
            return Err(MapError::Damaged(block.saturating_mul(self.block_size)));
        };
        if !self.budget.take(self.block_size) {
            return Err(MapError::Budget);
        }
        let len = usize::try_from(self.block_size).unwrap_or_default();
        read_exact(self.volume, at, len).map(|b| (at, b)).map_err(|_| MapError::Unreadable(at))
    }

    /// The content that stands in the inode: 60 bytes, then an attribute.
    fn inline(&mut self, inode: &Inode, size: u64) -> Result<(), MapError> {
        self.runs.push(Place::At(inode.offset.saturating_add(0x28)), size.min(60))?;
        if size > 60 {
            match inode.inline_rest() {
                Some((at, len)) => self.runs.push(Place::At(at), len.min(size - 60))?,
                None => self.wrong(MapError::NoInline),
            }
        }
        Ok(())
    }

    /// The extents of one node and of those below it. The depth falls with every
    /// level, so recursion ends after [`MAX_DEPTH`].
    fn extents(&mut self, node: &[u8], at: u64, expected: Option<u16>) -> Result<(), MapError> {
        let header = (u16_at(node, 0), u16_at(node, 2), u16_at(node, 6));
        let (Some(0xf30a), Some(count), Some(depth)) = header else {
            self.wrong(MapError::Damaged(at));
            return Ok(());
        };
        let fits = usize::from(count).saturating_mul(12).saturating_add(12) <= node.len();
        if depth > MAX_DEPTH || expected.is_some_and(|expected| depth != expected) || !fits {
            self.wrong(MapError::Damaged(at));
            return Ok(());
        }
        for record in node.get(12..).unwrap_or_default().chunks_exact(12).take(count.into()) {
            if self.is_done() {
                break;
            }
            let first = u64::from(u32_at(record, 0).unwrap_or_default());
            if first < self.mapped() {
                self.wrong(MapError::Damaged(at)); // out of order, or the same again
                continue;
            }
            match depth.checked_sub(1) {
                None => self.extent(record, first)?,
                Some(below) => {
                    let low = u32_at(record, 4).unwrap_or_default();
                    let high = u16_at(record, 8).unwrap_or_default();
                    let block = u64::from(low) | u64::from(high) << 32;
                    match self.read(block) {
                        Ok((at, node)) => self.extents(&node, at, Some(below))?,
                        Err(error) => {
                            self.wrong(error);
                            // What is not mapped before the next record is lost, not zero.
                            self.push(Place::Lost, 1)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn extent(&mut self, record: &[u8], first: u64) -> Result<(), MapError> {
        let len = u16_at(record, 4).unwrap_or_default();
        let high = u16_at(record, 6).unwrap_or_default();
        let low = u32_at(record, 8).unwrap_or_default();
        let block = u64::from(low) | u64::from(high) << 32;
        let is_written = len <= MAX_WRITTEN;
        let count = u64::from(if is_written { len } else { len.wrapping_sub(MAX_WRITTEN) });
        let gap = if self.error.is_some() { Place::Lost } else { Place::Zeros };
        self.push(gap, first.saturating_sub(self.mapped()))?;
        let place = if is_written { self.place(block, count) } else { Place::Zeros };
        if place == Place::Lost {
            self.wrong(MapError::Damaged(block.saturating_mul(self.block_size)));
        }
        self.push(place, count)
    }

    /// Twelve blocks, then maps of one, two and three levels.
    fn blocks(&mut self, inode: &Inode) -> Result<(), MapError> {
        for (index, number) in inode.map().chunks_exact(4).enumerate() {
            if self.is_done() {
                break;
            }
            let level = u32::try_from(index.saturating_sub(11)).unwrap_or_default();
            self.branch(u32_at(number, 0).unwrap_or_default(), level)?;
        }
        Ok(())
    }

    /// What one number of a map stands for; `level` is 3 at most.
    fn branch(&mut self, block: u32, level: u32) -> Result<(), MapError> {
        let per_block = self.block_size / 4;
        let spans = per_block.saturating_pow(level);
        if block == 0 {
            return self.push(Place::Zeros, spans);
        }
        let Some(below) = level.checked_sub(1) else {
            let place = self.place(block.into(), 1);
            if place == Place::Lost {
                self.wrong(MapError::Damaged(u64::from(block).saturating_mul(self.block_size)));
            }
            return self.push(place, 1);
        };
        match self.read(block.into()) {
            Ok((_, map)) => {
                for number in map.chunks_exact(4) {
                    if self.is_done() {
                        break;
                    }
                    self.branch(u32_at(number, 0).unwrap_or_default(), below)?;
                }
                Ok(())
            }
            Err(error) => {
                self.wrong(error);
                self.push(Place::Lost, spans)
            }
        }
    }
}
