//! The System Resource Usage Monitor (`SRUDB.dat`, Windows 8 and later): which program of
//! which user sent and received how much, worked and was connected, hour by hour.
//!
//! Rows are collected in memory and written about once an hour and at shutdown: a row's
//! time is that of the writing, what it counts lies in the hour before. Programs and users
//! are numbers that `SruDbIdMapTable` explains. Kept for about 30 to 60 days.
//!
//! Source: Khatri, "Forensic implications of System Resource Usage Monitor (SRUM) data in
//! Windows 8"; names of columns are the database's own.

mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use jiff::{RoundMode, SignedDuration, SignedDurationRound, Timestamp, Unit};

use self::names::Names;
use super::ese::{Cell, Database, Row, Table};
use super::offer::offer;
use super::{ParseError, Parser};
use crate::model::{Category, Damage, Extent, Input, Locator, Moment, Precision, Record, Sink};

/// Rows told of one database; real ones have some 100 000.
const MAX_ROWS: u64 = 5_000_000;
/// Days from 1899-12-30, where the database counts from, to 1970.
const DAYS_TO_EPOCH: f64 = 25_569.0;
const DAY_SECONDS: f64 = 86_400.0;

/// The tables whose rows are told, what they are, and what their time means.
const TABLES: [(&str, Category, &str); 6] = [
    ("{973F5D5C-1D90-4944-BE8E-24B94231A174}", "srum_network", HOURLY),
    ("{D10CA2FE-6FCF-4F6D-848E-B2E99266FA89}", "srum_application", HOURLY),
    ("{DD6636C4-8929-4683-974E-22C046A43763}", "srum_connectivity", HOURLY),
    ("{5C8CF1C7-7257-4F13-B223-970EF5939312}", "srum_timeline", HOURLY),
    ("{7ACBBAA3-D029-4BE4-9A7A-0885927F1D8F}", "srum_run", HOURLY),
    ("{D10CA2FE-6FCF-4F6D-848E-B2E99266FA86}", "srum_notification", HOURLY),
];
const HOURLY: &str = "Usage of the Hour Before Written";
/// FILETIMEs among a row's numbers.
const FILETIMES: [(&str, &str); 3] = [
    ("ConnectStartTime", "Network Connected"),
    ("StartTime", "Usage Started"),
    ("EndTime", "Usage Ended"),
];
/// Columns that are told otherwise.
const NOT_COUNTED: [&str; 4] = ["AutoIncId", "TimeStamp", "AppId", "UserId"];
/// Counts that are told even when they are 0.
const ALWAYS: [&str; 2] = ["BytesSent", "BytesRecvd"];

/// Reads the System Resource Usage Monitor's database; a record for each row.
pub struct Srum;

impl Parser for Srum {
    fn name(&self) -> &'static str {
        "srum"
    }

    fn recognizes(&self, _start: &[u8]) -> bool {
        // Other databases begin in the same way.
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut faults = Vec::new();
        let base = Database::open(input.bytes, &input.sidecars, &mut faults)?;
        let names = Names::read(&base, &mut faults);
        let mut told = Told { input, sink, names, extent: Extent::default() };
        let mut tables = 0u32;
        for (name, category, meaning) in TABLES {
            let Some(table) = base.table(name) else { continue };
            tables = tables.saturating_add(1);
            if told.table(&base, table, (category, meaning), &mut faults).is_break() {
                break;
            }
        }
        let Told { sink, extent, .. } = told;
        faults.extend(base.unclosed(Some(&extent)));
        faults.into_iter().for_each(|fault| sink.damaged(fault));
        sink.extent(extent);
        // A new one has names, and nothing measured yet.
        if tables == 0 && base.table(names::TABLE).is_none() {
            let found = "a database without tables of usage".to_owned();
            return Err(ParseError::Foreign { format: "SRUM", found });
        }
        Ok(())
    }
}

struct Told<'a> {
    input: &'a Input<'a>,
    sink: &'a mut dyn Sink,
    names: Names,
    extent: Extent,
}

impl Told<'_> {
    fn table(
        &mut self,
        base: &Database<'_>,
        table: &Table,
        (category, meaning): (Category, &'static str),
        faults: &mut Vec<Damage>,
    ) -> ControlFlow<()> {
        let mut seen = BTreeSet::new();
        base.rows(table, faults, &mut |row| {
            let Some(number) = row.number("AutoIncId") else { return ControlFlow::Continue(()) };
            // What stands beside the tree is often a copy of what is in it.
            if !seen.insert(number) {
                return ControlFlow::Continue(());
            }
            let locator = Locator::Row { table: table.name.clone(), row: number };
            let mut record = Record::new(category, locator);
            record.recovered = row.recovered;
            self.names.describe(row, &mut record);
            count(row, table, meaning, &mut record);
            self.tell(record)
        })
    }

    fn tell(&mut self, record: Record) -> ControlFlow<()> {
        if self.extent.records >= MAX_ROWS {
            let message = format!("SRUM: more than {MAX_ROWS} rows");
            self.sink.damaged(Damage { locator: Some(record.locator), message, lost: true });
            return ControlFlow::Break(());
        }
        self.extent.count_at(record.first_time());
        offer(record, self.input, self.sink)
    }
}

/// Adds a row's times and counts.
fn count(row: &Row<'_>, table: &Table, meaning: &'static str, record: &mut Record) {
    let written = table.column("TimeStamp").and_then(|c| row.cell(c));
    if let Some(Cell::DateTime(raw)) = written {
        record.times.push(written_at(raw, meaning));
    }
    for column in &table.columns {
        let name = column.name.as_str();
        if NOT_COUNTED.contains(&name) {
            continue;
        }
        let Some(Cell::Number(number)) = row.cell(column) else { continue };
        if let Some((_, meaning)) = FILETIMES.iter().find(|(own, _)| *own == name) {
            let ticks = u64::try_from(number).unwrap_or_default();
            record.times.extend(Moment::of_filetime(ticks, meaning));
        } else if number != 0 || ALWAYS.contains(&name) {
            record.push(column.name.clone(), number);
        }
    }
}

/// The moment that a floating point number of days means.
fn written_at(raw: u64, meaning: &'static str) -> Moment {
    let days = f64::from_bits(raw);
    let at = moment(days);
    let text = at.map_or_else(|| format!("{days}"), |at| format!("{at:.3}"));
    Moment { at, meaning, precision: Precision::Hour, raw: text }
}

/// To the millisecond, which is what such a number holds; `None` for what is no time of a
/// Windows that has this database.
fn moment(days: f64) -> Option<Timestamp> {
    const FROM: f64 = 40_000.0; // in 2009
    const UNTIL: f64 = 100_000.0; // in 2173
    (FROM..UNTIL).contains(&days).then_some(())?;
    let since = SignedDuration::try_from_secs_f64((days - DAYS_TO_EPOCH) * DAY_SECONDS).ok()?;
    let whole = SignedDurationRound::new().smallest(Unit::Millisecond).mode(RoundMode::HalfExpand);
    Timestamp::UNIX_EPOCH.checked_add(since.round(whole).ok()?).ok()
}
