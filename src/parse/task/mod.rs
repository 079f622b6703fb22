//! Definitions of scheduled tasks: what Windows starts by itself, when and as whom.
//!
//! Two formats: XML without an ending below `System32\Tasks` (Windows Vista and later;
//! Microsoft's "Task Scheduler Schema") and `.job` files in `Windows\Tasks` ("MS-TSCH",
//! section 2.4). A file proves that the task was set up, not that it ran. The date in
//! the XML is what its author wrote there, in local time unless it says otherwise.

mod job;
mod xml;

pub(super) use self::xml::command_line;

use super::{ParseError, Parser};
use crate::model::{Input, Sink};

/// A larger task is none.
const MAX_TASK_BYTES: u64 = 4 << 20;

/// Reads task definitions in XML; a `task_file` record for each action.
pub struct TaskXml;

impl Parser for TaskXml {
    fn name(&self) -> &'static str {
        "task_xml"
    }

    fn is_text(&self) -> bool {
        true
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        xml::is_task(start)
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        xml::read(&input.read_all(MAX_TASK_BYTES)?, input.zone, sink)
    }
}

/// Reads `.job` files; one `task_file` record.
pub struct TaskJob;

impl Parser for TaskJob {
    fn name(&self) -> &'static str {
        "task_job"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        job::is_job(start)
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        job::read(&input.read_all(MAX_TASK_BYTES)?, input, sink)
    }
}

#[cfg(test)]
mod tests;
