//! Times that logs write as text, with an offset or in the host's local time.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};

use crate::model::{Moment, Precision, Zone, from_unix};

/// The moment of `2024-03-18T10:41:00[.5][Z|+01:00]`, with a space or `T` between.
///
/// Without an offset it is local time of the host; where its zone is unknown, UTC is
/// taken and the precision says so. What is no time keeps its text.
pub(crate) fn moment(text: &str, zone: Option<&Zone>, meaning: &'static str) -> Moment {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        let at = from_unix(at.as_second(), at.subsec_nanosecond());
        return Moment { at, meaning, precision: fraction(text), raw: text.to_owned() };
    }
    match text.parse::<civil::DateTime>() {
        Ok(local) => of_local(local, text, zone, meaning),
        Err(_) => Moment { at: None, meaning, precision: Precision::Exact, raw: text.to_owned() },
    }
}

/// As [`moment`], for a log that writes UTC without saying so.
pub(crate) fn moment_in_utc(text: &str, meaning: &'static str) -> Moment {
    let mut moment = moment(text, None, meaning);
    if moment.precision == Precision::AssumedZone {
        moment.precision = fraction(text);
    }
    moment
}

/// The moment of a local time, which stands in its source as `raw`.
pub(crate) fn of_local(
    local: civil::DateTime,
    raw: &str,
    zone: Option<&Zone>,
    meaning: &'static str,
) -> Moment {
    let utc = match zone {
        Some(zone) => zone.to_utc(local),
        None => TimeZone::UTC.to_timestamp(local).ok(),
    };
    let precision = if zone.is_some() { fraction(raw) } else { Precision::AssumedZone };
    let at = utc.and_then(|at| from_unix(at.as_second(), at.subsec_nanosecond()));
    Moment { at, meaning, precision, raw: raw.to_owned() }
}

/// The local times of a log's lines one after the other: where an hour comes twice, the
/// lines' order tells which of the two is meant, as far as it can.
#[derive(Default)]
pub(crate) struct Order {
    /// The last line of an hour that came twice.
    last: Option<civil::DateTime>,
    is_second: bool,
}

impl Order {
    /// The moment of the next line. What may be of either hour is taken for the first and
    /// its precision says that the zone is assumed.
    pub(crate) fn settle(
        &mut self,
        local: civil::DateTime,
        moment: Moment,
        zone: Option<&Zone>,
    ) -> Moment {
        /// Lines of one minute may stand in any order.
        const DISORDER: SignedDuration = SignedDuration::from_mins(1);
        const HOUR: SignedDuration = SignedDuration::from_hours(1);
        let Some(second) = zone.and_then(|zone| zone.second_utc(local)) else { return moment };
        let back = self.last.map(|last| last.duration_since(local));
        self.is_second = match back {
            Some(back) if back > DISORDER && back <= HOUR => true,
            // Of another day.
            Some(back) if back.abs() > HOUR => false,
            _ => self.is_second,
        };
        self.last = Some(local);
        if self.is_second {
            return Moment { at: Some(second), ..moment };
        }
        Moment { precision: Precision::AssumedZone, ..moment }
    }
}

/// The date and time of an MS-DOS pair, which steps by two seconds; its source knows the zone.
pub(crate) fn of_dos(date: u16, time: u16) -> Option<civil::DateTime> {
    let small = |value: u16, shift: u32, mask: u16| i8::try_from((value >> shift) & mask).ok();
    let year = i16::try_from(date >> 9).ok()?.checked_add(1980)?;
    let (month, day) = (small(date, 5, 0xf)?, small(date, 0, 0x1f)?);
    let (hour, minute) = (small(time, 11, 0x1f)?, small(time, 5, 0x3f)?);
    let second = small(time, 0, 0x1f)?.checked_mul(2)?;
    civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

/// How exact a written time is: with or without parts of a second.
fn fraction(text: &str) -> Precision {
    if text.contains(['.', ',']) { Precision::Exact } else { Precision::Second }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, zone: Option<&Zone>, expected: &str, precision: Precision) {
        let moment = moment(text, zone, "x");
        assert_eq!(moment.at.map(|at| at.to_string()).unwrap_or_default(), expected, "{text}");
        assert_eq!(moment.precision, precision, "{text}");
    }

    #[test]
    fn offsets_zones_and_neither() {
        let zone = Zone::of_posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let utc = "2024-03-18T09:41:00Z";
        check("2024-03-18T10:41:00", Some(&zone), utc, Precision::Second);
        check("2024-03-18 10:41:00.0000000", Some(&zone), utc, Precision::Exact);
        check("2024-03-18 10:41:00,500", Some(&zone), "2024-03-18T09:41:00.5Z", Precision::Exact);
        check("2024-03-18T10:41:00+01:00", None, utc, Precision::Second);
        check("2024-03-18T09:41:00Z", Some(&zone), utc, Precision::Second);
        check("2024-03-18T09:41:00", None, utc, Precision::AssumedZone);
        check("2024-13-18T09:41:00", None, "", Precision::Exact);
        check("", None, "", Precision::Exact);
    }

    #[test]
    fn an_hour_that_comes_twice_is_told_apart_by_the_lines_order() {
        let zone = Zone::of_posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        let mut order = Order::default();
        for (text, expected, precision) in [
            ("2024-11-03T00:59:00", "2024-11-03T04:59:00Z", Precision::Second),
            ("2024-11-03T01:50:10", "2024-11-03T05:50:10Z", Precision::AssumedZone),
            ("2024-11-03T01:50:05", "2024-11-03T05:50:05Z", Precision::AssumedZone),
            ("2024-11-03T01:10:30", "2024-11-03T06:10:30Z", Precision::Second),
            ("2024-11-03T01:45:01", "2024-11-03T06:45:01Z", Precision::Second),
            ("2024-11-03T02:00:00", "2024-11-03T07:00:00Z", Precision::Second),
        ] {
            let local = text.parse().unwrap();
            let moment = order.settle(local, of_local(local, text, Some(&zone), "x"), Some(&zone));
            assert_eq!(moment.at.unwrap().to_string(), expected, "{text}");
            assert_eq!(moment.precision, precision, "{text}");
        }
    }

    #[test]
    fn pairs_of_ms_dos() {
        assert_eq!(of_dos(0x4734, 0x5745).unwrap().to_string(), "2015-09-20T10:58:10");
        assert_eq!(of_dos(0, 0), None);
        assert_eq!(of_dos(0xffff, 0xffff), None);
    }

    #[test]
    fn utc_that_is_not_said() {
        let moment = moment_in_utc("2024-03-18T09:41:00.25", "x");
        assert_eq!(moment.precision, Precision::Exact);
        assert_eq!(moment.at.unwrap().to_string(), "2024-03-18T09:41:00.25Z");
    }
}
