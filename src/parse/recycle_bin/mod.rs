//! What the Recycle Bin notes of a file that a user deleted: where it lay, how large
//! it was, and when. Its content lies beside it, under the same name with `$R`.
//!
//! `$I` files of version 1 (Vista to 8.1) and 2 (10 and later), and the `INFO2` of XP.
//!
//! ```text
//! 1     = 1:u64 bytes:u64 deleted:u64 path:520
//! 2     = 2:u64 bytes:u64 deleted:u64 characters:u32 path
//! INFO2 = 5:u32 ?:8 record:u32 ?:u32 records, each
//!         path:260 index:u32 drive:u32 deleted:u64 bytes:u32 [path:520]
//! ```
//!
//! Source: libyal's documentation of the Windows Recycle.Bin formats.

use std::ops::ControlFlow;

use super::bytes::{piece, u32_at, u64_at, utf16_text};
use super::offer::{lost, offer};
use super::{ParseError, Parser};
use crate::model::{Input, Locator, Moment, Record, Sink};

const FORMAT: &str = "recycle bin entry";
const MEANING: &str = "File Recycled";
/// Larger files are none: a path has 32767 characters at most.
const MAX_BYTES: u64 = 64 << 20;
/// Records of an `INFO2` that are read.
const MAX_RECORDS: usize = 100_000;
/// Bytes of a record with and without the path in Unicode.
const RECORD_BYTES: [usize; 2] = [800, 280];

/// Reads entries of the Recycle Bin; a `recycled` record for each file.
pub struct RecycleBin;

impl Parser for RecycleBin {
    fn name(&self) -> &'static str {
        "recycle_bin"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        let path = match u64_at(start, 0) {
            Some(1) => start.get(24..),
            Some(2) => start.get(28..),
            _ => return false,
        };
        let path = utf16_text(path.unwrap_or_default());
        path.get(1..3) == Some(":\\") || path.starts_with("\\\\")
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let bytes = input.read_all(MAX_BYTES)?;
        let bin = Bin { bytes: &bytes, input };
        match u64_at(&bytes, 0) {
            Some(1) => bin.entry(24, 520, sink),
            Some(2) => {
                let characters = u32_at(&bytes, 24).and_then(|n| usize::try_from(n).ok());
                bin.entry(28, characters.unwrap_or_default().saturating_mul(2), sink)
            }
            _ if u32_at(&bytes, 0) == Some(5) && is_record(&bytes) => bin.list(sink),
            _ => {
                let found = format!("{:02x?}", bytes.get(..8).unwrap_or(&bytes));
                return Err(ParseError::Foreign { format: FORMAT, found });
            }
        }
        Ok(())
    }
}

/// The size of the records of an `INFO2`, if it is one of those known.
fn record_bytes(bytes: &[u8]) -> Option<usize> {
    let size = u32_at(bytes, 12).and_then(|size| usize::try_from(size).ok())?;
    RECORD_BYTES.contains(&size).then_some(size)
}

fn is_record(bytes: &[u8]) -> bool {
    record_bytes(bytes).is_some()
}

struct Bin<'a> {
    bytes: &'a [u8],
    input: &'a Input<'a>,
}

impl Bin<'_> {
    /// The one entry of a `$I` file, its path at `at`.
    fn entry(&self, at: usize, len: usize, sink: &mut dyn Sink) {
        let path = piece(self.bytes, at, len).unwrap_or_else(|| {
            sink.damaged(lost(self.bytes.len(), format!("{FORMAT}: cut off in its path")));
            self.bytes.get(at..).unwrap_or_default()
        });
        let mut record = Record::new("recycled", Locator::Offset(0));
        record.push("Image", utf16_text(path));
        if let Some(size) = u64_at(self.bytes, 8).and_then(|size| i64::try_from(size).ok()) {
            record.push("FileSize", size);
        }
        let (head, rest) = self.input.name.split_at_checked(2).unwrap_or_default();
        if head.eq_ignore_ascii_case("$I") {
            record.push("ContentName", format!("$R{rest}"));
        }
        record.times.extend(u64_at(self.bytes, 16).and_then(|t| Moment::of_filetime(t, MEANING)));
        let _: ControlFlow<()> = offer(record, self.input, sink);
    }

    /// Every record of an `INFO2`.
    fn list(&self, sink: &mut dyn Sink) {
        const HEADER: usize = 20;
        let Some(size) = record_bytes(self.bytes) else { return };
        let body = self.bytes.get(HEADER..).unwrap_or_default();
        for (n, entry) in body.chunks(size).take(MAX_RECORDS).enumerate() {
            let at = n.saturating_mul(size).saturating_add(HEADER);
            if entry.len() < size {
                sink.damaged(lost(at, format!("{FORMAT}: its last record is cut off")));
                break;
            }
            if self.old(entry, at, sink) == ControlFlow::Break(()) {
                break;
            }
        }
    }

    fn old(&self, entry: &[u8], at: usize, sink: &mut dyn Sink) -> ControlFlow<()> {
        let wide = entry.get(280..).map(utf16_text).unwrap_or_default();
        let narrow = entry.get(..260).unwrap_or_default();
        // The first letter is struck out when the file has left the bin.
        let emptied = narrow.first() == Some(&0);
        let narrow = narrow.get(usize::from(emptied)..).unwrap_or_default();
        let narrow = narrow.split(|byte| *byte == 0).next().unwrap_or_default();
        let mut record = Record::new("recycled", Locator::Offset(at as u64));
        let path =
            if wide.is_empty() { narrow.iter().map(|b| char::from(*b)).collect() } else { wide };
        record.push("Image", path);
        if let Some(size) = u32_at(entry, 276) {
            record.push("FileSize", i64::from(size));
        }
        if let (Some(index), Some(drive)) = (u32_at(entry, 260), u32_at(entry, 264)) {
            record.push("BinIndex", i64::from(index));
            record.push("BinDrive", i64::from(drive));
        }
        if emptied {
            record.push("LeftTheBin", "true");
        }
        record.times.extend(u64_at(entry, 268).and_then(|t| Moment::of_filetime(t, MEANING)));
        offer(record, self.input, sink)
    }
}

#[cfg(test)]
mod tests;
