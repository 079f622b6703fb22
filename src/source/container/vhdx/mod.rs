//! VHDX of Hyper-V: fixed, dynamic and differencing, with a log not yet applied.
//!
//! Numbers are little-endian. Two headers at 64 and 128 KiB, the later one counts; two
//! region tables at 192 and 256 KiB name the block table and the metadata; every third
//! thing carries a CRC-32C. MS-VHDX, revision 8.

mod log;
mod metadata;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::bytes::{array, le32, le64};
use super::cache::read_blocks;
use super::pages::Pages;
use super::parts::Parts;
use super::runs::by_runs;
use super::{ContainerError, Context, Opened, name_of, read_below};
use crate::model::ReadAt;
use metadata::Metadata;

/// First bytes.
pub(super) const SIGNATURE: &[u8] = b"vhdxfile";
const FORMAT: &str = "VHDX";
const HEADERS: [u64; 2] = [0x1_0000, 0x2_0000];
const REGION_TABLES: [u64; 2] = [0x3_0000, 0x4_0000];
const HEADER_LEN: usize = 4096;
const REGION_TABLE_LEN: usize = 0x1_0000;
const MAX_REGIONS: u32 = 2047;
const BAT: [u8; 16] = *b"\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08";
const METADATA: [u8; 16] = *b"\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";
/// Sectors that one block of bitmaps stands for.
const BITMAP_SECTORS: u64 = 1 << 23;
const MIB: u64 = 1 << 20;

/// Where things are, with the log applied.
struct File {
    parts: Parts,
    pages: Pages,
    /// 4-KiB sectors that the log replaces, by offset.
    replaced: BTreeMap<u64, Vec<u8>>,
}

struct Vhdx {
    file: File,
    size: u64,
    block: u64,
    sector: u64,
    /// Offset and entries of the block table.
    table: (u64, u64),
    /// Payload blocks to one block of bitmaps.
    ratio: u64,
    parent: Option<Arc<dyn ReadAt>>,
}

/// The header that counts.
struct Header {
    sequence: u64,
    data_write: [u8; 16],
    log: [u8; 16],
    log_len: u32,
    log_at: u64,
}

/// Opens a VHDX with its parents.
///
/// # Errors
///
/// When neither header or region table is whole, metadata are missing, or a parent is
/// missing or another one.
pub(super) fn open(path: &Path, context: &Context) -> Result<Opened, ContainerError> {
    let parts = context.parts(path)?;
    let unreadable = |error| ContainerError::unreadable(path, error);
    let damaged = |at: u64, what: &str| ContainerError::damaged(path, FORMAT, at, what);
    let mut header: Option<Header> = None;
    for at in HEADERS {
        match read_header(&parts.bytes(0, at, HEADER_LEN).map_err(unreadable)?) {
            Some(found) if header.as_ref().is_none_or(|h| found.sequence > h.sequence) => {
                header = Some(found);
            }
            Some(_) => {}
            None => context.log.note(path, Some(at), "a header is not whole: the other is used"),
        }
    }
    let header = header.ok_or_else(|| damaged(HEADERS[0], "neither header is whole"))?;
    let mut file = File { parts, pages: Pages::new(), replaced: BTreeMap::new() };
    if header.log != [0; 16] {
        file.replaced = log::replay(&file.parts, &header, &context.log);
    }
    let mut regions = None;
    for at in REGION_TABLES {
        if regions.is_none() {
            regions = read_regions(&file.bytes(at, REGION_TABLE_LEN).map_err(unreadable)?);
            if regions.is_none() {
                context.log.note(path, Some(at), "a region table is not whole");
            }
        }
    }
    let (bat, metadata) =
        regions.ok_or_else(|| damaged(REGION_TABLES[0], "neither region table is whole"))?;
    let metadata = metadata::read(&file, metadata)
        .map_err(|(at, what)| ContainerError::damaged(path, FORMAT, at, what))?;
    finish(path, file, &header, bat, &metadata, context)
}

fn finish(
    path: &Path,
    file: File,
    header: &Header,
    (bat, bat_len): (u64, u64),
    metadata: &Metadata,
    context: &Context,
) -> Result<Opened, ContainerError> {
    let ratio = (BITMAP_SECTORS.saturating_mul(metadata.sector) / metadata.block).max(1);
    let entries = bat_len / 8;
    let blocks = metadata.size.div_ceil(metadata.block);
    if blocks.saturating_add(blocks / ratio) > entries {
        let message = format!("{blocks} blocks, and a table of {entries} entries");
        context.log.note(path, Some(bat), message);
    }
    let mut paths = file.parts.paths();
    let mut parent = None;
    if metadata.has_parent {
        let (_, opened) = context.parent(path, &metadata.parent_names)?;
        let known = opened.identity.as_ref().is_some_and(|id| metadata.linkage.contains(id));
        if !known {
            return Err(ContainerError::Parent {
                path: path.to_owned(),
                parent: name_of(&opened),
                why: "has another identity: it is not the parent, or was changed".to_owned(),
            });
        }
        paths.extend(opened.parts);
        parent = Some(opened.disk);
    }
    let disk = Vhdx {
        file,
        size: metadata.size,
        block: metadata.block,
        sector: metadata.sector,
        table: (bat, entries),
        ratio,
        parent,
    };
    let identity = Some(metadata::guid_text(&header.data_write));
    Ok(Opened { disk: Arc::new(disk), format: FORMAT, parts: paths, stored: Vec::new(), identity })
}

