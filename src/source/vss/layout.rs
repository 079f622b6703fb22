//! What VSS writes on a volume: headers, catalog entries, block descriptors.
//!
//! Everything is little-endian. Every structure starts with the same 48 bytes:
//!
//! ```text
//!  0  16  3808876b-c176-4e48-b7ae-04046e6cc752
//! 16  u32 version (1: Vista and 7, 2: 8 and later)
//! 20  u32 record type: 1 volume header, 2 catalog, 3 block list, 4 store, 5 ranges, 6 bitmap
//! 24  u64 offset in the file that this block belongs to
//! 32  u64 offset in the volume
//! 40  u64 offset in the volume of the next block, 0 for none
//! 48  u64 of the volume header: offset of the catalog; of a store: bytes that follow
//! ```
//!
//! Source: the format notes of libvshadow, sections 2 to 4.

use std::io;

use crate::model::ReadAt;

/// Offset of the volume header in the volume.
pub(super) const HEADER_AT: u64 = 0x1e00;
/// Bytes of a block, of metadata and of data alike.
pub(super) const BLOCK_BYTES: u64 = 16 << 10;
/// Bytes that an overlay tells apart in a block.
pub(super) const OVERLAY_UNIT: u64 = 512;
/// Bytes of the head of a metadata block.
pub(super) const HEAD_BYTES: usize = 128;

const IDENTIFIER: [u8; 16] = [
    0x6b, 0x87, 0x08, 0x38, 0x76, 0xc1, 0x48, 0x4e, 0xb7, 0xae, 0x04, 0x04, 0x6e, 0x6c, 0xc7, 0x52,
];

/// What a metadata block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Volume = 1,
    Catalog = 2,
    BlockList = 3,
    Store = 4,
    Bitmap = 6,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Volume => "volume header",
            Self::Catalog => "catalog block",
            Self::BlockList => "block list",
            Self::Store => "store header",
            Self::Bitmap => "bitmap block",
        }
    }
}

/// What the head of a metadata block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub next: u64,
    /// The catalog's offset, or the size of what follows a store's head.
    pub further: u64,
}

impl Head {
    /// The head at the start of `bytes`, which lie at `offset` of the volume.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn read(bytes: &[u8], kind: Kind, offset: u64) -> Result<Self, String> {
        let short = || format!("{} at {offset:#x}: only {} bytes", kind.as_str(), bytes.len());
        let wrong = |what: &str, found: u64| {
            Err(format!("{} at {offset:#x}: {what} {found:#x}", kind.as_str()))
        };
        if bytes.get(..16).ok_or_else(short)? != IDENTIFIER {
            return Err(format!("{} at {offset:#x}: no identifier", kind.as_str()));
        }
        let (version, of) = (u32_at(bytes, 16), u32_at(bytes, 20));
        let (version, of) = version.zip(of).ok_or_else(short)?;
        if !(1..=2).contains(&version) {
            return wrong("unknown version", version.into());
        }
        if of != kind as u32 {
            return wrong("is of another type,", of.into());
        }
        let here = u64_at(bytes, 32).ok_or_else(short)?;
        if here != offset && kind != Kind::Volume {
            return wrong("says it lies at", here);
        }
        let (next, further) = u64_at(bytes, 40).zip(u64_at(bytes, 48)).ok_or_else(short)?;
        Ok(Self { next, further })
    }
}

/// Whether a volume header starts there.
pub(super) fn is_vss(bytes: &[u8]) -> bool {
    bytes.starts_with(&IDENTIFIER)
}

/// One of two halves of what the catalog says of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Type 2: when it was made.
    Snapshot { store: Guid, volume_size: u64, sequence: u64, created: u64 },
    /// Type 3: where its data lie.
    Store { store: Guid, places: Places },
}

/// Offsets in the volume; 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub block_list: u64,
    pub header: u64,
    pub bitmap: u64,
    pub previous_bitmap: u64,
}

/// Bytes of a catalog entry.
pub(super) const ENTRY_BYTES: usize = 128;

impl Entry {
    /// The entry in these bytes; `None` for unused and unknown ones.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let store = Guid(bytes.get(16..32)?.try_into().ok()?);
        let number = |at| u64_at(bytes, at);
        match number(0)? {
            2 => Some(Self::Snapshot {
                store,
                volume_size: number(8)?,
                sequence: number(32)?,
                created: number(48)?,
            }),
            3 => Some(Self::Store {
                store,
                places: Places {
                    block_list: number(8)?,
                    header: number(32)?,
                    bitmap: number(48)?,
                    previous_bitmap: number(72)?,
                },
            }),
            _ => None,
        }
    }
}

/// Bytes of a block descriptor.
pub(super) const DESCRIPTOR_BYTES: usize = 32;

/// Where the old content of one block went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    /// Offset of the block in the volume.
    pub original: u64,
    /// Of a forwarder: where in the volume, at the time of the next store, it is.
    pub relative: u64,
    /// Where in the volume the copy lies.
    pub copy: u64,
    pub flags: u32,
    /// Of an overlay: which 512-byte parts it holds, lowest bit first.
    pub parts: u32,
}

impl Descriptor {
    const FORWARDER: u32 = 1;
    const OVERLAY: u32 = 2;
    const UNUSED: u32 = 4;

    /// The descriptor in these bytes; `None` for empty ones.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let found = Self {
            original: u64_at(bytes, 0)?,
            relative: u64_at(bytes, 8)?,
            copy: u64_at(bytes, 16)?,
            flags: u32_at(bytes, 24)?,
            parts: u32_at(bytes, 28)?,
        };
        bytes.iter().any(|byte| *byte != 0).then_some(found)
    }

    pub(super) fn is_forwarder(&self) -> bool {
        self.flags & Self::FORWARDER != 0
    }

    pub(super) fn is_overlay(&self) -> bool {
        self.flags & Self::OVERLAY != 0
    }

    pub(super) fn is_unused(&self) -> bool {
        self.flags & Self::UNUSED != 0
    }
}

/// A GUID; prints in lower case with hyphens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

impl std::fmt::Display for Guid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g, h, i, rest @ ..] = self.0;
        let (first, second) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, g]));
        let third = u16::from_le_bytes([h, i]);
        let [j, k, node @ ..] = rest;
        write!(f, "{first:08x}-{second:04x}-{third:04x}-{j:02x}{k:02x}-")?;
        node.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Guid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

/// Fills `buffer` from `offset`; returns how much of it the source had.
pub(super) fn read_full(source: &dyn ReadAt, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let n = source.read_at(offset.saturating_add(filled as u64), rest)?;
        if n == 0 {
            break;
        }
        filled = filled.saturating_add(n);
    }
    Ok(filled)
}
