//! FAT12, FAT16 and FAT32: sticks, cards, EFI system partitions.
//!
//! FAT keeps the clock of the machine that wrote and no zone: times stand as
//! they are stored, as if that clock had shown UTC. Births are exact to 10 ms,
//! changes of content to 2 s, accesses to a day.
//!
//! Removed files and folders are shown where their parent still holds their
//! entries, with their long name if they had one, else with `_` for the lost
//! first letter. Their chain is gone: the content is taken to lie in one piece,
//! and shown if all of that piece is free. Files that no folder holds any more
//! are not looked for. A file's number is that of its entry as sleuthkit counts:
//! 32-byte entries from the root (FAT12, FAT16) or the first cluster (FAT32), the
//! first being 3.
//!
//! Source: Microsoft, FAT32 File System Specification 1.03; compared with
//! sleuthkit by `tests/compare/fat.py`.

mod boot;
mod directory;

use std::io;
use std::sync::Arc;

use crate::model::ReadAt;
use crate::source::{Entry, FileId, Filesystem, Kind, Remains, State};

use self::boot::{Boot, Root};
use self::directory::{ENTRY, Found, Reader, Short, short};
use super::OpenError;
use super::bytes::read_exact;
use super::clusters::{Lazy, Usage, Width, blocks};
use super::runs::{Content, Place, Runs};
use super::tree::{Budget, Child, Fault, Listing, MAX_DIRECTORY_BYTES, Tree, Volume};

/// Opens a volume as FAT12, FAT16 or FAT32; its paths begin with `prefix` (`E:\`).
///
/// # Errors
///
/// [`OpenError`] when the boot sector cannot be read or its numbers cannot be.
pub fn open(volume: Arc<dyn ReadAt>, prefix: &str) -> Result<impl Filesystem + use<>, OpenError> {
    let boot = Boot::read(volume)?;
    Ok(Tree::new(Fat { boot, usage: Lazy::new() }, prefix))
}

struct Fat {
    boot: Boot,
    usage: Lazy,
}

/// A directory to list.
#[derive(Clone, Copy, Debug)]
enum Directory {
    /// The root of FAT12 and FAT16, in bytes.
    Fixed {
        at: u64,
        len: u64,
    },
    Chain(u64),
    /// Removed: what is left of it is its first cluster, and all of that was removed.
    Removed(u64),
}

impl Volume for Fat {
    type Directory = Directory;
    const SEPARATOR: char = '\\';
    const ANY_CASE: bool = true;

    fn root(&self) -> Directory {
        match self.boot.root {
            Root::Fixed { at, len } => Directory::Fixed { at, len },
            Root::Cluster(cluster) => Directory::Chain(cluster),
        }
    }

    fn identity(directory: &Directory) -> (u64, State) {
        match directory {
            Directory::Fixed { .. } => (0, State::Present),
            Directory::Chain(cluster) => (*cluster, State::Present),
            Directory::Removed(cluster) => (*cluster, State::Deleted(Remains::Likely)),
        }
    }

    fn list(&self, directory: &Directory, listing: &mut Listing<Directory>) {
        let clusters = &self.boot.clusters;
        let runs = self.directory(directory, listing);
        let (blocks, all) = blocks(&*clusters.volume, &runs, clusters.size, &mut listing.budget);
        if !all {
            listing.fault(None, "directory read in part only: the volume ends, or it is too large");
        }
        let lost = matches!(directory, Directory::Removed(_));
        // A removed folder whose first entry is not its own is something else by now.
        if lost && !blocks.first().is_some_and(|(_, block)| block.starts_with(b".          ")) {
            return;
        }
        let mut reader = Reader::default();
        for (at, block) in blocks {
            for (n, entry) in block.chunks_exact(ENTRY).enumerate() {
                let at = at.saturating_add(n.saturating_mul(ENTRY) as u64);
                let Some(found) = reader.read(entry, at, self.is_32()) else { continue };
                let removed = found.removed || lost;
                if !(removed && listing.present_only) {
                    let child = self.child(found, removed, listing);
                    listing.children.push(child);
                }
            }
        }
    }

