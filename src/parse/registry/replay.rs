//! Brings a dirty hive up to date from its transaction logs.
//!
//! Windows writes changes to the logs first; what a hive's file lacks stands in
//! LOG1 and LOG2. Both log formats are read: entries (`HvLE`, Windows 8.1 on) and
//! the dirty vector (`DIRT`, before).
//!
//! ```text
//! log         0 copy of the base block's first 512 bytes · 512 entries or vector
//! HvLE        0 "HvLE" · 4 size · 12 sequence · 16 bins' size · 20 pages · 24 hash of 40..size
//!             32 hash of 0..32 · 40 (offset, size)* · pages
//! DIRT        0 "DIRT" · 4 one bit for each 512 bytes of the bins · pages from the next sector on
//! ```
//!
//! Source: M. Suhanov, "Windows registry file format specification", transaction
//! logs; the hash is Marvin32 with the seed 0x82EF4D887A4E55C5.

use std::collections::BTreeMap;

use super::cells::{BASE_BLOCK, PAGE, size, u32_at, u64_at};

/// Where a log's content begins, and the size of a dirty sector.
const SECTOR: usize = 512;
/// Entries read from one log.
const MAX_ENTRIES: usize = 1 << 16;
/// A hive grows by replay up to this many bytes (Windows' limit is 2 GiB).
const MAX_HIVE: usize = 1 << 30;
const SEED: u64 = 0x82EF_4D88_7A4E_55C5;

/// What became of a hive's pending changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// The hive is complete without its logs.
    Clean,
    /// This many log entries were applied.
    Applied(usize),
    /// Some were applied, but later ones are damaged.
    Partly { applied: usize, why: String },
    /// Changes are missing and no log tells them.
    Missing,
    /// The base block is damaged and no log has a copy of it.
    Broken,
}

/// The base block's checksum over its first 508 bytes.
pub fn checksum(image: &[u8]) -> Option<u32> {
    let words = image.get(..508)?.chunks_exact(4);
    let sum = words
        .filter_map(|w| w.try_into().ok().map(u32::from_le_bytes))
        .fold(0, |sum: u32, word| sum ^ word);
    Some(match sum {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        other => other,
    })
}

/// Whether the bytes start with a base block whose checksum is right.
pub fn sound_base_block(bytes: &[u8]) -> bool {
    bytes.starts_with(b"regf") && checksum(bytes).is_some_and(|c| u32_at(bytes, 508) == Some(c))
}

/// Applies to `image` what `logs` hold beyond it.
pub fn replay(image: &mut Vec<u8>, logs: &[Vec<u8>]) -> Replay {
    let usable: Vec<&Vec<u8>> = logs.iter().filter(|log| sound_base_block(log)).collect();
    let intact = sound_base_block(image);
    if intact && u32_at(image, 4) == u32_at(image, 8) {
        return Replay::Clean;
    }
    if !intact && !adopt_base_block(image, &usable) {
        return Replay::Broken;
    }
    let from = u32_at(image, 8).unwrap_or_default();
    let holds =
        |signature: &[u8]| usable.iter().any(|log| log.get(SECTOR..SECTOR + 4) == Some(signature));
    if holds(b"DIRT") && !holds(b"HvLE") {
        return replay_vector(image, &usable, from);
    }
    replay_entries(image, &usable, from)
}

/// Puts the newest log's copy of the base block in place of a damaged one.
fn adopt_base_block(image: &mut [u8], logs: &[&Vec<u8>]) -> bool {
    const KIND: usize = 28; // 0 for a hive, 1 and 6 for logs
    let newest = logs.iter().max_by_key(|log| u32_at(log, 4)).and_then(|log| log.get(..SECTOR));
    let (Some(copy), Some(place)) = (newest, image.get_mut(..SECTOR)) else {
        return false;
    };
    place.copy_from_slice(copy);
    if let Some(kind) = image.get_mut(KIND..KIND + 4) {
        kind.fill(0);
    }
    true
}

/// One verified entry of a log.
struct Entry<'a> {
    bins_size: usize,
    /// Offset from the first bin, and the bytes to put there.
    pages: Vec<(usize, &'a [u8])>,
}

fn replay_entries(image: &mut Vec<u8>, logs: &[&Vec<u8>], from: u32) -> Replay {
    let mut entries = BTreeMap::new();
    let mut broken = BTreeMap::new();
    for log in logs {
        read_entries(log, from, &mut entries, &mut broken);
    }
    let mut applied = 0;
    let mut next = None;
    for (sequence, entry) in &entries {
        if next.is_some_and(|n| n != *sequence) {
            break;
        }
        if !apply(image, entry) {
            return Replay::Partly { applied, why: format!("entry {sequence} does not fit") };
        }
        applied += 1;
        next = sequence.checked_add(1);
    }
    let Some(next) = next else {
        return Replay::Missing;
    };
    seal(image, next.saturating_sub(1));
    match broken.get(&next) {
        Some(why) => Replay::Partly { applied, why: format!("entry {next}: {why}") },
        None => Replay::Applied(applied),
    }
}

