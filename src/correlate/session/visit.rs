//! Visits: connections of an agent's own log that no desktop or ssh session explains, to
//! shares, databases, remote management. Whose they were, the service's own login tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::super::{Tool, is_loopback};
use super::{Found, JITTER, Join, client};
use crate::model::{Event, NO_TOOL, RowStage, Session};

/// Connections from one client closer than this are one visit.
const VISIT_GAP: SignedDuration = SignedDuration::from_mins(30);
/// Whoever is connected logs in so soon: on many hosts others do all the time.
const LOGIN_SPAN: SignedDuration = SignedDuration::from_secs(5);

/// Connections that an agent was seen to make to a service of this host, where its log
/// does not tell of the same: to all but desktops and ssh, whose own logs do.
pub(super) fn seen(logged: &[Join], events: &[Event], tools: &[Tool]) -> Vec<Join> {
    let of = |(index, event): (usize, &Event)| {
        let record = &event.record;
        let mut hits = event.hits.iter().filter(|hit| hit.stage == RowStage::Used);
        let hit = hits.find(|h| &*h.tool != NO_TOOL && tools.iter().any(|t| t.id == h.tool))?;
        let port = record.number("DestinationPort").filter(|port| {
            record.category == "network_connection"
                && record.text("DestinationIp").is_some_and(is_loopback)
                && !matches!(kind_of(Some(*port)), "rdp" | "ssh")
        })?;
        let at = record.first_time()?;
        let told = logged.iter().any(|join| {
            let same = join.tool == hit.tool && join.local_port.is_none_or(|p| p == port);
            same && join.at.duration_since(at).abs() <= JITTER
        });
        (!told).then(|| Join {
            at,
            event: index,
            tool: hit.tool.clone(),
            remote: String::new(),
            local_port: Some(port),
            source_port: record.number("SourcePort"),
        })
    };
    events.iter().enumerate().filter_map(of).collect()
}

/// One visit per client and local port, in no order.
pub(super) fn visits<'a>(joins: impl Iterator<Item = &'a Join>, events: &[Event]) -> Vec<Found> {
    let mut open: BTreeMap<(Arc<str>, String, Option<i64>), Vec<Found>> = BTreeMap::new();
    for join in joins {
        let key = (join.tool.clone(), join.remote.clone(), join.local_port);
        let visits = open.entry(key).or_default();
        let last = visits.last_mut().filter(|v| {
            v.session
                .until
                .or(v.session.from)
                .is_some_and(|t| join.at.duration_since(t) <= VISIT_GAP)
        });
        if let Some(visit) = last {
            visit.session.until = Some(join.at);
            visit.events.push(join.event);
            continue;
        }
        visits.push(Found {
            session: Session {
                kind: kind_of(join.local_port).into(),
                from: Some(join.at),
                remote_address: join.remote.clone(),
                local_port: join.source_port,
                ..Session::default()
            },
            tool: Some(join.tool.clone()),
            way: None,
            events: vec![join.event],
        });
    }
    let mut all: Vec<Found> = open.into_values().flatten().collect();
    all.iter_mut().for_each(|visit| name_visitor(visit, events));
    all
}

fn kind_of(port: Option<i64>) -> &'static str {
    match port {
        Some(3389) => "rdp",
        Some(22) => "ssh",
        Some(135 | 139 | 445) => "smb",
        Some(1433) => "mssql",
        Some(5985 | 5986) => "winrm",
        Some(5900) => "vnc",
        _ => "connection",
    }
}

/// Adds the login over loopback that followed one of the visit's connections.
fn name_visitor(visit: &mut Found, events: &[Event]) {
    let times: Vec<Timestamp> =
        visit.events.iter().filter_map(|index| events.get(*index)?.record.first_time()).collect();
    let kind = visit.session.kind.clone();
    let from = visit.session.local_port;
    let is_its = |event: &Event| {
        let port = event.record.number("IpPort");
        port.zip(from).is_none_or(|(port, from)| port == from)
    };
    let login = events.iter().enumerate();
    let login = login.filter(|(_, event)| is_login(&kind, event) && is_its(event));
    let login = login.filter_map(|(index, event)| {
        let at = event.record.first_time()?;
        let apart = times.iter().map(|joined| at.duration_since(*joined));
        let soon = apart.filter(|apart| (-JITTER..=LOGIN_SPAN).contains(apart));
        Some((soon.map(SignedDuration::abs).min()?, index, event))
    });
    let Some((_, index, event)) = login.min_by_key(|(apart, index, _)| (*apart, *index)) else {
        return;
    };
    visit.session.user = event.record.text("User").unwrap_or_default().to_owned();
    visit.session.workstation = client::workstation(&[index], events);
    visit.events.push(index);
    visit.events.sort_by_key(|i| (events.get(*i).and_then(|e| e.record.first_time()), *i));
}

