//! How long a tool had been at work at a time, as its own later end tells: what stops had
//! run, and a connection that is lost had been there until then.

use jiff::{SignedDuration, Timestamp};

use crate::model::{Event, Precision, Record, RowStage};

/// Messages of services and of tools at the end of what had lasted.
const LASTED: &[&str] = &[
    "Stopping ",
    "Deactivated successfully",
    "Initiating graceful shutdown",
    "Lost connection with the edge",
    "Unregistered tunnel connection",
    "heartbeat timeout",
    "session closed",
    "received stop request",
    "Control channel shutdown",
];

/// Since when one log shows a tool at work without an end, up to an end after `at`. The
/// log's next word of the tool must be that end: one of a later start is no proof.
/// `events` are the tool's own, of whatever log.
pub(super) fn lasting<'a>(
    events: impl Iterator<Item = &'a Event>,
    at: Timestamp,
) -> Option<SignedDuration> {
    let mut works: Vec<(&str, Timestamp, bool)> = events
        .filter(|event| is_work(event))
        .filter_map(|event| {
            let moment = event.record.times.first()?;
            let exact = moment.precision != Precision::UpperBound;
            Some((&*event.artifact, moment.at.filter(|_| exact)?, tells_it_lasted(&event.record)))
        })
        .collect();
    // The word of an end comes last of its second.
    works.sort_unstable();
    let logs = works.chunk_by(|a, b| a.0 == b.0);
    let spans = logs.filter_map(|log| {
        let (before, after) = log.split_at(log.partition_point(|(_, time, _)| *time <= at));
        after.first().filter(|(.., is_end)| *is_end)?;
        let run = before.rsplit(|(.., is_end)| *is_end).next()?;
        run.first().map(|(_, since, _)| at.duration_since(*since))
    });
    spans.max()
}

fn is_work(event: &Event) -> bool {
    let is_log = matches!(
        event.record.category,
        "agent_log" | "agent_service_log" | "syslog" | "journal" | "service_state"
    );
    let works = |stage| matches!(stage, RowStage::Executed | RowStage::Connected | RowStage::Used);
    is_log && event.hits.iter().any(|hit| works(hit.stage))
}

fn tells_it_lasted(record: &Record) -> bool {
    let message = record.text("Message").unwrap_or_default();
    record.text("State") == Some("stopped") || LASTED.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::super::testing::event_of;
    use super::*;

    /// Since when the tool had been at work at noon of March 18.
    fn check(log: &[(&str, &str)], expected: Option<i64>) {
        let lines: Vec<Event> = log
            .iter()
            .map(|(at, message)| {
                let fields = [("Message", *message)];
                event_of("frp", RowStage::Executed, "agent_log", at, &fields)
            })
            .collect();
        let at = "2024-03-18T12:00:00Z".parse().unwrap();
        assert_eq!(lasting(lines.iter(), at).map(|span| span.as_hours()), expected, "{log:?}");
    }

    #[test]
    fn an_end_tells_that_it_lasted_and_a_start_does_not() {
        let (early, later) = ("2024-03-10T12:00:00Z", "2024-03-15T12:00:00Z");
        let (start, lost) = ("Registered tunnel connection", "Lost connection with the edge");
        let end = "2024-03-20T00:00:00Z";
        check(&[(early, start), (end, lost)], Some(192));
        check(&[(early, start), (later, start), (end, lost)], Some(192));
        check(&[(early, lost), (later, start), (end, lost)], Some(72));
        check(&[(early, start), (later, lost), (end, lost)], None);
        check(&[(early, start), ("2024-03-19T00:00:00Z", start), (end, lost)], None);
        check(&[(early, start), (later, start)], None);
        check(&[(end, lost)], None);
        check(&[], None);
    }
}
