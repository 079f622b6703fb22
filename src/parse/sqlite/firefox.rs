//! Firefox and its kin: `places.sqlite`, `downloads.sqlite` of old, `formhistory.sqlite`.
//!
//! `moz_places` are the pages, `moz_historyvisits` each visit with its time and the visit
//! that led to it. Downloads are notes on pages (`moz_annos`): where the file was put, and
//! a JSON with state, size and end; before version 21 (2013) a database of their own.
//! Searches from the search bar stand in `moz_formhistory`, others in
//! `moz_places_metadata_search_queries`. Times are microseconds since 1970, UTC, those in
//! the JSON and of metadata milliseconds. Synced visits look like others.
//!
//! Source: Firefox's `toolkit/components/places` and `toolkit/components/downloads`.

use std::collections::HashMap;
use std::ops::ControlFlow;

use serde_json::Value as Json;

use super::database::{Database, Row};
use super::web::{MAX_PAGES, Page, Pages, record_of, unvisited};
use super::{Clock, Kind, Output, moment};
use crate::model::Record;
use crate::parse::address::path_of;

pub(super) const PLACES: Kind = Kind { tables: &["moz_places", "moz_historyvisits"], read };
pub(super) const DOWNLOADS: Kind = Kind { tables: &["moz_downloads"], read: old_downloads };
pub(super) const FORMS: Kind = Kind { tables: &["moz_formhistory"], read: searches_of_forms };

const FILE_NOTE: &str = "downloads/destinationFileURI";
const STATE_NOTE: &str = "downloads/metaData";
/// `visit_type` of a download.
const DOWNLOAD: i64 = 7;

fn read(database: &Database<'_>, output: &mut Output<'_>) -> ControlFlow<()> {
    let mut pages = pages(database);
    let referrers = visits(database, &mut pages, output)?;
    let is_bookmark_only = |page: &Page| page.last.is_none() && page.visits.unwrap_or(0) == 0;
    for (number, page) in unvisited(&pages) {
        if !is_bookmark_only(page) {
            output.push(page.record_alone("moz_places", number))?;
        }
    }
    downloads(database, &pages, &referrers, output)?;
    searches(database, &pages, output)
}

fn pages(database: &Database<'_>) -> Pages {
    let mut pages = Pages::new();
    let Some(table) = database.table("moz_places") else { return pages };
    for row in database.rows(table).chain(database.stray_rows(table)) {
        let Some(number) = row.integer("id").filter(|_| pages.len() < MAX_PAGES) else { continue };
        let last = row.integer("last_visit_date");
        pages.entry(number).or_insert_with(|| Page {
            url: row.text("url").to_owned(),
            title: row.text("title").to_owned(),
            visits: row.integer("visit_count"),
            typed: row.integer("typed"),
            last: moment(Clock::UnixMicroseconds, last, "Page Last Visited"),
            visited: false,
        });
    }
    pages
}

/// Pushes the visits; returns for each downloaded page the number of the page before it.
fn visits(
    database: &Database<'_>,
    pages: &mut Pages,
    output: &mut Output<'_>,
) -> ControlFlow<(), HashMap<i64, i64>> {
    const KINDS: [&str; 10] = [
        "",
        "link",
        "typed",
        "bookmark",
        "embedded",
        "permanent_redirect",
        "temporary_redirect",
        "download",
        "framed_link",
        "reload",
    ];
    let (mut visited, mut downloaded) = (HashMap::new(), Vec::new());
    if let Some(table) = database.table("moz_historyvisits") {
        for row in database.rows(table).take(MAX_PAGES) {
            let Some((visit, page)) = row.integer("id").zip(row.integer("place_id")) else {
                continue;
            };
            visited.insert(visit, page);
            if let Some(page) = pages.get_mut(&page) {
                page.visited = true;
            }
            if row.integer("visit_type") == Some(DOWNLOAD) {
                downloaded.extend(row.integer("from_visit").map(|from| (page, from)));
            }
        }
    }
    let pages = &*pages;
    output.push_rows(database, "moz_historyvisits", &|row| {
        let page = pages.get(&row.integer("place_id")?)?;
        let mut record = page.record(row.locator());
        let from = row.integer("from_visit").and_then(|from| pages.get(visited.get(&from)?));
        record.push("Referrer", from.map_or("", |page| page.url.as_str()));
        let kind = row.integer("visit_type").and_then(|n| usize::try_from(n).ok());
        record.push("Transition", kind.and_then(|n| KINDS.get(n)).copied().unwrap_or_default());
        let at = row.integer("visit_date");
        record.times.extend(moment(Clock::UnixMicroseconds, at, "Page Visited"));
        Some(record)
    })?;
    let page_before = |(page, from)| Some((page, *visited.get(&from)?));
    ControlFlow::Continue(downloaded.into_iter().filter_map(page_before).collect())
}

