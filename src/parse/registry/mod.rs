//! Registry hives: services, what starts, ran and was there, settings, facts of the system.
//!
//! Any hive is read, whatever its file's name: what it is shows in its keys.
//! Versions: `regf` 1.3 to 1.6 with both formats of transaction logs. Deleted
//! keys and values in free cells are recovered, damaged hives salvaged.
//!
//! A service key shows that a program was made to start with the system, a run
//! key that it starts when somebody logs on. The time of both is the key's last
//! change, whichever value it was. Every other artifact has a module of its own, which
//! says what it proves, and a line in [`EXTRACTORS`].

mod amcache;
#[cfg(test)]
mod artifact_tests;
mod bam;
mod carve;
mod cells;
mod exclusions;
mod firewall;
mod hive;
mod key;
mod mru;
mod place;
mod port_proxy;
mod programs;
mod remote;
mod replay;
mod run_keys;
mod services;
mod settings;
mod shell_bags;
mod shell_item;
mod shimcache;
mod store;
mod system;
mod task_cache;
#[cfg(test)]
mod tests;
mod uninstall;
mod userassist;
mod validate;
mod zone;

pub use hive::Hive;
pub use key::{Data, Key, NamedValue};
pub use services::services_of_hive;
pub use system::{drive_letters_of_hive, facts, facts_of_hive, merge, profiles, profiles_of_hive};

use std::collections::HashSet;
use std::fmt::Write;
use std::ops::ControlFlow;

use crate::model::{
    Damage, Extent, Filter, Input, Locator, Moment, Record, Sink, Value, Zone, from_filetime,
};

use super::{ParseError, Parser};

use carve::Orphan;
use place::Extractor;

/// Everything read but services and run keys, in the order of the records.
const EXTRACTORS: &[Extractor] = &[
    bam::EXTRACTOR,
    shimcache::EXTRACTOR,
    amcache::EXTRACTOR,
    userassist::EXTRACTOR,
    programs::FEATURE_USAGE,
    programs::RECENT_APPS,
    programs::MUI_CACHE,
    programs::COMPATIBILITY,
    mru::RUN,
    mru::TYPED,
    mru::TYPED_URLS,
    mru::RECENT_DOCS,
    mru::DIALOGS,
    shell_bags::EXTRACTOR,
    uninstall::EXTRACTOR,
    store::EXTRACTOR,
    uninstall::APP_PATHS,
    task_cache::EXTRACTOR,
    port_proxy::EXTRACTOR,
    firewall::EXTRACTOR,
    exclusions::EXTRACTOR,
    remote::RDP,
    remote::SSH,
    settings::ENVIRONMENT,
    settings::SYSTEM,
    settings::PROXY,
    settings::STARTUP_APPROVED,
    settings::NETWORKS,
];

/// Reads hives, with their transaction logs as sidecars.
pub struct Registry;

impl Parser for Registry {
    fn name(&self) -> &'static str {
        "registry"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        // A hive whose header is destroyed still shows its first bin.
        start.starts_with(b"regf")
            || start.get(4096..).is_some_and(|bins| bins.starts_with(b"hbin"))
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let (mut hive, damages) = Hive::open(input)?;
        for damage in damages {
            sink.damaged(damage);
        }
        let last = cells::u64_at(hive.image(), 12).and_then(from_filetime);
        let mut output = Output {
            sink,
            filter: input.filter,
            user: owner(&mut hive),
            zone: input.zone,
            seen: HashSet::new(),
            said: HashSet::new(),
            records: 0,
        };
        let _ = push_all(&mut hive, &mut output);
        let records = output.records;
        sink.extent(Extent { last, records, ..Extent::default() });
        Ok(())
    }
}

/// Everything that the hive has to say; `Break` when the sink has enough.
///
/// Each record is judged by its own text. The screen is not asked about bins:
/// what makes one record (key, values, data) is spread over several, and paths
/// stand in none, so that a bin without a literal proves nothing. Reading all
/// keys that matter takes a fraction of checking the hive.
fn push_all(hive: &mut Hive, output: &mut Output<'_>) -> ControlFlow<()> {
    services::push_live(hive, output)?;
    run_keys::push_live(hive, output)?;
    place::push_live(EXTRACTORS, hive, output)?;
    let carved = hive.carve();
    if carved.cut {
        let message = "too many or too large deleted keys and values; the rest is not searched";
        output.sink.damaged(Damage { locator: None, message: message.to_owned(), lost: true });
    }
    services::push_carved(hive, &carved.keys, output)?;
    run_keys::push_carved(&carved.keys, carved.salvaged, output)?;
    run_keys::push_carved(&carved.leftovers, false, output)?;
    place::push_carved(EXTRACTORS, &carved.keys, carved.salvaged, output)?;
    place::push_carved(EXTRACTORS, &carved.leftovers, false, output)?;
    let known: HashSet<(&str, &Data)> = carved
        .keys
        .iter()
        .chain(&carved.leftovers)
        .flat_map(|key| &key.values)
        .map(|value| (value.name.as_str(), &value.data))
        .collect();
    for orphan in &carved.orphans {
        if known.contains(&(orphan.value.name.as_str(), &orphan.value.data)) {
            continue;
        }
        if let Some(record) = orphan_record(orphan).filter(|record| !output.has_said(record)) {
            output.push(record)?;
        }
    }
    ControlFlow::Continue(())
}

