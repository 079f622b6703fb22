//! Services as their manager lists them, held against those in the registry: what only
//! one of the two knows is new, being removed, or hidden.
//!
//! The manager leaves out a service whose security descriptor denies the asker; the
//! registry, read raw, does not. A key made by hand is no service before the next start.
//! The hive on the disk lags behind the memory, so a new service may be missing there.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::facts;
use crate::artifact::Locations;
use crate::model::{EvidencePath, Record, Volatile};
use crate::source::HostEvidence;

/// Facts of the manager.
const LISTED: &str = "windows.live.service";
/// What is found.
const VIEW: &str = "windows.live.service_view";
const CATEGORY: &str = "service_view";
/// Bits of a service's `Type` that the manager lists: drivers, programs of their own or
/// shared.
const LISTED_TYPES: i64 = 0x3b;

/// A record for each service that one of the two alone knows, by name; none where either
/// was not to be had.
pub fn known_to_one(evidence: &HostEvidence, found: &Locations) -> Vec<Volatile> {
    let listed: Vec<&Volatile> =
        evidence.volatile.iter().filter(|fact| &*fact.artifact == LISTED).collect();
    if !evidence.is_running || listed.is_empty() {
        return Vec::new();
    }
    let Some((hive, stored)) = facts::services(evidence, found) else { return Vec::new() };
    differences(&listed, &hive, &stored)
}

fn differences(listed: &[&Volatile], hive: &EvidencePath, stored: &[Record]) -> Vec<Volatile> {
    let listed_names: BTreeSet<String> = listed.iter().filter_map(|f| name(&f.record)).collect();
    let stored_names: BTreeSet<String> = stored.iter().filter_map(name).collect();
    let is_new = |record: &&Record| {
        let is_service = record.number("Type").is_some_and(|kind| kind & LISTED_TYPES != 0);
        let is_known = name(record).is_none_or(|name| listed_names.contains(&name));
        is_service && record.number("Start").is_some() && !is_known
    };
    let hidden = stored.iter().filter(is_new);
    let hidden = hidden.map(|record| view(record, hive, "the registry", "its manager"));
    let unstored = listed
        .iter()
        .filter(|fact| name(&fact.record).is_some_and(|name| !stored_names.contains(&name)));
    let unstored =
        unstored.map(|fact| view(&fact.record, &fact.path, "its manager", "the registry"));
    let mut all: Vec<Volatile> = hidden.chain(unstored).collect();
    all.sort_by_cached_key(|fact| name(&fact.record));
    all
}

/// In one case, as Windows compares them.
fn name(record: &Record) -> Option<String> {
    record.text("ServiceName").map(str::to_lowercase)
}

fn view(record: &Record, path: &EvidencePath, known: &str, unknown: &str) -> Volatile {
    let mut record = Record { category: CATEGORY, ..record.clone() };
    record.push("KnownTo", known);
    record.push("UnknownTo", unknown);
    Volatile { artifact: Arc::from(VIEW), path: path.clone(), record }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    fn service(name: &str, kind: i64) -> Record {
        let mut record = Record::new("service", Locator::Line(1));
        record.push("ServiceName", name);
        record.push("Type", kind);
        record.push("Start", 2);
        record
    }

    #[test]
    fn what_one_alone_knows_is_told() {
        let path = EvidencePath::new("live:service");
        let fact = |name| Volatile {
            artifact: Arc::from(LISTED),
            path: path.clone(),
            record: service(name, 0),
        };
        let listed = [fact("Spooler"), fact("ngrok")];
        let hive = EvidencePath::new(r"C:\Windows\System32\config\SYSTEM");
        // An adapter (4) and a key without a kind are no services.
        let mut bare = Record::new("service", Locator::Line(1));
        bare.push("ServiceName", "ESENT");
        let stored =
            [service("SPOOLER", 0x110), service("Stealth", 0x10), service("card", 4), bare];
        let found = differences(&listed.iter().collect::<Vec<_>>(), &hive, &stored);
        let told: Vec<_> = found
            .iter()
            .map(|fact| {
                let of = |name| fact.record.text(name).unwrap_or_default();
                (of("ServiceName"), of("KnownTo"), of("UnknownTo"), fact.path.as_str())
            })
            .collect();
        let expected = [
            ("ngrok", "its manager", "the registry", "live:service"),
            ("Stealth", "the registry", "its manager", hive.as_str()),
        ];
        assert_eq!(told, expected);
    }
}
