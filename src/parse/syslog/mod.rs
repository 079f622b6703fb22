//! System logs as text: `/var/log/syslog`, `auth.log`, `messages`, macOS's
//! `system.log`, and their rotated, packed copies.
//!
//! Proves what programs said, each line with the time at which the log daemon wrote
//! it. The classic form has local time without zone and year: the zone is the
//! host's, the year comes from the file's last change and is counted back over every
//! turn of the year between the lines. Sources: RFC 3164, RFC 5424, rsyslog's
//! templates of those names.

mod line;

use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};
use line::{Line, Time};

use super::lines::{Encoding, Lines, first_lines};
use super::local_time::Order;
use super::message::{Logins, Message, may_be_a_tools};
use super::packed::{self, Packing};
use super::{ParseError, Parser, program};
use crate::model::{Damage, Extent, Input, Locator, Moment, Precision, ReadAt, Record, Sink, Zone};

/// Lines that must be of the log's form at the beginning of a file to be recognised.
const SAMPLE_LINES: usize = 8;
/// A file of which so many first lines are foreign is no such log.
const MAX_FOREIGN_LINES: u64 = 1000;

/// Reads syslog text; a record for each line that matters.
pub struct Syslog;

impl Parser for Syslog {
    fn name(&self) -> &'static str {
        "syslog"
    }

    fn is_text(&self) -> bool {
        true
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        let unpacked;
        let start = match Packing::of(start) {
            Some(packing) => {
                unpacked = packed::start(packing, start);
                &unpacked
            }
            None => start,
        };
        // The last line may be cut.
        let end = memchr::memrchr(b'\n', start).unwrap_or(start.len());
        let (mut good, mut bad) = (0_usize, 0_usize);
        for line in first_lines(start.get(..end).unwrap_or_default()).take(SAMPLE_LINES) {
            if Line::read(&line).is_some_and(|l| !l.program.is_empty()) {
                good = good.saturating_add(1);
            } else {
                bad = bad.saturating_add(1);
            }
            if bad.saturating_mul(4) > SAMPLE_LINES {
                return false;
            }
        }
        good >= 2 && good >= bad.saturating_mul(3) && Encoding::of(start) != Encoding::Binary
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let start = super::bytes::read_up_to(input.bytes, 0, 8)?;
        let Some(packing) = Packing::of(&start) else {
            return Reading::new(input, input.bytes)?.run(sink);
        };
        let (text, fault) = packed::unpack(packing, input.bytes);
        if let Some(fault) = fault {
            let locator = Some(Locator::Offset(0));
            sink.damaged(Damage { locator, message: format!("system log: {fault}"), lost: true });
            if text.is_empty() {
                return Ok(());
            }
        }
        Reading::new(input, &text)?.run(sink)
    }
}

fn foreign(found: String) -> ParseError {
    ParseError::Foreign { format: "system log", found }
}

struct Reading<'a> {
    input: &'a Input<'a>,
    text: &'a dyn ReadAt,
    years: Years,
    order: Order,
    logins: Logins,
    /// Year of the first line that has none.
    first_year: Option<i16>,
    extent: Extent,
    others: u64,
    first_other: u64,
}

impl<'a> Reading<'a> {
    fn new(input: &'a Input<'a>, text: &'a dyn ReadAt) -> Result<Self, ParseError> {
        Ok(Self {
            input,
            text,
            years: Years::default(),
            order: Order::default(),
            logins: Logins::default(),
            first_year: first_year(input, text)?,
            extent: Extent::default(),
            others: 0,
            first_other: 0,
        })
    }

    fn run(mut self, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(self.text)?;
        if lines.encoding() == Encoding::Binary {
            return Err(foreign("binary".into()));
        }
        while let Some(found) = lines.next()? {
            let number = found.number;
            let Some(line) = Line::read(&found.text) else {
                self.other(number, &found.text)?;
                continue;
            };
            if self.line(number, &found.text, &line, sink).is_break() {
                return Ok(());
            }
        }
        if self.extent.records == 0 && self.others > 0 {
            return Err(foreign("no line of its forms".into()));
        }
        if self.others > 0 {
            sink.damaged(Damage {
                locator: Some(Locator::Line(self.first_other)),
                message: format!("{} lines of another form, this the first", self.others),
                lost: false,
            });
        }
        sink.extent(self.extent);
        Ok(())
    }

    fn other(&mut self, number: u64, text: &str) -> Result<(), ParseError> {
        if text.trim().is_empty() {
            return Ok(());
        }
        if self.others == 0 {
            self.first_other = number;
        }
        self.others = self.others.saturating_add(1);
        if self.extent.records == 0 && self.others >= MAX_FOREIGN_LINES {
            return Err(foreign(format!("{MAX_FOREIGN_LINES} lines of another form")));
        }
        Ok(())
    }

    fn line(
        &mut self,
        number: u64,
        whole: &str,
        line: &Line<'_>,
        sink: &mut dyn Sink,
    ) -> ControlFlow<()> {
        let moment = self.moment(line);
        self.extent.count_at(moment.at);
        if self.extent.computer.is_none() && !line.host.is_empty() {
            self.extent.computer = Some(line.host.to_owned());
        }
        let filter = self.input.filter;
        let admitted = filter.admits_text(whole.as_bytes());
        if !admitted && !is_understood(line) {
            return ControlFlow::Continue(());
        }
        let mut record = record(line, number, moment);
        self.logins.follow(&mut record);
        // What was worked out of a line may say more than its text.
        let matters = || match record.category {
            "agent_log" => true,
            "syslog" => false,
            _ => filter.admits_text(program::rendered(&record).as_bytes()),
        };
        if !admitted && !matters() {
            return ControlFlow::Continue(());
        }
        sink.record(record)
    }

