//! Zip archives: what is in them, by the central directory, and what their programs say.
//!
//! Proves what was brought onto the machine under which name. Covers zip64,
//! archives with something in front (self-extracting) and encrypted ones; of an
//! archive that lost its end the local headers are read instead. Members that are stored
//! or deflated and may be programs are looked into. Office documents and Java archives
//! are zips as well. Format: PKWARE APPNOTE 6.3.10.
//!
//! ```text
//! end of central directory (4.3.16)   0 "PK\5\6"  8 entries here  10 entries  12 size  16 offset
//! zip64 locator (4.3.15), 20 before   0 "PK\6\7"  8 offset of the zip64 end record
//! zip64 end record (4.3.14)           0 "PK\6\6" 32 entries  40 size  48 offset
//! central header (4.3.12)             0 "PK\1\2"  8 flags  10 method  12 time  14 date  16 crc  20 packed
//!                                    24 size  28 name  30 extra  32 comment   42 offset of the
//!                                    local header   46 name, extra, comment
//! local header (4.3.7)                0 "PK\3\4"  6 flags   8 method  10 time  12 date  14 crc  18 packed
//!                                    22 size  26 name  28 extra   30 name, extra
//! ```

use std::borrow::Cow;
use std::io::Read;
use std::ops::ControlFlow;

use jiff::tz::TimeZone;

use super::bytes::{piece, read_up_to, u16_at, u32_at, u64_at};
use super::local_time::of_dos;
use super::member::{Described, Programs, may_be_program};
use super::packed::Stream;
use super::{ParseError, Parser};
use crate::model::{
    Damage, Input, Locator, Moment, Precision, ReadAt, Record, Sink, from_filetime, from_unix,
};

/// Members looked at.
const MAX_MEMBERS: u64 = 100_000;
/// Bytes from the end in which the end record can stand (a comment of 65535 bytes).
const END_BYTES: usize = 22 + 65_535 + 20 + 56;
/// Bytes of the directory read at once.
const BLOCK_BYTES: usize = 1 << 20;
/// The longest entry: header, and name, extra field and comment of 65535 bytes each.
const MAX_ENTRY_BYTES: usize = 46 + 3 * 65_535;
const MEANING: &str = "Archive Member Modified";

/// Reads zip archives; an `archive` record for each member whose name matters.
pub struct Zip;

impl Parser for Zip {
    fn name(&self) -> &'static str {
        "zip"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        [&b"PK\x03\x04"[..], b"PK\x05\x06", b"PK\x07\x08"]
            .iter()
            .any(|magic| start.starts_with(magic))
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let start = read_up_to(input.bytes, 0, 4)?;
        let directory = find_directory(input.bytes)?;
        match directory {
            Ok(directory) => read_directory(input, &directory, sink),
            Err(_) if !self.recognizes(&start) => {
                let found = format!("{start:02x?} at its start, no directory at its end");
                Err(ParseError::Foreign { format: "zip", found })
            }
            Err(damage) => {
                sink.damaged(damage);
                read_local_headers(input, sink)
            }
        }
    }
}

/// Where the central directory lies.
struct Directory {
    offset: u64,
    entries: u64,
    /// Bytes in front of the archive, which no offset counts.
    front: u64,
}

fn lost(offset: u64, message: String) -> Damage {
    Damage { locator: Some(Locator::Offset(offset)), message, lost: true }
}

