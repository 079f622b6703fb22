//! Facts of the running system: volatile.jsonl for people and importers, and the copy
//! that a resumed run takes them from.
//!
//! `.adit-live.jsonl` in the output folder appears whole or not at all, before any file
//! is read, and goes when the run has come to its end. Its first line says whose facts
//! they are.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::ExportError;
use super::fresh::{Fresh, create_folder, refuse_link};
use crate::model::{
    EvidencePath, Locator, Moment, Precision, Problem, Record, Stage, Value, Volatile, to_iso,
};

/// The copy's name in the output folder.
const KEPT: &str = ".adit-live.jsonl";
/// Name and version of its format.
const SCHEMA: &str = "adit-live/2";
/// Stages that can refuse a fact.
const STAGES: [Stage; 2] = [Stage::Source, Stage::Parse];
/// Largest copy that is read, in bytes.
const MAX_BYTES: u64 = 512 << 20;
/// Different categories and meanings of times that a copy may name.
const MAX_WORDS: usize = 1024;

/// What a run learnt of the running system.
#[derive(Debug)]
pub struct Kept {
    pub facts: Vec<Volatile>,
    /// What it was not told, and why.
    pub refused: Vec<Problem>,
}

/// Keeps the facts, and what was refused, for a run that resumes this one.
///
/// # Errors
///
/// When they cannot be written.
pub fn keep_volatile(
    dir: &Path,
    identity: &str,
    facts: &[Volatile],
    refused: &[&Problem],
) -> Result<(), ExportError> {
    create_folder(dir)?;
    let path = dir.join(KEPT);
    let refused: Vec<Json> = refused.iter().map(|problem| refusal_as_json(problem)).collect();
    let head = json!({
        "schema": SCHEMA, "identity": identity, "facts": facts.len(), "refused": refused,
    });
    let lines = std::iter::once(head).chain(facts.iter().map(as_json));
    write_lines(&path, lines)
}

