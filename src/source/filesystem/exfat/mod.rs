//! exFAT: large sticks and cards.
//!
//! Times carry their zone and are shown in UTC; births and changes of content are
//! exact to 10 ms, accesses to 2 s. A time without a zone is taken for UTC.
//!
//! Removed files are shown where their parent still holds their entries, with
//! their whole name. Their content is shown if all its clusters are free: in one
//! piece where the file says it lay so, else where the table's chain is whole.
//! Files that no folder holds any more are not looked for. A file's number is
//! that of its first entry as sleuthkit counts: 32-byte entries from the first
//! cluster, the first being 3.
//!
//! Source: Microsoft, exFAT file system specification; compared with sleuthkit by
//! `tests/compare/fat.py`.

mod boot;
mod directory;

use std::io;
use std::sync::Arc;

use crate::model::ReadAt;
use crate::source::{Entry, FileId, Filesystem, Kind, Remains, State};

use self::boot::Boot;
use self::directory::{ENTRY, File, Found, Stream, read, stream};
use super::OpenError;
use super::bytes::read_exact;
use super::clusters::{FIRST, Lazy, Usage, blocks};
use super::runs::{Content, Place, Runs};
use super::tree::{Budget, Child, Fault, Listing, MAX_DIRECTORY_BYTES, Tree, Volume};

/// Opens a volume as exFAT; its paths begin with `prefix` (`E:\`).
///
/// # Errors
///
/// [`OpenError`] when the boot sector cannot be read or its numbers cannot be.
pub fn open(volume: Arc<dyn ReadAt>, prefix: &str) -> Result<impl Filesystem + use<>, OpenError> {
    let boot = Boot::read(volume)?;
    Ok(Tree::new(ExFat { boot, usage: Lazy::new() }, prefix))
}

struct ExFat {
    boot: Boot,
    usage: Lazy,
}

/// A directory to list.
#[derive(Clone, Copy, Debug)]
struct Directory {
    stream: Stream,
    /// Removed, and so is all it holds.
    removed: bool,
}

impl Volume for ExFat {
    type Directory = Directory;
    const SEPARATOR: char = '\\';
    const ANY_CASE: bool = true;

    fn root(&self) -> Directory {
        let limit = MAX_DIRECTORY_BYTES;
        let stream =
            Stream { cluster: self.boot.root, size: limit, written: limit, is_straight: false };
        Directory { stream, removed: false }
    }

    fn identity(directory: &Directory) -> (u64, State) {
        let removed = State::Deleted(Remains::Likely);
        (directory.stream.cluster, if directory.removed { removed } else { State::Present })
    }

    fn list(&self, directory: &Directory, listing: &mut Listing<Directory>) {
        for found in self.entries(directory, listing) {
            match found {
                Found::Bitmap(_) => {}
                Found::Damaged(at) => {
                    listing.fault(at, "entry of a file whose other parts are not there")
                }
                Found::File(file) => {
                    let removed = file.removed || directory.removed;
                    if !(removed && listing.present_only) {
                        let child = self.child(file, removed, listing);
                        listing.children.push(child);
                    }
                }
            }
        }
    }

