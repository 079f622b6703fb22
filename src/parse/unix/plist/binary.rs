//! Binary property lists.
//!
//! ```text
//! 0 "bplist00"   objects   table of their offsets   last 32 bytes:
//! 6 bytes of an offset  7 bytes of a reference  8 objects  16 the top one  24 the table's offset
//! object: high half of the first byte its kind, low half its size
//!   0 null, 8 false, 9 true   1 integer of 2^n bytes   2 real   3 date   4 bytes
//!   5 ASCII   6 UTF-16BE   7 UTF-8   8 UID   A list   D keys, then values
//!   a size of 15: an integer follows that is the size
//! ```
//!
//! All numbers are big endian. Source: CFBinaryPList.c of Apple's CF-Lite.

use super::{MAX_DEPTH, MAX_TEXT_BYTES, MAX_VALUES, Plist};
use crate::parse::bytes::piece;

pub(super) const MAGIC: &[u8] = b"bplist0";
const TRAILER: usize = 32;

struct List<'a> {
    bytes: &'a [u8],
    /// Bytes of an offset and of a reference.
    offset_size: usize,
    reference_size: usize,
    objects: usize,
    table: usize,
    /// Values told so far; the same object may be referred to many times.
    told: usize,
}

/// The list's top object; else what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Plist, String> {
    let cut = || "cut off".to_owned();
    let at = bytes.len().checked_sub(TRAILER).ok_or_else(cut)?;
    let trailer = bytes.get(at..).ok_or_else(cut)?;
    let small =
        |at: usize| trailer.get(at).map(|n| usize::from(*n)).filter(|n| (1..=8).contains(n));
    let large = |at: usize| size(piece(trailer, at, 8)?);
    let sizes = small(6).zip(small(7));
    let places = large(8).zip(large(16)).zip(large(24));
    let (Some((offset_size, reference_size)), Some(((objects, top), table))) = (sizes, places)
    else {
        return Err("its last 32 bytes are no trailer".to_owned());
    };
    let mut list = List { bytes, offset_size, reference_size, objects, table, told: 0 };
    list.object(top, 0)
}

/// A big-endian number of up to eight bytes that is a size or offset.
fn size(bytes: &[u8]) -> Option<usize> {
    let value = bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    usize::try_from(value).ok().filter(|_| bytes.len() <= 8)
}

impl List<'_> {
    fn object(&mut self, number: usize, depth: usize) -> Result<Plist, String> {
        self.told = self.told.saturating_add(1);
        if self.told > MAX_VALUES || depth > MAX_DEPTH {
            return Err(format!("more than {MAX_VALUES} values or {MAX_DEPTH} levels"));
        }
        let wrong = || format!("object {number} of {} lies outside", self.objects);
        let entry = number.checked_mul(self.offset_size).and_then(|at| at.checked_add(self.table));
        let at = entry.filter(|_| number < self.objects);
        let at =
            at.and_then(|at| size(piece(self.bytes, at, self.offset_size)?)).ok_or_else(wrong)?;
        let mark = *self.bytes.get(at).ok_or_else(wrong)?;
        let (kind, low) = (mark >> 4, usize::from(mark & 15));
        let at = at.saturating_add(1);
        let bytes = self.bytes;
        match kind {
            0 => Ok(match low {
                8 => Plist::Bool(false),
                9 => Plist::Bool(true),
                _ => Plist::Other,
            }),
            1 if low <= 3 => {
                let digits = piece(bytes, at, 1 << low).ok_or_else(wrong)?;
                let value = digits.iter().fold(0i64, |sum, byte| sum << 8 | i64::from(*byte));
                Ok(Plist::Number(value))
            }
            5..=7 => {
                let (len, at) = self.len(low, at).ok_or_else(wrong)?;
                let len = if kind == 6 { len.saturating_mul(2) } else { len };
                let text = piece(bytes, at, len).ok_or_else(wrong)?;
                let text = text.get(..MAX_TEXT_BYTES).unwrap_or(text);
                Ok(Plist::Text(if kind == 6 { wide(text) } else { narrow(text) }))
            }
            10 => {
                let (len, at) = self.len(low, at).ok_or_else(wrong)?;
                let members = self.references(at, len).ok_or_else(wrong)?;
                let depth = depth.saturating_add(1);
                let all = members.into_iter().map(|number| self.object(number, depth));
                Ok(Plist::List(all.collect::<Result<_, _>>()?))
            }
            13 => {
                let (len, at) = self.len(low, at).ok_or_else(wrong)?;
                let both = self.references(at, len.saturating_mul(2)).ok_or_else(wrong)?;
                let (keys, values) = both.split_at_checked(len).ok_or_else(wrong)?;
                let depth = depth.saturating_add(1);
                let mut all = Vec::new();
                for (key, value) in keys.iter().zip(values) {
                    if let Plist::Text(key) = self.object(*key, depth)? {
                        all.push((key, self.object(*value, depth)?));
                    }
                }
                Ok(Plist::Dict(all))
            }
            _ => Ok(Plist::Other),
        }
    }

    /// An object's size, and where what it holds begins.
    fn len(&self, low: usize, at: usize) -> Option<(usize, usize)> {
        if low != 15 {
            return Some((low, at));
        }
        let mark = *self.bytes.get(at)?;
        let digits =
            1usize.checked_shl(u32::from(mark & 15)).filter(|n| *n <= 8 && mark >> 4 == 1)?;
        let at = at.checked_add(1)?;
        Some((size(piece(self.bytes, at, digits)?)?, at.checked_add(digits)?))
    }

    fn references(&self, at: usize, count: usize) -> Option<Vec<usize>> {
        if count > MAX_VALUES {
            return None;
        }
        let bytes = piece(self.bytes, at, count.checked_mul(self.reference_size)?)?;
        bytes.chunks_exact(self.reference_size).map(size).collect()
    }
}

fn narrow(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn wide(bytes: &[u8]) -> String {
    let (pairs, _) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
