//! Disks that lie in a host's evidence: WSL's distributions, Docker's store, virtual
//! machines. Each is examined as hosts of their own.

use super::passes::Definitions;
use super::{Job, coverage, facts, problem};
use crate::artifact::{Formats, Locations};
use crate::model::{Coverage, CoverageState, Problem, Stage};
use crate::parse::PARSERS;
use crate::source::{Clues, HostEvidence, nested};

/// The coverage line of such a disk.
const SOURCE: &str = "disk";
/// Why machines beside the running one are left alone.
const OTHER_MACHINE: &str = "another machine's: scan it by itself";
/// Why a file that is called like a disk is none: an extent of another file, or no disk.
const NO_DISK: &str = "called like a disk, and none that can be opened by itself";
/// Disks of one host that are opened: the lists of their files are in memory together.
const MAX_DISKS: usize = 16;
/// Disks that may lie in one another.
const MAX_DEPTH: usize = 3;

/// What the disks in a host's evidence came to.
#[derive(Default)]
pub struct Nested {
    pub hosts: Vec<HostEvidence>,
    /// What is said of each with the host that it lies on.
    pub coverage: Vec<Coverage>,
    pub problems: Vec<Problem>,
}

/// Opens the disks that were located in a host's evidence, if the job wants them.
///
/// In a folder without order they are sources already. Of a running machine, only what
/// is part of it is opened.
pub fn open(
    job: &Job,
    definitions: &Definitions<'_>,
    evidence: &HostEvidence,
    found: &Locations,
) -> Nested {
    let mut out = Nested::default();
    let wanted = job.nested && evidence.depth < MAX_DEPTH && evidence.layout.has_fixed_places();
    if !wanted {
        return out;
    }
    let formats = Formats::new(definitions.artifacts, PARSERS);
    let knows = |start: &[u8]| formats.knows(start);
    let clues = Clues { letters: &facts::drive_letters, knows: Some(&knows) };
    let mut opened_disks = 0_usize;
    for disk in &found.disks {
        let line = |state, why: String| {
            let empty = coverage::empty(SOURCE, disk.path.as_str());
            Coverage { state, why, ..empty }
        };
        if evidence.is_running && !nested::is_of_subsystem(disk) {
            out.coverage.push(line(CoverageState::Unreadable, OTHER_MACHINE.to_owned()));
            continue;
        }
        let opened = match opened_disks < MAX_DISKS {
            true => nested::open(evidence, disk, clues).map_err(|error| error.to_string()),
            false => Err(format!(
                "more than {MAX_DISKS} disks of one host are not opened: scan it by itself"
            )),
        };
        match opened {
            Ok(hosts) if hosts.is_empty() => {
                out.coverage.push(line(CoverageState::Unreadable, NO_DISK.to_owned()));
            }
            Ok(mut hosts) => {
                opened_disks = opened_disks.saturating_add(1);
                let why = format!("examined by itself, as {} host(s)", hosts.len());
                out.coverage.push(line(CoverageState::Read, why));
                out.hosts.append(&mut hosts);
            }
            Err(why) => {
                let path = Some(disk.path.clone());
                let said = problem(Stage::Source, why.clone());
                out.problems.push(Problem { path, ..said });
                out.coverage.push(line(CoverageState::Unreadable, why));
            }
        }
    }
    out
}
