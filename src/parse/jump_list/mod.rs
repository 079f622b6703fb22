//! Jump lists: the files and commands that a program's entry in the taskbar offers,
//! most of them opened by the user with that program before.
//!
//! `automaticDestinations-ms` is a compound file: a shortcut in each stream, and the
//! stream `DestList` with the order, the last use and the number of uses.
//! `customDestinations-ms` is a row of shortcuts that the program itself put there.
//! The file's name is the program's identifier.
//!
//! Source: libyal's documentation of the jump lists' format; real files.

mod applications;
mod compound;
mod list;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use self::compound::Compound;
use self::list::Entry;
use super::offer::{lost, offer};
use super::shortcut::{self, CLASS_ID, HEADER_BYTES, Link};
use super::{ParseError, Parser};
use crate::model::{Input, Locator, Moment, Record, Sink};

const FORMAT: &str = "jump list";
/// Larger files are no jump lists.
const MAX_BYTES: u64 = 64 << 20;
/// Shortcuts that are read of one list.
const MAX_LINKS: usize = 10_000;

/// Reads jump lists that Windows keeps; a `jump_list` record for each entry.
pub struct AutomaticDestinations;

/// Reads jump lists that programs fill; a `jump_list` record for each entry.
pub struct CustomDestinations;

impl Parser for AutomaticDestinations {
    fn name(&self) -> &'static str {
        "automatic_destinations"
    }

    /// By place only: any office document is a compound file too.
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
        let bytes = input.read_all(MAX_BYTES)?;
        let mut faults = Vec::new();
        let compound = Compound::read(&bytes, &mut faults)
            .map_err(|found| ParseError::Foreign { format: FORMAT, found })?;
        let mut streams: BTreeMap<String, Vec<u8>> = compound.streams(&mut faults).collect();
        let list = streams.remove("destlist").unwrap_or_default();
        let entries = list::entries(&list, &mut faults);
        for (at, what) in faults {
            sink.damaged(lost(at, format!("{FORMAT}: {what}")));
        }
        for entry in entries {
            let name = format!("{:x}", entry.number);
            let stream = streams.remove(&name);
            if push(input, &name, stream.as_deref(), Some(&entry), sink) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
        // Streams that the list names no more.
        for (name, stream) in streams.iter().filter(|(_, stream)| shortcut::is_link(stream)) {
            if push(input, name, Some(stream), None, sink) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

/// One entry: its shortcut, if it has one, and its line of the list, if it is there.
fn push(
    input: &Input<'_>,
    name: &str,
    stream: Option<&[u8]>,
    entry: Option<&Entry>,
    sink: &mut dyn Sink,
) -> ControlFlow<()> {
    let mut record = Record::new("jump_list", Locator::Member(name.to_owned()));
    let times = entry.and_then(|e| Moment::of_filetime(e.used, "Last Accessed (Jump List)"));
    record.times.extend(times);
    if let Some(link) = stream.and_then(Link::read) {
        for (at, what) in &link.faults {
            sink.damaged(lost(*at, format!("{FORMAT}: entry {name}: {what}")));
        }
        link.describe(&mut record);
    }
    match entry {
        Some(entry) => entry.describe(&mut record),
        None => record.push("Unlisted", "true"),
    }
    application(input.name, &mut record);
    offer(record, input, sink)
}

/// Adds the program whose list it is, by the file's name.
fn application(name: &str, record: &mut Record) {
    let id = name.split('.').next().unwrap_or_default().to_lowercase();
    record.push("AppName", applications::name(&id).unwrap_or_default());
    record.push("AppId", id);
}

impl Parser for CustomDestinations {
    fn name(&self) -> &'static str {
        "custom_destinations"
    }

    /// By place only: nothing at its start tells it from others.
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
        const VERSION: [u8; 4] = [2, 0, 0, 0];
        const FOOTER: [u8; 4] = [0xab, 0xfb, 0xbf, 0xba];
        let bytes = input.read_all(MAX_BYTES)?;
        let starts = links(&bytes);
        if starts.is_empty() && !bytes.starts_with(&VERSION) {
            let found = format!("{:02x?} at its start, no shortcut in it", bytes.get(..4));
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        if !bytes.ends_with(&FOOTER) {
            sink.damaged(lost(bytes.len(), format!("{FORMAT}: its end mark is missing")));
        }
        let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
        for (start, end) in starts.iter().copied().zip(ends) {
            let Some(link) = bytes.get(start..end).and_then(Link::read) else { continue };
            for (at, what) in &link.faults {
                sink.damaged(lost(start.saturating_add(*at), format!("{FORMAT}: {what}")));
            }
            let mut record = Record::new("jump_list", Locator::Offset(start as u64));
            link.describe(&mut record);
            application(input.name, &mut record);
            if offer(record, input, sink) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

/// Where shortcuts begin, wherever the counts in front of them say.
fn links(bytes: &[u8]) -> Vec<usize> {
    let mut head = vec![HEADER_BYTES as u8, 0, 0, 0];
    head.extend(CLASS_ID);
    memchr::memmem::find_iter(bytes, &head).take(MAX_LINKS).collect()
}

#[cfg(test)]
mod tests;
