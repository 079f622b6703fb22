//! The history of PSReadLine: what was typed at a PowerShell prompt, in order.
//!
//! `ConsoleHost_history.txt` and one file for every other host. A command of several
//! lines is kept with a backtick at the end of each line but the last. The file has no
//! times: the last change of the file is the time of its last command, and no earlier
//! command is later. It proves that a line was entered, not that it worked.
//!
//! Source of the form: PSReadLine's `History.cs` (saves lines, continues with a backtick).

use std::ops::ControlFlow;

use super::lines::{Encoding, Lines};
use super::{ParseError, Parser};
use crate::model::{Damage, Extent, Input, Locator, Moment, Precision, Record, Sink};

const FORMAT: &str = "PSReadLine history";
/// Commands told of one file; PSReadLine keeps 4096 unless told otherwise.
const MAX_COMMANDS: u64 = 200_000;
/// Longest command that is kept whole.
const MAX_COMMAND_BYTES: usize = 256 << 10;

/// Reads PSReadLine's histories; a `powershell_history` record for each command.
pub struct PowershellHistory;

/// A command that is being read.
struct Command {
    line: u64,
    text: String,
}

impl Parser for PowershellHistory {
    fn name(&self) -> &'static str {
        "powershell_history"
    }

    /// Any text could be one: only the file's name tells.
    fn recognizes(&self, _: &[u8]) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(input.bytes)?;
        if lines.encoding() == Encoding::Binary {
            return Err(ParseError::Foreign { format: FORMAT, found: "binary".to_owned() });
        }
        let mut told = 0;
        let mut open: Option<Command> = None;
        while let Some(line) = lines.next()? {
            let (text, continues) = match line.text.strip_suffix('`') {
                Some(text) => (text, true),
                None => (&*line.text, false),
            };
            let command =
                open.get_or_insert_with(|| Command { line: line.number, text: String::new() });
            if command.text.len().saturating_add(text.len()) <= MAX_COMMAND_BYTES {
                let newline = if command.line == line.number { "" } else { "\n" };
                command.text.push_str(newline);
                command.text.push_str(text);
            }
            if !continues && tell(open.take(), &mut told, input, sink).is_break() {
                return Ok(());
            }
        }
        let _ = tell(open, &mut told, input, sink);
        sink.extent(Extent { last: input.modified, records: told, ..Extent::default() });
        Ok(())
    }
}

fn tell(
    command: Option<Command>,
    told: &mut u64,
    input: &Input<'_>,
    sink: &mut dyn Sink,
) -> ControlFlow<()> {
    let Some(command) = command.filter(|command| !command.text.trim().is_empty()) else {
        return ControlFlow::Continue(());
    };
    let locator = Locator::Line(command.line);
    if *told >= MAX_COMMANDS {
        sink.damaged(Damage {
            locator: Some(locator),
            message: format!("{FORMAT}: more than {MAX_COMMANDS} commands; the rest is not told"),
            lost: true,
        });
        return ControlFlow::Break(());
    }
    *told = told.saturating_add(1);
    let mut record = Record::new("powershell_history", locator);
    record.push("CommandLine", command.text);
    record.push("Line", i64::try_from(command.line).unwrap_or(i64::MAX));
    record.times.extend(input.modified.map(|at| Moment {
        precision: Precision::UpperBound,
        ..Moment::exact(at, "Typed No Later Than (History File Modified)")
    }));
    sink.record(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{expect, parse, sample, torment};

    #[test]
    fn real_and_made_histories() {
        for name in ["ConsoleHost_history.txt", "several_lines.txt"] {
            let kept = parse(&PowershellHistory, &sample(&format!("powershell_history/{name}")));
            expect(&format!("powershell_history/{name}"), &kept.unwrap().shown());
        }
    }

    #[test]
    fn a_command_that_does_not_end_is_told() {
        let kept = parse(&PowershellHistory, b"Get-Item `\n  x `").unwrap();
        assert_eq!(kept.records[0].text("CommandLine"), Some("Get-Item \n  x "));
        assert_eq!(kept.records.len(), 1);
    }

    #[test]
    fn damaged_and_foreign() {
        assert!(parse(&PowershellHistory, &[0, 1, 2, 3, 0, 0, 0, 9]).is_err());
        assert!(parse(&PowershellHistory, b"").unwrap().records.is_empty());
        torment(&PowershellHistory, &sample("powershell_history/several_lines.txt"), 300);
    }
}