fn find_directory(source: &dyn ReadAt) -> Result<Result<Directory, Damage>, ParseError> {
    let size = source.size();
    let base = size.saturating_sub(END_BYTES as u64);
    let tail = read_up_to(source, base, END_BYTES)?;
    let at = memchr::memmem::rfind(&tail, b"PK\x05\x06");
    let Some((at, end)) = at.and_then(|at| Some((at, piece(&tail, at, 22)?))) else {
        return Ok(Err(lost(size, "zip: no end of central directory; it may be cut off".into())));
    };
    let read = || {
        let entries = u64::from(u16_at(end, 10)?);
        Some((entries, u64::from(u32_at(end, 12)?), u64::from(u32_at(end, 16)?)))
    };
    let (mut entries, mut len, mut offset) = read().unwrap_or_default();
    let mut end_at = base.saturating_add(at as u64);
    if let Some(wide) = zip64_end(source, &tail, at, base)? {
        (entries, len, offset, end_at) = wide;
    }
    // What stands in front of the archive shifts every offset by its length.
    let front = end_at.saturating_sub(offset.saturating_add(len));
    for front in [front, 0] {
        let offset = offset.saturating_add(front);
        let magic = read_up_to(source, offset, 4)?;
        if magic == b"PK\x01\x02" || entries == 0 {
            return Ok(Ok(Directory { offset, entries, front }));
        }
    }
    Ok(Err(lost(offset, "zip: no central directory where its end record says".into())))
}

/// Entries, length, offset of the directory and the place of the zip64 end record.
type Wide = (u64, u64, u64, u64);

fn zip64_end(
    source: &dyn ReadAt,
    tail: &[u8],
    at: usize,
    base: u64,
) -> Result<Option<Wide>, ParseError> {
    let locator = at.checked_sub(20).and_then(|at| piece(tail, at, 20));
    let Some(locator) = locator.filter(|l| l.starts_with(b"PK\x06\x07")) else { return Ok(None) };
    let said = u64_at(locator, 8).unwrap_or_default();
    let before = base.saturating_add(at as u64).saturating_sub(20 + 56);
    for place in [said, before] {
        let record = read_up_to(source, place, 56)?;
        if record.starts_with(b"PK\x06\x06") {
            let read =
                || Some((u64_at(&record, 32)?, u64_at(&record, 40)?, u64_at(&record, 48)?, place));
            return Ok(read());
        }
    }
    Ok(None)
}

