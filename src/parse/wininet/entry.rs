//! One entry of a history or a cache, and what it proves.
//!
//! ```text
//! Visited: jane@https://a.example/              whole history: when last visited, UTC
//! :2024031820240319: jane@https://a.example/    history of a day: the same, and in local time
//! :2024031120240318: jane@https://a.example/    of a week: when made, and last visit in local time
//! :2024031820240319: jane@:Host: a.example      that some page of the host was visited
//! iedownload:{…}                                a file that was downloaded
//! Cookie:jane@a.example/                        the host set a cookie
//! https://a.example/logo.png                    something fetched, with its copy in the cache
//! ```
//! Two times stand in every entry. Of the cache they are the last access and what the
//! server says of the last change; of histories see above. Source: libmsiecf's format
//! documentation and samples.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::data;
use crate::model::{Locator, Moment, Record, Zone, from_filetime};
use crate::parse::address;
use crate::parse::local_time::of_local;

/// What the browser brings along: lists of sites that nobody asked for.
const LISTS: [&str; 4] = ["ietld:", "iecompat:", "iecompatua:", "dntexception:"];
const LAST_VISITED: &str = "Page Last Visited";

/// An entry as both kinds of store hold it.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) location: String,
    /// FILETIMEs; 0 where there is none.
    pub(super) accessed: u64,
    pub(super) modified: u64,
    /// Of the copy in the cache.
    pub(super) created: Option<Moment>,
    /// With the server, whether it has changed.
    pub(super) checked: Option<Moment>,
    pub(super) hits: Option<i64>,
    pub(super) size: Option<i64>,
    /// Name of the copy in the cache.
    pub(super) cache_file: String,
    /// Properties, an answer, a download; see [`data`].
    pub(super) data: Vec<u8>,
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Visit,
    VisitOfDay,
    VisitOfWeek,
    Download,
    Cookie,
    Copy,
    List,
}

impl Kind {
    /// What a location says: kind, user, and the address or what stands for it.
    fn of(location: &str) -> (Self, &str, &str) {
        let lower = location.get(..16).unwrap_or(location).to_ascii_lowercase();
        if LISTS.iter().any(|list| lower.starts_with(list)) {
            return (Self::List, "", location);
        }
        if lower.starts_with("iedownload:") {
            return (Self::Download, "", "");
        }
        let (kind, rest) = if let Some(rest) = location.strip_prefix("Visited:") {
            (Self::Visit, rest)
        } else if let Some(rest) = location.strip_prefix("Cookie:") {
            (Self::Cookie, rest)
        } else if let Some((days, rest)) = period(location) {
            (if days == 1 { Self::VisitOfDay } else { Self::VisitOfWeek }, rest)
        } else {
            return (Self::Copy, "", location);
        };
        let rest = rest.trim_start();
        match rest.split_once('@') {
            Some(("-", url)) => (kind, "", url),
            Some((user, url)) if !user.contains(['/', ':']) => (kind, user, url),
            _ => (kind, "", rest),
        }
    }
}

/// The days that `:2024031820240319:` spans, and what stands behind.
fn period(location: &str) -> Option<(i32, &str)> {
    let (days, rest) = location.strip_prefix(':')?.split_once(':')?;
    let date = |range| Date::strptime("%Y%m%d", days.get(range)?).ok();
    let (from, until) = (date(0..8)?, date(8..16)?);
    (days.len() == 16).then(|| Some((from.until(until).ok()?.get_days(), rest)))?
}

impl Entry {
    /// What the entry says; `None` for what nobody asked for.
    pub(super) fn record(&self, locator: Locator, zone: Option<&Zone>) -> Option<Record> {
        let (kind, user, url) = Kind::of(&self.location);
        let mut record = match kind {
            Kind::List => return None,
            Kind::Download => self.download(locator),
            Kind::Visit | Kind::VisitOfDay | Kind::VisitOfWeek => self.visit(locator, url),
            Kind::Cookie | Kind::Copy => self.copy(locator, kind, url),
        };
        record.push("User", user);
        match kind {
            Kind::VisitOfDay => record.push("LocalTime", text_of(self.modified, "")),
            Kind::VisitOfWeek => record.push("HistoryMade", text_of(self.accessed, "Z")),
            // No time of this host.
            Kind::Copy => record.push("LastModified", text_of(self.modified, "Z")),
            _ => {}
        }
        self.moments(kind, zone, &mut record);
        let says_nothing = self.location.is_empty() && self.cache_file.is_empty();
        (!says_nothing).then_some(record)
    }

