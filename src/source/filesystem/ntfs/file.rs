//! One file's content: opened, unpacked, or said to be gone.

use std::io;

use crate::model::ReadAt;
use crate::source::{Entry, Kind, Piece, Remains, SourceError, Start};

use super::Ntfs;
use super::find::same;
use super::kept::Map;
use super::leftover;
use super::open::{self, Found, Pick};
use super::record;
use super::reparse::{self, Point};
use super::row::{Node, Stream, node, stream};
use super::runs::Run;
use super::show::{INDEX, LEFTOVER, NO_STREAM, id, main, unpack};
use super::wof::{self, Packed};

/// What is left of a removed stream.
pub(super) fn remains_of(ntfs: &Ntfs, node: &Node, stream: &Stream) -> Remains {
    let mut stream = stream;
    if node.is(node::WOF) && stream.length == 0 {
        match packed(ntfs, stream.owner) {
            Some(packed) => stream = packed,
            None => return Remains::Nothing,
        }
    }
    if stream.flags & stream::RESIDENT != 0 {
        Remains::Whole
    } else if node.is(node::REUSED)
        || ntfs.volume.disk.is_none()
        || stream.flags & stream::BROKEN != 0
    {
        Remains::Nothing
    } else {
        Remains::Likely
    }
}

/// The content of an entry that this volume showed.
pub(super) fn open(ntfs: &Ntfs, file: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
    let absent = || SourceError::NotInEvidence { path: file.path.clone() };
    let failed = |error| SourceError::File { path: file.path.clone(), error };
    let (number, at, _) = unpack(file.handle);
    let node = ntfs.table.node(number).filter(|node| node.is_file()).ok_or_else(absent)?;
    if file.kind != Kind::File || file.id != Some(id(number, node)) {
        return Err(absent());
    }
    if at == NO_STREAM {
        return Ok(Box::new(Vec::new()));
    }
    if at == INDEX {
        let row = ntfs.table.index_of(number);
        let found = match row.and_then(|row| open::kept(&ntfs.volume, &ntfs.table, row)) {
            Some(found) => found,
            None => {
                let index = Pick::Named(record::INDEX_ALLOCATION, record::I30);
                open::attribute(&ntfs.volume, &ntfs.table, number, index)
            }
        };
        return found.and_then(Found::reader).map_err(failed);
    }
    if at == LEFTOVER {
        let row = ntfs.table.leftover_of(number).ok_or_else(absent)?;
        let end = u64::from(row.kept).saturating_add(row.size);
        let kept = ntfs.table.kept.get(row.kept as usize..usize::try_from(end).unwrap_or_default());
        let content = leftover::content(ntfs, number, kept).map_err(failed)?;
        return Ok(Box::new(content));
    }
    let stream = ntfs.table.streams_of(number).get(at as usize).ok_or_else(absent)?;
    if !node.is(node::IN_USE) && remains_of(ntfs, node, stream) == Remains::Nothing {
        return Err(failed(io::Error::new(
            io::ErrorKind::NotFound,
            "removed, and nothing that can be called its own is left of its content",
        )));
    }
    let is_main = main(ntfs, number, node).is_some_and(|(own, _)| own == at);
    if is_main && node.is(node::WOF) {
        return open_packed(ntfs, number, stream.size).map_err(failed);
    }
    if is_main && node.is(node::REPARSE) {
        elsewhere(ntfs, stream).map_err(failed)?;
    }
    open_stream(ntfs, stream).map_err(failed)
}

/// Whether the content of an entry lies in a record.
pub(super) fn is_in_record(ntfs: &Ntfs, file: &Entry) -> bool {
    let (number, at, _) = unpack(file.handle);
    let stream = ntfs.table.streams_of(number).get(at as usize);
    stream.is_some_and(|stream| stream.flags & stream::RESIDENT != 0)
}

/// What is known of an entry's first bytes without opening it.
pub(super) fn start(file: &Entry) -> Start {
    let (.., plain) = unpack(file.handle);
    if plain { Start::Plain } else { Start::Unseen }
}

