//! The mactime bodyfile of the Sleuth Kit: 11 fields joined by `|`.
//!
//! `MD5|name|inode|mode|UID|GID|size|atime|mtime|ctime|crtime`, whole seconds,
//! 0 for no time. mactime silently drops lines with another `|` in the name, so
//! it is written `%7C`. Rows of a file's own times take the field of that time
//! and the path as name; every other row is an `mtime` with its sentence as name.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::Deserialize;

use super::ExportError;
use super::column::usable_time;
use super::csv::escape_controls;
use super::fresh::{refuse_link, write_whole};
use crate::model::Row;

/// Creates the bodyfile empty, before the first host.
///
/// # Errors
///
/// When it cannot be created or is a link.
pub fn start(path: &Path) -> Result<(), ExportError> {
    write_whole(path, b"")
}

/// Appends the rows that have a time; times before 1970 have no place in it.
pub(super) fn append(path: &Path, rows: &[Row]) -> Result<(), ExportError> {
    refuse_link(path)?;
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(|error| ExportError::at(path, error))?;
    write_rows(file, rows).map_err(|error| ExportError::at(path, error))
}

/// Appends the rows of a host that an earlier run wrote, from its timeline.jsonl.
///
/// # Errors
///
/// When the timeline cannot be read or the bodyfile not be written.
pub fn append_finished(path: &Path, folder: &Path) -> Result<(), ExportError> {
    let timeline = folder.join("timeline.jsonl");
    let failed = |error| ExportError::at(&timeline, error);
    let mut rows = Vec::new();
    for line in BufReader::new(File::open(&timeline).map_err(failed)?).lines() {
        let line = line.map_err(failed)?;
        let line: Line = serde_json::from_str(&line).map_err(|error| failed(error.into()))?;
        rows.push(Row {
            datetime: line.datetime.parse().ok(),
            timestamp_desc: line.timestamp_desc,
            host: line.host,
            path: line.path,
            message: line.message,
            ..Row::default()
        });
    }
    append(path, &rows)
}

/// What of a row the bodyfile shows.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line {
    datetime: String,
    timestamp_desc: String,
    host: String,
    path: String,
    message: String,
}

fn write_rows(file: File, rows: &[Row]) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    for row in rows {
        if let Some(line) = line(row) {
            writeln!(file, "{line}")?;
        }
    }
    file.flush()
}

fn line(row: &Row) -> Option<String> {
    let seconds = usable_time(row)?.as_second();
    if seconds <= 0 {
        return None;
    }
    let field = own_time(&row.timestamp_desc).filter(|_| !row.path.is_empty());
    let name = match field {
        Some(_) => format!("{}: {}", row.host, row.path),
        None => format!("{}: [{}] {}", row.host, row.timestamp_desc, row.message),
    };
    let name = escape_controls(&name).replace('|', "%7C");
    let mut times = [0_i64; 4];
    if let Some(time) = times.get_mut(field.unwrap_or(1)) {
        *time = seconds;
    }
    let [accessed, modified, changed, created] = times;
    Some(format!("0|{name}|0||0|0|0|{accessed}|{modified}|{changed}|{created}"))
}

/// Which of atime, mtime, ctime, crtime a file's own time is.
fn own_time(meaning: &str) -> Option<usize> {
    let meaning = meaning.strip_prefix("File ")?;
    let word = meaning.split([' ', '(']).next().unwrap_or_default();
    match word {
        "Accessed" => Some(0),
        "Modified" => Some(1),
        "Changed" => Some(2),
        "Created" => Some(3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_in_a_name_keeps_eleven_fields() {
        let row = Row {
            datetime: crate::model::from_unix(1_710_750_000, 0),
            timestamp_desc: "File Created".to_owned(),
            host: "WS".to_owned(),
            path: "/tmp/a|b\n".to_owned(),
            ..Row::default()
        };
        let line = line(&row).unwrap();
        assert_eq!(line, "0|WS: /tmp/a%7Cb\\u000a|0||0|0|0|0|0|0|1710750000");
    }
}
