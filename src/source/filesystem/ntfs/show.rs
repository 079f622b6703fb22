//! Rows to entries, and the walk over all of them.

use crate::model::EvidencePath;
use crate::source::{Entry, FileId, Kind, Remains, State, Times};

use super::Ntfs;
use super::complaint::{Complaints, Wrong};
use super::file::remains_of;
use super::find::path;
use super::row::{NONE, Node, Stream, name, node, stream};
use super::table::Table;
use super::times::Clock;
use super::tree::{ROOT, first_name};

/// Directories below directories are entered to this depth.
pub(super) const MAX_DEPTH: usize = 512;
/// Longer paths are not entered: Windows allows 32,767 UTF-16 units; bytes.
const MAX_PATH: usize = 32_767;
/// Where removed files go whose directory is not known.
pub(super) const ORPHANS: &str = "$OrphanFiles";
/// Names whose rows are fetched together.
const AHEAD: usize = 32;
/// A handle's stream where there is none.
pub(super) const NO_STREAM: u32 = u32::MAX;
/// A handle's stream where a directory's index is meant.
pub(super) const INDEX: u32 = u32::MAX - 1;
/// A handle's stream where what is left over in a directory's record is meant.
pub(super) const LEFTOVER: u32 = u32::MAX - 2;
/// Set beside a handle's stream that was judged plain: who asks for it in a hurry need
/// not look its row up.
const PLAIN: u32 = 1 << 30;

/// Shows every entry in the order that the trait promises; orphans come last.
pub(super) fn walk(ntfs: &Ntfs, visit: &mut dyn FnMut(Entry), complaints: &mut Complaints) {
    let mut walk = Walk {
        ntfs,
        path: ntfs.prefix.clone(),
        clock: Clock::default(),
        levels: Vec::new(),
        visit,
        complaints,
    };
    walk.streams(ROOT, None, &[]);
    walk.below(ntfs.tree.children(ROOT));
    walk.path.push_str(ORPHANS);
    walk.path.push('\\');
    walk.below(&ntfs.tree.orphans);
    for number in &ntfs.tree.nameless {
        walk.file(*number, None, &format!("OrphanFile-{number}"));
    }
}

/// Shows the index of every present directory that has blocks of its own, and what
/// is left over in the records of others, by record.
pub(super) fn indexes(ntfs: &Ntfs, visit: &mut dyn FnMut(Entry)) {
    for number in 0..ntfs.table.records() {
        let present = |node: &&Node| node.is_file() && node.is(node::IN_USE);
        let Some(node) = ntfs.table.node(number).filter(present) else { continue };
        let leftover = ntfs.table.leftover_of(number);
        if !node.is(node::INDEXED) && leftover.is_none() {
            continue;
        }
        let Some(directory) = path(ntfs, number) else { continue };
        let mut show = |name: &str, size: u64, stream: u32| {
            visit(Entry {
                path: EvidencePath::new(format!("{directory}:{name}")),
                kind: Kind::File,
                size,
                times: Times::default(),
                name_times: None,
                id: Some(id(number, node)),
                state: State::Present,
                link_target: None,
                handle: pack(number, stream),
            });
        };
        if node.is(node::INDEXED) {
            show("$I30", 0, INDEX);
        }
        if let Some(leftover) = leftover {
            show("$I30:$INDEX_ROOT", leftover.size, LEFTOVER);
        }
    }
}

struct Walk<'a> {
    ntfs: &'a Ntfs,
    /// Of the present directory, with the separator.
    path: String,
    clock: Clock,
    levels: Vec<Level<'a>>,
    visit: &'a mut dyn FnMut(Entry),
    complaints: &'a mut Complaints,
}

/// A directory under way.
struct Level<'a> {
    /// Rows of the names that are not shown yet.
    rest: &'a [u32],
    /// How many of them have been fetched.
    fetched: usize,
    /// Length of its path.
    path: usize,
}

