//! The fixed binary layout around BinXML: file header, chunk header, record chain.
//!
//! ```text
//! file header, 4096 bytes        chunk header, 512 bytes       record
//!   0  "ElfFile\0"                 0  "ElfChnk\0"                0  2a 2a 00 00
//!   8  u64 oldest chunk            8  u64 first record number    4  u32 size
//!  16  u64 current chunk          16  u64 last record number     8  u64 record id
//!  24  u64 next record id         24  u64 first record id       16  u64 FILETIME
//!  40  u16 header block size      32  u64 last record id        24  BinXML
//!  42  u16 chunk count            44  u32 last record offset    -4  u32 size again
//! 120  u32 flags                  48  u32 free space offset
//! 124  u32 CRC32 of 0..120        52  u32 CRC32 of 512..free space
//!                                120  u32 flags
//!                                124  u32 CRC32 of 0..120 and 128..512
//! ```
//!
//! Source: the libevtx documentation of the format; every log of the samples.

use crate::model::from_filetime;
use jiff::Timestamp;

/// Bytes before the first chunk.
pub(super) const FILE_HEADER_BYTES: usize = 4096;
/// Bytes of one chunk.
pub(super) const CHUNK_BYTES: usize = 65536;
/// Bytes of a chunk before its first record.
pub(super) const CHUNK_HEADER_BYTES: usize = 512;
/// Bytes of a record before its BinXML.
pub(super) const RECORD_HEADER_BYTES: usize = 24;
/// The smallest record: header and the second copy of its size.
const SMALLEST_RECORD: usize = RECORD_HEADER_BYTES + 4;
/// No chunk holds more records than this.
const MAX_RECORDS_PER_CHUNK: u64 = (CHUNK_BYTES / SMALLEST_RECORD) as u64;

pub(super) const FILE_MAGIC: &[u8] = b"ElfFile\0";
pub(super) const CHUNK_MAGIC: &[u8] = b"ElfChnk\0";
pub(super) const RECORD_MAGIC: &[u8] = b"\x2a\x2a\0\0";

/// The log was not closed: counts and checksums may be older than the records.
const FLAG_DIRTY: u32 = 1;
/// No checksum is stored.
const FLAG_NO_CRC: u32 = 4;

pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(array(bytes, at)?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(array(bytes, at)?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(array(bytes, at)?))
}

/// What the file header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileHead {
    pub chunk_count: u16,
    pub dirty: bool,
    /// Its checksum fits, or it stores none.
    pub intact: bool,
}

impl FileHead {
    /// `None` when the bytes are no file header.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(FILE_MAGIC) {
            return None;
        }
        let flags = u32_at(bytes, 120)?;
        let stored = u32_at(bytes, 124)?;
        Some(Self {
            chunk_count: u16_at(bytes, 42)?,
            dirty: flags & FLAG_DIRTY != 0,
            intact: flags & FLAG_NO_CRC != 0 || crc32fast::hash(bytes.get(..120)?) == stored,
        })
    }
}

/// What a chunk header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChunkHead {
    first_id: u64,
    pub last_id: u64,
    /// Offset of the free space in the chunk.
    pub free_space: usize,
    events_crc: u32,
    head_crc: u32,
    checked: bool,
}

impl ChunkHead {
    /// `None` when the bytes are no chunk header.
    pub fn read(chunk: &[u8]) -> Option<Self> {
        if !chunk.starts_with(CHUNK_MAGIC) {
            return None;
        }
        Some(Self {
            first_id: u64_at(chunk, 24)?,
            last_id: u64_at(chunk, 32)?,
            free_space: usize::try_from(u32_at(chunk, 48)?).ok()?,
            events_crc: u32_at(chunk, 52)?,
            head_crc: u32_at(chunk, 124)?,
            checked: u32_at(chunk, 120)? & FLAG_NO_CRC == 0,
        })
    }