    fn content(&self, file: &Entry) -> io::Result<Box<dyn ReadAt>> {
        let volume = &self.boot.clusters.volume;
        let bytes = read_exact(&**volume, file.handle, ENTRY)?;
        let stream = stream(&bytes).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut budget = Budget::new(u64::MAX);
        let mut runs = if file.is_deleted() {
            self.left(&stream, &mut budget).ok_or_else(|| {
                let message = "removed, and nothing of its content is left";
                io::Error::new(io::ErrorKind::NotFound, message)
            })?
        } else {
            let (mut runs, _) = self.runs(&stream, &mut budget);
            runs.fit(stream.size, Place::Lost);
            runs
        };
        runs.zero_from(stream.written);
        Ok(Box::new(Content::new(Arc::clone(volume), runs)))
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

impl ExFat {
    /// Where content lies, and whether that is all of it.
    fn runs(&self, stream: &Stream, budget: &mut Budget) -> (Runs, bool) {
        let clusters = &self.boot.clusters;
        if stream.size == 0 {
            return (Runs::default(), true);
        }
        if stream.is_straight {
            let row = clusters.row(stream.cluster, stream.size);
            let runs = row.map(|row| clusters.straight(&row, stream.size));
            let found = runs.is_some();
            return (runs.unwrap_or_default(), found);
        }
        let chain = clusters.chain(stream.cluster, stream.size, budget);
        let is_whole = chain.is_whole && chain.runs.len() >= stream.size;
        (chain.runs, is_whole)
    }

    /// What a directory's entries say.
    fn entries(&self, directory: &Directory, listing: &mut Listing<Directory>) -> Vec<Found> {
        let clusters = &self.boot.clusters;
        let at = clusters.offset(directory.stream.cluster);
        let is_root = directory.stream.cluster == self.boot.root;
        let mut stream = directory.stream;
        stream.size = stream.size.min(MAX_DIRECTORY_BYTES);
        let (runs, is_whole) = self.runs(&stream, &mut listing.budget);
        let (blocks, all) = blocks(&*clusters.volume, &runs, clusters.size, &mut listing.budget);
        if !all || !is_root && !is_whole || directory.stream.size > MAX_DIRECTORY_BYTES {
            let message = format!(
                "directory of {} bytes read in part only: {} bytes could be found",
                directory.stream.size,
                runs.len()
            );
            listing.fault(at, message);
        }
        let entries = blocks.iter().flat_map(|(at, block)| {
            block
                .chunks_exact(ENTRY)
                .enumerate()
                .map(move |(n, entry)| (at.saturating_add(n.saturating_mul(ENTRY) as u64), entry))
        });
        read(entries)
    }

    fn child(
        &self,
        file: File,
        removed: bool,
        listing: &mut Listing<Directory>,
    ) -> Child<Directory> {
        let clusters = &self.boot.clusters;
        if !file.is_sound && !removed {
            let message = format!("{}: the checksum of its entries differs", file.name.shown);
            listing.fault(file.at, message);
        }
        let mut state = State::Present;
        let mut is_listed = file.is_directory;
        if removed {
            let left = self.left(&file.stream, &mut listing.budget).is_some();
            state = State::Deleted(if left { Remains::Likely } else { Remains::Nothing });
            is_listed &= left;
        } else if file.stream.size > 0 && !clusters.has(file.stream.cluster) {
            let message =
                format!("{}: no cluster has its number {}", file.name.shown, file.stream.cluster);
            listing.fault(file.at, message);
        }
        let number = file.at.saturating_sub(clusters.data) / (ENTRY as u64);
        Child {
            name: file.name,
            kind: if file.is_directory { Kind::Directory } else { Kind::File },
            size: file.stream.size,
            times: file.times,
            id: Some(FileId { number: number.saturating_add(3), sequence: 0 }),
            state,
            link_target: None,
            handle: file.stream_at,
            directory: is_listed.then_some(Directory { stream: file.stream, removed }),
        }
    }

    /// What is left of removed content: all of it, if none of its clusters is in use.
    fn left(&self, stream: &Stream, budget: &mut Budget) -> Option<Runs> {
        let clusters = &self.boot.clusters;
        if stream.size == 0 {
            return None;
        }
        let (mut runs, is_whole) = self.runs(stream, budget);
        if !is_whole {
            return None;
        }
        let is_free = runs.iter().all(|run| {
            let Place::At(at) = run.place else { return false };
            let first = at.saturating_sub(clusters.data) / clusters.size;
            let first = first.saturating_add(FIRST);
            clusters.row(first, run.len).is_some_and(|row| self.usage().is_free(&row))
        });
        runs.fit(stream.size, Place::Lost);
        is_free.then_some(runs)
    }

    /// Which clusters are in use: the root names the bitmap that says so. Without
    /// it all count as in use.
    fn usage(&self) -> &Usage {
        self.usage.get_or_init(|| {
            let mut listing = Listing::quiet(self.bytes());
            let found = self.entries(&self.root(), &mut listing);
            let bitmap = found.iter().find_map(|found| match found {
                Found::Bitmap(stream) => Some(*stream),
                _ => None,
            });
            let Some(stream) = bitmap else { return Usage::default() };
            let (mut runs, _) = self.runs(&stream, &mut listing.budget);
            runs.fit(stream.size.min(runs.len()), Place::Lost);
            let volume = Arc::clone(&self.boot.clusters.volume);
            self.boot.clusters.usage_of_bitmap(&Content::new(volume, runs))
        })
    }
}
