//! Scripts and internet shortcuts in a Startup folder: what they run at logon, line
//! by line.
//!
//! Lines that are comments are left out. Shows what is set to start, not that it did.

use std::ops::ControlFlow;

use super::lines::{Encoding, Lines};
use super::offer::offer;
use super::{ParseError, Parser};
use crate::model::{Damage, Input, Locator, Record, Sink};

const FORMAT: &str = "startup script";
/// Lines that are read.
const MAX_LINES: u64 = 10_000;
/// How comments begin: batch, PowerShell, VBScript, JScript, settings files.
const COMMENTS: [&str; 8] = ["rem ", "@rem ", "::", "#", "'", "//", ";", "["];

/// Reads scripts that start at logon; a `startup_script` record for each line that matters.
pub struct StartupScript;

impl Parser for StartupScript {
    fn name(&self) -> &'static str {
        "startup_script"
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

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(input.bytes)?;
        if lines.encoding() == Encoding::Binary {
            let found = "bytes that are no text".to_owned();
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        while let Some(line) = lines.next()? {
            if line.number > MAX_LINES {
                let message = format!("{FORMAT}: more than {MAX_LINES} lines");
                let locator = Some(Locator::Line(line.number));
                sink.damaged(Damage { locator, message, lost: true });
                break;
            }
            let text = line.text.trim();
            let lower = text.to_lowercase();
            if lower.is_empty() || COMMENTS.iter().any(|comment| lower.starts_with(comment)) {
                continue;
            }
            let mut record = Record::new("startup_script", Locator::Line(line.number));
            record.push("CommandLine", text);
            record.push("Name", input.name);
            if offer(record, input, sink) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
