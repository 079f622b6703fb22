//! The entries of a directory: short names, the long names before them, and what
//! is left of removed ones.
//!
//! | offset | bytes | short entry | | offset | bytes | part of a long name |
//! |---|---|---|---|---|---|---|
//! | 0 | 11 | name; 0xe5 first: removed, 0 first: the end | | 0 | 1 | number from 1, 0x40 on the last |
//! | 11 | 1 | attributes | | 11 | 1 | 0x0f |
//! | 12 | 1 | which parts are in small letters | | 13 | 1 | checksum of the short name |
//! | 13, 14, 16 | 1, 2, 2 | created: hundredths, time, date | | 1, 14, 28 | 10, 12, 4 | UTF-16 |
//! | 18 | 2 | accessed: date | | | | |
//! | 20, 26 | 2, 2 | first cluster, high and low | | | | |
//! | 22, 24 | 2, 2 | modified: time, date | | | | |
//! | 28 | 4 | size | | | | |
//!
//! Removing a file overwrites the first byte of each of its entries. The checksum
//! in the parts of the long name gives the short name's first byte back, which
//! also proves that they belong to it.

use jiff::Timestamp;

use crate::source::Times;

use super::super::bytes::{piece, u16_at, u32_at};
use super::super::dos_time::moment;
use super::super::name::Name;

/// Bytes of an entry.
pub(super) const ENTRY: usize = 32;
const REMOVED: u8 = 0xe5;
const DIRECTORY: u8 = 0x10;
const LABEL: u8 = 0x08;
const LONG: u8 = 0x0f;
/// A long name has at most so many parts.
const MAX_PARTS: usize = 20;

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Of the volume, in bytes: its short entry.
    pub(super) at: u64,
    pub(super) name: Name,
    pub(super) short: Short,
    pub(super) removed: bool,
}

/// The numbers of a short entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Short {
    pub(super) is_directory: bool,
    pub(super) cluster: u64,
    /// Bytes.
    pub(super) size: u64,
    pub(super) times: Times,
}

/// Reads entries in their order, keeping the long name under way.
#[derive(Default)]
pub(super) struct Reader {
    parts: Vec<Part>,
    /// An entry that ends the directory was met: what follows is left over.
    ended: bool,
}

/// One part of a long name.
struct Part {
    number: u8,
    checksum: u8,
    units: [u16; 13],
}

impl Reader {
    /// What an entry is, if it ends one. `is_fat32`: the cluster's high half counts.
    ///
    /// What stands after the directory's end, and removed entries, are shown only
    /// when they make sense in every part.
    pub(super) fn read(&mut self, entry: &[u8], at: u64, is_fat32: bool) -> Option<Found> {
        let first = *entry.first()?;
        let attributes = *entry.get(11)?;
        if first == 0 {
            self.ended = true;
            self.parts.clear();
            return None;
        }
        if attributes & 0x3f == LONG {
            self.part(entry);
            return None;
        }
        let parts = std::mem::take(&mut self.parts);
        if attributes & LABEL != 0 {
            return None;
        }
        let stored = piece(entry, 0, 11)?;
        if stored == b".          " || stored == b"..         " {
            return None;
        }
        let removed = first == REMOVED || self.ended;
        if !is_possible(entry) || removed && !is_plausible(entry) {
            return None;
        }
        let short = short(entry, is_fat32)?;
        let name = long_name(&parts, stored, first == REMOVED)
            .map_or_else(|| Name::of_windows(&short_name(entry)), |units| Name::of_utf16(&units));
        Some(Found { at, name, short, removed })
    }

    /// Keeps a part of a long name.
    fn part(&mut self, entry: &[u8]) {
        let number = entry.first().copied().unwrap_or_default();
        let checksum = entry.get(13).copied().unwrap_or_default();
        let starts = number != REMOVED && number & 0x40 != 0;
        let other = self.parts.last().is_some_and(|last| {
            last.checksum != checksum || (last.number == REMOVED) != (number == REMOVED)
        });
        if starts || other || self.parts.len() >= MAX_PARTS {
            self.parts.clear();
        }
        let mut units = [0; 13];
        for (unit, at) in units.iter_mut().zip([1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30]) {
            *unit = u16_at(entry, at).unwrap_or_default();
        }
        self.parts.push(Part { number, checksum, units });
    }
}

