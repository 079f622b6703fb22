//! The ladder: yes with rows, no with coverage, unknown with a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::session::Found;
use super::timeline::{RowsOf, counts};
use super::{Tokens, Tool, exposed, removal, traffic, version};
use crate::model::{
    Answer, Chain, Coverage, CoverageState, Credential, Event, Hit, Level, NO_TOOL, Row, RowStage,
    Rung, RungName, Session, Tag, ToolVerdict, Verdict,
};

/// Rows this close to a rung's first moment belong to it.
const NEAR: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);
/// A run so far outside of the agent's logs is not covered by them.
const LOG_SLACK: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// How the artifact ids end under which the names on a volume are covered.
const NAMES: &str = ".filesystem.name";

/// What the verdict is judged from.
pub struct Findings<'a> {
    pub host: &'a str,
    pub rows: &'a [Row],
    pub events: &'a [Event],
    pub chains: &'a [Chain],
    pub sessions: &'a [Found],
    pub rows_of: &'a RowsOf,
    pub coverage: &'a [Coverage],
    /// Credential ids in a text, with their mint times.
    pub tokens: &'a Tokens<'a>,
}

/// Judges one host: every tool's ladder, and what no tool explains.
pub fn judge(findings: &Findings<'_>, tools: &[Tool]) -> Verdict {
    let verdicts: Vec<ToolVerdict> =
        tools.iter().filter(|t| &*t.id != NO_TOOL).map(|tool| of_tool(tool, findings)).collect();
    let level = findings.chains.iter().map(|c| Level::of_score(c.score)).max().unwrap_or_default();
    Verdict {
        host: findings.host.to_owned(),
        level,
        tools: verdicts,
        unattributed: findings
            .sessions
            .iter()
            .filter(|s| s.tool.is_none())
            .map(|s| with_rows(s, findings.rows_of))
            .collect(),
    }
}

/// The rows of one tool.
struct Traces<'a> {
    rows: Vec<&'a Row>,
    /// A command that ends it. Such are not in `rows`: who writes one took the tool to run.
    ended: Option<&'a Row>,
}

impl<'a> Traces<'a> {
    fn of(tool: &Tool, chain: Option<&Chain>, f: &Findings<'a>) -> Self {
        let is_its = |row: &&Row| {
            let in_chain = chain.is_some_and(|c| !row.chain.is_empty() && row.chain == c.id);
            row.tool == *tool.id || in_chain
        };
        let ends: BTreeSet<&str> = f
            .events
            .iter()
            .enumerate()
            .filter(|(_, event)| removal::only_ends(event, &tool.id))
            .filter_map(|(index, _)| f.rows_of.get(&index))
            .flatten()
            .map(String::as_str)
            .collect();
        let is_end =
            |row: &&Row| row.stage == RowStage::Executed && ends.contains(row.row_id.as_str());
        let (ended, rows): (Vec<&Row>, _) = f.rows.iter().filter(is_its).partition(is_end);
        Self { rows, ended: ended.into_iter().find(|row| counts(row)) }
    }
}

fn of_tool(tool: &Tool, f: &Findings<'_>) -> ToolVerdict {
    let chain = f.chains.iter().find(|c| c.tool == *tool.id);
    let mine = Traces::of(tool, chain, f);
    let events = || {
        f.events.iter().filter(|e| {
            e.hits.iter().any(|h| h.tool == tool.id && h.score >= 20 && h.suppressed_by.is_none())
        })
    };
    let rungs = RungName::ALL.into_iter().map(|name| (name, rung(name, tool, &mine, f))).collect();
    ToolVerdict {
        tool: tool.id.to_string(),
        level: chain.map_or(Level::Informational, |c| Level::of_score(c.score)),
        rungs,
        sessions: f
            .sessions
            .iter()
            .filter(|s| s.tool.as_deref() == Some(&*tool.id))
            .map(|s| with_rows(s, f.rows_of))
            .map(|s| Session { traffic: traffic::during(tool, f, s.from, s.until), ..s })
            .collect(),
        credentials: credentials(tool, f),
        agent_version: version::bracket(tool, events()),
        exposed: exposed::of(tool, f),
        traffic: traffic::of(tool, f),
        serves: serves(tool, f),
    }
}

