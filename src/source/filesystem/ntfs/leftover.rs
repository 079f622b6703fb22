//! Names left over in the record of a directory: behind its index, and behind all
//! attributes, where a short index was before it shrank or moved to clusters.
//!
//! Every entry of an index begins its `$FILE_NAME` with the reference of the directory
//! itself; behind what is in use it is there only if an entry was.

use std::io;

use super::super::bytes::{piece, u32_at, u64_at};
use super::Ntfs;
use super::open::invalid;
use super::record::{Body, I30, INDEX_ROOT, Record, Reference};
use super::row::{Node, node};

const ALIGNMENT: usize = 8;
/// Bytes of an entry before its `$FILE_NAME`.
const HEAD: usize = 16;
/// Where the index header stands in `$INDEX_ROOT`.
const HEADER: usize = 16;
/// Of a `$FILE_NAME`: its times, the letters of the name, the name.
const TIMES: std::ops::Range<usize> = 8..40;
const LETTERS: usize = 64;
const NAME: usize = 66;

/// The index in a directory's record with what lies behind all attributes, if names
/// are left over in it.
pub(super) fn in_record(root: &[u8], record: &Record<'_>, number: u32) -> Option<Vec<u8>> {
    let own = reference(number, record.sequence);
    let all = joined(root, record.slack);
    let found = places(&all, own).next().is_some();
    found.then_some(all)
}

/// What [`in_record`] found, read again where it was not kept; entries of files that
/// are still there under that name are taken out.
///
/// # Errors
///
/// When the record cannot be read any more.
pub(super) fn content(ntfs: &Ntfs, number: u32, kept: Option<&[u8]>) -> io::Result<Vec<u8>> {
    let mut all = match kept {
        Some(kept) => kept.to_vec(),
        None => {
            let bytes = ntfs.volume.record(number)?;
            let record = Record::of_fixed(&bytes).map_err(|damage| invalid(damage.as_str()))?;
            let root = record.attributes().find_map(|attribute| match attribute.body {
                Body::Resident(root) if attribute.kind == INDEX_ROOT && attribute.name == I30 => {
                    Some(root)
                }
                _ => None,
            });
            joined(root.ok_or_else(|| invalid("its index is gone"))?, record.slack)
        }
    };
    let sequence = ntfs.table.node(number).map_or(0, |node| node.sequence);
    let living: Vec<usize> = places(&all, reference(number, sequence))
        .filter(|at| is_living(ntfs, number, &all, *at))
        .collect();
    for at in living {
        let times = at.saturating_add(TIMES.start)..at.saturating_add(TIMES.end);
        all.get_mut(times).unwrap_or_default().fill(0);
    }
    Ok(all)
}

/// Both one behind the other, each where entries would be aligned.
fn joined(root: &[u8], slack: &[u8]) -> Vec<u8> {
    let mut all = root.to_vec();
    all.resize(all.len().next_multiple_of(ALIGNMENT), 0);
    all.extend_from_slice(slack);
    all
}

fn reference(number: u32, sequence: u16) -> u64 {
    u64::from(number) | u64::from(sequence) << 48
}

/// Where a `$FILE_NAME` of that directory begins behind the entries in use.
fn places(all: &[u8], own: u64) -> impl Iterator<Item = usize> + '_ {
    let end = u32_at(all, HEADER.saturating_add(4)).map_or(0, |end| end as usize);
    let first = HEADER.saturating_add(end).next_multiple_of(ALIGNMENT);
    let all_places = (first..all.len()).step_by(ALIGNMENT);
    all_places.filter(move |at| u64_at(all, *at) == Some(own))
}

