//! Text files of any encoding, line by line, in bounded memory.
//!
//! UTF-8, UTF-16LE and UTF-16BE, with and without a byte order mark. What is no
//! text of these is read as UTF-8 with replacement characters.

use std::borrow::Cow;
use std::io;
use std::sync::OnceLock;

use aho_corasick::packed::Searcher;

use crate::model::ReadAt;

/// Bytes of a line that are kept; the rest of a longer one is skipped.
pub(crate) const MAX_LINE_BYTES: usize = 256 << 10;

/// Bytes read at once.
const BLOCK_BYTES: usize = 256 << 10;

/// Words for which there is one quick search.
const SEARCHED_TOGETHER: usize = 64;

/// Bytes that decide on the encoding of a text without a byte order mark.
const SAMPLE_BYTES: usize = 4096;

/// How the characters of a text are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Utf8Bom,
    Utf16Le,
    Utf16LeBom,
    Utf16Be,
    Utf16BeBom,
    /// Too many zero or control bytes for a text.
    Binary,
}

/// How many of these are so; summed in bytes, which the compiler turns into few steps.
fn count<T: Copy>(items: &[T], is: impl Fn(T) -> bool) -> usize {
    /// As many as a byte can count, and a multiple of what a processor takes at once.
    const SUMMED: usize = 128;
    let some = |items: &[T]| items.iter().fold(0_u8, |sum, item| sum + u8::from(is(*item)));
    items.chunks(SUMMED).map(|items| usize::from(some(items))).sum()
}

/// Words (ASCII) that are looked for together, again and again.
pub struct WordSet {
    words: Vec<&'static str>,
    /// `None` where the processor has no instructions for it.
    searchers: Option<Vec<Searcher>>,
}

impl WordSet {
    pub fn new(words: impl IntoIterator<Item = &'static str>) -> Self {
        let words: Vec<_> = words.into_iter().collect();
        let searchers = words.chunks(SEARCHED_TOGETHER).map(Searcher::new).collect();
        Self { words, searchers }
    }

    /// Whether one of them stands in a text that starts so; a quick look before it is
    /// decoded, and before it is told what it is.
    pub fn are_mentioned(&self, start: &[u8]) -> bool {
        // In UTF-16 there is a zero beside each letter of a word.
        let may_be_wide = memchr::memchr(0, start).is_some();
        if !may_be_wide && !self.stand_in(start) {
            return false;
        }
        let encoding = Encoding::of(start);
        encoding != Encoding::Binary && self.stand_in(&encoding.narrow(start))
    }

    /// Whether one of them stands in the text.
    fn stand_in(&self, text: &[u8]) -> bool {
        match &self.searchers {
            Some(searchers) => searchers.iter().any(|searcher| searcher.find(text).is_some()),
            None => {
                let mut words = self.words.iter();
                words.any(|word| memchr::memmem::find(text, word.as_bytes()).is_some())
            }
        }
    }
}

/// Words that are known beforehand.
pub(crate) struct Words {
    words: &'static [&'static str],
    compiled: OnceLock<WordSet>,
}

impl Words {
    pub(crate) const fn new(words: &'static [&'static str]) -> Self {
        Self { words, compiled: OnceLock::new() }
    }

    pub(crate) fn all(&self) -> &'static [&'static str] {
        self.words
    }

    /// Whether one of them stands in the text.
    pub(crate) fn stand_in(&self, text: &[u8]) -> bool {
        self.set().stand_in(text)
    }

    /// Whether one of them stands in a text that starts so, whatever its encoding.
    pub(crate) fn are_mentioned(&self, start: &[u8]) -> bool {
        self.set().are_mentioned(start)
    }

    fn set(&self) -> &WordSet {
        self.compiled.get_or_init(|| WordSet::new(self.words.iter().copied()))
    }
}