    fn moment(&mut self, line: &Line<'_>) -> Moment {
        let zone = self.input.zone;
        let (at, precision) = match line.time {
            Time::At { at, exact: true } => (Some(at), Precision::Exact),
            Time::At { at, exact: false } => (Some(at), Precision::Second),
            Time::Local(local) => {
                let (at, precision) = (in_zone(local, zone), precision(zone, Precision::Second));
                return self.order.settle(local, log_line(at, precision, line), zone);
            }
            Time::NoYear(local) => {
                let turn = self.years.turn(local);
                let year = self.first_year.and_then(|year| year.checked_add(turn));
                let local = year.and_then(|year| local.with().year(year).build().ok());
                let at = local.and_then(|local| in_zone(local, zone));
                let moment = log_line(at, precision(zone, Precision::AssumedYear), line);
                return match local {
                    Some(local) => self.order.settle(local, moment, zone),
                    None => moment,
                };
            }
        };
        log_line(at, precision, line)
    }
}

fn log_line(at: Option<Timestamp>, precision: Precision, line: &Line<'_>) -> Moment {
    Moment { at, meaning: "Log Line", precision, raw: line.raw_time.to_owned() }
}

fn record(line: &Line<'_>, number: u64, moment: Moment) -> Record {
    let message = Message {
        program: line.program,
        pid: line.pid,
        text: line.message,
        moment,
        locator: Locator::Line(number),
        otherwise: "syslog",
    };
    let mut record = message.into_record();
    if record.text("Computer").is_none() {
        record.push("Computer", line.host);
    }
    record
}

/// Whether the line's program is one whose messages are taken apart.
fn is_understood(line: &Line<'_>) -> bool {
    const PROGRAMS: [&str; 7] = ["sshd", "sudo", "cron", "CRON", "anacron", "fcron", "dropbear"];
    PROGRAMS.iter().any(|program| line.program.contains(program))
        || line.message.starts_with("<Event")
        || may_be_a_tools(line.message.trim_start())
}

fn precision(zone: Option<&Zone>, known: Precision) -> Precision {
    if zone.is_some() { known } else { Precision::AssumedZone }
}

fn in_zone(local: jiff::civil::DateTime, zone: Option<&Zone>) -> Option<Timestamp> {
    match zone {
        Some(zone) => zone.to_utc(local),
        None => jiff::tz::TimeZone::UTC.to_timestamp(local).ok(),
    }
}

/// Turns of the year between lines without one.
#[derive(Default)]
struct Years {
    day: Option<i16>,
    turns: i16,
}

impl Years {
    /// How many years after the first line one of that day is; the lines are in order
    /// but for a few days.
    fn turn(&mut self, local: jiff::civil::DateTime) -> i16 {
        const DISORDER_DAYS: i16 = 7;
        const YEAR_DAYS: i16 = 366;
        let day = local.day_of_year();
        if let Some(before) = self.day {
            let back = before.saturating_sub(day);
            if back > DISORDER_DAYS {
                self.turns = self.turns.saturating_add(1);
            } else if back < DISORDER_DAYS - YEAR_DAYS {
                self.turns = self.turns.saturating_sub(1);
            }
        }
        self.day = Some(day);
        self.turns
    }
}

/// The year of the first line without one: the last such line is of the last year in
/// which it is not after the file's own change.
fn first_year(input: &Input<'_>, text: &dyn ReadAt) -> Result<Option<i16>, ParseError> {
    /// February 29 comes at least every eighth year.
    const YEARS_BACK: i16 = 8;
    let Some(modified) = input.modified else { return Ok(None) };
    let mut lines = Lines::new(text)?;
    let (mut years, mut last, mut read, mut others) = (Years::default(), None, 0u64, 0u64);
    while let Some(found) = lines.next()? {
        match Line::read(&found.text).map(|line| line.time) {
            Some(Time::NoYear(local)) => {
                last = Some((local, years.turn(local)));
                read = read.saturating_add(1);
            }
            // A log of a form with years needs no second look.
            Some(_) if read == 0 => return Ok(None),
            Some(_) => {}
            None => others = others.saturating_add(1),
        }
        if read == 0 && others > MAX_FOREIGN_LINES {
            break;
        }
    }
    let Some((local, turns)) = last else { return Ok(None) };
    // The file's time and the line's may be of neighbouring hours.
    let Ok(latest) = modified.checked_add(SignedDuration::from_hours(25)) else { return Ok(None) };
    let year = jiff::tz::Offset::UTC.to_datetime(latest).year();
    let fitting = (0..=YEARS_BACK).find_map(|back| {
        let year = year.checked_sub(back)?;
        let at = in_zone(local.with().year(year).build().ok()?, input.zone)?;
        (at <= latest).then_some(year)
    });
    Ok(fitting.and_then(|year| year.checked_sub(turns)))
}

#[cfg(test)]
mod tests;