/// Where an entry's first bytes lie in the volume; of what lies in a record, its number.
pub(super) fn place(ntfs: &Ntfs, file: &Entry) -> u64 {
    let (number, at, _) = unpack(file.handle);
    let in_record = u64::from(number);
    let Some(node) = ntfs.table.node(number) else { return in_record };
    let index = (at == INDEX).then(|| ntfs.table.index_of(number)).flatten();
    let own = index.or_else(|| ntfs.table.streams_of(number).get(at as usize));
    let Some(mut stream) = own else { return in_record };
    if node.is(node::WOF) && main(ntfs, number, node).is_some_and(|(own, _)| own == at) {
        match packed(ntfs, number) {
            Some(packed) => stream = packed,
            None => return in_record,
        }
    }
    let place = || {
        let (_, geometry) = ntfs.volume.disk.as_ref()?;
        let map = Map::at(&ntfs.table.kept, stream.kept)?;
        map.first(geometry.clusters)?.checked_mul(u64::from(geometry.cluster))
    };
    let resident = stream.flags & stream::RESIDENT != 0;
    if resident { in_record } else { place().unwrap_or(in_record) }
}

/// Where the pieces of a directory's index lie; of other contents nothing is said.
pub(super) fn pieces(ntfs: &Ntfs, file: &Entry) -> Vec<Piece> {
    let (number, at, _) = unpack(file.handle);
    let index = (at == INDEX).then(|| ntfs.table.index_of(number)).flatten();
    let found = index.and_then(|row| open::kept(&ntfs.volume, &ntfs.table, row));
    let Some(Ok(Found::Extents { content, unit: 0, flags: 0 })) = found else { return Vec::new() };
    if content.initialized < content.size {
        return Vec::new();
    }
    let bytes = |clusters: u64| clusters.saturating_mul(content.cluster);
    let piece = |run: &Run| {
        Some(Piece { place: bytes(run.lcn?), offset: bytes(run.vcn), len: bytes(run.length) })
    };
    // A hole is no part of an index.
    let pieces: Option<Vec<Piece>> = content.runs.iter().map(piece).collect();
    pieces.unwrap_or_default()
}

/// An error for a file whose reparse point stands for content that is not here:
/// deduplicated, in the cloud. What is left is one hole, which is not its zeros.
fn elsewhere(ntfs: &Ntfs, stream: &Stream) -> io::Result<()> {
    let found = open::attribute(&ntfs.volume, &ntfs.table, stream.owner, Pick::Row(stream))?;
    let Found::Extents { content, .. } = found else { return Ok(()) };
    if content.size == 0 || content.runs.iter().any(|run| run.lcn.is_some()) {
        return Ok(());
    }
    let tag = reparse::tag(&reparse::far(&ntfs.volume, &ntfs.table, stream.owner)?);
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!("its content is kept elsewhere (reparse point {tag:#010x}), not in this file"),
    ))
}

fn open_stream(ntfs: &Ntfs, stream: &Stream) -> io::Result<Box<dyn ReadAt>> {
    open::attribute(&ntfs.volume, &ntfs.table, stream.owner, Pick::Row(stream))?.reader()
}

/// The content of a file that the system keeps packed.
fn open_packed(ntfs: &Ntfs, number: u32, size: u64) -> io::Result<Box<dyn ReadAt>> {
    let point = reparse::far(&ntfs.volume, &ntfs.table, number)?;
    let Point::Packed(algorithm) = Point::read(&point) else {
        return Err(open::invalid("its reparse point does not say how it is packed"));
    };
    let stream = packed(ntfs, number)
        .ok_or_else(|| open::invalid("packed by the system, but its packed stream is missing"))?;
    Ok(Box::new(Packed::new(open_stream(ntfs, stream)?, algorithm, size)?))
}

/// The stream that holds the packed content.
fn packed(ntfs: &Ntfs, number: u32) -> Option<&Stream> {
    let streams = ntfs.table.streams_of(number).iter();
    streams.clone().find(|s| same(ntfs.table.text(s.text, s.length), wof::STREAM))
}
