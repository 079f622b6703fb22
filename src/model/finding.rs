//! What correlation concludes about a host: chains, the verdict's ladder, coverage.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Level, Problem, Row, RowStage, Volatile, Zone};

/// The tool of what names none: the shapes of a tunnel, who came in over loopback, and
/// what hides either. Also the name of the built-in profile of such rules.
pub const NO_TOOL: &str = "tunnel";

/// One finding: rows that tell one story of one tool. A line of findings.csv.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Chain {
    /// `ngrok-1`; rows name it in their `chain` column.
    pub id: String,
    pub tool: String,
    pub score: u8,
    /// The furthest stage reached.
    pub stage: RowStage,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// One or two sentences for a person.
    pub summary: String,
    pub user: String,
    pub path: String,
    pub remote_host: String,
    pub local_port: Option<i64>,
    pub rules: Vec<String>,
    pub techniques: Vec<String>,
    /// Row ids, in time order.
    pub rows: Vec<String>,
}

/// A question of the ladder, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RungName {
    Delivered,
    Configured,
    Executed,
    Persisted,
    Connected,
    Used,
    CleanedUp,
}

impl RungName {
    pub const ALL: [Self; 7] = [
        Self::Delivered,
        Self::Configured,
        Self::Executed,
        Self::Persisted,
        Self::Connected,
        Self::Used,
        Self::CleanedUp,
    ];

    pub fn stage(self) -> RowStage {
        match self {
            Self::Delivered => RowStage::Delivered,
            Self::Configured => RowStage::Configured,
            Self::Executed => RowStage::Executed,
            Self::Persisted => RowStage::Persisted,
            Self::Connected => RowStage::Connected,
            Self::Used => RowStage::Used,
            Self::CleanedUp => RowStage::CleanedUp,
        }
    }

    pub fn as_str(self) -> &'static str {
        self.stage().as_str()
    }
}

/// Yes with rows, no with coverage, or unknown with a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Yes,
    No,
    Unknown,
}

impl Answer {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// One rung of a tool's ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    pub answer: Answer,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// 0–100.
    pub confidence: u8,
    /// Row ids behind a yes, in time order.
    pub rows: Vec<String>,
    pub why: String,
}

/// Somebody came in.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Session {
    /// `rdp`, `ssh`, `connection`, …
    pub kind: String,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub user: String,
    /// Source port of the loopback connection.
    pub local_port: Option<i64>,
    /// The true client's address, where an agent's log names it.
    pub remote_address: String,
    pub workstation: String,
    /// Hours of the client's zone from UTC, as Remote Desktop noted them: `-8`.
    pub zone_hours: String,
    /// The tool's bytes of the hours that the session touched.
    pub traffic: Option<Traffic>,
    pub rows: Vec<String>,
    /// What carried it, where a log names it though no profile does (`plink.exe`).
    pub carrier: String,
    /// What may have carried it, where nothing tells which.
    pub candidates: Vec<String>,
}

/// An account of the tunnel's provider, named by a token.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Credential {
    /// `cr_…` or `ak_…`; `sha256:…` for legacy tokens.
    pub id: String,
    pub minted: Option<Timestamp>,
    pub rows: Vec<String>,
}

/// What was opened to the outside.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Exposed {
    pub target: String,
    pub public: String,
    pub rows: Vec<String>,
}

/// Bytes of a tool's programs, as the system counted them by the hour.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Traffic {
    pub sent: u64,
    pub received: u64,
    /// When the first and the last hour's counts were written.
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    pub rows: Vec<String>,
}

/// The agent's version as its behaviour brackets it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct VersionBracket {
    pub at_least: Option<String>,
    pub before: Option<String>,
    /// One sentence per observation, sorted.
    pub because: Vec<String>,
}

/// Everything the verdict says of one tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolVerdict {
    pub tool: String,
    pub level: Level,
    pub rungs: BTreeMap<RungName, Rung>,
    pub sessions: Vec<Session>,
    pub credentials: Vec<Credential>,
    pub agent_version: VersionBracket,
    pub exposed: Vec<Exposed>,
    /// `None` when no source counted any.
    pub traffic: Option<Traffic>,
    /// Rows of its server, to which agents on other machines come.
    pub serves: Vec<String>,
}

/// verdict.json.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Verdict {
    pub host: String,
    pub level: Level,
    /// By tool id; every loaded profile has one.
    pub tools: Vec<ToolVerdict>,
    /// Loopback sessions that no tool's port or log explains.
    pub unattributed: Vec<Session>,
}

/// The state of one source in coverage.csv.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CoverageState {
    Read,
    Partial,
    Absent,
    Cleared,
    Disabled,
    Unreadable,
}

impl CoverageState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Partial => "partial",
            Self::Absent => "absent",
            Self::Cleared => "cleared",
            Self::Disabled => "disabled",
            Self::Unreadable => "unreadable",
        }
    }
}

/// One source that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Artifact id: `windows.evtx.security`.
    pub source: String,
    /// Where it was found, or where it was expected.
    pub path: String,
    pub state: CoverageState,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    pub records: u64,
    /// Missing record numbers, as `17-23`.
    pub gaps: Vec<String>,
    pub why: String,
}

/// What the evidence says about the machine itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SystemFacts {
    /// Computer name as the evidence spells it.
    pub name: Option<String>,
    /// `Windows 10 Pro 22H2 (build 19045.4046)`
    pub os: Option<String>,
    /// True for Windows Server.
    pub server: bool,
    /// When this version of the system was set up.
    pub installed: Option<Timestamp>,
    /// `W. Europe Standard Time`
    pub time_zone: Option<String>,
    /// Minutes to add to local standard time for UTC.
    pub bias_minutes: Option<i32>,
    /// For sources that write local time.
    pub zone: Option<Zone>,
    /// Where Remote Desktop listens.
    pub remote_desktop_port: Option<u16>,
    /// Whether it takes connections.
    pub remote_desktop: Option<bool>,
    /// Whether Windows keeps Prefetch files of programs.
    pub prefetch: Option<bool>,
    /// Logs that are switched on beside those that always are: Windows' channels;
    /// `syslog` and `audit` of Linux. `None` where nothing tells.
    pub logs: Option<Vec<String>>,
    /// Folders of the users' profiles, as Windows lists them.
    pub profiles: Vec<String>,
}

/// Everything that export writes about one host.
#[derive(Clone, Debug, Default)]
pub struct HostReport {
    /// Folder-safe name: `[A-Za-z0-9._-]`, at most 64.
    pub host: String,
    pub system: SystemFacts,
    /// The source as the user named it.
    pub source: String,
    /// In total order: time, then source path, locator, description, row id.
    pub rows: Vec<Row>,
    pub chains: Vec<Chain>,
    pub verdict: Verdict,
    /// By source, then path.
    pub coverage: Vec<Coverage>,
    pub problems: Vec<Problem>,
    /// Files that complete others (a hive's logs), by the path of the other.
    pub sidecars: BTreeMap<String, Vec<String>>,
    /// What only the running system told, secrets made unreadable; none of a dead one.
    pub volatile: Option<Vec<Volatile>>,
}

impl HostReport {
    /// Makes every row and the verdict bear the report's host name.
    pub fn rename_rows(&mut self) {
        for row in &mut self.rows {
            row.host.clone_from(&self.host);
        }
        self.verdict.host.clone_from(&self.host);
    }
}
