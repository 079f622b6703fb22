//! What is left of removed files' content: whose clusters are free still.

use std::io;

use crate::model::ReadAt;

use super::super::bytes::fill_exactly;
use super::open::{self, Found, Pick};
use super::record::DATA;
use super::row::{Claim, Node, Piece, node, stream};
use super::table::Table;
use super::volume::Volume;

/// `$Bitmap`: one bit per cluster, set where it is in use.
const BITMAP: u32 = 6;
/// Read at a time; bytes.
const WINDOW: usize = 256 << 10;

/// Marks the removed files whose clusters are in use, or were another removed
/// file's later; all of them when the bitmap cannot be read.
///
/// # Errors
///
/// Why the bitmap cannot be read.
pub(super) fn mark(volume: &Volume, table: &mut Table) -> io::Result<()> {
    complete(table);
    let mut claims = std::mem::take(&mut table.claims);
    if claims.is_empty() {
        return Ok(());
    }
    claims.sort_unstable();
    let found = open::attribute(volume, table, BITMAP, Pick::Named(DATA, &[]));
    let bitmap = match found.and_then(Found::reader) {
        Ok(bitmap) => bitmap,
        Err(error) => {
            for claim in &claims {
                table.set_flag(claim.owner, node::REUSED);
            }
            return Err(error);
        }
    };
    let mut bits = Bits::of(&*bitmap);
    let mut last: Option<Claim> = None;
    let mut failure = None;
    for claim in claims {
        let end = claim.lcn.saturating_add(claim.length);
        match bits.next_in_use(claim.lcn, end) {
            Ok(used) if used >= end => {}
            Ok(_) => table.set_flag(claim.owner, node::REUSED),
            Err(error) => {
                table.set_flag(claim.owner, node::REUSED);
                failure = Some(error);
            }
        }
        last = Some(match last {
            Some(before) if before.lcn.saturating_add(before.length) > claim.lcn => {
                overlap(table, before, claim);
                if before.lcn.saturating_add(before.length) > end { before } else { claim }
            }
            _ => claim,
        });
    }
    failure.map_or(Ok(()), Err)
}

/// Two removed files had the same clusters: the later one had them last.
fn overlap(table: &mut Table, a: Claim, b: Claim) {
    if a.owner == b.owner {
        return;
    }
    let written = |owner| table.node(owner).and_then(|node: &Node| node.times.into_iter().max());
    let (first, second) = (written(a.owner), written(b.owner));
    if first <= second {
        table.set_flag(a.owner, node::REUSED);
    }
    if second <= first {
        table.set_flag(b.owner, node::REUSED);
    }
}

/// Tells of each removed stream that its first piece does not map all of whether
/// the other pieces do: those of all streams of the file, or none of them counts.
fn complete(table: &mut Table) {
    let mut pieces = std::mem::take(&mut table.pieces);
    pieces.sort_unstable();
    let mut last = None;
    for stream in table.streams.iter_mut().filter(|stream| stream.flags & stream::PARTIAL != 0) {
        let owner = stream.owner;
        let whole = match last {
            Some((of, whole)) if of == owner => whole,
            _ => {
                let start = pieces.partition_point(|piece| piece.owner < owner);
                let own = pieces.get(start..).unwrap_or_default();
                own.chunk_by(|a, b| a.owner == b.owner && a.hash == b.hash)
                    .take_while(|group| group.first().is_some_and(|piece| piece.owner == owner))
                    .all(maps_all)
            }
        };
        last = Some((owner, whole));
        if !whole {
            stream.flags |= stream::BROKEN;
        }
    }
}

/// Whether the pieces of one stream, in order, map all that was written.
fn maps_all(pieces: &[Piece]) -> bool {
    let written = pieces.first().map_or(0, |piece| piece.written);
    let end = pieces.iter().fold(0, |end, piece| if piece.first == end { piece.end } else { end });
    end >= written
}

/// The volume's bitmap, read forwards.
struct Bits<'a> {
    bitmap: &'a dyn ReadAt,
    window: Vec<u8>,
    /// Byte offset of the window; `None` before the first.
    at: Option<u64>,
    /// The last answer: no cluster from the last question up to it is in use.
    known: u64,
    asked: Option<u64>,
}

impl<'a> Bits<'a> {
    fn of(bitmap: &'a dyn ReadAt) -> Self {
        Self { bitmap, window: Vec::new(), at: None, known: 0, asked: None }
    }

    /// The first cluster in use from `lcn` on, or one behind `end`.
    ///
    /// Questions must come in ascending order, so all together read the bitmap
    /// once at most, however the ranges overlap.
    fn next_in_use(&mut self, lcn: u64, end: u64) -> io::Result<u64> {
        let mut at = match self.asked {
            Some(_) if self.known >= lcn => self.known,
            _ => lcn,
        };
        self.asked = Some(lcn);
        while at < end {
            match self.byte(at / 8)? >> (at % 8) {
                0 => at = (at / 8).saturating_add(1).saturating_mul(8),
                bits if bits & 1 == 0 => at = at.saturating_add(u64::from(bits.trailing_zeros())),
                _ => break,
            }
        }
        self.known = at;
        Ok(at)
    }

    /// One byte of the bitmap; all in use beyond its end.
    fn byte(&mut self, offset: u64) -> io::Result<u8> {
        if offset >= self.bitmap.size() {
            return Ok(0xff);
        }
        let start = offset / WINDOW as u64 * WINDOW as u64;
        if self.at != Some(start) {
            let length = self.bitmap.size().saturating_sub(start).min(WINDOW as u64);
            self.window.resize(usize::try_from(length).unwrap_or_default(), 0);
            self.at = None;
            fill_exactly(self.bitmap, start, &mut self.window)?;
            self.at = Some(start);
        }
        let within = usize::try_from(offset.saturating_sub(start)).unwrap_or_default();
        Ok(self.window.get(within).copied().unwrap_or(0xff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bitmap_is_read_forwards() {
        let bitmap = vec![0b0000_0001u8, 0, 0b1000_0000];
        let mut bits = Bits::of(&bitmap);
        assert_eq!(bits.next_in_use(0, 4).unwrap(), 0);
        assert!(bits.next_in_use(1, 4).unwrap() >= 4);
        assert_eq!(bits.next_in_use(2, 30).unwrap(), 23);
        assert_eq!(bits.next_in_use(3, 9).unwrap(), 23);
        assert_eq!(bits.next_in_use(24, 99).unwrap(), 24);
    }
}
