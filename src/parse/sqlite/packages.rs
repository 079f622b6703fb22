//! Databases of package managers: winget's `installed.db` and rpm's `rpmdb.sqlite`.
//!
//! winget notes what it put there by itself, without a time: first as numbers into tables
//! of texts (`manifest`), later as one table (`packages`). rpm keeps the head of each
//! package, with the time it was installed. Both prove that the package is or was there.
//!
//! ```text
//! head of an rpm: u32 entries, u32 bytes of store, entries, store; big endian
//! entry: u32 tag, u32 type, u32 offset in the store, u32 count
//! types: 4 u32, 6 text, 9 text of several languages
//! ```
//! Source: winget's and rpm's published sources (facts of the formats only).

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::database::Database;
use super::number::u32_at;
use super::web::MAX_PAGES;
use super::{Clock, Kind, Output, moment};
use crate::model::Record;

pub(super) const WINGET: Kind = Kind { tables: &["manifest", "ids", "versions"], read: winget };
pub(super) const WINGET_2: Kind = Kind { tables: &["packages", "metadata"], read: winget_2 };
pub(super) const RPM: Kind = Kind { tables: &["Packages", "Installtid"], read: rpm };

fn winget(database: &Database<'_>, output: &mut Output<'_>) -> ControlFlow<()> {
    let texts = |table: &str, column: &str| -> HashMap<i64, String> {
        let rows = database.table(table).into_iter().flat_map(|table| database.rows(table));
        rows.map(|row| (row.number, row.text(column).to_owned())).take(MAX_PAGES).collect()
    };
    let fields = [
        ("Name", "id", texts("ids", "id")),
        ("Title", "name", texts("names", "name")),
        ("Version", "version", texts("versions", "version")),
    ];
    output.push_rows(database, "manifest", &|row| {
        let mut record = Record::new("package", row.locator());
        for (name, column, texts) in &fields {
            let text = row.integer(column).and_then(|number| texts.get(&number));
            record.push(*name, text.cloned().unwrap_or_default());
        }
        record.push("Source", "winget");
        record.text("Name").is_some().then_some(record)
    })
}

fn winget_2(database: &Database<'_>, output: &mut Output<'_>) -> ControlFlow<()> {
    output.push_rows(database, "packages", &|row| {
        let mut record = Record::new("package", row.locator());
        let fields = [("Name", "id"), ("Title", "name"), ("Version", "latest_version")];
        for (name, column) in fields {
            record.push(name, row.text(column));
        }
        record.push("Version", row.text("version"));
        record.push("Source", "winget");
        record.text("Name").is_some().then_some(record)
    })
}

fn rpm(database: &Database<'_>, output: &mut Output<'_>) -> ControlFlow<()> {
    const TEXTS: [(u32, &str); 7] = [
        (1000, "Name"),
        (1001, "Version"),
        (1002, "Release"),
        (1022, "Architecture"),
        (1011, "Company"),
        (1020, "Url"),
        (1004, "Description"),
    ];
    const INSTALLED: u32 = 1008;
    output.push_rows(database, "Packages", &|row| {
        let head = Head(row.bytes("blob"));
        let mut record = Record::new("package", row.locator());
        for (tag, name) in TEXTS {
            record.push(name, head.text(tag).unwrap_or_default());
        }
        record.push("Source", "rpm");
        let at = head.number(INSTALLED).map(i64::from);
        record.times.extend(moment(Clock::UnixSeconds, at, "Package Installed"));
        record.text("Name").is_some().then_some(record)
    })
}

/// The head of an rpm package.
struct Head<'a>(&'a [u8]);

impl<'a> Head<'a> {
    /// What the store holds from where a tag's entry says, and of which type it is.
    fn entry(&self, tag: u32) -> Option<(u32, &'a [u8])> {
        /// Entries of one head.
        const MAX_ENTRIES: u32 = 1 << 16;
        let count = u32_at(self.0, 0)?.min(MAX_ENTRIES);
        let (entries, store) =
            self.0.get(8..)?.split_at_checked(usize::try_from(count).ok()?.checked_mul(16)?)?;
        let (entries, _) = entries.as_chunks::<16>();
        let entry = entries.iter().find(|entry| u32_at(entry.as_slice(), 0) == Some(tag))?;
        let offset = usize::try_from(u32_at(entry, 8)?).ok()?;
        Some((u32_at(entry, 4)?, store.get(offset..)?))
    }

    fn text(&self, tag: u32) -> Option<String> {
        let (kind, bytes) = self.entry(tag)?;
        let text = bytes.split(|b| *b == 0).next().filter(|_| matches!(kind, 6 | 8 | 9))?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn number(&self, tag: u32) -> Option<u32> {
        let (kind, bytes) = self.entry(tag)?;
        u32_at(bytes, 0).filter(|_| kind == 4)
    }
}
