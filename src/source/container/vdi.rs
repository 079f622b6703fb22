//! VDI of VirtualBox: fixed, dynamic and differencing.
//!
//! All numbers are little-endian. Behind 64 bytes of text and the signature at 64: the
//! version at 68, then from 72 on the header: kind at 76, offset of the block map at
//! 340, offset of the blocks at 344, sector size at 360, bytes of the disk at 368, of a
//! block at 376 and of what stands before each block at 380, number of blocks at 384,
//! own identity at 392, the parent's at 424. The map says for each block which of the
//! stored ones it is, or that it is not stored, or discarded: zeros.
//!
//! A difference names its parent by identity alone. VirtualBox keeps snapshots in a
//! folder beside their first parent, so it is looked for beside the file and above it.
//!
//! Source: VirtualBox's own header `VDICore.h` for field names and order; QEMU's
//! `qemu-img` writes the samples.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::bytes::{array, le32, le64};
use super::cache::read_blocks;
use super::pages::Pages;
use super::parts::Parts;
use super::{ContainerError, Context, Opened, folder_of, hex, name_of, read_below};
use crate::model::ReadAt;
use crate::source::file::OpenFile;

/// What stands at [`SIGNATURE_AT`].
const SIGNATURE: u32 = 0xbeda_107f;
const SIGNATURE_AT: usize = 64;
const FORMAT: &str = "VDI";
/// Bytes of a header with all that is read of it.
const HEADER: usize = 440;
const MAJOR_VERSION: u32 = 1;
/// Bytes of a block; VirtualBox writes 1 MiB.
const MAX_BLOCK: u64 = 256 << 20;
/// Bytes of a disk.
const MAX_DISK: u64 = 64 << 40;
/// Files looked at for a parent.
const MAX_CANDIDATES: usize = 1024;
/// Blocks that are not stored: as below, or zeros.
const UNUSED: u32 = u32::MAX;
const DISCARDED: u32 = u32::MAX - 1;
const DIFFERENCE: u32 = 4;

struct Vdi {
    parts: Parts,
    pages: Pages,
    size: u64,
    block: u64,
    /// Offset and number of the entries of the block map.
    map: u64,
    blocks: u64,
    data: u64,
    /// Bytes before each block.
    extra: u64,
    parent: Option<Arc<dyn ReadAt>>,
}

/// Whether a file that starts so is one.
pub(super) fn begins_as_vdi(start: &[u8]) -> bool {
    le32(start, SIGNATURE_AT) == Some(SIGNATURE)
}

/// Opens a VDI with its parents.
///
/// # Errors
///
/// When the header is damaged or of an old version, or a parent is missing or another one.
pub(super) fn open(path: &Path, context: &Context) -> Result<Opened, ContainerError> {
    let parts = context.parts(path)?;
    let header =
        parts.bytes(0, 0, HEADER).map_err(|error| ContainerError::unreadable(path, error))?;
    let damaged = |at: u64, what: String| ContainerError::damaged(path, FORMAT, at, what);
    let cut = || damaged(SIGNATURE_AT as u64, "the header is cut".to_owned());
    let version = le32(&header, 68).ok_or_else(cut)?;
    if version >> 16 != MAJOR_VERSION {
        let what = format!("version {}.{}", version >> 16, version & 0xffff);
        return Err(ContainerError::unsupported(path, FORMAT, what));
    }
    let kind = le32(&header, 76).ok_or_else(cut)?;
    let long = |at: usize| le32(&header, at).map(u64::from).ok_or_else(cut);
    let (map, data, block, extra, blocks) =
        (long(340)?, long(344)?, long(376)?, long(380)?, long(384)?);
    let size = le64(&header, 368).ok_or_else(cut)?;
    if !(1..=4).contains(&kind) {
        return Err(ContainerError::unsupported(path, FORMAT, format!("disk of type {kind}")));
    }
    if !block.is_power_of_two() || !(512..=MAX_BLOCK).contains(&block) {
        return Err(damaged(376, format!("blocks of {block} bytes")));
    }
    if size > MAX_DISK {
        return Err(damaged(368, format!("a disk of {size} bytes")));
    }
    let wanted = size.div_ceil(block);
    if blocks < wanted || map.saturating_add(wanted.saturating_mul(4)) > parts.size(0) {
        let message = format!("{wanted} blocks, and the map of {blocks} entries is cut");
        context.log.note(path, Some(map), message);
    }
    let mut paths = parts.paths();
    let mut parent = None;
    if kind == DIFFERENCE {
        let wanted = array::<16>(&header, 424).ok_or_else(cut)?;
        let opened = open_parent(path, &wanted, context)?;
        paths.extend(opened.parts);
        parent = Some(opened.disk);
    }
    let identity = array::<16>(&header, 392).map(|id| hex(&id));
    let pages = Pages::new();
    let disk = Vdi { parts, pages, size, block, map, blocks, data, extra, parent };
    Ok(Opened { disk: Arc::new(disk), format: FORMAT, parts: paths, stored: Vec::new(), identity })
}

