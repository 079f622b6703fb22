//! Processes, endpoints and sessions as records.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use crate::model::{
    EvidencePath, Limits, Locator, Moment, Precision, Problem, Record, Saved, Stage, Value,
    Volatile, from_unix,
};
use crate::source::file::OpenFile;

use super::proc::{Kernel, Process};
use super::sockets::{self, Endpoint, TABLES};

const PROCESS: &str = "linux.live.process";
const SOCKET: &str = "linux.live.socket";
const SESSION: &str = "linux.live.session";

/// Sessions that are looked at.
const MAX_SESSIONS: usize = 4096;
/// Programs without a file that are kept for the bundle.
const MAX_SAVED: usize = 64;

/// Everything the kernel tells.
pub(super) struct Told {
    pub(super) volatile: Vec<Volatile>,
    pub(super) saved: Vec<Saved>,
    pub(super) problems: Vec<Problem>,
}

/// Asks for everything, processes first.
pub(super) fn all(root: &Path, running: bool, limits: &Limits) -> Told {
    let kernel = Kernel::new(root.join("proc"), running, limits);
    let users = users(root);
    let processes = kernel.processes();
    let by_pid: BTreeMap<u64, &Process> = processes.iter().map(|p| (p.pid, p)).collect();
    let mut told = Told { volatile: Vec::new(), saved: Vec::new(), problems: Vec::new() };
    for process in &processes {
        told.volatile.push(of_process(process, by_pid.get(&process.parent).copied(), &users));
    }
    told.saved = gone_programs(&kernel, &processes);
    told.problems.extend(unseen(&processes).filter(|_| running));
    told.volatile.extend(endpoints(&kernel, &processes, &users));
    told.volatile.extend(sessions(root));
    told
}

/// Programs of processes that have no file any more, for a run that has its facts already.
pub(super) fn programs_without_file(root: &Path, running: bool, limits: &Limits) -> Vec<Saved> {
    let kernel = Kernel::new(root.join("proc"), running, limits);
    gone_programs(&kernel, &kernel.processes())
}

/// Processes that were not seen whole: they have a command line and no program, or open
/// files that cannot be listed.
fn unseen(processes: &[Process]) -> Option<Problem> {
    let hidden = |p: &&Process| {
        let has_program = !p.image.is_empty();
        has_program && !p.files_seen || !has_program && !p.command_line.is_empty()
    };
    let n = processes.iter().filter(hidden).count();
    let message = format!(
        "of {n} processes, the program, environment or open files could not be read: they \
         belong to others (run as root), are protected, or ended meanwhile"
    );
    let path = Some(EvidencePath::new("/proc"));
    (n > 0).then_some(Problem { path, locator: None, stage: Stage::Source, message })
}

/// Names of users by number, from `/etc/passwd`.
fn users(root: &Path) -> BTreeMap<u64, String> {
    let text = std::fs::read_to_string(root.join("etc/passwd")).unwrap_or_default();
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    // Of two names for one number the first counts, as for the system.
    text.lines().rev().filter_map(entry).collect()
}

fn named(user: u64, users: &BTreeMap<u64, String>) -> String {
    users.get(&user).cloned().unwrap_or_else(|| user.to_string())
}

fn of_process(
    process: &Process,
    parent: Option<&Process>,
    users: &BTreeMap<u64, String>,
) -> Volatile {
    let locator = Locator::Process { pid: process.pid, descriptor: None };
    let mut record = Record::new("process_creation", locator);
    let unnamed = format!("[{}]", process.name);
    let image = |process: &Process| match process.image.is_empty() {
        true => format!("[{}]", process.name),
        false => process.image.clone(),
    };
    record.push("Image", image(process));
    let command = &process.command_line;
    record.push("CommandLine", if command.is_empty() { &unnamed } else { command }.as_str());
    record.push("ProcessId", number(process.pid));
    record.push("ParentProcessId", number(process.parent));
    if let Some(parent) = parent {
        record.push("ParentImage", image(parent));
        record.push("ParentCommandLine", parent.command_line.as_str());
    }
    record.push("User", process.user.map(|user| named(user, users)).unwrap_or_default());
    record.push("CurrentDirectory", process.folder.as_str());
    record.push("Unit", process.unit.as_str());
    if !process.sha256.is_empty() {
        record.push("Hashes", format!("SHA256={}", process.sha256));
    }
    if process.image_gone {
        record.push("ImageState", "its file was removed or replaced while it runs");
    }
    if !process.environment.is_empty() {
        record.push("Environment", Value::List(process.environment.clone()));
    }
    record.times.extend(
        process.started.map(|at| Moment {
            precision: Precision::Second,
            ..Moment::exact(at, "Process Start")
        }),
    );
    volatile(PROCESS, format!("/proc/{}", process.pid), record)
}

/// What no file holds any more is kept for the bundle.
fn gone_programs(kernel: &Kernel<'_>, processes: &[Process]) -> Vec<Saved> {
    let gone = processes.iter().filter(|process| process.image_gone);
    let open = |process: &Process| {
        let bytes = OpenFile::open_followed(&kernel.program(process.pid)).ok()?;
        let path = EvidencePath::new(format!("/proc/{}/exe", process.pid));
        Some(Saved { path, method: "proc", bytes: Arc::new(bytes) })
    };
    gone.filter_map(open).take(MAX_SAVED).collect()
}

