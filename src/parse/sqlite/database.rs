//! SQLite databases, read without SQLite: tables by name, rows in order, from pages that
//! may be damaged.
//!
//! An own reader, because evidence asks for what the library refuses or would need unsafe
//! code for: a torn file is still read page by page, loops and absurd lengths are said,
//! nothing is written or recovered on disk, large files need not be in memory, and the log
//! beside the database is applied without touching it. Rows of tables that no longer lead
//! to their pages and older states of pages in the log are found by their shape.
//!
//! ```text
//! head   0 "SQLite format 3\0"  16 u16 page size (1: 65536)  20 u8 reserved at a page's end
//!        28 u32 pages  32 u32 first page of the free list  56 u32 encoding 1, 2 (LE), 3 (BE)
//! page   u8 5 inner, 13 leaf (of tables)  3 u16 cells  8 u32 last child (inner)
//!        then u16 offset of each cell; page 1 has the head before it
//! cell   inner: u32 child, varint number; leaf: varint bytes, varint number, content,
//!        u32 page on which the content goes on
//! ```
//! Numbers are big endian. Not read: indexes, tables without row numbers, pointer maps.
//!
//! Source: the SQLite project's description of its file format.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use super::number::{self, Cell, Encoding, u16_at, u32_at, varint};
use super::overlay::{self, Overlay, Place};
use super::schema::Table;
use crate::model::{Damage, Input, Locator, ReadAt, Sink};
use crate::parse::ParseError;
use crate::parse::bytes::{piece, read_up_to};

pub(super) const FORMAT: &str = "SQLite";
/// A database's first bytes.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Content of one row that is read; larger ones are said.
const MAX_PAYLOAD: u64 = 16 << 20;
/// Levels of a tree; SQLite's own trees have no more than 20.
const MAX_DEPTH: usize = 32;
/// Damaged places that are told of one file.
const MAX_FAULTS: usize = 200;
/// Tables of one database.
const MAX_TABLES: usize = 10_000;
/// Pages that are looked at for rows of no table.
const MAX_STRAY_PAGES: u32 = 1 << 20;

/// A database that is open for reading.
pub struct Database<'a> {
    file: &'a dyn ReadAt,
    sidecars: Vec<&'a dyn ReadAt>,
    overlay: Overlay,
    page_size: u32,
    /// Of a page, without what is reserved at its end.
    usable: usize,
    count: u32,
    free_pages: u32,
    encoding: Encoding,
    tables: BTreeMap<String, Table>,
    /// Offset and what is wrong there.
    faults: RefCell<BTreeSet<(u64, String)>>,
}

/// One row of a table.
#[derive(Debug)]
pub struct Row<'t> {
    table: &'t Table,
    pub number: i64,
    cells: Vec<Cell>,
}

impl Row<'_> {
    fn cell(&self, column: &str) -> Option<&Cell> {
        self.cells.get(self.table.column(column)?)
    }

    /// The text of that column; empty when it has none.
    pub fn text(&self, column: &str) -> &str {
        match self.cell(column) {
            Some(Cell::Text(text)) => text,
            _ => "",
        }
    }

    /// The integer of that column; a real is cut.
    pub fn integer(&self, column: &str) -> Option<i64> {
        let at = self.table.column(column)?;
        match self.cells.get(at)? {
            Cell::Integer(n) => Some(*n),
            Cell::Null if self.table.number == Some(at) => Some(self.number),
            #[expect(clippy::cast_possible_truncation, reason = "saturates")]
            Cell::Real(n) => Some(*n as i64),
            _ => None,
        }
    }

    /// The number of that column, whether it was stored as integer or real.
    pub fn real(&self, column: &str) -> Option<f64> {
        match self.cell(column)? {
            Cell::Real(n) => Some(*n),
            #[expect(clippy::cast_precision_loss, reason = "times have fewer digits")]
            Cell::Integer(n) => Some(*n as f64),
            _ => None,
        }
    }

    /// The bytes of that column, of a blob or a text.
    pub fn bytes(&self, column: &str) -> &[u8] {
        match self.cell(column) {
            Some(Cell::Blob(bytes)) => bytes,
            Some(Cell::Text(text)) => text.as_bytes(),
            _ => &[],
        }
    }

    /// Where the row stands.
    pub fn locator(&self) -> Locator {
        Locator::Row { table: self.table.name.clone(), row: self.number }
    }
}

