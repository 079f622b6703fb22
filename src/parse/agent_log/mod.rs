//! The log of the ngrok agent: logfmt, JSON or what it prints to a terminal.
//!
//! Proves that the agent ran, which tunnels it opened and who came in through
//! them, with the true address of the visitor. Source of the forms: the logging
//! library the agent uses (log15) and logs in public issues.

mod line;
mod stamp;

use std::ops::ControlFlow;

use jiff::Timestamp;
use line::LogLine;
pub(super) use line::{pairs, value, without_colours};
pub(super) use stamp::Stamp;

use super::lines::{Encoding, Lines, Words, decode};
use super::target::{Target, host_and_port};
use super::{ParseError, Parser};
use crate::model::{Damage, Extent, Input, Locator, Moment, Record, Sink};

/// Records told of one file.
const MAX_RECORDS: usize = 100_000;
/// A file of which so many first lines are foreign is none of the agent's.
const MAX_FOREIGN_LINES: u64 = 1000;
/// Lines looked at for recognition.
const SAMPLE_LINES: usize = 20;

/// Messages that are kept whatever the rules ask for; a prefix is enough.
const MESSAGES: &[&str] = &[
    "started tunnel",
    "started endpoint",
    "client session established",
    "tunnel session started",
    "starting web service",
    "join connections",
    "open config file",
    "no configuration paths",
    "using configuration at",
    "ignoring default config path",
    "heartbeat timeout",
    "failed to reconnect session",
    "failed to auth",
    "failed to start tunnel",
    "session closed",
    "session closing",
    "received stop request",
    "update available",
    "updated to",
    "update downloaded",
    "reconnecting session",
    "all component stopped",
    "accept failed",
    "failed to open private leg",
    "failed to dial",
    "tunnel session",
    "initialized",
    "start tunnel listen",
    "service ",
];

/// Parts of the agent that sign its lines (`obj=`).
const OBJECTS: &[&str] = &[
    "tunnels",
    "tunnels.session",
    "csess",
    "tunSess",
    "join",
    "web",
    "app",
    "updater",
    "controller",
    "view",
    "service",
    "legacyTunnelsAPI",
    "api",
];

/// Reads the agent's log; an `agent_log` record for each line that matters.
pub struct NgrokLog;

impl Parser for NgrokLog {
    fn name(&self) -> &'static str {
        "ngrok_log"
    }

    fn tells_of_others(&self) -> bool {
        false
    }

    fn is_text(&self) -> bool {
        true
    }

    fn words(&self) -> &'static [&'static str] {
        WORDS.all()
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        if !WORDS.are_mentioned(start) {
            return false;
        }
        let (text, _) = decode(start);
        let lines: Vec<&str> =
            text.lines().filter(|l| !l.trim().is_empty()).take(SAMPLE_LINES).collect();
        // The first line, or the second where the first is a rotated rest or a remark.
        lines.iter().take(3).any(|line| LogLine::read(line).is_some())
            && lines.iter().filter_map(|line| LogLine::read(line)).any(|line| is_agents(&line))
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(input.bytes)?;
        if lines.encoding() == Encoding::Binary {
            return Err(foreign("binary"));
        }
        let mut read = Progress::default();
        while let Some(line) = lines.next()? {
            if line.text.trim().is_empty() {
                continue;
            }
            let Some(parsed) = LogLine::read(&line.text) else {
                read.malformed(line.number);
                if read.good == 0 && read.malformed >= MAX_FOREIGN_LINES {
                    return Err(foreign(&format!("{MAX_FOREIGN_LINES} lines of another form")));
                }
                continue;
            };
            read.good = read.good.saturating_add(1);
            let moment = parsed.time.moment(String::new(), input.modified, input.zone);
            read.first = read.first.or(moment.at);
            read.last = moment.at.or(read.last);
            if !matters(&parsed) && !input.filter.admits_text(line.text.as_bytes()) {
                continue;
            }
            if read.records >= MAX_RECORDS {
                sink.damaged(Damage {
                    locator: Some(Locator::Line(line.number)),
                    message: format!("further lines not listed: more than {MAX_RECORDS} matter"),
                    lost: true,
                });
                break;
            }
            read.records = read.records.saturating_add(1);
            let moment = Moment { raw: parsed.raw_time.clone(), ..moment };
            if sink.record(record(parsed, Locator::Line(line.number), Some(moment)))
                == ControlFlow::Break(())
            {
                return Ok(());
            }
        }
        read.finish(sink)
    }
}

