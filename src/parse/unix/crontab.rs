//! Tables of cron and anacron: what is started when.
//!
//! ```text
//! of a user   minute hour day month weekday command
//! of the host minute hour day month weekday user command
//! anacron     days delay name command
//! ```
//!
//! Five columns or one word such as `@reboot` say when. Comments and variables are no
//! entries. Shows what is set to start, not that it did. Sources: crontab(5), anacrontab(5).

use std::ops::ControlFlow;

use super::{Teller, number, text_of};
use crate::model::{Input, Locator, Record, Sink};
use crate::parse::{ParseError, Parser};

const FORMAT: &str = "crontab";
const COLUMNS: usize = 5;

/// Reads the host's tables, which name a user in each line; a `cron` record for each entry.
pub struct SystemCrontab;

/// Reads a user's table, which is called by its owner's name; a `cron` record for each entry.
pub struct UserCrontab;

impl Parser for SystemCrontab {
    fn name(&self) -> &'static str {
        "system_crontab"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let anacron = input.name.to_ascii_lowercase().contains("anacron");
        let read = if anacron { of_anacron } else { of_host };
        entries(input, sink, read)
    }
}

impl Parser for UserCrontab {
    fn name(&self) -> &'static str {
        "user_crontab"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        entries(input, sink, |line| {
            let (schedule, command) = scheduled(line)?;
            Some(Entry { schedule, user: input.name.to_owned(), name: "", command })
        })
    }
}

/// A line that starts something.
struct Entry<'a> {
    schedule: String,
    user: String,
    name: &'a str,
    command: &'a str,
}

fn entries(
    input: &Input<'_>,
    sink: &mut dyn Sink,
    read: impl for<'l> Fn(&'l str) -> Option<Entry<'l>>,
) -> Result<(), ParseError> {
    let text = text_of(input, FORMAT)?;
    let mut teller = Teller::new(input, sink, FORMAT);
    let mut other = None;
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = number(n).saturating_add(1);
        let Some(entry) = read(line) else {
            if !is_variable(line) {
                other = other.or(Some(at));
            }
            continue;
        };
        let mut record = Record::new("cron", Locator::Line(at));
        record.push("CommandLine", entry.command);
        let name = if entry.name.is_empty() { input.name } else { entry.name };
        record.push("Name", name);
        record.push("User", entry.user);
        record.push("Schedule", entry.schedule);
        if teller.tell(record) == ControlFlow::Break(()) {
            return Ok(());
        }
    }
    match other {
        Some(line) if teller.told == 0 => {
            let found = format!("line {line} is no entry");
            Err(ParseError::Foreign { format: FORMAT, found })
        }
        _ => Ok(()),
    }
}

/// `NAME=value`, with or without blanks around.
fn is_variable(line: &str) -> bool {
    let word = |name: &str| {
        let name = name.trim().trim_matches(['"', '\'']);
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    line.split_once('=').is_some_and(|(name, _)| word(name))
}

/// The first word of a text and what follows.
fn word(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.split_once(char::is_whitespace)?;
    Some((first, rest.trim_start()))
}

/// When, and the rest of the line.
fn scheduled(line: &str) -> Option<(String, &str)> {
    if line.starts_with('@') {
        let (when, rest) = word(line)?;
        return Some((when.to_owned(), rest));
    }
    let mut rest = line;
    let mut columns = Vec::with_capacity(COLUMNS);
    while columns.len() < COLUMNS {
        let (column, after) = word(rest)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "*/,-~?#".contains(c);
        if !column.chars().all(allowed) {
            return None;
        }
        columns.push(column);
        rest = after;
    }
    // The first column is a number, a range or a star; only names of days are words.
    let first = columns.first()?;
    (first.starts_with(|c: char| c.is_ascii_digit() || "*-~".contains(c)) && !rest.is_empty())
        .then(|| (columns.join(" "), rest))
}

fn of_host(line: &str) -> Option<Entry<'_>> {
    let (schedule, rest) = scheduled(line)?;
    let (user, command) = word(rest)?;
    Some(Entry { schedule, user: user.to_owned(), name: "", command })
}

fn of_anacron(line: &str) -> Option<Entry<'_>> {
    let (period, rest) = word(line)?;
    let (delay, rest) = word(rest)?;
    let (name, command) = word(rest)?;
    delay.parse::<u64>().ok()?;
    let schedule = format!("every {period} days");
    Some(Entry { schedule, user: "root".to_owned(), name, command })
}
