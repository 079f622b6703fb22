//! Which hosts a folder holds, told by the folders in it.
//!
//! Known trees: a Windows volume (`Windows\System32`), drives side by side as
//! collectors write them (`C`, `C_`, `C:`, `C%3A`, `%5C%5C.%5CC%3A`), a Linux
//! root, a macOS root; any of them a few levels below a folder of many hosts.
//! Collections with a layout of their own, packed or not, come from [`collection`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::model::{EvidencePath, Problem, Stage};

use super::folder::{Folder, Root, Single};
use super::{HostEvidence, Layout, Lead, SourceError, collection, container, listing};

/// Smaller files of a folder are not taken for disk images.
const MIN_IMAGE_BYTES: u64 = 64 << 10;

/// Hosts are looked for this many folders below the source (`hosts/WS01/uploads/auto`).
const MAX_HOST_DEPTH: usize = 4;

/// What lies in the root of a Mac beside `Library` and `System`; one of these, at least.
pub(super) const MAC: [&str; 3] = ["Applications", "private", "Users"];

/// A folder's own tree, as its children tell.
enum Shape {
    Windows,
    /// Letter and folder, by letter.
    Drives(BTreeMap<char, PathBuf>),
    Linux,
    Mac,
    Unknown,
}

/// What was found below the source.
struct Found {
    lead: Lead,
    /// The folder, archive or files of an image that it takes.
    taken: Vec<PathBuf>,
}

impl Found {
    fn hosts(at: PathBuf, hosts: Vec<HostEvidence>) -> Self {
        Self { lead: Lead::open_already(&at, hosts), taken: vec![at] }
    }
}

/// The hosts of a folder, as [`super::open`] orders them.
pub(super) fn open_folder(source: &Path) -> Result<Vec<Lead>, SourceError> {
    let (names, errors) = listing::names(source, '/')
        .map_err(|error| SourceError::Unreadable { path: source.to_owned(), error })?;
    if names.is_empty() && errors.is_empty() {
        let (what, advice) = ("an empty folder", "check that the evidence is mounted there");
        return Err(SourceError::Unsupported { path: source.to_owned(), what, advice });
    }
    if let Some(host) = collected(source, source) {
        return Ok(vec![Lead::open_already(source, vec![host])]);
    }
    let own = shape(source, Trust::Names);
    if !matches!(own, Shape::Unknown) {
        let host = host(source, source, own);
        return Ok(vec![Lead::open_already(source, vec![host])]);
    }
    let (mut found, mut links) = (Vec::new(), Vec::new());
    search(source, source, 1, &mut found, &mut links);
    let excluded: BTreeSet<PathBuf> =
        found.iter().flat_map(|found| found.taken.iter().cloned()).collect();
    let rest_matters = excluded.is_empty() || holds_file(source, &excluded);
    let mut leads: Vec<Lead> = found.into_iter().map(|found| found.lead).collect();
    if rest_matters {
        let root = Root::rest(source, excluded);
        let label = source.display().to_string();
        let tree = Folder::plain(root);
        let mut rest = HostEvidence::of_files(label, last_name(source), Layout::Loose, tree);
        rest.problems.extend(links.iter().map(|at| not_followed(source, at)));
        leads.push(Lead::open_already(source, vec![rest]));
    }
    Ok(leads)
}

/// A file as a host of its own; images and archives are refused with advice.
pub(super) fn open_file(source: &Path) -> Result<HostEvidence, SourceError> {
    if let Some((what, advice)) = container::of(source)? {
        return Err(SourceError::Unsupported { path: source.to_owned(), what, advice });
    }
    let name = last_name(source);
    Ok(HostEvidence::of_files(
        source.display().to_string(),
        name.clone(),
        Layout::SingleFile,
        Single { at: source.to_owned(), name },
    ))
}

/// How much a drive's name alone is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// The user pointed here: folders with drive names are drives.
    Names,
    /// Met while searching: one of them must hold what Windows puts on a drive.
    Content,
}

fn shape(at: &Path, trust: Trust) -> Shape {
    let children = folders(at);
    let has = |name: &str| children.iter().any(|(child, _)| child.eq_ignore_ascii_case(name));
    if holds_windows(&children) {
        return Shape::Windows;
    }
    let drives = drives(&children);
    let certain = drives.values().any(|drive| looks_like_a_drive(drive));
    if certain || (trust == Trust::Names && !drives.is_empty() && drives.len() == children.len()) {
        return Shape::Drives(drives);
    }
    // A collection of a Mac may lack its applications and what lies in `private`.
    if has("Library") && has("System") && MAC.iter().any(|name| has(name)) {
        return Shape::Mac;
    }
    if has("etc") && (has("var") || has("usr") || has("home")) {
        return Shape::Linux;
    }
    Shape::Unknown
}