fn read_directory(
    input: &Input<'_>,
    directory: &Directory,
    sink: &mut dyn Sink,
) -> Result<(), ParseError> {
    let mut offset = directory.offset;
    let mut programs = Programs::of(input);
    let mut block: Vec<u8> = Vec::new();
    let mut at = 0usize;
    for n in 0..directory.entries {
        if n >= MAX_MEMBERS {
            let message = format!("zip: {} members, {MAX_MEMBERS} read", directory.entries);
            sink.damaged(lost(offset, message));
            break;
        }
        if block.len().saturating_sub(at) < MAX_ENTRY_BYTES {
            block = read_up_to(input.bytes, offset, BLOCK_BYTES)?;
            at = 0;
        }
        let Some((mut member, len)) = Member::central(block.get(at..).unwrap_or_default()) else {
            let message =
                format!("zip: central directory broken at member {n} of {}", directory.entries);
            sink.damaged(lost(offset, message));
            break;
        };
        at = at.saturating_add(len);
        offset = offset.saturating_add(len as u64);
        member.header_at = member.header_at.saturating_add(directory.front);
        if tell(input, &mut programs, member, sink) == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(())
}

/// Goes from header to header of an archive without directory, as far as each
/// says how long its member is.
fn read_local_headers(input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
    const HEADER_BYTES: usize = 30 + 2 * 65_535;
    let mut offset = 0u64;
    let mut programs = Programs::of(input);
    for _ in 0..MAX_MEMBERS {
        let header = read_up_to(input.bytes, offset, HEADER_BYTES)?;
        let Some((mut member, len, streamed)) = Member::local(&header) else { break };
        member.header_at = offset;
        let packed = member.packed;
        let told = tell(input, &mut programs, member, sink);
        if told == ControlFlow::Break(()) || streamed && packed == 0 {
            break;
        }
        offset = offset.saturating_add(len as u64).saturating_add(packed);
    }
    Ok(())
}

/// Tells a member whose name matters, and one that is a program of which something does.
fn tell(
    input: &Input<'_>,
    programs: &mut Programs<'_>,
    member: Member,
    sink: &mut dyn Sink,
) -> ControlFlow<()> {
    if may_be_program(&member.name, member.size) {
        let described =
            Described { name: &member.name, size: member.size, modified: member.modified.as_ref() };
        match member.content(input.bytes) {
            Ok(Some(mut content)) => programs.look(&described, &mut content, sink)?,
            Ok(None) => {}
            Err(message) => {
                let message = format!("member {}: {message}", member.name);
                sink.damaged(lost(member.header_at, message));
            }
        }
    }
    if !input.filter.admits_text(member.name.as_bytes()) {
        return ControlFlow::Continue(());
    }
    sink.record(member.record())
}

/// What a header says of a member.
struct Member {
    name: String,
    comment: String,
    size: u64,
    packed: u64,
    crc: u32,
    encrypted: bool,
    method: u16,
    /// Where the local header stands.
    header_at: u64,
    modified: Option<Moment>,
}

impl Member {
    /// The member of a central header and the header's length.
    fn central(bytes: &[u8]) -> Option<(Self, usize)> {
        if !bytes.starts_with(b"PK\x01\x02") {
            return None;
        }
        let flags = u16_at(bytes, 8)?;
        let (name, extra, comment) = parts(bytes, 46, [28, 30, 32])?;
        let mut member = Self {
            name: text(name, flags).into_owned(),
            comment: text(comment, flags).into_owned(),
            size: u64::from(u32_at(bytes, 24)?),
            packed: u64::from(u32_at(bytes, 20)?),
            crc: u32_at(bytes, 16)?,
            encrypted: flags & 1 != 0,
            method: u16_at(bytes, 10)?,
            header_at: u64::from(u32_at(bytes, 42)?),
            modified: Some(dos_time(u16_at(bytes, 14)?, u16_at(bytes, 12)?)),
        };
        member.extra_fields(extra, name);
        let len =
            [name, extra, comment].iter().fold(46usize, |n, part| n.saturating_add(part.len()));
        Some((member, len))
    }

    /// The member of a local header, the header's length, and whether its sizes follow the data.
    fn local(bytes: &[u8]) -> Option<(Self, usize, bool)> {
        if !bytes.starts_with(b"PK\x03\x04") {
            return None;
        }
        let flags = u16_at(bytes, 6)?;
        let name_len = usize::from(u16_at(bytes, 26)?);
        let extra_len = usize::from(u16_at(bytes, 28)?);
        let name = piece(bytes, 30, name_len)?;
        let extra = piece(bytes, name_len.checked_add(30)?, extra_len).unwrap_or_default();
        let mut member = Self {
            name: text(name, flags).into_owned(),
            comment: String::new(),
            size: u64::from(u32_at(bytes, 22)?),
            packed: u64::from(u32_at(bytes, 18)?),
            crc: u32_at(bytes, 14)?,
            encrypted: flags & 1 != 0,
            method: u16_at(bytes, 8)?,
            header_at: 0,
            modified: Some(dos_time(u16_at(bytes, 12)?, u16_at(bytes, 10)?)),
        };
        member.extra_fields(extra, name);
        let len = 30usize.checked_add(name_len)?.checked_add(extra_len)?;
        Some((member, len, flags & 8 != 0))
    }

    /// Takes what the extra fields know better: sizes beyond 4 GiB, times in UTC, Unicode names.
    fn extra_fields(&mut self, mut extra: &[u8], raw_name: &[u8]) {
        while let (Some(id), Some(len)) = (u16_at(extra, 0), u16_at(extra, 2)) {
            let end = usize::from(len).saturating_add(4);
            let data = extra.get(4..end.min(extra.len())).unwrap_or_default();
            match id {
                0x0001 => self.zip64(data),
                0x000a => self.ntfs_time(data),
                0x5455 => self.unix_time(data),
                0x7075 => self.unicode_name(data, raw_name),
                _ => {}
            }
            extra = extra.get(end..).unwrap_or_default();
        }
    }

    fn zip64(&mut self, data: &[u8]) {
        let mut at = 0usize;
        for value in [&mut self.size, &mut self.packed, &mut self.header_at] {
            if *value == u64::from(u32::MAX)
                && let Some(wide) = u64_at(data, at)
            {
                *value = wide;
                at = at.saturating_add(8);
            }
        }
    }

    /// Four reserved bytes, then tag 1 of 24 bytes: modified, accessed, created.
    fn ntfs_time(&mut self, data: &[u8]) {
        if u16_at(data, 4) == Some(1)
            && let Some(at) = u64_at(data, 8).and_then(from_filetime)
        {
            self.modified = Some(Moment::exact(at, MEANING));
        }
    }

    /// A byte of flags, bit 0: the time of modification follows.
    fn unix_time(&mut self, data: &[u8]) {
        let exact = self.modified.as_ref().is_some_and(|m| m.precision == Precision::Exact);
        if data.first().is_some_and(|flags| flags & 1 != 0)
            && !exact
            && let Some(seconds) = u32_at(data, 1)
            && let Some(at) = from_unix(i64::from(seconds.cast_signed()), 0)
        {
            let raw = seconds.cast_signed().to_string();
            self.modified =
                Some(Moment { at: Some(at), meaning: MEANING, precision: Precision::Second, raw });
        }
    }

    /// Version 1, the CRC of the plain name, the name in UTF-8.
    fn unicode_name(&mut self, data: &[u8], raw_name: &[u8]) {
        let fits = data.first() == Some(&1) && u32_at(data, 1) == Some(crc32fast::hash(raw_name));
        if let Some(name) = data.get(5..).filter(|_| fits) {
            self.name = String::from_utf8_lossy(name).into_owned();
        }
    }

    /// The member's bytes as they are unpacked; nothing of one that is no program by its
    /// name, if they cannot be had.
    ///
    /// # Errors
    ///
    /// Why they cannot be had.
    fn content<'s>(&self, source: &'s dyn ReadAt) -> Result<Option<Box<dyn Read + 's>>, String> {
        let header = read_up_to(source, self.header_at, 30).map_err(|error| error.to_string())?;
        let lengths = || Some(u64::from(u16_at(&header, 26)?) + u64::from(u16_at(&header, 28)?));
        let Some(lengths) = lengths().filter(|_| header.starts_with(b"PK\x03\x04")) else {
            return Err("no local header where the directory says".to_owned());
        };
        let at = self.header_at.saturating_add(30).saturating_add(lengths);
        let packed = Stream { source, at }.take(self.packed);
        match self.method {
            0 if !self.encrypted => Ok(Some(Box::new(packed))),
            8 if !self.encrypted => Ok(Some(Box::new(flate2::read::DeflateDecoder::new(packed)))),
            _ if !self.name.to_ascii_lowercase().ends_with(".exe") => Ok(None),
            _ if self.encrypted => Err("a program that is encrypted, not looked into".to_owned()),
            method => Err(format!("packed by method {method}, which is not unpacked")),
        }
    }

    fn record(self) -> Record {
        let mut record = Record::new("archive", Locator::Member(self.name.clone()));
        record.push("MemberName", self.name);
        record.push("MemberSize", i64::try_from(self.size).unwrap_or(i64::MAX));
        record.push("MemberCrc", format!("{:08x}", self.crc));
        if self.encrypted {
            record.push("Encrypted", "true");
        }
        record.push("Comment", self.comment);
        record.times.extend(self.modified);
        record
    }
}

