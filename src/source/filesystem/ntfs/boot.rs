//! The boot sector: how large the units of an NTFS volume are and where `$MFT` begins.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 3 | 8 | `NTFS    ` |
//! | 11 | 2 | bytes per sector |
//! | 13 | 1 | sectors per cluster; above 128: 2 to the power of 256 less it |
//! | 40 | 8 | sectors of the volume |
//! | 48 | 8 | first cluster of `$MFT` |
//! | 56 | 8 | first cluster of `$MFTMirr` |
//! | 64 | 1 | clusters per record; negative: bytes as a power of two |
//! | 68 | 1 | clusters per index block, likewise |
//! | 72 | 8 | serial number |
//!
//! A copy lies in the last sector of the partition.

use crate::model::ReadAt;

use super::super::bytes::{fill, u16_at, u64_at};

/// The largest sector any device has.
const MAX_SECTOR: u32 = 16 << 10;
/// Windows 10 formats with clusters up to 2 MiB; nothing writes more.
const MAX_CLUSTER: u32 = 2 << 20;
/// Records are 1024 or 4096 bytes; anything up to this is read.
const MAX_RECORD: u32 = 64 << 10;

/// The units and places of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes per sector.
    pub sector: u32,
    /// Bytes per cluster.
    pub cluster: u32,
    /// Bytes per `$MFT` record.
    pub record: u32,
    /// Bytes per index block.
    pub index: u32,
    /// Byte offset of `$MFT`.
    pub mft: u64,
    /// Byte offset of `$MFTMirr`.
    pub mirror: u64,
    /// Clusters of the volume.
    pub clusters: u64,
    pub serial: u64,
}

/// Which boot sector was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    First,
    /// The one at the end: the first is damaged.
    Backup,
}

impl Geometry {
    /// What the volume's boot sector says, or its copy in the last sector.
    ///
    /// # Errors
    ///
    /// What is wrong with the first, when neither can be used.
    pub(super) fn read(volume: &dyn ReadAt) -> Result<(Self, Copy), String> {
        let first = match sector_at(volume, 0).and_then(|bytes| Self::parse(&bytes)) {
            Ok(geometry) => return Ok((geometry, Copy::First)),
            Err(error) => error,
        };
        for sector in [512, 4096, 1024, 2048] {
            let end = volume.size() / sector * sector;
            let Some(at) = end.checked_sub(sector) else { continue };
            if let Ok(geometry) = sector_at(volume, at).and_then(|bytes| Self::parse(&bytes)) {
                return Ok((geometry, Copy::Backup));
            }
        }
        Err(first)
    }

    /// What a boot sector says.
    ///
    /// # Errors
    ///
    /// Which of its fields cannot be.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.get(3..11) != Some(b"NTFS    ") {
            return Err("no NTFS boot sector at offset 0x0".to_owned());
        }
        let short = || "the boot sector is cut short".to_owned();
        let byte = |at: usize| bytes.get(at).copied().ok_or_else(short);
        let word = |at: usize| u64_at(bytes, at).ok_or_else(short);
        let sector = u32::from(u16_at(bytes, 11).ok_or_else(short)?);
        if !sector.is_power_of_two() || !(256..=MAX_SECTOR).contains(&sector) {
            return Err(format!("the boot sector claims {sector} bytes per sector"));
        }
        let cluster = match byte(13)? {
            n @ 1..=128 => sector.checked_mul(u32::from(n)),
            n => sector.checked_shl(256u32.saturating_sub(u32::from(n))),
        };
        let cluster = cluster
            .filter(|n| n.is_power_of_two() && (sector..=MAX_CLUSTER).contains(n))
            .ok_or_else(|| "the boot sector claims an impossible cluster size".to_owned())?;
        let record = unit(byte(64)?, cluster)
            .filter(|n| (512..=MAX_RECORD).contains(n))
            .ok_or_else(|| "the boot sector claims an impossible record size".to_owned())?;
        let index = unit(byte(68)?, cluster).unwrap_or(4096);
        let bytes_at = |lcn: u64, what: &str| {
            lcn.checked_mul(u64::from(cluster))
                .ok_or_else(|| format!("the boot sector puts {what} at cluster {lcn:#x}"))
        };
        let mft = bytes_at(word(48)?, "$MFT")?;
        Ok(Self {
            sector,
            cluster,
            record,
            index,
            mft,
            mirror: bytes_at(word(56)?, "$MFTMirr").unwrap_or_default(),
            clusters: word(40)? / u64::from(cluster / sector).max(1),
            serial: word(72)?,
        })
    }
}

/// A size given in clusters, or as a negative power of two in bytes.
fn unit(byte: u8, cluster: u32) -> Option<u32> {
    let size = match byte {
        0 => None,
        n @ 1..=127 => cluster.checked_mul(u32::from(n)),
        n => 1u32.checked_shl(256u32.saturating_sub(u32::from(n))),
    };
    size.filter(|n| n.is_power_of_two())
}

fn sector_at(volume: &dyn ReadAt, at: u64) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; 512];
    let n = fill(volume, at, &mut bytes).map_err(|error| format!("offset {at:#x}: {error}"))?;
    bytes.truncate(n);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(per_cluster: u8, record: u8) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[3..11].copy_from_slice(b"NTFS    ");
        bytes[11..13].copy_from_slice(&512u16.to_le_bytes());
        bytes[13] = per_cluster;
        bytes[40..48].copy_from_slice(&1_000_000u64.to_le_bytes());
        bytes[48..56].copy_from_slice(&4u64.to_le_bytes());
        bytes[64] = record;
        bytes[68] = 1;
        bytes
    }

    #[test]
    fn sizes_may_be_negative_powers() {
        let plain = Geometry::parse(&sector(8, 0xf6)).unwrap();
        assert_eq!((plain.cluster, plain.record, plain.mft), (4096, 1024, 16384));
        let large = Geometry::parse(&sector(0xf4, 0xf4)).unwrap();
        assert_eq!((large.cluster, large.record, large.clusters), (2 << 20, 4096, 244));
        assert_eq!(Geometry::parse(&sector(2, 4)).unwrap().record, 4096);
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for (per_cluster, record) in [(0, 0xf6), (3, 0xf6), (0x81, 0xf6), (8, 0), (8, 0x80)] {
            assert!(Geometry::parse(&sector(per_cluster, record)).is_err());
        }
        assert!(Geometry::parse(&[0; 512]).is_err());
        assert!(Geometry::parse(&sector(8, 0xf6)[..40]).is_err());
    }

    #[test]
    fn the_copy_at_the_end_stands_in() {
        let mut volume = vec![0; 8192];
        volume[7680..].copy_from_slice(&sector(8, 0xf6));
        assert_eq!(Geometry::read(&volume).unwrap().1, Copy::Backup);
        assert!(Geometry::read(&vec![0; 8192]).is_err());
    }
}
