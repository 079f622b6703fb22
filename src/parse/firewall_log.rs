//! The log of Windows' firewall, `pfirewall.log`: a W3C extended log with a `#Fields:` line.
//!
//! Proves that a connection was let through or dropped, with both ends; it names no
//! program, newer systems the process id. Off by default; the file is kept small and
//! turned over once (`.old`). Times are the host's local time, as `#Time Format:` says.

use jiff::Timestamp;

use super::lines::{Encoding, Lines};
use super::local_time::{self, Order};
use super::{ParseError, Parser};
use crate::model::{Damage, Extent, Input, Locator, Moment, Record, Sink};

const FORMAT: &str = "firewall log";
/// Columns beyond which a `#Fields:` line is not followed.
const MAX_COLUMNS: usize = 64;
/// Records told of one file.
const MAX_RECORDS: u64 = 200_000;
/// Columns of a log whose head is lost: those that Windows writes.
const USUAL: &str = "date time action protocol src-ip dst-ip src-port dst-port size tcpflags \
                     tcpsyn tcpack tcpwin icmptype icmpcode info path";
/// Columns that are kept, and the fields they become.
const COLUMNS: &[(&str, &str)] = &[
    ("action", "Action"),
    ("protocol", "Protocol"),
    ("src-ip", "SourceIp"),
    ("src-port", "SourcePort"),
    ("dst-ip", "DestinationIp"),
    ("dst-port", "DestinationPort"),
    ("size", "Size"),
    ("tcpflags", "TcpFlags"),
    ("info", "Info"),
    ("path", "Direction"),
    ("pid", "ProcessId"),
];

/// Reads firewall logs; a `firewall_log` record for each line that matters.
pub struct FirewallLog;

/// What the head says of the lines below it.
struct Head {
    columns: Vec<String>,
    utc: bool,
}

impl Head {
    fn new(fields: &str) -> Self {
        let columns = fields.split_whitespace().take(MAX_COLUMNS);
        Self { columns: columns.map(str::to_ascii_lowercase).collect(), utc: false }
    }

    /// Takes a line that begins with `#`.
    fn take(&mut self, remark: &str) {
        if let Some(fields) = remark.strip_prefix("#Fields:") {
            self.columns = Self::new(fields).columns;
        } else if let Some(format) = remark.strip_prefix("#Time Format:") {
            self.utc = !format.trim().eq_ignore_ascii_case("local");
        }
    }

    fn value<'a>(&self, words: &[&'a str], name: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|column| column == name)?;
        words.get(at).copied().filter(|word| *word != "-")
    }

    fn moment(&self, words: &[&str], input: &Input<'_>, order: &mut Order) -> Option<Moment> {
        const MEANING: &str = "Connection Logged";
        let text = format!("{}T{}", self.value(words, "date")?, self.value(words, "time")?);
        let moment = if self.utc {
            local_time::moment_in_utc(&text, MEANING)
        } else {
            let moment = local_time::moment(&text, input.zone, MEANING);
            match text.parse() {
                Ok(local) => order.settle(local, moment, input.zone),
                Err(_) => moment,
            }
        };
        moment.at.is_some().then_some(moment)
    }
}

impl Parser for FirewallLog {
    fn name(&self) -> &'static str {
        "firewall_log"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        start.starts_with(b"#Version: 1.")
            && memchr::memmem::find(start, b"#Software: Microsoft Windows Firewall").is_some()
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(input.bytes)?;
        if lines.encoding() == Encoding::Binary {
            return Err(ParseError::Foreign { format: FORMAT, found: "binary".to_owned() });
        }
        let mut head = Head::new(USUAL);
        let (mut seen, mut order) = (Seen::default(), Order::default());
        while let Some(line) = lines.next()? {
            let text = line.text.trim();
            if text.is_empty() {
                continue;
            }
            if text.starts_with('#') {
                head.take(text);
                continue;
            }
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            let Some(moment) = head.moment(&words, input, &mut order) else {
                seen.malformed = seen.malformed.saturating_add(1);
                seen.first_malformed = seen.first_malformed.or(Some(line.number));
                continue;
            };
            seen.note(moment.at);
            let initiated = initiated(head.value(&words, "path"));
            let shown = format!("{text} {initiated}");
            if !input.filter.admits_text(shown.as_bytes()) {
                continue;
            }
            if seen.told >= MAX_RECORDS {
                sink.damaged(Damage {
                    locator: Some(Locator::Line(line.number)),
                    message: format!("{FORMAT}: more than {MAX_RECORDS} lines matter"),
                    lost: true,
                });
                break;
            }
            seen.told = seen.told.saturating_add(1);
            if sink.record(record(&head, &words, moment, line.number)).is_break() {
                return Ok(());
            }
        }
        seen.finish(sink)
    }
}

