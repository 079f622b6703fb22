//! adit's own bundles: `data/evidence/…`, with each file's path and times in
//! `data/manifest.json`. A bundle that was cut off has no manifest; then names
//! tell, which keep the path but for what no file name can hold.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::super::entry::Times;
use super::super::layout::drive_letter;
use super::place::{Placed, is_plain};

/// Files of one manifest.
const MAX_FILES: usize = 1_000_000;

/// What a bundle says of its files.
#[derive(Debug, Default)]
pub(super) struct Bundle {
    /// By name in the bundle.
    files: BTreeMap<String, Described>,
    /// Without drives: the root is that of a Unix system.
    unix: bool,
}

#[derive(Debug)]
struct Described {
    path: String,
    times: Times,
}

impl Bundle {
    /// The bundle with this manifest, if it can be read; `folders` lie in `data/evidence`.
    pub(super) fn new(manifest: Option<&[u8]>, folders: &[String]) -> Self {
        let files = manifest.and_then(described).unwrap_or_default();
        let unix = |name: &String| matches!(name.as_str(), "etc" | "var" | "home" | "usr" | "root");
        let drive = |name: &String| volume(name).is_some();
        Self { files, unix: folders.iter().any(unix) && !folders.iter().any(drive) }
    }

    /// Whether its manifest was found and read.
    pub(super) fn has_manifest(&self) -> bool {
        !self.files.is_empty()
    }

    /// Where a file lay.
    pub(super) fn place(&self, parts: &[&str]) -> Placed {
        let ["data", "evidence", below @ ..] = parts else { return Placed::Hidden };
        if let Some(file) = self.files.get(&parts.join("/")) {
            return from_path(&file.path);
        }
        let (root, below) = match below {
            [] => return Placed::Hidden,
            [first, below @ ..] => match volume(first) {
                Some(root) => (root, below),
                None if self.unix => ("/".to_owned(), parts.get(2..).unwrap_or_default()),
                None => (String::new(), parts.get(2..).unwrap_or_default()),
            },
        };
        if below.is_empty() {
            return Placed::Hidden;
        }
        let mut parts: Vec<String> = below.iter().map(|part| (*part).to_owned()).collect();
        if let [.., folder, name] = parts.as_mut_slice()
            && folder.eq_ignore_ascii_case("logs")
            && name.ends_with(".evtx")
        {
            *name = log_name(name);
        }
        Placed::At { root, parts, rank: 0 }
    }

    /// The times that the manifest keeps of a file.
    pub(super) fn times(&self, parts: &[&str]) -> Option<Times> {
        self.files.get(&parts.join("/")).map(|file| file.times)
    }
}

