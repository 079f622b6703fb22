//! systemd's journal: `/var/log/journal/<machine id>/*.journal` and `*.journal~`.
//!
//! Proves what programs and units said, with the program's path, arguments, user and
//! unit as the journal daemon itself found them (fields that begin with `_`), in UTC
//! to the microsecond. All versions: regular and compact files, keyed hashes, data
//! packed with zstd, LZ4 or xz, files that were not closed or were rotated for being
//! damaged. Objects are read in the order of the file, so no chain of offsets can
//! lead astray and what lies behind a damaged place is still found. Source:
//! systemd's "Journal File Format"; compared with journalctl.

mod layout;
mod pages;
mod payload;

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use layout::{Header, Kind, Object};
use pages::Pages;

use super::message::{Message, cut};
use super::{ParseError, Parser, program};
use crate::model::{Damage, Extent, Input, Locator, Moment, Precision, Record, Sink, from_unix};

/// Entries of one file that are read.
const MAX_ENTRIES: u64 = 1 << 26;
/// Fields of one entry.
const MAX_ITEMS: usize = 4096;
/// Bytes that are searched for the next object behind a damaged place.
const MAX_SEARCHED_BYTES: u64 = 64 << 20;
/// Damaged places that are told one by one.
const MAX_DAMAGES: u64 = 100;
/// Bytes of a field's value that are kept.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// Fields of an entry that become fields of the record.
const FIELDS: [&str; 20] = [
    "MESSAGE",
    "SYSLOG_IDENTIFIER",
    "SYSLOG_PID",
    "_PID",
    "_UID",
    "_COMM",
    "_EXE",
    "_CMDLINE",
    "_SYSTEMD_UNIT",
    "_SYSTEMD_USER_UNIT",
    "UNIT",
    "USER_UNIT",
    "_HOSTNAME",
    "_TRANSPORT",
    "PRIORITY",
    "CONTAINER_NAME",
    "CONTAINER_ID",
    "_AUDIT_TYPE_NAME",
    "_AUDIT_LOGINUID",
    "COREDUMP_EXE",
];

/// Reads journal files; a record for each entry that matters.
pub struct Journal;

impl Parser for Journal {
    fn name(&self) -> &'static str {
        "journal"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        start.starts_with(layout::SIGNATURE)
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut pages = Pages::new(input.bytes);
        let start = pages.read(0, layout::MAX_HEADER_BYTES)?;
        let header = Header::read(&start)?;
        if header.size > input.bytes.size() {
            let what = format!("a header of {} bytes is cut off", header.size);
            return Err(ParseError::Broken { format: "journal", offset: 0, what });
        }
        let mut reading = Reading {
            input,
            end: input.bytes.size(),
            header,
            pages,
            data: HashMap::new(),
            entries: Vec::new(),
            extent: Extent::default(),
            damages: 0,
        };
        reading.scan(sink)?;
        reading.tell(sink)?;
        sink.extent(reading.extent);
        Ok(())
    }
}

struct Reading<'a> {
    input: &'a Input<'a>,
    header: Header,
    end: u64,
    pages: Pages<'a>,
    /// Objects that hold a field of [`FIELDS`]: which one, by offset.
    data: HashMap<u64, u8>,
    /// Offsets of the entries, in the file's order.
    entries: Vec<u64>,
    extent: Extent,
    damages: u64,
}

