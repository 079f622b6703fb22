//! One walk over a host's files: which parser reads which of them.
//!
//! A file is claimed by its place and, place or not, by its content: a program
//! under a configuration's name is found as a program too. Content is read for
//! many files in parallel, in the order in which they lie in the source; the results
//! stand in walk order. What a volume keeps in its records is judged while they are
//! read. Of the rest, the system's own stores of components are left out, and
//! libraries and pictures in the folders of Windows and its programs, for they are
//! more than half of all files: they are known by their names alone, unless a rule
//! knows the name, it is called a program or is large enough for an agent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

use crate::model::{EvidencePath, Locator, Problem, Stage};
use crate::parse::Parser;
use crate::source::{Entry, Filesystem, Remains, Start, State, nested};

use super::beside::{Beside, ends_with_any_case};
use super::gather;
use super::look::{Candidate, Look, Questions, Settled, Sight};
use super::places::{Met, Places};
use super::{Artifact, Artifacts, Formats, MIN_SNIFFED_BYTES, pattern};

/// Folders below `Windows` that the system fills by itself.
const COMPONENT_STORES: [&str; 4] =
    ["WinSxS\\", "servicing\\", "assembly\\", "System32\\DriverStore\\"];

/// Folders in the root of a drive that installers fill.
const INSTALLED: [&str; 3] = [WINDOWS, "Program Files", "Program Files (x86)"];
const WINDOWS: &str = "Windows";

/// What most files in those folders end with: libraries, pictures, fonts, catalogs.
const ORDINARY_ENDINGS: [&str; 16] = [
    ".dll",
    ".mui",
    ".sys",
    ".cat",
    ".mum",
    ".manifest",
    ".png",
    ".jpg",
    ".gif",
    ".ico",
    ".ttf",
    ".fon",
    ".pnf",
    ".nls",
    ".winmd",
    ".mof",
];

/// There, files from this size on are looked into all the same, and programs by their
/// name: no known agent is smaller.
const AGENT_BYTES: u64 = 1 << 20;

/// Bytes of short contents that are held for their parsers.
const MAX_HELD_BYTES: usize = 32 << 20;

/// Entries whose places are judged at a time.
const BATCH: usize = 1 << 13;

/// Files that are looked into in one go, in the order in which they lie in the source.
const LOOKED_INTO: usize = 1 << 18;

/// Files named that a limit of the run left out; further ones are counted.
const MAX_LEFT_OUT: usize = 1000;
/// What such a limit says of each.
const LEFT_OUT: &str = "left out: ";

/// A file for a parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    pub artifact: Arc<str>,
    pub entry: Entry,
    /// The parser's name.
    pub parser: Arc<str>,
    /// Files that complete it, in the artifact's order.
    pub sidecars: Vec<Entry>,
    /// Its content, if it is short and was seen already.
    pub held: Option<Arc<[u8]>>,
    /// What it came to where it was read already and nothing of it matters.
    pub settled: Option<Settled>,
}

/// Where an expected artifact was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presence {
    InPlace,
    /// A file of its name and format lies in another place only.
    Elsewhere,
    Absent,
}

/// An artifact with a name and place of its own, and whether it was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub artifact: Arc<str>,
    /// The first of its patterns, as written: where it lies.
    pub pattern: String,
    /// Every such system has it: its absence needs a reason.
    pub by_default: bool,
    pub presence: Presence,
}

/// What one walk found.
#[derive(Clone, Debug, Default)]
pub struct Locations {
    /// In walk order; of one file, the artifact of higher priority first, then
    /// by id. No parser has a file twice.
    pub files: Vec<Located>,
    /// Entries whose path the name screen admits, in walk order.
    pub names: Vec<Entry>,
    /// Files called like disks, in walk order.
    pub disks: Vec<Entry>,
    /// Every artifact that lies in one place under one name, by id.
    pub expected: Vec<Expected>,
    /// In the order met.
    pub problems: Vec<Problem>,
    /// Entries seen.
    pub entries: u64,
    /// Files that come with the system and its programs whose content was not looked into.
    pub not_looked_into: u64,
}

