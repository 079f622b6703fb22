//! Events as tests of sessions need them.

use std::sync::Arc;

use crate::model::{Event, EvidencePath, Hit, Locator, Moment, Record};

/// An event of that time that a rule of no tool speaks of; numbers are numbers.
pub(super) fn event(category: &'static str, at: &str, fields: &[(&'static str, &str)]) -> Event {
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
            tool: Arc::from("tunnel"),
            rule: Arc::from("x"),
            clauses: Arc::from([]),
            techniques: Arc::from([]),
            stage: crate::model::RowStage::Context,
            score: 20,
            tags: Vec::new(),
            message: String::new(),
            suppressed_by: None,
        }],
        source: Arc::from("x"),
        sha256: None,
    }
}
