//! What the kernel tells of its processes (proc(5)): one folder each below `/proc`.
//!
//! | file | fields used |
//! |---|---|
//! | `stat` | pid, name in brackets, state, parent; the 22nd: start in ticks since boot |
//! | `status` | `Uid:` real, effective |
//! | `cmdline`, `environ` | texts, each ended by NUL |
//! | `exe`, `cwd` | links; ` (deleted)` appended when the file is gone |
//! | `cgroup` | `0::/system.slice/x.service` |
//! | `fd/*` | links; `socket:[inode]` |

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::model::{Limits, from_unix};

/// Most processes, and open files of one, that are looked at.
const MAX_PROCESSES: usize = 65_536;
const MAX_DESCRIPTORS: usize = 65_536;
/// Largest text of `/proc` that is read; a command line has no bound of its own.
const MAX_TEXT_BYTES: u64 = 256 << 10;
/// Longest command line and environment that is kept, in characters and variables.
const MAX_ARGUMENTS: usize = 32 << 10;
const MAX_VARIABLES: usize = 1024;
/// Largest program that is hashed.
const MAX_HASHED_BYTES: u64 = 512 << 20;
/// The kernel counts starts in hundredths of a second for programs (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;
/// What the kernel appends to the path of a file that is gone.
const GONE: &str = " (deleted)";

/// A process as the kernel describes it; what could not be read is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u64,
    pub(super) parent: u64,
    /// As the kernel names it: 15 characters at most.
    pub(super) name: String,
    /// Path of the program, without the kernel's remark.
    pub(super) image: String,
    /// Whether the program's file is gone.
    pub(super) image_gone: bool,
    pub(super) command_line: String,
    pub(super) folder: String,
    pub(super) user: Option<u64>,
    pub(super) started: Option<Timestamp>,
    /// `ngrok.service`
    pub(super) unit: String,
    pub(super) environment: Vec<String>,
    pub(super) sha256: String,
    /// Open files and the sockets behind them.
    pub(super) sockets: Vec<(u64, u64)>,
    /// Whether its open files could be listed.
    pub(super) files_seen: bool,
    /// The network that it lives in, as the kernel numbers it.
    pub(super) network: String,
}

/// What is common to all of them.
pub(super) struct Kernel<'a> {
    proc: PathBuf,
    limits: &'a Limits,
    /// Seconds since 1970.
    pub(super) booted: Option<i64>,
    /// When all this was looked at.
    pub(super) now: Option<Timestamp>,
}

impl<'a> Kernel<'a> {
    /// The running kernel, or one whose `proc` was kept as files: its present is the
    /// moment that its own clock shows.
    pub(super) fn new(proc: PathBuf, running: bool, limits: &'a Limits) -> Self {
        let stat = text(&proc.join("stat"));
        let booted: Option<i64> =
            stat.lines().find_map(|l| l.strip_prefix("btime ")?.trim().parse().ok());
        let uptime = text(&proc.join("uptime"));
        let uptime = uptime.split('.').next().and_then(|t| t.trim().parse::<i64>().ok());
        let kept = || from_unix(booted?.checked_add(uptime?)?, 0);
        let now = if running { Some(Timestamp::now()) } else { kept() };
        Self { proc, limits, booted, now }
    }

