//! The volumes of one machine, and their shadow copies, as one tree.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, RandomState};

use crate::model::{EvidencePath, PathResolver, Problem, ReadAt};

use super::{Entry, Filesystem, Piece, SourceError, Start};

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
    /// How its bytes are had: `image`, `raw`, `vss`, `api`.
    pub(super) method: &'static str,
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

    fn pieces(&self, file: &Entry) -> Vec<Piece> {
        self.member(&file.path).map_or(Vec::new(), |member| member.filesystem.pieces(file))
    }

    fn start(&self, file: &Entry) -> Start {
        let member = self.member(&file.path);
        member.map_or(Start::Unseen, |member| member.filesystem.start(file))
    }

    fn place(&self, file: &Entry) -> u64 {
        self.member(&file.path).map_or(0, |member| member.filesystem.place(file))
    }

    fn entry(&self, path: &EvidencePath) -> Option<Entry> {
        self.member(path)?.filesystem.entry(path)
    }

    fn case_insensitive(&self) -> bool {
        self.any_case
    }

    /// Of a snapshot, those of directories that no newer state has unchanged.
    fn indexes(&self, visit: &mut dyn FnMut(Entry)) {
        for (at, member) in self.members.iter().enumerate() {
            let newer = self.members.get(..at).unwrap_or_default();
            member.filesystem.indexes(&mut |entry| {
                if member.snapshot.is_empty() || !is_known(&entry, member, newer) {
                    visit(entry);
                }
            });
        }
    }

    fn forget(&self) {
        self.members.iter().for_each(|member| member.filesystem.forget());
    }

    fn late_problems(&self) -> Vec<Problem> {
        self.members.iter().flat_map(|member| member.filesystem.late_problems()).collect()
    }

    fn method(&self, path: &EvidencePath) -> &'static str {
        self.member(path).map_or("api", |member| member.method)
    }

    fn directories(&self, path: &EvidencePath) -> Option<&dyn PathResolver> {
        self.member(path)?.filesystem.directories(path)
    }
}

