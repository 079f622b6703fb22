//! One way to walk a volume, whatever file system is on it.
//!
//! A file system says how one directory is listed ([`Volume`]); [`Tree`] makes a
//! [`Filesystem`] of it: the order, the limits, directories that hold themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::model::{EvidencePath, Locator, Problem, ReadAt, Stage};
use crate::source::{Entry, FileId, Filesystem, Kind, SourceError, State, Times};

use super::name::Name;

/// Directories below directories are walked to this depth.
pub const MAX_DEPTH: usize = 512;
/// Paths longer than this are not walked.
pub const MAX_PATH_BYTES: usize = 32 << 10;
/// Of one directory this much is read.
pub const MAX_DIRECTORY_BYTES: u64 = 128 << 20;
/// Of one directory so many faults are told one by one.
const MAX_FAULTS: usize = 64;

/// What a reader knows of the directories of one volume.
pub(super) trait Volume: Send + Sync {
    /// What a directory is listed by.
    type Directory;
    const SEPARATOR: char;
    const ANY_CASE: bool;

    fn root(&self) -> Self::Directory;
    /// Tells directories of this volume apart, and whether it was removed.
    fn identity(directory: &Self::Directory) -> (u64, State);
    /// Every name but `.` and `..`, in any order.
    fn list(&self, directory: &Self::Directory, listing: &mut Listing<Self::Directory>);
    /// The bytes of a regular file.
    fn content(&self, file: &Entry) -> io::Result<Box<dyn ReadAt>>;
    /// What a reader should know before the first name.
    fn notes(&self) -> Vec<Fault>;
    /// What the file system lies on.
    fn disk(&self) -> &dyn ReadAt;
    /// Bytes: directories and what maps them are never larger in total.
    fn bytes(&self) -> u64;
}

/// One name of a directory.
pub(super) struct Child<D> {
    pub(super) name: Name,
    pub(super) kind: Kind,
    pub(super) size: u64,
    pub(super) times: Times,
    pub(super) id: Option<FileId>,
    pub(super) state: State,
    pub(super) link_target: Option<String>,
    pub(super) handle: u64,
    /// How it is listed, if it is a directory that can be.
    pub(super) directory: Option<D>,
}

/// What is wrong with a directory or something in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Of the volume, in bytes.
    pub(super) offset: Option<u64>,
    pub(super) message: String,
}

/// How many bytes of directories and maps may still be read.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
}

impl Budget {
    pub(super) fn new(bytes: u64) -> Self {
        Self { left: bytes }
    }

    /// Takes that many bytes; `false` when they are not left.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

/// What one directory holds.
pub(super) struct Listing<D> {
    pub(super) children: Vec<Child<D>>,
    pub(super) budget: Budget,
    /// Only what is present is wanted: what is left of removed files need not be looked at.
    pub(super) present_only: bool,
    faults: Vec<Fault>,
    untold: usize,
}

impl<D> Listing<D> {
    fn new(budget: Budget, present_only: bool) -> Self {
        Self { children: Vec::new(), budget, present_only, faults: Vec::new(), untold: 0 }
    }

    /// One whose faults nobody reads.
    pub(super) fn quiet(bytes: u64) -> Self {
        Self::new(Budget::new(bytes), true)
    }

    /// Notes what is wrong.
    pub(super) fn fault(&mut self, offset: impl Into<Option<u64>>, message: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            let fault = Fault { offset: offset.into(), message: message.into() };
            self.faults.push(fault);
        } else {
            self.untold = self.untold.saturating_add(1);
        }
    }
}

/// A volume as a file tree.
pub(super) struct Tree<V> {
    volume: V,
    prefix: String,
}

impl<V: Volume> Tree<V> {
    /// The tree of a volume, whose paths begin with `prefix`: `E:\`, `/`.
    pub(super) fn new(volume: V, prefix: &str) -> Self {
        Self { volume, prefix: prefix.to_owned() }
    }

    /// What is present below a directory under that name.
    fn find(&self, directory: &V::Directory, name: &str) -> Option<Child<V::Directory>> {
        let mut listing = Listing::quiet(self.volume.bytes());
        self.volume.list(directory, &mut listing);
        let mut children = listing.children;
        children.retain(|child| child.state == State::Present);
        order(&mut children);
        separate(&mut children);
        let lower = name.to_lowercase();
        let exact = children.iter().position(|child| child.name.shown == name);
        let found = exact.or_else(|| {
            let any = |child: &Child<_>| V::ANY_CASE && child.name.shown.to_lowercase() == lower;
            children.iter().position(any)
        })?;
        Some(children.swap_remove(found))
    }
}

impl<V: Volume> Filesystem for Tree<V> {
    fn walk(&self, visit: &mut dyn FnMut(Entry), problem: &mut dyn FnMut(Problem)) {
        let mut walk = Walk {
            volume: &self.volume,
            levels: Vec::new(),
            entered: BTreeSet::new(),
            left: self.volume.bytes(),
            visit,
            problem,
        };
        for note in self.volume.notes() {
            (walk.problem)(met(&self.prefix, note));
        }
        walk.root(&self.prefix);
    }

    fn open(&self, file: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
        if !file.is_file() {
            return Err(SourceError::NotInEvidence { path: file.path.clone() });
        }
        self.volume
            .content(file)
            .map_err(|error| SourceError::File { path: file.path.clone(), error })
    }

    fn forget(&self) {
        self.volume.disk().forget();
    }

