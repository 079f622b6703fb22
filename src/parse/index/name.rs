//! The $FILE_NAME structure, as index entries hold it.
//!
//! ```text
//!  0 u64 reference of the directory    40 u64 allocated bytes
//!  8 u64 created                       48 u64 bytes
//! 16 u64 modified                      56 u32 attributes, 60 u32 reparse tag
//! 24 u64 record changed                64 u8 letters of the name, 65 u8 namespace
//! 32 u64 accessed                      66 name in UTF-16LE
//! ```
//!
//! Source: the NTFS documentation of the Linux-NTFS project and of libfsntfs.

use crate::model::FileReference;
use crate::parse::bytes::{piece, u32_at, u64_at};

/// Bytes before the name.
pub(super) const FIXED_BYTES: usize = 66;

/// Who may see a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    Posix,
    Win32,
    /// The 8.3 name of a file that has another.
    Dos,
    /// A long name that is also a good 8.3 name.
    Win32AndDos,
}

impl Namespace {
    fn from_raw(raw: u8) -> Option<Self> {
        Some(match raw {
            0 => Self::Posix,
            1 => Self::Win32,
            2 => Self::Dos,
            3 => Self::Win32AndDos,
            _ => return None,
        })
    }

    /// The name as forensic tools write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Posix => "POSIX",
            Self::Win32 => "Win32",
            Self::Dos => "DOS",
            Self::Win32AndDos => "Win32+DOS",
        }
    }
}

/// What an index says of a file: a copy of its name and of its facts at the time of
/// the index's last update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// The directory it lies in; `None` when other bytes took its place.
    pub parent: Option<FileReference>,
    /// FILETIME as stored, each of the four.
    pub created: u64,
    pub modified: u64,
    pub changed: u64,
    pub accessed: u64,
    pub allocated_bytes: u64,
    pub bytes: u64,
    /// As stored: 0x10000000 is a directory.
    pub attributes: u32,
    pub namespace: Namespace,
    pub name: String,
}

/// From 1990 to 2100, in ticks since 1601.
const TIMES: std::ops::Range<u64> = 122_753_664_000_000_000..157_469_184_000_000_000;

impl FileName {
    /// The structure at the start of `bytes`, which may go on, and its length; `None`
    /// when its name does not fit.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let letters = usize::from(*bytes.get(64)?);
        let length = FIXED_BYTES.checked_add(letters.checked_mul(2)?)?;
        let units = piece(bytes, FIXED_BYTES, letters.checked_mul(2)?)?;
        let units = units.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
        // Most letters take a byte.
        let mut name = String::with_capacity(letters);
        name.extend(char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')));
        let number = |at| u64_at(bytes, at);
        let found = Self {
            parent: number(0).map(FileReference::from_raw).filter(is_plausible),
            created: number(8)?,
            modified: number(16)?,
            changed: number(24)?,
            accessed: number(32)?,
            allocated_bytes: number(40)?,
            bytes: number(48)?,
            attributes: u32_at(bytes, 56)?,
            namespace: Namespace::from_raw(*bytes.get(65)?)?,
            name,
        };
        (letters > 0).then_some((found, length))
    }

    /// Its length if it fits; only what is not wanted is not read.
    pub(super) fn length(bytes: &[u8]) -> Option<usize> {
        let letters = usize::from(*bytes.get(64)?);
        let length = FIXED_BYTES.checked_add(letters.checked_mul(2)?)?;
        Namespace::from_raw(*bytes.get(65)?)?;
        Some(length).filter(|length| letters > 0 && *length <= bytes.len())
    }

    /// Like [`Self::read`], for bytes that may be anything.
    pub(super) fn read_plausible(bytes: &[u8]) -> Option<(Self, usize)> {
        let dated = |at| u64_at(bytes, at).is_some_and(|time| TIMES.contains(&time));
        if ![8, 16, 24, 32].into_iter().all(dated) {
            return None;
        }
        Self::read(bytes).filter(|(file, _)| file.is_plausible())
    }

    /// Whether this was a file's entry and is not bytes that happen to look like one.
    pub(super) fn is_plausible(&self) -> bool {
        /// Attributes that exist.
        const ATTRIBUTES: u32 = 0x3057_ffff;
        const MAX_BYTES: u64 = 1 << 48;
        const FORBIDDEN: &[char] = &['"', '*', ':', '<', '>', '?', '\\', '|'];
        let times = [self.created, self.modified, self.changed, self.accessed];
        let posix = self.namespace == Namespace::Posix;
        let is_name =
            |c: char| c >= ' ' && c != '/' && c != '\u{fffd}' && (posix || !FORBIDDEN.contains(&c));
        times.iter().all(|time| TIMES.contains(time))
            && self.attributes & !ATTRIBUTES == 0
            && self.allocated_bytes < MAX_BYTES
            && self.bytes < MAX_BYTES
            && (self.namespace != Namespace::Dos || self.name.len() <= 12)
            && self.name.chars().all(is_name)
    }
}

/// Whether a file can have that reference.
pub(super) fn is_plausible(reference: &FileReference) -> bool {
    /// Files that a volume can have.
    const MAX_RECORDS: u64 = 1 << 32;
    reference.sequence != 0 && reference.record < MAX_RECORDS
}
