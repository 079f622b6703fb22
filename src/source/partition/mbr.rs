//! The master boot record and its chain of extended partitions.
//!
//! Four entries of 16 bytes stand at 446: type at 4, first sector at 8, number of
//! sectors at 12, little-endian; `55 AA` at 510. Sectors of logical partitions count
//! from their own boot record, those of the next record from the extended partition.

use std::collections::BTreeSet;

use super::{Area, SECTOR_SIZES, Table, bytes_at, le32, signature};
use crate::model::ReadAt;

/// Logical partitions of one disk.
const MAX_LOGICAL: usize = 256;
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
const PROTECTIVE: u8 = 0xee;
/// The disk's signature in its MBR.
const SIGNATURE: std::ops::Range<usize> = 440..444;

/// What the first sector of a disk announces.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// No table, or an empty one.
    None,
    /// A GPT, perhaps with some of its partitions repeated.
    Protective,
    Partitions,
}

struct Entry {
    status: u8,
    kind: u8,
    first: u64,
    count: u64,
    /// Offset in the sector.
    at: u64,
}

/// The entries in use.
fn entries(sector: &[u8]) -> Vec<Entry> {
    if sector.get(510..512) != Some(b"\x55\xaa") {
        return Vec::new();
    }
    let entry = |at: usize| {
        Some(Entry {
            status: *sector.get(at)?,
            kind: *sector.get(at.checked_add(4)?)?,
            first: le32(sector, at.checked_add(8)?)?.into(),
            count: le32(sector, at.checked_add(12)?)?.into(),
            at: at as u64,
        })
    };
    let used = |entry: &Entry| entry.kind != 0 && entry.count > 0;
    [446, 462, 478, 494].into_iter().filter_map(entry).filter(used).collect()
}

/// What a first sector announces.
pub(super) fn kind(sector: &[u8]) -> Kind {
    let entries = entries(sector);
    if entries.iter().any(|entry| entry.kind == PROTECTIVE) {
        Kind::Protective
    } else if entries.iter().any(|entry| entry.first > 0) {
        Kind::Partitions
    } else {
        Kind::None
    }
}

/// Whether a sector is beyond doubt the MBR of a disk of that size.
pub(super) fn is_plausible(sector: &[u8], size: u64) -> bool {
    let entries = entries(sector);
    let sane = |entry: &Entry| {
        matches!(entry.status, 0 | 0x80)
            && entry.first > 0
            && entry.first.saturating_mul(512) < size
    };
    !entries.is_empty() && entries.iter().all(sane)
}

/// The partitions, for the sector size that puts file systems at their starts.
pub(super) fn read(disk: &dyn ReadAt, sector: &[u8]) -> Table {
    let mut best: Option<(usize, Table)> = None;
    for size in SECTOR_SIZES {
        let table = read_with(disk, sector, size);
        let known =
            table.areas.iter().filter(|area| signature::of(disk, area.start).is_some()).count();
        if best.as_ref().is_none_or(|(most, _)| known > *most) {
            best = Some((known, table));
        }
    }
    best.map(|(_, table)| table).unwrap_or_default()
}

fn read_with(disk: &dyn ReadAt, sector: &[u8], sector_size: u64) -> Table {
    let mut table = Table::default();
    let signature = sector.get(SIGNATURE).unwrap_or_default();
    for entry in entries(sector) {
        if EXTENDED.contains(&entry.kind) {
            logical(disk, entry.first, sector_size, &mut table);
        } else if entry.kind == PROTECTIVE {
        } else if entry.first == 0 {
            let message = format!("partition entry of type {:#04x} starts at the MBR", entry.kind);
            table.problems.push((entry.at, message));
        } else {
            table.areas.push(area(&entry, 0, 0, sector_size));
        }
    }
    for area in &mut table.areas {
        area.device = Some([signature, &area.start.to_le_bytes()].concat());
    }
    table
}

fn area(entry: &Entry, base: u64, sector_at: u64, sector_size: u64) -> Area {
    Area {
        start: base.saturating_add(entry.first).saturating_mul(sector_size),
        size: entry.count.saturating_mul(sector_size),
        type_name: type_name(entry.kind),
        name: None,
        device: None,
        entry: sector_at.saturating_add(entry.at),
    }
}

/// Follows the chain of an extended partition that begins at sector `base`.
fn logical(disk: &dyn ReadAt, base: u64, sector_size: u64, table: &mut Table) {
    let mut seen = BTreeSet::new();
    let mut next = Some(base);
    while let Some(sector) = next.take() {
        let at = sector.saturating_mul(sector_size);
        if !seen.insert(sector) {
            table.problems.push((at, "the chain of extended partitions is a loop".into()));
            return;
        }
        if seen.len() > MAX_LOGICAL {
            table.problems.push((at, format!("more than {MAX_LOGICAL} logical partitions")));
            return;
        }
        let record = bytes_at(disk, at, 512);
        if record.get(510..512) != Some(b"\x55\xaa") {
            let what = if at >= disk.size() { "lies beyond the disk" } else { "is damaged" };
            table.problems.push((at, format!("extended boot record {what}")));
            return;
        }
        for entry in entries(&record) {
            if EXTENDED.contains(&entry.kind) {
                next = Some(base.saturating_add(entry.first));
            } else {
                table.areas.push(area(&entry, sector, at, sector_size));
            }
        }
    }
}

/// What a partition type holds, as partitioning tools name it.
fn type_name(kind: u8) -> String {
    let name = match kind {
        0x01 => "FAT12",
        0x04 | 0x06 | 0x0e | 0x14 | 0x16 | 0x1e => "FAT16",
        0x0b | 0x0c | 0x1b | 0x1c => "FAT32",
        0x07 => "NTFS, exFAT or HPFS",
        0x17 => "hidden NTFS",
        0x27 => "Windows recovery",
        0x42 => "Windows dynamic disk",
        0x82 => "Linux swap",
        0x83 => "Linux",
        0x8e => "Linux LVM",
        0xa5 => "FreeBSD",
        0xa8 => "Apple UFS",
        0xaf => "HFS+",
        0xef => "EFI system",
        0xfb => "VMware VMFS",
        0xfd => "Linux RAID",
        _ => return format!("type {kind:#04x}"),
    };
    name.to_owned()
}
