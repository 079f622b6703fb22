//! Where a record's text stands: in the record itself, or in what the chunk's records
//! share: the definitions of templates and the names of elements.
//!
//! ```text
//! chunk header      template definition      name            template instance
//! 128 64 × u32        0 u32 next of its        0 u32 next     0 0c, u8 version
//!     names             list                   4 u16 hash     2 u32 id
//! 384 32 × u32        4 GUID                   6 u16 length   6 u32 definition
//!     definitions    20 u32 size               8 UTF-16       … the definition, if here
//!                    24 BinXML                                  u32 count; per value u16
//!                                                               size, u8 type, u8; values
//! ```
//!
//! A record whose shape is not the usual one (a fragment of one template instance whose
//! definition is listed) is not cut: its text may stand anywhere.
//!
//! Source: the libevtx documentation of the format; MS-EVEN6 2.2.12; every log of the samples.

use std::collections::BTreeMap;
use std::ops::Range;

use memchr::memmem;

use super::layout::{CHUNK_HEADER_BYTES, Chain, RECORD_HEADER_BYTES, array, u16_at, u32_at};
use crate::model::Cut;

const NAMES_AT: usize = 128;
const NAME_LISTS: usize = 64;
const NAME_HEADER_BYTES: usize = 8;
const DEFINITIONS_AT: usize = 384;
const DEFINITION_LISTS: usize = 32;
const DEFINITION_HEADER_BYTES: usize = 24;
/// Names and definitions of one chunk beyond which it is not cut.
const MAX_SHARED: usize = 4096;
/// Instances inside instances beyond which a record is not cut.
const MAX_NESTING: u8 = 8;
/// Bytes of an instance before its definition or its values.
const INSTANCE_HEADER_BYTES: usize = 10;
/// The least distance of a definition or name from the start of the record it stands in.
const FIRST_BODY_BYTE: usize = RECORD_HEADER_BYTES + 1;
/// A value of a definition's own that is BinXML: it may hold instances of templates.
const INNER_BINXML: [&[u8]; 2] = [b"\x05\x21", b"\x45\x21"];

const END: u8 = 0;
const INSTANCE: u8 = 0x0c;
const FRAGMENT: &[u8] = b"\x0f\x01\x01\0";

/// Cuts an intact chunk: one part for each record of the chain and, when stale records may
/// stand in its free space, one more for all of these.
pub(super) fn cut(chunk: &[u8], chain: &Chain) -> Cut {
    let shared = Shared::list(chunk, chain);
    let parts = chain.records.iter().map(|(at, record)| {
        let own = *at..at.checked_add(record.size)?;
        let body = at.checked_add(RECORD_HEADER_BYTES)?..own.end.checked_sub(4)?;
        shared.as_ref()?.fragment(chunk, body, 0)?;
        Some(own)
    });
    let mut records: Vec<Option<Range<usize>>> = parts.collect();
    if has_stale(chunk, chain) {
        records.push(None);
    }
    Cut { shared: shared.map(Shared::into_ranges).unwrap_or_default(), records }
}

/// Whether records may stand behind the chain.
pub(super) fn has_stale(chunk: &[u8], chain: &Chain) -> bool {
    let end = chain.records.last().map(|(at, record)| at.saturating_add(record.size));
    let rest = chunk.get(end.unwrap_or(CHUNK_HEADER_BYTES)..).unwrap_or_default();
    memmem::find(rest, super::layout::RECORD_MAGIC).is_some()
}

/// The chunk with all but the records `wanted`, by number in order, passed over: runs of
/// others become one empty record each. Tells where these stand, in order.
pub(super) fn keep(chunk: &[u8], chain: &Chain, wanted: &[usize]) -> (Vec<u8>, Vec<usize>) {
    let mut kept = chunk.to_vec();
    let mut passed: Vec<usize> = Vec::new();
    let mut open: Option<usize> = None;
    for (number, (at, record)) in chain.records.iter().enumerate() {
        if wanted.binary_search(&number).is_ok() {
            open = None;
            continue;
        }
        let start = *open.get_or_insert_with(|| {
            passed.push(*at);
            *at
        });
        let size = at.saturating_add(record.size).saturating_sub(start);
        let stored = u32::try_from(size).unwrap_or_default().to_le_bytes();
        if let Some(to) = kept.get_mut(start.saturating_add(4)..start.saturating_add(8)) {
            to.copy_from_slice(&stored);
        }
        if let Some(first) = kept.get_mut(start.saturating_add(RECORD_HEADER_BYTES)) {
            *first = END;
        }
    }
    (kept, passed)
}

/// What a chunk's tables list.
struct Shared {
    /// Start and end of each definition.
    definitions: BTreeMap<usize, usize>,
    names: BTreeMap<usize, usize>,
}

