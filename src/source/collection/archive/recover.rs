//! The members of a zip file that lost its directory, by the headers before
//! them: a stick pulled out, a disk that was full.
//!
//! A header either says how long its member is, or (flag 8) a descriptor after
//! the data does; then the data is inflated once to find its end. A size of zero
//! without that flag is one that the writer had no time to fill in.
//!
//! ```text
//! descriptor (4.3.9)   0 "PK\7\8" (may be missing)   4 crc   8 packed   12 size   (8 bytes each in zip64)
//! ```

use std::io;
use std::sync::Arc;

use super::header::{Header, u32_at};
use super::stream::{State, Stream, Wrapping, read_full};
use super::zip::MAX_MEMBERS;
use crate::model::{Problem, ReadAt};
use crate::source::collection::tree::met;

/// The longest local header.
const MAX_LOCAL_BYTES: usize = 30 + 2 * 65_535;
/// Bytes looked through at once for a descriptor.
const SEARCH_BYTES: usize = 1 << 20;
/// Bytes inflated in all to find where members end.
const MAX_INFLATED_BYTES: u64 = 256 << 30;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// The members, up to where the archive was cut off; and what was lost.
///
/// # Errors
///
/// Of reading.
pub(super) fn headers(
    source: &Arc<dyn ReadAt>,
    problems: &mut Vec<Problem>,
) -> io::Result<Vec<Header>> {
    let size = source.size();
    let mut out: Vec<Header> = Vec::new();
    let mut at = 0_u64;
    let mut inflated = 0_u64;
    let mut bytes = vec![0; MAX_LOCAL_BYTES];
    let stop = loop {
        let n = read_full(&**source, at, &mut bytes)?;
        let here = bytes.get(..n).unwrap_or_default();
        let Some((mut header, length)) = Header::local(here) else {
            break match here.first_chunk::<4>() {
                Some(b"PK\x03\x04") | None => format!("the header at offset {at} is cut off"),
                Some(b"PK\x01\x02" | b"PK\x05\x06" | b"PK\x06\x06") => {
                    "every member is there".to_owned()
                }
                Some(_) => format!("at offset {at} there is no header"),
            };
        };
        if out.len() >= MAX_MEMBERS {
            break format!("more than {MAX_MEMBERS} members");
        }
        header.offset = at;
        let data = at.saturating_add(length as u64);
        let unknown = header.packed == 0 && (header.is_streamed() || header.method == DEFLATED);
        let next = if unknown {
            find_end(source, &mut header, data, &mut inflated)?
        } else {
            Some(data.saturating_add(header.packed)).filter(|next| *next <= size)
        };
        match next {
            Some(next) => {
                at = next;
                out.push(header);
            }
            None => {
                let name = header.name.clone();
                let left = size.saturating_sub(data);
                let stored = header.method == STORED && !header.is_encrypted();
                if !unknown && !header.is_encrypted() {
                    header.packed = left;
                    header.size = if stored { left } else { inflated_size(source, data) };
                    header.cut = true;
                }
                if header.cut && header.size > 0 {
                    let size = header.size;
                    out.push(header);
                    break format!("{name} is cut off: its first {size} bytes are read");
                }
                break format!("{name} is cut off and lost");
            }
        }
    };
    let message = format!(
        "the archive lost its directory: {} members found by their own headers; {stop}",
        out.len()
    );
    problems.push(met(None, message));
    Ok(out)
}

/// Fills in what the header leaves open and returns where the next one is;
/// `None` when the member is not whole.
fn find_end(
    source: &Arc<dyn ReadAt>,
    header: &mut Header,
    data: u64,
    inflated: &mut u64,
) -> io::Result<Option<u64>> {
    if header.is_encrypted() || header.method == STORED {
        return find_descriptor(source, header, data);
    }
    if header.method != DEFLATED {
        return Ok(None);
    }
    let mut magic = [0; 4];
    let n = read_full(&**source, data, &mut magic)?;
    if !header.is_streamed() && (n == 0 || magic.starts_with(b"PK\x03\x04")) {
        return Ok((n > 0).then_some(data)); // an empty file, or one begun and not written
    }
    let stream = stream(source, data);
    let mut state = State::start(&stream);
    let mut buffer = vec![0; SEARCH_BYTES];
    while !state.done && *inflated < MAX_INFLATED_BYTES {
        let (n, error) = state.fill(&stream, &mut buffer);
        *inflated = inflated.saturating_add(n as u64);
        if error.is_some() || n == 0 {
            break;
        }
    }
    header.packed = state.input().saturating_sub(data);
    header.size = state.output;
    header.crc = state.crc.clone().finalize();
    if !state.done {
        header.cut = true;
        header.packed = source.size().saturating_sub(data);
        return Ok(None);
    }
    if !header.is_streamed() {
        return Ok(Some(state.input()));
    }
    // The descriptor has 12 or 20 bytes, and 4 more with its signature.
    let mut after = [0; 28];
    let n = read_full(&**source, state.input(), &mut after)?;
    let after = after.get(..n).unwrap_or_default();
    let signed: u64 = if after.starts_with(b"PK\x07\x08") { 4 } else { 0 };
    let said = usize::try_from(signed).ok().and_then(|at| u32_at(after, at));
    header.crc = said.unwrap_or(header.crc);
    let next =
        [12_u64, 20].map(|length| state.input().saturating_add(signed).saturating_add(length));
    for at in next {
        let mut magic = [0; 2];
        if read_full(&**source, at, &mut magic)? == 2 && magic == *b"PK" {
            return Ok(Some(at));
        }
    }
    Ok(Some(source.size()))
}

/// Finds the signed descriptor after data of unknown length.
fn find_descriptor(
    source: &Arc<dyn ReadAt>,
    header: &mut Header,
    data: u64,
) -> io::Result<Option<u64>> {
    let mut at = data;
    let mut bytes = vec![0; SEARCH_BYTES];
    loop {
        let n = read_full(&**source, at, &mut bytes)?;
        let here = bytes.get(..n).unwrap_or_default();
        for found in memchr::memmem::find_iter(here, b"PK\x07\x08") {
            let Some(descriptor) = here.get(found..) else { continue };
            let length = at.saturating_add(found as u64).saturating_sub(data);
            for (wide, size) in [(false, 16_u64), (true, 24)] {
                let packed = match wide {
                    false => u32_at(descriptor, 8).map(u64::from),
                    true => super::header::u64_at(descriptor, 8),
                };
                if packed == Some(length) {
                    header.packed = length;
                    header.size = length;
                    header.crc = u32_at(descriptor, 4).unwrap_or_default();
                    return Ok(Some(data.saturating_add(length).saturating_add(size)));
                }
            }
        }
        if n < bytes.len() {
            return Ok(None);
        }
        at = at.saturating_add(n as u64).saturating_sub(24);
    }
}

/// How much of a member that is cut off can still be inflated.
fn inflated_size(source: &Arc<dyn ReadAt>, data: u64) -> u64 {
    let stream = stream(source, data);
    let mut state = State::start(&stream);
    let mut buffer = vec![0; SEARCH_BYTES];
    while !state.done {
        let (n, error) = state.fill(&stream, &mut buffer);
        if error.is_some() || n == 0 {
            break;
        }
    }
    state.output
}

fn stream(source: &Arc<dyn ReadAt>, data: u64) -> Stream {
    Stream { source: Arc::clone(source), start: data, end: source.size(), wrapping: Wrapping::Raw }
}
