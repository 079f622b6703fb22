//! Text files of the Program Compatibility Assistant (Windows 11 22H2 and later):
//! programs that a user started, and programs that ended badly.
//!
//! ```text
//! PcaAppLaunchDic.txt   path|time                            last start
//! PcaGeneralDb0/1.txt   time|kind|path|product|company|version|program id|message
//! ```
//!
//! Times are UTC. The first lists programs started by the shell only; the second is
//! written when a program ends abnormally or an installer fails.
//!
//! Source: real files; the meaning of the kinds from Andrew Rathbun's and Lucas
//! Gonzalez's description of the files.

use std::ops::ControlFlow;

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::lines::{Line, Lines};
use super::offer::offer;
use super::{ParseError, Parser};
use crate::model::{Damage, Extent, Input, Locator, Moment, Precision, Record, Sink};

const FORMAT: &str = "compatibility assistant list";
/// Lines that are told when they make no sense.
const MAX_TOLD: usize = 100;
const KINDS: [&str; 5] = [
    "installer failed",
    "driver was blocked",
    "abnormal process exit",
    "compatibility settings applied",
    "not set",
];

/// Reads the lists; a `pca_launch` record for each line.
pub struct Pca;

impl Parser for Pca {
    fn name(&self) -> &'static str {
        "pca"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        let (text, _) = super::lines::decode(start);
        text.lines()
            .next()
            .is_some_and(|line| entry(&Line { number: 1, text: line.into() }).is_some())
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(input.bytes)?;
        let (mut extent, mut broken) = (Extent::default(), 0usize);
        while let Some(line) = lines.next()? {
            if line.text.trim().is_empty() {
                continue;
            }
            let Some(record) = entry(&line) else {
                broken = broken.saturating_add(1);
                if broken <= MAX_TOLD {
                    sink.damaged(senseless(&line));
                }
                continue;
            };
            extent.records = extent.records.saturating_add(1);
            let at = record.first_time();
            extent.first = [extent.first, at].into_iter().flatten().min();
            extent.last = extent.last.max(at);
            if offer(record, input, sink) == ControlFlow::Break(()) {
                break;
            }
        }
        if extent.records == 0 && broken > 0 {
            let found = format!("{broken} lines of another form");
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        sink.extent(extent);
        Ok(())
    }
}

fn senseless(line: &Line<'_>) -> Damage {
    Damage {
        locator: Some(Locator::Line(line.number)),
        message: format!("{FORMAT}: neither `path|time` nor `time|kind|path|…`"),
        lost: true,
    }
}

/// The record of a line of either list.
fn entry(line: &Line<'_>) -> Option<Record> {
    let mut record = Record::new("pca_launch", Locator::Line(line.number));
    let parts: Vec<&str> = line.text.split('|').map(str::trim).collect();
    match parts.as_slice() {
        [path, time] if !path.is_empty() => {
            record.push("Image", *path);
            record.times.push(moment(time, "Last Time Executed")?);
        }
        [time, kind, path, rest @ ..] if kind.parse::<u8>().is_ok() => {
            record.times.push(moment(time, "Compatibility Event")?);
            let number: usize = kind.parse().ok()?;
            record.push("Image", *path);
            record.push("RunStatus", KINDS.get(number).copied().unwrap_or(kind));
            let fields = ["Product", "Company", "FileVersion", "ProgramId", "Details"];
            for (field, value) in fields.into_iter().zip(rest) {
                record.push(field, *value);
            }
        }
        _ => return None,
    }
    Some(record)
}

fn moment(text: &str, meaning: &'static str) -> Option<Moment> {
    let local: DateTime = strtime::parse("%Y-%m-%d %H:%M:%S%.f", text).ok()?.to_datetime().ok()?;
    let at = TimeZone::UTC.to_timestamp(local).ok();
    Some(Moment { at, meaning, precision: Precision::Exact, raw: text.to_owned() })
}

#[cfg(test)]
mod tests;
