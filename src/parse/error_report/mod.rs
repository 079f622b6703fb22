//! Windows Error Reporting (`Report.wer`): a program that crashed or hung, with its
//! path, the modules that it had loaded, and when.
//!
//! Proves that the program ran up to that moment. Text in UTF-16, a `key=value` a line;
//! not all kinds of report are about a program's end.
//!
//! Source: real reports of Windows 7 to 11.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::lines::{Encoding, Lines, Words};
use super::offer::offer;
use super::{ParseError, Parser};
use crate::model::{Input, Locator, Moment, Record, Sink, Value};

const FORMAT: &str = "error report";
/// Lines that are read.
const MAX_LINES: u64 = 20_000;
/// Modules that are listed.
const MAX_MODULES: usize = 4096;

/// Keys, and the fields they become, in the record's order.
const FIELDS: &[(&str, &str)] = &[
    ("EventType", "EventType"),
    ("FriendlyEventName", "EventName"),
    ("AppName", "Description"),
    ("NsAppName", "AppName"),
    ("OriginalFilename", "OriginalFileName"),
    ("AppSessionGuid", "AppSessionGuid"),
    ("ReportIdentifier", "ReportId"),
    ("ReportDescription", "Details"),
    ("NsPartner", "Partner"),
];

/// Reads error reports; a `crash_report` record each.
pub struct ErrorReport;

impl Parser for ErrorReport {
    fn name(&self) -> &'static str {
        "error_report"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        let text = start.get(..128).unwrap_or(start);
        if !text.contains(&b'=') {
            return false;
        }
        static TYPE: Words = Words::new(&["EventType="]);
        static VERSION: Words = Words::new(&["Version="]);
        let text = Encoding::of(start).narrow(text);
        TYPE.stand_in(&text) && VERSION.stand_in(&text)
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let report = Report::read(input)?;
        if !report.keys.contains_key("EventType") {
            let found = format!("no EventType among {} keys", report.keys.len());
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        let _: ControlFlow<()> = offer(report.record(), input, sink);
        Ok(())
    }
}

/// The keys of a report, the first value of each.
#[derive(Default)]
struct Report {
    keys: BTreeMap<String, String>,
    modules: Vec<String>,
    /// `Fault Module Name=…`, in the report's order.
    signature: Vec<String>,
}

impl Report {
    fn read(input: &Input<'_>) -> Result<Self, ParseError> {
        let mut report = Self::default();
        let mut lines = Lines::new(input.bytes)?;
        let mut name = None::<String>;
        while let Some(line) = lines.next()? {
            if line.number > MAX_LINES {
                break;
            }
            let Some((key, value)) = line.text.split_once('=') else { continue };
            if key.starts_with("LoadedModule[") {
                if report.modules.len() < MAX_MODULES {
                    report.modules.push(value.to_owned());
                }
            } else if key.contains("Sig[") && key.ends_with(".Name") {
                name = Some(value.to_owned());
            } else if key.contains("Sig[") && key.ends_with(".Value") {
                let name = name.take().unwrap_or_else(|| key.to_owned());
                report.signature.push(format!("{name}={value}"));
            } else {
                report.keys.entry(key.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        Ok(report)
    }

    fn text(&self, key: &str) -> &str {
        self.keys.get(key).map(String::as_str).unwrap_or_default()
    }

    fn record(self) -> Record {
        let mut record = Record::new("crash_report", Locator::Offset(0));
        record.push("Image", self.image());
        for (key, field) in FIELDS {
            record.push(*field, self.text(key));
        }
        record.push("Hashes", self.hash().map_or(String::new(), |hex| format!("SHA1={hex}")));
        for (key, meaning) in [("EventTime", "Error Reported"), ("UploadTime", "Error Report Sent")]
        {
            let ticks = self.text(key).parse().ok();
            record.times.extend(ticks.and_then(|ticks| Moment::of_filetime(ticks, meaning)));
        }
        if !self.signature.is_empty() {
            record.push("Signature", Value::List(self.signature));
        }
        if !self.modules.is_empty() {
            record.push("LoadedFiles", Value::List(self.modules));
        }
        record
    }

    /// The program's path; its name alone where no path is told.
    fn image(&self) -> String {
        let path = self.text("AppPath");
        let first = self.modules.first().map(String::as_str).unwrap_or_default();
        let named = ["NsAppName", "OriginalFilename"].map(|key| self.text(key));
        [path, first, named[0], named[1]]
            .into_iter()
            .find(|t| !t.is_empty())
            .unwrap_or("")
            .to_owned()
    }

    /// SHA-1 of the program: `W:program!0000sha1!name` names it. Like Amcache's it covers
    /// the first 31,457,280 bytes.
    fn hash(&self) -> Option<&str> {
        let part = self.text("TargetAppId").split('!').nth(1)?;
        let hex = part.strip_prefix("0000")?;
        (hex.len() == 40 && hex.bytes().all(|b| b.is_ascii_hexdigit())).then_some(hex)
    }
}

#[cfg(test)]
mod tests;
