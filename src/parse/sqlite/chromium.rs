//! History of the Chromium family: Chrome, Edge, Brave, Opera, Vivaldi and others.
//!
//! `urls` are the pages, `visits` each visit with its time and the visit that led to it,
//! `downloads` with `downloads_url_chains` what was fetched and where it was put,
//! `keyword_search_terms` what was looked for. Times are microseconds since 1601, UTC; of
//! downloads before version 24 seconds since 1970. A visit may have come from another
//! machine of the same account (`VisitSource` synced, `SyncedFrom`), and an import from
//! another browser. After 90 days visits are deleted; private windows leave none.
//!
//! Source: Chromium's `components/history/core/browser` and `components/download`.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::database::{Database, Row};
use super::web::{MAX_PAGES, Page, Pages, record_of, unvisited};
use super::{Clock, Kind, Output, moment};
use crate::model::Record;

/// Addresses that one download was led through.
const MAX_CHAIN: usize = 64;

pub(super) const HISTORY: Kind = Kind { tables: &["urls", "visits"], read };

fn read(database: &Database<'_>, output: &mut Output<'_>) -> ControlFlow<()> {
    let mut pages = pages(database);
    visits(database, &mut pages, output)?;
    for (number, page) in unvisited(&pages) {
        output.push(page.record_alone("urls", number))?;
    }
    downloads(database, output)?;
    output.push_rows(database, "keyword_search_terms", &|row| {
        let page = pages.get(&row.integer("url_id")?)?;
        let mut record = record_of("browser_search", row.locator(), &[&page.url]);
        record.push("Term", row.text("term"));
        record.push("Title", page.title.as_str());
        record.times.extend(page.last.clone());
        Some(record)
    })
}

fn pages(database: &Database<'_>) -> Pages {
    let mut pages = Pages::new();
    let Some(table) = database.table("urls") else { return pages };
    for row in database.rows(table).chain(database.stray_rows(table)) {
        let Some(number) = row.integer("id").filter(|_| pages.len() < MAX_PAGES) else { continue };
        pages.entry(number).or_insert_with(|| Page {
            url: row.text("url").to_owned(),
            title: row.text("title").to_owned(),
            visits: row.integer("visit_count"),
            typed: row.integer("typed_count"),
            last: moment(Clock::Webkit, row.integer("last_visit_time"), "Page Last Visited"),
            visited: false,
        });
    }
    pages
}

fn visits(database: &Database<'_>, pages: &mut Pages, output: &mut Output<'_>) -> ControlFlow<()> {
    let numbers = |table: &str, key: &str, value: &str| -> HashMap<i64, i64> {
        let table = database.table(table);
        let rows = table.into_iter().flat_map(|table| database.rows(table));
        let pair = |row: Row<'_>| Some((row.integer(key)?, row.integer(value)?));
        rows.filter_map(pair).take(MAX_PAGES).collect()
    };
    let visited = numbers("visits", "id", "url");
    let sources = numbers("visit_source", "id", "source");
    for page in visited.values() {
        if let Some(page) = pages.get_mut(page) {
            page.visited = true;
        }
    }
    output.push_rows(database, "visits", &|row| {
        let page = pages.get(&row.integer("url")?)?;
        let mut record = page.record(row.locator());
        let from = visited.get(&row.integer("from_visit")?).and_then(|page| pages.get(page));
        let external = row.text("external_referrer_url");
        record.push("Referrer", from.map_or(external, |page| page.url.as_str()));
        transition(row.integer("transition").unwrap_or_default(), &mut record);
        let source = sources.get(&row.integer("id")?).and_then(|n| usize::try_from(*n).ok());
        const SOURCES: [&str; 6] = ["synced", "browsed", "extension", "firefox", "ie", "safari"];
        record
            .push("VisitSource", source.and_then(|n| SOURCES.get(n)).copied().unwrap_or_default());
        record.push("SyncedFrom", row.text("originator_cache_guid"));
        if let Some(micros) = row.integer("visit_duration").filter(|n| *n > 0) {
            record.push("VisitSeconds", micros / 1_000_000);
        }
        record.times.extend(moment(Clock::Webkit, row.integer("visit_time"), "Page Visited"));
        Some(record)
    })
}

