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
    let mut because: Vec<String> =
        seen.iter().map(|(c, place)| format!("{} ({place})", c.because)).collect();
    if let Some((newest, oldest)) = newest.as_ref().zip(oldest.as_ref())
        && parts(newest) >= parts(oldest)
    {
        because.insert(0, format!("several agents: one from {newest} on, one before {oldest}"));
    }
    VersionBracket { at_least: newest, before: oldest, because }
}

fn parts(version: &str) -> Vec<u32> {
    version.split('.').map(|p| p.parse().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::correlate::session::testing::event;

    #[test]
    fn a_range_without_a_version_is_several_agents() {
        let clue = |at_least: Option<&str>, before: Option<&str>| VersionClue {
            because: "x".into(),
            at_least: at_least.map(Into::into),
            before: before.map(Into::into),
        };
        let of = |clues: Vec<VersionClue>| {
            let tool = Tool { clues: Some(Arc::new(move |_| clues.clone())), ..Tool::default() };
            let seen = event("process_creation", "2024-03-01T10:00:00Z", &[]);
            bracket(&tool, std::iter::once(&seen)).because
        };
        let two = of(vec![clue(Some("3.16.0"), None), clue(None, Some("3.3.0"))]);
        assert_eq!(two[0], "several agents: one from 3.16.0 on, one before 3.3.0");
        assert_eq!(of(vec![clue(Some("3.3.0"), None), clue(None, Some("3.16.0"))]).len(), 2);
    }
}