/// The root of a volume's folder: `C`, `vss2_C`, `volume2`.
fn volume(name: &str) -> Option<String> {
    if let Some(letter) = drive_letter(name).filter(|_| name.len() == 1) {
        return Some(format!("{letter}:\\"));
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if name.strip_prefix("volume").is_some_and(is_number) {
        return Some(format!("{name}:\\"));
    }
    let (number, drive) = name.strip_prefix("vss")?.split_once('_')?;
    let letter = drive_letter(drive).filter(|_| is_number(number))?;
    Some(format!("vss{number}:{letter}:\\"))
}

/// The name of an event log: `%4` stands for the `/` of its channel, and names
/// in bundles have no percent sign.
fn log_name(name: &str) -> String {
    let mut out = name.to_owned();
    for (at, _) in name.match_indices("_4") {
        let next = name.get(at.saturating_add(2)..).and_then(|rest| rest.chars().next());
        if next.is_some_and(|c| c.is_ascii_uppercase()) {
            out.replace_range(at..at.saturating_add(1), "%");
        }
    }
    out
}

/// A path of any notation as its root and names.
fn from_path(path: &str) -> Placed {
    let (root, below, separators): (&str, &str, &[char]) =
        if let Some(below) = path.strip_prefix('/') {
            ("/", below, &['/'])
        } else if let Some((root, below)) = path.split_once(":\\") {
            let end = root.len().saturating_add(2);
            (path.get(..end).unwrap_or_default(), below, &['\\', '/'])
        } else {
            ("", path, &['/'])
        };
    let parts: Vec<String> = below.split(separators).map(str::to_owned).collect();
    if parts.iter().all(|part| is_plain(part)) {
        Placed::At { root: root.to_owned(), parts, rank: 0 }
    } else {
        Placed::Rest
    }
}

fn described(manifest: &[u8]) -> Option<BTreeMap<String, Described>> {
    let json: Value = serde_json::from_slice(manifest).ok()?;
    let files = json.get("files")?.as_array()?;
    let described = files.iter().take(MAX_FILES).filter_map(|file| {
        let text = |key: &str| file.get(key)?.as_str().map(str::to_owned);
        Some((text("name")?, Described { path: text("path")?, times: times(file.get("times")) }))
    });
    Some(described.collect())
}

fn times(list: Option<&Value>) -> Times {
    let mut out = Times::default();
    for time in list.and_then(Value::as_array).into_iter().flatten() {
        let at = time.get("at").and_then(Value::as_str);
        let at = at.and_then(|at| at.parse::<Timestamp>().ok());
        match time.get("meaning").and_then(Value::as_str) {
            Some("File Created") => out.created = at,
            Some("File Modified") => out.modified = at,
            Some("File Accessed") => out.accessed = at,
            Some("Entry Changed") => out.changed = at,
            _ => {}
        }
    }
    out
}

/// The host of a bundle, from its `bag-info.txt`.
pub(super) fn host_name(info: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(info);
    let name = text.lines().find_map(|line| line.strip_prefix("Host: "))?.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bundle: &Bundle, path: &str) -> String {
        let parts: Vec<&str> = path.split('/').collect();
        match bundle.place(&parts) {
            Placed::At { root, parts, .. } => format!("{root}{}", parts.join("|")),
            Placed::Rest => "rest".to_owned(),
            Placed::Hidden => "hidden".to_owned(),
        }
    }

    #[test]
    fn the_manifest_restores_paths_and_times() {
        let manifest = br#"{"files":[
            {"name":"data/evidence/C/a.txt_cfg","path":"C:\\a.txt:cfg",
             "times":[{"meaning":"File Modified","at":"2024-03-15T08:26:30.1234567Z"}]},
            {"name":"data/evidence/C/x","path":"C:\\..\\x"},
            {"name":"data/evidence/b~2","path":"logs/b"}]}"#;
        let bundle = Bundle::new(Some(manifest), &[]);
        assert_eq!(shown(&bundle, "data/evidence/C/a.txt_cfg"), "C:\\a.txt:cfg");
        assert_eq!(shown(&bundle, "data/evidence/C/x"), "rest");
        assert_eq!(shown(&bundle, "data/evidence/b~2"), "logs|b");
        let times = bundle.times(&["data", "evidence", "C", "a.txt_cfg"]).unwrap();
        assert_eq!(times.modified.unwrap().to_string(), "2024-03-15T08:26:30.1234567Z");
    }

    #[test]
    fn without_a_manifest_names_tell() {
        let bundle = Bundle::new(None, &["C".to_owned()]);
        assert_eq!(shown(&bundle, "data/evidence/C/Windows/a"), "C:\\Windows|a");
        assert_eq!(shown(&bundle, "data/evidence/vss2_C/a"), "vss2:C:\\a");
        assert_eq!(shown(&bundle, "data/evidence/volume2/a"), "volume2:\\a");
        let log = "data/evidence/C/Windows/System32/winevt/Logs/A_4Operational.evtx";
        let path = "C:\\Windows|System32|winevt|Logs|A%4Operational.evtx";
        assert_eq!(shown(&bundle, log), path);
        assert_eq!(shown(&bundle, "data/results/findings.csv"), "hidden");
        assert_eq!(shown(&bundle, "bagit.txt"), "hidden");
        let bundle = Bundle::new(Some(b"broken"), &["etc".to_owned()]);
        assert_eq!(shown(&bundle, "data/evidence/etc/passwd"), "/etc|passwd");
    }

    #[test]
    fn the_host_is_in_the_bags_description() {
        assert_eq!(host_name(b"Note: x\nHost: JUMP-01\n").as_deref(), Some("JUMP-01"));
        assert_eq!(host_name(b"Host: \n"), None);
    }
}
