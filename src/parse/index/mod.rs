//! The index of an NTFS directory (`$I30`): its files, and in its slack those that
//! were deleted or renamed.
//!
//! An index is a tree of blocks, $INDEX_ROOT in the directory's record and
//! $INDEX_ALLOCATION beside it. When an entry goes, those behind it move up and what
//! was last stays behind the end: name, sizes and four times of a file whose record
//! may long be used by another. [`entries`] lists both kinds from the bytes of
//! $INDEX_ALLOCATION (or of one $INDEX_ROOT); the parser makes records of them.
//!
//! Left over entries that say the same as one in use are no record: an index that
//! grew leaves such copies of living files.
//!
//! Source of the layout: the documentation of libfsntfs.

mod block;
mod name;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use self::block::Wanted;
pub use self::block::{Contents, IndexEntry};
pub use self::name::{FileName, Namespace};

use super::bytes::{read_up_to, u16_at, u32_at};
use super::flags::{FILE_ATTRIBUTES, joined};
use super::{ParseError, Parser};
use crate::model::{Damage, Extent, FileReference, Input, Locator, Moment, Record, Sink};

const FORMAT: &str = "directory index";
/// Bytes of a block where the index does not say.
const USUAL_BLOCK_BYTES: usize = 4096;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// Damaged places told one by one.
const MAX_DAMAGE: usize = 100;
/// Enough for an index of 64 GiB.
const MAX_BITMAP_BYTES: usize = 2 << 20;
/// Left over entries told of one index.
const MAX_SLACK: usize = 1 << 18;
/// No block is shorter than a sector.
const MIN_BLOCK_BYTES: usize = 512;
const MAX_BLOCK_BYTES: usize = 64 << 10;

/// Everything in a stream of index blocks, block by block: the entries in use, then
/// those left over, and damage.
///
/// `block_bytes` is that of $INDEX_ROOT, usually 4096; `bitmap` the value of
/// $BITMAP:$I30, a bit for each block in use, without which all with a signature are.
pub fn entries<'a>(
    stream: &'a [u8],
    block_bytes: usize,
    bitmap: Option<&'a [u8]>,
) -> impl Iterator<Item = Contents> + 'a {
    let block_bytes = block_bytes.max(MIN_BLOCK_BYTES);
    stream.chunks(block_bytes).enumerate().map(move |(number, block)| {
        let offset = number.saturating_mul(block_bytes) as u64;
        Contents::of_block(block, offset, is_in_use(bitmap, number as u64), Wanted::All)
    })
}

fn is_in_use(bitmap: Option<&[u8]>, block: u64) -> bool {
    let byte = |bitmap: &[u8]| {
        usize::try_from(block / 8).ok().and_then(|at| bitmap.get(at).copied()).unwrap_or(0)
    };
    bitmap.is_none_or(|bitmap| byte(bitmap) >> (block % 8) & 1 != 0)
}

/// Everything in the value of an $INDEX_ROOT attribute.
pub fn root_entries(root: &[u8]) -> Contents {
    Contents::of_root(root, 0)
}

/// Reads the index of a directory; an `index_entry` record for each file. A sidecar is
/// its $BITMAP:$I30.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryIndex;

impl Parser for DirectoryIndex {
    fn name(&self) -> &'static str {
        "directory_index"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        start.starts_with(block::MAGIC) && u16_at(start, 4) == Some(40) || is_root(start)
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut reading = Reading::new(input);
        // A volume knows from its $MFT what is in use.
        let wanted = if input.paths.is_some() { Wanted::LeftOver } else { Wanted::All };
        let flow = walk(input, wanted, &mut |contents| reading.take(contents, sink))?;
        if reading.entries == 0 && !reading.damage.is_empty() {
            return Err(ParseError::Foreign { format: FORMAT, found: "no entry in it".to_owned() });
        }
        if flow == ControlFlow::Break(()) || reading.tell_slack(sink)? == ControlFlow::Break(()) {
            return Ok(());
        }
        reading.finish(sink);
        Ok(())
    }
}

