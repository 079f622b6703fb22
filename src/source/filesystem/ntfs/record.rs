//! One record of `$MFT`: fixups, header and attributes.
//!
//! ```text
//! record    = "FILE" fixup-at:16 fixup-count:16 lsn:64 sequence:16 links:16 first:16
//!             flags:16 used:32 allocated:32 base:64 next-id:16 … attribute* ff ff ff ff
//! attribute = kind:32 length:32 non-resident:8 name-length:8 name-at:16 flags:16 id:16 body
//! resident  = length:32 at:16 …
//! extents   = first:64 last:64 pairs-at:16 unit:8 … allocated:64 size:64 initialized:64
//! ```
//!
//! The last two bytes of every 512 hold the update sequence number; what stood
//! there is kept behind the header. A mismatch is a write that was torn.

use super::super::bytes::{piece, u16_at, u32_at, u64_at};

/// Update sequence numbers stand every so many bytes, whatever the sector size.
const STRIDE: usize = 512;
const END: u32 = 0xffff_ffff;

pub(super) const STANDARD_INFORMATION: u32 = 0x10;
pub(super) const ATTRIBUTE_LIST: u32 = 0x20;
pub(super) const FILE_NAME: u32 = 0x30;
pub(super) const DATA: u32 = 0x80;
pub(super) const INDEX_ROOT: u32 = 0x90;
pub(super) const INDEX_ALLOCATION: u32 = 0xa0;
/// The name of a directory's index, UTF-16LE.
pub(super) const I30: &[u8] = b"$\0I\x003\x000\0";
pub(super) const REPARSE_POINT: u32 = 0xc0;

/// Attribute flags.
pub(super) const COMPRESSED: u16 = 0x00ff;
pub(super) const ENCRYPTED: u16 = 0x4000;

/// A record's number and how often it had been given to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Reference {
    pub(super) number: u64,
    pub(super) sequence: u16,
}

impl Reference {
    pub(super) fn of(packed: u64) -> Self {
        let [.., low, high] = packed.to_le_bytes();
        Self { number: packed & 0xffff_ffff_ffff, sequence: u16::from_le_bytes([low, high]) }
    }
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Damage {
    /// All bytes of the signature are zero: never used, no damage.
    Unused,
    /// Marked `BAAD` by a consistency check.
    Baad,
    Signature,
    /// The update sequence does not match: a torn or foreign write.
    Torn,
    /// The header's numbers lie outside of the record.
    Header,
}

impl Damage {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unused => "record never used",
            Self::Baad => "record marked BAAD: a consistency check gave it up; not read",
            Self::Signature => "record does not begin with FILE; not read",
            Self::Torn => "record's update sequence does not match: a torn write; not read",
            Self::Header => "record's header points outside of it; not read",
        }
    }
}

/// A record with its fixups applied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) sequence: u16,
    pub(super) flags: u16,
    /// The record that this one continues; zero for none.
    pub(super) base: u64,
    attributes: &'a [u8],
    first: usize,
    /// What lies behind all attributes, from where an entry of an index may begin.
    pub(super) slack: &'a [u8],
}

impl<'a> Record<'a> {
    /// Applies the fixups in place and reads the header.
    ///
    /// # Errors
    ///
    /// [`Damage`] when the record cannot be trusted.
    pub(super) fn read(bytes: &'a mut [u8]) -> Result<Self, Damage> {
        fix(bytes, *b"FILE")?;
        Self::of_fixed(bytes)
    }

    /// Reads the header of a record whose fixups are applied.
    ///
    /// # Errors
    ///
    /// [`Damage::Header`].
    pub(super) fn of_fixed(bytes: &'a [u8]) -> Result<Self, Damage> {
        let header = || -> Option<Self> {
            let first = usize::from(u16_at(bytes, 20)?);
            let used = usize::try_from(u32_at(bytes, 24)?).ok()?.min(bytes.len());
            let attributes = bytes.get(..used)?;
            attributes.get(first..)?;
            Some(Self {
                sequence: u16_at(bytes, 16)?,
                flags: u16_at(bytes, 22)?,
                base: u64_at(bytes, 32)?,
                attributes,
                first,
                slack: bytes.get(used.next_multiple_of(8)..).unwrap_or_default(),
            })
        };
        header().ok_or(Damage::Header)
    }

    pub(super) fn in_use(&self) -> bool {
        self.flags & 1 != 0
    }

