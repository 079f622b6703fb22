//! One stretch of `$MFT` to rows.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::super::bytes::{u16_at, u64_at};
use super::complaint::{Complaints, Wrong};
use super::kept::{MAX_CONTENTS, keep_content, keep_map};
use super::leftover;
use super::record::{
    Attribute, Body, DATA, Damage, Extents, FILE_NAME, I30, INDEX_ALLOCATION, INDEX_ROOT,
    REPARSE_POINT, Record, Reference, STANDARD_INFORMATION,
};
use super::reparse::Point;
use super::row::{Claim, Extension, NONE, Name, Node, Piece, Stream, name, node, stream};
use super::runs::Pairs;
use super::text::{self, Shown};
use crate::source::Knows;

/// `$FILE_NAME` up to the name itself; bytes.
const NAME_AT: usize = 66;
/// More runs of removed files are not noted for one stretch of records.
const MAX_CLAIMS: usize = 1 << 14;
/// The name space of 8.3 names.
const DOS: u8 = 2;

/// The volume's measures that the rows depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measures {
    /// Bytes per record.
    pub(super) record: usize,
    /// Bytes per cluster, and clusters; `None` for an `$MFT` without its volume.
    pub(super) clusters: Option<(u64, u64)>,
}

/// What the rows are made with.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) measures: Measures,
    /// Tells the contents that are looked for; without it none is judged.
    pub(super) knows: Option<&'a Knows<'a>>,
}

/// The rows of some records that follow each other.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// One per record; empty where none could be read.
    pub(super) nodes: Vec<Node>,
    pub(super) names: Vec<Name>,
    pub(super) streams: Vec<Stream>,
    /// Of `$I30` in clusters, those of base records only; by owner.
    pub(super) indexes: Vec<Stream>,
    /// Of directories in whose record names are left over; by owner.
    pub(super) leftovers: Vec<Stream>,
    pub(super) text: Vec<u8>,
    pub(super) kept: Vec<u8>,
    /// Bytes of short contents that there is room for.
    room: usize,
    pub(super) extensions: Vec<Extension>,
    pub(super) claims: Vec<Claim>,
    pub(super) pieces: Vec<Piece>,
    pub(super) targets: Vec<(u32, String)>,
    /// Owners of reparse points that lie in clusters.
    pub(super) points: Vec<u32>,
    pub(super) complaints: Complaints,
}

impl Segment {
    /// The rows of the records in `bytes`, the first of which is `first`.
    ///
    /// The fixups are applied in place.
    pub(super) fn scan(bytes: &mut [u8], first: u32, scope: Scope<'_>) -> Self {
        let mut segment = Self { room: MAX_CONTENTS, ..Self::default() };
        let mut nodes = Vec::new();
        let count = bytes.len() / scope.measures.record;
        for (number, record) in (first..).zip(bytes.chunks_exact_mut(scope.measures.record)) {
            match Record::read(record) {
                Ok(record) => {
                    if nodes.is_empty() {
                        nodes = vec![Node::default(); count];
                    }
                    let at = number.saturating_sub(first) as usize;
                    if let Some(node) = nodes.get_mut(at) {
                        segment.record(&record, number, node, scope);
                    }
                }
                Err(damage) => segment.damaged(damage, number),
            }
        }
        segment.nodes = nodes;
        segment
    }

    fn damaged(&mut self, damage: Damage, number: u32) {
        let wrong = match damage {
            Damage::Unused => return,
            Damage::Baad => Wrong::Baad,
            Damage::Signature => Wrong::Signature,
            Damage::Torn => Wrong::Torn,
            Damage::Header => Wrong::Header,
        };
        self.complaints.add(wrong, number);
    }

