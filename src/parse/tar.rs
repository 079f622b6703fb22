//! Tar archives, plain or packed with gzip, zstd or xz: what is in them, by the headers,
//! and what their programs say.
//!
//! Proves what was brought onto the machine under which name; the times are the archive
//! maker's. Covers the headers of Unix V7, ustar, GNU's long names and sparse files, and
//! pax attributes (POSIX.1-2001 `pax`, GNU tar's manual, "Basic Tar Format" and "Storing
//! Sparse Files"). A packed archive can only be read from its beginning: of a large one the
//! beginning alone is.
//!
//! ```text
//! header of 512 bytes   0 name, 100   124 size, 12 octal   136 modified, 12 octal   148 sum
//!                     156 type      257 "ustar"            345 prefix, 155
//! type L: the next member's name   x: its attributes, `LEN path=NAME\n`, in a block or more
//! type S: a sparse file, 482 whether a block of its map follows (of that: 504 the same),
//!       483 the size of the file, 12
//! ```

use std::io::{self, Read};
use std::ops::ControlFlow;

use super::bytes::{piece, read_up_to};
use super::member::{Described, Programs, may_be_program};
use super::packed::{self, Packing};
use super::{ParseError, Parser};
use crate::model::{Damage, Input, Locator, Moment, Precision, ReadAt, Record, Sink, from_unix};

const FORMAT: &str = "tar archive";
const BLOCK: usize = 512;
/// Members looked at.
const MAX_MEMBERS: u64 = 100_000;
/// The longest name that is read.
const MAX_NAME_BYTES: u64 = 64 << 10;
/// Bytes of a packed archive that are unpacked.
const MAX_UNPACKED_BYTES: u64 = 512 << 20;

/// Reads tar archives; an `archive` record for each member whose name matters.
pub struct Tar;

impl Parser for Tar {
    fn name(&self) -> &'static str {
        "tar"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        match Packing::of(start) {
            Some(packing) => is_header(&packed::start(packing, start)),
            None => is_header(start),
        }
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let start = read_up_to(input.bytes, 0, BLOCK)?;
        let told = match Packing::of(&start) {
            Some(packing) => {
                let broken = |error: io::Error| ParseError::Foreign {
                    format: FORMAT,
                    found: format!("a packed file that cannot be unpacked: {error}"),
                };
                let reader = packed::stream(packing, input.bytes).map_err(broken)?;
                members(&mut Unpacked { reader, at: 0 }, input, sink)
            }
            None => members(&mut Plain { source: input.bytes, at: 0 }, input, sink),
        };
        match told {
            Ok(()) => Ok(()),
            Err(End::Foreign) => Err(ParseError::Foreign {
                format: FORMAT,
                found: "no header at its beginning".to_owned(),
            }),
            Err(End::Cut(at, why)) => {
                let message = format!("{FORMAT}: {why}; the members before it are told");
                sink.damaged(Damage { locator: Some(Locator::Offset(at)), message, lost: true });
                Ok(())
            }
        }
    }
}

/// Why an archive ends early.
enum End {
    Foreign,
    /// Offset in the unpacked archive, and the reason.
    Cut(u64, String),
}

/// An archive from its beginning.
trait Source {
    fn at(&self) -> u64;
    /// As many bytes as there are, up to the buffer's length.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// # Errors
    ///
    /// When there are not so many bytes, among others.
    fn skip(&mut self, bytes: u64) -> io::Result<()>;
    /// Whether all before a place must be unpacked to come there.
    fn is_packed(&self) -> bool;
}

/// A source, read on.
struct Filling<'a>(&'a mut dyn Source);

impl Read for Filling<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.fill(buffer)
    }
}

struct Plain<'a> {
    source: &'a dyn ReadAt,
    at: u64,
}

impl Source for Plain<'_> {
    fn at(&self) -> u64 {
        self.at
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = read_up_to(self.source, self.at, buffer.len())?;
        if let Some(to) = buffer.get_mut(..bytes.len()) {
            to.copy_from_slice(&bytes);
        }
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        self.at = self.at.saturating_add(bytes);
        if self.at > self.source.size() { Err(ends_early()) } else { Ok(()) }
    }

    fn is_packed(&self) -> bool {
        false
    }
}

