//! What a parser yields.

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Moment;

/// What kind of fact a record is, in Sigma's `logsource: category` words where
/// Sigma has one (`process_creation`, `network_connection`, `dns_query`,
/// `file_event`, `registry_set`, `image_load`, `ps_script`, …), else in ours
/// (`service`, `service_install`, `run_key`, `executable`, `archive`, `config`,
/// `tunnel_endpoint`, `agent_log`, `file`, `event`).
pub type Category = &'static str;

/// A field's value. Numbers stay numbers so that rules can compare them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Number(i64),
    /// Several values under one name, in the source's order.
    List(Vec<String>),
}

impl Value {
    /// The text of a `Text`, the first of a `List`.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(all) => all.first().map(String::as_str),
            Self::Number(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(n) => write!(f, "{n}"),
            Self::List(all) => f.write_str(&all.join(" ")),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Self::Number(n)
    }
}

/// Where in its file a record stands; prints as the `locator` column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Locator {
    /// EventRecordID.
    Record(u64),
    /// Byte offset.
    Offset(u64),
    /// Line, from 1.
    Line(u64),
    /// Registry key below the hive's root, and the value if one is meant.
    Key { key: String, value: Option<String> },
    /// Member of an archive.
    Member(String),
    /// Record of the `$MFT` and how often it has been given out; an inode if that is 0.
    File { number: u64, sequence: u16 },
    /// Database table and row.
    Row { table: String, row: i64 },
    /// Update sequence number of a change journal's record.
    Usn(u64),
    /// Process of the running system, and an open file of it if one is meant.
    Process { pid: u64, descriptor: Option<u64> },
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(id) => write!(f, "record:{id}"),
            Self::Offset(at) => write!(f, "offset:{at:#x}"),
            Self::Line(n) => write!(f, "line:{n}"),
            Self::Key { key, value: None } => write!(f, "key:{key}"),
            Self::Key { key, value: Some(value) } => write!(f, "key:{key}|{value}"),
            Self::Member(name) => write!(f, "member:{name}"),
            Self::File { number, sequence: 0 } => write!(f, "inode:{number}"),
            Self::File { number, sequence } => write!(f, "mft:{number}-{sequence}"),
            Self::Row { table, row } => write!(f, "row:{table}/{row}"),
            Self::Usn(usn) => write!(f, "usn:{usn}"),
            Self::Process { pid, descriptor: None } => write!(f, "pid:{pid}"),
            Self::Process { pid, descriptor: Some(fd) } => write!(f, "pid:{pid}/fd:{fd}"),
        }
    }
}

/// One thing a file says: an event, a key, a line, a file's own facts.
///
/// Fields bear the names that Sigma and the source use (`Image`, `CommandLine`,
/// `QueryName`, `ServiceName`, `ImagePath`, `Channel`, `EventID`, `Computer`).
#[derive(Clone, Debug)]
pub struct Record {
    pub category: Category,
    pub fields: Vec<(Cow<'static, str>, Value)>,
    /// Each becomes a row; none means a row of notime.csv.
    pub times: Vec<Moment>,
    pub locator: Locator,
    /// Carved from slack, free cells or a cleared chunk.
    pub recovered: bool,
}

/// Fields that hold commands.
pub const COMMAND_FIELDS: [&str; 11] = [
    "DecodedCommand",
    "CommandLine",
    "ImagePath",
    "ServiceFileName",
    "Wrapped",
    "Details",
    "TaskCommand",
    "HostApplication",
    "ScriptBlockText",
    "AppParameters",
    "FailureCommand",
];

impl Record {
    pub fn new(category: Category, locator: Locator) -> Self {
        Self { category, fields: Vec::new(), times: Vec::new(), locator, recovered: false }
    }