    /// Every process, by number.
    pub(super) fn processes(&self) -> Vec<Process> {
        let Ok(entries) = fs::read_dir(&self.proc) else { return Vec::new() };
        let numbers = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u64>().ok());
        let mut numbers: Vec<u64> = numbers.take(MAX_PROCESSES).collect();
        numbers.sort_unstable();
        let mut hashes = BTreeMap::new();
        numbers.into_iter().filter_map(|pid| self.process(pid, &mut hashes)).collect()
    }

    /// None when it ended meanwhile.
    fn process(&self, pid: u64, hashes: &mut BTreeMap<String, String>) -> Option<Process> {
        let at = self.proc.join(pid.to_string());
        let stat = text(&at.join("stat"));
        // The name may hold blanks and brackets itself.
        let (head, rest) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        let target = |name: &str| {
            let target = fs::read_link(at.join(name)).ok();
            target.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let exe = target("exe");
        let image = exe.strip_suffix(GONE).unwrap_or(&exe).to_owned();
        let (sockets, files_seen) = sockets(&at.join("fd"));
        let mut process = Process {
            pid,
            parent: number(1).unwrap_or_default(),
            name,
            image_gone: exe.ends_with(GONE),
            command_line: arguments(&at.join("cmdline")),
            folder: target("cwd"),
            user: user(&text(&at.join("status"))),
            started: number(19).and_then(|ticks| self.started(ticks)),
            unit: unit(&text(&at.join("cgroup"))),
            environment: variables(&at.join("environ")),
            sha256: String::new(),
            sockets,
            files_seen,
            network: target("ns/net"),
            image,
        };
        if !process.image.is_empty() && self.limits.ended().is_none() {
            // Of a file that is gone, each process has its own.
            let key = if process.image_gone { format!("{pid}") } else { process.image.clone() };
            let hashed =
                hashes.entry(key).or_insert_with(|| hash(&at.join("exe")).unwrap_or_default());
            process.sha256.clone_from(hashed);
        }
        Some(process)
    }

    fn started(&self, ticks: u64) -> Option<Timestamp> {
        let seconds = i64::try_from(ticks / TICKS_PER_SECOND).ok()?;
        let nanos = i32::try_from(ticks % TICKS_PER_SECOND).ok()?.checked_mul(10_000_000)?;
        from_unix(self.booted?.checked_add(seconds)?, nanos)
    }

    /// A file below `proc`.
    pub(super) fn text(&self, name: &str) -> String {
        text(&self.proc.join(name))
    }

    /// Where a process's program can be read even if its file is gone.
    pub(super) fn program(&self, pid: u64) -> PathBuf {
        self.proc.join(pid.to_string()).join("exe")
    }
}

/// Up to a bound, whatever its encoding; empty when it cannot be read.
fn text(path: &Path) -> String {
    String::from_utf8_lossy(&bytes(path)).into_owned()
}

fn bytes(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What was read before an error counts.
        let _ = file.take(MAX_TEXT_BYTES).read_to_end(&mut bytes);
    }
    bytes
}

/// The parts of a text that NUL ends.
fn parts(path: &Path) -> Vec<String> {
    let bytes = bytes(path);
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|b| *b == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// The arguments joined by blanks, as every log of commands shows them.
fn arguments(path: &Path) -> String {
    let joined = parts(path).join(" ");
    joined.trim_end().chars().take(MAX_ARGUMENTS).collect()
}

fn variables(path: &Path) -> Vec<String> {
    let mut all = parts(path);
    all.retain(|part| part.contains('='));
    all.truncate(MAX_VARIABLES);
    all
}

/// The effective user of `Uid: real effective saved filesystem`.
fn user(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The innermost unit of systemd that a control group names.
fn unit(cgroup: &str) -> String {
    let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
    let lines = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let found = lines.filter_map(|path| path.rsplit('/').find(is_unit)).next();
    found.unwrap_or_default().to_owned()
}

/// Open files that are sockets, and whether all could be seen.
fn sockets(folder: &Path) -> (Vec<(u64, u64)>, bool) {
    let Ok(entries) = fs::read_dir(folder) else { return (Vec::new(), false) };
    let mut found: Vec<(u64, u64)> = entries
        .flatten()
        .take(MAX_DESCRIPTORS)
        .filter_map(|entry| {
            let descriptor = entry.file_name().to_str()?.parse().ok()?;
            let target = fs::read_link(entry.path()).ok()?;
            let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some((descriptor, inode.parse().ok()?))
        })
        .collect();
    found.sort_unstable();
    (found, true)
}

/// SHA-256 of the program that runs, also when its file is gone.
fn hash(exe: &Path) -> io::Result<String> {
    let mut file = File::open(exe)?;
    if file.metadata()?.len() > MAX_HASHED_BYTES {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 128 << 10]);
    loop {
        let n = file.read(&mut buffer)?;
        let Some(read) = buffer.get(..n).filter(|read| !read.is_empty()) else { break };
        hasher.update(read);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
