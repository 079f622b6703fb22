//! The tool that held a service's port open when somebody came in over loopback, where
//! nothing else tells who carried it: it names the port, and it ran at that time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::super::port::{leads_to, names_port, own_ports};
use super::super::{Tool, is_loopback, removal};
use super::JITTER;
use super::lasting::lasting;
use crate::model::{Coverage, Event, Hit, NO_TOOL, Precision, RowStage};

/// A tool that was seen at work so long before may carry a session.
const TUNNEL_SPAN: SignedDuration = SignedDuration::from_hours(24);
/// Hits below this score do not say that something is the tool's.
const OF_TOOL: u8 = 40;

/// What is known of a host.
pub(super) struct View<'a> {
    pub events: &'a [Event],
    pub tools: &'a [Tool],
    coverage: &'a [Coverage],
    /// When processes ended, by number.
    ends: BTreeMap<i64, Vec<Timestamp>>,
    /// Tools of which there is any trace, by name.
    seen: BTreeSet<Arc<str>>,
}

/// Who may have carried a session.
#[derive(Debug, Default)]
pub(super) struct Openers {
    /// The one that ran and opens the port, if no other may have been it.
    pub tool: Option<Arc<str>>,
    /// Why it was that one, in words.
    pub way: String,
    /// Else all that may have been it, in words, by name.
    pub possible: Vec<String>,
}

/// What a tool had to do with a port.
#[derive(Default)]
struct Role {
    /// It lets the port out, as a configuration says or a run of whatever time.
    opens: bool,
    /// The same, runs of the day before alone and what went on since.
    opens_now: bool,
    /// It is known to have gone on for so long, and until later.
    lasted: Option<SignedDuration>,
    /// What starts by itself lets the port out.
    is_kept: bool,
    /// Nothing says which port it lets out.
    is_untold: bool,
    /// How long before it was last seen at work, if it has not ended since.
    ran: Option<SignedDuration>,
}

impl Role {
    /// How far back a run may have begun that still goes on.
    fn span(&self) -> SignedDuration {
        self.lasted.map_or(TUNNEL_SPAN, |lasted| lasted.max(TUNNEL_SPAN))
    }

    fn is_at_work(&self) -> bool {
        self.ran.is_some_and(|before| before <= self.span())
    }

    fn way(&self, tool: &Arc<str>, port: i64) -> String {
        match self.lasted {
            Some(lasted) if lasted > TUNNEL_SPAN => {
                format!(
                    "{tool} ran for {} before, ended only later, and opens port {port}",
                    span(lasted)
                )
            }
            _ => format!("{tool} ran and opens port {port}"),
        }
    }

    fn told(&self, tool: &Arc<str>, port: i64) -> Option<String> {
        let of_day = self.ran.filter(|_| self.is_at_work());
        Some(match (self.opens, self.ran, of_day) {
            (true, Some(before), _) => {
                format!("{tool}, which opens port {port} and ran {} before", span(before))
            }
            (true, None, _) => format!("{tool}, which is set up to open port {port}"),
            (false, _, Some(before)) if self.is_untold => {
                format!("{tool}, which ran {} before", span(before))
            }
            _ => return None,
        })
    }
}

