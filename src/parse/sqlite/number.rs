//! Numbers and rows as SQLite stores them.

use crate::parse::bytes::piece;

/// Columns of one row that are read; SQLite's own limit is 32767.
const MAX_COLUMNS: usize = 2000;

/// The big-endian 16-bit number at `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    piece(bytes, at, 2)?.try_into().ok().map(u16::from_be_bytes)
}

/// The big-endian 32-bit number at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    piece(bytes, at, 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// The number of 1 to 9 bytes at `at` (seven bits each, the ninth byte whole) and its length.
pub(super) fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for length in 1..=8 {
        let byte = *bytes.get(at.checked_add(length - 1)?)?;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, length));
        }
    }
    let last = *bytes.get(at.checked_add(8)?)?;
    Some((value << 8 | u64::from(last), 9))
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// How a database writes text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    /// The text of bytes, what is no character replaced.
    fn text(self, bytes: &[u8]) -> String {
        let units = |of: fn([u8; 2]) -> u16| {
            let (pairs, _) = bytes.as_chunks::<2>();
            let units = pairs.iter().map(|pair| of(*pair));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        };
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Self::Utf16Le => units(u16::from_le_bytes),
            Self::Utf16Be => units(u16::from_be_bytes),
        }
    }
}

/// The values of a row, and whether all that its head promises are there.
///
/// ```text
/// head = varint length of the head, { varint type }; then the values
/// type = 0 null, 1-4 integers of that many bytes, 5 of 6, 6 of 8, 7 real, 8 zero, 9 one,
///        from 12 on blob (even) or text (odd) of (type - 12) / 2 bytes
/// ```
pub(super) fn row(payload: &[u8], encoding: Encoding) -> (Vec<Cell>, bool) {
    let mut cells = Vec::new();
    let Some((head, mut at)) = varint(payload, 0) else { return (cells, false) };
    let Some(head) = usize::try_from(head).ok().filter(|head| *head <= payload.len()) else {
        return (cells, false);
    };
    let mut body = head;
    while at < head && cells.len() < MAX_COLUMNS {
        let Some((kind, length)) = varint(payload, at) else { return (cells, false) };
        at = at.saturating_add(length);
        let size = size_of(kind);
        let Some(bytes) = piece(payload, body, size) else { return (cells, false) };
        body = body.saturating_add(size);
        cells.push(match kind {
            0 | 10 | 11 => Cell::Null,
            7 => Cell::Real(f64::from_bits(integer(bytes).cast_unsigned())),
            8 => Cell::Integer(0),
            9 => Cell::Integer(1),
            1..=6 => Cell::Integer(integer(bytes)),
            kind if kind % 2 == 0 => Cell::Blob(bytes.to_vec()),
            _ => Cell::Text(encoding.text(bytes)),
        });
    }
    (cells, at == head)
}

fn size_of(kind: u64) -> usize {
    match kind {
        0 | 8..=11 => 0,
        1..=4 => usize::try_from(kind).unwrap_or_default(),
        5 => 6,
        6 | 7 => 8,
        text => usize::try_from((text - 12) / 2).unwrap_or(usize::MAX),
    }
}

/// A big-endian number of up to eight bytes, with its sign.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    bytes.iter().fold(if negative { -1 } else { 0 }, |value, b| value << 8 | i64::from(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints() {
        assert_eq!(varint(&[5], 0), Some((5, 1)));
        assert_eq!(varint(&[0x81, 0], 0), Some((128, 2)));
        assert_eq!(varint(&[0xff; 9], 0), Some((u64::MAX, 9)));
        assert_eq!(varint(&[0xff; 8], 0), None);
        assert_eq!(varint(&[], 0), None);
    }

    #[test]
    fn rows_of_every_type() {
        let payload =
            [8, 0, 1, 2, 9, 15, 14, 7, 0xff, 1, 0, b'a', 0xfe, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0];
        let expected = vec![
            Cell::Null,
            Cell::Integer(-1),
            Cell::Integer(256),
            Cell::Integer(1),
            Cell::Text("a".into()),
            Cell::Blob(vec![0xfe]),
            Cell::Real(1.0),
        ];
        assert_eq!(row(&payload, Encoding::Utf8), (expected, true));
        assert!(!row(&payload[..12], Encoding::Utf8).1);
        assert!(!row(&[0xff; 9], Encoding::Utf8).1);
        assert_eq!(row(&[2, 17, b'a', 0], Encoding::Utf16Le).0, [Cell::Text("a".into())]);
    }
}
