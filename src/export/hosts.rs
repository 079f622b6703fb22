//! hosts.csv: one row per host, and what hosts have in common.
//!
//! Lists are joined by a space. A credential, hash, domain or workstation that
//! several hosts share is followed by the number of hosts: `kali(3)`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::ExportError;
use super::column::{Cell, iso};
use super::csv::{CsvStyle, Table};
use super::fresh::create_folder;
use crate::model::{Answer, HostReport, Level, Row, RungName, Session, Tag};

/// Columns of hosts.csv, in order.
pub const COLUMNS: [&str; 19] = [
    "host",
    "os",
    "source",
    "level",
    "delivered",
    "configured",
    "executed",
    "persisted",
    "connected",
    "used",
    "cleaned_up",
    "first",
    "last",
    "sessions",
    "credentials",
    "hashes",
    "domains",
    "workstations",
    "problems",
];

/// Most values kept per host and list, so that hundreds of hosts fit in memory.
const MAX_VALUES: usize = 200;

/// What hosts.csv says of one host; small, unlike the report it is taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSummary {
    /// The host's folder.
    pub host: String,
    /// Empty when unknown.
    pub os: String,
    /// As the user named it.
    pub source: String,
    /// Of the verdict.
    pub level: Level,
    /// Over all tools: yes if any says yes, else unknown if any is unknown.
    pub rungs: [Answer; 7],
    /// Of every rung answered yes and every session.
    pub first: Option<Timestamp>,
    /// As `first`.
    pub last: Option<Timestamp>,
    /// Sessions of all tools and of none, each once.
    pub sessions: usize,
    /// Sorted, without repetition, at most 200; as the following.
    pub credentials: Vec<String>,
    /// SHA-256.
    pub hashes: Vec<String>,
    /// Lower-case, without addresses.
    pub domains: Vec<String>,
    /// Client names of the sessions.
    pub workstations: Vec<String>,
    /// Lines of problems.csv.
    pub problems: usize,
}

impl HostSummary {
    /// The summary of a report.
    pub fn of(report: &HostReport) -> Self {
        let verdict = &report.verdict;
        let sessions = sessions(report);
        let yes = verdict.tools.iter().flat_map(|tool| tool.rungs.values());
        let yes = yes.filter(|rung| rung.answer == Answer::Yes);
        let times: Vec<Timestamp> = yes
            .flat_map(|rung| [rung.first, rung.last])
            .chain(sessions.iter().flat_map(|session| [session.from, session.until]))
            .flatten()
            .collect();
        let evidence = || report.rows.iter().filter(|row| is_evidence(row));
        let exposed = verdict.tools.iter().flat_map(|tool| &tool.exposed);
        let domains = evidence()
            .flat_map(|row| [Some(&row.remote_host), row.dns.as_ref().map(|dns| &dns.query)])
            .flatten()
            .chain(exposed.map(|exposed| &exposed.public));
        let credentials = verdict.tools.iter().flat_map(|tool| &tool.credentials);
        Self {
            host: report.host.clone(),
            os: report.system.os.clone().unwrap_or_default(),
            source: report.source.clone(),
            level: verdict.level,
            rungs: RungName::ALL.map(|name| merged_answer(report, name)),
            first: times.iter().min().copied(),
            last: times.iter().max().copied(),
            sessions: sessions.len(),
            credentials: values(credentials.map(|credential| credential.id.clone())),
            hashes: values(evidence().map(|row| row.sha256.to_ascii_lowercase())),
            domains: values(domains.filter_map(|text| domain(text))),
            workstations: values(sessions.iter().map(|session| session.workstation.clone())),
            problems: report.problems.len(),
        }
    }
}

