//! The Linux audit log: `/var/log/audit/audit.log` and its rotated copies.
//!
//! Proves programs started with their arguments, connections, logins, commands of
//! sudo, services started: what the kernel or a trusted program reported, in UTC to
//! the millisecond. One event is several lines with the same serial number; their
//! text is quoted or in hexadecimal. Sources: auditd's documentation of record
//! types and fields; `ausearch -i` reads the samples alike.

mod event;
mod fields;

use std::collections::VecDeque;
use std::ops::ControlFlow;

use jiff::Timestamp;

use event::AuditEvent;
use fields::Head;

use super::lines::{Encoding, Lines, first_lines};
use super::packed::{self, Packing};
use super::{ParseError, Parser, program};
use crate::model::{Damage, Extent, Input, Locator, ReadAt, Record, Sink};

/// Events whose lines may still come: processors write at the same time.
const MAX_OPEN: usize = 32;
/// Lines of one event that are kept.
const MAX_LINES: usize = 2000;
/// A file of which so many first lines are foreign is no audit log.
const MAX_FOREIGN_LINES: u64 = 100;

/// Reads audit logs; a record for each event that matters.
pub struct Audit;

impl Parser for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn is_text(&self) -> bool {
        true
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        let unpacked;
        let start = match Packing::of(start) {
            Some(packing) => {
                unpacked = packed::start(packing, start);
                &unpacked
            }
            None => start,
        };
        // The first line of a rotated log may be cut.
        first_lines(start).take(2).any(|line| Head::read(&line).is_some())
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let start = super::bytes::read_up_to(input.bytes, 0, 8)?;
        let Some(packing) = Packing::of(&start) else {
            return Reading::new(input).run(input.bytes, sink);
        };
        let (text, fault) = packed::unpack(packing, input.bytes);
        if let Some(fault) = fault {
            let locator = Some(Locator::Offset(0));
            sink.damaged(Damage { locator, message: format!("audit log: {fault}"), lost: true });
        }
        Reading::new(input).run(&text, sink)
    }
}

struct Reading<'a> {
    input: &'a Input<'a>,
    open: VecDeque<AuditEvent>,
    extent: Extent,
    /// Lines that are none of a log's, and the first of them.
    others: u64,
    first_other: u64,
    lines: u64,
}

impl<'a> Reading<'a> {
    fn new(input: &'a Input<'a>) -> Self {
        Self {
            input,
            open: VecDeque::new(),
            extent: Extent::default(),
            others: 0,
            first_other: 0,
            lines: 0,
        }
    }

    fn run(mut self, text: &dyn ReadAt, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(text)?;
        if lines.encoding() == Encoding::Binary {
            return Err(foreign("binary"));
        }
        while let Some(line) = lines.next()? {
            let Some(head) = Head::read(&line.text) else {
                self.other(line.number, &line.text)?;
                continue;
            };
            self.lines = self.lines.saturating_add(1);
            self.seen(head.at);
            if self.take(&head, line.number, sink).is_break() {
                return Ok(());
            }
        }
        while let Some(event) = self.open.pop_front() {
            if self.tell(event, sink).is_break() {
                return Ok(());
            }
        }
        if self.lines == 0 && self.others > 0 {
            return Err(foreign("no line of its form"));
        }
        if self.others > 0 {
            sink.damaged(Damage {
                locator: Some(Locator::Line(self.first_other)),
                message: format!("{} lines of another form, this the first", self.others),
                lost: true,
            });
        }
        sink.extent(self.extent);
        Ok(())
    }

    fn other(&mut self, number: u64, text: &str) -> Result<(), ParseError> {
        if text.trim().is_empty() {
            return Ok(());
        }
        if self.others == 0 {
            self.first_other = number;
        }
        self.others = self.others.saturating_add(1);
        if self.lines == 0 && self.others >= MAX_FOREIGN_LINES {
            return Err(foreign("many lines of another form"));
        }
        Ok(())
    }

    fn seen(&mut self, at: Option<Timestamp>) {
        self.extent.first = [self.extent.first, at].into_iter().flatten().min();
        self.extent.last = self.extent.last.max(at);
    }

    /// Adds a line to its event; an event is told when its end is said, or when
    /// enough others have begun after it.
    fn take(&mut self, head: &Head<'_>, number: u64, sink: &mut dyn Sink) -> ControlFlow<()> {
        let at = self.open.iter().position(|event| event.is(head));
        if head.kind == "EOE" {
            return match at.and_then(|at| self.open.remove(at)) {
                Some(event) => self.tell(event, sink),
                None => ControlFlow::Continue(()),
            };
        }
        match at.and_then(|at| self.open.get_mut(at)) {
            Some(event) if event.len() >= MAX_LINES => {}
            Some(event) => event.add(head),
            None => {
                self.extent.records = self.extent.records.saturating_add(1);
                self.open.push_back(AuditEvent::new(head, number));
                if self.open.len() > MAX_OPEN
                    && let Some(event) = self.open.pop_front()
                {
                    return self.tell(event, sink);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn tell(&self, event: AuditEvent, sink: &mut dyn Sink) -> ControlFlow<()> {
        let record: Record = event.into_record();
        if !self.input.filter.admits_text(program::rendered(&record).as_bytes()) {
            return ControlFlow::Continue(());
        }
        sink.record(record)
    }
}

fn foreign(found: &str) -> ParseError {
    ParseError::Foreign { format: "audit log", found: found.to_owned() }
}

#[cfg(test)]
mod tests;
