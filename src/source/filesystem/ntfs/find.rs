//! Paths to files, and files to paths.

use crate::model::EvidencePath;
use crate::source::Entry;

use super::Ntfs;
use super::row::{NONE, Name, Stream, name, node};
use super::show::{MAX_DEPTH, ORPHANS, entry, named, stream_entry, stream_path};
use super::times::Clock;
use super::tree::{ROOT, first_name, parent};

/// What is present at a path, by any of its names and in any letter case.
pub(super) fn find(ntfs: &Ntfs, path: &EvidencePath) -> Option<Entry> {
    let (head, below) = path.as_str().split_at_checked(ntfs.prefix.len())?;
    if !same(head, &ntfs.prefix) {
        return None;
    }
    let (file, stream) = split_stream(below);
    let mut shown = ntfs.prefix.clone();
    let mut number = ROOT;
    let mut row = None;
    let mut names = ntfs.tree.children(ROOT);
    let mut parts = file.split('\\').peekable();
    if parts.peek().is_some_and(|first| same(first, ORPHANS)) {
        parts.next();
        shown = [&shown, ORPHANS, "\\"].concat();
        names = &ntfs.tree.orphans;
        number = NONE; // it is no directory of the volume
    }
    while !file.is_empty() {
        let Some(part) = parts.next() else { break };
        let (found, name) = child(ntfs, names, part)?;
        let text = long_name(ntfs, name).unwrap_or(name);
        if row.is_some() {
            shown.push('\\');
        }
        shown.push_str(ntfs.table.text(text.text, text.length));
        number = name.owner;
        names = ntfs.tree.children(number);
        row = Some(found);
    }
    let node = ntfs.table.node(number)?;
    let mut clock = Clock::default();
    let Some(stream) = stream else {
        row?; // the root has no entry
        return entry(ntfs, &mut clock, number, row, &[&shown]);
    };
    let name = |s: &Stream| ntfs.table.text(s.text, s.length);
    let (at, stream) = named(ntfs, number, node).find(|(_, s)| same(name(s), stream))?;
    let path = stream_path(ntfs, &[&shown], stream);
    let mut entry = stream_entry(ntfs, &mut clock, (at, stream), node, path);
    let name = row.and_then(|row| ntfs.table.names.get(row as usize));
    entry.name_times = name.map(|name| Box::new(clock.times(name.times)));
    Some(entry)
}

/// A path without its stream, and the stream that it names; `::$DATA` is none.
fn split_stream(path: &str) -> (&str, Option<&str>) {
    let last = path.rfind('\\').map_or(0, |at| at.saturating_add(1));
    let Some((file, stream)) = path.get(last..).and_then(|last| last.split_once(':')) else {
        return (path, None);
    };
    let file = path.get(..last.saturating_add(file.len())).unwrap_or(path);
    let kind = stream.len().checked_sub(6).and_then(|at| stream.split_at_checked(at));
    match kind {
        Some((name, kind)) if same(kind, ":$DATA") => (file, Some(name).filter(|n| !n.is_empty())),
        _ => (file, Some(stream)),
    }
}

/// The present name in a directory: as given, else in any letter case.
fn child<'a>(ntfs: &'a Ntfs, names: &[u32], part: &str) -> Option<(u32, &'a Name)> {
    let present = |row: &u32| {
        let name = ntfs.table.names.get(*row as usize)?;
        let node = ntfs.table.node(name.owner)?;
        node.is(node::IN_USE).then_some((*row, name))
    };
    let text = |name: &Name| ntfs.table.text(name.text, name.length);
    let mut any_case = None;
    for (row, name) in names.iter().filter_map(present) {
        if text(name) == part {
            return Some((row, name));
        }
        if any_case.is_none() && same(text(name), part) {
            any_case = Some((row, name));
        }
    }
    any_case
}

/// The long name that stands beside an 8.3 name.
fn long_name<'a>(ntfs: &'a Ntfs, name: &Name) -> Option<&'a Name> {
    if name.flags & name::HIDDEN == 0 {
        return None;
    }
    let (_, names) = ntfs.table.names_of(name.owner);
    names.iter().find(|other| other.flags & name::HIDDEN == 0 && other.parent == name.parent)
}

/// Whether two texts differ in letter case at most.
pub(super) fn same(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
    let upper = |text: &str| -> String { text.chars().flat_map(char::to_uppercase).collect() };
    upper(a) == upper(b)
}

/// The path of a file by its first name.
pub(super) fn path(ntfs: &Ntfs, number: u32) -> Option<String> {
    let table = &ntfs.table;
    let mut parts = Vec::new();
    let mut at = number;
    while at != ROOT {
        let row = first_name(table, at);
        let Some(name) = row.and_then(|row| table.names.get(row as usize)) else {
            parts.push(format!("{ORPHANS}\\OrphanFile-{at}"));
            break;
        };
        parts.push(table.text(name.text, name.length).to_owned());
        if parts.len() > MAX_DEPTH {
            return None;
        }
        at = parent(table, name);
        if at == NONE {
            parts.push(ORPHANS.to_owned());
            break;
        }
    }
    parts.reverse();
    Some(format!("{}{}", ntfs.prefix, parts.join("\\")))
}
