//! ShimCache: program files that the system has seen, newest first.
//!
//! The value `AppCompatCache` is written at shutdown. An entry shows that a file of
//! that path was there; its time is the file's last modification, never a run. Windows
//! 7 to 8.1 and their servers mark what was executed; before and since nothing is known.
//!
//! ```text
//! XP            DEADBEEF · 4 count · from 400, each 552 bytes:
//!               path (528 bytes) · 528 modified · 536 size · 544 entry's last update
//! 2003 – 2008   BADC0FFE · 4 count · from 8, each 24 or 32 bytes (64-bit):
//!               length, room (u16) · path's offset · modified · file's size, or flags from Vista on
//! 7, 2008 R2    BADC0FEE · 4 count · from 128, each 32 or 48 bytes: as above · flags · data
//! 8.0, 8.1      128 · from there "00ts" or "10ts" · 4 sum · 8 length of: u16 path · [u16 package] ·
//!               flags (2) · modified · u32 data
//! 10, 11        48 or 52 · from there "10ts" · 4 sum · 8 length of: u16 path · modified · u32 data
//! ```
//!
//! In all with flags, bit 2 of the first says that the file was executed. Sources:
//! Mandiant, "Leveraging the Application Compatibility Cache"; libyal's winreg-kb;
//! four real values and two hives (`tests/compare`).

use std::ops::ControlFlow;

use crate::model::{Damage, Locator, Moment, Record};
use crate::parse::bytes::{piece, u16_at, u32_at, u64_at};

use super::cells::size;
use super::place::{Extractor, Root, at};
use super::{Data, Key, Output, utf16, utf16_until_nul, value_record};

pub const EXTRACTOR: Extractor = Extractor {
    places: &[
        at(Root::System, r"Control\Session Manager\AppCompatCache"),
        at(Root::System, r"Control\Session Manager\AppCompatibility"),
    ],
    read,
    live: None,
};

const VALUE: &str = "AppCompatCache";
/// Entries read of one value; Windows keeps 1024.
const MAX_ENTRIES: usize = 1 << 14;
/// Flag of a file that was executed.
const EXECUTED: u32 = 2;

/// One file that was seen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    path: String,
    /// FILETIME.
    modified: u64,
    /// When the entry was last touched (XP), FILETIME.
    updated: u64,
    /// Bytes, where stored.
    size: Option<u64>,
    executed: Option<bool>,
}

fn read(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    let Some(Data::Binary(data)) = key.data(VALUE) else { return ControlFlow::Continue(()) };
    if data.is_empty() {
        return ControlFlow::Continue(());
    }
    let (entries, why) = entries(data);
    for (position, entry) in entries.iter().enumerate() {
        output.push(record(key, position, entry))?;
    }
    if let Some(why) = why.filter(|_| !key.recovered) {
        let locator = Locator::Key { key: key.path.clone(), value: Some(VALUE.to_owned()) };
        let message = format!("application compatibility cache: {why}");
        output.sink.damaged(Damage { locator: Some(locator), message, lost: true });
    }
    ControlFlow::Continue(())
}

fn record(key: &Key, position: usize, entry: &Entry) -> Record {
    let mut record = value_record(key, "shimcache", VALUE);
    match package(&entry.path) {
        Some((family, version)) => {
            record.push("Image", family);
            record.push("Package", entry.path.replace('\t', " "));
            record.push("ProductVersion", version);
        }
        None => record.push("Image", entry.path.as_str()),
    }
    record.push("Position", i64::try_from(position).unwrap_or_default());
    if let Some(size) = entry.size.and_then(|size| i64::try_from(size).ok()) {
        record.push("Size", size);
    }
    if let Some(executed) = entry.executed {
        record.push("Executed", if executed { "true" } else { "false" });
    }
    record.times.extend(Moment::of_filetime(entry.modified, "File Modified"));
    record.times.extend(Moment::of_filetime(entry.updated, "ShimCache Entry Updated"));
    record
}

