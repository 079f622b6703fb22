//! Contradictions (C9): what one source says and another one should, and does not.
//!
//! Each is a row of its own beside the record that it starts from. It states what
//! is consistent with it and proves no step by itself.

mod hidden;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::host_program::is_host_program;
use super::{Evidence, Tool, path, removal};
use crate::model::{Coverage, CoverageState, Event, Hit, NO_TOOL, Record, RowStage};

/// From which score a hit is sure enough to be contradicted.
const SURE: u8 = 45;
/// What a contradiction weighs, and a remark that explains one away.
const WEIGHT: u8 = 30;
const REMARK: u8 = 10;
const SYSTEM_LOG: &str = "windows.evtx.system";

/// Whether a file is there: `None` where its volume was not given whole.
pub type Exists<'a> = dyn Fn(&str) -> Option<bool> + 'a;

/// Every contradiction, by tool, then in the order of events.
pub fn find(events: &[Event], tools: &[Tool], evidence: &Evidence<'_>) -> Vec<Event> {
    let mut out = Vec::new();
    for tool in tools.iter().filter(|tool| &*tool.id != NO_TOOL) {
        let mine: Vec<&Event> = events.iter().filter(|e| sure_hit(e, tool).is_some()).collect();
        out.extend(without_file(&mine, events, tool, evidence.exists));
        out.extend(without_install(&mine, events, tool, evidence.coverage));
        out.extend(without_process(&mine, tool));
        out.extend(hidden::set_back(&mine, tool));
        out.extend(hidden::unnoted(&mine, events, tool, evidence.system));
    }
    out
}

/// The tool's hit that is sure and not allowed.
fn sure_hit<'a>(event: &'a Event, tool: &Tool) -> Option<&'a Hit> {
    let mut hits = event.hits.iter();
    hits.find(|h| h.tool == tool.id && h.score >= SURE && h.suppressed_by.is_none())
}

/// Ran, and neither the file nor its deletion is there.
fn without_file(mine: &[&Event], events: &[Event], tool: &Tool, exists: &Exists<'_>) -> Vec<Event> {
    let mut ran: BTreeMap<String, &Event> = BTreeMap::new();
    for event in mine.iter().filter(|e| proves_run(e, tool)) {
        let Some(image) = event.record.text("Image").filter(|i| i.contains(['\\', '/'])) else {
            continue;
        };
        let known = ran.entry(path::tail(image)).or_insert(event);
        if event.record.first_time() < known.record.first_time() {
            *known = event;
        }
    }
    ran.retain(|tail, _| !is_host_program(tail) && !is_gone(tail, events));
    ran.into_values()
        .filter_map(|event| {
            let image = event.record.text("Image")?;
            (exists(image) == Some(false)).then(|| {
                let message = format!(
                    "{image} ran, but no such file is on the volume and no deletion or rename of \
                     it is on record: consistent with a deletion before the oldest record left, \
                     or with a volume that was mounted for a time"
                );
                row(event, tool, "contradiction-executed-no-file", WEIGHT, message)
            })
        })
        .collect()
}

fn proves_run(event: &Event, tool: &Tool) -> bool {
    let ran = matches!(
        event.record.category,
        "process_creation"
            | "prefetch"
            | "bam"
            | "userassist"
            | "pca_launch"
            | "srum_application"
            | "srum_network"
    );
    ran && is_run(event, tool)
}

/// Whether a sure hit is a run of the tool, and not merely a command that ends it.
fn is_run(event: &Event, tool: &Tool) -> bool {
    sure_hit(event, tool).is_some_and(|hit| hit.stage == RowStage::Executed)
        && !removal::only_ends(event, &tool.id)
}

/// Whether a deletion or a new name of the file is on record.
fn is_gone(tail: &str, events: &[Event]) -> bool {
    let removed = |line: &str| {
        path::mentions(line, tail) && removal::of(line) == Some(removal::Deed::Removes)
    };
    events.iter().any(|event| {
        let record = &event.record;
        if record.commands().any(removed) {
            return true;
        }
        let field = match record.category {
            "file_delete" => "TargetFilename",
            "file_rename" => "OldFilename",
            "recycled" => "Image",
            _ => return false,
        };
        record.text(field).is_some_and(|file| {
            let other = path::tail(file);
            // A change journal without its volume knows the name alone.
            let alone = other.trim_start_matches('\\');
            other == tail || !alone.contains('\\') && alone == path::base_name(tail)
        })
    })
}

