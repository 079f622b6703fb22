//! A tar file as a file tree, read in place; compressed by gzip, it is inflated
//! once from front to end to find its members, and from the nearest kept state to
//! read one. Covers the old form, ustar, pax and GNU's, with holes of all three
//! kinds. Times are UTC and the files' own. Format: POSIX.1-2017 pax, GNU tar.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::block::{BLOCK, Header, pax, pax_time, stretches};
use super::inflated::Inflated;
use super::name::{Name, Separators, is_absolute};
use super::pool::Pool;
use super::slice::{Slice, Sparse, Stretch};
use super::stream::{Stream, Wrapping, read_full};
use super::zip::{MAX_MEMBERS, Notes};
use crate::model::{EvidencePath, Problem, ReadAt};
use crate::source::collection::tree::{Item, Tree, file, met};
use crate::source::entry::{Entry, Kind, Times};
use crate::source::{Filesystem, SourceError};

/// Longest name or pax header, in bytes.
const MAX_EXTRA_BYTES: u64 = 1 << 20;
/// Stretches of one file.
const MAX_STRETCHES: usize = 100_000;
/// Bytes after the end that are read.
const PADDING_BYTES: usize = 64 << 10;
/// Bytes kept of the start of every member of a compressed tar: what a format is told by.
const HEAD_BYTES: usize = 4608;
/// Bytes of such starts in all.
const MAX_HEADS_BYTES: usize = 48 << 20;
/// Bytes between two states of a compressed tar to return to, at first.
const SPACING_BYTES: u64 = 1 << 20;

/// A tar file's members.
pub(in super::super) struct TarTree {
    source: Arc<dyn ReadAt>,
    members: Vec<Member>,
    tree: Tree,
    problems: Vec<Problem>,
}

#[derive(Clone)]
struct Member {
    header: Header,
    /// Offset of the content.
    data: u64,
    accessed: Option<jiff::Timestamp>,
    /// Where there are holes: stretches, stored from the content's start on, and the real size.
    holes: Option<(Vec<Stretch>, u64)>,
    /// The first bytes, where going back to them is dear.
    head: Arc<[u8]>,
}

impl Member {
    fn size(&self) -> u64 {
        self.holes.as_ref().map_or(self.header.size, |(_, size)| *size)
    }
}

/// The bytes of a tar file: itself, or what gzip holds.
///
/// # Errors
///
/// Of reading.
pub(in super::super) fn unwrapped(source: Arc<dyn ReadAt>) -> io::Result<Arc<dyn ReadAt>> {
    let mut start = [0; 3];
    let n = read_full(&*source, 0, &mut start)?;
    if n < start.len() || start != *b"\x1f\x8b\x08" {
        return Ok(source);
    }
    let end = source.size();
    let stream = Stream { source, start: 0, end, wrapping: Wrapping::Gzip };
    Ok(Arc::new(Inflated::new(stream, None, Arc::new(Pool::default()), SPACING_BYTES)))
}

impl TarTree {
    /// The tree of a tar file; `None` when it is none.
    ///
    /// # Errors
    ///
    /// Of reading its start.
    pub(in super::super) fn open(source: Arc<dyn ReadAt>) -> io::Result<Option<Self>> {
        let mut start = [0; BLOCK];
        let n = read_full(&*source, 0, &mut start)?;
        if n < BLOCK || Header::of(&start).is_none_or(|header| header.name.is_empty()) {
            return Ok(None);
        }
        let (members, problems) = (Vec::new(), Vec::new());
        let mut scan = Scan { source: &*source, at: 0, members, problems, heads: 0 };
        scan.run();
        let Scan { members, problems, .. } = scan;
        let mut tar = Self { source, members, tree: Tree::default(), problems };
        tar.arrange();
        Ok(Some(tar))
    }

    /// Puts the members into their tree.
    fn arrange(&mut self) {
        let mut notes = Notes::default();
        let mut items = Vec::new();
        let mut by_name: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        for at in 0..self.members.len() {
            let Some(member) = self.members.get(at) else { break };
            let text = member.header.name.clone();
            let absolute = is_absolute(&text, Separators::Slash);
            notes.absolute = notes.absolute.saturating_add(usize::from(absolute));
            let parts = match Name::of(&text, Separators::Slash) {
                Name::Parts(parts) => parts,
                Name::Root => continue,
                Name::Refused(why) => {
                    notes.refuse(&text, why);
                    continue;
                }
            };
            if member.header.kind == b'1' && !self.follow_hard_link(at, &by_name) {
                notes.refuse(&text, "it is another name of a file that is not in the archive");
                continue;
            }
            let Some(member) = self.members.get(at) else { break };
            let entry = entry_of(at, member);
            if entry.is_file() {
                by_name.insert(parts.clone(), at);
            }
            items.push(Item { root: String::new(), parts, entry });
        }
        notes.tell(&mut self.problems);
        self.tree = Tree::build(items, false, &mut self.problems);
    }

