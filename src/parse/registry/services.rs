//! Services of every control set, with what wrappers keep in `Parameters`, and
//! the event-log sources that installers leave behind.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::model::{Input, Record, Value, to_iso};
use crate::parse::ParseError;

use super::{Data, Hive, Key, Output, add, record_of};

/// Values of the service key itself, in the order of the record's fields.
const OWN_TEXT: &[&str] =
    &["ImagePath", "DisplayName", "Description", "ObjectName", "FailureCommand"];
const OWN_NUMBERS: &[&str] = &["Start", "Type", "ErrorControl"];
/// What srvany and nssm keep in `Parameters`.
const WRAPPER_TEXT: &[&str] = &["Application", "AppParameters", "AppDirectory"];
/// `Type` of a program of its own.
const OWN_PROCESS: i64 = 0x10;
/// Bytes kept of `Wrapped`.
const MAX_WRAPPED: usize = 8192;

/// Pushes the services and event-log sources of every control set, in the
/// hive's order. A hive without control sets has none.
pub fn push_live(hive: &mut Hive, output: &mut Output<'_>) -> ControlFlow<()> {
    let current = current_set(hive);
    for set in control_sets(hive) {
        let is_current = current.as_ref().is_none_or(|c| c.eq_ignore_ascii_case(&set));
        let root = format!("{set}\\Services");
        let keys = hive.below(&root, 2);
        let parameters = parameters_by_service(&keys);
        for key in keys.iter().filter(|key| level(key, &root) == 1) {
            let parameters = parameters.get(&key.path.to_ascii_lowercase()).copied();
            output.push(service(key, parameters, &set, is_current))?;
        }
        let root = format!("{root}\\EventLog");
        for key in hive.below(&root, 2).iter().filter(|key| level(key, &root) == 2) {
            output.push(event_source(key))?;
        }
    }
    ControlFlow::Continue(())
}

/// The services of the control set that Windows runs with, in the hive's order; of another
/// hive than SYSTEM none.
///
/// # Errors
///
/// When the bytes cannot be read or are no hive.
pub fn services_of_hive(input: &Input<'_>) -> Result<Vec<Record>, ParseError> {
    let mut hive = Hive::open(input)?.0;
    let Some(set) = preferred_set(&mut hive) else { return Ok(Vec::new()) };
    let keys = hive.below(&format!("{set}\\Services"), 1);
    Ok(keys.iter().map(|key| service(key, None, &set, true)).collect())
}

/// Pushes carved services and event-log sources. A key whose place is lost or
/// misspelt counts as a service when its values say so.
pub fn push_carved(hive: &mut Hive, keys: &[Key], output: &mut Output<'_>) -> ControlFlow<()> {
    let current = current_set(hive);
    let parameters = parameters_by_service(keys);
    let (deleted, live): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| key.recovered);
    for key in live.into_iter().chain(deleted) {
        let names: Vec<&str> = key.path.split('\\').collect();
        let place = names.iter().position(|name| name.eq_ignore_ascii_case("Services"));
        let below = place.map_or(0, |at| names.len().saturating_sub(at).saturating_sub(1));
        let set = names.first().copied().filter(|name| is_control_set(name)).unwrap_or_default();
        let in_order = (place == Some(1) || !key.rooted) && !set.is_empty();
        let in_event_log = names
            .get(names.len().saturating_sub(3))
            .is_some_and(|name| name.eq_ignore_ascii_case("EventLog"));
        let is_current = current.as_ref().is_none_or(|c| c.eq_ignore_ascii_case(set));
        let parameters = parameters.get(&key.path.to_ascii_lowercase()).copied();
        if in_order && below == 1 || looks_like_service(key) {
            output.push(service(key, parameters, set, is_current))?;
        } else if in_event_log && (in_order && below == 3 || key.text("EventMessageFile").is_some())
        {
            output.push(event_source(key))?;
        }
    }
    ControlFlow::Continue(())
}

/// The control set that Windows last ran with.
fn current_set(hive: &mut Hive) -> Option<String> {
    let number = hive.key("Select")?.number("Current")?;
    Some(format!("ControlSet{number:03}"))
}

/// The name of the current control set if the hive has it, else of its first one.
pub fn preferred_set(hive: &mut Hive) -> Option<String> {
    let sets = control_sets(hive);
    let current = current_set(hive);
    let first = sets.first().cloned();
    current.filter(|c| sets.iter().any(|set| set.eq_ignore_ascii_case(c))).or(first)
}

