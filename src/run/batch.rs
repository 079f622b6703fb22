//! Many sources in one run: as many at a time as there are threads, written in the
//! order of the sources, and none of them able to end the run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use rayon::ThreadPool;
use rayon::prelude::*;

use super::passes::Definitions;
use super::{HostOutcome, Job, Outcome, Progress, RunError};
use super::{coverage, examine, facts, hosts, pipeline};
use crate::export::{self, HostSummary, ImageFacts, RunFacts};
use crate::model::HostReport;
use crate::source::{self, HostEvidence, Lead, SourceError};

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
    let mut batch = Batch::new(job, definitions);
    let leads = batch.leads(pool);
    batch.outcome.sources = leads.len();
    batch.outcome.unfinished = leads.len();
    progress.sources_total.store(leads.len() as u64, Ordering::Relaxed);
    let follow = |lead: Lead| {
        let at = lead.path().to_owned();
        guarded(&at, || pool.install(|| follow(job, definitions, lead, progress)))
    };
    pipeline::in_order(leads, job.threads.max(1), &job.stop, follow, |examined| {
        batch.deliver(examined)?;
        batch.outcome.unfinished = batch.outcome.unfinished.saturating_sub(1);
        progress.sources_done.fetch_add(1, Ordering::Relaxed);
        Ok::<(), RunError>(())
    })?;
    batch.finish()
}

/// A host's evidence and the reports of all hosts that it speaks of.
type Examined = (HostEvidence, Vec<HostReport>);

/// Opens what a lead holds and examines every host of it.
fn follow(
    job: &Job,
    definitions: &Definitions<'_>,
    lead: Lead,
    progress: &Progress,
) -> Result<Vec<Examined>, SourceError> {
    let source = progress.begin(lead.path().display().to_string(), &job.stop);
    let hosts = lead.open(&facts::drive_letters)?;
    let examine = |host: HostEvidence| {
        let reports = examine(job, definitions, &host, &source);
        (host, reports)
    };
    Ok(hosts.into_par_iter().map(examine).collect())
}

/// What became of the sources so far.
struct Batch<'a> {
    job: &'a Job,
    definitions: &'a Definitions<'a>,
    names: hosts::Names,
    summaries: Vec<HostSummary>,
    outcome: Outcome,
}

impl<'a> Batch<'a> {
    fn new(job: &'a Job, definitions: &'a Definitions<'a>) -> Self {
        Self {
            job,
            definitions,
            names: hosts::Names::default(),
            summaries: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    /// Where hosts are to be had, in the order of the sources.
    fn leads(&mut self, pool: &ThreadPool) -> Vec<Lead> {
        let sources = &self.job.sources;
        let look = |path| guarded(path, || source::leads(path));
        let found: Vec<_> =
            pool.install(|| sources.par_iter().map(|path| look(path.as_path())).collect());
        let mut leads = Vec::new();
        for result in found {
            match result {
                Ok(found) => leads.extend(found),
                Err(error) => self.outcome.refused.push(error),
            }
        }
        leads
    }

    /// Writes what a lead gave, under names that no host before it has.
    fn deliver(&mut self, examined: Result<Vec<Examined>, SourceError>) -> Result<(), RunError> {
        match examined {
            Ok(hosts) => {
                for (evidence, reports) in hosts {
                    for report in reports {
                        self.host(&evidence, report)?;
                    }
                }
            }
            Err(error) => self.outcome.refused.push(error),
        }
        Ok(())
    }

    fn host(&mut self, evidence: &HostEvidence, mut report: HostReport) -> Result<(), RunError> {
        report.host = self.names.unique(&report.host);
        report.rename_rows();
        self.summaries.push(HostSummary::of(&report));
        let at = Path::new(&evidence.label);
        match guarded(at, || Ok(write(self.job, self.definitions, evidence, &report))) {
            Ok(written) => self.outcome.hosts.push(written?),
            Err(error) => self.outcome.refused.push(error),
        }
        Ok(())
    }

    /// Writes the table over all hosts.
    fn finish(mut self) -> Result<Outcome, RunError> {
        if !self.summaries.is_empty() {
            let path = export::write_hosts(&self.job.output, &self.summaries)?;
            self.outcome.hosts_csv = Some(path);
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
