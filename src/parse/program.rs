//! What programs of every system share: their hash, and how the filter sees them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::ParseError;
use super::bytes::read_up_to;
use crate::model::{Filter, ReadAt, Record};

/// Larger programs are not hashed.
pub(super) const MAX_HASHED_BYTES: u64 = 256 << 20;
/// Bytes hashed at once.
const BLOCK_BYTES: usize = 1 << 20;

/// The SHA-256 of a whole file, in lower-case hexadecimal digits.
pub(super) fn sha256(source: &dyn ReadAt) -> Result<String, ParseError> {
    let mut hash = Sha256::new();
    let mut offset = 0u64;
    loop {
        let block = read_up_to(source, offset, BLOCK_BYTES)?;
        if block.is_empty() {
            break;
        }
        hash.update(&block);
        offset = offset.saturating_add(block.len() as u64);
    }
    let halves = hash.finalize().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Ok(halves.filter_map(|half| char::from_digit(half.into(), 16)).collect())
}

/// Names of hosts that stand in a program as text and that somebody looks for, sorted.
///
/// Some compilers write constants one after another, so a name may have the end of
/// another word before it or the beginning of one behind it.
///
/// # Errors
///
/// The read error.
pub(super) fn host_names(
    source: &dyn ReadAt,
    filter: &dyn Filter,
) -> Result<Vec<String>, ParseError> {
    const MAX_NAMES: usize = 64;
    const LENGTHS: std::ops::RangeInclusive<usize> = 6..=1024;
    let is_part = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    let mut names = BTreeSet::new();
    let mut offset = 0u64;
    while names.len() < MAX_NAMES {
        let block = read_up_to(source, offset, BLOCK_BYTES)?;
        if filter.admits(&block) {
            let runs = block.split(|b| !is_part(b)).filter(|run| LENGTHS.contains(&run.len()));
            let dotted = runs.filter(|run| memchr::memchr(b'.', run).is_some());
            let wanted = dotted.filter(|run| filter.admits_text(run));
            names.extend(wanted.map(|run| String::from_utf8_lossy(run).into_owned()));
        }
        if block.len() < BLOCK_BYTES {
            break;
        }
        // A name may cross the border of two blocks.
        offset = offset.saturating_add((BLOCK_BYTES - *LENGTHS.end()) as u64);
    }
    Ok(names.into_iter().take(MAX_NAMES).collect())
}

/// The record as the filter sees it: a line for each field.
pub(super) fn rendered(record: &Record) -> String {
    record.fields.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name}={value}");
        text
    })
}
