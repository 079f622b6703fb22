//! Compound files ("OLE"), as far as jump lists need them: streams below the root.
//!
//! ```text
//! header = magic:8 ?:16 ?:u16 version:u16 ?:u16 shift:u16 mini shift:u16 ?:6 ?:u32
//!          tables:u32 directory:u32 ?:u32 cutoff:u32 mini table:u32 ?:u32 more:u32 ?:u32
//!          table sectors:109×u32
//! entry  = name:64 bytes:u16 kind:u8 …:49 start:u32 size:u64              128 bytes
//! ```
//!
//! Source: [MS-CFB].

use super::super::bytes::{piece, u16_at, u32_at, u64_at, utf16_text};

const MAGIC: [u8; 8] = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
const HEADER_TABLES: usize = 109;
const ENTRY_BYTES: usize = 128;
/// Streams that are read.
const MAX_STREAMS: usize = 20_000;
/// Greatest sector number; those above mean an end or nothing.
const MAX_SECTOR: u32 = 0xffff_fffa;
const STREAM: u8 = 2;
const ROOT: u8 = 5;

/// Places that are broken, and how.
pub(super) type Faults = Vec<(usize, String)>;

/// An open compound file.
pub(super) struct Compound<'a> {
    bytes: &'a [u8],
    shift: u32,
    mini_shift: u32,
    cutoff: u64,
    table: Vec<u32>,
    mini_table: Vec<u32>,
    mini: Vec<u8>,
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    kind: u8,
    start: u32,
    size: u64,
}

impl<'a> Compound<'a> {
    /// Reads header, tables and directory; else what was found instead of a header.
    pub(super) fn read(bytes: &'a [u8], faults: &mut Faults) -> Result<Self, String> {
        if !bytes.starts_with(&MAGIC) {
            return Err(format!("{:02x?} at its start", bytes.get(..8).unwrap_or(bytes)));
        }
        let shift = u32::from(u16_at(bytes, 30).unwrap_or_default());
        let mini_shift = u32::from(u16_at(bytes, 32).unwrap_or_default());
        if !(7..=16).contains(&shift) || !(4..=shift).contains(&mini_shift) {
            return Err(format!("a compound file with sectors of 2^{shift} and 2^{mini_shift}"));
        }
        let mut found = Self {
            bytes,
            shift,
            mini_shift,
            cutoff: u64::from(u32_at(bytes, 56).unwrap_or_default()),
            table: Vec::new(),
            mini_table: Vec::new(),
            mini: Vec::new(),
            entries: Vec::new(),
        };
        found.table = found.read_table();
        let start = |at| u32_at(bytes, at).unwrap_or(u32::MAX);
        found.mini_table = numbers(found.chain(start(60)));
        let directory = found.chain(start(48));
        found.entries = directory.chunks_exact(ENTRY_BYTES).filter_map(Entry::read).collect();
        match found.entries.iter().find(|entry| entry.kind == ROOT) {
            Some(root) => found.mini = found.chain(root.start),
            None => faults.push((0, "no root among its streams".to_owned())),
        }
        Ok(found)
    }

    /// Each stream with its name in lower case; what is cut off is told.
    ///
    /// All of them together have no more bytes than the file: no sector is of two streams.
    pub(super) fn streams<'s>(
        &'s self,
        faults: &'s mut Faults,
    ) -> impl Iterator<Item = (String, Vec<u8>)> + 's {
        let streams = self.entries.iter().filter(|entry| entry.kind == STREAM);
        let mut left = self.bytes.len();
        streams.take(MAX_STREAMS).map(move |entry| {
            let content = self.content(entry, left);
            left = left.saturating_sub(content.len());
            if (content.len() as u64) < entry.size {
                let (has, size) = (content.len(), entry.size);
                faults.push((0, format!("stream {}: {has} of {size} bytes", entry.name)));
            }
            (entry.name.to_lowercase(), content)
        })
    }

    fn content(&self, entry: &Entry, limit: usize) -> Vec<u8> {
        let limit = usize::try_from(entry.size).unwrap_or(usize::MAX).min(limit);
        if entry.size < self.cutoff {
            let sector = |n: u32| self.piece(&self.mini, u64::from(n), self.mini_shift);
            follow(entry.start, &self.mini_table, limit, sector)
        } else {
            follow(entry.start, &self.table, limit, |number| self.sector(number))
        }
    }

    /// Every sector of the table that says which sector follows which.
    fn read_table(&self) -> Vec<u32> {
        let word = |n: usize| u32_at(self.bytes, n.saturating_mul(4).saturating_add(76));
        let mut sectors: Vec<u32> = (0..HEADER_TABLES).filter_map(word).collect();
        let mut next = u32_at(self.bytes, 68).unwrap_or(u32::MAX);
        for _ in 0..self.sectors() {
            let Some(more) = self.sector(next).filter(|_| next <= MAX_SECTOR) else { break };
            let mut more = numbers(more);
            next = more.pop().unwrap_or(u32::MAX);
            sectors.extend(more);
        }
        sectors.retain(|n| *n <= MAX_SECTOR);
        sectors.truncate(self.sectors());
        sectors.iter().filter_map(|n| self.sector(*n)).flat_map(numbers).collect()
    }

    /// Sectors that the file has room for: no chain is longer.
    fn sectors(&self) -> usize {
        (self.bytes.len() >> self.shift).saturating_add(1)
    }

    fn sector(&self, number: u32) -> Option<&[u8]> {
        // The header takes the place of one.
        self.piece(self.bytes, u64::from(number).checked_add(1)?, self.shift)
    }

    fn piece<'b>(&self, of: &'b [u8], number: u64, shift: u32) -> Option<&'b [u8]> {
        let at = usize::try_from(number.checked_mul(1 << shift)?).ok()?;
        let len = 1usize << shift;
        // The last sector may be cut short.
        piece(of, at, len).or_else(|| of.get(at..).filter(|rest| !rest.is_empty()))
    }

    /// No chain is longer than the file.
    fn chain(&self, start: u32) -> Vec<u8> {
        follow(start, &self.table, self.bytes.len(), |number| self.sector(number))
    }
}

/// The sectors from `start` on, as far as they are there, up to so many bytes; so a loop
/// ends.
fn follow<'b>(
    start: u32,
    table: &[u32],
    limit: usize,
    sector: impl Fn(u32) -> Option<&'b [u8]>,
) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), start);
    while out.len() < limit {
        let Some(bytes) = sector(at).filter(|_| at <= MAX_SECTOR) else { break };
        out.extend_from_slice(bytes);
        let next = usize::try_from(at).ok().and_then(|at| table.get(at));
        let Some(next) = next else { break };
        at = *next;
    }
    out.truncate(limit);
    out
}

fn numbers(bytes: impl AsRef<[u8]>) -> Vec<u32> {
    let (words, _) = bytes.as_ref().as_chunks::<4>();
    words.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

impl Entry {
    fn read(bytes: &[u8]) -> Option<Self> {
        let kind = *bytes.get(66)?;
        Some(Self {
            name: utf16_text(bytes.get(..64)?),
            kind,
            start: u32_at(bytes, 116)?,
            size: u64_at(bytes, 120)?,
        })
    }
}
