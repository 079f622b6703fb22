//! What only the transaction logs beside a database hold, applied to its pages.
//!
//! A database that was not closed (any that is copied while its program runs) lacks what
//! the engine had not yet written: its logs (`SRU*.log`, `V01*.log`, `edb*.log`) say what
//! was done to which page, and each page which change it has last. Changes that a page
//! lacks are made in memory, in the logs' order; nothing is written.
//!
//! ```text
//! change  = page, its time before, its time after, what is done to which line
//! macro   = changes of several pages (splits, merges) that count once it is committed
//! ```
//!
//! Not done: what a transaction did that never ended is not taken back; trees of free
//! space are left alone; moves of roots are not followed. A page whose changes do not fit
//! stays as it was last, and is told.
//!
//! Source: the engine's published source (log records, and what redoing them does); checked
//! against pages that the engine itself wrote.

mod image;
mod log_file;
mod merge;
mod node;
mod pages;
mod record;
mod split;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

pub(super) use self::image::Image;
use self::log_file::LogFile;
use self::node::{Before, Remembered};
use self::pages::Pages;
use self::record::{Change, Record, What};
use super::page::{LEAF, Page, ROOT};
use super::{Damage, lost, remark};
use crate::model::ReadAt;

/// Logs of one database, and their bytes together.
const MAX_LOGS: usize = 4096;
const MAX_LOG_BYTES: u64 = 256 << 20;
/// Bytes of what is remembered to take a change back, and of open macros.
const MAX_REMEMBERED: usize = 64 << 20;

/// What a database's header says of its logs.
pub(super) struct Wanted {
    pub(super) signature: Vec<u8>,
    pub(super) database: u8,
    pub(super) page_size: usize,
    /// Whether nodes keep their own flags.
    pub(super) is_large: bool,
    /// First and last generation that must be applied.
    pub(super) first: u32,
    pub(super) last: u32,
}

/// The outcome.
pub(super) struct Replayed {
    pub(super) images: BTreeMap<u32, Rc<Image>>,
    /// Whether all that must be applied was.
    pub(super) complete: bool,
    pub(super) faults: Vec<Damage>,
    /// What was done, in words.
    pub(super) said: String,
}

/// Applies the logs to the pages that `read` gives.
pub(super) fn replay(
    wanted: &Wanted,
    logs: &[&dyn ReadAt],
    read: &dyn Fn(u32) -> Option<Page>,
) -> Replayed {
    let mut faults = Vec::new();
    let found = find(wanted, logs, &mut faults);
    let chain = chain(wanted, &found);
    let mut engine = Engine::new(wanted, read);
    let mut is_whole = true;
    for log in &chain {
        is_whole &= engine.apply(log, &mut faults);
    }
    engine.faults(&mut faults);
    let generations = chain.first().zip(chain.last()).map(|(a, b)| (a.generation, b.generation));
    let covers = generations.is_some_and(|(a, b)| a <= wanted.first && wanted.last <= b);
    if !covers {
        let (first, last) = (wanted.first, wanted.last);
        let found = generations.map_or("none".to_owned(), |(a, b)| format!("{a} to {b}"));
        let what = format!("of its transaction logs {first} to {last} are needed, {found} found");
        faults.push(lost(0, what));
    }
    let applied = engine.pages.applied;
    let said = match generations {
        Some((a, b)) => format!("{applied} changes of its transaction logs {a} to {b} are applied"),
        None => "no transaction log is applied".to_owned(),
    };
    let complete = covers && is_whole && engine.pages.stuck.is_empty() && engine.unknown.is_empty();
    let images = engine.pages.images.into_iter().map(|(page, image)| (page, Rc::new(image)));
    Replayed { images: images.collect(), complete, faults, said }
}

/// The logs that belong to the database, by generation.
fn find<'a>(
    wanted: &Wanted,
    logs: &[&'a dyn ReadAt],
    faults: &mut Vec<Damage>,
) -> BTreeMap<u32, LogFile<'a>> {
    let mut found: BTreeMap<u32, LogFile<'_>> = BTreeMap::new();
    let mut left = MAX_LOG_BYTES;
    for log in logs.iter().copied().take(MAX_LOGS) {
        let Some(after) = left.checked_sub(log.size()) else {
            faults.push(remark(0, format!("transaction logs of more than {MAX_LOG_BYTES} bytes")));
            break;
        };
        left = after;
        match LogFile::open(log, wanted) {
            Ok(Some(log)) => drop(found.entry(log.generation).or_insert(log)),
            // Of another database, or prepared and empty.
            Ok(None) => {}
            // Whether it is missing, the numbers of the others tell.
            Err(what) => faults.push(remark(0, format!("a transaction log: {what}"))),
        }
    }
    if logs.len() > MAX_LOGS {
        faults.push(remark(0, format!("more than {MAX_LOGS} transaction logs")));
    }
    found
}

/// The first that must be applied and what follows it without a gap.
fn chain<'l>(wanted: &Wanted, found: &'l BTreeMap<u32, LogFile<'l>>) -> Vec<&'l LogFile<'l>> {
    let following = found.range(wanted.first..).zip(wanted.first..);
    following.take_while(|((n, _), at)| *n == at).map(|((_, log), _)| log).collect()
}

