//! The metadata of a VHDX: geometry, and where the parent is.

use super::super::bytes::{array, le16, le32, le64, utf16};
use super::super::hex;
use super::File;

const TABLE_LEN: usize = 0x1_0000;
const MAX_ITEMS: usize = 2047;
/// Bytes of an item of interest.
const MAX_ITEM: usize = 0x1_0000;
/// Bytes of a disk: 64 TiB by the specification.
const MAX_DISK: u64 = 64 << 40;
const BLOCKS: std::ops::RangeInclusive<u64> = 1 << 20..=256 << 20;
const FILE_PARAMETERS: [u8; 16] =
    *b"\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b";
const DISK_SIZE: [u8; 16] = *b"\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8";
const SECTOR_SIZE: [u8; 16] = *b"\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f";
const PARENT: [u8; 16] = *b"\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c";

/// Geometry in bytes, and the parent.
pub(super) struct Metadata {
    pub(super) size: u64,
    pub(super) block: u64,
    pub(super) sector: u64,
    pub(super) has_parent: bool,
    /// Relative ones first.
    pub(super) parent_names: Vec<String>,
    /// What the parent may be known by.
    pub(super) linkage: Vec<String>,
}

/// The metadata of a region, or where and what is wrong.
pub(super) fn read(file: &File, (at, _): (u64, u64)) -> Result<Metadata, (u64, String)> {
    let table = file.bytes(at, TABLE_LEN).map_err(|error| (at, error.to_string()))?;
    if !table.starts_with(b"metadata") {
        return Err((at, "metadata region is damaged".to_owned()));
    }
    let count = le16(&table, 10).map_or(0, usize::from).min(MAX_ITEMS);
    let item = |guid: [u8; 16], name: &str| -> Result<Vec<u8>, (u64, String)> {
        let missing = || (at, format!("metadata lack the {name}"));
        let entries = table.get(32..).unwrap_or_default();
        let entry = entries.chunks_exact(32).take(count).find(|entry| entry.starts_with(&guid));
        let entry = entry.ok_or_else(missing)?;
        let offset = le32(entry, 16).ok_or_else(missing)?;
        let len = le32(entry, 20).and_then(|len| usize::try_from(len).ok()).unwrap_or_default();
        let place = at.saturating_add(offset.into());
        file.bytes(place, len.min(MAX_ITEM)).map_err(|error| (place, error.to_string()))
    };
    let parameters = item(FILE_PARAMETERS, "file parameters")?;
    let block = le32(&parameters, 0).map_or(0, u64::from);
    let size = le64(&item(DISK_SIZE, "disk size")?, 0).unwrap_or_default();
    let sector = le32(&item(SECTOR_SIZE, "sector size")?, 0).map_or(0, u64::from);
    if !block.is_power_of_two()
        || !BLOCKS.contains(&block)
        || ![512, 4096].contains(&sector)
        || size > MAX_DISK
    {
        let what = format!("a disk of {size} bytes in blocks of {block} and sectors of {sector}");
        return Err((at, what));
    }
    let has_parent = le32(&parameters, 4).unwrap_or_default() & 2 != 0;
    let (mut parent_names, mut linkage) = (Vec::new(), Vec::new());
    if has_parent {
        let locator = item(PARENT, "parent locator")?;
        let pairs = pairs(&locator);
        let values = |key: &str| -> Vec<String> {
            pairs.iter().filter(|(name, _)| name == key).map(|(_, value)| value.clone()).collect()
        };
        for key in ["relative_path", "absolute_win32_path", "volume_path"] {
            parent_names.extend(values(key));
        }
        for key in ["parent_linkage", "parent_linkage2"] {
            linkage.extend(values(key).into_iter().map(|guid| {
                guid.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
            }));
        }
    }
    Ok(Metadata { size, block, sector, has_parent, parent_names, linkage })
}

/// Keys and values of a parent locator.
fn pairs(locator: &[u8]) -> Vec<(String, String)> {
    let count = le16(locator, 18).map_or(0, usize::from);
    let text = |at: Option<u32>, len: Option<u16>| {
        let at = usize::try_from(at?).ok()?;
        let bytes = locator.get(at..at.checked_add(usize::from(len?))?)?;
        Some(utf16(bytes, u16::from_le_bytes))
    };
    let entries = locator.get(20..).unwrap_or_default().chunks_exact(12).take(count);
    entries
        .filter_map(|entry| {
            let key = text(le32(entry, 0), le16(entry, 8))?;
            let value = text(le32(entry, 4), le16(entry, 10))?;
            Some((key, value))
        })
        .collect()
}

/// A GUID as its written digits without hyphens.
pub(super) fn guid_text(guid: &[u8; 16]) -> String {
    let turned = |at: usize, len: usize| -> Vec<u8> {
        guid.get(at..at.saturating_add(len)).unwrap_or_default().iter().rev().copied().collect()
    };
    let rest: [u8; 8] = array(guid, 8).unwrap_or_default();
    hex(&[turned(0, 4), turned(4, 2), turned(6, 2), rest.to_vec()].concat())
}
