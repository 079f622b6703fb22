//! A record and the values of its columns.
//!
//! ```text
//! record   = u8 last fixed column, u8 last variable column, u16 offset of the ends,
//!            fixed values, a bit for each that is set when it has no value,
//!            u16 end of each variable value (upper bit: no value), variable values,
//!            tagged values
//! tagged   = { u16 column, u16 offset and flags }, { [u8 flags], value }
//! ```

use std::borrow::Cow;

use super::catalog::{Column, Kind, Table};
use super::{Database, packed};
use crate::parse::bytes::{guid, piece, u16_at, utf16};

/// First column with a variable length, and first that stands with its number.
const FIRST_VARIABLE: u16 = 128;
const FIRST_TAGGED: u16 = 256;
const NO_VALUE: u16 = 0x8000;
/// Flags beside a tagged value's offset, on small pages.
const TAG_FLAGS: u16 = 0x4000;
const TAG_NO_VALUE: u16 = 0x2000;
/// Flags before a tagged value.
const PACKED: u8 = 0x02;
const SEPARATE: u8 = 0x04;
const MANY: u8 = 0x08;
const TWO: u8 = 0x10;
const NONE: u8 = 0x20;
const ENCRYPTED: u8 = 0x40;

/// Where the parts of a record are.
pub(super) struct Layout<'a> {
    record: &'a [u8],
    last_fixed: u16,
    last_variable: u16,
    ends: usize,
}

impl<'a> Layout<'a> {
    pub(super) fn of(record: &'a [u8]) -> Option<Self> {
        let ends = usize::from(u16_at(record, 2)?);
        (ends >= 4 && ends <= record.len()).then_some(())?;
        let (last_fixed, last_variable) = (u16::from(*record.first()?), u16::from(*record.get(1)?));
        Some(Self { record, last_fixed, last_variable, ends })
    }

    /// The value of a column that always has the same size.
    fn fixed(&self, column: &Column) -> Option<&'a [u8]> {
        if column.id > self.last_fixed || column.offset < 4 {
            return None;
        }
        let bits = self.ends.checked_sub(usize::from(self.last_fixed.div_ceil(8)))?;
        let index = column.id.checked_sub(1)?;
        let bit = *self.record.get(bits.checked_add(usize::from(index / 8))?)?;
        if bit >> (index % 8) & 1 == 1 || column.offset.checked_add(column.size)? > bits {
            return None;
        }
        piece(self.record, column.offset, column.size)
    }

    fn variables(&self) -> usize {
        usize::from((self.last_variable.saturating_add(1)).saturating_sub(FIRST_VARIABLE))
    }

    /// The end of the variable value of that index, and whether it has one.
    fn end(&self, index: usize) -> Option<(usize, bool)> {
        let end = u16_at(self.record, self.ends.checked_add(index.checked_mul(2)?)?)?;
        Some((usize::from(end & !NO_VALUE), end & NO_VALUE == 0))
    }

    /// The value of a variable column.
    pub(super) fn variable(&self, id: u16) -> Option<&'a [u8]> {
        let index = usize::from(id.checked_sub(FIRST_VARIABLE)?);
        let count = self.variables();
        (index < count).then_some(())?;
        let start = match index.checked_sub(1) {
            Some(before) => self.end(before)?.0,
            None => 0,
        };
        let (end, has_value) = self.end(index)?;
        let base = self.ends.checked_add(count.checked_mul(2)?)?;
        has_value.then_some(())?;
        piece(self.record, base.checked_add(start)?, end.checked_sub(start)?)
    }

    /// The value of a tagged column and its flags.
    fn tagged(&self, id: u16, large: bool) -> Option<(&'a [u8], u8)> {
        let count = self.variables();
        let last = match count.checked_sub(1) {
            Some(last) => self.end(last)?.0,
            None => 0,
        };
        let base = self.ends.checked_add(count.checked_mul(2)?)?.checked_add(last)?;
        let all = self.record.get(base..)?;
        let mask = if large { 0x7fff } else { 0x1fff };
        let offset = |at: usize| u16_at(all, at).map(|raw| (usize::from(raw & mask), raw));
        let end_of_index = offset(2)?.0;
        let mut entries = (0..end_of_index).step_by(4);
        let at = entries.find(|at| u16_at(all, *at) == Some(id))?;
        let (start, raw) = offset(at.checked_add(2)?)?;
        let end = match at.checked_add(6).filter(|next| *next < end_of_index) {
            Some(next) => offset(next)?.0,
            None => all.len(),
        };
        let value = all.get(start..end)?;
        if large {
            return value.split_first().map(|(flags, rest)| (rest, *flags));
        }
        match raw {
            raw if raw & TAG_NO_VALUE != 0 => None,
            raw if raw & TAG_FLAGS != 0 => value.split_first().map(|(flags, rest)| (rest, *flags)),
            _ => Some((value, 0)),
        }
    }
}