/// Rows that show the tool's server, by id.
fn serves(tool: &Tool, f: &Findings<'_>) -> Vec<String> {
    // A release brings both sides: what merely lies there serves nobody.
    let works = |stage| {
        use RowStage::{Connected, Executed, Persisted, Used};
        matches!(stage, Executed | Persisted | Connected | Used)
    };
    let is_sure = |hit: &Hit| {
        let is_grave = Level::of_score(hit.score) >= Level::Medium;
        hit.tool == tool.id && is_grave && works(hit.stage) && hit.suppressed_by.is_none()
    };
    let of_server = |event: &Event| {
        event.hits.iter().any(is_sure)
            && tool.is_server.as_ref().is_some_and(|is_server| is_server(&event.record))
    };
    let events = f.events.iter().enumerate().filter(|(_, event)| of_server(event));
    let rows = events.filter_map(|(index, _)| f.rows_of.get(&index)).flatten().cloned();
    rows.collect::<BTreeSet<String>>().into_iter().collect()
}

fn with_rows(found: &Found, rows_of: &RowsOf) -> Session {
    let mut session = found.session.clone();
    session.rows = found.events.iter().filter_map(|e| rows_of.get(e)).flatten().cloned().collect();
    session
}

fn rung(name: RungName, tool: &Tool, mine: &Traces<'_>, f: &Findings<'_>) -> Rung {
    let proofs: Vec<&&Row> = mine.rows.iter().filter(|r| counts(r) && proves(r, name)).collect();
    if proofs.is_empty() {
        let rung = unproven(name, tool, f.coverage);
        return match name {
            RungName::Executed => taken_to_run(rung, tool, mine),
            RungName::Used => doubted(rung, tool, mine, f),
            RungName::Connected => untold(rung, tool, mine, f),
            _ => rung,
        };
    }
    let strongest = proofs.iter().map(|r| r.score).max().unwrap_or_default();
    let sources: BTreeSet<&str> = proofs.iter().map(|r| r.artifact.as_str()).collect();
    let further = u8::try_from(sources.len().saturating_sub(1)).unwrap_or(4).min(4) * 5;
    let at_work = at_work(&mine.rows);
    let times = || times(&proofs, at_work.as_ref());
    let first = times().min();
    // The sentence beside the first time speaks of that time: of the strongest row near it.
    let near = |r: &&&&Row| match (first, r.datetime) {
        (Some(first), Some(at)) => at >= first && at.duration_since(first) <= NEAR,
        (Some(_), None) => false,
        (None, _) => true,
    };
    let lead = proofs.iter().filter(near).max_by_key(|r| (r.score, std::cmp::Reverse(r.datetime)));
    Rung {
        answer: Answer::Yes,
        first,
        last: times().max(),
        confidence: strongest.saturating_add(further).min(100),
        rows: proofs.iter().map(|r| r.row_id.clone()).collect(),
        why: lead.map(|r| r.message.clone()).unwrap_or_default(),
    }
}

/// The times of what happened here: those of the best kind there is, and of a file's
/// last change those at which the tool was at work.
fn times<'a>(
    proofs: &'a [&&Row],
    at_work: Option<&'a RangeInclusive<jiff::Timestamp>>,
) -> impl Iterator<Item = jiff::Timestamp> + 'a {
    let kind = move |row: &Row| match (remoteness(row), row.datetime, at_work) {
        (1, Some(at), Some(span)) if span.contains(&at) => 0,
        (kind, ..) => kind,
    };
    let dated = || proofs.iter().filter(|r| r.datetime.is_some());
    let best = dated().map(|r| kind(r)).min();
    dated().filter(move |r| Some(kind(r)) == best).filter_map(|r| r.datetime)
}

/// From the first to the last sure trace of the tool, and an hour around them.
fn at_work(rows: &[&Row]) -> Option<RangeInclusive<jiff::Timestamp>> {
    const AROUND: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
    let sure = || {
        let counted = rows.iter().filter(|row| counts(row) && remoteness(row) == 0);
        counted.filter_map(|row| row.datetime)
    };
    Some(sure().min()?.checked_sub(AROUND).ok()?..=sure().max()?.checked_add(AROUND).ok()?)
}

/// How far a row's time may be from what happened on this host: 0, when it did; 1,
/// when a file was last written, elsewhere perhaps, read or set back, or when one was
/// made that holds many things or that a shortcut leads to; 2, when a token was issued or
/// an archive was packed.
pub fn remoteness(row: &Row) -> u8 {
    const OTHER_THAN_CREATION: [&str; 4] =
        ["File Modified", "File Changed", "File Accessed", "Target "];
    /// How the artifact ids of files end that grow by every further entry.
    const SHARED: [&str; 8] = [
        ".user.shell_history",
        ".powershell.history",
        ".persistence.shell_profile",
        ".persistence.rc_script",
        ".persistence.cron_user",
        ".package.installed",
        ".package.snap",
        ".package.rpm_database",
    ];
    match row.timestamp_desc.as_str() {
        "Token Minted" | "Archive Member Modified" => 2,
        meaning if OTHER_THAN_CREATION.iter().any(|other| meaning.starts_with(other)) => 1,
        // The name still has the time that the file was really made at.
        "File Created ($SI)" if row.tag.contains(&Tag::Timestomped) => 1,
        meaning
            if meaning.starts_with("File Created")
                && SHARED.iter().any(|end| row.artifact.ends_with(end)) =>
        {
            1
        }
        _ => 0,
    }
}

