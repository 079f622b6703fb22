//! A zip file as a file tree, read in place: names from the central directory,
//! content from where it lies. What was cut off is read by the headers before
//! the members.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::header::{Header, LOCAL_BYTES, MAX_CENTRAL_BYTES, find_directory, u16_at};
use super::inflated::{Complain, Inflated, Promise};
use super::name::{Name, Separators, is_absolute};
use super::pool::{Pool, lock};
use super::recover;
use super::slice::Slice;
use super::stream::{Stream, Wrapping, read_full};
use crate::model::{EvidencePath, Problem, ReadAt};
use crate::source::collection::tree::{Item, MAX_SAID, Tree, file, met};
use crate::source::entry::{Entry, Kind, Times};
use crate::source::{Filesystem, SourceError};

/// Members read of one archive.
pub(super) const MAX_MEMBERS: usize = 1_000_000;
/// Bytes of the directory read at once.
const BLOCK_BYTES: usize = 1 << 20;
/// Deflate cannot inflate to more than 1032 times its size: what says so lies.
const MAX_RATIO: u64 = 1040;
/// A member that inflates to more than this many times its size is suspect:
/// empty logs come to about 500.
const BOMB_RATIO: u64 = 400;
/// Bytes that all suspect members of an archive together may inflate to.
const MAX_SUSPECT_BYTES: u64 = 8 << 30;
/// Longest target of a link.
const MAX_LINK_BYTES: u64 = 4096;
/// Bytes between states of a member to return to.
const SPACING_BYTES: u64 = 4 << 20;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// A zip file's members.
pub(in super::super) struct ZipTree {
    source: Arc<dyn ReadAt>,
    /// Bytes in front of the archive.
    front: u64,
    members: Vec<Member>,
    tree: Tree,
    problems: Vec<Problem>,
    pool: Arc<Pool>,
    late: Arc<Mutex<BTreeMap<EvidencePath, String>>>,
}

struct Member {
    header: Header,
    /// Why its content is not read.
    refused: Option<String>,
}

impl ZipTree {
    /// The tree of a zip file; `None` when it is none, or nothing of it is left.
    ///
    /// # Errors
    ///
    /// Of reading.
    pub(in super::super) fn open(source: Arc<dyn ReadAt>) -> io::Result<Option<Self>> {
        let mut problems = Vec::new();
        let (headers, front) = match find_directory(&*source)? {
            Some(directory) => {
                let entries = directory.entries;
                let headers = read_directory(&*source, directory.offset, entries, &mut problems)?;
                (headers, directory.front)
            }
            None => (recover::headers(&source, &mut problems)?, 0),
        };
        if headers.is_empty() && !problems.is_empty() {
            return Ok(None);
        }
        let mut zip = Self {
            source,
            front,
            members: judge(headers),
            tree: Tree::default(),
            problems,
            pool: Arc::default(),
            late: Arc::default(),
        };
        zip.arrange();
        Ok(Some(zip))
    }

    /// Whether a member of that name needs a password.
    pub(in super::super) fn is_encrypted(&self, name: &str) -> bool {
        self.members.iter().any(|m| m.header.name == name && m.header.is_encrypted())
    }