/// Collects the entries of one log from sequence number `from` on, up to the
/// first one that is broken or out of sequence (older content follows there).
fn read_entries<'a>(
    log: &'a [u8],
    from: u32,
    entries: &mut BTreeMap<u32, Entry<'a>>,
    broken: &mut BTreeMap<u32, &'static str>,
) {
    let mut at = SECTOR;
    let mut last: Option<u32> = None;
    for _ in 0..MAX_ENTRIES {
        let Some(rest) = log.get(at..).filter(|rest| rest.starts_with(b"HvLE")) else {
            return;
        };
        let Some(sequence) = u32_at(rest, 12) else { return };
        if last.is_some_and(|l| l.checked_add(1) != Some(sequence)) {
            return;
        }
        let length = u32_at(rest, 4).map_or(0, size);
        let whole = rest.get(..length).filter(|whole| sound_entry(whole));
        let Some(entry) = whole.and_then(entry) else {
            if sequence >= from {
                broken.insert(sequence, "its checksum or size is wrong");
            }
            return;
        };
        if sequence >= from {
            entries.insert(sequence, entry);
        }
        last = Some(sequence);
        at = at.saturating_add(length);
    }
}

fn sound_entry(entry: &[u8]) -> bool {
    let (Some(content), Some(header)) = (entry.get(40..), entry.get(..32)) else {
        return false;
    };
    u64_at(entry, 24) == Some(marvin32(content)) && u64_at(entry, 32) == Some(marvin32(header))
}

fn entry(bytes: &[u8]) -> Option<Entry<'_>> {
    let bins_size = size(u32_at(bytes, 16)?);
    let count = size(u32_at(bytes, 20)?);
    let mut at = count.checked_mul(8)?.checked_add(40)?;
    bytes.get(..at)?; // bounds `count`
    let mut pages = Vec::with_capacity(count);
    for i in 0..count {
        let reference = i.checked_mul(8)?.checked_add(40)?;
        let offset = size(u32_at(bytes, reference)?);
        let end = at.checked_add(size(u32_at(bytes, reference.checked_add(4)?)?))?;
        pages.push((offset, bytes.get(at..end)?));
        at = end;
    }
    (bins_size.is_multiple_of(PAGE)).then_some(Entry { bins_size, pages })
}

/// Whether the whole entry could be written into the image.
fn apply(image: &mut Vec<u8>, entry: &Entry<'_>) -> bool {
    if !resize(image, entry.bins_size) {
        return false;
    }
    entry.pages.iter().fold(true, |fits, (offset, bytes)| write(image, *offset, bytes) && fits)
}

/// Gives the hive its size as of the log; its file is never cut.
fn resize(image: &mut Vec<u8>, bins_size: usize) -> bool {
    let Some(total) = bins_size.checked_add(BASE_BLOCK).filter(|total| *total <= MAX_HIVE) else {
        return false;
    };
    if image.len() < total {
        image.resize(total, 0);
    }
    if let (Some(field), Ok(value)) = (image.get_mut(40..44), u32::try_from(bins_size)) {
        field.copy_from_slice(&value.to_le_bytes());
    }
    true
}

fn write(image: &mut [u8], offset: usize, bytes: &[u8]) -> bool {
    let range = offset.checked_add(BASE_BLOCK).and_then(|s| Some(s..s.checked_add(bytes.len())?));
    match range.and_then(|range| image.get_mut(range)) {
        Some(place) => {
            place.copy_from_slice(bytes);
            true
        }
        None => false,
    }
}

/// Marks the hive as complete up to `sequence`.
fn seal(image: &mut [u8], sequence: u32) {
    for at in [4, 8] {
        if let Some(field) = image.get_mut(at..at + 4) {
            field.copy_from_slice(&sequence.to_le_bytes());
        }
    }
    let sum = checksum(image);
    if let (Some(field), Some(sum)) = (image.get_mut(508..512), sum) {
        field.copy_from_slice(&sum.to_le_bytes());
    }
}

/// Applies the newest complete log of the older format.
fn replay_vector(image: &mut Vec<u8>, logs: &[&Vec<u8>], from: u32) -> Replay {
    let newest = logs
        .iter()
        .filter(|log| u32_at(log, 4) == u32_at(log, 8) && u32_at(log, 4) >= Some(from))
        .filter(|log| log.get(SECTOR..SECTOR + 4) == Some(b"DIRT".as_slice()))
        .max_by_key(|log| u32_at(log, 4));
    let Some(log) = newest else {
        return Replay::Missing;
    };
    match apply_vector(image, log) {
        Some(()) => {
            seal(image, u32_at(log, 4).unwrap_or(from));
            Replay::Applied(1)
        }
        None => Replay::Partly { applied: 0, why: "the log ends early".to_owned() },
    }
}