/// Finds every file that an artifact claims, and every name that somebody looks for.
///
/// Sidecars are not handed out by themselves to the parser that completes them.
pub fn locate(
    filesystem: &dyn Filesystem,
    artifacts: &Artifacts,
    parsers: &[&dyn Parser],
    questions: &Questions<'_>,
) -> Locations {
    let (index, mut problems) = Index::new(artifacts, parsers);
    let mut search = Search::new(&index, filesystem, questions);
    let mut batch = Vec::new();
    filesystem.walk(
        &mut |entry| {
            batch.push(entry);
            if batch.len() >= BATCH {
                search.place(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)));
            }
        },
        &mut |problem| problems.push(problem),
    );
    search.place(batch);
    filesystem.indexes(&mut |entry| search.index(entry));
    search.look_into();
    problems.append(&mut search.found.problems);
    search.found.problems = problems;
    search.finish()
}

/// The artifacts in the order they claim files, and ways to find them fast.
struct Index<'a> {
    /// By falling priority, then system, then id.
    artifacts: Vec<&'a Artifact>,
    /// Their patterns.
    places: Places,
    /// Artifacts found by content.
    formats: Formats<'a>,
    /// How sidecars and ignored files are called, by the byte that their names end with.
    beside: BTreeMap<Option<u8>, Vec<&'a Beside>>,
}

impl<'a> Index<'a> {
    /// The index, and a problem for each artifact whose parser does not exist.
    fn new(artifacts: &'a Artifacts, parsers: &[&'a dyn Parser]) -> (Self, Vec<Problem>) {
        let parser = |artifact: &Artifact| {
            parsers.iter().copied().find(|parser| parser.name() == artifact.parser)
        };
        let (mut ordered, unreadable): (Vec<&Artifact>, Vec<&Artifact>) =
            artifacts.iter().partition(|artifact| parser(artifact).is_some());
        ordered.sort_by_key(|artifact| (std::cmp::Reverse(artifact.priority), artifact.os));
        let problems = unreadable.iter().map(|artifact| Problem {
            path: None,
            locator: None,
            stage: Stage::Locate,
            message: format!("{}: there is no parser {}", artifact.id, artifact.parser),
        });
        let index = Self {
            places: Places::new(&ordered),
            formats: Formats::new(artifacts, parsers),
            beside: by_last_byte(ordered.iter().flat_map(|a| a.sidecars.iter().chain(&a.ignored))),
            artifacts: ordered,
        };
        (index, problems.collect())
    }

    /// Whether a file may belong to another beside it.
    fn may_be_beside(&self, path: &str) -> bool {
        let last = path.bytes().last().map(|byte| byte.to_ascii_lowercase());
        let of = |last| self.beside.get(&last).into_iter().flatten();
        of(last).chain(of(None)).any(|beside| beside.may_be(path))
    }

    /// The artifacts that claim a path by its place, in order.
    fn by_place(&self, path: &str, met: &mut Met) -> Vec<&'a Artifact> {
        let candidates = self.places.of(path, met);
        if candidates.is_empty() {
            return Vec::new();
        }
        let spelled = pattern::Spelled::new(path);
        let means = |artifact: &&Artifact| {
            artifact.patterns.iter().any(|pattern| pattern.matches_spelled(&spelled))
        };
        candidates.iter().filter_map(|at| self.artifacts.get(*at).copied()).filter(means).collect()
    }

    /// What is to be done with an entry, whether somebody looks for its name or not.
    fn place(
        &self,
        filesystem: &dyn Filesystem,
        entry: &Entry,
        named: bool,
        met: &mut Met,
    ) -> Place<'a> {
        if !entry.is_file() || entry.state == State::Deleted(Remains::Nothing) {
            return Place::default();
        }
        let by_place = self.by_place(entry.path.as_str(), met);
        let may_be_known = entry.size >= MIN_SNIFFED_BYTES && !self.formats.is_empty();
        let (start, unseen) = match filesystem.start(entry) {
            Start::Unseen if !may_be_known => (None, false),
            Start::Unseen if named || !is_ordinary(entry) => (Some(filesystem.place(entry)), false),
            Start::Unseen => (None, true),
            Start::Plain => (None, false),
            Start::Nowhere => return Place::default(),
        };
        let claimed = !by_place.is_empty() || start.is_some();
        let waits = claimed || self.may_be_beside(entry.path.as_str());
        Place { waits: waits.then_some((by_place, start)), unseen }
    }

    /// The artifact of one's format whose files bear that name, else itself: in
    /// a loose folder a log is known by its name.
    fn by_name_alone(&self, artifact: &'a Artifact, path: &EvidencePath) -> &'a Artifact {
        let name = path.file_name().to_lowercase();
        self.places
            .named(&name)
            .iter()
            .filter_map(|at| self.artifacts.get(*at).copied())
            .find(|other| other.parser == artifact.parser)
            .unwrap_or(artifact)
    }
}