/// One record of a table; its values are read when asked for.
pub(crate) struct Row<'a> {
    pub(super) base: &'a Database<'a>,
    pub(super) table: &'a Table,
    pub(super) record: &'a [u8],
    /// Whether it was deleted, or stands on a page that no tree leads to.
    pub(crate) recovered: bool,
}

/// A value as its column's type says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Number(i64),
    Real(f64),
    /// The eight bytes of a moment.
    DateTime(u64),
    Text(String),
    Binary(Vec<u8>),
}

impl Row<'_> {
    /// Whether the parts of the record lie within it.
    pub(crate) fn is_sound(&self) -> bool {
        Layout::of(self.record).is_some_and(|layout| {
            let fixed = usize::from(layout.last_fixed.div_ceil(8)).saturating_add(4);
            fixed <= layout.ends
        })
    }

    /// The bytes of a value, of several the first; `None` when it has none.
    pub(crate) fn bytes(&self, column: &Column) -> Option<Cow<'_, [u8]>> {
        let layout = Layout::of(self.record)?;
        if column.id < FIRST_VARIABLE {
            return layout.fixed(column).map(Cow::Borrowed);
        }
        if column.id < FIRST_TAGGED {
            return layout.variable(column.id).map(Cow::Borrowed);
        }
        let (value, flags) = layout.tagged(column.id, self.base.is_large())?;
        if flags & (NONE | ENCRYPTED) != 0 {
            return None;
        }
        let (value, flags) = first_of(value, flags)?;
        if flags & SEPARATE != 0 {
            let whole = self.base.long_value(self.table, value, flags & PACKED != 0)?;
            return Some(Cow::Owned(whole));
        }
        if flags & PACKED != 0 {
            return packed::unpack(value).map(Cow::Owned);
        }
        Some(Cow::Borrowed(value))
    }

    /// A value as its column's type says; `None` when it has none.
    pub(crate) fn cell(&self, column: &Column) -> Option<Cell> {
        let bytes = self.bytes(column)?;
        Some(match column.kind {
            Kind::Boolean => Cell::Number(i64::from(*bytes.first()? != 0)),
            Kind::Signed => Cell::Number(signed(&bytes)?),
            Kind::Unsigned => Cell::Number(i64::from(unsigned(&bytes)?)),
            Kind::Real => Cell::Real(real(&bytes)?),
            Kind::DateTime => Cell::DateTime(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)),
            Kind::Text if column.wide => Cell::Text(utf16(&bytes)),
            Kind::Text => Cell::Text(bytes.iter().map(|b| char::from(*b)).collect()),
            Kind::Guid => Cell::Text(guid(&bytes)?),
            Kind::Binary => Cell::Binary(bytes.into_owned()),
        })
    }

    /// The number in the column of that name.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        match self.cell(self.table.column(name)?)? {
            Cell::Number(number) => Some(number),
            _ => None,
        }
    }
}

/// The first of several values; its flags.
fn first_of(value: &[u8], flags: u8) -> Option<(&[u8], u8)> {
    if flags & TWO != 0 {
        let (length, rest) = value.split_first()?;
        return Some((rest.get(..usize::from(*length))?, flags));
    }
    if flags & MANY == 0 {
        return Some((value, flags));
    }
    let start = u16_at(value, 0)?;
    let first = usize::from(start & 0x7fff);
    let end = if first > 2 { usize::from(u16_at(value, 2)? & 0x7fff) } else { value.len() };
    let separate = if start & NO_VALUE == 0 { 0 } else { SEPARATE };
    Some((value.get(first..end)?, flags & !SEPARATE | separate))
}

fn signed(bytes: &[u8]) -> Option<i64> {
    Some(match bytes.len() {
        2 => i64::from(i16::from_le_bytes(bytes.try_into().ok()?)),
        4 => i64::from(i32::from_le_bytes(bytes.try_into().ok()?)),
        8 => i64::from_le_bytes(bytes.try_into().ok()?),
        _ => return None,
    })
}

fn unsigned(bytes: &[u8]) -> Option<u32> {
    (bytes.len() <= 4).then(|| bytes.iter().rev().fold(0, |n, byte| n << 8 | u32::from(*byte)))
}

fn real(bytes: &[u8]) -> Option<f64> {
    match bytes.len() {
        4 => Some(f64::from(f32::from_le_bytes(bytes.try_into().ok()?))),
        _ => Some(f64::from_le_bytes(bytes.try_into().ok()?)),
    }
}
