//! A file tree in memory: names in the order of a walk, found by path.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use super::super::entry::{Entry, Kind, State, Times};
use crate::model::{EvidencePath, Problem, Stage};

/// Entries of one tree, implied directories too.
const MAX_ENTRIES: usize = 2_000_000;
/// Problems of one kind that are told one by one.
pub(super) const MAX_SAID: usize = 1000;
/// What a directory is opened by: nothing.
const NO_HANDLE: u64 = u64::MAX;

/// One thing to be put into a tree.
pub(super) struct Item {
    /// What its path begins with: `C:\`, `/` or nothing.
    pub(super) root: String,
    /// The names from there on; not empty.
    pub(super) parts: Vec<String>,
    /// Its path is replaced.
    pub(super) entry: Entry,
}

/// A file tree in the order of [`super::super::Filesystem::walk`]: by root, those without one
/// last; then a directory before what it holds, siblings by lowercase name and bytes.
#[derive(Default)]
pub(super) struct Tree {
    entries: Vec<Entry>,
    by_path: BTreeMap<String, usize>,
    by_lower: BTreeMap<String, usize>,
    any_case: bool,
}

/// Orders as a walk does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// No root.
    is_rest: bool,
    root: String,
    /// Lowercase and stored name of every part, each ended by NUL.
    names: String,
}

impl Key {
    fn of(root: &str, parts: &[String]) -> Self {
        let mut names = String::new();
        for part in parts {
            names.push_str(&part.to_lowercase());
            names.push('\0');
            names.push_str(part);
            names.push('\0');
        }
        Self { is_rest: root.is_empty(), root: root.to_owned(), names }
    }
}

impl Tree {
    /// The tree of these things; directories that only names imply are added. Of
    /// two things of one path the later is numbered (`~2`), and that is said.
    pub(super) fn build(items: Vec<Item>, any_case: bool, problems: &mut Vec<Problem>) -> Self {
        let mut slots: BTreeMap<Key, Entry> = BTreeMap::new();
        let mut lost = 0_u64;
        let (directories, others): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| item.entry.kind == Kind::Directory);
        for item in directories {
            add_parents(&mut slots, &item, &mut lost);
            let path = path_of(&item.root, &item.parts);
            let entry = Entry { path: EvidencePath::new(path), ..item.entry };
            slots.insert(Key::of(&item.root, &item.parts), entry);
        }
        for item in &others {
            add_parents(&mut slots, item, &mut lost);
        }
        let mut doubles = Doubles::default();
        for item in others {
            if slots.len() >= MAX_ENTRIES {
                lost = lost.saturating_add(1);
                continue;
            }
            doubles.add(&mut slots, item, problems);
        }
        doubles.sum_up(problems);
        if lost > 0 {
            let message = format!("more than {MAX_ENTRIES} entries; {lost} were not read");
            problems.push(met(None, message));
        }
        let entries: Vec<Entry> = slots.into_values().collect();
        Self::index(entries, any_case)
    }

    fn index(entries: Vec<Entry>, any_case: bool) -> Self {
        let mut by_path = BTreeMap::new();
        let mut by_lower = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate() {
            let path = entry.path.as_str();
            if any_case {
                by_lower.entry(path.to_lowercase()).or_insert(at);
            }
            by_path.insert(path.to_owned(), at);
        }
        Self { entries, by_path, by_lower, any_case }
    }

    /// In the order of a walk.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is at that path; case is ignored if the tree's system does.
    pub(super) fn find(&self, path: &EvidencePath) -> Option<&Entry> {
        let exact = self.by_path.get(path.as_str());
        let at = match exact {
            Some(at) => *at,
            None if self.any_case => *self.by_lower.get(&path.as_str().to_lowercase())?,
            None => return None,
        };
        self.entries.get(at)
    }

    pub(super) fn any_case(&self) -> bool {
        self.any_case
    }
}

fn add_parents(slots: &mut BTreeMap<Key, Entry>, item: &Item, lost: &mut u64) {
    for depth in (1..item.parts.len()).rev() {
        let parts = item.parts.get(..depth).unwrap_or_default();
        let key = Key::of(&item.root, parts);
        if slots.contains_key(&key) {
            return; // and so are those above
        }
        if slots.len() >= MAX_ENTRIES {
            *lost = lost.saturating_add(1);
            return;
        }
        slots.insert(key, directory(EvidencePath::new(path_of(&item.root, parts))));
    }
}

/// Numbers things of one path.
#[derive(Default)]
struct Doubles {
    /// The last number given.
    numbers: BTreeMap<Key, u64>,
    said: usize,
}

impl Doubles {
    fn add(&mut self, slots: &mut BTreeMap<Key, Entry>, item: Item, problems: &mut Vec<Problem>) {
        let Item { root, mut parts, entry } = item;
        let key = Key::of(&root, &parts);
        let Slot::Occupied(_) = slots.entry(key.clone()) else {
            let path = EvidencePath::new(path_of(&root, &parts));
            slots.insert(key, Entry { path, ..entry });
            return;
        };
        let plain = parts.last().cloned().unwrap_or_default();
        let number = self.numbers.entry(key).or_insert(1);
        loop {
            *number = number.saturating_add(1);
            if let Some(last) = parts.last_mut() {
                *last = format!("{plain}~{number}");
            }
            let path = EvidencePath::new(path_of(&root, &parts));
            if let Slot::Vacant(slot) = slots.entry(Key::of(&root, &parts)) {
                self.said = self.said.saturating_add(1);
                if self.said <= MAX_SAID {
                    let message = format!("stored more than once; this is number {number}");
                    problems.push(met(Some(path.clone()), message));
                }
                slot.insert(Entry { path, ..entry });
                return;
            }
        }
    }

    fn sum_up(&self, problems: &mut Vec<Problem>) {
        if let Some(more @ 1..) = self.said.checked_sub(MAX_SAID) {
            let message = format!("{more} more files are stored more than once");
            problems.push(met(None, message));
        }
    }
}

fn path_of(root: &str, parts: &[String]) -> String {
    let separator = if root.ends_with('\\') { "\\" } else { "/" };
    format!("{root}{}", parts.join(separator))
}

/// A directory that nothing is known of but its name.
fn directory(path: EvidencePath) -> Entry {
    Entry { kind: Kind::Directory, ..file(path, 0, Times::default(), NO_HANDLE) }
}

/// A regular file.
pub(super) fn file(path: EvidencePath, size: u64, times: Times, handle: u64) -> Entry {
    Entry {
        path,
        kind: Kind::File,
        size,
        times,
        name_times: None,
        id: None,
        state: State::Present,
        link_target: None,
        handle,
    }
}

/// A problem of this stage.
pub(super) fn met(path: Option<EvidencePath>, message: String) -> Problem {
    Problem { path, locator: None, stage: Stage::Source, message }
}
