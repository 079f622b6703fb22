//! The boot sector: where the table, the clusters and the root lie.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 72 | 8 | sectors |
//! | 80, 84 | 4, 4 | first sector of the table, its sectors |
//! | 88, 92 | 4, 4 | first sector of the clusters, how many clusters |
//! | 96 | 4 | first cluster of the root |
//! | 106 | 2 | bit 0: the second table is in use |
//! | 108, 109 | 1, 1 | bytes of a sector, sectors of a cluster, as powers of two |
//! | 110 | 1 | tables |
//!
//! Source: Microsoft, exFAT file system specification.

use std::sync::Arc;

use crate::model::ReadAt;

use super::super::OpenError;
use super::super::bytes::{read_exact, u16_at, u32_at, u64_at};
use super::super::clusters::{Clusters, MAX_CLUSTERS, Width};

/// A volume's layout.
pub(super) struct Boot {
    pub(super) clusters: Clusters,
    /// First cluster.
    pub(super) root: u64,
    /// Bytes that the volume should have.
    pub(super) bytes: u64,
}

impl Boot {
    /// The layout of a volume.
    ///
    /// # Errors
    ///
    /// When the boot sector cannot be read, or one of its numbers cannot be.
    pub(super) fn read(volume: Arc<dyn ReadAt>) -> Result<Self, OpenError> {
        let bytes = read_exact(&*volume, 0, 512)?;
        let word = |at: usize| u64::from(u32_at(&bytes, at).unwrap_or_default());
        let byte = |at: usize| u64::from(bytes.get(at).copied().unwrap_or_default());
        let magic = u64_at(&bytes, 3).unwrap_or_default();
        let is_exfat = |n: u64| n.to_le_bytes() == *b"EXFAT   ";
        check("name", 3, magic, is_exfat, "\"EXFAT   \"")?;
        check("sector size", 108, byte(108), |n| (9..=12).contains(&n), "9 to 12")?;
        let fits = |n: u64| n.saturating_add(byte(108)) <= 25;
        check("sectors per cluster", 109, byte(109), fits, "at most 32 MiB in all")?;
        let sector = 1u64 << byte(108);
        let second = u16_at(&bytes, 106).unwrap_or_default() & 1 != 0 && byte(110) == 2;
        let skip = if second { word(84) } else { 0 };
        let table = word(80).saturating_add(skip).saturating_mul(sector);
        let data = word(88).saturating_mul(sector);
        check("table", 80, word(80), |n| n > 0, "after the boot sector")?;
        check("clusters", 88, word(88), |n| n > word(80), "after the table")?;
        let mut clusters = Clusters::new(volume, Width::ThirtyTwo, table, data);
        clusters.size = sector << byte(109);
        let entries = word(84).saturating_mul(sector) / 4;
        clusters.count = word(92).min(entries.saturating_sub(2)).min(MAX_CLUSTERS);
        let sectors = u64_at(&bytes, 72).unwrap_or_default();
        Ok(Self { clusters, root: word(96), bytes: sectors.saturating_mul(sector) })
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
    Err(OpenError::Invalid { system: "exFAT", what, offset, found, expected })
}