/// Name, extra field and comment after a header of `header` bytes.
fn parts(bytes: &[u8], header: usize, lengths: [usize; 3]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut at = header;
    let mut next = |length_at| {
        let len = usize::from(u16_at(bytes, length_at)?);
        let part = piece(bytes, at, len)?;
        at = at.checked_add(len)?;
        Some(part)
    };
    let [name, extra, comment] = lengths;
    Some((next(name)?, next(extra)?, next(comment)?))
}

/// Local time of the machine that packed, in steps of two seconds.
fn dos_time(date: u16, time: u16) -> Moment {
    let local = of_dos(date, time);
    Moment {
        at: local.and_then(|local| TimeZone::UTC.to_timestamp(local).ok()),
        meaning: MEANING,
        precision: Precision::AssumedZone,
        raw: local.map_or_else(|| format!("{date:04x} {time:04x}"), |local| local.to_string()),
    }
}

/// UTF-8 where the flag says so or the bytes are, else code page 437.
fn text(bytes: &[u8], flags: u16) -> Cow<'_, str> {
    const UTF8: u16 = 1 << 11;
    match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) if flags & UTF8 != 0 => String::from_utf8_lossy(bytes),
        Err(_) => Cow::Owned(bytes.iter().map(|b| code_page_437(*b)).collect()),
    }
}

