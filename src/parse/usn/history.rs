//! What a journal itself tells of names: which directory bore which name when,
//! and which two records are one renaming.
//!
//! A directory's records say its name and where it lay at their time. With all of
//! them known, the path of any record is put together as it was when the record
//! was written, also through directories that were renamed, moved or deleted
//! since. Directories that the journal does not mention are asked of the volume.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::layout::{Entry, Identity, RENAME_NEW_NAME, RENAME_OLD_NAME};
use crate::model::{FileReference, PathResolver};

/// Memory for names of directories and renamings; what comes later is not known.
const MAX_BYTES: usize = 256 << 20;
/// Memory that one name takes besides its letters.
const OVERHEAD: usize = 160;
/// Directories above a file that are followed; a loop ends here too.
const MAX_DEPTH: usize = 256;
/// Of longer paths the end is kept: some of Windows's limit of 32767 characters, so
/// that a made journal cannot make each of its records a hundred kilobytes.
const MAX_PATH_BYTES: usize = 8 << 10;
/// Paths of directories that are remembered at once.
const MAX_CACHED: usize = 4096;

/// A name and the directory it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub name: String,
    pub parent: Identity,
}

/// A pair of records that are one renaming.
#[derive(Clone, Debug)]
pub(super) struct Rename {
    old_usn: u64,
    new_usn: u64,
    pub old: Place,
    pub new: Place,
}

/// All that one reading of the journal told.
#[derive(Default)]
pub(super) struct History {
    /// By update sequence number; equal neighbours are left out.
    directories: HashMap<Identity, Vec<(u64, Place)>>,
    renames: HashMap<Identity, Vec<Rename>>,
    /// Renamings whose second half has not come.
    begun: HashMap<Identity, (u64, Place)>,
    /// Numbers from which on some directory bears another name, ascending.
    changes: Vec<u64>,
    bytes: usize,
    /// Whether more names came than are kept.
    pub full: bool,
}

impl History {
    /// Takes in one record.
    pub(super) fn add(&mut self, entry: &Entry<'_>) {
        let renames = entry.has(RENAME_OLD_NAME | RENAME_NEW_NAME) && !entry.name.is_empty();
        if !renames && !entry.is_directory() {
            return;
        }
        let known = self.directories.get(&entry.file).and_then(|known| known.last());
        let known = known.is_some_and(|(_, p)| p.parent == entry.parent && entry.is_named(&p.name));
        if known && !renames {
            return;
        }
        let room = entry.name.len().saturating_add(OVERHEAD);
        if self.bytes.saturating_add(room) > MAX_BYTES {
            self.full = true;
            return;
        }
        let place = Place { name: entry.name(), parent: entry.parent };
        if renames {
            self.pair(entry, &place, room);
        }
        if entry.is_directory() && !known {
            self.bytes = self.bytes.saturating_add(room);
            self.directories.entry(entry.file).or_default().push((entry.usn, place));
        }
    }

    fn pair(&mut self, entry: &Entry<'_>, place: &Place, room: usize) {
        let begun = if entry.has(RENAME_NEW_NAME) { self.begun.remove(&entry.file) } else { None };
        self.bytes = self.bytes.saturating_add(room);
        match begun {
            Some((old_usn, old)) => self.renames.entry(entry.file).or_default().push(Rename {
                old_usn,
                new_usn: entry.usn,
                old,
                new: place.clone(),
            }),
            None if entry.has(RENAME_OLD_NAME) => {
                self.begun.insert(entry.file, (entry.usn, place.clone()));
            }
            None => {}
        }
    }

    /// Brings what was taken in into the order of time; to be called once, at the end.
    pub(super) fn close(&mut self) {
        for known in self.directories.values_mut() {
            known.sort_by_key(|(usn, _)| *usn);
            self.changes.extend(known.iter().skip(1).map(|(usn, _)| *usn));
        }
        for renames in self.renames.values_mut() {
            renames.sort_by_key(|rename| rename.old_usn);
        }
        self.changes.sort_unstable();
        self.changes.dedup();
        self.begun.clear();
    }

