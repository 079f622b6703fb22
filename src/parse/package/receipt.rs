//! What Homebrew and snapd keep of the packages they installed: JSON.
//!
//! Homebrew writes a receipt into each package's folder, without the package's name;
//! snapd keeps one file for all. Sources: Homebrew's `tab.rb`, snapd's `overlord/state`.

use serde_json::Value as Json;

use crate::model::{Input, Locator, Moment, Precision, Record, Sink, from_unix};
use crate::parse::offer::offer;
use crate::parse::{ParseError, Parser};

/// A larger file is no receipt and no state.
const MAX_BYTES: u64 = 64 << 20;
/// Snaps that are told.
const MAX_SNAPS: usize = 4096;

/// Reads receipts of Homebrew; one `package` record.
pub struct HomebrewReceipt;

/// Reads the state of snapd; a `package` record for each snap.
pub struct SnapState;

fn json(input: &Input<'_>, format: &'static str) -> Result<Json, ParseError> {
    let bytes = input.read_all(MAX_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|error| ParseError::Broken {
        format,
        offset: 0,
        what: error.to_string(),
    })
}

impl Parser for HomebrewReceipt {
    fn name(&self) -> &'static str {
        "homebrew_receipt"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        const FORMAT: &str = "receipt of Homebrew";
        let root = json(input, FORMAT)?;
        if root.get("homebrew_version").is_none() {
            let found = "JSON without homebrew_version".to_owned();
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        let mut record = Record::new("package", Locator::Offset(0));
        record.push("Source", "homebrew");
        let source = root.get("source");
        let of = |name: &str| source.and_then(|source| source.get(name)).and_then(Json::as_str);
        let stable = source
            .and_then(|source| source.get("versions")?.get("stable")?.as_str())
            .unwrap_or_default();
        record.push("Version", of("version").unwrap_or(stable));
        record.push("Tap", of("tap").unwrap_or_default());
        record.push("Formula", of("path").unwrap_or_default());
        if let Some(seconds) = root.get("time").and_then(Json::as_i64) {
            record.times.push(Moment {
                at: from_unix(seconds, 0),
                meaning: "Package Installed",
                precision: Precision::Second,
                raw: seconds.to_string(),
            });
        }
        let _ = sink.record(record);
        Ok(())
    }
}

impl Parser for SnapState {
    fn name(&self) -> &'static str {
        "snap_state"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        const FORMAT: &str = "state of snapd";
        let root = json(input, FORMAT)?;
        let Some(Json::Object(snaps)) = root.get("data").and_then(|data| data.get("snaps")) else {
            let found = "JSON without data and snaps".to_owned();
            return Err(ParseError::Foreign { format: FORMAT, found });
        };
        for (name, snap) in snaps.iter().take(MAX_SNAPS) {
            let mut record = Record::new("package", Locator::Member(name.clone()));
            record.push("Name", name.as_str());
            record.push("Source", "snap");
            let text = |value: Option<&Json>| match value {
                Some(Json::String(text)) => text.clone(),
                Some(Json::Number(number)) => number.to_string(),
                Some(Json::Bool(is)) => is.to_string(),
                _ => String::new(),
            };
            record.push("Revision", text(snap.get("current")));
            record.push("Channel", text(snap.get("channel")));
            record.push("Active", text(snap.get("active")));
            if offer(record, input, sink).is_break() {
                break;
            }
        }
        Ok(())
    }
}
