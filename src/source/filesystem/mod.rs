//! File systems of a volume, read from its bytes: nothing is mounted.

mod bytes;
mod clusters;
mod dos_time;
pub mod exfat;
pub mod ext;
pub mod fat;
mod name;
pub mod ntfs;
pub mod recognize;
mod runs;
mod tree;

use std::io;
use std::sync::Arc;

use crate::model::ReadAt;

use super::{Filesystem, Knows};
use ntfs::{Ntfs, NtfsError};

pub use recognize::{Format, Recognized, recognize};
pub use runs::MAX_RUNS;
pub use tree::{MAX_DEPTH, MAX_DIRECTORY_BYTES, MAX_PATH_BYTES};

/// A volume cannot be opened as the file system it was taken for.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("{system}: {what} at offset {offset:#x} is {found}, expected {expected}")]
    Invalid {
        system: &'static str,
        what: &'static str,
        /// Of the volume, in bytes.
        offset: u64,
        found: u64,
        expected: &'static str,
    },
    #[error(transparent)]
    Ntfs(#[from] NtfsError),
}

/// A volume whose place among the others is not decided yet.
pub struct Opened {
    format: Format,
    volume: Arc<dyn ReadAt>,
    tree: Tree,
}

enum Tree {
    /// Its list of files is made at opening.
    Ntfs(Box<Ntfs>),
    Other(Box<dyn Filesystem>),
}

impl Opened {
    /// Opens a volume of that format; paths begin with `prefix` for now. Short
    /// contents are judged by `knows` where that saves a later look.
    ///
    /// # Errors
    ///
    /// When it is damaged where nothing can be read without.
    pub fn new(
        format: Format,
        volume: Arc<dyn ReadAt>,
        prefix: &str,
        knows: Option<&Knows<'_>>,
    ) -> Result<Self, OpenError> {
        let tree = match format {
            Format::Ntfs => {
                let ntfs = Ntfs::open_judged(Arc::clone(&volume), prefix, knows)?;
                Tree::Ntfs(Box::new(ntfs))
            }
            other => Tree::Other(open(other, Arc::clone(&volume), prefix)?),
        };
        Ok(Self { format, volume, tree })
    }

    /// The tree as it is now.
    pub fn tree(&self) -> &dyn Filesystem {
        match &self.tree {
            Tree::Ntfs(ntfs) => &**ntfs,
            Tree::Other(tree) => &**tree,
        }
    }

    /// The tree with paths that begin with `prefix`.
    ///
    /// # Errors
    ///
    /// As [`Opened::new`].
    pub fn under(self, prefix: &str) -> Result<Box<dyn Filesystem>, OpenError> {
        match self.tree {
            Tree::Ntfs(mut ntfs) => {
                ntfs.set_prefix(prefix);
                Ok(ntfs)
            }
            Tree::Other(_) => open(self.format, self.volume, prefix),
        }
    }
}

fn open(
    format: Format,
    volume: Arc<dyn ReadAt>,
    prefix: &str,
) -> Result<Box<dyn Filesystem>, OpenError> {
    Ok(match format {
        Format::Ntfs => Box::new(Ntfs::open(volume, prefix)?),
        Format::Ext => Box::new(ext::open(volume, prefix)?),
        Format::Fat => Box::new(fat::open(volume, prefix)?),
        Format::ExFat => Box::new(exfat::open(volume, prefix)?),
    })
}

#[cfg(test)]
mod tests;
