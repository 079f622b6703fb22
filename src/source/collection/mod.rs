//! Collections that other collectors made, and adit's own bundles, as hosts.
//!
//! An archive is a file tree; [`outline`] tells by its names which collector
//! arranged it, [`place`] where each file lay on its host, and [`arranged`] shows
//! it so. Unpacked collections go the same way, from their folder on.
//!
//! | collector | layout | times kept |
//! |---|---|---|
//! | adit | `data/evidence/…`, `data/manifest.json` | all, in the manifest |
//! | Velociraptor | `uploads/<accessor>/<encoded path>` | modified, in the zip's extended field |
//! | acquire | `fs/<volume>/…` | modified, in the tar |
//! | UAC | `[root]/…` | modified, in the tar |
//! | KAPE, CyLR, others | drives side by side; a Unix root | where extended fields are written |
//!
//! The zip's own times have no zone and are no times. No collection is a whole
//! volume: that a file is not there says nothing.

mod archive;
mod arranged;
mod bundle;
mod name;
mod outline;
mod place;
#[cfg(test)]
mod tests;
mod tree;
mod velociraptor;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::archive::{TarTree, ZipTree};
use self::arranged::{Arranged, small};
use self::bundle::Bundle;
use self::name::{host_of, last_part};
use self::outline::{Collector, Names, Outline, Site, join};
use self::place::Placer;
use super::entry::{Entry, Kind};
use super::file::OpenFile;
use super::folder::{Folder, Root};
use super::{Filesystem, HostEvidence, Layout, SourceError, is_log_or_hive, listing};
use crate::model::{EvidencePath, Problem, ReadAt};

/// Archives in one archive that are looked into.
const MAX_NESTED: usize = 1_000;
/// Largest description of a collection that is read, in bytes.
const MAX_DESCRIPTION_BYTES: u64 = 256 << 20;

/// What of an archive is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The user named it: loose logs in it are evidence too.
    Anything,
    /// Met in a folder: only what a collector wrote.
    Collections,
}

/// The hosts of an archive in path order, then the loose rest if there is any;
/// `None` for what is no archive that holds evidence.
///
/// # Errors
///
/// When it cannot be read, or is a collection that is encrypted as a whole.
pub(super) fn open(path: &Path, wanted: Wanted) -> Result<Option<Vec<HostEvidence>>, SourceError> {
    let unreadable = |error| SourceError::Unreadable { path: path.to_owned(), error };
    let at = path.canonicalize().map_err(unreadable)?;
    let source: Arc<dyn ReadAt> = Arc::new(OpenFile::open(&at).map_err(unreadable)?);
    let Some(opened) = Opened::of(source).map_err(unreadable)? else { return Ok(None) };
    let given = Given {
        label: path.display().to_string(),
        name: host_of(&last_part(path)),
        wanted,
        nested: false,
    };
    let hosts = hosts(&given, &opened);
    if hosts.is_none() && opened.locked {
        return Err(SourceError::Unsupported {
            path: path.to_owned(),
            what: "an encrypted collection",
            advice: "decrypt it with the key of the server that ordered it, then give the result",
        });
    }
    Ok(hosts)
}

/// An archive, opened.
struct Opened {
    tree: Arc<dyn Filesystem>,
    /// A zip may as well be one file of the evidence; of a tar everything is shown.
    is_zip: bool,
    /// It wraps a collection that needs a password.
    locked: bool,
}

impl Opened {
    /// `None` for what is no archive.
    fn of(source: Arc<dyn ReadAt>) -> io::Result<Option<Self>> {
        let mut start = [0; 2];
        let n = archive::read_full(&*source, 0, &mut start)?;
        if n == start.len() && start == *b"PK" {
            let Some(zip) = ZipTree::open(source)? else { return Ok(None) };
            let locked = zip.is_encrypted("data.zip");
            return Ok(Some(Self { tree: Arc::new(zip), is_zip: true, locked }));
        }
        // What cannot be inflated is refused as what it is, not as a tar.
        let tar = archive::unwrapped(source).and_then(TarTree::open).ok().flatten();
        Ok(tar.map(|tar| Self { tree: Arc::new(tar), is_zip: false, locked: false }))
    }
}

/// What an archive is called and wanted for.
struct Given {
    label: String,
    /// For a host that nothing else names.
    name: String,
    wanted: Wanted,
    /// It lies in another archive; what lies in it is not opened.
    nested: bool,
}