/// A service's key whose installation no log tells of.
fn without_install(
    mine: &[&Event],
    events: &[Event],
    tool: &Tool,
    coverage: &[Coverage],
) -> Vec<Event> {
    let mut keys: BTreeMap<String, &Event> = BTreeMap::new();
    for event in mine.iter().filter(|e| e.record.category == "service" && !e.record.recovered) {
        if event.record.text("CurrentControlSet") != Some("false") {
            let name = event.record.text("ServiceName").unwrap_or_default().to_lowercase();
            keys.entry(name).or_insert(event);
        }
    }
    let installed = |name: &String| {
        let installs = events.iter().filter(|e| e.record.category == "service_install");
        let mut names = installs.filter_map(|e| e.record.text("ServiceName"));
        names.any(|other| other.to_lowercase() == *name)
    };
    keys.retain(|name, _| !installed(name));
    let log = coverage.iter().find(|c| c.source == SYSTEM_LOG && c.state != CoverageState::Absent);
    let Some(begins) = log.and_then(|line| line.first) else { return Vec::new() };
    keys.into_iter()
        .filter_map(|(name, event)| {
            let written = event.record.first_time()?;
            let (score, message) = of_service(&name, written, begins);
            Some(row(event, tool, "contradiction-service-no-install", score, message))
        })
        .collect()
}

fn of_service(name: &str, written: Timestamp, begins: Timestamp) -> (u8, String) {
    if begins > written {
        let message = format!(
            "The key of service {name} was last written {written:.0}; the System log begins later, \
             {begins:.0}: a record of the installation cannot be there any more"
        );
        return (REMARK, message);
    }
    let message = format!(
        "The key of service {name} was last written {written:.0}, but no event 7045 or 4697 tells \
         of an installation though the System log begins {begins:.0}: consistent with a key that \
         was written directly, with an installation before the log begins, or with removed records"
    );
    (WEIGHT, message)
}

/// Names of the control service looked up, and no program of the tool seen.
fn without_process(mine: &[&Event], tool: &Tool) -> Option<Event> {
    let seen = |e: &&&Event| {
        let image = e.record.text("Image").unwrap_or_default();
        is_run(e, tool) || tool.is_binary(path::base_name(image))
    };
    if mine.iter().any(|e| seen(&e)) {
        return None;
    }
    let control = |e: &&&Event| {
        e.record.category == "dns_query"
            && e.hits.iter().any(|h| h.tool == tool.id && h.rule.ends_with("dns-control"))
    };
    let first = mine.iter().filter(control).min_by_key(|e| e.record.first_time())?;
    let query = first.record.text("QueryName")?;
    let message = format!(
        "{query} was looked up, but no program of {} is seen to run: consistent with its library \
         inside another program, with `ssh -R`, or with traces of the run that are gone",
        tool.id
    );
    Some(row(first, tool, "contradiction-dns-no-process", WEIGHT, message))
}

