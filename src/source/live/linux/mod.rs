//! The running Linux: one tree of its mounted file systems, and `/proc`.

mod mounts;
mod proc;
mod process;
mod records;
mod sockets;

use std::path::{Path, PathBuf};

use super::{LABEL, Preflight, VolumeFacts, Wanted};
use crate::source::folder::{Folder, Root};
use crate::source::{DriveLetters, HostEvidence, Layout, SourceError};

use self::mounts::Mount;
pub(super) use self::process::{be_gentle, free_space, memory_used};

/// The tree below the root, without what is no file system of this machine.
pub(super) fn open(
    wanted: &Wanted,
    _: &DriveLetters<'_>,
) -> Result<Vec<HostEvidence>, SourceError> {
    let root = root(wanted);
    std::fs::read_dir(root)
        .map_err(|error| SourceError::Unreadable { path: root.to_owned(), error })?;
    let mut left_out = places(root, &wanted.output);
    match &wanted.root {
        Some(root) => left_out.push(root.join("proc")),
        None => left_out.extend(left_out_mounts(wanted).into_iter().map(|mount| mount.point)),
    }
    let root_of_tree = Root::running("/", root, left_out);
    let tree = Folder::running(root_of_tree, wanted.limits.clone());
    let label = match &wanted.root {
        Some(root) => root.display().to_string(),
        None => LABEL.to_owned(),
    };
    let mut host = HostEvidence::new(label, host_name(root), Layout::LinuxRoot, tree);
    host.is_running = true;
    let running = wanted.root.is_none();
    if wanted.volatile {
        let told = records::all(root, running, &wanted.limits);
        host.volatile = told.volatile;
        host.saved = told.saved;
        host.problems.extend(told.problems);
    } else {
        host.saved = records::programs_without_file(root, running, &wanted.limits);
    }
    Ok(vec![host])
}

/// The kernel's number for this run of itself, and the machine's own name.
pub(super) fn identity(wanted: &Wanted) -> String {
    let root = root(wanted);
    let boot = std::fs::read_to_string(root.join("proc/sys/kernel/random/boot_id"));
    format!("{} {}", host_name(root), boot.unwrap_or_default().trim())
}

/// A folder as the walk may meet it: as it is written, without links, below the root.
fn places(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let real = mounts::real(folder);
    let below = real.as_ref().zip(mounts::real(root)).and_then(|(folder, real_root)| {
        folder.strip_prefix(real_root).ok().map(|below| root.join(below))
    });
    [Some(folder.to_owned()), real, below].into_iter().flatten().collect()
}

fn root(wanted: &Wanted) -> &Path {
    wanted.root.as_deref().unwrap_or(Path::new("/"))
}

/// What the machine calls itself: the kernel's word, else `/etc/hostname`.
fn host_name(root: &Path) -> String {
    let read = |name: &str| std::fs::read_to_string(root.join(name)).ok();
    let name = read("proc/sys/kernel/hostname").or_else(|| read("etc/hostname"));
    let name = name.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    name.unwrap_or_else(|| "host".to_owned())
}

/// The mounted file systems whose files are no evidence of this machine.
fn left_out_mounts(wanted: &Wanted) -> Vec<Mount> {
    let stick = stick(wanted);
    let all = mounts::all();
    let mut mounts = all.clone();
    mounts.retain(|mount| {
        mount.is_machinery()
            || mount.is_repeated(&all)
            || mount.is_network() && !wanted.network_mounts
            || stick.as_ref() == Some(&mount.point)
    });
    mounts
}

/// The mount point of the output, if it is a volume of its own.
fn stick(wanted: &Wanted) -> Option<PathBuf> {
    let mount = mounts::of(&wanted.output)?;
    (!mount.belongs_to_system()).then_some(mount.point)
}

pub(super) fn preflight(wanted: &Wanted) -> Preflight {
    let (rights, all_rights) = process::rights();
    if let Some(root) = &wanted.root {
        let volume = VolumeFacts { name: root.display().to_string(), ..VolumeFacts::default() };
        return Preflight { rights, all_rights, volumes: vec![volume] };
    }
    let stick = stick(wanted);
    let all = mounts::all();
    let (machinery, others): (Vec<&Mount>, Vec<&Mount>) =
        all.iter().partition(|mount| mount.is_machinery());
    let volumes = others
        .into_iter()
        .filter(|mount| !machinery.iter().any(|above| mount.point.starts_with(&above.point)))
        .map(|mount| {
            let remark = if stick.as_ref() == Some(&mount.point) {
                "takes the results; not read"
            } else if mount.is_repeated(&all) {
                "its files are those of another volume; not read twice"
            } else if mount.is_network() && !wanted.network_mounts {
                "of another machine; not read (--network-mounts)"
            } else {
                ""
            };
            let (size, used) = process::space(&mount.point).unwrap_or_default();
            let name = mount.point.display().to_string();
            let kind = mount.kind.clone();
            VolumeFacts { name, kind, size, used, remark: remark.into() }
        })
        .collect();
    Preflight { rights, all_rights, volumes }
}

/// Results may go to a tree or mount that is no evidence: a stick, a share, another tree.
pub(super) fn holds_evidence(wanted: &Wanted, folder: &Path) -> Option<PathBuf> {
    if let Some(root) = &wanted.root {
        let (root, folder) = (root.canonicalize().ok()?, mounts::real(folder)?);
        return folder.starts_with(&root).then_some(root);
    }
    mounts::of(folder).filter(Mount::belongs_to_system).map(|mount| mount.point)
}

pub(super) fn has_own_window() -> bool {
    false
}
