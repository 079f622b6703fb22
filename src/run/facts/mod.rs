//! What the evidence says about the machine itself: from its hives, or from the
//! files of a Linux or macOS root.

mod unix;

use super::twice::{self, Watch};
use crate::artifact::{Located, Locations};
use crate::model::{Everything, EvidencePath, Input, Os, ReadAt, Record, SystemFacts};
use crate::parse::{ParseError, registry};
use crate::source::HostEvidence;

/// Facts of the files that the host's system keeps them in.
pub fn of(evidence: &HostEvidence, found: &Locations) -> SystemFacts {
    match evidence.layout.os() {
        Some(os @ (Os::Linux | Os::Macos)) => unix::of(evidence, os),
        Some(Os::Windows) | None => of_hives(evidence, found),
    }
}

/// Whether a file is there, by its path with a drive's letter or from the root;
/// `None` where its volume was not given whole.
pub fn exists(evidence: &HostEvidence, file: &str) -> Option<bool> {
    let entry = |path: &str| evidence.filesystem.entry(&EvidencePath::new(path));
    if !evidence.layout.is_whole_volume() || !evidence.filesystem.lists().is_empty() {
        return None;
    }
    match evidence.layout.os()? {
        Os::Windows => {
            // Other letters and mounted volumes may be on a disk that was not given.
            let below = file.strip_prefix("C:").or_else(|| file.strip_prefix("c:"))?;
            entry(r"C:\Windows")?;
            Some(entry(&format!("C:{}", below.replace('/', "\\"))).is_some())
        }
        Os::Linux | Os::Macos => {
            entry("/etc")?;
            file.starts_with('/').then(|| entry(file).is_some())
        }
    }
}

/// Facts of the SYSTEM and SOFTWARE hives; those in their own places first.
fn of_hives(evidence: &HostEvidence, found: &Locations) -> SystemFacts {
    let mut facts = SystemFacts::default();
    let hives = found.files.iter().filter(|f| &*f.parser == "registry");
    let mut hives: Vec<&Located> = hives.collect();
    hives.sort_by_key(|f| (!in_place(f), f.entry.path.clone()));
    for hive in hives.into_iter().filter(|f| may_tell(f)) {
        if let Some(own) = of_hive(evidence, hive) {
            // What is known first stands.
            facts = registry::merge(facts, own);
        }
    }
    facts
}

/// The living hives, not RegBack's copies.
fn in_place(file: &Located) -> bool {
    let path = file.entry.path.as_str().to_ascii_lowercase().replace('/', "\\");
    path.ends_with("\\config\\system") || path.ends_with("\\config\\software")
}

fn may_tell(file: &Located) -> bool {
    let id = &*file.artifact;
    !id.ends_with(".ntuser") && !id.ends_with(".usrclass") && !id.ends_with(".default")
}

fn of_hive(evidence: &HostEvidence, hive: &Located) -> Option<SystemFacts> {
    ask(evidence, hive, registry::facts_of_hive)
}

/// The services in the living SYSTEM hive, and where that lies; none without one.
pub fn services(evidence: &HostEvidence, found: &Locations) -> Option<(EvidencePath, Vec<Record>)> {
    let is_system = |hive: &&Located| {
        &*hive.parser == "registry"
            && in_place(hive)
            && hive.entry.path.file_name().eq_ignore_ascii_case("SYSTEM")
    };
    let hive = found.files.iter().filter(is_system).min_by_key(|hive| &hive.entry.path)?;
    Some((hive.entry.path.clone(), ask(evidence, hive, registry::services_of_hive)?))
}

/// The answer of a hive with its logs; none when it cannot be read.
fn ask<T>(
    evidence: &HostEvidence,
    hive: &Located,
    question: impl Fn(&Input<'_>) -> Result<T, ParseError>,
) -> Option<T> {
    let bytes = evidence.filesystem.open(&hive.entry).ok()?;
    let sidecars: Vec<_> =
        hive.sidecars.iter().filter_map(|entry| evidence.filesystem.open(entry).ok()).collect();
    let once = || {
        let watch = Watch::new(&*bytes, &sidecars);
        let input = Input {
            bytes: watch.file(),
            sidecars: watch.sidecars(),
            name: hive.entry.path.file_name(),
            modified: hive.entry.times.modified,
            filter: &Everything,
            paths: None,
            zone: None,
        };
        let answer = question(&input);
        // A hive that stays torn is told as such where it is read for its records.
        let torn = evidence.is_live && {
            evidence.filesystem.forget();
            watch.changed().file
        };
        (answer, torn)
    };
    twice::until_whole(once).0.ok()
}

/// The drive letters that a SYSTEM hive gave, replayed with its logs; none when it
/// cannot be read.
pub fn drive_letters(hive: &dyn ReadAt, logs: &[&dyn ReadAt]) -> Vec<(char, Vec<u8>)> {
    let input = Input {
        bytes: hive,
        sidecars: logs.to_vec(),
        name: "SYSTEM",
        modified: None,
        filter: &Everything,
        paths: None,
        zone: None,
    };
    registry::drive_letters_of_hive(&input).unwrap_or_default()
}