/// The pages, and what is known while the logs are gone through.
struct Engine<'a> {
    wanted: &'a Wanted,
    pages: Pages<'a>,
    /// Changes of macros that are not committed, by session and time.
    macros: BTreeMap<(u16, u64), Vec<Vec<u8>>>,
    /// What changes that may be taken back replaced, by their number.
    before: BTreeMap<u32, Before>,
    /// Bytes of both.
    remembered: usize,
    /// Kinds of changes that are not followed.
    unknown: BTreeSet<u8>,
}

impl<'a> Engine<'a> {
    fn new(wanted: &'a Wanted, read: &'a dyn Fn(u32) -> Option<Page>) -> Self {
        let pages = Pages::new(read, wanted.is_large);
        let (macros, before, unknown) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { wanted, pages, macros, before, remembered: 0, unknown }
    }

    /// Applies a log; whether it could be read to its end.
    fn apply(&mut self, log: &LogFile<'_>, faults: &mut Vec<Damage>) -> bool {
        let end = log.each(&mut |at, bytes| {
            self.pages.at = at;
            self.record(bytes)
        });
        let Err((at, what)) = end else { return true };
        faults.push(lost(at, format!("transaction log {}: {what}", log.generation)));
        false
    }

    /// Applies a record; `None` when it makes no sense.
    fn record(&mut self, bytes: &[u8]) -> Option<()> {
        match Record::read(bytes)? {
            Record::MacroBegin(session, time) => {
                drop(self.end_macro(session, time));
                self.macros.insert((session, time), Vec::new());
            }
            Record::MacroAbort(session, time) => drop(self.end_macro(session, time)),
            Record::MacroCommit(session, time) => {
                let parts = self.end_macro(session, time);
                self.commit(&parts)?;
            }
            Record::Change(change) if change.database != self.wanted.database => {}
            Record::Change(change) => match self.macros.get_mut(&(change.session, change.time)) {
                Some(open) => {
                    self.remembered = self.remembered.saturating_add(bytes.len());
                    (self.remembered <= MAX_REMEMBERED).then(|| open.push(bytes.to_vec()))?;
                }
                None => self.change(&change),
            },
            Record::Unknown(kind) => drop(self.unknown.insert(kind)),
            Record::Other => {}
        }
        Some(())
    }

    /// The changes of a macro, which are no longer kept.
    fn end_macro(&mut self, session: u16, time: u64) -> Vec<Vec<u8>> {
        let parts = self.macros.remove(&(session, time)).unwrap_or_default();
        self.remembered = self.remembered.saturating_sub(parts.iter().map(Vec::len).sum());
        parts
    }

    /// Makes the changes of a macro.
    fn commit(&mut self, parts: &[Vec<u8>]) -> Option<()> {
        let mut changes = Vec::new();
        for part in parts {
            match Record::read(part)? {
                Record::Change(change) => changes.push(change),
                Record::Unknown(kind) => drop(self.unknown.insert(kind)),
                _ => {}
            }
        }
        if changes.iter().any(|change| matches!(change.what, What::Split(_))) {
            self.pages.split(&changes);
        } else if changes.iter().any(|change| matches!(change.what, What::Merge(_))) {
            self.pages.merge(&changes);
        } else {
            changes.iter().for_each(|change| self.change(change));
        }
        Some(())
    }

    fn change(&mut self, change: &Change<'_>) {
        match &change.what {
            What::Split(_) => self.pages.split(std::slice::from_ref(change)),
            What::Merge(_) => self.pages.merge(std::slice::from_ref(change)),
            What::Move(moved) => {
                if self.pages.relocate(change, moved).is_none() {
                    self.pages.stick(change.page);
                }
            }
            What::Remember { data, number } => {
                let data = data.map(|data| (*number, Before::Data(data.to_vec())));
                self.remember(data);
            }
            What::NewPage { object } => self.pages.begin(change, *object, 0),
            What::NewTree { object, flags } => {
                self.pages.begin(change, *object, flags | ROOT | LEAF);
            }
            What::EmptyTree(pages) => {
                for (page, before) in pages {
                    if let Some(image) = self.pages.due_at(*page, *before, change.time) {
                        image.clear();
                    }
                }
                if let Some(image) = self.pages.due(change) {
                    image.removed.append(&mut image.nodes);
                    image.flags |= LEAF;
                }
            }
            what => self.change_node(change, what),
        }
    }

    fn change_node(&mut self, change: &Change<'_>, what: &What<'_>) {
        let undone = match what {
            What::Undo { number, .. } => self.before.get(number),
            _ => None,
        };
        let Some(image) = self.pages.due(change) else { return };
        match node::change(image, change.line, what, undone) {
            Some(remembered) => self.remember(remembered),
            None => self.pages.stick(change.page),
        }
    }

    fn remember(&mut self, what: Remembered) {
        let Some((number, before)) = what else { return };
        let size = before.size();
        if self.remembered.saturating_add(size) <= MAX_REMEMBERED {
            self.remembered = self.remembered.saturating_add(size);
            if let Some(old) = self.before.insert(number, before) {
                self.remembered = self.remembered.saturating_sub(old.size());
            }
        }
    }

    /// What did not fit.
    fn faults(&self, faults: &mut Vec<Damage>) {
        if let Some((page, at)) = self.pages.stuck.first_key_value() {
            let count = self.pages.stuck.len();
            let what = format!(
                "the transaction logs do not fit {count} pages, the first is {page} (offset {at} \
                 in its log)"
            );
            faults.push(lost(0, what));
        }
        for kind in &self.unknown {
            let what = format!("changes of kind {kind} in its transaction logs are not known");
            faults.push(lost(0, what));
        }
    }
}
