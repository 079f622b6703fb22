//! Many sources in one run: as many at a time as there are threads, written in the
//! order of the sources, and none of them able to end the run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use rayon::ThreadPool;
use rayon::prelude::*;

use super::passes::Definitions;
use super::resume::{self, Finished, Plan, Turn};
use super::{HostOutcome, Job, Outcome, Progress, RunError, SourceProgress};
use super::{coverage, examine, facts, hosts, pipeline, volatile};
use crate::artifact::Formats;
use crate::export::{
    self, Begun, Destination, Done, DoneHost, Entry, HostSummary, ImageFacts, Record, RunFacts,
};
use crate::model::HostReport;
use crate::parse::PARSERS;
use crate::source::{self, Clues, HostEvidence, Lead, Limited, SourceError};

/// Examines every source and writes what came out.
pub fn run(
    job: &Job,
    definitions: &Definitions<'_>,
    pool: &ThreadPool,
    progress: &Progress,
) -> Result<Outcome, RunError> {
    if let Some(path) = &job.export.bodyfile {
        export::start_bodyfile(path)?;
    }
    let team = Team { job, definitions, pool, progress };
    let mut batch = Batch::new(team, resume::settings(job, definitions));
    let leads = batch.leads();
    let plan = resume::plan(job, &batch.settings, leads)?;
    batch.begin(&plan)?;
    // Of a running machine all counts that was seen until it was stopped.
    if job.live.is_some() {
        plan.turns.into_iter().try_for_each(|turn| batch.live(turn))?;
        return batch.finish();
    }
    let work = |turn: Turn| match turn.finished {
        Some(finished) => Ok(Worked::Finished(turn.lead, finished)),
        None => team.follow(turn.lead).map(Worked::Examined),
    };
    pipeline::in_order(plan.turns, job.threads.max(1), &job.stop, work, |worked| {
        batch.deliver(worked)
    })?;
    batch.finish()
}

/// What all sources are examined with.
#[derive(Clone, Copy)]
struct Team<'a> {
    job: &'a Job,
    definitions: &'a Definitions<'a>,
    pool: &'a ThreadPool,
    progress: &'a Progress,
}

/// What became of a lead.
enum Worked {
    /// Nothing is to be done; the lead, should that turn out wrong.
    Finished(Lead, Finished),
    Examined(Examined),
}

/// The hosts of a source.
struct Examined {
    source: String,
    /// What the source is made of, as it was before it was read.
    parts: Vec<(String, String)>,
    /// A host's evidence, and the reports of all hosts that it speaks of.
    hosts: Vec<(HostEvidence, Vec<HostReport>)>,
}

impl Team<'_> {
    /// Opens what a lead holds and examines every host of it.
    fn follow(&self, lead: Lead) -> Result<Examined, SourceError> {
        let at = lead.path().to_owned();
        guarded(&at, || self.pool.install(|| self.examine(lead)))
    }

    fn examine(&self, lead: Lead) -> Result<Examined, SourceError> {
        let at = lead.path().to_owned();
        let source = at.display().to_string();
        let mut parts = vec![resume::part(&at)];
        let formats = Formats::new(self.definitions.artifacts, PARSERS);
        let knows = |start: &[u8]| formats.knows(start);
        let clues = Clues { letters: &facts::drive_letters, knows: Some(&knows) };
        let hosts = lead.open(clues)?;
        parts.extend(resume::further_parts(&at, &hosts));
        Ok(self.examine_hosts(source, parts, hosts))
    }

    /// Examines hosts that are open, within the limits of the run.
    fn examine_hosts(
        &self,
        source: String,
        parts: Vec<(String, String)>,
        hosts: Vec<HostEvidence>,
    ) -> Examined {
        let limits = &self.job.limits;
        let progress = self.progress.begin(source.clone(), limits);
        let examine = |host| self.examine_host(host, &progress);
        let hosts = hosts.into_par_iter().flat_map_iter(examine).collect();
        Examined { source, parts, hosts }
    }

    /// Examines a host within the limits of the run, then those on disks that lie in it.
    fn examine_host(
        &self,
        host: HostEvidence,
        progress: &SourceProgress,
    ) -> Vec<(HostEvidence, Vec<HostReport>)> {
        let limits = self.job.limits.of_host();
        let filesystem = Box::new(Limited::new(host.filesystem, limits.clone()));
        let host = HostEvidence { filesystem, limits, ..host };
        let (reports, nested) = examine(self.job, self.definitions, &host, progress);
        let nested = nested.into_iter().flat_map(|inner| self.examine_host(inner, progress));
        std::iter::once((host, reports)).chain(nested).collect()
    }
}

