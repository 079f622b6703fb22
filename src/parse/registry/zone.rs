//! `Control\TimeZoneInformation` as a POSIX rule.
//!
//! Source: Microsoft's documentation of `TIME_ZONE_INFORMATION`: local time plus all
//! biases is UTC, so signs are those of POSIX; of a change's SYSTEMTIME, year 0 says
//! that `wDay` counts that weekday's occurrences in the month, 5 being the last.

use super::{Data, Key};

/// A signed number of minutes, which a DWORD holds.
pub fn minutes(zone: &Key, name: &str) -> Option<i32> {
    zone.number(name).and_then(|bias| u32::try_from(bias).ok()).map(u32::cast_signed)
}

/// The rule, with daylight saving time where the zone has it and it is not switched
/// off; `None` when no bias is stored or a year's own rule is meant.
pub fn rule(zone: &Key) -> Option<String> {
    let bias = minutes(zone, "Bias")?;
    let standard = bias.checked_add(minutes(zone, "StandardBias").unwrap_or_default())?;
    let fixed = format!("<STD>{}", offset(standard)?);
    let off = ["DynamicDaylightTimeDisabled", "DisableAutoDaylightTimeSet"]
        .iter()
        .any(|name| zone.number(name).is_some_and(|n| n != 0));
    let (Some(begin), Some(end)) = (change(zone, "DaylightStart"), change(zone, "StandardStart"))
    else {
        return Some(fixed);
    };
    if off || begin.month == 0 || end.month == 0 {
        return Some(fixed);
    }
    let daylight = bias.checked_add(minutes(zone, "DaylightBias").unwrap_or(-60))?;
    Some(format!("{fixed}<DST>{},{},{}", offset(daylight)?, begin.rule()?, end.rule()?))
}

/// `-1:00`: POSIX counts west as positive.
fn offset(minutes: i32) -> Option<String> {
    const MOST: i32 = 24 * 60;
    let sign = if minutes < 0 { "-" } else { "" };
    let size = minutes.checked_abs().filter(|m| *m <= MOST)?;
    Some(format!("{sign}{}:{:02}", size / 60, size % 60))
}

/// When a year's change takes place.
struct Change {
    month: u16,
    weekday: u16,
    /// Which of the month, 1 to 5, if `year` is 0.
    week: u16,
    year: u16,
    hour: u16,
    minute: u16,
}

impl Change {
    fn rule(&self) -> Option<String> {
        let sane = self.year == 0
            && (1..=12).contains(&self.month)
            && (1..=5).contains(&self.week)
            && self.weekday <= 6
            && self.hour <= 24
            && self.minute <= 59;
        sane.then(|| {
            let Self { month, week, weekday, hour, minute, .. } = self;
            format!("M{month}.{week}.{weekday}/{hour}:{minute:02}")
        })
    }
}

/// The SYSTEMTIME of a value. The registry's order is year, month, week, hour, minute,
/// second, milliseconds, weekday; the structure's own has the weekday third.
fn change(zone: &Key, name: &str) -> Option<Change> {
    let Data::Binary(bytes) = zone.data(name)? else { return None };
    let (words, _) = bytes.as_chunks::<2>();
    let mut words = words.iter().map(|word| u16::from_le_bytes(*word));
    let (year, month, week) = (words.next()?, words.next()?, words.next()?);
    let (hour, minute) = (words.next()?, words.next()?);
    let weekday = words.nth(2)?;
    Some(Change { month, weekday, week, year, hour, minute })
}

#[cfg(test)]
mod tests {
    use super::super::NamedValue;
    use super::*;

    #[test]
    fn berlin_as_windows_stores_it() {
        let value = |name: &str, data| NamedValue { name: name.to_owned(), data };
        let change = |month, week, hour| {
            Data::Binary(vec![0, 0, month, 0, week, 0, hour, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        };
        let mut values = vec![
            value("Bias", Data::Dword((-60i32).cast_unsigned())),
            value("StandardBias", Data::Dword(0)),
            value("DaylightBias", Data::Dword((-60i32).cast_unsigned())),
            value("DaylightStart", change(3, 5, 2)),
            value("StandardStart", change(10, 5, 3)),
        ];
        let key = |values| Key::live(String::new(), String::new(), 0, values);
        let said = rule(&key(values.clone()));
        assert_eq!(said.as_deref(), Some("<STD>-1:00<DST>-2:00,M3.5.0/2:00,M10.5.0/3:00"));
        values.push(value("DynamicDaylightTimeDisabled", Data::Dword(1)));
        assert_eq!(rule(&key(values)).as_deref(), Some("<STD>-1:00"));
    }
}
