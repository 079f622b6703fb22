//! Windows events exported as XML: one `<Event>` a line (Splunk's XmlWinEventLog) or
//! a document of `<Events>` (`wevtutil qe`, Event Viewer), UTF-8 or UTF-16.
//!
//! The text is cut at `<Event` and `</Event>` before any of it is parsed, so that a
//! damaged event costs only itself; memory is bounded by the largest event allowed.
//! Records are the same as those of the binary log, but that numbers of the event's
//! own data stay text, and that they stand at a line instead of under a record id.

mod decode;
mod element;

use std::ops::ControlFlow;

use jiff::Timestamp;
use memchr::{memchr_iter, memmem};

use self::decode::Decoder;
use super::evtx::normalize::{LoggedEvent, system_time};
use super::{ParseError, Parser};
use crate::model::{Damage, Extent, Input, Locator, Record, Sink};

const FORMAT: &str = "event XML";
/// A longer event is damage.
const MAX_EVENT_BYTES: usize = 4 << 20;
const START: &[u8] = b"<Event";
const END: &[u8] = b"</Event>";

/// Reads event logs exported as XML.
#[derive(Clone, Copy, Debug)]
pub struct EventXml;

impl Parser for EventXml {
    fn name(&self) -> &'static str {
        "event_xml"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        if !decode::begins_with_tag(start) {
            return false;
        }
        let text = decode::start(start);
        let mut rest = text.trim_start();
        while let Some(after) = rest.strip_prefix("<?").or_else(|| rest.strip_prefix("<!--")) {
            let Some((_, next)) = after.split_once('>') else {
                return false;
            };
            rest = next.trim_start();
        }
        let after = rest.strip_prefix("<Events").or_else(|| rest.strip_prefix("<Event"));
        after.is_some_and(|after| after.starts_with([' ', '\t', '\r', '\n', '>']))
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let extent = Extent::default();
        let mut reading =
            Reading { input, sink, extent, text: Vec::new(), at: 0, line: 1, end: None };
        let result = reading.run();
        let extent = std::mem::take(&mut reading.extent);
        sink.extent(extent);
        result.map(|_| ())
    }
}

/// The record of one `<Event>…</Event>`, for logs that carry such events in their
/// own lines (Sysmon for Linux writes them to syslog).
///
/// # Errors
///
/// What is wrong with the event, in one line.
pub fn parse_event(text: &str, locator: Locator) -> Result<Record, String> {
    Ok(element::read(text)?.into_record(locator, None))
}

/// What stands next in the buffer.
enum Next {
    /// An event from here to there.
    Event(usize, usize),
    /// An event begins here and another there before its end.
    Unended(usize, usize),
    /// An event begins here; its end is not in the buffer.
    Open(usize),
    Nothing,
}

struct Reading<'a> {
    input: &'a Input<'a>,
    sink: &'a mut dyn Sink,
    extent: Extent,
    /// Text not yet cut into events.
    text: Vec<u8>,
    /// Offset in `text` up to which all is done, and the line it stands in.
    at: usize,
    line: u64,
    /// Where the next `</Event>` stands, if that is known; `Some(None)`: nowhere in `text`.
    end: Option<Option<usize>>,
}

