//! Times as stored, to times as shown; the same few recur in most records.

use jiff::Timestamp;

use crate::model::from_unix;
use crate::source::Times;

/// Seconds from 1601 to 1970.
const EPOCH_DIFFERENCE: i64 = 11_644_473_600;
const TICKS: u64 = 10_000_000;

/// Turns times as stored into timestamps; remembers the last.
#[derive(Debug, Default)]
pub(super) struct Clock {
    ticks: u64,
    at: Option<Timestamp>,
}

impl Clock {
    /// Created, modified, record changed, accessed: as NTFS keeps them.
    pub(super) fn times(&mut self, [created, modified, changed, accessed]: [u64; 4]) -> Times {
        Times {
            created: self.at(created),
            modified: self.at(modified),
            changed: self.at(changed),
            accessed: self.at(accessed),
        }
    }

    fn at(&mut self, ticks: u64) -> Option<Timestamp> {
        if ticks != self.ticks {
            let seconds = i64::try_from(ticks / TICKS).unwrap_or(i64::MAX);
            let nanos = i32::try_from(ticks % TICKS * 100).unwrap_or_default();
            self.ticks = ticks;
            self.at = from_unix(seconds.saturating_sub(EPOCH_DIFFERENCE), nanos);
        }
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::from_filetime;

    #[test]
    fn times_are_those_of_the_model() {
        let mut clock = Clock::default();
        for ticks in [0, 1, 10_000_001, 116_444_736_000_000_001, 133_549_647_900_000_001, u64::MAX]
        {
            assert_eq!(clock.at(ticks), from_filetime(ticks), "{ticks}");
        }
        assert_eq!(clock.at(0), None);
    }
}
