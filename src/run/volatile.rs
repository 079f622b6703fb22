//! What only the running system tells: judged first, kept on the disk at once, so that
//! a run that is cut short and resumed reports the same moment.

use std::sync::Arc;

use super::passes::Definitions;
use super::{Job, coverage};
use crate::export;
use crate::model::{
    Coverage, CoverageState, MAX_INLINE_BYTES, Moment, Problem, ReadAt, Record, Stage, Value,
    Volatile,
};
use crate::parse::{agent_api, secret};
use crate::source::HostEvidence;
use crate::source::live::{self, Wanted, agent};

/// Variables that matter of every process, by the start of their upper-case names.
const TELLING: [&str; 12] = [
    "NGROK",
    "TUNNEL",
    "CLOUDFLARE",
    "FRP",
    "CHISEL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "SSH_C",
    "SUDO_",
];
/// What stands in the upper-case names of variables that hold secrets.
const SECRET: [&str; 7] = ["TOKEN", "SECRET", "PASS", "PWD", "KEY", "CRED", "AUTH"];
/// Names with such a word that hold none.
const NO_SECRET: [&str; 3] = ["PWD", "OLDPWD", "SSH_AUTH_SOCK"];

/// Opens the running system. Its volatile records are those of the run that is resumed,
/// if there is one; else they are asked for now and kept for the next.
///
/// # Errors
///
/// The outer one when they cannot be kept.
pub fn open(
    job: &Job,
    definitions: &Definitions<'_>,
    wanted: &Wanted,
    letters: &crate::source::DriveLetters<'_>,
) -> Result<Result<Vec<HostEvidence>, crate::source::SourceError>, super::RunError> {
    let identity = live::identity(wanted);
    let kept = match job.resume {
        true => export::read_volatile(&job.output, &identity)?,
        false => None,
    };
    let wanted = Wanted { volatile: kept.is_none(), ..wanted.clone() };
    let mut hosts = match live::open(&wanted, letters) {
        Ok(hosts) => hosts,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(machine) = hosts.first_mut().filter(|host| host.is_running) {
        match kept {
            Some(kept) => {
                wanted.actions.note("took over the volatile facts of the run that is resumed");
                machine.volatile = kept.facts;
                machine.problems.extend(kept.refused);
            }
            None => {
                ask_agent_records(machine);
                cut_environments(&mut machine.volatile, definitions);
                // From here on as a resumed run finds them, so that it comes to the same.
                machine.volatile = shown(&machine.volatile, &|text| super::shown(job, text));
                let refused: Vec<&Problem> = machine.problems.iter().filter(is_of_facts).collect();
                export::keep_volatile(&job.output, &identity, &machine.volatile, &refused)?;
                let n = machine.volatile.len();
                wanted.actions.note(format!("recorded {n} facts of processes and connections"));
            }
        }
    }
    Ok(Ok(hosts))
}

/// Whether a problem is that of a fact, which a resumed run does not ask for again.
fn is_of_facts(problem: &&Problem) -> bool {
    let path = problem.path.as_ref().map_or("", |path| path.as_str());
    ["live:", "/proc"].iter().any(|start| path.starts_with(start))
}

/// Turns the answers of agents into records.
fn ask_agent_records(machine: &mut HostEvidence) {
    for saved in machine.saved.iter().filter(|saved| saved.method == agent::METHOD) {
        let parsed = whole(&*saved.bytes)
            .and_then(|bytes| Ok(agent_api::records(saved.path.as_str(), &bytes)?));
        match parsed {
            Ok(records) => machine.volatile.extend(records.into_iter().map(|mut record| {
                if record.times.is_empty() {
                    let now = jiff::Timestamp::now();
                    record.times.push(Moment::exact(now, "Observed"));
                }
                Volatile { artifact: Arc::from("live.agent"), path: saved.path.clone(), record }
            })),
            Err(error) => machine.problems.push(Problem {
                path: Some(saved.path.clone()),
                locator: None,
                stage: Stage::Parse,
                message: error.to_string(),
            }),
        }
    }
}

fn whole(bytes: &dyn ReadAt) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let size = usize::try_from(bytes.size().min(MAX_INLINE_BYTES))?;
    let mut buffer = vec![0; size];
    let n = bytes.read_at(0, &mut buffer)?;
    buffer.truncate(n);
    Ok(buffer)
}

