//! `adit live`: the machine it runs on as the only source.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Parser;

use super::Exit;
use super::arguments::{CollectWord, Command, Line, Live};
use super::{preflight, scan};
use crate::export;
use crate::run::Job;
use crate::source::live::{self, Wanted};

/// Examines the running system; the exit code says how complete it was.
pub fn run(arguments: Live) -> Exit {
    let Live { output, volumes, root, network_mounts, .. } = arguments;
    let Live { create_vss, full_speed, query_agent, options, .. } = arguments;
    if create_vss && !cfg!(windows) {
        eprintln!("adit: --create-vss is for Windows: here are no shadow copies");
        return Exit::Usage;
    }
    let Some(output) = output.or_else(beside_program) else {
        eprintln!("adit: where the program lies cannot be told: say --output");
        return Exit::Usage;
    };
    if !options.encrypt_to.is_empty() {
        return super::later("--encrypt-to", "encrypt the finished bundle with age");
    }
    let mut job = scan::job(&options, output, CollectWord::All);
    let program = std::env::current_exe();
    job.executable = program.and_then(|path| export::hash_file(&path)).ok().map(|(_, hash)| hash);
    job.actions.note(format!("adit {} started", env!("CARGO_PKG_VERSION")));
    let wanted = Wanted {
        volumes,
        root,
        network_mounts,
        query_agent,
        create_vss,
        output: job.output.clone(),
        volatile: true,
        limits: job.limits.clone(),
        actions: job.actions.clone(),
    };
    match if full_speed { Ok(false) } else { live::be_gentle().map(|()| true) } {
        Ok(false) => {}
        Ok(true) => job.actions.note("took the lowest priority"),
        Err(error) => eprintln!("adit: no background priority: {error}"),
    }
    if !options.quiet {
        preflight::tell(&live::preflight(&wanted), &job);
    }
    let exit = scan::follow(&options, &Job { live: Some(wanted), ..job });
    if !options.quiet && is_written(exit) {
        eprintln!("adit: everything is on the disk; safe to unplug");
    }
    exit
}

/// Whether results are where they were to go, whatever they say.
fn is_written(exit: Exit) -> bool {
    matches!(exit, Exit::Complete | Exit::Incomplete | Exit::Findings | Exit::Interrupted)
}

/// The run of somebody who double-clicked the program: defaults, and a window that
/// stays until it was read.
pub fn in_own_window() -> Exit {
    let line = Line::try_parse_from(["adit", "live"]);
    let exit = match line.map(|line| line.command) {
        Ok(Some(Command::Live(live))) => run(*live),
        _ => Exit::Unexpected,
    };
    if exit == Exit::Refused {
        eprintln!("adit: copy this program to a stick and start it from there");
    }
    if std::io::stdin().is_terminal() {
        eprintln!("Press Enter to close this window.");
        let _ = std::io::stdin().read_line(&mut String::new());
    }
    exit
}

/// The folder of the executable: the stick, as a rule.
fn beside_program() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.to_owned())
}