/// Whether a row proves a rung: its own, or one that it cannot do without. What
/// connects or is used runs (its own log is written by a running agent), and
/// nobody comes in through a tunnel that is not connected.
fn proves(row: &Row, name: RungName) -> bool {
    let runs = matches!(row.stage, RowStage::Connected | RowStage::Used)
        && (!row.process.is_empty() || row.artifact.contains("log"));
    let connects = row.stage == RowStage::Used;
    // What is deleted was set up before.
    // Arguments and variables that only the tool takes are its configuration.
    let by_arguments = matches!(row.stage, RowStage::Executed | RowStage::Persisted)
        && row.rule.iter().any(|rule| {
            let own = rule.strip_prefix(row.tool.as_str());
            own.is_some_and(|rest| {
                rest.starts_with("-arguments-") || rest == "-service-environment"
            })
        });
    let was_task = row.stage == RowStage::CleanedUp
        && row.rule.iter().any(|r| r.ends_with("task-removed") || r == "pivot-task");
    row.stage == name.stage()
        || (name == RungName::Executed && runs)
        || (name == RungName::Connected && connects)
        || (name == RungName::Persisted && was_task)
        || (name == RungName::Configured && by_arguments)
}

/// No, if every needed source was read whole; else unknown, and what is missing.
/// A source that systems leave off by default is needed only where it exists; that it
/// does not, only the names on the volume tell.
fn unproven(name: RungName, tool: &Tool, coverage: &[Coverage]) -> Rung {
    let (mut read, mut empty, mut off) = (Vec::new(), Vec::new(), Vec::new());
    let mut missing = Vec::new();
    let listed =
        coverage.iter().any(|c| c.source.ends_with(NAMES) && c.state != CoverageState::Absent);
    for need in tool.needs.get(&name).map(Vec::as_slice).unwrap_or_default() {
        let id = need.artifact.as_str();
        let lines = || coverage.iter().filter(|c| c.source == id);
        let broken =
            lines().find(|c| !matches!(c.state, CoverageState::Read | CoverageState::Absent));
        let was_read = lines().any(|c| c.state == CoverageState::Read);
        let held = lines().any(|c| c.records > 0 || c.first.is_some());
        let gone = lines().find(|c| c.state == CoverageState::Absent && was_read);
        if let Some(line) = broken {
            missing.push(format!("{id} {} ({})", line.state.as_str(), line.why));
        } else if let Some(line) = gone.filter(|_| need.by_default) {
            missing.push(format!("{id} absent: {}", line.path));
        } else if was_read {
            if held { &mut read } else { &mut empty }.push(id);
        } else if need.by_default || !listed {
            missing.push(format!("{id} absent"));
        } else {
            off.push(id);
        }
    }
    let apart = |what: &str, of: &[&str]| match of.is_empty() {
        true => String::new(),
        false => format!("; {what}: {}", of.join(", ")),
    };
    let others =
        apart("looked for and nothing there", &empty) + &apart("not kept on this system", &off);
    let (answer, why) = if !missing.is_empty() {
        (Answer::Unknown, missing.join("; "))
    } else if read.is_empty() {
        (Answer::Unknown, format!("no source here could show it{others}"))
    } else {
        (Answer::No, format!("read whole and nothing found: {}{others}", read.join(", ")))
    };
    Rung { answer, first: None, last: None, confidence: 0, rows: Vec::new(), why }
}

/// A "no" to whether it ran, of a tool that something starts by itself or that a command
/// ends: most of what would tell of a run is off where nobody switched it on.
fn taken_to_run(rung: Rung, tool: &Tool, mine: &Traces<'_>) -> Rung {
    let starts = |row: &&&Row| counts(row) && proves(row, RungName::Persisted);
    let started = mine.rows.iter().find(starts).map(|row| ("is started by itself", *row));
    let told = started.or(mine.ended.map(|row| ("is ended by a command", row)));
    let Some((does, row)) = told.filter(|_| rung.answer == Answer::No) else {
        return rung;
    };
    let at = if row.source_path.is_empty() { &row.artifact } else { &row.source_path };
    let why = format!("{} {does} ({at}), and no source tells a run; {}", tool.id, rung.why);
    Rung { answer: Answer::Unknown, why, ..rung }
}

