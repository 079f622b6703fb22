//! A zip file that opens while it is written.
//!
//! | part | |
//! |---|---|
//! | members | as they are written |
//! | gap | room for the next ones; from older directories and zeros |
//! | directory | of the members that are whole |
//! | end record | its comment says that the file is unfinished, and up to where it is whole |
//!
//! Before bytes would reach the directory, a new one is put behind it, and the old one is
//! room from then on. So a run that is killed, or whose stick is pulled, leaves a file
//! that every zip tool opens. Once finished, the file is cut behind its own directory.
//!
//! Layouts: APPNOTE 6.3.10, sections 4.3.7, 4.3.12 to 4.3.16, 4.5.3.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::super::fresh::Fresh;

/// What the comment of an unfinished file begins with; an offset follows.
const MARK: &str = "unfinished: adit was still writing; whole up to byte ";
/// Digits of the offset in the comment.
const MARK_DIGITS: usize = 20;

/// Room before the directory, at least; bytes. More where the directory is long.
const ROOM: u64 = 512 << 10;
/// The directory may be this part of what is written.
const ROOM_PER_DIRECTORY: u64 = 4;
/// Bytes of a local header before the name.
const LOCAL_BYTES: usize = 30;
const LOCAL: &[u8] = b"PK\x03\x04";
/// More does not fit into 32 and 16 bits.
const MAX_32: u64 = u32::MAX as u64;
const MAX_16: u64 = u16::MAX as u64;
/// The version of the format that 64-bit sizes need.
const VERSION_64: u16 = 45;
/// A plain file of Unix (high half) that its owner may write, as the members are made.
const PLAIN_FILE: u32 = 0o100_644 << 16;

/// The output file, with its ending.
pub(super) struct Ending {
    file: Fresh,
    /// Where the next byte goes.
    at: u64,
    /// The furthest byte written of members.
    top: u64,
    /// Where the directory in force begins; 0 without one.
    directory: u64,
    /// Bytes of the file.
    size: u64,
    /// Entries of the members that are whole, and how many.
    entries: Vec<u8>,
    count: u64,
    /// End of the last of them.
    whole: u64,
    /// Whether a directory could not be written: then what is there stays as it is.
    failed: bool,
}

