//! The names of one directory, in their total order and as the evidence shows them.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

/// Stands for what cannot be shown of a name.
const UNSHOWABLE: char = char::REPLACEMENT_CHARACTER;

/// One name of a directory.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) stored: OsString,
    /// As it stands in an evidence path; unique in its directory.
    pub(super) shown: String,
    /// The shown name is not the stored one.
    pub(super) altered: bool,
}

/// Every name of a directory by lowercase and then by bytes, and the errors met.
///
/// A name that is not Unicode, or holds the separator, is shown with U+FFFD in
/// place of what cannot be shown, and numbered (`~2`) where that made it a double.
///
/// # Errors
///
/// When the directory cannot be listed at all.
pub(super) fn names(at: &Path, separator: char) -> io::Result<(Vec<Name>, Vec<io::Error>)> {
    let mut stored = Vec::new();
    let mut errors = Vec::new();
    for entry in std::fs::read_dir(at)? {
        match entry {
            Ok(entry) => stored.push(entry.file_name()),
            Err(error) => {
                errors.push(error);
                break; // a directory whose listing fails may fail for ever
            }
        }
    }
    Ok((show_all(stored, separator), errors))
}

fn show_all(stored: Vec<OsString>, separator: char) -> Vec<Name> {
    let mut names: Vec<Name> = stored
        .into_iter()
        .map(|stored| {
            let shown = show(&stored, separator);
            let altered = OsStr::new(&shown) != stored;
            Name { stored, shown, altered }
        })
        .collect();
    sort(&mut names);
    if names.iter().any(|name| name.altered) {
        separate(&mut names);
        sort(&mut names);
    }
    names
}

fn sort(names: &mut [Name]) {
    names.sort_by_cached_key(|name| {
        (name.shown.to_lowercase(), name.shown.clone(), name.stored.clone())
    });
}

/// Numbers altered names until every shown name is unique.
fn separate(names: &mut [Name]) {
    let mut taken: BTreeSet<String> =
        names.iter().filter(|name| !name.altered).map(|name| name.shown.clone()).collect();
    for name in names.iter_mut().filter(|name| name.altered) {
        let plain = name.shown.clone();
        let mut number: u64 = 2;
        while !taken.insert(name.shown.clone()) {
            name.shown = format!("{plain}~{number}");
            number = number.saturating_add(1);
        }
    }
}

fn show(stored: &OsStr, separator: char) -> String {
    let shown = stored.to_string_lossy();
    if shown.contains(separator) {
        return shown.replace(separator, &UNSHOWABLE.to_string());
    }
    shown.into_owned()
}

/// Where the entry of that shown name lies, and what the system says of it;
/// case is ignored if told so and no name equals it.
pub(super) fn find(
    at: &Path,
    shown: &str,
    separator: char,
    any_case: bool,
) -> Option<(PathBuf, Metadata)> {
    if !is_plain(shown) {
        return None;
    }
    if !shown.contains(UNSHOWABLE) {
        let literal = at.join(shown);
        match std::fs::symlink_metadata(&literal) {
            Ok(metadata) => return Some((literal, metadata)),
            // A numbered name (`~2`) is an altered one.
            Err(_) if !any_case && !shown.contains('~') => return None,
            Err(_) => {}
        }
    }
    let (names, _) = names(at, separator).ok()?;
    let lower = shown.to_lowercase();
    let exact = names.iter().find(|name| name.shown == shown);
    let found = exact
        .or_else(|| names.iter().find(|name| any_case && name.shown.to_lowercase() == lower))?;
    let path = at.join(&found.stored);
    let metadata = std::fs::symlink_metadata(&path).ok()?;
    Some((path, metadata))
}

/// Whether the text can only be a name: paths in evidence are written by suspects.
fn is_plain(name: &str) -> bool {
    let foreign: &[char] = if cfg!(windows) { &['/', '\\', ':', '\0'] } else { &['/', '\0'] };
    !matches!(name, "" | "." | "..") && !name.contains(foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(names: &[&str], separator: char) -> Vec<String> {
        let stored = names.iter().map(OsString::from).collect();
        show_all(stored, separator).into_iter().map(|name| name.shown).collect()
    }

    #[test]
    fn names_are_ordered_by_lowercase_then_bytes() {
        assert_eq!(shown(&["b", "a", "B", "A", "_"], '\\'), ["_", "A", "a", "B", "b"]);
    }

    #[test]
    fn a_name_that_holds_the_separator_stays_one_name() {
        assert_eq!(shown(&["a\\b", "a\u{fffd}b"], '\\'), ["a\u{fffd}b", "a\u{fffd}b~2"]);
        assert_eq!(shown(&["a\\b"], '/'), ["a\\b"]);
    }

    #[test]
    fn what_is_no_name_is_never_looked_up() {
        for text in ["", ".", "..", "a/b", "/etc", "a\0"] {
            assert!(find(Path::new("/"), text, '\\', true).is_none(), "{text:?}");
        }
    }
}