    fn entry(&self, path: &EvidencePath) -> Option<Entry> {
        let text = path.as_str();
        let head = text.get(..self.prefix.len())?;
        let same =
            head == self.prefix || V::ANY_CASE && head.to_lowercase() == self.prefix.to_lowercase();
        let below = text.get(self.prefix.len()..).filter(|_| same)?;
        let mut shown = self.prefix.clone();
        let mut directory = Some(self.volume.root());
        let mut found: Option<Entry> = None;
        for (depth, name) in below.split(V::SEPARATOR).enumerate() {
            if depth >= MAX_DEPTH || name.is_empty() {
                return None;
            }
            let child = self.find(&directory?, name)?;
            if found.is_some() {
                shown.push(V::SEPARATOR);
            }
            shown.push_str(&child.name.shown);
            let (entry, below) = split(child, shown.clone());
            directory = below;
            found = Some(entry);
        }
        found
    }

    fn case_insensitive(&self) -> bool {
        V::ANY_CASE
    }
}

/// One walk under way.
struct Walk<'a, V: Volume> {
    volume: &'a V,
    /// The directories from the root down to the present one.
    levels: Vec<Level<V::Directory>>,
    /// Every directory entered so far: no volume has one in two places, but a
    /// removed one may have had two names.
    entered: BTreeSet<(u64, State)>,
    /// Bytes of directories that may still be read.
    left: u64,
    visit: &'a mut dyn FnMut(Entry),
    problem: &'a mut dyn FnMut(Problem),
}

/// A directory whose names are being shown.
struct Level<D> {
    /// Its path with the separator.
    prefix: String,
    children: std::vec::IntoIter<Child<D>>,
}

impl<V: Volume> Walk<'_, V> {
    /// Shows everything. Not recursive: depth is the evidence's.
    fn root(&mut self, prefix: &str) {
        self.enter(&self.volume.root(), prefix.to_owned());
        while let Some(level) = self.levels.last_mut() {
            let Some(child) = level.children.next() else {
                self.levels.pop();
                continue;
            };
            let path = format!("{}{}", level.prefix, child.name.shown);
            let (entry, directory) = split(child, path);
            let below = format!("{}{}", entry.path, V::SEPARATOR);
            (self.visit)(entry);
            if let Some(directory) = directory {
                self.enter(&directory, below);
            }
        }
    }

    /// Lists a directory, unless it is too deep or was shown before.
    fn enter(&mut self, directory: &V::Directory, prefix: String) {
        if self.levels.len() >= MAX_DEPTH {
            return self.fail(&prefix, format!("deeper than {MAX_DEPTH} directories; not read"));
        }
        if prefix.len() > MAX_PATH_BYTES {
            let message = format!("path of more than {MAX_PATH_BYTES} bytes; not read");
            return self.fail(&prefix, message);
        }
        let identity = V::identity(directory);
        if !self.entered.insert(identity) {
            if identity.1 == State::Present {
                let message = "a directory that is also in another place, or holds itself";
                self.fail(&prefix, format!("{message}; not read again"));
            }
            return;
        }
        let mut listing = Listing::new(Budget::new(self.left), false);
        self.volume.list(directory, &mut listing);
        self.left = listing.budget.left;
        for fault in std::mem::take(&mut listing.faults) {
            (self.problem)(met(prefix.trim_end_matches(V::SEPARATOR), fault));
        }
        if listing.untold > 0 {
            self.fail(&prefix, format!("{} more of this directory are not told", listing.untold));
        }
        let mut children = listing.children;
        order(&mut children);
        separate(&mut children);
        for child in &children {
            if let Some(stored) = &child.name.stored {
                let message = format!("the stored name is \"{stored}\"");
                self.fail(&format!("{prefix}{}", child.name.shown), message);
            }
        }
        self.levels.push(Level { prefix, children: children.into_iter() });
    }

    fn fail(&mut self, path: &str, message: String) {
        let path = path.trim_end_matches(V::SEPARATOR);
        (self.problem)(met(path, Fault { offset: None, message }));
    }
}

fn met(path: &str, fault: Fault) -> Problem {
    Problem {
        path: Some(EvidencePath::new(path)),
        locator: fault.offset.map(Locator::Offset),
        stage: Stage::Source,
        message: fault.message,
    }
}

/// The entry of a child, and how it is listed if it is a directory.
fn split<D>(child: Child<D>, path: String) -> (Entry, Option<D>) {
    let entry = Entry {
        path: EvidencePath::new(path),
        kind: child.kind,
        size: if child.kind == Kind::File { child.size } else { 0 },
        times: child.times,
        name_times: None,
        id: child.id,
        state: child.state,
        link_target: child.link_target,
        handle: child.handle,
    };
    (entry, child.directory)
}

/// By lowercase name, then by bytes; of one name what is present comes first,
/// then by where it stands on the volume.
fn order<D>(children: &mut [Child<D>]) {
    children.sort_by_cached_key(|child| {
        let shown = &child.name.shown;
        (shown.to_lowercase(), shown.clone(), child.state, child.handle, child.name.stored.clone())
    });
}

/// Numbers altered names (`~2`) until every one of them is unique, those present
/// first, so that they are called the same whether removed ones are listed or not.
fn separate<D>(children: &mut [Child<D>]) {
    if children.iter().all(|child| child.name.stored.is_none()) {
        return;
    }
    let mut taken = BTreeSet::new();
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    for present in [true, false] {
        let (altered, plain): (Vec<_>, Vec<_>) = children
            .iter_mut()
            .filter(|child| (child.state == State::Present) == present)
            .partition(|child| child.name.stored.is_some());
        taken.extend(plain.iter().map(|child| child.name.shown.clone()));
        for child in altered {
            let plain = child.name.shown.clone();
            let number = next.entry(plain.clone()).or_insert(1);
            while !taken.insert(child.name.shown.clone()) {
                *number = number.saturating_add(1);
                child.name.shown = format!("{plain}~{number}");
            }
        }
    }
    order(children);
}
