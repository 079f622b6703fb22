//! The table of all records, built in one sequential pass over `$MFT`.
//!
//! Stretches of a megabyte are read and taken apart side by side; their rows are
//! then laid end to end, so the table is the same whatever the number of threads.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::source::Knows;

use super::super::bytes::fill;
use super::complaint::{Complaints, Wrong};
use super::kept::MAX_KEPT;
use super::record::fix;
use super::row::{Claim, Extension, NONE, Name, Node, Piece, Rows, Stream, name, node};
use super::scan::{Scope, Segment};
use super::volume::Volume;

/// Read at a time; bytes.
const STRETCH: usize = 1 << 20;
/// More records are not listed: their rows would not fit into memory.
pub(super) const MAX_RECORDS: u64 = 1 << 24;
/// Streams times names of one file; where there are more, as no file has, the
/// streams are shown by its first name only.
const MAX_PAIRS: usize = 1 << 14;
/// Records before it are the file system's own; some of them have no name.
const FIRST_OF_FILES: u32 = 24;
/// More runs of removed files are not compared with the volume's bitmap.
const MAX_CLAIMS: usize = 1 << 21;

/// What every record says, in rows.
#[derive(Default)]
pub(super) struct Table {
    /// Nodes by stretch; a stretch without records is empty.
    stretches: Vec<Vec<Node>>,
    /// Records per stretch.
    per_stretch: usize,
    /// By owner, then shown ones first, then as stored.
    pub(super) names: Vec<Name>,
    /// By owner, then those without a name first, then as stored.
    pub(super) streams: Vec<Stream>,
    /// Of `$I30` in clusters; by owner.
    pub(super) indexes: Vec<Stream>,
    /// Of directories in whose record names are left over; by owner.
    pub(super) leftovers: Vec<Stream>,
    pub(super) text: String,
    /// What is kept of records; see [`super::kept`].
    pub(super) kept: Vec<u8>,
    /// Those that continue a record that is there, by it and then by number.
    pub(super) extensions: Vec<Extension>,
    /// Targets of links; by owner once all are read.
    pub(super) targets: Vec<(u32, String)>,
    /// Owners of reparse points that lie in clusters.
    pub(super) points: Vec<u32>,
    pub(super) claims: Vec<Claim>,
    pub(super) pieces: Vec<Piece>,
    /// Owners of runs that there was no room for.
    unclaimed: Vec<u32>,
    pub(super) complaints: Complaints,
}

