//! The members of a bundle, by its directory or, where that is missing, by the
//! headers before the members (APPNOTE 6.3.10, sections 4.3.7 and 4.5.3).
//!
//! | offset | bytes | local file header |
//! |---|---|---|
//! | 0 | 4 | signature `PK\3\4` |
//! | 6 | 2 | flags; bit 3: sizes stand after the data |
//! | 14 | 4 | CRC-32 |
//! | 18, 22 | 4, 4 | compressed and uncompressed size; all ones: see the extra field 1 |
//! | 26, 28 | 2, 2 | length of the name and of the extra field that follow |

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};
use zip::ZipArchive;
use zip::read::read_zipfile_from_stream;

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";

/// Bytes of a local file header before the name.
const HEADER_BYTES: usize = 30;
/// Bytes of an entry of the directory before the name.
const CENTRAL_BYTES: u64 = 46;
/// Version needed, flags, method and time: in the directory, and before the member.
const CENTRAL_TERMS: Range<usize> = 6..16;
const LOCAL_TERMS: Range<usize> = 4..14;
/// Disk, internal and external attributes in the directory.
const CENTRAL_KIND: Range<usize> = 34..42;
/// Bytes of the record that ends a zip file without a comment.
const END_BYTES: i64 = 22;
/// Where the end of an unfinished file is looked for, in bytes: a directory that was just
/// being written may lie behind the one in force.
const TAIL_BYTES: u64 = 8 << 20;
/// Largest manifest or tag file that is kept, in bytes.
const MAX_KEPT_BYTES: usize = 256 << 20;
/// Bytes decompressed at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A member whose content was read to its end and met its checksum.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// Bytes, uncompressed.
    pub(super) size: u64,
    pub(super) sha256: String,
    kept: Vec<u8>,
}

impl Member {
    /// The content of a tag file; empty for others.
    pub(super) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.kept)
    }
}

/// How the file ends.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// With its directory.
    Whole,
    /// Too early; says where.
    Cut(String),
}

/// What a bundle holds.
#[derive(Debug)]
pub(super) struct Contents {
    /// In the order of the file.
    pub(super) members: Vec<Member>,
    pub(super) failures: Vec<String>,
    pub(super) end: End,
}

/// A header before a member.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Local {
    name: Vec<u8>,
    crc32: u32,
    compressed: u64,
    uncompressed: u64,
    /// Sizes and checksum stand after the data instead.
    follows: bool,
    /// Offset of the data in the file.
    data: u64,
    /// Version needed, flags, method and time, as they stand.
    terms: Vec<u8>,
}

/// Reads every member of the file.
pub(super) fn read(path: &Path) -> io::Result<Contents> {
    let mut file = BufReader::new(File::open(path)?);
    let ends = has_end(&mut file)?;
    if !ends {
        let whole = crate::export::whole_of(&tail(&mut file)?);
        return by_headers(file, whole);
    }
    match ZipArchive::new(file) {
        Ok(archive) => by_directory(archive),
        Err(error) => Ok(Contents {
            members: Vec::new(),
            failures: vec![format!("the directory at the end: {error}")],
            end: End::Whole,
        }),
    }
}

/// Whether the file ends with the record that ends a zip file.
fn has_end(file: &mut BufReader<File>) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? < END_BYTES.unsigned_abs() {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-END_BYTES))?;
    let mut signature = [0; 4];
    file.read_exact(&mut signature)?;
    Ok(signature == END)
}

