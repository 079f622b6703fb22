//! Headers of zip members and the records at the end that lead to them.
//!
//! ```text
//! end of central directory (4.3.16)   0 "PK\5\6"  4 disk  10 entries  12 size  16 offset
//! zip64 locator (4.3.15), 20 before   0 "PK\6\7"  8 offset of the zip64 end record
//! zip64 end record (4.3.14)           0 "PK\6\6" 32 entries  40 size  48 offset
//! central header (4.3.12)             0 "PK\1\2"  5 system  8 flags  10 method  16 crc  20 packed
//!                                    24 size  28 name  30 extra  32 comment  38 attributes
//!                                    42 offset  46 name, extra, comment
//! local header (4.3.7)                0 "PK\3\4"  6 flags  8 method  14 crc  18 packed
//!                                    22 size  26 name  28 extra   30 name, extra
//! ```
//!
//! Times: the header's own is local without a zone and no time; the extended
//! timestamp (0x5455) and NTFS's (0x000a) are UTC. Format: PKWARE APPNOTE 6.3.10.

use std::io;

use jiff::Timestamp;

use super::name::decode;
use super::stream::read_full;
use crate::model::{ReadAt, from_filetime, from_unix};

/// Bytes from the end in which the end record can stand.
const END_BYTES: u64 = 22 + 65_535 + 20 + 56;
/// Bytes of a local header before the name.
pub(super) const LOCAL_BYTES: usize = 30;
/// The longest entry of the directory: header, name, extra field and comment.
pub(super) const MAX_CENTRAL_BYTES: usize = 46 + 3 * 65_535;
/// All ones: the value stands in the zip64 field.
const IN_ZIP64: u64 = 0xffff_ffff;

/// Systems that separate names by backslashes: FAT, NTFS, VFAT, Windows.
const DOS_SYSTEMS: [u8; 4] = [0, 10, 11, 14];
/// Systems whose attributes hold a Unix mode: Unix, macOS.
const UNIX_SYSTEMS: [u8; 2] = [3, 19];

/// What a header says of a member.
#[derive(Clone, Debug, Default)]
pub(super) struct Header {
    pub(super) name: String,
    system: u8,
    flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    /// Bytes.
    pub(super) packed: u64,
    pub(super) size: u64,
    attributes: u32,
    /// Of the local header, from the start of the archive.
    pub(super) offset: u64,
    pub(super) modified: Option<Timestamp>,
    pub(super) accessed: Option<Timestamp>,
    /// The archive ends inside this member.
    pub(super) cut: bool,
}

impl Header {
    /// The member of an entry of the directory, and the entry's length.
    pub(super) fn central(bytes: &[u8]) -> Option<(Self, usize)> {
        if !bytes.starts_with(b"PK\x01\x02") {
            return None;
        }
        let name_at = 46_usize;
        let extra_at = name_at.checked_add(usize::from(u16_at(bytes, 28)?))?;
        let comment_at = extra_at.checked_add(usize::from(u16_at(bytes, 30)?))?;
        let end = comment_at.checked_add(usize::from(u16_at(bytes, 32)?))?;
        let name = bytes.get(name_at..extra_at)?;
        let mut header = Self {
            name: decode(name),
            system: *bytes.get(5)?,
            flags: u16_at(bytes, 8)?,
            method: u16_at(bytes, 10)?,
            crc: u32_at(bytes, 16)?,
            packed: u64::from(u32_at(bytes, 20)?),
            size: u64::from(u32_at(bytes, 24)?),
            attributes: u32_at(bytes, 38)?,
            offset: u64::from(u32_at(bytes, 42)?),
            ..Self::default()
        };
        bytes.get(comment_at..end)?;
        header.extra_fields(bytes.get(extra_at..comment_at)?, name);
        Some((header, end))
    }

