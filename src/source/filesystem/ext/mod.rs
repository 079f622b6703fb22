//! ext2, ext3 and ext4: the file systems of most Linux machines.
//!
//! Read: maps of blocks and extents, content kept in the inode, indexed and
//! inline directories, 64-bit volumes, meta groups, clusters (bigalloc), times to
//! the nanosecond and births where inodes have room for them. Checksums are not
//! checked. The journal is not replayed: where it holds changes, a problem says
//! so. Encrypted files are listed by their stored names and not opened.
//!
//! Removed names are those that the directory's blocks still hold. One whose
//! inode was not used again has its times, and its content if the blocks it
//! names are free; ext3 and ext4 clear those on removal. Others have a name only.
//!
//! Source: Documentation/filesystems/ext4 of the Linux kernel; compared with
//! sleuthkit by `tests/compare/ext.py`.

mod directory;
mod inode;
mod map;
mod superblock;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::model::ReadAt;
use crate::source::{Entry, FileId, Filesystem, Kind, Remains, State, Times};

use self::directory::{Reading, Slot, slots};
use self::inode::Inode;
use self::map::{Mapped, map};
use self::superblock::Superblock;
use super::OpenError;
use super::bytes::{Paged, read_exact, read_up_to};
use super::name::Name;
use super::runs::{Content, Place};
use super::tree::{Budget, Child, Fault, Listing, MAX_DIRECTORY_BYTES, Tree, Volume};

/// A link's target is read to this length; the kernel writes no longer one.
const MAX_TARGET_BYTES: usize = 4096;
const ROOT: u32 = 2;

/// Opens a volume as ext2, ext3 or ext4; its paths begin with `prefix` (`/`).
///
/// # Errors
///
/// [`OpenError`] when the superblock cannot be read or its numbers cannot be.
pub fn open(volume: Arc<dyn ReadAt>, prefix: &str) -> Result<impl Filesystem + use<>, OpenError> {
    let superblock = Superblock::read(&*volume)?;
    let tables = Arc::new(Paged::new(Arc::clone(&volume)));
    Ok(Tree::new(Ext { volume, tables, superblock }, prefix))
}

struct Ext {
    volume: Arc<dyn ReadAt>,
    tables: Arc<Paged>,
    superblock: Superblock,
}

/// A directory to list.
#[derive(Clone, Copy, Debug)]
struct Directory {
    inode: u32,
    /// Removed, and so is all it holds.
    removed: bool,
}

impl Volume for Ext {
    type Directory = Directory;
    const SEPARATOR: char = '/';
    const ANY_CASE: bool = false;

    fn root(&self) -> Directory {
        Directory { inode: ROOT, removed: false }
    }

    fn identity(directory: &Directory) -> (u64, State) {
        let removed = State::Deleted(Remains::Likely);
        (directory.inode.into(), if directory.removed { removed } else { State::Present })
    }

    fn list(&self, directory: &Directory, listing: &mut Listing<Directory>) {
        let Some(inode) = self.inode(directory.inode) else {
            return listing.fault(None, format!("inode {} cannot be read", directory.inode));
        };
        if inode.kind() != Some(Kind::Directory) {
            return listing.fault(inode.offset, "not a directory");
        }
        let reading = Reading {
            names_carry_kind: self.superblock.names_carry_kind(),
            inodes: self.superblock.inodes,
            is_indexed: inode.is_indexed() && !inode.is_inline(),
        };
        let mut found = Vec::new();
        for (at, block) in self.blocks(&inode, listing) {
            let (slots, damaged) = slots(&block, reading);
            if let Some(damaged) = damaged {
                let offset = at.saturating_add(damaged as u64);
                listing.fault(offset, "directory damaged here: no name can stand there");
            }
            found.extend(slots.into_iter().map(|slot| (at.saturating_add(slot.at as u64), slot)));
        }
        self.show(found, directory, listing);
    }