/// Opens the parent of that identity.
fn open_parent(
    path: &Path,
    wanted: &[u8; 16],
    context: &Context,
) -> Result<Opened, ContainerError> {
    if context.within.is_some() {
        return context.parent(path, &[hex(wanted)]).map(|(_, opened)| opened);
    }
    let Some(name) = find(path, wanted) else {
        return Err(ContainerError::Parent {
            path: path.to_owned(),
            parent: hex(wanted),
            why: "lies neither beside it nor in the folder above: put it there".to_owned(),
        });
    };
    let (_, opened) = context.parent(path, &[name])?;
    if opened.identity.as_deref() == Some(&hex(wanted)) {
        return Ok(opened);
    }
    Err(ContainerError::Parent {
        path: path.to_owned(),
        parent: name_of(&opened),
        why: "has another identity: it is not the parent, or was changed".to_owned(),
    })
}

/// The VDI of that identity beside a file, or in the folder above, as a relative name.
fn find(path: &Path, wanted: &[u8; 16]) -> Option<String> {
    let folder = folder_of(path);
    for (prefix, folder) in [("", folder.to_owned()), ("../", folder.join(".."))] {
        let Ok(names) = std::fs::read_dir(&folder) else { continue };
        let mut names: Vec<_> =
            names.flatten().take(MAX_CANDIDATES).map(|entry| entry.file_name()).collect();
        names.sort();
        let found = names.iter().find(|name| identity(&folder.join(name)).as_ref() == Some(wanted));
        if let Some(name) = found.and_then(|name| name.to_str()) {
            return Some(format!("{prefix}{name}"));
        }
    }
    None
}

/// The identity of a file, if it is a VDI.
fn identity(path: &Path) -> Option<[u8; 16]> {
    let file = OpenFile::open(path).ok()?;
    let mut start = [0; HEADER];
    let n = file.read_at(0, &mut start).ok()?;
    let start = start.get(..n).filter(|start| begins_as_vdi(start))?;
    array(start, 392)
}

