//! VHD of Virtual PC, Hyper-V and Azure: fixed, dynamic and differencing.
//!
//! All numbers are big-endian. A 512-byte footer ends the file (and begins it, if not
//! fixed): data offset at 16, size at 48, kind at 60, checksum at 64, identity at 68.
//! The dynamic header at the data offset names a table of blocks; a block is a bitmap
//! of its sectors and their data. Virtual Hard Disk Image Format Specification 1.0.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::bytes::{array, be32, be64, utf16};
use super::cache::read_blocks;
use super::pages::Pages;
use super::parts::Parts;
use super::runs::by_runs;
use super::{ContainerError, Context, Opened, hex, name_of, read_below};
use crate::model::ReadAt;

/// First bytes of a footer and its copy.
pub(super) const SIGNATURE: &[u8] = b"conectix";
const FORMAT: &str = "VHD";
const FOOTER: u64 = 512;
const SECTOR: u64 = 512;
/// Bytes of a block; 2 MiB is usual.
const MAX_BLOCK: u64 = 256 << 20;
/// Bytes of a disk: 64 TiB, the format itself allows 2040 GiB.
const MAX_DISK: u64 = 64 << 40;
/// Bytes of a parent's name.
const MAX_NAME: usize = 4096;
const UNUSED: u32 = u32::MAX;

struct Footer {
    data: u64,
    size: u64,
    kind: u32,
    identity: [u8; 16],
}

struct Vhd {
    parts: Parts,
    pages: Pages,
    size: u64,
    block: u64,
    /// Offset and number of the entries of the block table.
    table: u64,
    blocks: u64,
    /// Bytes of the bitmap before a block.
    bitmap: u64,
    parent: Option<Arc<dyn ReadAt>>,
}

/// Whether the file ends with a footer.
pub(super) fn ends_as_vhd(file: &dyn ReadAt) -> bool {
    let mut end = [0; 8];
    [FOOTER, FOOTER - 1].iter().any(|len| {
        let at = file.size().checked_sub(*len);
        at.is_some_and(|at| file.read_at(at, &mut end).is_ok_and(|n| n == 8) && end == SIGNATURE)
    })
}

/// Opens a VHD with its parents.
///
/// # Errors
///
/// When no footer is whole, the header is damaged, or a parent is missing or another one.
pub(super) fn open(path: &Path, context: &Context) -> Result<Opened, ContainerError> {
    let parts = context.parts(path)?;
    let unreadable = |error| ContainerError::unreadable(path, error);
    let file_size = parts.size(0);
    // Versions before 2004 wrote 511 bytes.
    let mut found = Vec::new();
    for at in [file_size.saturating_sub(FOOTER), file_size.saturating_sub(FOOTER - 1), 0] {
        let footer = read_footer(&parts.bytes(0, at, 512).map_err(unreadable)?);
        found.extend(footer.map(|(whole, footer)| (whole, at, footer)));
    }
    let at_end = found.first().is_some_and(|(_, at, _)| *at > 0 || file_size <= FOOTER);
    let best = found.iter().position(|(whole, ..)| *whole).unwrap_or(0);
    let Some((whole, at, footer)) = found.into_iter().nth(best) else {
        return Err(ContainerError::damaged(path, FORMAT, 0, "neither footer is there"));
    };
    if !whole {
        context.log.note(path, Some(at), "checksum of the footer is wrong");
    } else if !at_end || at == 0 {
        let message = "the footer is damaged or cut off: its copy at the start is used";
        context.log.note(path, Some(file_size.saturating_sub(FOOTER)), message);
    }
    if footer.size > MAX_DISK {
        let what = format!("a disk of {} bytes", footer.size);
        return Err(ContainerError::damaged(path, FORMAT, 48, what));
    }
    match footer.kind {
        2 => Ok(fixed(path, parts, &footer, context)),
        3 | 4 => blocks(path, parts, &footer, context),
        kind => Err(ContainerError::unsupported(path, FORMAT, format!("disk of type {kind}"))),
    }
}

/// A footer, and whether its checksum is right.
fn read_footer(bytes: &[u8]) -> Option<(bool, Footer)> {
    if !bytes.starts_with(SIGNATURE) {
        return None;
    }
    let footer = Footer {
        data: be64(bytes, 16)?,
        size: be64(bytes, 48)?,
        kind: be32(bytes, 60)?,
        identity: array(bytes, 68)?,
    };
    Some((be32(bytes, 64)? == checksum(bytes, 64), footer))
}

/// The complement of the sum of all bytes but those of the checksum at `at`.
fn checksum(bytes: &[u8], at: usize) -> u32 {
    let own = at..at.saturating_add(4);
    let others = bytes.iter().enumerate().filter(|(n, _)| !own.contains(n));
    !others.fold(0u32, |sum, (_, byte)| sum.wrapping_add((*byte).into()))
}

fn fixed(path: &Path, parts: Parts, footer: &Footer, context: &Context) -> Opened {
    let there = parts.size(0).saturating_sub(FOOTER - 1);
    if there < footer.size {
        let message = format!("the disk has {} bytes, {there} are there", footer.size);
        context.log.note(path, Some(there), message);
    }
    let parts_paths = parts.paths();
    Opened {
        disk: Arc::new(Fixed { parts, size: footer.size }),
        format: FORMAT,
        parts: parts_paths,
        stored: Vec::new(),
        identity: Some(hex(&footer.identity)),
    }
}

