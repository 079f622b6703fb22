//! Events and tools as tests of sessions need them.

use std::sync::Arc;

use super::super::Tool;
use crate::model::{Event, EvidencePath, Hit, Locator, Moment, NO_TOOL, Record, RowStage};

/// An event of that time that a rule of no tool speaks of; numbers are numbers.
pub(in crate::correlate) fn event(
    category: &'static str,
    at: &str,
    fields: &[(&'static str, &str)],
) -> Event {
    event_of(NO_TOOL, RowStage::Context, category, at, fields)
}

/// The same that a rule of that tool speaks of.
pub(in crate::correlate) fn event_of(
    tool: &str,
    stage: RowStage,
    category: &'static str,
    at: &str,
    fields: &[(&'static str, &str)],
) -> Event {
    let mut record = Record::new(category, Locator::Line(1));
    for (name, value) in fields {
        match value.parse::<i64>() {
            Ok(number) => record.push(*name, number),
            Err(_) => record.push(*name, *value),
        }
    }
    record.times.push(Moment::exact(at.parse().unwrap(), "Log Line"));
    Event {
        artifact: Arc::from("linux.log.auth"),
        path: EvidencePath::new("/var/log/auth.log"),
        record,
        hits: vec![Hit {
            tool: Arc::from(tool),
            rule: Arc::from("x"),
            clauses: Arc::from([]),
            techniques: Arc::from([]),
            stage,
            score: if tool == NO_TOOL { 20 } else { 60 },
            tags: Vec::new(),
            message: String::new(),
            suppressed_by: None,
        }],
        source: Arc::from("x"),
        sha256: None,
    }
}

/// A tool that has nothing but its name.
pub(in crate::correlate) fn tool(id: &str) -> Tool {
    Tool { id: Arc::from(id), ..Tool::default() }
}
