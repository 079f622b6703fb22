//! The columns of a timeline row, in order: what CSV and JSONL share.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::model::{Row, Tag, to_iso};

/// Seconds of 1700-01-01T00:00:00Z: nothing a computer recorded is older.
const YEAR_1700: i64 = -8_520_336_000;

/// Names of the timeline's columns, in order; also the keys of timeline.jsonl.
pub const COLUMNS: [&str; 34] = [
    "datetime",
    "timestamp_desc",
    "message",
    "host",
    "level",
    "stage",
    "tool",
    "rule",
    "technique",
    "score",
    "chain",
    "user",
    "process",
    "pid",
    "parent",
    "command_line",
    "path",
    "sha256",
    "service",
    "remote_host",
    "remote_port",
    "local_port",
    "logon_id",
    "session_id",
    "event_id",
    "channel",
    "artifact",
    "source_path",
    "locator",
    "source",
    "time_precision",
    "datetime_raw",
    "row_id",
    "tag",
];

/// One value of a row. An empty text is an absent value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    Text(Cow<'a, str>),
    Number(i64),
}

impl Cell<'_> {
    /// Whether the row says nothing here.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<Option<i64>> for Cell<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Text(Cow::Borrowed("")), Self::Number)
    }
}

/// The row's time, if it is one that the timeline may hold (from 1700 on).
pub(super) fn usable_time(row: &Row) -> Option<Timestamp> {
    row.datetime.filter(|at| at.as_second() >= YEAR_1700)
}

/// The values of a row, in the order of [`COLUMNS`].
pub(super) fn cells(row: &Row) -> [Cell<'_>; COLUMNS.len()] {
    [
        iso(usable_time(row)).into(),
        row.timestamp_desc.as_str().into(),
        row.message.as_str().into(),
        row.host.as_str().into(),
        row.level.as_str().into(),
        row.stage.as_str().into(),
        row.tool.as_str().into(),
        row.rule.join(" ").into(),
        row.technique.join(" ").into(),
        Cell::Number(row.score.into()),
        row.chain.as_str().into(),
        row.user.as_str().into(),
        row.process.as_str().into(),
        row.pid.into(),
        row.parent.as_str().into(),
        row.command_line.as_str().into(),
        row.path.as_str().into(),
        row.sha256.as_str().into(),
        row.service.as_str().into(),
        row.remote_host.as_str().into(),
        row.remote_port.into(),
        row.local_port.into(),
        row.logon_id.as_str().into(),
        row.session_id.as_str().into(),
        row.event_id.into(),
        row.channel.as_str().into(),
        row.artifact.as_str().into(),
        row.source_path.as_str().into(),
        row.locator.as_str().into(),
        row.source.as_str().into(),
        row.time_precision.map_or("", |precision| precision.as_str()).into(),
        row.datetime_raw.as_str().into(),
        row.row_id.as_str().into(),
        tags(&row.tag).into(),
    ]
}

/// The `datetime` form of a time, empty for none.
pub(super) fn iso(at: Option<Timestamp>) -> String {
    at.map(to_iso).unwrap_or_default()
}

fn tags(tags: &[Tag]) -> String {
    let mut tags = tags.to_vec();
    tags.sort_unstable();
    tags.dedup();
    tags.into_iter().map(Tag::as_str).collect::<Vec<_>>().join(" ")
}
