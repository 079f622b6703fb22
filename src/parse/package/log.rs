//! Logs of Chocolatey and winget: lines with the host's local time in front.
//!
//! ```text
//! 2024-03-18 10:41:00,123 4120 [INFO ] - Downloading ngrok 64 bit   (chocolatey.log)
//!   from 'https://…'                                                (of the same entry)
//! 2024-03-18 10:41:00.123 [CLI ] Leaf command succeeded: root:install     (winget)
//! ```

use jiff::Timestamp;

use crate::model::{Damage, Extent, Input, Locator, Moment, Record, Sink, Value};
use crate::parse::lines::{Encoding, Lines};
use crate::parse::{ParseError, Parser, address, local_time};

const FORMAT: &str = "package log";
const MEANING: &str = "Log Line";
/// Records told of one file.
const MAX_RECORDS: u64 = 100_000;
/// Characters of a time: `2024-03-18 10:41:00,123`.
const STAMP_CHARS: usize = 23;
/// Lines without a time at the start of a file, after which it is foreign.
const MAX_FOREIGN_LINES: u64 = 1000;
/// Addresses of one line that are told.
const MAX_ADDRESSES: usize = 16;

/// Reads logs of package managers; a `package` record for each line that matters.
pub struct PackageLog;

impl Parser for PackageLog {
    fn name(&self) -> &'static str {
        "package_log"
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(input.bytes)?;
        if lines.encoding() == Encoding::Binary {
            return Err(ParseError::Foreign { format: FORMAT, found: "binary".to_owned() });
        }
        let (mut told, mut extent) = (0u64, Extent::default());
        let mut last: Option<Moment> = None;
        let source = source(input.name);
        while let Some(line) = lines.next()? {
            let (moment, message) = split(&line.text, input);
            if let Some(moment) = moment {
                note(&mut extent, moment.at);
                last = Some(moment);
            } else if last.is_none() && line.number >= MAX_FOREIGN_LINES {
                break;
            }
            if message.is_empty() || !input.filter.admits_text(line.text.as_bytes()) {
                continue;
            }
            if told >= MAX_RECORDS {
                sink.damaged(Damage {
                    locator: Some(Locator::Line(line.number)),
                    message: format!("{FORMAT}: more than {MAX_RECORDS} lines matter"),
                    lost: true,
                });
                break;
            }
            told = told.saturating_add(1);
            let mut record = Record::new("package", Locator::Line(line.number));
            describe(message, &mut record);
            record.push("Source", source);
            record.times.extend(last.clone());
            if sink.record(record).is_break() {
                return Ok(());
            }
        }
        if last.is_none() && input.bytes.size() > 0 {
            let found = "no line with a time".to_owned();
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        sink.extent(extent);
        Ok(())
    }
}

fn note(extent: &mut Extent, at: Option<Timestamp>) {
    extent.records = extent.records.saturating_add(1);
    extent.first = [extent.first, at].into_iter().flatten().min();
    extent.last = extent.last.max(at);
}

/// The manager that names its log so.
fn source(name: &str) -> &'static str {
    if name.to_ascii_lowercase().starts_with("choco") { "chocolatey" } else { "winget" }
}

/// The time of a line, if it begins with one, and its message without level and thread.
fn split<'a>(line: &'a str, input: &Input<'_>) -> (Option<Moment>, &'a str) {
    let moment = line
        .get(..STAMP_CHARS)
        .filter(|stamp| stamp.as_bytes().first().is_some_and(u8::is_ascii_digit))
        .map(|stamp| local_time::moment(stamp, input.zone, MEANING))
        .filter(|moment| moment.at.is_some());
    let Some(moment) = moment else { return (None, line.trim()) };
    let rest = line.get(STAMP_CHARS..).unwrap_or_default().trim();
    // Chocolatey writes thread, level and a dash; winget the part that speaks.
    let rest = rest.split_once("] -").map_or(rest, |(_, message)| message.trim());
    let rest = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, message)) => message,
        None => rest,
    };
    (Some(moment), rest.trim())
}

fn describe(message: &str, record: &mut Record) {
    record.push("Message", message);
    let line = ["Command line: ", "Command line Args: ", "WinGet invoked with arguments: "]
        .iter()
        .find_map(|start| message.strip_prefix(start));
    record.push("CommandLine", line.unwrap_or_default());
    if let Some((name, version)) = named(message) {
        record.push("Name", name);
        record.push("Version", version);
    }
    let urls = address::addresses(message, MAX_ADDRESSES);
    if let Some(first) = urls.first() {
        record.push("HostName", address::host(first).unwrap_or_default());
    }
    match urls.as_slice() {
        [] => {}
        [only] => record.push("Url", *only),
        all => record.push("Url", Value::List(all.iter().map(|url| (*url).to_owned()).collect())),
    }
}

/// The package that a line is about, and its version if the line names it:
/// `The install of ngrok was successful.`, `ngrok v3.3.1 [Approved]`,
/// `ngrok package files install completed. …`, `Found Ngrok [Ngrok.Ngrok] Version 3`.
fn named(message: &str) -> Option<(&str, &str)> {
    for start in ["The install of ", "The upgrade of ", "The uninstall of "] {
        if let Some(rest) = message.strip_prefix(start) {
            return Some((rest.split_once(" was ")?.0, ""));
        }
    }
    if let Some((name, _)) = message.split_once(" package files ") {
        return Some((name, ""));
    }
    if message.starts_with("Found ")
        && let Some((_, rest)) = message.split_once('[')
    {
        let (name, rest) = rest.split_once(']')?;
        return Some((name, rest.split_once("Version ").map_or("", |(_, version)| version.trim())));
    }
    let mut words = message.split(' ');
    let (name, version) = (words.next()?, words.next()?);
    let version = version.strip_prefix('v')?;
    version.starts_with(|c: char| c.is_ascii_digit()).then_some((name, version))
}