/// Writes `dir/hosts.csv` and returns its path: by level, sessions and rungs answered
/// yes, highest first, then host.
///
/// # Errors
///
/// When the file cannot be written or a link stands there.
pub fn write_hosts(dir: &Path, summaries: &[HostSummary]) -> Result<PathBuf, ExportError> {
    create_folder(dir)?;
    let path = dir.join("hosts.csv");
    let mut sorted: Vec<&HostSummary> = summaries.iter().collect();
    let certain = |of: &HostSummary| of.rungs.iter().filter(|a| **a == Answer::Yes).count();
    sorted.sort_by_key(|of| {
        let rank = (Reverse(of.level), Reverse(of.sessions), Reverse(certain(of)));
        (rank, of.host.as_str(), of.source.as_str())
    });
    let credentials = Shared::of(&sorted, |of| &of.credentials);
    let hashes = Shared::of(&sorted, |of| &of.hashes);
    let domains = Shared::of(&sorted, |of| &of.domains);
    let workstations = Shared::of(&sorted, |of| &of.workstations);
    let mut table = Table::create(&path, &COLUMNS, CsvStyle::Plain)?;
    for of in sorted {
        let mut cells: Vec<Cell<'_>> = vec![
            of.host.as_str().into(),
            of.os.as_str().into(),
            of.source.as_str().into(),
            of.level.as_str().into(),
        ];
        cells.extend(of.rungs.iter().map(|answer| Cell::from(answer.as_str())));
        cells.extend([
            iso(of.first).into(),
            iso(of.last).into(),
            count(of.sessions),
            credentials.mark(&of.credentials).into(),
            hashes.mark(&of.hashes).into(),
            domains.mark(&of.domains).into(),
            workstations.mark(&of.workstations).into(),
            count(of.problems),
        ]);
        table.row(cells)?;
    }
    table.finish()?;
    Ok(path)
}

/// The host's answer to a rung: yes if any tool says yes, else unknown if any is.
pub(super) fn merged_answer(report: &HostReport, name: RungName) -> Answer {
    let tools = &report.verdict.tools;
    let answers = || tools.iter().map(|tool| tool.rungs.get(&name).map(|rung| rung.answer));
    if answers().any(|answer| answer == Some(Answer::Yes)) {
        Answer::Yes
    } else if !tools.is_empty() && answers().all(|answer| answer == Some(Answer::No)) {
        Answer::No
    } else {
        Answer::Unknown
    }
}

/// Every session of the host once, also when several tools claim it.
fn sessions(report: &HostReport) -> Vec<&Session> {
    let mut out: Vec<&Session> = Vec::new();
    let verdict = &report.verdict;
    let claimed = verdict.tools.iter().flat_map(|tool| &tool.sessions);
    let mut seen = BTreeSet::new();
    for session in claimed.chain(&verdict.unattributed) {
        if seen.insert((session.from, &session.kind, &session.user, &session.rows)) {
            out.push(session);
        }
    }
    out
}

/// Whether a row speaks for a tunnel at all.
fn is_evidence(row: &Row) -> bool {
    row.level >= Level::Low && !row.tool.is_empty() && !row.tag.contains(&Tag::Suppressed)
}

fn values(all: impl Iterator<Item = String>) -> Vec<String> {
    let set: BTreeSet<String> = all.filter(|value| !value.is_empty()).collect();
    set.into_iter().take(MAX_VALUES).collect()
}

/// The domain of a host name or URL; `None` for addresses and bare names.
fn domain(text: &str) -> Option<String> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let named = host.contains('.') && host.chars().any(|c| c.is_ascii_alphabetic());
    named.then_some(host)
}

fn count(n: usize) -> Cell<'static> {
    Cell::Number(i64::try_from(n).unwrap_or(i64::MAX))
}

/// On how many hosts each value was seen, any case.
struct Shared(BTreeMap<String, usize>);

impl Shared {
    fn of(summaries: &[&HostSummary], values: impl Fn(&HostSummary) -> &Vec<String>) -> Self {
        let mut hosts: BTreeMap<String, usize> = BTreeMap::new();
        for summary in summaries {
            let keys: BTreeSet<String> = values(summary).iter().map(|v| v.to_lowercase()).collect();
            for key in keys {
                let n = hosts.entry(key).or_default();
                *n = n.saturating_add(1);
            }
        }
        Self(hosts)
    }

    fn mark(&self, values: &[String]) -> String {
        let mark = |value: &String| match self.0.get(&value.to_lowercase()) {
            Some(hosts @ 2..) => format!("{value}({hosts})"),
            _ => value.clone(),
        };
        values.iter().map(mark).collect::<Vec<_>>().join(" ")
    }
}
