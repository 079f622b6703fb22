//! What was looked for and how much of it could be read: what backs every "no".

use std::collections::{BTreeMap, BTreeSet};

use super::passes::{Definitions, Reading};
use super::problem;
use crate::artifact::{Locations, Presence};
use crate::correlate;
use crate::model::{
    Coverage, CoverageState, Damage, EvidencePath, Extent, Locator, Problem, Stage, SystemFacts,
};
use crate::parse::{self, Parser};
use crate::source::{self, Entry, HostEvidence, Layout, Start, Unread};

/// How the artifact ids end under which file systems themselves are covered.
const NAMES: &str = ".filesystem.name";
/// The artifact id of an `$MFT` that lists files outside of its volume.
const LIST: &str = "windows.filesystem.mft";
/// Said of files that only the bundle keeps.
const NOT_READ: &str = "not read here; kept in the bundle with --collect all";
/// The artifact id of volumes that could not be read.
const VOLUME: &str = "volume";

/// The first of what is said of a file without loss, and how many more there are.
fn remarks(damages: &[Damage]) -> String {
    match damages {
        [] => String::new(),
        [one] => one.message.clone(),
        [one, more @ ..] => format!("{} (and {} more)", one.message, more.len()),
    }
}

/// One line per log and hive, one per kind of other files, one per missing source.
pub fn of(
    definitions: &Definitions<'_>,
    evidence: &HostEvidence,
    found: &Locations,
    reading: &Reading,
    system: &SystemFacts,
) -> Vec<Coverage> {
    let mut out = Vec::new();
    let mut kinds: BTreeMap<&str, Coverage> = BTreeMap::new();
    for (file, reading) in found.files.iter().zip(&reading.files) {
        let lost = reading.damages.iter().filter(|d| d.lost).count();
        let (state, why) = match &reading.error {
            Some(error) if reading.extent.is_none() => (CoverageState::Unreadable, error.clone()),
            Some(error) => (CoverageState::Partial, error.clone()),
            None if lost > 0 => {
                (CoverageState::Partial, format!("{lost} place(s) could not be read"))
            }
            // What is to be known of the reading, though nothing was lost.
            None => (CoverageState::Read, remarks(&reading.damages)),
        };
        if parse::by_name(&file.parser).is_some_and(Parser::is_store) {
            let extent = reading.extent.clone().unwrap_or_default();
            let store = extent.store.as_deref().and_then(|s| definitions.artifacts.by_store(s));
            out.push(Coverage {
                source: store.map_or(&file.artifact, |a| &a.id).to_string(),
                path: file.entry.path.to_string(),
                why: why_of(&extent, why),
                state,
                first: extent.first,
                last: extent.last,
                records: extent.records,
                gaps: extent.gaps,
            });
            continue;
        }
        let kind =
            kinds.entry(&*file.artifact).or_insert_with(|| empty(&file.artifact, &evidence.label));
        kind.records = kind.records.saturating_add(1);
        if *file.parser == *parse::COLLECT_ONLY {
            (kind.state, kind.why) = (CoverageState::Unreadable, NOT_READ.into());
        } else if state != CoverageState::Read {
            kind.state = CoverageState::Partial;
            kind.why = format!("{}: {why}", file.entry.path);
        }
    }
    cleared(&mut out, reading);
    out.extend(kinds.into_values());
    out.push(names(evidence, found));
    out.extend(evidence.filesystem.lists().iter().map(listed));
    out.extend(evidence.unread.iter().map(unread));
    absent(&mut out, definitions, evidence, found);
    switched_off(&mut out, system);
    out.extend(users_without_hive(found, system));
    out.sort_by(|a, b| (&a.source, &a.path).cmp(&(&b.source, &b.path)));
    out
}

/// A line about something that was read and held nothing.
pub fn empty(source: &str, path: &str) -> Coverage {
    Coverage {
        source: source.to_owned(),
        path: path.to_owned(),
        state: CoverageState::Read,
        first: None,
        last: None,
        records: 0,
        gaps: Vec::new(),
        why: String::new(),
    }
}

fn why_of(extent: &Extent, why: String) -> String {
    match (why.is_empty(), extent.gaps.len()) {
        (true, 0) => why,
        (true, n) => format!("{n} gap(s) in the record numbers"),
        (false, _) => why,
    }
}

