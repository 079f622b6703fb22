//! Shell scripts that start by themselves, line by line: at boot, at login, by cron, once.
//!
//! Comments and the shell's own grammar (`if`, `fi`, `esac`, …) are left out, and so is what
//! only sets names. A line that goes on after a backslash is one. Shows what is set to start,
//! not that it did. A job of at(1) has its due time in its name: `a<5 hex: number><8 hex:
//! minutes since 1970>`.

use std::ops::ControlFlow;

use super::{Teller, number, text_of};
use crate::model::{Input, Locator, Moment, Precision, Record, Sink, from_unix};
use crate::parse::{ParseError, Parser};

/// Lines that are read.
const MAX_LINES: usize = 100_000;
/// Longest command that is kept whole.
const MAX_COMMAND_BYTES: usize = 64 << 10;
/// Words that start nothing, alone or in front of what they set.
const GRAMMAR: [&str; 24] = [
    "if", "then", "else", "elif", "fi", "for", "do", "done", "case", "esac", "while", "until",
    "in", "{", "}", "(", ")", ";;", "return", "exit", "break", "continue", "shift", "local",
];

/// Reads what init, OpenRC, runit and upstart run; an `rc_script` record for each command.
pub struct RcScript;

/// Reads what shells run at login; a `shell_profile` record for each command.
pub struct ShellProfile;

/// Reads the variables that services are started with; an `environment_file` record for
/// each line.
pub struct EnvironmentFile;

/// Reads scripts in cron's folders; a `cron` record for each command.
pub struct CronScript;

/// Reads jobs of at(1); a `cron` record for each command.
pub struct AtJob;

impl Parser for RcScript {
    fn name(&self) -> &'static str {
        "rc_script"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        commands(input, sink, "rc_script", &Facts::default())
    }
}

impl Parser for ShellProfile {
    fn name(&self) -> &'static str {
        "shell_profile"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        commands(input, sink, "shell_profile", &Facts::default())
    }
}

impl Parser for EnvironmentFile {
    fn name(&self) -> &'static str {
        "environment_file"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        commands(input, sink, "environment_file", &Facts { settings: true, ..Facts::default() })
    }
}

impl Parser for CronScript {
    fn name(&self) -> &'static str {
        "cron_script"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        commands(input, sink, "cron", &Facts { user: Some("root"), ..Facts::default() })
    }
}

impl Parser for AtJob {
    fn name(&self) -> &'static str {
        "at_job"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        commands(
            input,
            sink,
            "cron",
            &Facts { due: due(input.name), job: true, ..Facts::default() },
        )
    }
}

/// What is known of every command of a script.
#[derive(Default)]
struct Facts<'a> {
    user: Option<&'a str>,
    due: Option<Moment>,
    /// The environment stands in front of the commands.
    job: bool,
    /// Names are what it is there to set.
    settings: bool,
}

/// When a job of that name is due.
fn due(name: &str) -> Option<Moment> {
    let minutes = name.get(6..14).filter(|_| name.len() == 14)?;
    let seconds = i64::from_str_radix(minutes, 16).ok()?.checked_mul(60)?;
    let at = Some(from_unix(seconds, 0)?);
    let raw = minutes.to_owned();
    Some(Moment { at, meaning: "Job Due", precision: Precision::Second, raw })
}

fn commands(
    input: &Input<'_>,
    sink: &mut dyn Sink,
    category: &'static str,
    facts: &Facts<'_>,
) -> Result<(), ParseError> {
    let text = text_of(input, "shell script")?;
    let mut teller = Teller::new(input, sink, "shell script");
    let (mut open, mut first) = (String::new(), 0);
    for (n, line) in text.lines().enumerate().take(MAX_LINES) {
        if open.is_empty() {
            first = number(n).saturating_add(1);
        }
        let line = line.trim();
        if open.is_empty() && line.starts_with('#') {
            continue;
        }
        let (body, more) = match line.strip_suffix('\\') {
            Some(body) => (body, true),
            None => (line, false),
        };
        if open.len().saturating_add(body.len()) <= MAX_COMMAND_BYTES {
            open.push_str(body);
        }
        if more {
            continue;
        }
        let command = std::mem::take(&mut open);
        let told = starts_something(&command) || facts.settings && !command.trim().is_empty();
        if !told || facts.job && command.contains("; export ") {
            continue;
        }
        let mut record = Record::new(category, Locator::Line(first));
        record.push("CommandLine", command);
        record.push("Name", input.name);
        record.push("User", facts.user.unwrap_or_default());
        record.times.extend(facts.due.clone());
        if teller.tell(record) == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(())
}

/// Whether a line does more than test, branch or set a name.
fn starts_something(line: &str) -> bool {
    let line = line.trim();
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return false };
    let alone = words.next().is_none();
    if GRAMMAR.contains(&first) && (alone || matches!(first, "return" | "exit" | "local" | "in")) {
        return false;
    }
    let name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    // A function's head, a label of a case.
    let head = alone && (first.ends_with("()") || first.ends_with(')') && !first.contains('('));
    let sets = alone && first.split_once('=').is_some_and(|(left, _)| name(left));
    !head && !sets
}
