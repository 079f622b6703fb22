//! Volume Shadow Copies inside an NTFS volume: the volume as it was at earlier times.
//!
//! Snapshots that the Microsoft Software Shadow Copy provider keeps on the volume
//! itself (Vista and later), read without Windows and without mounting anything. They
//! show files that were deleted or logs that were cleared since.
//!
//! ```text
//! volume header (0x1e00) → catalog → per snapshot: block list, store header, bitmaps
//! ```
//!
//! Old content stands in blocks of 16 KiB; a snapshot's own store holds only what
//! changed before the next snapshot was made, so that later stores complete it. What
//! was in no use at the snapshot's time reads as zeros in the latest one.
//!
//! Source: the format notes of libvshadow; `tests/compare/vss.py` compares every byte
//! of a real volume's snapshots with that library's.

mod chain;
mod layout;
mod snapshot;
mod store;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use self::chain::Chain;
use self::layout::{
    ENTRY_BYTES, Entry, HEAD_BYTES, HEADER_AT, Head, Kind, Places, is_vss, read_full,
};
use self::snapshot::SnapshotBytes;
use self::store::{MAX_DESCRIPTORS, Store};
use crate::model::{Locator, Problem, ReadAt, Stage, from_filetime};

pub use self::layout::Guid;

/// Snapshots of one volume; Windows keeps at most 512.
pub const MAX_SNAPSHOTS: usize = 512;

/// The volume at an earlier time.
pub struct Snapshot {
    /// From 1, the oldest; the `2` of `vss2:`.
    pub number: u32,
    /// Identifier of its store, which is part of the store file's name.
    pub id: Guid,
    /// Identifier of the shadow copy, as Windows and its logs name it.
    pub copy_id: Option<Guid>,
    /// When it was made (UTC); `None` when the catalog has no possible time.
    pub created: Option<Timestamp>,
    /// Bytes of the volume then.
    pub size: u64,
    /// Whether some of its blocks are not known: those read as later ones.
    pub damaged: bool,
    pub bytes: Arc<dyn ReadAt>,
}

/// The snapshots of a volume, oldest first, and what of them cannot be read; none
/// when the volume never had any.
///
/// # Errors
///
/// When the place of the volume header cannot be read.
///
/// # Limits
///
/// [`MAX_SNAPSHOTS`]; old data of 256 GiB, all snapshots together.
pub fn snapshots(volume: &Arc<dyn ReadAt>) -> io::Result<(Vec<Snapshot>, Vec<Problem>)> {
    let mut problems = Vec::new();
    let mut start = [0; HEAD_BYTES];
    let filled = read_full(&**volume, HEADER_AT, &mut start)?;
    let start = start.get(..filled).unwrap_or_default();
    if !is_vss(start) {
        return Ok((Vec::new(), problems));
    }
    let head = match Head::read(start, Kind::Volume, HEADER_AT) {
        Ok(head) => head,
        Err(what) => {
            problems.push(problem(HEADER_AT, what));
            return Ok((Vec::new(), problems));
        }
    };
    let listed = catalog(&**volume, head.further, &mut problems);
    let snapshots = open(volume, listed, &mut problems);
    Ok((snapshots, problems))
}

/// What the catalog says of one snapshot.
#[derive(Clone, Debug)]
struct Listed {
    id: Guid,
    volume_size: u64,
    sequence: u64,
    created: u64,
    places: Places,
}

/// The catalog's snapshots, oldest first.
fn catalog(volume: &dyn ReadAt, at: u64, problems: &mut Vec<Problem>) -> Vec<Listed> {
    let mut made = BTreeMap::new();
    let mut stored = BTreeMap::new();
    let mut chain = Chain::new(volume, Kind::Catalog, at);
    let mut tell = |at, what| problems.push(problem(at, what));
    let mut told = false;
    while let Some((offset, content)) = chain.next(&mut tell) {
        for entry in content.chunks_exact(ENTRY_BYTES).filter_map(Entry::read) {
            let known = match entry {
                Entry::Snapshot { store, .. } => made.insert(store, entry).is_some(),
                Entry::Store { store, places } => stored.insert(store, places).is_some(),
            };
            if known && !std::mem::replace(&mut told, true) {
                tell(
                    offset,
                    "the catalog lists a snapshot twice, the later entry holds".to_owned(),
                );
            }
        }
        if made.len().max(stored.len()) > MAX_SNAPSHOTS {
            tell(offset, format!("the catalog lists more than {MAX_SNAPSHOTS} snapshots"));
            break;
        }
    }
    let mut listed = Vec::new();
    for (id, entry) in made {
        let Entry::Snapshot { volume_size, sequence, created, .. } = entry else { continue };
        match stored.get(&id) {
            Some(places) => {
                listed.push(Listed { id, volume_size, sequence, created, places: *places });
            }
            None => tell(at, format!("snapshot {id} keeps its data elsewhere")),
        }
    }
    listed.sort_by_key(|one| (one.created, one.sequence, one.id));
    listed.truncate(MAX_SNAPSHOTS);
    listed
}

/// Reads the stores, the latest first, as the older ones build on them.
fn open(
    volume: &Arc<dyn ReadAt>,
    listed: Vec<Listed>,
    problems: &mut Vec<Problem>,
) -> Vec<Snapshot> {
    let mut room = MAX_DESCRIPTORS;
    let mut stores: Vec<Arc<Store>> = Vec::new();
    let mut damaged = false;
    let mut found = Vec::new();
    for (number, one) in (1..).zip(&listed).collect::<Vec<_>>().into_iter().rev() {
        let before = problems.len();
        let mut tell =
            |at, what: String| problems.push(problem(at, format!("snapshot {number}: {what}")));
        let copy_id = copy_id(&**volume, one.places.header, &mut tell);
        let mut store = Store::read(&**volume, one.places, &mut room, &mut tell);
        if stores.is_empty() {
            store.read_bitmaps(&**volume, one.places, &mut tell);
        }
        stores.insert(0, Arc::new(store));
        if one.volume_size == 0 || one.volume_size > volume.size() {
            tell(one.places.header, format!("a volume of {:#x} bytes", one.volume_size));
        }
        // What a later store lost is lost to the older snapshots as well.
        damaged |= problems.len() > before;
        let size = match one.volume_size.min(volume.size()) {
            0 => volume.size(),
            size => size,
        };
        let bytes = SnapshotBytes { volume: volume.clone(), stores: stores.clone(), size };
        found.push(Snapshot {
            number,
            id: one.id,
            copy_id,
            created: from_filetime(one.created),
            size,
            damaged,
            bytes: Arc::new(bytes),
        });
    }
    found.reverse();
    found
}

/// The identifier that the store's header gives to the shadow copy.
fn copy_id(volume: &dyn ReadAt, at: u64, tell: &mut dyn FnMut(u64, String)) -> Option<Guid> {
    const BEHIND_HEAD: usize = 16;
    let (_, content) = Chain::new(volume, Kind::Store, at).next(tell)?;
    content.get(BEHIND_HEAD..)?.first_chunk().copied().map(Guid)
}

fn problem(at: u64, message: String) -> Problem {
    let message = format!("shadow copies: {message}");
    Problem { path: None, locator: Some(Locator::Offset(at)), stage: Stage::Source, message }
}

#[cfg(test)]
mod tests;
