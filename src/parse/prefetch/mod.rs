//! Prefetch files (`C:\Windows\Prefetch\NAME.EXE-HASH.pf`): which program ran, how
//! often, when last, and which files it touched in its first ten seconds.
//!
//! Versions 17 (XP), 23 (Vista, 7), 26 (8), 30 (10) and 31 (11), the last two usually
//! packed. Proves execution; the files that it touched betray a renamed program by
//! the configuration and libraries that it loaded.
//!
//! ```text
//! packed = "MAM" algorithm:u8 size:u32 [crc:u32] XPRESS     algorithm 4; 0x84: with crc
//! file   = version:u32 "SCCA" ?:u32 size:u32 name:60 hash:u32 ?:u32 information
//! ```
//!
//! Source of the layout: libscca's format documentation; the place of the program's
//! path in versions 30 and 31 from real files, which all show it.

mod layout;

use std::ops::ControlFlow;

use self::layout::{Layout, Volume};
use super::bytes::{u32_at, utf16_text};
use super::offer::{lost, offer, remark};
use super::{ParseError, Parser};
use crate::codec::xpress;
use crate::model::{Damage, Input, Locator, Moment, Record, Sink, Value};

const FORMAT: &str = "prefetch";
/// Larger files are no prefetch files: real ones have some tens of KiB.
const MAX_BYTES: u64 = 16 << 20;
/// Bytes that a packed file may unpack to.
const MAX_UNPACKED: usize = 64 << 20;
/// Characters of the program's name that the header holds.
const NAME_CHARS: usize = 29;
const PACKED: &[u8] = b"MAM";
const XPRESS_HUFFMAN: u8 = 4;
/// Bit of the algorithm's byte: a checksum follows the size.
const CHECKSUM: u8 = 0x80;

/// Reads prefetch files; one `prefetch` record each.
pub struct Prefetch;

impl Parser for Prefetch {
    fn name(&self) -> &'static str {
        "prefetch"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        match start {
            [b'M', b'A', b'M', algorithm, ..] => algorithm & !CHECKSUM == XPRESS_HUFFMAN,
            _ => start.get(4..8) == Some(b"SCCA"),
        }
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let raw = input.read_all(MAX_BYTES)?;
        let unpacked;
        let bytes = if raw.starts_with(PACKED) {
            unpacked = unpack(&raw, sink)?;
            &unpacked
        } else {
            &raw
        };
        let layout = Layout::of(bytes)?;
        let mut faults = Vec::new();
        let record = record(bytes, &layout, input, &mut faults);
        faults.into_iter().for_each(|fault| sink.damaged(fault));
        let _: ControlFlow<()> = offer(record, input, sink);
        Ok(())
    }
}

/// The plain bytes of a packed file.
fn unpack(raw: &[u8], sink: &mut dyn Sink) -> Result<Vec<u8>, ParseError> {
    let broken = |offset, what: String| ParseError::Broken { format: FORMAT, offset, what };
    let algorithm = raw.get(3).copied().unwrap_or_default();
    if algorithm & !CHECKSUM != XPRESS_HUFFMAN {
        return Err(broken(3, format!("packed by algorithm {algorithm:#x}, 4 expected")));
    }
    let size = u32_at(raw, 4).and_then(|size| usize::try_from(size).ok()).unwrap_or_default();
    if size == 0 || size > MAX_UNPACKED {
        return Err(broken(4, format!("unpacks to {size} bytes, {MAX_UNPACKED} are the limit")));
    }
    let start = if algorithm & CHECKSUM == 0 { 8 } else { 12 };
    let packed = raw.get(start..).unwrap_or_default();
    let plain = xpress::decompress(packed, size);
    let plain = plain.or_else(|| {
        // What comes before the damage is read; nearly all of it matters.
        let (part, message) = (xpress::decompress_part(packed, size), "packed data is broken");
        let what = format!("{FORMAT}: {message} after {} of {size} bytes", part.len());
        sink.damaged(lost(start, what));
        (!part.is_empty()).then_some(part)
    });
    plain.ok_or_else(|| broken(start as u64, "nothing can be unpacked".to_owned()))
}

