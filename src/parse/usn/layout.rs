//! One record of the change journal as it lies on the disk.
//!
//! ```text
//! v2   v3   v4
//!  0    0    0  u32  length of the record, a multiple of 8
//!  4    4    4  u16  major version      6 u16 minor version (0)
//!  8    8    8  u64 / u128 / u128  file reference
//! 16   24   24  the same of the directory it lies in
//! 24   40   40  u64  update sequence number
//! 32   48    -  u64  time (FILETIME)
//! 40   56   48  u32  reasons
//! 44   60   52  u32  source
//! 48   64    -  u32  security id
//! 52   68    -  u32  file attributes
//! 56   72    -  u16  bytes of the name, 58 / 74 u16 its offset in the record
//!  -    -   56  u32  extents to come, 60 u16 extents here, 62 u16 bytes of each
//! 60   76   64  name in UTF-16LE; v4: extents, each u64 offset and u64 length
//! ```
//!
//! Source: Microsoft's documentation of USN_RECORD_V2, _V3 and _V4.

use crate::model::FileReference;
use crate::parse::bytes::{piece, u16_at, u32_at, u64_at};

/// Records are not longer than a page of the journal.
pub(super) const MAX_RECORD_BYTES: usize = 4096;
/// Records start at multiples of this.
pub(super) const ALIGNMENT: usize = 8;
/// Bytes of the shortest record that is none of anything else (v2, name of one letter).
const MIN_RECORD_BYTES: usize = 60;
/// Names have at most 255 characters.
const MAX_NAME_BYTES: usize = 510;

/// The reasons as the API names them, without `USN_REASON_`.
pub(super) const REASONS: &[(u32, &str)] = &[
    (0x0000_0001, "DATA_OVERWRITE"),
    (0x0000_0002, "DATA_EXTEND"),
    (0x0000_0004, "DATA_TRUNCATION"),
    (0x0000_0010, "NAMED_DATA_OVERWRITE"),
    (0x0000_0020, "NAMED_DATA_EXTEND"),
    (0x0000_0040, "NAMED_DATA_TRUNCATION"),
    (0x0000_0100, "FILE_CREATE"),
    (0x0000_0200, "FILE_DELETE"),
    (0x0000_0400, "EA_CHANGE"),
    (0x0000_0800, "SECURITY_CHANGE"),
    (RENAME_OLD_NAME, "RENAME_OLD_NAME"),
    (RENAME_NEW_NAME, "RENAME_NEW_NAME"),
    (0x0000_4000, "INDEXABLE_CHANGE"),
    (0x0000_8000, "BASIC_INFO_CHANGE"),
    (0x0001_0000, "HARD_LINK_CHANGE"),
    (0x0002_0000, "COMPRESSION_CHANGE"),
    (0x0004_0000, "ENCRYPTION_CHANGE"),
    (0x0008_0000, "OBJECT_ID_CHANGE"),
    (0x0010_0000, "REPARSE_POINT_CHANGE"),
    (0x0020_0000, "STREAM_CHANGE"),
    (0x0040_0000, "TRANSACTED_CHANGE"),
    (0x0080_0000, "INTEGRITY_CHANGE"),
    (0x0100_0000, "DESIRED_STORAGE_CLASS_CHANGE"),
    (0x8000_0000, "CLOSE"),
];
pub(super) const RENAME_OLD_NAME: u32 = 0x1000;
pub(super) const RENAME_NEW_NAME: u32 = 0x2000;

/// What a change is called by rules: of several reasons, the gravest.
const CATEGORIES: [(u32, &str); 3] = [
    (0x0000_0200, "file_delete"),
    (RENAME_OLD_NAME | RENAME_NEW_NAME, "file_rename"),
    (0x0000_0100, "file_event"),
];

/// The category of a record with these reasons; what neither creates, renames nor
/// deletes changes.
pub(super) fn category(reasons: u32) -> &'static str {
    let known = CATEGORIES.iter().find(|(bits, _)| reasons & bits != 0);
    known.map_or("file_change", |(_, category)| category)
}

/// Who caused a change, where that was not a program's own doing.
pub(super) const SOURCES: &[(u32, &str)] = &[
    (0x1, "DATA_MANAGEMENT"),
    (0x2, "AUXILIARY_DATA"),
    (0x4, "REPLICATION_MANAGEMENT"),
    (0x8, "CLIENT_REPLICATION_MANAGEMENT"),
];

const DIRECTORY: u32 = 0x10;

/// A file's identity: a [`FileReference`] on NTFS, 128 bits on ReFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Identity(pub u128);

impl Identity {
    /// The reference, unless the volume is none of NTFS.
    pub(super) fn reference(self) -> Option<FileReference> {
        u64::try_from(self.0).ok().map(FileReference::from_raw)
    }

    /// `4711-3`, or all digits where it is none of NTFS.
    pub(super) fn shown(self) -> String {
        self.reference().map_or_else(|| format!("{:#034x}", self.0), |r| r.to_string())
    }
}