/// A row of its own at the place and time of the record that it starts from.
fn row(event: &Event, tool: &Tool, rule: &str, score: u8, message: String) -> Event {
    let mut record = Record::new("contradiction", event.record.locator.clone());
    record.times.extend(event.record.times.first().cloned());
    for name in ["Image", "TargetFilename", "User", "ServiceName", "QueryName", "Computer"] {
        record.fields.extend(event.record.value(name).map(|value| (name.into(), value.clone())));
    }
    let hit = Hit {
        tool: tool.id.clone(),
        rule: Arc::from(rule),
        clauses: Arc::from(Vec::new()),
        techniques: Arc::from(Vec::new()),
        stage: RowStage::Context,
        score,
        tags: Vec::new(),
        message,
        suppressed_by: None,
    };
    Event { record, hits: vec![hit], ..event.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EvidencePath, Locator, Moment, SystemFacts};

    fn tool() -> Tool {
        Tool {
            id: Arc::from("ngrok"),
            words: vec!["ngrok".into()],
            binaries: vec!["ngrok.exe".into()],
            ..Tool::default()
        }
    }

    fn event(
        category: &'static str,
        stage: RowStage,
        rule: &str,
        fields: &[(&'static str, &str)],
    ) -> Event {
        let mut record = Record::new(category, Locator::Record(7));
        for &(name, value) in fields {
            record.push(name, value);
        }
        record.times.push(Moment::exact(at(1000), "Event Logged"));
        let base = Event {
            artifact: Arc::from("windows.evtx.sysmon"),
            path: EvidencePath::new(r"C:\log.evtx"),
            record,
            hits: Vec::new(),
            source: Arc::from("case"),
            sha256: None,
        };
        let mut hit = row(&base, &tool(), rule, 60, "m".into()).hits;
        hit.iter_mut().for_each(|h| h.stage = stage);
        Event { hits: hit, ..base }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn check(events: &[Event], log_begins: i64, expected: &[&str]) {
        let line = Coverage {
            source: SYSTEM_LOG.into(),
            path: String::new(),
            state: CoverageState::Read,
            first: Some(at(log_begins)),
            last: None,
            records: 1,
            gaps: Vec::new(),
            why: String::new(),
        };
        let exists = |file: &str| (!file.starts_with("D:")).then(|| file.ends_with("there.exe"));
        let system = &SystemFacts::default();
        let found =
            find(events, &[tool()], &Evidence { coverage: &[line], system, exists: &exists });
        let shown: Vec<String> =
            found.iter().map(|e| format!("{} {}", e.hits[0].rule, e.hits[0].score)).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_ran_should_be_there_or_be_deleted() {
        let ran = |image| event("prefetch", RowStage::Executed, "ngrok-ran", &[("Image", image)]);
        let gone = r"C:\t\ngrok.exe";
        check(&[ran(gone), ran(gone)], 0, &["contradiction-executed-no-file 30"]);
        check(&[ran(r"C:\t\there.exe")], 0, &[]);
        check(&[ran(r"D:\t\ngrok.exe"), ran("ngrok.exe")], 0, &[]);
        let named = [("TargetFilename", gone)];
        let deleted = event("file_delete", RowStage::CleanedUp, "ngrok-file-deleted", &named);
        check(&[ran(gone), deleted], 0, &[]);
        let named = [("TargetFilename", r"\ngrok.exe")];
        let deleted = event("file_delete", RowStage::CleanedUp, "ngrok-file-deleted", &named);
        check(&[ran(gone), deleted], 0, &[]);
    }

    #[test]
    fn a_service_should_have_been_installed() {
        let named = [("ServiceName", "Upd")];
        let key = || event("service", RowStage::Persisted, "ngrok-service-key", &named);
        check(&[key()], 500, &["contradiction-service-no-install 30"]);
        check(&[key()], 2000, &["contradiction-service-no-install 10"]);
        let installed = event("service_install", RowStage::Persisted, "ngrok-service", &named);
        check(&[key(), installed], 500, &[]);
    }

    #[test]
    fn a_creation_before_the_name_is_said_once_per_file() {
        let mut made = event("executable", RowStage::Delivered, "ngrok-file", &[]);
        made.record.push("Timestomped", "created before its name was");
        made.record.times = vec![
            Moment::exact(at(100), "File Created ($SI)"),
            Moment::exact(at(1000), "File Created ($FN)"),
        ];
        check(&[made.clone(), made], 0, &["contradiction-set-back 35"]);
    }

    #[test]
    fn prefetch_off_is_told_of_workstations() {
        let ran = event("service", RowStage::Persisted, "ngrok-service-key", &[]);
        let off = event("setting", RowStage::Context, "prefetch-off", &[]);
        let told = |prefetch, server| {
            let system = SystemFacts { prefetch, server, ..SystemFacts::default() };
            hidden::unnoted(&[&ran], &[ran.clone(), off.clone()], &tool(), &system).is_some()
        };
        assert!(told(Some(false), false) && !told(Some(false), true) && !told(None, false));
        let system = SystemFacts { prefetch: Some(false), ..SystemFacts::default() };
        assert!(hidden::unnoted(&[], &[off], &tool(), &system).is_none());
    }

    #[test]
    fn who_looks_up_should_run() {
        let query = [("QueryName", "connect.ngrok-agent.com")];
        let looked = || event("dns_query", RowStage::Connected, "ngrok-dns-control", &query);
        check(&[looked()], 0, &["contradiction-dns-no-process 30"]);
        let image = [("Image", r"D:\t\ngrok.exe")];
        let ran = event("process_creation", RowStage::Executed, "ngrok-process", &image);
        check(&[looked(), ran], 0, &[]);
        // Who ends it took it to run: nothing is seen of that, nor is the other program its file.
        let ended = [("Image", r"C:\t\pskill.exe"), ("CommandLine", "taskkill /im ngrok.exe")];
        let ended = event("process_creation", RowStage::Executed, "ngrok-ended", &ended);
        check(&[looked(), ended], 0, &["contradiction-dns-no-process 30"]);
    }
}
