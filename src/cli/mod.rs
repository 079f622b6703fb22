//! The command line: arguments in, exit code out; the only code that prints.

mod arguments;
mod check;
pub mod files;
mod interrupt;
mod list;
mod live;
mod preflight;
mod progress;
mod scan;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::source::live::has_own_window;
use arguments::{Command, Line};

/// How a run ended; the numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Complete = 0,
    Unexpected = 1,
    Usage = 2,
    /// Results written, some evidence could not be read.
    Incomplete = 3,
    /// No source could be opened.
    NoSource = 4,
    /// Results could not be written.
    Output = 5,
    /// Refused for safety.
    Refused = 6,
    /// Findings at or above `--exit-findings`.
    Findings = 10,
    /// Stopped by the user; what exists is complete.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

impl Exit {
    fn number(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::NoSource => 4,
            Self::Output => 5,
            Self::Refused => 6,
            Self::Findings => 10,
            Self::Interrupted => 130,
        }
    }
}

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Complete.into() };
        }
    };
    let exit = match line.command {
        None if has_own_window() => live::in_own_window(),
        None => {
            let _ = Line::command().print_help();
            Exit::Complete
        }
        Some(Command::Scan(scan)) => scan::run(*scan),
        Some(Command::Verify { paths }) => verify::run(&paths),
        Some(Command::List { what, source }) => list::list(&what, source.as_deref()),
        Some(Command::Check { file }) => check::run(&file),
        Some(Command::Live(live)) => live::run(*live),
        Some(Command::Merge(_)) => {
            later("merge", "hosts.csv of one `adit scan` over all hosts ranks them")
        }
    };
    exit.into()
}

/// A part of the interface that this version does not have yet.
fn later(what: &str, instead: &str) -> Exit {
    eprintln!("adit: `{what}` comes with a later version; until then, {instead}");
    Exit::Usage
}