/// Whether the entry whose `$FILE_NAME` is at `at` is that of a file which the
/// directory has still, under that name.
fn is_living(ntfs: &Ntfs, directory: u32, all: &[u8], at: usize) -> bool {
    let living = || {
        let file = Reference::of(u64_at(all, at.checked_sub(HEAD)?)?);
        let number = u32::try_from(file.number).ok()?;
        let is_same = |node: &&Node| node.is(node::IN_USE) && node.sequence == file.sequence;
        ntfs.table.node(number).filter(is_same)?;
        let letters = usize::from(*all.get(at.checked_add(LETTERS)?)?);
        let name = piece(all, at.checked_add(NAME)?, letters.checked_mul(2)?)?;
        let units: Vec<u16> =
            name.as_chunks::<2>().0.iter().map(|u| u16::from_le_bytes(*u)).collect();
        let name = String::from_utf16_lossy(&units);
        let (_, names) = ntfs.table.names_of(number);
        let mut own = names.iter().filter(|own| own.parent == directory);
        Some(own.any(|own| ntfs.table.text(own.text, own.length) == name))
    };
    living().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::super::build::{Disk, ROOT, Rec};
    use super::*;
    use crate::source::Filesystem;

    /// An entry of the index of record 24.
    fn entry(file: u64, name: &str) -> Vec<u8> {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = (HEAD + NAME + name.len()).next_multiple_of(ALIGNMENT);
        let mut out = vec![0; length];
        out[..8].copy_from_slice(&file.to_le_bytes());
        out[8..10].copy_from_slice(&(length as u16).to_le_bytes());
        out[10..12].copy_from_slice(&((NAME + name.len()) as u16).to_le_bytes());
        out[HEAD..HEAD + 8].copy_from_slice(&reference(24, 1).to_le_bytes());
        out[HEAD + TIMES.start..HEAD + TIMES.end].fill(1);
        out[HEAD + LETTERS] = (name.len() / 2) as u8;
        out[HEAD + NAME..HEAD + NAME + name.len()].copy_from_slice(&name);
        out
    }

    /// A directory, its index without entries, and that much behind its attributes.
    fn directory(slack: &[u8]) -> Rec {
        let mut root = vec![0; 48];
        root[..4].copy_from_slice(&0x30u32.to_le_bytes());
        for (at, value) in [(16, 16u32), (20, 32), (24, 32), (40, 16), (44, 2)] {
            root[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let mut directory = Rec::new(1, 3).name(ROOT, "dir").resident(INDEX_ROOT, "$I30", &root);
        directory.bytes[720..720 + slack.len()].copy_from_slice(slack);
        directory
    }

    fn shown(ntfs: &Ntfs) -> Vec<(String, Vec<u8>)> {
        let mut shown = Vec::new();
        ntfs.indexes(&mut |entry| {
            let content = ntfs.open(&entry).unwrap();
            let mut bytes = vec![0; content.size() as usize];
            content.read_at(0, &mut bytes).unwrap();
            shown.push((entry.path.to_string(), bytes));
        });
        shown
    }

    #[test]
    fn names_behind_a_short_index_are_handed_out() {
        let slack = [entry(reference(30, 2), "gone.exe"), entry(reference(25, 1), "here.txt")];
        let here = Rec::new(1, 1).name((24, 1), "here.txt").data(b"x");
        let ntfs = Disk::of(vec![directory(&slack.concat()), here]).open();
        let shown = shown(&ntfs);
        let [(path, bytes)] = shown.as_slice() else { panic!("{shown:?}") };
        assert_eq!(path, "C:\\dir:$I30:$INDEX_ROOT");
        let found: Vec<bool> = places(bytes, reference(24, 1))
            .map(|at| bytes[at + TIMES.start..at + TIMES.end] == [1; 32])
            .collect();
        assert_eq!(found, [true, false]);
    }

    #[test]
    fn nothing_is_shown_where_no_name_is_left() {
        let other = entry(reference(30, 2), "gone.exe");
        let mut other_directory = other.clone();
        other_directory[HEAD] = 77;
        for slack in [&[][..], &other_directory, &other[..HEAD]] {
            assert!(shown(&Disk::of(vec![directory(slack)]).open()).is_empty());
        }
        // A record that is cut short behind a name is no harm.
        let cut = &other[..HEAD + 20];
        assert_eq!(shown(&Disk::of(vec![directory(cut)]).open()).len(), 1);
    }
}