impl<'a> Database<'a> {
    /// Opens a database with its log or journal.
    ///
    /// # Errors
    ///
    /// When it is none, or its first page cannot be read.
    pub fn open(input: &Input<'a>) -> Result<Self, ParseError> {
        let head = read_up_to(input.bytes, 0, 100)?;
        let page_size = match u16_at(&head, 16) {
            Some(1) => 65536,
            Some(size) => u32::from(size),
            None => 0,
        };
        if !head.starts_with(MAGIC) {
            let found = format!("{:02x?} at its start", head.get(..16).unwrap_or(&head));
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        if !page_size.is_power_of_two() || page_size < 512 {
            let what = format!("pages of {page_size} bytes");
            return Err(ParseError::Broken { format: FORMAT, offset: 16, what });
        }
        let overlay = overlay::read(&input.sidecars, page_size)?;
        let reserved = head.get(20).copied().map_or(0, usize::from);
        let stored = input.bytes.size().div_ceil(u64::from(page_size));
        let stored = u32::try_from(stored).unwrap_or(u32::MAX);
        let mut database = Self {
            file: input.bytes,
            sidecars: input.sidecars.clone(),
            page_size,
            usable: usize::try_from(page_size).unwrap_or_default().saturating_sub(reserved),
            count: overlay.count.unwrap_or_default().max(stored),
            free_pages: 0,
            encoding: Encoding::Utf8,
            tables: BTreeMap::new(),
            faults: RefCell::default(),
            overlay,
        };
        for (at, what) in std::mem::take(&mut database.overlay.faults) {
            database.fault(at, format!("beside the database: {what}"));
        }
        let first = database.page(1)?.unwrap_or_default();
        database.free_pages = u32_at(&first, 36).unwrap_or_default();
        let promised = u32_at(&first, 28).unwrap_or_default();
        if promised > database.count {
            let what = format!("{promised} pages expected, {stored} there");
            database.fault(input.bytes.size(), what);
        }
        database.encoding = match u32_at(&first, 56) {
            Some(2) => Encoding::Utf16Le,
            Some(3) => Encoding::Utf16Be,
            _ => Encoding::Utf8,
        };
        database.read_schema();
        Ok(database)
    }

    /// Fills in the tables, which page 1 leads to.
    fn read_schema(&mut self) {
        let sql = "CREATE TABLE sqlite_schema(type TEXT, name TEXT, tbl_name TEXT, rootpage INT, sql TEXT)";
        let text = |t: &str| Cell::Text(t.to_owned());
        let row = [text("table"), text("sqlite_schema"), text(""), Cell::Integer(1), text(sql)];
        let Some(schema) = Table::of_schema(&row) else { return };
        let tables: Vec<Table> = self
            .rows(&schema)
            .take(MAX_TABLES)
            .filter_map(|row| Table::of_schema(&row.cells))
            .collect();
        self.tables = tables.into_iter().map(|t| (t.name.to_ascii_lowercase(), t)).collect();
    }

    /// The table of that name, case aside.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(&name.to_ascii_lowercase())
    }

