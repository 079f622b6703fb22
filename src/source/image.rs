//! A disk image as the hosts whose disks it holds.
//!
//! Each Windows system volume is a host, each Linux or macOS root another. What
//! else lies on the disk belongs to the first host: its letters come from the
//! hive that gave them, or it is called `volume2:`.

use std::sync::Arc;

use crate::model::{EvidencePath, Problem, ReadAt, Stage};

use super::container::Image;
use super::filesystem::ntfs::Ntfs;
use super::filesystem::{self, Format, OpenError, Opened, Recognized};
use super::partition::{self, Volume};
use super::volumes::{Member, Volumes};
use super::{
    Clues, DiskImage, DriveLetters, Filesystem, HostEvidence, Kind, Knows, Layout, Unread, vss,
};

/// Where a Windows that calls itself by no letter is taken to have been.
const SYSTEM_DRIVE: char = 'C';

/// What paths of a Windows volume begin with until its letter is known.
const PROVISIONAL: &str = "C:\\";

/// What no file lies on, by what was found there.
const FILELESS: [&str; 3] = ["empty", "Linux swap", "ext journal"];

/// What no file lies on, by what the partition table says.
const FILELESS_TYPES: [&str; 3] =
    ["BIOS boot", "Microsoft reserved", "Windows dynamic disk metadata"];

/// What a volume is to its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Windows,
    Linux,
    Data,
}

/// A volume that can be read.
pub(super) struct Readable {
    volume: Volume,
    format: Format,
    pub(super) role: Role,
    opened: Opened,
}

impl Readable {
    /// Opens a volume that was recognised as of that format.
    ///
    /// # Errors
    ///
    /// When it is damaged where nothing can be read without.
    pub(super) fn open(
        volume: Volume,
        format: Format,
        knows: Option<&Knows<'_>>,
    ) -> Result<Self, OpenError> {
        let root = if format == Format::Ext { "/" } else { PROVISIONAL };
        let opened = Opened::new(format, Arc::clone(&volume.bytes), root, knows)?;
        let role = role(opened.tree(), format, root);
        Ok(Self { volume, format, role, opened })
    }

    fn separator(&self) -> char {
        if self.format == Format::Ext { '/' } else { '\\' }
    }
}

/// The hosts on a disk image, in the order of their volumes; one by the image's name
/// when there is no system on it.
pub(super) fn open(
    (label, name): (String, String),
    image: Image,
    clues: Clues<'_>,
) -> Vec<HostEvidence> {
    let image = Arc::new(DiskImage::new(image));
    let partition::Volumes { volumes, mut problems } = partition::volumes(image.disk());
    // A partition table knows no path: it is that of the image.
    let table = EvidencePath::new(label.clone());
    for problem in &mut problems {
        problem.path.get_or_insert_with(|| table.clone());
    }
    let (mut readable, mut unread) = (Vec::new(), Vec::new());
    for volume in volumes {
        let found = filesystem::recognize(&*volume.bytes);
        match found.format {
            None => {
                let part = unread_of(&volume, &found);
                if may_hold_files(&volume, &found) {
                    problems.push(problem(&part.path, &part.why));
                }
                unread.push(part);
            }
            Some(format) => {
                let path = prefix_of(&volume, '\\');
                match Readable::open(volume, format, clues.knows) {
                    Ok(volume) => readable.push(volume),
                    Err(error) => {
                        let why = error.to_string();
                        problems.push(problem(&path, &why));
                        unread.push(Unread { path, what: found.name, why });
                    }
                }
            }
        }
    }
    let mut hosts: Vec<Vec<Readable>> = Vec::new();
    let mut rest = Vec::new();
    for volume in readable {
        if volume.role == Role::Data { rest.push(volume) } else { hosts.push(vec![volume]) }
    }
    match hosts.first_mut() {
        Some(first) => first.extend(rest),
        None => hosts.push(rest),
    }
    let single = hosts.len() == 1;
    let mut out = Vec::new();
    for (number, volumes) in hosts.into_iter().enumerate() {
        let known = given_by_first(&volumes, clues.letters);
        let called = (label.clone(), name.clone());
        let mut host = assemble(called, volumes, &known, "image", clues.knows);
        if !single {
            host.label = format!("{}#{}", host.label, number.saturating_add(1));
        }
        if number == 0 {
            host.problems.append(&mut problems);
            host.unread.append(&mut unread);
        }
        host.image = Some(Arc::clone(&image));
        out.push(host);
    }
    out
}

/// The letters that the first of a host's volumes gave, if Windows lies on it.
pub(super) fn given_by_first(
    volumes: &[Readable],
    letters: &DriveLetters<'_>,
) -> Vec<(char, Vec<u8>)> {
    let first = volumes.first().filter(|volume| volume.role == Role::Windows);
    first.map(|volume| given(volume, letters)).unwrap_or_default()
}

/// One host, by label and name, from the volumes that are its own, the system's first;
/// `known` tells letters by their devices, `method` how the bytes are had.
pub(super) fn assemble(
    (label, name): (String, String),
    volumes: Vec<Readable>,
    known: &[(char, Vec<u8>)],
    method: &'static str,
    knows: Option<&Knows<'_>>,
) -> HostEvidence {
    let role = volumes.first().map_or(Role::Data, |volume| volume.role);
    let mut found = Found::default();
    let mut taken: Vec<char> = Vec::new();
    let any_case = volumes.iter().all(|volume| volume.format != Format::Ext);
    for (at, volume) in volumes.into_iter().enumerate() {
        let mut letter = letter_of(&volume.volume, known).filter(|l| !taken.contains(l));
        if at == 0 && role == Role::Windows {
            letter = letter.or(Some(SYSTEM_DRIVE));
        }
        taken.extend(letter);
        let prefix = match letter {
            Some(letter) => format!("{letter}:\\"),
            None if at == 0 && role == Role::Linux => "/".to_owned(),
            None => prefix_of(&volume.volume, volume.separator()),
        };
        found.add(volume, &prefix, method, knows);
    }
    let layout = match role {
        Role::Windows => Layout::WindowsVolume,
        Role::Linux => Layout::LinuxRoot,
        Role::Data => Layout::Loose,
    };
    let tree = Volumes::new(found.members, any_case);
    let host = HostEvidence::new(label, name, layout, tree);
    HostEvidence { problems: found.problems, unread: found.unread, ..host }
}

