//! How far a log reaches, put together from chunks read in any order.

use jiff::Timestamp;

use super::layout::RecordHead;
use crate::model::Extent;

/// More gaps than this are counted, not listed.
const MAX_GAPS_LISTED: usize = 1000;

/// How far a part of a log reaches; parts are joined by [`merge`].
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// The channel that the records name.
    pub store: Option<String>,
    /// The machine that the records name.
    pub computer: Option<String>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    records: u64,
    /// Runs of consecutive record ids, first and last, in the order met.
    runs: Vec<(u64, u64)>,
}

impl Reach {
    /// Counts a live record in.
    pub(super) fn add(&mut self, record: &RecordHead) {
        self.records = self.records.saturating_add(1);
        match self.runs.last_mut() {
            Some(run) if run.1.checked_add(1) == Some(record.id) => run.1 = record.id,
            _ => self.runs.push((record.id, record.id)),
        }
        if let Some(time) = record.time() {
            self.first = Some(self.first.map_or(time, |first| first.min(time)));
            self.last = Some(self.last.map_or(time, |last| last.max(time)));
        }
    }

    /// Whether channel or machine are still to be learnt.
    pub(super) fn anonymous(&self) -> bool {
        self.store.is_none() && self.computer.is_none()
    }
}

/// The extent of a file from the reaches of its parts, given in the file's order.
///
/// Gaps are judged over all record ids in ascending order, wherever in the file
/// their chunks stand: a log that wrapped is no gap, and neither is a first id above 1.
pub fn merge(parts: impl IntoIterator<Item = Reach>) -> Extent {
    let mut extent = Extent::default();
    let mut runs = Vec::new();
    for part in parts {
        extent.store = extent.store.or(part.store);
        extent.computer = extent.computer.or(part.computer);
        extent.records = extent.records.saturating_add(part.records);
        extent.first = [extent.first, part.first].into_iter().flatten().min();
        extent.last = extent.last.max(part.last);
        runs.extend(part.runs);
    }
    runs.sort_unstable();
    extent.gaps = gaps(&runs);
    extent
}

/// The ids missing between `runs`, which are sorted.
fn gaps(runs: &[(u64, u64)]) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut unlisted = 0u64;
    let mut reached: Option<u64> = None;
    for (first, last) in runs {
        let missing = reached.and_then(|id| id.checked_add(1)).filter(|next| next < first);
        if let Some(from) = missing {
            let to = first.saturating_sub(1);
            if gaps.len() < MAX_GAPS_LISTED {
                gaps.push(if from == to { from.to_string() } else { format!("{from}-{to}") });
            } else {
                unlisted = unlisted.saturating_add(1);
            }
        }
        reached = reached.max(Some(*last));
    }
    if unlisted > 0 {
        gaps.push(format!("and {unlisted} more"));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(ids: &[u64]) -> Reach {
        let mut reach = Reach::default();
        for id in ids {
            reach.add(&RecordHead { id: *id, written: 133_549_647_900_000_000 + id, size: 28 });
        }
        reach
    }

    #[test]
    fn a_wrapped_log_has_no_gap_at_its_seam() {
        let extent = merge([reach(&[30, 31, 32]), reach(&[20, 21]), reach(&[22, 25, 28, 29])]);
        assert_eq!(extent.gaps, ["23-24", "26-27"]);
        assert_eq!(extent.records, 9);
        assert!(extent.first < extent.last);
    }

    #[test]
    fn one_missing_id_is_named_alone() {
        assert_eq!(merge([reach(&[1, 3])]).gaps, ["2"]);
        assert!(merge([]).gaps.is_empty());
    }
}
