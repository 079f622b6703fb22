//! hosts.csv: one row per host, and what hosts have in common.
//!
//! Lists are joined by a space. A credential, hash, domain or workstation that
//! several hosts share comes first in its list and is followed by the number of
//! hosts: `kali(3)`. `shared_with` names the other hosts and what they share:
//! `WS-07(credentials,hashes)`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ExportError;
use super::column::{Cell, iso};
use super::csv::{CsvStyle, Table};
use super::fresh::create_folder;
use crate::model::{Answer, HostReport, Level, Row, RungName, Session, Tag};

/// Columns of hosts.csv, in order.
pub const COLUMNS: [&str; 20] = [
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
    "shared_with",
];

/// Most values kept per host and list, so that hundreds of hosts fit in memory.
const MAX_VALUES: usize = 200;

/// Most hosts named in `shared_with`; of the others the number, `+12`.
const MAX_NAMED: usize = 20;

/// What hosts.csv says of one host; small, unlike the report it is taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(with = "moment")]
    pub first: Option<Timestamp>,
    /// As `first`.
    #[serde(with = "moment")]
    pub last: Option<Timestamp>,
    /// Sessions of all tools and of none, each once.
    pub sessions: usize,
    /// Sorted, without repetition, at most 200; as the following.
    pub credentials: Vec<String>,
    /// SHA-256 as it is; `sha1:…` and `md5:…`.
    pub hashes: Vec<String>,
    /// Lower-case, without addresses.
    pub domains: Vec<String>,
    /// Client names of the sessions.
    pub workstations: Vec<String>,
    /// Lines of problems.csv.
    pub problems: usize,
}

/// A time with all its digits, as the batch's record keeps it.
mod moment {
    use jiff::Timestamp;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        at.map(|at| at.to_string()).serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
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
            hashes: values(evidence().flat_map(hashes)),
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
    let shared = [
        Shared::of("credentials", &sorted, |of| &of.credentials),
        Shared::of("hashes", &sorted, |of| &of.hashes),
        Shared::of("domains", &sorted, |of| &of.domains),
        Shared::of("workstations", &sorted, |of| &of.workstations),
    ];
    let mut table = Table::create(&path, &COLUMNS, CsvStyle::Plain)?;
    for (at, of) in sorted.iter().enumerate() {
        let mut cells: Vec<Cell<'_>> = vec![
            of.host.as_str().into(),
            of.os.as_str().into(),
            of.source.as_str().into(),
            of.level.as_str().into(),
        ];
        cells.extend(of.rungs.iter().map(|answer| Cell::from(answer.as_str())));
        cells.extend([iso(of.first).into(), iso(of.last).into(), count(of.sessions)]);
        cells.extend(shared.iter().map(|shared| Cell::from(shared.mark(of))));
        cells.extend([count(of.problems), shared_with(&shared, at, &sorted).into()]);
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

fn hashes(row: &Row) -> impl Iterator<Item = String> + '_ {
    std::iter::once(row.sha256.to_ascii_lowercase()).chain(row.hashes.iter().cloned())
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

/// The hosts, by their place in the table, that have each value of a list, any case.
struct Shared {
    list: &'static str,
    values: fn(&HostSummary) -> &[String],
    hosts: BTreeMap<String, BTreeSet<usize>>,
}

impl Shared {
    fn of(
        list: &'static str,
        sorted: &[&HostSummary],
        values: fn(&HostSummary) -> &[String],
    ) -> Self {
        let mut hosts: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (at, summary) in sorted.iter().enumerate() {
            for value in values(summary) {
                hosts.entry(value.to_lowercase()).or_default().insert(at);
            }
        }
        Self { list, values, hosts }
    }

    /// The hosts that have the value.
    fn with(&self, value: &str) -> impl Iterator<Item = usize> {
        self.hosts.get(&value.to_lowercase()).into_iter().flatten().copied()
    }

    /// The host's values, shared ones first and with their number of hosts.
    fn mark(&self, of: &HostSummary) -> String {
        let (mut shared, mut own) = (Vec::new(), Vec::new());
        for value in (self.values)(of) {
            match self.with(value).count() {
                hosts @ 2.. => shared.push(format!("{value}({hosts})")),
                _ => own.push(value.clone()),
            }
        }
        shared.append(&mut own);
        shared.join(" ")
    }
}

/// The other hosts that share a value with the host at `at`: the strongest link
/// first (a credential), then the most links, then as in the table.
fn shared_with(shared: &[Shared], at: usize, sorted: &[&HostSummary]) -> String {
    let Some(of) = sorted.get(at) else { return String::new() };
    let mut others: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (strength, list) in shared.iter().enumerate() {
        for other in (list.values)(of).iter().flat_map(|value| list.with(value)) {
            if other != at {
                others.entry(other).or_default().insert(strength);
            }
        }
    }
    let mut others: Vec<(usize, BTreeSet<usize>)> = others.into_iter().collect();
    others.sort_by_key(|(other, links)| (links.first().copied(), Reverse(links.len()), *other));
    let more = others.len().saturating_sub(MAX_NAMED);
    let name = |(other, links): &(usize, BTreeSet<usize>)| {
        let links = links.iter().filter_map(|link| Some(shared.get(*link)?.list));
        Some(format!("{}({})", sorted.get(*other)?.host, links.collect::<Vec<_>>().join(",")))
    };
    let mut words: Vec<String> = others.iter().take(MAX_NAMED).filter_map(name).collect();
    words.extend((more > 0).then(|| format!("+{more}")));
    words.join(" ")
}