/// The last bytes of the file.
fn tail(file: &mut BufReader<File>) -> io::Result<Vec<u8>> {
    let size = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The members of a finished file.
fn by_directory(mut archive: ZipArchive<BufReader<File>>) -> io::Result<Contents> {
    let mut contents = Contents { members: Vec::new(), failures: Vec::new(), end: End::Whole };
    let mut spans = Vec::new();
    for index in 0..archive.len() {
        match archive.by_index(index) {
            Ok(mut file) => {
                let name = String::from_utf8_lossy(file.name_raw()).into_owned();
                let local = Local {
                    name: file.name_raw().to_vec(),
                    crc32: file.crc32(),
                    compressed: file.compressed_size(),
                    uncompressed: file.size(),
                    follows: false,
                    data: 0,
                    terms: Vec::new(),
                };
                spans.push((file.header_start(), file.central_header_start(), local));
                if file.is_dir() {
                    continue;
                }
                match hash(&name, &mut file) {
                    Ok(member) => contents.members.push(member),
                    Err(error) => contents.failures.push(format!("{name}: {error}")),
                }
            }
            Err(error) => contents.failures.push(format!("member {index}: {error}")),
        }
    }
    let directory = archive.central_directory_start();
    compare_headers(archive.into_inner(), spans, directory, &mut contents.failures)?;
    Ok(contents)
}

/// Holds the headers before the members against the directory: tools that read
/// the one and tools that read the other must see the same files, and no bytes
/// may lie between them.
fn compare_headers(
    mut file: BufReader<File>,
    mut spans: Vec<(u64, u64, Local)>,
    directory: u64,
    failures: &mut Vec<String>,
) -> io::Result<()> {
    spans.sort_by_key(|(start, ..)| *start);
    let mut expected = 0;
    for (start, central, said) in spans {
        let name = String::from_utf8_lossy(&said.name).into_owned();
        if start > expected {
            failures.push(format!("bytes {expected} to {start} belong to no member"));
        }
        let Some(local) = header(&mut file, start)? else {
            failures.push(format!("{name}: no header at byte {start}"));
            continue;
        };
        let entry = central_entry(&mut file, central)?;
        let folder = said.name.ends_with(b"/");
        if !folder && entry.get(CENTRAL_KIND).is_none_or(|kind| !is_plain_file(kind)) {
            failures.push(format!("{name}: the directory says it is no plain file"));
        }
        let same = local.name == said.name
            && entry.get(CENTRAL_TERMS) == Some(&local.terms)
            && (local.follows
                || (local.crc32, local.compressed, local.uncompressed)
                    == (said.crc32, said.compressed, said.uncompressed));
        if !same {
            failures.push(format!("{name}: its header and the directory differ"));
        }
        expected = local.data.saturating_add(said.compressed);
        if local.follows {
            // A descriptor of 12 to 24 bytes stands between this and the next.
            expected = expected.saturating_add(24);
        }
    }
    if directory > expected {
        failures.push(format!("bytes {expected} to {directory} belong to no member"));
    }
    Ok(())
}

/// The fixed part of an entry of the directory; empty where none is.
fn central_entry(file: &mut BufReader<File>, start: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut entry = Vec::new();
    file.take(CENTRAL_BYTES).read_to_end(&mut entry)?;
    Ok(entry)
}

/// Whether these eight bytes (disk, internal and external attributes) describe a file: no folder, no link.
fn is_plain_file(kind: &[u8]) -> bool {
    let disk = u16_at(kind, 0);
    let dos = u16_at(kind, 4).map(|attributes| attributes & 0x10);
    let unix = u16_at(kind, 6).map(|mode| mode >> 12);
    disk == Some(0) && dos == Some(0) && matches!(unix, Some(0 | 0o10))
}

/// The members of an unfinished file, up to where it was cut off; `whole` is the byte up
/// to which it says itself to be whole, if it does.
fn by_headers(mut file: BufReader<File>, whole: Option<u64>) -> io::Result<Contents> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut contents = Contents { members: Vec::new(), failures: Vec::new(), end: End::Whole };
    let mut at = 0_u64;
    contents.end = loop {
        // Behind that byte may lie a part of a member, or nothing.
        let unsure = whole.is_some_and(|whole| at >= whole);
        match signature(&mut file, at, end)? {
            found if unsure && found != LOCAL => break End::Cut(format!("ends at byte {at}")),
            found if found == CENTRAL || found == END || found == END_64 => {
                break End::Cut(format!("cut off in the directory, after byte {at}"));
            }
            found if found == LOCAL => {}
            found if found.len() < LOCAL.len() => {
                break End::Cut(format!("cut off after byte {at}"));
            }
            _ => {
                contents.failures.push(format!("byte {at}: expected a member's header"));
                break End::Whole;
            }
        }
        let Some(local) = header(&mut file, at)?.filter(|local| local.data <= end) else {
            break End::Cut(format!("cut off in the header of a member, at byte {at}"));
        };
        let name = String::from_utf8_lossy(&local.name).into_owned();
        // Deflate gives two bytes for none, so 0 is a size not yet filled in.
        if local.compressed == 0 {
            break End::Cut(format!("{name}: was being written"));
        }
        let next = local.data.saturating_add(local.compressed);
        if next > end {
            break End::Cut(format!("{name}: cut off"));
        }
        match one(&mut file, &name, at, next) {
            Ok(member) => contents.members.push(member),
            Err(_) if unsure => break End::Cut(format!("{name}: was being written")),
            Err(error) => contents.failures.push(format!("{name}: {error}")),
        }
        at = next;
    };
    if let Some(whole) = whole.filter(|whole| at < *whole) {
        let said = format!("byte {at}: no more members, though it says to be whole up to {whole}");
        contents.failures.push(said);
    }
    Ok(contents)
}

