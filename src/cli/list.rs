//! `adit list`: what is built in.

use super::Exit;
use super::arguments::Listed;
use crate::artifact::Artifacts;
use crate::detect::Detector;

/// Prints the built-in profiles or artifacts, one per line.
pub fn run(what: &Listed) -> Exit {
    let lines: Result<Vec<String>, String> = match what {
        Listed::Profiles => Detector::load(&[]).map_err(|e| e.to_string()).map(|detector| {
            detector.profiles().iter().map(|p| format!("{}\t{}", p.id, p.title)).collect()
        }),
        Listed::Artifacts => Artifacts::builtin().map_err(|e| e.to_string()).map(|artifacts| {
            artifacts.iter().map(|a| format!("{}\t{}\t{}", a.id, a.parser, a.title)).collect()
        }),
        Listed::Files => return super::later("list files", "list the mounted folder itself"),
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
