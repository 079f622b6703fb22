//! The change journal of an NTFS or ReFS volume (`$Extend\$UsnJrnl:$J`): which file
//! was created, renamed or deleted when, also files that are long gone.
//!
//! USN_RECORD versions 2, 3 and 4. The journal is a stream that only grows and whose
//! beginning is given back to the volume: usually gigabytes of zeros, then some tens
//! of megabytes of records. It is read twice, in blocks: once for the names that
//! directories had and for the two halves of each renaming, then for the records.
//!
//! Records are screened by the text that they become, path included, many at once:
//! their bytes hold a bare name and two numbers, too little for a rule on a path.
//!
//! Source of the layout: Microsoft's documentation of the USN_RECORD structures.

mod blocks;
mod history;
mod layout;

use std::ops::ControlFlow;

use self::blocks::Blocks;
use self::history::{History, Paths, Place};
use self::layout::{ALIGNMENT, Entry, Found, Identity, REASONS, SOURCES};
use super::bytes::u64_at;
use super::flags::{FILE_ATTRIBUTES, joined};
use super::{ParseError, Parser};
use crate::model::{Damage, Extent, Filter, Input, Locator, Moment, Record, Sink, from_filetime};

const FORMAT: &str = "change journal";
/// Text that is screened at once.
const BATCH_BYTES: usize = 64 << 10;
/// Combinations of flags that are told apart in one batch.
const MAX_FLAGS: usize = 256;
/// Extents of a range tracking record that are listed.
const MAX_EXTENTS: usize = 64;

/// Reads the change journal: a `file_event`, `file_rename`, `file_delete` or
/// `file_change` for each of its records that matters.
#[derive(Clone, Copy, Debug)]
pub struct UsnJournal;

impl Parser for UsnJournal {
    fn name(&self) -> &'static str {
        "usn_journal"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        let words = start.chunks(ALIGNMENT);
        let zeros = words.take_while(|word| word.iter().all(|byte| *byte == 0)).count();
        let first = start.get(zeros.saturating_mul(ALIGNMENT)..).unwrap_or_default();
        matches!(Found::at(first), Found::Entry(..))
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let history = survey(input, sink)?;
        let mut screened = Screened {
            paths: Paths::new(&history, input.paths),
            history: &history,
            filter: input.filter,
            batch: Batch::default(),
        };
        let mut blocks = Blocks::new(input.bytes);
        while let Some((block, starts)) = blocks.next()? {
            if screened.block(block, starts, sink) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

/// The first reading: names, the journal's reach, and what of it is damaged.
fn survey(input: &Input<'_>, sink: &mut dyn Sink) -> Result<History, ParseError> {
    let (mut history, mut extent) = (History::default(), Extent::default());
    let (mut first, mut last) = (None::<u64>, None::<u64>);
    let mut blocks = Blocks::new(input.bytes);
    while let Some((block, starts)) = blocks.next()? {
        for entry in starts.iter().filter_map(|at| entry_at(block, *at)) {
            history.add(&entry);
            extent.records = extent.records.saturating_add(1);
            let time = entry.time.filter(|ticks| *ticks != 0);
            first = [first, time].into_iter().flatten().min();
            last = last.max(time);
        }
    }
    history.close();
    let lost = blocks.lost;
    if extent.records == 0 && !lost.damage.is_empty() {
        return Err(ParseError::Foreign { format: FORMAT, found: "no record in it".to_owned() });
    }
    lost.damage.into_iter().for_each(|damage| sink.damaged(damage));
    if lost.untold > 0 {
        sink.damaged(remark(format!("{} more places hold no record", lost.untold), true));
    }
    if history.full {
        sink.damaged(remark("more names than are kept: some paths are short".to_owned(), false));
    }
    extent.first = first.and_then(from_filetime);
    extent.last = last.and_then(from_filetime);
    sink.extent(extent);
    Ok(history)
}

fn remark(what: String, lost: bool) -> Damage {
    Damage { locator: None, message: format!("{FORMAT}: {what}"), lost }
}

fn entry_at(block: &[u8], at: usize) -> Option<Entry<'_>> {
    match Found::at(block.get(at..)?) {
        Found::Entry(entry, _) => Some(entry),
        _ => None,
    }
}

/// The second reading: records on their way past the screen.
struct Screened<'a> {
    paths: Paths<'a>,
    history: &'a History,
    filter: &'a dyn Filter,
    batch: Batch,
}

/// Records whose text is asked about at once.
#[derive(Default)]
struct Batch {
    text: String,
    /// Where in the block they start.
    starts: Vec<usize>,
    /// Combinations of reasons, source and attributes whose names are in the text.
    flags: Vec<[u32; 3]>,
}

impl Batch {
    fn clear(&mut self) {
        self.text.clear();
        self.starts.clear();
        self.flags.clear();
    }
}