/// The folders in a folder by name order, without links.
fn folders(at: &Path) -> Vec<(String, PathBuf)> {
    let Ok((names, _)) = listing::names(at, '/') else { return Vec::new() };
    names
        .into_iter()
        .map(|name| (name.shown, at.join(name.stored)))
        .filter(|(_, at)| std::fs::symlink_metadata(at).is_ok_and(|metadata| metadata.is_dir()))
        .collect()
}

fn holds_windows(children: &[(String, PathBuf)]) -> bool {
    children
        .iter()
        .filter(|(name, _)| ["windows", "winnt"].contains(&name.to_ascii_lowercase().as_str()))
        .any(|(_, at)| folders(at).iter().any(|(name, _)| name.eq_ignore_ascii_case("system32")))
}

/// Whether a folder holds what Windows puts in the root of a drive.
fn looks_like_a_drive(at: &Path) -> bool {
    const OF_WINDOWS: [&str; 8] = [
        "users",
        "programdata",
        "program files",
        "documents and settings",
        "$recycle.bin",
        "$extend",
        "system volume information",
        "perflogs",
    ];
    let children = folders(at);
    let known = |name: &str| OF_WINDOWS.contains(&name.to_ascii_lowercase().as_str());
    holds_windows(&children) || children.iter().any(|(name, _)| known(name))
}

/// The folders named like drives, by letter; of two for one letter, the first.
fn drives(children: &[(String, PathBuf)]) -> BTreeMap<char, PathBuf> {
    let mut drives = BTreeMap::new();
    for (name, at) in children {
        if let Some(letter) = drive_letter(name) {
            drives.entry(letter).or_insert_with(|| at.clone());
        }
    }
    drives
}

/// The letter of `C`, `c:`, `C_`, `C%3A`, `%5C%5C.%5CC%3A`.
pub(super) fn drive_letter(name: &str) -> Option<char> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("%5C%5C.%5C").unwrap_or(&name);
    let name = [":", "_", "%3A"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let mut letters = name.chars();
    let first = letters.next()?;
    (letters.next().is_none() && first.is_ascii_uppercase()).then_some(first)
}

/// Collects the hosts below a folder, in walk order, and links to files; a host's
/// own tree is not searched.
fn search(
    source: &Path,
    at: &Path,
    depth: usize,
    found: &mut Vec<Found>,
    links: &mut Vec<PathBuf>,
) {
    if depth > MAX_HOST_DEPTH {
        return;
    }
    let Ok((names, _)) = listing::names(at, '/') else { return };
    let mut images = images(at, &names);
    for name in names {
        let at = at.join(&name.stored);
        if let Some(taken) = images.remove(&at) {
            found.push(Found { lead: Lead::image(&at), taken });
            continue;
        }
        let Ok(metadata) = std::fs::symlink_metadata(&at) else { continue };
        if metadata.is_symlink() && at.is_file() {
            links.push(at);
            continue;
        }
        let hosts = if metadata.is_file() {
            archived(&at, &name.shown)
        } else if !metadata.is_dir() {
            None
        } else if let Some(host) = collected(source, &at) {
            Some(vec![host])
        } else {
            match shape(&at, Trust::Content) {
                Shape::Unknown => {
                    search(source, &at, depth.saturating_add(1), found, links);
                    None
                }
                shape => Some(vec![host(source, &at, shape)]),
            }
        };
        if let Some(hosts) = hosts {
            found.push(Found::hosts(at, hosts));
        }
    }
}

/// Evidence may be behind a link, and where it leads is not the folder's to say.
fn not_followed(source: &Path, at: &Path) -> Problem {
    let below = at.strip_prefix(source).unwrap_or(at);
    Problem {
        path: Some(EvidencePath::new(below.to_string_lossy())),
        locator: None,
        stage: Stage::Source,
        message: "a link to a file; links are not followed: give it as a source of its own".into(),
    }
}

/// The disk images among the files of a folder, each with all files it is made of.
///
/// Told by content; a file that is part of an image which is given is not one. An
/// image that cannot be opened is one all the same, so that its error is told.
fn images(at: &Path, names: &[listing::Name]) -> BTreeMap<PathBuf, Vec<PathBuf>> {
    let is_large = |path: &PathBuf| {
        let metadata = std::fs::symlink_metadata(path);
        metadata.is_ok_and(|found| found.is_file() && found.len() >= MIN_IMAGE_BYTES)
    };
    let files = names.iter().map(|name| at.join(&name.stored)).filter(is_large);
    let files: Vec<PathBuf> = files.filter(|path| container::looks_like_image(path)).collect();
    container::heads(&files)
        .into_iter()
        .filter_map(|path| match container::open(&path) {
            Ok(Some(image)) => Some((path, image.parts)),
            Ok(None) => None,
            Err(_) => Some((path.clone(), vec![path])),
        })
        .collect()
}

