//! Moments: UTC from the parser on, with what they mean and how exact they are.

use jiff::Timestamp;

/// How exact a moment is; the words of the `time_precision` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// As the source recorded it, to its own resolution below a second.
    Exact,
    /// Whole seconds.
    Second,
    /// Flushed hourly.
    Hour,
    /// No later than this.
    UpperBound,
    /// The source names no year.
    AssumedYear,
    /// The source names no zone.
    AssumedZone,
}

impl Precision {
    /// The word of the `time_precision` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Second => "second",
            Self::Hour => "hour",
            Self::UpperBound => "upper_bound",
            Self::AssumedYear => "assumed_year",
            Self::AssumedZone => "assumed_zone",
        }
    }
}

/// One time of a record and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// UTC; `None` when the source's value is impossible (the raw text tells).
    pub at: Option<Timestamp>,
    /// The `timestamp_desc`: `Event Logged`, `Key Last Written`, …
    pub meaning: &'static str,
    pub precision: Precision,
    /// The time as recorded, with the source's own digits.
    pub raw: String,
}

impl Moment {
    /// A moment whose raw form is the ISO text of `at` with 100-ns digits.
    pub fn exact(at: Timestamp, meaning: &'static str) -> Self {
        Self { at: Some(at), meaning, precision: Precision::Exact, raw: format!("{at:.7}") }
    }

    /// The moment of a FILETIME as stored; `None` for 0, which is no time. An
    /// impossible one keeps its digits.
    pub fn of_filetime(ticks: u64, meaning: &'static str) -> Option<Self> {
        let impossible =
            || Self { at: None, meaning, precision: Precision::Exact, raw: format!("{ticks:#x}") };
        let at = from_filetime(ticks).map(|at| Self::exact(at, meaning));
        (ticks != 0).then(|| at.unwrap_or_else(impossible))
    }
}

/// The moment of a Windows FILETIME (100-ns ticks since 1601-01-01 UTC).
///
/// `None` for 0, for values beyond the year 9999 and for values before 1700:
/// those are no times that a host recorded.
pub fn from_filetime(ticks: u64) -> Option<Timestamp> {
    const PER_SECOND: u64 = 10_000_000;
    const EPOCH_DIFFERENCE: i64 = 11_644_473_600; // seconds from 1601 to 1970
    let seconds = i64::try_from(ticks / PER_SECOND).ok()?.checked_sub(EPOCH_DIFFERENCE)?;
    let nanos = i32::try_from(ticks % PER_SECOND).ok()?.checked_mul(100)?;
    from_unix(seconds, nanos)
}

/// The moment of a Unix time in seconds and nanoseconds, if plausible.
pub fn from_unix(seconds: i64, nanos: i32) -> Option<Timestamp> {
    plausible(Timestamp::new(seconds, nanos).ok()?)
}

fn plausible(at: Timestamp) -> Option<Timestamp> {
    const YEAR_1700: i64 = -8_520_336_000;
    const YEAR_10000: i64 = 253_402_300_800;
    (YEAR_1700..YEAR_10000).contains(&at.as_second()).then_some(at)
}

/// `2026-03-04T10:11:12.123456+00:00`: the `datetime` column, always six digits.
pub fn to_iso(at: Timestamp) -> String {
    let text = format!("{at:.6}");
    format!("{}+00:00", text.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filetime_keeps_ticks_and_refuses_the_impossible() {
        let at = from_filetime(133_549_647_900_000_001).map(|t| format!("{t:.7}"));
        assert_eq!(at.as_deref(), Some("2024-03-15T08:26:30.0000001Z"));
        assert_eq!(from_filetime(0), None);
        assert_eq!(from_filetime(u64::MAX), None);
    }

    #[test]
    fn iso_always_has_six_digits_and_an_offset() {
        let at = from_unix(1_710_750_000, 0).map(to_iso);
        assert_eq!(at.as_deref(), Some("2024-03-18T08:20:00.000000+00:00"));
    }
}