    /// Gives a further name of a file that file's content.
    fn follow_hard_link(&mut self, at: usize, by_name: &BTreeMap<Vec<String>, usize>) -> bool {
        let link = self.members.get(at).map(|member| member.header.link.clone());
        let Some(Name::Parts(parts)) = link.map(|link| Name::of(&link, Separators::Slash)) else {
            return false;
        };
        let Some(target) = by_name.get(&parts).and_then(|of| self.members.get(*of)) else {
            return false;
        };
        let target = target.clone();
        if let Some(member) = self.members.get_mut(at) {
            member.header.size = target.header.size;
            member.header.kind = b'0';
            (member.data, member.holes, member.head) = (target.data, target.holes, target.head);
        }
        true
    }
}

fn entry_of(at: usize, member: &Member) -> Entry {
    let header = &member.header;
    let times = Times { modified: header.modified, accessed: member.accessed, ..Times::default() };
    let entry = file(EvidencePath::default(), member.size(), times, at as u64);
    match header.kind {
        b'2' => {
            let target = Some(header.link.clone());
            Entry { kind: Kind::Link, size: 0, link_target: target, ..entry }
        }
        b'3' | b'4' | b'6' => Entry { kind: Kind::Special, size: 0, ..entry },
        b'5' | b'D' => Entry { kind: Kind::Directory, size: 0, ..entry },
        // Old writers mark directories by their names alone.
        0 if header.name.ends_with('/') => Entry { kind: Kind::Directory, size: 0, ..entry },
        _ => entry,
    }
}

impl Filesystem for TarTree {
    fn walk(&self, visit: &mut dyn FnMut(Entry), problem: &mut dyn FnMut(Problem)) {
        self.problems.iter().cloned().for_each(problem);
        self.tree.entries().iter().cloned().for_each(visit);
    }

    fn open(&self, entry: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
        let absent = || SourceError::NotInEvidence { path: entry.path.clone() };
        let found = self.tree.find(&entry.path).filter(|entry| entry.is_file());
        let handle = found.ok_or_else(absent)?.handle;
        let at = usize::try_from(handle).unwrap_or(usize::MAX);
        let member = self.members.get(at).ok_or_else(absent)?;
        let slice = Slice::new(Arc::clone(&self.source), member.data, member.header.size);
        let Some((stretches, size)) = &member.holes else {
            return Ok(Box::new(Headed { head: Arc::clone(&member.head), whole: slice }));
        };
        match Sparse::new(Box::new(slice), stretches.clone(), *size) {
            Some(sparse) => Ok(Box::new(sparse)),
            None => Err(SourceError::File {
                path: entry.path.clone(),
                error: io::Error::new(io::ErrorKind::InvalidData, "its map of holes is broken"),
            }),
        }
    }

    fn entry(&self, path: &EvidencePath) -> Option<Entry> {
        self.tree.find(path).cloned()
    }

    fn case_insensitive(&self) -> bool {
        false
    }
}

/// A member whose first bytes are at hand.
struct Headed {
    head: Arc<[u8]>,
    whole: Slice,
}

impl ReadAt for Headed {
    fn size(&self) -> u64 {
        self.whole.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let end = offset.saturating_add(buf.len() as u64).min(self.size());
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let to = usize::try_from(end).unwrap_or(usize::MAX);
        let Some(known) = self.head.get(from..to) else { return self.whole.read_at(offset, buf) };
        if let Some(buf) = buf.get_mut(..known.len()) {
            buf.copy_from_slice(known);
        }
        Ok(known.len())
    }
}

/// What stands before a member and speaks of it.
#[derive(Default)]
struct Before {
    name: Option<String>,
    link: Option<String>,
    pax: BTreeMap<String, Vec<String>>,
}

impl Before {
    fn last(&self, key: &str) -> Option<&str> {
        self.pax.get(key)?.last().map(String::as_str)
    }
}

/// The one pass over a tar file's headers.
struct Scan<'a> {
    source: &'a dyn ReadAt,
    at: u64,
    members: Vec<Member>,
    problems: Vec<Problem>,
    /// Bytes kept of the members' starts.
    heads: usize,
}

