//! NTFS: every file of a volume from one pass over `$MFT`, removed ones too.
//!
//! The list is made of `$MFT` alone: names, sizes and all eight times stand
//! there, and what is left of removed files with them. `$Bitmap` is read only
//! when there are removed files whose content lay in clusters. Index blocks are
//! not read for it.
//!
//! - A file with several names is shown by each; 8.3 names beside long ones are
//!   not shown, but found.
//! - Streams stand behind their file (`C:\a.txt:cfg`); they have its times.
//! - A removed file lies in the directory that it was removed from, if that can
//!   be told: its record must be free or its own still. Else its path begins
//!   with `$OrphanFiles`, and without any name it is `OrphanFile-<record>`, as
//!   The Sleuth Kit has it.
//! - A removed file's [`FileId`] bears the sequence number it had while present.
//! - Links and junctions are shown with the target that the system follows.
//! - Metafiles are files like others: `C:\$MFT`, `C:\$Extend\$UsnJrnl:$J`.
//!
//! Versions: 3.0 and 3.1 (Windows 2000 to 11); records of 512 bytes to 64 KiB,
//! clusters up to 2 MiB.
//!
//! Source: the NTFS notes of the Linux-NTFS project and of libfsntfs; [MS-FSCC]
//! for reparse points.

mod boot;
#[cfg(test)]
mod build;
mod complaint;
mod content;
mod file;
mod find;
#[cfg(test)]
mod hostile;
mod kept;
mod leftover;
mod list;
mod lznt1;
mod lzx;
mod open;
mod record;
mod remains;
mod reparse;
mod row;
mod runs;
mod scan;
mod show;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod times;
mod tree;
mod volume;
mod wof;

use std::io;
use std::sync::Arc;

use crate::model::{EvidencePath, FileReference, PathResolver, Problem, ReadAt, Stage};
use crate::source::{Entry, FileId, Filesystem, Knows, Piece, SourceError, Start};

pub use boot::Geometry;

use super::bytes;
use complaint::Complaints;
use open::{Found, Pick};
use table::Table;
use tree::Tree;
use volume::Volume;

/// A directory's index is handed out up to this size; bytes.
pub const MAX_INDEX: u64 = 64 << 20;

/// One NTFS volume, or an `$MFT` without its volume.
pub struct Ntfs {
    volume: Volume,
    table: Table,
    tree: Tree,
    /// What paths begin with.
    prefix: String,
    complaints: Complaints,
    /// What was wrong with the volume as a whole.
    notes: Vec<String>,
}

/// A volume's files cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum NtfsError {
    #[error("not a readable NTFS volume: {0}")]
    Volume(String),
    #[error("not a readable $MFT: {0}")]
    Mft(String),
}

/// The parts of a directory's `$I30` index as stored, for a look at its slack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexStreams {
    /// `$INDEX_ROOT`.
    pub root: Vec<u8>,
    /// `$INDEX_ALLOCATION`, fixups not applied; empty where there is none.
    pub allocation: Vec<u8>,
}

impl Ntfs {
    /// Reads the list of files of a volume; paths begin with `prefix` (`C:\`).
    ///
    /// # Errors
    ///
    /// When there is no way to the records; damage behind that is reported by
    /// [`Filesystem::walk`].
    pub fn open(volume: Arc<dyn ReadAt>, prefix: &str) -> Result<Self, NtfsError> {
        Self::open_judged(volume, prefix, None)
    }

    /// Like [`Ntfs::open`]; contents that lie in records are judged by `knows` on
    /// the way, see [`Filesystem::start`].
    ///
    /// # Errors
    ///
    /// As [`Ntfs::open`].
    pub fn open_judged(
        volume: Arc<dyn ReadAt>,
        prefix: &str,
        knows: Option<&Knows<'_>>,
    ) -> Result<Self, NtfsError> {
        let volume = Volume::open(volume).map_err(NtfsError::Volume)?;
        Ok(Self::read(volume, prefix, knows))
    }

    /// Reads the list of files of an `$MFT` that was copied out of its volume:
    /// only content that lies in the records can be opened.
    ///
    /// # Errors
    ///
    /// When it does not begin with a record.
    pub fn from_mft(mft: Arc<dyn ReadAt>, prefix: &str) -> Result<Self, NtfsError> {
        Volume::bare(mft).map(|volume| Self::read(volume, prefix, None)).map_err(NtfsError::Mft)
    }

    fn read(mut volume: Volume, prefix: &str, knows: Option<&Knows<'_>>) -> Self {
        let mut table = Table::read(&volume, knows);
        reparse::read_far(&volume, &mut table);
        let mut notes = std::mem::take(&mut volume.notes);
        if let Err(error) = remains::mark(&volume, &mut table) {
            notes.push(format!("$Bitmap: {error}; what is left of removed files is not known"));
        }
        let mut complaints = std::mem::take(&mut table.complaints);
        let beyond = volume.mft.size() / volume.measures.record as u64;
        if beyond > table::MAX_RECORDS {
            let limit = table::MAX_RECORDS;
            notes.push(format!("$MFT has {beyond} records; those from {limit} on are not listed"));
        }
        let tree = Tree::of(&table, &mut complaints);
        Self { volume, table, tree, prefix: prefix.to_owned(), complaints, notes }
    }