/// Reads the member between two offsets.
fn one(file: &mut BufReader<File>, name: &str, from: u64, to: u64) -> io::Result<Member> {
    file.seek(SeekFrom::Start(from))?;
    let mut window = file.take(to.saturating_sub(from));
    match read_zipfile_from_stream(&mut window)? {
        Some(mut member) => hash(name, &mut member),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "no member here")),
    }
}

fn hash(name: &str, content: &mut dyn Read) -> io::Result<Member> {
    let keep = is_tag_file(name);
    let mut member =
        Member { name: name.to_owned(), size: 0, sha256: String::new(), kept: Vec::new() };
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let n = content.read(&mut buffer)?;
        let Some(read) = buffer.get(..n).filter(|read| !read.is_empty()) else { break };
        hasher.update(read);
        member.size = member.size.saturating_add(u64::try_from(n).unwrap_or_default());
        if keep {
            if member.kept.len().saturating_add(n) > MAX_KEPT_BYTES {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too large for a list"));
            }
            member.kept.extend_from_slice(read);
        }
    }
    member.sha256 = crate::export::hex(&hasher.finalize());
    Ok(member)
}

fn is_tag_file(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    let depth = name.split('/').count();
    depth <= 2
        && [super::DECLARATION, super::INFO, super::MANIFEST, super::TAG_MANIFEST].contains(&file)
}

/// Up to four bytes at `at`.
fn signature(file: &mut BufReader<File>, at: u64, end: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut found = Vec::new();
    file.take(end.saturating_sub(at).min(4)).read_to_end(&mut found)?;
    Ok(found)
}

/// The header at `start`, or `None` where none is whole.
fn header(file: &mut BufReader<File>, start: u64) -> io::Result<Option<Local>> {
    file.seek(SeekFrom::Start(start))?;
    let mut fixed = Vec::new();
    file.take(HEADER_BYTES as u64).read_to_end(&mut fixed)?;
    let fields = || {
        (fixed.get(..4)? == LOCAL).then_some(())?;
        Some((u16_at(&fixed, 26)?, u16_at(&fixed, 28)?))
    };
    let Some((name_length, extra_length)) = fields() else { return Ok(None) };
    let mut rest = Vec::new();
    let wanted = u64::from(name_length).saturating_add(u64::from(extra_length));
    file.take(wanted).read_to_end(&mut rest)?;
    if rest.len() as u64 != wanted {
        return Ok(None);
    }
    let extra = rest.split_off(usize::from(name_length));
    let data = start.saturating_add(HEADER_BYTES as u64).saturating_add(wanted);
    Ok(local(&fixed, rest, &extra, data))
}

fn local(fixed: &[u8], name: Vec<u8>, extra: &[u8], data: u64) -> Option<Local> {
    let mut local = Local {
        name,
        crc32: u32_at(fixed, 14)?,
        compressed: u32_at(fixed, 18)?.into(),
        uncompressed: u32_at(fixed, 22)?.into(),
        follows: u16_at(fixed, 6)? & 8 != 0,
        data,
        terms: fixed.get(LOCAL_TERMS)?.to_vec(),
    };
    if local.compressed == u64::from(u32::MAX) || local.uncompressed == u64::from(u32::MAX) {
        let large = extra_field(extra, 1)?;
        local.uncompressed = u64_at(large, 0)?;
        local.compressed = u64_at(large, 8)?;
    }
    Some(local)
}

/// The extra field of that id.
fn extra_field(mut extra: &[u8], id: u16) -> Option<&[u8]> {
    loop {
        let found = u16_at(extra, 0)?;
        let end = usize::from(u16_at(extra, 2)?).checked_add(4)?;
        let field = extra.get(4..end)?;
        if found == id {
            return Some(field);
        }
        extra = extra.get(end..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}
