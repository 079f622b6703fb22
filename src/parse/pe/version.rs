//! VERSIONINFO: the strings a program carries about itself.
//!
//! ```text
//! resource directory (16)  12 named entries  14 numbered entries, then 8 bytes each:
//! entry                    0 id or name      4 offset; high bit: of a directory, else of
//! data entry (16)          0 address         4 size
//! block                    0 length  2 value length  4 text?  6 key (UTF-16, NUL), padding to 4,
//!                          value, padding to 4, blocks
//! VS_VERSION_INFO ⊃ StringFileInfo ⊃ 040904B0 ⊃ CompanyName = …
//! ```

use super::image::Image;
use crate::parse::bytes::{piece, read_up_to, u16_at, u32_at};

/// Entries of one resource directory.
const MAX_ENTRIES: usize = 4096;
/// Bytes of a version resource.
const MAX_BYTES: usize = 256 << 10;
/// Strings of one file.
const MAX_STRINGS: usize = 256;
/// Bytes of a string that are kept.
const MAX_STRING_UNITS: usize = 4096;

const RESOURCES: usize = 2;
const VERSION_TYPE: u32 = 16;

/// What is wrong with a resource, and where in the file.
pub(super) struct Fault {
    pub offset: u64,
    pub what: &'static str,
}

/// Name and value of every string, in the file's order; none when there is no resource.
///
/// # Errors
///
/// When the resource is there and cannot be followed.
pub(super) fn strings(image: &Image<'_>) -> Result<Vec<(String, String)>, Fault> {
    let Some((address, _)) = image.directory(RESOURCES) else { return Ok(Vec::new()) };
    let Some(root) = image.offset_of(address) else {
        return Err(Fault { offset: 0, what: "resource directory in no section" });
    };
    let Some(found) = find(image, root)? else { return Ok(Vec::new()) };
    let (address, size) = found;
    let len = usize::try_from(size).unwrap_or(MAX_BYTES).min(MAX_BYTES);
    let bytes = image.at(address, len).unwrap_or_default();
    let mut strings = Vec::new();
    if bytes.len() < len || block(&bytes, 0, &mut strings).is_none() {
        return Err(Fault { offset: root, what: "version resource cut off" });
    }
    Ok(strings)
}

/// Address and size of the first version resource: type 16, any name, any language.
fn find(image: &Image<'_>, root: u64) -> Result<Option<(u32, u32)>, Fault> {
    let mut directory = root;
    for level in 0..3 {
        let header = read_up_to(image.source, directory, 16).unwrap_or_default();
        let count = || Some((usize::from(u16_at(&header, 12)?), usize::from(u16_at(&header, 14)?)));
        let Some((named, numbered)) = count() else {
            return Err(Fault { offset: directory, what: "resource directory cut off" });
        };
        let count = named.saturating_add(numbered).min(MAX_ENTRIES);
        let table = read_up_to(image.source, directory.saturating_add(16), count.saturating_mul(8));
        let table = table.unwrap_or_default();
        let (entries, _) = table.as_chunks::<8>();
        let mut entries = entries.iter().filter_map(|e| Some((u32_at(e, 0)?, u32_at(e, 4)?)));
        let next = entries.find(|(id, _)| level > 0 || *id == VERSION_TYPE);
        let Some((_, offset)) = next else { return Ok(None) };
        let below = offset & 0x7fff_ffff;
        directory = root.saturating_add(u64::from(below));
        if offset & 0x8000_0000 == 0 {
            break;
        }
    }
    let entry = read_up_to(image.source, directory, 16).unwrap_or_default();
    match u32_at(&entry, 0).zip(u32_at(&entry, 4)) {
        Some(found) => Ok(Some(found)),
        None => Err(Fault { offset: directory, what: "resource entry cut off" }),
    }
}

/// Reads one block and those inside it; `None` when its header is cut off.
fn block(bytes: &[u8], depth: usize, strings: &mut Vec<(String, String)>) -> Option<()> {
    const STRING_DEPTH: usize = 3;
    let len = usize::from(u16_at(bytes, 0)?).min(bytes.len());
    let value_len = usize::from(u16_at(bytes, 2)?);
    let is_text = u16_at(bytes, 4)? == 1;
    let bytes = bytes.get(..len)?;
    let (key, key_len) = wide(bytes.get(6..)?);
    let value_at = aligned(key_len.saturating_add(6));
    if depth == STRING_DEPTH {
        // Some writers count the value's bytes instead of its characters: up to the NUL then.
        let (value, _) = wide(bytes.get(value_at..).unwrap_or_default());
        if !key.is_empty() && strings.len() < MAX_STRINGS {
            strings.push((key, value.trim().to_owned()));
        }
        return Some(());
    }
    if depth == 1 && key != "StringFileInfo" {
        return Some(());
    }
    let value_bytes = if is_text { value_len.saturating_mul(2) } else { value_len };
    let mut at = aligned(value_at.saturating_add(value_bytes));
    while at < bytes.len() && strings.len() < MAX_STRINGS {
        let rest = bytes.get(at..)?;
        let len = u16_at(rest, 0).map(usize::from).filter(|len| *len >= 6);
        let Some(len) = len else { break };
        block(piece(rest, 0, len).unwrap_or(rest), depth.saturating_add(1), strings);
        at = aligned(at.saturating_add(len));
    }
    Some(())
}

/// The text up to its NUL and the bytes it takes, NUL included.
fn wide(bytes: &[u8]) -> (String, usize) {
    let (pairs, _) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| u16::from_le_bytes(*pair));
    let text: Vec<u16> = units.take(MAX_STRING_UNITS).take_while(|unit| *unit != 0).collect();
    let len = text.len().saturating_add(1).saturating_mul(2);
    (String::from_utf16_lossy(&text), len)
}

fn aligned(at: usize) -> usize {
    at.saturating_add(3) & !3
}