/// What became of the sources so far.
struct Batch<'a> {
    team: Team<'a>,
    settings: String,
    names: hosts::Names,
    summaries: Vec<HostSummary>,
    /// None while there is nothing to write.
    record: Option<Record>,
    /// The record's entries when the run has come to its end.
    done: Vec<Entry>,
    others: Vec<Entry>,
    outcome: Outcome,
    /// The bundle of the running machine.
    begun: Option<Begun>,
    target: Option<Destination>,
}

impl<'a> Batch<'a> {
    fn new(team: Team<'a>, settings: String) -> Self {
        Self {
            team,
            settings,
            names: hosts::Names::default(),
            summaries: Vec::new(),
            record: None,
            done: Vec::new(),
            others: Vec::new(),
            outcome: Outcome::default(),
            begun: None,
            target: None,
        }
    }

    /// Where hosts are to be had, in the order of the sources.
    fn leads(&mut self) -> Vec<Lead> {
        let Team { job, pool, .. } = self.team;
        let look = |path| guarded(path, || source::leads(path));
        let found: Vec<_> =
            pool.install(|| job.sources.par_iter().map(|path| look(path.as_path())).collect());
        let mut leads: Vec<Lead> = job.live.iter().map(Lead::live).collect();
        for result in found {
            match result {
                Ok(found) => leads.extend(found),
                Err(error) => self.outcome.refused.push(error),
            }
        }
        leads
    }

    fn begin(&mut self, plan: &Plan) -> Result<(), RunError> {
        let sources = plan.turns.len();
        self.outcome.sources = sources;
        self.outcome.unfinished = sources;
        self.team.progress.sources_total.store(sources as u64, Ordering::Relaxed);
        self.others.clone_from(&plan.others);
        if sources > 0 {
            let entries = [&plan.kept[..], &plan.others].concat();
            self.record = Some(Record::begin(&self.team.job.output, &entries)?);
            self.target = Some(Destination::new(&self.team.job.output));
        }
        Ok(())
    }