fn read_header(bytes: &[u8]) -> Option<Header> {
    if !bytes.starts_with(b"head") || !is_whole(bytes) {
        return None;
    }
    Some(Header {
        sequence: le64(bytes, 8)?,
        data_write: array(bytes, 32)?,
        log: array(bytes, 48)?,
        log_len: le32(bytes, 68)?,
        log_at: le64(bytes, 72)?,
    })
}

/// Offset and length of the block table and of the metadata.
fn read_regions(bytes: &[u8]) -> Option<((u64, u64), (u64, u64))> {
    if !bytes.starts_with(b"regi") || !is_whole(bytes) {
        return None;
    }
    let count = usize::try_from(le32(bytes, 8)?.min(MAX_REGIONS)).ok()?;
    let find = |guid: [u8; 16]| {
        let entry = bytes.get(16..)?.chunks_exact(32).take(count).find(|e| e.starts_with(&guid))?;
        Some((le64(entry, 16)?, u64::from(le32(entry, 24)?)))
    };
    Some((find(BAT)?, find(METADATA)?))
}

/// Whether the CRC-32C at 4 is that of all bytes with that field zero.
fn is_whole(bytes: &[u8]) -> bool {
    let (Some(head), Some(tail)) = (bytes.get(..4), bytes.get(8..)) else { return false };
    let crc = [head, &[0; 4], tail].iter().fold(u32::MAX, |crc, part| crc32c(crc, part));
    le32(bytes, 4) == Some(!crc)
}

/// CRC-32C (Castagnoli), carried on from `crc`.
fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    bytes.iter().fold(crc, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    })
}

impl File {
    /// Up to `len` bytes of a structure, fewer at the end of the file.
    fn bytes(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = self.parts.bytes(0, at, len)?;
        self.replace(at, &mut bytes);
        Ok(bytes)
    }

    /// Fills `to` from `at`.
    fn read(&self, at: u64, to: &mut [u8]) -> io::Result<()> {
        self.parts.read_exact(0, at, to)?;
        self.replace(at, to);
        Ok(())
    }

    /// `N` bytes of a table.
    fn entry<const N: usize>(&self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = self.pages.array(&self.parts, 0, at)?;
        self.replace(at, &mut bytes);
        Ok(bytes)
    }

    /// Puts in what the log says of `bytes` at `at`.
    fn replace(&self, at: u64, bytes: &mut [u8]) {
        if self.replaced.is_empty() {
            return;
        }
        let end = at.saturating_add(bytes.len() as u64);
        for (place, sector) in self.replaced.range(at.saturating_sub(log::SECTOR - 1)..end) {
            let from = at.saturating_sub(*place);
            let to = place.saturating_sub(at);
            let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to)) else { continue };
            let (from, to) =
                (sector.get(from..).unwrap_or_default(), bytes.get_mut(to..).unwrap_or_default());
            let n = from.len().min(to.len());
            if let (Some(to), Some(from)) = (to.get_mut(..n), from.get(..n)) {
                to.copy_from_slice(from);
            }
        }
    }
}

/// Where a sector of a partly present block lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Here,
    Below,
}

impl Vhdx {
    fn table_entry(&self, number: u64) -> io::Result<u64> {
        let (table, entries) = self.table;
        if number >= entries {
            return Err(self.damaged(&format!("entry {number} is beyond the block table")));
        }
        Ok(u64::from_le_bytes(self.file.entry(table.saturating_add(number.saturating_mul(8)))?))
    }

    fn damaged(&self, what: &str) -> io::Error {
        let path = self.file.parts.path(0).display();
        io::Error::new(io::ErrorKind::InvalidData, format!("{path}: {what}"))
    }

    fn fill(&self, number: u64, within: u64, to: &mut [u8]) -> io::Result<()> {
        let chunk = number.checked_div(self.ratio).unwrap_or_default();
        let entry = self.table_entry(number.saturating_add(chunk))?;
        let at = number.saturating_mul(self.block).saturating_add(within);
        let data = (entry >> 20).saturating_mul(MIB);
        match entry & 7 {
            0 => read_below(self.parent.as_deref(), at, to),
            1..=3 => {
                to.fill(0); // undefined, zero, unmapped
                Ok(())
            }
            6 => self.file.read(data.saturating_add(within), to),
            7 => {
                let last = chunk.saturating_add(1).saturating_mul(self.ratio.saturating_add(1));
                let bitmap = self.table_entry(last.saturating_sub(1))?;
                if bitmap & 7 != 6 {
                    return Err(self.damaged(&format!("block {number} lacks its bitmap")));
                }
                self.fill_partly(number, within, (bitmap >> 20).saturating_mul(MIB), data, to)
            }
            state => Err(self.damaged(&format!("block {number} is in state {state}"))),
        }
    }

    fn fill_partly(
        &self,
        number: u64,
        within: u64,
        bitmap: u64,
        data: u64,
        to: &mut [u8],
    ) -> io::Result<()> {
        let start = number.saturating_mul(self.block);
        let first = start.checked_div(self.sector).unwrap_or_default() % BITMAP_SECTORS;
        let place = |sector: u64| {
            let bit = first.saturating_add(sector);
            let [bits] = self.file.entry(bitmap.saturating_add(bit / 8))?;
            Ok(if bits >> (bit % 8) & 1 == 1 { Place::Here } else { Place::Below })
        };
        by_runs(self.sector, within, to, place, |place, within, run| match place {
            Place::Here => self.file.read(data.saturating_add(within), run),
            Place::Below => read_below(self.parent.as_deref(), start.saturating_add(within), run),
        })
    }
}

impl ReadAt for Vhdx {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        read_blocks((self.size, self.block), offset, buf, |number, within, to| {
            self.fill(number, within, to)
        })
    }

    fn forget(&self) {
        self.file.parts.forget();
    }
}