/// Notes on pages that speak of a download: the file, and the state beside it.
fn downloads(
    database: &Database<'_>,
    pages: &Pages,
    referrers: &HashMap<i64, i64>,
    output: &mut Output<'_>,
) -> ControlFlow<()> {
    let attributes = database.table("moz_anno_attributes");
    let names: HashMap<i64, String> = attributes
        .into_iter()
        .flat_map(|table| database.rows(table))
        .filter_map(|row| Some((row.integer("id")?, row.text("name").to_owned())))
        .take(MAX_PAGES)
        .collect();
    let is = |row: &Row<'_>, wanted: &str| {
        let name = row.integer("anno_attribute_id").and_then(|id| names.get(&id));
        name.is_some_and(|name| name == wanted)
    };
    let notes = database.table("moz_annos");
    let states: HashMap<i64, Json> = notes
        .into_iter()
        .flat_map(|table| database.rows(table))
        .filter(|row| is(row, STATE_NOTE))
        .filter_map(|row| {
            Some((row.integer("place_id")?, serde_json::from_str(row.text("content")).ok()?))
        })
        .take(MAX_PAGES)
        .collect();
    output.push_rows(database, "moz_annos", &|row| {
        let place = row.integer("place_id").filter(|_| is(row, FILE_NOTE))?;
        let url = pages.get(&place).map_or("", |page| page.url.as_str());
        let mut record = record_of("browser_download", row.locator(), &[url]);
        let from = referrers.get(&place).and_then(|page| pages.get(page));
        record.push("Referrer", from.map_or("", |page| page.url.as_str()));
        record.push("TargetFilename", path_of(row.text("content")));
        let started = row.integer("dateAdded");
        record.times.extend(moment(Clock::UnixMicroseconds, started, "Download Started"));
        if let Some(state) = states.get(&place) {
            describe(state, &mut record);
        }
        Some(record)
    })
}

/// Adds what the JSON beside a download says.
fn describe(json: &Json, record: &mut Record) {
    let number = |key: &str| json.get(key).and_then(Json::as_i64);
    if let Some(size) = number("fileSize") {
        record.push("BytesReceived", size);
    }
    record.push("State", number("state").map(state).unwrap_or_default());
    if json.get("deleted").and_then(Json::as_bool) == Some(true) {
        record.push("Deleted", "true");
    }
    record.times.extend(moment(Clock::UnixMilliseconds, number("endTime"), "Download Ended"));
}

fn state(number: i64) -> String {
    const STATES: [&str; 10] = [
        "in_progress",
        "complete",
        "failed",
        "cancelled",
        "paused",
        "queued",
        "blocked_parental",
        "being_scanned",
        "blocked_dangerous",
        "blocked_by_policy",
    ];
    let word = usize::try_from(number).ok().and_then(|at| STATES.get(at));
    word.map_or_else(|| number.to_string(), |word| (*word).to_owned())
}

/// What was looked for from the address bar, as far as Firefox noted it.
fn searches(database: &Database<'_>, pages: &Pages, output: &mut Output<'_>) -> ControlFlow<()> {
    let queries = database.table("moz_places_metadata_search_queries");
    let terms: HashMap<i64, String> = queries
        .into_iter()
        .flat_map(|table| database.rows(table))
        .filter_map(|row| Some((row.integer("id")?, row.text("terms").to_owned())))
        .take(MAX_PAGES)
        .collect();
    output.push_rows(database, "moz_places_metadata", &|row| {
        let term = terms.get(&row.integer("search_query_id")?)?;
        let page = pages.get(&row.integer("place_id")?);
        let url = page.map_or("", |page| page.url.as_str());
        let mut record = record_of("browser_search", row.locator(), &[url]);
        record.push("Term", term.as_str());
        let at = row.integer("created_at");
        record.times.extend(moment(Clock::UnixMilliseconds, at, "Page Visited"));
        Some(record)
    })
}

fn old_downloads(database: &Database<'_>, output: &mut Output<'_>) -> ControlFlow<()> {
    output.push_rows(database, "moz_downloads", &|row| {
        let mut record = record_of("browser_download", row.locator(), &[row.text("source")]);
        record.push("Referrer", row.text("referrer"));
        record.push("TargetFilename", path_of(row.text("target")));
        if let Some(bytes) = row.integer("currBytes").filter(|n| *n >= 0) {
            record.push("BytesReceived", bytes);
        }
        record.push("State", row.integer("state").map(state).unwrap_or_default());
        record.push("MimeType", row.text("mimeType"));
        for (column, meaning) in [("startTime", "Download Started"), ("endTime", "Download Ended")]
        {
            record.times.extend(moment(Clock::UnixMicroseconds, row.integer(column), meaning));
        }
        Some(record)
    })
}

fn searches_of_forms(database: &Database<'_>, output: &mut Output<'_>) -> ControlFlow<()> {
    output.push_rows(database, "moz_formhistory", &|row| {
        if row.text("fieldname") != "searchbar-history" {
            return None;
        }
        let mut record = Record::new("browser_search", row.locator());
        record.push("Term", row.text("value"));
        for (column, meaning) in [("firstUsed", "First Searched"), ("lastUsed", "Last Searched")] {
            record.times.extend(moment(Clock::UnixMicroseconds, row.integer(column), meaning));
        }
        Some(record)
    })
}
