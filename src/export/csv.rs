//! CSV as adit writes it, and the timeline in it.
//!
//! RFC 4180, LF, UTF-8 without BOM, one line per row. Control characters and the
//! Unicode line separators are written as `\u000a`, never as `\n`, because
//! `C:\ngrok` would look like one; backslashes stay single, so the exact value
//! is JSONL's. [`CsvStyle::ExcelSafe`] is for people who double-click.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use super::ExportError;
use super::column::{COLUMNS, Cell, cells, usable_time};
use super::fresh::Fresh;
use crate::model::Row;

/// How CSV files are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CsvStyle {
    /// For programs: values unaltered, LF, no BOM.
    #[default]
    Plain,
    /// For spreadsheets: BOM, CRLF, and `'` before what would be a formula.
    ExcelSafe,
}

/// A CSV file in the making.
pub(super) struct Table {
    writer: csv::Writer<Fresh>,
    style: CsvStyle,
}

impl Table {
    /// Opens the file and writes its header.
    pub(super) fn create(
        path: &Path,
        header: &[&str],
        style: CsvStyle,
    ) -> Result<Self, ExportError> {
        let mut file = Fresh::create(path)?;
        let terminator = match style {
            CsvStyle::Plain => csv::Terminator::Any(b'\n'),
            CsvStyle::ExcelSafe => {
                file.write_all("\u{feff}".as_bytes())
                    .map_err(|error| ExportError::at(path, error))?;
                csv::Terminator::CRLF
            }
        };
        let writer = csv::WriterBuilder::new().terminator(terminator).from_writer(file);
        let mut table = Self { writer, style };
        table.row(header.iter().map(|name| Cell::from(*name)))?;
        Ok(table)
    }

    /// Writes one line.
    pub(super) fn row<'a>(
        &mut self,
        cells: impl IntoIterator<Item = Cell<'a>>,
    ) -> Result<(), ExportError> {
        self.try_row(cells).map_err(|error| ExportError::at(self.writer.get_ref().path(), error))
    }

    fn try_row<'a>(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) -> io::Result<()> {
        for cell in cells {
            let text = match cell {
                Cell::Text(text) => text,
                Cell::Number(number) => Cow::Owned(number.to_string()),
            };
            self.writer.write_field(field(&text, self.style).as_bytes())?;
        }
        self.writer.write_record(None::<&[u8]>)?;
        Ok(())
    }

    /// Completes the file.
    pub(super) fn finish(self) -> Result<(), ExportError> {
        let path = self.writer.get_ref().path().to_owned();
        match self.writer.into_inner() {
            Ok(file) => file.finish(),
            Err(failed) => {
                let error = failed.error();
                Err(ExportError::at(&path, io::Error::new(error.kind(), error.to_string())))
            }
        }
    }
}

/// Writes timeline.csv: the rows that have a time, in their order.
pub(super) fn write_timeline(
    path: &Path,
    rows: &[Row],
    style: CsvStyle,
) -> Result<(), ExportError> {
    write_rows(path, rows.iter().filter(|row| usable_time(row).is_some()), style)
}

/// Writes notime.csv: the rows whose time is absent or impossible.
pub(super) fn write_notime(path: &Path, rows: &[Row], style: CsvStyle) -> Result<(), ExportError> {
    write_rows(path, rows.iter().filter(|row| usable_time(row).is_none()), style)
}

fn write_rows<'a>(
    path: &Path,
    rows: impl Iterator<Item = &'a Row>,
    style: CsvStyle,
) -> Result<(), ExportError> {
    let mut table = Table::create(path, &COLUMNS, style)?;
    for row in rows {
        let mut cells = cells(row);
        // Importers read an empty last column as a number that is none.
        if let Some(tag) = cells.last_mut().filter(|tag| tag.is_absent()) {
            *tag = "-".into();
        }
        table.row(cells)?;
    }
    table.finish()
}

fn field(text: &str, style: CsvStyle) -> Cow<'_, str> {
    let escaped = escape_controls(text);
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if style == CsvStyle::ExcelSafe && formula {
        return Cow::Owned(format!("'{escaped}"));
    }
    escaped
}

/// The text on one line: control characters and Unicode line separators as `\u000a`.
pub fn escape_controls(text: &str) -> Cow<'_, str> {
    if !text.contains(breaks_a_line) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().saturating_add(16));
    for c in text.chars() {
        if breaks_a_line(c) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_spelled_and_backslashes_stay_single() {
        assert_eq!(escape_controls("C:\\ngrok\tx"), "C:\\ngrok\\u0009x");
        assert_eq!(
            escape_controls("a\n\r\0\u{7f}\u{85}\u{2028}b"),
            "a\\u000a\\u000d\\u0000\\u007f\\u0085\\u2028b"
        );
        assert!(matches!(escape_controls("plain ü"), Cow::Borrowed(_)));
    }

    #[test]
    fn excel_gets_no_formula() {
        assert_eq!(field("=1+1", CsvStyle::ExcelSafe), "'=1+1");
        assert_eq!(field("\t=1", CsvStyle::ExcelSafe), "'\\u0009=1");
        assert_eq!(field("=1+1", CsvStyle::Plain), "=1+1");
    }
}
