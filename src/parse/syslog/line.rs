//! One line of a system log, in each of its forms.
//!
//! ```text
//! classic   Mar  6 21:15:20 host program[pid]: message
//! ISO       2024-03-07T03:15:20.201400+00:00 host program[pid]: message
//! RFC 5424  [<38>]1 2024-03-07T03:15:20Z host program pid id [structured data] message
//! macOS     2024-03-07 03:15:20-08 host program[pid]: message
//! ```

use jiff::tz::Offset;
use jiff::{Timestamp, civil};

use crate::model::Precision;
use crate::parse::agent_log::Stamp;

/// When a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// UTC; `exact` with digits below the second.
    At { at: Timestamp, exact: bool },
    /// Local time without a zone.
    Local(civil::DateTime),
    /// Local time of a leap year that is not to be used.
    NoYear(civil::DateTime),
}

/// A line taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub time: Time,
    pub raw_time: &'a str,
    pub host: &'a str,
    /// Empty where the line names none.
    pub program: &'a str,
    pub pid: Option<i64>,
    pub message: &'a str,
}

impl<'a> Line<'a> {
    /// The line of this text; `None` when it has none of the forms.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let text = text.trim_end_matches(['\r', '\0']);
        let rest = without_priority(text);
        if let Some(rest) = rest.strip_prefix("1 ")
            && let Some(line) = Self::of_rfc5424(rest)
        {
            return Some(line);
        }
        let (time, raw_time, rest) = match rest.as_bytes().first()? {
            b'0'..=b'9' => iso(rest)?,
            b'A'..=b'Z' => classic(rest)?,
            _ => return None,
        };
        let (host, rest) = rest.split_once(' ')?;
        Some(Self::of_tag(time, raw_time, host, rest))
    }

    /// The line whose text after the host's name is this.
    fn of_tag(time: Time, raw_time: &'a str, host: &'a str, rest: &'a str) -> Self {
        let plain = Self { time, raw_time, host, program: "", pid: None, message: rest };
        // BusyBox puts facility and severity before the program.
        let rest = match rest.split_once(' ') {
            Some((level, after)) if is_level(level) => after,
            _ => rest,
        };
        let Some((tag, message)) = rest.split_once(": ").or_else(|| rest.split_once(":\t")) else {
            return match rest.strip_suffix(':') {
                Some(tag) if !tag.contains(' ') => Self { message: "", ..tagged(plain, tag) },
                _ => plain,
            };
        };
        // `launchd[1] (com.example)` is macOS's; other blanks are part of a message.
        let name = tag.split_once(" (").map_or(tag, |(name, _)| name);
        if name.is_empty() || name.contains(' ') && !name.ends_with(']') {
            return plain;
        }
        Self { message, ..tagged(plain, name) }
    }

    fn of_rfc5424(rest: &'a str) -> Option<Self> {
        let mut fields = rest.splitn(6, ' ');
        let mut next = || fields.next();
        let (raw_time, host, program, pid, _id) = (next()?, next()?, next()?, next()?, next()?);
        let rest = next()?;
        let time = stamp(raw_time)?;
        let message = after_data(rest)?;
        let absent = |text: &'a str| if text == "-" { "" } else { text };
        Some(Self {
            time,
            raw_time,
            host: absent(host),
            program: absent(program),
            pid: pid.parse().ok(),
            message: message.strip_prefix('\u{feff}').unwrap_or(message),
        })
    }
}

fn tagged<'a>(line: Line<'a>, tag: &'a str) -> Line<'a> {
    let (program, pid) = match tag.strip_suffix(']').and_then(|tag| tag.rsplit_once('[')) {
        Some((program, pid)) => (program, pid.parse().ok()),
        None => (tag, None),
    };
    Line { program, pid, ..line }
}

/// The text without `<38>` before it.
fn without_priority(text: &str) -> &str {
    let Some((digits, rest)) = text.strip_prefix('<').and_then(|rest| rest.split_once('>')) else {
        return text;
    };
    let is = !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit());
    if is { rest } else { text }
}

