//! Files whose names were taken along: an `$MFT` that was copied out of its volume,
//! alone or with other files, lists the volume's files, removed ones too.
//!
//! What it lists and what was not copied is shown behind the copied files. Content
//! that lies in its records can be opened, the rest cannot: see [`Start::Nowhere`].
//! An `$MFT` in the root of a drive speaks of that drive; of any other nobody knows
//! whose it is, so its files stand below its own path (`dump/$MFT\Users\…`).

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use crate::model::{EvidencePath, PathResolver, Problem, ReadAt, Stage};

use super::filesystem::ntfs::Ntfs;
use super::{Entry, Filesystem, SourceError, Start};

/// More of them in one source are not read.
const MAX_LISTS: usize = 64;
/// Where a handle says which list an entry is of; the handles below it are smaller.
const LIST_SHIFT: u32 = 56;

/// A tree of files and what the `$MFT`s in it list.
pub(super) struct Listed {
    files: Box<dyn Filesystem>,
    /// Known once the files were walked.
    lists: OnceLock<Vec<List>>,
}

struct List {
    path: EvidencePath,
    /// What its paths begin with.
    root: String,
    files: Ntfs,
}

impl Listed {
    pub(super) fn new(files: impl Filesystem + 'static) -> Self {
        Self { files: Box::new(files), lists: OnceLock::new() }
    }

    fn lists(&self) -> &[List] {
        self.lists.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// The list that an entry is of, and the entry as that list showed it.
    fn of(&self, file: &Entry) -> Option<(&List, Entry)> {
        let number = usize::try_from(file.handle >> LIST_SHIFT).ok()?.checked_sub(1)?;
        let handle = file.handle & ((1 << LIST_SHIFT) - 1);
        Some((self.lists().get(number)?, Entry { handle, ..file.clone() }))
    }

    /// Reads the `$MFT`s among the files; what is called so and is none is no list.
    fn read(&self, found: &[Entry], problem: &mut dyn FnMut(Problem)) -> Vec<List> {
        let mut lists = Vec::new();
        for entry in found.iter().take(MAX_LISTS) {
            let path = entry.path.as_str();
            let parent = path.len().checked_sub(NAME.len()).and_then(|at| path.get(..at));
            let root = match parent.filter(|parent| parent.ends_with(":\\")) {
                Some(drive) => drive.to_owned(),
                None => format!("{path}\\"),
            };
            let content = self.files.open(entry).map_err(|error| error.to_string());
            let files = content.and_then(|content| {
                Ntfs::from_mft(Arc::from(content), &root).map_err(|error| error.to_string())
            });
            match files {
                Ok(files) => lists.push(List { path: entry.path.clone(), root, files }),
                Err(message) => problem(met(entry, message)),
            }
        }
        if let Some(entry) = found.get(MAX_LISTS) {
            problem(met(entry, format!("only {MAX_LISTS} files of that name are read")));
        }
        lists
    }
}

/// What an `$MFT` is called.
const NAME: &str = "$MFT";

/// Whether a file bears the name of an `$MFT`.
fn is_called_so(entry: &Entry) -> bool {
    entry.is_file() && entry.path.file_name().eq_ignore_ascii_case(NAME)
}

impl Filesystem for Listed {
    fn walk(&self, visit: &mut dyn FnMut(Entry), problem: &mut dyn FnMut(Problem)) {
        // Keyed at random: nobody can make a name that hides another.
        let (mut shown, hasher) = (HashSet::new(), RandomState::new());
        let key = |entry: &Entry| hasher.hash_one(entry.path.as_str().to_lowercase());
        let mut found = Vec::new();
        let mut note = |entry: Entry| {
            shown.insert(key(&entry));
            if is_called_so(&entry) {
                found.push(entry.clone());
            }
            visit(entry);
        };
        self.files.walk(&mut note, problem);
        let lists = self.lists.get_or_init(|| self.read(&found, problem));
        for (number, list) in (1u64..).zip(lists) {
            let mut unless_copied = |mut entry: Entry| {
                if entry.is_deleted() || !shown.contains(&key(&entry)) {
                    entry.handle |= number << LIST_SHIFT;
                    visit(entry);
                }
            };
            list.files.walk(&mut unless_copied, problem);
        }
    }

    fn open(&self, file: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
        match self.of(file) {
            Some((list, entry)) => list.files.open(&entry),
            None => self.files.open(file),
        }
    }

    fn start(&self, file: &Entry) -> Start {
        match self.of(file) {
            Some((list, entry)) if list.files.is_in_record(&entry) => list.files.start(&entry),
            Some(_) => Start::Nowhere,
            None => self.files.start(file),
        }
    }

    fn place(&self, file: &Entry) -> u64 {
        match self.of(file) {
            Some((list, entry)) => list.files.place(&entry),
            None => self.files.place(file),
        }
    }

    fn entry(&self, path: &EvidencePath) -> Option<Entry> {
        self.files.entry(path)
    }

    fn case_insensitive(&self) -> bool {
        self.files.case_insensitive()
    }

    fn indexes(&self, visit: &mut dyn FnMut(Entry)) {
        self.files.indexes(visit);
    }

    fn directories(&self, path: &EvidencePath) -> Option<&dyn PathResolver> {
        let own = |list: &&List| {
            let head = path.as_str().get(..list.root.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(&list.root))
        };
        let listed = self.lists().iter().find(own).map(|list| &list.files as &dyn PathResolver);
        self.files.directories(path).or(listed)
    }

    fn lists(&self) -> Vec<(EvidencePath, u64)> {
        self.lists().iter().map(|list| (list.path.clone(), list.files.files())).collect()
    }

    fn late_problems(&self) -> Vec<Problem> {
        self.files.late_problems()
    }
}

fn met(entry: &Entry, message: String) -> Problem {
    Problem { path: Some(entry.path.clone()), locator: None, stage: Stage::Source, message }
}
