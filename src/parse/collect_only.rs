//! Files that nothing here reads: they are listed in coverage and kept in the bundle.

use super::{ParseError, Parser};
use crate::model::{Input, Sink};

/// The name of the parser that reads nothing.
pub const COLLECT_ONLY: &str = "none";

/// Reads nothing; for artifacts that are collected for other programs.
pub struct CollectOnly;

impl Parser for CollectOnly {
    fn name(&self) -> &'static str {
        "none"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, _: &Input<'_>, _: &mut dyn Sink) -> Result<(), ParseError> {
        Ok(())
    }
}