    /// Writes what a lead gave, under names that no host before it has.
    fn deliver(&mut self, worked: Result<Worked, SourceError>) -> Result<(), RunError> {
        match worked {
            Ok(Worked::Finished(lead, finished)) => {
                if !self.keep(finished)? {
                    let again = self.team.follow(lead);
                    if self.team.job.stop.is_asked() {
                        return Ok(());
                    }
                    return self.deliver(again.map(Worked::Examined));
                }
            }
            Ok(Worked::Examined(examined)) => self.write(examined)?,
            Err(error) => self.outcome.refused.push(error),
        }
        self.outcome.unfinished = self.outcome.unfinished.saturating_sub(1);
        self.team.progress.sources_done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Examines the running machine: what is gone soonest is on the disk before any file
    /// is read, and what is seen until the run is stopped is written.
    fn live(&mut self, turn: Turn) -> Result<(), RunError> {
        let Team { job, definitions, pool, .. } = self.team;
        if let Some(finished) = turn.finished {
            return self.deliver(Ok(Worked::Finished(turn.lead, finished)));
        }
        let Some(wanted) = turn.lead.wanted() else { return Ok(()) };
        let at = turn.lead.path().to_owned();
        let open = || volatile::open(job, definitions, wanted, &facts::drive_letters);
        let opened = pool.install(|| guarded(&at, || Ok(open())));
        let hosts = match opened {
            Ok(hosts) => hosts?,
            Err(error) => Err(error),
        };
        let hosts = match hosts {
            Ok(hosts) => hosts,
            Err(error) => return self.deliver(Err(error)),
        };
        let source = at.display().to_string();
        if let Some(machine) = hosts.first().filter(|host| host.is_running) {
            let host = self.names.clone().unique(&hosts::safe_name(&machine.name));
            self.note(Entry::Begun { source: source.clone(), folders: vec![host.clone()] })?;
            let run = facts_of_run(job, definitions, machine);
            let shown = volatile::shown(&machine.volatile, &|text| super::shown(job, text));
            let options = &job.export;
            self.begun =
                export::begin_bundle(&job.output, &host, &run, options, &shown, &machine.saved)?;
        }
        let examine = || {
            let parts = vec![resume::part(&at)];
            Ok(self.team.examine_hosts(source.clone(), parts, hosts))
        };
        let examined = pool.install(|| guarded(&at, examine));
        job.actions.note(format!("read {} bytes of files", job.limits.bytes_read()));
        self.deliver(examined.map(Worked::Examined))
    }

    /// Takes over what an earlier run wrote; false when the hosts would be called
    /// something else today, because others of their name are gone or new.
    fn keep(&mut self, finished: Finished) -> Result<bool, RunError> {
        let job = self.team.job;
        let hosts = &finished.done.hosts;
        let mut names = self.names.clone();
        if !hosts.iter().all(|host| names.unique(&host.name) == host.folder()) {
            for host in hosts.iter().filter(|host| !self.names.contains(host.folder())) {
                export::clear_host(&job.output, host.folder())?;
            }
            return Ok(false);
        }
        self.names = names;
        for (host, output) in hosts.iter().zip(finished.outputs) {
            if let Some(path) = &job.export.bodyfile {
                export::append_bodyfile(path, &output.folder)?;
            }
            self.summaries.push(host.summary.clone());
            self.outcome.hosts.push(HostOutcome {
                level: host.summary.level,
                problems: host.problems,
                read: host.read,
                text: format!("{}: done by an earlier run, kept", host.folder()),
                output,
            });
        }
        self.done.push(Entry::Done(finished.done));
        Ok(true)
    }

    /// Writes the hosts of a source, and that they are written.
    fn write(&mut self, examined: Examined) -> Result<(), RunError> {
        let Examined { source, parts, mut hosts } = examined;
        self.target.iter().try_for_each(Destination::check)?;
        let mut plain = Vec::new();
        for report in hosts.iter_mut().flat_map(|(_, reports)| reports) {
            plain.push(report.host.clone());
            report.host = self.names.unique(&report.host);
            report.rename_rows();
        }
        let folders = hosts.iter().flat_map(|(_, reports)| reports).map(|r| r.host.clone());
        self.note(Entry::Begun { source: source.clone(), folders: folders.collect() })?;
        let mut plain = plain.into_iter();
        let mut done = Done { source, parts, settings: self.settings.clone(), hosts: Vec::new() };
        let mut whole = true;
        for (evidence, reports) in hosts {
            for report in reports {
                match self.host(&evidence, report, plain.next().unwrap_or_default())? {
                    Some(host) => done.hosts.push(host),
                    None => whole = false,
                }
            }
        }
        self.outcome.cut = self.team.job.limits.met();
        // What a limit left out, a run that resumes this one may have time for.
        if whole && self.outcome.cut.is_none() {
            self.note(Entry::Done(done.clone()))?;
            self.done.push(Entry::Done(done));
        } else {
            let folders = done.hosts.iter().map(|host| host.folder().to_owned()).collect();
            self.done.push(Entry::Begun { source: done.source, folders });
        }
        Ok(())
    }

    /// Writes one host; none when that failed on the evidence.
    fn host(
        &mut self,
        evidence: &HostEvidence,
        mut report: HostReport,
        name: String,
    ) -> Result<Option<DoneHost>, RunError> {
        let Team { job, definitions, .. } = self.team;
        let at = Path::new(&evidence.label);
        let begun = self.begun.take_if(|begun| begun.is_of(&report.host));
        let write = || Ok(write(job, definitions, evidence, &mut report, begun));
        let written = guarded(at, write);
        let summary = HostSummary::of(&report);
        self.summaries.push(summary.clone());
        let written = match written {
            Ok(written) => written?,
            Err(error) => {
                self.outcome.refused.push(error);
                return Ok(None);
            }
        };
        let verdict = export::settle(&written.output)?;
        let (problems, read) = (written.problems, written.read);
        self.outcome.hosts.push(written);
        Ok(Some(DoneHost { name, verdict, summary, problems, read }))
    }

    fn note(&mut self, entry: Entry) -> Result<(), RunError> {
        if let Some(record) = &mut self.record {
            record.add(&entry)?;
        }
        Ok(())
    }

    /// Writes the table over all hosts, and the record without its detours.
    fn finish(mut self) -> Result<Outcome, RunError> {
        let job = self.team.job;
        self.target.iter().try_for_each(Destination::check)?;
        if !self.summaries.is_empty() {
            self.outcome.hosts_csv = Some(export::write_hosts(&job.output, &self.summaries)?);
        }
        if self.outcome.unfinished == 0 && self.record.take().is_some() {
            self.done.append(&mut self.others);
            export::finish_record(&job.output, &self.done)?;
            if job.live.is_some() && self.outcome.cut.is_none() {
                export::forget_volatile(&job.output);
            }
        }
        Ok(self.outcome)
    }
}

/// Writes everything of one host; what could not be copied is a problem of the report.
fn write(
    job: &Job,
    definitions: &Definitions<'_>,
    evidence: &HostEvidence,
    report: &mut HostReport,
    begun: Option<Begun>,
) -> Result<HostOutcome, RunError> {
    evidence.limits.begin_copying();
    let (files, problems) = hosts::collected(job, evidence, report);
    report.problems.extend(problems);
    if evidence.is_running {
        let n = files.len();
        job.actions.note(format!("writing results of {} and {n} files", report.host));
    }
    let run = facts_of_run(job, definitions, evidence);
    let (output, files) = (&job.output, hosts::borrowed(&files));
    let output = export::finish_host(output, report, &run, &files, &job.export, begun)?;
    report.problems.extend(output.problems.iter().cloned());
    Ok(HostOutcome {
        level: report.verdict.level,
        read: report.coverage.iter().any(coverage::is_read)
            || evidence.image.is_some() && report.coverage.iter().any(coverage::is_listed),
        problems: report.problems.len(),
        text: export::summary_text(report),
        output,
    })
}

/// What run.json says of the run, as far as it has come.
fn facts_of_run(job: &Job, definitions: &Definitions<'_>, evidence: &HostEvidence) -> RunFacts {
    let image = evidence.image.as_ref().map(|image| ImageFacts {
        format: image.format().into(),
        files: image.parts().iter().map(|part| part.display().to_string()).collect(),
        size: image.size(),
        read: image.bytes_read(),
        unpacked: image.unpacked(),
    });
    RunFacts {
        image,
        version: env!("CARGO_PKG_VERSION").into(),
        arguments: job.arguments.clone(),
        started: job.started,
        finished: Timestamp::now(),
        profiles: definitions.profile_digests(),
        artifacts: definitions.artifact_digests(),
        reveal_secrets: job.reveal_secrets,
        threads: job.threads,
        sources: job.sources.iter().map(|s| s.display().to_string()).collect(),
        executable: job.executable.clone(),
        actions: job.actions.all(),
    }
}

/// Does it; a panic is a defect of ours, of which one source pays and not the run.
fn guarded<T>(at: &Path, act: impl FnOnce() -> Result<T, SourceError>) -> Result<T, SourceError> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
        let what = said.unwrap_or_else(|| "a panic without words".into());
        Err(SourceError::Broken { path: at.to_owned(), what })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_its_source() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let broken = guarded::<()>(Path::new("disk.E01"), || panic!("index {} of {}", 9, 4));
        std::panic::set_hook(hook);
        let said = broken.unwrap_err().to_string();
        assert!(said.starts_with("disk.E01: ") && said.contains("index 9 of 4"), "{said}");
    }
}