impl Table {
    /// Reads all records of the volume; short contents that `knows` does not know
    /// are marked so.
    pub(super) fn read(volume: &Volume, knows: Option<&Knows<'_>>) -> Self {
        let scope = Scope { measures: volume.measures, knows };
        let record = volume.measures.record;
        let per_stretch = (STRETCH / record).max(1);
        let records = (volume.mft.size() / record as u64).min(MAX_RECORDS);
        let stretches = usize::try_from(records.div_ceil(per_stretch as u64)).unwrap_or_default();
        let next = AtomicUsize::new(0);
        let joined = Mutex::new(Joined {
            table: Self { per_stretch, ..Self::default() },
            waiting: BTreeMap::new(),
        });
        // One task per thread takes the next stretch each time: reading stays
        // in order, and a task has one buffer.
        (0..rayon::current_num_threads().min(stretches)).into_par_iter().for_each(|_| {
            let mut buffer = vec![0; per_stretch.saturating_mul(record)];
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= stretches {
                    break;
                }
                let segment = stretch((volume, scope), at, per_stretch, records, &mut buffer);
                if let Ok(mut joined) = joined.lock() {
                    joined.add(at, segment);
                }
            }
        });
        let mut table = joined.into_inner().map(|joined| joined.table).unwrap_or_default();
        table.finish();
        table
    }

    /// Records that there is room for.
    pub(super) fn records(&self) -> u32 {
        let count = self.stretches.len().saturating_mul(self.per_stretch);
        u32::try_from(count).unwrap_or(NONE)
    }

    pub(super) fn node(&self, number: u32) -> Option<&Node> {
        let number = number as usize;
        self.stretches.get(number / self.per_stretch)?.get(number % self.per_stretch)
    }

    fn node_mut(&mut self, number: u32) -> Option<&mut Node> {
        let number = number as usize;
        self.stretches.get_mut(number / self.per_stretch)?.get_mut(number % self.per_stretch)
    }

    /// Says of a removed file that its clusters hold something else now.
    pub(super) fn set_flag(&mut self, number: u32, flag: u16) {
        if let Some(node) = self.node_mut(number) {
            node.flags |= flag;
        }
    }

    /// The names of a record, with the number of the first.
    pub(super) fn names_of(&self, number: u32) -> (u32, &[Name]) {
        let first = self.node(number).map_or(NONE, |node| node.names);
        let rest = self.names.get(first as usize..).unwrap_or_default();
        let count = rest.iter().take_while(|name| name.owner == number).count();
        (first, rest.get(..count).unwrap_or_default())
    }

    /// The streams of a record.
    pub(super) fn streams_of(&self, number: u32) -> &[Stream] {
        let first = self.node(number).map_or(NONE, |node| node.streams);
        let rest = self.streams.get(first as usize..).unwrap_or_default();
        let count = rest.iter().take_while(|stream| stream.owner == number).count();
        rest.get(..count).unwrap_or_default()
    }

    /// The first stream of a record: one without a name, if it has such a one.
    pub(super) fn first_stream(&self, number: u32) -> Option<&Stream> {
        let first = self.node(number)?.streams;
        self.streams.get(first as usize)
    }

    /// The records that continue a record.
    pub(super) fn extensions_of(&self, number: u32) -> impl Iterator<Item = u32> + '_ {
        let first = self.extensions.partition_point(|extension| extension.base < number);
        let rest = self.extensions.get(first..).unwrap_or_default();
        rest.iter().take_while(move |e| e.base == number).map(|e| e.number)
    }

    /// Where a link points.
    pub(super) fn target(&self, number: u32) -> Option<&str> {
        let at = self.targets.binary_search_by_key(&number, |(owner, _)| *owner).ok()?;
        self.targets.get(at).map(|(_, target)| target.as_str())
    }

    /// A text of the arena.
    pub(super) fn text(&self, at: u32, length: u16) -> &str {
        let start = at as usize;
        self.text.get(start..start.saturating_add(usize::from(length))).unwrap_or_default()
    }

    /// Lays the rows of the next stretch behind those that are here.
    fn append(&mut self, segment: Segment) {
        self.stretches.push(segment.nodes);
        self.complaints.append(&segment.complaints);
        // The arena of a volume with more than 4 GiB of names would overflow.
        let end = self.text.len().saturating_add(segment.text.len());
        let (Ok(text), Ok(_)) = (u32::try_from(self.text.len()), u32::try_from(end)) else {
            return;
        };
        self.text.push_str(std::str::from_utf8(&segment.text).unwrap_or_default());
        let (names, streams) = (self.names.len() as u32, self.streams.len() as u32);
        let from = |(start, end): Rows, first: u32| {
            (start.saturating_add(first), end.saturating_add(first))
        };
        self.extensions.extend(segment.extensions.into_iter().map(|extension| Extension {
            names: from(extension.names, names),
            streams: from(extension.streams, streams),
            ..extension
        }));
        let moved = |at: u32| at.saturating_add(text);
        self.names
            .extend(segment.names.into_iter().map(|name| Name { text: moved(name.text), ..name }));
        let kept = self.keep(&segment.kept);
        self.streams.extend(segment.streams.into_iter().map(|stream| Stream {
            text: moved(stream.text),
            kept: kept(stream.kept),
            ..stream
        }));
        let indexes = segment.indexes.into_iter();
        self.indexes.extend(indexes.map(|index| Stream { kept: kept(index.kept), ..index }));
        let leftovers = segment.leftovers.into_iter();
        self.leftovers.extend(leftovers.map(|row| Stream { kept: kept(row.kept), ..row }));
        self.targets.extend(segment.targets);
        self.points.extend(segment.points);
        self.pieces.extend(segment.pieces);
        for claim in segment.claims {
            if self.claims.len() < MAX_CLAIMS {
                self.claims.push(claim);
            } else if self.unclaimed.last() != Some(&claim.owner) {
                self.unclaimed.push(claim.owner);
            }
        }
    }

    /// Adds to what is kept, if there is room; where things of the stretch lie then.
    fn keep(&mut self, more: &[u8]) -> impl Fn(u32) -> u32 + use<> {
        let end = self.kept.len().saturating_add(more.len());
        let start = u32::try_from(self.kept.len()).ok().filter(|_| end <= MAX_KEPT);
        if start.is_some() {
            self.kept.extend_from_slice(more);
        }
        move |at| start.filter(|_| at != NONE).map_or(NONE, |start| start.saturating_add(at))
    }

    /// The index of a directory, if its own record maps it.
    pub(super) fn index_of(&self, number: u32) -> Option<&Stream> {
        let at = self.indexes.binary_search_by_key(&number, |index| index.owner).ok()?;
        self.indexes.get(at)
    }

    /// The index in a directory's record, if names are left over there.
    pub(super) fn leftover_of(&self, number: u32) -> Option<&Stream> {
        let at = self.leftovers.binary_search_by_key(&number, |row| row.owner).ok()?;
        self.leftovers.get(at)
    }

    /// What can be told only when all stretches are here.
    fn finish(&mut self) {
        for owner in std::mem::take(&mut self.unclaimed) {
            self.set_flag(owner, node::REUSED);
            self.complaints.add(Wrong::Claims, owner);
        }
        let mut stale = false;
        let mut extensions = std::mem::take(&mut self.extensions);
        extensions.retain(|extension| {
            if self.continues(extension) {
                let gained = self.node(extension.number).map_or(0, |node| node.flags);
                let kept = node::LINK | node::WOF | node::REPARSE | node::INDEXED;
                self.set_flag(extension.base, gained & kept);
                return true;
            }
            stale = true;
            if extension.in_use {
                self.complaints.add(Wrong::Extension, extension.number);
            }
            let rows = |(start, end): Rows| start as usize..end as usize;
            let names = self.names.get_mut(rows(extension.names)).unwrap_or_default();
            names.iter_mut().for_each(|name| name.owner = NONE);
            let streams = self.streams.get_mut(rows(extension.streams)).unwrap_or_default();
            streams.iter_mut().for_each(|stream| stream.owner = NONE);
            false
        });
        if stale {
            self.names.retain(|name| name.owner != NONE);
            self.streams.retain(|stream| stream.owner != NONE);
        }
        extensions.sort_unstable_by_key(|extension| (extension.base, extension.number));
        self.extensions = extensions;
        self.group();
        self.miss_names();
    }

    /// Tells of files in use that no name is left of.
    fn miss_names(&mut self) {
        let lost = |number: &u32| {
            let node = self.node(*number);
            node.is_some_and(|n| n.is_file() && n.is(node::IN_USE) && n.names == NONE)
        };
        let lost: Vec<u32> = (FIRST_OF_FILES..self.records()).filter(lost).collect();
        for number in lost {
            self.complaints.add(Wrong::Nameless, number);
        }
    }

    /// Whether the record continues the very file that it names.
    fn continues(&self, extension: &Extension) -> bool {
        self.node(extension.base).is_some_and(|base| {
            base.is_file()
                && base.is(node::IN_USE) == extension.in_use
                && (base.own_sequence() == extension.base_sequence
                    || base.sequence == extension.base_sequence)
        })
    }

    /// Brings the rows of one record together and tells it where they begin.
    fn group(&mut self) {
        if !self.names.is_sorted_by_key(|name| name.owner) {
            self.names.sort_by_key(|name| name.owner);
        }
        if !self.streams.is_sorted_by_key(|stream| stream.owner) {
            self.streams.sort_by_key(|stream| stream.owner);
        }
        let mut names = std::mem::take(&mut self.names);
        let mut first = 0u32;
        for group in names.chunk_by_mut(|a, b| a.owner == b.owner) {
            if let Some(node) = group.first().and_then(|name| self.node_mut(name.owner)) {
                node.names = first;
            }
            let long = |name: &Name| name.flags & name::DOS == 0;
            if group.len() > 1 && group.iter().any(long) {
                for name in group.iter_mut().filter(|name| name.flags & name::DOS != 0) {
                    name.flags |= name::HIDDEN;
                }
                group.sort_by_key(|name| name.flags & name::HIDDEN);
            }
            first = first.saturating_add(group.len() as u32);
        }
        self.names = names;
        let mut streams = std::mem::take(&mut self.streams);
        let mut first = 0u32;
        for group in streams.chunk_by_mut(|a, b| a.owner == b.owner) {
            if group.len() > 1 {
                group.sort_by_key(|stream| stream.length != 0);
                let owner = group.first().map_or(NONE, |stream| stream.owner);
                if self.names_of(owner).1.len().saturating_mul(group.len()) > MAX_PAIRS {
                    self.set_flag(owner, node::CROWDED);
                }
            }
            if let Some(node) = group.first().and_then(|stream| self.node_mut(stream.owner)) {
                node.streams = first;
            }
            first = first.saturating_add(group.len() as u32);
        }
        self.streams = streams;
    }
}

