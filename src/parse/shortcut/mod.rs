//! Shortcuts (`.lnk`): what they start or open, with what arguments, and what the
//! target was like when the shortcut was made or last used.
//!
//! In `Recent` Windows writes one for each file that a user opened; in a Startup
//! folder one starts a program at logon. The target need not exist any more, and a
//! shortcut does not show that a program ran.
//!
//! Source: [MS-SHLLINK] 2; item lists from libfwsi's documentation, property stores
//! from [MS-PROPSTORE].

mod extra;
mod items;
mod link;
mod location;

use std::ops::ControlFlow;

pub(super) use self::link::{CLASS_ID, HEADER_BYTES, Link};
use super::offer::{lost, offer};
use super::{ParseError, Parser};
use crate::model::{Input, Locator, Record, Sink};

const FORMAT: &str = "shortcut";
/// Larger files are read up to here: arguments end long before.
const MAX_BYTES: usize = 4 << 20;

/// Reads shortcuts; a `shortcut` record each.
pub struct Shortcut;

/// Reads shortcuts of a Startup folder; a `startup_shortcut` record each.
pub struct StartupShortcut;

impl Parser for Shortcut {
    fn name(&self) -> &'static str {
        "shortcut"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        is_link(start)
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        read("shortcut", input, sink)
    }
}

impl Parser for StartupShortcut {
    fn name(&self) -> &'static str {
        "startup_shortcut"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        is_link(start)
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        read("startup_shortcut", input, sink)
    }
}

/// Whether a shortcut begins here.
pub(super) fn is_link(start: &[u8]) -> bool {
    start.starts_with(&[HEADER_BYTES as u8, 0, 0, 0]) && start.get(4..20) == Some(&CLASS_ID)
}

fn read(category: &'static str, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
    let bytes = super::bytes::read_up_to(input.bytes, 0, MAX_BYTES)?;
    let Some(link) = Link::read(&bytes) else {
        let found = format!("{:02x?}", bytes.get(..20).unwrap_or(&bytes));
        return Err(ParseError::Foreign { format: FORMAT, found });
    };
    for fault in &link.faults {
        sink.damaged(lost(fault.0, format!("{FORMAT}: {}", fault.1)));
    }
    let mut record = Record::new(category, Locator::Offset(0));
    record.push("Name", input.name.strip_suffix(".lnk").unwrap_or(input.name));
    link.describe(&mut record);
    if category == "startup_shortcut" && record.text("CommandLine").is_none() {
        record.push("CommandLine", link.command_line());
    }
    let _: ControlFlow<()> = offer(record, input, sink);
    Ok(())
}

#[cfg(test)]
mod tests;