/// What was met so far.
#[derive(Default)]
struct Progress {
    good: u64,
    records: usize,
    malformed: u64,
    first_malformed: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Progress {
    fn malformed(&mut self, line: u64) {
        if self.malformed == 0 {
            self.first_malformed = line;
        }
        self.malformed = self.malformed.saturating_add(1);
    }

    fn finish(self, sink: &mut dyn Sink) -> Result<(), ParseError> {
        if self.malformed > 0 && self.good == 0 {
            return Err(foreign("no line of its forms"));
        }
        sink.extent(Extent {
            first: self.first,
            last: self.last,
            records: self.good,
            ..Extent::default()
        });
        if self.malformed > 0 {
            sink.damaged(Damage {
                locator: Some(Locator::Line(self.first_malformed)),
                message: format!("{} lines of another form, this the first", self.malformed),
                lost: false,
            });
        }
        Ok(())
    }
}

fn foreign(found: &str) -> ParseError {
    ParseError::Foreign { format: "ngrok log", found: found.to_owned() }
}

fn matters(line: &LogLine) -> bool {
    MESSAGES.iter().any(|message| line.message.starts_with(message))
}

/// One of these words is in every line by which [`is_agents`] knows the agent.
static WORDS: Words = Words::new(&["obj", "started", "session", "config"]);

/// Whether the agent wrote this line and not another user of its logging library.
fn is_agents(line: &LogLine) -> bool {
    let object = line.pairs.iter().find(|(key, _)| key == "obj");
    const OWN: &[&str] = &[
        "started tunnel",
        "started endpoint",
        "client session established",
        "tunnel session started",
        "no configuration paths supplied",
        "using configuration at default config path",
        "ignoring default config path",
        "open config file",
    ];
    object.is_some_and(|(_, name)| OBJECTS.contains(&name.as_str()))
        || OWN.iter().any(|message| line.message.starts_with(message))
}

/// The record of a line of the agent's that stands in another log, without a time where
/// its own has no year: that log's says more. `certain` when it is known to be the
/// agent's, else its words must tell.
pub(super) fn of_line(text: &str, locator: Locator, certain: bool) -> Option<Record> {
    let line = LogLine::read(text).filter(|line| certain || is_agents(line))?;
    let dated = matches!(line.time, Stamp::At { .. });
    let moment = dated.then(|| line.time.moment(line.raw_time.clone(), None, None));
    Some(record(line, locator, moment))
}

/// The record of a line, which was written at `moment`.
fn record(line: LogLine, locator: Locator, moment: Option<Moment>) -> Record {
    let mut record = Record::new("agent_log", locator);
    record.times.extend(moment);
    let starts = line.message.starts_with("started ");
    record.push("Message", line.message);
    record.push("LogLevel", line.level);
    for (key, value) in line.pairs {
        match key.as_str() {
            "obj" => record.push("Object", value),
            "name" => record.push("Name", value),
            "addr" => {
                if let Some(target) = Target::new(&value).filter(|_| starts) {
                    push_target(&mut record, target);
                }
                record.push("Addr", value);
            }
            "url" => record.push("Url", value),
            "id" => record.push("Id", value),
            "err" => record.push("Err", value),
            "path" => record.push("Path", value),
            "l" => push_address(&mut record, &value, "LocalAddress", "LocalPort"),
            "r" => push_address(&mut record, &value, "RemoteAddress", "RemotePort"),
            _ => record.push(key, value),
        }
    }
    record
}

fn push_target(record: &mut Record, target: Target) {
    record.push("Target", target.text);
    if let Some(port) = target.port {
        record.push("TargetPort", i64::from(port));
    }
    record.push("RiskyTarget", target.risk.unwrap_or_default());
}

/// The address without brackets and its port.
fn push_address(record: &mut Record, text: &str, address: &'static str, port: &'static str) {
    let (host, number) = host_and_port(text);
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    record.push(address, host);
    if let Some(number) = number {
        record.push(port, i64::from(number));
    }
}

#[cfg(test)]
mod tests;