/// The host of an unpacked collection that has a layout of its own.
pub(super) fn in_folder(at: &Path) -> Option<HostEvidence> {
    let collector = outline::special(&Disk { at }, "")?;
    let site = Site { base: String::new(), collector };
    let inner: Arc<dyn Filesystem> = Arc::new(Folder::plain(Root::new("", at)));
    let (entries, problems) = walk(&*inner);
    let outline = Outline::of(&entries);
    let (arranged, named) = arrange(&inner, &entries, &outline, &site, problems);
    let layout = layout(&arranged, &outline, &site);
    let name = named.unwrap_or_default();
    Some(HostEvidence::of_files(at.display().to_string(), name, layout, arranged))
}

/// The hosts of an archive.
fn hosts(given: &Given, opened: &Opened) -> Option<Vec<HostEvidence>> {
    let inner = &opened.tree;
    let (mut entries, problems) = walk(&**inner);
    let outline = Outline::of(&entries);
    let sites = outline::sites(&outline);
    let mut hosts = Vec::new();
    if sites.is_empty() && !given.nested {
        hosts = nested(given, inner, &mut entries);
    }
    let matters = |entry: &Entry| is_store(entry) || !opened.is_zip && entry.is_file();
    let shown = given.wanted == Wanted::Anything && entries.iter().any(matters);
    if sites.is_empty() && hosts.is_empty() && !shown {
        return None;
    }
    let (mut shares, mut left) = divide(entries, &sites);
    if let [only] = shares.as_mut_slice() {
        only.append(&mut left);
    }
    for (site, entries) in sites.iter().zip(&shares) {
        let (arranged, named) = arrange(inner, entries, &outline, site, problems.clone());
        let layout = layout(&arranged, &outline, site);
        let of_base = site.base.rsplit('/').find(|name| !super::layout::is_common_word(name));
        let of_base = of_base.filter(|name| !name.is_empty()).map(host_of);
        let label = join(&given.label, &site.base);
        let name = named.or(of_base).unwrap_or_else(|| given.name.clone());
        hosts.push(HostEvidence::of_files(label, name, layout, arranged));
    }
    if left.iter().any(Entry::is_file) {
        let placer = Placer { collector: Collector::Loose, windows: false, bundle: None };
        let top = Site { base: String::new(), collector: Collector::Loose };
        let problems = if sites.is_empty() { problems } else { Vec::new() };
        let loose = Arranged::new(Arc::clone(inner), &left, &top, &placer, problems);
        let (label, name) = (given.label.clone(), given.name.clone());
        hosts.push(HostEvidence::of_files(label, name, Layout::Loose, loose));
    }
    Some(hosts)
}

/// The hosts of the collections in an archive that is none itself; their files
/// are taken out of the entries.
fn nested(
    given: &Given,
    inner: &Arc<dyn Filesystem>,
    entries: &mut Vec<Entry>,
) -> Vec<HostEvidence> {
    let mut found = Vec::new();
    let mut opened = 0_usize;
    entries.retain(|entry| {
        let path = entry.path.as_str();
        if !entry.is_file() || !is_archive_name(path) || opened >= MAX_NESTED {
            return true;
        }
        opened = opened.saturating_add(1);
        let Ok(content) = inner.open(entry) else { return true };
        let Ok(Some(archive)) = Opened::of(Arc::from(content)) else { return true };
        let below = Given {
            label: join(&given.label, path),
            name: host_of(entry.path.file_name()),
            wanted: Wanted::Collections,
            nested: true,
        };
        let hosts = hosts(&below, &archive);
        let stays = hosts.is_none();
        found.extend(hosts.into_iter().flatten());
        stays
    });
    found
}

/// Whether a file is called as the archives are that collectors write.
pub(super) fn is_archive_name(name: &str) -> bool {
    const ENDINGS: [&str; 5] = [".zip", ".tar", ".tgz", ".gz", ".partial"];
    let name = name.to_lowercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The entries below each site, and the rest without the folders that lead to sites.
fn divide(entries: Vec<Entry>, sites: &[Site]) -> (Vec<Vec<Entry>>, Vec<Entry>) {
    let by_base: BTreeMap<&str, usize> =
        sites.iter().enumerate().map(|(at, site)| (site.base.as_str(), at)).collect();
    let above: BTreeSet<&str> = sites.iter().flat_map(|site| folders_of(&site.base)).collect();
    let mut shares: Vec<Vec<Entry>> = sites.iter().map(|_| Vec::new()).collect();
    let mut left = Vec::new();
    for entry in entries {
        let path = entry.path.as_str();
        let of = folders_of(path).find_map(|folder| by_base.get(folder));
        match of.and_then(|at| shares.get_mut(*at)) {
            Some(share) => share.push(entry),
            None if by_base.contains_key(path) || above.contains(path) => {}
            None => left.push(entry),
        }
    }
    (shares, left)
}

/// The folders above a path, from the top (empty) on.
fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at);
    std::iter::once(0).chain(ends).filter_map(|end| path.get(..end))
}

