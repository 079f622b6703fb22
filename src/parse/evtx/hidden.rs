//! Records hidden from the log: a known way to make an event vanish is to grow the
//! record before it over it and to mend the checksums. The bytes stay.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::layout::{CHUNK_HEADER_BYTES, Chain, RECORD_HEADER_BYTES, RECORD_MAGIC, RecordHead};

/// The mark of a record, ready to be searched for.
static MAGIC: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(RECORD_MAGIC));

/// A chunk whose hidden records stand in the chain again.
pub(super) struct Revealed {
    /// The chunk with the sizes put right.
    pub bytes: Vec<u8>,
    /// Offset in the chunk and header of each hidden record.
    pub records: Vec<(usize, RecordHead)>,
}

/// Finds the records that stand inside others; `None` when there are none.
///
/// A record counts as hidden when one or more whole records, numbered on from the
/// outer one, fill the outer one to its end.
pub(super) fn reveal(chunk: &[u8], chain: &Chain) -> Option<Revealed> {
    let end = chain.records.last().map(|(at, record)| at.saturating_add(record.size))?;
    let live = chunk.get(CHUNK_HEADER_BYTES..end)?;
    if MAGIC.find_iter(live).count() <= chain.records.len() {
        return None;
    }
    let mut revealed = Revealed { bytes: Vec::new(), records: Vec::new() };
    for (at, outer) in &chain.records {
        let Some(inner) = inner(chunk, *at, outer) else {
            continue;
        };
        if revealed.bytes.is_empty() {
            revealed.bytes = chunk.to_vec();
        }
        let first = inner.first().map_or(*at, |(at, _)| *at);
        set_size(&mut revealed.bytes, *at, first.saturating_sub(*at));
        for (at, record) in &inner {
            set_size(&mut revealed.bytes, *at, record.size);
        }
        revealed.records.extend(inner);
    }
    (!revealed.records.is_empty()).then_some(revealed)
}

/// The records that fill the end of this one.
fn inner(chunk: &[u8], at: usize, outer: &RecordHead) -> Option<Vec<(usize, RecordHead)>> {
    let end = at.checked_add(outer.size)?;
    let from = at.checked_add(RECORD_HEADER_BYTES)?;
    let hits = MAGIC.find_iter(chunk.get(from..end)?);
    hits.map(|hit| from.saturating_add(hit)).find_map(|start| run(chunk, start, end, outer.id))
}

/// Records from `start` to exactly `end`, numbered on from `before`.
fn run(chunk: &[u8], start: usize, end: usize, before: u64) -> Option<Vec<(usize, RecordHead)>> {
    let mut found = Vec::new();
    let (mut at, mut id) = (start, before);
    while at < end {
        id = id.checked_add(1)?;
        let record = RecordHead::unlinked(chunk, at).filter(|record| record.id == id)?;
        found.push((at, record));
        at = at.checked_add(record.size)?;
    }
    (at == end).then_some(found)
}

/// Writes a record's size where both copies of it belong.
fn set_size(chunk: &mut [u8], at: usize, size: usize) {
    let Ok(stored) = u32::try_from(size) else { return };
    let places = [at.checked_add(4), at.checked_add(size).and_then(|end| end.checked_sub(4))];
    for place in places.into_iter().flatten() {
        if let Some(to) = chunk.get_mut(place..place.saturating_add(4)) {
            to.copy_from_slice(&stored.to_le_bytes());
        }
    }
}
