//! Histories of shells: what was typed, in order.
//!
//! ```text
//! bash    #1709782265           the time of the next line, if HISTTIMEFORMAT was set
//!         ngrok tcp 22
//! tcsh    #+1709782265          likewise
//! zsh     : 1711746955:4;cmd    with EXTENDED_HISTORY; a newline in cmd stands after a backslash
//! fish    - cmd: cmd            newline as \n, backslash doubled
//!           when: 1711746955
//! ```
//!
//! zsh writes some bytes as 0x83 and the byte with its bit 5 changed; libedit begins with
//! `_HiStOrY_V2_` and writes blanks as `\040`; ksh ends commands with zeros. Without a time
//! of its own a command was typed no later than the file was changed. It proves that a line
//! was entered, not that it worked; a user can edit the file. Sources: bash(1), zshoptions(1),
//! fish's and libedit's documentation.

use std::ops::ControlFlow;

use super::{Teller, number};
use crate::model::{Extent, Input, Locator, Moment, Precision, Record, Sink, from_unix};
use crate::parse::lines::Encoding;
use crate::parse::{ParseError, Parser};

const FORMAT: &str = "shell history";
/// A larger file is no history.
const MAX_HISTORY_BYTES: u64 = 128 << 20;
/// Longest command that is kept whole.
const MAX_COMMAND_BYTES: usize = 256 << 10;
const TYPED: &str = "Typed";
const BEFORE: &str = "Typed No Later Than (History File Modified)";
/// How libedit's files begin.
const EDITLINE: &str = "_HiStOrY_V2_";

/// Reads histories of shells and of Python; a `shell_history` record for each command.
pub struct ShellHistory;

/// A command as the file has it.
struct Command {
    line: u64,
    text: String,
    /// Seconds since 1970, if the file says.
    at: Option<i64>,
}

impl Parser for ShellHistory {
    fn name(&self) -> &'static str {
        "shell_history"
    }

    /// Any text could be one: only the file's name tells.
    fn recognizes(&self, _: &[u8]) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let bytes = input.read_all(MAX_HISTORY_BYTES)?;
        let ksh = bytes.starts_with(&[0x81, 0x01]);
        if !ksh && Encoding::of(&bytes) == Encoding::Binary {
            let found = "bytes that are no text".to_owned();
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        let shell = shell(input.name);
        let text = match shell {
            "zsh" => String::from_utf8_lossy(&plain(&bytes)).into_owned(),
            _ if ksh => {
                String::from_utf8_lossy(bytes.get(2..).unwrap_or_default()).replace('\0', "")
            }
            _ => String::from_utf8_lossy(&bytes).into_owned(),
        };
        let commands = match shell {
            "fish" => of_fish(&text),
            "zsh" => of_zsh(&text),
            _ => of_lines(&text),
        };
        let mut extent = Extent { last: input.modified, ..Extent::default() };
        let mut teller = Teller::new(input, sink, FORMAT);
        for command in commands {
            extent.records = extent.records.saturating_add(1);
            let at = command.at.and_then(|at| from_unix(at, 0));
            extent.first = [extent.first, at].into_iter().flatten().min();
            let mut record = Record::new("shell_history", Locator::Line(command.line));
            record.push("CommandLine", command.text);
            record.push("Shell", shell);
            record.times.extend(moment(command.at, input));
            if teller.tell(record) == ControlFlow::Break(()) {
                break;
            }
        }
        sink.extent(extent);
        Ok(())
    }
}

/// When a command was typed, or when at the latest.
fn moment(at: Option<i64>, input: &Input<'_>) -> Option<Moment> {
    if let Some(seconds) = at {
        let at = from_unix(seconds, 0);
        let raw = seconds.to_string();
        return Some(Moment { at, meaning: TYPED, precision: Precision::Second, raw });
    }
    let precision = Precision::UpperBound;
    input.modified.map(|at| Moment { precision, ..Moment::exact(at, BEFORE) })
}

