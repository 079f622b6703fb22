//! One name in a file tree.

use std::fs::{FileType, Metadata};
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::model::{EvidencePath, from_unix};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    File,
    Directory,
    /// A symbolic link or junction; never followed.
    Link,
    /// A pipe, socket or device; never opened.
    Special,
}

/// The four times of a file, UTC, each absent where the evidence has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Only where the file system under the source keeps the evidence's own:
    /// a copy's birth is the time of copying.
    pub created: Option<Timestamp>,
    pub modified: Option<Timestamp>,
    pub accessed: Option<Timestamp>,
    /// Last change of the record that describes the file: `$MFT` entry or inode.
    pub changed: Option<Timestamp>,
}

/// What a file system numbers a file by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// `$MFT` record or inode.
    pub number: u64,
    /// How often the record has been given to a file; 0 where none is kept.
    pub sequence: u16,
}

/// Whether a file was there when the evidence was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    Present,
    /// Removed; the record that described it is left, and this much of its content.
    Deleted(Remains),
}

/// What is left of a removed file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remains {
    /// All of it, in the record itself.
    Whole,
    /// Where it lay is given to no other file since, so far as the volume says:
    /// probably its own.
    Likely,
    /// Nothing that can be called its own.
    Nothing,
}

/// One entry of a file tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// With the stream's name after `:` where it is one: `C:\a.txt:cfg`.
    pub path: EvidencePath,
    pub kind: Kind,
    /// Bytes; 0 for what is not a file.
    pub size: u64,
    /// The file's own times: `$STANDARD_INFORMATION`, the inode's.
    pub times: Times,
    /// The times kept with the name: `$FILE_NAME`.
    pub name_times: Option<Box<Times>>,
    pub id: Option<FileId>,
    pub state: State,
    /// Where a link points, as stored.
    pub link_target: Option<String>,
    /// What the file system that showed it opens it by; means nothing elsewhere.
    pub handle: u64,
}

impl Entry {
    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }

    /// Whether it was removed before the evidence was taken.
    pub fn is_deleted(&self) -> bool {
        self.state != State::Present
    }

    /// The entry of `at`, from what the operating system says of it.
    pub(super) fn of(path: EvidencePath, at: &Path, metadata: &Metadata, births: Births) -> Self {
        let kind = Kind::of(metadata.file_type());
        let created = metadata.created().ok().filter(|_| births == Births::Original);
        Self {
            path,
            kind,
            size: if kind == Kind::File { metadata.len() } else { 0 },
            times: Times {
                created: created.and_then(timestamp),
                modified: metadata.modified().ok().and_then(timestamp),
                accessed: metadata.accessed().ok().and_then(timestamp),
                changed: None,
            },
            name_times: None,
            id: None,
            state: State::Present,
            link_target: (kind == Kind::Link)
                .then(|| std::fs::read_link(at).ok())
                .flatten()
                .map(|target| target.to_string_lossy().into_owned()),
            handle: 0,
        }
    }
}

impl Kind {
    /// The kind of what the operating system calls so.
    pub(super) fn of(kind: FileType) -> Self {
        if kind.is_symlink() {
            Self::Link
        } else if kind.is_dir() {
            Self::Directory
        } else if kind.is_file() {
            Self::File
        } else {
            Self::Special
        }
    }
}

/// Whose births a file system shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Births {
    /// Those of the evidence: it is mounted, not copied.
    Original,
    /// Those of a copy, or unknown.
    Copied,
}

impl Births {
    /// Whose births the files below `folder` show.
    ///
    /// On Linux, a folder on a file system that Windows writes, or one that is
    /// itself the root of a mounted file system, is taken for the evidence;
    /// anything else has been unpacked or copied there. Other systems keep no
    /// sign of copying, so there births are believed.
    #[cfg(target_os = "linux")]
    pub(super) fn below(folder: &Path) -> Self {
        const WRITTEN_BY_WINDOWS: [&str; 8] =
            ["ntfs", "ntfs3", "fuseblk", "vfat", "exfat", "msdos", "cifs", "smb3"];
        let Ok(folder) = folder.canonicalize() else { return Self::Copied };
        let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else {
            return Self::Copied;
        };
        // Fields: id parent device root mountpoint options [optional…] - type source options.
        let mount = mounts
            .lines()
            .filter_map(|line| {
                let (head, tail) = line.split_once(" - ")?;
                let point = head.split(' ').nth(4)?.replace("\\040", " ");
                let kind = tail.split(' ').next()?;
                folder.starts_with(&point).then_some((point, kind))
            })
            .max_by_key(|(point, _)| point.len());
        match mount {
            Some((point, _)) if folder == Path::new(&point) => Self::Original,
            Some((_, kind)) if WRITTEN_BY_WINDOWS.contains(&kind) => Self::Original,
            _ => Self::Copied,
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn below(_: &Path) -> Self {
        Self::Original
    }
}

/// The time as the model keeps it; a zero or impossible one is no time.
fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let at = Timestamp::try_from(time).ok().filter(|at| *at != Timestamp::UNIX_EPOCH)?;
    from_unix(at.as_second(), at.subsec_nanosecond())
}
