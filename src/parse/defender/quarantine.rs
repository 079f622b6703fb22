//! Entries of Defender's quarantine: what was locked away, from where, when.
//!
//! Three parts, each encrypted with RC4 and the same key in every installation:
//!
//! ```text
//! head  = 40 bytes, u32 length of the first section, u32 of the second, 12 bytes
//! first = GUID, GUID of the scan, FILETIME, u64 threat, u32 1, threat's name (UTF-8, zero)
//! second= u32 entries, u32 offset of each; entry = path (UTF-16, zero), u16 fields,
//!         kind (UTF-8, zero), { field }
//! field = (at a multiple of 4) u16 length, u16 type (4 bits) and meaning (12 bits), content
//! ```
//! Source: public descriptions of the format by analysts, and the reader of dissect.target.

use super::super::bytes::{piece, u16_at, u32_at, u64_at, utf16};
use crate::model::{Damage, Locator, Moment, Record, Sink, Value};
use crate::parse::ParseError;

const FORMAT: &str = "Defender quarantine entry";
const HEAD_BYTES: usize = 60;
/// Things of one entry that are told.
const MAX_RESOURCES: usize = 256;
/// Fields of one thing that are read.
const MAX_FIELDS: u16 = 64;
/// Meanings of fields.
const PHYSICAL_PATH: u16 = 0x0c;
const CREATED: u16 = 0x0f;
const WRITTEN: u16 = 0x11;

#[rustfmt::skip]
const KEY: [u8; 256] = [
    0x1e, 0x87, 0x78, 0x1b, 0x8d, 0xba, 0xa8, 0x44, 0xce, 0x69, 0x70, 0x2c, 0x0c, 0x78, 0xb7, 0x86,
    0xa3, 0xf6, 0x23, 0xb7, 0x38, 0xf5, 0xed, 0xf9, 0xaf, 0x83, 0x53, 0x0f, 0xb3, 0xfc, 0x54, 0xfa,
    0xa2, 0x1e, 0xb9, 0xcf, 0x13, 0x31, 0xfd, 0x0f, 0x0d, 0xa9, 0x54, 0xf6, 0x87, 0xcb, 0x9e, 0x18,
    0x27, 0x96, 0x97, 0x90, 0x0e, 0x53, 0xfb, 0x31, 0x7c, 0x9c, 0xbc, 0xe4, 0x8e, 0x23, 0xd0, 0x53,
    0x71, 0xec, 0xc1, 0x59, 0x51, 0xb8, 0xf3, 0x64, 0x9d, 0x7c, 0xa3, 0x3e, 0xd6, 0x8d, 0xc9, 0x04,
    0x7e, 0x82, 0xc9, 0xba, 0xad, 0x97, 0x99, 0xd0, 0xd4, 0x58, 0xcb, 0x84, 0x7c, 0xa9, 0xff, 0xbe,
    0x3c, 0x8a, 0x77, 0x52, 0x33, 0x55, 0x7d, 0xde, 0x13, 0xa8, 0xb1, 0x40, 0x87, 0xcc, 0x1b, 0xc8,
    0xf1, 0x0f, 0x6e, 0xcd, 0xd0, 0x83, 0xa9, 0x59, 0xcf, 0xf8, 0x4a, 0x9d, 0x1d, 0x50, 0x75, 0x5e,
    0x3e, 0x19, 0x18, 0x18, 0xaf, 0x23, 0xe2, 0x29, 0x35, 0x58, 0x76, 0x6d, 0x2c, 0x07, 0xe2, 0x57,
    0x12, 0xb2, 0xca, 0x0b, 0x53, 0x5e, 0xd8, 0xf6, 0xc5, 0x6c, 0xe7, 0x3d, 0x24, 0xbd, 0xd0, 0x29,
    0x17, 0x71, 0x86, 0x1a, 0x54, 0xb4, 0xc2, 0x85, 0xa9, 0xa3, 0xdb, 0x7a, 0xca, 0x6d, 0x22, 0x4a,
    0xea, 0xcd, 0x62, 0x1d, 0xb9, 0xf2, 0xa2, 0x2e, 0xd1, 0xe9, 0xe1, 0x1d, 0x75, 0xbe, 0xd7, 0xdc,
    0x0e, 0xcb, 0x0a, 0x8e, 0x68, 0xa2, 0xff, 0x12, 0x63, 0x40, 0x8d, 0xc8, 0x08, 0xdf, 0xfd, 0x16,
    0x4b, 0x11, 0x67, 0x74, 0xcd, 0x0b, 0x9b, 0x8d, 0x05, 0x41, 0x1e, 0xd6, 0x26, 0x2e, 0x42, 0x9b,
    0xa4, 0x95, 0x67, 0x6b, 0x83, 0x98, 0xdb, 0x2f, 0x35, 0xd3, 0xc1, 0xb9, 0xce, 0xd5, 0x26, 0x36,
    0xf2, 0x76, 0x5e, 0x1a, 0x95, 0xcb, 0x7c, 0xa4, 0xc3, 0xdd, 0xab, 0xdd, 0xbf, 0xf3, 0x82, 0x53,
];

