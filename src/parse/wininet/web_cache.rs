//! `WebCacheV01.dat` (also V16 and V24): histories, downloads and caches of Internet
//! Explorer 10 and 11, Edge before 2020 and other programs of a user, in one database.
//!
//! ```text
//! Containers       ContainerId, Name (History, MSHist012024031820240319, Content, Cookies,
//!                  iedownload, DOMStore, …), Directory, PartitionId
//! Container_N      EntryId, Url, AccessedTime, ModifiedTime, CreationTime, SyncTime (FILETIMEs),
//!                  AccessCount, FileSize, Filename, ResponseHeaders, RedirectUrl
//! CookieEntryEx_N  EntryId, RDomain (the domain's parts from the last to the first),
//!                  LastModified; of Windows 10 since 2018
//! ```
//! Which programs share it shows in a container's folder: programs from the store, which
//! run confined, have partitions of their own (tables `Partitions`, `PartitionsEx`).
//!
//! Source: plaso's and dissect.target's names of tables and columns.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use super::Output;
use super::entry::Entry;
use crate::model::{Damage, Input, Locator, Moment, Record, Sink};
use crate::parse::bytes::{ansi, utf16_text};
use crate::parse::ese::{Cell, Database, Row, Table};
use crate::parse::offer::lost;
use crate::parse::{ParseError, Parser};

const FORMAT: &str = "WebCache";
/// Containers of one database.
const MAX_CONTAINERS: usize = 100_000;
/// Entries told of one database.
const MAX_ENTRIES: u64 = 5_000_000;
const ENTRIES: &str = "Container_";
const COOKIES: &str = "CookieEntryEx_";
/// Containers of lists that the browser brings along, not of what was asked.
const LISTS: [&str; 4] = ["iecompat", "ietld", "dntexception", "emie"];

/// Reads a user's WebCache; a record for each entry of its containers.
pub struct WebCache;

impl Parser for WebCache {
    fn name(&self) -> &'static str {
        "web_cache"
    }

    fn recognizes(&self, _start: &[u8]) -> bool {
        // Other databases begin in the same way.
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut faults = Vec::new();
        let base = Database::open(input.bytes, &input.sidecars, &mut faults)?;
        let containers = containers(&base, &mut faults);
        let mut output = Output::new(input, sink);
        let mut tables = 0u32;
        for table in &base.tables {
            let read: Reader = match table.name.split_at_checked(ENTRIES.len()) {
                Some((ENTRIES, _)) => entry,
                _ if table.name.starts_with(COOKIES) => cookie,
                _ => continue,
            };
            tables = tables.saturating_add(1);
            let number = table.name.rsplit('_').next().and_then(|number| number.parse().ok());
            let container = number.and_then(|number: i64| containers.get(&number));
            if container.is_some_and(Container::is_list) {
                continue;
            }
            if tell(&base, table, container, read, &mut output, &mut faults).is_break() {
                break;
            }
        }
        let Output { sink, extent, .. } = output;
        faults.extend(base.unclosed(Some(&extent)));
        faults.into_iter().for_each(|fault| sink.damaged(fault));
        sink.extent(extent);
        if tables == 0 && base.table("Containers").is_none() {
            let found = "a database without containers of addresses".to_owned();
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        Ok(())
    }
}

#[derive(Default)]
struct Container {
    name: String,
    directory: String,
}

impl Container {
    fn is_list(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        let name = name.strip_prefix("microsoftedge_").unwrap_or(&name);
        LISTS.iter().any(|list| name.starts_with(list))
    }
}

/// By number.
fn containers(base: &Database<'_>, faults: &mut Vec<Damage>) -> BTreeMap<i64, Container> {
    let mut all = BTreeMap::new();
    let Some(table) = base.table("Containers") else {
        faults.push(lost(0, format!("{FORMAT}: no table Containers: what each holds is unknown")));
        return all;
    };
    let _: ControlFlow<()> = base.rows(table, faults, &mut |row| {
        if all.len() >= MAX_CONTAINERS {
            return ControlFlow::Break(());
        }
        if let Some(number) = row.number("ContainerId") {
            let container = Container {
                name: text(row, table, "Name"),
                directory: text(row, table, "Directory"),
            };
            all.entry(number).or_insert(container);
        }
        ControlFlow::Continue(())
    });
    all
}