    fn content(&self, file: &Entry) -> io::Result<Box<dyn ReadAt>> {
        let refuse = |message: &str| io::Error::new(io::ErrorKind::NotFound, message.to_owned());
        if file.state == State::Deleted(Remains::Nothing) {
            return Err(refuse("removed, and nothing of its content is left"));
        }
        let number = u32::try_from(file.handle).unwrap_or_default();
        let inode = self.inode(number).ok_or_else(|| refuse("its inode cannot be read"))?;
        if inode.kind() != Some(Kind::File) {
            return Err(refuse("its inode is not a file's"));
        }
        if inode.is_encrypted() {
            let message = "encrypted by the file system; not read without its key";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        let mut budget = Budget::new(self.bytes());
        let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let mapped = map(&*self.volume, &self.superblock, &inode, &mut budget).map_err(damaged)?;
        Ok(Box::new(Content::new(Arc::clone(&self.volume), mapped.runs)))
    }

    fn notes(&self) -> Vec<Fault> {
        let mut notes = Vec::new();
        let mut note = |message: String| notes.push(Fault { offset: None, message });
        if self.superblock.needs_recovery() {
            note("the journal holds changes that were not replayed: the last ones before the evidence was taken may be missing".to_owned());
        }
        if self.superblock.may_be_encrypted() {
            note("the volume may hold encrypted folders; their files are not read".to_owned());
        }
        let (says, has) = (self.superblock.bytes(), self.volume.size());
        if says > has {
            note(format!("the volume should have {says} bytes and has {has}; the rest is missing"));
        }
        notes
    }

    fn disk(&self) -> &dyn ReadAt {
        &*self.volume
    }

    fn bytes(&self) -> u64 {
        self.volume.size()
    }
}

impl Ext {
    fn inode(&self, number: u32) -> Option<Inode> {
        let offset = self.superblock.inode_offset(&self.tables, number)?;
        let bytes = read_exact(&*self.tables, offset, self.superblock.inode_size).ok()?;
        Some(Inode::new(offset, bytes))
    }

    /// The blocks of a directory and where they lie, as far as they can be read.
    fn blocks(&self, inode: &Inode, listing: &mut Listing<Directory>) -> Vec<(u64, Vec<u8>)> {
        let mapped = match map(&*self.volume, &self.superblock, inode, &mut listing.budget) {
            Ok(mapped) => mapped,
            Err(error) => {
                listing.fault(inode.offset, format!("directory not read: {error}"));
                return Vec::new();
            }
        };
        if let Some(error) = mapped.error {
            listing.fault(inode.offset, format!("directory read in part only: {error}"));
        }
        let step = if inode.is_inline() { u64::MAX } else { self.superblock.block_size };
        let mut blocks = Vec::new();
        let mut total = 0u64;
        for run in mapped.runs.iter() {
            let Place::At(start) = run.place else { continue };
            // The first four bytes of an inline directory name its parent.
            let skip = if inode.is_inline() && total == 0 { 4.min(run.len) } else { 0 };
            let mut done = skip;
            while done < run.len {
                let len = step.min(run.len.saturating_sub(done));
                total = total.saturating_add(len);
                if total > MAX_DIRECTORY_BYTES || !listing.budget.take(len) {
                    let message = "directory of more bytes than can be; the rest is not read";
                    listing.fault(inode.offset, message);
                    return blocks;
                }
                let at = start.saturating_add(done);
                match read_up_to(&*self.volume, at, usize::try_from(len).unwrap_or_default()) {
                    Ok(block) if block.len() as u64 == len => blocks.push((at, block)),
                    _ => listing.fault(at, "block of a directory cannot be read"),
                }
                done = done.saturating_add(len);
            }
        }
        blocks
    }

    /// Adds what names stand for.
    fn show(
        &self,
        mut slots: Vec<(u64, Slot)>,
        parent: &Directory,
        listing: &mut Listing<Directory>,
    ) {
        slots.retain(|(_, slot)| !matches!(&*slot.name, b"." | b".."));
        slots.iter_mut().for_each(|(_, slot)| slot.removed |= parent.removed);
        for (at, slot) in slots.iter().filter(|(_, slot)| !slot.removed) {
            let child = self.present(slot, *at, listing);
            listing.children.push(child);
        }
        if listing.present_only || !slots.iter().any(|(_, slot)| slot.removed) {
            return;
        }
        // Directories that shrink and grow leave the same name many times.
        let mut seen: BTreeSet<(&[u8], u32)> = slots
            .iter()
            .filter(|(_, slot)| !slot.removed)
            .map(|(_, slot)| (&*slot.name, slot.inode))
            .collect();
        for (_, slot) in slots.iter().filter(|(_, slot)| slot.removed) {
            if seen.insert((&slot.name, slot.inode)) {
                let child = self.removed(slot, listing);
                listing.children.push(child);
            }
        }
    }