/// The facts that an earlier run of the same machine kept, and what it was refused; none
/// where there are none, or where they are not whole.
///
/// # Errors
///
/// When a link stands in their place.
pub fn read_volatile(dir: &Path, identity: &str) -> Result<Option<Kept>, ExportError> {
    let path = dir.join(KEPT);
    refuse_link(&path)?;
    let small = std::fs::metadata(&path).is_ok_and(|found| found.len() <= MAX_BYTES);
    let text =
        if small { std::fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
    Ok(facts_of(&text, identity))
}

/// Removes the copy of a run that came to its end.
pub fn forget_volatile(dir: &Path) {
    // One that stays is replaced by the next run.
    let _ = std::fs::remove_file(dir.join(KEPT));
}

/// Writes volatile.jsonl.
pub(super) fn write(path: &Path, facts: &[Volatile]) -> Result<(), ExportError> {
    write_lines(path, facts.iter().map(as_json))
}

fn write_lines(path: &Path, lines: impl Iterator<Item = Json>) -> Result<(), ExportError> {
    let mut file = Fresh::create(path)?;
    for line in lines {
        let written = serde_json::to_writer(&mut file, &line).map_err(std::io::Error::from);
        written
            .and_then(|()| file.write_all(b"\n"))
            .map_err(|error| ExportError::at(path, error))?;
    }
    file.finish_durably()
}

fn as_json(fact: &Volatile) -> Json {
    let record = &fact.record;
    let fields = record.fields.iter().map(|(name, value)| {
        let value = match value {
            Value::Text(text) => json!(text),
            Value::Number(n) => json!(n),
            Value::List(all) => json!(all),
        };
        (name.to_string(), value)
    });
    let times = record.times.iter().map(|moment| {
        json!({
            "timestamp_desc": moment.meaning,
            "datetime": moment.at.map(to_iso),
            "time_precision": moment.precision.as_str(),
            "datetime_raw": moment.raw,
            "at": moment.at.map(|at| at.to_string()),
        })
    });
    json!({
        "artifact": &*fact.artifact,
        "category": record.category,
        "path": fact.path.as_str(),
        "locator": record.locator.to_string(),
        "place": record.locator,
        "times": times.collect::<Vec<_>>(),
        "fields": fields.collect::<Map<String, Json>>(),
    })
}

fn refusal_as_json(problem: &Problem) -> Json {
    json!({
        "path": problem.path.as_ref().map(EvidencePath::as_str),
        "stage": problem.stage.as_str(),
        "message": problem.message,
    })
}

fn refusal(json: &Json) -> Option<Problem> {
    let text = |name: &str| json.get(name)?.as_str();
    let stage = STAGES.into_iter().find(|stage| Some(stage.as_str()) == text("stage"))?;
    let path = text("path").map(EvidencePath::new);
    Some(Problem { path, locator: None, stage, message: text("message")?.to_owned() })
}

fn facts_of(text: &str, identity: &str) -> Option<Kept> {
    let mut lines = text.lines();
    let head: Json = serde_json::from_str(lines.next()?).ok()?;
    let same = head.get("schema")?.as_str()? == SCHEMA && head.get("identity")? == identity;
    let count = usize::try_from(head.get("facts")?.as_u64()?).ok()?;
    let facts: Vec<Volatile> = lines.map(fact).collect::<Option<_>>()?;
    let refused = head.get("refused")?.as_array()?.iter().map(refusal).collect::<Option<_>>()?;
    (same && facts.len() == count).then_some(Kept { facts, refused })
}

fn fact(line: &str) -> Option<Volatile> {
    let json: Json = serde_json::from_str(line).ok()?;
    let text = |name: &str| json.get(name)?.as_str();
    let place: Locator = serde_json::from_value(json.get("place")?.clone()).ok()?;
    let mut record = Record::new(word(text("category")?), place);
    for (name, value) in json.get("fields")?.as_object()? {
        let value = match value {
            Json::String(text) => Value::Text(text.clone()),
            Json::Number(n) => Value::Number(n.as_i64()?),
            other => Value::List(serde_json::from_value(other.clone()).ok()?),
        };
        record.fields.push((Cow::Owned(name.clone()), value));
    }
    for time in json.get("times")?.as_array()? {
        record.times.push(moment(time)?);
    }
    let path = EvidencePath::new(text("path")?);
    Some(Volatile { artifact: Arc::from(text("artifact")?), path, record })
}

fn moment(json: &Json) -> Option<Moment> {
    const ALL: [Precision; 6] = [
        Precision::Exact,
        Precision::Second,
        Precision::Hour,
        Precision::UpperBound,
        Precision::AssumedYear,
        Precision::AssumedZone,
    ];
    let text = |name: &str| json.get(name)?.as_str();
    let said = text("time_precision")?;
    let at: Option<Timestamp> = match text("at") {
        Some(at) => Some(at.parse().ok()?),
        None => None,
    };
    Some(Moment {
        at,
        meaning: word(text("timestamp_desc")?),
        precision: ALL.into_iter().find(|precision| precision.as_str() == said)?,
        raw: text("datetime_raw")?.to_owned(),
    })
}

/// The word for as long as the program runs; there are few different ones.
fn word(text: &str) -> &'static str {
    static WORDS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    match words.get(text) {
        Some(known) => known,
        None if words.len() >= MAX_WORDS => "event",
        None => {
            let word: &'static str = Box::leak(text.to_owned().into_boxed_str());
            words.insert(word);
            word
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Volatile {
        let locator = Locator::Process { pid: 7, descriptor: Some(3) };
        let mut record = Record::new("network_connection", locator);
        record.push("Image", "/tmp/a\n\"b");
        record.push("ProcessId", 7);
        record.push("Environment", Value::List(vec!["A=1".into(), "B=2".into()]));
        let at = crate::model::from_unix(1_772_600_000, 120_000_000).unwrap();
        record.times.push(Moment { precision: Precision::Second, ..Moment::exact(at, "Observed") });
        let path = EvidencePath::new("/proc/net/tcp");
        Volatile { artifact: Arc::from("linux.live.socket"), path, record }
    }

    #[test]
    fn facts_come_back_as_they_were() {
        let place = tempfile::tempdir().unwrap();
        let facts = vec![sample(), sample()];
        let refused = Problem {
            path: Some(EvidencePath::new("live:service")),
            locator: None,
            stage: Stage::Source,
            message: "cannot be asked for: access is denied".to_owned(),
        };
        keep_volatile(place.path(), "host 1", &facts, &[&refused]).unwrap();
        let kept = read_volatile(place.path(), "host 1").unwrap().unwrap();
        assert_eq!(format!("{:?}", kept.facts), format!("{facts:?}"));
        assert_eq!(kept.refused, [refused]);
        assert!(read_volatile(place.path(), "host 2").unwrap().is_none());
        forget_volatile(place.path());
        assert!(read_volatile(place.path(), "host 1").unwrap().is_none());
    }

    #[test]
    fn a_copy_that_is_not_whole_is_none() {
        let place = tempfile::tempdir().unwrap();
        keep_volatile(place.path(), "h", &[sample(), sample()], &[]).unwrap();
        let path = place.path().join(KEPT);
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 10, whole.len() / 2, whole.len() - 2] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(read_volatile(place.path(), "h").unwrap().is_none(), "{cut}");
        }
    }
}