/// A file that was looked at, for those who claim it.
struct Seen<'s> {
    entry: &'s Entry,
    held: Option<&'s Arc<[u8]>>,
    settled: &'s [(&'s str, Settled)],
}

/// What is to be done with a file.
#[derive(Default)]
struct Place<'a> {
    /// Those who claim it by its place, and where its first bytes lie, if they are to be
    /// looked into; `None`: nobody can claim it.
    waits: Option<(Vec<&'a Artifact>, Option<u64>)>,
    /// Its content stays unseen, though it might be anything.
    unseen: bool,
}

/// A walk under way.
struct Search<'a> {
    index: &'a Index<'a>,
    filesystem: &'a dyn Filesystem,
    questions: &'a Questions<'a>,
    found: Locations,
    /// Files that wait for the look into their content, in walk order.
    waiting: Vec<Candidate<'a>>,
    /// How many of them are to be looked into.
    looks: usize,
    /// Bytes of short contents met that somebody claims.
    held: usize,
    /// Possible sidecars by lowercase path.
    beside: BTreeMap<String, Entry>,
    in_place: BTreeSet<Arc<str>>,
    elsewhere: BTreeSet<Arc<str>>,
    /// Files that a limit of the run left out, and the last reason.
    left_out: (usize, String),
    met: Met,
}

impl<'a> Search<'a> {
    fn new(
        index: &'a Index<'a>,
        filesystem: &'a dyn Filesystem,
        questions: &'a Questions<'a>,
    ) -> Self {
        Self {
            index,
            filesystem,
            questions,
            found: Locations::default(),
            waiting: Vec::new(),
            looks: 0,
            held: 0,
            beside: BTreeMap::new(),
            in_place: BTreeSet::new(),
            elsewhere: BTreeSet::new(),
            left_out: (0, String::new()),
            met: Met::default(),
        }
    }

    /// Finds who claims files by their places, and which are to be looked into.
    fn place(&mut self, batch: Vec<Entry>) {
        let (index, filesystem) = (self.index, self.filesystem);
        let paths: Vec<&str> = batch.iter().map(|entry| entry.path.as_str()).collect();
        let named = (self.questions.names)(&paths);
        self.found.entries = self.found.entries.saturating_add(batch.len() as u64);
        for (entry, named) in batch.iter().zip(&named) {
            if *named {
                self.found.names.push(entry.clone());
            }
            if nested::is_disk(entry) {
                self.found.disks.push(entry.clone());
            }
        }
        let place = |met: &mut Met, (entry, named)| index.place(filesystem, entry, named, met);
        let files = batch.par_iter().zip(named);
        let places: Vec<Place<'_>> = files.map_init(Met::default, place).collect();
        for (entry, place) in batch.into_iter().zip(places) {
            self.found.not_looked_into += u64::from(place.unseen);
            if let Some((by_place, start)) = place.waits {
                self.looks += usize::from(start.is_some());
                self.waiting.push(Candidate::new(entry, by_place, start, Look::Start));
            }
        }
        if self.looks >= LOOKED_INTO {
            self.look_into();
        }
    }

