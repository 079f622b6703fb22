//! Windows' repository of packages (`StateRepository-Machine.srd`, Windows 10 on): which
//! packages of the Store are there, for whom they were registered and when, and the names
//! of versions that once were. None of it says that a package was run, nor who fetched it.
//!
//! ```text
//! Package          _PackageID, PackageFullName, DisplayName
//! PackageUser      Package, User, InstallTime: FILETIME of its registration, or 0
//! PackageLocation  Package, InstalledLocation
//! User             _UserID, UserSid: binary
//! PackageIdentity  PackageFullName, also of versions that are gone
//! ```
//! Source: published descriptions of the tables in Windows 10 (1709, 1809) and 11 (22H2,
//! 25H2), which agree; no real sample could be had.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use super::database::{Database, Row};
use super::web::MAX_PAGES;
use super::{Clock, Kind, Output, moment};
use crate::model::Record;
use crate::parse::bytes::sid;

pub(super) const PACKAGES: Kind =
    Kind { tables: &["Package", "PackageUser", "PackageFamily"], read };

/// What is known of a package.
struct Package {
    full_name: String,
    title: String,
}

fn read(database: &Database<'_>, output: &mut Output<'_>) -> ControlFlow<()> {
    let packages = by_id(database, "Package", "_PackageID", |row| Package {
        full_name: row.text("PackageFullName").to_owned(),
        title: spoken(row.text("DisplayName")),
    });
    let owners = by_id(database, "User", "_UserID", |row| sid(row.bytes("UserSid")));
    let places =
        by_id(database, "PackageLocation", "Package", |r| r.text("InstalledLocation").to_owned());
    let describe = |record: &mut Record, id: i64, package: &Package| {
        name(record, &package.full_name);
        record.push("Title", package.title.as_str());
        record.push("Image", places.get(&id).map(String::as_str).unwrap_or_default());
    };
    output.push_rows(database, "PackageUser", &|row| {
        let id = row.integer("Package")?;
        let mut record = Record::new("package", row.locator());
        describe(&mut record, id, packages.get(&id)?);
        let owner = row.integer("User").and_then(|user| owners.get(&user)?.clone());
        record.push("UserSid", owner.unwrap_or_default());
        let at = row.integer("InstallTime");
        record.times.extend(moment(Clock::Filetime, at, "Package Registered"));
        Some(record)
    })?;
    let registered: HashSet<i64> = database
        .table("PackageUser")
        .into_iter()
        .flat_map(|table| database.rows(table))
        .filter_map(|row| row.integer("Package"))
        .take(MAX_PAGES)
        .collect();
    output.push_rows(database, "Package", &|row| {
        let id = row.integer("_PackageID").filter(|id| !registered.contains(id))?;
        let mut record = Record::new("package", row.locator());
        describe(&mut record, id, packages.get(&id)?);
        Some(record)
    })?;
    let present: HashSet<&str> = packages.values().map(|p| p.full_name.as_str()).collect();
    output.push_rows(database, "PackageIdentity", &|row| {
        let full_name = row.text("PackageFullName");
        let mut record = Record::new("package", row.locator());
        name(&mut record, full_name);
        record.push("State", "no longer there");
        (!full_name.is_empty() && !present.contains(full_name)).then_some(record)
    })
}

/// What `of` makes of each row of a table, by the number in that column.
fn by_id<T>(
    database: &Database<'_>,
    table: &str,
    id: &str,
    of: impl Fn(&Row<'_>) -> T,
) -> HashMap<i64, T> {
    let rows = database.table(table).into_iter().flat_map(|table| database.rows(table));
    rows.filter_map(|row| Some((row.integer(id)?, of(&row)))).take(MAX_PAGES).collect()
}

/// Adds a package's full name, which is `Name_Version_Architecture_Resource_Publisher`.
fn name(record: &mut Record, full_name: &str) {
    let mut parts = full_name.split('_');
    for field in ["Name", "Version"] {
        record.push(field, parts.next().unwrap_or_default());
    }
    record.push("Source", "store");
    record.push("PackageFullName", full_name);
}

/// A name as it was written; `ms-resource:` leads to a text of the package's own files.
fn spoken(name: &str) -> String {
    if name.starts_with("ms-resource:") { String::new() } else { name.to_owned() }
}
