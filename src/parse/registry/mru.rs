//! What a user typed into Explorer or opened there, most recent first.
//!
//! A list keeps the order (`MRUList`: letters, `MRUListEx`: numbers), and one time: the
//! key's last change is when its first entry came to the front. Older entries are no
//! later than that.
//!
//! * RunMRU: the Run dialog's commands, each ending in `\1`.
//! * TypedPaths, TypedURLs: the address bars of Explorer and Internet Explorer.
//! * WordWheelQuery: searches in Explorer.
//! * RecentDocs: names of files opened, without their folders.
//! * OpenSavePidlMRU, LastVisitedPidlMRU: files and programs of the dialogs Open and Save.
//!
//! Source: libyal's winreg-kb, "Most Recently Used"; real hives (`tests/compare`).

use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::model::{Moment, Precision, Record};
use crate::parse::bytes::u32_at;

use super::place::{Extractor, Root, at};
use super::{Data, Key, NamedValue, Output, shell_item, ticks, utf16_until_nul, value_record};

pub const RUN: Extractor = Extractor {
    places: &[at(Root::Software, r"Microsoft\Windows\CurrentVersion\Explorer\RunMRU")],
    read: |key, output| {
        each(key, output, "run_dialog", |value, record| {
            let text = value.data.text()?;
            record.push("CommandLine", text.strip_suffix(r"\1").unwrap_or(&text));
            Some(())
        })
    },
    live: None,
};

pub const TYPED: Extractor = Extractor {
    places: &[
        at(Root::Software, r"Microsoft\Windows\CurrentVersion\Explorer\TypedPaths"),
        at(Root::Software, r"Microsoft\Windows\CurrentVersion\Explorer\WordWheelQuery"),
    ],
    read: |key, output| {
        let searches = key.name.eq_ignore_ascii_case("WordWheelQuery");
        let category = if searches { "explorer_search" } else { "typed_path" };
        each(key, output, category, |value, record| {
            let text = match &value.data {
                Data::Binary(data) => utf16_until_nul(data),
                other => other.text()?,
            };
            record.push("CommandLine", text);
            Some(())
        })
    },
    live: None,
};

pub const TYPED_URLS: Extractor = Extractor {
    places: &[
        at(Root::Software, r"Microsoft\Internet Explorer\TypedURLs"),
        at(Root::Software, r"Microsoft\Internet Explorer\TypedURLsTime"),
    ],
    read: |_, _| ControlFlow::Continue(()),
    live: Some(typed_urls),
};

pub const RECENT_DOCS: Extractor = Extractor {
    places: &[
        at(Root::Software, r"Microsoft\Windows\CurrentVersion\Explorer\RecentDocs"),
        at(Root::Software, r"Microsoft\Windows\CurrentVersion\Explorer\RecentDocs\*"),
    ],
    read: |key, output| {
        each(key, output, "recent_document", |value, record| {
            let Data::Binary(data) = &value.data else { return None };
            record.push("Image", utf16_until_nul(data));
            Some(())
        })
    },
    live: None,
};

pub const DIALOGS: Extractor = Extractor {
    places: &[
        at(Root::Software, r"Microsoft\Windows\CurrentVersion\Explorer\ComDlg32\OpenSavePidlMRU\*"),
        at(Root::Software, r"Microsoft\Windows\CurrentVersion\Explorer\ComDlg32\OpenSaveMRU\*"),
        at(
            Root::Software,
            r"Microsoft\Windows\CurrentVersion\Explorer\ComDlg32\LastVisitedPidlMRU",
        ),
        at(
            Root::Software,
            r"Microsoft\Windows\CurrentVersion\Explorer\ComDlg32\LastVisitedPidlMRULegacy",
        ),
        at(Root::Software, r"Microsoft\Windows\CurrentVersion\Explorer\ComDlg32\LastVisitedMRU"),
        at(Root::Software, r"Microsoft\Windows\CurrentVersion\Explorer\ComDlg32\CIDSizeMRU"),
    ],
    read: |key, output| each(key, output, "open_save_dialog", dialog_entry(&key.name)),
    live: None,
};

