//! A collection shown as the host it was taken from: every file at its own path.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::entry::{Entry, Kind};
use super::super::{Filesystem, SourceError};
use super::archive::{Sparse, Stretch, read_full};
use super::outline::{Collector, Site};
use super::place::{Placed, Placer};
use super::tree::{Item, MAX_SAID, Tree, met};
use super::velociraptor;
use crate::model::{EvidencePath, Problem, ReadAt};

/// Largest index of a file with holes, in bytes.
const MAX_INDEX_BYTES: u64 = 64 << 20;
/// Bytes of copies that are compared with what they are copies of, in all.
const MAX_COMPARED_BYTES: u64 = 4 << 30;
/// Bytes compared at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// A collection's files by their own paths.
pub(super) struct Arranged {
    inner: Arc<dyn Filesystem>,
    tree: Tree,
    /// What the collection itself calls them; an entry's handle is its place here.
    originals: Vec<Entry>,
    holes: BTreeMap<String, (Vec<Stretch>, u64)>,
    problems: Vec<Problem>,
}

impl Arranged {
    /// The host at `site`, of these entries in walk order; those beside the site
    /// are shown by their names. `problems` were met on the walk of the whole tree.
    pub(super) fn new(
        inner: Arc<dyn Filesystem>,
        entries: &[Entry],
        site: &Site,
        placer: &Placer,
        problems: Vec<Problem>,
    ) -> Self {
        let mut arranged = Self {
            inner,
            tree: Tree::default(),
            originals: entries.to_vec(),
            holes: BTreeMap::new(),
            problems: Vec::new(),
        };
        if placer.collector == Collector::Velociraptor {
            arranged.find_holes();
        }
        let mut items = arranged.items(site, placer);
        let any_case = items.iter().any(|(item, _)| item.root.ends_with('\\'));
        arranged.leave_out_copies(&mut items, any_case);
        let items = items.into_iter().map(|(item, _)| item).collect();
        let mut met = Vec::new();
        arranged.tree = Tree::build(items, any_case, &mut met);
        arranged.problems.extend(met);
        let mut problems: Vec<Problem> = problems
            .into_iter()
            .filter(|problem| problem.path.as_ref().is_none_or(|path| site.has(path.as_str())))
            .collect();
        arranged.restore_paths(&mut problems);
        arranged.problems.extend(problems);
        arranged
    }

    /// Whether the collection is of a Windows machine.
    pub(super) fn is_windows(&self) -> bool {
        self.tree.any_case()
    }

    /// Whether anything of it has a place on its host.
    pub(super) fn has_places(&self) -> bool {
        let in_place = |entry: &Entry| {
            let path = entry.path.as_str();
            path.starts_with('/') || path.contains(":\\")
        };
        self.tree.entries().iter().any(in_place)
    }

    /// Everything with its place, and what it is worth among copies.
    fn items(&self, site: &Site, placer: &Placer) -> Vec<(Item, u8)> {
        let mut items = Vec::new();
        for (handle, original) in self.originals.iter().enumerate() {
            let stored = site.below(original.path.as_str());
            let parts: Vec<&str> = stored.split('/').collect();
            let mut entry = Entry { handle: handle as u64, ..original.clone() };
            if let Some(times) = placer.bundle.as_ref().and_then(|bundle| bundle.times(&parts)) {
                entry.times = times;
            }
            if let Some((_, size)) = self.holes.get(original.path.as_str()) {
                entry.size = *size;
            }
            let placed = match site.has(original.path.as_str()) {
                true => placer.place(&parts),
                false => Placed::Rest,
            };
            let (root, parts, rank) = match placed {
                Placed::At { root, parts, rank } => (root, parts, rank),
                Placed::Rest => {
                    let parts = parts.iter().map(|part| (*part).to_owned()).collect();
                    (String::new(), parts, u8::MAX)
                }
                Placed::Hidden => continue,
            };
            if !self.is_index(original) {
                items.push((Item { root, parts, entry }, rank));
            }
        }
        items
    }

    /// Reads the indices of files that are stored without their holes.
    fn find_holes(&mut self) {
        let files: BTreeSet<&str> =
            self.originals.iter().filter(|e| e.is_file()).map(|e| e.path.as_str()).collect();
        let mut holes = BTreeMap::new();
        let mut problems = Vec::new();
        for index in self.originals.iter().filter(|entry| entry.is_file()) {
            let Some(of) = index.path.as_str().strip_suffix(".idx") else { continue };
            if !files.contains(of) {
                continue;
            }
            match small(&*self.inner, index, MAX_INDEX_BYTES)
                .and_then(|bytes| velociraptor::stretches(&bytes))
            {
                Some(known) => _ = holes.insert(of.to_owned(), known),
                // Windows has files that end in .idx, too.
                None => problems.push(met(
                    Some(index.path.clone()),
                    format!("no index of a file with holes; {of} is read as it is stored"),
                )),
            }
        }
        self.holes = holes;
        self.problems.extend(problems);
    }

    /// Whether it is an index that was understood.
    fn is_index(&self, entry: &Entry) -> bool {
        let of = entry.path.as_str().strip_suffix(".idx");
        of.is_some_and(|of| self.holes.contains_key(of))
    }