    fn record(&mut self, record: &Record<'_>, number: u32, node: &mut Node, scope: Scope<'_>) {
        node.names = NONE;
        node.streams = NONE;
        node.sequence = record.sequence;
        node.flags = node::READ;
        if record.in_use() {
            node.flags |= node::IN_USE;
        }
        if record.is_directory() {
            node.flags |= node::DIRECTORY;
        }
        if record.base == 0 {
            return self.attributes(record, number, number, node, scope);
        }
        node.flags |= node::EXTENSION;
        let base = Reference::of(record.base);
        let owner = u32::try_from(base.number).unwrap_or(NONE);
        let before = (self.names.len() as u32, self.streams.len() as u32);
        self.attributes(record, number, owner, node, scope);
        self.extensions.push(Extension {
            number,
            base: owner,
            base_sequence: base.sequence,
            in_use: record.in_use(),
            names: (before.0, self.names.len() as u32),
            streams: (before.1, self.streams.len() as u32),
        });
    }

    fn attributes(
        &mut self,
        record: &Record<'_>,
        number: u32,
        owner: u32,
        node: &mut Node,
        scope: Scope<'_>,
    ) {
        let mut attributes = record.attributes();
        for attribute in attributes.by_ref() {
            match (attribute.kind, attribute.body) {
                (STANDARD_INFORMATION, Body::Resident(content)) => {
                    node.times = times(content, 0).unwrap_or_default();
                }
                (FILE_NAME, Body::Resident(content)) => self.name(content, owner),
                (DATA, _) => self.data(&attribute, owner, number, node, scope),
                (REPARSE_POINT, Body::Resident(content)) => match Point::read(content) {
                    Point::Link(target) => {
                        node.flags |= node::LINK;
                        self.targets.push((owner, target));
                    }
                    Point::Packed(_) => node.flags |= node::WOF,
                    Point::Other => node.flags |= node::REPARSE,
                },
                (INDEX_ROOT, Body::Resident(root))
                    if attribute.name == I30 && owner == number && record.in_use() =>
                {
                    self.leftover(&attribute, root, record, owner);
                }
                (INDEX_ALLOCATION, Body::Extents(extents)) if attribute.name == I30 => {
                    node.flags |= node::INDEXED;
                    if owner == number && extents.first == 0 {
                        self.index(&attribute, &extents, owner, scope);
                    }
                }
                (REPARSE_POINT, Body::Extents(extents)) if extents.first == 0 => {
                    self.points.push(owner);
                }
                _ => {}
            }
        }
        if attributes.is_broken() && record.in_use() {
            self.complaints.add(Wrong::Attribute, number);
        }
    }

    fn name(&mut self, content: &[u8], owner: u32) {
        let row = || -> Option<(Name, &[u8])> {
            let parent = Reference::of(u64_at(content, 0)?);
            let length = usize::from(*content.get(64)?).saturating_mul(2);
            let utf16 = content.get(NAME_AT..NAME_AT.saturating_add(length))?;
            let row = Name {
                times: times(content, 8)?,
                owner,
                parent: u32::try_from(parent.number).unwrap_or(NONE),
                parent_sequence: parent.sequence,
                length: 0,
                text: u32::try_from(self.text.len()).ok()?,
                flags: if *content.get(65)? == DOS { name::DOS } else { 0 },
            };
            Some((row, utf16))
        };
        let Some((mut row, utf16)) = row() else {
            return self.complaints.add(Wrong::Attribute, owner);
        };
        let start = self.text.len();
        if text::push_name(&mut self.text, utf16) == Shown::Altered {
            row.flags |= name::ALTERED;
        }
        row.length = length_since(&self.text, start);
        self.names.push(row);
    }

    fn data(
        &mut self,
        attribute: &Attribute<'_>,
        owner: u32,
        holder: u32,
        node: &mut Node,
        scope: Scope<'_>,
    ) {
        let (size, mut flags, kept) = match attribute.body {
            Body::Resident(content) => {
                let (flags, kept) = self.judge(content, scope);
                (content.len() as u64, stream::RESIDENT | flags, kept)
            }
            Body::Extents(extents) => {
                let removed = !node.is(node::IN_USE);
                let flags = match scope.measures.clusters.filter(|_| removed) {
                    Some(clusters) => self.claim(attribute.name, &extents, owner, clusters),
                    None => 0,
                };
                if extents.first != 0 {
                    return;
                }
                (extents.size, flags, self.map(attribute, &extents, scope))
            }
        };
        let start = self.text.len();
        if !attribute.name.is_empty()
            && text::push_name(&mut self.text, attribute.name) == Shown::Altered
        {
            flags |= stream::ALTERED;
        }
        self.streams.push(Stream {
            size,
            owner,
            holder,
            id: attribute.id,
            length: length_since(&self.text, start),
            text: u32::try_from(start).unwrap_or_default(),
            kept,
            flags,
        });
    }

