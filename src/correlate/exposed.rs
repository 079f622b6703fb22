//! What a tool lets out, where that truly leads, and who came to it.

use std::collections::{BTreeMap, BTreeSet};

use super::chain::WEB_PORTS;
use super::verdict::Findings;
use super::{Tool, is_loopback, port};
use crate::model::{Event, Exposed, Hit, Level, NO_TOOL, RowStage};

/// What a connection to a port weighs that the tool itself lets out: ways in to this host
/// weigh more by their own rules, and this may be a developer's server.
const USED: u8 = 55;

/// A connection of a tool's program to a port of this host that the tool lets out is
/// somebody's who came in; web servers aside, whose visitors are many.
pub(super) fn restage(events: &mut [Event], tools: &[Tool]) {
    for tool in tools.iter().filter(|tool| &*tool.id != NO_TOOL) {
        let ports: BTreeSet<i64> = events.iter().flat_map(|event| let_out(event, tool)).collect();
        let mine = |hit: &Hit| hit.tool == tool.id && hit.stage == RowStage::Connected;
        for event in events.iter_mut().filter(|_| !ports.is_empty()) {
            let record = &event.record;
            let to = record.number("DestinationPort").filter(|port| !WEB_PORTS.contains(port));
            let is_visit = record.category == "network_connection"
                && record.text("DestinationIp").is_some_and(is_loopback)
                && to.is_some_and(|port| ports.contains(&port));
            for hit in event.hits.iter_mut().filter(|hit| is_visit && mine(hit)) {
                (hit.stage, hit.score) = (RowStage::Used, hit.score.max(USED));
                hit.message.push_str("; it lets this port out");
            }
        }
    }
}

/// The ports of this host that an event of the tool says it lets out.
fn let_out(event: &Event, tool: &Tool) -> Vec<i64> {
    let record = &event.record;
    let is_sure = |hit: &Hit| hit.tool == tool.id && Level::of_score(hit.score) >= Level::Medium;
    if !event.hits.iter().any(is_sure) {
        return Vec::new();
    }
    let mut ports: Vec<i64> = record.commands().flat_map(port::own_ports).collect();
    if record.category == "tunnel_endpoint" {
        let target = record.text("Target").unwrap_or_default();
        ports.extend(record.number("TargetPort").filter(|port| port::leads_to(target, *port)));
    }
    ports
}

/// A target as host and port: some sources put the scheme before it, others slashes alone.
fn bare(target: &str) -> String {
    target.strip_prefix("tcp:").unwrap_or(target).trim_start_matches('/').to_owned()
}

/// What the tool lets out, each once; where Windows passes on what comes to it, also there.
pub(super) fn of(tool: &Tool, f: &Findings<'_>) -> Vec<Exposed> {
    let mut out: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (index, event) in f.events.iter().enumerate() {
        let record = &event.record;
        if !event.hits.iter().any(|h| h.tool == tool.id && Level::of_score(h.score) >= Level::Low) {
            continue;
        }
        let text = |f: &str| record.text(f).unwrap_or_default().to_owned();
        let pair = match record.category {
            "tunnel_endpoint" => (bare(&text("Target")), text("Public")),
            "agent_log" | "agent_service_log" if record.text("Url").is_some() => {
                (bare(&text("Addr")), text("Url"))
            }
            _ => continue,
        };
        let rows = f.rows_of.get(&index).cloned().unwrap_or_default();
        out.entry(pair).or_default().extend(rows);
    }
    // What a command alone lets out.
    let mut by_command: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (index, event) in f.events.iter().enumerate() {
        let runs = event.hits.iter().any(|hit| {
            hit.tool == tool.id
                && Level::of_score(hit.score) >= Level::Medium
                && matches!(hit.stage, RowStage::Executed | RowStage::Persisted)
        });
        let lines = event.record.commands();
        for port in lines.filter(|_| runs).flat_map(port::own_ports) {
            let rows = f.rows_of.get(&index).cloned().unwrap_or_default();
            by_command.entry(port).or_default().extend(rows);
        }
    }
    for (port, rows) in by_command {
        let port = port.to_string();
        if !out.keys().any(|(target, _)| target.rsplit(':').next() == Some(port.as_str())) {
            out.insert((format!("127.0.0.1:{port}"), String::new()), rows);
        }
    }
    let further: Vec<_> = out
        .iter()
        .flat_map(|((target, public), rows)| {
            passed_on(target, f).map(move |(to, proxy)| {
                ((to, public.clone()), rows.iter().chain(proxy).cloned().collect::<Vec<_>>())
            })
        })
        .collect();
    out.extend(further);
    out.into_iter().map(|((target, public), rows)| Exposed { target, public, rows }).collect()
}

/// Where a PortProxy of this host passes on what comes to a target, with its rows.
fn passed_on<'a>(
    target: &'a str,
    f: &'a Findings<'_>,
) -> impl Iterator<Item = (String, &'a [String])> {
    f.events.iter().enumerate().filter_map(move |(index, event)| {
        let record = &event.record;
        let text = |field: &str| record.text(field).filter(|text| !text.is_empty());
        let listens: i64 =
            text("ListenPort").filter(|_| record.category == "port_proxy")?.parse().ok()?;
        let to = text("IpAddress").or_else(|| text("HostName"))?;
        let rows = f.rows_of.get(&index).map(Vec::as_slice).unwrap_or_default();
        port::leads_to(target, listens)
            .then(|| (format!("{to}:{}", text("Port").unwrap_or_default()), rows))
    })
}

#[cfg(test)]
mod tests {
    use super::super::session::testing::{event_of, tool};
    use super::*;

    #[test]
    fn who_comes_to_what_is_let_out_came_in() {
        let at = "2024-03-01T10:00:00Z";
        let line = "chisel client https://c2:443 R:33389:127.0.0.1:33389 R:80:127.0.0.1:3000";
        let fields = [("CommandLine", line)];
        let ran = event_of("chisel", RowStage::Executed, "process_creation", at, &fields);
        let stage_of = |of: &str, to: &'static str| {
            let to = [("DestinationIp", "127.0.0.1"), ("DestinationPort", to)];
            let went = event_of(of, RowStage::Connected, "network_connection", at, &to);
            let mut events = [ran.clone(), went];
            restage(&mut events, &[tool("chisel"), tool("frp")]);
            events[1].hits[0].stage
        };
        assert_eq!(stage_of("chisel", "33389"), RowStage::Used);
        assert_eq!(stage_of("chisel", "40000"), RowStage::Connected);
        assert_eq!(stage_of("chisel", "3000"), RowStage::Connected);
        assert_eq!(stage_of("frp", "33389"), RowStage::Connected);
    }
}