fn control_sets(hive: &mut Hive) -> Vec<String> {
    let names = hive.below("", 1).into_iter().map(|key| key.name);
    let mut sets: Vec<String> = names.filter(|name| is_control_set(name)).collect();
    sets.sort();
    sets.dedup();
    sets
}

fn is_control_set(name: &str) -> bool {
    let digits = name.get(10..).unwrap_or_default();
    name.get(..10).is_some_and(|head| head.eq_ignore_ascii_case("ControlSet"))
        && digits.len() == 3
        && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Levels of a key below `root`, which its path begins with.
fn level(key: &Key, root: &str) -> usize {
    key.path.get(root.len()..).map_or(0, |rest| rest.matches('\\').count())
}

/// The `Parameters` keys by the lower-case path of their service.
fn parameters_by_service(keys: &[Key]) -> BTreeMap<String, &Key> {
    let (deleted, live): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| key.recovered);
    deleted
        .into_iter()
        .chain(live) // a live one takes the place of a deleted one
        .filter(|key| key.name.eq_ignore_ascii_case("Parameters"))
        .filter_map(|key| Some((key.path.rsplit_once('\\')?.0.to_ascii_lowercase(), key)))
        .collect()
}

fn looks_like_service(key: &Key) -> bool {
    key.text("ImagePath").is_some()
        && (key.number("Start").is_some() || key.number("Type").is_some())
}

fn service(key: &Key, parameters: Option<&Key>, set: &str, current: bool) -> Record {
    let mut record = record_of(key, "service", None);
    add(&mut record, "ServiceName", key.name.clone());
    for name in OWN_TEXT {
        add_text(&mut record, name, key.text(name));
    }
    for name in OWN_NUMBERS {
        if let Some(number) = key.number(name) {
            add(&mut record, name, number);
        }
    }
    add_list(&mut record, "Environment", key.data("Environment"));
    let dll = parameters.and_then(|p| p.text("ServiceDll")).or_else(|| key.text("ServiceDll"));
    let wrapped = parameters.and_then(|p| wrapped(key, p, dll.is_some()));
    add_text(&mut record, "ServiceDll", dll);
    if let Some(parameters) = parameters {
        for name in WRAPPER_TEXT {
            add_text(&mut record, name, parameters.text(name));
        }
        add_list(&mut record, "AppEnvironmentExtra", parameters.data("AppEnvironmentExtra"));
        add_text(&mut record, "Wrapped", wrapped);
        add_text(&mut record, "ParametersLastWritten", parameters.last_written.map(to_iso));
    }
    if !set.is_empty() {
        add(&mut record, "ControlSet", set);
        add(&mut record, "CurrentControlSet", if current { "true" } else { "false" });
    }
    add(&mut record, "TargetObject", target(key));
    record
}

/// The command that a wrapper starts: `Application` and its parameters, or for
/// wrappers of other make every text it keeps.
fn wrapped(key: &Key, parameters: &Key, has_dll: bool) -> Option<String> {
    if let Some(program) = parameters.text("Application") {
        return Some(match parameters.text("AppParameters") {
            Some(arguments) => format!("{program} {arguments}"),
            None => program,
        });
    }
    if has_dll || key.number("Type").is_none_or(|kind| kind & OWN_PROCESS == 0) {
        return None;
    }
    let mut all = String::new();
    for text in parameters.values.iter().filter_map(|value| value.data.text()) {
        if all.len().saturating_add(text.len()) > MAX_WRAPPED || text.is_empty() {
            continue;
        }
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(&text);
    }
    Some(all).filter(|all| !all.is_empty())
}

fn event_source(key: &Key) -> Record {
    let mut record = record_of(key, "eventlog_source", None);
    let mut names = key.path.rsplit('\\').skip(1);
    add(&mut record, "SourceName", key.name.clone());
    add(&mut record, "Log", names.next().unwrap_or_default());
    add_text(&mut record, "EventMessageFile", key.text("EventMessageFile"));
    if let Some(custom) = key.number("CustomSource") {
        add(&mut record, "CustomSource", custom);
    }
    add(&mut record, "TargetObject", target(key));
    record
}

fn target(key: &Key) -> String {
    if key.rooted { format!("HKLM\\SYSTEM\\{}", key.path) } else { key.path.clone() }
}

fn add_text(record: &mut Record, name: &'static str, text: Option<String>) {
    if let Some(text) = text {
        add(record, name, text);
    }
}

fn add_list(record: &mut Record, name: &'static str, data: Option<&Data>) {
    match data {
        Some(Data::MultiText(all)) => add(record, name, Value::List(all.clone())),
        Some(other) => add_text(record, name, other.text()),
        None => {}
    }
}