/// The hosts of a collection in an archive; what cannot be opened stays a loose file.
fn archived(at: &Path, name: &str) -> Option<Vec<HostEvidence>> {
    if !collection::is_archive_name(name) {
        return None;
    }
    collection::open(at, collection::Wanted::Collections).ok().flatten()
}

/// The host of an unpacked collection whose layout is its collector's own.
fn collected(source: &Path, at: &Path) -> Option<HostEvidence> {
    let host = collection::in_folder(at)?;
    let name = if host.name.is_empty() { host_name(source, at) } else { host.name };
    Some(HostEvidence { name, ..host })
}

/// Whether any file lies below a folder outside the excluded ones.
fn holds_file(at: &Path, excluded: &BTreeSet<PathBuf>) -> bool {
    let mut open = vec![(at.to_owned(), 0_usize)];
    while let Some((at, depth)) = open.pop() {
        let Ok((names, _)) = listing::names(&at, '/') else { return true };
        for at in names.iter().map(|name| at.join(&name.stored)) {
            let is_dir = std::fs::symlink_metadata(&at).is_ok_and(|metadata| metadata.is_dir());
            if excluded.contains(&at) {
                continue;
            }
            if !is_dir || depth >= super::MAX_DEPTH {
                return true;
            }
            open.push((at, depth.saturating_add(1)));
        }
    }
    false
}

/// The host whose tree lies at `at`, at or below the source.
fn host(source: &Path, at: &Path, shape: Shape) -> HostEvidence {
    let (layout, folder) = match shape {
        Shape::Windows => (Layout::WindowsVolume, Folder::windows(vec![Root::new("C:\\", at)])),
        Shape::Drives(drives) => (Layout::Drives, Folder::windows(drive_roots(at, drives))),
        Shape::Linux => (Layout::LinuxRoot, Folder::plain(Root::new("/", at))),
        Shape::Mac => (Layout::MacRoot, Folder::plain(Root::new("/", at))),
        Shape::Unknown => (Layout::Loose, Folder::plain(Root::new("", at))),
    };
    HostEvidence::of_files(at.display().to_string(), host_name(source, at), layout, folder)
}

/// Every drive, and what lies beside them as loose files.
fn drive_roots(at: &Path, drives: BTreeMap<char, PathBuf>) -> Vec<Root> {
    let excluded = drives.values().cloned().collect();
    let mut roots: Vec<Root> =
        drives.into_iter().map(|(letter, at)| Root::new(format!("{letter}:\\"), at)).collect();
    roots.push(Root::rest(at, excluded));
    roots
}

/// The last folder on the way to the host that is not a word of collectors for
/// where a host's files lie; the source's own name for a host at the source.
fn host_name(source: &Path, at: &Path) -> String {
    let below = at.strip_prefix(source).unwrap_or(at);
    below
        .components()
        .rev()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .find(|part| !is_common_word(part))
        .unwrap_or_else(|| last_name(source))
}

/// Whether a folder's name is a word of collectors, not of a host.
pub(super) fn is_common_word(name: &str) -> bool {
    const NOT_A_NAME: [&str; 12] = [
        "hosts", "uploads", "auto", "ntfs", "evidence", "tree", "root", "[root]", "mnt", "image",
        "files", "fs",
    ];
    NOT_A_NAME.contains(&name.to_lowercase().as_str())
}

/// The name of a source, also of `.` and `..`.
fn last_name(source: &Path) -> String {
    let full = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    let name = source.file_name().or_else(|| full.file_name());
    name.map_or_else(|| "source".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(folders: &[&str], expected: Layout) {
        let place = tempfile::TempDir::new().unwrap();
        for folder in folders {
            std::fs::create_dir_all(place.path().join(folder)).unwrap();
            std::fs::write(place.path().join(folder).join("x"), b"1").unwrap();
        }
        let found = host(place.path(), place.path(), shape(place.path(), Trust::Names));
        assert_eq!(found.layout, expected, "{folders:?}");
    }

    #[test]
    fn a_mac_is_told_by_what_lies_in_its_root() {
        check(&["Library", "System", "Users/zoe", "var/log"], Layout::MacRoot);
        check(&["Library", "System", "Users", "etc", "var"], Layout::MacRoot);
        check(&["Library", "System", "private"], Layout::MacRoot);
        check(&["etc", "var", "home/zoe"], Layout::LinuxRoot);
    }
}
