//! The support log of Defender, `MPLog-*.log`: UTF-16, a line for almost everything the
//! engine does, the programs it watched and the files it scanned among it; and
//! `MPDetection-*.log` beside it, which has what was detected alone.
//!
//! Most lines begin with their time, which is UTC with or without a `Z`. Lines without
//! one belong to a block; they were written no later than the next line that has a time.
//! Source: a real log (Server 2022), and the shapes of lines that analysts list in public.

use std::ops::ControlFlow;

use jiff::Timestamp;

use crate::model::{Damage, Extent, Input, Locator, Moment, Precision, Record, Sink, Value};
use crate::parse::lines::{Encoding, Lines, Words};
use crate::parse::{ParseError, Parser, local_time};

const FORMAT: &str = "Defender support log";
const MEANING: &str = "Log Line";
const MEANING_BEFORE: &str = "Log Line (No Later Than)";
/// Records told of one file.
const MAX_RECORDS: u64 = 200_000;
/// Lines that may wait for one with a time.
const MAX_WAITING: usize = 10_000;
/// Lines without a time at the start of a file, after which it is foreign.
const MAX_FOREIGN_LINES: u64 = 1000;
/// Things found that are told of one line.
const MAX_RESOURCES: usize = 64;
/// Longest path that is taken out of a line whose shape is unknown.
const MAX_PATH_CHARS: usize = 300;

/// One of these stands in the first line: the product, by each name that it had.
static HEAD: Words = Words::new(&["Defender Antivirus (77BDAF73-", "Windows Defender (77BDAF73-"]);

/// Reads Defender's support log; an `antivirus_log` record for each line that matters.
pub struct Mplog;

impl Parser for Mplog {
    fn name(&self) -> &'static str {
        "defender_mplog"
    }

    fn is_text(&self) -> bool {
        true
    }

    fn words(&self) -> &'static [&'static str] {
        HEAD.all()
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        HEAD.are_mentioned(start)
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(input.bytes)?;
        if lines.encoding() == Encoding::Binary {
            return Err(ParseError::Foreign { format: FORMAT, found: "binary".to_owned() });
        }
        let mut log = Log { sink, waiting: Vec::new(), extent: Extent::default(), told: 0 };
        let mut is_empty = true;
        while let Some(line) = lines.next()? {
            let (moment, message) = split(&line.text);
            is_empty &= message.is_empty();
            if let Some(moment) = &moment {
                log.note(moment.at);
                if log.release(moment).is_break() {
                    return Ok(());
                }
            } else if log.extent.records == 0 && line.number >= MAX_FOREIGN_LINES {
                break;
            }
            if message.is_empty() || !input.filter.admits_text(line.text.as_bytes()) {
                continue;
            }
            let mut record = record(message, line.number);
            let told = match moment {
                Some(moment) => {
                    record.times.push(moment);
                    log.tell(record)
                }
                None => log.wait(record),
            };
            if told.is_break() {
                return Ok(());
            }
        }
        // The list of detections is often empty.
        let is_blank = is_empty && input.bytes.size() > 0;
        if log.extent.records == 0 && !is_blank {
            let found = "no line with a time".to_owned();
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        let end = input.modified.map(|at| Moment::exact(at, MEANING_BEFORE));
        let _ = log.end(end.as_ref());
        Ok(())
    }
}

/// A line's time, if it begins with one, and the rest.
fn split(line: &str) -> (Option<Moment>, &str) {
    let line = line.trim();
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let is_time = first.len() >= 19 && first.as_bytes().get(10) == Some(&b'T');
    let moment = is_time.then(|| local_time::moment_in_utc(first, MEANING));
    match moment.filter(|moment| moment.at.is_some()) {
        Some(moment) => (Some(moment), rest.trim()),
        None => (None, line),
    }
}

struct Log<'a> {
    sink: &'a mut dyn Sink,
    /// Records of lines whose time is not known yet.
    waiting: Vec<Record>,
    extent: Extent,
    told: u64,
}