/// Whether the directory whose index this is has not changed since: whatever changes an
/// index changes the directory's times.
fn is_known(index: &Entry, member: &Member, newer: &[Member]) -> bool {
    let Some((directory, _)) = index.path.as_str().rsplit_once(":$I30") else { return false };
    let Some(own) = member.filesystem.entry(&EvidencePath::new(directory)) else { return false };
    let base = |member: &Member| member.prefix.strip_prefix(&member.snapshot).map(str::to_owned);
    let below = directory.strip_prefix(&member.snapshot).unwrap_or(directory);
    let hasher = RandomState::new();
    let own = hasher.hash_one(identity(&own, &member.snapshot));
    newer.iter().filter(|newer| base(newer) == base(member)).any(|newer| {
        let path = EvidencePath::new(format!("{}{below}", newer.snapshot));
        let there = newer.filesystem.entry(&path);
        there.is_some_and(|there| hasher.hash_one(identity(&there, &newer.snapshot)) == own)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{FileId, Kind, State, Times};

    /// A volume of files that say their own text.
    struct Fake(Vec<(Entry, &'static str)>);

    impl Filesystem for Fake {
        fn walk(&self, visit: &mut dyn FnMut(Entry), _: &mut dyn FnMut(Problem)) {
            self.0.iter().for_each(|(entry, _)| visit(entry.clone()));
        }

        fn open(&self, file: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
            let found = self.0.iter().find(|(entry, _)| entry.path == file.path);
            let missing = SourceError::NotInEvidence { path: file.path.clone() };
            found.map(|(_, text)| Box::new(text.as_bytes().to_vec()) as _).ok_or(missing)
        }

        fn entry(&self, path: &EvidencePath) -> Option<Entry> {
            self.0.iter().map(|(entry, _)| entry).find(|entry| entry.path == *path).cloned()
        }

        fn case_insensitive(&self) -> bool {
            true
        }

        fn indexes(&self, visit: &mut dyn FnMut(Entry)) {
            for (entry, _) in &self.0 {
                let path = EvidencePath::new(format!("{}:$I30", entry.path));
                visit(Entry { path, ..entry.clone() });
            }
        }
    }

    /// A file, modified in that second of the year 2000 and read in another.
    fn file(path: &str, modified: i64, accessed: i64) -> Entry {
        let at = |second| jiff::Timestamp::from_second(946_684_800 + second).ok();
        Entry {
            path: EvidencePath::new(path),
            kind: Kind::File,
            size: 3,
            times: Times { modified: at(modified), accessed: at(accessed), ..Times::default() },
            name_times: None,
            id: Some(FileId { number: 40, sequence: 1 }),
            state: State::Present,
            link_target: None,
            handle: 0,
        }
    }

    fn member(prefix: &str, snapshot: &str, files: Vec<(Entry, &'static str)>) -> Member {
        let filesystem = Box::new(Fake(files));
        let (prefix, snapshot) = (prefix.to_owned(), snapshot.to_owned());
        Member { prefix, filesystem, snapshot, method: "image" }
    }

    /// A volume with two shadow copies and a second volume.
    fn volumes() -> Volumes {
        let now = vec![(file("C:\\same", 1, 9), "new"), (file("C:\\changed", 5, 9), "now")];
        let newer = vec![
            (file("vss2:C:\\same", 1, 3), "old"),
            (file("vss2:C:\\changed", 4, 4), "was"),
            (file("vss2:C:\\gone", 2, 2), "two"),
        ];
        let older = vec![
            (file("vss1:C:\\same", 1, 1), "old"),
            (file("vss1:C:\\changed", 4, 4), "was"),
            (file("vss1:C:\\gone", 2, 2), "one"),
            (file("vss1:C:\\first", 0, 0), "one"),
        ];
        let members = vec![
            member("C:\\", "", now),
            member("vss2:C:\\", "vss2:", newer),
            member("vss1:C:\\", "vss1:", older),
            member("volume2:\\", "", vec![(file("volume2:\\same", 1, 1), "two")]),
        ];
        Volumes::new(members, true)
    }

    #[test]
    fn a_snapshot_shows_only_what_no_newer_state_has() {
        let mut seen = Vec::new();
        volumes().walk(&mut |entry| seen.push(entry.path.as_str().to_owned()), &mut |_| {});
        let expected = [
            "C:\\same",
            "C:\\changed",
            "vss2:C:\\changed",
            "vss2:C:\\gone",
            "vss1:C:\\first",
            "volume2:\\same",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_snapshot_shows_indexes_of_what_changed_since() {
        let mut seen = Vec::new();
        volumes().indexes(&mut |entry| seen.push(entry.path.as_str().to_owned()));
        let expected = [
            "C:\\same:$I30",
            "C:\\changed:$I30",
            "vss2:C:\\changed:$I30",
            "vss2:C:\\gone:$I30",
            "vss1:C:\\first:$I30",
            "volume2:\\same:$I30",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn each_state_of_a_file_opens_with_its_own_bytes() {
        let volumes = volumes();
        let read = |path: &str| {
            let entry = volumes.entry(&EvidencePath::new(path)).expect("an entry");
            let bytes = volumes.open(&entry).expect("it opens");
            let mut buffer = [0; 3];
            bytes.read_at(0, &mut buffer).expect("it is read");
            String::from_utf8_lossy(&buffer).into_owned()
        };
        assert_eq!(read("C:\\changed"), "now");
        assert_eq!(read("vss2:C:\\changed"), "was");
        assert_eq!(read("vss1:C:\\first"), "one");
        assert_eq!(read("volume2:\\same"), "two");
        assert!(volumes.entry(&EvidencePath::new("vss3:C:\\same")).is_none());
        assert!(volumes.entry(&EvidencePath::new("D:\\same")).is_none());
        let elsewhere = file("vss3:C:\\same", 1, 1);
        assert!(matches!(volumes.open(&elsewhere), Err(SourceError::NotInEvidence { .. })));
    }

    #[test]
    fn a_volume_without_snapshots_is_shown_whole() {
        let twice = vec![(file("C:\\a", 1, 1), "one"), (file("C:\\a", 1, 1), "one")];
        let mut seen = 0;
        Volumes::new(vec![member("C:\\", "", twice)], true).walk(&mut |_| seen += 1, &mut |_| {});
        assert_eq!(seen, 2);
    }
}
