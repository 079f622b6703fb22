//! The running system as evidence: its volumes, and what only its memory tells.
//!
//! One seam per operating system, of these functions; nothing above knows which
//! system it is on:
//!
//! | function | gives |
//! |---|---|
//! | `open` | the volumes as hosts, the machine's own first, volatile records with it |
//! | `identity` | a text that is another after a restart |
//! | `preflight` | rights, volumes and sizes, before anything is read |
//! | `holds_evidence` | whether a folder lies on a volume that is evidence |
//! | `be_gentle` | background priority for the whole process |
//! | `memory_used`, `free_space` | bytes |
//! | `has_own_window` | whether the program was double-clicked |
//!
//! Everything is asked read-only, and every question that leaves a trace or goes to
//! another process is noted in [`Actions`].

use std::path::{Path, PathBuf};

use crate::model::{Actions, Limits};

use super::{DriveLetters, HostEvidence, SourceError};

pub mod agent;
#[cfg(any(windows, test))]
mod aligned;

#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod system;
#[cfg(not(any(target_os = "linux", windows)))]
#[path = "other.rs"]
mod system;
#[cfg(windows)]
#[path = "windows/mod.rs"]
mod system;

/// What the source is called in results and in the record of a run.
pub const LABEL: &str = "live";

/// What of the running system is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Windows: these volumes alone (`D:`, `volume1:`); empty means the machine with all.
    pub volumes: Vec<String>,
    /// Linux: this tree, with its own `proc`, instead of the running system.
    pub root: Option<PathBuf>,
    /// Whether file systems of other machines are walked, too.
    pub network_mounts: bool,
    /// Whether a tunnel agent's own local interface is asked.
    pub query_agent: bool,
    /// Windows: whether a shadow copy of each volume is made first.
    pub create_vss: bool,
    /// Where results go; never part of the evidence.
    pub output: PathBuf,
    /// Whether volatile records are asked for: not when an earlier run has them.
    pub volatile: bool,
    /// Whether the walk is to go on.
    pub limits: Limits,
    /// Gets everything that was done on the machine.
    pub actions: Actions,
}

/// What there is to do, before it is done.
#[derive(Clone, Debug, Default)]
pub struct Preflight {
    /// `root`, `user 1000, no administrator: …` and what is lost by it.
    pub rights: String,
    /// Whether these rights reach everything.
    pub all_rights: bool,
    pub volumes: Vec<VolumeFacts>,
}

/// A volume of the running system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeFacts {
    /// `C:`, `/home`
    pub name: String,
    /// `NTFS`, `ext4`
    pub kind: String,
    /// Bytes.
    pub size: u64,
    /// Bytes that files take.
    pub used: u64,
    /// Why it is not read, or how; empty when it is read in the ordinary way.
    pub remark: String,
}

/// The running system's hosts, the machine itself first.
///
/// # Errors
///
/// When there is nothing that could be read, or the system is of a kind that this
/// version does not know.
pub fn open(wanted: &Wanted, letters: &DriveLetters<'_>) -> Result<Vec<HostEvidence>, SourceError> {
    let mut hosts = system::open(wanted, letters)?;
    hosts.iter_mut().for_each(|host| host.is_live = true);
    if let Some(machine) = hosts.first_mut().filter(|host| wanted.query_agent && host.is_running) {
        machine.saved.extend(agent::query(&wanted.actions));
    }
    Ok(hosts)
}

/// What tells this machine, since it was started, from every other; empty where the
/// system does not say.
pub fn identity(wanted: &Wanted) -> String {
    system::identity(wanted)
}

/// What [`open`] will find; reads no file of the evidence.
pub fn preflight(wanted: &Wanted) -> Preflight {
    system::preflight(wanted)
}

/// The evidence that a folder lies on, in words, if it does; the folder, or its
/// parents, need not exist yet.
pub fn holds_evidence(wanted: &Wanted, folder: &Path) -> Option<PathBuf> {
    system::holds_evidence(wanted, folder)
}

/// Lets every other program go first, with processor and disk.
///
/// # Errors
///
/// What could not be done, in words.
pub fn be_gentle() -> Result<(), String> {
    system::be_gentle()
}

/// Bytes of memory that this process holds now; none where the system does not say.
pub fn memory_used() -> Option<u64> {
    system::memory_used()
}

/// Whether the program was started by a double click, in a window that closes with it.
pub fn has_own_window() -> bool {
    system::has_own_window()
}

/// Bytes that can be written to the volume of a folder, or of its nearest parent.
pub fn free_space(folder: &Path) -> Option<u64> {
    folder.ancestors().find_map(|at| {
        let at = if at.as_os_str().is_empty() { Path::new(".") } else { at };
        at.exists().then(|| system::free_space(at))?
    })
}
