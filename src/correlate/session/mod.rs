//! Sessions: who came in. Remote desktop over loopback is put together from its
//! own logs, then joined to what carried it by the local port (C5), or to the
//! agent's own word of a connection; what nothing explains stays unattributed (C6).
//! Logins over ssh are joined alike; who else came in stays a visit.

mod client;
mod lasting;
mod opener;
mod ssh;
#[cfg(test)]
pub(super) mod testing;
mod visit;

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use self::opener::View;
use super::{REMOTE_ACCESS_PORTS, Tool, is_loopback, path};
use crate::model::{Coverage, Event, NO_TOOL, Precision, RowStage, Session};

/// Events of one logon stand this close together.
const LOGON_SPAN: SignedDuration = SignedDuration::from_secs(60);
/// Clock and flush differences between logs.
const JITTER: SignedDuration = SignedDuration::from_secs(3);
/// Score of what may have come through a tool that is known here.
const POSSIBLE: u8 = 40;
/// Score of a logon that only its neighbours make suspicious.
const RAISED: u8 = 60;

/// A session with the events behind it.
#[derive(Clone, Debug)]
pub struct Found {
    pub session: Session,
    /// The tool that carried it, if a log proves one or one alone opened the way.
    pub tool: Option<Arc<str>>,
    /// Why it was that tool, in words, where only the port that it held open tells so.
    pub way: Option<String>,
    /// Indices into the host's events, in time order.
    pub events: Vec<usize>,
}

/// One step of a remote desktop logon over loopback.
enum Step {
    Connect { port: Option<i64> },
    Authenticated,
    NetworkLogon,
    Logon,
    Begin { session: Option<i64> },
    End { session: Option<i64> },
}

struct Signal {
    at: Timestamp,
    event: usize,
    step: Step,
    user: String,
}

/// Finds sessions, attributes them, and tells the events which tool carried them.
pub fn find(events: &mut [Event], tools: &[Tool], coverage: &[Coverage]) -> Vec<Found> {
    let mut signals: Vec<Signal> =
        events.iter().enumerate().filter_map(|(i, e)| signal(i, e)).collect();
    signals.sort_by_key(|s| (s.at, s.event));
    let mut groups = group(&signals);
    close(&mut groups, &signals, events);
    groups.extend(ssh::logins(events));
    groups.sort_by_key(|g| (g.from, g.events.first().copied()));
    let joins = joins(events, tools);
    let mut used_joins = Vec::new();
    let view = View::new(events, tools, coverage);
    let mut found: Vec<Found> = groups
        .into_iter()
        .filter(|g| g.entered)
        .map(|g| attribute(g, &view, &joins, &mut used_joins))
        .collect();
    let rest = joins.iter().enumerate().filter(|(i, _)| !used_joins.contains(i)).map(|(_, j)| j);
    found.extend(visit::visits(rest, events));
    found.sort_by_key(|f| (f.session.from, f.events.first().copied()));
    for session in &found {
        mark(session, events);
    }
    found
}

fn signal(index: usize, event: &Event) -> Option<Signal> {
    let record = &event.record;
    let address = record.text("Address").or_else(|| record.text("IpAddress"))?;
    if event.hits.is_empty() || !is_loopback(address) {
        return None;
    }
    let session = record.number("SessionID");
    let step = match (record.category, record.number("EventID")?) {
        ("rdp", 131) => Step::Connect { port: record.number("SourcePort") },
        ("rdp", 1149) => Step::Authenticated,
        ("rdp", 21 | 22 | 25) => Step::Begin { session },
        ("rdp", 23 | 24) => Step::End { session },
        ("session_reconnect", 4778) => Step::Begin { session: None },
        ("session_reconnect", 4779) => Step::End { session: None },
        ("logon", _) => match record.number("LogonType")? {
            10 | 12 => Step::Logon,
            3 | 7 => Step::NetworkLogon,
            _ => return None,
        },
        _ => return None,
    };
    let user = record.text("User").unwrap_or_default().to_owned();
    Some(Signal { at: record.first_time()?, event: index, step, user })
}

/// What a session is served by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Desktop,
    Ssh,
}

impl Service {
    /// The word for it, and the port it listens on.
    fn name_and_port(self) -> (&'static str, i64) {
        match self {
            Self::Desktop => ("rdp", 3389),
            Self::Ssh => ("ssh", 22),
        }
    }
}

