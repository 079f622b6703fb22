//! From a record that a rule knows to the line an investigator reads.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EvidencePath, Precision, Record};

/// How much a row or chain matters. Derived from the score: 80, 60, 40, 20, below.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    #[default]
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl Level {
    pub fn of_score(score: u8) -> Self {
        match score {
            80.. => Self::Critical,
            60.. => Self::High,
            40.. => Self::Medium,
            20.. => Self::Low,
            _ => Self::Informational,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What a row shows of a tunnel's life; the `stage` column, in the ladder's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum RowStage {
    Delivered,
    Configured,
    Executed,
    Persisted,
    Connected,
    Used,
    CleanedUp,
    #[default]
    Context,
}

impl RowStage {
    pub const ALL: [Self; 8] = [
        Self::Delivered,
        Self::Configured,
        Self::Executed,
        Self::Persisted,
        Self::Connected,
        Self::Used,
        Self::CleanedUp,
        Self::Context,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Configured => "configured",
            Self::Executed => "executed",
            Self::Persisted => "persisted",
            Self::Connected => "connected",
            Self::Used => "used",
            Self::CleanedUp => "cleaned_up",
            Self::Context => "context",
        }
    }

    /// The stage of that name, as profiles write it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }
}

/// A word of the `tag` column; several are joined by a space in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tag {
    Suppressed,
    Deleted,
    Recovered,
    Timestomped,
    Attempt,
    Consumer,
    Agent,
}

impl Tag {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suppressed => "suppressed",
            Self::Deleted => "deleted",
            Self::Recovered => "recovered",
            Self::Timestomped => "timestomped",
            Self::Attempt => "attempt",
            Self::Consumer => "consumer",
            Self::Agent => "agent",
        }
    }

    /// The tag of that name, as profiles write it.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Suppressed,
            Self::Deleted,
            Self::Recovered,
            Self::Timestomped,
            Self::Attempt,
            Self::Consumer,
            Self::Agent,
        ]
        .into_iter()
        .find(|tag| tag.as_str() == text)
    }
}

/// One rule that a record met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Profile id: `ngrok`, or `tunnel` when no tool is named.
    pub tool: Arc<str>,
    /// The rule's own id or short name.
    pub rule: Arc<str>,
    /// Reference clauses the rule satisfies: `S000.2`.
    pub clauses: Arc<[String]>,
    /// ATT&CK technique ids: `T1572`.
    pub techniques: Arc<[String]>,
    pub stage: RowStage,
    /// 0–100, for this record alone.
    pub score: u8,
    pub tags: Vec<Tag>,
    /// One sentence, already filled from the record's fields.
    pub message: String,
    /// Name of the allowlist entry that suppresses it.
    pub suppressed_by: Option<String>,
}

/// A record that something knows: a rule, or a pivot of correlation.
#[derive(Clone, Debug)]
pub struct Event {
    /// `windows.evtx.sysmon`
    pub artifact: Arc<str>,
    pub path: EvidencePath,
    pub record: Record,
    pub hits: Vec<Hit>,
    /// The image, folder or `live` it came from.
    pub source: Arc<str>,
    /// SHA-256 of the file the record is about, where one was computed.
    pub sha256: Option<String>,
}

/// One line of timeline.csv or notime.csv; field order is column order.
///
/// Text fields hold exact values (secrets already redacted); escaping is
/// export's. Empty means absent.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Row {
    /// `None`: the row belongs to notime.csv.
    pub datetime: Option<Timestamp>,
    pub timestamp_desc: String,
    pub message: String,
    pub host: String,
    pub level: Level,
    pub stage: RowStage,
    pub tool: String,
    /// Rule ids and clauses.
    pub rule: Vec<String>,
    pub technique: Vec<String>,
    pub score: u8,
    pub chain: String,
    pub user: String,
    pub process: String,
    pub pid: Option<i64>,
    pub parent: String,
    pub command_line: String,
    pub path: String,
    pub sha256: String,
    /// Other hashes of the file that the source gives, no column: `sha1:…`, `md5:…`.
    pub hashes: Vec<String>,
    pub service: String,
    pub remote_host: String,
    pub remote_port: Option<i64>,
    pub local_port: Option<i64>,
    pub logon_id: String,
    pub session_id: String,
    pub event_id: Option<i64>,
    pub channel: String,
    pub artifact: String,
    pub source_path: String,
    pub locator: String,
    pub source: String,
    pub time_precision: Option<Precision>,
    pub datetime_raw: String,
    pub row_id: String,
    pub tag: Vec<Tag>,
    /// DNS facts for dns.csv; not a timeline column.
    pub dns: Option<DnsFacts>,
    /// Name of the program as its version resource says; for summary.csv.
    pub original_file_name: String,
    pub parent_pid: Option<i64>,
}

/// What a name look-up said; columns of dns.csv.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DnsFacts {
    pub query: String,
    pub answers: Vec<String>,
    /// The status as recorded: `0`, `9003`, …
    pub reply_code: String,
    /// Product that logged it: `Sysmon`, `DNS Client`.
    pub vendor_product: String,
}
