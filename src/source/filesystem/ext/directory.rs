//! The names in a block of a directory, present and removed.
//!
//! | offset | bytes | name |
//! |---|---|---|
//! | 0x00 | 4 | inode; 0 where the name was removed and stood first in its block |
//! | 0x04 | 2 | how far the next name is |
//! | 0x06 | 1 or 2 | bytes of the name |
//! | 0x07 | 1 | kind of file, if names carry it |
//! | 0x08 | | the name |
//!
//! Removing a name makes the one before it reach over it: what stands in that
//! space, on a boundary of four bytes and sound in itself, is a removed name.
//! Directories with an index of hashes are read as the list of blocks they are.

use crate::source::Kind;

use super::super::bytes::{piece, u16_at, u32_at};

/// Bytes before a name.
const HEADER: usize = 8;

/// One name of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// In the block, in bytes.
    pub(super) at: usize,
    pub(super) inode: u32,
    pub(super) name: Vec<u8>,
    /// What the name says the file is.
    pub(super) kind: Option<Kind>,
    pub(super) removed: bool,
}

/// How the blocks of one directory are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) names_carry_kind: bool,
    /// Names of higher inodes are no names.
    pub(super) inodes: u32,
    /// The directory has an index of hashes.
    pub(super) is_indexed: bool,
}

/// The names of one block in their order, and where it is damaged.
pub(super) fn slots(block: &[u8], reading: Reading) -> (Vec<Slot>, Option<usize>) {
    let mut found = Vec::new();
    let mut damaged = None;
    let mut at = 0usize;
    // Names before this place were reached over by one that is present.
    let mut hidden_to = 0usize;
    while at.saturating_add(HEADER) <= block.len() {
        let hidden = at < hidden_to;
        let Some(raw) = Raw::at(block, at, reading) else {
            if !hidden {
                damaged.get_or_insert(at);
            }
            at = at.saturating_add(4);
            continue;
        };
        let next = at.saturating_add(raw.own);
        if raw.name.is_empty() || hidden && !raw.is_plausible(next, hidden_to) {
            if !hidden {
                if raw.inode != 0 {
                    damaged.get_or_insert(at);
                } else if reading.is_indexed && raw.span == block.len() {
                    break; // a node of the index, no names
                }
                hidden_to = at.saturating_add(raw.span);
            }
            at = at.saturating_add(if hidden { 4 } else { HEADER });
            continue;
        }
        if !hidden {
            hidden_to = at.saturating_add(raw.span);
        }
        let removed = hidden || raw.inode == 0;
        let name = raw.name.to_vec();
        let is_index_root = reading.is_indexed && name == b".." && !hidden;
        found.push(Slot { at, inode: raw.inode, name, kind: raw.kind, removed });
        if is_index_root {
            break; // the root of the index follows
        }
        at = next;
    }
    (found, damaged)
}

/// A name as it stands.
struct Raw<'a> {
    inode: u32,
    /// To the next name as stored, in bytes.
    span: usize,
    /// Bytes that it needs.
    own: usize,
    name: &'a [u8],
    kind: Option<Kind>,
}

impl<'a> Raw<'a> {
    /// `None` when no name can stand there.
    fn at(block: &'a [u8], at: usize, reading: Reading) -> Option<Self> {
        let inode = u32_at(block, at).filter(|inode| *inode <= reading.inodes)?;
        let span = match usize::from(u16_at(block, at.checked_add(4)?)?) {
            0 | 65535 if block.len() == 65536 => block.len().saturating_sub(at),
            span => span,
        };
        let tail = u16_at(block, at.checked_add(6)?)?;
        let [len, kind] = tail.to_le_bytes();
        let len = usize::from(if reading.names_carry_kind { len.into() } else { tail });
        let own = HEADER.checked_add(len)?.checked_next_multiple_of(4)?;
        let fits = at.checked_add(span)? <= block.len();
        if len > 255 || span < own || !span.is_multiple_of(4) || !fits {
            return None;
        }
        let kind = match kind {
            1 if reading.names_carry_kind => Some(Kind::File),
            2 if reading.names_carry_kind => Some(Kind::Directory),
            7 if reading.names_carry_kind => Some(Kind::Link),
            3..=6 if reading.names_carry_kind => Some(Kind::Special),
            _ => None,
        };
        Some(Self { inode, span, own, name: piece(block, at.checked_add(HEADER)?, len)?, kind })
    }

    /// Whether what stands in the space of another name can be a removed one.
    fn is_plausible(&self, end: usize, hidden_to: usize) -> bool {
        end <= hidden_to && !self.name.iter().any(|byte| matches!(byte, 0 | b'/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: Reading = Reading { names_carry_kind: true, inodes: 100, is_indexed: false };

    fn name(inode: u32, span: u16, name: &[u8]) -> Vec<u8> {
        let mut bytes = inode.to_le_bytes().to_vec();
        bytes.extend(span.to_le_bytes());
        bytes.extend([u8::try_from(name.len()).unwrap(), 1]);
        bytes.extend(name);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn shown(block: &[u8], reading: Reading) -> Vec<(u32, String, bool)> {
        let (slots, _) = slots(block, reading);
        slots
            .into_iter()
            .map(|slot| (slot.inode, String::from_utf8(slot.name).unwrap(), slot.removed))
            .collect()
    }

    #[test]
    fn names_reached_over_are_removed_ones() {
        let mut block = name(12, 32, b"a");
        block.extend(name(13, 20, b"gone.txt"));
        block.extend(name(14, 44, b"b"));
        block.resize(64, 0);
        block[32..44].copy_from_slice(&name(14, 32, b"b"));
        let expected =
            [(12, "a".into(), false), (13, "gone.txt".into(), true), (14, "b".into(), false)];
        assert_eq!(shown(&block, READING), expected);
    }

    #[test]
    fn a_first_name_without_inode_is_removed() {
        let mut block = name(0, 64, b"first");
        block.resize(64, 0);
        assert_eq!(shown(&block, READING), [(0, "first".into(), true)]);
    }

    #[test]
    fn an_index_is_no_list_of_names() {
        let mut block = name(2, 12, b".");
        block.extend(name(2, 52, b".."));
        block.extend(name(5, 12, b"no"));
        block.resize(64, 0);
        let reading = Reading { is_indexed: true, ..READING };
        assert_eq!(shown(&block, reading).len(), 2);
        assert_eq!(shown(&block, READING).len(), 3);
        let mut node = vec![0; 64];
        node[4] = 64;
        node[16..28].copy_from_slice(&name(5, 12, b"no"));
        assert_eq!(shown(&node, reading).len(), 0);
        assert_eq!(shown(&node, READING).len(), 1);
    }

    #[test]
    fn damage_is_told_and_reading_goes_on() {
        let mut block = name(12, 4, b"a");
        block.extend(name(13, 12, b"b"));
        let (found, damaged) = slots(&block, READING);
        assert_eq!((found.len(), damaged), (1, Some(0)));
        for len in 0..block.len() {
            slots(&block[..len], READING);
        }
    }
}