struct Unpacked<'a> {
    reader: Box<dyn Read + 'a>,
    at: u64,
}

impl Source for Unpacked<'_> {
    fn at(&self) -> u64 {
        self.at
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0usize;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest)? {
                0 => break,
                n => read = read.saturating_add(n),
            }
        }
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.reader).take(bytes), &mut io::sink())?;
        self.at = self.at.saturating_add(skipped);
        if skipped < bytes { Err(ends_early()) } else { Ok(()) }
    }

    fn is_packed(&self) -> bool {
        true
    }
}

fn ends_early() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends inside a member")
}

/// Tells the members, up to the empty block that ends them.
fn members(source: &mut dyn Source, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), End> {
    let mut next = Attributes::default();
    let mut programs = Programs::of(input);
    for number in 0..MAX_MEMBERS {
        let begins = source.at();
        let cut = |why: String| if number == 0 { End::Foreign } else { End::Cut(begins, why) };
        let mut block = [0; BLOCK];
        let read = source.fill(&mut block).map_err(|error| cut(error.to_string()))?;
        if read == 0 || number > 0 && block.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let header = Header::of(&block).filter(|_| read == BLOCK);
        let Some(header) = header else { return Err(cut("no header where one should be".into())) };
        let failed = |error: io::Error| End::Cut(begins, error.to_string());
        let whole = header.size.checked_next_multiple_of(BLOCK as u64).unwrap_or(u64::MAX);
        if matches!(header.kind, b'L' | b'x' | b'X') && header.size <= MAX_NAME_BYTES {
            let length = usize::try_from(header.size).unwrap_or_default();
            let mut text = vec![0; length];
            source.fill(&mut text).map_err(failed)?;
            source.skip(whole.saturating_sub(header.size)).map_err(failed)?;
            match header.kind {
                b'L' => next.name = Some(text_of(&text)),
                _ => next.read(&text),
            }
            continue;
        }
        if header.kind == b'S' {
            let mut goes_on = block.get(482) != Some(&0);
            while goes_on {
                let mut map = [0; BLOCK];
                let read = source.fill(&mut map).map_err(failed)?;
                goes_on = read == BLOCK && map.get(504) != Some(&0);
            }
        }
        let attributes = std::mem::take(&mut next);
        let stored = attributes.size.unwrap_or(header.size);
        let whole = stored.checked_next_multiple_of(BLOCK as u64).unwrap_or(u64::MAX);
        let name = attributes.name().unwrap_or(&header.name);
        // Old programs know a directory by its name alone.
        let is_file = matches!(header.kind, b'0' | 0 | b'7' | b'S') && !name.ends_with('/');
        let matters = is_file && input.filter.admits_text(name.as_bytes());
        let may_be_program = is_file && header.kind != b'S' && may_be_program(name, stored);
        let record = (matters || may_be_program).then(|| header.record(attributes, stored));
        if let Some(record) = record.as_ref().filter(|_| matters)
            && sink.record(record.clone()) == ControlFlow::Break(())
        {
            return Ok(());
        }
        let further = source.at().saturating_add(whole);
        if further > MAX_UNPACKED_BYTES && source.is_packed() {
            return Err(End::Cut(begins, format!("only {MAX_UNPACKED_BYTES} bytes are unpacked")));
        }
        let content = source.at();
        if let Some(record) = record.filter(|_| may_be_program) {
            let name = record.text("MemberName").unwrap_or_default();
            let member = Described { name, size: stored, modified: record.times.first() };
            if programs.look(&member, &mut Filling(source), sink) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
        let read = source.at().saturating_sub(content);
        source.skip(stored.saturating_sub(read)).map_err(failed)?;
        // What fills up the last block may be missing at the end.
        let _ = source.skip(whole.saturating_sub(stored));
    }
    Err(End::Cut(source.at(), format!("more than {MAX_MEMBERS} members")))
}

/// What a header says of a member.
struct Header {
    name: String,
    /// As it is stored.
    size: u64,
    /// Of a sparse file, with its holes.
    whole_size: Option<u64>,
    modified: Option<u64>,
    kind: u8,
}

/// What stands before a header about its member, in place of what the header has.
#[derive(Default)]
struct Attributes {
    name: Option<String>,
    /// Of GNU's sparse files, which bear another in `path`.
    sparse_name: Option<String>,
    size: Option<u64>,
    whole_size: Option<u64>,
    modified: Option<Moment>,
}

impl Attributes {
    /// The member's name, if it stands here.
    fn name(&self) -> Option<&String> {
        self.sparse_name.as_ref().or(self.name.as_ref())
    }

    /// Reads lines `30 mtime=1709287200.5\n27 path=a/b\n`: each with its own length, for a
    /// name may have any character.
    fn read(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some((line, further)) = attribute(rest) {
            rest = further;
            let Some(at) = line.iter().position(|byte| *byte == b'=') else { continue };
            let (key, value) = line.split_at(at);
            let value = String::from_utf8_lossy(value.get(1..).unwrap_or_default());
            match key {
                b"GNU.sparse.name" => self.sparse_name = Some(value.into_owned()),
                b"path" => self.name = Some(value.into_owned()),
                b"size" => self.size = value.parse().ok(),
                b"mtime" => self.modified = modified(&value),
                b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.whole_size = value.parse().ok(),
                _ => {}
            }
        }
    }
}

/// When a member was modified, in seconds since 1970 with or without a fraction.
fn modified(text: &str) -> Option<Moment> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanoseconds = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(Moment {
        at: Some(from_unix(seconds.parse().ok()?, nanoseconds)?),
        meaning: "Archive Member Modified",
        precision: if fraction.is_empty() { Precision::Second } else { Precision::Exact },
        raw: text.to_owned(),
    })
}

