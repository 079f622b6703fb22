//! What programs in containers printed: Docker's `<id>-json.log`, and the CRI form
//! of Kubernetes and Podman.
//!
//! ```text
//! Docker  {"log":"text\n","stream":"stdout","time":"2024-03-11T02:20:01.8Z"}
//! CRI     2024-03-11T02:20:01.811000123Z stdout F text
//! ```
//!
//! Proves what the container's program said and when the engine took it, in UTC.
//! Sources: Docker's json-file driver; Kubernetes' container runtime interface.

use std::borrow::Cow;
use std::ops::ControlFlow;

use jiff::Timestamp;
use serde::Deserialize;

use super::agent_log::Stamp;
use super::lines::{Encoding, Lines};
use super::message::{Message, may_be_a_tools};
use super::{ParseError, Parser};
use crate::model::{Damage, Extent, Input, Locator, Moment, Precision, Record, Sink};

/// A file of which so many first lines are foreign is no such log.
const MAX_FOREIGN_LINES: u64 = 100;

/// Reads the output of containers; a record for each line that matters.
pub struct ContainerLog;

impl Parser for ContainerLog {
    fn name(&self) -> &'static str {
        "container_log"
    }

    fn is_text(&self) -> bool {
        true
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        if !matches!(start.first(), Some(b'{' | b'2')) {
            return false;
        }
        let text = String::from_utf8_lossy(start);
        let Some(first) = text.lines().next().filter(|line| line.starts_with(['{', '2'])) else {
            return false;
        };
        // The first line may be longer than what is seen of it.
        Line::read(first).is_some() || first.starts_with("{\"log\":\"") && !text.contains('\n')
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(input.bytes)?;
        if lines.encoding() == Encoding::Binary {
            return Err(foreign("binary".into()));
        }
        let mut extent = Extent::default();
        let (mut others, mut first_other) = (0u64, 0u64);
        while let Some(found) = lines.next()? {
            let Some(line) = Line::read(&found.text) else {
                if !found.text.trim().is_empty() {
                    first_other = if others == 0 { found.number } else { first_other };
                    others = others.saturating_add(1);
                }
                if extent.records == 0 && others >= MAX_FOREIGN_LINES {
                    return Err(foreign(format!("{MAX_FOREIGN_LINES} lines of another form")));
                }
                continue;
            };
            extent.records = extent.records.saturating_add(1);
            extent.first = extent.first.or(Some(line.at));
            extent.last = extent.last.max(Some(line.at));
            let text = line.text.trim_end();
            let matters = may_be_a_tools(text.trim_start())
                || input.filter.admits_text(text.as_bytes())
                || input.filter.admits_text(found.text.as_bytes());
            let record = || record(&line, found.number, input.name);
            if matters && sink.record(record()) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
        if extent.records == 0 && others > 0 {
            return Err(foreign("no line of its forms".into()));
        }
        if others > 0 {
            sink.damaged(Damage {
                locator: Some(Locator::Line(first_other)),
                message: format!("{others} lines of another form, this the first"),
                lost: true,
            });
        }
        sink.extent(extent);
        Ok(())
    }
}

fn foreign(found: String) -> ParseError {
    ParseError::Foreign { format: "container log", found }
}

fn record(line: &Line<'_>, number: u64, file: &str) -> Record {
    let moment = Moment {
        at: Some(line.at),
        meaning: "Log Line",
        precision: Precision::Exact,
        raw: line.raw_time.to_string(),
    };
    let message = Message {
        program: "",
        pid: None,
        text: line.text.trim_end(),
        moment,
        locator: Locator::Line(number),
        otherwise: "container_log",
    };
    let mut record = message.into_record();
    record.push("Stream", &*line.stream);
    record.push("ContainerId", file.strip_suffix("-json.log").unwrap_or_default());
    record
}

/// A line taken apart.
struct Line<'a> {
    at: Timestamp,
    raw_time: Cow<'a, str>,
    stream: Cow<'a, str>,
    text: Cow<'a, str>,
}

/// Docker's own keys; the text may be missing.
#[derive(Deserialize)]
struct Docker<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

impl<'a> Line<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.starts_with('{') {
            let line: Docker<'a> = serde_json::from_str(text).ok()?;
            let at = stamp(&line.time)?;
            return Some(Self { at, raw_time: line.time, stream: line.stream, text: line.log });
        }
        let mut fields = text.splitn(4, ' ');
        let mut next = || fields.next();
        let (time, stream, tag) = (next()?, next()?, next()?);
        let fits = matches!(stream, "stdout" | "stderr") && tag.starts_with(['F', 'P']);
        let at = stamp(time).filter(|_| fits)?;
        let text = next().unwrap_or_default();
        Some(Self { at, raw_time: time.into(), stream: stream.into(), text: text.into() })
    }
}

fn stamp(text: &str) -> Option<Timestamp> {
    match Stamp::read(text)? {
        Stamp::At { at, precision } if precision != Precision::AssumedZone => Some(at),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{Words, parse, parse_with, torment};

    const DOCKER: &str = concat!(
        r#"{"log":"t=2024-03-11T02:20:01+0000 lvl=info msg=\"started tunnel\" obj=tunnels name=x addr=//localhost:3306 url=tcp://4.tcp.ngrok.io:13399\n","stream":"stdout","time":"2024-03-11T02:20:01.811000123Z"}"#,
        "\n",
        r#"{"log":"other\n","stream":"stderr","time":"2024-03-11T02:21:00Z"}"#,
        "\n",
    );
    const CRI: &str = "2024-03-11T02:20:01.811000123Z stdout F t=2024-03-11T02:20:01+0000 lvl=info msg=\"started tunnel\" obj=tunnels addr=//localhost:3306\n";

    #[test]
    fn lines_of_both_forms() {
        assert!(ContainerLog.recognizes(DOCKER.as_bytes()));
        let kept = parse(&ContainerLog, DOCKER.as_bytes()).unwrap();
        let shown = kept.shown();
        assert!(shown.contains("agent_log line:1 | Message=started tunnel"), "{shown}");
        assert!(shown.contains("TargetPort=3306"), "{shown}");
        assert!(shown.contains("Log Line 2024-03-11T02:20:01.811000123Z exact"), "{shown}");
        assert!(shown.contains("container_log line:2 | Message=other | Stream=stderr"), "{shown}");
        assert_eq!(kept.extents[0].records, 2);
        assert!(ContainerLog.recognizes(CRI.as_bytes()));
        let kept = parse(&ContainerLog, CRI.as_bytes()).unwrap();
        assert_eq!(kept.records[0].category, "agent_log");
    }

    #[test]
    fn what_does_not_matter_is_left_out_and_damage_told() {
        let kept = parse_with(&ContainerLog, &DOCKER.as_bytes().to_vec(), &Words(&["none"]));
        assert_eq!(kept.unwrap().records.len(), 1);
        let torn = format!("{DOCKER}{{\"log\":\"cut");
        assert!(parse(&ContainerLog, torn.as_bytes()).unwrap().damage[0].lost);
        assert!(parse(&ContainerLog, b"{}\n{}\n").is_err());
        assert!(!ContainerLog.recognizes(b"2024-03-11 plain text\n"));
        torment(&ContainerLog, DOCKER.as_bytes(), 200);
    }
}
