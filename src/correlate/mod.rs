//! Joins what the rules found: pivots until nothing new comes, sessions, chains,
//! and a verdict that names the rows behind every answer.
//!
//! Correlation knows events, not files or rules; [`Tool`] is all it is told of a
//! profile. Wording stays "consistent with" wherever a join is by time alone.

mod chain;
mod contradiction;
mod errand;
mod exposed;
mod fact;
mod host_program;
mod learn;
mod lone;
mod path;
mod pivot;
mod port;
mod removal;
mod session;
mod timeline;
mod traffic;
mod verdict;
mod version;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use contradiction::Exists;
pub use errand::Errand;
pub use learn::pivots;
pub use path::tail;
pub use pivot::{Pivot, Target};

use jiff::SignedDuration;

use crate::model::{
    Chain, Coverage, Event, Hit, NO_TOOL, Record, Row, RungName, SystemFacts, Verdict,
};

/// Ports by which one comes in: SSH, RPC, SMB, RDP, VNC, WinRM.
pub const REMOTE_ACCESS_PORTS: [i64; 8] = [22, 135, 139, 445, 3389, 5900, 5985, 5986];

/// What correlation is told of a tunnel tool.
#[derive(Clone, Default)]
pub struct Tool {
    pub id: Arc<str>,
    /// Words that name it: `ngrok`.
    pub words: Vec<String>,
    /// Whether a loaded rule finds every record that names it.
    pub mentions_found: bool,
    /// File names of its programs, lower case.
    pub binaries: Vec<String>,
    /// Its commands that open no tunnel.
    pub errands: Vec<Errand>,
    /// Its log tells of everybody who comes in.
    pub logs_visitors: bool,
    /// Other tools get out by it.
    pub carries_others: bool,
    /// Sources that must have been read whole for a "no", per rung.
    pub needs: BTreeMap<RungName, Vec<Need>>,
    /// What a record says of the agent's version.
    pub clues: Option<Arc<Clues>>,
    /// Whether a record is of the side to which agents on other machines come.
    pub is_server: Option<Arc<IsServer>>,
}

/// Tells what a record says of the agent's version.
pub type Clues = dyn Fn(&Record) -> Vec<VersionClue> + Send + Sync;

/// Tells whether a record is of a tool's server.
pub type IsServer = dyn Fn(&Record) -> bool + Send + Sync;

/// A source that a "no" rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Artifact id.
    pub artifact: String,
    /// Every such system has it; one that it leaves off is needed only where it exists.
    pub by_default: bool,
}

/// An observation and the versions it leaves possible.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionClue {
    /// One sentence.
    pub because: String,
    pub at_least: Option<String>,
    pub before: Option<String>,
}

impl Tool {
    fn is_binary(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.binaries.contains(&name)
    }

    /// Whether one of the tool's words stands in the text as a whole term.
    fn has_word(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        self.words
            .iter()
            .any(|word| text.split(|c: char| !c.is_ascii_alphanumeric()).any(|term| term == word))
    }
}

/// How correlation is asked to work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How far around a chain other traces are taken for its own.
    pub window: SignedDuration,
    pub since: Option<jiff::Timestamp>,
    pub until: Option<jiff::Timestamp>,
}

/// Credential ids in a text, with their mint times.
pub type Tokens<'a> = dyn Fn(&str) -> Vec<(String, Option<jiff::Timestamp>)> + 'a;

/// What knows secrets.
pub struct Secrets<'a> {
    /// Takes secrets out of any text that goes into a row.
    pub redact: &'a dyn Fn(&str) -> String,
    /// Credential ids in a text, with their mint times.
    pub tokens: &'a Tokens<'a>,
}

/// What correlation makes of one host's events.
#[derive(Clone, Debug, Default)]
pub struct Conclusion {
    /// In total order: time, source path, locator, description, row id.
    pub rows: Vec<Row>,
    pub chains: Vec<Chain>,
    pub verdict: Verdict,
}

