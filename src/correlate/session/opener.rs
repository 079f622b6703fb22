//! The tool that held a service's port open when somebody came in over loopback, where
//! nothing else tells who carried it: it names the port, and it ran at that time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::super::{Tool, is_loopback};
use super::JITTER;
use crate::model::{Coverage, Event, Hit, NO_TOOL, RowStage};

/// A tool that was seen at work, or set up to start by itself, so long before may carry a
/// session.
const TUNNEL_SPAN: SignedDuration = SignedDuration::from_hours(24);
/// Hits below this score do not say that something is the tool's.
const OF_TOOL: u8 = 40;
/// Where records hold what is run.
const COMMANDS: &[&str] = &["CommandLine", "ImagePath", "Wrapped", "Details", "TaskCommand"];
/// Words of commands that a port of this host follows.
const TAKE_PORT: &[&str] = &[
    "--local-port",
    "--local_port",
    "-l",
    "-local_port",
    "http",
    "https",
    "local",
    "rdp",
    "ssh",
    "tcp",
    "tls",
];
/// Words of commands that the host follows which is let out.
const TAKE_HOST: &[&str] = &["--local-ip", "--local_ip", "-i", "-local_ip"];
/// Words of commands that end what runs.
const ENDS: &[&str] = &["kill", "killall", "pkill", "stop", "stop-process", "taskkill"];

/// What is known of a host.
pub(super) struct View<'a> {
    pub events: &'a [Event],
    pub tools: &'a [Tool],
    coverage: &'a [Coverage],
    /// When processes ended, by number.
    ends: BTreeMap<i64, Vec<Timestamp>>,
}

impl<'a> View<'a> {
    pub(super) fn new(events: &'a [Event], tools: &'a [Tool], coverage: &'a [Coverage]) -> Self {
        let mut ends: BTreeMap<i64, Vec<Timestamp>> = BTreeMap::new();
        for event in events.iter().filter(|e| e.record.category == "process_termination") {
            let (pid, at) = (event.record.number("ProcessId"), event.record.first_time());
            if let (Some(pid), Some(at)) = (pid, at) {
                ends.entry(pid).or_default().push(at);
            }
        }
        Self { events, tools, coverage, ends }
    }