    /// Every row of a table, in the order of their numbers as far as the tree is whole.
    pub fn rows<'d>(&'d self, table: &'d Table) -> Rows<'d, 'a> {
        Rows {
            database: self,
            table,
            pages: vec![(table.root, 0)],
            reached: HashSet::new(),
            found: VecDeque::new(),
        }
    }

    /// Rows that look like those of the table on pages that no table leads to: free ones,
    /// lost ones, older states in the log. They may repeat rows that are there.
    pub fn stray_rows<'d>(&'d self, table: &'d Table) -> Vec<Row<'d>> {
        let mut found = Vec::new();
        let mut look = |page: &[u8], base: usize| {
            // No table's inner pages, and leaves only: rows stand there.
            if page.get(base) == Some(&13) {
                let cells = self.leaf(page, base, None);
                found.extend(cells.into_iter().filter(|(_, cells)| table.fits(cells)));
            }
        };
        for place in &self.overlay.stale {
            if let Ok(Some(page)) = self.place(*place) {
                look(&page, 0);
            }
        }
        if self.free_pages > 0 || !self.faults.borrow().is_empty() {
            let reached = self.reached();
            for number in 2..=self.count.min(MAX_STRAY_PAGES) {
                if reached.contains(&number) {
                    continue;
                }
                if let Ok(Some(page)) = self.page(number) {
                    look(&page, 0);
                }
            }
        }
        found.into_iter().map(|(number, cells)| Row { table, number, cells }).collect()
    }

    /// Every page that a table's tree leads to.
    fn reached(&self) -> HashSet<u32> {
        let mut all = HashSet::new();
        for table in self.tables.values() {
            let mut pages = vec![(table.root, 0)];
            while let Some((number, depth)) = pages.pop() {
                if all.insert(number)
                    && let Ok(Some(page)) = self.page(number)
                    && page.first() == Some(&5)
                {
                    pages.extend(self.children(number, &page, 0, depth));
                }
            }
        }
        all
    }

    /// Tells what was found damaged.
    pub fn tell(&self, sink: &mut dyn Sink) {
        for (offset, what) in self.faults.take() {
            let locator = Some(Locator::Offset(offset));
            sink.damaged(Damage { locator, message: format!("{FORMAT}: {what}"), lost: true });
        }
    }

    fn fault(&self, offset: u64, what: String) {
        let mut faults = self.faults.borrow_mut();
        if faults.len() < MAX_FAULTS {
            faults.insert((offset, what));
        }
    }

    /// Offset in the file of a page.
    fn offset(&self, number: u32) -> u64 {
        u64::from(number).saturating_sub(1).saturating_mul(u64::from(self.page_size))
    }

    /// A page as it is valid now; `None` beyond the end.
    fn page(&self, number: u32) -> Result<Option<Vec<u8>>, ParseError> {
        if number == 0 || number > self.count {
            return Ok(None);
        }
        if let Some(place) = self.overlay.pages.get(&number) {
            return self.place(*place);
        }
        let size = usize::try_from(self.page_size).unwrap_or_default();
        let page = read_up_to(self.file, self.offset(number), size)?;
        Ok((!page.is_empty()).then_some(page))
    }

    fn place(&self, place: Place) -> Result<Option<Vec<u8>>, ParseError> {
        let Some(file) = self.sidecars.get(place.sidecar) else { return Ok(None) };
        let size = usize::try_from(self.page_size).unwrap_or_default();
        Ok(Some(read_up_to(*file, place.offset, size)?))
    }

    /// The pages that an inner page leads to, last first.
    fn children(&self, number: u32, page: &[u8], base: usize, depth: usize) -> Vec<(u32, usize)> {
        let deeper = depth.saturating_add(1);
        if deeper > MAX_DEPTH {
            self.fault(self.offset(number), format!("tree deeper than {MAX_DEPTH} levels"));
            return Vec::new();
        }
        let mut children: Vec<u32> = cells(page, base, 12)
            .filter_map(|at| u32_at(page, at))
            .chain(u32_at(page, base.saturating_add(8)))
            .collect();
        children.reverse();
        children.into_iter().map(|child| (child, deeper)).collect()
    }

    /// The rows of a leaf. Faults are told of a page with a number.
    fn leaf(&self, page: &[u8], base: usize, number: Option<u32>) -> Vec<(i64, Vec<Cell>)> {
        let mut rows = Vec::new();
        for at in cells(page, base, 8) {
            match self.content(page, at) {
                Ok((row, content)) => {
                    let (cells, whole) = number::row(&content, self.encoding);
                    if whole {
                        rows.push((row, cells));
                        continue;
                    }
                    self.leaf_fault(number, at, "a row's head does not fit its content");
                    if number.is_some() && !cells.is_empty() {
                        rows.push((row, cells));
                    }
                }
                Err(what) => self.leaf_fault(number, at, what),
            }
        }
        rows
    }

    fn leaf_fault(&self, number: Option<u32>, at: usize, what: &str) {
        if let Some(number) = number {
            let offset = self.offset(number).saturating_add(at as u64);
            self.fault(offset, format!("page {number}: {what}"));
        }
    }

    /// The row's number and content of a leaf's cell, put together from further pages.
    fn content(&self, page: &[u8], at: usize) -> Result<(i64, Vec<u8>), &'static str> {
        let cut = "a cell reaches beyond its page";
        let (length, used) = varint(page, at).ok_or(cut)?;
        let at = at.saturating_add(used);
        let (number, used) = varint(page, at).ok_or(cut)?;
        let at = at.saturating_add(used);
        let number = number.cast_signed();
        if length > MAX_PAYLOAD {
            return Err("a row of absurd length");
        }
        let length = usize::try_from(length).map_err(|_| cut)?;
        let local = self.local(length);
        let mut content = piece(page, at, local).ok_or(cut)?.to_vec();
        let mut next = if local < length { u32_at(page, at.saturating_add(local)) } else { None };
        // The length bounds the number of pages: each adds at least one byte.
        while content.len() < length {
            let further = next.filter(|page| *page != 0).and_then(|page| self.page(page).ok()?);
            let Some(further) = further else { break };
            let left = length.saturating_sub(content.len());
            let room = self.usable.saturating_sub(4).min(left).max(1);
            let Some(more) = piece(&further, 4, room) else { break };
            content.extend(more);
            next = u32_at(&further, 0);
        }
        // A row whose end is lost is told by its head.
        Ok((number, content))
    }

    /// Bytes of a content of that length that stand on the leaf itself.
    fn local(&self, length: usize) -> usize {
        let most = self.usable.saturating_sub(35);
        if length <= most {
            return length;
        }
        let least = (self.usable.saturating_sub(12).saturating_mul(32) / 255).saturating_sub(23);
        let page = self.usable.saturating_sub(4).max(1);
        let kept = least.saturating_add(length.saturating_sub(least) % page);
        if kept <= most { kept } else { least }
    }
}

