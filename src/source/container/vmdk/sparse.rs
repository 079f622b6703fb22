//! A sparse extent: a directory of tables of grains, each plain or deflated.
//!
//! | offset in `KDMV` | bytes | |
//! |---|---|---|
//! | 8 | 4 | flags: 2 zero grains, 2^16 compressed |
//! | 12, 20 | 8 | sectors of the extent, of a grain |
//! | 28, 36 | 8 | sector and sectors of the descriptor |
//! | 44 | 4 | entries of a grain table |
//! | 48, 56 | 8 | sectors of the second and first directory; all ones: see the footer |
//! | 77 | 2 | compression, 1 is deflate |
//!
//! `COWD`: sectors at 12, grain at 16, directory at 20, its entries at 24; 4096 entries
//! in a table.

use std::io;

use super::super::bytes::{le16, le32, le64};
use super::super::cache::{Cache, copy, read_blocks};
use super::super::inflate::{Inflater, Wrapping};
use super::super::pages::Pages;
use super::super::parts::Parts;

const SECTOR: u64 = 512;
/// Bytes of a grain: 64 KiB is usual.
const MAX_GRAIN: u64 = 8 << 20;
const MAX_TABLE: u64 = 1 << 16;
/// Where the header's copy lies before the end of a streamed file.
const FOOTER: u64 = 1024;
const AT_END: u64 = u64::MAX;
const ZERO_GRAINS: u32 = 1 << 2;
const COMPRESSED: u32 = 1 << 16;
const COWD_TABLE: u64 = 4096;

/// What the extents of one disk share.
pub(super) struct Caches {
    pages: Pages,
    grains: Cache,
}

/// A sparse extent; offsets and sizes in bytes.
pub(super) struct Sparse {
    file: usize,
    size: u64,
    grain: u64,
    directory: u64,
    /// The second directory, if there is one.
    spare: Option<u64>,
    per_table: u64,
    zero_grains: bool,
    compressed: bool,
    /// Offset and length of an embedded descriptor; zero where there is none.
    pub(super) descriptor: (u64, usize),
}

impl Caches {
    pub(super) fn new() -> Self {
        Self { pages: Pages::new(), grains: Cache::of_chunks(64 * 1024) }
    }
}

impl Sparse {
    /// The header of a sparse extent, or where and what is wrong with it; `None` when
    /// it is none.
    pub(super) fn read(
        parts: &Parts,
        file: usize,
        start: &[u8],
    ) -> Option<Result<Self, (u64, String)>> {
        let cut = || (0, "the header is cut".to_owned());
        if start.starts_with(b"COWD") {
            return Some(Self::cowd(file, start).ok_or_else(cut).and_then(Self::checked));
        }
        if !start.starts_with(b"KDMV") {
            return None;
        }
        if le64(start, 56) != Some(AT_END) {
            return Some(Self::kdmv(file, start).ok_or_else(cut).and_then(Self::checked));
        }
        let at = parts.size(file).saturating_sub(FOOTER);
        let footer = parts.bytes(file, at, 512).unwrap_or_default();
        if !footer.starts_with(b"KDMV") {
            return Some(Err((at, "the footer with the directory is missing: cut".to_owned())));
        }
        let sparse = Self::kdmv(file, &footer).zip(Self::kdmv(file, start));
        Some(sparse.ok_or_else(cut).and_then(|(footer, header)| {
            Self { descriptor: header.descriptor, ..footer }.checked()
        }))
    }

    fn kdmv(file: usize, header: &[u8]) -> Option<Self> {
        let sectors = |at| le64(header, at).map(|n| n.saturating_mul(SECTOR));
        let flags = le32(header, 8)?;
        let len = usize::try_from(sectors(36)?).unwrap_or(usize::MAX);
        Some(Self {
            file,
            size: sectors(12)?,
            grain: sectors(20)?,
            directory: sectors(56)?,
            spare: sectors(48).filter(|at| *at > 0 && flags & 2 != 0),
            per_table: le32(header, 44)?.into(),
            zero_grains: flags & ZERO_GRAINS != 0,
            compressed: flags & COMPRESSED != 0 && le16(header, 77)? == 1,
            descriptor: (sectors(28)?, len),
        })
    }