/// A log whose clearing is on record says nothing about the time before.
fn cleared(out: &mut [Coverage], reading: &Reading) {
    let clearings = reading.events.iter().filter(|e| e.record.category == "log_cleared");
    for event in clearings {
        let record = &event.record;
        let channel = record.text("ClearedChannel").unwrap_or_default();
        let Some(at) = record.first_time() else { continue };
        for line in out.iter_mut() {
            let same = line.path == event.path.as_str() && channel.eq_ignore_ascii_case("Security")
                || line
                    .path
                    .to_lowercase()
                    .ends_with(&format!("{}.evtx", channel.replace('/', "%4").to_lowercase()))
                    && !channel.is_empty();
            // The first record left after a clearing is about the clearing's time.
            let start =
                line.first.is_none_or(|first| first.duration_since(at).abs().as_hours() < 1);
            if same && start && line.state == CoverageState::Read {
                line.state = CoverageState::Cleared;
                line.why = format!(
                    "cleared {at:.0} by {}: nothing before that is left",
                    record.text("User").or_else(|| record.text("SubjectUserName")).unwrap_or("?")
                );
            }
        }
    }
}

/// A volume whose files were not seen.
fn unread(part: &Unread) -> Coverage {
    let mut line = empty(VOLUME, &part.path);
    (line.state, line.why) = (CoverageState::Unreadable, part.why.clone());
    line
}

/// An `$MFT` that was copied out of its volume.
fn listed((path, files): &(EvidencePath, u64)) -> Coverage {
    Coverage { records: *files, ..empty(LIST, path.as_str()) }
}

/// The artifact id of what Windows keeps of runs.
const PREFETCH: &str = "windows.execution.prefetch";
/// The artifact id of the hives of users.
const USER_HIVE: &str = "windows.registry.ntuser";
/// Why files outside a whole volume cannot deny what the volume held.
const NO_VOLUME: &str = "only files taken out of a volume were given";

/// The walk itself: without a loss, a name not found on a volume is not there.
fn names(evidence: &HostEvidence, found: &Locations) -> Coverage {
    let os = evidence.layout.os().unwrap_or_default();
    let mut line = empty(&format!("{}{NAMES}", os.as_str()), &evidence.label);
    line.records = found.entries;
    if found.not_looked_into > 0 {
        line.why = format!(
            "{} small files that come with Windows and its programs (component stores, libraries, pictures) were judged by name alone",
            found.not_looked_into
        );
    }
    if !evidence.layout.is_whole_volume() {
        (line.state, line.why) = (CoverageState::Absent, NO_VOLUME.into());
    }
    let lists = evidence.filesystem.lists();
    if let Some((path, _)) = lists.first() {
        (line.state, line.why) = (CoverageState::Read, format!("as {path} lists them"));
    }
    if let Some(problem) = found.problems.first() {
        line.state = CoverageState::Partial;
        line.why.clone_from(&problem.message);
    }
    line
}

/// What every such system has and this one lacks, and kinds that have no file.
fn absent(
    out: &mut Vec<Coverage>,
    definitions: &Definitions<'_>,
    evidence: &HostEvidence,
    found: &Locations,
) {
    let expected = found.expected.iter().filter(|e| e.by_default && e.presence == Presence::Absent);
    for missing in expected.filter(|_| evidence.layout.has_fixed_places()) {
        if !out.iter().any(|c| *c.source == *missing.artifact) {
            let mut line = empty(&missing.artifact, &missing.pattern);
            (line.state, line.why) = (CoverageState::Absent, "not found".into());
            out.push(line);
        }
    }
    let os = evidence.layout.os();
    let usual = os.unwrap_or_default();
    for artifact in definitions.artifacts_of(os).iter().filter(|a| a.os == usual) {
        if out.iter().any(|c| *c.source == *artifact.id) {
            continue;
        }
        let mut line = empty(&artifact.id, artifact.patterns.first().map_or("", |p| p.as_str()));
        let by_content = artifact.anywhere && !artifact.expected && artifact.store.is_none();
        let whole = evidence.layout.is_whole_volume();
        (line.state, line.why) = match by_content {
            true if !whole => (CoverageState::Absent, NO_VOLUME.into()),
            // What has no place of its own was looked for in every file: none is an answer.
            true if artifact.patterns.is_empty() => {
                (CoverageState::Read, "looked for by content; none there".into())
            }
            true => (CoverageState::Absent, "none there, by content or in its place".into()),
            false => (CoverageState::Absent, "not found".into()),
        };
        if by_content {
            line.path.clone_from(&evidence.label);
        }
        out.push(line);
    }
}

