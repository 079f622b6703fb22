//! The tag files of a bag (BagIt 1.0, RFC 8493).

use std::fmt::Write as _;

use super::super::csv::escape_controls;
use super::super::{Custody, RunFacts, hex};
use sha2::{Digest, Sha256};

/// `bagit.txt` (RFC 8493, section 2.1.1).
pub(super) const DECLARATION: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";

/// What the manifests say of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Bytes.
    pub(super) size: u64,
    pub(super) sha256: String,
}

impl Entry {
    pub(super) fn of(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            sha256: hex(&Sha256::digest(bytes)),
        }
    }
}

/// `manifest-sha256.txt` or `tagmanifest-sha256.txt`: by name, as `sha256sum -c` reads it.
pub(super) fn manifest(entries: &[Entry]) -> String {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|entry| entry.name.as_str());
    sorted.iter().map(|entry| format!("{}  {}\n", entry.sha256, entry.name)).collect()
}

/// `bag-info.txt`: custody, origin and the payload's size.
pub(super) fn info(host: &str, run: &RunFacts, custody: &Custody, payload: &[Entry]) -> String {
    let mut out = String::new();
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{label}: {}", escape_controls(value));
        }
    };
    line("Bag-Software-Agent", &format!("adit {}", run.version));
    line("Bagging-Date", &run.finished.strftime("%Y-%m-%d").to_string());
    line("Case-Identifier", custody.case.trim());
    line("Evidence-Identifier", custody.evidence.trim());
    line("Examiner", custody.examiner.trim());
    line("Note", custody.note.trim());
    line("Clock-Offset", custody.clock_offset.trim());
    line("Host", host);
    let octets = payload.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.size));
    line("Payload-Oxum", &format!("{octets}.{}", payload.len()));
    out
}
