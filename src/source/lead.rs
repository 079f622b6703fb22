//! Where hosts are to be had: found at once, opened when their turn comes.
//!
//! A folder may hold hundreds of disk images, each with a list of files that
//! takes memory. So only what is cheap is opened while a source is looked through.

use std::path::{Path, PathBuf};

use super::live::{self, Wanted};
use super::{Clues, HostEvidence, SourceError, container, image};

/// One or more hosts to be opened together.
pub struct Lead {
    at: PathBuf,
    held: Held,
}

enum Held {
    Hosts(Vec<HostEvidence>),
    Image,
    Live(Wanted),
}

impl Lead {
    /// Hosts that are open already.
    pub(super) fn open_already(at: &Path, hosts: Vec<HostEvidence>) -> Self {
        Self { at: at.to_owned(), held: Held::Hosts(hosts) }
    }

    /// A disk image by its first file.
    pub(super) fn image(at: &Path) -> Self {
        Self { at: at.to_owned(), held: Held::Image }
    }

    /// The running system.
    pub fn live(wanted: &Wanted) -> Self {
        let at = wanted.root.clone().unwrap_or_else(|| PathBuf::from(live::LABEL));
        Self { at, held: Held::Live(wanted.clone()) }
    }

    /// What of the running system is wanted, if that is where the hosts come from.
    pub fn wanted(&self) -> Option<&Wanted> {
        match &self.held {
            Held::Live(wanted) => Some(wanted),
            _ => None,
        }
    }

    /// The file or folder that the hosts come from; [`live::LABEL`] for the running system.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Opens the hosts; volumes get the drive letters that are read from their own
    /// hives.
    ///
    /// # Errors
    ///
    /// When the image cannot be opened.
    pub fn open(self, clues: Clues<'_>) -> Result<Vec<HostEvidence>, SourceError> {
        match self.held {
            Held::Hosts(hosts) => Ok(hosts),
            Held::Live(wanted) => live::open(&wanted, clues.letters),
            Held::Image => match container::open(&self.at)? {
                Some(disk) => {
                    let name = self.at.file_stem().unwrap_or_default().to_string_lossy();
                    let called = (self.at.display().to_string(), name.into_owned());
                    Ok(image::open(called, disk, clues))
                }
                None => Err(SourceError::Unsupported {
                    path: self.at,
                    what: "no disk image any more",
                    advice: "it was changed while adit ran; keep evidence still",
                }),
            },
        }
    }
}