/// A source that was switched off, where that is unusual: what it still holds is from before.
fn switched_off(out: &mut [Coverage], system: &SystemFacts) {
    if system.prefetch != Some(false) || system.server {
        return;
    }
    for line in out.iter_mut().filter(|line| line.source == PREFETCH) {
        let (state, left) = match line.state {
            CoverageState::Absent => (CoverageState::Disabled, "runs left no trace here"),
            CoverageState::Read => (CoverageState::Partial, "later runs left no trace here"),
            _ => continue,
        };
        line.state = state;
        line.why = format!("switched off in the registry (EnablePrefetcher): {left}");
    }
}

/// Users whose profile the system lists and whose hive was not found.
fn users_without_hive(found: &Locations, system: &SystemFacts) -> Vec<Coverage> {
    let hives = found.files.iter().filter(|f| &*f.artifact == USER_HIVE);
    let known: BTreeSet<String> = hives.map(|f| correlate::tail(f.entry.path.as_str())).collect();
    let hive_of = |folder: &String| format!("{folder}\\NTUSER.DAT");
    let missing =
        system.profiles.iter().map(hive_of).filter(|h| !known.contains(&correlate::tail(h)));
    missing
        .map(|hive| Coverage {
            state: CoverageState::Absent,
            why: "not found, though the system lists this user".into(),
            ..empty(USER_HIVE, &hive)
        })
        .collect()
}

/// Whether a line is about something that was found and read, not only looked for.
pub fn is_read(line: &Coverage) -> bool {
    let found = line.records > 0 || line.first.is_some();
    found && !line.source.ends_with(NAMES) && line.state != CoverageState::Unreadable
}

/// Whether the names on a volume were listed, also where no file of it was worth reading.
pub fn is_listed(line: &Coverage) -> bool {
    line.source.ends_with(NAMES) && line.records > 0
}

/// Files that bear the name of a log or hive and are none, in a folder where only
/// content tells.
fn misnamed(found: &Locations) -> impl Iterator<Item = &Entry> {
    let located: BTreeSet<&str> = found.files.iter().map(|f| f.entry.path.as_str()).collect();
    found
        .names
        .iter()
        .filter(|e| e.is_file() && source::is_log_or_hive(e.path.as_str()))
        .filter(move |e| !located.contains(e.path.as_str()))
}

fn foreign(entry: &Entry) -> Problem {
    Problem {
        path: Some(entry.path.clone()),
        locator: Some(Locator::Offset(0)),
        stage: Stage::Locate,
        message: "named as an event log or registry hive, but its content is none: not read".into(),
    }
}

/// Everything that could not be read, in order.
pub fn problems(evidence: &HostEvidence, found: &Locations, reading: &Reading) -> Vec<Problem> {
    let mut out = found.problems.clone();
    out.extend(evidence.problems.iter().cloned());
    out.extend(evidence.image.iter().flat_map(|image| image.problems()));
    out.extend(evidence.filesystem.late_problems());
    if !evidence.layout.has_fixed_places() {
        let is_here = |entry: &&Entry| evidence.filesystem.start(entry) != Start::Nowhere;
        out.extend(misnamed(found).filter(is_here).map(foreign));
    }
    let unknown = found.files.is_empty() && evidence.filesystem.lists().is_empty();
    if evidence.layout == Layout::SingleFile && unknown {
        out.push(problem(
            Stage::Locate,
            format!("{}: of no format that this version reads", evidence.label),
        ));
    }
    for (file, reading) in found.files.iter().zip(&reading.files) {
        let at = |locator, message: &str| Problem {
            path: Some(file.entry.path.clone()),
            locator,
            stage: Stage::Parse,
            message: message.to_owned(),
        };
        out.extend(reading.error.iter().map(|e| at(None, e)));
        let lost = reading.damages.iter().filter(|d| d.lost);
        out.extend(lost.map(|d| at(d.locator.clone(), &d.message)));
    }
    out.sort();
    out.dedup();
    out
}
