//! Files beside another that belong to it.

use std::collections::BTreeMap;

use crate::source::Entry;

/// How such a file is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Like the file it belongs to, and this: `.LOG1`, `-wal`.
    Ending(String),
    /// Anything that begins and ends so, in the same folder: `SRU*.log`.
    Name(String, String),
}

impl Beside {
    /// The name as a definition has it; `None` when it is empty.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let lower = text.to_lowercase();
        match lower.split_once('*') {
            Some((before, after)) => Some(Self::Name(before.to_owned(), after.to_owned())),
            None => Some(Self::Ending(lower)).filter(|_| !text.is_empty()),
        }
    }

    /// The byte that such names end with, in lower case; `None`: they may end with any.
    pub(super) fn last_byte(&self) -> Option<u8> {
        let (Self::Ending(ending) | Self::Name(_, ending)) = self;
        ending.bytes().last()
    }

    /// Whether a file may belong to another in this way.
    pub(super) fn may_be(&self, path: &str) -> bool {
        match self {
            Self::Ending(ending) => ends_with_any_case(path, ending),
            Self::Name(before, after) => {
                let name = path.rsplit(['\\', '/']).next().unwrap_or(path);
                let long_enough = name.len() >= before.len().saturating_add(after.len());
                let starts = name.get(..before.len());
                long_enough
                    && starts.is_some_and(|start| start.eq_ignore_ascii_case(before))
                    && ends_with_any_case(name, after)
            }
        }
    }

    /// Those of `files`, by lowercase path, that belong to the file of that lowercase path,
    /// by path. Deleted ones are taken only under the one name that fits.
    pub(super) fn of(&self, path: &str, files: &BTreeMap<String, Entry>) -> Vec<Entry> {
        let before = match self {
            Self::Name(before, _) => before,
            Self::Ending(ending) => {
                return files.get(&format!("{path}{ending}")).cloned().into_iter().collect();
            }
        };
        let start = format!("{}{before}", folder_of(path));
        let alike = files.range(start.clone()..).take_while(|(other, _)| other.starts_with(&start));
        let ours = alike.filter(|(other, entry)| self.belongs(path, other) && !entry.is_deleted());
        ours.map(|(_, entry)| entry.clone()).collect()
    }

    /// Whether a file of the lowercase path `other` belongs to that of the path `path`.
    pub fn belongs(&self, path: &str, other: &str) -> bool {
        match self {
            Self::Ending(ending) => other.strip_prefix(path) == Some(ending),
            Self::Name(..) => folder_of(path) == folder_of(other) && self.may_be(other),
        }
    }
}

/// Up to the last separator, which is part of it.
fn folder_of(path: &str) -> &str {
    path.rfind(['\\', '/']).and_then(|at| path.get(..=at)).unwrap_or_default()
}

/// Whether a path ends with `ending`, whatever the case of ASCII letters.
pub(super) fn ends_with_any_case(path: &str, ending: &str) -> bool {
    let tail = path.len().checked_sub(ending.len()).and_then(|at| path.as_bytes().get(at..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(ending.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::Beside;

    #[test]
    fn names_and_endings() {
        let logs = Beside::parse("SRU*.log").unwrap();
        for path in [r"C:\Windows\System32\sru\SRU.log", "a/sru0001a.LOG", "SRUtmp.log"] {
            assert!(logs.may_be(path), "{path}");
        }
        for path in [r"C:\sru\SRUDB.dat", "SRU.lo", "xSRU.log", "sru/other.log", ""] {
            assert!(!logs.may_be(path), "{path}");
        }
        assert!(Beside::parse("ab*bc").unwrap().may_be("abbc"));
        assert!(!Beside::parse("ab*bc").unwrap().may_be("abc"), "both ends at once");
        let log = Beside::parse(".LOG1").unwrap();
        assert!(log.may_be(r"C:\SYSTEM.log1") && log.belongs("c/system", "c/system.log1"));
        assert!(!log.belongs("c/system", "c/xsystem.log1"));
        assert!(logs.belongs("c/sru/srudb.dat", "c/sru/sru00001.log"));
        assert!(!logs.belongs("c/sru/srudb.dat", "c/sru/old/sru00001.log"));
        assert_eq!(Beside::parse(""), None);
    }
}