/// The first attribute without its length, and what follows it.
fn attribute(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = text.iter().position(|byte| *byte == b' ')?;
    let length: usize = str::from_utf8(text.get(..blank)?).ok()?.parse().ok()?;
    let line = text.get(blank.checked_add(1)?..length)?;
    Some((line.strip_suffix(b"\n").unwrap_or(line), text.get(length..)?))
}

impl Header {
    fn of(block: &[u8]) -> Option<Self> {
        if !is_header(block) {
            return None;
        }
        let name = text_of(piece(block, 0, 100)?);
        let prefix = text_of(piece(block, 345, 155)?);
        // GNU's own form keeps other things there.
        let is_posix = piece(block, 257, 6)? == b"ustar\0";
        let name = match is_posix && !prefix.is_empty() {
            true => format!("{prefix}/{name}"),
            false => name,
        };
        let kind = *block.get(156)?;
        Some(Self {
            name,
            size: number(piece(block, 124, 12)?)?,
            modified: number(piece(block, 136, 12)?),
            kind,
            whole_size: (kind == b'S').then(|| number(piece(block, 483, 12)?)).flatten(),
        })
    }

    fn record(&self, attributes: Attributes, stored: u64) -> Record {
        let name = attributes.name().unwrap_or(&self.name).clone();
        let size = attributes.whole_size.or(self.whole_size).unwrap_or(stored);
        let mut record = Record::new("archive", Locator::Member(name.clone()));
        record.push("MemberName", name);
        record.push("MemberSize", i64::try_from(size).unwrap_or(i64::MAX));
        let own = || modified(&self.modified?.to_string());
        record.times.extend(attributes.modified.or_else(own));
        record
    }
}

/// Whether a block is a header: its sum is right. Old programs added signed bytes.
fn is_header(block: &[u8]) -> bool {
    let Some(block) = block.get(..BLOCK) else { return false };
    let told = piece(block, 148, 8).and_then(number).filter(|_| block.first() != Some(&0));
    let Some(told) = told else { return false };
    let sum = |value: fn(u8) -> i64| -> i64 {
        let byte = |(at, byte): (usize, &u8)| match at {
            148..156 => i64::from(b' '),
            _ => value(*byte),
        };
        block.iter().enumerate().map(byte).sum()
    };
    let signed = |byte: u8| i64::from(byte.cast_signed());
    i64::try_from(told).is_ok_and(|told| told == sum(i64::from) || told == sum(signed))
}