/// Hands over an index block by block.
fn walk(
    input: &Input<'_>,
    wanted: Wanted,
    each: &mut dyn FnMut(Contents) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ParseError> {
    let start = read_up_to(input.bytes, 0, MIN_BLOCK_BYTES)?;
    if is_root(&start) {
        // It stands in its directory's record, so it is short.
        let root = read_up_to(input.bytes, 0, MAX_BLOCK_BYTES)?;
        return Ok(each(Contents::of_root(&root, 0)));
    }
    let block_bytes = block_bytes(&start);
    let bitmap = input.sidecars.first().map(|bitmap| read_up_to(*bitmap, 0, MAX_BITMAP_BYTES));
    let bitmap = bitmap.transpose()?;
    let mut at = 0u64;
    loop {
        let data = input.bytes.data_from(at);
        at = at.max(data.saturating_sub(data % block_bytes as u64));
        let bytes = read_up_to(input.bytes, at, READ_BYTES.next_multiple_of(block_bytes))?;
        if bytes.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        for (number, block) in bytes.chunks(block_bytes).enumerate() {
            let offset = at.saturating_add(number.saturating_mul(block_bytes) as u64);
            let in_use = is_in_use(bitmap.as_deref(), offset / block_bytes as u64);
            if each(Contents::of_block(block, offset, in_use, wanted)) == ControlFlow::Break(()) {
                return Ok(ControlFlow::Break(()));
            }
        }
        at = at.saturating_add(bytes.len() as u64);
    }
}

/// Whether an $INDEX_ROOT of file names starts there: its type, its collation.
fn is_root(start: &[u8]) -> bool {
    u32_at(start, 0) == Some(0x30)
        && u32_at(start, 4) == Some(1)
        && u32_at(start, 8).is_some_and(|bytes| bytes.is_power_of_two())
}

/// The size of the first block, as its count of fixups says it.
fn block_bytes(start: &[u8]) -> usize {
    let fixups = u16_at(start, 6).map_or(0, usize::from);
    let bytes = fixups.saturating_sub(1).saturating_mul(MIN_BLOCK_BYTES);
    let says = start.starts_with(block::MAGIC)
        && bytes.is_power_of_two()
        && (MIN_BLOCK_BYTES..=MAX_BLOCK_BYTES).contains(&bytes);
    if says { bytes } else { USUAL_BLOCK_BYTES }
}

/// What of two entries is compared to call one a copy.
type Facts = (String, [u64; 4], u64);

fn facts(file: &FileName) -> Facts {
    let times = [file.created, file.modified, file.changed, file.accessed];
    (file.name.clone(), times, file.bytes)
}

/// What was met so far.
struct Reading<'a> {
    input: &'a Input<'a>,
    entries: u64,
    /// Those that can matter.
    slack: Vec<IndexEntry>,
    damage: Vec<Damage>,
    untold: u64,
    /// The path of the directory met last.
    directory: Option<(FileReference, Option<String>)>,
}

impl<'a> Reading<'a> {
    fn new(input: &'a Input<'a>) -> Self {
        Self {
            input,
            entries: 0,
            slack: Vec::new(),
            damage: Vec::new(),
            untold: 0,
            directory: None,
        }
    }

    /// Tells the entries in use, keeps the others for the end.
    fn take(&mut self, contents: Contents, sink: &mut dyn Sink) -> ControlFlow<()> {
        for damage in contents.damage {
            if self.damage.len() < MAX_DAMAGE {
                self.damage.push(damage);
            } else {
                self.untold = self.untold.saturating_add(1);
            }
        }
        self.entries = self.entries.saturating_add(contents.counted);
        let known = self.input.paths.is_some();
        self.entries = self.entries.saturating_add(contents.entries.len() as u64);
        let mut wanted = contents.entries;
        wanted.retain(|entry| entry.slack || !known);
        // Most blocks hold nothing that matters: they are asked about as a whole.
        let mut text = String::new();
        for entry in &wanted {
            self.path_into(&entry.file, &mut text);
            describe(entry, &mut text);
        }
        if wanted.is_empty() || !self.input.filter.admits_text(text.as_bytes()) {
            return ControlFlow::Continue(());
        }
        for entry in wanted {
            let path = self.path(&entry.file);
            text.clone_from(&path);
            describe(&entry, &mut text);
            if !self.input.filter.admits_text(text.as_bytes()) {
                continue;
            }
            if !entry.slack {
                sink.record(record(&entry, path))?;
            } else if self.slack.len() < MAX_SLACK {
                self.slack.push(entry);
            } else {
                self.untold = self.untold.saturating_add(1);
            }
        }
        ControlFlow::Continue(())
    }