    pub(super) fn is_directory(&self) -> bool {
        self.flags & 2 != 0
    }

    /// Its attributes in order.
    pub(super) fn attributes(&self) -> Attributes<'a> {
        Attributes { bytes: self.attributes, at: self.first, broken: false }
    }
}

/// Applies the update sequence of a record or index block in place.
///
/// # Errors
///
/// [`Damage`]; the bytes are then as they were, or in part fixed.
pub(super) fn fix(bytes: &mut [u8], signature: [u8; 4]) -> Result<(), Damage> {
    match bytes.first_chunk::<4>() {
        Some(found) if *found == signature => {}
        Some([0, 0, 0, 0]) => return Err(Damage::Unused),
        Some(b"BAAD") => return Err(Damage::Baad),
        _ => return Err(Damage::Signature),
    }
    let at = usize::from(u16_at(bytes, 4).ok_or(Damage::Header)?);
    let count = usize::from(u16_at(bytes, 6).ok_or(Damage::Header)?);
    if count.saturating_sub(1).saturating_mul(STRIDE) != bytes.len() || at < 40 {
        return Err(Damage::Header);
    }
    let mark = u16_at(bytes, at).ok_or(Damage::Header)?.to_le_bytes();
    for n in 1..count {
        let kept = u16_at(bytes, at.saturating_add(n.saturating_mul(2))).ok_or(Damage::Header)?;
        let end = n.saturating_mul(STRIDE);
        let last = bytes.get_mut(end.saturating_sub(2)..end).ok_or(Damage::Header)?;
        if *last != mark {
            return Err(Damage::Torn);
        }
        last.copy_from_slice(&kept.to_le_bytes());
    }
    Ok(())
}

/// The attributes of one record.
#[derive(Clone, Debug)]
pub(super) struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
    broken: bool,
}

impl Attributes<'_> {
    /// Whether an attribute could not be read, and those behind it with it.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        if self.broken || u32_at(self.bytes, self.at) == Some(END) {
            return None;
        }
        let attribute = Attribute::read(self.bytes, self.at);
        match attribute {
            Some((attribute, length)) => {
                self.at = self.at.saturating_add(length);
                Some(attribute)
            }
            None => {
                self.broken = true;
                None
            }
        }
    }
}

/// One attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    pub(super) kind: u32,
    pub(super) id: u16,
    pub(super) flags: u16,
    /// UTF-16LE.
    pub(super) name: &'a [u8],
    pub(super) body: Body<'a>,
}

/// Where an attribute's content is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'a> {
    /// In the record.
    Resident(&'a [u8]),
    /// In clusters.
    Extents(Extents<'a>),
}

/// One piece of the content that lies in clusters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extents<'a> {
    /// First cluster of the content that this piece maps.
    pub(super) first: u64,
    /// Clusters per compression unit, as a power of two; 0 for none.
    pub(super) unit: u8,
    /// Bytes; meant only where `first` is 0.
    pub(super) size: u64,
    /// Bytes that were written; zeros follow. Meant only where `first` is 0.
    pub(super) initialized: u64,
    /// The mapping pairs.
    pub(super) pairs: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The attribute at `at` and its length.
    fn read(bytes: &'a [u8], at: usize) -> Option<(Self, usize)> {
        let kind = u32_at(bytes, at)?;
        let length = usize::try_from(u32_at(bytes, at.checked_add(4)?)?).ok()?;
        let own = piece(bytes, at, length).filter(|own| own.len() >= 24)?;
        let name_length = usize::from(*own.get(9)?).saturating_mul(2);
        let name = match name_length {
            0 => &[],
            n => piece(own, usize::from(u16_at(own, 10)?), n)?,
        };
        let body = match *own.get(8)? {
            0 => Body::Resident(piece(
                own,
                usize::from(u16_at(own, 20)?),
                usize::try_from(u32_at(own, 16)?).ok()?,
            )?),
            _ => Body::Extents(Extents {
                first: u64_at(own, 16)?,
                unit: *own.get(34)?,
                size: u64_at(own, 48)?,
                initialized: u64_at(own, 56)?,
                pairs: own.get(usize::from(u16_at(own, 32)?)..)?,
            }),
        };
        let attribute = Self { kind, id: u16_at(own, 14)?, flags: u16_at(own, 12)?, name, body };
        Some((attribute, length))
    }
}
