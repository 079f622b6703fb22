//! The list of a source's files: one CSV line per name, stream and removed file.
//!
//! Hundreds of thousands of lines with eight times each are the rule, so times
//! are written digit by digit and lines are made in parallel, in order.

use std::io::{self, Write};

use jiff::Timestamp;
use rayon::prelude::*;

use crate::model::Problem;
use crate::source::{Entry, Filesystem, Kind, Remains, State, Times};

/// Column names, in order. `name_…` are the times kept with the name (`$FILE_NAME`).
const COLUMNS: &str = "path,kind,state,size,id,created,modified,changed,accessed,\
name_created,name_modified,name_changed,name_accessed,link_target\n";

/// Entries made into lines at a time.
const BATCH: usize = 8192;
/// Entries that one task makes into lines.
const TASK: usize = 512;

/// Writes every entry of the tree; returns what could not be read.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write(
    filesystem: &dyn Filesystem,
    out: &mut (dyn Write + Send),
) -> io::Result<Vec<Problem>> {
    out.write_all(COLUMNS.as_bytes())?;
    let (mut batch, mut problems) = (Vec::with_capacity(BATCH), Vec::new());
    let mut result = Ok(());
    filesystem.walk(
        &mut |entry| {
            batch.push(entry);
            if batch.len() >= BATCH && result.is_ok() {
                result = flush(&mut batch, out);
            }
        },
        &mut |problem| problems.push(problem),
    );
    result?;
    flush(&mut batch, out)?;
    Ok(problems)
}

fn flush(batch: &mut Vec<Entry>, out: &mut (dyn Write + Send)) -> io::Result<()> {
    let texts: Vec<Vec<u8>> = batch
        .par_chunks(TASK)
        .map(|entries| {
            let mut text = Vec::with_capacity(entries.len().saturating_mul(256));
            entries.iter().for_each(|entry| line(entry, &mut text));
            text
        })
        .collect();
    batch.clear();
    texts.iter().try_for_each(|text| out.write_all(text))
}

fn line(entry: &Entry, out: &mut Vec<u8>) {
    text(entry.path.as_str(), out);
    out.push(b',');
    out.extend_from_slice(kind(entry.kind).as_bytes());
    out.push(b',');
    out.extend_from_slice(state(entry.state).as_bytes());
    out.push(b',');
    number(entry.size, out);
    out.push(b',');
    if let Some(id) = entry.id {
        number(id.number, out);
        if id.sequence > 0 {
            out.push(b'-');
            number(u64::from(id.sequence), out);
        }
    }
    times(&entry.times, out);
    times(entry.name_times.as_deref().unwrap_or(&Times::default()), out);
    out.push(b',');
    text(entry.link_target.as_deref().unwrap_or_default(), out);
    out.push(b'\n');
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Link => "link",
        Kind::Special => "special",
    }
}

/// `present`, or `deleted` and what is left of the content.
fn state(state: State) -> &'static str {
    match state {
        State::Present => "present",
        State::Deleted(Remains::Whole) => "deleted:whole",
        State::Deleted(Remains::Likely) => "deleted:likely",
        State::Deleted(Remains::Nothing) => "deleted:nothing",
    }
}

/// A text as RFC 4180 wants it; control characters as `\u000a`.
fn text(value: &str, out: &mut Vec<u8>) {
    let plain = |b: u8| (b' '..0x7f).contains(&b) && b != b'"' && b != b',';
    if value.bytes().all(plain) {
        return out.extend_from_slice(value.as_bytes());
    }
    let escaped = crate::export::escape_controls(value);
    if !escaped.contains(['"', ',']) {
        return out.extend_from_slice(escaped.as_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(escaped.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

fn number(mut value: u64, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        out.push(digit(value));
        value /= 10;
        if value == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

/// The last decimal digit.
fn digit(value: u64) -> u8 {
    b'0'.saturating_add(u8::try_from(value % 10).unwrap_or_default())
}

fn times(times: &Times, out: &mut Vec<u8>) {
    for at in [times.created, times.modified, times.changed, times.accessed] {
        out.push(b',');
        if let Some(at) = at {
            time(at, out);
        }
    }
}

/// `2024-03-18T09:05:00.1234567Z`: UTC with the 100 ns that NTFS keeps.
fn time(at: Timestamp, out: &mut Vec<u8>) {
    const DAY: i64 = 86_400;
    let (days, second) = (at.as_second().div_euclid(DAY), at.as_second().rem_euclid(DAY));
    let (days, ticks) = match at.subsec_nanosecond() {
        // Before 1970 seconds and fraction are both negative.
        nanos @ ..0 if second == 0 => {
            return time_of(days - 1, DAY - 1, 1_000_000_000 + nanos, out);
        }
        nanos @ ..0 => return time_of(days, second - 1, 1_000_000_000 + nanos, out),
        nanos => (days, nanos),
    };
    time_of(days, second, ticks, out);
}

/// Days since 1970, second of the day, nanoseconds; the calendar is the proleptic
/// Gregorian one, counted in eras of 400 years from 1 March.
fn time_of(days: i64, second: i64, nanos: i32, out: &mut Vec<u8>) {
    const ERA: i64 = 146_097;
    let shifted = days + 719_468; // days from 0000-03-01 to 1970-01-01
    let era = shifted.div_euclid(ERA);
    let day = shifted.rem_euclid(ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, year) = match month {
        ..10 => (month + 3, year + era * 400),
        _ => (month - 9, year + era * 400 + 1),
    };
    padded(year, 4, out);
    for (mark, value) in [
        (b'-', month),
        (b'-', day_of_month),
        (b'T', second / 3600),
        (b':', second / 60 % 60),
        (b':', second % 60),
    ] {
        out.push(mark);
        padded(value, 2, out);
    }
    out.push(b'.');
    padded(i64::from(nanos / 100), 7, out);
    out.push(b'Z');
}

fn padded(value: i64, width: u32, out: &mut Vec<u8>) {
    let value = u64::try_from(value).unwrap_or_default();
    for place in (0..width).rev() {
        out.push(digit(value / 10_u64.pow(place)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EvidencePath, from_unix};
    use crate::source::FileId;

    #[test]
    fn times_are_those_of_the_calendar() {
        let mut second = -8_520_336_000_i64; // 1700
        while second < 253_402_300_800 {
            for nanos in [0, 100, 999_999_900] {
                let at = Timestamp::new(second, nanos).unwrap();
                let mut out = Vec::new();
                time(at, &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), format!("{at:.7}"), "{second} {nanos}");
            }
            second += 86_400 * 17 + 7_919;
        }
    }

    #[test]
    fn a_line_is_csv() {
        let mut out = Vec::new();
        let entry = Entry {
            path: EvidencePath::new("C:\\a \"b\", c\n.txt"),
            kind: Kind::File,
            size: 1_234_567,
            times: Times { created: from_unix(0, 100), ..Times::default() },
            name_times: None,
            id: Some(FileId { number: 40, sequence: 3 }),
            state: State::Deleted(Remains::Whole),
            link_target: None,
            handle: 0,
        };
        line(&entry, &mut out);
        let expected = "\"C:\\a \"\"b\"\", c\\u000a.txt\",file,deleted:whole,1234567,40-3,\
                        1970-01-01T00:00:00.0000001Z,,,,,,,,\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