/// One record of the journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub file: Identity,
    pub parent: Identity,
    pub usn: u64,
    /// FILETIME; `None` in version 4, which has no time.
    pub time: Option<u64>,
    pub reasons: u32,
    pub source: u32,
    pub attributes: u32,
    /// UTF-16LE; empty in version 4.
    pub name: &'a [u8],
    /// Offset and length pairs, 8 bytes each; version 4 only.
    pub extents: &'a [u8],
}

/// What starts at some place of the journal.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A whole record and its length.
    Entry(Entry<'a>, usize),
    /// The beginning of what may be a record.
    Cut,
    Foreign,
}

impl<'a> Found<'a> {
    /// What the bytes begin with.
    pub(super) fn at(bytes: &'a [u8]) -> Self {
        let Some(length) = length(bytes) else { return Self::Foreign };
        match bytes.get(..length) {
            None => Self::Cut,
            Some(record) => Entry::read(record).map_or(Self::Foreign, |e| Self::Entry(e, length)),
        }
    }
}

/// The length of the record whose first eight bytes these are, if they can be.
fn length(bytes: &[u8]) -> Option<usize> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let plausible = (MIN_RECORD_BYTES..=MAX_RECORD_BYTES).contains(&length)
        && length.is_multiple_of(ALIGNMENT)
        && matches!(u16_at(bytes, 4)?, 2..=4)
        && u16_at(bytes, 6)? == 0;
    plausible.then_some(length)
}

impl<'a> Entry<'a> {
    /// The record that these bytes are, all of them; `None` when something in it
    /// does not fit.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let entry = match u16_at(bytes, 4)? {
            2 => Self::named(bytes, 24, u64_at(bytes, 8)?.into(), u64_at(bytes, 16)?.into())?,
            3 => Self::named(bytes, 40, u128_at(bytes, 8)?, u128_at(bytes, 24)?)?,
            4 => Self::extents(bytes)?,
            _ => return None,
        };
        (i64::try_from(entry.usn).is_ok() && entry.reasons != 0).then_some(entry)
    }

    /// Versions 2 and 3, which differ in the width of references.
    fn named(bytes: &'a [u8], at: usize, file: u128, parent: u128) -> Option<Self> {
        let field = |further: usize| u32_at(bytes, at.checked_add(further)?);
        let size = |further: usize| u16_at(bytes, at.checked_add(further)?).map(usize::from);
        let (name_bytes, name_at) = (size(32)?, size(34)?);
        let header = at.checked_add(36)?;
        let fits = name_at == header
            && (2..=MAX_NAME_BYTES).contains(&name_bytes)
            && name_bytes.is_multiple_of(2);
        let name = piece(bytes, name_at, name_bytes).filter(|_| fits)?;
        let end = name_at.checked_add(name_bytes)?.checked_next_multiple_of(ALIGNMENT)?;
        (end == bytes.len()).then_some(())?;
        Some(Self {
            file: Identity(file),
            parent: Identity(parent),
            usn: u64_at(bytes, at)?,
            time: Some(u64_at(bytes, at.checked_add(8)?)?),
            reasons: field(16)?,
            source: field(20)?,
            attributes: field(28)?,
            name,
            extents: &[],
        })
    }

    fn extents(bytes: &'a [u8]) -> Option<Self> {
        let (count, size) = (usize::from(u16_at(bytes, 60)?), usize::from(u16_at(bytes, 62)?));
        let extents = piece(bytes, 64, count.checked_mul(size)?).filter(|_| size == 16)?;
        Some(Self {
            file: Identity(u128_at(bytes, 8)?),
            parent: Identity(u128_at(bytes, 24)?),
            usn: u64_at(bytes, 40)?,
            time: None,
            reasons: u32_at(bytes, 48)?,
            source: u32_at(bytes, 52)?,
            attributes: 0,
            name: &[],
            extents,
        })
    }

    /// The name, impossible characters replaced.
    pub(super) fn name(&self) -> String {
        let mut text = String::new();
        self.push_name(&mut text);
        text
    }

    /// Appends the name to a text.
    pub(super) fn push_name(&self, text: &mut String) {
        let (units, _) = self.name.as_chunks::<2>();
        let (mut lows, mut others) = ([0u8; MAX_NAME_BYTES / 2], 0u8);
        for (to, [low, high]) in lows.iter_mut().zip(units) {
            *to = *low;
            others |= *high | (*low & 0x80);
        }
        if let Some(Ok(plain)) = lows.get(..units.len()).map(std::str::from_utf8)
            && others == 0
        {
            text.push_str(plain);
            return;
        }
        let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
        text.extend(char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')));
    }

    /// Whether that is the name.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let (units, _) = self.name.as_chunks::<2>();
        units.iter().map(|unit| u16::from_le_bytes(*unit)).eq(name.encode_utf16())
    }

    pub(super) fn is_directory(&self) -> bool {
        self.attributes & DIRECTORY != 0 && !self.name.is_empty()
    }

    pub(super) fn has(&self, reason: u32) -> bool {
        self.reasons & reason != 0
    }
}

fn u128_at(bytes: &[u8], at: usize) -> Option<u128> {
    piece(bytes, at, 16)?.try_into().ok().map(u128::from_le_bytes)
}