/// Touches the rows of the next names, so that the processor fetches them side by
/// side: files of one directory lie far apart in `$MFT`, and waiting for one row
/// after the other took half of the walk.
fn fetch(table: &Table, rows: &[u32]) {
    let names = || rows.iter().filter_map(|row| table.names.get(*row as usize));
    let owners = names().fold(0, |sum: u32, name| sum.wrapping_add(name.owner));
    let rows = names().fold(0, |sum: u32, name| {
        let first = table.text.as_bytes().get(name.text as usize).copied();
        let streams = table.node(name.owner).map_or(0, |node| node.streams);
        sum.wrapping_add(u32::from(first.unwrap_or_default())).wrapping_add(streams)
    });
    let streams = names().fold(0, |sum: u32, name| {
        let first = table.node(name.owner).and_then(|n| table.streams.get(n.streams as usize));
        sum.wrapping_add(first.map_or(0, |stream| stream.owner))
    });
    std::hint::black_box((owners, rows, streams));
}

impl<'a> Walk<'a> {
    /// Shows names and everything below them. Not recursive: depth is the evidence's.
    fn below(&mut self, names: &'a [u32]) {
        self.levels.push(Level { rest: names, fetched: 0, path: self.path.len() });
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.path);
            if level.fetched == 0 {
                level.fetched = level.rest.len().min(AHEAD);
                fetch(&self.ntfs.table, level.rest.get(..level.fetched).unwrap_or_default());
            }
            let Some((row, rest)) = level.rest.split_first() else {
                self.levels.pop();
                continue;
            };
            level.rest = rest;
            level.fetched = level.fetched.saturating_sub(1);
            self.name(*row);
        }
    }

    fn name(&mut self, row: u32) {
        let ntfs = self.ntfs;
        let Some(name) = ntfs.table.names.get(row as usize) else { return };
        if name.flags & name::HIDDEN != 0 {
            return;
        }
        if name.flags & name::ALTERED != 0 {
            self.complaints.add(Wrong::Name, name.owner);
        }
        let shown = ntfs.table.text(name.text, name.length);
        self.file(name.owner, Some(row), shown);
        let is_directory = ntfs.table.node(name.owner).is_some_and(|node| node.is(node::DIRECTORY));
        if !is_directory {
            return;
        }
        let children = ntfs.tree.children(name.owner);
        if first_name(&ntfs.table, name.owner) != Some(row) {
            self.complaints.add(Wrong::Directories, name.owner);
        } else if self.levels.len() >= MAX_DEPTH || self.path.len() > MAX_PATH {
            if !children.is_empty() {
                self.complaints.add(Wrong::Depth, name.owner);
            }
        } else if !children.is_empty() {
            self.path.push_str(shown);
            self.path.push('\\');
            self.levels.push(Level { rest: children, fetched: 0, path: self.path.len() });
        }
    }

    /// Shows one file by one name, and its streams.
    fn file(&mut self, number: u32, row: Option<u32>, shown: &str) {
        let Some(entry) = entry(self.ntfs, &mut self.clock, number, row, &[&self.path, shown])
        else {
            return;
        };
        (self.visit)(entry);
        let table = &self.ntfs.table;
        let crowded = table.node(number).is_some_and(|node| node.is(node::CROWDED));
        if crowded && row != first_name(table, number) {
            return self.complaints.add(Wrong::Streams, number);
        }
        self.streams(number, row, &[shown]);
    }

    /// Shows the streams of a file by one name.
    fn streams(&mut self, number: u32, row: Option<u32>, shown: &[&str]) {
        let ntfs = self.ntfs;
        let Some(node) = ntfs.table.node(number) else { return };
        for (at, stream) in named(ntfs, number, node) {
            if stream.flags & stream::ALTERED != 0 {
                self.complaints.add(Wrong::Name, number);
            }
            let shown = shown.first().copied().unwrap_or_default();
            let path = stream_path(ntfs, &[&self.path, shown], stream);
            let mut entry = stream_entry(ntfs, &mut self.clock, (at, stream), node, path);
            entry.name_times = name_times(ntfs, &mut self.clock, row);
            (self.visit)(entry);
        }
    }
}