/// Family name and version of a packaged app, whose entry has instead of a path its
/// kind, version and Windows' version in hexadecimal digits, machine, name and publisher,
/// with tabs between them.
fn package(path: &str) -> Option<(String, String)> {
    let mut parts = path.split('\t');
    let (_, version) = (parts.next()?, parts.next()?);
    let mut names = parts.skip(2);
    let (name, publisher) = (names.next()?, names.next()?);
    let number = |at: usize| u16::from_str_radix(version.get(at..at.checked_add(4)?)?, 16).ok();
    let version = [0, 4, 8, 12].into_iter().map(number).collect::<Option<Vec<u16>>>();
    let version = version.map(|all| all.iter().map(u16::to_string).collect::<Vec<_>>().join("."));
    Some((format!("{name}_{publisher}"), version.unwrap_or_default()))
}

/// The entries, in the order of the value, and what of them cannot be read.
fn entries(data: &[u8]) -> (Vec<Entry>, Option<String>) {
    let head = u32_at(data, 0).unwrap_or_default();
    match head {
        0xDEAD_BEEF => table(data, 400, |i| entry_of_xp(data, i)),
        0xBADC_0FFE => {
            let wide = is_wide(data, 8);
            let sized = has_sizes(data, wide);
            let step = if wide { 32 } else { 24 };
            table(data, 8, |at| entry_of_table(data, at, step, wide, sized))
        }
        0xBADC_0FEE => {
            let wide = is_wide(data, 128);
            let step = if wide { 48 } else { 32 };
            table(data, 128, |at| entry_of_table(data, at, step, wide, false))
        }
        0x80 | 0x30 | 0x34 if is_chain(data, size(head)) => chain(data, size(head), head == 0x80),
        _ => (Vec::new(), Some(format!("of an unknown kind ({head:#x})"))),
    }
}

/// Entries one after another; `entry` gives each with where the next one begins.
fn table(
    data: &[u8],
    first: usize,
    entry: impl Fn(usize) -> Option<(Entry, usize)>,
) -> (Vec<Entry>, Option<String>) {
    let count = u32_at(data, 4).map_or(0, size);
    let mut entries = Vec::new();
    let mut at = first;
    while entries.len() < count.min(MAX_ENTRIES) {
        let Some((entry, next)) = entry(at) else { break };
        entries.push(entry);
        at = next;
    }
    let read = entries.len();
    (entries, (read < count).then(|| format!("{count} entries expected, {read} read")))
}

fn entry_of_xp(data: &[u8], at: usize) -> Option<(Entry, usize)> {
    let entry = piece(data, at, 552)?;
    let entry = Entry {
        path: utf16_until_nul(entry.get(..528)?),
        modified: u64_at(entry, 528)?,
        size: u64_at(entry, 536),
        updated: u64_at(entry, 544)?,
        executed: None,
    };
    Some((entry, at.checked_add(552)?))
}

/// Whether a table of entries has 64-bit offsets: there the path's 32-bit one is padding.
fn is_wide(data: &[u8], first: usize) -> bool {
    first.checked_add(4).and_then(|at| u32_at(data, at)) == Some(0)
}

/// Whether the entries of 2003's format hold sizes of files: as flags they are small.
fn has_sizes(data: &[u8], wide: bool) -> bool {
    const MOST_FLAGS: u32 = 3;
    let (step, field) = if wide { (32, 24) } else { (24, 16) };
    let count = u32_at(data, 4).map_or(0, size).min(MAX_ENTRIES);
    (0..count).any(|i| {
        let at = i.checked_mul(step).and_then(|n| n.checked_add(8 + field));
        at.and_then(|at| u32_at(data, at)).is_some_and(|low| low > MOST_FLAGS)
    })
}

