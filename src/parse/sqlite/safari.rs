//! Safari's `History.db`: pages and each visit with its time.
//!
//! Times are seconds since 2001, UTC. A visit with origin 1 came from another device of the
//! same account.
//!
//! Source: public descriptions of the database by analysts.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::database::Database;
use super::web::{MAX_PAGES, Page, Pages};
use super::{Kind, Output, apple_moment};

pub(super) const HISTORY: Kind = Kind { tables: &["history_items", "history_visits"], read };

fn read(database: &Database<'_>, output: &mut Output<'_>) -> ControlFlow<()> {
    let mut pages = Pages::new();
    if let Some(table) = database.table("history_items") {
        for row in database.rows(table).chain(database.stray_rows(table)) {
            let Some(number) = row.integer("id").filter(|_| pages.len() < MAX_PAGES) else {
                continue;
            };
            let visits = row.integer("visit_count");
            let url = row.text("url").to_owned();
            pages.entry(number).or_insert_with(|| Page { url, visits, ..Page::default() });
        }
    }
    let visits = database.table("history_visits");
    let visited: HashMap<i64, i64> = visits
        .into_iter()
        .flat_map(|table| database.rows(table))
        .filter_map(|row| Some((row.integer("id")?, row.integer("history_item")?)))
        .take(MAX_PAGES)
        .collect();
    output.push_rows(database, "history_visits", &|row| {
        let page = pages.get(&row.integer("history_item")?)?;
        let mut record = page.record(row.locator());
        record.push("Title", row.text("title"));
        let source = row.integer("redirect_source").and_then(|from| pages.get(visited.get(&from)?));
        record.push("Referrer", source.map_or("", |page| page.url.as_str()));
        if source.is_some() {
            record.push("Transition", "redirect");
        }
        record.push("VisitSource", if row.integer("origin") == Some(1) { "synced" } else { "" });
        if row.integer("load_successful") == Some(0) {
            record.push("Outcome", "failed");
        }
        record.times.extend(apple_moment(row.real("visit_time"), "Page Visited"));
        Some(record)
    })
}
