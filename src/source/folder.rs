//! A folder, or drive folders side by side, as one host's file tree.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use crate::model::{EvidencePath, Limits, Problem, ReadAt, Stage};

use super::entry::{Births, Entry, Kind};
use super::file::OpenFile;
use super::{Filesystem, SourceError, listing};

/// Directories below directories are walked to this depth.
pub const MAX_DEPTH: usize = 512;

/// Folders of the examiner's machine, shown as the tree they were taken from.
pub struct Folder {
    roots: Vec<Root>,
    separator: char,
    any_case: bool,
    limits: Limits,
}

/// One folder and what its paths begin with.
pub(super) struct Root {
    /// `C:\`, `/` or nothing.
    pub(super) prefix: String,
    pub(super) at: PathBuf,
    /// Folders below that belong to another root or host.
    excluded: BTreeSet<PathBuf>,
    births: Births,
}

impl Root {
    pub(super) fn new(prefix: impl Into<String>, at: impl Into<PathBuf>) -> Self {
        let at = at.into();
        let births = Births::below(&at);
        Self { prefix: prefix.into(), at, excluded: BTreeSet::new(), births }
    }

    /// A part of a system, but for those folders; births are its own if it is the running one.
    #[cfg(any(target_os = "linux", windows))]
    pub(super) fn running(prefix: &str, at: &Path, left_out: Vec<PathBuf>) -> Self {
        let excluded = left_out.into_iter().collect();
        let births = if at == Path::new("/") { Births::Original } else { Births::below(at) };
        Self { prefix: prefix.to_owned(), at: at.to_owned(), excluded, births }
    }

    /// What lies below a folder, but for those folders.
    pub(super) fn rest(at: impl Into<PathBuf>, excluded: BTreeSet<PathBuf>) -> Self {
        Self { excluded, ..Self::new("", at) }
    }
}

impl Folder {
    /// Windows volumes: names are joined by `\` and their case does not matter.
    pub(super) fn windows(roots: Vec<Root>) -> Self {
        Self { roots, separator: '\\', any_case: true, limits: Limits::default() }
    }

    /// Anything else: names are joined by `/` and stand as they are.
    pub(super) fn plain(root: Root) -> Self {
        Self { roots: vec![root], separator: '/', any_case: false, limits: Limits::default() }
    }

    /// A running system, walked until a limit is reached.
    #[cfg(target_os = "linux")]
    pub(super) fn running(root: Root, limits: Limits) -> Self {
        Self { limits, ..Self::plain(root) }
    }

    /// The separator of names below that root: loose files beside drives keep
    /// the notation of the machine they lie on.
    fn separator(&self, root: &Root) -> char {
        if root.prefix.is_empty() { '/' } else { self.separator }
    }

    /// Where a path lies, if no link and nothing foreign is on the way.
    fn resolve(&self, path: &EvidencePath) -> Option<(String, PathBuf, Metadata, Births)> {
        let text = path.as_str();
        let (root, below) = self.roots.iter().find_map(|root| {
            let head = text.get(..root.prefix.len())?;
            let same = head == root.prefix || self.any_case && eq_any_case(head, &root.prefix);
            same.then(|| (root, text.get(root.prefix.len()..).unwrap_or_default()))
        })?;
        let separator = self.separator(root);
        let mut at = root.at.clone();
        let mut shown = root.prefix.clone();
        let mut last: Option<Metadata> = None;
        for name in below.split(separator) {
            if last.is_some_and(|parent| !parent.is_dir()) {
                return None;
            }
            let (found, metadata) = listing::find(&at, name, separator, self.any_case)?;
            if root.excluded.contains(&found) {
                return None;
            }
            if shown.len() > root.prefix.len() {
                shown.push(separator);
            }
            match found.file_name().and_then(|stored| stored.to_str()) {
                Some(stored) if !stored.contains(separator) => shown.push_str(stored),
                _ => shown.push_str(name),
            }
            at = found;
            last = Some(metadata);
        }
        last.map(|metadata| (shown, at, metadata, root.births))
    }
}

impl Filesystem for Folder {
    fn walk(&self, visit: &mut dyn FnMut(Entry), problem: &mut dyn FnMut(Problem)) {
        for root in &self.roots {
            let mut walk = Walk {
                separator: self.separator(root),
                excluded: &root.excluded,
                births: root.births,
                limits: &self.limits,
                levels: Vec::new(),
                visit,
                problem,
            };
            walk.root(&root.at, &root.prefix);
        }
    }

    fn open(&self, file: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
        let absent = || SourceError::NotInEvidence { path: file.path.clone() };
        let (_, at, metadata, _) = self.resolve(&file.path).ok_or_else(absent)?;
        if !metadata.is_file() {
            return Err(absent());
        }
        match OpenFile::open(&at) {
            Ok(open) => Ok(Box::new(open)),
            Err(error) => Err(SourceError::File { path: file.path.clone(), error }),
        }
    }

    fn entry(&self, path: &EvidencePath) -> Option<Entry> {
        let (shown, at, metadata, births) = self.resolve(path)?;
        Some(Entry::of(EvidencePath::new(shown), &at, &metadata, births))
    }

