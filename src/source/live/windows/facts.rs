//! What only the memory of the running Windows tells, as records.
//!
//! | category | a record for each | moment |
//! |---|---|---|
//! | `process_creation` | process that runs | Process Start |
//! | `network_connection`, `listening_port` | endpoint with its owner | Socket Opened, else Observed |
//! | `service` | service or driver that the manager knows | Observed |
//! | `dns_query` | name in the resolver's cache | Observed |
//! | `login_record` | session that somebody is logged on to | Session Start |
//!
//! The times are the kernel's, in UTC by its clock. Services also stand in the registry:
//! one that only one of the two knows is hiding.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::Wanted;
use super::ask::{self, Endpoint, Process, Service, Session};
use super::sid;
use crate::model::{EvidencePath, Locator, Moment, Problem, Record, Stage, Value, Volatile};
use crate::source::HostEvidence;

/// Names of a service's states, from 1 (`SERVICE_STOPPED`).
const STATES: [&str; 7] = [
    "stopped",
    "start pending",
    "stop pending",
    "running",
    "continue pending",
    "pause pending",
    "paused",
];
/// Names of how a service starts, from 0 (`SERVICE_BOOT_START`).
const STARTS: [&str; 5] = ["boot", "system", "auto", "demand", "disabled"];

/// Adds everything that can be asked for; what is refused is a problem.
pub(super) fn add(host: &mut HostEvidence, wanted: &Wanted) {
    let mut refuse = |what: &str, why: String| {
        host.problems.push(Problem {
            path: Some(path_of(what)),
            locator: None,
            stage: Stage::Source,
            message: format!("cannot be asked for: {why}"),
        });
    };
    let (mut found, now) = (Vec::new(), Timestamp::now());
    let processes = ask::processes().unwrap_or_else(|error| {
        refuse("process", error.to_string());
        Vec::new()
    });
    let by_id: BTreeMap<u32, &Process> = processes.iter().map(|one| (one.id, one)).collect();
    found.extend(processes.iter().map(|one| process(one, &by_id)));
    let (endpoints, errors) = ask::endpoints();
    for error in errors {
        refuse("socket", format!("error {error}"));
    }
    found.extend(endpoints.iter().enumerate().map(|(at, one)| socket(at, one, &by_id, now)));
    match ask::services() {
        Ok(services) => {
            found.extend(services.iter().enumerate().map(|(at, one)| service(at, one, now)))
        }
        Err(error) => refuse("service", error.to_string()),
    }
    match ask::sessions() {
        Ok(sessions) => {
            let used = sessions.iter().filter(|one| !one.user.is_empty());
            found.extend(used.map(session));
        }
        Err(error) => refuse("session", error.to_string()),
    }
    let names = ask::cached_names().unwrap_or_default();
    found.extend(names.iter().enumerate().map(|(at, one)| name(at, one, now)));
    wanted
        .actions
        .note("asked the system for its processes, endpoints, services, sessions, cached names");
    host.volatile.extend(found);
}

fn path_of(what: &str) -> EvidencePath {
    EvidencePath::new(format!("live:{what}"))
}

fn fact(what: &str, record: Record) -> Volatile {
    Volatile { artifact: Arc::from(format!("windows.live.{what}")), path: path_of(what), record }
}

fn row(table: &str, row: usize) -> Locator {
    Locator::Row { table: table.to_owned(), row: i64::try_from(row).unwrap_or(i64::MAX) }
}

/// A process; its parent only if that was there before it, since numbers are used again.
fn process(one: &Process, by_id: &BTreeMap<u32, &Process>) -> Volatile {
    let locator = Locator::Process { pid: one.id.into(), descriptor: None };
    let mut record = Record::new("process_creation", locator);
    record.push("Image", shown(one));
    push(&mut record, "CommandLine", one.command_line.as_deref());
    record.push("ProcessId", i64::from(one.id));
    record.push("ParentProcessId", i64::from(one.parent));
    let parent = by_id.get(&one.parent).filter(|parent| parent.started <= one.started);
    push(&mut record, "ParentImage", parent.map(|parent| shown(parent)));
    push(&mut record, "ParentCommandLine", parent.and_then(|p| p.command_line.as_deref()));
    if let Some(sid) = &one.user_sid {
        record.push("UserSid", sid.as_str());
        push(&mut record, "User", sid::account(sid));
    }
    if let Some(session) = one.session {
        record.push("SessionID", i64::from(session));
    }
    if !one.environment.is_empty() {
        record.push("Environment", Value::List(one.environment.clone()));
    }
    record.times.extend(one.started.and_then(|at| Moment::of_filetime(at, "Process Start")));
    fact("process", record)
}