    fn present(&self, slot: &Slot, at: u64, listing: &mut Listing<Directory>) -> Child<Directory> {
        let mut child = bare(slot, State::Present);
        let Some(inode) = self.inode(slot.inode).filter(Inode::is_in_use) else {
            let message = format!("name of inode {}, which is not in use", slot.inode);
            listing.fault(at, message);
            child.directory = None;
            return child;
        };
        self.describe(&mut child, &inode, listing);
        if child.kind == Kind::Directory {
            child.directory = Some(Directory { inode: slot.inode, removed: false });
        }
        child
    }

    /// A removed name: with its inode if that was not used again.
    fn removed(&self, slot: &Slot, listing: &mut Listing<Directory>) -> Child<Directory> {
        let mut child = bare(slot, State::Deleted(Remains::Nothing));
        let own = self
            .inode(slot.inode)
            .filter(Inode::is_removed)
            .filter(|inode| slot.kind.is_none() || slot.kind == inode.kind());
        let Some(inode) = own else {
            child.id = None;
            child.handle = 0;
            return child;
        };
        self.describe(&mut child, &inode, listing);
        let remains = self.remains(&inode, &mut listing.budget);
        child.state = State::Deleted(remains);
        if child.kind == Kind::Directory && remains != Remains::Nothing {
            child.directory = Some(Directory { inode: slot.inode, removed: true });
        }
        child
    }

    /// What the inode says of a file.
    fn describe(
        &self,
        child: &mut Child<Directory>,
        inode: &Inode,
        listing: &mut Listing<Directory>,
    ) {
        child.kind = inode.kind().unwrap_or(child.kind);
        child.size = inode.size();
        child.times = inode.times();
        if child.kind == Kind::Link {
            child.link_target = self.target(inode, &mut listing.budget);
        }
    }

    /// Where a link points.
    fn target(&self, inode: &Inode, budget: &mut Budget) -> Option<String> {
        let len = usize::try_from(inode.size()).unwrap_or(usize::MAX).min(MAX_TARGET_BYTES);
        let stored = if inode.is_encrypted() {
            return None;
        } else if inode.has_target_in_map() {
            inode.map().get(..len)?.to_vec()
        } else {
            let mapped = map(&*self.volume, &self.superblock, inode, budget).ok()?;
            read_up_to(&Content::new(Arc::clone(&self.volume), mapped.runs), 0, len).ok()?
        };
        (!stored.is_empty()).then(|| String::from_utf8_lossy(&stored).into_owned())
    }

    /// What is left of the content of a removed inode.
    fn remains(&self, inode: &Inode, budget: &mut Budget) -> Remains {
        let Ok(Mapped { runs, error: None }) = map(&*self.volume, &self.superblock, inode, budget)
        else {
            return Remains::Nothing;
        };
        if inode.size() == 0 || runs.is_broken() {
            return Remains::Nothing;
        }
        if inode.is_inline() {
            return Remains::Whole;
        }
        let mut any = false;
        for run in runs.iter() {
            let Place::At(at) = run.place else { continue };
            any = true;
            let first = at / self.superblock.block_size;
            let count = run.len.div_ceil(self.superblock.block_size);
            // A bit of the bitmap for each block, and the descriptor.
            let cost = (count / 8).saturating_add(64);
            if !budget.take(cost) || !self.superblock.are_free(&self.tables, first, count) {
                return Remains::Nothing;
            }
        }
        if any { Remains::Likely } else { Remains::Nothing }
    }
}

/// A name of which only the directory tells.
fn bare(slot: &Slot, state: State) -> Child<Directory> {
    Child {
        name: Name::of_bytes(&slot.name),
        kind: slot.kind.unwrap_or(Kind::File),
        size: 0,
        times: Times::default(),
        id: Some(FileId { number: slot.inode.into(), sequence: 0 }),
        state,
        link_target: None,
        handle: slot.inode.into(),
        directory: None,
    }
}