/// The streams of a file that are entries of their own, by name.
pub(super) fn named<'a>(
    ntfs: &'a Ntfs,
    number: u32,
    node: &Node,
) -> impl Iterator<Item = (u32, &'a Stream)> + use<'a> {
    let all = ntfs.table.streams_of(number);
    let own = main(ntfs, number, node).map(|(at, _)| at);
    let mut named: Vec<(u32, &Stream)> =
        (0u32..).zip(all).filter(|(at, _)| Some(*at) != own).collect();
    if named.len() > 1 {
        named.sort_by_cached_key(|(at, stream)| {
            let name = ntfs.table.text(stream.text, stream.length);
            (name.to_lowercase(), name.to_owned(), *at)
        });
    }
    named.into_iter()
}

/// The stream that is the file's content: the first, if it has no name.
pub(super) fn main<'a>(ntfs: &'a Ntfs, number: u32, node: &Node) -> Option<(u32, &'a Stream)> {
    let first = ntfs.table.first_stream(number).filter(|_| !node.is(node::DIRECTORY))?;
    (first.length == 0).then_some((0, first))
}

pub(super) fn stream_path(ntfs: &Ntfs, file: &[&str], stream: &Stream) -> String {
    match ntfs.table.text(stream.text, stream.length) {
        "" => [&file.concat(), "::$DATA"].concat(),
        name => [&file.concat(), ":", name].concat(),
    }
}

/// The entry of a file under one of its names, or under none.
pub(super) fn entry(
    ntfs: &Ntfs,
    clock: &mut Clock,
    number: u32,
    row: Option<u32>,
    path: &[&str],
) -> Option<Entry> {
    let table = &ntfs.table;
    let node = table.node(number)?;
    let kind = if node.is(node::LINK) {
        Kind::Link
    } else if node.is(node::DIRECTORY) {
        Kind::Directory
    } else {
        Kind::File
    };
    let main = main(ntfs, number, node);
    let of = |main: (u32, &Stream)| (marked(main, node), main.1.size);
    let (handle, size) = main.map_or((NO_STREAM, 0), of);
    Some(Entry {
        path: EvidencePath::new(path.concat()),
        kind,
        size: if kind == Kind::File { size } else { 0 },
        times: clock.times(node.times),
        name_times: name_times(ntfs, clock, row),
        id: Some(id(number, node)),
        state: match main {
            _ if node.is(node::IN_USE) => State::Present,
            _ if kind != Kind::File => State::Deleted(Remains::Nothing),
            None => State::Deleted(Remains::Whole),
            Some((_, stream)) => State::Deleted(remains_of(ntfs, node, stream)),
        },
        link_target: table.target(number).filter(|_| kind == Kind::Link).map(str::to_owned),
        handle: pack(number, handle),
    })
}

/// The times kept with the name of that row.
fn name_times(ntfs: &Ntfs, clock: &mut Clock, row: Option<u32>) -> Option<Box<Times>> {
    let name = ntfs.table.names.get(row? as usize)?;
    Some(Box::new(clock.times(name.times)))
}

/// The entry of a stream; the times of its name are its file's.
pub(super) fn stream_entry(
    ntfs: &Ntfs,
    clock: &mut Clock,
    (at, stream): (u32, &Stream),
    node: &Node,
    path: String,
) -> Entry {
    Entry {
        path: EvidencePath::new(path),
        kind: Kind::File,
        size: stream.size,
        times: clock.times(node.times),
        name_times: None,
        id: Some(id(stream.owner, node)),
        state: if node.is(node::IN_USE) {
            State::Present
        } else {
            State::Deleted(remains_of(ntfs, node, stream))
        },
        link_target: None,
        handle: pack(stream.owner, marked((at, stream), node)),
    }
}

pub(super) fn id(number: u32, node: &Node) -> FileId {
    FileId { number: u64::from(number), sequence: node.own_sequence() }
}

/// The number of a stream, marked if it was judged plain.
fn marked((at, stream): (u32, &Stream), node: &Node) -> u32 {
    // The content of a packed file is not what its own stream holds.
    let packed = node.is(node::WOF) && stream.length == 0;
    if stream.flags & stream::PLAIN != 0 && !packed { at | PLAIN } else { at }
}

/// What a handle says: the record, the stream, and whether it was judged plain.
pub(super) fn unpack(handle: u64) -> (u32, u32, bool) {
    let number = u32::try_from(handle >> 32).unwrap_or(NONE);
    let at = u32::try_from(handle & u64::from(u32::MAX)).unwrap_or(NO_STREAM);
    let plain = at < LEFTOVER && at & PLAIN != 0;
    (number, if plain { at & !PLAIN } else { at }, plain)
}

fn pack(number: u32, stream: u32) -> u64 {
    u64::from(number) << 32 | u64::from(stream)
}
