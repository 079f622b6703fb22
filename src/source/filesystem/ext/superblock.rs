//! The superblock and the group descriptors: where inodes and bitmaps lie.
//!
//! | offset | bytes | superblock (at byte 1024) |
//! |---|---|---|
//! | 0x00 | 4 | inodes |
//! | 0x04, 0x150 | 4 + 4 | blocks, low and high |
//! | 0x14 | 4 | first data block |
//! | 0x18 | 4 | block size: 1024 << n |
//! | 0x20, 0x24 | 4 | blocks, clusters per group |
//! | 0x28 | 4 | inodes per group |
//! | 0x38 | 2 | magic 0xef53 |
//! | 0x4c | 4 | revision |
//! | 0x58 | 2 | bytes of an inode |
//! | 0x5c, 0x60, 0x64 | 4 | features: compatible, incompatible, read-only |
//! | 0xfe | 2 | bytes of a group descriptor |
//! | 0x104 | 4 | first meta block group |
//!
//! Source: Documentation/filesystems/ext4 of the Linux kernel.

use std::sync::Arc;

use crate::model::ReadAt;

use super::super::OpenError;
use super::super::bytes::{Paged, read_exact, u16_at, u32_at};

const AT: u64 = 1024;
const SYSTEM: &str = "ext";

/// Names carry the kind of file.
const INCOMPAT_FILETYPE: u32 = 0x2;
/// The journal holds changes that the tree does not.
const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_META_BG: u32 = 0x10;
const INCOMPAT_64BIT: u32 = 0x80;
const INCOMPAT_ENCRYPT: u32 = 0x1_0000;
const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;

/// What the superblock says, checked.
pub(super) struct Superblock {
    pub(super) block_size: u64,
    pub(super) blocks: u64,
    pub(super) inodes: u32,
    pub(super) inode_size: usize,
    inodes_per_group: u32,
    /// Blocks per group, and how many of them one bit of the bitmap stands for.
    blocks_per_group: u32,
    blocks_per_bit: u64,
    first_data_block: u64,
    descriptor_size: u64,
    first_meta_group: Option<u64>,
    sparse: bool,
    incompat: u32,
}

/// What of a group descriptor is used, in blocks.
struct Group {
    block_bitmap: u64,
    inode_table: u64,
    /// The block bitmap was never written: nothing of the group is in use.
    blocks_untouched: bool,
}

impl Superblock {
    /// The superblock of a volume.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or one of its numbers cannot be.
    pub(super) fn read(volume: &dyn ReadAt) -> Result<Self, OpenError> {
        let bytes = read_exact(volume, AT, 1024)?;
        let word = |at: usize| u32_at(&bytes, at).unwrap_or_default();
        let half = |at: usize| u16_at(&bytes, at).unwrap_or_default();
        let incompat = word(0x60);
        let wide = incompat & INCOMPAT_64BIT != 0;
        check("magic", 0x38, half(0x38).into(), |n| n == 0xef53, "0xef53")?;
        check("block size", 0x18, word(0x18).into(), |n| n <= 6, "at most 6 (64 KiB)")?;
        let block_size = 1024u64 << word(0x18);
        check("inodes per group", 0x28, word(0x28).into(), |n| n > 0, "at least 1")?;
        let max_bits = block_size.saturating_mul(8);
        let in_group = |n: u64| n > 0 && n <= max_bits;
        check(
            "blocks per group",
            0x24,
            word(0x24).into(),
            in_group,
            "as many as a block has bits",
        )?;
        let inode_size = if word(0x4c) == 0 { 128 } else { half(0x58) };
        let fits = |n: u64| n >= 128 && n <= block_size;
        check("inode size", 0x58, inode_size.into(), fits, "128 to a block")?;
        let descriptor_size = if wide { half(0xfe).max(32) } else { 32 };
        let fits = |n: u64| n <= 1024 && n.is_multiple_of(8);
        check("descriptor size", 0xfe, descriptor_size.into(), fits, "at most 1024")?;
        let high = if wide { u64::from(word(0x150)) << 32 } else { 0 };
        let bits = u64::from(word(0x24));
        Ok(Self {
            block_size,
            blocks: u64::from(word(0x04)) | high,
            inodes: word(0x00),
            inode_size: usize::from(inode_size),
            inodes_per_group: word(0x28),
            blocks_per_group: word(0x20).max(1),
            blocks_per_bit: (u64::from(word(0x20)) / bits).max(1),
            first_data_block: word(0x14).into(),
            descriptor_size: descriptor_size.into(),
            first_meta_group: (incompat & INCOMPAT_META_BG != 0).then(|| word(0x104).into()),
            sparse: word(0x64) & RO_COMPAT_SPARSE_SUPER != 0,
            incompat,
        })
    }

    pub(super) fn names_carry_kind(&self) -> bool {
        self.incompat & INCOMPAT_FILETYPE != 0
    }

    /// Whether changes wait in the journal.
    pub(super) fn needs_recovery(&self) -> bool {
        self.incompat & INCOMPAT_RECOVER != 0
    }

