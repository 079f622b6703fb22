//! The catalog: which tables there are and what their columns mean.

use std::collections::BTreeMap;

use super::row::Layout;
use crate::parse::bytes::{piece, u16_at, u32_at, utf16};

/// Tables and columns of one database.
const MAX_TABLES: usize = 10_000;
const MAX_COLUMNS: usize = 100_000;
/// What an entry of the catalog describes.
const TABLE: u16 = 1;
const COLUMN: u16 = 2;
const LONG_VALUES: u16 = 4;
/// The variable column that holds the name.
const NAME: u16 = 128;

/// One table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(super) object: u32,
    pub(super) root: u32,
    /// Root of the tree of its long values.
    pub(super) long_root: Option<u32>,
    /// By number.
    pub(crate) columns: Vec<Column>,
}

impl Table {
    /// The column of that name.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// One column of a table.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(super) id: u16,
    pub(super) kind: Kind,
    /// Bytes of a value that always has as many.
    pub(super) size: usize,
    /// Offset of such a value in the record.
    pub(super) offset: usize,
    /// Whether text is UTF-16.
    pub(super) wide: bool,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    Signed,
    Unsigned,
    Real,
    /// Days since 1899-12-30, as a floating point number, or a FILETIME: who wrote it knows.
    DateTime,
    Text,
    Guid,
    Binary,
}

impl Kind {
    /// What the type of that number holds, and how many bytes if always as many.
    fn of(number: u32) -> Option<(Self, Option<usize>)> {
        Some(match number {
            1 => (Self::Boolean, Some(1)),
            2 => (Self::Unsigned, Some(1)),
            3 => (Self::Signed, Some(2)),
            4 => (Self::Signed, Some(4)),
            5 | 15 => (Self::Signed, Some(8)),
            6 => (Self::Real, Some(4)),
            7 => (Self::Real, Some(8)),
            8 => (Self::DateTime, Some(8)),
            9 | 11 | 13 => (Self::Binary, None),
            10 | 12 => (Self::Text, None),
            14 => (Self::Unsigned, Some(4)),
            16 => (Self::Guid, Some(16)),
            17 => (Self::Unsigned, Some(2)),
            _ => return None,
        })
    }
}

/// The tables that are described so far.
#[derive(Default)]
pub(super) struct Catalog {
    by_object: BTreeMap<u32, Table>,
    columns: usize,
}

impl Catalog {
    /// Takes one record of the catalog; `None` when it makes no sense or there are too many.
    pub(super) fn add(&mut self, record: &[u8]) -> Option<()> {
        let (object, what) = (u32_at(record, 4)?, u16_at(record, 8)?);
        if self.by_object.len() >= MAX_TABLES && !self.by_object.contains_key(&object) {
            return None;
        }
        let table = self.by_object.entry(object).or_default();
        table.object = object;
        match what {
            TABLE => {
                table.name = name(record)?;
                table.root = u32_at(record, 14)?;
            }
            LONG_VALUES => table.long_root = u32_at(record, 14),
            COLUMN if self.columns < MAX_COLUMNS => {
                table.columns.extend(column(record)?);
                self.columns = self.columns.saturating_add(1);
            }
            COLUMN => return None,
            _ => {}
        }
        Some(())
    }

    /// Every table that has a name, by name.
    pub(super) fn into_tables(self) -> Vec<Table> {
        let named = self.by_object.into_values().filter(|t| !t.name.is_empty() && t.root != 0);
        let mut all: Vec<Table> = named.collect();
        for table in &mut all {
            table.columns.sort_by_key(|c| c.id);
            table.columns.dedup_by_key(|c| c.id);
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

fn name(record: &[u8]) -> Option<String> {
    let bytes = Layout::of(record)?.variable(NAME)?;
    let is_wide = bytes.get(1) == Some(&0);
    Some(if is_wide { utf16(bytes) } else { String::from_utf8_lossy(bytes).into_owned() })
}

/// The column that an entry describes; none inside for one that was removed.
fn column(record: &[u8]) -> Option<Option<Column>> {
    let Some((kind, size)) = Kind::of(u32_at(record, 14)?) else { return Some(None) };
    let space = usize::try_from(u32_at(record, 18)?).ok()?;
    // Code page and offset are missing in entries of tables that the engine made first.
    let wide = piece(record, 26, 4).and_then(|b| u32_at(b, 0)) == Some(1200);
    Some(Some(Column {
        name: name(record)?,
        id: u16::try_from(u32_at(record, 10)?).ok()?,
        kind,
        size: size.unwrap_or(space),
        offset: usize::from(u16_at(record, 31)?),
        wide,
    }))
}