impl Reading<'_> {
    /// Walks over all objects and notes entries and the fields that matter.
    fn scan(&mut self, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut at = self.header.size;
        while at < self.end {
            let head = self.pages.read(at, layout::HEAD_BYTES)?;
            let object = Object::read(&head, at, self.end);
            let object = match object {
                Ok(object) => object,
                // Room that was set aside for what is still to come.
                Err(_) if head.iter().all(|b| *b == 0) && at > self.header.tail => break,
                Err(what) => {
                    let next = self.resync(at)?;
                    let to = next.unwrap_or(self.end);
                    self.damaged(sink, at, format!("{what}; {} bytes passed over", to - at));
                    at = to;
                    continue;
                }
            };
            match object.kind {
                Kind::Data => self.note(&object, sink)?,
                Kind::Entry if (self.entries.len() as u64) < MAX_ENTRIES => self.entries.push(at),
                _ => {}
            }
            at = object.next();
        }
        if at > self.end.next_multiple_of(8) {
            self.damaged(sink, self.end, "the file is cut off inside an object".into());
        }
        Ok(())
    }

    /// Notes a data object whose field is one of those that matter.
    fn note(&mut self, object: &Object, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let start = object.payload(&self.header);
        let longest = FIELDS.iter().map(|field| field.len()).max().unwrap_or_default();
        let beginning = match object.packing() {
            None => {
                let len = object.end().saturating_sub(start);
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                self.pages.read(start, len.min(longest.saturating_add(1)))?
            }
            Some(_) => match self.value(object)? {
                Ok(value) => value,
                Err(what) => {
                    self.damaged(sink, object.at, format!("a field's value: {what}"));
                    return Ok(());
                }
            },
        };
        let name = beginning.split(|b| *b == b'=').next().unwrap_or_default();
        let at = FIELDS.iter().position(|field| field.as_bytes() == name);
        if let Some(number) = at.and_then(|at| u8::try_from(at).ok()) {
            self.data.insert(object.at, number);
        }
        Ok(())
    }

    /// The next place from which objects follow each other again.
    fn resync(&mut self, from: u64) -> Result<Option<u64>, ParseError> {
        let mut at = from.saturating_add(8).next_multiple_of(8);
        let limit = from.saturating_add(MAX_SEARCHED_BYTES).min(self.end);
        while at < limit {
            let head = self.pages.read(at, layout::HEAD_BYTES)?;
            if let Ok(object) = Object::read(&head, at, self.end)
                && object.next() < self.end
            {
                let head = self.pages.read(object.next(), layout::HEAD_BYTES)?;
                if Object::read(&head, object.next(), self.end).is_ok() {
                    return Ok(Some(at));
                }
            }
            at = at.saturating_add(8);
        }
        Ok(None)
    }

    /// Puts every entry together and hands out those that matter.
    fn tell(&mut self, sink: &mut dyn Sink) -> Result<(), ParseError> {
        for at in std::mem::take(&mut self.entries) {
            let head = self.pages.read(at, layout::HEAD_BYTES)?;
            let Ok(object) = Object::read(&head, at, self.end) else { continue };
            let Some(entry) = self.entry(&object, sink)? else { continue };
            self.extent.records = self.extent.records.saturating_add(1);
            let time = entry.moment().at;
            self.extent.first = [self.extent.first, time].into_iter().flatten().min();
            self.extent.last = self.extent.last.max(time);
            if self.extent.computer.is_none() {
                self.extent.computer = entry.text("_HOSTNAME").map(str::to_owned);
            }
            let record = entry.into_record();
            let admitted = record.category == "agent_log"
                || self.input.filter.admits_text(program::rendered(&record).as_bytes());
            if admitted && sink.record(record) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }

    fn entry(&mut self, object: &Object, sink: &mut dyn Sink) -> Result<Option<Entry>, ParseError> {
        let len = usize::try_from(object.size).unwrap_or(usize::MAX);
        let item = if self.header.compact { 4 } else { 16 };
        let bytes = self.pages.read(object.at, len.min(64 + item * MAX_ITEMS))?;
        let Some((seqnum, realtime, items)) = layout::entry(&bytes, self.header.compact) else {
            self.damaged(sink, object.at, "an entry is cut off".into());
            return Ok(None);
        };
        let mut entry = Entry { seqnum, realtime, fields: BTreeMap::new() };
        let mut missing = 0u64;
        for offset in items {
            let Some(number) = self.data.get(&offset).copied() else {
                missing = missing.saturating_add(u64::from(offset >= self.end));
                continue;
            };
            let head = self.pages.read(offset, layout::HEAD_BYTES)?;
            let Ok(object) = Object::read(&head, offset, self.end) else { continue };
            let Ok(value) = self.value(&object)? else { continue };
            let name = FIELDS.get(usize::from(number)).copied().unwrap_or_default();
            let start = name.len().saturating_add(1);
            let end = value.len().min(start.saturating_add(MAX_VALUE_BYTES));
            let text = String::from_utf8_lossy(value.get(start..end).unwrap_or_default());
            entry.fields.entry(name).or_insert_with(|| text.into_owned());
        }
        if missing > 0 {
            let what = format!("{missing} fields of an entry lie behind the end of the file");
            self.damaged(sink, object.at, what);
        }
        Ok(Some(entry))
    }

    /// A data object's `FIELD=value`, unpacked; or why it cannot be.
    fn value(&mut self, object: &Object) -> Result<Result<Vec<u8>, String>, ParseError> {
        let start = object.payload(&self.header);
        let len = usize::try_from(object.end().saturating_sub(start)).unwrap_or(usize::MAX);
        let stored = self.pages.read(start, len.min(payload::MAX_STORED_BYTES))?;
        Ok(match object.packing() {
            None => Ok(stored),
            Some(packing) => payload::unpack(packing, &stored),
        })
    }

    fn damaged(&mut self, sink: &mut dyn Sink, at: u64, what: String) {
        self.damages = self.damages.saturating_add(1);
        if self.damages > MAX_DAMAGES {
            return;
        }
        let message = if self.damages == MAX_DAMAGES {
            "journal: further damage is not listed".to_owned()
        } else {
            format!("journal: {what}")
        };
        sink.damaged(Damage { locator: Some(Locator::Offset(at)), message, lost: true });
    }
}