/// Stretches on their way into the table: each waits for those before it.
struct Joined {
    table: Table,
    waiting: BTreeMap<usize, Segment>,
}

impl Joined {
    fn add(&mut self, at: usize, segment: Segment) {
        self.waiting.insert(at, segment);
        while let Some(segment) = self.waiting.remove(&self.table.stretches.len()) {
            self.table.append(segment);
        }
    }
}

/// Reads and scans one stretch.
fn stretch(
    (volume, scope): (&Volume, Scope<'_>),
    at: usize,
    per_stretch: usize,
    records: u64,
    buffer: &mut [u8],
) -> Segment {
    let size = volume.measures.record;
    let first = (at as u64).saturating_mul(per_stretch as u64);
    let count = usize::try_from(records.saturating_sub(first)).unwrap_or(usize::MAX);
    let bytes = buffer.get_mut(..count.min(per_stretch).saturating_mul(size)).unwrap_or_default();
    let number = u32::try_from(first).unwrap_or(NONE);
    let mut unreadable = Complaints::default();
    let offset = first.saturating_mul(size as u64);
    if !fill(&*volume.mft, offset, bytes).is_ok_and(|n| n == bytes.len()) {
        one_by_one(volume, first, bytes, &mut unreadable);
    }
    if at == 0 {
        mend(volume, bytes, &mut unreadable);
    }
    let mut segment = Segment::scan(bytes, number, scope);
    unreadable.append(&segment.complaints);
    segment.complaints = unreadable;
    segment
}

/// Reads each record by itself where a stretch could not be read as a whole.
fn one_by_one(volume: &Volume, first: u64, bytes: &mut [u8], complaints: &mut Complaints) {
    let size = volume.measures.record;
    for (number, record) in (first..).zip(bytes.chunks_exact_mut(size)) {
        let at = number.saturating_mul(size as u64);
        if !fill(&*volume.mft, at, record).is_ok_and(|n| n == record.len()) {
            record.fill(0);
            complaints.add(Wrong::Unreadable, u32::try_from(number).unwrap_or(NONE));
        }
    }
}

/// Puts the copies of `$MFTMirr` in the place of damaged first records.
fn mend(volume: &Volume, bytes: &mut [u8], complaints: &mut Complaints) {
    for (number, record) in (0u32..).zip(bytes.chunks_exact_mut(volume.measures.record)) {
        let Some(mirrored) = volume.mirrored_as_stored(number) else { return };
        if volume.mirrored(number).is_some() && fix(&mut record.to_vec(), *b"FILE").is_err() {
            record.copy_from_slice(mirrored);
            complaints.add(Wrong::FromMirror, number);
        }
    }
}
