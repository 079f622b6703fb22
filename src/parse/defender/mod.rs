//! What Microsoft Defender keeps beside its event log: the support log (`MPLog-*.log`),
//! one file for every detection (`DetectionHistory`) and one for everything locked away.
//!
//! They prove that a file was there and seen by Defender, the support log often also that
//! a program ran, long after the event log wrapped. A threat's name is a product's
//! opinion; a line without one says nothing bad of the file it names.

mod detection;
mod mplog;
mod quarantine;
mod values;

use super::{ParseError, Parser};
use crate::model::{Input, Sink};

pub use mplog::Mplog;

/// A larger file is no detection.
const MAX_DETECTION_BYTES: u64 = 16 << 20;

/// Reads files of Defender's detection history; one `antivirus_log` record.
pub struct DetectionHistory;

impl Parser for DetectionHistory {
    fn name(&self) -> &'static str {
        "defender_detection"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        values::is_detection(start)
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        detection::read(&input.read_all(MAX_DETECTION_BYTES)?, sink)
    }
}

/// Reads entries of Defender's quarantine; an `antivirus_log` record for each thing.
pub struct Quarantine;

impl Parser for Quarantine {
    fn name(&self) -> &'static str {
        "defender_quarantine"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        quarantine::read(&input.read_all(MAX_DETECTION_BYTES)?, sink)
    }
}

#[cfg(test)]
mod tests;
