//! EWF, the Expert Witness format, in one or many segment files: E01 as EnCase 1 to 7,
//! FTK Imager, linen and SMART (`.s01`) write it, and version 2, Ex01, of EnCase 7 on.
//!
//! A segment of an E01 is a 13-byte header and a chain of sections. The `volume` section gives
//! the geometry, each `table` (with its copy `table2`) where chunks of the disk lie
//! in the `sectors` section before it: deflated with a zlib wrapping, or stored with
//! an Adler-32 behind. The layout is described in libewf's documentation of the
//! format; checked against ewfacquire, ewfexport and ewfverify.
//!
//! What is lost is known by place: chunks of a missing segment or of a table damaged
//! in both copies cannot be read; those of later segments are counted from the end.

mod ex01;
mod head;
mod section;
mod table;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cache::{Cache, TABLE_CACHE_BYTES, copy, read_blocks};
use super::inflate::{Inflater, Wrapping, adler32, begins_as_bzip2, bunzip2};
use super::log::Log;
use super::parts::Parts;
use super::series::Place;
use super::{ContainerError, Context, HashKind, Opened, StoredHash, hex};
use crate::model::ReadAt;
pub(super) use head::begins_as_segment;
use head::{Head, Version};
use section::{Segment, Volume};
use table::{Access, Chunk, Form, PAGE_BYTES, Table};

/// Of chunks beyond it is not noted whether they were unpacked before.
const MAX_COUNTED: u64 = 1 << 26;

/// An image; chunks are inflated by the threads that read.
struct Ewf {
    parts: Parts,
    log: Log,
    /// Bytes of the disk and of one chunk.
    size: u64,
    chunk: u64,
    /// By first chunk.
    tables: Vec<Table>,
    /// Why chunks that no table holds are not there.
    gap: String,
    chunks: Cache,
    /// A bit for each chunk that was unpacked.
    met: Vec<AtomicU64>,
    inflater: Inflater,
    pages: Cache,
}

/// Opens an image by its first segment.
///
/// # Errors
///
/// When it is not the first segment, is encrypted, or no segment holds a usable geometry.
pub(super) fn open(path: &Path, context: &Context) -> Result<Opened, ContainerError> {
    let mut parts = Parts::one(path)?;
    let log = &context.log;
    let head = Head::read(&parts, 0)?;
    let place = Place::of_ewf(path);
    if head.number != 1 {
        let first = place.map_or_else(
            || path.to_owned(),
            |place| {
                let files = place.files(path);
                files.get(&1).cloned().unwrap_or_else(|| place.path(path, 1))
            },
        );
        return Err(ContainerError::Continuation { path: path.to_owned(), first });
    }
    let mut segments = vec![head.version.segment(&parts, 0, log)];
    let mut missing = None;
    if let Some(place) = place.filter(|place| place.number == 1) {
        let mut files = place.files(path);
        // `x.RAW` beside `x.E01` bears a segment's name and is none.
        files.retain(|_, file| head.version.begins(file));
        let last = files.keys().next_back().copied().unwrap_or(1);
        for number in 2..=last {
            let mut found = None;
            if let Some(next) = files.remove(&number) {
                found = add(&mut parts, &next, &Head { number, ..head }, log);
            }
            match found {
                Some(file) => segments.push(head.version.segment(&parts, file, log)),
                None => {
                    let name = place.path(path, number);
                    log.note(&name, None, "segment is missing");
                    missing.get_or_insert_with(|| name.display().to_string());
                    segments.push(Segment::missing());
                }
            }
        }
        if segments.last().is_some_and(|segment| segment.goes_on) {
            let name = place.path(path, last.saturating_add(1));
            log.note(&name, None, "segment is missing");
            missing.get_or_insert_with(|| name.display().to_string());
        }
    } else if segments.last().is_some_and(|segment| segment.goes_on) {
        let message = "more segments follow, and its name does not tell theirs";
        log.note(path, None, message);
    }
    finish(head.version, parts, segments, missing, log)
}

/// Adds a segment file if it is the one that its name says.
fn add(parts: &mut Parts, path: &Path, wanted: &Head, log: &Log) -> Option<usize> {
    let found = parts.add(path).and_then(|file| Ok((file, Head::read(parts, file)?)));
    match found {
        Ok((file, found)) if found == *wanted => Some(file),
        Ok((_, Head { number, .. })) => {
            let message = if number == wanted.number {
                "is a segment of another image by its header".to_owned()
            } else {
                let by_name = wanted.number;
                format!("is segment {number} by its header, {by_name} by its name")
            };
            log.note(path, None, message);
            None
        }
        Err(error) => {
            log.note(path, None, error.to_string());
            None
        }
    }
}