    /// Puts the members into their tree.
    fn arrange(&mut self) {
        let slashes = self.members.iter().any(|member| member.header.name.contains('/'));
        let mut notes = Notes::default();
        let mut items = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            let header = &member.header;
            let dos = header.is_of_dos() || !slashes;
            let separators = if dos { Separators::Both } else { Separators::Slash };
            notes.absolute =
                notes.absolute.saturating_add(usize::from(is_absolute(&header.name, separators)));
            let parts = match Name::of(&header.name, separators) {
                Name::Parts(parts) => parts,
                Name::Root => continue,
                Name::Refused(why) => {
                    notes.refuse(&header.name, why);
                    continue;
                }
            };
            items.push(Item { root: String::new(), parts, entry: self.entry_of(at, header) });
        }
        notes.tell(&mut self.problems);
        self.tree = Tree::build(items, false, &mut self.problems);
    }

    fn entry_of(&self, at: usize, header: &Header) -> Entry {
        let times =
            Times { modified: header.modified, accessed: header.accessed, ..Times::default() };
        let entry = file(EvidencePath::default(), header.size, times, at as u64);
        if header.is_directory() {
            Entry { kind: Kind::Directory, size: 0, ..entry }
        } else if header.is_link() {
            let target = self.link_target(at, header);
            Entry { kind: Kind::Link, size: 0, link_target: target, ..entry }
        } else if header.is_special() {
            Entry { kind: Kind::Special, size: 0, ..entry }
        } else {
            entry
        }
    }

    /// What a link points to: the content of its member.
    fn link_target(&self, at: usize, header: &Header) -> Option<String> {
        if header.size > MAX_LINK_BYTES {
            return None;
        }
        let content = self.content(at, Box::new(|_| {})).ok()?;
        let mut bytes = vec![0; usize::try_from(header.size).ok()?];
        let n = read_full(&*content, 0, &mut bytes).ok()?;
        bytes.truncate(n);
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A reader of a member's content.
    fn content(&self, at: usize, complain: Complain) -> io::Result<Box<dyn ReadAt>> {
        let refuse = |why: String| io::Error::new(io::ErrorKind::Unsupported, why);
        let member = self.members.get(at).ok_or(io::ErrorKind::NotFound)?;
        if let Some(why) = &member.refused {
            return Err(refuse(why.clone()));
        }
        let header = &member.header;
        let start = self.data_offset(header)?;
        let end = start.saturating_add(header.packed);
        if end > self.source.size() {
            return Err(refuse("it lies beyond the end of the archive".to_owned()));
        }
        if header.size == 0 {
            return Ok(Box::new(Vec::new()));
        }
        let source = Arc::clone(&self.source);
        if header.method == STORED {
            let slice = Slice::new(source, start, header.size);
            if header.cut {
                return Ok(Box::new(slice));
            }
            return Ok(Box::new(slice.checked(header.crc, complain)));
        }
        let stream = Stream { source, start, end, wrapping: Wrapping::Raw };
        let complain: Complain = if header.cut { Box::new(|_| {}) } else { complain };
        let promise = Promise { size: header.size, crc: header.crc, complain };
        let pool = Arc::clone(&self.pool);
        Ok(Box::new(Inflated::new(stream, Some(promise), pool, SPACING_BYTES)))
    }

    /// Where a member's data lies: after its local header.
    fn data_offset(&self, header: &Header) -> io::Result<u64> {
        let at = header.offset.saturating_add(self.front);
        let mut local = [0; LOCAL_BYTES];
        let n = read_full(&*self.source, at, &mut local)?;
        if n < LOCAL_BYTES || !local.starts_with(b"PK\x03\x04") {
            let message = format!("there is no header of it at offset {at}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let lengths = [26, 28].map(|at| u64::from(u16_at(&local, at).unwrap_or_default()));
        Ok(lengths
            .iter()
            .fold(at.saturating_add(LOCAL_BYTES as u64), |at, n| at.saturating_add(*n)))
    }
}

impl Filesystem for ZipTree {
    fn walk(&self, visit: &mut dyn FnMut(Entry), problem: &mut dyn FnMut(Problem)) {
        self.problems.iter().cloned().for_each(problem);
        self.tree.entries().iter().cloned().for_each(visit);
    }

    fn open(&self, entry: &Entry) -> Result<Box<dyn ReadAt>, SourceError> {
        let path = &entry.path;
        let found = self.tree.find(path).filter(|entry| entry.is_file());
        let found = found.ok_or_else(|| SourceError::NotInEvidence { path: path.clone() })?;
        let late = Arc::clone(&self.late);
        let of = path.clone();
        let complain: Complain = Box::new(move |why| {
            lock(&late).insert(of.clone(), why);
        });
        let at = usize::try_from(found.handle).unwrap_or(usize::MAX);
        self.content(at, complain).map_err(|error| SourceError::File { path: path.clone(), error })
    }

    fn entry(&self, path: &EvidencePath) -> Option<Entry> {
        self.tree.find(path).cloned()
    }

    fn case_insensitive(&self) -> bool {
        false
    }

    fn late_problems(&self) -> Vec<Problem> {
        let late = lock(&self.late);
        late.iter().map(|(path, why)| met(Some(path.clone()), why.clone())).collect()
    }
}

/// What is said of names.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) absolute: usize,
    refused: usize,
    told: Vec<Problem>,
}

impl Notes {
    pub(super) fn refuse(&mut self, name: &str, why: &str) {
        self.refused = self.refused.saturating_add(1);
        if self.refused <= MAX_SAID {
            self.told.push(met(None, format!("member {name:?} is not shown: {why}")));
        }
    }

    pub(super) fn tell(self, problems: &mut Vec<Problem>) {
        problems.extend(self.told);
        if let Some(more @ 1..) = self.refused.checked_sub(MAX_SAID) {
            problems.push(met(None, format!("{more} more members are not shown for their names")));
        }
        if self.absolute > 0 {
            let message =
                format!("{} members have absolute names; read as below the root", self.absolute);
            problems.push(met(None, message));
        }
    }
}

/// The entries of the central directory, as far as it can be read.
fn read_directory(
    source: &dyn ReadAt,
    mut offset: u64,
    entries: u64,
    problems: &mut Vec<Problem>,
) -> io::Result<Vec<Header>> {
    let mut headers = Vec::new();
    let mut block: Vec<u8> = Vec::new();
    let mut at = 0_usize;
    for n in 0..entries {
        if headers.len() >= MAX_MEMBERS {
            problems.push(met(None, format!("{entries} members; {MAX_MEMBERS} are read")));
            break;
        }
        if block.len().saturating_sub(at) < MAX_CENTRAL_BYTES {
            block = vec![0; BLOCK_BYTES];
            let n = read_full(source, offset, &mut block)?;
            block.truncate(n);
            at = 0;
        }
        let Some((header, length)) = Header::central(block.get(at..).unwrap_or_default()) else {
            let message = format!("the zip directory is broken at member {n} of {entries}");
            problems.push(met(None, message));
            break;
        };
        at = at.saturating_add(length);
        offset = offset.saturating_add(length as u64);
        headers.push(header);
    }
    Ok(headers)
}

/// Says of every member whether its content may be read.
fn judge(headers: Vec<Header>) -> Vec<Member> {
    let overlapping = overlapping(&headers);
    let mut suspect = 0_u64;
    headers
        .into_iter()
        .zip(overlapping)
        .map(|(header, overlaps)| {
            let ratio = header.size / header.packed.max(1);
            if ratio > BOMB_RATIO {
                suspect = suspect.saturating_add(header.size);
            }
            let refused = if header.is_encrypted() {
                Some("it is encrypted; unpack the archive with its password first".to_owned())
            } else if !matches!(header.method, STORED | DEFLATED) {
                Some(format!(
                    "it is compressed by method {} ({}); unpack the archive first",
                    header.method,
                    method_name(header.method)
                ))
            } else if overlaps {
                Some("it shares its bytes with another member, as a zip bomb does".to_owned())
            } else if header.method == STORED && header.size != header.packed {
                Some("its two sizes differ though it is not compressed".to_owned())
            } else if ratio > MAX_RATIO || ratio > BOMB_RATIO && suspect > MAX_SUSPECT_BYTES {
                Some(format!(
                    "{} bytes out of {}: refused as a zip bomb",
                    header.size, header.packed
                ))
            } else {
                None
            };
            Member { header, refused }
        })
        .collect()
}

/// Which members begin before an earlier one ends.
fn overlapping(headers: &[Header]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..headers.len()).collect();
    order.sort_by_key(|at| headers.get(*at).map(|h| h.offset));
    let mut out = vec![false; headers.len()];
    let mut end = 0_u64;
    for at in order {
        let Some(header) = headers.get(at) else { continue };
        if let Some(overlaps) = out.get_mut(at) {
            *overlaps = header.offset < end;
        }
        let least = header.packed.saturating_add(LOCAL_BYTES as u64);
        end = end.max(header.offset.saturating_add(least));
    }
    out
}

fn method_name(method: u16) -> &'static str {
    match method {
        1 => "shrink",
        6 => "implode",
        9 => "deflate64",
        12 => "bzip2",
        14 => "lzma",
        93 => "zstd",
        95 => "xz",
        98 => "ppmd",
        99 => "AES encryption",
        _ => "unknown",
    }
}
