//! Files of settings, schedules and histories as Linux and macOS keep them.
//!
//! Each is a text without times of its own, unless its module says otherwise: its records
//! get those of the file, whose last change may have been to another line.

mod crontab;
mod history;
mod plist;
mod process_listing;
mod script;
mod unit_file;
mod wget_hsts;

pub use crontab::{SystemCrontab, UserCrontab};
pub use history::ShellHistory;
pub use plist::Launchd;
pub use process_listing::ProcessListing;
pub use script::{AtJob, CronScript, EnvironmentFile, RcScript, ShellProfile};
pub use unit_file::{DesktopEntry, SystemdUnit};
pub use wget_hsts::WgetHsts;

use std::ops::ControlFlow;

use super::ParseError;
use super::lines::{Encoding, decode};
use super::offer::offer;
use crate::model::{Damage, Input, Record, Sink};

/// Larger files are no settings.
const MAX_BYTES: u64 = 16 << 20;
/// Records told of one file.
const MAX_RECORDS: u64 = 100_000;

/// The text of a file of this format.
///
/// # Errors
///
/// The read error, and `Foreign` for what is no text.
fn text_of(input: &Input<'_>, format: &'static str) -> Result<String, ParseError> {
    let bytes = input.read_all(MAX_BYTES)?;
    let (text, encoding) = decode(&bytes);
    if encoding == Encoding::Binary {
        return Err(ParseError::Foreign { format, found: "bytes that are no text".to_owned() });
    }
    Ok(text.into_owned())
}

/// Tells records up to a limit.
struct Teller<'a, 'b> {
    input: &'a Input<'b>,
    sink: &'a mut dyn Sink,
    format: &'static str,
    told: u64,
}

impl<'a, 'b> Teller<'a, 'b> {
    fn new(input: &'a Input<'b>, sink: &'a mut dyn Sink, format: &'static str) -> Self {
        Self { input, sink, format, told: 0 }
    }

    /// Pushes a record that matters.
    fn tell(&mut self, record: Record) -> ControlFlow<()> {
        self.told = self.told.saturating_add(1);
        if self.told > MAX_RECORDS {
            let message = format!("{}: more than {MAX_RECORDS} entries", self.format);
            self.sink.damaged(Damage { locator: Some(record.locator), message, lost: true });
            return ControlFlow::Break(());
        }
        offer(record, self.input, self.sink)
    }
}

/// A number of lines or bytes as the locator has it.
fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