    /// The flags of a short content, and where it is kept if it is looked for.
    fn judge(&mut self, content: &[u8], scope: Scope<'_>) -> (u8, u32) {
        match scope.knows {
            None => (0, NONE),
            Some(knows) if knows(content) => {
                (0, keep_content(&mut self.kept, &mut self.room, content))
            }
            Some(_) => (stream::PLAIN, NONE),
        }
    }

    /// Keeps the map of a content in clusters; where.
    fn map(&mut self, attribute: &Attribute<'_>, extents: &Extents<'_>, scope: Scope<'_>) -> u32 {
        let keep = |clusters| keep_map(&mut self.kept, extents, attribute.flags, clusters);
        scope.measures.clusters.map_or(NONE, keep)
    }

    fn index(
        &mut self,
        attribute: &Attribute<'_>,
        extents: &Extents<'_>,
        owner: u32,
        scope: Scope<'_>,
    ) {
        let kept = self.map(attribute, extents, scope);
        let (id, size) = (attribute.id, extents.size);
        let row = Stream { size, owner, holder: owner, id, length: 0, text: 0, kept, flags: 0 };
        self.indexes.push(row);
    }

    /// Keeps the index of a directory's record if names are left over in it.
    fn leftover(
        &mut self,
        attribute: &Attribute<'_>,
        root: &[u8],
        record: &Record<'_>,
        owner: u32,
    ) {
        let Some(all) = leftover::in_record(root, record, owner) else { return };
        let kept = keep_content(&mut self.kept, &mut self.room, &all);
        let (id, size) = (attribute.id, all.len() as u64);
        let flags = stream::RESIDENT;
        self.leftovers.push(Stream {
            size,
            owner,
            holder: owner,
            id,
            length: 0,
            text: 0,
            kept,
            flags,
        });
    }

    /// Notes the clusters of a removed file; what is wrong with the piece.
    fn claim(
        &mut self,
        name: &[u8],
        extents: &Extents<'_>,
        owner: u32,
        (size, count): (u64, u64),
    ) -> u8 {
        let mut end = extents.first;
        for run in Pairs::new(extents.pairs, extents.first, count) {
            let Ok(run) = run else { return stream::BROKEN };
            end = run.end();
            let Some(lcn) = run.lcn else { continue };
            if self.claims.len() >= MAX_CLAIMS {
                self.complaints.add(Wrong::Claims, owner);
                return stream::BROKEN;
            }
            self.claims.push(Claim { lcn, length: run.length, owner });
        }
        let written = extents.initialized.min(extents.size).div_ceil(size);
        let mut hash = DefaultHasher::new();
        name.hash(&mut hash);
        let mut piece = Piece { owner, hash: hash.finish(), first: extents.first, end, written };
        if extents.first != 0 {
            piece.written = 0;
            self.pieces.push(piece);
            0
        } else if end < written {
            self.pieces.push(piece);
            stream::PARTIAL
        } else {
            0
        }
    }
}

/// The four times of `$STANDARD_INFORMATION` or, from 8, of `$FILE_NAME`.
fn times(content: &[u8], at: usize) -> Option<[u64; 4]> {
    let mut times = [0; 4];
    for (n, time) in times.iter_mut().enumerate() {
        *time = u64_at(content, at.saturating_add(n.saturating_mul(8)))?;
    }
    Some(times)
}

fn length_since(text: &[u8], start: usize) -> u16 {
    u16::try_from(text.len().saturating_sub(start)).unwrap_or(u16::MAX)
}

/// The size of a record, as the first of an `$MFT` file says it.
pub(super) fn record_size(bytes: &[u8]) -> Option<usize> {
    let size = super::bytes::u32_at(bytes, 28)? as usize;
    let stated = usize::from(u16_at(bytes, 6)?).checked_sub(1)?.checked_mul(512)?;
    (bytes.starts_with(b"FILE") && size == stated && size.is_power_of_two()).then_some(size)
}
