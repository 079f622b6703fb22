//! How far a log reaches, put together from chunks read in any order.

use jiff::Timestamp;

use super::layout::RecordHead;
use crate::model::Extent;

/// How far a part of a log reaches; turned into extents and joined.
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

    /// The same as the model has it; parts are joined by [`Extent::merge`].
    pub fn into_extent(self) -> Extent {
        Extent {
            store: self.store,
            computer: self.computer,
            first: self.first,
            last: self.last,
            records: self.records,
            runs: self.runs,
            gaps: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge<const N: usize>(parts: [Reach; N]) -> Extent {
        Extent::merge(parts.map(Reach::into_extent))
    }

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
