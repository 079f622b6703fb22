//! The agent's version as its behaviour brackets it; what an observation means is
//! the profile's knowledge.

use std::collections::BTreeMap;

use super::{Tool, VersionClue};
use crate::model::{Event, VersionBracket};

/// The tightest bracket that all observations allow; where they contradict (two
/// versions were used) both bounds stand and `because` tells.
pub fn bracket<'a>(tool: &Tool, events: impl Iterator<Item = &'a Event>) -> VersionBracket {
    let Some(clues) = &tool.clues else { return VersionBracket::default() };
    // One place per observation is enough: the first.
    let mut seen: BTreeMap<VersionClue, String> = BTreeMap::new();
    for event in events {
        for clue in clues(&event.record) {
            seen.entry(clue).or_insert_with(|| format!("{} {}", event.path, event.record.locator));
        }
    }
    let newest = seen.keys().filter_map(|c| c.at_least.clone()).max_by_key(|v| parts(v));
    let oldest = seen.keys().filter_map(|c| c.before.clone()).min_by_key(|v| parts(v));
    VersionBracket {
        at_least: newest,
        before: oldest,
        because: seen.iter().map(|(c, place)| format!("{} ({place})", c.because)).collect(),
    }
}

fn parts(version: &str) -> Vec<u32> {
    version.split('.').map(|p| p.parse().unwrap_or_default()).collect()
}