/// The volumes of a host, and what was wrong with them.
#[derive(Default)]
pub(super) struct Found {
    pub(super) members: Vec<Member>,
    pub(super) problems: Vec<Problem>,
    pub(super) unread: Vec<Unread>,
}

impl Found {
    /// Adds a volume and its shadow copies under a prefix (`C:\`).
    pub(super) fn add(
        &mut self,
        volume: Readable,
        prefix: &str,
        method: &'static str,
        knows: Option<&Knows<'_>>,
    ) {
        let Readable { volume, format, opened, .. } = volume;
        match opened.under(prefix) {
            Ok(filesystem) => {
                let (prefix, snapshot) = (prefix.to_owned(), String::new());
                self.members.push(Member { prefix, filesystem, snapshot, method });
            }
            Err(error) => {
                let why = error.to_string();
                self.problems.push(problem(prefix, &why));
                return self.unread.push(Unread { path: prefix.to_owned(), what: "volume", why });
            }
        }
        if format == Format::Ntfs {
            snapshots((&volume, prefix), knows, &mut self.members, &mut self.problems);
        }
    }
}

/// Adds the shadow copies of a volume, newest first.
fn snapshots(
    (volume, prefix): (&Volume, &str),
    knows: Option<&Knows<'_>>,
    members: &mut Vec<Member>,
    problems: &mut Vec<Problem>,
) {
    let (copies, damages) = match vss::snapshots(&volume.bytes) {
        Ok(found) => found,
        Err(error) => {
            return problems.push(problem(prefix, &format!("shadow copies: {error}")));
        }
    };
    let at_volume = |damage: Problem| Problem { path: Some(EvidencePath::new(prefix)), ..damage };
    problems.extend(damages.into_iter().map(at_volume));
    for copy in copies.into_iter().rev() {
        let snapshot = format!("vss{}:", copy.number);
        let prefix = format!("{snapshot}{prefix}");
        match Ntfs::open_judged(copy.bytes, &prefix, knows) {
            Ok(ntfs) => {
                let (filesystem, method) = (Box::new(ntfs), "vss");
                members.push(Member { prefix, filesystem, snapshot, method });
            }
            Err(error) => problems.push(problem(&prefix, &error.to_string())),
        }
    }
}

/// What a volume is, told by the folders in its root.
fn role(tree: &dyn Filesystem, format: Format, root: &str) -> Role {
    let holds = |path: &str| {
        let entry = tree.entry(&EvidencePath::new(format!("{root}{path}")));
        entry.is_some_and(|entry| entry.kind != Kind::File)
    };
    if format != Format::Ext {
        let windows = ["Windows\\System32", "WINNT\\System32"].into_iter().any(holds);
        if windows { Role::Windows } else { Role::Data }
    } else if holds("etc") && ["var", "usr", "home"].into_iter().any(holds) {
        Role::Linux
    } else {
        Role::Data
    }
}

/// The letters that the Windows on a volume gave, and the devices they stand for.
fn given(volume: &Readable, letters: &DriveLetters<'_>) -> Vec<(char, Vec<u8>)> {
    let tree = volume.opened.tree();
    let open = |folder: &str, name: &str| {
        let path = format!("{PROVISIONAL}{folder}\\System32\\config\\{name}");
        tree.open(&tree.entry(&EvidencePath::new(path))?).ok()
    };
    let hive = |folder| Some((folder, open(folder, "SYSTEM")?));
    let Some((folder, hive)) = ["Windows", "WINNT"].into_iter().find_map(hive) else {
        return Vec::new();
    };
    let logs: Vec<_> =
        ["SYSTEM.LOG1", "SYSTEM.LOG2"].into_iter().filter_map(|log| open(folder, log)).collect();
    let logs: Vec<&dyn ReadAt> = logs.iter().map(|log| &**log as &dyn ReadAt).collect();
    letters(&*hive, &logs)
}

/// The letter whose device is this volume.
fn letter_of(volume: &Volume, known: &[(char, Vec<u8>)]) -> Option<char> {
    let device = volume.device.as_ref()?;
    known.iter().find(|(_, bytes)| bytes == device).map(|(letter, _)| *letter)
}

fn prefix_of(volume: &Volume, separator: char) -> String {
    format!("volume{}:{separator}", volume.number)
}

/// Whether files may have been missed on a volume that is not read.
fn may_hold_files(volume: &Volume, found: &Recognized) -> bool {
    !FILELESS.contains(&found.name) && !FILELESS_TYPES.contains(&volume.type_name.as_str())
}

fn unread_of(volume: &Volume, found: &Recognized) -> Unread {
    let name = volume.name.as_ref().map(|name| format!(" {name:?}")).unwrap_or_default();
    let why = format!("{} of {} bytes{name}: {}", found.name, volume.size, found.why);
    Unread { path: prefix_of(volume, '\\'), what: found.name, why }
}

fn problem(path: &str, message: &str) -> Problem {
    Problem {
        path: Some(EvidencePath::new(path)),
        locator: None,
        stage: Stage::Source,
        message: message.to_owned(),
    }
}