/// What a row of a table says.
type Reader = fn(&Row<'_>, &Table, Locator, &Input<'_>) -> Option<Record>;

fn tell(
    base: &Database<'_>,
    table: &Table,
    container: Option<&Container>,
    read: Reader,
    output: &mut Output<'_>,
    faults: &mut Vec<Damage>,
) -> ControlFlow<()> {
    let mut seen = HashSet::new();
    base.rows(table, faults, &mut |row| {
        let Some(number) = row.number("EntryId") else { return ControlFlow::Continue(()) };
        let locator = Locator::Row { table: table.name.clone(), row: number };
        let Some(mut record) = read(row, table, locator, output.input) else {
            return ControlFlow::Continue(());
        };
        record.recovered = row.recovered;
        if let Some(container) = container {
            record.push("Container", container.name.as_str());
            record.push("Directory", container.directory.as_str());
        }
        // What stands beside the tree is often a copy of what is in it.
        if !seen.insert(said(&record)) && row.recovered {
            return ControlFlow::Continue(());
        }
        if output.extent.records >= MAX_ENTRIES {
            let message = format!("{FORMAT}: more than {MAX_ENTRIES} entries");
            output.sink.damaged(Damage { locator: Some(record.locator), message, lost: true });
            return ControlFlow::Break(());
        }
        output.push(record)
    })
}

/// What makes an entry another, hashed: its number, address and times.
fn said(record: &Record) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.locator.hash(&mut hasher);
    (record.text("Url"), record.text("HostName")).hash(&mut hasher);
    record.times.iter().for_each(|moment| moment.raw.hash(&mut hasher));
    hasher.finish()
}

fn entry(row: &Row<'_>, table: &Table, locator: Locator, input: &Input<'_>) -> Option<Record> {
    let ticks = |name| row.number(name).and_then(ticks);
    let moment = |name, meaning| ticks(name).and_then(|at| Moment::of_filetime(at, meaning));
    let entry = Entry {
        location: text(row, table, "Url"),
        accessed: ticks("AccessedTime").unwrap_or_default(),
        modified: ticks("ModifiedTime").unwrap_or_default(),
        created: moment("CreationTime", "Cache File Created"),
        checked: moment("SyncTime", "Last Checked with the Server"),
        hits: row.number("AccessCount"),
        size: row.number("FileSize"),
        cache_file: text(row, table, "Filename"),
        data: bytes(row, table, "ResponseHeaders"),
    };
    let mut record = entry.record(locator, input.zone)?;
    record.push("RedirectUrl", text(row, table, "RedirectUrl"));
    Some(record)
}

fn cookie(row: &Row<'_>, table: &Table, locator: Locator, _: &Input<'_>) -> Option<Record> {
    let domain = ansi(&bytes(row, table, "RDomain"));
    let host: Vec<&str> = domain.split('.').rev().filter(|part| !part.is_empty()).collect();
    let mut record = Record::new("url_cache", locator);
    record.push("HostName", host.join("."));
    // Its value may open an account, so only its name is told.
    record.push("CookieName", ansi(&bytes(row, table, "Name")));
    let modified = row.number("LastModified").and_then(ticks);
    record.times.extend(modified.and_then(|at| Moment::of_filetime(at, "Cookie Modified")));
    (!host.is_empty()).then_some(record)
}

/// A FILETIME; `None` for what stands for never.
fn ticks(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|ticks| *ticks > 1 && number != i64::MAX)
}

fn text(row: &Row<'_>, table: &Table, name: &str) -> String {
    match table.column(name).and_then(|column| row.cell(column)) {
        Some(Cell::Text(text)) => text.trim_end_matches('\0').to_owned(),
        Some(Cell::Binary(bytes)) if bytes.get(1) == Some(&0) => utf16_text(&bytes),
        Some(Cell::Binary(bytes)) => ansi(&bytes),
        _ => String::new(),
    }
}

fn bytes(row: &Row<'_>, table: &Table, name: &str) -> Vec<u8> {
    match table.column(name).and_then(|column| row.bytes(column)) {
        Some(bytes) => bytes.into_owned(),
        None => Vec::new(),
    }
}
