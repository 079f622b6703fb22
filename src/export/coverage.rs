//! coverage.csv and problems.csv: what was looked at, and what could not be read.

use std::path::Path;

use super::ExportError;
use super::column::{Cell, iso};
use super::csv::{CsvStyle, Table};
use crate::model::{Coverage, HostReport, Problem};

/// Columns of coverage.csv, in order.
pub const COVERAGE_COLUMNS: [&str; 9] =
    ["host", "source", "path", "state", "first", "last", "records", "gaps", "why"];

/// Columns of problems.csv, in order.
pub const PROBLEM_COLUMNS: [&str; 5] = ["host", "stage", "path", "locator", "message"];

/// Writes coverage.csv, by source, then path.
pub(super) fn write_coverage(
    path: &Path,
    report: &HostReport,
    style: CsvStyle,
) -> Result<(), ExportError> {
    let mut sources: Vec<&Coverage> = report.coverage.iter().collect();
    sources.sort_by_key(|of| (of.source.as_str(), of.path.as_str()));
    let mut table = Table::create(path, &COVERAGE_COLUMNS, style)?;
    for of in sources {
        table.row([
            report.host.as_str().into(),
            of.source.as_str().into(),
            of.path.as_str().into(),
            of.state.as_str().into(),
            iso(of.first).into(),
            iso(of.last).into(),
            Cell::Number(i64::try_from(of.records).unwrap_or(i64::MAX)),
            of.gaps.join(" ").into(),
            of.why.as_str().into(),
        ])?;
    }
    table.finish()
}

/// Writes problems.csv of a host, by path, then locator, then message.
pub(super) fn write_problems(
    path: &Path,
    host: &str,
    mut problems: Vec<&Problem>,
    style: CsvStyle,
) -> Result<(), ExportError> {
    problems.sort();
    let mut table = Table::create(path, &PROBLEM_COLUMNS, style)?;
    for problem in problems {
        table.row([
            host.into(),
            problem.stage.as_str().into(),
            problem.path.as_ref().map_or("", |path| path.as_str()).into(),
            problem.locator.as_ref().map(ToString::to_string).unwrap_or_default().into(),
            problem.message.as_str().into(),
        ])?;
    }
    table.finish()
}
