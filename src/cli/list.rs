//! `adit list`: what is built in.

use super::Exit;
use super::arguments::Listed;
use super::files;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::artifact::Artifacts;
use crate::detect::Detector;
use crate::run;

/// Prints the built-in profiles or artifacts, one per line, or the files of a source.
pub fn list(what: &Listed, source: Option<&Path>) -> Exit {
    let lines: Result<Vec<String>, String> = match what {
        Listed::Profiles => Detector::load(&[]).map_err(|e| e.to_string()).map(|detector| {
            detector.profiles().iter().map(|p| format!("{}\t{}", p.id, p.title)).collect()
        }),
        Listed::Artifacts => Artifacts::builtin().map_err(|e| e.to_string()).map(|artifacts| {
            artifacts.iter().map(|a| format!("{}\t{}\t{}", a.id, a.parser, a.title)).collect()
        }),
        Listed::Files => return files(source),
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

/// Prints every file of every host of a source as CSV.
fn files(source: Option<&Path>) -> Exit {
    let Some(source) = source else {
        eprintln!("adit: say which image, collection or folder: `adit list files IMAGE`");
        return Exit::Usage;
    };
    let hosts = match run::open_source(source) {
        Ok(hosts) => hosts,
        Err(error) => {
            eprintln!("adit: {error}");
            return Exit::NoSource;
        }
    };
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout());
    let mut exit = Exit::Complete;
    for host in hosts {
        for problem in &host.problems {
            eprintln!("adit: {problem}");
            exit = Exit::Incomplete;
        }
        for unread in &host.unread {
            eprintln!("adit: {}: {}", unread.path, unread.why);
        }
        match files::write(&*host.filesystem, &mut out) {
            Ok(problems) => {
                for problem in problems {
                    eprintln!("adit: {problem}");
                    exit = Exit::Incomplete;
                }
            }
            Err(error) => {
                eprintln!("adit: the list cannot be written: {error}");
                return Exit::Output;
            }
        }
    }
    if let Err(error) = out.flush() {
        eprintln!("adit: the list cannot be written: {error}");
        return Exit::Output;
    }
    exit
}