impl Encoding {
    /// The encoding of a text that starts with these bytes.
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0xef, 0xbb, 0xbf, ..] => Self::Utf8Bom,
            [0xff, 0xfe, ..] => Self::Utf16LeBom,
            [0xfe, 0xff, ..] => Self::Utf16BeBom,
            _ => Self::guess(start.get(..SAMPLE_BYTES).unwrap_or(start)),
        }
    }

    fn guess(start: &[u8]) -> Self {
        if memchr::memchr(0, start).is_none() {
            let control = count(start, |byte| matches!(byte, 0..=8 | 14..=26 | 28..=31));
            return if control.saturating_mul(20) > start.len() {
                Self::Binary
            } else {
                Self::Utf8
            };
        }
        let (pairs, last) = start.as_chunks::<2>();
        let even = count(pairs, |[first, _]| first == 0) + count(last, |byte| byte == 0);
        let odd = count(pairs, |[_, second]| second == 0);
        let pairs = pairs.len();
        let most = pairs.saturating_mul(3) / 4;
        match pairs {
            2.. if odd > most && even == 0 => Self::Utf16Le,
            2.. if even > most && odd == 0 => Self::Utf16Be,
            _ => Self::Binary,
        }
    }

    /// The start of a text with one byte for each letter of ASCII.
    pub(crate) fn narrow(self, start: &[u8]) -> Cow<'_, [u8]> {
        match self.wide() {
            Some(_) => start.iter().copied().filter(|byte| *byte != 0).collect(),
            None => Cow::Borrowed(start),
        }
    }

    /// `utf-16-le-bom` and the like.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf8Bom => "utf-8-bom",
            Self::Utf16Le => "utf-16-le",
            Self::Utf16LeBom => "utf-16-le-bom",
            Self::Utf16Be => "utf-16-be",
            Self::Utf16BeBom => "utf-16-be-bom",
            Self::Binary => "binary",
        }
    }

    /// Bytes of the byte order mark.
    fn mark_len(self) -> usize {
        match self {
            Self::Utf8Bom => 3,
            Self::Utf16LeBom | Self::Utf16BeBom => 2,
            _ => 0,
        }
    }

    fn wide(self) -> Option<fn([u8; 2]) -> u16> {
        match self {
            Self::Utf16Le | Self::Utf16LeBom => Some(u16::from_le_bytes),
            Self::Utf16Be | Self::Utf16BeBom => Some(u16::from_be_bytes),
            _ => None,
        }
    }

    /// The text of these bytes (no mark in front), damaged characters replaced.
    fn text(self, bytes: &[u8]) -> Cow<'_, str> {
        let Some(unit) = self.wide() else { return String::from_utf8_lossy(bytes) };
        let (pairs, _) = bytes.as_chunks::<2>();
        let units = pairs.iter().map(|pair| unit(*pair));
        Cow::Owned(char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect())
    }

    /// Length of the line at the start of `bytes` and of its newline, if one ends there.
    fn line_end(self, bytes: &[u8]) -> Option<(usize, usize)> {
        let Some(unit) = self.wide() else {
            return memchr::memchr(b'\n', bytes).map(|at| (at, 1));
        };
        let (pairs, _) = bytes.as_chunks::<2>();
        let at = pairs.iter().position(|pair| unit(*pair) == u16::from(b'\n'))?;
        Some((at.saturating_mul(2), 2))
    }
}

/// The whole text of `bytes` and how it was stored; no byte order mark in it.
pub(crate) fn decode(bytes: &[u8]) -> (Cow<'_, str>, Encoding) {
    let encoding = Encoding::of(bytes);
    (encoding.text(bytes.get(encoding.mark_len()..).unwrap_or_default()), encoding)
}

/// The first byte of a text's first character that is not blank, whatever the encoding;
/// a quick look before it is decoded.
pub(crate) fn first_mark(start: &[u8]) -> Option<u8> {
    const MARKS: [u8; 5] = [0xef, 0xbb, 0xbf, 0xfe, 0xff];
    let is_blank = |byte: &u8| matches!(byte, 0 | 9..=13 | b' ') || MARKS.contains(byte);
    start.iter().copied().find(|byte| !is_blank(byte))
}

/// The first lines of a text in UTF-8 that are not empty, each decoded only when asked for.
pub(crate) fn first_lines(start: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    let lines =
        start.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.is_empty()).map(String::from_utf8_lossy)
}

/// One line.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// From 1.
    pub number: u64,
    /// Without line end; cut at [`MAX_LINE_BYTES`].
    pub text: Cow<'a, str>,
}

/// The lines of a file, in order.
pub(crate) struct Lines<'a> {
    source: &'a dyn ReadAt,
    encoding: Encoding,
    buffer: Vec<u8>,
    /// First byte of `buffer` that is not yet a line.
    start: usize,
    /// Offset in the file of the end of `buffer`.
    offset: u64,
    number: u64,
    ended: bool,
}

