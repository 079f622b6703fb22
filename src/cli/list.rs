//! `adit list`: what is built in, and what of it a source has.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::Exit;
use super::arguments::Listed;
use super::files;

use crate::artifact::Artifacts;
use crate::detect::Detector;
use crate::model::Problem;
use crate::run;
use crate::source::HostEvidence;

/// Prints the built-in profiles or artifacts, one per line; of a source, its files or
/// those that artifacts have read, as CSV.
pub fn list(what: &Listed, source: Option<&Path>) -> Exit {
    let lines: Result<Vec<String>, String> = match (what, source) {
        (Listed::Profiles, _) => Detector::load(&[]).map_err(|e| e.to_string()).map(|detector| {
            detector.profiles().iter().map(|p| format!("{}\t{}", p.id, p.title)).collect()
        }),
        (Listed::Artifacts, None) => {
            Artifacts::builtin().map_err(|e| e.to_string()).map(|artifacts| {
                artifacts.iter().map(|a| format!("{}\t{}\t{}", a.id, a.parser, a.title)).collect()
            })
        }
        (Listed::Artifacts, Some(source)) => return of_source(source, artifacts),
        (Listed::Files, Some(source)) => return of_source(source, files),
        (Listed::Files, None) => {
            eprintln!("adit: say which image, collection or folder: `adit list files IMAGE`");
            return Exit::Usage;
        }
    };
    match lines {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            Exit::Complete
        }
        Err(error) => {
            eprintln!("adit: {error}");
            Exit::Unexpected
        }
    }
}

/// Opens a source and prints something of its hosts.
fn of_source(
    source: &Path,
    print: fn(&[HostEvidence], &mut (dyn Write + Send)) -> io::Result<Vec<Problem>>,
) -> Exit {
    let hosts = match run::open_source(source) {
        Ok(hosts) => hosts,
        Err(error) => {
            eprintln!("adit: {error}");
            return Exit::NoSource;
        }
    };
    for unread in hosts.iter().flat_map(|host| &host.unread) {
        eprintln!("adit: {}: {}", unread.path, unread.why);
    }
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout());
    let printed = print(&hosts, &mut out);
    match printed.and_then(|problems| out.flush().map(|()| problems)) {
        Ok(problems) => {
            let all = hosts.iter().flat_map(|host| &host.problems).chain(&problems);
            let exit = if all.clone().next().is_some() { Exit::Incomplete } else { Exit::Complete };
            all.for_each(|problem| eprintln!("adit: {problem}"));
            exit
        }
        Err(error) => {
            eprintln!("adit: the list cannot be written: {error}");
            Exit::Output
        }
    }
}

/// Every file of every host.
fn files(hosts: &[HostEvidence], out: &mut (dyn Write + Send)) -> io::Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for host in hosts {
        problems.append(&mut files::write(&*host.filesystem, out)?);
    }
    Ok(problems)
}

/// Every file that an artifact has read, sidecars beside it.
fn artifacts(hosts: &[HostEvidence], out: &mut (dyn Write + Send)) -> io::Result<Vec<Problem>> {
    let located = run::located(hosts).map_err(io::Error::other)?;
    let mut table = csv::Writer::from_writer(out);
    table.write_record(["artifact", "parser", "path", "size"])?;
    let mut problems = Vec::new();
    for mut found in located {
        for file in &found.files {
            for entry in std::iter::once(&file.entry).chain(&file.sidecars) {
                let size = entry.size.to_string();
                table.write_record([&*file.artifact, &*file.parser, entry.path.as_str(), &size])?;
            }
        }
        problems.append(&mut found.problems);
    }
    table.flush()?;
    Ok(problems)
}
