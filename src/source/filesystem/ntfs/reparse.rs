//! Reparse points: links and junctions, and files that are kept packed.
//!
//! ```text
//! point   = tag:32 length:16 0:16 data
//! symlink = name-at:16 name-length:16 print-at:16 print-length:16 flags:32 names
//! mount   = the same without flags
//! lx      = version:32 utf8
//! wof     = version:32 provider:32 file-version:32 algorithm:32
//! ```

use std::io;

use crate::model::ReadAt;

use super::super::bytes::{fill_exactly, piece, u16_at, u32_at};
use super::complaint::Wrong;
use super::open::{self, Found, Pick};
use super::record::REPARSE_POINT;
use super::row::node;
use super::table::Table;
use super::text;
use super::volume::Volume;

const SYMLINK: u32 = 0xa000_000c;
const MOUNT_POINT: u32 = 0xa000_0003;
const LX_SYMLINK: u32 = 0xa000_001d;
const WOF: u32 = 0x8000_0017;
/// `WOF_PROVIDER_FILE`: packed by itself, not within an image.
const WOF_FILE: u32 = 2;

/// The largest reparse point NTFS takes; bytes.
const MAX_POINT: u64 = 16 << 10;
/// So many reparse points that lie in clusters are read; few do.
const MAX_FAR: usize = 4096;

/// What a reparse point says that matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// A link and where it points, as stored.
    Link(String),
    /// Packed, by the algorithm of that number.
    Packed(u32),
    Other,
}

impl Point {
    pub(super) fn read(bytes: &[u8]) -> Self {
        Self::known(bytes).unwrap_or(Self::Other)
    }

    fn known(bytes: &[u8]) -> Option<Self> {
        match u32_at(bytes, 0)? {
            SYMLINK => Some(Self::Link(substitute(bytes, 20))),
            MOUNT_POINT => Some(Self::Link(substitute(bytes, 16))),
            LX_SYMLINK => {
                let length = usize::from(u16_at(bytes, 4)?);
                let target = bytes.get(12..length.checked_add(8)?.min(bytes.len()))?;
                Some(Self::Link(String::from_utf8_lossy(target).into_owned()))
            }
            WOF if u32_at(bytes, 12)? == WOF_FILE => Some(Self::Packed(u32_at(bytes, 20)?)),
            _ => None,
        }
    }
}

/// Reads the reparse points that lie in clusters.
pub(super) fn read_far(volume: &Volume, table: &mut Table) {
    let owners = std::mem::take(&mut table.points);
    for owner in owners.into_iter().take(MAX_FAR) {
        match far(volume, table, owner).map(|bytes| Point::read(&bytes)) {
            Ok(Point::Link(target)) => {
                table.set_flag(owner, node::LINK);
                table.targets.push((owner, target));
            }
            Ok(Point::Packed(_)) => table.set_flag(owner, node::WOF),
            Ok(Point::Other) => table.set_flag(owner, node::REPARSE),
            Err(_) => table.complaints.add(Wrong::Attribute, owner),
        }
    }
    table.targets.sort_by_key(|(owner, _)| *owner);
    table.targets.dedup_by_key(|(owner, _)| *owner);
}

/// The bytes of the reparse point of a file, wherever they lie.
///
/// # Errors
///
/// As [`open::attribute`]; `FileTooLarge` when it is larger than NTFS takes.
pub(super) fn far(volume: &Volume, table: &Table, owner: u32) -> io::Result<Vec<u8>> {
    match open::attribute(volume, table, owner, Pick::Named(REPARSE_POINT, &[]))? {
        Found::Resident(bytes) => Ok(bytes),
        Found::Extents { content, .. } if content.size() <= MAX_POINT => {
            let mut bytes = vec![0; usize::try_from(content.size()).unwrap_or_default()];
            fill_exactly(&content, 0, &mut bytes)?;
            Ok(bytes)
        }
        Found::Extents { .. } => Err(io::Error::from(io::ErrorKind::FileTooLarge)),
    }
}

/// The tag of a reparse point, which says whose it is.
pub(super) fn tag(point: &[u8]) -> u32 {
    u32_at(point, 0).unwrap_or_default()
}

/// The name that the system follows; empty where it cannot be read.
fn substitute(bytes: &[u8], names: usize) -> String {
    let name = || {
        let at = usize::from(u16_at(bytes, 8)?).checked_add(names)?;
        piece(bytes, at, usize::from(u16_at(bytes, 10)?))
    };
    name().map(text::text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(tag: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = tag.to_le_bytes().to_vec();
        bytes.extend((data.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(data);
        bytes
    }

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn links_say_where_they_point() {
        let mut data = vec![0, 0, 12, 0, 12, 0, 0, 0];
        data.extend(utf16("\\??\\C:"));
        let link = |target: &str| Point::Link(target.to_owned());
        assert_eq!(Point::read(&point(MOUNT_POINT, &data)), link("\\??\\C:"));
        data.splice(8..8, [1, 0, 0, 0]);
        assert_eq!(Point::read(&point(SYMLINK, &data)), link("\\??\\C:"));
        assert_eq!(Point::read(&point(SYMLINK, &data[..14])), link(""));
        assert_eq!(Point::read(&point(LX_SYMLINK, b"\x02\0\0\0/etc")), link("/etc"));
    }

    #[test]
    fn packed_files_name_their_algorithm() {
        let data: Vec<u8> = [1u32, 2, 1, 3].iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(Point::read(&point(WOF, &data)), Point::Packed(3));
        assert_eq!(Point::read(&point(WOF, &data[..8])), Point::Other);
        assert_eq!(Point::read(&point(0x9000_001a, &data)), Point::Other);
        assert_eq!(Point::read(&[]), Point::Other);
    }
}
