//! File systems of a volume, read from its bytes: nothing is mounted.

mod bytes;
pub mod ext;
mod name;
pub mod ntfs;
pub mod recognize;
mod runs;
mod tree;

use std::io;

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
}