    /// The tool last seen at work before that time that opens the port, as its log, its
    /// configuration or what starts it says; none whose visitors are told of elsewhere.
    pub(super) fn opener(&self, port: i64, at: Timestamp) -> Option<Arc<str>> {
        let mut active: BTreeMap<&Arc<str>, Vec<SignedDuration>> = BTreeMap::new();
        for event in self.events {
            let Some(hit) = self.hit_of(event) else { continue };
            let works =
                matches!(hit.stage, RowStage::Executed | RowStage::Persisted | RowStage::Connected);
            let times = event.record.times.iter().filter_map(|moment| moment.at);
            let before = times.map(|time| at.duration_since(time)).filter(|d| is_before(*d));
            let before = before.filter(|d| works && *d <= TUNNEL_SPAN).min();
            if let Some(before) = before.filter(|_| !self.has_ended(event, at)) {
                active.entry(&hit.tool).or_default().push(before);
            }
        }
        let likely = active.into_iter().filter_map(|(tool, before)| {
            let end = self.end_of(tool, at).map(|end| at.duration_since(end));
            let last = before.into_iter().filter(|d| end.is_none_or(|end| *d < end)).min()?;
            let opens = self.events.iter().any(|event| self.opens(event, tool, port, at));
            (opens && !self.would_be_told(tool, port, at)).then_some((last, tool))
        });
        likely.min().map(|(_, tool)| tool.clone())
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
            "agent_log" | "tunnel_endpoint" => {
                let target = record.text("Target").filter(|target| target.contains(':'));
                record.number("TargetPort") == Some(port)
                    && target.is_none_or(|target| leads_to(target, port))
            }
            _ => COMMANDS.iter().filter_map(|f| record.text(f)).any(|line| names_port(line, port)),
        };
        // A run opens its own ports, and no longer than it lasts.
        let is_run = matches!(record.category, "process_creation" | "agent_log");
        let in_time = first.is_none_or(|first| {
            let before = at.duration_since(first);
            is_before(before) && (!is_run || before <= TUNNEL_SPAN && !self.has_ended(event, at))
        });
        says && in_time && self.is_of(event, tool)
    }

    /// Whether the process that the event is of had ended before that time.
    fn has_ended(&self, event: &Event, at: Timestamp) -> bool {
        let (pid, started) = (event.record.number("ProcessId"), event.record.first_time());
        let (Some(pid), Some(started)) = (pid, started) else { return false };
        let ends = self.ends.get(&pid);
        ends.is_some_and(|ends| ends.iter().any(|end| started <= *end && *end < at))
    }

    /// When the tool was last seen to end before that time, if nothing of it is known to go on.
    fn end_of(&self, tool: &Arc<str>, at: Timestamp) -> Option<Timestamp> {
        let mine = || {
            let own = |event: &&Event| event.hits.iter().any(|hit| hit.tool == *tool);
            self.events.iter().filter(own)
        };
        let before = |event: &Event| event.record.first_time().filter(|time| *time < at);
        let goes_on = mine().any(|event| {
            event.record.category == "process_creation"
                && event.record.number("ProcessId").is_some()
                && before(event).is_some()
                && !self.has_ended(event, at)
        });
        let ends = mine().filter(|event| match event.record.category {
            "process_termination" => !goes_on,
            _ => tells_an_end(event),
        });
        ends.filter_map(before).max()
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

/// Whether a service's message or a command says that something was ended.
fn tells_an_end(event: &Event) -> bool {
    let record = &event.record;
    let message = record.text("Message").unwrap_or_default();
    let words = COMMANDS.iter().filter_map(|field| record.text(field)).flat_map(words);
    message.starts_with("Stopp")
        || message.contains("Deactivated")
        || words.map(str::to_ascii_lowercase).any(|word| ENDS.contains(&word.as_str()))
}

fn words(command: &str) -> impl Iterator<Item = &str> {
    command.split([' ', '\t', '=', '"', '\'', ',']).filter(|word| !word.is_empty())
}

/// Whether a command lets that port of this host out.
fn names_port(command: &str, port: i64) -> bool {
    let mut before = "";
    let mut named = false;
    for word in words(command) {
        let elsewhere = word.parse::<std::net::IpAddr>().is_ok_and(|ip| !ip.is_loopback());
        if TAKE_HOST.contains(&before) && elsewhere {
            return false;
        }
        named |= match word.contains(':') {
            true => leads_to(word, port),
            false => TAKE_PORT.contains(&before) && word.parse() == Ok(port),
        };
        before = word;
    }
    named
}

/// Whether an address ends with that port of this host: `R:2222:localhost:22`, `tcp://[::1]:22`.
fn leads_to(address: &str, port: i64) -> bool {
    let Some((host, last)) = address.trim_end_matches('/').rsplit_once(':') else { return false };
    let number = last.split('/').next().unwrap_or_default();
    let own = match host.rfind('[') {
        Some(at) => host.get(at..).unwrap_or_default(),
        None => host.rsplit([':', '/']).next().unwrap_or_default(),
    };
    // `R:22` of chisel is the same port on both sides.
    let is_own = matches!(own, "" | "R" | "localhost" | "0.0.0.0" | "*") || is_loopback(own);
    number.parse() == Ok(port) && is_own
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
        let view = View::new(events, &tools, coverage);
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
        check(
            &[run(STARTED, "chisel client https://c2:443 R:2222:127.0.0.1:3389/tcp")],
            Some("ngrok"),
        );
        check(&[run(STARTED, "frpc tcp -n x -l 3389")], Some("ngrok"));
        check(&[run(STARTED, "frpc tcp -n x -i 10.0.0.5 -l 3389")], None);
        check(&[run(STARTED, "chisel client https://c2:3389 R:3389:127.0.0.1:5985")], None);
        check(&[run(STARTED, "chisel client https://c2:443 R:3389:10.0.0.9:3389")], None);
        check(&[run(STARTED, "x -p 3389")], None);
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
        let mut prefetch = run("2024-03-18T09:06:45Z", "ngrok tcp 3389");
        prefetch.record.category = "prefetch";
        prefetch.record.fields.retain(|(name, _)| *name != "ProcessId");
        let started = || run(STARTED, "ngrok tcp 3389");
        check(&[started(), prefetch.clone()], Some("ngrok"));
        check(&[started(), prefetch.clone(), end("2024-03-18T09:07:00Z")], None);
        let other = run(STARTED, "ngrok tcp 22");
        check(&[run("2024-03-16T09:00:00Z", "ngrok tcp 3389"), other], None);
        let typed = run("2024-03-18T09:07:30Z", "pkill ngrok");
        check(&[prefetch, typed], None);
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
