//! Names inside the bundle for files of the evidence.
//!
//! A name must open everywhere: no absolute path, no `..`, nothing that Windows
//! reserves, no two names that differ in case alone. What had to change is told
//! apart by a running number, and the manifest keeps the original path.

use std::collections::{BTreeMap, BTreeSet};

use super::super::hex;
use sha2::{Digest, Sha256};

/// Where files of the evidence lie in the bag.
const ROOT: &str = "data/evidence";

/// Longest component in bytes; longer ones are cut and get a hash.
const MAX_COMPONENT: usize = 160;

/// Longest name in bytes; longer paths go to one flat folder under their hash.
const MAX_NAME: usize = 900;

/// Device names of Windows, which no file can bear whatever its extension.
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Hands out names; the same paths in the same order give the same names.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Per folder and original component, the component given.
    folders: BTreeMap<(String, String), String>,
    /// Lower-cased names in use.
    taken: BTreeSet<String>,
}

impl Names {
    /// A name below `data/evidence/` that no other path has.
    pub(super) fn of(&mut self, path: &str) -> String {
        let components = components(path);
        let Some((file, folders)) = components.split_last() else {
            return self.unused(ROOT, "unnamed");
        };
        let mut at = ROOT.to_owned();
        for folder in folders {
            at = self.folder(&at, folder);
        }
        if at.len().saturating_add(file.len()) > MAX_NAME {
            at = self.folder(ROOT, "long");
            return self.unused(&at, &hex(&Sha256::digest(path.as_bytes())));
        }
        self.unused(&at, &portable(file))
    }

    fn folder(&mut self, parent: &str, component: &str) -> String {
        let key = (parent.to_owned(), component.to_owned());
        if let Some(known) = self.folders.get(&key) {
            return known.clone();
        }
        let name = self.unused(parent, &portable(component));
        self.folders.insert(key, name.clone());
        name
    }

    fn unused(&mut self, parent: &str, component: &str) -> String {
        let mut name = format!("{parent}/{component}");
        let mut number = 2_u32;
        while !self.taken.insert(name.to_lowercase()) {
            name = format!("{parent}/{component}~{number}");
            number = number.saturating_add(1);
        }
        name
    }
}

/// The parts of a path of either notation, the drive's colon dropped.
fn components(path: &str) -> Vec<String> {
    // A backslash is a separator to Windows alone.
    let separators: &[char] = if path.starts_with('/') { &['/'] } else { &['\\', '/'] };
    let mut parts: Vec<String> =
        path.split(separators).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if let Some(drive) = parts.first_mut().filter(|part| part.ends_with(':')) {
        drive.pop();
    }
    parts
}

/// A component that every file system takes.
fn portable(component: &str) -> String {
    // `%` and `\` have a meaning in the lists that `bagit` and `sha256sum` read.
    let replaced = |c: char| c.is_control() || "<>:\"|?*\\/%\u{2028}\u{2029}".contains(c);
    let mut out: String = component.chars().map(|c| if replaced(c) { '_' } else { c }).collect();
    if out.ends_with(['.', ' ']) {
        out.pop();
        out.push('_');
    }
    if out.starts_with(' ') {
        out.replace_range(..1, "_");
    }
    if is_device(&out) {
        out.insert(0, '_');
    }
    if out.len() > MAX_COMPONENT {
        out = cut(&out, component);
    }
    out
}

fn is_device(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let numbered = |prefix: &str| {
        let digit = stem.strip_prefix(prefix).unwrap_or_default();
        digit.chars().count() == 1 && digit.chars().all(|c| "0123456789¹²³".contains(c))
    };
    RESERVED.contains(&stem.as_str()) || numbered("com") || numbered("lpt")
}

fn cut(component: &str, original: &str) -> String {
    let mut end = MAX_COMPONENT;
    while !component.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let kept = component.get(..end).unwrap_or_default();
    let hash = hex(&Sha256::digest(original.as_bytes()));
    format!("{kept}~{}", hash.get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&str], expected: &[&str]) {
        let mut names = Names::default();
        let given: Vec<String> = paths.iter().map(|path| names.of(path)).collect();
        let expected: Vec<String> =
            expected.iter().map(|name| format!("data/evidence/{name}")).collect();
        assert_eq!(given, expected);
    }

    #[test]
    fn paths_keep_their_shape() {
        check(
            &[r"C:\Windows\a.evtx", "/etc/ngrok.yml", r"vss2:C:\a", r"volume2:\b", "logs/c"],
            &["C/Windows/a.evtx", "etc/ngrok.yml", "vss2_C/a", "volume2/b", "logs/c"],
        );
    }

    #[test]
    fn hostile_names_stay_inside_and_apart() {
        check(
            &[
                r"C:\..\..\x",
                r"C:\a.txt:cfg",
                r"C:\NUL.txt",
                r"C:\com1",
                r"C:\com10",
                "C:\\end. ",
                r"C:\A.TXT_cfg",
                r"C:\b",
                r"C:\B",
                r"C:\b\c",
                "",
                "/tmp/a\\b%0A",
            ],
            &[
                "C/._/._/x",
                "C/a.txt_cfg",
                "C/_NUL.txt",
                "C/_com1",
                "C/com10",
                "C/end._",
                "C/A.TXT_cfg~2",
                "C/b",
                "C/B~2",
                "C/b~3/c",
                "unnamed",
                "tmp/a_b_0A",
            ],
        );
    }

    #[test]
    fn long_names_are_cut() {
        let mut names = Names::default();
        let one = names.of(&format!(r"C:\{}1", "ü".repeat(200)));
        let two = names.of(&format!(r"C:\{}2", "ü".repeat(200)));
        assert_ne!(one, two);
        assert!(one.len() < 200, "{one}");
        assert!(names.of(&format!(r"C:{}", r"\aaaaaaaaaaaaaaaaaaa".repeat(100))).len() < 100);
    }
}
