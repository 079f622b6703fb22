//! Transcripts of PowerShell: what was typed in a session and what came back.
//!
//! ```text
//! **********************
//! Windows PowerShell transcript start      or the words of the system's language
//! Start time: 20220721023749               local time
//! Username: HOST\jane                      then RunAs user, configuration, machine,
//! …                                        host application, process id, versions
//! **********************
//! PS C:\> whoami                           a prompt, and the command
//! >> more                                  further lines of it
//! **********************
//! Command start time: 20220721023751       only where headers are asked for
//! **********************
//! ```
//!
//! Switched on by policy or by `Start-Transcript`. A command has a time of its own only with
//! such a header; without one it is known that it was typed after the start. Proves that a line was
//! entered, not that it worked. Source: samples of an English and a German system.

use std::ops::ControlFlow;

use jiff::civil::DateTime;

use super::lines::{Encoding, Lines, first_lines};
use super::offer::offer;
use super::{ParseError, Parser, local_time};
use crate::model::{Extent, Input, Locator, Moment, Record, Sink};

const FORMAT: &str = "PowerShell transcript";
const RULE: &str = "**********************";
const PROMPT: &str = "PS ";
const CONTINUED: &str = ">>";
/// Lines of a session's head, from the title on.
const MAX_HEAD_LINES: usize = 32;
/// Longest command that is kept whole.
const MAX_COMMAND_BYTES: usize = 256 << 10;

/// Reads transcripts; a `powershell_history` record for each command that matters.
pub struct PowershellTranscript;

/// What a session's head says, and the command that is being read.
#[derive(Default)]
struct Session {
    /// Lines since the last rule, of a head or a header.
    head: Vec<String>,
    in_head: bool,
    started: Option<DateTime>,
    user: String,
    host_application: String,
    /// When the next command was started, where that is told.
    next: Option<DateTime>,
    command: Option<(u64, String)>,
}

impl Parser for PowershellTranscript {
    fn name(&self) -> &'static str {
        "powershell_transcript"
    }

    fn is_text(&self) -> bool {
        true
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
        let mut lines = first_lines(start);
        lines.next().is_some_and(|line| line == RULE)
            && lines.next().is_some_and(|title| title.contains("PowerShell"))
            && lines.next().is_some_and(|line| time_in(&line).is_some())
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(input.bytes)?;
        let foreign = |found: &str| ParseError::Foreign { format: FORMAT, found: found.to_owned() };
        if lines.encoding() == Encoding::Binary {
            return Err(foreign("binary"));
        }
        let mut session = Session::default();
        let mut extent = Extent::default();
        while let Some(line) = lines.next()? {
            if line.number == 1 && line.text != RULE {
                return Err(foreign("a text that does not begin with a line of asterisks"));
            }
            let told = session.line(line.number, &line.text, input);
            if tell(told, &mut extent, input, sink).is_break() {
                return Ok(());
            }
        }
        let last = session.end(input);
        let _ = tell(last, &mut extent, input, sink);
        sink.extent(extent);
        Ok(())
    }
}

fn tell(
    record: Option<Record>,
    extent: &mut Extent,
    input: &Input<'_>,
    sink: &mut dyn Sink,
) -> ControlFlow<()> {
    let Some(record) = record else { return ControlFlow::Continue(()) };
    extent.records = extent.records.saturating_add(1);
    offer(record, input, sink)
}

impl Session {
    /// Takes a line; the command that ended before it, if one did.
    fn line(&mut self, number: u64, text: &str, input: &Input<'_>) -> Option<Record> {
        if text == RULE {
            let command = self.end(input);
            if self.in_head {
                self.take_head();
            }
            self.in_head = !self.in_head;
            return command;
        }
        if self.in_head {
            if self.head.len() < MAX_HEAD_LINES {
                self.head.push(text.to_owned());
            }
            return None;
        }
        if let (Some((_, command)), Some(more)) = (&mut self.command, text.strip_prefix(CONTINUED))
        {
            if command.len().saturating_add(more.len()) < MAX_COMMAND_BYTES {
                command.push('\n');
                command.push_str(more.trim_start());
            }
            return None;
        }
        let before = self.end(input);
        // The path in a prompt has no such sign; what came back rarely begins like one.
        if let Some((_, command)) = text.strip_prefix(PROMPT).and_then(|rest| rest.split_once('>'))
        {
            let command = command.trim();
            self.command = (!command.is_empty()).then(|| (number, command.to_owned()));
        }
        before
    }

