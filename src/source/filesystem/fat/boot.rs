//! The boot sector: where the tables, the root and the clusters lie.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 11 | 2 | bytes of a sector |
//! | 13 | 1 | sectors of a cluster |
//! | 14 | 2 | sectors before the first table |
//! | 16 | 1 | tables |
//! | 17 | 2 | entries of the root; 0 on FAT32 |
//! | 19, 32 | 2, 4 | sectors |
//! | 22, 36 | 2, 4 | sectors of a table |
//! | 40 | 2 | FAT32: which table is in use |
//! | 44 | 4 | FAT32: first cluster of the root |
//!
//! Source: Microsoft, FAT32 File System Specification 1.03.

use std::sync::Arc;

use crate::model::ReadAt;

use super::super::OpenError;
use super::super::bytes::{read_exact, u16_at, u32_at};
use super::super::clusters::{Clusters, MAX_CLUSTERS, Width};

/// A volume's layout.
pub(super) struct Boot {
    pub(super) clusters: Clusters,
    pub(super) root: Root,
    /// First byte that entries are numbered from, as sleuthkit numbers them.
    pub(super) numbered_from: u64,
    /// Bytes that the volume should have.
    pub(super) bytes: u64,
}

/// Where the root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// FAT12 and FAT16: at a fixed place, of a fixed size, in bytes.
    Fixed { at: u64, len: u64 },
    /// FAT32: a chain.
    Cluster(u64),
}

impl Boot {
    /// The layout of a volume.
    ///
    /// # Errors
    ///
    /// When the boot sector cannot be read, or one of its numbers cannot be.
    pub(super) fn read(volume: Arc<dyn ReadAt>) -> Result<Self, OpenError> {
        let bytes = read_exact(&*volume, 0, 512)?;
        let half = |at: usize| u64::from(u16_at(&bytes, at).unwrap_or_default());
        let word = |at: usize| u64::from(u32_at(&bytes, at).unwrap_or_default());
        let either = |short: u64, long: u64| if short == 0 { long } else { short };
        let per_cluster = bytes.get(13).copied().unwrap_or_default();
        let tables = bytes.get(16).copied().unwrap_or_default();
        let sector = half(11);
        check("sector size", 11, sector, |n| matches!(n, 512 | 1024 | 2048 | 4096), "512 to 4096")?;
        check(
            "sectors per cluster",
            13,
            per_cluster.into(),
            u64::is_power_of_two,
            "a power of two",
        )?;
        check("reserved sectors", 14, half(14), |n| n > 0, "at least 1")?;
        check("number of tables", 16, tables.into(), |n| (1..=4).contains(&n), "1 to 4")?;
        let table = either(half(22), word(36));
        check("sectors of a table", 22, table, |n| n > 0, "at least 1")?;
        let sectors = either(half(19), word(32));
        let is_32 = half(22) == 0;
        let root_len = if is_32 { 0 } else { half(17).saturating_mul(32) };
        let tables_end = half(14).saturating_add(table.saturating_mul(tables.into()));
        let first = tables_end.saturating_add(root_len.div_ceil(sector));
        check("sectors", 32, sectors, |n| n > first, "more than its tables take")?;
        let count = sectors.saturating_sub(first) / u64::from(per_cluster);
        let width = match count {
            _ if is_32 => Width::TwentyEight,
            0..4085 => Width::Twelve,
            _ => Width::Sixteen,
        };
        let table_bytes = table.saturating_mul(sector);
        let entries = match width {
            Width::Twelve => table_bytes.saturating_mul(2) / 3,
            Width::Sixteen => table_bytes / 2,
            _ => table_bytes / 4,
        };
        // With mirroring off, one table is in use and named.
        let active = half(40);
        let used = if is_32 && active & 0x80 != 0 { active & 0xf } else { 0 };
        let used = if used < u64::from(tables) { used } else { 0 };
        let table_at = half(14).saturating_add(used.saturating_mul(table)).saturating_mul(sector);
        let root_at = tables_end.saturating_mul(sector);
        let data = first.saturating_mul(sector);
        let mut clusters = Clusters::new(volume, width, table_at, data);
        clusters.size = sector.saturating_mul(per_cluster.into());
        clusters.count = count.min(entries.saturating_sub(2)).min(MAX_CLUSTERS);
        let (root, numbered_from) = if is_32 {
            (Root::Cluster(word(44)), data)
        } else {
            (Root::Fixed { at: root_at, len: root_len }, root_at)
        };
        Ok(Self { clusters, root, numbered_from, bytes: sectors.saturating_mul(sector) })
    }
}

fn check(
    what: &'static str,
    offset: u64,
    found: u64,
    sound: impl Fn(u64) -> bool,
    expected: &'static str,
) -> Result<(), OpenError> {
    if sound(found) {
        return Ok(());
    }
    Err(OpenError::Invalid { system: "FAT", what, offset, found, expected })
}
