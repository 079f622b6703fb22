//! `ActivitiesCache.db`, the timeline of Windows 10 and 11: programs that a user had in
//! front, and files and pages opened with them.
//!
//! Activities of type 5 (opened) and 6 (in use) prove that the program ran in that user's
//! session. Times are seconds since 1970, UTC. Activities may come from another machine of
//! the same account (`PlatformDeviceId` differs). Kept for 30 days at most.
//!
//! Source: public descriptions of the database by analysts.

use std::ops::ControlFlow;

use serde_json::Value as Json;

use super::database::{Database, Row};
use super::{Clock, Kind, Output, moment};
use crate::model::Record;
use crate::parse::known_folder;

pub(super) const TIMELINE: Kind = Kind { tables: &["Activity"], read };

fn read(database: &Database<'_>, output: &mut Output<'_>) -> ControlFlow<()> {
    output.push_rows(database, "Activity", &activity)
}

fn activity(row: &Row<'_>) -> Option<Record> {
    const KINDS: [(i64, &str); 2] = [(5, "opened"), (6, "in_use")];
    let kind = KINDS.iter().find(|(n, _)| row.integer("ActivityType") == Some(*n))?;
    let mut record = Record::new("activity", row.locator());
    record.push("Image", program(row.text("AppId"))?);
    record.push("Activity", kind.1);
    let payload = serde_json::from_slice(row.bytes("Payload")).unwrap_or(Json::Null);
    let text = |key: &str| payload.get(key).and_then(Json::as_str).unwrap_or_default();
    record.push("Product", text("appDisplayName"));
    record.push("DisplayText", text("displayText"));
    record.push("Details", text("description"));
    record.push("ContentUri", text("contentUri"));
    if let Some(seconds) = payload.get("activeDurationSeconds").and_then(Json::as_i64) {
        record.push("ActiveSeconds", seconds);
    }
    record.push("DeviceId", row.text("PlatformDeviceId"));
    for (column, meaning) in [("StartTime", "Activity Started"), ("EndTime", "Activity Ended")] {
        record.times.extend(moment(Clock::UnixSeconds, row.integer(column), meaning));
    }
    Some(record)
}

/// The program among the names that an activity gives it; a path if there is one.
fn program(names: &str) -> Option<String> {
    let names: Json = serde_json::from_str(names).ok()?;
    let of = |platform: &str| {
        let is = |name: &&Json| name.get("platform").and_then(Json::as_str) == Some(platform);
        let name = names.as_array()?.iter().find(is)?;
        name.get("application").and_then(Json::as_str).filter(|name| !name.is_empty())
    };
    let platforms = ["x_exe_path", "windows_win32", "packageId"];
    Some(known_folder::resolved(platforms.into_iter().find_map(of)?))
}