/// A fixed disk: the file without its footer.
struct Fixed {
    parts: Parts,
    size: u64,
}

impl ReadAt for Fixed {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let n = left.min(buf.len());
        self.parts.read_exact(0, offset, buf.get_mut(..n).unwrap_or_default())?;
        Ok(n)
    }
}

fn blocks(
    path: &Path,
    parts: Parts,
    footer: &Footer,
    context: &Context,
) -> Result<Opened, ContainerError> {
    let damaged = |at: u64, what: &str| ContainerError::damaged(path, FORMAT, at, what);
    let header = parts
        .bytes(0, footer.data, 1024)
        .map_err(|error| ContainerError::unreadable(path, error))?;
    if !header.starts_with(b"cxsparse") {
        return Err(damaged(footer.data, "the dynamic header is not there"));
    }
    if Some(checksum(&header, 36)) != be32(&header, 36) {
        context.log.note(path, Some(footer.data), "checksum of the dynamic header is wrong");
    }
    let cut = || damaged(footer.data, "the dynamic header is cut");
    let table = be64(&header, 16).ok_or_else(cut)?;
    let entries = be32(&header, 28).map(u64::from).ok_or_else(cut)?;
    let block = be32(&header, 32).map(u64::from).ok_or_else(cut)?;
    if !block.is_power_of_two() || !(SECTOR..=MAX_BLOCK).contains(&block) {
        return Err(damaged(footer.data, &format!("blocks of {block} bytes")));
    }
    let wanted = footer.size.div_ceil(block);
    if entries < wanted || table.saturating_add(wanted.saturating_mul(4)) > parts.size(0) {
        let message = format!("{wanted} blocks, and the table of {entries} entries is cut");
        context.log.note(path, Some(table), message);
    }
    let mut paths = parts.paths();
    let mut parent = None;
    if footer.kind == 4 {
        let (_, opened) = context.parent(path, &names(&parts, &header))?;
        let identity = array::<16>(&header, 40).map(|id| hex(&id));
        if opened.identity != identity {
            return Err(ContainerError::Parent {
                path: path.to_owned(),
                parent: name_of(&opened),
                why: "has another identity: it is not the parent, or was changed".to_owned(),
            });
        }
        paths.extend(opened.parts);
        parent = Some(opened.disk);
    }
    let bitmap = (block / SECTOR).div_ceil(8).next_multiple_of(SECTOR);
    let pages = Pages::new();
    let (size, blocks) = (footer.size, entries);
    let disk = Vhd { parts, pages, size, block, table, blocks, bitmap, parent };
    let identity = Some(hex(&footer.identity));
    Ok(Opened { disk: Arc::new(disk), format: FORMAT, parts: paths, stored: Vec::new(), identity })
}

/// The parent's names: relative ones first, then absolute ones.
fn names(parts: &Parts, header: &[u8]) -> Vec<String> {
    let mut relative = Vec::new();
    let mut absolute = Vec::new();
    for at in (576..768).step_by(24) {
        let (Some(code), Some(len), Some(offset)) =
            (array::<4>(header, at), be32(header, at + 8), be64(header, at + 16))
        else {
            continue;
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(MAX_NAME);
        let name = || utf16(&parts.bytes(0, offset, len).unwrap_or_default(), u16::from_le_bytes);
        match &code {
            b"W2ru" => relative.push(name()),
            b"W2ku" => absolute.push(name()),
            _ => {}
        }
    }
    relative.push(utf16(header.get(64..576).unwrap_or_default(), u16::from_be_bytes));
    relative.append(&mut absolute);
    relative.retain(|name| !name.is_empty());
    relative
}

impl Vhd {
    fn fill(&self, number: u64, within: u64, to: &mut [u8]) -> io::Result<()> {
        let at = number.saturating_mul(self.block).saturating_add(within);
        if number >= self.blocks {
            let path = self.parts.path(0).display();
            let message = format!("{path}: block {number} is not in the table of blocks");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let entry = self.table.saturating_add(number.saturating_mul(4));
        let sector = u32::from_be_bytes(self.pages.array(&self.parts, 0, entry)?);
        if sector == UNUSED {
            return read_below(self.parent.as_deref(), at, to);
        }
        let start = u64::from(sector).saturating_mul(SECTOR);
        let data = start.saturating_add(self.bitmap).saturating_add(within);
        let Some(parent) = &self.parent else { return self.parts.read_exact(0, data, to) };
        let place = |sector: u64| {
            let [bits] = self.pages.array(&self.parts, 0, start.saturating_add(sector / 8))?;
            Ok(bits & (0x80 >> (sector % 8)) != 0)
        };
        by_runs(SECTOR, within, to, place, |here, within, run| {
            if here {
                let data = start.saturating_add(self.bitmap).saturating_add(within);
                return self.parts.read_exact(0, data, run);
            }
            let at = number.saturating_mul(self.block).saturating_add(within);
            read_below(Some(&**parent), at, run)
        })
    }
}

impl ReadAt for Vhd {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        read_blocks((self.size, self.block), offset, buf, |number, within, to| {
            self.fill(number, within, to)
        })
    }
}
