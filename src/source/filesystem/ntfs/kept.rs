//! What is kept of a record's `$DATA` so that the record need not be read again:
//! the map of a content in clusters, or a short content that is looked for.
//!
//! ```text
//! map = initialized:64 flags:16 unit:8 length:16 pairs
//! ```
//!
//! Both lie in one arena; a row says where. What finds no room there, or does not
//! map all that was written, is read from its record as if there were no arena.

use super::super::bytes::{piece, u16_at, u64_at};
use super::record::Extents;
use super::row::NONE;
use super::runs::Pairs;

/// Bytes kept of one volume.
pub(super) const MAX_KEPT: usize = 64 << 20;
/// Bytes of short contents kept of one stretch of records.
pub(super) const MAX_CONTENTS: usize = 64 << 10;

/// A map without its pairs; bytes.
const PAIRS_AT: usize = 13;

/// Where a content lies, as its record said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Map<'a> {
    /// Bytes that were written.
    pub(super) initialized: u64,
    /// The attribute's flags.
    pub(super) flags: u16,
    /// Clusters per compression unit, as a power of two; 0 for none.
    pub(super) unit: u8,
    pub(super) pairs: &'a [u8],
}

impl<'a> Map<'a> {
    /// The map at `at` of the arena.
    pub(super) fn at(kept: &'a [u8], at: u32) -> Option<Self> {
        let own = kept.get(at as usize..)?;
        let length = usize::from(u16_at(own, 11)?);
        Some(Self {
            initialized: u64_at(own, 0)?,
            flags: u16_at(own, 8)?,
            unit: *own.get(10)?,
            pairs: piece(own, PAIRS_AT, length)?,
        })
    }

    /// The first cluster of the volume that it names.
    pub(super) fn first(&self, clusters: u64) -> Option<u64> {
        Pairs::new(self.pairs, 0, clusters).find_map(|run| run.ok()?.lcn)
    }
}

/// Keeps the first piece of a content if it maps all that was written; where it is.
///
/// `clusters` are the bytes of one cluster of the volume, and how many it has.
pub(super) fn keep_map(
    kept: &mut Vec<u8>,
    extents: &Extents<'_>,
    flags: u16,
    (cluster, clusters): (u64, u64),
) -> u32 {
    let mut pairs = Pairs::new(extents.pairs, 0, clusters);
    let mut end = 0;
    for run in pairs.by_ref() {
        let Ok(run) = run else { return NONE };
        end = run.end();
    }
    let initialized = extents.initialized.min(extents.size);
    let own = extents.pairs.strip_suffix(pairs.rest()).unwrap_or(extents.pairs);
    let (Ok(at), Ok(length)) = (u32::try_from(kept.len()), u16::try_from(own.len())) else {
        return NONE;
    };
    if extents.first != 0 || end.saturating_mul(cluster) < initialized {
        return NONE;
    }
    kept.extend_from_slice(&initialized.to_le_bytes());
    kept.extend_from_slice(&flags.to_le_bytes());
    kept.push(extents.unit);
    kept.extend_from_slice(&length.to_le_bytes());
    kept.extend_from_slice(own);
    at
}

/// Keeps a short content while there is room for it; where it is.
pub(super) fn keep_content(kept: &mut Vec<u8>, room: &mut usize, content: &[u8]) -> u32 {
    let (Ok(at), Some(left)) = (u32::try_from(kept.len()), room.checked_sub(content.len())) else {
        return NONE;
    };
    *room = left;
    kept.extend_from_slice(content);
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extents(pairs: &[u8], size: u64) -> Extents<'_> {
        Extents { first: 0, unit: 4, size, initialized: size, pairs }
    }

    #[test]
    fn a_map_is_kept_if_it_is_whole() {
        let pairs = [0x11, 3, 9, 0x01, 2, 0, 0, 0];
        let mut kept = vec![7];
        let at = keep_map(&mut kept, &extents(&pairs, 5 * 512), 1, (512, 100));
        let map = Map::at(&kept, at).unwrap();
        assert_eq!((map.initialized, map.flags, map.unit), (2560, 1, 4));
        assert_eq!((map.pairs, map.first(100)), (&pairs[..5], Some(9)));
        let before = kept.len();
        for (pairs, size) in [(&pairs[..], 5 * 512 + 1), (&[0x11, 3], 1), (&[0x11, 3, 99, 0], 1)] {
            assert_eq!(keep_map(&mut kept, &extents(pairs, size), 0, (512, 100)), NONE);
        }
        assert_eq!(kept.len(), before);
        assert_eq!(Map::at(&kept, NONE), None);
        assert_eq!(Map::at(&kept[..9], 1), None);
    }

    #[test]
    fn contents_are_kept_while_there_is_room() {
        let (mut kept, mut room) = (Vec::new(), 5);
        assert_eq!(keep_content(&mut kept, &mut room, b"abc"), 0);
        assert_eq!(keep_content(&mut kept, &mut room, b"def"), NONE);
        assert_eq!(keep_content(&mut kept, &mut room, b"de"), 3);
        assert_eq!(kept, b"abcde");
    }
}
