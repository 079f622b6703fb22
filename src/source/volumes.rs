//! The volumes of one machine, and their shadow copies, as one tree.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, RandomState};

use crate::model::{EvidencePath, PathResolver, Problem, ReadAt};

use super::{Entry, Filesystem, SourceError};

/// Volumes side by side, told apart by what their paths begin with.
pub(super) struct Volumes {
    members: Vec<Member>,
    any_case: bool,
}

/// One volume, or an earlier state of one.
pub(super) struct Member {
    /// `C:\`, `volume2:\`, `vss2:C:\`, `/`.
    pub(super) prefix: String,
    pub(super) filesystem: Box<dyn Filesystem>,
    /// What of the prefix only a snapshot has: `vss2:`, or nothing.
    pub(super) snapshot: String,
}

impl Volumes {
    /// Members are walked in that order: each volume before its snapshots, newer
    /// snapshots before older ones.
    pub(super) fn new(members: Vec<Member>, any_case: bool) -> Self {
        Self { members, any_case }
    }

    fn member(&self, path: &EvidencePath) -> Option<&Member> {
        let text = path.as_str();
        self.members.iter().find(|member| {
            let head = text.get(..member.prefix.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(&member.prefix))
        })
    }
}

impl Filesystem for Volumes {
    /// Of files that a snapshot shares with a newer state, only the newest is shown.
    fn walk(&self, visit: &mut dyn FnMut(Entry), problem: &mut dyn FnMut(Problem)) {
        let historic = self.members.iter().any(|member| !member.snapshot.is_empty());
        // Keyed at random: nobody can make a name that hides another.
        let (mut shown, hasher) = (HashSet::new(), RandomState::new());
        for member in &self.members {
            let mut unless_known = |entry: Entry| {
                if !historic || shown.insert(hasher.hash_one(identity(&entry, &member.snapshot))) {
                    visit(entry);
                }
            };
            member.filesystem.walk(&mut unless_known, problem);
        }
    }

    fn open(&self, file: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
        match self.member(&file.path) {
            Some(member) => member.filesystem.open(file),
            None => Err(SourceError::NotInEvidence { path: file.path.clone() }),
        }
    }

    fn entry(&self, path: &EvidencePath) -> Option<Entry> {
        self.member(path)?.filesystem.entry(path)
    }

    fn case_insensitive(&self) -> bool {
        self.any_case
    }

    /// Those of the volumes themselves: snapshots repeat them.
    fn indexes(&self, visit: &mut dyn FnMut(Entry)) {
        let present = self.members.iter().filter(|member| member.snapshot.is_empty());
        present.for_each(|member| member.filesystem.indexes(visit));
    }

    fn late_problems(&self) -> Vec<Problem> {
        self.members.iter().flat_map(|member| member.filesystem.late_problems()).collect()
    }

    fn directories(&self, path: &EvidencePath) -> Option<&dyn PathResolver> {
        self.member(path)?.filesystem.directories(path)
    }
}

/// What two states of one file have in common when nothing of it was changed.
///
/// The last access is left out: reading changes it.
fn identity<'a>(entry: &'a Entry, snapshot: &str) -> impl Hash + use<'a> {
    let path = entry.path.as_str();
    let times = entry.times;
    (
        path.strip_prefix(snapshot).unwrap_or(path),
        (entry.id, entry.size, entry.kind, entry.state),
        (times.created, times.modified, times.changed),
    )
}