    /// Lets paths begin with something else.
    pub fn set_prefix(&mut self, prefix: &str) {
        prefix.clone_into(&mut self.prefix);
    }

    /// Files, present and removed.
    pub fn files(&self) -> u64 {
        let count = (0..self.table.records())
            .filter(|number| self.table.node(*number).is_some_and(|node| node.is_file()));
        count.count() as u64
    }

    /// Whether the content of an entry that it showed lies in a record.
    pub fn is_in_record(&self, file: &Entry) -> bool {
        file::is_in_record(self, file)
    }

    /// The measures of the volume; `None` for an `$MFT` without one.
    pub fn geometry(&self) -> Option<Geometry> {
        self.volume.disk.as_ref().map(|(_, geometry)| *geometry)
    }

    /// The path of the file that had that record at that time, present or
    /// removed; `None` when the record was given to another since.
    pub fn path_of(&self, id: FileId) -> Option<String> {
        let number = u32::try_from(id.number).ok()?;
        let node = self.table.node(number).filter(|node| node.is_file())?;
        if id.sequence != node.own_sequence() && id.sequence != node.sequence {
            return None;
        }
        find::path(self, number)
    }

    /// The index of the directory with that `$MFT` record.
    ///
    /// # Errors
    ///
    /// `NotFound` when the record has none; the read error; `FileTooLarge`
    /// beyond [`MAX_INDEX`].
    pub fn index_streams(&self, record: u64) -> io::Result<IndexStreams> {
        let missing = |_| io::Error::new(io::ErrorKind::NotFound, "no such $MFT record");
        let number = u32::try_from(record).map_err(missing)?;
        let stream = |kind| match open::attribute(
            &self.volume,
            &self.table,
            number,
            Pick::Named(kind, record::I30),
        ) {
            Ok(Found::Resident(bytes)) => Ok(bytes),
            Ok(Found::Extents { content, .. }) if content.size <= MAX_INDEX => {
                let mut bytes = vec![0; usize::try_from(content.size).unwrap_or_default()];
                bytes::fill_exactly(&content, 0, &mut bytes)?;
                Ok(bytes)
            }
            Ok(_) => Err(io::Error::from(io::ErrorKind::FileTooLarge)),
            Err(error) => Err(error),
        };
        let root = stream(record::INDEX_ROOT)?;
        match stream(record::INDEX_ALLOCATION) {
            Ok(allocation) => Ok(IndexStreams { root, allocation }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(IndexStreams { root, allocation: Vec::new() })
            }
            Err(error) => Err(error),
        }
    }
}

impl Filesystem for Ntfs {
    fn walk(&self, visit: &mut dyn FnMut(Entry), problem: &mut dyn FnMut(Problem)) {
        let mft = EvidencePath::new(format!("{}$MFT", self.prefix));
        for note in &self.notes {
            let path = Some(mft.clone());
            problem(Problem { path, locator: None, stage: Stage::Source, message: note.clone() });
        }
        let mut complaints = self.complaints.clone();
        show::walk(self, visit, &mut complaints);
        complaints.report(&mft, problem);
    }

    fn open(&self, file: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
        file::open(self, file)
    }

    fn start(&self, file: &Entry) -> Start {
        file::start(file)
    }

    fn place(&self, file: &Entry) -> u64 {
        file::place(self, file)
    }

    fn pieces(&self, file: &Entry) -> Vec<Piece> {
        file::pieces(self, file)
    }

    fn entry(&self, path: &EvidencePath) -> Option<Entry> {
        find::find(self, path)
    }

    fn case_insensitive(&self) -> bool {
        true
    }

    fn indexes(&self, visit: &mut dyn FnMut(Entry)) {
        show::indexes(self, visit);
    }

    fn forget(&self) {
        if let Some((disk, _)) = &self.volume.disk {
            disk.forget();
        }
    }

    fn directories(&self, _: &EvidencePath) -> Option<&dyn PathResolver> {
        Some(self)
    }
}

impl PathResolver for Ntfs {
    fn directory(&self, reference: FileReference) -> Option<(String, FileReference)> {
        let number = u32::try_from(reference.record).ok()?;
        let node = self.table.node(number).filter(|node| node.is_file())?;
        if reference.sequence != node.own_sequence() && reference.sequence != node.sequence {
            return None;
        }
        let row = tree::first_name(&self.table, number)?;
        let name = self.table.names.get(row as usize)?;
        let parent = FileReference { record: name.parent.into(), sequence: name.parent_sequence };
        Some((self.table.text(name.text, name.length).to_owned(), parent))
    }

    fn volume(&self) -> &str {
        self.prefix.trim_end_matches('\\')
    }
}
