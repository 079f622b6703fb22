//! The bytes of a hive: base block, bins, cells, and the records in cells.
//!
//! A hive is a base block of 4096 bytes and hive bins, each a multiple of 4096
//! bytes, filled with cells. Offsets in records count from the first bin.
//!
//! ```text
//! base block  0 "regf" · 4, 8 sequence numbers · 36 root cell · 40 bins' size · 508 checksum
//! bin         0 "hbin" · 4 its offset · 8 its size · 32 cells
//! cell        0 i32 size, negative when allocated · 4 content
//! nk (key)    0 "nk" · 2 flags · 4 last written · 16 parent · 20 subkeys · 28 their list
//!             36 values · 40 their list · 44 sk · 48 class · 72 name's length · 76 name
//! vk (value)  0 "vk" · 2 name's length · 4 data's length · 8 data · 12 type · 16 flags · 20 name
//! lf lh       0 sig · 2 count · 4 (offset, hash)*       li ri  0 sig · 2 count · 4 offset*
//! db (data over 16344 bytes)  0 "db" · 2 segments · 4 list of their offsets
//! ```
//!
//! Source: M. Suhanov, "Windows registry file format specification".

/// Bytes before the first bin.
pub const BASE_BLOCK: usize = 4096;
/// Bins are multiples of this.
pub const PAGE: usize = 4096;
/// Bytes of a bin before its cells.
pub const BIN_HEADER: usize = 32;
/// "No cell" in an offset field.
pub const NO_CELL: u32 = u32::MAX;
/// Longest key name, in bytes of UTF-16 (255 characters), with room to spare.
const MAX_NAME_BYTES: usize = 1024;
/// Subkeys read of one key; Windows' own Components key stays far below.
pub const MAX_SUBKEYS: usize = 1 << 20;
/// Values read of one key.
pub const MAX_VALUES: usize = 1 << 17;
/// Bytes read of one value.
pub const MAX_VALUE_BYTES: usize = 16 << 20;
/// Data longer than this lies in segments of this size.
const SEGMENT: usize = 16344;

/// The little-endian number at `at`, if it is there.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let end = at.checked_add(2)?;
    bytes.get(at..end)?.try_into().ok().map(u16::from_le_bytes)
}

/// The little-endian number at `at`, if it is there.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    bytes.get(at..end)?.try_into().ok().map(u32::from_le_bytes)
}

/// The little-endian number at `at`, if it is there.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let end = at.checked_add(8)?;
    bytes.get(at..end)?.try_into().ok().map(u64::from_le_bytes)
}

/// A number of the file as a length or position; saturates on small machines.
pub fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// The UTF-16 units of bytes; an odd last byte is left out.
pub fn utf16_units(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_le_bytes))
}

/// A cell: whether it is in use and what it holds.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    pub allocated: bool,
    /// Content, without the size field.
    pub body: &'a [u8],
}

/// The cell whose size field stands at absolute `at`; `None` when its size is
/// impossible or reaches beyond the file.
pub fn cell_at(image: &[u8], at: usize) -> Option<Cell<'_>> {
    let raw = u32_at(image, at)?.cast_signed();
    let length = size(raw.unsigned_abs());
    if length < 8 || !length.is_multiple_of(8) || at < BASE_BLOCK {
        return None;
    }
    let body = image.get(at.checked_add(4)?..at.checked_add(length)?)?;
    Some(Cell { allocated: raw < 0, body })
}

/// The cell at an offset as records write it.
pub fn cell(image: &[u8], offset: u32) -> Option<Cell<'_>> {
    if offset == NO_CELL {
        return None;
    }
    cell_at(image, size(offset).checked_add(BASE_BLOCK)?)
}

/// A key record.
#[derive(Clone, Debug)]
pub struct KeyNode {
    pub name: String,
    /// FILETIME.
    pub last_written: u64,
    pub parent: u32,
    pub subkeys: u32,
    pub subkey_list: u32,
    pub values: u32,
    pub value_list: u32,
    pub security: u32,
    pub class: u32,
    pub class_length: u16,
    pub root: bool,
}

/// The key record in a cell's content.
pub fn key_node(body: &[u8]) -> Option<KeyNode> {
    const ROOT: u16 = 0x4;
    const LATIN1_NAME: u16 = 0x20;
    if body.get(..2)? != b"nk" {
        return None;
    }
    let flags = u16_at(body, 2)?;
    Some(KeyNode {
        name: name(body, 76, u16_at(body, 72)?, flags & LATIN1_NAME != 0)?,
        last_written: u64_at(body, 4)?,
        parent: u32_at(body, 16)?,
        subkeys: u32_at(body, 20)?,
        subkey_list: u32_at(body, 28)?,
        values: u32_at(body, 36)?,
        value_list: u32_at(body, 40)?,
        security: u32_at(body, 44)?,
        class: u32_at(body, 48)?,
        class_length: u16_at(body, 74)?,
        root: flags & ROOT != 0,
    })
}

/// A value record.
#[derive(Clone, Debug)]
pub struct ValueNode {
    pub name: String,
    /// Bytes, without the mark of resident data.
    pub length: usize,
    /// The data stand in `data` itself.
    pub resident: bool,
    /// Offset of the data, or the data.
    pub data: u32,
    pub kind: u32,
}