#[derive(Debug)]
struct Group {
    service: Service,
    from: Timestamp,
    until: Option<Timestamp>,
    port: Option<i64>,
    session: Option<i64>,
    user: String,
    /// Somebody got in: authenticated or logged on, not only connected.
    entered: bool,
    connected: bool,
    /// What tells of it may be an hour early.
    is_unsure: bool,
    events: Vec<usize>,
}

impl Group {
    fn new(signal: &Signal) -> Self {
        Self {
            service: Service::Desktop,
            from: signal.at,
            until: None,
            port: None,
            session: None,
            user: String::new(),
            entered: false,
            connected: false,
            is_unsure: false,
            events: Vec::new(),
        }
    }

    fn takes(&self, signal: &Signal) -> bool {
        let in_time = signal.at.duration_since(self.from) <= LOGON_SPAN;
        in_time
            && (self.user.is_empty()
                || signal.user.is_empty()
                || same_user(&self.user, &signal.user))
    }
}

/// Whether two spellings name one account: the names agree and the domains do
/// not contradict (a bare name, or a host's name against `.`).
fn same_user(a: &str, b: &str) -> bool {
    let name = |u: &str| u.rsplit('\\').next().unwrap_or_default().to_lowercase();
    name(a) == name(b)
}

/// Signals into logons. Network logons alone are ordinary (services do it all
/// day): they join a group that a remote desktop record opened, also one just after.
fn group(signals: &[Signal]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for signal in signals {
        let opens = match signal.step {
            Step::Connect { port } => {
                let mut new = Group::new(signal);
                (new.port, new.connected) = (port, true);
                new.events.push(signal.event);
                groups.push(new);
                continue;
            }
            Step::End { .. } => continue,
            Step::NetworkLogon => false,
            _ => true,
        };
        let open = groups.iter_mut().rev().take(8).find(|g| g.takes(signal));
        let target = match open {
            Some(group) => group,
            None if opens => {
                groups.push(Group::new(signal));
                match groups.last_mut() {
                    Some(group) => group,
                    None => continue,
                }
            }
            None => continue,
        };
        add(target, signal);
    }
    // A network logon may precede the first remote desktop record by a moment.
    for signal in signals.iter().filter(|s| matches!(s.step, Step::NetworkLogon)) {
        let near = groups.iter_mut().find(|g| {
            let lead = g.from.duration_since(signal.at);
            lead > SignedDuration::ZERO && lead <= LOGON_SPAN && same_user(&g.user, &signal.user)
        });
        if let Some(group) = near.filter(|g| !g.events.contains(&signal.event)) {
            group.events.push(signal.event);
        }
    }
    groups
}

fn add(group: &mut Group, signal: &Signal) {
    group.events.push(signal.event);
    if group.user.is_empty() || (!group.user.contains('\\') && signal.user.contains('\\')) {
        group.user.clone_from(&signal.user);
    }
    match signal.step {
        Step::Begin { session } => {
            group.session = group.session.or(session);
            group.entered = true;
        }
        Step::Authenticated | Step::Logon => group.entered = true,
        _ => {}
    }
}

/// Gives each group its end: a disconnect of the same session and user, before
/// the next one begins.
fn close(groups: &mut [Group], signals: &[Signal], events: &[Event]) {
    let starts: Vec<(Timestamp, Option<i64>, String)> =
        groups.iter().filter(|g| g.entered).map(|g| (g.from, g.session, g.user.clone())).collect();
    for group in groups.iter_mut().filter(|g| g.entered) {
        let next = starts
            .iter()
            .filter(|(from, session, user)| {
                *from > group.from && *session == group.session && same_user(user, &group.user)
            })
            .map(|(from, ..)| *from)
            .min();
        let mut ends = signals.iter().filter(|s| {
            let Step::End { session } = s.step else { return false };
            let same = session.is_none() || group.session.is_none() || session == group.session;
            s.at > group.from
                && next.is_none_or(|next| s.at < next)
                && same
                && same_user(&s.user, &group.user)
        });
        if let Some(end) = ends.next() {
            group.until = Some(end.at);
            group.events.push(end.event);
            // Each log has its own word of the same end.
            let same = ends.take_while(|s| s.at.duration_since(end.at) <= JITTER);
            group.events.extend(same.map(|s| s.event));
        }
        logoff(group, events);
    }
}