    /// Leaves out files that are stored twice with the same content: one file
    /// taken through several ways of access. Nothing is lost, so nothing is said.
    fn leave_out_copies(&mut self, items: &mut Vec<(Item, u8)>, any_case: bool) {
        items.sort_by_key(|(_, rank)| *rank);
        let mut firsts: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut copies = BTreeSet::new();
        let mut compared = 0_u64;
        let mut differing = Vec::new();
        for (at, (item, _)) in items.iter().enumerate() {
            if item.entry.kind != Kind::File {
                continue;
            }
            let path = item.parts.join("\0");
            let path = if any_case { path.to_lowercase() } else { path };
            let key = (item.root.clone(), path);
            let Some(first) = firsts.get(&key).and_then(|first| items.get(*first)) else {
                firsts.insert(key, at);
                continue;
            };
            let size = item.entry.size;
            compared = compared.saturating_add(size);
            let may = size == first.0.entry.size && compared <= MAX_COMPARED_BYTES;
            if may && self.are_same(&first.0.entry, &item.entry) {
                copies.insert(at);
            } else if first.0.parts != item.parts {
                differing.push((item.root.clone(), item.parts.clone()));
            }
        }
        for (root, parts) in differing.into_iter().take(MAX_SAID) {
            let separator = if root.ends_with('\\') { "\\" } else { "/" };
            let path = EvidencePath::new(format!("{root}{}", parts.join(separator)));
            let message = "another file's path differs by letter case alone; both are read";
            self.problems.push(met(Some(path), message.to_owned()));
        }
        let mut at = 0_usize;
        items.retain(|_| {
            let stays = !copies.contains(&at);
            at = at.saturating_add(1);
            stays
        });
    }

    /// Whether two files of one size have the same content.
    fn are_same(&self, a: &Entry, b: &Entry) -> bool {
        let (Ok(a), Ok(b)) = (self.content(a), self.content(b)) else { return false };
        let (mut left, mut right) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
        let mut at = 0_u64;
        while at < a.size() {
            let read = (read_full(&*a, at, &mut left), read_full(&*b, at, &mut right));
            let (Ok(n), Ok(m)) = read else { return false };
            if n != m || n == 0 || left.get(..n) != right.get(..m) {
                return false;
            }
            at = at.saturating_add(n as u64);
        }
        true
    }

    /// The content of the file that the handle stands for.
    fn content(&self, entry: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
        let absent = || SourceError::NotInEvidence { path: entry.path.clone() };
        let at = usize::try_from(entry.handle).unwrap_or(usize::MAX);
        let original = self.originals.get(at).ok_or_else(absent)?;
        let stored = self.inner.open(original).map_err(|error| match error {
            SourceError::File { error, .. } => {
                SourceError::File { path: entry.path.clone(), error }
            }
            _ => absent(),
        })?;
        match self.holes.get(original.path.as_str()) {
            None => Ok(stored),
            Some((stretches, size)) => match Sparse::new(stored, stretches.clone(), *size) {
                Some(sparse) => Ok(Box::new(sparse)),
                None => Err(SourceError::File {
                    path: entry.path.clone(),
                    error: std::io::Error::new(
                        std::io::ErrorKind::InvalidData,
                        "its index of holes does not fit what is stored",
                    ),
                }),
            },
        }
    }

    /// Names problems by the host's paths instead of the collection's.
    fn restore_paths(&self, problems: &mut [Problem]) {
        if problems.iter().all(|problem| problem.path.is_none()) {
            return;
        }
        let mut by_stored: BTreeMap<&str, &EvidencePath> = BTreeMap::new();
        for entry in self.tree.entries() {
            let at = usize::try_from(entry.handle).unwrap_or(usize::MAX);
            if let Some(original) = self.originals.get(at) {
                by_stored.insert(original.path.as_str(), &entry.path);
            }
        }
        for problem in problems {
            let known = problem.path.as_ref().and_then(|path| by_stored.get(path.as_str()));
            if let Some(path) = known {
                problem.path = Some((*path).clone());
            }
        }
    }
}

impl Filesystem for Arranged {
    fn walk(&self, visit: &mut dyn FnMut(Entry), problem: &mut dyn FnMut(Problem)) {
        self.problems.iter().cloned().for_each(problem);
        self.tree.entries().iter().cloned().for_each(visit);
    }

    fn open(&self, file: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
        let found = self.tree.find(&file.path).filter(|entry| entry.is_file());
        let found = found.ok_or_else(|| SourceError::NotInEvidence { path: file.path.clone() })?;
        self.content(found)
    }

    fn entry(&self, path: &EvidencePath) -> Option<Entry> {
        self.tree.find(path).cloned()
    }

    fn case_insensitive(&self) -> bool {
        self.tree.any_case()
    }

    fn late_problems(&self) -> Vec<Problem> {
        let mut problems = self.inner.late_problems();
        let own: BTreeSet<&EvidencePath> = match problems.is_empty() {
            true => BTreeSet::new(),
            false => self.originals.iter().map(|original| &original.path).collect(),
        };
        problems.retain(|problem| problem.path.as_ref().is_none_or(|path| own.contains(path)));
        self.restore_paths(&mut problems);
        problems
    }
}

/// The content of a file of at most `limit` bytes.
pub(super) fn small(inner: &dyn Filesystem, entry: &Entry, limit: u64) -> Option<Vec<u8>> {
    if entry.size > limit {
        return None;
    }
    let content = inner.open(entry).ok()?;
    let mut bytes = vec![0; usize::try_from(content.size().min(limit)).ok()?];
    let n = read_full(&*content, 0, &mut bytes).ok()?;
    bytes.truncate(n);
    Some(bytes)
}

impl Site {
    /// Whether a path of the tree lies below the site.
    fn has(&self, path: &str) -> bool {
        self.base.is_empty()
            || path.strip_prefix(self.base.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// What of a path stands below the site.
    fn below<'a>(&self, path: &'a str) -> &'a str {
        let rest = path.strip_prefix(self.base.as_str()).unwrap_or(path);
        rest.strip_prefix('/').unwrap_or(rest)
    }
}