/// The shell that names its history so.
fn shell(name: &str) -> &'static str {
    const NAMES: [(&str, &str); 8] = [
        ("zsh", "zsh"),
        ("zhistory", "zsh"),
        ("histfile", "zsh"),
        ("fish", "fish"),
        ("python", "python"),
        ("bash", "bash"),
        ("ash_history", "ash"),
        ("sh_history", "sh"),
    ];
    let name = name.to_ascii_lowercase();
    // Terminal of macOS keeps one of each zsh session: `<identifier>.history`.
    let session = name.ends_with(".history") && name.len() > 30 || name.ends_with(".historynew");
    match NAMES.iter().find(|(part, _)| name.contains(part)) {
        Some((_, shell)) => shell,
        None if session => "zsh",
        None => "shell",
    }
}

/// zsh's bytes as they were typed.
fn plain(bytes: &[u8]) -> Vec<u8> {
    const META: u8 = 0x83;
    let mut out = Vec::with_capacity(bytes.len());
    let mut all = bytes.iter();
    while let Some(byte) = all.next() {
        match *byte {
            META => out.extend(all.next().map(|byte| byte ^ 32)),
            other => out.push(other),
        }
    }
    out
}

fn of_lines(text: &str) -> Vec<Command> {
    let edited = text.starts_with(EDITLINE);
    let mut out = Vec::new();
    let mut at = None;
    for (n, line) in text.lines().enumerate() {
        let line = line.trim_end();
        let stamp = line.strip_prefix('#').map(|stamp| stamp.strip_prefix('+').unwrap_or(stamp));
        let digits = |stamp: &&str| stamp.len() >= 9 && stamp.bytes().all(|b| b.is_ascii_digit());
        if let Some(seconds) = stamp.filter(digits).and_then(|stamp| stamp.parse().ok()) {
            at = Some(seconds);
        } else if !line.trim().is_empty() && !line.starts_with(EDITLINE) {
            let text = if edited { unescaped(line) } else { line.to_owned() };
            let line = number(n).saturating_add(1);
            out.push(Command { line, text: cut(text), at: at.take() });
        }
    }
    out
}

/// A line as libedit writes it, its octal escapes resolved.
fn unescaped(line: &str) -> String {
    let mut out = Vec::new();
    let mut rest = line.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let value = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match value {
            Some(byte) => {
                out.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None if *first == b'\\' && after.first() == Some(&b'\\') => {
                out.push(b'\\');
                rest = after.get(1..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn of_zsh(text: &str) -> Vec<Command> {
    let mut out: Vec<Command> = Vec::new();
    let mut continues = false;
    for (n, line) in text.lines().enumerate() {
        let (body, more) = match line.strip_suffix('\\') {
            Some(body) => (body, true),
            None => (line, false),
        };
        if let Some(command) = out.last_mut().filter(|_| continues) {
            if command.text.len().saturating_add(body.len()) <= MAX_COMMAND_BYTES {
                command.text.push('\n');
                command.text.push_str(body);
            }
        } else if !body.trim().is_empty() {
            let (at, text) = extended(body).map_or((None, body), |(at, text)| (Some(at), text));
            let line = number(n).saturating_add(1);
            out.push(Command { line, text: cut(text.to_owned()), at });
        } else {
            continue;
        }
        continues = more;
    }
    out
}

/// Seconds and command of `: 1711746955:4;cmd`.
fn extended(line: &str) -> Option<(i64, &str)> {
    let (head, command) = line.strip_prefix(": ")?.split_once(';')?;
    let (at, duration) = head.trim_start().split_once(':')?;
    duration.parse::<u64>().ok()?;
    Some((at.parse().ok()?, command))
}

fn of_fish(text: &str) -> Vec<Command> {
    let mut out: Vec<Command> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("- cmd:") {
            let text = of_escapes(command.trim_start());
            let line = number(n).saturating_add(1);
            out.push(Command { line, text: cut(text), at: None });
        } else if let Some(when) = line.strip_prefix("  when:")
            && let Some(command) = out.last_mut()
        {
            command.at = when.trim().parse().ok();
        }
    }
    out
}

/// A command as fish writes it, its newlines and backslashes resolved.
fn of_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut all = text.chars();
    while let Some(c) = all.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match all.next() {
            Some('n') => out.push('\n'),
            other => out.extend(other),
        }
    }
    out
}

/// A command of a length that is kept.
fn cut(mut text: String) -> String {
    if text.len() > MAX_COMMAND_BYTES {
        let end = (0..=MAX_COMMAND_BYTES).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
    }
    text
}