    /// Looks into the files that wait for it, and keeps what is claimed of all that wait.
    fn look_into(&mut self) {
        let (filesystem, settles) = (self.filesystem, self.questions.settles);
        let sight = Sight { formats: &self.index.formats, filesystem, settles };
        let mut waiting = std::mem::take(&mut self.waiting);
        self.looks = 0;
        gather::look_into(&sight, waiting.iter_mut().filter(|candidate| candidate.place.is_some()));
        for mut candidate in waiting {
            candidate.held = candidate.held.filter(|held| {
                self.held = self.held.saturating_add(held.len());
                self.held <= MAX_HELD_BYTES
            });
            self.keep(candidate);
        }
    }

    fn keep(&mut self, candidate: Candidate<'a>) {
        let Candidate { entry, by_place, by_content, settled, held, problem, .. } = candidate;
        if let Some(message) = problem {
            self.unread(&entry, message);
        }
        for artifact in &by_place {
            let expected = artifact.patterns.first();
            let matches = |pattern: &pattern::Pattern| pattern.matches(entry.path.as_str());
            if is_current(&entry) && expected.is_some_and(matches) {
                self.in_place.insert(Arc::clone(&artifact.id));
            }
        }
        let seen = Seen { entry: &entry, held: held.as_ref(), settled: &settled };
        let mut parsers = BTreeSet::new();
        for artifact in &by_place {
            self.claim(artifact, &seen, &mut parsers);
        }
        for artifact in by_content {
            let refused = by_place.iter().any(|other| other.id == artifact.id);
            if !refused && !parsers.contains(artifact.parser.as_str()) {
                let named = self.index.by_name_alone(artifact, &entry.path);
                self.elsewhere.insert(Arc::clone(&named.id));
                self.claim(named, &seen, &mut parsers);
            }
        }
        if self.index.may_be_beside(entry.path.as_str()) {
            self.beside.insert(entry.path.as_str().to_lowercase(), entry);
        }
    }

    /// Lets a list of names wait for whoever claims its place.
    fn index(&mut self, entry: Entry) {
        let mut met = std::mem::take(&mut self.met);
        let by_place = self.index.by_place(entry.path.as_str(), &mut met);
        self.met = met;
        if by_place.is_empty() {
            return;
        }
        let is_unseen = self.filesystem.start(&entry) == Start::Unseen;
        let place = is_unseen.then(|| self.filesystem.place(&entry));
        self.looks += usize::from(place.is_some());
        self.waiting.push(Candidate::new(entry, by_place, place, Look::Whole));
    }

    /// Gives the file to the artifact's parser, if it has not got it and may.
    fn claim(&mut self, artifact: &'a Artifact, file: &Seen<'_>, parsers: &mut BTreeSet<&'a str>) {
        if parsers.contains(artifact.parser.as_str()) {
            return;
        }
        parsers.insert(&artifact.parser);
        if let Some(limit) = artifact.max_size.filter(|limit| file.entry.size > *limit) {
            let message =
                format!("{} bytes; as {} at most {limit} are read", file.entry.size, artifact.id);
            // Another artifact that knows it by content may bear this one's name.
            let problem = met(file.entry, message);
            if self.found.problems.last() != Some(&problem) {
                self.found.problems.push(problem);
            }
            return;
        }
        parsers.extend(artifact.instead_of.as_deref());
        self.found.files.push(Located {
            artifact: Arc::clone(&artifact.id),
            entry: file.entry.clone(),
            parser: Arc::from(artifact.parser.as_str()),
            sidecars: Vec::new(),
            held: file.held.cloned(),
            settled: file
                .settled
                .iter()
                .find(|(parser, _)| *parser == artifact.parser)
                .map(|(_, settled)| settled.clone()),
        });
    }

    /// Names what could not be looked into; of what a limit left out, the first ones.
    fn unread(&mut self, entry: &Entry, message: String) {
        if message.contains(LEFT_OUT) {
            self.left_out.0 = self.left_out.0.saturating_add(1);
            if self.left_out.0 > MAX_LEFT_OUT {
                self.left_out.1 = message;
                return;
            }
        }
        self.found.problems.push(met(entry, message));
    }