impl Vdi {
    fn fill(&self, number: u64, within: u64, to: &mut [u8]) -> io::Result<()> {
        if number >= self.blocks {
            let path = self.parts.path(0).display();
            let message = format!("{path}: block {number} is not in the map of blocks");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        let at = self.map.saturating_add(number.saturating_mul(4));
        let stored = u32::from_le_bytes(self.pages.array(&self.parts, 0, at)?);
        match stored {
            UNUSED => {
                let at = number.saturating_mul(self.block).saturating_add(within);
                read_below(self.parent.as_deref(), at, to)
            }
            DISCARDED => {
                to.fill(0);
                Ok(())
            }
            stored => {
                let each = self.block.saturating_add(self.extra);
                let before = u64::from(stored).saturating_mul(each).saturating_add(self.extra);
                let at = self.data.saturating_add(before).saturating_add(within);
                self.parts.read_exact(0, at, to)
            }
        }
    }
}

impl ReadAt for Vdi {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        read_blocks((self.size, self.block), offset, buf, |number, within, to| {
            self.fill(number, within, to)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::open;
    use super::*;

    const BLOCK: usize = 4096;

    /// A VDI whose map is `map`, its stored blocks full of their own numbers from 1 on.
    fn vdi(kind: u32, map: &[u32], own: u8, parent: u8) -> Vec<u8> {
        let mut out = vec![0; 1024];
        out[64..68].copy_from_slice(&SIGNATURE.to_le_bytes());
        let stored = map.iter().filter(|entry| **entry < DISCARDED).count();
        let size = (map.len() * BLOCK) as u32;
        for (at, value) in [
            (68, 0x0001_0001),
            (72, 0x190),
            (76, kind),
            (340, 512),
            (344, 1024),
            (360, 512),
            (368, size),
            (376, BLOCK as u32),
            (384, map.len() as u32),
            (388, stored as u32),
        ] {
            out[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        out[392..408].fill(own);
        out[424..440].fill(parent);
        for (n, entry) in map.iter().enumerate() {
            out[512 + n * 4..516 + n * 4].copy_from_slice(&entry.to_le_bytes());
        }
        for n in 0..stored {
            out.extend(vec![own * 16 + n as u8 + 1; BLOCK]);
        }
        out
    }

    fn first_bytes(path: &Path) -> Vec<u8> {
        let image = open(path).unwrap().unwrap();
        assert_eq!(image.format, "VDI");
        let mut disk = vec![9; image.disk.size() as usize];
        assert_eq!(image.disk.read_at(0, &mut disk).unwrap(), disk.len());
        disk.chunks(BLOCK).map(|block| block[BLOCK - 1]).collect()
    }

    #[test]
    fn blocks_are_stored_missing_or_discarded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.vdi");
        fs::write(&path, vdi(1, &[1, UNUSED, 0, DISCARDED], 1, 0)).unwrap();
        assert_eq!(first_bytes(&path), [18, 0, 17, 0]);
    }

    #[test]
    fn a_difference_is_read_over_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = folder.path().join("Snapshots");
        fs::create_dir(&snapshots).unwrap();
        let (base, first, second) =
            (folder.path().join("disk.vdi"), snapshots.join("{a}.vdi"), snapshots.join("{b}.vdi"));
        fs::write(&first, vdi(4, &[UNUSED, 0, UNUSED, DISCARDED], 2, 1)).unwrap();
        fs::write(&second, vdi(4, &[UNUSED, UNUSED, 0, UNUSED], 3, 2)).unwrap();
        let Err(ContainerError::Parent { why, .. }) = open(&second) else { panic!() };
        assert!(why.contains("neither beside it"), "{why}");
        fs::write(&base, vdi(1, &[0, 1, 2, 3], 1, 0)).unwrap();
        assert_eq!(first_bytes(&second), [17, 33, 49, 0]);
        assert_eq!(open(&second).unwrap().unwrap().parts.len(), 3);
    }

    #[test]
    fn a_difference_to_itself_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.vdi");
        fs::write(&path, vdi(4, &[UNUSED], 1, 1)).unwrap();
        assert!(matches!(open(&path), Err(ContainerError::Parent { .. })));
    }

    #[test]
    fn what_is_damaged_is_an_error_and_no_zeros() {
        let good = vdi(1, &[1, UNUSED, 0, 77], 1, 0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.vdi");
        fs::write(&path, &good).unwrap();
        let image = open(&path).unwrap().unwrap();
        let read = |number: usize| image.disk.read_at((number * BLOCK) as u64, &mut [0; 16]);
        assert!(read(0).is_ok() && read(3).is_err());
        for (at, value) in [(68, 0_u32), (76, 9), (376, 1000), (376, 0), (372, u32::MAX)] {
            let mut bad = good.clone();
            bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
            fs::write(&path, bad).unwrap();
            assert!(open(&path).is_err(), "{at}");
        }
        fs::write(&path, &good[..300]).unwrap();
        assert!(open(&path).is_err());
        let mut few = good;
        few[384] = 2;
        fs::write(&path, few).unwrap();
        let image = open(&path).unwrap().unwrap();
        assert!(!image.problems().is_empty());
        assert!(image.disk.read_at((2 * BLOCK) as u64, &mut [0; 16]).is_err());
    }
}