    /// The member of a local header, and the header's length.
    pub(super) fn local(bytes: &[u8]) -> Option<(Self, usize)> {
        if !bytes.starts_with(b"PK\x03\x04") {
            return None;
        }
        let extra_at = LOCAL_BYTES.checked_add(usize::from(u16_at(bytes, 26)?))?;
        let end = extra_at.checked_add(usize::from(u16_at(bytes, 28)?))?;
        let name = bytes.get(LOCAL_BYTES..extra_at)?;
        let mut header = Self {
            name: decode(name),
            system: if name.contains(&b'/') { 3 } else { 0 },
            flags: u16_at(bytes, 6)?,
            method: u16_at(bytes, 8)?,
            crc: u32_at(bytes, 14)?,
            packed: u64::from(u32_at(bytes, 18)?),
            size: u64::from(u32_at(bytes, 22)?),
            ..Self::default()
        };
        header.extra_fields(bytes.get(extra_at..end)?, name);
        Some((header, end))
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether sizes and checksum stand after the data.
    pub(super) fn is_streamed(&self) -> bool {
        self.flags & 8 != 0
    }

    /// Whether it was written by a system that separates names by backslashes.
    pub(super) fn is_of_dos(&self) -> bool {
        DOS_SYSTEMS.contains(&self.system)
    }

    pub(super) fn is_directory(&self) -> bool {
        let dos = self.is_of_dos() && (self.attributes & 0x10 != 0 || self.name.ends_with('\\'));
        self.name.ends_with('/') || dos && self.size == 0 || self.unix_kind() == 0o04
    }

    pub(super) fn is_link(&self) -> bool {
        self.unix_kind() == 0o12
    }

    /// A pipe, socket or device.
    pub(super) fn is_special(&self) -> bool {
        matches!(self.unix_kind(), 0o01 | 0o02 | 0o06 | 0o14)
    }

    /// The type bits of the Unix mode; 0 where there are none.
    fn unix_kind(&self) -> u32 {
        if UNIX_SYSTEMS.contains(&self.system) { self.attributes >> 28 } else { 0 }
    }

    /// Takes what the extra fields know better: sizes beyond 4 GiB, times in UTC, Unicode names.
    fn extra_fields(&mut self, mut extra: &[u8], raw_name: &[u8]) {
        while let (Some(id), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
            let end = usize::from(length).saturating_add(4);
            let data = extra.get(4..end.min(extra.len())).unwrap_or_default();
            match id {
                0x0001 => self.zip64(data),
                0x000a if u16_at(data, 4) == Some(1) => {
                    self.modified = u64_at(data, 8).and_then(from_filetime).or(self.modified);
                    self.accessed = u64_at(data, 16).and_then(from_filetime).or(self.accessed);
                }
                0x5455 if data.first().is_some_and(|flags| flags & 1 != 0) => {
                    let seconds = u32_at(data, 1).map(|s| i64::from(s.cast_signed()));
                    let at = seconds.filter(|s| *s != 0).and_then(|s| from_unix(s, 0));
                    self.modified = self.modified.or(at);
                }
                0x7075 => {
                    let same = u32_at(data, 1) == Some(crc32fast::hash(raw_name));
                    let text = data.get(5..).and_then(|name| std::str::from_utf8(name).ok());
                    if let Some(name) = text.filter(|_| same && data.first() == Some(&1)) {
                        name.clone_into(&mut self.name);
                    }
                }
                _ => {}
            }
            extra = extra.get(end..).unwrap_or_default();
        }
    }

    fn zip64(&mut self, data: &[u8]) {
        let mut at = 0_usize;
        for value in [&mut self.size, &mut self.packed, &mut self.offset] {
            if *value == IN_ZIP64
                && let Some(wide) = u64_at(data, at)
            {
                *value = wide;
                at = at.saturating_add(8);
            }
        }
    }
}

/// Where the central directory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) offset: u64,
    /// Its entries, as said.
    pub(super) entries: u64,
    /// Bytes in front of the archive, by which all its offsets are shifted.
    pub(super) front: u64,
}

/// Finds the central directory; `None` when the archive has lost it.
///
/// # Errors
///
/// Of reading.
pub(super) fn find_directory(source: &dyn ReadAt) -> io::Result<Option<Directory>> {
    let base = source.size().saturating_sub(END_BYTES);
    let mut tail = vec![0; usize::try_from(source.size().min(END_BYTES)).unwrap_or_default()];
    let n = read_full(source, base, &mut tail)?;
    tail.truncate(n);
    let mut ends = memchr::memmem::rfind_iter(&tail, b"PK\x05\x06");
    let end = ends.find_map(|at| {
        let end = tail.get(at..)?;
        let comment = usize::from(u16_at(end, 20)?);
        (end.len() >= comment.saturating_add(22)).then_some((at, end))
    });
    let Some((at, end)) = end else { return Ok(None) };
    let mut entries = u64::from(u16_at(end, 10).unwrap_or_default());
    let mut size = u64::from(u32_at(end, 12).unwrap_or_default());
    let mut offset = u64::from(u32_at(end, 16).unwrap_or_default());
    let mut end_at = base.saturating_add(at as u64);
    let locator = at.checked_sub(20).and_then(|at| tail.get(at..));
    if let Some(locator) = locator.filter(|locator| locator.starts_with(b"PK\x06\x07")) {
        let said = u64_at(locator, 8).unwrap_or_default();
        for place in [said, end_at.saturating_sub(20 + 56)] {
            let mut record = [0; 56];
            if read_full(source, place, &mut record)? == 56 && record.starts_with(b"PK\x06\x06") {
                entries = u64_at(&record, 32).unwrap_or_default();
                size = u64_at(&record, 40).unwrap_or_default();
                offset = u64_at(&record, 48).unwrap_or_default();
                end_at = place;
                break;
            }
        }
    }
    let front = end_at.saturating_sub(offset.saturating_add(size));
    for front in [front, 0] {
        let offset = offset.saturating_add(front);
        let mut magic = [0; 4];
        if entries == 0 || read_full(source, offset, &mut magic)? == 4 && magic == *b"PK\x01\x02" {
            return Ok(Some(Directory { offset, entries, front }));
        }
    }
    Ok(None)
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}
