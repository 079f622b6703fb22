//! `adit live`: the machine it runs on as the only source.

use std::path::PathBuf;

use super::Exit;
use super::arguments::{CollectWord, Live};
use super::{preflight, scan};
use crate::export;
use crate::run::Job;
use crate::source::live::{self, Wanted};

/// Examines the running system; the exit code says how complete it was.
pub fn run(arguments: Live) -> Exit {
    let Live {
        output,
        volumes,
        root,
        network_mounts,
        create_vss,
        full_speed,
        query_agent,
        options,
    } = arguments;
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
        create_vss,
        query_agent,
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
    scan::follow(&options, &Job { live: Some(wanted), ..job })
}

/// The folder of the executable: the stick, as a rule.
fn beside_program() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.to_owned())
}
