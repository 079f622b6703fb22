//! timeline.jsonl: the rows of timeline.csv with their exact values.
//!
//! One flat object a line, keys in column order, absent keys left out, numbers
//! as numbers. This is the lossless feed: importers guess types in CSV.

use std::io::{self, Write};
use std::path::Path;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::ExportError;
use super::column::{COLUMNS, Cell, cells, usable_time};
use super::fresh::Fresh;
use crate::model::Row;

/// Writes the rows that have a time, in their order.
pub(super) fn write_timeline(path: &Path, rows: &[Row]) -> Result<(), ExportError> {
    let mut file = Fresh::create(path)?;
    for row in rows.iter().filter(|row| usable_time(row).is_some()) {
        write_line(&mut file, row).map_err(|error| ExportError::at(path, error))?;
    }
    file.finish()
}

fn write_line(file: &mut Fresh, row: &Row) -> io::Result<()> {
    serde_json::to_writer(&mut *file, &Line(row))?;
    file.write_all(b"\n")
}

struct Line<'a>(&'a Row);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        let cells = cells(self.0);
        for (name, cell) in COLUMNS.iter().zip(&cells).filter(|(_, cell)| !cell.is_absent()) {
            match cell {
                Cell::Text(text) => object.serialize_entry(name, text.as_ref())?,
                Cell::Number(number) => object.serialize_entry(name, number)?,
            }
        }
        object.end()
    }
}
