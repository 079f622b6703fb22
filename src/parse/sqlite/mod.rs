//! SQLite databases of browsers and systems: what was visited, downloaded and looked for,
//! what macOS put under quarantine, what Windows' timeline saw, which packages are there.
//!
//! What a database is shows in its tables, whatever its file's name. Each kind has a
//! module of its own, which says what it proves, and a line in [`KINDS`]. A row that is no
//! longer part of a table, but still stands in the file or in the log beside it, gives a
//! record that is marked as recovered.

mod activity;
mod chromium;
mod database;
mod firefox;
mod number;
mod overlay;
mod packages;
mod quarantine;
mod safari;
mod schema;
mod state_repository;
#[cfg(test)]
mod tests;
mod web;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use self::database::{Database, FORMAT, Row};
use super::offer::offer;
use super::program::rendered;
use super::{ParseError, Parser};
use crate::model::{Extent, Input, Moment, Precision, Record, Sink, from_filetime, from_unix};

/// One kind of database: the tables by one of which it is known, and who reads it.
struct Kind {
    tables: &'static [&'static str],
    read: fn(&Database<'_>, &mut Output<'_>) -> ControlFlow<()>,
}

/// Every kind, in the order of the records.
const KINDS: &[Kind] = &[
    chromium::HISTORY,
    firefox::PLACES,
    firefox::DOWNLOADS,
    firefox::FORMS,
    safari::HISTORY,
    quarantine::EVENTS,
    activity::TIMELINE,
    packages::WINGET,
    packages::WINGET_2,
    packages::RPM,
    state_repository::PACKAGES,
];

/// Reads databases, with their log and journal as sidecars.
pub struct Sqlite;

impl Parser for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    /// By place only: databases are everywhere, and few are of a kind that is read.
    fn recognizes(&self, _: &[u8]) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let database = Database::open(input)?;
        let is_there = |kind: &&Kind| kind.tables.iter().all(|t| database.table(t).is_some());
        let kinds: Vec<&Kind> = KINDS.iter().filter(is_there).collect();
        let known = !kinds.is_empty();
        let mut output = Output { input, sink, said: HashSet::new(), extent: Extent::default() };
        for kind in kinds {
            if (kind.read)(&database, &mut output) == ControlFlow::Break(()) {
                break;
            }
        }
        let extent = output.extent;
        sink.extent(extent);
        database.tell(sink);
        if known {
            return Ok(());
        }
        let found = "a database without tables that are known".to_owned();
        Err(ParseError::Foreign { format: FORMAT, found })
    }
}

/// Where records go: past the filter, recovered ones only if they tell something new.
struct Output<'a> {
    input: &'a Input<'a>,
    sink: &'a mut dyn Sink,
    /// Hashes of what was said.
    said: HashSet<u64>,
    extent: Extent,
}

impl Output<'_> {
    fn push(&mut self, record: Record) -> ControlFlow<()> {
        let mut hasher = DefaultHasher::new();
        record.locator.hash(&mut hasher);
        rendered(&record).hash(&mut hasher);
        for moment in &record.times {
            moment.raw.hash(&mut hasher);
        }
        if !self.said.insert(hasher.finish()) {
            return ControlFlow::Continue(());
        }
        self.extent.count(&record);
        offer(record, self.input, self.sink)
    }

    /// Pushes what `of` makes of each row of a table, first those that are there, then
    /// those that are no longer part of it.
    fn push_rows(
        &mut self,
        database: &Database<'_>,
        table: &str,
        of: &dyn Fn(&Row<'_>) -> Option<Record>,
    ) -> ControlFlow<()> {
        let Some(table) = database.table(table) else { return ControlFlow::Continue(()) };
        for row in database.rows(table) {
            if let Some(record) = of(&row) {
                self.push(record)?;
            }
        }
        for row in database.stray_rows(table) {
            if let Some(mut record) = of(&row) {
                record.recovered = true;
                self.push(record)?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// Epochs and units of times in databases.
#[derive(Clone, Copy, Debug)]
enum Clock {
    /// Tenths of microseconds since 1601.
    Filetime,
    /// Microseconds since 1601.
    Webkit,
    /// Microseconds since 1970.
    UnixMicroseconds,
    /// Milliseconds since 1970.
    UnixMilliseconds,
    /// Seconds since 1970.
    UnixSeconds,
}

/// The moment that a number means; `None` for none and for zero, which is no time.
fn moment(clock: Clock, stored: Option<i64>, meaning: &'static str) -> Option<Moment> {
    let stored = stored.filter(|n| *n != 0)?;
    let fraction = |unit: i64| {
        let nanos = stored.rem_euclid(unit).checked_mul(1_000_000_000 / unit)?;
        from_unix(stored.div_euclid(unit), i32::try_from(nanos).ok()?)
    };
    let (at, precision) = match clock {
        Clock::Filetime => (u64::try_from(stored).ok().and_then(from_filetime), Precision::Exact),
        Clock::Webkit => {
            let ticks = u64::try_from(stored).ok().and_then(|us| us.checked_mul(10));
            (ticks.and_then(from_filetime), Precision::Exact)
        }
        Clock::UnixMicroseconds => (fraction(1_000_000), Precision::Exact),
        Clock::UnixMilliseconds => (fraction(1000), Precision::Exact),
        Clock::UnixSeconds => (from_unix(stored, 0), Precision::Second),
    };
    Some(Moment { at, meaning, precision, raw: stored.to_string() })
}

/// The moment of seconds since 2001, with fractions, as Apple's systems count them.
fn apple_moment(stored: Option<f64>, meaning: &'static str) -> Option<Moment> {
    const EPOCH: i64 = 978_307_200; // seconds from 1970 to 2001
    /// Seconds that hold a date of this or the last century.
    const MAX_SECONDS: f64 = 1e11;
    let stored = stored.filter(|n| *n != 0.0)?;
    let micros = (stored.abs() < MAX_SECONDS).then(|| (stored * 1e6).round());
    #[expect(clippy::cast_possible_truncation, reason = "below 2^63 by the limit above")]
    let micros = micros.map(|n| n as i64);
    let at = micros.and_then(|us| {
        let nanos = i32::try_from(us.rem_euclid(1_000_000).checked_mul(1000)?).ok()?;
        from_unix(us.div_euclid(1_000_000).checked_add(EPOCH)?, nanos)
    });
    Some(Moment { at, meaning, precision: Precision::Exact, raw: stored.to_string() })
}