/// The three parts of an entry in clear; `None` if the lengths do not fit.
fn parts(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let head = rc4(bytes.get(..HEAD_BYTES)?);
    let length = |at: usize| usize::try_from(u32_at(&head, at)?).ok();
    let first = piece(bytes, HEAD_BYTES, length(40)?)?;
    let at = HEAD_BYTES.checked_add(first.len())?;
    let second = bytes.get(at..)?;
    let second = second.get(..length(44)?).unwrap_or(second);
    Some((rc4(first), rc4(second)))
}

/// The text in clear (or the other way round).
fn rc4(bytes: &[u8]) -> Vec<u8> {
    let mut state: Vec<u8> = (0..=u8::MAX).collect();
    let mut j = 0u8;
    for (i, key) in (0..=u8::MAX).zip(KEY) {
        j = j.wrapping_add(at(&state, i)).wrapping_add(key);
        state.swap(usize::from(i), usize::from(j));
    }
    let (mut i, mut j) = (0u8, 0u8);
    let mut next = || {
        i = i.wrapping_add(1);
        j = j.wrapping_add(at(&state, i));
        state.swap(usize::from(i), usize::from(j));
        at(&state, at(&state, i).wrapping_add(at(&state, j)))
    };
    bytes.iter().map(|byte| byte ^ next()).collect()
}

fn at(state: &[u8], index: u8) -> u8 {
    state.get(usize::from(index)).copied().unwrap_or_default()
}

/// One thing that was locked away.
#[derive(Default)]
struct Resource {
    path: String,
    kind: String,
    times: Vec<Moment>,
}

/// Tells each thing that the entry in `bytes` locked away.
///
/// # Errors
///
/// When it is no entry.
pub(super) fn read(bytes: &[u8], sink: &mut dyn Sink) -> Result<(), ParseError> {
    let foreign =
        || ParseError::Foreign { format: FORMAT, found: format!("{} bytes", bytes.len()) };
    let (first, second) = parts(bytes).ok_or_else(foreign)?;
    let at = u64_at(&first, 32).and_then(|at| Moment::of_filetime(at, "Quarantined"));
    let name = first.get(52..).and_then(text).ok_or_else(foreign)?;
    if at.as_ref().is_none_or(|moment| moment.at.is_none()) {
        return Err(foreign());
    }
    let count = u32_at(&second, 0).and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let mut told = 0usize;
    for n in 0..count.min(MAX_RESOURCES) {
        let offset = u32_at(&second, n.saturating_add(1).saturating_mul(4));
        let resource = offset.and_then(|offset| resource(&second, usize::try_from(offset).ok()?));
        let Some(resource) = resource else { continue };
        told = told.saturating_add(1);
        let mut record = Record::new("antivirus_log", Locator::Offset(n as u64));
        record.push("ThreatName", name.as_str());
        if resource.kind.ends_with("file") {
            let path = resource.path.split("->").next().unwrap_or_default();
            record.push("Image", path);
            record.push("Path", path);
        }
        let whole = format!("{}:{}", resource.kind, resource.path);
        record.push("Resources", Value::List(vec![whole]));
        record.push("Action", "quarantined");
        record.times.extend(at.clone());
        record.times.extend(resource.times);
        if sink.record(record).is_break() {
            return Ok(());
        }
    }
    if told < count {
        sink.damaged(Damage {
            locator: None,
            message: format!("{FORMAT}: {told} of {count} things could be read"),
            lost: true,
        });
    }
    Ok(())
}

/// The UTF-8 text at the start of these bytes, up to a zero.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    String::from_utf8(bytes.get(..end)?.to_vec()).ok()
}

fn resource(bytes: &[u8], start: usize) -> Option<Resource> {
    let rest = bytes.get(start..)?;
    let (units, _) = rest.as_chunks::<2>();
    let length = units.iter().position(|unit| *unit == [0, 0])?.checked_mul(2)?;
    let mut found = Resource { path: utf16(rest.get(..length)?), ..Resource::default() };
    let mut at = start.checked_add(length)?.checked_add(2)?;
    let fields = u16_at(bytes, at)?.min(MAX_FIELDS);
    at = at.checked_add(2)?;
    found.kind = text(bytes.get(at..)?)?;
    at = at.checked_add(found.kind.len())?.checked_add(1)?;
    for _ in 0..fields {
        at = at.checked_next_multiple_of(4)?;
        let field = u16_at(bytes, at).zip(u16_at(bytes, at.checked_add(2)?));
        let Some((length, meaning)) = field else { break };
        let start = at.checked_add(4)?;
        let Some(content) = piece(bytes, start, usize::from(length)) else { break };
        let time = |meaning| Moment::of_filetime(u64_at(content, 0)?, meaning);
        match meaning & 0x0fff {
            PHYSICAL_PATH => found.path = utf16(content).trim_end_matches('\0').to_owned(),
            CREATED => found.times.extend(time("File Created (Before Quarantine)")),
            WRITTEN => found.times.extend(time("File Modified (Before Quarantine)")),
            _ => {}
        }
        at = start.checked_add(content.len())?;
    }
    Some(found)
}