/// Whether the event tells of a login over loopback to a service of that kind.
fn is_login(kind: &str, event: &Event) -> bool {
    let record = &event.record;
    let of_kind = match (kind, record.category) {
        ("mssql", "sql_login") => record.text("Outcome") == Some("accepted"),
        ("smb" | "winrm", "logon") => record.number("LogonType") == Some(3),
        _ => false,
    };
    of_kind && !event.hits.is_empty() && record.text("IpAddress").is_some_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, event_of, tool};
    use super::*;

    fn join(at: &str, event: usize, port: i64) -> Join {
        let (tool, remote) = (Arc::from("ngrok"), "203.0.113.9".to_owned());
        let at = at.parse().unwrap();
        Join { at, event, tool, remote, local_port: Some(port), source_port: None }
    }

    /// Kind, who, and the events of every visit.
    fn told(joins: &[Join], events: &[Event]) -> Vec<(String, String, Vec<usize>)> {
        let visits = visits(joins.iter(), events).into_iter();
        visits.map(|visit| (visit.session.kind, visit.session.user, visit.events)).collect()
    }

    #[test]
    fn a_connection_of_the_agent_leads_to_the_login_from_its_port() {
        let used = |at: &str, from: &'static str, to: &'static str| {
            let fields =
                [("DestinationIp", "127.0.0.1"), ("DestinationPort", to), ("SourcePort", from)];
            event_of("ngrok", RowStage::Used, "network_connection", at, &fields)
        };
        let login = |at: &str, from: &'static str, user: &'static str| {
            let fields =
                [("IpAddress", "127.0.0.1"), ("User", user), ("LogonType", "3"), ("IpPort", from)];
            event("logon", at, &fields)
        };
        let events = [
            used("2024-09-02T23:10:00Z", "52077", "445"),
            login("2024-09-02T23:10:00.1Z", "52001", "other"),
            login("2024-09-02T23:10:00.2Z", "52077", "svc"),
            used("2024-09-02T23:20:00Z", "52080", "3389"),
        ];
        let joins = seen(&[], &events, &[tool("ngrok")]);
        assert_eq!(told(&joins, &events), [("smb".to_owned(), "svc".to_owned(), vec![0, 2])]);
        let logged = [join("2024-09-02T23:10:00Z", 0, 445)];
        assert!(seen(&logged, &events, &[tool("ngrok")]).is_empty());
    }

    #[test]
    fn who_logs_in_right_after_a_connection_is_its_visitor() {
        let from = [("IpAddress", "127.0.0.1"), ("User", "sa"), ("Outcome", "accepted")];
        let failed = [("IpAddress", "127.0.0.1"), ("User", "sa"), ("Outcome", "failed")];
        let share = [("IpAddress", "::1"), ("User", r"CORP\jane"), ("LogonType", "3")];
        let events = [
            event("agent_log", "2024-09-02T21:17:30Z", &[]),
            event("sql_login", "2024-09-02T21:17:30.2Z", &failed),
            event("agent_log", "2024-09-02T21:17:36Z", &[]),
            event("sql_login", "2024-09-02T21:17:36.1Z", &from),
            event("sql_login", "2024-09-02T22:00:00Z", &from),
            event("agent_log", "2024-09-03T08:00:00Z", &[]),
            event("logon", "2024-09-03T08:00:01Z", &share),
        ];
        let joins = [
            join("2024-09-02T21:17:30Z", 0, 1433),
            join("2024-09-02T21:17:36Z", 2, 1433),
            join("2024-09-03T08:00:00Z", 5, 445),
        ];
        assert_eq!(
            told(&joins, &events),
            [
                ("smb".to_owned(), r"CORP\jane".to_owned(), vec![5, 6]),
                ("mssql".to_owned(), "sa".to_owned(), vec![0, 2, 3]),
            ]
        );
    }

    #[test]
    fn whoever_logs_in_from_elsewhere_or_later_is_not() {
        let local = [("IpAddress", "127.0.0.1"), ("User", "sa"), ("Outcome", "accepted")];
        let other = [("IpAddress", "10.0.0.7"), ("User", "sa"), ("Outcome", "accepted")];
        let events = [
            event("agent_log", "2024-09-02T21:17:30Z", &[]),
            event("sql_login", "2024-09-02T21:17:31Z", &other),
            event("sql_login", "2024-09-02T21:17:40Z", &local),
        ];
        let joins = [join("2024-09-02T21:17:30Z", 0, 1433)];
        assert_eq!(told(&joins, &events), [("mssql".to_owned(), String::new(), vec![0])]);
        let joins = [join("2024-09-02T21:17:39Z", 0, 8080)];
        assert_eq!(told(&joins, &events), [("connection".to_owned(), String::new(), vec![0])]);
    }
}