impl<'a> Lines<'a> {
    /// The lines of `source`.
    ///
    /// # Errors
    ///
    /// When its first block cannot be read.
    pub(crate) fn new(source: &'a dyn ReadAt) -> io::Result<Self> {
        let mut lines = Self {
            source,
            encoding: Encoding::Utf8,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            number: 0,
            ended: false,
        };
        lines.fill()?;
        lines.encoding = Encoding::of(&lines.buffer);
        lines.start = lines.encoding.mark_len();
        Ok(lines)
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The next line, `None` after the last.
    ///
    /// # Errors
    ///
    /// When the file cannot be read any further.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = 0usize;
        let (len, newline) = loop {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            let unseen = rest.get(searched..).unwrap_or_default();
            if let Some((at, newline)) = self.encoding.line_end(unseen) {
                break (searched.saturating_add(at), newline);
            }
            if self.ended {
                if rest.is_empty() {
                    return Ok(None);
                }
                break (rest.len(), 0);
            }
            if rest.len() > MAX_LINE_BYTES.saturating_add(BLOCK_BYTES) {
                // Too long: keep its beginning, forget what was read of the rest.
                let keep = self.start.saturating_add(MAX_LINE_BYTES);
                self.buffer.truncate(keep);
            }
            // Whole characters only; the rest of a pair is searched with the next block.
            searched = self.buffer.len().saturating_sub(self.start) & !1;
            self.fill()?;
        };
        let start = self.start;
        self.start = start.saturating_add(len).saturating_add(newline);
        self.number = self.number.saturating_add(1);
        let end = start.saturating_add(len.min(MAX_LINE_BYTES));
        let bytes = self.buffer.get(start..end).unwrap_or_default();
        let text = match self.encoding.text(bytes) {
            Cow::Borrowed(text) => Cow::Borrowed(text.strip_suffix('\r').unwrap_or(text)),
            Cow::Owned(mut text) => {
                if text.ends_with('\r') {
                    text.pop();
                }
                Cow::Owned(text)
            }
        };
        Ok(Some(Line { number: self.number, text }))
    }

    /// Appends a block to the buffer, after dropping the lines already given.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start.min(self.buffer.len()));
        self.start = 0;
        let old = self.buffer.len();
        self.buffer.resize(old.saturating_add(BLOCK_BYTES), 0);
        let n = self.source.read_at(self.offset, self.buffer.get_mut(old..).unwrap_or_default());
        self.buffer.truncate(old.saturating_add(n.as_ref().map_or(0, |n| *n)));
        let n = n?;
        self.offset = self.offset.saturating_add(n as u64);
        self.ended = n == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: Vec<u8>, encoding: Encoding, expected: &[&str]) {
        let mut lines = Lines::new(&bytes).unwrap();
        assert_eq!(lines.encoding(), encoding);
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            assert_eq!(line.number, found.len() as u64 + 1);
            found.push(line.text.into_owned());
        }
        assert_eq!(found, expected);
    }

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn every_encoding_gives_the_same_lines() {
        let expected = &["Zoë 1", "", "third"];
        let text = "Zoë 1\r\n\nthird";
        check(text.into(), Encoding::Utf8, expected);
        check(format!("\u{feff}{text}").into(), Encoding::Utf8Bom, expected);
        check(utf16(text, u16::to_le_bytes), Encoding::Utf16Le, expected);
        check(utf16(text, u16::to_be_bytes), Encoding::Utf16Be, expected);
        check(utf16(&format!("\u{feff}{text}"), u16::to_le_bytes), Encoding::Utf16LeBom, expected);
        check(utf16(&format!("\u{feff}{text}"), u16::to_be_bytes), Encoding::Utf16BeBom, expected);
        check(Vec::new(), Encoding::Utf8, &[]);
    }

    #[test]
    fn lines_cross_blocks_and_long_ones_are_cut() {
        let text: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
        let bytes = text.clone().into_bytes();
        let mut lines = Lines::new(&bytes).unwrap();
        for n in 0..100_000 {
            assert_eq!(lines.next().unwrap().unwrap().text, format!("line {n}"));
        }
        let mut long = vec![b'x'; 3 << 20];
        long.extend_from_slice(b"\nend\n");
        let mut lines = Lines::new(&long).unwrap();
        assert_eq!(lines.next().unwrap().unwrap().text.len(), MAX_LINE_BYTES);
        let end = lines.next().unwrap().unwrap();
        assert_eq!((end.number, &*end.text), (2, "end"));
        assert!(lines.next().unwrap().is_none());
    }

    #[test]
    fn binary_is_told_from_text() {
        assert_eq!(Encoding::of(&[0, 1, 2, 3, 0, 0, 0, 9]), Encoding::Binary);
        assert_eq!(Encoding::of(b"plain text"), Encoding::Utf8);
    }
}
