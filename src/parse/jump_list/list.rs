//! The stream `DestList`: which entries a jump list has, and how they were used.
//!
//! ```text
//! list  = version:u32 entries:u32 pinned:u32 ?:20 entry*
//! entry = ?:72 host:16 number:u32 ?:u32 uses:f32 used:u64 pin:i32 …
//!         1:   characters:u16 path
//!         2-:  ?:u32 uses:u32 ?:u64 characters:u16 path ?:u32
//! ```
//!
//! A pin of -1 is none.

use super::super::bytes::{piece, u16_at, u32_at, u64_at, utf16_text};
use crate::model::Record;

const HEADER: usize = 32;
/// Entries that are read.
const MAX_ENTRIES: usize = 10_000;

/// A line of the list.
pub(super) struct Entry {
    /// The name of its stream, as a number.
    pub(super) number: u32,
    /// FILETIME of the last use.
    pub(super) used: u64,
    uses: u32,
    pinned: bool,
    host: String,
    path: String,
}

/// The entries in the list's order; where the list ends early is told.
pub(super) fn entries(list: &[u8], faults: &mut Vec<(usize, String)>) -> Vec<Entry> {
    let newer = u32_at(list, 0).unwrap_or_default() >= 2;
    let count = u32_at(list, 4).and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let (mut out, mut at) = (Vec::new(), HEADER);
    while out.len() < count.min(MAX_ENTRIES) {
        let Some((entry, len)) = list.get(at..).and_then(|rest| Entry::read(rest, newer)) else {
            let read = out.len();
            faults.push((at, format!("its list ends after {read} of {count} entries")));
            break;
        };
        out.push(entry);
        at = at.saturating_add(len);
    }
    out
}

impl Entry {
    /// The entry at the start of `bytes` and its length.
    fn read(bytes: &[u8], newer: bool) -> Option<(Self, usize)> {
        let (path, behind) = if newer { (128, 4) } else { (112, 0) };
        let uses = if newer { u32_at(bytes, 116)? } else { float(u32_at(bytes, 96)?) };
        let len = usize::from(u16_at(bytes, path)?).checked_mul(2)?;
        let start = path.checked_add(2)?;
        let host = piece(bytes, 72, 16)?.split(|byte| *byte == 0).next().unwrap_or_default();
        let entry = Self {
            number: u32_at(bytes, 88)?,
            used: u64_at(bytes, 100)?,
            uses,
            pinned: u32_at(bytes, 108)? != u32::MAX,
            host: String::from_utf8_lossy(host).into_owned(),
            path: utf16_text(piece(bytes, start, len)?),
        };
        Some((entry, start.checked_add(len)?.checked_add(behind)?))
    }

    /// Adds what the list says to what the shortcut said.
    pub(super) fn describe(&self, record: &mut Record) {
        match record.text("Image").map(str::to_owned) {
            None => record.push("Image", self.path.as_str()),
            Some(image) if !image.eq_ignore_ascii_case(&self.path) => {
                record.push("ListedPath", self.path.as_str());
            }
            Some(_) => {}
        }
        if record.text("MachineId").is_none() {
            record.push("MachineId", self.host.as_str());
        }
        record.push("EntryNumber", i64::from(self.number));
        record.push("AccessCount", i64::from(self.uses));
        if self.pinned {
            record.push("Pinned", "true");
        }
    }
}

/// The whole part of a count that is stored as a floating-point number.
fn float(bits: u32) -> u32 {
    let value = f32::from_bits(bits);
    let text = format!("{:.0}", value.trunc());
    text.parse().unwrap_or_default()
}
