//! What histories of every browser share: pages, visits, paths of downloads.

use std::collections::HashMap;

use crate::model::{Locator, Moment, Record, Value};
use crate::parse::address;

/// Pages of one history that are kept at once; of those beyond it visits tell no address.
pub(super) const MAX_PAGES: usize = 4 << 20;

/// A page of a history.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub url: String,
    pub title: String,
    pub visits: Option<i64>,
    /// How often its address was typed.
    pub typed: Option<i64>,
    pub last: Option<Moment>,
    /// Whether a visit spoke of it.
    pub visited: bool,
}

/// Pages by their number.
pub(super) type Pages = HashMap<i64, Page>;

/// A record that is about an address.
pub(super) fn record_of(category: &'static str, locator: Locator, urls: &[&str]) -> Record {
    let mut record = Record::new(category, locator);
    let hosts: Vec<String> =
        urls.iter().filter_map(|url| address::host(url)).map(str::to_owned).collect();
    record.push("Url", several(urls.iter().map(|url| (*url).to_owned()).collect()));
    record.push("HostName", several(hosts));
    record
}

/// One text, or a list where there are several different ones.
fn several(mut all: Vec<String>) -> Value {
    all.dedup();
    if all.len() > 1 { Value::List(all) } else { all.pop().unwrap_or_default().into() }
}

impl Page {
    /// A visit of the page, with what the page says of itself.
    pub(super) fn record(&self, locator: Locator) -> Record {
        let mut record = record_of("browser_visit", locator, &[&self.url]);
        record.push("Title", self.title.as_str());
        for (name, value) in [("VisitCount", self.visits), ("TypedCount", self.typed)] {
            if let Some(value) = value.filter(|n| *n > 0) {
                record.push(name, value);
            }
        }
        record
    }

    /// The page itself, of which no visit is left.
    pub(super) fn record_alone(&self, table: &str, row: i64) -> Record {
        let mut record = self.record(Locator::Row { table: table.to_owned(), row });
        record.times.extend(self.last.clone());
        record
    }
}

/// Pages that no visit speaks of, by number.
pub(super) fn unvisited(pages: &Pages) -> Vec<(i64, &Page)> {
    let mut left: Vec<_> =
        pages.iter().filter(|(_, page)| !page.visited).map(|(n, page)| (*n, page)).collect();
    left.sort_unstable_by_key(|(number, _)| *number);
    left
}
