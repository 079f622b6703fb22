//! One volume: raw if the system lets us, else file by file.
//!
//! A volume has a letter, or stands in a folder, or nowhere at all: recovery and boot
//! partitions, and what somebody wants to be overlooked. Without a letter it is called
//! `volume1:`, `volume2:` … in the order of the names that Windows gave them.
//!
//! Raw, `\\.\C:` is the volume as its driver sees it: a file that is locked, hidden or
//! removed is read like any other, and a BitLocker volume in use comes decrypted. That
//! takes an administrator. File by file, every name goes through the system, with a
//! backup's rights where this process has them; what another program holds exclusively
//! cannot be read, and each such file becomes a problem.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use super::super::Wanted;
use super::super::aligned::{self, Aligned, Sectors};
use super::{ask, shadow};
use crate::model::{EvidencePath, Problem, ReadAt, Stage};
use crate::source::filesystem;
use crate::source::folder::{Folder, Root};
use crate::source::image::{Readable, Role};
use crate::source::partition::Volume;
use crate::source::{Unread, listing};

/// Everybody may go on reading, writing and deleting.
const SHARE_ALL: u32 = 7;
/// Bytes of a boot sector, with room for the largest sector.
const BOOT_BYTES: usize = 4096;

/// Where a volume is to be had.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) letter: Option<char>,
    /// `C:`, `volume1:`
    pub(super) name: String,
    /// Windows' own name, without the last separator: `\\?\C:`, `\\?\Volume{…}`.
    pub(super) path: String,
}

impl Place {
    pub(super) fn of_letter(letter: char) -> Self {
        let name = format!("{letter}:");
        Self { letter: Some(letter), path: format!(r"\\?\{name}"), name }
    }

    /// The volume without a letter of that number, from 1.
    pub(super) fn of_volume(number: usize, path: &str) -> Self {
        let path = path.trim_end_matches('\\').to_owned();
        Self { letter: None, name: format!("volume{number}:"), path }
    }

    /// What paths begin with.
    pub(super) fn prefix(&self) -> String {
        format!("{}\\", self.name)
    }

    /// The root folder, below which every name stands for itself: `aux`, `a. `.
    pub(super) fn root(&self) -> PathBuf {
        PathBuf::from(format!("{}\\", self.path))
    }

    /// The root folder as questions about the volume take it.
    pub(super) fn asked(&self) -> String {
        match self.letter {
            Some(_) => self.prefix(),
            None => format!("{}\\", self.path),
        }
    }

    /// What is opened to read the volume raw.
    fn device(&self) -> String {
        match self.letter {
            Some(_) => format!(r"\\.\{}", self.name),
            None => self.path.clone(),
        }
    }

    /// What tells the volume among those of the machine.
    pub(super) fn id(&self) -> Vec<u8> {
        self.name.clone().into_bytes()
    }
}

/// A volume, opened one way or another.
pub(super) struct Part {
    pub(super) place: Place,
    pub(super) opened: Opened,
    pub(super) problems: Vec<Problem>,
    pub(super) unread: Option<Unread>,
}

pub(super) enum Opened {
    Raw(Box<Readable>),
    Files(Role),
    Nothing,
}

impl Part {
    /// What the drive is to a machine.
    pub(super) fn role(&self) -> Role {
        match &self.opened {
            Opened::Raw(volume) => volume.role,
            Opened::Files(role) => *role,
            Opened::Nothing => Role::Data,
        }
    }
}

