//! Programs that Explorer and the compatibility layer know of a user.
//!
//! * FeatureUsage: what was started from the taskbar (AppLaunch), came to the front
//!   there (AppSwitched) or showed a badge, with how often and without a time; a menu
//!   opened (ShowJumpView) does not prove a run.
//! * RecentApps (Windows 10 1607 to 1709): starts from the menu, with the last one's time.
//! * MUICache: names of a program that Explorer once showed; no time.
//! * Compatibility Assistant and Layers: programs watched or given a setting; no time.
//!
//! Sources: real hives (`tests/compare`); MITRE ATT&CK T1546.011 (Layers).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::model::{Moment, Record};
use crate::parse::known_folder;

use super::place::{Extractor, Root, at};
use super::{Key, Output, ticks, value_record};

pub const FEATURE_USAGE: Extractor = Extractor {
    places: &[at(Root::Software, r"Microsoft\Windows\CurrentVersion\Explorer\FeatureUsage\*")],
    read: feature_usage,
    live: None,
};

pub const RECENT_APPS: Extractor = Extractor {
    places: &[
        at(Root::Software, r"Microsoft\Windows\CurrentVersion\Search\RecentApps\*"),
        at(Root::Software, r"Microsoft\Windows\CurrentVersion\Search\RecentApps\*\RecentItems\*"),
    ],
    read: recent_app,
    live: None,
};

pub const MUI_CACHE: Extractor = Extractor {
    places: &[
        at(Root::Classes, r"Local Settings\Software\Microsoft\Windows\Shell\MuiCache"),
        at(Root::Software, r"Microsoft\Windows\ShellNoRoam\MUICache"),
    ],
    read: mui_cache,
    live: None,
};

pub const COMPATIBILITY: Extractor = Extractor {
    places: &[
        at(
            Root::Software,
            r"Microsoft\Windows NT\CurrentVersion\AppCompatFlags\Compatibility Assistant\Store",
        ),
        at(
            Root::Software,
            r"Microsoft\Windows NT\CurrentVersion\AppCompatFlags\Compatibility Assistant\Persisted",
        ),
        at(Root::Software, r"Microsoft\Windows NT\CurrentVersion\AppCompatFlags\Layers"),
    ],
    read: compatibility,
    live: None,
};

/// Adds a program whose folder may be given as a GUID.
fn add_image(record: &mut Record, name: &str) {
    let image = known_folder::resolved(name);
    if image != name {
        record.push("EntryName", name);
    }
    record.push("Image", image);
}

fn feature_usage(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    let category = match key.name.to_ascii_lowercase().as_str() {
        "applaunch" | "appswitched" | "appbadgeupdated" => "feature_usage",
        "showjumpview" => "taskbar_menu",
        _ => return ControlFlow::Continue(()),
    };
    for value in &key.values {
        let Some(count) = value.data.number() else { continue };
        let mut record = value_record(key, category, &value.name);
        add_image(&mut record, &value.name);
        record.push("Feature", key.name.as_str());
        record.push("Count", count);
        output.add_user(&mut record);
        output.push(record)?;
    }
    ControlFlow::Continue(())
}

fn recent_app(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    let app = key.text("AppPath").or_else(|| key.text("AppId"));
    let (category, subject) = match app {
        Some(app) => ("recent_app", app),
        None => match key.text("Path") {
            Some(path) => ("recent_document", path),
            None => return ControlFlow::Continue(()),
        },
    };
    let mut record = value_record(key, category, "");
    record.locator = crate::model::Locator::Key { key: key.path.clone(), value: None };
    add_image(&mut record, &subject);
    record.push("AppId", key.text("AppId").unwrap_or_default());
    record.push("Title", key.text("DisplayName").unwrap_or_default());
    if let Some(count) = key.number("LaunchCount") {
        record.push("RunCount", count);
    }
    output.add_user(&mut record);
    let meaning = if category == "recent_app" { "Last Time Executed" } else { "Last Opened" };
    let last = key.data("LastAccessedTime").and_then(ticks);
    record.times.extend(last.and_then(|at| Moment::of_filetime(at, meaning)));
    output.push(record)
}

/// One record a program, whose names stand in values of their own.
fn mui_cache(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    let mut programs: BTreeMap<&str, Record> = BTreeMap::new();
    for value in &key.values {
        let Some(text) = value.data.text() else { continue };
        let named = [(".FriendlyAppName", "Description"), (".ApplicationCompany", "Company")];
        let known =
            named.iter().find_map(|(end, field)| Some((value.name.strip_suffix(end)?, *field)));
        let (program, field) = known.unwrap_or((&value.name, "Description"));
        if program.starts_with('@') || !program.contains('\\') {
            continue; // texts of the system, not of a program
        }
        let record = programs.entry(program).or_insert_with(|| {
            let mut record = value_record(key, "muicache", &value.name);
            record.push("Image", program);
            record
        });
        record.push(field, text);
    }
    for mut record in programs.into_values() {
        output.add_user(&mut record);
        output.push(record)?;
    }
    ControlFlow::Continue(())
}

fn compatibility(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    for value in key.values.iter().filter(|value| value.name.contains('\\')) {
        let mut record = value_record(key, "compatibility", &value.name);
        // What was run from a network or removable drive is marked so.
        let image = value.name.strip_prefix("SIGN.MEDIA=").and_then(|rest| rest.split_once(' '));
        record.push("Image", image.map_or(value.name.as_str(), |(_, path)| path));
        record.push("Layers", value.data.text().unwrap_or_default());
        output.add_user(&mut record);
        output.push(record)?;
    }
    ControlFlow::Continue(())
}
