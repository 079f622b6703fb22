//! Raw bytes of a disk or volume, in one file or cut into numbered ones.
//!
//! There is no header: a raw image is told by what lies on it (a partition table, a
//! boot sector, a superblock), or else by its name.

use std::path::Path;
use std::sync::Arc;

use super::parts::Parts;
use super::series::Place;
use super::{ContainerError, Context, Opened, kind};
use crate::model::ReadAt;
use crate::source::file::OpenFile;
use crate::source::partition;

/// Names that are given to raw images, for disks whose beginning is lost.
const NAMES: [&str; 5] = ["raw", "dd", "img", "001", "000"];
/// Sectors are at least so long.
const SECTOR: u64 = 512;

/// Opens a file as a raw image with the parts that follow it; `None` when it holds
/// no disk and no volume.
///
/// # Errors
///
/// When a part cannot be opened, or the file is a later part of a split image.
pub(super) fn open(
    path: &Path,
    file: &OpenFile,
    context: &Context,
) -> Result<Option<Opened>, ContainerError> {
    let place = Place::of_raw(path);
    if let Some(place) = place.as_ref().filter(|place| place.number > 0) {
        let files = place.files(path);
        let mut before = place.first_numbers().iter().filter(|number| **number < place.number);
        if let Some(first) = before.find_map(|number| files.get(number)).filter(|at| is_raw(at)) {
            let (path, first) = (path.to_owned(), first.clone());
            return Err(ContainerError::Continuation { path, first });
        }
    }
    if !looks_like_disk(path, file) {
        return Ok(None);
    }
    let split = place
        .filter(|place| place.first_numbers().contains(&place.number))
        .map(|place| join(path, &place, context));
    let disk = match split.transpose()? {
        Some(split) if split.pieces.len() > 1 => split,
        _ => Split::one(path)?,
    };
    let (parts, split) = (disk.parts.paths(), disk.pieces.len() > 1);
    let format = if split { "split raw image" } else { "raw image" };
    Ok(Some(Opened { disk: Arc::new(disk), format, parts, stored: Vec::new(), identity: None }))
}

/// A file as the bytes of a disk, whatever it holds.
///
/// # Errors
///
/// When it cannot be opened.
pub(super) fn whole(path: &Path) -> Result<Opened, ContainerError> {
    let disk = Split::one(path)?;
    let parts = disk.parts.paths();
    let disk = Arc::new(disk);
    Ok(Opened { disk, format: "raw image", parts, stored: Vec::new(), identity: None })
}

fn is_raw(path: &Path) -> bool {
    OpenFile::open(path).is_ok_and(|file| looks_like_disk(path, &file))
}

/// Whether the bytes are those of a disk or volume, or at least the name says so.
fn looks_like_disk(path: &Path, file: &OpenFile) -> bool {
    let mut start = vec![0; 512];
    let n = file.read_at(0, &mut start).unwrap_or_default();
    let start = start.get(..n).unwrap_or_default();
    if kind::is_archive(start) || kind::is_parsed(start) {
        return false;
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let named =
        NAMES.contains(&&*extension) && file.size() >= SECTOR && file.size().is_multiple_of(SECTOR);
    named || partition::holds_disk_or_volume(file)
}

/// Files one after another.
struct Split {
    parts: Parts,
    pieces: Vec<Piece>,
}

/// Where a part lies on the disk.
struct Piece {
    start: u64,
    size: u64,
    /// Number of the file; `None` when it is missing, with its name.
    file: Result<usize, String>,
}

impl Split {
    fn one(path: &Path) -> Result<Self, ContainerError> {
        let parts = Parts::one(path)?;
        let size = parts.size(0);
        Ok(Self { parts, pieces: vec![Piece { start: 0, size, file: Ok(0) }] })
    }
}

/// The parts from this one on. A missing one takes the room of the first, since all
/// but the last are alike.
fn join(path: &Path, place: &Place, context: &Context) -> Result<Split, ContainerError> {
    let mut files = place.files(path).split_off(&place.number);
    let mut split = Split { parts: Parts::one(path)?, pieces: Vec::new() };
    let usual = split.parts.size(0);
    let last = files.keys().next_back().copied().unwrap_or(place.number);
    let mut start = 0u64;
    for number in place.number..=last {
        let (size, file) = match files.remove(&number) {
            Some(_) if number == place.number => (usual, Ok(0)),
            Some(next) => {
                let file = split.parts.add(&next)?;
                (split.parts.size(file), Ok(file))
            }
            None => {
                let missing = place.path(path, number);
                context.log.note(&missing, None, "part of a split image is missing");
                (usual, Err(missing.display().to_string()))
            }
        };
        if let Ok(file) = file
            && number != last
            && size != usual
        {
            let message = format!("has {size} bytes, the first part {usual}: cut or exchanged");
            context.log.note(split.parts.path(file), None, message);
        }
        split.pieces.push(Piece { start, size, file });
        start = start.saturating_add(size);
    }
    Ok(split)
}

impl ReadAt for Split {
    fn size(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.start.saturating_add(piece.size))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        let mut filled = 0usize;
        let first =
            self.pieces.partition_point(|piece| piece.start.saturating_add(piece.size) <= offset);
        for piece in self.pieces.get(first..).unwrap_or_default() {
            let at = offset.saturating_add(filled as u64);
            let within = at.saturating_sub(piece.start);
            let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) else { break };
            let room = usize::try_from(piece.size.saturating_sub(within)).unwrap_or(usize::MAX);
            let n = room.min(rest.len());
            let rest = rest.get_mut(..n).unwrap_or_default();
            match &piece.file {
                Ok(file) => self.parts.read_exact(*file, within, rest)?,
                Err(missing) => {
                    let message = format!("{missing}: part of a split image is missing");
                    return Err(std::io::Error::new(std::io::ErrorKind::NotFound, message));
                }
            }
            filled = filled.saturating_add(n);
        }
        Ok(filled)
    }
}
