//! What programs of every system share: their hash, and how the filter sees them.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::ParseError;
use super::bytes::read_up_to;
use crate::model::{ReadAt, Record};

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
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// The record as the filter sees it: a line for each field.
pub(super) fn rendered(record: &Record) -> String {
    record.fields.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name}={value}");
        text
    })
}
