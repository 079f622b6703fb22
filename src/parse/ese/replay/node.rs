//! Changes of one line of a page.

use super::image::{Image, Stored};
use super::record::What;
use crate::parse::bytes::{piece, u16_at};

/// Longest value of a node: a page.
const MAX_VALUE: usize = 32 << 10;
/// Operations that are taken back.
const INSERTED: u16 = 1;
const REPLACED: u16 = 2;
const DELETED: u16 = 3;
const ADDED: u16 = 4;
const ADDED_LONG: u16 = 9;
/// Flags of a part: its sizes take two bytes, it is inserted, both have the same size.
const TWO_BYTES: u8 = 0x80;
const INSERT: u8 = 0x40;
const SAME_SIZE: u8 = 0x20;

/// What a change replaced.
pub(super) enum Before {
    Data(Vec<u8>),
    /// Offset, what was added, and how many bytes wide.
    Added(usize, i64, usize),
}

impl Before {
    /// Bytes that it takes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Data(data) => data.len().saturating_add(64),
            Self::Added(..) => 64,
        }
    }
}

/// What a change leaves to be remembered.
pub(super) type Remembered = Option<(u32, Before)>;

/// Makes a change of a line; `None` when it does not fit the page.
pub(super) fn change(
    image: &mut Image,
    line: usize,
    what: &What<'_>,
    undone: Option<&Before>,
) -> Option<Remembered> {
    match what {
        What::Insert { key, data } => {
            (line <= image.nodes.len())
                .then(|| image.nodes.insert(line, Stored::new(key, data)))?;
            Some(None)
        }
        What::Restore { data, number } => {
            let node = image.nodes.get_mut(line)?;
            node.deleted = false;
            let Some(data) = data else { return Some(None) };
            let old = std::mem::replace(&mut node.data, data.to_vec());
            Some(Some((*number, Before::Data(old))))
        }
        What::Replace { data, number } => replace(image, line, data.to_vec(), *number),
        What::ReplaceParts { parts, is_long, size, number } => {
            let new = put_together(&image.nodes.get(line)?.data, parts, *is_long)?;
            (new.len() == *size).then_some(())?;
            replace(image, line, new, *number)
        }
        What::FlagDelete => {
            image.nodes.get_mut(line)?.deleted = true;
            Some(None)
        }
        What::Delete => {
            (line < image.nodes.len()).then_some(())?;
            image.removed.push(image.nodes.remove(line));
            Some(None)
        }
        What::Add { offset, by, width, number } => {
            add(&mut image.nodes.get_mut(line)?.data, *offset, *by, *width)?;
            Some(Some((*number, Before::Added(*offset, *by, *width))))
        }
        What::Undo { operation, .. } => {
            undo(image.nodes.get_mut(line)?, *operation, undone)?;
            Some(None)
        }
        _ => Some(None),
    }
}

fn replace(image: &mut Image, line: usize, data: Vec<u8>, number: u32) -> Option<Remembered> {
    let old = std::mem::replace(&mut image.nodes.get_mut(line)?.data, data);
    Some(Some((number, Before::Data(old))))
}

fn undo(node: &mut Stored, operation: u16, undone: Option<&Before>) -> Option<()> {
    match (operation, undone) {
        (INSERTED, _) => node.deleted = true,
        (DELETED, _) => node.deleted = false,
        (REPLACED, Some(Before::Data(data))) => node.data.clone_from(data),
        (ADDED | ADDED_LONG, Some(Before::Added(offset, by, width))) => {
            add(&mut node.data, *offset, by.wrapping_neg(), *width)?;
        }
        _ => return None,
    }
    Some(())
}

/// Adds to a number of so many bytes.
fn add(data: &mut [u8], offset: usize, by: i64, width: usize) -> Option<()> {
    let place = data.get_mut(offset..offset.checked_add(width)?)?;
    let old = place.iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    let new = old.wrapping_add(by.cast_unsigned()).to_le_bytes();
    place.copy_from_slice(new.get(..width)?);
    Some(())
}

/// The value after a change of which only the parts that differ are given.
///
/// ```text
/// part = offset in the old value and flags: u16, or u16 and u8; size:u8 or u16;
///        if it replaces one of another size: that size; bytes
/// ```
fn put_together(old: &[u8], parts: &[u8], is_long: bool) -> Option<Vec<u8>> {
    let (mut new, mut from, mut rest) = (Vec::new(), 0usize, parts);
    while !rest.is_empty() {
        let word = u16_at(rest, 0)?;
        let (offset, flags, header) = match is_long {
            true => (usize::from(word), *rest.get(2)?, 3),
            false => (usize::from(word & 0x1fff), u8::try_from(word >> 8).ok()?, 2),
        };
        rest = rest.get(header..)?;
        let size = take_size(&mut rest, flags)?;
        let replaced = match flags {
            flags if flags & INSERT != 0 => 0,
            flags if flags & SAME_SIZE != 0 => size,
            flags => take_size(&mut rest, flags)?,
        };
        new.extend_from_slice(old.get(from..offset)?);
        new.extend_from_slice(piece(rest, 0, size)?);
        (new.len() <= MAX_VALUE).then_some(())?;
        rest = rest.get(size..)?;
        from = offset.checked_add(replaced)?;
    }
    new.extend_from_slice(old.get(from..)?);
    Some(new)
}

fn take_size(rest: &mut &[u8], flags: u8) -> Option<usize> {
    let (size, header) = match flags & TWO_BYTES {
        0 => (usize::from(*rest.first()?), 1),
        _ => (usize::from(u16_at(rest, 0)?), 2),
    };
    *rest = rest.get(header..)?;
    Some(size)
}
