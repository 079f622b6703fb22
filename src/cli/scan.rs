//! `adit scan`: runs the pipeline, shows progress, says what came out.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Exit;
use super::arguments::{CollectWord, Options, Scan};
use super::interrupt;
use super::progress::Display;
use crate::export::{Custody, ExportOptions};
use crate::model::{Actions, Asked, Level, Limits, Reached};
use crate::run::{self, Job, Outcome, Progress, RunError};
use crate::source::live;

/// Runs a scan; the exit code says how complete it was.
pub fn run(arguments: Scan) -> Exit {
    let Scan { sources, output, options } = arguments;
    if !options.encrypt_to.is_empty() {
        return super::later("--encrypt-to", "encrypt the finished bundle with age");
    }
    let job = job(&options, output, CollectWord::Hits);
    follow(&options, &Job { sources, ..job })
}

/// Does the job, shows progress, and tells what came out.
pub(super) fn follow(options: &Options, job: &Job) -> Exit {
    let progress = Arc::new(Progress::default());
    let display =
        Display::start(options.progress, options.quiet, progress.clone(), job.stop.clone());
    let result = run::scan(job, &progress);
    display.finish(result.is_ok());
    match result {
        Ok(outcome) => tell(options, &outcome),
        Err(error) => {
            eprintln!("adit: {error}");
            exit_of(&error)
        }
    }
}

fn exit_of(error: &RunError) -> Exit {
    match error {
        RunError::Artifact(_) | RunError::Detect(_) => Exit::Usage,
        RunError::Export(error) if error.is_refusal() => Exit::Refused,
        RunError::Export(_) => Exit::Output,
        RunError::OutputOnSource { .. } => Exit::Refused,
        RunError::Threads(_) => Exit::Unexpected,
    }
}

/// The job that the options make, without a source; `collect` where they say nothing.
pub(super) fn job(arguments: &Options, output: PathBuf, collect: CollectWord) -> Job {
    let stop = interrupt::watch();
    let asked = Asked {
        time: arguments.timeout.map(SignedDuration::unsigned_abs),
        bytes: arguments.max_bytes,
        memory: arguments.max_memory,
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Job {
        sources: Vec::new(),
        live: None,
        output,
        profiles: arguments.profiles.clone(),
        artifacts: arguments.artifacts.clone(),
        threads: arguments.threads.map_or(processors, usize::from),
        screen: !arguments.no_screen,
        nested: !arguments.no_nested,
        since: arguments.since,
        until: arguments.until,
        window: arguments.window,
        reveal_secrets: arguments.reveal_secrets,
        allow_output_on_source: arguments.allow_output_on_source,
        resume: arguments.resume,
        export: ExportOptions {
            bundle: !arguments.no_bundle,
            csv_excel_safe: arguments.csv_excel_safe,
            bodyfile: arguments.bodyfile.clone(),
            collect: arguments.collect.unwrap_or(collect).into(),
            custody: Custody {
                case: arguments.case_id.clone(),
                evidence: arguments.evidence.clone(),
                examiner: arguments.examiner.clone(),
                note: arguments.note.clone(),
                clock_offset: arguments
                    .clock_offset
                    .map(|o| format!("{:+}s", o.as_secs_f64()))
                    .unwrap_or_default(),
            },
        },
        arguments: std::env::args().skip(1).collect(),
        started: Timestamp::now(),
        actions: Actions::default(),
        limits: Limits::new(stop.clone(), asked, live::memory_used),
        stop,
        executable: None,
    }
}

/// Results on stdout, everything for people on stderr.
fn tell(arguments: &Options, outcome: &Outcome) -> Exit {
    for refused in &outcome.refused {
        eprintln!("adit: {refused}");
    }
    for host in &outcome.hosts {
        if !arguments.quiet {
            eprintln!("{}", host.text);
        }
        println!("{}", host.output.folder.display());
        if let Some(bundle) = &host.output.bundle {
            println!("{}  sha256:{}", bundle.path.display(), bundle.sha256);
        }
    }
    if let Some(path) = &outcome.hosts_csv {
        println!("{}", path.display());
    }
    if outcome.unfinished > 0 {
        eprintln!(
            "adit: interrupted; what is listed is complete, {} of {} sources are missing: \
             the same command with --resume examines them",
            outcome.unfinished, outcome.sources,
        );
    }
    if let Some(why) = outcome.cut.filter(|_| outcome.unfinished == 0) {
        eprintln!(
            "adit: not everything was examined ({why}); coverage.csv and problems.csv name it, \
             the same command with --resume completes it"
        );
    }
    exit(arguments, outcome)
}

fn exit(arguments: &Options, outcome: &Outcome) -> Exit {
    if outcome.unfinished > 0 || outcome.cut == Some(Reached::Stopped) {
        return Exit::Interrupted;
    }
    // A source of which nothing at all could be read was not opened.
    let unread = outcome.hosts.iter().any(|h| h.problems > 0) || !outcome.refused.is_empty();
    if outcome.hosts.is_empty() || unread && outcome.hosts.iter().all(|h| !h.read) {
        return Exit::NoSource;
    }
    let wanted = arguments.exit_findings.map(Level::from);
    let found = outcome.hosts.iter().map(|h| h.level).max().unwrap_or_default();
    if wanted.is_some_and(|level| found >= level) {
        return Exit::Findings;
    }
    if unread || outcome.cut.is_some() { Exit::Incomplete } else { Exit::Complete }
}