impl Screened<'_> {
    fn block(&mut self, block: &[u8], starts: &[usize], sink: &mut dyn Sink) -> ControlFlow<()> {
        let mut last: Option<Entry<'_>> = None;
        for at in starts {
            let Some(entry) = entry_at(block, *at) else { continue };
            self.batch.starts.push(*at);
            let same = last.is_some_and(|last| is_same_place(&last, &entry))
                && self.paths.is_calm(entry.usn);
            self.describe(&entry, same);
            last = Some(entry);
            if self.batch.text.len() > BATCH_BYTES || self.batch.flags.len() > MAX_FLAGS {
                self.flush(block, sink)?;
                last = None;
            }
        }
        self.flush(block, sink)
    }

    /// Adds to the batch whatever text the record can show.
    fn describe(&mut self, entry: &Entry<'_>, same: bool) {
        let text = &mut self.batch.text;
        if !same {
            self.paths.push_directory(text, entry.parent, entry.usn);
            entry.push_name(text);
            text.push('\n');
            if let Some(rename) = self.history.rename_of(entry) {
                for place in [&rename.old, &rename.new] {
                    text.push_str(&self.paths.path(place, entry.usn));
                    text.push('\n');
                }
            }
            push_identity(text, entry.file);
            text.push(' ');
            push_identity(text, entry.parent);
        }
        text.push(' ');
        push_number(text, entry.usn);
        text.push('\n');
        for extent in extents(entry) {
            text.push_str(&extent);
            text.push('\n');
        }
        let flags = [entry.reasons, entry.source, entry.attributes];
        if self.batch.flags.last() != Some(&flags) && !self.batch.flags.contains(&flags) {
            for (bits, names) in flags.iter().zip([REASONS, SOURCES, FILE_ATTRIBUTES]) {
                text.push_str(&joined(*bits, names));
                text.push('\n');
            }
            self.batch.flags.push(flags);
        }
    }

    /// Tells the records of the batch that can matter.
    fn flush(&mut self, block: &[u8], sink: &mut dyn Sink) -> ControlFlow<()> {
        let Batch { text, starts, .. } = &self.batch;
        if starts.is_empty() || !self.filter.admits_text(text.as_bytes()) {
            self.batch.clear();
            return ControlFlow::Continue(());
        }
        let starts = std::mem::take(&mut self.batch.starts);
        self.batch.clear();
        for entry in starts.iter().filter_map(|at| entry_at(block, *at)) {
            self.describe(&entry, false);
            let admitted = self.filter.admits_text(self.batch.text.as_bytes());
            self.batch.clear();
            if admitted {
                sink.record(self.record(&entry))?;
            }
        }
        ControlFlow::Continue(())
    }

    fn record(&mut self, entry: &Entry<'_>) -> Record {
        let mut record = Record::new(layout::category(entry.reasons), Locator::Usn(entry.usn));
        let place = Place { name: entry.name(), parent: entry.parent };
        if !place.name.is_empty() {
            record.push("TargetFilename", self.paths.path(&place, entry.usn));
        }
        record.push("FileName", place.name);
        if let Some(rename) = self.history.rename_of(entry) {
            record.push("OldName", rename.old.name.as_str());
            record.push("NewName", rename.new.name.as_str());
            record.push("OldFilename", self.paths.path(&rename.old, entry.usn));
            record.push("NewFilename", self.paths.path(&rename.new, entry.usn));
        }
        record.push("FileReference", entry.file.shown());
        record.push("ParentReference", entry.parent.shown());
        record.push("Reason", joined(entry.reasons, REASONS));
        record.push("SourceInfo", joined(entry.source, SOURCES));
        record.push("FileAttributes", joined(entry.attributes, FILE_ATTRIBUTES));
        record.push("Usn", i64::try_from(entry.usn).unwrap_or(i64::MAX));
        let extents = extents(entry);
        if !extents.is_empty() {
            record.push("Extents", crate::model::Value::List(extents));
        }
        record
            .times
            .extend(entry.time.and_then(|ticks| Moment::of_filetime(ticks, "Change Recorded")));
        record
    }
}

/// Appends what [`Identity::shown`] gives.
fn push_identity(text: &mut String, identity: Identity) {
    match identity.reference() {
        Some(reference) => {
            push_number(text, reference.record);
            text.push('-');
            push_number(text, reference.sequence.into());
        }
        None => text.push_str(&identity.shown()),
    }
}

/// Appends a number in decimal.
fn push_number(text: &mut String, number: u64) {
    let mut figures = [0u8; 20];
    let (mut rest, mut count) = (number, 0usize);
    for figure in figures.iter_mut().rev() {
        *figure = b'0'.saturating_add(u8::try_from(rest % 10).unwrap_or_default());
        count = count.saturating_add(1);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let figures = figures.iter().skip(figures.len().saturating_sub(count));
    figures.for_each(|figure| text.push(char::from(*figure)));
}

/// Whether two records in a row show the same names.
fn is_same_place(one: &Entry<'_>, other: &Entry<'_>) -> bool {
    const RENAMED: u32 = layout::RENAME_OLD_NAME | layout::RENAME_NEW_NAME;
    one.file == other.file
        && one.parent == other.parent
        && one.name == other.name
        && !one.has(RENAMED)
        && !other.has(RENAMED)
}

/// The changed ranges of a version 4 record, as `offset+length`.
fn extents(entry: &Entry<'_>) -> Vec<String> {
    let pairs = entry.extents.chunks_exact(16).take(MAX_EXTENTS);
    pairs.filter_map(|p| Some(format!("{:#x}+{:#x}", u64_at(p, 0)?, u64_at(p, 8)?))).collect()
}

#[cfg(test)]
mod tests;