fn entry_of_table(
    data: &[u8],
    at: usize,
    step: usize,
    wide: bool,
    sized: bool,
) -> Option<(Entry, usize)> {
    let entry = piece(data, at, step)?;
    let length = usize::from(u16_at(entry, 0)?);
    let (offset, rest) = if wide {
        (usize::try_from(u64_at(entry, 8)?).ok()?, entry.get(16..)?)
    } else {
        (size(u32_at(entry, 4)?), entry.get(8..)?)
    };
    let entry = Entry {
        path: utf16(piece(data, offset, length)?),
        modified: u64_at(rest, 0)?,
        updated: 0,
        size: if sized { u64_at(rest, 8) } else { None },
        executed: if sized { None } else { u32_at(rest, 8).map(|flags| flags & EXECUTED != 0) },
    };
    Some((entry, at.checked_add(step)?))
}

/// Whether entries with marks of their own begin at `first`; an empty cache has none.
fn is_chain(data: &[u8], first: usize) -> bool {
    data.len() == first || matches!(piece(data, first, 4), Some(b"00ts" | b"10ts"))
}

fn chain(data: &[u8], first: usize, flagged: bool) -> (Vec<Entry>, Option<String>) {
    let mut entries = Vec::new();
    let mut at = first;
    while at < data.len() && entries.len() < MAX_ENTRIES {
        let marked = matches!(piece(data, at, 4), Some(b"00ts" | b"10ts"));
        let length = at.checked_add(8).and_then(|n| u32_at(data, n)).map(size).filter(|_| marked);
        let start = at.saturating_add(12);
        let Some(body) = length.and_then(|length| piece(data, start, length)) else {
            // Windows may keep room for more.
            let empty = data.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
            return (entries, (!empty).then(|| format!("no entry at byte {at:#x}")));
        };
        let entry = if flagged { flagged_entry(body) } else { plain_entry(body) };
        let Some(entry) = entry else {
            return (entries, Some(format!("entry at byte {at:#x} cannot be read")));
        };
        entries.push(entry);
        at = start.saturating_add(body.len());
    }
    (entries, None)
}

/// An entry of Windows 10 and 11.
fn plain_entry(body: &[u8]) -> Option<Entry> {
    let (path, at) = text(body, 0)?;
    Some(Entry { path, modified: u64_at(body, at)?, ..Entry::default() })
}

/// An entry of Windows 8; whether it has room for a package shows in what follows. A
/// packaged app has its name there and no path.
fn flagged_entry(body: &[u8]) -> Option<Entry> {
    let (mut path, at) = text(body, 0)?;
    let fits = |at: usize| {
        let rest = at.checked_add(20)?;
        let stored = size(u32_at(body, at.checked_add(16)?)?);
        (rest.checked_add(stored)? == body.len()).then_some(at)
    };
    let package = text(body, at).and_then(|(package, at)| Some((package, fits(at)?)));
    let at = match package {
        Some((package, at)) => {
            if path.is_empty() {
                path = package;
            }
            at
        }
        None => fits(at)?,
    };
    let executed = Some(u32_at(body, at)? & EXECUTED != 0);
    Some(Entry { path, modified: u64_at(body, at.checked_add(8)?)?, executed, ..Entry::default() })
}

