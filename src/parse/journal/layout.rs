//! Header and objects of a journal file.
//!
//! ```text
//! header   0 "LPKSHHRH"  12 incompatible flags  88 size of the header  136 offset of the last object
//! object   0 type  1 flags (1 xz, 2 LZ4, 4 zstd)  8 size, then padding to 8 bytes
//! data     64 payload, in compact files 72:  FIELD=value
//! entry    16 number  24 µs since 1970  32 µs since boot  40 boot id  56 xor of hashes
//!          64 items: offset and hash, 8 bytes each; in compact files the offset alone, 4 bytes
//! ```

use crate::parse::ParseError;
use crate::parse::bytes::{u32_at, u64_at};

pub(super) const SIGNATURE: &[u8] = b"LPKSHHRH";
/// Bytes of a header that are looked at.
pub(super) const MAX_HEADER_BYTES: usize = 208;
/// Bytes of an object's own header.
pub(super) const HEAD_BYTES: usize = 16;
/// systemd writes no larger object.
const MAX_OBJECT_BYTES: u64 = 4 << 30;

/// What the file says of itself.
pub(super) struct Header {
    /// Where the first object lies.
    pub size: u64,
    /// Where the last object lies, as far as the file was closed.
    pub tail: u64,
    pub compact: bool,
}

impl Header {
    /// # Errors
    ///
    /// When the file is no journal, or of a version that is not known.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ParseError> {
        if !bytes.starts_with(SIGNATURE) {
            let found = format!("{:02x?}", bytes.get(..8).unwrap_or(bytes));
            return Err(ParseError::Foreign { format: "journal", found });
        }
        let broken = |offset, what: String| ParseError::Broken { format: "journal", offset, what };
        const COMPACT: u32 = 16;
        const KNOWN: u32 = 1 | 2 | 4 | 8 | COMPACT;
        let flags = u32_at(bytes, 12).ok_or_else(|| broken(0, "header cut off".into()))?;
        if flags & !KNOWN != 0 {
            let what = format!("unknown incompatible flags {flags:#x}, known are {KNOWN:#x}");
            return Err(broken(12, what));
        }
        let size = u64_at(bytes, 88).ok_or_else(|| broken(0, "header cut off".into()))?;
        if !(184..=4096).contains(&size) || size % 8 != 0 {
            let what = format!("the header has {size} bytes, expected 184 to 4096");
            return Err(broken(88, what));
        }
        let tail = u64_at(bytes, 136).unwrap_or_default();
        Ok(Self { size, tail, compact: flags & COMPACT != 0 })
    }
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Entry,
    /// Fields, hash tables, arrays of entries, seals.
    Other,
}

/// How a value is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Xz,
    Lz4,
    Zstd,
}

/// An object's own header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub at: u64,
    pub kind: Kind,
    flags: u8,
    /// Bytes, header included, padding not.
    pub size: u64,
}

impl Object {
    /// The object at `at` of a file of `end` bytes, or what is wrong with it.
    pub(super) fn read(head: &[u8], at: u64, end: u64) -> Result<Self, String> {
        let [kind, flags, reserved @ ..] = head.get(..8).unwrap_or_default() else {
            return Err("an object is cut off".into());
        };
        let size = u64_at(head, 8).ok_or("an object is cut off")?;
        let (kind, least) = match kind {
            1 => (Kind::Data, 64),
            3 => (Kind::Entry, 64),
            2 => (Kind::Other, 40),
            4 | 5 => (Kind::Other, 16),
            6 => (Kind::Other, 24),
            7 => (Kind::Other, 64),
            other => return Err(format!("an object of type {other}, expected 1 to 7")),
        };
        if *flags > 7 || reserved.iter().any(|b| *b != 0) {
            return Err(format!("an object with flags {flags:#x} or reserved bytes set"));
        }
        if size < least || size > MAX_OBJECT_BYTES {
            return Err(format!("an object of {size} bytes, expected at least {least}"));
        }
        if at.saturating_add(size) > end {
            return Err(format!("an object of {size} bytes reaches beyond the end"));
        }
        Ok(Self { at, kind, flags: *flags, size })
    }

    pub(super) fn end(&self) -> u64 {
        self.at.saturating_add(self.size)
    }

    /// Where the next object lies.
    pub(super) fn next(&self) -> u64 {
        self.end().checked_next_multiple_of(8).unwrap_or(u64::MAX)
    }

    /// Where a data object's value begins.
    pub(super) fn payload(&self, header: &Header) -> u64 {
        self.at.saturating_add(if header.compact { 72 } else { 64 })
    }

    pub(super) fn packing(&self) -> Option<Packing> {
        match self.flags & 7 {
            0 => None,
            1 => Some(Packing::Xz),
            2 => Some(Packing::Lz4),
            _ => Some(Packing::Zstd),
        }
    }
}

/// Number, time and the offsets of the fields of an entry.
pub(super) fn entry(bytes: &[u8], compact: bool) -> Option<(u64, u64, Vec<u64>)> {
    let (number, realtime) = (u64_at(bytes, 16)?, u64_at(bytes, 24)?);
    let items = bytes.get(64..)?;
    let offsets = if compact {
        let (items, _) = items.as_chunks::<4>();
        items.iter().map(|item| u64::from(u32::from_le_bytes(*item))).collect()
    } else {
        let (items, _) = items.as_chunks::<16>();
        items.iter().filter_map(|item| u64_at(item, 0)).collect()
    };
    Some((number, realtime, offsets))
}