/// One collection, and the host's name if the collection tells it.
fn arrange(
    inner: &Arc<dyn Filesystem>,
    entries: &[Entry],
    outline: &Outline,
    site: &Site,
    mut problems: Vec<Problem>,
) -> (Arranged, Option<String>) {
    let description = |name: &str| {
        let entry = inner.entry(&EvidencePath::new(join(&site.base, name)))?;
        small(&**inner, &entry, MAX_DESCRIPTION_BYTES)
    };
    let mut placer = Placer { collector: site.collector, windows: true, bundle: None };
    let mut named = None;
    match site.collector {
        Collector::Bundle => {
            let manifest = description("data/manifest.json");
            let folders = outline.folders(&join(&site.base, "data/evidence"));
            let bundle = Bundle::new(manifest.as_deref(), &folders);
            if !bundle.has_manifest() {
                let message = "the bundle has no manifest: paths are told by names, times are lost";
                problems.push(tree::met(None, message.to_owned()));
            }
            placer.bundle = Some(bundle);
            named = description("bag-info.txt").and_then(|info| bundle::host_name(&info));
        }
        Collector::Velociraptor => {
            placer.windows = velociraptor::is_windows(outline, &site.base);
            let files = ["client_info.json", "collection_context.json"];
            named = files
                .iter()
                .find_map(|name| description(name).and_then(|json| velociraptor::host_name(&json)));
        }
        Collector::Acquire => {
            let folders = outline.folders(&join(&site.base, "fs"));
            let unix = ["etc", "var", "usr", "$rootfs$", "Library"];
            placer.windows = !folders.iter().any(|name| unix.contains(&name.as_str()));
        }
        Collector::Uac => {
            named = description("uac.log").and_then(|log| name::host_in_uac_log(&log));
        }
        Collector::Drives | Collector::Windows | Collector::Unix | Collector::Loose => {}
    }
    let named = named.map(|name| name::first_label(&name).to_owned());
    (Arranged::new(Arc::clone(inner), entries, site, &placer, problems), named)
}

fn layout(arranged: &Arranged, outline: &Outline, site: &Site) -> Layout {
    if arranged.is_windows() {
        return Layout::Collection;
    }
    if !arranged.has_places() {
        return Layout::Loose;
    }
    let roots = ["", "[root]", "fs", "fs/$rootfs$", "uploads/auto", "uploads/file"];
    let mac = roots.iter().any(|root| {
        let folders = outline.folders(&join(&site.base, root));
        folders.iter().any(|name| name == "Library" || name == "Applications")
    });
    if mac { Layout::MacCollection } else { Layout::LinuxCollection }
}

/// Everything in a tree, in walk order, and the problems on the way.
fn walk(inner: &dyn Filesystem) -> (Vec<Entry>, Vec<Problem>) {
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    inner.walk(&mut |entry| entries.push(entry), &mut |problem| problems.push(problem));
    (entries, problems)
}

/// Whether a file is called as logs, hives and file tables are.
fn is_store(entry: &Entry) -> bool {
    const FURTHER: [&str; 3] = ["$mft", "$j", "$usnjrnl:$j"];
    let name = entry.path.file_name().to_ascii_lowercase();
    let ending = [".evt", ".pf"].iter().any(|ending| name.ends_with(ending));
    entry.is_file() && (ending || FURTHER.contains(&name.as_str()) || is_log_or_hive(&name))
}

/// The names of a folder on disk, for recognising it.
struct Disk<'a> {
    at: &'a Path,
}

impl Disk<'_> {
    fn path(&self, below: &str) -> PathBuf {
        below
            .split('/')
            .filter(|part| !part.is_empty())
            .fold(self.at.to_owned(), |at, part| at.join(part))
    }
}

impl Names for Disk<'_> {
    fn folders(&self, at: &str) -> Vec<String> {
        let at = self.path(at);
        let Ok((names, _)) = listing::names(&at, '/') else { return Vec::new() };
        names
            .into_iter()
            .filter(|name| {
                std::fs::symlink_metadata(at.join(&name.stored))
                    .is_ok_and(|metadata| Kind::of(metadata.file_type()) == Kind::Directory)
            })
            .map(|name| name.shown)
            .collect()
    }

    fn has_file(&self, path: &str) -> bool {
        std::fs::symlink_metadata(self.path(path)).is_ok_and(|metadata| metadata.is_file())
    }
}