impl Scan<'_> {
    fn run(&mut self) {
        let mut before = Before::default();
        let mut lost_from = None;
        loop {
            if self.members.len() >= MAX_MEMBERS {
                return self.say(format!("more than {MAX_MEMBERS} members; the rest is not read"));
            }
            let mut block = [0; BLOCK];
            match read_full(self.source, self.at, &mut block) {
                Ok(BLOCK) => {}
                Ok(0) if lost_from.is_none() => return self.cut_last(None),
                Ok(_) => return self.cut_last(lost_from.map(|at| lost(at, self.at))),
                Err(error) => return self.cut_last(Some(error.to_string())),
            }
            if block.iter().all(|byte| *byte == 0) {
                if lost_from.is_none() {
                    return self.check_padding();
                }
                self.skip(0);
                continue;
            }
            let Some(header) = Header::of(&block) else {
                lost_from = lost_from.or(Some(self.at));
                self.skip(0);
                continue;
            };
            if let Some(from) = lost_from.take() {
                self.say(lost(from, self.at));
            }
            self.member(header, &mut before);
        }
    }

    /// Takes one header, and what it says of the next.
    fn member(&mut self, header: Header, before: &mut Before) {
        let data = self.at.saturating_add(BLOCK as u64);
        match header.kind {
            b'L' => before.name = self.text(data, header.size),
            b'K' => before.link = self.text(data, header.size),
            b'x' => before.pax = self.extra(data, header.size).map(|b| pax(&b)).unwrap_or_default(),
            b'g' | b'V' | b'M' | b'N' => {}
            _ => {
                let before = std::mem::take(before);
                return self.take(header, data, &before);
            }
        }
        self.skip(header.size);
    }

    /// Takes the member itself.
    fn take(&mut self, mut header: Header, data: u64, before: &Before) {
        let named = before.last("GNU.sparse.name").or(before.last("path"));
        if let Some(name) = named.or(before.name.as_deref()) {
            name.clone_into(&mut header.name);
        }
        if let Some(link) = before.last("linkpath").or(before.link.as_deref()) {
            link.clone_into(&mut header.link);
        }
        if let Some(size) = before.last("size").and_then(|size| size.parse().ok()) {
            header.size = size;
        }
        if let Some(at) = before.last("mtime").and_then(pax_time) {
            header.modified = Some(at);
        }
        let carries = !matches!(header.kind, b'1'..=b'6');
        let stored = if carries || header.kind == b'1' { header.size } else { 0 };
        let mut member = Member {
            data,
            accessed: before.last("atime").and_then(pax_time),
            holes: None,
            head: Arc::default(),
            header,
        };
        let mut extra = 0;
        if let Some((list, more, size)) = member.header.sparse.take() {
            let (list, blocks) = self.more_stretches(list, more, data);
            extra = blocks;
            member.data = data.saturating_add(extra);
            member.holes = Some((list, size));
        } else if before.pax.keys().any(|key| key.starts_with("GNU.sparse.")) {
            self.pax_holes(&mut member, before);
        }
        if member.holes.is_none() && carries {
            member.head = self.head(&member);
        }
        self.members.push(member);
        self.skip(stored.saturating_add(extra));
    }

    /// The start of a member of a compressed tar, as long as there is room for it.
    fn head(&mut self, member: &Member) -> Arc<[u8]> {
        let length = usize::try_from(member.header.size).unwrap_or(usize::MAX).min(HEAD_BYTES);
        if self.source.size() != u64::MAX || self.heads.saturating_add(length) > MAX_HEADS_BYTES {
            return Arc::default();
        }
        let head = self.extra(member.data, length as u64).unwrap_or_default();
        self.heads = self.heads.saturating_add(head.len());
        Arc::from(head)
    }

    /// Follows the blocks of further stretches; returns their bytes, too.
    fn more_stretches(
        &self,
        mut list: Vec<Stretch>,
        mut more: bool,
        data: u64,
    ) -> (Vec<Stretch>, u64) {
        let mut bytes = 0_u64;
        while more && list.len() < MAX_STRETCHES {
            let mut block = [0; BLOCK];
            let at = data.saturating_add(bytes);
            if !matches!(read_full(self.source, at, &mut block), Ok(BLOCK)) {
                break;
            }
            bytes = bytes.saturating_add(BLOCK as u64);
            let stored = list.last().map_or(0, |last| last.stored.saturating_add(last.length));
            list.extend(stretches(block.get(..504).unwrap_or_default(), stored));
            more = block.get(504).is_some_and(|byte| *byte != 0);
        }
        (list, bytes)
    }

    /// Holes as pax tells of them: 0.0 and 0.1 in records, 1.0 before the content.
    fn pax_holes(&self, member: &mut Member, before: &Before) {
        let number = |key: &str| before.last(key).and_then(|n| n.parse::<u64>().ok());
        let real = number("GNU.sparse.realsize").or(number("GNU.sparse.size"));
        let Some(real) = real else { return };
        let mut numbers: Vec<u64> = Vec::new();
        let mut map_bytes = 0_u64;
        if number("GNU.sparse.major") == Some(1) {
            let text = self.extra(member.data, member.header.size.min(MAX_EXTRA_BYTES));
            let text = text.unwrap_or_default();
            let mut lines = text.split(|byte| *byte == b'\n');
            let mut used = 0_usize;
            let mut next = || {
                let line = lines.next()?;
                used = used.saturating_add(line.len()).saturating_add(1);
                std::str::from_utf8(line).ok()?.parse::<u64>().ok()
            };
            let count = usize::try_from(next().unwrap_or_default()).unwrap_or(usize::MAX);
            numbers.extend((0..count.min(MAX_STRETCHES).saturating_mul(2)).map_while(|_| next()));
            map_bytes = (used as u64).next_multiple_of(BLOCK as u64);
        } else if let Some(map) = before.last("GNU.sparse.map") {
            numbers.extend(map.split(',').map_while(|n| n.parse::<u64>().ok()));
        } else {
            let all = |key: &str| before.pax.get(key).into_iter().flatten();
            let pairs = all("GNU.sparse.offset").zip(all("GNU.sparse.numbytes"));
            for (at, length) in pairs {
                numbers.extend(at.parse::<u64>().ok().into_iter().chain(length.parse().ok()));
            }
        }
        let mut stored = 0_u64;
        let list = numbers.chunks_exact(2).filter_map(|pair| {
            let [at, length] = pair else { return None };
            let stretch = Stretch { at: *at, stored, length: *length };
            stored = stored.saturating_add(*length);
            Some(stretch)
        });
        let list = list.take(MAX_STRETCHES).collect();
        member.data = member.data.saturating_add(map_bytes);
        member.header.size = member.header.size.saturating_sub(map_bytes);
        member.holes = Some((list, real));
    }

    fn extra(&self, at: u64, size: u64) -> Option<Vec<u8>> {
        let size = usize::try_from(size.min(MAX_EXTRA_BYTES)).ok()?;
        let mut bytes = vec![0; size];
        let n = read_full(self.source, at, &mut bytes).ok()?;
        bytes.truncate(n);
        Some(bytes)
    }

    fn text(&self, at: u64, size: u64) -> Option<String> {
        let bytes = self.extra(at, size)?;
        Some(super::name::decode(bytes.split(|byte| *byte == 0).next().unwrap_or_default()))
    }

    /// Goes to the next header, after a header and that many bytes.
    fn skip(&mut self, bytes: u64) {
        let blocks = bytes.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        self.at = self.at.saturating_add(BLOCK as u64).saturating_add(blocks);
    }

    fn say(&mut self, message: String) {
        self.problems.push(met(None, message));
    }

    /// Reads on after the end: a compressed stream is checked where it ends.
    fn check_padding(&mut self) {
        let mut padding = vec![0; PADDING_BYTES];
        let end = self.at.saturating_add(PADDING_BYTES as u64);
        let read = read_full(self.source, self.at, &mut padding);
        let read = read.and_then(|n| match n == PADDING_BYTES {
            true => Ok(0),
            false => self.source.read_at(end.saturating_sub(1), &mut [0]),
        });
        if let Err(error) = read {
            self.say(format!("the archive is read whole, but: {error}"));
        }
    }

    /// The archive has no end of its own: says so, and bounds the last member.
    fn cut_last(&mut self, why: Option<String>) {
        let end = end_of(self.source, self.at);
        let mut cut = None;
        if let Some(last) = self.members.last_mut() {
            let left = end.saturating_sub(last.data);
            if left < last.header.size && last.holes.is_none() && last.header.kind != b'1' {
                last.header.size = left;
                cut = Some(format!("{}: cut off, {left} bytes of it are read", last.header.name));
            }
        }
        // Some writers leave out the zeros at the end; then nothing is missing.
        let said = match (cut, why) {
            (None, None) => return,
            (Some(cut), None) => cut,
            (None, Some(why)) => why,
            (Some(cut), Some(why)) => format!("{cut} ({why})"),
        };
        self.say(format!("the archive ends too early, at byte {end}: {said}"));
    }
}

fn lost(from: u64, to: u64) -> String {
    format!("no header between bytes {from} and {to}: what stood there is lost")
}

/// Where the bytes really end, at most at `limit`; found by halves.
fn end_of(source: &dyn ReadAt, limit: u64) -> u64 {
    let (mut low, mut high) = (0_u64, limit.min(source.size()));
    while low < high {
        let middle = low.saturating_add(high.saturating_sub(low) / 2);
        let mut byte = [0; 1];
        match source.read_at(middle, &mut byte) {
            Ok(1) => low = middle.saturating_add(1),
            _ => high = middle,
        }
    }
    low
}