/// A number in octal digits, or after a byte of 0x80 in binary.
fn number(field: &[u8]) -> Option<u64> {
    if let Some((0x80, rest)) = field.split_first().map(|(first, rest)| (*first, rest)) {
        return rest
            .iter()
            .try_fold(0u64, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let text = str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    u64::from_str_radix(text, 8).ok()
}

fn text_of(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{parse, sample, torment};

    #[test]
    fn members_of_every_form() {
        let long = format!("a/{}.txt", "long".repeat(30));
        for of in ["tar/tools.tgz", "tar/pax.tar"] {
            let bytes = sample(of);
            assert!(Tar.recognizes(bytes.get(..4608).unwrap_or(&bytes)), "{of}");
            let kept = parse(&Tar, &bytes).unwrap();
            let mut names: Vec<&str> =
                kept.records.iter().filter_map(|r| r.text("MemberName")).collect();
            names.sort_unstable();
            assert_eq!(names, [long.as_str(), "a/ngrok"], "{of}");
            let at = kept.records[0].first_time().unwrap();
            assert_eq!(at.to_string(), "2024-03-01T10:00:00Z");
        }
    }

    #[test]
    fn a_program_is_told_whatever_its_member_is_called() {
        let program = sample("elf/go.elf");
        let mut bytes = vec![0; BLOCK];
        bytes[..8].copy_from_slice(b"a/update");
        bytes[124..135].copy_from_slice(format!("{:011o}", program.len()).as_bytes());
        bytes[148..156].fill(b' ');
        bytes[156] = b'0';
        let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
        bytes[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend(&program);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes.extend(sample("tar/pax.tar"));
        let kept = parse(&Tar, &bytes).unwrap();
        let of = |category| kept.records.iter().filter(|r| r.category == category).count();
        assert_eq!((of("executable"), of("archive")), (1, 3), "{:?}", kept.damage);
        torment(&Tar, &bytes, 100);
    }

    #[test]
    fn old_and_sparse_members_do_not_hide_what_follows() {
        let kept = parse(&Tar, &sample("tar/old.tgz")).unwrap();
        let told: Vec<_> = kept
            .records
            .iter()
            .map(|r| (r.text("MemberName").unwrap(), r.number("MemberSize").unwrap()))
            .collect();
        let sparse = ("a/sparse", 1_966_080);
        assert_eq!(told, [("a/ngrok-v7", 4), sparse, sparse, ("a/ngrok", 6)]);
        assert!(kept.damage.is_empty());
    }

    #[test]
    fn a_length_that_lies_ends_the_attributes() {
        let mut read = Attributes::default();
        read.read(b"27 path=a/\nb\n12 size=9\n");
        assert_eq!((read.name, read.size), (None, None));
        let mut read = Attributes::default();
        read.read(b"12 path=a\nb\n10 size=9\n99 path=c\n");
        assert_eq!((read.name.as_deref(), read.size), (Some("a\nb"), Some(9)));
        // Of two the later one counts.
        read.read(b"10 path=b\n");
        assert_eq!(read.name().map(String::as_str), Some("b"));
        read.read(b"26 GNU.sparse.name=a/real\n23 path=GNUSparse/real\n");
        assert_eq!(read.name().map(String::as_str), Some("a/real"));
    }

    #[test]
    fn damaged_and_foreign() {
        let plain = sample("tar/pax.tar");
        assert!(parse(&Tar, b"no archive, but a text that is long enough to be one").is_err());
        assert!(!Tar.recognizes(&sample("tar/tools.tgz")[..40]));
        let long = plain.windows(8).position(|part| part == b"longlong").unwrap();
        let cut = parse(&Tar, &plain[..long - long % 512 + 512 + 2]).unwrap();
        assert_eq!(cut.damage.len(), 1);
        torment(&Tar, &plain, 300);
        torment(&Tar, &sample("tar/tools.tgz"), 300);
    }
}
