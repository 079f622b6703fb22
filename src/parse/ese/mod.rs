//! Databases of the Extensible Storage Engine, which Windows keeps usage, web caches and
//! background transfers in: pages, trees, catalog, records and long values.
//!
//! ```text
//! file = header, copy of the header, page 1, page 2, …    all of one size, 2 to 32 KiB
//! tree = pages with children's numbers, leaves with records; the catalog's is page 4
//! ```
//!
//! Format 0x620 from revision 9 on (Windows XP and later). Besides the records that trees
//! lead to it gives those that are deleted or stand on leaves that no tree leads to any
//! more. To a database that was not closed the transactions in the `.log` files beside it
//! are applied ([`replay`]). Not done: columns that a table takes from a template and default values are not
//! known; of several values in one column the first is given; of encrypted ones none; XPRESS
//! 9 and 10 are not unpacked; the sums of large pages are not checked.
//!
//! Source: libesedb's format documentation and the engine's published headers.

mod catalog;
mod packed;
mod page;
mod replay;
mod row;
#[cfg(test)]
mod tests;
mod tree;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::rc::Rc;

use self::catalog::Catalog;
pub(crate) use self::catalog::Table;
use self::page::Page;
use self::replay::{Image, Replayed, Wanted};
pub(crate) use self::row::{Cell, Row};
use self::tree::Walk;
use super::ParseError;
use super::bytes::{piece, read_up_to, u32_at};
use crate::model::{Damage, Extent, ReadAt};

const FORMAT: &str = "ESE database";
/// Stands at offset 4; words of old checksums are added to it, too.
pub(super) const MAGIC: u32 = 0x89ab_cdef;
const VERSION: u32 = 0x620;
/// Before this revision tagged values were stored otherwise.
const FIRST_REVISION: u32 = 9;
const CATALOG_ROOT: u32 = 4;
const CATALOG_OBJECT: u32 = 2;
/// States of a database in its header.
const CLEAN: u32 = 3;
const DIRTY: u32 = 2;
const NOT_REPLAYED: &str =
    "read as it stands on its pages, what only its transaction logs hold is missing";

/// A database, read page by page.
pub(crate) struct Database<'a> {
    source: &'a dyn ReadAt,
    page_size: usize,
    revision: u32,
    state: u32,
    /// Pages as the transaction logs leave them.
    images: BTreeMap<u32, Rc<Image>>,
    /// What the logs came to, if there was need of them.
    replayed: Option<(bool, String)>,
    pub(crate) tables: Vec<Table>,
    /// Pages with records, by object; see [`Database::leaves`].
    leaves: OnceCell<BTreeMap<u32, BTreeSet<u32>>>,
}