    pub(super) fn may_be_encrypted(&self) -> bool {
        self.incompat & INCOMPAT_ENCRYPT != 0
    }

    /// Bytes that the volume should have.
    pub(super) fn bytes(&self) -> u64 {
        self.blocks.saturating_mul(self.block_size)
    }

    /// The byte of the volume that an inode begins at; `None` when there is none
    /// of that number.
    pub(super) fn inode_offset(&self, tables: &Arc<Paged>, number: u32) -> Option<u64> {
        let index = number.checked_sub(1).filter(|_| number <= self.inodes)?;
        let group = self.group(tables, (index / self.inodes_per_group).into())?;
        let within = u64::from(index % self.inodes_per_group)
            .checked_mul(u64::try_from(self.inode_size).ok()?)?;
        group.inode_table.checked_mul(self.block_size)?.checked_add(within)
    }

    /// Whether none of the blocks is in use, so far as the bitmaps say.
    pub(super) fn are_free(&self, tables: &Arc<Paged>, first: u64, count: u64) -> bool {
        let Some(end) = first.checked_add(count).filter(|end| *end <= self.blocks) else {
            return false;
        };
        let per_group = u64::from(self.blocks_per_group);
        let mut block = first;
        while block < end {
            let Some(index) = block.checked_sub(self.first_data_block) else { return false };
            let within = index % per_group;
            let here = per_group.saturating_sub(within).min(end.saturating_sub(block));
            let bits = within / self.blocks_per_bit;
            let last = within.saturating_add(here).saturating_sub(1) / self.blocks_per_bit;
            let free = self.group(tables, index / per_group).is_some_and(|group| {
                group.blocks_untouched || self.bits_are_clear(tables, &group, bits, last)
            });
            if !free {
                return false;
            }
            block = block.saturating_add(here);
        }
        true
    }

    /// Whether the bits of a group's bitmap from `first` to `last` are all clear.
    fn bits_are_clear(&self, tables: &Arc<Paged>, group: &Group, first: u64, last: u64) -> bool {
        let Some(at) = group.block_bitmap.checked_mul(self.block_size) else { return false };
        let bytes = last / 8 - first / 8 + 1;
        let Ok(len) = usize::try_from(bytes.min(self.block_size)) else { return false };
        let Ok(bitmap) = read_exact(&**tables, at.saturating_add(first / 8), len) else {
            return false;
        };
        (first..=last).all(|bit| {
            let byte = usize::try_from(bit / 8 - first / 8).ok().and_then(|n| bitmap.get(n));
            byte.is_some_and(|byte| byte >> (bit % 8) & 1 == 0)
        })
    }

    fn group(&self, tables: &Arc<Paged>, number: u64) -> Option<Group> {
        const BLOCK_UNINIT: u16 = 0x2;
        let at = self.descriptor_offset(number)?;
        let bytes = read_exact(&**tables, at, usize::try_from(self.descriptor_size).ok()?).ok()?;
        let wide = self.descriptor_size >= 64;
        let block = |low: usize, high: usize| -> Option<u64> {
            let top = if wide { u64::from(u32_at(&bytes, high)?) << 32 } else { 0 };
            let block = u64::from(u32_at(&bytes, low)?) | top;
            (block < self.blocks).then_some(block)
        };
        Some(Group {
            block_bitmap: block(0x00, 0x20)?,
            inode_table: block(0x08, 0x28)?,
            blocks_untouched: u16_at(&bytes, 0x12)? & BLOCK_UNINIT != 0,
        })
    }

    fn descriptor_offset(&self, group: u64) -> Option<u64> {
        let per_block = self.block_size / self.descriptor_size;
        let meta = group / per_block;
        let block = match self.first_meta_group {
            Some(first) if meta >= first => {
                let leader = meta.checked_mul(per_block)?;
                let start = leader
                    .checked_mul(self.blocks_per_group.into())?
                    .checked_add(self.first_data_block)?;
                start.checked_add(u64::from(self.has_superblock(leader)))?
            }
            _ => self.first_data_block.checked_add(1)?.checked_add(meta)?,
        };
        let within = (group % per_block).checked_mul(self.descriptor_size)?;
        block.checked_mul(self.block_size)?.checked_add(within)
    }

    /// Whether a group begins with a copy of the superblock.
    fn has_superblock(&self, group: u64) -> bool {
        let is_power = |base: u64| {
            let mut n = 1u64;
            while n < group {
                n = n.saturating_mul(base);
            }
            n == group
        };
        !self.sparse || group == 0 || is_power(3) || is_power(5) || is_power(7)
    }
}

fn check(
    what: &'static str,
    at: u64,
    found: u64,
    sound: impl Fn(u64) -> bool,
    expected: &'static str,
) -> Result<(), OpenError> {
    if sound(found) {
        return Ok(());
    }
    Err(OpenError::Invalid { system: SYSTEM, what, offset: AT.saturating_add(at), found, expected })
}
