//! What could not be read, and why: evidence too.

use std::fmt;

use super::{EvidencePath, Locator};

/// The stage of the pipeline that met a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Source,
    Locate,
    Parse,
    Detect,
    Correlate,
    Export,
}

impl Stage {
    /// The word of the `stage` column of problems.csv.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Locate => "locate",
            Self::Parse => "parse",
            Self::Detect => "detect",
            Self::Correlate => "correlate",
            Self::Export => "export",
        }
    }
}

/// One row of problems.csv. Ordered by path, then locator, then message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub path: Option<EvidencePath>,
    pub locator: Option<Locator>,
    pub stage: Stage,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{path}: ")?;
        }
        if let Some(locator) = &self.locator {
            write!(f, "{locator}: ")?;
        }
        f.write_str(&self.message)
    }
}