impl<'a> Database<'a> {
    /// Reads header and catalog, as the transaction logs leave them if it was not closed;
    /// what is wrong goes to `faults`.
    ///
    /// # Errors
    ///
    /// When it is no database of a known version or its catalog cannot be read.
    pub(crate) fn open(
        source: &'a dyn ReadAt,
        logs: &[&dyn ReadAt],
        faults: &mut Vec<Damage>,
    ) -> Result<Self, ParseError> {
        let header = read_up_to(source, 0, 32 << 10)?;
        let word = |at| u32_at(&header, at).unwrap_or_default();
        if word(4) != MAGIC {
            let found = format!("{:02x?}", header.get(..8).unwrap_or(&header));
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        let (version, revision, kind) = (word(8), word(232), word(12));
        let broken = |offset, what| ParseError::Broken { format: FORMAT, offset, what };
        if version != VERSION || revision < FIRST_REVISION || kind != 0 {
            let what = format!("version {version:#x}, revision {revision:#x}, kind {kind}");
            return Err(broken(8, format!("{what} is not known")));
        }
        let page_size = match word(236) {
            0 => 4096,
            size => usize::try_from(size).unwrap_or_default(),
        };
        if !(2 << 10..=32 << 10).contains(&page_size) || !page_size.is_power_of_two() {
            return Err(broken(236, format!("pages of {page_size} bytes")));
        }
        let sum = page::xor(header.get(..page_size).unwrap_or(&header), 4, MAGIC);
        if sum != word(0) {
            let what = format!("the header's sum is {sum:#x}, it says {:#x}", word(0));
            faults.push(remark(0, what));
        }
        let mut base = Self {
            source,
            page_size,
            revision,
            state: word(52),
            images: BTreeMap::new(),
            replayed: None,
            tables: Vec::new(),
            leaves: OnceCell::new(),
        };
        if base.state == DIRTY && !logs.is_empty() {
            base.replay(&header, logs, faults);
        }
        base.tables = base.read_catalog(faults)?;
        Ok(base)
    }

    /// Applies the transaction logs.
    fn replay(&mut self, header: &[u8], logs: &[&dyn ReadAt], faults: &mut Vec<Damage>) {
        let word = |at| u32_at(header, at).unwrap_or_default();
        // Where it was attached, if the header does not say what is needed.
        let first = [word(296), word(84)].into_iter().find(|n| *n != 0).unwrap_or_default();
        let wanted = Wanted {
            signature: piece(header, 108, 28).unwrap_or_default().to_vec(),
            database: u8::try_from(word(104)).unwrap_or_default(),
            page_size: self.page_size,
            is_large: self.is_large(),
            first,
            last: word(300).max(first),
        };
        let read = |number| self.page(number);
        let Replayed { images, complete, faults: more, said } =
            replay::replay(&wanted, logs, &read);
        faults.extend(more);
        self.images = images;
        self.replayed = Some((complete, said));
    }

    /// What is to be said of a database that was not closed, and of how far its rows
    /// reach; `None` if it was.
    pub(crate) fn unclosed(&self, extent: Option<&Extent>) -> Option<Damage> {
        let what = unclosed(self.state)?;
        let reach = extent.map(|extent| format!("; {}", reach(extent))).unwrap_or_default();
        let (said, lost) = match &self.replayed {
            Some((true, said)) => (said.as_str(), false),
            Some((false, said)) => (said.as_str(), true),
            None => (NOT_REPLAYED, true),
        };
        let message = format!("{FORMAT}: {what}: {said}{reach}");
        Some(Damage { message, lost, ..remark(0, String::new()) })
    }

    /// The table of that name.
    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|t| t.name.eq_ignore_ascii_case(name))
    }

    /// Every record of a table in its tree's order, then those of leaves beside the tree.
    pub(crate) fn rows(
        &self,
        table: &Table,
        faults: &mut Vec<Damage>,
        each: &mut dyn FnMut(&Row<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut unreadable = 0u64;
        let mut visit = |page: &Page, beside: bool| {
            for node in page.nodes() {
                let recovered = beside || node.deleted;
                let row = Row { base: self, table, record: node.data, recovered };
                if row.is_sound() {
                    each(&row)?;
                } else if !recovered {
                    unreadable = unreadable.saturating_add(1);
                }
            }
            ControlFlow::Continue(())
        };
        let mut walk = Walk::new(self, table.object);
        let flow = match walk.leaves(table.root, &mut |page| visit(page, false)) {
            ControlFlow::Continue(()) => walk.beside(&mut |page| visit(page, true)),
            stop => stop,
        };
        faults.extend(walk.faults(&table.name));
        if unreadable > 0 {
            let what = format!("table {}: {unreadable} records make no sense", table.name);
            faults.push(lost(self.offset_of(table.root), what));
        }
        flow
    }

    /// Whether nodes and tagged values keep their own flags.
    fn is_large(&self) -> bool {
        self.page_size >= 16 << 10 && self.revision >= 0x11
    }

    /// Number of the last page.
    fn last_in_file(&self) -> u32 {
        let pages = self.source.size() / self.page_size.max(1) as u64;
        u32::try_from(pages.saturating_sub(2)).unwrap_or(u32::MAX)
    }

    fn offset_of(&self, page: u32) -> u64 {
        u64::from(page).saturating_add(1).saturating_mul(self.page_size as u64)
    }

    /// The page of that number; `None` when the file does not have it whole.
    fn page(&self, number: u32) -> Option<Page> {
        if let Some(image) = self.images.get(&number) {
            return Some(Page::replayed(number, Rc::clone(image)));
        }
        if number == 0 || number > self.last_in_file() {
            return None;
        }
        let bytes = read_up_to(self.source, self.offset_of(number), self.page_size).ok()?;
        (bytes.len() == self.page_size).then(|| Page::new(number, bytes, self.revision))
    }

    fn read_catalog(&self, faults: &mut Vec<Damage>) -> Result<Vec<Table>, ParseError> {
        let (mut catalog, mut unreadable) = (Catalog::default(), 0u64);
        let mut walk = Walk::new(self, CATALOG_OBJECT);
        let _: ControlFlow<()> = walk.leaves(CATALOG_ROOT, &mut |page| {
            for node in page.nodes().filter(|node| !node.deleted) {
                if catalog.add(node.data).is_none() {
                    unreadable = unreadable.saturating_add(1);
                }
            }
            ControlFlow::Continue(())
        });
        faults.extend(walk.faults("MSysObjects"));
        let at = self.offset_of(CATALOG_ROOT);
        if unreadable > 0 {
            faults.push(lost(at, format!("{unreadable} entries of the catalog make no sense")));
        }
        let tables = catalog.into_tables();
        if tables.is_empty() {
            let what = "its catalog names no table".to_owned();
            return Err(ParseError::Broken { format: FORMAT, offset: at, what });
        }
        Ok(tables)
    }
}

/// What is to be said of a database whose header (its beginning) says that it was not
/// closed, where it is read otherwise; `None` if it was, or is none.
pub(crate) fn left_open(header: &[u8]) -> Option<Damage> {
    let is_database = u32_at(header, 4) == Some(MAGIC);
    let open = is_database && u32_at(header, 52) == Some(DIRTY);
    let what = unclosed(DIRTY).filter(|_| open)?;
    Some(lost(0, format!("{what}: {NOT_REPLAYED}")))
}

/// How far rows reach, in words.
fn reach(extent: &Extent) -> String {
    match (extent.first, extent.last) {
        (Some(first), Some(last)) => {
            format!("{} rows from {first:.0} to {last:.0}", extent.records)
        }
        _ => "no rows".to_owned(),
    }
}

/// What a state that is not that of a closed database means.
fn unclosed(state: u32) -> Option<String> {
    match state {
        CLEAN => None,
        DIRTY => Some("it was not closed (dirty shutdown)".to_owned()),
        other => Some(format!("its state is {other}, {CLEAN} expected")),
    }
}

fn lost(offset: u64, what: String) -> Damage {
    let message = format!("{FORMAT}: {what}");
    Damage { locator: Some(crate::model::Locator::Offset(offset)), message, lost: true }
}

fn remark(offset: u64, what: String) -> Damage {
    Damage { lost: false, ..lost(offset, what) }
}
