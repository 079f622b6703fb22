//! The log of a VHDX that was not closed: applied in memory, the file stays as it is.
//!
//! The log is a ring of 4-KiB sectors. An entry is a header (`loge`, CRC-32C, length at
//! 8, tail at 12, sequence at 16, descriptors at 24, log's GUID at 32, flushed length
//! at 48), 32-byte descriptors from 64 on, then a data sector for each `desc`.

use std::collections::BTreeMap;

use super::super::bytes::{array, le32, le64};
use super::super::log::Log;
use super::super::parts::Parts;
use super::{Header, is_whole};

/// Bytes of a sector of the log.
pub(super) const SECTOR: u64 = 4096;
const SECTOR_LEN: usize = 4096;
/// Bytes of a log: 1 MiB is usual.
const MAX_LOG: u64 = 64 << 20;
/// Bytes that one descriptor may fill with zeros.
const MAX_ZEROS: u64 = 64 << 20;

/// One entry, unrolled from the ring.
struct Entry {
    at: u64,
    bytes: Vec<u8>,
    sequence: u64,
    tail: u64,
}

/// What the log replaces, by offset in the file; problems are noted.
pub(super) fn replay(parts: &Parts, header: &Header, log: &Log) -> BTreeMap<u64, Vec<u8>> {
    let path = parts.path(0);
    let len = u64::from(header.log_len);
    let ring = match usize::try_from(len) {
        Ok(n) if len <= MAX_LOG && len % SECTOR == 0 && len > 0 => {
            parts.bytes(0, header.log_at, n).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    if ring.len() as u64 != len || ring.is_empty() {
        log.note(path, Some(header.log_at), "the log cannot be read: blocks may be out of date");
        return BTreeMap::new();
    }
    let entries: BTreeMap<u64, Entry> = (0..len / SECTOR)
        .filter_map(|n| read(&ring, n.saturating_mul(SECTOR), header))
        .map(|entry| (entry.at, entry))
        .collect();
    // The active entries end with the highest sequence and begin at the tail it names.
    let mut best: Vec<&Entry> = Vec::new();
    for head in entries.values() {
        let chain = chain(&entries, head, len);
        let newer = best.last().is_none_or(|last| head.sequence > last.sequence);
        if !chain.is_empty() && newer {
            best = chain;
        }
    }
    if best.is_empty() {
        log.note(path, Some(header.log_at), "the log is damaged: blocks may be out of date");
    }
    let mut replaced = BTreeMap::new();
    for entry in best {
        if apply(entry, &mut replaced).is_none() {
            let at = header.log_at.saturating_add(entry.at);
            log.note(path, Some(at), "a log entry is damaged: blocks may be out of date");
        }
    }
    replaced
}

/// The entries from the tail that `head` names up to it, without a gap.
fn chain<'a>(entries: &'a BTreeMap<u64, Entry>, head: &Entry, len: u64) -> Vec<&'a Entry> {
    let mut chain: Vec<&Entry> = Vec::new();
    let mut at = head.tail;
    while let Some(entry) = entries.get(&at) {
        if chain.last().is_some_and(|last| last.sequence.checked_add(1) != Some(entry.sequence)) {
            break;
        }
        chain.push(entry);
        if entry.at == head.at {
            return chain;
        }
        at = at.saturating_add(entry.bytes.len() as u64) % len;
    }
    Vec::new()
}

fn read(ring: &[u8], at: u64, header: &Header) -> Option<Entry> {
    let start = usize::try_from(at).ok()?;
    let first = ring.get(start..)?;
    if !first.starts_with(b"loge") || array(first, 32) != Some(header.log) {
        return None;
    }
    let len = usize::try_from(le32(first, 8)?).ok()?;
    if len == 0 || len % SECTOR_LEN != 0 || len > ring.len() {
        return None;
    }
    let mut bytes = first.get(..len.min(first.len()))?.to_vec();
    bytes.extend_from_slice(ring.get(..len.saturating_sub(bytes.len()))?);
    if !is_whole(&bytes) {
        return None;
    }
    Some(Entry { at, sequence: le64(&bytes, 16)?, tail: le32(&bytes, 12)?.into(), bytes })
}

fn apply(entry: &Entry, replaced: &mut BTreeMap<u64, Vec<u8>>) -> Option<()> {
    let bytes = &entry.bytes;
    let count = usize::try_from(le32(bytes, 24)?).ok()?;
    let descriptors = count.checked_mul(32)?.checked_add(64)?;
    let mut data = descriptors.checked_next_multiple_of(SECTOR_LEN)?;
    for descriptor in bytes.get(64..descriptors)?.chunks_exact(32) {
        let offset = le64(descriptor, 16)?;
        if le64(descriptor, 24)? != entry.sequence || offset % SECTOR != 0 {
            return None;
        }
        match descriptor.get(..4)? {
            b"desc" => {
                let sector = bytes.get(data..data.checked_add(SECTOR_LEN)?)?;
                let sequence = u64::from(le32(sector, 4)?) << 32
                    | u64::from(le32(sector, SECTOR_LEN.checked_sub(4)?)?);
                if !sector.starts_with(b"data") || sequence != entry.sequence {
                    return None;
                }
                let mut whole = descriptor.get(8..16)?.to_vec();
                whole.extend_from_slice(sector.get(8..SECTOR_LEN.checked_sub(4)?)?);
                whole.extend_from_slice(descriptor.get(4..8)?);
                replaced.insert(offset, whole);
                data = data.checked_add(SECTOR_LEN)?;
            }
            b"zero" => {
                let len = le64(descriptor, 8)?;
                if len > MAX_ZEROS {
                    return None;
                }
                for n in 0..len / SECTOR {
                    let place = offset.checked_add(n.checked_mul(SECTOR)?)?;
                    replaced.insert(place, vec![0; SECTOR_LEN]);
                }
            }
            _ => return None,
        }
    }
    Some(())
}