/// The numbers of the short entry at hand.
pub(super) fn short(entry: &[u8], is_fat32: bool) -> Option<Short> {
    let high = if is_fat32 { u64::from(u16_at(entry, 20)?) << 16 } else { 0 };
    Some(Short {
        is_directory: entry.get(11)? & DIRECTORY != 0,
        cluster: u64::from(u16_at(entry, 26)?) | high,
        size: u32_at(entry, 28)?.into(),
        times: times(entry)?,
    })
}

/// FAT keeps the clock of the machine and no zone: its times stand here as if
/// that clock had shown UTC.
fn times(entry: &[u8]) -> Option<Times> {
    let time = |date: usize, time: usize, hundredths: u8| -> Option<Timestamp> {
        let time = if time == 0 { 0 } else { u16_at(entry, time)? };
        moment(u16_at(entry, date)?, time, hundredths, 0)
    };
    Some(Times {
        created: time(16, 14, *entry.get(13)?),
        modified: time(24, 22, 0),
        accessed: time(18, 0, 0),
        changed: None,
    })
}

/// Whether an entry can be one at all.
fn is_possible(entry: &[u8]) -> bool {
    let name = entry.get(..11).unwrap_or_default();
    let attributes = entry.get(11).copied().unwrap_or_default();
    let rest = name.get(1..).unwrap_or_default();
    attributes & 0xc0 == 0 && !rest.iter().any(|byte| *byte < 0x20)
}

/// Whether what may be chance bytes makes sense as an entry.
fn is_plausible(entry: &[u8]) -> bool {
    let half = |at: usize| u16_at(entry, at).unwrap_or_default();
    let date = |at: usize| half(at) == 0 || moment(half(at), 0, 0, 0).is_some();
    let rest = entry.get(1..11).unwrap_or_default();
    let hundredths = entry.get(13).copied().unwrap_or_default();
    let named = !rest.iter().any(|byte| b"\"*+,./:;<=>?[\\]|\x7f".contains(byte));
    named && hundredths < 200 && date(16) && date(18) && half(24) != 0 && date(24)
}

/// The long name whose parts stand before a short one, if they are its own.
fn long_name(parts: &[Part], stored: &[u8], removed: bool) -> Option<Vec<u16>> {
    let checksum = parts.last()?.checksum;
    let numbered = |(n, part): (usize, &Part)| {
        let expected = parts.len().saturating_sub(n);
        part.number == REMOVED || usize::from(part.number & 0x3f) == expected
    };
    let starts =
        parts.first().is_some_and(|part| part.number == REMOVED || part.number & 0x40 != 0);
    if !starts || !parts.iter().enumerate().all(numbered) {
        return None;
    }
    if removed {
        let first = first_byte(stored, checksum);
        let legal = first > b' ' && !b"\"*+,./:;<=>?[\\]|\x7f".contains(&first);
        let marked = parts.iter().all(|part| part.number == REMOVED);
        if !legal || !marked || first.is_ascii_lowercase() {
            return None;
        }
    } else if sum(0, stored) != checksum {
        return None;
    }
    // Only the last part, which comes first, is not full.
    let mut units: Vec<u16> = Vec::new();
    for part in parts.iter().rev() {
        let end = part.units.iter().position(|unit| *unit == 0);
        units.extend(part.units.get(..end.unwrap_or(13)).unwrap_or_default());
        if end.is_some() {
            break;
        }
    }
    (!units.is_empty()).then_some(units)
}

