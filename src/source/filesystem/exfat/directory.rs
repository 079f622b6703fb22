//! The entry sets of a directory, present and removed.
//!
//! A file is a set of entries of 32 bytes: the file (0x85), its stream (0xc0) and
//! its name in parts (0xc1). Removing it clears the highest bit of each.
//!
//! | offset | bytes | file | | offset | bytes | stream |
//! |---|---|---|---|---|---|---|
//! | 1 | 1 | entries that follow | | 1 | 1 | bit 1: the clusters follow each other, the table says nothing |
//! | 2 | 2 | checksum of the set | | 3 | 1 | letters of the name |
//! | 4 | 2 | attributes | | 8 | 8 | bytes written so far |
//! | 8, 12, 16 | 4 | created, modified, accessed | | 20 | 4 | first cluster |
//! | 20, 21 | 1 | hundredths of the first two | | 24 | 8 | size |
//! | 22, 23, 24 | 1 | zones of the three | | | | |

use crate::source::Times;

use super::super::bytes::{piece, u16_at, u32_at, u64_at};
use super::super::dos_time::moment;
use super::super::name::Name;

/// Bytes of an entry.
pub(super) const ENTRY: usize = 32;
const IN_USE: u8 = 0x80;
const BITMAP: u8 = 0x81;
const FILE: u8 = 0x85;
const STREAM: u8 = 0xc0;
const NAME: u8 = 0xc1;
/// A set has at most so many entries after the first.
const MAX_SECONDARY: u8 = 18;
const DIRECTORY: u16 = 0x10;

/// Where a file's content lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) cluster: u64,
    /// Bytes.
    pub(super) size: u64,
    /// Bytes from the start that were written; the rest reads as zeros.
    pub(super) written: u64,
    /// The clusters follow each other.
    pub(super) is_straight: bool,
}

/// What a directory's entries say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    File(File),
    /// The bitmap of clusters in use.
    Bitmap(Stream),
    /// A set that is not whole; of the volume, in bytes.
    Damaged(u64),
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// Of the volume, in bytes: its file entry and its stream entry.
    pub(super) at: u64,
    pub(super) stream_at: u64,
    pub(super) name: Name,
    pub(super) is_directory: bool,
    pub(super) times: Times,
    pub(super) stream: Stream,
    pub(super) removed: bool,
    /// The checksum is that of the set.
    pub(super) is_sound: bool,
}

/// Every set of a directory, from its entries and their places.
pub(super) fn read<'a>(entries: impl Iterator<Item = (u64, &'a [u8])>) -> Vec<Found> {
    let entries: Vec<(u64, &[u8])> = entries.collect();
    let mut found = Vec::new();
    let mut n = 0usize;
    // An entry of zeros ends the directory: what follows is left over.
    let mut ended = false;
    while let Some((at, entry)) = entries.get(n) {
        n = n.saturating_add(1);
        let kind = entry.first().copied().unwrap_or_default();
        ended |= kind == 0;
        if kind == BITMAP && entry.get(1).is_some_and(|flags| flags & 1 == 0) {
            found.extend(stream(entry).map(Found::Bitmap));
        }
        if kind | IN_USE != FILE {
            continue;
        }
        let rest = entries.get(n..).unwrap_or_default();
        match set(*at, entry, rest, kind & IN_USE != 0) {
            Some((mut file, used)) => {
                // Only a sound set is believed where no set should be.
                if !ended || file.is_sound {
                    file.removed |= ended;
                    found.push(Found::File(file));
                }
                n = n.saturating_add(used);
            }
            None if kind == FILE && !ended => found.push(Found::Damaged(*at)),
            None => {}
        }
    }
    found
}

/// The set that a file entry begins, and how many entries follow it.
fn set(at: u64, entry: &[u8], rest: &[(u64, &[u8])], present: bool) -> Option<(File, usize)> {
    let count = *entry.get(1)?;
    if !(2..=MAX_SECONDARY).contains(&count) {
        return None;
    }
    let mark = if present { IN_USE } else { 0 };
    let is = |entry: &[u8], kind: u8| entry.first() == Some(&(kind & !IN_USE | mark));
    let (stream_at, second) = rest.first().filter(|(_, second)| is(second, STREAM))?;
    let letters = usize::from(*second.get(3)?);
    let set = rest.get(..count.into())?;
    let mut units = Vec::new();
    for (_, part) in set.iter().skip(1).filter(|(_, part)| is(part, NAME)) {
        units.extend(piece(part, 2, 30)?.chunks_exact(2).filter_map(|unit| u16_at(unit, 0)));
    }
    if letters == 0 || units.len() < letters {
        return None;
    }
    units.truncate(letters);
    let all = std::iter::once(entry).chain(set.iter().map(|(_, entry)| *entry));
    let file = File {
        at,
        stream_at: *stream_at,
        name: Name::of_utf16(&units),
        is_directory: u16_at(entry, 4)? & DIRECTORY != 0,
        times: times(entry)?,
        stream: stream(second)?,
        removed: !present,
        is_sound: checksum(all) == u16_at(entry, 2)?,
    };
    Some((file, count.into()))
}

