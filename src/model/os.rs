//! The operating systems whose traces are known.

use serde::{Deserialize, Serialize};

/// The system that a host ran, or that an artifact belongs to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Os {
    #[default]
    Windows,
    Linux,
    Macos,
}

impl Os {
    pub const ALL: [Self; 3] = [Self::Windows, Self::Linux, Self::Macos];

    /// The word in artifact ids and in a profile's `needs`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::Linux => "linux",
            Self::Macos => "macos",
        }
    }
}