/// What correlation may ask of the evidence.
pub struct Evidence<'a> {
    pub coverage: &'a [Coverage],
    /// What the host says of itself.
    pub system: &'a SystemFacts,
    /// Whether a file is there: `None` where its volume was not given whole.
    pub exists: &'a Exists<'a>,
}

/// Concludes from all events of one host.
pub fn conclude(
    host: &str,
    mut events: Vec<Event>,
    tools: &[Tool],
    evidence: &Evidence<'_>,
    settings: &Settings,
    secrets: &Secrets<'_>,
) -> Conclusion {
    yield_to_named(&mut events, tools);
    errand::restage(&mut events, tools);
    removal::restage(&mut events, tools);
    exposed::restage(&mut events, tools);
    lone::score_down(&mut events, tools, evidence);
    let sessions = session::find(&mut events, tools, evidence.coverage);
    events.extend(contradiction::find(&events, tools, evidence));
    let mut rows = timeline::rows(host, &events, secrets.redact);
    timeline::sort(&mut rows);
    let rows_of = timeline::index(&rows);
    let chains = chain::build(&mut rows, &sessions, &rows_of, tools, evidence.system, settings);
    let mut rows: Vec<Row> = rows.into_iter().map(|r| r.row).collect();
    let findings = verdict::Findings {
        host,
        rows: &rows,
        events: &events,
        chains: &chains,
        sessions: &sessions,
        rows_of: &rows_of,
        coverage: evidence.coverage,
        tokens: secrets.tokens,
    };
    let verdict = verdict::judge(&findings, tools);
    // A period bounds what is listed; what lies outside of it is no "no".
    rows.retain(|row| within(row, settings));
    Conclusion { rows, chains, verdict }
}

/// What carries others tells of no tool of its own where another one is named for sure: a
/// tool's own way by ssh is that tool. That one of its runs belongs to itself, as its own
/// pivot finds, says nothing more of that run.
fn yield_to_named(events: &mut [Event], tools: &[Tool]) {
    let carries = |hit: &Hit| tools.iter().any(|tool| tool.carries_others && tool.id == hit.tool);
    for Event { record, hits, .. } in events {
        if !hits.iter().any(carries) {
            continue;
        }
        let is_itself =
            |hit: &Hit| record.category == "process_creation" && &*hit.rule == "pivot-process-guid";
        if hits.iter().any(|hit| carries(hit) && !is_itself(hit)) {
            hits.retain(|hit| !(carries(hit) && is_itself(hit)));
        }
        let is_named = |hit: &Hit| {
            hit.score >= timeline::NAMED_FOR_SURE && &*hit.tool != NO_TOOL && !carries(hit)
        };
        if hits.iter().any(is_named) {
            hits.iter_mut().filter(|hit| carries(hit)).for_each(|hit| hit.tool = NO_TOOL.into());
        }
    }
}

fn within(row: &Row, settings: &Settings) -> bool {
    let Some(at) = row.datetime else { return true };
    settings.since.is_none_or(|since| at >= since) && settings.until.is_none_or(|until| at <= until)
}

/// Whether an address as logs write it is this host itself: `127.0.0.0/8`, `::1`,
/// `::ffff:127.*`, and `::%16777216` (Terminal Services' spelling), with or
/// without a port.
pub fn is_loopback(address: &str) -> bool {
    let a = address.trim().trim_start_matches('[').to_ascii_lowercase();
    let a = a.split([']']).next().unwrap_or_default();
    let a = a.strip_prefix("::ffff:").unwrap_or(a);
    let v4 = a.split(':').next().unwrap_or_default();
    let is_v4 = v4.starts_with("127.") && v4.parse::<std::net::Ipv4Addr>().is_ok();
    is_v4 || a == "::1" || a == "0:0:0:0:0:0:0:1" || a.starts_with("::%16777216")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_in_every_spelling() {
        for yes in
            ["127.0.0.1", "127.0.0.2:50112", "::1", "[::1]:5000", "::ffff:127.0.0.1", "::%16777216"]
        {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["LOCAL", "10.0.0.1", "::10", "1.127.0.1", "-", "", "127.evil.example"] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