/// Up to where an unfinished bundle is whole, from its last bytes; none for another file.
pub fn whole_of(tail: &[u8]) -> Option<u64> {
    let at = memchr::memmem::rfind(tail, MARK.as_bytes())?;
    let digits = tail.get(at.checked_add(MARK.len())?..)?.get(..MARK_DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Ending {
    pub(super) fn new(file: Fresh) -> Self {
        let (entries, count, whole) = (Vec::new(), 0, 0);
        Self { file, at: 0, top: 0, directory: 0, size: 0, entries, count, whole, failed: false }
    }

    /// The file without an ending, for the directory that it got itself.
    pub(super) fn cut(mut self) -> io::Result<Fresh> {
        self.file.cut(self.top)?;
        Ok(self.file)
    }

    fn may_go_on(&self) -> io::Result<()> {
        match self.failed {
            true => Err(io::Error::from(io::ErrorKind::WriteZero)),
            false => Ok(()),
        }
    }

    /// Puts a directory of what is whole behind the present one, with room before it if
    /// the volume has any.
    fn extend(&mut self, needed: u64) -> io::Result<()> {
        self.list()?;
        let listed = self.entries.len() as u64;
        let room = ROOM.max(listed.saturating_mul(ROOM_PER_DIRECTORY));
        let nearest = self.size.max(needed);
        let put = self.put(nearest.saturating_add(room)).or_else(|_| self.put(nearest));
        self.failed = put.is_err();
        put
    }

    fn put(&mut self, directory: u64) -> io::Result<()> {
        let bytes = [&self.entries[..], &self.end_record(directory)].concat();
        if let Err(error) = self.file.put(directory, &bytes) {
            // The present one stays in force.
            let _ = self.file.cut(self.size.max(self.top));
            return Err(error);
        }
        self.file.seek(SeekFrom::Start(self.at))?;
        self.directory = directory;
        self.size = directory.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Takes up members that became whole, by the headers before them.
    fn list(&mut self) -> io::Result<()> {
        while let Some((header, name, extra)) = self.header(self.whole)? {
            let Some(sizes) = sizes(&header, &extra) else { break };
            let data = self.whole.saturating_add((LOCAL_BYTES + name.len() + extra.len()) as u64);
            let end = data.saturating_add(sizes.0);
            // Sizes are filled in when the member is complete; deflate gives two bytes for none.
            if sizes.0 == 0 || end > self.top {
                break;
            }
            entry(&mut self.entries, &header, &name, sizes, self.whole);
            self.count = self.count.saturating_add(1);
            self.whole = end;
        }
        self.file.seek(SeekFrom::Start(self.at)).map(drop)
    }

    /// The header at an offset, its name and extra field, if all is written.
    fn header(&mut self, at: u64) -> io::Result<Option<Header>> {
        if at.saturating_add(LOCAL_BYTES as u64) > self.top {
            return Ok(None);
        }
        self.file.seek(SeekFrom::Start(at))?;
        let mut fixed = [0; LOCAL_BYTES];
        self.file.read_exact(&mut fixed)?;
        let mut name = vec![0; usize::from(u16_at(&fixed, 26))];
        let mut extra = vec![0; usize::from(u16_at(&fixed, 28))];
        let end = at.saturating_add((LOCAL_BYTES + name.len() + extra.len()) as u64);
        if !fixed.starts_with(LOCAL) || end > self.top {
            return Ok(None);
        }
        self.file.read_exact(&mut name)?;
        self.file.read_exact(&mut extra)?;
        Ok(Some((fixed, name, extra)))
    }

    /// What follows the entries that begin at `directory`.
    fn end_record(&self, directory: u64) -> Vec<u8> {
        let length = self.entries.len() as u64;
        let mut out = Vec::new();
        if directory >= MAX_32 || self.count >= MAX_16 {
            let record = directory.saturating_add(length);
            out.extend(b"PK\x06\x06");
            out.extend(44_u64.to_le_bytes());
            out.extend([VERSION_64.to_le_bytes(), VERSION_64.to_le_bytes()].concat());
            out.extend([0; 8]);
            for number in [self.count, self.count, length, directory] {
                out.extend(number.to_le_bytes());
            }
            out.extend(b"PK\x06\x07\0\0\0\0");
            out.extend(record.to_le_bytes());
            out.extend(1_u32.to_le_bytes());
        }
        let comment = format!("{MARK}{:0MARK_DIGITS$}", self.whole);
        out.extend(b"PK\x05\x06\0\0\0\0");
        out.extend([low_16(self.count), low_16(self.count)].concat());
        out.extend([low_32(length), low_32(directory)].concat());
        out.extend(low_16(comment.len() as u64));
        out.extend(comment.as_bytes());
        out
    }
}

type Header = ([u8; LOCAL_BYTES], Vec<u8>, Vec<u8>);

/// Appends the entry of a member: compressed and plain size, and where its header is.
fn entry(
    out: &mut Vec<u8>,
    header: &[u8; LOCAL_BYTES],
    name: &[u8],
    (packed, plain): (u64, u64),
    at: u64,
) {
    let mut large = Vec::new();
    for number in [plain, packed, at].into_iter().filter(|number| *number >= MAX_32) {
        large.extend(number.to_le_bytes());
    }
    if !large.is_empty() {
        large.splice(0..0, [1_u16.to_le_bytes(), low_16(large.len() as u64)].concat());
    }
    out.extend(b"PK\x01\x02");
    // Made on Unix, so that the attributes below are understood.
    out.extend([VERSION_64.to_le_bytes()[0], 3]);
    out.extend(header.get(4..18).unwrap_or_default());
    out.extend([low_32(packed), low_32(plain)].concat());
    out.extend([low_16(name.len() as u64), low_16(large.len() as u64)].concat());
    // No comment, the first disk, no kind.
    out.extend([0; 6]);
    out.extend(PLAIN_FILE.to_le_bytes());
    out.extend(low_32(at));
    out.extend(name);
    out.extend(large);
}

/// Compressed and plain size, as a header or its extra field says them.
fn sizes(header: &[u8], extra: &[u8]) -> Option<(u64, u64)> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(*header.get(at..)?.first_chunk()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(*extra.get(at..)?.first_chunk()?));
    let (packed, plain) = (u64::from(u32_at(18)?), u64::from(u32_at(22)?));
    match packed == MAX_32 || plain == MAX_32 {
        // The writer puts the field of sizes first.
        true => extra.starts_with(&[1, 0]).then_some((u64_at(12)?, u64_at(4)?)),
        false => Some((packed, plain)),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk()).copied();
    found.map(u16::from_le_bytes).unwrap_or_default()
}

/// The number, or all ones where a larger field holds it.
fn low_32(number: u64) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

fn low_16(number: u64) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes()
}

impl Write for Ending {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.may_go_on()?;
        let end = self.at.saturating_add(buf.len() as u64);
        if end > self.directory {
            self.extend(end)?;
        }
        let n = self.file.write(buf)?;
        self.at = self.at.saturating_add(n as u64);
        self.top = self.top.max(self.at);
        Ok(n)
    }

    /// Everything that is whole is listed and on the disk then.
    fn flush(&mut self) -> io::Result<()> {
        self.may_go_on()?;
        let listed = self.whole;
        self.list()?;
        if self.whole > listed {
            self.extend(self.at)?;
        }
        self.file.flush()
    }
}

impl Seek for Ending {
    /// The end is that of the members.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.may_go_on()?;
        let to = match to {
            SeekFrom::End(by) => SeekFrom::Start(self.top.saturating_add_signed(by)),
            SeekFrom::Current(by) => SeekFrom::Start(self.at.saturating_add_signed(by)),
            start => start,
        };
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        Ok(self.at)
    }
}
