//! Commands by which an agent does not run, but is installed, set up or removed: who
//! `service uninstall` is said to has not opened a tunnel.

use std::fmt::Write as _;

use super::{Tool, path};
use crate::model::{Event, RowStage};

/// A command of a tool that opens no tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// Words that stand among its arguments in this order: `service install`.
    pub says: String,
    /// What it does.
    pub stage: RowStage,
}

/// What joins several commands in one line: one of them may be a run.
const JOINED: [&str; 4] = ["&&", "||", ";", "|"];

/// Gives runs that were errands the stage of what they did.
pub fn restage(events: &mut [Event], tools: &[Tool]) {
    for Event { record, hits, .. } in events {
        for hit in hits.iter_mut().filter(|hit| hit.stage == RowStage::Executed) {
            let Some(tool) = tools.iter().find(|tool| tool.id == hit.tool) else { continue };
            let Some(errand) = record.commands().find_map(|line| of(&tool.errands, line)) else {
                continue;
            };
            hit.stage = errand.stage;
            let does = match errand.stage {
                RowStage::Persisted => "sets up what keeps it running",
                RowStage::CleanedUp => "takes away what was set up",
                _ => "sets it up",
            };
            let _ = write!(hit.message, " ({does}: `{}`)", errand.says);
        }
    }
}

/// The errand that a command line is.
fn of<'a>(errands: &'a [Errand], line: &str) -> Option<&'a Errand> {
    if errands.is_empty() || JOINED.iter().any(|sign| line.contains(sign)) {
        return None;
    }
    let words = path::words(line);
    let arguments = words.get(1..).unwrap_or_default();
    errands.iter().find(|errand| {
        let mut left = arguments.iter();
        let mut says = errand.says.split(' ');
        says.all(|word| left.any(|argument| argument.eq_ignore_ascii_case(word)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_their_order() {
        let errand = |says: &str, stage| Errand { says: says.to_owned(), stage };
        let errands = [
            errand("service uninstall", RowStage::CleanedUp),
            errand("tunnel create", RowStage::Configured),
        ];
        let stage = |line: &str| of(&errands, line).map(|errand| errand.stage);
        assert_eq!(stage("cfd.exe service uninstall"), Some(RowStage::CleanedUp));
        assert_eq!(
            stage(r#""C:\a b\cfd.exe" tunnel --config c.yml CREATE x"#),
            Some(RowStage::Configured)
        );
        assert_eq!(stage("cfd.exe uninstall service"), None);
        assert_eq!(stage("cfd.exe tunnel run"), None);
        assert_eq!(stage("tunnel create"), None);
        assert_eq!(stage("cfd tunnel create x && cfd tunnel run x"), None);
    }
}