fn record(bytes: &[u8], layout: &Layout, input: &Input<'_>, faults: &mut Vec<Damage>) -> Record {
    let mut record = Record::new("prefetch", Locator::Offset(0));
    let name = utf16_text(bytes.get(16..76).unwrap_or_default());
    let hash = format!("{:08X}", u32_at(bytes, 76).unwrap_or_default());
    let files = layout.files(bytes, faults);
    let path = layout.program(bytes).filter(|path| is_named(path, &name));
    let image = path.or_else(|| among(&files, &name, &hash));
    record.push("Image", image.unwrap_or_else(|| name.clone()));
    record.push("ProgramName", name.as_str());
    record.push("PrefetchHash", hash.as_str());
    match layout.run_count(bytes) {
        Some(count) => record.push("RunCount", i64::from(count)),
        None => {
            faults.push(lost(layout.run_count, format!("{FORMAT}: cut off before its run count")))
        }
    }
    record.push("FormatVersion", i64::from(layout.version));
    let volumes = layout.volumes(bytes, faults);
    if !volumes.is_empty() {
        record.push("Volumes", Value::List(volumes.iter().map(Volume::shown).collect()));
    }
    if !files.is_empty() {
        record.push("LoadedFiles", Value::List(files));
    }
    record.times = run_times(bytes, layout);
    let size = u32_at(bytes, 12).unwrap_or_default();
    if u64::from(size) > bytes.len() as u64 {
        let what = format!("{FORMAT}: {} bytes, its header says {size}", bytes.len());
        faults.push(lost(bytes.len(), what));
    }
    if let Some(other) = called_otherwise(input.name, &name, &hash) {
        record.push("FileNameMismatch", other.as_str());
        faults.push(remark(format!("{FORMAT}: {other}")));
    }
    record
}

/// Last run first, then those before it; slots never used are left out.
fn run_times(bytes: &[u8], layout: &Layout) -> Vec<Moment> {
    let meaning = |slot| match slot {
        0 => "Last Time Executed",
        _ => "Previous Last Time Executed",
    };
    let ticks = layout.run_times(bytes);
    ticks.into_iter().enumerate().filter_map(|(n, t)| Moment::of_filetime(t, meaning(n))).collect()
}

/// Whether the path's last component is the program that the header names, which
/// holds 29 characters of it.
fn is_named(path: &str, name: &str) -> bool {
    let last = path.rsplit('\\').next().unwrap_or_default();
    let cut = name.chars().count() >= NAME_CHARS;
    let last: String = if cut { last.chars().take(NAME_CHARS).collect() } else { last.to_owned() };
    last.eq_ignore_ascii_case(name)
}

/// The program's own path among the files that it touched: of several of its name
/// the one that the hash is of.
fn among(files: &[String], name: &str, hash: &str) -> Option<String> {
    let mut named = files.iter().filter(|path| is_named(path, name));
    let first = named.clone().next()?;
    let fits = named.find(|path| layout::hashes(path).any(|h| format!("{h:08X}") == hash));
    Some(fits.unwrap_or(first).clone())
}

/// What is wrong with the file's name, if it is that of a prefetch file and its
/// content says otherwise.
fn called_otherwise(file: &str, name: &str, hash: &str) -> Option<String> {
    let (stem, ending) = file.rsplit_once('.')?;
    let (said, code) = stem.rsplit_once('-')?;
    let is_code = code.len() == 8 && code.bytes().all(|b| b.is_ascii_hexdigit());
    if !ending.eq_ignore_ascii_case("pf") || !is_code {
        return None;
    }
    let same = said.to_uppercase() == name.to_uppercase() && code.eq_ignore_ascii_case(hash);
    (!same).then(|| format!("the file is called {file}, its content is that of {name}-{hash}"))
}

#[cfg(test)]
mod tests;
