//! One drive: raw if the system lets us, else file by file.
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
use super::ask;
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

/// A drive, opened one way or another.
pub(super) struct Part {
    pub(super) letter: char,
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

/// Opens a drive; what could not be had of it is a problem of the part.
pub(super) fn open(letter: char, wanted: &Wanted) -> Part {
    let root = format!("{letter}:\\");
    let why = match raw(letter) {
        Ok(volume) => {
            wanted.actions.note(format!("opened \\\\.\\{letter}: for reading, raw"));
            let (opened, problems) = (Opened::Raw(Box::new(volume)), Vec::new());
            return Part { letter, opened, problems, unread: None };
        }
        Err(why) => why,
    };
    let problem = |message: String| Problem {
        path: Some(EvidencePath::new(root.as_str())),
        locator: None,
        stage: Stage::Source,
        message,
    };
    match std::fs::read_dir(verbatim(letter)) {
        Ok(_) => {
            wanted.actions.note(format!("reading {root} file by file, not raw: {why}"));
            let lost = "removed files and what other programs lock are not seen";
            let problems = vec![problem(format!("read file by file, not raw: {why}; {lost}"))];
            Part { letter, opened: Opened::Files(role(letter)), problems, unread: None }
        }
        Err(error) => {
            let why = format!("not raw: {why}; not file by file: {error}");
            wanted.actions.note(format!("could not open {root}: {why}"));
            let problems = vec![problem(why.clone())];
            let unread = Some(Unread { path: root.clone(), what: "drive", why });
            Part { letter, opened: Opened::Nothing, problems, unread }
        }
    }
}

/// The drive's files by their names; paths begin with `prefix`.
pub(super) fn folder(letter: char, prefix: &str, wanted: &Wanted) -> Folder {
    let mut left_out = vec![wanted.output.clone()];
    // The same folder as the walk names it.
    if let Ok(output) = wanted.output.canonicalize() {
        left_out.push(output);
    }
    Folder::windows(vec![Root::running(prefix, &verbatim(letter), left_out)])
}

/// The root of a drive, below which every name stands for itself: `aux`, `a. `.
fn verbatim(letter: char) -> PathBuf {
    PathBuf::from(format!(r"\\?\{letter}:\"))
}

/// What tells the drive among those of the machine.
pub(super) fn device(letter: char) -> Vec<u8> {
    letter.to_string().into_bytes()
}

fn role(letter: char) -> Role {
    let root = verbatim(letter);
    let holds = |folder: &str| {
        let inside = listing::find(&root, folder, '\\', true);
        let inside = inside.and_then(|(at, _)| listing::find(&at, "System32", '\\', true));
        inside.is_some_and(|(_, metadata)| metadata.is_dir())
    };
    if ["Windows", "WINNT"].into_iter().any(holds) { Role::Windows } else { Role::Data }
}

/// The volume of a drive with a file system that adit reads.
fn raw(letter: char) -> Result<Readable, String> {
    let at = format!(r"\\.\{letter}:");
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
        device: Some(device(letter)),
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