/// Opens a volume; what could not be had of it is a problem of the part.
pub(super) fn open(place: Place, wanted: &Wanted) -> Part {
    let root = place.prefix();
    let device = place.device();
    let problem = |message: String| Problem {
        path: Some(EvidencePath::new(root.as_str())),
        locator: None,
        stage: Stage::Source,
        message,
    };
    let mut problems: Vec<Problem> = keep_state(&place, wanted).map(problem).into_iter().collect();
    let why = match raw(&place) {
        Ok(volume) => {
            wanted.actions.note(format!("opened {device} for reading, raw"));
            let opened = Opened::Raw(Box::new(volume));
            return Part { place, opened, problems, unread: None };
        }
        Err(why) => why,
    };
    match std::fs::read_dir(place.root()) {
        Ok(_) => {
            wanted.actions.note(format!("reading {root} file by file, not raw: {why}"));
            let lost = "removed files and what other programs lock are not seen";
            problems.push(problem(format!("read file by file, not raw: {why}; {lost}")));
            let opened = Opened::Files(role(&place));
            Part { place, opened, problems, unread: None }
        }
        Err(error) => {
            let why = format!("not raw: {why}; not file by file: {error}");
            wanted.actions.note(format!("could not open {device} ({root}): {why}"));
            problems.push(problem(why.clone()));
            let unread = Some(Unread { path: root, what: "volume", why });
            Part { place, opened: Opened::Nothing, problems, unread }
        }
    }
}

/// Makes a shadow copy first, if that is wanted and was not done by an earlier run; why it
/// could not be made.
fn keep_state(place: &Place, wanted: &Wanted) -> Option<String> {
    if !wanted.create_vss || !wanted.volatile {
        return None;
    }
    let root = place.prefix();
    match shadow::create(&place.asked()) {
        Ok(id) => {
            wanted.actions.note(format!("made shadow copy {id} of {root}, which stays"));
            None
        }
        Err(why) => {
            wanted.actions.note(format!("could not make a shadow copy of {root}: {why}"));
            Some(format!("no shadow copy was made: {why}"))
        }
    }
}

/// The volume's files by their names; paths begin with `prefix`.
pub(super) fn folder(place: &Place, prefix: &str, wanted: &Wanted) -> Folder {
    let mut left_out = vec![wanted.output.clone()];
    // The same folder as the walk names it.
    if let Ok(output) = wanted.output.canonicalize() {
        left_out.push(output);
    }
    Folder::windows(vec![Root::running(prefix, &place.root(), left_out)])
}

fn role(place: &Place) -> Role {
    let root = place.root();
    let holds = |folder: &str| {
        let inside = listing::find(&root, folder, '\\', true);
        let inside = inside.and_then(|(at, _)| listing::find(&at, "System32", '\\', true));
        inside.is_some_and(|(_, metadata)| metadata.is_dir())
    };
    if ["Windows", "WINNT"].into_iter().any(holds) { Role::Windows } else { Role::Data }
}

/// The volume, if it holds a file system that adit reads.
fn raw(place: &Place) -> Result<Readable, String> {
    let at = place.device();
    let mut options = OpenOptions::new();
    let file =
        options.read(true).share_mode(SHARE_ALL).open(&at).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => "access denied; an administrator may".to_owned(),
            _ => error.to_string(),
        })?;
    let size = size(&file).map_err(|error| format!("no size: {error}"))?;
    let bytes: Arc<dyn ReadAt> = Arc::new(Aligned::new(Device(file), size));
    let found = filesystem::recognize(&*bytes);
    let Some(format) = found.format else { return Err(format!("{}: {}", found.name, found.why)) };
    let volume = Volume {
        number: 1,
        start: 0,
        size,
        type_name: found.name.to_owned(),
        name: None,
        device: Some(place.id()),
        bytes,
    };
    Readable::open(volume, format, None).map_err(|error| error.to_string())
}

/// Bytes of an open volume: as its driver says, else as its boot sector does.
fn size(volume: &File) -> io::Result<u64> {
    ask::length(volume).or_else(|error| {
        let boot = Aligned::new(Device(volume.try_clone()?), BOOT_BYTES as u64);
        let mut bytes = vec![0; BOOT_BYTES];
        boot.read_at(0, &mut bytes)?;
        aligned::size_in(&bytes).ok_or(error)
    })
}

/// An open volume.
struct Device(File);

impl Sectors for Device {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.seek_read(buf, offset)
    }
}