/// In the largest whole unit.
fn span(time: SignedDuration) -> String {
    let minutes = time.as_mins().max(0);
    match (minutes / 60 / 24, minutes / 60) {
        (days, _) if days > 1 => format!("{days} days"),
        (_, hours) if hours > 1 => format!("{hours} hours"),
        _ if minutes > 1 => format!("{minutes} minutes"),
        _ => "a minute or less".to_owned(),
    }
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
        let mut view = Self { events, tools, coverage, ends, seen: BTreeSet::new() };
        let seen = events.iter().filter_map(|event| view.hit_of(event));
        view.seen = seen.map(|hit| hit.tool.clone()).collect();
        view
    }

    /// Who had that port open then.
    pub(super) fn openers(&self, port: i64, at: Timestamp) -> Openers {
        let mut likely = Vec::new();
        let mut possible = Vec::new();
        let mut kept = Vec::new();
        for tool in &self.seen {
            let Some(role) = self.role(tool, port, at) else { continue };
            if self.would_be_told(tool, port, at) {
                continue;
            }
            if role.opens_now && role.is_at_work() {
                likely.push((tool, role.way(tool, port)));
            }
            kept.extend(role.is_kept.then_some(tool));
            possible.extend(role.told(tool, port));
        }
        match likely.as_slice() {
            // Another that starts by itself may have run untold.
            [(tool, way)] if kept.iter().all(|other| other == tool) => {
                Openers { tool: Some(Arc::clone(tool)), way: way.clone(), possible: Vec::new() }
            }
            _ => Openers { possible, ..Openers::default() },
        }
    }

    /// What the tool had to do with the port at that time; `None` if nothing.
    fn role(&self, tool: &Arc<str>, port: i64, at: Timestamp) -> Option<Role> {
        let mut role = Role { lasted: self.lasted(tool, at), ..Role::default() };
        let span = role.span();
        let end = self.end_of(tool, at).map(|end| at.duration_since(end));
        let mut others = false;
        for event in self.events.iter().filter(|event| self.is_of(event, tool)) {
            role.opens |= self.opens(event, port, at, None);
            role.opens_now |= self.opens(event, port, at, Some(span));
            others |= opens_some(event);
            let stage = self.hit_of(event).map(|hit| hit.stage);
            role.is_kept |= stage == Some(RowStage::Persisted) && self.opens(event, port, at, None);
            let exact = event.record.times.iter().filter(|m| m.precision != Precision::UpperBound);
            let before = exact.filter_map(|moment| moment.at).map(|time| at.duration_since(time));
            let last = before.filter(|before| is_before(*before)).min();
            let works =
                matches!(stage, Some(RowStage::Executed | RowStage::Connected | RowStage::Used));
            let goes_on = |before: &SignedDuration| end.is_none_or(|end| *before < end);
            if let Some(before) =
                last.filter(goes_on).filter(|_| works && !self.has_ended(event, at))
            {
                role.ran = Some(role.ran.map_or(before, |known| known.min(before)));
            }
        }
        role.is_untold = !role.opens && !others;
        (role.ran.is_some() || role.opens).then_some(role)
    }

    /// How long the tool had run and still ran, as its later end tells.
    fn lasted(&self, tool: &Arc<str>, at: Timestamp) -> Option<SignedDuration> {
        let mine = || self.events.iter().filter(|event| self.is_of(event, tool));
        let runs = mine().filter(|event| event.record.category == "process_creation");
        let processes = runs.filter_map(|event| {
            let started = event.record.first_time().filter(|started| *started <= at)?;
            let ends = self.ends.get(&event.record.number("ProcessId")?)?;
            let end = ends.iter().filter(|end| started <= **end).min()?;
            (*end >= at).then(|| at.duration_since(started))
        });
        processes.chain(lasting(mine(), at)).max()
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

    /// Whether the tool's event says, not later than that, that the tool opens the port; a run
    /// within that time alone.
    fn opens(&self, event: &Event, port: i64, at: Timestamp, of: Option<SignedDuration>) -> bool {
        let record = &event.record;
        let first = record.times.iter().filter_map(|moment| moment.at).min();
        let says = match record.category {
            "agent_log" | "tunnel_endpoint" => {
                let target = record.text("Target").filter(|target| target.contains(':'));
                record.number("TargetPort") == Some(port)
                    && target.is_none_or(|target| leads_to(target, port))
            }
            _ => record.commands().any(|line| names_port(line, port)),
        };
        // A run opens its own ports, and no longer than it lasts.
        let is_run = matches!(record.category, "process_creation" | "agent_log");
        let in_time = first.is_none_or(|first| {
            let before = at.duration_since(first);
            let is_recent = of.is_none_or(|span| before <= span);
            is_before(before) && (!is_run || is_recent && !self.has_ended(event, at))
        });
        says && in_time
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
    message.starts_with("Stopp")
        || message.contains("Deactivated")
        || record.commands().any(removal::is_end)
}

/// Whether the event says of some port of this host that it is let out.
fn opens_some(event: &Event) -> bool {
    let record = &event.record;
    record.number("TargetPort").is_some()
        || record.commands().any(|line| !own_ports(line).is_empty())
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
        assert_eq!(view.openers(3389, at).tool.as_deref(), expected);
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
    fn several_that_may_have_carried_somebody_are_told() {
        let of = |tool: &str, stage, at: &str, command: &str| {
            event_of(tool, stage, "process_creation", at, &[("CommandLine", command)])
        };
        let at = "2024-03-18T09:08:01Z".parse().unwrap();
        let tools = [tool("frp"), tool("ngrok")];
        for (events, expected) in [
            (
                vec![
                    of("ngrok", RowStage::Executed, STARTED, "ngrok tcp 3389"),
                    of("frp", RowStage::Executed, "2024-03-18T05:06:00Z", "frpc tcp -l 3389"),
                ],
                "frp, which opens port 3389 and ran 4 hours before; \
                 ngrok, which opens port 3389 and ran a minute or less before",
            ),
            (
                vec![of("frp", RowStage::Executed, "2024-03-14T05:06:00Z", "frpc tcp -l 3389")],
                "frp, which opens port 3389 and ran 4 days before",
            ),
            (
                vec![of("frp", RowStage::Persisted, STARTED, "frpc tcp -l 3389")],
                "frp, which is set up to open port 3389",
            ),
            (
                vec![of("frp", RowStage::Executed, STARTED, "frpc")],
                "frp, which ran a minute or less before",
            ),
            (vec![of("frp", RowStage::Executed, STARTED, "frpc tcp -l 80")], ""),
        ] {
            let openers = View::new(&events, &tools, &[]).openers(3389, at);
            assert_eq!(openers.tool, None);
            assert_eq!(openers.possible.join("; "), expected);
        }
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