/// A value with text whose key is not known.
fn orphan_record(orphan: &Orphan) -> Option<Record> {
    let details = orphan.value.data.text().filter(|text| !text.is_empty())?;
    let at = u64::try_from(orphan.at).ok()?;
    let mut record = Record::new("registry_value", Locator::Offset(at));
    add(&mut record, "ValueName", orphan.value.name.clone());
    add(&mut record, "Details", details);
    record.recovered = orphan.deleted;
    Some(record)
}

/// Name of the user whose hive it is, where Explorer has noted it.
fn owner(hive: &mut Hive) -> Option<String> {
    hive.key(r"Software\Microsoft\Windows\CurrentVersion\Explorer")?.text("Logon User Name")
}

/// Adds a field.
fn add(record: &mut Record, name: &'static str, value: impl Into<Value>) {
    record.fields.push((name.into(), value.into()));
}

/// A record of a key, with the key's time and state.
fn record_of(key: &Key, category: &'static str, value: Option<String>) -> Record {
    let mut record = Record::new(category, Locator::Key { key: key.path.clone(), value });
    record.recovered = key.recovered;
    record.times.extend(key.last_written.map(|at| Moment::exact(at, "Key Last Written")));
    record
}

/// A record of a value, which has the key's state and no time yet.
fn value_record(key: &Key, category: &'static str, value: &str) -> Record {
    let value = Some(value.to_owned());
    let mut record = Record::new(category, Locator::Key { key: key.path.clone(), value });
    record.recovered = key.recovered;
    record
}

/// The full name of a key, or of a value in it, as far as its place is known:
/// `HKLM\SYSTEM\…`, `HKLM\SOFTWARE\…` or `HKCU\…`.
fn target(key: &Key, value: Option<&str>) -> String {
    let path = &key.path;
    let first = path.split('\\').next().unwrap_or_default().to_ascii_lowercase();
    let hive = match first.as_str() {
        _ if !key.rooted => "",
        "software" | "environment" => "HKCU\\",
        _ if first.starts_with("controlset") => "HKLM\\SYSTEM\\",
        _ => "HKLM\\SOFTWARE\\",
    };
    match value {
        None => format!("{hive}{path}"),
        Some("") => format!("{hive}{path}\\(Default)"),
        Some(name) => format!("{hive}{path}\\{name}"),
    }
}

/// The FILETIME that a value holds, as a number or as bytes.
fn ticks(data: &Data) -> Option<u64> {
    match data {
        Data::Qword(n) => Some(*n),
        Data::Binary(bytes) => cells::u64_at(bytes, 0),
        _ => None,
    }
}

/// UTF-16LE; what is no character becomes U+FFFD.
fn utf16(bytes: &[u8]) -> String {
    char::decode_utf16(cells::utf16_units(bytes))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// UTF-16LE up to the first NUL.
fn utf16_until_nul(bytes: &[u8]) -> String {
    let units = cells::utf16_units(bytes).take_while(|unit| *unit != 0);
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Where records go: past the filter, each once, live ones before recovered ones.
struct Output<'a> {
    sink: &'a mut dyn Sink,
    filter: &'a dyn Filter,
    /// Whose hive it is.
    user: Option<String>,
    /// Of the host, for local times.
    zone: Option<&'a Zone>,
    /// Live and recovered records, rendered.
    seen: HashSet<String>,
    /// Every text of a record seen.
    said: HashSet<String>,
    /// Different records seen, past the filter or not.
    records: u64,
}

impl Output<'_> {
    /// Adds the user whose hive it is.
    fn add_user(&self, record: &mut Record) {
        record.push("User", self.user.clone().unwrap_or_default());
    }

    fn push(&mut self, record: Record) -> ControlFlow<()> {
        let text = rendered(&record);
        let moment = record.times.first().map(|m| m.raw.as_str()).unwrap_or_default();
        if !self.seen.insert(format!("{text}{moment}")) {
            return ControlFlow::Continue(());
        }
        self.records = self.records.saturating_add(1);
        let texts = record.fields.iter().filter_map(|(_, value)| match value {
            Value::Text(text) => Some(text.clone()),
            Value::List(all) => Some(all.join(" ")),
            Value::Number(_) => None,
        });
        self.said.extend(texts);
        // Last, so that what is counted does not hang on what is looked for.
        if !self.filter.admits_text(text.as_bytes()) {
            return ControlFlow::Continue(());
        }
        self.sink.record(record)
    }

    /// Whether the record's details stand in one that was seen: an old copy of
    /// a value tells nothing new.
    fn has_said(&self, record: &Record) -> bool {
        record.text("Details").is_some_and(|details| self.said.contains(details))
    }
}

/// The record's fields, one line `Name=value` each.
fn rendered(record: &Record) -> String {
    let mut text = String::new();
    for (name, value) in &record.fields {
        let _ = writeln!(text, "{name}={value}"); // writing to a String cannot fail
    }
    text
}
