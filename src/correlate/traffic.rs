//! How many bytes a tool's programs sent and received, where the system counted them.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::Tool;
use super::verdict::Findings;
use crate::model::{Hit, Traffic};

/// Hits below this score do not say that a program is the tool's.
const OF_TOOL: u8 = 20;

/// The system writes each hour's counts at its end.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The sum over the hours of the tool's programs; `None` when nothing was counted.
pub(super) fn of(tool: &Tool, f: &Findings<'_>) -> Option<Traffic> {
    sum(tool, f, |_| true)
}

/// The sum over the hours that a time touches; `None` when nothing was counted, or
/// where no end is known.
pub(super) fn during(
    tool: &Tool,
    f: &Findings<'_>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Option<Traffic> {
    let (from, last) = (from?, until?.checked_add(HOUR).ok()?);
    sum(tool, f, |at| at.is_some_and(|at| at > from && at <= last))
}

fn sum(
    tool: &Tool,
    f: &Findings<'_>,
    is_meant: impl Fn(Option<Timestamp>) -> bool,
) -> Option<Traffic> {
    let is_tools = |h: &Hit| h.tool == tool.id && h.score >= OF_TOOL && h.suppressed_by.is_none();
    // A shadow copy of the database holds the same rows again.
    let (mut seen, mut sum) = (BTreeSet::new(), Traffic::default());
    for (index, event) in f.events.iter().enumerate() {
        let record = &event.record;
        if record.category != "srum_network" || !event.hits.iter().any(is_tools) {
            continue;
        }
        let bytes =
            |field| record.number(field).and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
        let (at, sent, received) = (record.first_time(), bytes("BytesSent"), bytes("BytesRecvd"));
        if !is_meant(at) || !seen.insert((record.locator.clone(), at, sent, received)) {
            continue;
        }
        sum.sent = sum.sent.saturating_add(sent);
        sum.received = sum.received.saturating_add(received);
        sum.first = [sum.first, at].into_iter().flatten().min();
        sum.last = sum.last.max(at);
        sum.rows.extend(f.rows_of.get(&index).into_iter().flatten().cloned());
    }
    (!seen.is_empty()).then_some(sum)
}
