//! Scripts that lie on a disk: what each of their commands would run, if somebody ran them.
//!
//! Batch files, PowerShell, VBScript, JScript and shell scripts, told apart by the ends of
//! their names. A command that goes on in the next line is one. Comments, labels and what
//! only prints a text are left out, and so are batch's carets, which only escape. Names that a
//! script sets to a text stand for it further down, as far as no more than that is needed to
//! know it. Shows what was prepared, not that it ran.

mod dialect;
mod names;

use std::ops::ControlFlow;

use self::dialect::Dialect;
use self::names::Names;
use super::lines::{Encoding, decode};
use super::offer::{offer, remark};
use super::{ParseError, Parser};
use crate::model::{Category, Damage, Input, Locator, Record, Sink, Value};

const FORMAT: &str = "script";
/// Larger files are no scripts of people.
const MAX_BYTES: u64 = 4 << 20;
/// Lines that are read.
const MAX_LINES: usize = 20_000;
/// Longest command that is kept whole; of a longer one, its beginning is.
const MAX_COMMAND_BYTES: usize = 64 << 10;

/// Reads scripts wherever they lie; a `script` record for each command.
pub struct DiskScript;

impl Parser for DiskScript {
    fn name(&self) -> &'static str {
        "disk_script"
    }

    /// Never by content: any text may be a script.
    fn recognizes(&self, _: &[u8]) -> bool {
        false
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn categories(&self) -> Option<Vec<(Category, Vec<String>)>> {
        Some(vec![("script", Vec::new())])
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let bytes = input.read_all(MAX_BYTES)?;
        let (text, encoding) = decode(&bytes);
        if encoding == Encoding::Binary {
            // Only its name says that it is one.
            sink.damaged(remark(format!("{FORMAT} by its name alone: bytes that are no text")));
            return Ok(());
        }
        let dialect = Dialect::of(input.name);
        let mut names = Names::default();
        let mut commands = commands(&text, dialect, sink);
        for (_, command) in &mut commands {
            *command = names.filled(command, dialect);
            names.learn(command, dialect);
        }
        // Most scripts hold nothing that anybody looks for: all of it is asked about at once.
        let all =
            commands.iter().fold(format!("Name={}\n", input.name), |mut all, (_, command)| {
                all.push_str("CommandLine=");
                all.push_str(command);
                all.push('\n');
                all
            });
        if !input.filter.admits_text(all.as_bytes()) {
            return Ok(());
        }
        for (line, command) in commands {
            let mut record = Record::new("script", Locator::Line(line));
            record.push("CommandLine", command);
            record.push("Name", input.name);
            record.push("Line", Value::Number(i64::try_from(line).unwrap_or(i64::MAX)));
            if offer(record, input, sink) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

/// The commands of a script, each with the number of its first line, in order.
fn commands(text: &str, dialect: Dialect, sink: &mut dyn Sink) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    let (mut open, mut first) = (String::new(), 0);
    let mut in_comment = false;
    for (number, line) in (1_u64..).zip(text.lines()) {
        if all.len() >= MAX_LINES {
            let message = format!("{FORMAT}: more than {MAX_LINES} commands");
            sink.damaged(Damage { locator: Some(Locator::Line(number)), message, lost: true });
            break;
        }
        let line = line.trim();
        if dialect.is_commented_out(line, &mut in_comment)
            || open.is_empty() && dialect.is_comment(line)
        {
            continue;
        }
        if open.is_empty() {
            first = number;
        }
        let (body, goes_on) = dialect.continued(line);
        let room = MAX_COMMAND_BYTES.saturating_sub(open.len());
        open.push_str(body.get(..body.floor_char_boundary(room)).unwrap_or_default());
        if goes_on {
            open.push(' ');
            continue;
        }
        let command = dialect.unescaped(std::mem::take(&mut open).trim());
        if !command.is_empty() && !dialect.only_says(&command) {
            all.push((first, command));
        }
    }
    let rest = dialect.unescaped(open.trim());
    if !rest.is_empty() && !dialect.only_says(&rest) {
        all.push((first, rest));
    }
    all
}

#[cfg(test)]
mod tests;