    fn cowd(file: usize, header: &[u8]) -> Option<Self> {
        let sectors = |at| le32(header, at).map(|n| u64::from(n).saturating_mul(SECTOR));
        Some(Self {
            file,
            size: sectors(12)?,
            grain: sectors(16)?,
            directory: sectors(20)?,
            spare: None,
            per_table: COWD_TABLE,
            zero_grains: false,
            compressed: false,
            descriptor: (0, 0),
        })
    }

    fn checked(self) -> Result<Self, (u64, String)> {
        let Self { grain, per_table, .. } = self;
        if grain == 0 || grain > MAX_GRAIN || per_table == 0 || per_table > MAX_TABLE {
            return Err((20, format!("grains of {grain} bytes, {per_table} in a table")));
        }
        Ok(self)
    }

    /// Fills `to` from `within` of the extent, which the descriptor says to have
    /// `size` bytes; `below` fills what lies in no grain.
    pub(super) fn read_at(
        &self,
        parts: &Parts,
        caches: &Caches,
        (size, within): (u64, u64),
        to: &mut [u8],
        below: &(dyn Fn(u64, &mut [u8]) -> io::Result<()> + Sync),
    ) -> io::Result<()> {
        read_blocks((size, self.grain), within, to, |number, within, to| {
            let at = number.saturating_mul(self.grain).saturating_add(within);
            match self.grain(parts, caches, number)? {
                0 => below(at, to),
                1 if self.zero_grains => {
                    to.fill(0);
                    Ok(())
                }
                sector if self.compressed => {
                    let start = u64::from(sector).saturating_mul(SECTOR);
                    let key = ((self.file as u64) << 44) | number;
                    let grain = caches.grains.get(key, || self.expand(parts, number, start))?;
                    copy(&grain, within, to);
                    Ok(())
                }
                sector => {
                    let start = u64::from(sector).saturating_mul(SECTOR);
                    parts.read_exact(self.file, start.saturating_add(within), to)
                }
            }
        })?;
        Ok(())
    }

    /// The sector of a grain, 0 where it is in no table.
    fn grain(&self, parts: &Parts, caches: &Caches, number: u64) -> io::Result<u32> {
        let damaged = |what: String| {
            let path = parts.path(self.file).display();
            io::Error::new(io::ErrorKind::InvalidData, format!("{path}: {what}"))
        };
        if number.saturating_mul(self.grain) >= self.size {
            return Err(damaged(format!("grain {number} is beyond the extent")));
        }
        let index = number.checked_div(self.per_table).unwrap_or_default().saturating_mul(4);
        let within = number.checked_rem(self.per_table).unwrap_or_default().saturating_mul(4);
        let word = |at: u64| -> io::Result<u32> {
            caches.pages.array(parts, self.file, at).map(u32::from_le_bytes)
        };
        let beyond = |table: u32| u64::from(table).saturating_mul(SECTOR) >= parts.size(self.file);
        let mut table = word(self.directory.saturating_add(index))?;
        if beyond(table)
            && let Some(spare) = self.spare
        {
            table = word(spare.saturating_add(index))?;
        }
        if table == 0 {
            return Ok(0);
        }
        if beyond(table) {
            return Err(damaged(format!("grain table of grain {number} lies beyond the file")));
        }
        word(u64::from(table).saturating_mul(SECTOR).saturating_add(within))
    }

    /// The data of a compressed grain: its sector on the disk and its length go before.
    fn expand(&self, parts: &Parts, number: u64, at: u64) -> io::Result<Vec<u8>> {
        let damaged = |what: String| {
            let path = parts.path(self.file).display();
            io::Error::new(io::ErrorKind::InvalidData, format!("{path}: grain at {at:#x}: {what}"))
        };
        let mut head = [0; 12];
        parts.read_exact(self.file, at, &mut head)?;
        let len = le32(&head, 8).and_then(|len| usize::try_from(len).ok()).unwrap_or_default();
        let grain = usize::try_from(self.grain).map_err(|error| damaged(error.to_string()))?;
        if len > grain.saturating_mul(2) {
            return Err(damaged(format!("{len} bytes for a grain of {grain}")));
        }
        let bytes = parts.bytes(self.file, at.saturating_add(12), len)?;
        let data = Inflater::new(Wrapping::Zlib).inflate(&bytes, grain).map_err(damaged)?;
        let left = self.size.saturating_sub(number.saturating_mul(self.grain));
        if (data.len() as u64) < left.min(self.grain) {
            return Err(damaged(format!("holds {} bytes of {grain}", data.len())));
        }
        Ok(data)
    }
}
