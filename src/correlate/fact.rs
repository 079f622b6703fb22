//! Which rows speak of one fact: a service as the log, the key and its event source
//! know it, a run as several records tell of it.
//!
//! What two sources tell of one fact is one event with two sources, not two events.

use std::collections::{BTreeMap, BTreeSet};

use super::path;
use crate::model::{Record, Row};

/// How far apart sources may put the same start or look-up, in seconds.
const APART: i64 = 2;

/// What a row speaks of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// A program's start, by its file name.
    Run(String),
    /// A name looked up.
    Lookup(String),
    /// A service, by its name.
    Service(String),
    /// A scheduled task, by its path.
    Task(String),
    /// A program that starts with a user's session, by its entry's name.
    Entry(String),
    /// A record that no other repeats, by its place.
    Record(String),
}

impl Fact {
    /// The fact of a record and the row made of it.
    pub fn of(record: &Record, row: &Row) -> Self {
        let lower = |field: &str| record.text(field).map(|text| text.trim().to_lowercase());
        let known = match record.category {
            "service" | "service_install" | "service_state" => {
                lower("ServiceName").map(Self::Service)
            }
            "eventlog_source" => lower("SourceName").map(Self::Service),
            "task" => lower("TaskName").map(Self::of_task),
            "task_file" | "task_cache" => lower("Name").map(Self::of_task),
            "run_key" => lower("ValueName").map(Self::Entry),
            "dns_query" => {
                lower("QueryName").map(|name| Self::Lookup(name.trim_end_matches('.').into()))
            }
            category if is_run(category, &row.timestamp_desc) => {
                let name = path::base_name(&row.process).to_lowercase();
                (!name.is_empty()).then_some(Self::Run(name))
            }
            _ => None,
        };
        known.unwrap_or_else(|| Self::Record(format!("{}\0{}", row.source_path, row.locator)))
    }

    fn of_task(name: String) -> Self {
        Self::Task(name.trim_start_matches('\\').to_owned())
    }

    /// Whether the same happens again and again, told apart by time.
    fn recurs(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Lookup(_))
    }

    /// `service ngrok`, for the facts that have a name.
    fn named(&self) -> Option<String> {
        match self {
            Self::Service(name) => Some(format!("service {name}")),
            Self::Task(name) => Some(format!("task {name}")),
            Self::Entry(name) => Some(format!("autostart {name}")),
            Self::Run(_) | Self::Lookup(_) | Self::Record(_) => None,
        }
    }
}

/// Whether the record tells when a program was started.
fn is_run(category: &str, meaning: &str) -> bool {
    match category {
        "process_creation" => true,
        "prefetch" | "bam" | "userassist" | "pca_launch" | "srum_application" => {
            meaning.contains("Run") || meaning.contains("Execut") || meaning.contains("Start")
        }
        _ => false,
    }
}

/// One fact of a stage: its rows' times and sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// `service ngrok`, where it has a name.
    pub name: Option<String>,
    pub first: Option<jiff::Timestamp>,
    /// Artifact ids.
    pub sources: BTreeSet<String>,
}

/// The facts that rows tell of, each once: by first time, those without one last.
pub fn told<'a>(rows: impl Iterator<Item = (&'a Fact, &'a Row)>) -> Vec<Told> {
    let mut by_fact: BTreeMap<&Fact, Vec<&Row>> = BTreeMap::new();
    for (fact, row) in rows {
        by_fact.entry(fact).or_default().push(row);
    }
    let mut out: Vec<Told> = Vec::new();
    for (fact, mut rows) in by_fact {
        rows.sort_by_key(|row| (row.datetime.is_none(), row.datetime));
        let mut last: Option<jiff::Timestamp> = None;
        let start = out.len();
        for row in rows {
            let again = match (last, row.datetime) {
                (Some(last), Some(at)) => {
                    fact.recurs() && at.duration_since(last).as_secs() > APART
                }
                _ => false,
            };
            if out.len() == start || again {
                let name = fact.named();
                out.push(Told { name, first: row.datetime, sources: BTreeSet::new() });
            }
            last = row.datetime.or(last);
            out.last_mut().into_iter().for_each(|told| {
                told.sources.insert(row.artifact.clone());
            });
        }
    }
    out.sort_by(|a, b| {
        (a.first.is_none(), a.first, &a.name).cmp(&(b.first.is_none(), b.first, &b.name))
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    fn row(artifact: &str, second: i64, process: &str, meaning: &str) -> Row {
        Row {
            artifact: artifact.to_owned(),
            datetime: jiff::Timestamp::from_second(second).ok(),
            process: process.to_owned(),
            timestamp_desc: meaning.to_owned(),
            ..Row::default()
        }
    }

    fn record(category: &'static str, fields: &[(&'static str, &str)]) -> Record {
        let mut record = Record::new(category, Locator::Record(1));
        for &(name, value) in fields {
            record.push(name, value);
        }
        record
    }

    /// Facts as `name@second:number of sources`.
    fn check(rows: &[(Record, Row)], expected: &[&str]) {
        let facts: Vec<Fact> = rows.iter().map(|(record, row)| Fact::of(record, row)).collect();
        let told = told(facts.iter().zip(rows.iter().map(|(_, row)| row)));
        let shown = |told: &Told| {
            let name = told.name.as_deref().unwrap_or("-");
            let at = told.first.map(|at| at.as_second()).unwrap_or_default();
            format!("{name}@{at}:{}", told.sources.len())
        };
        assert_eq!(told.iter().map(shown).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn views_of_one_service_are_one_fact() {
        let named = [("ServiceName", "Ngrok")];
        check(
            &[
                (record("service_install", &named), row("system", 100, "", "Event Logged")),
                (record("service_install", &named), row("security", 100, "", "Event Logged")),
                (record("service", &named), row("hive", 90, "", "Key Last Written")),
                (
                    record("eventlog_source", &[("SourceName", "ngrok")]),
                    row("hive", 100, "", "Key Last Written"),
                ),
                (record("service", &[("ServiceName", "other")]), row("hive", 95, "", "")),
            ],
            &["service ngrok@90:3", "service other@95:1"],
        );
    }

    #[test]
    fn views_of_one_task_are_one_fact() {
        check(
            &[
                (record("task", &[("TaskName", r"\Upd")]), row("log", 10, "", "")),
                (record("task_file", &[("Name", "Upd")]), row("xml", 10, "", "")),
                (record("task_cache", &[("Name", r"\Upd")]), row("software", 11, "", "")),
            ],
            &["task upd@10:3"],
        );
    }

    #[test]
    fn a_run_is_told_once_and_the_next_again() {
        let run = |at, artifact, category, meaning| {
            (record(category, &[]), row(artifact, at, r"C:\t\ngrok.exe", meaning))
        };
        check(
            &[
                run(50, "sysmon", "process_creation", "Process Start"),
                run(50, "security", "process_creation", "Process Start"),
                run(51, "prefetch", "prefetch", "Last Run"),
                run(90, "sysmon", "process_creation", "Process Start"),
                run(40, "prefetch", "prefetch", "Prefetch File Created"),
            ],
            &["-@40:1", "-@50:3", "-@90:1"],
        );
    }
}