    /// The renaming that a record is part of: either half, and what closed it.
    pub(super) fn rename_of(&self, entry: &Entry<'_>) -> Option<&Rename> {
        if !entry.has(RENAME_OLD_NAME | RENAME_NEW_NAME) {
            return None;
        }
        let all = self.renames.get(&entry.file)?;
        let begun = all.partition_point(|rename| rename.old_usn <= entry.usn);
        all.get(begun.checked_sub(1)?).filter(|rename| {
            rename.old_usn == entry.usn
                || (entry.has(RENAME_NEW_NAME)
                    && rename.new_usn <= entry.usn
                    && rename.new.parent == entry.parent
                    && entry.is_named(&rename.new.name))
        })
    }

    /// Where that directory was when the record of this number was written.
    fn place(&self, directory: Identity, usn: u64) -> Option<&Place> {
        let known = self.directories.get(&directory)?;
        let after = known.partition_point(|(from, _)| *from <= usn);
        known.get(after.saturating_sub(1)).map(|(_, place)| place)
    }

    /// The numbers around this one between which no directory changes.
    fn calm(&self, usn: u64) -> Range<u64> {
        let next = self.changes.partition_point(|change| *change <= usn);
        let from = next.checked_sub(1).and_then(|last| self.changes.get(last));
        from.copied().unwrap_or(0)..self.changes.get(next).copied().unwrap_or(u64::MAX)
    }
}

/// Puts paths together from the journal and the volume.
pub(super) struct Paths<'a> {
    history: &'a History,
    volume: Option<&'a dyn PathResolver>,
    /// Paths of directories, good for records of these numbers.
    cache: HashMap<Identity, Option<Rc<str>>>,
    calm: Range<u64>,
}

impl<'a> Paths<'a> {
    pub(super) fn new(history: &'a History, volume: Option<&'a dyn PathResolver>) -> Self {
        Self { history, volume, cache: HashMap::new(), calm: 0..0 }
    }

    /// The path of `name` in `parent` as it was at that number: whole and with the
    /// volume in front if everything above is known, `\Users\…` if all but the
    /// volume is, else as much of its end as is known.
    pub(super) fn path(&mut self, place: &Place, usn: u64) -> String {
        let mut text = String::new();
        self.push_directory(&mut text, place.parent, usn);
        text.push_str(&place.name);
        text
    }

    /// Appends to a text what stands before the name in such a path.
    pub(super) fn push_directory(&mut self, text: &mut String, parent: Identity, usn: u64) {
        if let Some(directory) = self.directory(parent, usn) {
            text.push_str(&directory);
            text.push('\\');
        }
    }

    /// Whether no directory changes between the path asked for last and this number.
    pub(super) fn is_calm(&self, usn: u64) -> bool {
        self.calm.contains(&usn)
    }

    fn directory(&mut self, directory: Identity, usn: u64) -> Option<Rc<str>> {
        if !self.is_calm(usn) {
            self.calm = self.history.calm(usn);
            self.cache.clear();
        }
        if self.cache.len() >= MAX_CACHED {
            self.cache.clear();
        }
        if let Some(known) = self.cache.get(&directory) {
            return known.clone();
        }
        let path: Option<Rc<str>> = self.resolve(directory, usn).map(Rc::from);
        self.cache.insert(directory, path.clone());
        path
    }

    fn resolve(&self, directory: Identity, usn: u64) -> Option<String> {
        let mut names: Vec<String> = Vec::new();
        let (mut at, mut bytes, mut whole) = (directory, 0usize, false);
        for _ in 0..MAX_DEPTH {
            whole = at.reference().is_some_and(|r| r.record == FileReference::ROOT_RECORD);
            if whole {
                break;
            }
            let Some(Place { name, parent }) = self.step(at, usn) else { break };
            bytes = bytes.saturating_add(name.len()).saturating_add(1);
            if bytes > MAX_PATH_BYTES {
                break;
            }
            names.push(name);
            at = parent;
        }
        if !whole && names.is_empty() {
            return None;
        }
        if whole {
            names.push(self.volume.map_or_else(String::new, |v| v.volume().to_owned()));
        }
        names.reverse();
        Some(names.join("\\"))
    }

    fn step(&self, directory: Identity, usn: u64) -> Option<Place> {
        if let Some(place) = self.history.place(directory, usn) {
            return Some(place.clone());
        }
        let (name, parent) = self.volume?.directory(directory.reference()?)?;
        let raw = u64::from(parent.sequence) << 48 | parent.record;
        Some(Place { name, parent: Identity(raw.into()) })
    }
}