/// `daemon.info`
fn is_level(word: &str) -> bool {
    const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
    word.split_once('.').is_some_and(|(facility, level)| {
        LEVELS.contains(&level) && facility.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

/// The text after the structured data of RFC 5424.
fn after_data(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some(rest.strip_prefix(' ').unwrap_or(rest));
    }
    let (mut quoted, mut escaped, mut open) = (false, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' if !quoted => open = true,
            ']' if !quoted => open = false,
            ' ' if !quoted && !open => return text.get(at.saturating_add(1)..),
            _ => {}
        }
    }
    text.starts_with('[').then_some("")
}

/// `Mar  6 21:15:20`, its text and what follows the blank after it.
fn classic(text: &str) -> Option<(Time, &str, &str)> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (raw, rest) = text.split_at_checked(15)?;
    let month = MONTHS.iter().position(|month| raw.get(..3) == Some(*month))?;
    let month = i8::try_from(month).ok()?.checked_add(1)?;
    let day = raw.get(3..6)?.trim().parse().ok()?;
    let local = clock(2000, month, day, raw.get(7..)?)?;
    Some((Time::NoYear(local), raw, rest.strip_prefix(' ')?))
}

fn clock(year: i16, month: i8, day: i8, text: &str) -> Option<civil::DateTime> {
    let mut parts = text.split(':');
    let mut next = || parts.next()?.parse::<i8>().ok();
    let (hour, minute, second) = (next()?, next()?, next()?);
    civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

/// `2024-03-07T03:15:20.2+00:00` or the same with a blank, its text and what follows.
fn iso(text: &str) -> Option<(Time, &str, &str)> {
    let is_date = |word: &str| word.len() == 10 && word.bytes().filter(|b| *b == b'-').count() == 2;
    let first = text.find(' ')?;
    let end = if is_date(text.get(..first)?) {
        let after = first.checked_add(1)?;
        after.checked_add(text.get(after..)?.find(' ')?)?
    } else {
        first
    };
    let raw = text.get(..end)?;
    Some((stamp(raw)?, raw, text.get(end.checked_add(1)?..)?))
}

fn stamp(raw: &str) -> Option<Time> {
    let Stamp::At { at, precision } = Stamp::read(raw)? else { return None };
    Some(match precision {
        Precision::AssumedZone => Time::Local(Offset::UTC.to_datetime(at)),
        precision => Time::At { at, exact: precision == Precision::Exact },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, host: &str, program: &str, pid: Option<i64>, message: &str) {
        let line = Line::read(text).unwrap_or_else(|| panic!("{text}"));
        let found = (line.host, line.program, line.pid, line.message);
        assert_eq!(found, (host, program, pid, message), "{text}");
    }

    #[test]
    fn every_form() {
        check("Mar  6 21:15:20 web sshd[7]: a: b", "web", "sshd", Some(7), "a: b");
        check("2024-03-07T03:15:20.2+00:00 web sudo:   x", "web", "sudo", None, "  x");
        check(
            "<38>1 2024-03-07T03:15:20Z web app 9 - [a b=\"]\"] m x",
            "web",
            "app",
            Some(9),
            "m x",
        );
        check("1 2024-03-07T03:15:20Z web - - - - m", "web", "", None, "m");
        check("2024-03-07 03:15:20-08 mac Installer[3]: m", "mac", "Installer", Some(3), "m");
        check(
            "Mar  6 21:15:20 mac com.apple.xpc.launchd[1] (a.b): m",
            "mac",
            "com.apple.xpc.launchd",
            Some(1),
            "m",
        );
        check("Mar  6 21:15:20 box auth.info sshd[7]: m", "box", "sshd", Some(7), "m");
        check(
            "Mar  6 21:15:20 web last message repeated 2 times: x",
            "web",
            "",
            None,
            "last message repeated 2 times: x",
        );
        for text in ["", "Mar", "Mar 44 21:15:20 a b: c", "2024 x", "é", "Mrz  6 21:15:20 a b"] {
            assert_eq!(Line::read(text), None, "{text}");
        }
    }
}
