//! One attribute of a file, gathered from all records that hold pieces of it.
//!
//! The records are those that name the file's as their base, with its sequence
//! number: the pass over `$MFT` has met them all. `$ATTRIBUTE_LIST` says the same
//! once more and is followed only for `$MFT` itself, before that pass; so a list
//! that is damaged, or leads round in a ring, costs nothing.

use std::io;
use std::sync::Arc;

use crate::model::ReadAt;

use super::content::Content;
use super::kept::Map;
use super::lznt1::Compressed;
use super::record::{Attribute, Body, COMPRESSED, Record};
use super::row::{Stream, stream};
use super::runs::{MAX_RUNS, Pairs, Run};
use super::table::Table;
use super::volume::Volume;

/// Which attribute is meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pick<'a> {
    /// The one of that number in that record.
    Row(&'a Stream),
    /// The first of that kind and name (UTF-16LE) in any record of the file.
    Named(u32, &'a [u8]),
}

/// An attribute's content.
pub(super) enum Found {
    Resident(Vec<u8>),
    Extents {
        content: Content,
        /// Clusters per compression unit, as a power of two; 0 for none.
        unit: u8,
        flags: u16,
    },
}

/// Finds an attribute of the file whose base record is `owner`.
///
/// # Errors
///
/// The read error; `InvalidData` when a record or run list is damaged;
/// `NotFound` when there is no such attribute.
pub(super) fn attribute(
    volume: &Volume,
    table: &Table,
    owner: u32,
    pick: Pick<'_>,
) -> io::Result<Found> {
    if let Pick::Row(row) = pick
        && let Some(found) = kept(volume, table, row)
    {
        return found;
    }
    let mut holders = vec![owner];
    match pick {
        Pick::Row(stream) if stream.holder != owner => holders.insert(0, stream.holder),
        Pick::Row(_) => {}
        Pick::Named(..) => holders.extend(table.extensions_of(owner)),
    }
    for holder in holders {
        let bytes = volume.record(holder)?;
        let record = Record::of_fixed(&bytes).map_err(|damage| invalid(damage.as_str()))?;
        let mut attributes = record.attributes();
        let meant = attributes.find(|attribute| match pick {
            Pick::Row(stream) => {
                holder == stream.holder
                    && attribute.id == stream.id
                    && attribute.kind == super::record::DATA
                    && is_start(attribute)
            }
            Pick::Named(kind, name) => {
                attribute.kind == kind && attribute.name == name && is_start(attribute)
            }
        });
        if let Some(attribute) = meant {
            return gather(volume, table, owner, &attribute);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "the $MFT record has no such attribute"))
}

/// The content of a row from what is kept of its record, if anything is.
///
/// # Errors
///
/// As [`attribute`].
pub(super) fn kept(volume: &Volume, table: &Table, row: &Stream) -> Option<io::Result<Found>> {
    if row.flags & stream::RESIDENT != 0 {
        let end = u64::from(row.kept).checked_add(row.size)?;
        let content = table.kept.get(row.kept as usize..usize::try_from(end).ok()?)?;
        return Some(Ok(Found::Resident(content.to_vec())));
    }
    let (disk, geometry) = volume.disk.as_ref()?;
    let map = Map::at(&table.kept, row.kept)?;
    let mut content = Content {
        volume: Arc::clone(disk),
        cluster: u64::from(geometry.cluster),
        runs: Vec::new(),
        size: row.size,
        initialized: map.initialized,
    };
    let (unit, flags) = (map.unit, map.flags);
    let runs = extend(&mut content.runs, map.pairs, 0, geometry.clusters);
    Some(runs.map(|()| Found::Extents { content, unit, flags }))
}

fn is_start(attribute: &Attribute<'_>) -> bool {
    match attribute.body {
        Body::Resident(_) => true,
        Body::Extents(extents) => extents.first == 0,
    }
}

/// The content whose first piece is given.
fn gather(volume: &Volume, table: &Table, owner: u32, start: &Attribute<'_>) -> io::Result<Found> {
    let extents = match start.body {
        Body::Resident(bytes) => return Ok(Found::Resident(bytes.to_vec())),
        Body::Extents(extents) => extents,
    };
    let Some((disk, geometry)) = &volume.disk else {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "its content lies in clusters of the volume, which is not here",
        ));
    };
    let mut content = Content {
        volume: Arc::clone(disk),
        cluster: u64::from(geometry.cluster),
        runs: Vec::new(),
        size: extents.size,
        initialized: extents.initialized.min(extents.size),
    };
    extend(&mut content.runs, extents.pairs, 0, geometry.clusters)?;
    let end = |runs: &[Run]| runs.last().map_or(0, Run::end);
    if end(&content.runs).saturating_mul(content.cluster) < content.initialized {
        for piece in pieces(volume, table, owner, start) {
            if piece.0 == end(&content.runs) {
                extend(&mut content.runs, &piece.1, piece.0, geometry.clusters)?;
            }
        }
    }
    Ok(Found::Extents { content, unit: extents.unit, flags: start.flags })
}

/// The further pieces of an attribute: first cluster and mapping pairs, in order.
fn pieces(
    volume: &Volume,
    table: &Table,
    owner: u32,
    start: &Attribute<'_>,
) -> Vec<(u64, Vec<u8>)> {
    let mut pieces = Vec::new();
    for holder in std::iter::once(owner).chain(table.extensions_of(owner)) {
        let Ok(bytes) = volume.record(holder) else { continue };
        let Ok(record) = Record::of_fixed(&bytes) else { continue };
        for attribute in record.attributes() {
            match attribute.body {
                Body::Extents(extents)
                    if extents.first != 0
                        && attribute.kind == start.kind
                        && attribute.name == start.name =>
                {
                    pieces.push((extents.first, extents.pairs.to_vec()));
                }
                _ => {}
            }
        }
    }
    pieces.sort();
    pieces
}

fn extend(runs: &mut Vec<Run>, pairs: &[u8], first: u64, clusters: u64) -> io::Result<()> {
    for run in Pairs::new(pairs, first, clusters) {
        if runs.len() >= MAX_RUNS {
            return Err(invalid("its run list has more runs than any file needs"));
        }
        runs.push(run.map_err(|error| invalid(&error))?);
    }
    Ok(())
}

pub(super) fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

impl Found {
    /// The content as its file shows it, as far as NTFS itself is concerned.
    ///
    /// # Errors
    ///
    /// `Unsupported` for content that only its user's key opens.
    pub(super) fn reader(self) -> io::Result<Box<dyn ReadAt>> {
        match self {
            Self::Resident(bytes) => Ok(Box::new(bytes)),
            Self::Extents { flags, .. } if flags & super::record::ENCRYPTED != 0 => {
                Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "encrypted (EFS): only its user's key opens it",
                ))
            }
            Self::Extents { content, unit, flags } if unit != 0 && flags & COMPRESSED != 0 => {
                Ok(Box::new(Compressed::new(content, unit)?))
            }
            Self::Extents { content, .. } => Ok(Box::new(content)),
        }
    }
}