impl Reading<'_> {
    fn run(&mut self) -> Result<ControlFlow<()>, ParseError> {
        let mut decoder = Decoder::new(self.input.bytes);
        loop {
            let more = decoder.read(&mut self.text)?;
            if self.cut(more).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.text.drain(..self.at.min(self.text.len()));
            self.at = 0;
            self.end = None;
            if !more {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    /// Takes every event that is whole; keeps an open one while `more` text may end it.
    fn cut(&mut self, more: bool) -> ControlFlow<()> {
        loop {
            match self.next() {
                Next::Event(start, end) | Next::Unended(start, end) => {
                    self.advance(start);
                    let bytes = self.text.get(start..end).unwrap_or_default();
                    let event = String::from_utf8_lossy(bytes).into_owned();
                    self.event(&event)?;
                    self.advance(end);
                }
                Next::Open(start) => {
                    self.advance(start);
                    if more && self.text.len().saturating_sub(start) < MAX_EVENT_BYTES {
                        return ControlFlow::Continue(());
                    }
                    self.lost("an event does not end");
                    // Without an end there is no whole event in the text read so far.
                    let kept = self.text.len().saturating_sub(END.len());
                    self.advance(kept.max(start.saturating_add(START.len())));
                }
                Next::Nothing => {
                    // A mark may be cut by the end of the text read so far.
                    let kept = self.text.len().saturating_sub(END.len());
                    self.advance(kept.max(self.at));
                    return ControlFlow::Continue(());
                }
            }
        }
    }

    /// What stands next. The end found is kept, so that a crowd of starts before one
    /// end costs no search each.
    fn next(&mut self) -> Next {
        let Some(start) = find_start(&self.text, self.at, false) else {
            return Next::Nothing;
        };
        let inside = start.saturating_add(START.len());
        let end = match self.end {
            Some(None) => None,
            Some(Some(end)) if end >= inside => Some(end),
            _ => {
                let found = find(&self.text, inside, END);
                self.end = Some(found);
                found
            }
        };
        let end = end.map(|at| at.saturating_add(END.len()));
        let reach = end.unwrap_or(self.text.len());
        let other = find_start(self.text.get(..reach).unwrap_or_default(), inside, true);
        match (end, other) {
            (_, Some(other)) => Next::Unended(start, other),
            (Some(end), None) => Next::Event(start, end),
            (None, None) => Next::Open(start),
        }
    }

    /// Moves on to `to`, counting lines.
    fn advance(&mut self, to: usize) {
        let passed = self.text.get(self.at..to).unwrap_or_default();
        let lines = u64::try_from(memchr_iter(b'\n', passed).count()).unwrap_or_default();
        self.line = self.line.saturating_add(lines);
        self.at = to;
    }

    fn lost(&mut self, what: &str) {
        let line = self.line;
        let message = format!("{FORMAT}, line {line}: {what}");
        self.sink.damaged(Damage { locator: Some(Locator::Line(line)), message, lost: true });
    }

    fn event(&mut self, text: &str) -> ControlFlow<()> {
        if !text.ends_with("</Event>") {
            self.lost("an event does not end");
            return ControlFlow::Continue(());
        }
        self.count(text);
        let known = self.extent.computer.is_some() || self.extent.store.is_some();
        let admitted = self.admits(text);
        if known && !admitted {
            return ControlFlow::Continue(());
        }
        let event = match element::read(text) {
            Ok(event) => event,
            Err(why) => {
                self.lost(&why);
                return ControlFlow::Continue(());
            }
        };
        if !known {
            self.learn(&event);
        }
        if !admitted {
            return ControlFlow::Continue(());
        }
        self.sink.record(event.into_record(Locator::Line(self.line), None))
    }

    /// Literals of rules have no entities; the text that the filter sees has none either.
    fn admits(&self, text: &str) -> bool {
        let filter = self.input.filter;
        filter.admits_text(text.as_bytes())
            || text.contains('&') && filter.admits_text(element::without_entities(text).as_bytes())
    }

    fn count(&mut self, text: &str) {
        self.extent.count_at(written(text));
    }

    fn learn(&mut self, event: &LoggedEvent) {
        self.extent.store = Some(event.channel.clone()).filter(|name| !name.is_empty());
        self.extent.computer = Some(event.computer.clone()).filter(|name| !name.is_empty());
    }
}

/// The SystemTime of an event, found without parsing it.
fn written(text: &str) -> Option<Timestamp> {
    let (_, after) = text.split_once("SystemTime=")?;
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    system_time(after.get(1..)?.split_once(quote)?.0)
}

fn find(text: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    memmem::find(text.get(from..)?, what)?.checked_add(from)
}

/// The next `<Event`; a `certain` one can only be the log's own, not an element in an
/// event's data: it names its namespace or begins a line.
fn find_start(text: &[u8], mut from: usize, certain: bool) -> Option<usize> {
    while let Some(at) = find(text, from, START) {
        let after = text.get(at.saturating_add(START.len())..).unwrap_or_default();
        let fits = after.first().is_some_and(|b| b.is_ascii_whitespace() || *b == b'>');
        let own = || {
            let before = at.checked_sub(1).and_then(|i| text.get(i));
            after.trim_ascii_start().starts_with(b"xmlns") || matches!(before, None | Some(b'\n'))
        };
        if fits && (!certain || own()) {
            return Some(at);
        }
        from = at.saturating_add(START.len());
    }
    None
}

#[cfg(test)]
mod tests;