/// The checksum of a short name.
fn sum(start: u8, name: &[u8]) -> u8 {
    name.iter().fold(start, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// The first byte that gives a short name that checksum.
fn first_byte(stored: &[u8], checksum: u8) -> u8 {
    let rest = stored.get(1..).unwrap_or_default();
    rest.iter().rev().fold(checksum, |sum, byte| sum.wrapping_sub(*byte).rotate_left(1))
}

/// The short name as Windows shows it; `_` stands for a lost first letter.
///
/// Letters beyond ASCII are read as code page 437: the volume does not say
/// which page the machine used.
fn short_name(entry: &[u8]) -> String {
    const KANJI_E5: u8 = 0x05;
    let small = entry.get(12).copied().unwrap_or_default();
    let part = |range: std::ops::Range<usize>, is_small: bool| -> String {
        let bytes = entry.get(range).unwrap_or_default();
        let len = bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        let letters = bytes.iter().take(len).map(|byte| letter(*byte));
        letters.map(|c| if is_small { c.to_ascii_lowercase() } else { c }).collect()
    };
    let mut base = part(0..8, small & 0x08 != 0);
    match entry.first() {
        Some(&REMOVED) => base.replace_range(..base.chars().next().map_or(0, char::len_utf8), "_"),
        Some(&KANJI_E5) => {
            let first = letter(REMOVED).to_string();
            base.replace_range(..1, &first);
        }
        _ => {}
    }
    let extension = part(8..11, small & 0x10 != 0);
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

/// Code page 437 from 0x80 on.
const UPPER: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

fn letter(byte: u8) -> char {
    match byte.checked_sub(0x80) {
        None => char::from(byte),
        Some(n) => UPPER.chars().nth(n.into()).unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8; 11], attributes: u8) -> Vec<u8> {
        let mut entry = name.to_vec();
        entry.resize(ENTRY, 0);
        entry[11] = attributes;
        entry[24..26].copy_from_slice(&(46u16 << 9 | 3 << 5 | 4).to_le_bytes());
        entry
    }

    fn parts(long: &str, short: &[u8; 11]) -> Vec<Vec<u8>> {
        let mut units: Vec<u16> = long.encode_utf16().collect();
        if !units.len().is_multiple_of(13) {
            units.push(0);
        }
        units.resize(units.len().next_multiple_of(13), 0xffff);
        let count = units.len() / 13;
        let mut all = Vec::new();
        for (n, chunk) in units.chunks(13).enumerate().rev() {
            let mut part = vec![0; ENTRY];
            part[0] = u8::try_from(n + 1).unwrap() | if n + 1 == count { 0x40 } else { 0 };
            part[11] = LONG;
            part[13] = sum(0, short);
            let places = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
            for (unit, at) in chunk.iter().zip(places) {
                part[at..at + 2].copy_from_slice(&unit.to_le_bytes());
            }
            all.push(part);
        }
        all
    }

    fn names(entries: &[Vec<u8>]) -> Vec<(String, bool)> {
        let mut reader = Reader::default();
        entries
            .iter()
            .filter_map(|entry| reader.read(entry, 0, true))
            .map(|found| (found.name.shown, found.removed))
            .collect()
    }

    #[test]
    fn long_names_are_their_own_short_names_only() {
        let short = b"ARATHE~1TXT";
        let mut entries = parts("A rather long name.txt", short);
        entries.push(entry(short, 0x20));
        assert_eq!(names(&entries), [("A rather long name.txt".into(), false)]);
        *entries.last_mut().unwrap() = entry(b"OTHER   TXT", 0x20);
        assert_eq!(names(&entries), [("OTHER.TXT".into(), false)]);
    }

    #[test]
    fn removed_names_come_back_whole_where_they_had_a_long_one() {
        let short = b"ARATHE~1TXT";
        let mut entries = parts("A rather long name.txt", short);
        entries.push(entry(short, 0x20));
        entries.push(entry(b"SHORT   TXT", 0x20));
        entries.iter_mut().for_each(|entry| entry[0] = REMOVED);
        let expected = [("A rather long name.txt".into(), true), ("_HORT.TXT".into(), true)];
        assert_eq!(names(&entries), expected);
        assert_eq!(first_byte(b"\xe5RATHE~1TXT", sum(0, short)), b'A');
    }

    #[test]
    fn small_letters_labels_dots_and_the_end() {
        let mut small = entry(b"README  TXT", 0x20);
        small[12] = 0x18;
        let all = [
            entry(b"MY DISK    ", LABEL),
            entry(b".          ", DIRECTORY),
            entry(b"..         ", DIRECTORY),
            small,
            entry(b"\x05\x81      A  ", 0x20),
            vec![0; ENTRY],
            entry(b"LEFT    OVE", 0x20),
        ];
        let expected =
            [("readme.txt".into(), false), ("σü.A".into(), false), ("LEFT.OVE".into(), true)];
        assert_eq!(names(&all), expected);
    }

    #[test]
    fn names_that_cannot_stand_in_a_path_are_altered() {
        let short = b"ARATHE~1TXT";
        let mut entries = parts("..\\..\\a:b", short);
        entries.push(entry(short, 0x20));
        let shown = "..\u{fffd}..\u{fffd}a\u{fffd}b";
        assert_eq!(names(&entries), [(shown.into(), false)]);
    }
}