    fn case_insensitive(&self) -> bool {
        self.any_case
    }
}

/// A file given by itself: its name is its path.
pub(super) struct Single {
    pub(super) at: PathBuf,
    pub(super) name: String,
}

impl Single {
    fn is(&self, path: &EvidencePath) -> bool {
        path.as_str() == self.name
    }
}

impl Filesystem for Single {
    fn walk(&self, visit: &mut dyn FnMut(Entry), problem: &mut dyn FnMut(Problem)) {
        let path = EvidencePath::new(self.name.as_str());
        match std::fs::metadata(&self.at) {
            Ok(metadata) => visit(Entry::of(path, &self.at, &metadata, Births::Copied)),
            Err(error) => problem(met(Some(path), format!("cannot be read: {error}"))),
        }
    }

    fn open(&self, file: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
        if !self.is(&file.path) {
            return Err(SourceError::NotInEvidence { path: file.path.clone() });
        }
        // The source may be a link of the user's own: what it points to is opened.
        let opened = self.at.canonicalize().and_then(|at| OpenFile::open(&at));
        match opened {
            Ok(open) => Ok(Box::new(open)),
            Err(error) => Err(SourceError::File { path: file.path.clone(), error }),
        }
    }

    fn entry(&self, path: &EvidencePath) -> Option<Entry> {
        let metadata = std::fs::metadata(&self.at).ok().filter(|_| self.is(path))?;
        Some(Entry::of(path.clone(), &self.at, &metadata, Births::Copied))
    }

    fn case_insensitive(&self) -> bool {
        false
    }
}

/// One walk under way.
struct Walk<'a> {
    separator: char,
    excluded: &'a BTreeSet<PathBuf>,
    births: Births,
    limits: &'a Limits,
    /// The directories from the root down to the present one.
    levels: Vec<Level>,
    visit: &'a mut dyn FnMut(Entry),
    problem: &'a mut dyn FnMut(Problem),
}

/// A directory whose names are being shown.
struct Level {
    at: PathBuf,
    /// Its path with the separator.
    prefix: String,
    /// Device and file number.
    identity: Option<(u64, u64)>,
    names: std::vec::IntoIter<listing::Name>,
}

impl Walk<'_> {
    /// Shows everything below a root. Not recursive: depth is the evidence's.
    fn root(&mut self, at: &Path, prefix: &str) {
        self.enter(at.to_owned(), prefix.to_owned());
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            if let Some(why) = self.limits.ended() {
                let at = EvidencePath::new(format!("{}{}", level.prefix, name.shown));
                return (self.problem)(met(Some(at), format!("from here on, {why}")));
            }
            let at = level.at.join(&name.stored);
            let path = EvidencePath::new(format!("{}{}", level.prefix, name.shown));
            self.show(at, path, &name);
        }
    }

    /// Lists a directory, unless it is too deep or holds itself.
    fn enter(&mut self, at: PathBuf, prefix: String) {
        let path = EvidencePath::new(prefix.trim_end_matches(self.separator));
        let mut fail = |message| (self.problem)(met(Some(path.clone()), message));
        if self.levels.len() >= MAX_DEPTH {
            return fail(format!("deeper than {MAX_DEPTH} directories; not read"));
        }
        let identity = identity(&at);
        if identity.is_some() && self.levels.iter().any(|level| level.identity == identity) {
            return fail("a directory that holds itself; not read again".to_owned());
        }
        match listing::names(&at, self.separator) {
            Ok((names, errors)) => {
                for error in errors {
                    fail(format!("directory listed in part only: {error}"));
                }
                self.levels.push(Level { at, prefix, identity, names: names.into_iter() });
            }
            Err(error) => fail(format!("directory cannot be listed: {error}")),
        }
    }

    /// Shows one entry, and enters it if it is a directory.
    fn show(&mut self, at: PathBuf, path: EvidencePath, name: &listing::Name) {
        if self.excluded.contains(&at) {
            return;
        }
        if name.altered {
            let message = format!("the stored name is {:?}", name.stored);
            (self.problem)(met(Some(path.clone()), message));
        }
        let metadata = match std::fs::symlink_metadata(&at) {
            Ok(metadata) => metadata,
            Err(error) => {
                return (self.problem)(met(Some(path), format!("cannot be read: {error}")));
            }
        };
        let entry = Entry::of(path, &at, &metadata, self.births);
        let below = format!("{}{}", entry.path, self.separator);
        let is_directory = entry.kind == Kind::Directory;
        (self.visit)(entry);
        if is_directory {
            self.enter(at, below);
        }
    }
}

/// Device and file number of a directory; `None` where there are none to trust.
#[cfg(unix)]
fn identity(at: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(at).ok()?;
    (metadata.ino() != 0).then(|| (metadata.dev(), metadata.ino()))
}

/// Links are not followed, so other systems need no file number to end.
#[cfg(not(unix))]
fn identity(_: &Path) -> Option<(u64, u64)> {
    None
}

/// Whether two texts differ in letter case at most.
fn eq_any_case(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

fn met(path: Option<EvidencePath>, message: String) -> Problem {
    Problem { path, locator: None, stage: Stage::Source, message }
}