/// A "no" to whether it connected, of a tool that ran or may have: logs tell of
/// connections as they are set up to, most of none.
fn untold(rung: Rung, tool: &Tool, mine: &Traces<'_>, f: &Findings<'_>) -> Rung {
    if rung.answer != Answer::No {
        return rung;
    }
    let ran = mine.rows.iter().any(|row| counts(row) && proves(row, RungName::Executed));
    let run = unproven(RungName::Executed, tool, f.coverage);
    let doubt = match taken_to_run(run, tool, mine) {
        _ if ran => "ran, and no log of its own tells where it connected to".to_owned(),
        run if run.answer == Answer::Unknown => format!("may have run ({})", run.why),
        _ => return rung,
    };
    let why = format!("{} {doubt}; {}", tool.id, rung.why);
    Rung { answer: Answer::Unknown, why, ..rung }
}

/// A "no" to whether somebody came in, of a tool that ran: desktops and shells have logs of
/// their own; of visitors to anything else only the agent's log tells, of the time it covers.
fn doubted(rung: Rung, tool: &Tool, mine: &Traces<'_>, f: &Findings<'_>) -> Rung {
    let ran = |row: &&&Row| {
        counts(row) && (proves(row, RungName::Executed) || proves(row, RungName::Connected))
    };
    let runs: Vec<&&Row> = mine.rows.iter().filter(ran).collect();
    if rung.answer != Answer::No {
        return rung;
    }
    if runs.is_empty() {
        return untold(rung, tool, mine, f);
    }
    let logs = f.events.iter().filter(|event| {
        tool.logs_visitors
            && matches!(event.record.category, "agent_log" | "agent_service_log")
            && event.hits.iter().any(|hit| hit.tool == tool.id)
    });
    let told: Vec<_> = logs.map(|event| event.record.first_time()).collect();
    let dated = || told.iter().flatten();
    let doubt = match (dated().min(), dated().max()) {
        _ if told.is_empty() => format!("no log of {} that tells of visitors", tool.id),
        (Some(first), Some(last)) => {
            let beyond = |at: &jiff::Timestamp| {
                first.duration_since(*at) > LOG_SLACK || at.duration_since(*last) > LOG_SLACK
            };
            match times(&runs, None).find(beyond) {
                Some(at) => format!(
                    "{} ran on {}, of which no log of it tells",
                    tool.id,
                    at.strftime("%Y-%m-%d")
                ),
                None => return rung,
            }
        }
        // Lines without a time may be of any.
        _ => return rung,
    };
    let why = format!("{doubt}; {}", rung.why);
    Rung { answer: Answer::Unknown, why, ..rung }
}

fn credentials(tool: &Tool, f: &Findings<'_>) -> Vec<Credential> {
    let mut out: BTreeMap<String, Credential> = BTreeMap::new();
    for (index, event) in f.events.iter().enumerate() {
        if !event.hits.iter().any(|h| h.tool == tool.id) {
            continue;
        }
        let record = &event.record;
        let mut ids: Vec<(String, Option<jiff::Timestamp>)> = record
            .fields
            .iter()
            .filter(|(name, _)| !matches!(&**name, "CredentialId" | "ApiKeyId"))
            .flat_map(|(_, value)| (f.tokens)(&value.to_string()))
            .collect();
        for field in ["CredentialId", "ApiKeyId"] {
            let minted =
                record.times.iter().find(|m| m.meaning == "Token Minted").and_then(|m| m.at);
            ids.extend(record.text(field).map(|id| (id.to_owned(), minted)));
        }
        for (id, minted) in ids {
            let credential =
                out.entry(id.clone()).or_insert_with(|| Credential { id, ..Default::default() });
            credential.minted = credential.minted.or(minted);
            for row in f.rows_of.get(&index).into_iter().flatten() {
                if !credential.rows.contains(row) {
                    credential.rows.push(row.clone());
                }
            }
        }
    }
    out.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_by_itself_is_not_said_never_to_have_run() {
        let tool = Tool { id: "frp".into(), ..Tool::default() };
        let no = || Rung {
            answer: Answer::No,
            first: None,
            last: None,
            confidence: 0,
            rows: Vec::new(),
            why: "read whole".into(),
        };
        let row = |stage| Row {
            stage,
            score: 60,
            level: Level::High,
            source_path: "/etc/systemd/system/f.service".into(),
            ..Row::default()
        };
        let (delivered, persisted) = (row(RowStage::Delivered), row(RowStage::Persisted));
        let judged = |row, ended| taken_to_run(no(), &tool, &Traces { rows: vec![row], ended });
        assert_eq!(judged(&delivered, None), no());
        for kept in [judged(&persisted, None), judged(&delivered, Some(&persisted))] {
            assert_eq!(kept.answer, Answer::Unknown);
            assert!(kept.why.contains("f.service"), "{}", kept.why);
        }
    }
}