    /// The value of the first field of that name (names are compared exactly).
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// What the record says was or is to be run, encoded commands in clear first.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        COMMAND_FIELDS.iter().filter_map(|field| self.value(field)).flat_map(|value| {
            let texts = match value {
                Value::Text(text) => std::slice::from_ref(text),
                Value::List(all) => all,
                Value::Number(_) => &[],
            };
            texts.iter().map(String::as_str)
        })
    }

    /// The text of that field; empty and `-` count as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_text().filter(|t| !t.is_empty() && *t != "-")
    }

    /// The number of that field, also when the source wrote it as decimal or `0x` text.
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            Value::Number(n) => Some(*n),
            other => {
                let text = other.as_text()?.trim();
                match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
                    Some(hex) => i64::from_str_radix(hex, 16).ok(),
                    None => text.parse().ok(),
                }
            }
        }
    }

    /// Adds a field; an empty text is left out.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        let value = value.into();
        if !matches!(&value, Value::Text(text) if text.is_empty()) {
            self.fields.push((name.into(), value));
        }
    }

    /// The first time that is a time.
    pub fn first_time(&self) -> Option<Timestamp> {
        self.times.iter().find_map(|m| m.at)
    }
}

/// A place that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub locator: Option<Locator>,
    /// What, where, expected and found.
    pub message: String,
    /// Whether content was lost; `false` is a remark that loses nothing.
    pub lost: bool,
}

/// How far a log or other record store reaches; what coverage.csv tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Name of the store as its records say it (a channel), if they do.
    pub store: Option<String>,
    /// The machine that the records name.
    pub computer: Option<String>,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    pub records: u64,
    /// Runs of consecutive record numbers, first and last, in the order met; for
    /// [`Extent::merge`] to judge gaps by.
    pub runs: Vec<(u64, u64)>,
    /// Missing runs of record numbers, as `17-23`.
    pub gaps: Vec<String>,
}

/// More gaps than this are counted, not listed.
const MAX_GAPS_LISTED: usize = 1000;

impl Extent {
    /// Counts a record, which reaches as far as its times.
    pub fn count(&mut self, record: &Record) {
        self.count_at(record.times.iter().filter_map(|moment| moment.at));
    }

    /// Counts a record that reaches as far as these times.
    pub fn count_at(&mut self, times: impl IntoIterator<Item = Timestamp>) {
        self.records = self.records.saturating_add(1);
        for at in times {
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            self.last = self.last.max(Some(at));
        }
    }

    /// The extent of a file from those of its parts, given in the file's order.
    ///
    /// Gaps are judged over all numbers in ascending order, wherever in the file
    /// they stand: a log that wrapped is no gap, and neither is a first number above 1.
    pub fn merge(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Self::default();
        for part in parts {
            whole.store = whole.store.or(part.store);
            whole.computer = whole.computer.or(part.computer);
            whole.records = whole.records.saturating_add(part.records);
            whole.first = [whole.first, part.first].into_iter().flatten().min();
            whole.last = whole.last.max(part.last);
            whole.runs.extend(part.runs);
        }
        whole.runs.sort_unstable();
        whole.gaps = gaps(&whole.runs);
        whole.runs = Vec::new();
        whole
    }
}

/// The numbers missing between `runs`, which are sorted.
fn gaps(runs: &[(u64, u64)]) -> Vec<String> {
    let (mut gaps, mut unlisted, mut reached) = (Vec::new(), 0u64, None::<u64>);
    for (first, last) in runs {
        let missing = reached.and_then(|n| n.checked_add(1)).filter(|next| next < first);
        if let Some(from) = missing {
            let to = first.saturating_sub(1);
            if gaps.len() < MAX_GAPS_LISTED {
                gaps.push(if from == to { from.to_string() } else { format!("{from}-{to}") });
            } else {
                unlisted = unlisted.saturating_add(1);
            }
        }
        reached = reached.max(Some(*last));
    }
    if unlisted > 0 {
        gaps.push(format!("and {unlisted} more"));
    }
    gaps
}

/// Takes what a parser pushes.
pub trait Sink {
    /// `Break` asks the parser to stop; it then returns `Ok`.
    fn record(&mut self, record: Record) -> ControlFlow<()>;
    fn damaged(&mut self, damage: Damage);
    /// Said once per file or part of one; parts are merged by the caller.
    fn extent(&mut self, extent: Extent);
}
