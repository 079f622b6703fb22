//! Text of any of the three encodings as UTF-8, block by block.

use std::io;

use crate::model::ReadAt;

const BLOCK_BYTES: usize = 256 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// The encoding by byte-order mark or by the zeros around `<`, and the mark's length.
fn detect(start: &[u8]) -> (Encoding, usize) {
    match start {
        [0xef, 0xbb, 0xbf, ..] => (Encoding::Utf8, 3),
        [0xff, 0xfe, ..] => (Encoding::Utf16Le, 2),
        [0xfe, 0xff, ..] => (Encoding::Utf16Be, 2),
        [b'<', 0, ..] => (Encoding::Utf16Le, 0),
        [0, b'<', ..] => (Encoding::Utf16Be, 0),
        _ => (Encoding::Utf8, 0),
    }
}

/// Whether the first thing in a file but white space is a `<`.
pub(super) fn begins_with_tag(bytes: &[u8]) -> bool {
    let (_, mark) = detect(bytes);
    let text = bytes.get(mark..).unwrap_or_default();
    text.iter().find(|byte| !matches!(byte, 0 | b' ' | b'\t' | b'\r' | b'\n')) == Some(&b'<')
}

/// The start of a file as text, without its byte-order mark.
pub(super) fn start(bytes: &[u8]) -> String {
    let (encoding, mark) = detect(bytes);
    let mut text = Vec::new();
    let _ = decode(encoding, bytes.get(mark..).unwrap_or_default(), &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads a file from its start.
pub(super) struct Decoder<'a> {
    bytes: &'a dyn ReadAt,
    at: u64,
    encoding: Option<Encoding>,
    /// Bytes of a character not yet whole.
    carry: Vec<u8>,
}

impl<'a> Decoder<'a> {
    pub fn new(bytes: &'a dyn ReadAt) -> Self {
        Self { bytes, at: 0, encoding: None, carry: Vec::new() }
    }

    /// Appends the next block to `text`; false when the file is at its end.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&mut self, text: &mut Vec<u8>) -> io::Result<bool> {
        let mut block = std::mem::take(&mut self.carry);
        let kept = block.len();
        block.resize(kept.saturating_add(BLOCK_BYTES), 0);
        let n = match block.get_mut(kept..) {
            Some(room) => self.bytes.read_at(self.at, room)?,
            None => 0,
        };
        self.at = self.at.saturating_add(u64::try_from(n).unwrap_or_default());
        block.truncate(kept.saturating_add(n));
        let mut unread: &[u8] = &block;
        let encoding = *self.encoding.get_or_insert_with(|| {
            let (encoding, mark) = detect(unread);
            unread = unread.get(mark..).unwrap_or_default();
            encoding
        });
        let left = decode(encoding, unread, text);
        self.carry = unread.get(unread.len().saturating_sub(left)..).unwrap_or_default().to_vec();
        Ok(n > 0)
    }
}

/// Appends `bytes` as UTF-8; returns how many at the end are no whole character.
fn decode(encoding: Encoding, bytes: &[u8], text: &mut Vec<u8>) -> usize {
    let unit: fn([u8; 2]) -> u16 = match encoding {
        Encoding::Utf8 => {
            text.extend_from_slice(bytes);
            return 0;
        }
        Encoding::Utf16Le => u16::from_le_bytes,
        Encoding::Utf16Be => u16::from_be_bytes,
    };
    let (pairs, odd) = bytes.as_chunks::<2>();
    let (pairs, cut) = match pairs.split_last() {
        Some((last, rest)) if (0xd800..0xdc00).contains(&unit(*last)) => (rest, 2),
        _ => (pairs, 0usize),
    };
    for c in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
        text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    odd.len().saturating_add(cut)
}