fn code_page_437(byte: u8) -> char {
    const HIGH: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
    match byte.checked_sub(0x80) {
        Some(high) => HIGH.chars().nth(usize::from(high)).unwrap_or('\u{fffd}'),
        None => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Everything;
    use crate::parse::testing::{Words, expect, parse, parse_with, sample, samples, torment};

    #[test]
    fn members_of_every_sample() {
        let mut shown = String::new();
        for name in samples("zip") {
            let bytes = sample(&name);
            let kept = parse(&Zip, &bytes).unwrap();
            shown.push_str(&format!("# {name}\n{}", kept.shown()));
            for damage in kept.damage {
                shown.push_str(&format!("{} lost={}\n", damage.message, damage.lost));
            }
        }
        expect("zip", &shown);
    }

    #[test]
    fn only_names_that_matter() {
        let bytes = sample("zip/plain.zip");
        let kept = parse_with(&Zip, &bytes, &Words(&["ngrok"])).unwrap();
        assert_eq!(kept.records.len(), 1);
        let kept = parse_with(&Zip, &bytes, &Everything).unwrap();
        assert!(kept.records.len() > 1);
    }

    #[test]
    fn a_program_is_told_whatever_its_member_is_called() {
        use std::io::Write as _;
        let program = sample("pe/version.exe");
        let options = zip::write::SimpleFileOptions::default();
        for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
            let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            for name in ["a/notes.txt", "a/update.exe"] {
                zip.start_file(name, options.compression_method(method)).unwrap();
                zip.write_all(if name.ends_with("exe") { &program } else { b"text" }).unwrap();
            }
            let mut bytes = b"in front of it".to_vec();
            bytes.extend(zip.finish().unwrap().into_inner());
            let kept = parse_with(&Zip, &bytes, &Words(&["ngrok"])).unwrap();
            let [record] = kept.records.as_slice() else { panic!("{:?}", kept.damage) };
            assert_eq!(record.category, "executable");
            assert_eq!(record.text("MemberName"), Some("a/update.exe"));
            assert!(record.text("Hashes").is_some() && kept.damage.is_empty());
            // Encrypted, or packed in another way: said, not passed over.
            let at = memchr::memmem::rfind(&bytes, b"PK\x01\x02").unwrap();
            for (field, value, says) in [(8, 1, "encrypted"), (10, 99, "method 99")] {
                let mut other = bytes.clone();
                other[at + field..at + field + 2].copy_from_slice(&u16::to_le_bytes(value));
                let kept = parse_with(&Zip, &other, &Words(&["ngrok"])).unwrap();
                assert!(kept.records.is_empty() && kept.damage[0].message.contains(says));
            }
            // A directory that points elsewhere is no reason to be silent.
            bytes[at + 42..at + 46].copy_from_slice(&3u32.to_le_bytes());
            let kept = parse_with(&Zip, &bytes, &Words(&["ngrok"])).unwrap();
            assert!(kept.damage[0].message.starts_with("member a/update.exe: "));
            torment(&Zip, &bytes, 100);
        }
    }

    #[test]
    fn another_format_is_refused() {
        assert!(matches!(parse(&Zip, b"MZ..."), Err(ParseError::Foreign { .. })));
        assert!(matches!(parse(&Zip, b""), Err(ParseError::Foreign { .. })));
        assert!(!Zip.recognizes(b"Rar!"));
    }

    #[test]
    fn damage_never_stops_it() {
        for name in samples("zip") {
            torment(&Zip, &sample(&name), 300);
        }
    }

    #[test]
    fn code_page_has_every_character() {
        let all: String = (0x80..=0xff).map(code_page_437).collect();
        assert_eq!(all.chars().count(), 128);
        assert!(all.starts_with('Ç') && all.ends_with("■\u{a0}"));
    }
}