    /// The checksum that does not fit, if one does not.
    pub fn checksum_fault(&self, chunk: &[u8]) -> Option<&'static str> {
        if !self.checked {
            return None;
        }
        let mut head = crc32fast::Hasher::new();
        head.update(chunk.get(..120).unwrap_or_default());
        head.update(chunk.get(128..CHUNK_HEADER_BYTES).unwrap_or_default());
        if head.finalize() != self.head_crc {
            return Some("header checksum");
        }
        let events = chunk.get(CHUNK_HEADER_BYTES..self.free_space);
        (events.map(crc32fast::hash) != Some(self.events_crc)).then_some("checksum of the records")
    }

    /// Whether a record of this id is one of the chunk's own.
    pub fn holds(&self, id: u64) -> bool {
        (self.first_id..=self.last_id).contains(&id)
    }

    /// How many records the header promises; 0 when it promises nothing credible.
    ///
    /// A chunk never used has all ones in both ids.
    pub fn promised(&self) -> u64 {
        if self.first_id == u64::MAX {
            return 0;
        }
        let count = self.last_id.checked_sub(self.first_id).and_then(|n| n.checked_add(1));
        count.filter(|n| *n <= MAX_RECORDS_PER_CHUNK).unwrap_or_default()
    }
}

/// The facts of one record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHead {
    pub id: u64,
    /// FILETIME of writing.
    pub written: u64,
    /// Bytes, header and second size included.
    pub size: usize,
}

impl RecordHead {
    /// The header of the record at `at`, if one that is whole stands there.
    pub fn read(chunk: &[u8], at: usize) -> Option<Self> {
        let start = chunk.get(at..)?;
        if !start.starts_with(RECORD_MAGIC) {
            return None;
        }
        let stored = u32_at(start, 4)?;
        let size = usize::try_from(stored).ok()?;
        if size < SMALLEST_RECORD || u32_at(start, size.checked_sub(4)?)? != stored {
            return None;
        }
        Self::at(chunk, at)
    }

    /// The header at `at`, if it can be one, whatever the second copy of its size says.
    pub fn unlinked(chunk: &[u8], at: usize) -> Option<Self> {
        let marked = chunk.get(at..)?.starts_with(RECORD_MAGIC);
        Self::at(chunk, at).filter(|record| marked && record.size >= SMALLEST_RECORD)
    }

    /// The header at `at`, taken as it stands.
    pub fn at(chunk: &[u8], at: usize) -> Option<Self> {
        let start = chunk.get(at..)?;
        let size = usize::try_from(u32_at(start, 4)?).ok()?;
        Some(Self { id: u64_at(start, 8)?, written: u64_at(start, 16)?, size })
    }

    /// When it was written, if the time is one.
    pub fn time(&self) -> Option<Timestamp> {
        from_filetime(self.written)
    }
}

/// The chain of a chunk's live records, as their headers tell it.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    /// Offset in the chunk and header, in the order of the chunk.
    pub records: Vec<(usize, RecordHead)>,
    /// Offset in the chunk where no record stands though one should.
    pub broken_at: Option<usize>,
}

impl Chain {
    /// Follows the records from one to the next without looking into them.
    pub fn follow(chunk: &[u8], head: &ChunkHead) -> Self {
        let mut chain = Self::default();
        let end = head.free_space.min(chunk.len());
        let mut at = CHUNK_HEADER_BYTES;
        while at < end {
            let Some(record) = RecordHead::read(chunk, at) else {
                let blank = chunk.get(at..end).is_none_or(|rest| rest.iter().all(|b| *b == 0));
                chain.broken_at = (!blank).then_some(at);
                break;
            };
            chain.records.push((at, record));
            if record.id == head.last_id {
                break;
            }
            at = at.saturating_add(record.size);
        }
        if head.free_space > chunk.len() && chain.broken_at.is_none() {
            chain.broken_at = Some(chunk.len());
        }
        chain
    }
}
