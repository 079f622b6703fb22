//! findings.csv: one row per chain, the gravest first.

use std::cmp::Reverse;
use std::path::Path;

use super::ExportError;
use super::column::{Cell, iso};
use super::csv::{CsvStyle, Table};
use crate::model::{Chain, HostReport, Level};

/// Names of the columns, in order.
pub const COLUMNS: [&str; 16] = [
    "chain",
    "host",
    "tool",
    "level",
    "score",
    "stage",
    "first",
    "last",
    "summary",
    "user",
    "path",
    "remote_host",
    "local_port",
    "rules",
    "techniques",
    "rows",
];

/// Writes the chains by score, highest first, then by first time and id.
pub(super) fn write(path: &Path, report: &HostReport, style: CsvStyle) -> Result<(), ExportError> {
    let mut chains: Vec<&Chain> = report.chains.iter().collect();
    chains.sort_by_key(|chain| {
        (Reverse(chain.score), chain.first.is_none(), chain.first, chain.id.as_str())
    });
    let mut table = Table::create(path, &COLUMNS, style)?;
    for chain in chains {
        table.row(cells(report, chain))?;
    }
    table.finish()
}

fn cells<'a>(report: &'a HostReport, chain: &'a Chain) -> [Cell<'a>; COLUMNS.len()] {
    [
        chain.id.as_str().into(),
        report.host.as_str().into(),
        chain.tool.as_str().into(),
        Level::of_score(chain.score).as_str().into(),
        Cell::Number(chain.score.into()),
        chain.stage.as_str().into(),
        iso(chain.first).into(),
        iso(chain.last).into(),
        chain.summary.as_str().into(),
        chain.user.as_str().into(),
        chain.path.as_str().into(),
        chain.remote_host.as_str().into(),
        chain.local_port.into(),
        chain.rules.join(" ").into(),
        chain.techniques.join(" ").into(),
        chain.rows.join(" ").into(),
    ]
}
