//! The GUID partition table, and its copy at the end of the disk.
//!
//! Header: `EFI PART`; its size at 12 and CRC-32 at 16 (with that field zero), own
//! sector at 24, the other copy's at 32, entries' sector at 72, their number at 80,
//! size at 84 and CRC-32 at 88. Entry: type GUID, own GUID, first and last sector at
//! 32 and 40, UTF-16 label at 56. UEFI specification 2.10, section 5.3.

use super::{Area, SECTOR_SIZES, Table, bytes_at, guid, le32, le64};
use crate::model::ReadAt;

const SIGNATURE: &[u8] = b"EFI PART";
/// Partitions of one disk; the usual table has 128.
const MAX_ENTRIES: u32 = 4096;
const MIN_ENTRY: u32 = 128;
const MAX_ENTRY: u32 = 4096;
const MIN_HEADER: usize = 92;

/// How far a copy can be believed, best last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    /// Only the signature and the sizes are right.
    Shape,
    /// The header is whole, the entries are not.
    Header,
    Whole,
}

/// One copy of the table.
struct Copy {
    trust: Trust,
    /// Offset of the header.
    at: u64,
    sector: u64,
    other: u64,
    entries_at: u64,
    entry_size: usize,
    entries: Vec<u8>,
}

/// Whether a GPT, or the copy at the end, is there.
pub(super) fn is_there(disk: &dyn ReadAt) -> bool {
    SECTOR_SIZES.iter().any(|sector| {
        let last = disk.size().saturating_sub(*sector);
        [*sector, last].iter().any(|at| bytes_at(disk, *at, 8) == SIGNATURE)
    })
}

/// The table from the better of its copies; `None` when there is none.
pub(super) fn read(disk: &dyn ReadAt) -> Option<Table> {
    let mut primary = None;
    let mut backup = None;
    for sector in SECTOR_SIZES {
        primary = primary.or_else(|| copy(disk, sector, sector));
        let last = (disk.size() / sector).saturating_sub(1).saturating_mul(sector);
        backup = backup.or_else(|| copy(disk, last, sector).filter(|_| last > sector));
    }
    if backup.is_none()
        && let Some(primary) = &primary
    {
        backup = copy(disk, primary.other.saturating_mul(primary.sector), primary.sector);
    }
    let mut problems = Vec::new();
    let used = match (primary, backup) {
        (Some(primary), _) if primary.trust == Trust::Whole => primary,
        (Some(primary), Some(backup)) if backup.trust > primary.trust => {
            problems.push((primary.at, "GPT is damaged: its copy at the end is used".to_owned()));
            backup
        }
        (Some(primary), _) => {
            let message = "checksums of the GPT are wrong, and no copy of it is whole";
            problems.push((primary.at, message.to_owned()));
            primary
        }
        (None, Some(backup)) => {
            problems.push((backup.sector, "GPT is lost: its copy at the end is used".to_owned()));
            backup
        }
        (None, None) => return None,
    };
    let other = used.other.saturating_mul(used.sector);
    if other >= disk.size() && used.at < other {
        let message = format!("the GPT's copy should lie at {other:#x}: the disk is cut");
        problems.push((used.at, message));
    }
    let mut table = Table { areas: Vec::new(), problems };
    areas(&used, &mut table);
    Some(table)
}

fn areas(copy: &Copy, table: &mut Table) {
    for (number, entry) in copy.entries.chunks_exact(copy.entry_size).enumerate() {
        let Some(kind) = entry.first_chunk::<16>().filter(|kind| **kind != [0; 16]) else {
            continue;
        };
        let within = (number as u64).saturating_mul(copy.entry_size as u64);
        let at = copy.entries_at.saturating_add(within);
        let (Some(first), Some(last)) = (le64(entry, 32), le64(entry, 40)) else { continue };
        let sectors = last.checked_sub(first).and_then(|n| n.checked_add(1));
        let Some(sectors) = sectors.filter(|_| first > 0) else {
            table.problems.push((at, format!("GPT entry from sector {first} to {last}")));
            continue;
        };
        let units = entry.get(56..128).unwrap_or_default().chunks_exact(2);
        let units: Vec<u16> = units
            .filter_map(|pair| pair.try_into().ok().map(u16::from_le_bytes))
            .take_while(|unit| *unit != 0)
            .collect();
        table.areas.push(Area {
            start: first.saturating_mul(copy.sector),
            size: sectors.saturating_mul(copy.sector),
            type_name: guid::type_name(kind),
            name: Some(String::from_utf16_lossy(&units)).filter(|name| !name.is_empty()),
            device: entry.get(16..32).map(|guid| [b"DMIO:ID:".as_slice(), guid].concat()),
            entry: at,
        });
    }
}

/// A copy of the table whose header lies at `at`.
fn copy(disk: &dyn ReadAt, at: u64, sector: u64) -> Option<Copy> {
    let header = bytes_at(disk, at, usize::try_from(sector).ok()?);
    if !header.starts_with(SIGNATURE) {
        return None;
    }
    let count = le32(&header, 80)?;
    let size = le32(&header, 84)?;
    if count > MAX_ENTRIES || !(MIN_ENTRY..=MAX_ENTRY).contains(&size) {
        return None;
    }
    let entries_at = le64(&header, 72)?.saturating_mul(sector);
    let len = usize::try_from(count.checked_mul(size)?).ok()?;
    let entries = bytes_at(disk, entries_at, len);
    let trust = if !header_is_whole(&header) || le64(&header, 24)?.saturating_mul(sector) != at {
        Trust::Shape
    } else if entries.len() != len || le32(&header, 88) != Some(crc32fast::hash(&entries)) {
        Trust::Header
    } else {
        Trust::Whole
    };
    let other = le64(&header, 32)?;
    let entry_size = usize::try_from(size).ok()?;
    Some(Copy { trust, at, sector, other, entries_at, entry_size, entries })
}

fn header_is_whole(header: &[u8]) -> bool {
    let len = le32(header, 12).and_then(|len| usize::try_from(len).ok()).unwrap_or_default();
    let Some(bytes) = header.get(..len).filter(|bytes| bytes.len() >= MIN_HEADER) else {
        return false;
    };
    let mut crc = crc32fast::Hasher::new();
    crc.update(bytes.get(..16).unwrap_or_default());
    crc.update(&[0; 4]);
    crc.update(bytes.get(20..).unwrap_or_default());
    le32(header, 16) == Some(crc.finalize())
}