/// The whole environment stays of processes that a rule knows; of others, what can
/// tell of a tunnel. Secrets that the general rules would not know are made unreadable.
fn cut_environments(volatile: &mut [Volatile], definitions: &Definitions<'_>) {
    for fact in volatile {
        let suspect = !definitions.detector.evaluate(&fact.record).is_empty();
        let fields = fact.record.fields.iter_mut();
        for (_, value) in fields.filter(|(name, _)| name == "Environment") {
            let Value::List(variables) = value else { continue };
            variables.retain(|variable| suspect || is_telling(variable));
            variables.iter_mut().for_each(hide);
        }
        let is_empty = |value: &Value| matches!(value, Value::List(all) if all.is_empty());
        fact.record.fields.retain(|(name, value)| name != "Environment" || !is_empty(value));
    }
}

fn is_telling(variable: &str) -> bool {
    let name = variable.split('=').next().unwrap_or_default().to_ascii_uppercase();
    TELLING.iter().any(|start| name.starts_with(start))
}

/// Replaces the value of a variable that is called like a secret. Those of tunnel agents
/// are left to the general rules, which keep the account's public name.
fn hide(variable: &mut String) {
    let Some((name, value)) = variable.split_once('=') else { return };
    let upper = name.to_ascii_uppercase();
    let agents = upper.starts_with("NGROK") || upper.starts_with("TUNNEL");
    let secret = SECRET.iter().any(|word| upper.contains(word));
    if secret && !agents && !value.is_empty() && !NO_SECRET.contains(&upper.as_str()) {
        *variable = format!("{name}={}", secret::redacted(value));
    }
}

/// The facts as results show them.
pub fn shown(facts: &[Volatile], redact: &dyn Fn(&str) -> String) -> Vec<Volatile> {
    let value = |value: &Value| match value {
        Value::Text(text) => Value::Text(redact(text)),
        Value::List(all) => Value::List(all.iter().map(|text| redact(text)).collect()),
        Value::Number(n) => Value::Number(*n),
    };
    let record = |record: &Record| {
        let fields = record.fields.iter().map(|(name, v)| (name.clone(), value(v))).collect();
        Record { fields, ..record.clone() }
    };
    let each = facts.iter().map(|fact| Volatile { record: record(&fact.record), ..fact.clone() });
    each.collect()
}

/// What coverage.csv says of them: a line for each kind, also for one that was refused.
pub fn coverage(evidence: &HostEvidence) -> Vec<Coverage> {
    let mut lines: Vec<Coverage> = Vec::new();
    let line = |source: &str| coverage::empty(source, live::LABEL);
    for fact in &evidence.volatile {
        if !lines.iter().any(|line| *line.source == *fact.artifact) {
            lines.push(line(&fact.artifact));
        }
        let at = fact.record.first_time();
        if let Some(line) = lines.iter_mut().find(|line| *line.source == *fact.artifact) {
            line.records = line.records.saturating_add(1);
            line.first = [line.first, at].into_iter().flatten().min();
            line.last = line.last.max(at);
        }
    }
    for problem in &evidence.problems {
        let path = problem.path.as_ref().map_or("", |path| path.as_str());
        let kind = path.strip_prefix("live:");
        if let Some(kind) = kind.map(|kind| format!("windows.live.{kind}"))
            && !lines.iter().any(|line| line.source == kind)
        {
            lines.push(Coverage { state: CoverageState::Unreadable, ..line(&kind) });
        }
        // What /proc keeps to itself may belong to any kind.
        let meant = |line: &&mut Coverage| match kind {
            Some(kind) => line.source.rsplit('.').next() == Some(kind),
            None => path.starts_with("/proc"),
        };
        for line in lines.iter_mut().filter(meant).filter(|line| line.why.is_empty()) {
            if line.state == CoverageState::Read {
                line.state = CoverageState::Partial;
            }
            line.why.clone_from(&problem.message);
        }
    }
    lines
}