    fn content(&self, file: &Entry) -> io::Result<Box<dyn ReadAt>> {
        let clusters = &self.boot.clusters;
        let bytes = read_exact(&*clusters.volume, file.handle, ENTRY)?;
        let short = short(&bytes, self.is_32()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let runs = if file.is_deleted() {
            self.left(&short).ok_or_else(|| {
                let message = "removed, and nothing of its content is left";
                io::Error::new(io::ErrorKind::NotFound, message)
            })?
        } else if short.size == 0 {
            Runs::default()
        } else {
            let mut budget = Budget::new(u64::MAX);
            let mut runs = clusters.chain(short.cluster, short.size, &mut budget).runs;
            runs.fit(short.size, Place::Lost);
            runs
        };
        Ok(Box::new(Content::new(Arc::clone(&clusters.volume), runs)))
    }

    fn notes(&self) -> Vec<Fault> {
        let (says, has) = (self.boot.bytes, self.bytes());
        let message =
            format!("the volume should have {says} bytes and has {has}; the rest is missing");
        if says > has { vec![Fault { offset: None, message }] } else { Vec::new() }
    }

    fn disk(&self) -> &dyn ReadAt {
        &*self.boot.clusters.volume
    }

    fn bytes(&self) -> u64 {
        self.boot.clusters.volume.size()
    }
}

impl Fat {
    fn is_32(&self) -> bool {
        self.boot.clusters.width == Width::TwentyEight
    }

    /// Where a directory lies.
    fn directory(&self, directory: &Directory, listing: &mut Listing<Directory>) -> Runs {
        let clusters = &self.boot.clusters;
        let first = match *directory {
            Directory::Fixed { at, len } => {
                let mut runs = Runs::default();
                // One piece is never too many.
                runs.push(Place::At(at), len).ok();
                return runs;
            }
            Directory::Removed(cluster) => {
                let row = clusters.row(cluster, clusters.size);
                return row.map(|row| clusters.straight(&row, clusters.size)).unwrap_or_default();
            }
            Directory::Chain(cluster) => cluster,
        };
        let chain = clusters.chain(first, MAX_DIRECTORY_BYTES, &mut listing.budget);
        if !chain.is_whole || chain.runs.len() >= MAX_DIRECTORY_BYTES {
            let message = format!(
                "directory read in part only: its chain breaks off or comes back after {} bytes",
                chain.runs.len()
            );
            listing.fault(clusters.offset(first), message);
        }
        chain.runs
    }

    fn child(
        &self,
        found: Found,
        removed: bool,
        listing: &mut Listing<Directory>,
    ) -> Child<Directory> {
        let Found { at, name, short, .. } = found;
        let clusters = &self.boot.clusters;
        let mut state = State::Present;
        let mut directory = None;
        if removed {
            let left = match short.is_directory {
                true => clusters
                    .row(short.cluster, clusters.size)
                    .is_some_and(|row| self.usage().is_free(&row)),
                false => self.left(&short).is_some(),
            };
            state = State::Deleted(if left { Remains::Likely } else { Remains::Nothing });
            directory = (short.is_directory && left).then_some(Directory::Removed(short.cluster));
        } else if short.is_directory {
            directory = Some(Directory::Chain(short.cluster));
        } else if short.size > 0 && !clusters.has(short.cluster) {
            let message = format!("{}: no cluster has its number {}", name.shown, short.cluster);
            listing.fault(at, message);
        }
        let kind = if short.is_directory { Kind::Directory } else { Kind::File };
        let number = at.saturating_sub(self.boot.numbered_from) / (ENTRY as u64);
        Child {
            name,
            kind,
            size: short.size,
            times: short.times,
            id: Some(FileId { number: number.saturating_add(3), sequence: 0 }),
            state,
            link_target: None,
            handle: at,
            directory,
        }
    }

    /// What is left of a removed file: one piece, if all of it is free.
    fn left(&self, short: &Short) -> Option<Runs> {
        let clusters = &self.boot.clusters;
        let row = clusters.row(short.cluster, short.size).filter(|_| short.size > 0)?;
        self.usage().is_free(&row).then(|| clusters.straight(&row, short.size))
    }

    fn usage(&self) -> &Usage {
        self.usage.get_or_init(|| self.boot.clusters.usage_of_table())
    }
}
