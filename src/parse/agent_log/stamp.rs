//! The times of the agent's log: with an offset, without one, without a year.

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, civil};

use crate::model::{Moment, Precision, Zone};

/// A time as a line gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::parse) enum Stamp {
    At {
        at: Timestamp,
        precision: Precision,
    },
    /// Month, day and time of day; the year is not to be used.
    NoYear(civil::DateTime),
}

impl Stamp {
    /// The time of `2020-09-09T11:13:32[.5](Z|+0530|+05:30|)`.
    pub(in crate::parse) fn read(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once(['T', ' '])?;
        let mut parts = date.split('-');
        let year: i16 = parts.next()?.parse().ok()?;
        let (month, day): (i8, i8) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let zone_at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
        let (time, zone) = rest.split_at_checked(zone_at)?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
        let mut parts = time.split(':');
        let mut next = || parts.next()?.parse::<i8>().ok();
        let (hour, minute, second) = (next()?, next()?, next()?);
        let nanos = nanoseconds(fraction)?;
        let local = civil::DateTime::new(year, month, day, hour, minute, second, nanos).ok()?;
        let offset = match zone {
            "" => None,
            zone => Some(offset(zone)?),
        };
        let at = utc(local, offset.unwrap_or(Offset::UTC))?;
        let precision = match (offset, fraction) {
            (None, _) => Precision::AssumedZone,
            (_, "") => Precision::Second,
            _ => Precision::Exact,
        };
        Some(Self::At { at, precision })
    }

    /// The moment it means; `modified`, the file's last change, tells the year. A time
    /// without one is the terminal's: local time of the host.
    pub(in crate::parse) fn moment(
        self,
        raw: String,
        modified: Option<Timestamp>,
        zone: Option<&Zone>,
    ) -> Moment {
        let meaning = "Log Line";
        match self {
            Self::At { at, precision } => Moment { at: Some(at), meaning, precision, raw },
            Self::NoYear(local) => {
                let local = modified.and_then(|modified| in_year_of(local, modified, zone));
                let at = local.and_then(|local| in_zone(local, zone));
                let is_sure = zone.is_some_and(|zone| {
                    local.is_some_and(|local| zone.second_utc(local).is_none())
                });
                let precision =
                    if is_sure { Precision::AssumedYear } else { Precision::AssumedZone };
                Moment { at, meaning, precision, raw }
            }
        }
    }
}

/// The last time before the file's change that has this month, day and time of
/// day in the host's zone, else in UTC; a day is granted for a log in another zone.
fn in_year_of(
    local: civil::DateTime,
    modified: Timestamp,
    zone: Option<&Zone>,
) -> Option<civil::DateTime> {
    /// February 29 comes at least every eighth year.
    const YEARS_BACK: i16 = 8;
    let latest = modified.checked_add(SignedDuration::from_hours(24)).ok()?;
    let year = Offset::UTC.to_datetime(latest).year();
    (0..=YEARS_BACK).find_map(|back| {
        let local = local.with().year(year.checked_sub(back)?).build().ok()?;
        in_zone(local, zone).filter(|at| *at <= latest).map(|_| local)
    })
}

fn in_zone(local: civil::DateTime, zone: Option<&Zone>) -> Option<Timestamp> {
    match zone {
        Some(zone) => zone.to_utc(local),
        None => utc(local, Offset::UTC),
    }
}

fn utc(local: civil::DateTime, offset: Offset) -> Option<Timestamp> {
    TimeZone::fixed(offset).to_timestamp(local).ok()
}

fn nanoseconds(fraction: &str) -> Option<i32> {
    if fraction.is_empty() {
        return Some(0);
    }
    let digits = fraction.get(..fraction.len().min(9))?;
    let missing = u32::try_from(9usize.checked_sub(digits.len())?).ok()?;
    digits.parse::<u32>().ok()?.checked_mul(10u32.checked_pow(missing)?)?.try_into().ok()
}

/// `Z`, `+0530`, `+05:30`, `+05`.
fn offset(zone: &str) -> Option<Offset> {
    if zone == "Z" {
        return Some(Offset::UTC);
    }
    let (sign, digits) = (zone.get(..1)?, zone.get(1..)?.replace(':', ""));
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = match digits.get(2..)? {
        "" => 0,
        minutes => minutes.parse().ok()?,
    };
    let seconds = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?;
    Offset::from_seconds(if sign == "-" { seconds.checked_neg()? } else { seconds }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str, precision: Precision) {
        let stamp = Stamp::read(text).unwrap_or_else(|| panic!("{text}"));
        let moment = stamp.moment(text.to_owned(), None, None);
        assert_eq!(moment.at.map(|at| at.to_string()).as_deref(), Some(expected));
        assert_eq!(moment.precision, precision);
    }

    #[test]
    fn offsets_of_every_form() {
        check("2020-09-09T11:13:32+0530", "2020-09-09T05:43:32Z", Precision::Second);
        check("2020-09-09T11:13:32+05:30", "2020-09-09T05:43:32Z", Precision::Second);
        check("2024-03-06T21:31:05.3-06:00", "2024-03-07T03:31:05.3Z", Precision::Exact);
        check("2024-03-06T21:31:05Z", "2024-03-06T21:31:05Z", Precision::Second);
        check("2024-03-06T21:31:05", "2024-03-06T21:31:05Z", Precision::AssumedZone);
        for text in [
            "",
            "T",
            "2024-13-01T00:00:00Z",
            "2024-01-01T00:00:00+99",
            "2024-01-01T1",
            "2024-01-01T00:00:00.é",
        ] {
            assert_eq!(Stamp::read(text), None, "{text}");
        }
    }

    #[test]
    fn the_year_comes_from_the_file() {
        let local = civil::date(2000, 12, 31).at(23, 0, 0, 0);
        let modified: Timestamp = "2024-01-02T00:00:00Z".parse().unwrap();
        let check = |local, expected: &str| {
            let moment = Stamp::NoYear(local).moment(String::new(), Some(modified), None);
            assert_eq!(moment.at.unwrap().to_string(), expected);
            assert_eq!(moment.precision, Precision::AssumedZone);
        };
        check(local, "2023-12-31T23:00:00Z");
        let leap = civil::date(2000, 2, 29).at(1, 0, 0, 0);
        check(leap, "2020-02-29T01:00:00Z");
        let local = civil::date(2000, 1, 2).at(5, 0, 0, 0);
        check(local, "2024-01-02T05:00:00Z");
        assert_eq!(Stamp::NoYear(local).moment(String::new(), None, None).at, None);
    }

    #[test]
    fn a_terminals_time_is_the_hosts() {
        let zone = Zone::of_name("America/New_York");
        let modified: Timestamp = "2024-03-10T09:01:00Z".parse().unwrap();
        let local = civil::date(2000, 3, 10).at(5, 0, 0, 0);
        let moment = Stamp::NoYear(local).moment(String::new(), Some(modified), zone.as_ref());
        assert_eq!(moment.at.unwrap().to_string(), "2024-03-10T09:00:00Z");
        assert_eq!(moment.precision, Precision::AssumedYear);
    }
}