/// The path of a process's file, or its name where the path is not told.
fn shown(process: &Process) -> &str {
    process.image.as_deref().unwrap_or(&process.name)
}

fn socket(at: usize, one: &Endpoint, by_id: &BTreeMap<u32, &Process>, now: Timestamp) -> Volatile {
    let connected = one.remote.is_some();
    let category = if connected { "network_connection" } else { "listening_port" };
    let mut record = Record::new(category, row("socket", at));
    record.push("Protocol", one.protocol);
    record.push("SourceIp", one.local.0.to_string());
    record.push("SourcePort", i64::from(one.local.1));
    if let Some((address, port)) = one.remote {
        record.push("DestinationIp", address.to_string());
        record.push("DestinationPort", i64::from(port));
    }
    push(&mut record, "State", one.state);
    record.push("ProcessId", i64::from(one.process));
    if let Some(owner) = by_id.get(&one.process) {
        record.push("Image", shown(owner));
        push(&mut record, "CommandLine", owner.command_line.as_deref());
        push(&mut record, "UserSid", owner.user_sid.as_deref());
    }
    if !connected {
        let loopback = one.local.0.is_loopback();
        record.push("ReachableFrom", if loopback { "this machine" } else { "the network" });
    }
    let opened = one.since.and_then(|at| Moment::of_filetime(at, "Socket Opened"));
    record.times.push(opened.unwrap_or_else(|| Moment::exact(now, "Observed")));
    fact("socket", record)
}

fn service(at: usize, one: &Service, now: Timestamp) -> Volatile {
    let mut record = Record::new("service", row("service", at));
    record.push("ServiceName", one.name.as_str());
    record.push("DisplayName", one.display_name.as_str());
    push(&mut record, "State", name_in(&STATES, one.state.checked_sub(1)));
    if one.process != 0 {
        record.push("ProcessId", i64::from(one.process));
    }
    if let Some(settings) = &one.settings {
        record.push("ImagePath", settings.image_path.as_str());
        record.push("AccountName", settings.account.as_str());
        push(&mut record, "StartType", name_in(&STARTS, Some(settings.start)));
    }
    record.times.push(Moment::exact(now, "Observed"));
    fact("service", record)
}

/// A name that something looked up; its answer may still be kept long after that.
fn name(at: usize, (name, kind): &(String, u16), now: Timestamp) -> Volatile {
    let mut record = Record::new("dns_query", row("name", at));
    record.push("QueryName", name.as_str());
    record.push("QueryType", i64::from(*kind));
    record.times.push(Moment::exact(now, "Observed"));
    fact("name", record)
}

fn session(one: &Session) -> Volatile {
    let mut record = Record::new("login_record", row("session", one.id as usize));
    record.push("User", one.user.as_str());
    record.push("SessionID", i64::from(one.id));
    record.push("State", one.state);
    record.push("Outcome", "logged on");
    record.push("SessionName", one.station.as_str());
    record.push("WorkstationName", one.client_name.as_str());
    push(&mut record, "IpAddress", one.client_address.as_deref());
    record.times.extend(one.logon.and_then(|at| Moment::of_filetime(at, "Session Start")));
    record.times.extend(one.connected.and_then(|at| Moment::of_filetime(at, "Session Connected")));
    fact("session", record)
}

fn push(record: &mut Record, name: &'static str, text: Option<&str>) {
    record.push(name, text.unwrap_or_default());
}

fn name_in(names: &[&'static str], at: Option<u32>) -> Option<&'static str> {
    names.get(usize::try_from(at?).ok()?).copied()
}