/// Who began it, in Sysmon's words; empty where the log does not say.
fn initiated(direction: Option<&str>) -> &'static str {
    match direction {
        Some("SEND") => "true",
        Some("RECEIVE") => "false",
        _ => "",
    }
}

fn record(head: &Head, words: &[&str], moment: Moment, line: u64) -> Record {
    let mut record = Record::new("firewall_log", Locator::Line(line));
    for (column, field) in COLUMNS {
        let Some(value) = head.value(words, column) else { continue };
        match value.parse::<i64>() {
            Ok(number) => record.push(*field, number),
            Err(_) => record.push(*field, value),
        }
    }
    record.push("Initiated", initiated(head.value(words, "path")));
    record.times.push(moment);
    record
}

/// What was met so far.
#[derive(Default)]
struct Seen {
    lines: u64,
    told: u64,
    malformed: u64,
    first_malformed: Option<u64>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Seen {
    fn note(&mut self, at: Option<Timestamp>) {
        self.lines = self.lines.saturating_add(1);
        self.first = [self.first, at].into_iter().flatten().min();
        self.last = self.last.max(at);
    }

    fn finish(self, sink: &mut dyn Sink) -> Result<(), ParseError> {
        if let Some(line) = self.first_malformed {
            if self.lines == 0 {
                let found = format!("line {line} has no date and time");
                return Err(ParseError::Foreign { format: FORMAT, found });
            }
            sink.damaged(Damage {
                locator: Some(Locator::Line(line)),
                message: format!("{FORMAT}: {} line(s) without a time", self.malformed),
                lost: true,
            });
        }
        let (first, last, records) = (self.first, self.last, self.lines);
        sink.extent(Extent { first, last, records, ..Extent::default() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Everything, Zone};
    use crate::parse::testing::{Kept, Words, expect, parse, parse_with, sample, torment};

    #[test]
    fn local_time_becomes_utc() {
        let bytes = sample("firewall_log/pfirewall.log");
        assert!(FirewallLog.recognizes(&bytes));
        let zone = Zone::of_posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let input = Input {
            bytes: &bytes,
            sidecars: Vec::new(),
            name: "pfirewall.log",
            modified: None,
            filter: &Everything,
            paths: None,
            zone: Some(&zone),
        };
        let mut kept = Kept::default();
        FirewallLog.parse(&input, &mut kept).unwrap();
        expect("firewall_log/pfirewall.log", &kept.shown());
        assert_eq!(kept.extents[0].records, 6);
    }

    #[test]
    fn only_what_matters_is_told() {
        let bytes = sample("firewall_log/pfirewall.log");
        let kept = parse_with(&FirewallLog, &bytes, &Words(&["3389"])).unwrap();
        assert_eq!(kept.records.len(), 2);
        assert!(kept.shown().contains("assumed_zone"), "{}", kept.shown());
    }

    #[test]
    fn damaged_and_foreign() {
        let bytes = sample("firewall_log/pfirewall.log");
        assert!(parse(&FirewallLog, b"hello\nworld\n").is_err());
        assert!(parse(&FirewallLog, &[0, 1, 2, 3, 0, 0, 0, 9]).is_err());
        let headless: Vec<u8> = bytes.iter().skip(200).copied().collect();
        let kept = parse(&FirewallLog, &headless).unwrap();
        assert!(!kept.records.is_empty() && kept.damage.len() <= 1);
        torment(&FirewallLog, &bytes, 300);
    }
}