/// A logoff of the same logon id ends a session that no disconnect ended.
fn logoff(group: &mut Group, events: &[Event]) {
    let ids: Vec<i64> = group
        .events
        .iter()
        .filter_map(|i| events.get(*i))
        .filter(|e| matches!(e.record.number("LogonType"), Some(10 | 12)))
        .filter_map(|e| e.record.number("LogonId"))
        .collect();
    for (i, event) in events.iter().enumerate() {
        let record = &event.record;
        let same = record.number("LogonId").is_some_and(|id| ids.contains(&id));
        let after = record.first_time().filter(|at| *at >= group.from);
        let Some(at) = after.filter(|_| same && record.category == "logoff") else { continue };
        group.until = Some(group.until.unwrap_or(at));
        if !group.events.contains(&i) {
            group.events.push(i);
        }
    }
}

/// A connection that an agent's own log reports, or that it was seen to make to a service
/// of this host.
struct Join {
    at: Timestamp,
    event: usize,
    tool: Arc<str>,
    /// The visitor's address, where the log names it.
    remote: String,
    local_port: Option<i64>,
    /// The port that the agent's connection left from.
    source_port: Option<i64>,
}

fn joins(events: &[Event], tools: &[Tool]) -> Vec<Join> {
    let mut out: Vec<Join> = events
        .iter()
        .enumerate()
        .filter_map(|(event, e)| {
            let record = &e.record;
            let is_log = matches!(record.category, "agent_log" | "agent_service_log");
            let hit = e
                .hits
                .iter()
                .find(|h| tools.iter().any(|t| t.id == h.tool && &*t.id != NO_TOOL))?;
            let remote = record.text("RemoteAddress").filter(|_| is_log)?.to_owned();
            Some(Join {
                at: record.first_time()?,
                event,
                tool: hit.tool.clone(),
                remote,
                local_port: record.number("LocalPort"),
                source_port: None,
            })
        })
        .collect();
    out.extend(visit::seen(&out, events, tools));
    out.sort_by_key(|j| (j.at, j.event));
    out
}

fn attribute(group: Group, view: &View<'_>, joins: &[Join], used: &mut Vec<usize>) -> Found {
    let (events, tools) = (view.events, view.tools);
    let (kind, service_port) = group.service.name_and_port();
    let mut found = Found {
        session: Session {
            kind: kind.into(),
            from: Some(group.from),
            until: group.until,
            user: group.user.clone(),
            local_port: group.port,
            workstation: client::workstation(&group.events, events),
            ..Session::default()
        },
        tool: None,
        way: None,
        events: group.events.clone(),
    };
    if let Some((index, carrier)) = carrier(&group, events) {
        found.events.push(index);
        if let Some(at) = events.get(index).and_then(|e| e.record.first_time()) {
            found.session.from = Some(group.from.min(at));
        }
        if found.session.local_port.is_none() {
            found.session.local_port =
                events.get(index).and_then(|e| e.record.number("SourcePort"));
        }
        found.tool = carrier_tool(events.get(index), tools);
        if found.tool.is_none() {
            found.session.carrier = path::base_name(carrier).to_owned();
        }
    }
    found.events.extend(logged(found.session.local_port, &group, events));
    if let Some((index, zone)) = client::zone(&group, events) {
        found.events.push(index);
        found.session.zone_hours = zone;
    }
    let near = joins.iter().enumerate().find(|(i, j)| {
        let apart = j.at.duration_since(group.from).abs();
        let same = j.local_port.is_none_or(|p| p == service_port);
        same && apart <= LOGON_SPAN
            && !used.contains(i)
            && found.tool.as_ref().is_none_or(|t| *t == j.tool)
            && found.session.carrier.is_empty()
    });
    if let Some((i, join)) = near {
        used.push(i);
        found.events.push(join.event);
        found.session.remote_address.clone_from(&join.remote);
        found.tool.get_or_insert_with(|| join.tool.clone());
    }
    if found.tool.is_none() && found.session.carrier.is_empty() {
        let openers = view.openers(service_port, group.from);
        found.way = openers.tool.as_ref().map(|_| openers.way);
        found.tool = openers.tool;
        found.session.candidates = openers.possible;
    }
    found.events.sort_by_key(|i| (events.get(*i).and_then(|e| e.record.first_time()), *i));
    found.events.dedup();
    found
}

fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

/// The connection to the local remote desktop port that left from the session's
/// port at that time: its event and image.
fn carrier<'a>(group: &Group, events: &'a [Event]) -> Option<(usize, &'a str)> {
    let matching = events.iter().enumerate().filter_map(|(i, event)| {
        let record = &event.record;
        let image = record.text("Image")?;
        let to_here = record.category == "network_connection"
            && record.text("DestinationIp").is_some_and(is_loopback)
            && record.text("Initiated").is_none_or(is_true)
            // The service itself takes connections; one that it makes is a gateway's or proxy's.
            && (record.text("Initiated").is_some_and(is_true)
                || !path::base_name(image).eq_ignore_ascii_case("svchost.exe"));
        let apart = record.first_time()?.duration_since(group.from).abs();
        let port = record.number("SourcePort");
        let same_port = match group.port {
            Some(_) if port.is_some() => port == group.port,
            // Some logs know only where a connection led to.
            _ => record.number("DestinationPort").is_some_and(|p| match group.service {
                Service::Desktop => group.port.is_none() && REMOTE_ACCESS_PORTS.contains(&p),
                Service::Ssh => p == group.service.name_and_port().1,
            }),
        };
        (to_here && same_port && apart <= LOGON_SPAN + JITTER).then_some((apart, i, image))
    });
    // One with the session's own port is surer than one near in time.
    let other_port =
        |i: &usize| events.get(*i).and_then(|e| e.record.number("SourcePort")).is_none();
    matching.min_by_key(|(apart, i, _)| (other_port(i), *apart, *i)).map(|(_, i, image)| (i, image))
}

/// The same connection in the firewall's log, which names no program. A time of an hour
/// that came twice may be the other's.
fn logged(port: Option<i64>, group: &Group, events: &[Event]) -> Vec<usize> {
    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    let is_same = |event: &Event| {
        let record = &event.record;
        let Some(moment) = record.times.first() else { return false };
        let Some(apart) = moment.at.map(|at| group.from.duration_since(at)) else { return false };
        let is_near = |apart: SignedDuration| apart.abs() <= LOGON_SPAN;
        let is_unsure = moment.precision == Precision::AssumedZone;
        record.category == "firewall_log"
            && record.text("DestinationIp").is_some_and(is_loopback)
            && port.is_none_or(|port| record.number("SourcePort") == Some(port))
            && record.number("DestinationPort") == Some(group.service.name_and_port().1)
            && (is_near(apart) || is_unsure && is_near(apart.saturating_sub(HOUR)))
    };
    let matching = events.iter().enumerate().filter(|(_, event)| is_same(event));
    matching.map(|(index, _)| index).collect()
}

/// The tool whose agent made the connection, if a rule or pivot knows it as one.
fn carrier_tool(event: Option<&Event>, tools: &[Tool]) -> Option<Arc<str>> {
    event?
        .hits
        .iter()
        .find(|h| &*h.tool != NO_TOOL && tools.iter().any(|t| t.id == h.tool))
        .map(|h| h.tool.clone())
}

/// Tells the session's events what they belong to: their tool, and that somebody came in.
fn mark(found: &Found, events: &mut [Event]) {
    for index in &found.events {
        let Some(event) = events.get_mut(*index) else { continue };
        // Jobs log in to their own host all day: only a tool makes such a login one.
        let network_logon = match event.record.category {
            "logon" => true,
            "ssh_login" | "ssh_logout" | "login_record" | "sql_login" => found.tool.is_some(),
            _ => false,
        };
        for hit in &mut event.hits {
            if &*hit.tool != NO_TOOL {
                continue;
            }
            if let Some(tool) = &found.tool {
                hit.tool = tool.clone();
                if let Some(way) = &found.way {
                    let _ = write!(hit.message, "; {way}");
                }
            }
            let candidates = &found.session.candidates;
            if !candidates.is_empty() {
                let _ =
                    write!(hit.message, "; it may have come through {}", candidates.join(", or "));
                hit.score = hit.score.max(POSSIBLE);
            }
            if network_logon && hit.score < RAISED {
                hit.score = RAISED;
                hit.stage = RowStage::Used;
            }
        }
    }
}