impl Log<'_> {
    fn note(&mut self, at: Option<Timestamp>) {
        self.extent.records = self.extent.records.saturating_add(1);
        self.extent.first = [self.extent.first, at].into_iter().flatten().min();
        self.extent.last = self.extent.last.max(at);
    }

    fn wait(&mut self, record: Record) -> ControlFlow<()> {
        if self.waiting.len() >= MAX_WAITING {
            return self.tell(record);
        }
        self.waiting.push(record);
        ControlFlow::Continue(())
    }

    /// Tells what waited: it was written no later than this.
    fn release(&mut self, by: &Moment) -> ControlFlow<()> {
        for mut record in std::mem::take(&mut self.waiting) {
            let precision = Precision::UpperBound;
            record.times.push(Moment { meaning: MEANING_BEFORE, precision, ..by.clone() });
            self.tell(record)?;
        }
        ControlFlow::Continue(())
    }

    fn tell(&mut self, record: Record) -> ControlFlow<()> {
        if self.told >= MAX_RECORDS {
            self.sink.damaged(Damage {
                locator: Some(record.locator),
                message: format!("{FORMAT}: more than {MAX_RECORDS} lines matter"),
                lost: true,
            });
            return ControlFlow::Break(());
        }
        self.told = self.told.saturating_add(1);
        self.sink.record(record)
    }

    fn end(mut self, modified: Option<&Moment>) -> ControlFlow<()> {
        match modified {
            Some(modified) => self.release(modified)?,
            None => {
                for record in std::mem::take(&mut self.waiting) {
                    self.tell(record)?;
                }
            }
        }
        self.sink.extent(self.extent);
        ControlFlow::Continue(())
    }
}

fn record(message: &str, line: u64) -> Record {
    let mut record = Record::new("antivirus_log", Locator::Line(line));
    record.push("Message", message);
    if !detection(message, &mut record) && !process(message, &mut record) {
        let image = filtered(message)
            .or_else(|| KNOWN.iter().find_map(|(before, after)| between(message, before, after)))
            .or_else(|| any_program(message))
            .unwrap_or_default();
        record.push("Image", image);
        for (before, after, field) in PARTS {
            record.push(*field, between(message, before, after).unwrap_or_default());
        }
    }
    record
}

/// What stands before and after the file that a line is about; an empty end is the line's.
const KNOWN: &[(&str, &str)] = &[
    ("Resource Path:", ""),
    ("ImagePath:", ""),
    ("TargetFileName:", ""),
    ("\" for \"", "\", hr="),
    ("Engine VFZ block: ", ". status="),
    ("resource=\"", "\""),
    ("Exclusion] ", " -> "),
    ("Issuing SDN query for ", " ("),
    ("EMS scan for process: ", " pid:"),
    ("Path:", ""),
];

/// Further parts of lines of [`KNOWN`].
const PARTS: &[(&str, &str, &str)] = &[
    ("Threat Name:", "", "ThreatName"),
    (" Process: ", ", Status", "ProcessName"),
    ("original file name \"", "\"", "OriginalFileName"),
    ("(sha1=", ",", "Sha1"),
    ("sha2=", ")", "Sha256"),
    (" pid: ", ",", "ProcessId"),
];

/// `[Mini-filter] Blocked file(#74): \Device\a.exe. Process: b, Status: …`
fn filtered(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("[Mini-filter] ")?;
    let path = between(rest, ": ", " Process: ").filter(|_| rest.contains(" Process: "))?;
    Some(path.strip_suffix('.').unwrap_or(path))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = text.get(text.find(before)?.checked_add(before.len())?..)?;
    let found = if after.is_empty() { rest } else { rest.split(after).next()? };
    let found = found.trim();
    (!found.is_empty()).then_some(found)
}

