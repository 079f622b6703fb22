//! Which collector wrote a tree, told by the names near its top.
//!
//! | tree | told by |
//! |---|---|
//! | adit's bundle | `bagit.txt` and `data/evidence` |
//! | Velociraptor | `uploads/` with folders named by accessor |
//! | acquire | `fs/` with `sysvol`, drives, `$rootfs$` or a Unix root; older: `sysvol/` |
//! | UAC | `[root]/` beside `uac.log`, `live_response` or `bodyfile` |
//! | KAPE, CyLR and others | drives side by side, a Windows volume, a Unix root |

use std::collections::{BTreeMap, BTreeSet};

use super::super::entry::{Entry, Kind};
use super::super::layout::{MAC, drive_letter};
use super::velociraptor;

/// Hosts are looked for this many folders below the top.
const MAX_HOST_DEPTH: usize = 4;
/// Hosts of one archive.
const MAX_SITES: usize = 1_000;

/// The names of a tree.
pub(super) trait Names {
    /// The folders in a folder, by name; paths are joined by `/`, the top is empty.
    fn folders(&self, at: &str) -> Vec<String>;
    fn has_file(&self, path: &str) -> bool;
}

/// Who arranged a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collector {
    Bundle,
    Velociraptor,
    Acquire,
    Uac,
    /// Folders named by drives.
    Drives,
    /// The root of a Windows volume.
    Windows,
    /// The root of a Linux or macOS system.
    Unix,
    /// Nobody: files in no known order.
    Loose,
}

/// A host's place in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// The folder that holds the collection; empty for the top.
    pub(super) base: String,
    pub(super) collector: Collector,
}

/// The collections in a tree, in walk order.
pub(super) fn sites(names: &dyn Names) -> Vec<Site> {
    let mut found = Vec::new();
    search(names, "", 0, &mut found);
    found
}

fn search(names: &dyn Names, at: &str, depth: usize, found: &mut Vec<Site>) {
    if let Some(collector) = special(names, at).or_else(|| shape(names, at)) {
        found.push(Site { base: at.to_owned(), collector });
        return;
    }
    if depth >= MAX_HOST_DEPTH {
        return;
    }
    for folder in names.folders(at) {
        if found.len() >= MAX_SITES {
            return;
        }
        search(names, &join(at, &folder), depth.saturating_add(1), found);
    }
}

/// A collector with a layout of its own.
pub(super) fn special(names: &dyn Names, at: &str) -> Option<Collector> {
    let below = names.folders(at);
    let has = |name: &str| below.iter().any(|folder| folder == name);
    let in_data = || names.folders(&join(at, "data"));
    if names.has_file(&join(at, "bagit.txt")) && in_data().iter().any(|name| name == "evidence") {
        return Some(Collector::Bundle);
    }
    let uploads = join(at, "uploads");
    if has("uploads") && velociraptor::is_uploads(names, &uploads) {
        return Some(Collector::Velociraptor);
    }
    let fs = join(at, "fs");
    if has("fs") && is_acquire(names, &fs) || has("sysvol") && is_acquire(names, at) {
        return Some(Collector::Acquire);
    }
    let uac = ["live_response", "bodyfile"].iter().any(|name| has(name));
    if has("[root]") && (uac || names.has_file(&join(at, "uac.log"))) {
        return Some(Collector::Uac);
    }
    None
}

/// Whether a folder holds volumes as acquire names them.
fn is_acquire(names: &dyn Names, at: &str) -> bool {
    let folders = names.folders(at);
    let known = |name: &String| matches!(name.as_str(), "sysvol" | "$rootfs$" | "$fs$");
    let drive = |name: &String| name.ends_with(':') && drive_letter(name).is_some();
    let volume = |name: &String| is_drive(names, &join(at, name));
    folders.iter().any(|name| name != "sysvol" && known(name))
        || folders.iter().any(|name| (name == "sysvol" || drive(name)) && volume(name))
        || at.ends_with("fs") && shape(names, at) == Some(Collector::Unix)
}

/// What a tree is whose folders lie as they lay on the host.
fn shape(names: &dyn Names, at: &str) -> Option<Collector> {
    let folders = names.folders(at);
    let has = |name: &str| folders.iter().any(|folder| folder.eq_ignore_ascii_case(name));
    if holds_windows(names, at) {
        return Some(Collector::Windows);
    }
    let mut drives = folders.iter().filter(|name| drive_letter(name).is_some());
    if drives.any(|name| is_drive(names, &join(at, name))) {
        return Some(Collector::Drives);
    }
    let linux = has("etc") && (has("var") || has("usr") || has("home"));
    let logs = || names.folders(&join(at, "var")).iter().any(|name| name == "log");
    let mac = has("Library") && has("System") && MAC.iter().any(|name| has(name));
    (linux || mac || has("var") && logs()).then_some(Collector::Unix)
}

fn holds_windows(names: &dyn Names, at: &str) -> bool {
    let folders = names.folders(at);
    folders
        .iter()
        .filter(|name| ["windows", "winnt"].contains(&name.to_ascii_lowercase().as_str()))
        .any(|name| {
            let below = names.folders(&join(at, name));
            below.iter().any(|name| name.eq_ignore_ascii_case("system32"))
        })
}

/// Whether a folder holds what Windows puts in the root of a drive.
pub(super) fn is_drive(names: &dyn Names, at: &str) -> bool {
    const OF_WINDOWS: [&str; 10] = [
        "users",
        "programdata",
        "program files",
        "documents and settings",
        "$recycle.bin",
        "$extend",
        "system volume information",
        "perflogs",
        "windows",
        "winnt",
    ];
    let known = |name: &String| OF_WINDOWS.contains(&name.to_ascii_lowercase().as_str());
    names.folders(at).iter().any(known) || names.has_file(&join(at, "$MFT"))
}

/// A path below another.
pub(super) fn join(at: &str, name: &str) -> String {
    match (at, name) {
        ("", name) => name.to_owned(),
        (at, "") => at.to_owned(),
        (at, name) => format!("{at}/{name}"),
    }
}

/// The names of a tree in memory.
#[derive(Default)]
pub(super) struct Outline {
    folders: BTreeMap<String, Vec<String>>,
    files: BTreeSet<String>,
}

impl Outline {
    /// The outline of entries in walk order whose paths are joined by `/`.
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut outline = Self::default();
        for entry in entries {
            let path = entry.path.as_str();
            if entry.kind == Kind::Directory {
                let (at, name) = path.rsplit_once('/').unwrap_or(("", path));
                outline.folders.entry(at.to_owned()).or_default().push(name.to_owned());
            } else if entry.is_file() {
                outline.files.insert(path.to_owned());
            }
        }
        outline
    }
}

impl Names for Outline {
    fn folders(&self, at: &str) -> Vec<String> {
        self.folders.get(at).cloned().unwrap_or_default()
    }

    fn has_file(&self, path: &str) -> bool {
        self.files.contains(path)
    }
}