/// The endpoints of every network that a process lives in.
fn endpoints(
    kernel: &Kernel<'_>,
    processes: &[Process],
    users: &BTreeMap<u64, String>,
) -> Vec<Volatile> {
    let mut owners: BTreeMap<u64, Vec<(&Process, u64)>> = BTreeMap::new();
    for process in processes {
        for (descriptor, inode) in &process.sockets {
            owners.entry(*inode).or_default().push((process, *descriptor));
        }
    }
    let all_seen = processes.iter().all(|process| process.files_seen);
    let mut out = Vec::new();
    for (folder, table, protocol) in tables(processes) {
        let path = format!("/proc/{folder}/{table}");
        let text = kernel.text(&format!("{folder}/{table}"));
        for endpoint in sockets::parse(&text, protocol) {
            let owners = owners.get(&endpoint.inode).map_or(&[][..], Vec::as_slice);
            let unowned = owners.is_empty() && all_seen && endpoint.is_waiting();
            if owners.is_empty() {
                let mut record = of_endpoint(&endpoint, None, kernel, users);
                if unowned {
                    record.push("OwnerState", "no process holds this port: kernel or hidden");
                }
                out.push(volatile(SOCKET, path.clone(), record));
            }
            for owner in owners {
                let record = of_endpoint(&endpoint, Some(*owner), kernel, users);
                out.push(volatile(SOCKET, path.clone(), record));
            }
        }
    }
    out
}

/// Folders, tables and protocols: the kernel's own, and one process's for each
/// network other than that of the first.
fn tables(processes: &[Process]) -> Vec<(String, &'static str, &'static str)> {
    let own = processes.iter().find(|p| p.pid == 1).or(processes.first());
    let own = own.map(|process| process.network.clone()).unwrap_or_default();
    let mut folders = vec!["net".to_owned()];
    let mut known = vec![own.as_str(), ""];
    for process in processes {
        if !known.contains(&process.network.as_str()) {
            known.push(&process.network);
            folders.push(format!("{}/net", process.pid));
        }
    }
    let each = |folder: String| TABLES.map(|(table, protocol)| (folder.clone(), table, protocol));
    folders.into_iter().flat_map(each).collect()
}

fn of_endpoint(
    endpoint: &Endpoint,
    owner: Option<(&Process, u64)>,
    kernel: &Kernel<'_>,
    users: &BTreeMap<u64, String>,
) -> Record {
    let locator = match owner {
        Some((process, fd)) => Locator::Process { pid: process.pid, descriptor: Some(fd) },
        None => Locator::Offset(endpoint.inode),
    };
    let connected = endpoint.is_connected();
    let category = if connected { "network_connection" } else { "listening_port" };
    let mut record = Record::new(category, locator);
    if let Some((process, _)) = owner {
        let unnamed = || format!("[{}]", process.name);
        let image = Some(process.image.clone()).filter(|image| !image.is_empty());
        record.push("Image", image.unwrap_or_else(unnamed));
        record.push("CommandLine", process.command_line.as_str());
        record.push("ProcessId", number(process.pid));
        record.push("Unit", process.unit.as_str());
    }
    record.push("User", named(endpoint.user, users));
    record.push("Protocol", endpoint.protocol);
    record.push("SourceIp", endpoint.local.0.to_string());
    record.push("SourcePort", i64::from(endpoint.local.1));
    if connected {
        record.push("DestinationIp", endpoint.remote.0.to_string());
        record.push("DestinationPort", i64::from(endpoint.remote.1));
    }
    record.push("State", endpoint.state);
    if let (IpAddr::V4(_) | IpAddr::V6(_), false) = (endpoint.local.0, connected) {
        let reach = if endpoint.local.0.is_loopback() { "this machine" } else { "the network" };
        record.push("ReachableFrom", reach);
    }
    record.times.extend(kernel.now.map(|at| Moment::exact(at, "Observed")));
    record
}

/// Sessions as the login manager keeps them: `/run/systemd/sessions/*`, lines of
/// `KEY=value` (sd-login; REALTIME is in microseconds).
fn sessions(root: &Path) -> Vec<Volatile> {
    let folder = root.join("run/systemd/sessions");
    let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files.truncate(MAX_SESSIONS);
    files.iter().filter_map(|path| session(path)).collect()
}

fn session(path: &Path) -> Option<Volatile> {
    let text = std::fs::read_to_string(path).ok()?;
    let value = |key: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
    };
    let name = path.file_name()?.to_str()?;
    let leader = value("LEADER").parse().unwrap_or_default();
    let mut record =
        Record::new("login_record", Locator::Process { pid: leader, descriptor: None });
    record.push("User", value("USER"));
    record.push("IpAddress", value("REMOTE_HOST"));
    record.push("Service", value("SERVICE"));
    record.push("Terminal", value("TTY"));
    record.push("SessionID", name);
    record.push("Outcome", "logged on");
    let started = value("REALTIME").parse::<i64>().ok().and_then(|micros| {
        let nanos = i32::try_from(micros.rem_euclid(1_000_000)).ok()?.checked_mul(1000)?;
        from_unix(micros.div_euclid(1_000_000), nanos)
    });
    record.times.extend(started.map(|at| Moment::exact(at, "Session Start")));
    Some(volatile(SESSION, format!("/run/systemd/sessions/{name}"), record))
}

fn volatile(artifact: &str, path: String, record: Record) -> Volatile {
    Volatile { artifact: Arc::from(artifact), path: EvidencePath::new(path), record }
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