/// Offsets of a page's cells; the head of the page has `head` bytes.
fn cells(page: &[u8], base: usize, head: usize) -> impl Iterator<Item = usize> {
    let count = u16_at(page, base.saturating_add(3)).map_or(0, usize::from);
    let first = base.saturating_add(head);
    let room = page.len().saturating_sub(first) / 2;
    let offset = move |n: usize| u16_at(page, first.saturating_add(n.saturating_mul(2)));
    (0..count.min(room)).filter_map(offset).map(usize::from)
}

/// The rows of one table.
pub struct Rows<'d, 'a> {
    database: &'d Database<'a>,
    table: &'d Table,
    /// Pages still to read, with their level; the next one last.
    pages: Vec<(u32, usize)>,
    reached: HashSet<u32>,
    found: VecDeque<(i64, Vec<Cell>)>,
}

impl Rows<'_, '_> {
    /// Reads the next page of the tree; its rows or the pages below it are noted.
    fn read(&mut self, number: u32, depth: usize) {
        let database = self.database;
        let at = database.offset(number);
        if !self.reached.insert(number) {
            return database.fault(at, format!("page {number} is reached twice"));
        }
        let page = match database.page(number) {
            Ok(Some(page)) => page,
            Ok(None) => return database.fault(at, format!("page {number} is not there")),
            Err(error) => return database.fault(at, format!("page {number}: {error}")),
        };
        let base = if number == 1 { 100 } else { 0 };
        match page.get(base) {
            Some(5) => self.pages.extend(database.children(number, &page, base, depth)),
            Some(13) => self.found.extend(database.leaf(&page, base, Some(number))),
            Some(kind) => {
                let what = format!("page {number} of table {} is of type {kind}", self.table.name);
                database.fault(at, format!("{what}, not 5 or 13"));
            }
            None => database.fault(at, format!("page {number} is cut")),
        }
    }
}

impl<'d> Iterator for Rows<'d, '_> {
    type Item = Row<'d>;

    fn next(&mut self) -> Option<Row<'d>> {
        loop {
            if let Some((number, cells)) = self.found.pop_front() {
                return Some(Row { table: self.table, number, cells });
            }
            let (number, depth) = self.pages.pop()?;
            self.read(number, depth);
        }
    }
}