/// A text after its length, and where it ends.
fn text(body: &[u8], at: usize) -> Option<(String, usize)> {
    let length = usize::from(u16_at(body, at)?);
    let start = at.checked_add(2)?;
    Some((utf16(piece(body, start, length)?), start.checked_add(length)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: u64 = 133_552_296_000_000_000;

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    /// A table of one entry for `C:\x.exe`; `last` follows its time.
    fn table(magic: u32, first: usize, bits: usize, last: &[u8]) -> Vec<u8> {
        let path = wide(r"C:\x.exe");
        let length = u16::try_from(path.len()).unwrap().to_le_bytes();
        let mut data = [magic.to_le_bytes(), 1u32.to_le_bytes()].concat();
        data.resize(first, 0);
        data.extend([length, length].concat());
        let rest = 8 + last.len();
        if bits == 64 {
            let offset = u64::try_from(data.len() + 12 + rest).unwrap();
            data.extend([&[0; 4][..], &offset.to_le_bytes()].concat());
        } else {
            data.extend(u32::try_from(data.len() + 4 + rest).unwrap().to_le_bytes());
        }
        data.extend([&TIME.to_le_bytes()[..], last, &path].concat());
        data
    }

    fn chained(first: usize, mark: &[u8], body: &[u8]) -> Vec<u8> {
        let mut data = u32::try_from(first).unwrap().to_le_bytes().to_vec();
        data.resize(first, 0);
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        data.extend([mark, &[0; 4], &length, body].concat());
        data
    }

    fn xp() -> Vec<u8> {
        let mut data = [0xDEAD_BEEFu32.to_le_bytes(), 1u32.to_le_bytes()].concat();
        data.resize(400, 0);
        let mut path = wide(r"C:\x.exe");
        path.resize(528, 0);
        data.extend([path, TIME.to_le_bytes().to_vec(), vec![9, 0, 0, 0, 0, 0, 0, 0]].concat());
        data.extend(TIME.to_le_bytes());
        data
    }

    /// Version, value, executed, the file's size.
    type Sample = (&'static str, Vec<u8>, Option<bool>, Option<u64>);

    #[test]
    fn every_version_is_read() {
        let path = [&[16, 0][..], &wide(r"C:\x.exe")].concat();
        let (time, no_data) = (TIME.to_le_bytes(), [0; 4]);
        let flags = [2, 0, 0, 0, 0, 0, 0, 0];
        let v8 = [&path[..], &flags, &time, &no_data].concat();
        let v81 = [&path[..], &[0, 0], &flags, &time, &no_data].concat();
        let v10 = [&path[..], &time, &no_data].concat();
        let size = [0, 0, 1, 0, 0, 0, 0, 0];
        let samples: [Sample; 11] = [
            ("XP", xp(), None, Some(9)),
            ("2003", table(0xBADC_0FFE, 8, 32, &size), None, Some(65536)),
            ("2003 x64", table(0xBADC_0FFE, 8, 64, &size), None, Some(65536)),
            ("Vista", table(0xBADC_0FFE, 8, 32, &flags), Some(true), None),
            ("Vista x64", table(0xBADC_0FFE, 8, 64, &[0; 8]), Some(false), None),
            ("7", table(0xBADC_0FEE, 128, 32, &[&flags[..], &[0; 8]].concat()), Some(true), None),
            (
                "7 x64",
                table(0xBADC_0FEE, 128, 64, &[&flags[..], &[0; 16]].concat()),
                Some(true),
                None,
            ),
            ("8.0", chained(0x80, b"00ts", &v8), Some(true), None),
            ("8.1", chained(0x80, b"10ts", &v81), Some(true), None),
            ("10", chained(0x30, b"10ts", &v10), None, None),
            ("11", chained(0x34, b"10ts", &v10), None, None),
        ];
        for (version, data, executed, size) in samples {
            let (all, why) = entries(&data);
            assert_eq!(why, None, "{version}");
            let [entry] = all.as_slice() else { panic!("{version}: {all:?}") };
            assert_eq!((entry.path.as_str(), entry.modified), (r"C:\x.exe", TIME), "{version}");
            assert_eq!((entry.executed, entry.size), (executed, size), "{version}");
            for end in 1..data.len() {
                let (all, why) = entries(&data[..end]);
                assert!(all.len() <= 1 && (all.len() == 1 || why.is_some() || end <= 128));
            }
        }
    }

    #[test]
    fn what_is_no_cache_is_told() {
        assert_eq!(entries(&[1, 2, 3, 4, 5]).1.as_deref(), Some("of an unknown kind (0x4030201)"));
        let many = [0xBADC_0FEEu32.to_le_bytes(), u32::MAX.to_le_bytes()].concat();
        assert!(entries(&many).1.is_some());
    }

    #[test]
    fn a_packaged_app_has_a_name_and_a_version() {
        let path = "00000009\t0003000800000000\t000a00003ad70000\t8664\tngrok.ngrok\t1g87\t";
        assert_eq!(package(path), Some(("ngrok.ngrok_1g87".to_owned(), "3.8.0.0".to_owned())));
        assert_eq!(package(r"C:\x.exe"), None);
    }
}