/// An entry with the fields that matter.
struct Entry {
    seqnum: u64,
    /// Microseconds since 1970, UTC.
    realtime: u64,
    fields: BTreeMap<&'static str, String>,
}

impl Entry {
    fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn first(&self, names: &[&str]) -> &str {
        names.iter().find_map(|name| self.text(name)).unwrap_or_default()
    }

    fn moment(&self) -> Moment {
        let seconds = i64::try_from(self.realtime / 1_000_000).unwrap_or(i64::MAX);
        let nanos = i32::try_from(self.realtime % 1_000_000).unwrap_or_default();
        Moment {
            at: from_unix(seconds, nanos.saturating_mul(1000)),
            meaning: "Journal Entry Logged",
            precision: Precision::Exact,
            raw: self.realtime.to_string(),
        }
    }

    fn into_record(self) -> Record {
        let message = Message {
            program: self.first(&["SYSLOG_IDENTIFIER", "_COMM", "CONTAINER_NAME"]),
            pid: self.first(&["_PID", "SYSLOG_PID"]).parse().ok(),
            text: self.text("MESSAGE").unwrap_or_default(),
            moment: self.moment(),
            locator: Locator::Record(self.seqnum),
            otherwise: "journal",
        };
        let mut record = message.into_record();
        let mut add = |name: &'static str, text: &str| {
            if record.value(name).is_none() {
                record.push(name, cut(text));
            }
        };
        // Of an event that speaks of another program the journal's own fields are not.
        let of_sender = matches!(self.kind(), Kindred::Sender);
        if of_sender {
            add("Image", self.first(&["_EXE", "COREDUMP_EXE"]));
            add("CommandLine", self.first(&["_CMDLINE"]));
        }
        // What systemd itself says of a unit stands under the unit.
        add("Unit", self.first(&["UNIT", "USER_UNIT", "_SYSTEMD_USER_UNIT", "_SYSTEMD_UNIT"]));
        add("UserId", self.first(&["_UID"]));
        add("Transport", self.first(&["_TRANSPORT"]));
        add("ContainerId", self.first(&["CONTAINER_ID"]));
        add("Computer", self.first(&["_HOSTNAME"]));
        record
    }

    fn kind(&self) -> Kindred {
        let program = self.first(&["SYSLOG_IDENTIFIER", "_COMM"]);
        let of_others = ["sudo", "CRON", "cron", "crond", "sysmon"].contains(&program)
            || program.starts_with("sshd")
            || self.text("MESSAGE").is_some_and(|text| text.starts_with("<Event"));
        if of_others { Kindred::Reporter } else { Kindred::Sender }
    }
}

/// Whose program the fields of the sender are.
enum Kindred {
    /// The one that the message is about.
    Sender,
    /// One that reports on others.
    Reporter,
}

#[cfg(test)]
mod tests;