/// `DETECTION_ADD#1 Threat:Family/Name file:C:\a;containerfile:C:\b`, or what was done:
/// `DETECTION_CLEANEVENT MPSOURCE_REALTIME MP_THREAT_ACTION_QUARANTINE Threat:Family/Name …`
fn detection(message: &str, record: &mut Record) -> bool {
    let Some(rest) = message.strip_prefix("DETECTION") else { return false };
    let mut rest = rest.split_once(' ').map_or("", |(_, rest)| rest);
    if rest.starts_with("MPSOURCE_") {
        rest = rest.split_once(' ').map_or("", |(_, rest)| rest);
    }
    if let Some((action, after)) = rest.split_once(' ')
        && let Some(action) = action.strip_prefix("MP_THREAT_ACTION_")
    {
        record.push("ActionName", action.to_lowercase());
        rest = after;
        // What came of it, where that is no success.
        if let Some((code, after)) = rest.split_once(' ').filter(|(code, _)| is_code(code)) {
            record.push("ErrorCode", code);
            rest = after;
        }
    }
    let (threat, places) = rest.split_once(' ').unwrap_or((rest, ""));
    record.push("ThreatName", threat);
    let places = places.split(" PropBag ").next().unwrap_or_default();
    let all: Vec<(&str, &str)> = places
        .split(';')
        .filter_map(|place| place.trim().split_once(':'))
        .take(MAX_RESOURCES)
        .collect();
    let of = |kind: &str| all.iter().find(|(own, _)| *own == kind).map(|(_, path)| *path);
    let file = of("file").or(of("containerfile")).or(of("webfile"));
    let file = file.and_then(|path| path.split(['|']).next());
    // A member of an archive stands behind an arrow: `a.zip->b.exe`.
    let (file, member) = file.map_or(("", ""), |path| path.split_once("->").unwrap_or((path, "")));
    record.push("Image", file);
    record.push("MemberName", member);
    record.push("Path", file);
    let all: Vec<String> = all.iter().map(|(kind, path)| format!("{kind}:{path}")).collect();
    if !all.is_empty() {
        record.push("Resources", Value::List(all));
    }
    true
}

/// `0x80508023`
fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or_default();
    digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// `ProcessImageName: a.exe, Pid: 1, TotalTime: 2, …, MaxTimeFile: C:\b, EstimatedImpact: 1%`
fn process(message: &str, record: &mut Record) -> bool {
    if !message.starts_with("ProcessImageName: ") {
        return false;
    }
    // That of the system has no name.
    record.push("Image", between(message, "ProcessImageName: ", ", ").unwrap_or_default());
    let pid = between(message, "Pid: ", ",").and_then(|pid| pid.parse::<i64>().ok());
    if let Some(pid) = pid {
        record.push("ProcessId", pid);
    }
    let file = between(message, "MaxTimeFile: ", ", EstimatedImpact");
    record.push("Path", file.unwrap_or_default());
    true
}

/// The first path of a program in a line of unknown shape, without what follows it.
fn any_program(message: &str) -> Option<&str> {
    const ENDING: &str = ".exe";
    let starts = [":\\", "\\Device\\HarddiskVolume"];
    let (at, mark) = starts.iter().filter_map(|s| Some((message.find(s)?, *s))).min()?;
    let start = if mark == ":\\" { at.checked_sub(1)? } else { at };
    let rest = message.get(start..)?;
    let end = rest.find(['"', '<', '>', '|', '*', '?', ';']).unwrap_or(rest.len());
    let path = rest.get(..end)?;
    let ending = path.to_ascii_lowercase().find(ENDING)?.checked_add(ENDING.len())?;
    path.get(..ending).filter(|path| path.chars().count() <= MAX_PATH_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    #[test]
    fn what_was_done_stands_before_the_threat() {
        let mut record = Record::new("antivirus_log", Locator::Line(1));
        let line = r"DETECTION_CLEANEVENT MPSOURCE_REALTIME MP_THREAT_ACTION_QUARANTINE HackTool:Win64/NgrokTunnel!MTB file:C:\t\ngrok.exe";
        assert!(detection(line, &mut record));
        for (field, expected) in [
            ("ActionName", "quarantine"),
            ("ThreatName", "HackTool:Win64/NgrokTunnel!MTB"),
            ("Path", r"C:\t\ngrok.exe"),
        ] {
            assert_eq!(record.text(field), Some(expected), "{field}");
        }
    }
}