/// The place of content that an entry tells: a stream's, or the bitmap's.
pub(super) fn stream(entry: &[u8]) -> Option<Stream> {
    let is_stream = *entry.first()? | IN_USE == STREAM;
    let size = u64_at(entry, 24)?;
    Some(Stream {
        cluster: u32_at(entry, 20)?.into(),
        size,
        written: if is_stream { u64_at(entry, 8)? } else { size },
        is_straight: is_stream && entry.get(1)? & 2 != 0,
    })
}

/// The checksum of a set as it was when in use; its own two bytes do not count.
fn checksum<'a>(set: impl Iterator<Item = &'a [u8]>) -> u16 {
    let mut sum = 0u16;
    for (n, entry) in set.enumerate() {
        for (at, byte) in entry.iter().enumerate() {
            if n == 0 && (at == 2 || at == 3) {
                continue;
            }
            let byte = if at == 0 { byte | IN_USE } else { *byte };
            sum = sum.rotate_right(1).wrapping_add(byte.into());
        }
    }
    sum
}

fn times(entry: &[u8]) -> Option<Times> {
    let time = |at: usize, hundredths: u8, zone: usize| {
        let (time, date) = (u16_at(entry, at)?, u16_at(entry, at.checked_add(2)?)?);
        moment(date, time, hundredths, offset(*entry.get(zone)?))
    };
    Some(Times {
        created: time(8, *entry.get(20)?, 22),
        modified: time(12, *entry.get(21)?, 23),
        accessed: time(16, 0, 24),
        changed: None,
    })
}

/// Seconds east of UTC: quarters of an hour in seven bits, signed, if the eighth
/// is set; else the zone is not known and UTC is taken.
fn offset(zone: u8) -> i32 {
    if zone & 0x80 == 0 {
        return 0;
    }
    let quarters = i32::from(zone & 0x7f);
    (if quarters >= 64 { quarters - 128 } else { quarters }) * 900
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str) -> Vec<Vec<u8>> {
        let units: Vec<u16> = name.encode_utf16().collect();
        let mut file = vec![0; ENTRY];
        (file[0], file[1]) = (FILE, u8::try_from(1 + units.len().div_ceil(15)).unwrap());
        let mut stream = vec![0; ENTRY];
        (stream[0], stream[1], stream[3]) = (STREAM, 3, u8::try_from(units.len()).unwrap());
        (stream[8], stream[20], stream[24]) = (4, 9, 5);
        let mut set = vec![file, stream];
        for chunk in units.chunks(15) {
            let mut part = vec![0; ENTRY];
            part[0] = NAME;
            for (n, unit) in chunk.iter().enumerate() {
                part[2 + n * 2..4 + n * 2].copy_from_slice(&unit.to_le_bytes());
            }
            set.push(part);
        }
        let sum = checksum(set.iter().map(Vec::as_slice));
        set[0][2..4].copy_from_slice(&sum.to_le_bytes());
        set
    }

    fn names(entries: &[Vec<u8>]) -> Vec<(String, bool, bool)> {
        read(entries.iter().map(|entry| (0, entry.as_slice())))
            .into_iter()
            .map(|found| match found {
                Found::File(file) => (file.name.shown, file.removed, file.is_sound),
                other => (format!("{other:?}"), false, false),
            })
            .collect()
    }

    #[test]
    fn sets_are_read_present_removed_and_left_over() {
        let mut all = made("a name of more than fifteen letters");
        let mut gone = made("gone");
        gone.iter_mut().for_each(|entry| entry[0] &= !IN_USE);
        all.extend(gone);
        all.push(vec![0; ENTRY]);
        all.extend(made("left"));
        let expected = [
            ("a name of more than fifteen letters".into(), false, true),
            ("gone".into(), true, true),
            ("left".into(), true, true),
        ];
        assert_eq!(names(&all), expected);
    }

    #[test]
    fn sets_that_are_not_whole_are_damage() {
        let mut all = made("broken");
        all.remove(1);
        assert_eq!(names(&all), [("Damaged(0)".into(), false, false)]);
        let mut all = made("changed");
        all[2][2] = b'C';
        assert_eq!(names(&all), [("Changed".into(), false, false)], "its checksum differs");
    }

    #[test]
    fn zones_are_quarters_of_an_hour() {
        assert_eq!([offset(0), offset(0x84), offset(0xfc), offset(0x04)], [0, 3600, -3600, 0]);
    }
}