fn finish(
    version: Version,
    parts: Parts,
    segments: Vec<Segment>,
    missing: Option<String>,
    log: &Log,
) -> Result<Opened, ContainerError> {
    let path = parts.path(0).to_owned();
    let path = path.as_path();
    if segments.iter().any(|segment| segment.encrypted) {
        let what = "encrypted: not read, have EnCase write it without";
        return Err(ContainerError::unsupported(path, version.name(), what));
    }
    let volume = segments.iter().find_map(|segment| segment.volume.clone());
    let Some(Volume { chunk, size }) = volume else {
        return Err(version.no_volume(path));
    };
    let mut stored: Vec<StoredHash> = Vec::new();
    for segment in &segments {
        let hashes = [
            (HashKind::Md5, segment.md5.map(|h| hex(&h))),
            (HashKind::Sha1, segment.sha1.map(|h| hex(&h))),
        ];
        for (kind, hash) in hashes {
            stored.extend(hash.map(|hex| StoredHash { kind, hex }));
        }
    }
    stored.sort();
    stored.dedup();
    let ended = segments.last().is_some_and(|segment| segment.done);
    let total = size.div_ceil(chunk);
    let (tables, lost) = match version {
        Version::One => table::place(segments, total, ended),
        Version::Two => table::sort(segments, total, &parts, log),
    };
    let gap = match missing {
        Some(name) => format!("{name} is missing"),
        None => format!("{} is damaged or cut short", path.display()),
    };
    if lost > 0 {
        let message = format!("{lost} of {total} chunks of {chunk} bytes cannot be found: {gap}");
        log.note(path, None, message);
    }
    let chunk_len = usize::try_from(chunk).unwrap_or(usize::MAX);
    let paths = parts.paths();
    let ewf = Ewf {
        parts,
        log: log.clone(),
        size,
        chunk,
        tables,
        gap,
        chunks: Cache::of_chunks(chunk_len),
        met: (0..total.min(MAX_COUNTED) / 64 + 1).map(|_| AtomicU64::new(0)).collect(),
        inflater: Inflater::new(Wrapping::Zlib),
        pages: Cache::new(TABLE_CACHE_BYTES, PAGE_BYTES),
    };
    Ok(Opened { disk: Arc::new(ewf), format: version.name(), parts: paths, stored, identity: None })
}

impl Ewf {
    /// The data of a chunk, checked.
    fn load(&self, number: u64) -> io::Result<Vec<u8>> {
        let after = self.tables.partition_point(|table| table.first_chunk <= number);
        let table =
            after.checked_sub(1).and_then(|at| self.tables.get(at).map(|table| (at, table)));
        let within = table.and_then(|(_, table)| number.checked_sub(table.first_chunk));
        let (Some((at, table)), Some(within)) = (table, within) else {
            return Err(self.lost(number));
        };
        if within >= table.count {
            return Err(self.lost(number));
        }
        let access = Access { parts: &self.parts, pages: &self.pages, log: &self.log };
        let chunk = table.chunk(at, within, &access)?;
        self.unpack(number, &chunk).map_err(|error| {
            let path = self.parts.path(chunk.file);
            let message = format!("chunk {number} at {:#x}: {error}", chunk.offset);
            self.log.note(path, Some(chunk.offset), format!("chunk {number}: {error}"));
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {message}", path.display()))
        })
    }

    fn lost(&self, number: u64) -> io::Error {
        let message = format!("chunk {number} is in no segment: {}", self.gap);
        io::Error::new(io::ErrorKind::NotFound, message)
    }

    fn count(&self, number: u64) {
        let word = usize::try_from(number / 64).ok().and_then(|at| self.met.get(at));
        let bit = 1u64 << (number % 64);
        let known = word.is_some_and(|word| word.fetch_or(bit, Ordering::Relaxed) & bit != 0);
        self.log.unpacked(known);
    }

    fn unpack(&self, number: u64, chunk: &Chunk) -> Result<Vec<u8>, String> {
        let at = number.saturating_mul(self.chunk);
        let want = usize::try_from(self.size.saturating_sub(at).min(self.chunk))
            .map_err(|error| error.to_string())?;
        let full = usize::try_from(self.chunk).map_err(|error| error.to_string())?;
        // Neither way to pack makes a block longer than itself by more than this.
        let longest = match chunk.form {
            Form::Pattern(bytes) => return Ok(bytes.into_iter().cycle().take(want).collect()),
            Form::Packed => full.saturating_add(full / 8).saturating_add(1024),
            Form::Stored { .. } => full.saturating_add(4),
        };
        let len = usize::try_from(chunk.len).unwrap_or(usize::MAX).min(longest);
        let bytes = self.parts.bytes(chunk.file, chunk.offset, len).map_err(|e| e.to_string())?;
        let mut data = match chunk.form {
            Form::Stored { checked: true } => stored(bytes, want)?,
            Form::Stored { checked: false } | Form::Pattern(_) => bytes,
            Form::Packed => {
                self.count(number);
                if begins_as_bzip2(&bytes) {
                    bunzip2(&bytes, full)?
                } else {
                    self.inflater.inflate(&bytes, full)?
                }
            }
        };
        if data.len() < want {
            return Err(format!("holds {} bytes of {want}", data.len()));
        }
        data.truncate(want);
        Ok(data)
    }
}

/// A chunk as it is, its checksum behind. The last one of a disk may be as short as
/// the disk or padded to a whole chunk.
fn stored(mut bytes: Vec<u8>, want: usize) -> Result<Vec<u8>, String> {
    let check = |len: usize| {
        let data = bytes.get(..len)?;
        let sum = super::bytes::le32(&bytes, len)?;
        Some(adler32(data) == sum)
    };
    let whole = bytes.len().saturating_sub(4);
    let len = [want, whole].into_iter().find(|len| check(*len) == Some(true));
    let Some(len) = len else {
        return Err(match check(want) {
            None => {
                format!("stored chunk has {} bytes, {want} and a checksum are wanted", bytes.len())
            }
            Some(_) => "checksum of stored chunk is wrong".to_owned(),
        });
    };
    bytes.truncate(len);
    Ok(bytes)
}

impl ReadAt for Ewf {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        read_blocks((self.size, self.chunk), offset, buf, |number, within, to| {
            let data = self.chunks.get(number, || self.load(number))?;
            copy(&data, within, to);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
