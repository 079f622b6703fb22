//! Header blocks of tar files and the records of pax that complete them.
//!
//! ```text
//! POSIX ustar   0 name (100)  100 mode (8)  124 size (12)  136 mtime (12)  148 checksum (8)
//!             156 type  157 link (100)  257 "ustar"  345 prefix (155)
//! GNU         257 "ustar  "  386 four stretches (offset 12, length 12)  482 more follow  483 real size (12)
//!             block of more: 21 stretches, 504 more follow
//! number      octal text, or big-endian with the first bit set
//! pax record  "<length> <key>=<value>\n"
//! ```

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::name::decode;
use super::slice::Stretch;
use crate::model::from_unix;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// What a header block says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) link: String,
    /// Bytes that follow.
    pub(super) size: u64,
    pub(super) modified: Option<Timestamp>,
    pub(super) kind: u8,
    /// Of GNU's sparse files: stretches, whether more follow, the real size.
    pub(super) sparse: Option<(Vec<Stretch>, bool, u64)>,
}

impl Header {
    /// The header in a block; `None` when its checksum is not right.
    pub(super) fn of(block: &[u8; BLOCK]) -> Option<Self> {
        let said = number(block.get(148..156)?)?;
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
            .sum();
        if sum != said {
            return None;
        }
        let kind = *block.get(156)?;
        let gnu = block.get(257..265)? == b"ustar  \0";
        let posix = !gnu && block.get(257..262)? == b"ustar";
        let mut name = text(block.get(..100)?);
        let prefix = text(block.get(345..500)?);
        if posix && !prefix.is_empty() {
            name = format!("{prefix}/{name}");
        }
        let seconds = number(block.get(136..148)?).and_then(|s| i64::try_from(s).ok());
        let sparse = (gnu && kind == b'S').then(|| sparse(block)).flatten();
        Some(Self {
            name,
            link: text(block.get(157..257)?),
            size: number(block.get(124..136)?)?,
            modified: seconds.filter(|s| *s != 0).and_then(|s| from_unix(s, 0)),
            kind,
            sparse,
        })
    }
}

/// The stretches in a GNU header.
fn sparse(block: &[u8; BLOCK]) -> Option<(Vec<Stretch>, bool, u64)> {
    let list = stretches(block.get(386..482)?, 0);
    Some((list, *block.get(482)? != 0, number(block.get(483..495)?)?))
}

/// The stretches of a list of GNU's, the first stored at `stored`.
pub(super) fn stretches(list: &[u8], mut stored: u64) -> Vec<Stretch> {
    let mut out = Vec::new();
    for pair in list.chunks_exact(24) {
        let (at, length) = pair.split_at(12);
        let (Some(at), Some(length)) = (number(at), number(length)) else { break };
        if pair.first() == Some(&0) {
            break;
        }
        out.push(Stretch { at, stored, length });
        stored = stored.saturating_add(length);
    }
    out
}

fn text(bytes: &[u8]) -> String {
    decode(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
}

/// A number of a header.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    if first & 0x80 != 0 {
        let start = u64::from(first & 0x3f);
        return rest
            .iter()
            .try_fold(start, |n, byte| n.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let digits = bytes.iter().skip_while(|byte| **byte == b' ');
    let mut out = 0_u64;
    for byte in digits {
        match byte {
            b'0'..=b'7' => out = out.checked_mul(8)?.checked_add(u64::from(byte & 7))?,
            b' ' | 0 => break,
            _ => return None,
        }
    }
    Some(out)
}

/// The records of a pax header, as far as they can be read.
pub(super) fn pax(mut bytes: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Some(space) = memchr::memchr(b' ', bytes) {
        let length = bytes.get(..space).and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(length) = length.and_then(|digits| digits.parse::<usize>().ok()) else { break };
        let Some(record) = bytes.get(space.saturating_add(1)..length) else { break };
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        if let Some(equals) = memchr::memchr(b'=', record) {
            let (key, value) = record.split_at(equals);
            let value = decode(value.get(1..).unwrap_or_default());
            out.entry(decode(key)).or_default().push(value);
        }
        bytes = bytes.get(length..).unwrap_or_default();
    }
    out
}

/// A time of pax: seconds with a fraction.
pub(super) fn pax_time(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: i32 = digits.parse().ok()?;
    (seconds != 0 || nanos != 0).then(|| from_unix(seconds, nanos))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_both_forms() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"     12 "), Some(0o12));
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]), Some(258));
        assert_eq!(number(&[0xff; 12]), None);
        assert_eq!(number(b"9"), None);
    }

    #[test]
    fn pax_records_and_times() {
        let records = pax(b"16 path=a b c d\n20 mtime=1700000000\n");
        assert_eq!(records["path"], ["a b c d"]);
        assert_eq!(pax(b"999 path=a\n").len(), 0);
        let at = pax_time("1700000000.5").unwrap();
        assert_eq!((at.as_second(), at.subsec_nanosecond()), (1_700_000_000, 500_000_000));
        assert_eq!(pax_time("0"), None);
    }
}