    /// Joins files with their sidecars and sums up what was expected.
    fn finish(mut self) -> Locations {
        let (all, why) = std::mem::take(&mut self.left_out);
        if let Some(more @ 1..) = all.checked_sub(MAX_LEFT_OUT) {
            let message = format!("{more} more files were not looked into; {why}");
            let (path, locator, stage) = (None, None, Stage::Locate);
            self.found.problems.push(Problem { path, locator, stage, message });
        }
        let by_id: BTreeMap<&str, &Artifact> =
            self.index.artifacts.iter().map(|artifact| (&*artifact.id, *artifact)).collect();
        let mut taken: BTreeMap<EvidencePath, BTreeSet<Arc<str>>> = BTreeMap::new();
        for located in &mut self.found.files {
            let Some(artifact) = by_id.get(&*located.artifact) else { continue };
            if artifact.sidecars.is_empty() && artifact.ignored.is_empty() {
                continue;
            }
            let lower = located.entry.path.as_str().to_lowercase();
            let beside = |beside: &Beside| beside.of(&lower, &self.beside);
            located.sidecars = artifact.sidecars.iter().flat_map(beside).collect();
            let ignored = artifact.ignored.iter().flat_map(beside);
            for entry in located.sidecars.iter().cloned().chain(ignored) {
                taken.entry(entry.path).or_default().insert(Arc::clone(&located.parser));
            }
        }
        self.found.files.retain(|located| {
            let parsers = taken.get(&located.entry.path);
            parsers.is_none_or(|parsers| !parsers.contains(&located.parser))
        });
        for artifact in by_id.values() {
            let Some(pattern) = artifact.patterns.first().filter(|p| p.file_name().is_some())
            else {
                continue;
            };
            let presence = if self.in_place.contains(&artifact.id) {
                Presence::InPlace
            } else if self.elsewhere.contains(&artifact.id) {
                Presence::Elsewhere
            } else {
                Presence::Absent
            };
            self.found.expected.push(Expected {
                artifact: Arc::clone(&artifact.id),
                pattern: pattern.as_str().to_owned(),
                by_default: artifact.expected,
                presence,
            });
        }
        self.found
    }
}

fn by_last_byte<'a>(
    all: impl Iterator<Item = &'a Beside>,
) -> BTreeMap<Option<u8>, Vec<&'a Beside>> {
    let mut by_last: BTreeMap<_, Vec<&Beside>> = BTreeMap::new();
    for one in all {
        let alike = by_last.entry(one.last_byte()).or_default();
        if !alike.contains(&one) {
            alike.push(one);
        }
    }
    by_last
}

/// Whether a file is one of the many that come with the system and its programs: of a
/// component store, or a library or picture in their folders. Programs are not, nor
/// is what is large enough for an agent.
fn is_ordinary(entry: &Entry) -> bool {
    let path = entry.path.as_str();
    if entry.size >= AGENT_BYTES || ends_with_any_case(path, ".exe") {
        return false;
    }
    let Some((folder, below)) = path.split_once(":\\").and_then(|(_, path)| path.split_once('\\'))
    else {
        return false;
    };
    let holds = |store: &&str| {
        below.get(..store.len()).is_some_and(|head| head.eq_ignore_ascii_case(store))
    };
    let is = |name: &str| folder.eq_ignore_ascii_case(name);
    is(WINDOWS) && COMPONENT_STORES.iter().any(holds)
        || INSTALLED.iter().any(|name| is(name))
            && ORDINARY_ENDINGS.iter().any(|ending| ends_with_any_case(path, ending))
}

/// Whether a file is what the machine had last: neither removed nor of a snapshot.
fn is_current(entry: &Entry) -> bool {
    !entry.is_deleted() && !entry.path.as_str().starts_with("vss")
}

fn met(entry: &Entry, message: String) -> Problem {
    // Where a record is counted it tells which of the files of that path is meant.
    let counted = entry.id.filter(|id| id.sequence > 0);
    let locator = counted.map(|id| Locator::File { number: id.number, sequence: id.sequence });
    Problem { path: Some(entry.path.clone()), locator, stage: Stage::Locate, message }
}
