//! The volumes of a disk: by its GPT, its MBR with the chain of extended partitions,
//! or the one that fills it without any table.
//!
//! Sectors are 512 or 4096 bytes. What a damaged table still says is used; what
//! overlaps or lies beyond the disk is told.

mod gpt;
mod guid;
mod mbr;
mod signature;

use std::io;
use std::sync::Arc;

use crate::model::{Locator, Problem, ReadAt, Stage};

/// Sector sizes that disks have, in bytes.
const SECTOR_SIZES: [u64; 2] = [512, 4096];

/// The volumes of a disk, and what is wrong with its table.
pub struct Volumes {
    /// In disk order, numbered from 1.
    pub volumes: Vec<Volume>,
    /// Without a path, since a disk knows none; the locator is an offset on the disk.
    pub problems: Vec<Problem>,
}

/// One volume of a disk.
pub struct Volume {
    /// From 1, in disk order.
    pub number: usize,
    /// Bytes from the start of the disk.
    pub start: u64,
    /// Bytes; what the table says, cut at the end of the disk.
    pub size: u64,
    /// What the table says it holds, or what its first bytes say where there is none.
    pub type_name: String,
    /// The label of a GPT entry, if not empty.
    pub name: Option<String>,
    /// What Windows knows it by in `MountedDevices`: the disk's signature and the
    /// volume's offset, or `DMIO:ID:` and the GUID of its GPT entry.
    pub device: Option<Vec<u8>>,
    pub bytes: Arc<dyn ReadAt>,
}

/// An area that a table names.
struct Area {
    start: u64,
    size: u64,
    type_name: String,
    name: Option<String>,
    device: Option<Vec<u8>>,
    /// Where its entry lies on the disk.
    entry: u64,
}

/// What a table says.
#[derive(Default)]
struct Table {
    areas: Vec<Area>,
    problems: Vec<(u64, String)>,
}

/// The volumes of a disk.
pub fn volumes(disk: Arc<dyn ReadAt>) -> Volumes {
    let mut table = table(&*disk);
    table.areas.sort_by_key(|area| (area.start, area.size, area.entry));
    let mut problems = std::mem::take(&mut table.problems);
    let mut volumes: Vec<Volume> = Vec::new();
    let disk_size = disk.size();
    let mut end = 0u64;
    for area in table.areas {
        let area_end = area.start.saturating_add(area.size);
        let what = format!("{} at {:#x} with {} bytes", area.type_name, area.start, area.size);
        if area.start >= disk_size {
            problems
                .push((area.entry, format!("{what} lies beyond the disk of {disk_size} bytes")));
            continue;
        }
        if area_end > disk_size {
            let there = disk_size.saturating_sub(area.start);
            problems
                .push((area.entry, format!("{what} is cut by the disk's end: {there} are there")));
        }
        if area.start < end {
            problems.push((area.entry, format!("{what} overlaps the volume before it")));
        }
        end = end.max(area_end);
        let size = area.size.min(disk_size.saturating_sub(area.start));
        volumes.push(Volume {
            number: volumes.len().saturating_add(1),
            start: area.start,
            size,
            type_name: area.type_name,
            name: area.name,
            device: area.device,
            bytes: Arc::new(Slice { disk: Arc::clone(&disk), start: area.start, size }),
        });
    }
    let problem = |(at, message)| Problem {
        path: None,
        locator: Some(Locator::Offset(at)),
        stage: Stage::Source,
        message,
    };
    Volumes { volumes, problems: problems.into_iter().map(problem).collect() }
}

/// Whether bytes are those of a disk or of a volume.
pub(super) fn holds_disk_or_volume(disk: &dyn ReadAt) -> bool {
    let Ok(start) = first_sector(disk) else { return false };
    signature::of(disk, 0).is_some()
        || gpt::is_there(disk)
        || mbr::is_plausible(&start, disk.size())
        || signature::ends_as_ntfs(disk)
}

fn table(disk: &dyn ReadAt) -> Table {
    let start = match first_sector(disk) {
        Ok(start) => start,
        Err(error) => {
            let problems = vec![(0, format!("the first sector cannot be read: {error}"))];
            let mut table = gpt::read(disk).unwrap_or_default();
            table.problems.extend(problems);
            return table;
        }
    };
    if let Some(type_name) = signature::of_boot_sector(&start) {
        return bare(disk, type_name);
    }
    let kind = mbr::kind(&start);
    if kind != mbr::Kind::Partitions
        && let Some(table) = gpt::read(disk)
    {
        return table;
    }
    if kind != mbr::Kind::None {
        let mut table = mbr::read(disk, &start);
        if kind == mbr::Kind::Protective {
            table.problems.push((0, "the MBR announces a GPT, and no copy of it is whole".into()));
        }
        if !table.areas.is_empty() {
            return table;
        }
    }
    if let Some(type_name) = signature::of(disk, 0) {
        return bare(disk, type_name);
    }
    if signature::ends_as_ntfs(disk) {
        let mut table = bare(disk, "NTFS");
        table.problems.push((0, "the boot sector is damaged, its copy at the end is there".into()));
        return table;
    }
    let message = "no partition table and no known file system".to_owned();
    Table { areas: Vec::new(), problems: vec![(0, message)] }
}

/// A volume that fills the disk.
fn bare(disk: &dyn ReadAt, type_name: &str) -> Table {
    let area = Area {
        start: 0,
        size: disk.size(),
        type_name: type_name.into(),
        name: None,
        device: None,
        entry: 0,
    };
    Table { areas: vec![area], problems: Vec::new() }
}

fn first_sector(disk: &dyn ReadAt) -> io::Result<[u8; 512]> {
    let mut sector = [0; 512];
    disk.read_at(0, &mut sector)?;
    Ok(sector)
}

/// Up to `len` bytes at `offset`; fewer at the end and where nothing can be read.
fn bytes_at(disk: &dyn ReadAt, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let n = if offset < disk.size() { disk.read_at(offset, &mut bytes).unwrap_or(0) } else { 0 };
    bytes.truncate(n);
    bytes
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

/// A stretch of a disk.
struct Slice {
    disk: Arc<dyn ReadAt>,
    start: u64,
    size: u64,
}

impl ReadAt for Slice {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let n = left.min(buf.len());
        let buf = buf.get_mut(..n).unwrap_or_default();
        if buf.is_empty() {
            return Ok(0);
        }
        self.disk.read_at(self.start.saturating_add(offset), buf)
    }

    fn forget(&self) {
        self.disk.forget();
    }
}

#[cfg(test)]
mod tests;
