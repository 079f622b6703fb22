//! The tool that held a service's port open when somebody came in over loopback, where
//! nothing else tells who carried it: it names the port, and it ran at that time.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::super::{Tool, is_loopback};
use super::JITTER;
use crate::model::{Coverage, Event, Hit, NO_TOOL, RowStage};

/// A tool that was seen at work so long before may carry a session.
const TUNNEL_SPAN: SignedDuration = SignedDuration::from_hours(24);
/// Hits below this score do not say that something is the tool's.
const OF_TOOL: u8 = 40;
/// Where records hold what is run.
const COMMANDS: &[&str] = &["CommandLine", "ImagePath", "Wrapped", "Details", "TaskCommand"];

/// What is known of a host.
pub(super) struct View<'a> {
    pub events: &'a [Event],
    pub tools: &'a [Tool],
    pub coverage: &'a [Coverage],
}

impl View<'_> {
    /// The tool last seen at work before that time that opens the port, as its log, its
    /// configuration or what starts it says; none whose visitors are told of elsewhere.
    pub(super) fn opener(&self, port: i64, at: Timestamp) -> Option<Arc<str>> {
        let active = self.events.iter().filter_map(|event| {
            let hit = self.hit_of(event)?;
            let works = matches!(hit.stage, RowStage::Executed | RowStage::Connected);
            let times = event.record.times.iter().filter_map(|moment| moment.at);
            let before = times.map(|time| at.duration_since(time)).filter(|d| is_before(*d));
            let before = before.filter(|d| works && *d <= TUNNEL_SPAN).min()?;
            (!self.has_ended(event, at)).then_some((before, &hit.tool))
        });
        let fits = |tool: &Arc<str>| {
            self.events.iter().any(|event| self.opens(event, tool, port, at))
                && !self.would_be_told(tool, port, at)
        };
        active.filter(|(_, tool)| fits(tool)).min().map(|(_, tool)| tool.clone())
    }

    /// The hit that makes an event a tool's.
    fn hit_of<'e>(&self, event: &'e Event) -> Option<&'e Hit> {
        event.hits.iter().find(|hit| {
            &*hit.tool != NO_TOOL
                && hit.score >= OF_TOOL
                && hit.suppressed_by.is_none()
                && self.tools.iter().any(|tool| tool.id == hit.tool)
        })
    }

    fn is_of(&self, event: &Event, tool: &Arc<str>) -> bool {
        self.hit_of(event).is_some_and(|hit| hit.tool == *tool)
    }

    /// Whether the event says, not later than that, that the tool opens the port.
    fn opens(&self, event: &Event, tool: &Arc<str>, port: i64, at: Timestamp) -> bool {
        let record = &event.record;
        let first = record.times.iter().filter_map(|moment| moment.at).min();
        let says = match record.category {
            "agent_log" | "tunnel_endpoint" => record.number("TargetPort") == Some(port),
            _ => COMMANDS.iter().filter_map(|f| record.text(f)).any(|line| names_port(line, port)),
        };
        says && first.is_none_or(|first| is_before(at.duration_since(first)))
            && self.is_of(event, tool)
    }

    /// Whether the process that the event is of had ended before that time.
    fn has_ended(&self, event: &Event, at: Timestamp) -> bool {
        let (pid, started) = (event.record.number("ProcessId"), event.record.first_time());
        let (Some(pid), Some(started)) = (pid, started) else { return false };
        self.events.iter().any(|other| {
            let record = &other.record;
            record.category == "process_termination"
                && record.number("ProcessId") == Some(pid)
                && record.first_time().is_some_and(|ended| started <= ended && ended < at)
        })
    }

    /// Whether a source that tells of the tool's visitors or of its connections to the port
    /// reaches over that time: it would have told of this one.
    fn would_be_told(&self, tool: &Arc<str>, port: i64, at: Timestamp) -> bool {
        let telling = self.events.iter().filter(|event| {
            let record = &event.record;
            let tells = match record.category {
                "agent_log" | "agent_service_log" => record.text("RemoteAddress").is_some(),
                "network_connection" => {
                    record.number("DestinationPort") == Some(port)
                        && record.text("DestinationIp").is_some_and(is_loopback)
                }
                _ => false,
            };
            tells && self.is_of(event, tool)
        });
        let sources: BTreeSet<&str> = telling.map(|event| &*event.artifact).collect();
        self.coverage.iter().any(|of| {
            sources.contains(of.source.as_str())
                && of.first.is_some_and(|first| first <= at)
                && of.last.is_some_and(|last| last >= at)
        })
    }
}

