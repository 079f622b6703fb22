//! Records on their way past the filter.

use std::ops::ControlFlow;

use super::program::rendered;
use crate::model::{Damage, Input, Locator, Record, Sink};

/// Pushes a record if the filter admits what it says.
pub(crate) fn offer(record: Record, input: &Input<'_>, sink: &mut dyn Sink) -> ControlFlow<()> {
    if input.filter.admits_text(rendered(&record).as_bytes()) {
        return sink.record(record);
    }
    ControlFlow::Continue(())
}

/// A place where content is lost.
pub(crate) fn lost(offset: usize, message: String) -> Damage {
    Damage { locator: Some(Locator::Offset(offset as u64)), message, lost: true }
}

/// A remark that loses nothing.
pub(crate) fn remark(message: String) -> Damage {
    Damage { locator: None, message, lost: false }
}
