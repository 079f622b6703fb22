//! summary.csv and dns.csv: executions and name look-ups, grouped as the public
//! reference detections group them, so that the two can be laid side by side.
//!
//! Each record counts once, however many of its times became rows. A record
//! whose time is impossible counts, but moves neither `firstTime` nor `lastTime`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::ExportError;
use super::column::{Cell, iso, usable_time};
use super::csv::{CsvStyle, Table};
use crate::model::{DnsFacts, Row};

/// Columns of summary.csv, in order.
pub const SUMMARY_COLUMNS: [&str; 11] = [
    "dest",
    "user",
    "parent_process_name",
    "process_name",
    "original_file_name",
    "process",
    "process_id",
    "parent_process_id",
    "count",
    "firstTime",
    "lastTime",
];

/// Columns of dns.csv, in order.
pub const DNS_COLUMNS: [&str; 10] = [
    "answer",
    "answer_count",
    "query",
    "query_count",
    "reply_code_id",
    "src",
    "vendor_product",
    "count",
    "firstTime",
    "lastTime",
];

/// How far apart two logs may put the start of one process.
const SAME_START: SignedDuration = SignedDuration::from_secs(2);
/// What stands for a command line that the system did not record.
const UNKNOWN: &str = "unknown";

/// The rows of one group.
#[derive(Default)]
struct Group<'a> {
    records: BTreeSet<(&'a str, &'a str)>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl<'a> Group<'a> {
    fn add(&mut self, row: &'a Row) {
        self.records.insert((&row.source_path, &row.locator));
        if let Some(at) = usable_time(row) {
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            self.last = Some(self.last.map_or(at, |last| last.max(at)));
        }
    }

    fn cells(&self) -> [Cell<'static>; 3] {
        let count = i64::try_from(self.records.len()).unwrap_or(i64::MAX);
        [Cell::Number(count), iso(self.first).into(), iso(self.last).into()]
    }
}

/// Writes summary.csv: process creations of tunnel tools, by first time, then key.
pub(super) fn write_summary(path: &Path, rows: &[Row], style: CsvStyle) -> Result<(), ExportError> {
    let mut groups: BTreeMap<[String; 8], Group<'_>> = BTreeMap::new();
    let runs: Vec<&Row> = rows.iter().filter(|row| is_execution(row)).collect();
    let mut of_process: BTreeMap<Process, Vec<&Row>> = BTreeMap::new();
    for row in runs.iter().filter(|row| row.event_id == Some(1)) {
        of_process.entry(process_of(row)).or_default().push(row);
    }
    for row in runs {
        // Of a start that both logs tell of, Sysmon's record says more.
        let told = of_process.get(&process_of(row)).filter(|_| row.event_id != Some(1));
        let twin = told.and_then(|rows| rows.iter().find(|other| is_same_start(row, other)));
        let row = twin.copied().unwrap_or(row);
        groups.entry(execution_key(row)).or_default().add(row);
    }
    write_groups(path, &SUMMARY_COLUMNS, groups, style)
}

/// Writes dns.csv: one row per query and answer, by first time, then key.
pub(super) fn write_dns(path: &Path, rows: &[Row], style: CsvStyle) -> Result<(), ExportError> {
    let mut groups: BTreeMap<[String; 7], Group<'_>> = BTreeMap::new();
    for row in rows {
        let Some(dns) = &row.dns else { continue };
        let none = [String::new()];
        let answers = if dns.answers.is_empty() { &none } else { dns.answers.as_slice() };
        for answer in answers {
            groups.entry(dns_key(row, dns, answer)).or_default().add(row);
        }
    }
    write_groups(path, &DNS_COLUMNS, groups, style)
}

fn write_groups<const N: usize>(
    path: &Path,
    header: &[&str],
    groups: BTreeMap<[String; N], Group<'_>>,
    style: CsvStyle,
) -> Result<(), ExportError> {
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| (group.first.is_none(), group.first));
    let mut table = Table::create(path, header, style)?;
    for (key, group) in groups {
        let [count, first, last] = group.cells();
        table.row(key.into_iter().map(Cell::from).chain([count, first, last]))?;
    }
    table.finish()
}

/// Sysmon 1 and Security 4688. Other providers use the number 1 as well.
fn is_execution(row: &Row) -> bool {
    let known = match row.event_id {
        Some(1) => row.channel.is_empty() || row.channel.contains("Sysmon"),
        Some(4688) => true,
        _ => false,
    };
    known && !row.process.is_empty() && !row.tool.is_empty()
}

/// A process by host, number, file name and command line.
type Process = (String, Option<i64>, String, String);

fn process_of(row: &Row) -> Process {
    let name = base_name(&row.process).to_lowercase();
    (row.host.clone(), row.pid, name, row.command_line.clone())
}

/// Whether two records of one process tell of one start.
fn is_same_start(one: &Row, other: &Row) -> bool {
    match (one.datetime, other.datetime) {
        (Some(one), Some(other)) => one.duration_since(other).abs() <= SAME_START,
        _ => false,
    }
}

fn execution_key(row: &Row) -> [String; 8] {
    let command_line = if row.command_line.is_empty() { UNKNOWN } else { &row.command_line };
    [
        row.host.clone(),
        row.user.clone(),
        base_name(&row.parent).to_owned(),
        base_name(&row.process).to_owned(),
        row.original_file_name.clone(),
        command_line.to_owned(),
        row.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        row.parent_pid.map(|pid| pid.to_string()).unwrap_or_default(),
    ]
}

fn dns_key(row: &Row, dns: &DnsFacts, answer: &str) -> [String; 7] {
    [
        answer.to_owned(),
        dns.answers.len().to_string(),
        dns.query.clone(),
        "1".to_owned(), // one question per logged look-up
        dns.reply_code.clone(),
        row.host.clone(),
        dns.vendor_product.clone(),
    ]
}

fn base_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or_default()
}