    /// Takes what stood between two rules.
    fn take_head(&mut self) {
        let head = std::mem::take(&mut self.head);
        let value = |line: &String| line.split_once(": ").map(|(_, value)| value.trim().to_owned());
        let Some(at) = head.iter().position(|line| time_in(line).is_some()) else { return };
        let time = head.get(at).and_then(|line| time_in(line));
        // A command's header has nothing but its time.
        if head.len() == 1 {
            self.next = time;
        } else if head.len() > 4 {
            let after = |n: usize| at.checked_add(n).and_then(|at| head.get(at)).and_then(value);
            self.started = time;
            self.user = after(1).unwrap_or_default();
            self.host_application = after(5).unwrap_or_default();
            self.next = None;
        }
    }

    /// The command that was being read.
    fn end(&mut self, input: &Input<'_>) -> Option<Record> {
        let (line, command) = self.command.take()?;
        let mut record = Record::new("powershell_history", Locator::Line(line));
        record.push("CommandLine", command);
        record.push("User", self.user.as_str());
        record.push("HostApplication", self.host_application.as_str());
        record.push("Line", i64::try_from(line).unwrap_or(i64::MAX));
        let moment = |at: DateTime, meaning| -> Moment {
            local_time::of_local(at, &at.to_string(), input.zone, meaning)
        };
        let own = self.next.take().map(|at| moment(at, "Command Started"));
        let started = || self.started.map(|at| moment(at, "Typed After (Transcript Started)"));
        record.times.extend(own.or_else(started));
        Some(record)
    }
}

/// The time in `Start time: 20220721023749`, whatever the words.
fn time_in(line: &str) -> Option<DateTime> {
    let digits = line.split_once(": ")?.1.trim();
    let is_time = digits.len() == 14 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_time.then(|| DateTime::strptime("%Y%m%d%H%M%S", digits).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{parse, sample, torment};

    fn shown(text: &[u8]) -> Vec<String> {
        let kept = parse(&PowershellTranscript, text).unwrap();
        let line = |record: &Record| {
            let moment = &record.times[0];
            let text = |name| record.text(name).unwrap_or("-").to_owned();
            let (user, command) = (text("User"), text("CommandLine"));
            format!("{} {} {user} {command}", moment.raw, moment.meaning)
        };
        kept.records.iter().map(line).collect()
    }

    #[test]
    fn commands_in_any_language() {
        let text =
            sample("powershell_transcript/PowerShell_transcript.JUMP-01.Xa4.20240318104100.txt");
        assert!(PowershellTranscript.recognizes(&text));
        assert_eq!(
            shown(&text),
            [
                r"2024-03-18T10:41:00 Typed After (Transcript Started) CORP\jane cd C:\PerfLogs",
                r"2024-03-18T10:41:00 Typed After (Transcript Started) CORP\jane foreach ($p in 22, 3389) {
.\n.exe tcp $p }",
                r"2024-03-18T10:44:07 Command Started CORP\jane .\n.exe start --all",
            ]
        );
        let german = String::from_utf8(text)
            .unwrap()
            .replace(
                "Windows PowerShell transcript start",
                "nStart der Windows PowerShell-Aufzeichnung",
            )
            .replace("Start time", "Startzeit")
            .replace("Username", "Benutzername");
        assert!(PowershellTranscript.recognizes(german.as_bytes()));
        assert_eq!(shown(german.as_bytes()).len(), 3);
    }

    #[test]
    fn damaged_and_foreign() {
        for foreign in [&b"PS C:\\> whoami\n"[..], b"***\n", &[0; 64], b""] {
            assert!(!PowershellTranscript.recognizes(foreign));
        }
        assert!(parse(&PowershellTranscript, b"a text\n").is_err());
        let text =
            sample("powershell_transcript/PowerShell_transcript.JUMP-01.Xa4.20240318104100.txt");
        torment(&PowershellTranscript, &text, 300);
    }
}