/// How a value of this key is read.
fn dialog_entry(key: &str) -> fn(&NamedValue, &mut Record) -> Option<()> {
    let key = key.to_ascii_lowercase();
    if key.starts_with("lastvisited") || key == "cidsizemru" { visited } else { opened }
}

/// A program that showed such a dialog, and the folder chosen last in it.
fn visited(value: &NamedValue, record: &mut Record) -> Option<()> {
    let Data::Binary(data) = &value.data else { return None };
    let program = utf16_until_nul(data);
    let after = program.encode_utf16().count().checked_add(1)?.checked_mul(2)?;
    let rest = data.get(after..).unwrap_or_default();
    // Before Vista the folder is a text.
    let folder = shell_item::path(rest).unwrap_or_else(|| utf16_until_nul(rest));
    record.push("Image", program);
    if !record.fields.is_empty() && !folder.contains(char::REPLACEMENT_CHARACTER) {
        record.push("Folder", folder);
    }
    Some(())
}

/// A file opened or saved.
fn opened(value: &NamedValue, record: &mut Record) -> Option<()> {
    let path = match &value.data {
        Data::Binary(data) => shell_item::path(data)?,
        other => other.text()?,
    };
    record.push("Image", path);
    Some(())
}

/// Pushes a record of each entry of a list, as far as `fill` finds something to say.
fn each(
    key: &Key,
    output: &mut Output<'_>,
    category: &'static str,
    fill: impl Fn(&NamedValue, &mut Record) -> Option<()>,
) -> ControlFlow<()> {
    for (position, value) in in_order(key).into_iter().enumerate() {
        let mut record = value_record(key, category, &value.name);
        if fill(value, &mut record).is_none() || record.fields.is_empty() {
            continue;
        }
        record.push("Position", i64::try_from(position).unwrap_or_default());
        output.add_user(&mut record);
        record.times.extend(moment(key, position));
        output.push(record)?;
    }
    ControlFlow::Continue(())
}

fn moment(key: &Key, position: usize) -> Option<Moment> {
    let mut moment = Moment::exact(key.last_written?, "Key Last Written");
    if position > 0 {
        moment.precision = Precision::UpperBound;
    }
    Some(moment)
}

/// The values of a list, most recent first; those it does not name come last.
fn in_order(key: &Key) -> Vec<&NamedValue> {
    let order: Vec<String> = match (key.data("MRUListEx"), key.text("MRUList")) {
        (Some(Data::Binary(list)), _) => list
            .chunks_exact(4)
            .filter_map(|number| u32_at(number, 0))
            .take_while(|number| *number != u32::MAX)
            .map(|number| number.to_string())
            .collect(),
        (_, Some(list)) => list.chars().map(|letter| letter.to_string()).collect(),
        _ => Vec::new(),
    };
    let mut seen = HashSet::new();
    let named = order.iter().filter_map(|name| key.values.iter().find(|v| v.name == *name));
    let rest = key.values.iter().filter(|value| !value.name.starts_with("MRUList"));
    named.chain(rest).filter(|value| seen.insert(&value.name)).collect()
}

/// `url1`, `url2`, …: each with its time under the same name in `TypedURLsTime`.
fn typed_urls(hive: &mut super::Hive, output: &mut Output<'_>) -> ControlFlow<()> {
    const EXPLORER: &str = r"Software\Microsoft\Internet Explorer";
    let Some(urls) = hive.key(&format!("{EXPLORER}\\TypedURLs")) else {
        return ControlFlow::Continue(());
    };
    let times = hive.key(&format!("{EXPLORER}\\TypedURLsTime"));
    for value in &urls.values {
        let Some(url) = value.data.text() else { continue };
        let mut record = value_record(&urls, "typed_url", &value.name);
        record.push("Url", url.as_str());
        let host = url.split_once("://").map_or("", |(_, rest)| rest);
        record.push("HostName", host.split(['/', ':', '?', '#']).next().unwrap_or_default());
        output.add_user(&mut record);
        let typed = times.as_ref().and_then(|key| ticks(key.data(&value.name)?));
        record.times.extend(typed.and_then(|at| Moment::of_filetime(at, "Last Visited")));
        output.push(record)?;
    }
    ControlFlow::Continue(())
}
