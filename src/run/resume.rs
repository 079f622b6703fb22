//! What an earlier run into the same folder has done already.

use std::collections::BTreeSet;
use std::path::Path;

use super::passes::Definitions;
use super::{Job, RunError};
use crate::export::{self, Done, Entry, HostOutput};
use crate::source::{self, HostEvidence, Lead, live};

/// A lead whose turn comes.
pub struct Turn {
    pub lead: Lead,
    /// What an earlier run made of it, if that still holds.
    pub finished: Option<Finished>,
}

/// A source that is done.
pub struct Finished {
    pub done: Done,
    /// One per host of it.
    pub outputs: Vec<HostOutput>,
}

/// What is to be done, and what the record says at its begin.
pub struct Plan {
    /// In the order of the leads.
    pub turns: Vec<Turn>,
    /// Entries of sources that are not part of this run.
    pub others: Vec<Entry>,
    /// Of sources that are done and part of this run.
    pub kept: Vec<Entry>,
}

/// Tells what is done from what is to be done, and removes what an earlier run left
/// of the latter.
pub fn plan(job: &Job, settings: &str, leads: Vec<Lead>) -> Result<Plan, RunError> {
    let mut earlier = if job.resume { export::read_record(&job.output)? } else { Vec::new() };
    let mut plan = Plan { turns: Vec::new(), others: Vec::new(), kept: Vec::new() };
    for lead in leads {
        let source = lead.path().display().to_string();
        let found = earlier.iter().enumerate().find_map(|(at, entry)| match entry {
            Entry::Done(done) if done.source == source => {
                Some((at, finished(job, settings, done)?))
            }
            _ => None,
        });
        let finished = found.map(|(at, finished)| {
            plan.kept.push(earlier.remove(at));
            finished
        });
        plan.turns.push(Turn { lead, finished });
    }
    let sources: BTreeSet<String> =
        plan.turns.iter().map(|turn| turn.lead.path().display().to_string()).collect();
    let (stale, others): (Vec<Entry>, Vec<Entry>) =
        earlier.into_iter().partition(|entry| sources.contains(entry.source()));
    plan.others = others;
    // In one case, as some file systems see names.
    let kept = plan.kept.iter().chain(&plan.others).flat_map(|entry| entry.folders());
    let kept: BTreeSet<String> = kept.map(str::to_lowercase).collect();
    for folder in stale.iter().flat_map(|entry| entry.folders()) {
        if !kept.contains(&folder.to_lowercase()) {
            export::clear_host(&job.output, folder)?;
        }
    }
    Ok(plan)
}

/// The source, if nothing changed since: not the settings, not the evidence, not the
/// results.
fn finished(job: &Job, settings: &str, done: &Done) -> Option<Finished> {
    let same = |(path, known): &(String, String)| part(Path::new(path)).1 == *known;
    let known = done.parts.iter().all(|(_, stamp)| !stamp.is_empty());
    if done.settings != settings || !known || !done.parts.iter().all(same) {
        return None;
    }
    let outputs: Option<Vec<HostOutput>> = done
        .hosts
        .iter()
        .map(|host| export::finished(&job.output, host, job.export.bundle))
        .collect();
    Some(Finished { done: done.clone(), outputs: outputs? })
}

/// A file or folder, and its stamp; none when it cannot be told. A running machine is the
/// same until it is started anew.
pub fn part(path: &Path) -> (String, String) {
    if path == Path::new(live::LABEL) {
        return (live::LABEL.to_owned(), live::identity(&live::Wanted::default()));
    }
    (path.display().to_string(), source::stamp(path).unwrap_or_default())
}

/// The files that the hosts' disk images are made of, but for the one at `at`.
pub fn further_parts(at: &Path, hosts: &[HostEvidence]) -> Vec<(String, String)> {
    let images = hosts.iter().filter_map(|host| host.image.as_ref());
    let paths: BTreeSet<&Path> =
        images.flat_map(|image| image.parts()).map(|path| path.as_path()).collect();
    paths.into_iter().filter(|path| *path != at).map(part).collect()
}

/// The same as long as everything is that results depend on, but for the evidence.
pub fn settings(job: &Job, definitions: &Definitions<'_>) -> String {
    let options = &job.export;
    export::hash_text(&format!(
        "{:?}",
        (
            env!("CARGO_PKG_VERSION"),
            definitions.profile_digests(),
            definitions.artifact_digests(),
            (job.since, job.until, job.window, job.reveal_secrets, job.nested),
            (options.bundle, options.csv_excel_safe, options.collect, &options.custody),
        )
    ))
}