    fn visit(&self, locator: Locator, url: &str) -> Record {
        let mut record = Record::new("browser_visit", locator);
        if let Some(host) = url.strip_prefix(":Host:") {
            record.push("HostName", host.trim());
            return record;
        }
        push_address(&mut record, url);
        if url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:")) {
            record.push("TargetFilename", address::path_of(url));
        }
        record.push("Title", data::title(&self.data).unwrap_or_default());
        push_count(&mut record, "VisitCount", self.hits);
        record
    }

    fn download(&self, locator: Locator) -> Record {
        let mut record = Record::new("browser_download", locator);
        let Some(found) = data::download(&self.data) else {
            record.push("Entry", self.location.as_str());
            return record;
        };
        push_address(&mut record, &found.url);
        record.push("Referrer", found.referrer);
        record.push("TargetFilename", found.target);
        record.push("TemporaryFile", found.temporary);
        record.push("MimeType", found.kind);
        record
    }

    fn copy(&self, locator: Locator, kind: Kind, url: &str) -> Record {
        let mut record = Record::new("url_cache", locator);
        if kind == Kind::Cookie {
            record.push("HostName", url.split('/').next().unwrap_or_default());
            record.push("Url", url);
        } else {
            push_address(&mut record, url);
        }
        record.push("CacheFile", self.cache_file.as_str());
        push_count(&mut record, "Size", self.size);
        push_count(&mut record, "AccessCount", self.hits);
        if let Some(answer) = data::answer(&self.data) {
            record.push("MimeType", answer.kind);
            record.push("ResponseHeaders", answer.text);
            record.push("User", answer.user);
        }
        record
    }

    fn moments(&self, kind: Kind, zone: Option<&Zone>, record: &mut Record) {
        let utc = Moment::of_filetime;
        match kind {
            Kind::Visit | Kind::VisitOfDay => {
                record.times.extend(utc(self.accessed, LAST_VISITED));
            }
            Kind::VisitOfWeek => record.times.extend(last_visit(self.modified, zone)),
            Kind::Download => {
                record.times.extend(utc(self.accessed, "Download Entry Last Accessed"));
                if self.modified != self.accessed {
                    record.times.extend(utc(self.modified, "Download Entry Last Modified"));
                }
            }
            Kind::Cookie | Kind::Copy | Kind::List => {
                let times = &mut record.times;
                times.extend(utc(self.accessed, "Cache Entry Last Accessed"));
                times.extend(self.created.clone());
                // Of what was fetched once they are the same.
                let is_new = |checked: &&Moment| times.iter().all(|m| !is_near(m, checked));
                let checked = self.checked.as_ref().filter(is_new).cloned();
                times.extend(checked);
                if kind == Kind::Cookie {
                    times.extend(utc(self.modified, "Cookie Modified"));
                }
            }
        }
    }
}

/// The moment of a FILETIME that counts local time.
fn last_visit(ticks: u64, zone: Option<&Zone>) -> Option<Moment> {
    let local = from_filetime(ticks).map(|at| at.to_zoned(TimeZone::UTC).datetime());
    match local {
        Some(time) => Some(of_local(time, &format!("{time:.7}"), zone, LAST_VISITED)),
        None => Moment::of_filetime(ticks, LAST_VISITED),
    }
}

/// A FILETIME as text, with what says its zone; empty if it is none.
fn text_of(ticks: u64, zone: &str) -> String {
    let local = from_filetime(ticks).map(|at| at.to_zoned(TimeZone::UTC).datetime());
    local.map(|at| format!("{at:.7}{zone}")).unwrap_or_default()
}

/// Whether two moments differ by no more than an MS-DOS time can tell.
fn is_near(one: &Moment, other: &Moment) -> bool {
    let distance = one.at.zip(other.at).map(|(a, b)| a.as_second().abs_diff(b.as_second()));
    distance.is_some_and(|seconds| seconds <= 2)
}

/// Adds an address and its host. Addresses of parts of programs (`res:`) have no host.
fn push_address(record: &mut Record, url: &str) {
    let host = address::host(url).filter(|_| !url.starts_with("res:"));
    record.push("HostName", host.unwrap_or_default());
    record.push("Url", url);
}

fn push_count(record: &mut Record, name: &'static str, count: Option<i64>) {
    if let Some(count) = count.filter(|n| *n > 0) {
        record.push(name, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_of_every_kind() {
        let url = "https://a.example/@x";
        for (location, expected) in [
            (format!("Visited: jane@{url}"), (Kind::Visit, "jane", url)),
            (format!(":2024031820240319: jane@{url}"), (Kind::VisitOfDay, "jane", url)),
            (format!(":2024022920240301: jane@{url}"), (Kind::VisitOfDay, "jane", url)),
            (format!(":2024031120240318: jane@{url}"), (Kind::VisitOfWeek, "jane", url)),
            (format!("Visited: {url}"), (Kind::Visit, "", url)),
            (format!("Visited: -@{url}"), (Kind::Visit, "", url)),
            ("Cookie:jane@a.example/".into(), (Kind::Cookie, "jane", "a.example/")),
            (url.into(), (Kind::Copy, "", url)),
            (":20240318: x".into(), (Kind::Copy, "", ":20240318: x")),
            (":99999999\u{e9}9999999: x".into(), (Kind::Copy, "", ":99999999\u{e9}9999999: x")),
            ("iedownload:{1}".into(), (Kind::Download, "", "")),
            ("iecompat:a.example".into(), (Kind::List, "", "iecompat:a.example")),
        ] {
            assert_eq!(Kind::of(&location), expected, "{location}");
        }
    }

    #[test]
    fn local_time_of_a_week_is_made_utc() {
        let entry = Entry {
            location: ":2024031120240318: jane@http://a.example/".to_owned(),
            accessed: 133_549_647_900_000_000,
            modified: 133_549_647_900_000_001,
            ..Entry::default()
        };
        let zone = Zone::of_posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let times = |zone| entry.record(Locator::Offset(0), zone).unwrap().times;
        let known = times(Some(&zone));
        assert_eq!(known[0].at.unwrap().to_string(), "2024-03-15T07:26:30.0000001Z");
        assert_eq!(known[0].raw, "2024-03-15T08:26:30.0000001");
        assert_eq!(known.len(), 1);
        assert_eq!(times(None)[0].precision, crate::model::Precision::AssumedZone);
    }
}