/// Adds how the page was come to.
fn transition(stored: i64, record: &mut Record) {
    const KINDS: [&str; 11] = [
        "link",
        "typed",
        "bookmark",
        "subframe",
        "manual_subframe",
        "generated",
        "start_page",
        "form",
        "reload",
        "keyword",
        "keyword_generated",
    ];
    const QUALIFIERS: [(i64, &str); 6] = [
        (0x0080_0000, "blocked"),
        (0x0100_0000, "forward_back"),
        (0x0200_0000, "address_bar"),
        (0x0400_0000, "home_page"),
        (0x4000_0000, "client_redirect"),
        (0x8000_0000, "server_redirect"),
    ];
    let kind = usize::try_from(stored & 0xff).ok().and_then(|n| KINDS.get(n)).copied();
    let mut words = vec![kind.map_or_else(|| (stored & 0xff).to_string(), str::to_owned)];
    let held = QUALIFIERS.iter().filter(|(bit, _)| stored & bit != 0);
    words.extend(held.map(|(_, word)| (*word).to_owned()));
    record.push("Transition", words.join(" "));
}

fn downloads(database: &Database<'_>, output: &mut Output<'_>) -> ControlFlow<()> {
    let mut chains: HashMap<i64, Vec<(i64, String)>> = HashMap::new();
    if let Some(table) = database.table("downloads_url_chains") {
        for row in database.rows(table).chain(database.stray_rows(table)) {
            let place = row.integer("id").zip(row.integer("chain_index"));
            let Some((download, at)) = place.filter(|_| chains.len() < MAX_PAGES) else { continue };
            let chain = chains.entry(download).or_default();
            if chain.len() < MAX_CHAIN && chain.iter().all(|(known, _)| *known != at) {
                chain.push((at, row.text("url").to_owned()));
            }
        }
    }
    for chain in chains.values_mut() {
        chain.sort();
    }
    output.push_rows(database, "downloads", &|row| {
        let chain = chains.get(&row.integer("id")?).map(Vec::as_slice).unwrap_or_default();
        let mut urls: Vec<&str> = chain.iter().map(|(_, url)| url.as_str()).collect();
        if urls.is_empty() {
            urls.push(row.text("url"));
        }
        Some(download(row, &urls))
    })
}

/// A download that was led through these addresses.
fn download(row: &Row<'_>, urls: &[&str]) -> Record {
    const STATES: [&str; 5] =
        ["in_progress", "complete", "cancelled", "interrupted", "interrupted"];
    const DANGERS: [&str; 17] = [
        "not_dangerous",
        "dangerous_file",
        "dangerous_url",
        "dangerous_content",
        "maybe_dangerous_content",
        "uncommon_content",
        "user_validated",
        "dangerous_host",
        "potentially_unwanted",
        "allowed_by_policy",
        "being_scanned",
        "blocked_password_protected",
        "blocked_too_large",
        "sensitive_content_warning",
        "sensitive_content_blocked",
        "deep_scanned_safe",
        "deep_scanned_opened_dangerous",
    ];
    let mut record = record_of("browser_download", row.locator(), urls);
    record.push("Referrer", row.text("referrer"));
    record.push("TabUrl", row.text("tab_url"));
    let target = [row.text("target_path"), row.text("full_path"), row.text("current_path")];
    let target = target.into_iter().find(|path| !path.is_empty()).unwrap_or_default();
    record.push("TargetFilename", target);
    if row.text("current_path") != target {
        record.push("CurrentPath", row.text("current_path"));
    }
    let numbers = [("BytesReceived", "received_bytes"), ("TotalBytes", "total_bytes")];
    for (name, column) in numbers {
        if let Some(n) = row.integer(column).filter(|n| *n >= 0) {
            record.push(name, n);
        }
    }
    for (name, column, words) in
        [("State", "state", STATES.as_slice()), ("DangerType", "danger_type", DANGERS.as_slice())]
    {
        let Some(n) = row.integer(column) else { continue };
        let word = usize::try_from(n).ok().and_then(|at| words.get(at));
        record.push(name, word.map_or_else(|| n.to_string(), |word| (*word).to_owned()));
    }
    if let Some(reason) = row.integer("interrupt_reason").filter(|n| *n != 0) {
        record.push("InterruptReason", reason);
    }
    if row.integer("opened") == Some(1) {
        record.push("Opened", "true");
    }
    record.push("MimeType", row.text("mime_type"));
    record.push("ByExtension", row.text("by_ext_name"));
    const SHA256_BYTES: usize = 32;
    let hash = Some(row.bytes("hash")).filter(|hash| hash.len() == SHA256_BYTES);
    let hex = hash.map(|hash| hash.iter().map(|b| format!("{b:02x}")).collect::<String>());
    record.push("Hashes", hex.map(|hex| format!("SHA256={hex}")).unwrap_or_default());
    // The column came when times changed to microseconds.
    let old = !row.text("full_path").is_empty();
    let clock = if old { Clock::UnixSeconds } else { Clock::Webkit };
    record.times.extend(moment(clock, row.integer("start_time"), "Download Started"));
    record.times.extend(moment(clock, row.integer("end_time"), "Download Ended"));
    let opened = row.integer("last_access_time");
    record.times.extend(moment(clock, opened, "Download Last Accessed"));
    record
}
