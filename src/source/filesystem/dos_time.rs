//! Dates and times as DOS stores them, in FAT and exFAT.

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::Offset;

/// The moment of a date, a time in steps of two seconds and hundredths beyond
/// it (0 to 199), in the zone `offset` east of UTC, in seconds.
///
/// `None` for a date of zero and for what no calendar has.
pub(super) fn moment(date: u16, time: u16, hundredths: u8, offset: i32) -> Option<Timestamp> {
    if date == 0 {
        return None;
    }
    let part = |bits: u16, shift: u32, mask: u16| i8::try_from(bits >> shift & mask).ok();
    let year = i16::try_from(date >> 9).ok()?.checked_add(1980)?;
    let date = civil::Date::new(year, part(date, 5, 0xf)?, part(date, 0, 0x1f)?).ok()?;
    let second = part(time, 0, 0x1f)?.checked_mul(2)?;
    let clock = civil::Time::new(part(time, 11, 0x1f)?, part(time, 5, 0x3f)?, second, 0).ok()?;
    let zone = Offset::from_seconds(offset).ok()?;
    let whole = zone.to_timestamp(date.to_datetime(clock)).ok()?;
    let beyond = jiff::SignedDuration::from_millis(i64::from(hundredths.min(199)) * 10);
    whole.checked_add(beyond).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_to_ten_milliseconds_and_nonsense_is_no_time() {
        let iso =
            |date, time, more, offset| moment(date, time, more, offset).map(|at| at.to_string());
        let date = 46 << 9 | 3 << 5 | 4;
        let time = 10 << 11 | 11 << 5 | 6;
        assert_eq!(iso(date, time, 123, 0).as_deref(), Some("2026-03-04T10:11:13.23Z"));
        assert_eq!(iso(date, time, 0, -8 * 3600).as_deref(), Some("2026-03-04T18:11:12Z"));
        assert_eq!(iso(0, time, 0, 0), None);
        assert_eq!(iso(46 << 9 | 13 << 5 | 4, time, 0, 0), None, "month 13");
        assert_eq!(iso(date, 25 << 11, 0, 0), None, "hour 25");
        assert_eq!(iso(date, 31, 0, 0), None, "second 62");
    }
}