/// The value record in a cell's content.
pub fn value_node(body: &[u8]) -> Option<ValueNode> {
    const RESIDENT: u32 = 1 << 31;
    const LATIN1_NAME: u16 = 1;
    if body.get(..2)? != b"vk" {
        return None;
    }
    let length = u32_at(body, 4)?;
    let name_length = u16_at(body, 2)?;
    let flags = u16_at(body, 16)?;
    Some(ValueNode {
        name: name(body, 20, name_length, flags & LATIN1_NAME != 0)?,
        length: size(length & !RESIDENT),
        resident: length & RESIDENT != 0,
        data: u32_at(body, 8)?,
        kind: u32_at(body, 12)?,
    })
}

/// A name of `length` bytes: Latin-1 if marked so, else UTF-16LE.
fn name(body: &[u8], at: usize, length: u16, latin1: bool) -> Option<String> {
    let length = usize::from(length);
    let bytes = body.get(at..at.checked_add(length)?)?;
    if latin1 {
        return Some(bytes.iter().map(|b| char::from(*b)).collect());
    }
    let units = utf16_units(bytes.get(..length.min(MAX_NAME_BYTES))?);
    Some(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

/// The bytes of a value; `None` when their cells are not there.
///
/// `segmented`: whether this hive's format keeps long data in segments.
pub fn value_bytes(image: &[u8], value: &ValueNode, segmented: bool) -> Option<Vec<u8>> {
    if value.resident {
        return value.data.to_le_bytes().get(..value.length).map(<[u8]>::to_vec);
    }
    if value.length == 0 {
        return Some(Vec::new());
    }
    if value.length > MAX_VALUE_BYTES {
        return None;
    }
    let body = cell(image, value.data)?.body;
    if segmented && value.length > SEGMENT && body.get(..2) == Some(b"db") {
        return segments(image, body, value.length);
    }
    body.get(..value.length).map(<[u8]>::to_vec)
}

/// The offsets of the segments that a `db` record's content names.
pub fn segment_offsets(image: &[u8], body: &[u8]) -> Option<Vec<u32>> {
    let count = usize::from(u16_at(body, 2)?);
    let list = cell(image, u32_at(body, 4)?)?.body;
    let offsets = list.get(..count.checked_mul(4)?)?.chunks_exact(4);
    Some(offsets.filter_map(|offset| u32_at(offset, 0)).collect())
}

fn segments(image: &[u8], body: &[u8], length: usize) -> Option<Vec<u8>> {
    let offsets = segment_offsets(image, body)?;
    let mut out = Vec::with_capacity(length.min(offsets.len().saturating_mul(SEGMENT)));
    for offset in offsets {
        let part = cell(image, offset)?.body;
        let rest = length.checked_sub(out.len())?.min(SEGMENT);
        out.extend_from_slice(part.get(..rest)?);
    }
    (out.len() == length).then_some(out)
}

/// Whether the base block says that long data lie in segments (format 1.4 on).
pub fn segmented(image: &[u8]) -> bool {
    u32_at(image, 24).is_some_and(|minor| minor > 3)
}

/// One entry of a subkey list.
#[derive(Clone, Copy, Debug)]
pub struct SubkeyEntry {
    pub offset: u32,
    pub hash: EntryHash,
}

/// What a subkey list keeps of the name.
#[derive(Clone, Copy, Debug)]
pub enum EntryHash {
    Nothing,
    /// `lf`: its first four characters.
    Start(u32),
    /// `lh`: a hash of the whole name.
    Whole(u32),
}

/// The entries of a subkey list, index lists (`ri`) resolved.
///
/// # Errors
///
/// The absolute offset of the list that cannot be read, after `entries` got the
/// rest.
pub fn subkey_entries(
    image: &[u8],
    list: u32,
    entries: &mut Vec<SubkeyEntry>,
) -> Result<(), usize> {
    let place = size(list).saturating_add(BASE_BLOCK);
    let body = cell(image, list).filter(|c| c.allocated).ok_or(place)?.body;
    if body.get(..2) != Some(b"ri") {
        return leaf_entries(body, entries).ok_or(place);
    }
    let mut result = Ok(());
    for i in 0..usize::from(u16_at(body, 2).ok_or(place)?) {
        let Some(leaf) = i.checked_mul(4).and_then(|n| u32_at(body, n.checked_add(4)?)) else {
            return Err(place);
        };
        let leaf_place = size(leaf).saturating_add(BASE_BLOCK);
        let read = cell(image, leaf)
            .filter(|c| c.allocated)
            .and_then(|c| leaf_entries(c.body, entries))
            .ok_or(leaf_place);
        result = result.and(read);
        if entries.len() > MAX_SUBKEYS {
            return Err(leaf_place);
        }
    }
    result
}

fn leaf_entries(body: &[u8], entries: &mut Vec<SubkeyEntry>) -> Option<()> {
    let signature = body.get(..2)?;
    let width = match signature {
        b"lf" | b"lh" => 8,
        b"li" => 4,
        _ => return None,
    };
    for i in 0..usize::from(u16_at(body, 2)?) {
        let at = i.checked_mul(width)?.checked_add(4)?;
        let offset = u32_at(body, at)?;
        let hash = match signature {
            b"lf" => EntryHash::Start(u32_at(body, at.checked_add(4)?)?),
            b"lh" => EntryHash::Whole(u32_at(body, at.checked_add(4)?)?),
            _ => EntryHash::Nothing,
        };
        entries.push(SubkeyEntry { offset, hash });
    }
    Some(())
}