fn apply_vector(image: &mut Vec<u8>, log: &[u8]) -> Option<()> {
    let bins_size = size(u32_at(log, 40)?);
    if !resize(image, bins_size) {
        return None;
    }
    let bitmap_at = SECTOR + 4;
    let sectors = bins_size / SECTOR;
    let bitmap = log.get(bitmap_at..bitmap_at.checked_add(sectors.div_ceil(8))?)?;
    let mut at = bitmap_at.checked_add(bitmap.len())?.next_multiple_of(SECTOR);
    for sector in 0..sectors {
        let dirty = bitmap.get(sector / 8).is_some_and(|byte| byte >> (sector % 8) & 1 == 1);
        if !dirty {
            continue;
        }
        let end = at.checked_add(SECTOR)?;
        if !write(image, sector.checked_mul(SECTOR)?, log.get(at..end)?) {
            return None;
        }
        at = end;
    }
    Some(())
}

/// The Marvin32 hash with the seed of transaction logs.
fn marvin32(bytes: &[u8]) -> u64 {
    let seed = SEED.to_le_bytes();
    let mut low = u32_at(&seed, 0).unwrap_or_default();
    let mut high = u32_at(&seed, 4).unwrap_or_default();
    let mut mix = |word: u32| {
        low = low.wrapping_add(word);
        high ^= low;
        low = low.rotate_left(20).wrapping_add(high);
        high = high.rotate_left(9) ^ low;
        low = low.rotate_left(27).wrapping_add(high);
        high = high.rotate_left(19);
    };
    let words = bytes.chunks_exact(4);
    // The rest is closed with one byte of 0x80 and zeros.
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(words.remainder().iter().chain(&[0x80])) {
        *to = *from;
    }
    for word in words {
        mix(u32_at(word, 0).unwrap_or_default());
    }
    mix(u32::from_le_bytes(last));
    mix(0);
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sealed hive of one bin, filled with `byte`.
    fn hive(byte: u8, sequences: (u32, u32)) -> Vec<u8> {
        let mut image = vec![byte; BASE_BLOCK + PAGE];
        image[..BASE_BLOCK].fill(0);
        image[..4].copy_from_slice(b"regf");
        image[40..44].copy_from_slice(&0x1000_u32.to_le_bytes());
        image[4..8].copy_from_slice(&sequences.0.to_le_bytes());
        image[8..12].copy_from_slice(&sequences.1.to_le_bytes());
        let sum = checksum(&image).unwrap();
        image[508..512].copy_from_slice(&sum.to_le_bytes());
        image
    }

    /// A log in the older format whose sectors 0 and 2 are dirty.
    fn vector(sequence: u32) -> Vec<u8> {
        let mut log = hive(0, (sequence, sequence))[..SECTOR].to_vec();
        log.extend_from_slice(b"DIRT\x05");
        log.resize(2 * SECTOR, 0);
        log.extend_from_slice(&[0xAA; SECTOR]);
        log.extend_from_slice(&[0xBB; SECTOR]);
        log
    }

    #[test]
    fn bytes_without_a_base_block_stay_as_they_are() {
        let mut image = b"regf".to_vec();
        assert_eq!(replay(&mut image, &[]), Replay::Broken);
        assert_eq!(image, b"regf");
    }

    #[test]
    fn a_clean_hive_takes_nothing_from_its_logs() {
        let mut image = hive(0, (7, 7));
        assert_eq!(replay(&mut image, &[vector(8)]), Replay::Clean);
        assert_eq!(image, hive(0, (7, 7)));
    }

    #[test]
    fn dirty_sectors_of_the_older_format_are_put_in_place() {
        let mut image = hive(0, (8, 7));
        assert_eq!(replay(&mut image, &[vector(8)]), Replay::Applied(1));
        assert!(sound_base_block(&image));
        let sector = |n: usize| image[BASE_BLOCK + n * SECTOR];
        assert_eq!([sector(0), sector(1), sector(2), sector(3)], [0xAA, 0, 0xBB, 0]);
    }

    #[test]
    fn a_log_of_the_older_format_that_ends_early_is_told() {
        let mut image = hive(0, (8, 7));
        let log = vector(8)[..3 * SECTOR].to_vec();
        assert!(matches!(replay(&mut image, &[log]), Replay::Partly { .. }));
    }

    #[test]
    fn a_damaged_base_block_is_taken_from_the_log() {
        let mut image = hive(0, (8, 7));
        image[40] = 0x77;
        assert_eq!(replay(&mut image, &[vector(8)]), Replay::Applied(1));
        assert_eq!(u32_at(&image, 40), Some(0x1000));
    }
}
