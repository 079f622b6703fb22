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
use super::{HostOutcome, Job, Outcome, Progress, RunError};
use super::{coverage, examine, facts, hosts, pipeline};
use crate::artifact::Formats;
use crate::export::{self, Done, DoneHost, Entry, HostSummary, ImageFacts, Record, RunFacts};
use crate::model::HostReport;
use crate::parse::PARSERS;
use crate::source::{self, Clues, HostEvidence, Lead, SourceError};

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
        let progress = self.progress.begin(source.clone(), &self.job.stop);
        let mut parts = vec![resume::part(&at)];
        let formats = Formats::new(self.definitions.artifacts, PARSERS);
        let knows = |start: &[u8]| formats.knows(start);
        let clues = Clues { letters: &facts::drive_letters, knows: Some(&knows) };
        let hosts = lead.open(clues)?;
        parts.extend(resume::further_parts(&at, &hosts));
        let examine = |host: HostEvidence| {
            let reports = examine(self.job, self.definitions, &host, &progress);
            (host, reports)
        };
        let hosts = hosts.into_par_iter().map(examine).collect();
        Ok(Examined { source, parts, hosts })
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
                match self.host(&evidence, &report, plain.next().unwrap_or_default())? {
                    Some(host) => done.hosts.push(host),
                    None => whole = false,
                }
            }
        }
        if whole {
            self.note(Entry::Done(done.clone()))?;
            self.done.push(Entry::Done(done));
        }
        Ok(())
    }

    /// Writes one host; none when that failed on the evidence.
    fn host(
        &mut self,
        evidence: &HostEvidence,
        report: &HostReport,
        name: String,
    ) -> Result<Option<DoneHost>, RunError> {
        let Team { job, definitions, .. } = self.team;
        let summary = HostSummary::of(report);
        self.summaries.push(summary.clone());
        let at = Path::new(&evidence.label);
        let written = match guarded(at, || Ok(write(job, definitions, evidence, report))) {
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
        if !self.summaries.is_empty() {
            self.outcome.hosts_csv = Some(export::write_hosts(&job.output, &self.summaries)?);
        }
        if self.outcome.unfinished == 0 && self.record.take().is_some() {
            self.done.append(&mut self.others);
            export::finish_record(&job.output, &self.done)?;
        }
        Ok(self.outcome)
    }
}

/// Writes everything of one host.
fn write(
    job: &Job,
    definitions: &Definitions<'_>,
    evidence: &HostEvidence,
    report: &HostReport,
) -> Result<HostOutcome, RunError> {
    let image = evidence.image.as_ref().map(|image| ImageFacts {
        format: image.format().into(),
        files: image.parts().iter().map(|part| part.display().to_string()).collect(),
        size: image.size(),
        read: image.bytes_read(),
        unpacked: image.unpacked(),
    });
    let run = RunFacts {
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
    };
    let (files, mut problems) = hosts::collected(job, definitions, evidence, report);
    let output =
        export::write_host(&job.output, report, &run, &hosts::borrowed(&files), &job.export)?;
    problems.extend(output.problems.iter().cloned());
    Ok(HostOutcome {
        level: report.verdict.level,
        read: report.coverage.iter().any(coverage::is_read)
            || evidence.image.is_some() && report.coverage.iter().any(coverage::is_listed),
        problems: report.problems.len() + problems.len(),
        text: export::summary_text(report),
        output,
    })
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