fn is_before(distance: SignedDuration) -> bool {
    distance >= -JITTER
}

/// Whether a command names the port as a word or after a colon.
fn names_port(command: &str, port: i64) -> bool {
    let mut words = command.split([' ', '\t', '=', '"', '\'', ':', '/', ',']);
    words.any(|word| word.parse() == Ok(port))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event_of, tool};
    use super::*;

    const STARTED: &str = "2024-03-18T09:06:35Z";

    /// Who opened the remote desktop's port at 09:08:01.
    fn check(events: &[Event], expected: Option<&str>) {
        check_with(events, &[], expected);
    }

    fn check_with(events: &[Event], coverage: &[Coverage], expected: Option<&str>) {
        let tools = [tool("ngrok"), tool("frp")];
        let at = "2024-03-18T09:08:01Z".parse().unwrap();
        let view = View { events, tools: &tools, coverage };
        assert_eq!(view.opener(3389, at).as_deref(), expected);
    }

    fn run(at: &str, command: &str) -> Event {
        let fields = [("CommandLine", command), ("ProcessId", "77")];
        event_of("ngrok", RowStage::Executed, "process_creation", at, &fields)
    }

    fn end(at: &str) -> Event {
        let fields = [("ProcessId", "77")];
        event_of("ngrok", RowStage::Executed, "process_termination", at, &fields)
    }

    fn endpoint(port: &str) -> Event {
        let mut event = run(STARTED, "");
        event.record.category = "tunnel_endpoint";
        (event.record.times, event.record.fields) = Default::default();
        event.record.push("TargetPort", port.parse::<i64>().unwrap());
        event.hits[0].stage = RowStage::Configured;
        event
    }

    #[test]
    fn a_running_agent_opens_what_its_command_or_configuration_names() {
        check(&[run(STARTED, "ngrok tcp 3389")], Some("ngrok"));
        check(&[run(STARTED, "ngrok tcp localhost:3389")], Some("ngrok"));
        check(&[run(STARTED, "ngrok http 13389")], None);
        check(&[run(STARTED, "ngrok start --all"), endpoint("3389")], Some("ngrok"));
        check(&[run(STARTED, "ngrok start --all"), endpoint("80")], None);
        check(&[endpoint("3389")], None);
    }

    #[test]
    fn what_ran_long_before_later_or_had_ended_carries_nobody() {
        check(&[run("2024-03-17T09:06:35Z", "ngrok tcp 3389")], None);
        check(&[run("2024-03-18T09:09:00Z", "ngrok tcp 3389")], None);
        check(&[run(STARTED, "ngrok tcp 3389"), end("2024-03-18T09:07:00Z")], None);
        check(&[run(STARTED, "ngrok tcp 3389"), end("2024-03-18T09:30:00Z")], Some("ngrok"));
    }

    #[test]
    fn the_last_of_several_tools_is_the_likeliest() {
        let fields = [("CommandLine", "frpc tcp -l 3389")];
        let at = "2024-03-18T09:07:35Z";
        let other = event_of("frp", RowStage::Executed, "process_creation", at, &fields);
        check(&[run(STARTED, "ngrok tcp 3389"), other], Some("frp"));
    }

    #[test]
    fn what_would_have_told_of_a_visitor_denies_one() {
        let visitor = [("RemoteAddress", "203.0.113.77")];
        let earlier = "2024-03-18T09:07:00Z";
        let told = event_of("ngrok", RowStage::Used, "agent_log", earlier, &visitor);
        let connection = [("DestinationIp", "127.0.0.1"), ("DestinationPort", "3389")];
        let made = event_of("ngrok", RowStage::Used, "network_connection", earlier, &connection);
        for telling in [told, made] {
            let source = |last: &str| Coverage {
                source: telling.artifact.to_string(),
                first: Some("2024-03-01T00:00:00Z".parse().unwrap()),
                last: Some(last.parse().unwrap()),
                path: String::new(),
                state: crate::model::CoverageState::Read,
                records: 0,
                gaps: Vec::new(),
                why: String::new(),
            };
            let events = [run(STARTED, "ngrok tcp 3389"), telling.clone()];
            check_with(&events, &[source(earlier)], Some("ngrok"));
            check_with(&events, &[source("2024-03-18T12:00:00Z")], None);
        }
    }
}