    /// Tells the entries left over, but for copies of those in use and of each other.
    fn tell_slack(&mut self, sink: &mut dyn Sink) -> Result<ControlFlow<()>, ParseError> {
        if self.slack.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let slack = std::mem::take(&mut self.slack);
        let wanted: HashSet<Facts> = slack.iter().map(|entry| facts(&entry.file)).collect();
        let mut known = HashSet::new();
        let _ = walk(self.input, Wanted::All, &mut |contents| {
            let in_use = contents.entries.iter().filter(|entry| !entry.slack);
            known.extend(in_use.map(|entry| facts(&entry.file)).filter(|f| wanted.contains(f)));
            ControlFlow::Continue(())
        })?;
        for entry in slack {
            if !known.insert(facts(&entry.file)) {
                continue;
            }
            let path = self.path(&entry.file);
            if sink.record(record(&entry, path)) == ControlFlow::Break(()) {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn finish(self, sink: &mut dyn Sink) {
        sink.extent(Extent { records: self.entries, ..Extent::default() });
        self.damage.into_iter().for_each(|damage| sink.damaged(damage));
        if self.untold > 0 {
            let message = format!("{FORMAT}: {} more places or entries not told", self.untold);
            sink.damaged(Damage { locator: None, message, lost: true });
        }
    }

    /// The file's path, or its bare name where the directory is not known.
    fn path(&mut self, file: &FileName) -> String {
        let mut path = String::new();
        self.path_into(file, &mut path);
        path
    }

    fn path_into(&mut self, file: &FileName, text: &mut String) {
        if let Some((paths, parent)) = self.input.paths.zip(file.parent) {
            if self.directory.as_ref().is_none_or(|(known, _)| *known != parent) {
                self.directory = Some((parent, paths.path(parent)));
            }
            if let Some((_, Some(directory))) = &self.directory {
                text.push_str(directory);
                text.push('\\');
            }
        }
        text.push_str(&file.name);
    }
}

/// Adds to its path whatever else the record of an entry can show as text.
fn describe(entry: &IndexEntry, text: &mut String) {
    let shown = |text: &mut String, reference: Option<FileReference>| {
        if let Some(reference) = reference {
            let _ = write!(text, "{reference}");
        }
    };
    text.push('\n');
    shown(text, entry.reference);
    text.push(' ');
    shown(text, entry.file.parent);
    text.push(' ');
    text.push_str(&attributes(&entry.file));
    let (bytes, allocated) = (entry.file.bytes, entry.file.allocated_bytes);
    let _ = writeln!(text, "\n{} {bytes} {allocated}", entry.file.namespace.as_str());
}

fn record(entry: &IndexEntry, path: String) -> Record {
    let file = &entry.file;
    let mut record = Record::new("index_entry", Locator::Offset(entry.offset));
    record.recovered = entry.slack;
    record.push("TargetFilename", path);
    record.push("FileName", file.name.as_str());
    for (name, reference) in [("FileReference", entry.reference), ("ParentReference", file.parent)]
    {
        record.push(name, reference.map_or_else(String::new, |r| r.to_string()));
    }
    record.push("Namespace", file.namespace.as_str());
    record.push("FileAttributes", attributes(file));
    for (name, bytes) in [("FileSize", file.bytes), ("AllocatedSize", file.allocated_bytes)] {
        record.push(name, i64::try_from(bytes).unwrap_or(i64::MAX));
    }
    let times = [
        (file.created, "File Created ($I30)"),
        (file.modified, "File Modified ($I30)"),
        (file.changed, "Record Changed ($I30)"),
        (file.accessed, "File Accessed ($I30)"),
    ];
    record.times.extend(
        times.into_iter().filter_map(|(ticks, meaning)| Moment::of_filetime(ticks, meaning)),
    );
    record
}

/// The attributes by name; an index marks directories in its own way.
fn attributes(file: &FileName) -> String {
    const DIRECTORY_IN_INDEX: u32 = 0x1000_0000;
    const DIRECTORY: u32 = 0x10;
    let in_index = file.attributes & DIRECTORY_IN_INDEX != 0;
    let rest = file.attributes & !DIRECTORY_IN_INDEX;
    joined(if in_index { rest | DIRECTORY } else { rest }, FILE_ATTRIBUTES)
}

#[cfg(test)]
mod tests;