impl Shared {
    /// `None` when something is not as it should be.
    fn list(chunk: &[u8], chain: &Chain) -> Option<Self> {
        let definitions = walk(chunk, DEFINITIONS_AT, DEFINITION_LISTS, |at| {
            let size = usize::try_from(u32_at(chunk, at.checked_add(20)?)?).ok()?;
            DEFINITION_HEADER_BYTES.checked_add(size)
        })?;
        let names = walk(chunk, NAMES_AT, NAME_LISTS, |at| {
            let length = usize::from(u16_at(chunk, at.checked_add(6)?)?);
            NAME_HEADER_BYTES.checked_add(length.checked_mul(2)?)
        })?;
        let known = Self { definitions, names };
        let inside = known.definitions.iter().chain(&known.names).all(|(start, end)| {
            let after = chain.records.partition_point(|(at, _)| at <= start);
            after.checked_sub(1).and_then(|n| chain.records.get(n)).is_some_and(|(at, record)| {
                *start >= at.saturating_add(FIRST_BODY_BYTE)
                    && *end <= at.saturating_add(record.size)
            })
        });
        let simple = known.definitions.iter().all(|(start, end)| {
            let body = chunk.get(*start..*end).unwrap_or_default();
            INNER_BINXML.iter().all(|value| memmem::find(body, value).is_none())
        });
        (inside && simple).then_some(known)
    }

    /// The definitions, and the names that stand outside of them.
    fn into_ranges(self) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let mut all: Vec<_> = self.definitions.into_iter().chain(self.names).collect();
        all.sort_unstable();
        for (start, end) in all {
            match ranges.last_mut() {
                Some(last) if start < last.end => last.end = last.end.max(end),
                _ => ranges.push(start..end),
            }
        }
        ranges
    }

    /// Checks that a record's or value's BinXML is one instance of a listed definition.
    fn fragment(&self, chunk: &[u8], body: Range<usize>, depth: u8) -> Option<()> {
        let depth = depth.checked_add(1).filter(|depth| *depth <= MAX_NESTING)?;
        let bytes = chunk.get(..body.end)?;
        let at = match bytes.get(body.start..)?.starts_with(FRAGMENT) {
            true => body.start.checked_add(FRAGMENT.len())?,
            false => body.start,
        };
        if bytes.get(at) != Some(&INSTANCE) {
            return None;
        }
        let definition = usize::try_from(u32_at(bytes, at.checked_add(6)?)?).ok()?;
        let end = self.definitions.get(&definition)?;
        let mut at = at.checked_add(INSTANCE_HEADER_BYTES)?;
        if at == definition {
            at = *end;
        }
        let count = usize::try_from(u32_at(bytes, at)?).ok()?;
        let first = at.checked_add(4)?;
        let mut value = first.checked_add(count.checked_mul(4)?)?;
        for descriptor in bytes.get(first..value)?.chunks_exact(4) {
            let size = usize::from(u16_at(descriptor, 0)?);
            let end = value.checked_add(size)?;
            let content = bytes.get(value..end)?;
            match descriptor.get(2)? {
                0x21 if size > 0 => self.fragment(chunk, value..end, depth)?,
                kind => fits(*kind, content).then_some(())?,
            }
            value = end;
        }
        matches!(bytes.get(value), None | Some(&END)).then_some(())
    }
}

/// Whether a value of this type ends within its content.
fn fits(kind: u8, content: &[u8]) -> bool {
    let least = match kind {
        0x03 | 0x04 => 1,
        0x05 | 0x06 => 2,
        0x07 | 0x08 | 0x0b | 0x0d | 0x10 | 0x14 => 4,
        0x09 | 0x0a | 0x0c | 0x11 | 0x15 => 8,
        0x0f | 0x12 => 16,
        0x13 => array::<2>(content, 0).map_or(usize::MAX, |[_, parts]| {
            usize::from(parts).saturating_mul(4).saturating_add(8)
        }),
        _ => 0,
    };
    content.len() >= least
}

/// Follows lists whose items begin with the offset of the next: start and end of each
/// item. `None` when one is out of bounds.
fn walk(
    chunk: &[u8],
    heads: usize,
    lists: usize,
    size: impl Fn(usize) -> Option<usize>,
) -> Option<BTreeMap<usize, usize>> {
    let mut found = BTreeMap::new();
    for list in 0..lists {
        let mut at = u32_at(chunk, heads.checked_add(list.checked_mul(4)?)?)?;
        while at != 0 {
            let start = usize::try_from(at).ok()?;
            let end = start.checked_add(size(start)?).filter(|end| *end <= chunk.len())?;
            if found.insert(start, end).is_some() {
                break;
            }
            if found.len() > MAX_SHARED {
                return None;
            }
            at = u32_at(chunk, start)?;
        }
    }
    Some(found)
}
