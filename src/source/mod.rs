//! Anything an investigator points at, opened as one or more hosts.
//!
//! A source is a folder (a mounted volume, drives side by side, a Linux or macOS
//! root, many hosts, or loose files), a disk image, a collection or a single file.
//! Later stages see only [`Filesystem`], which has no way to write.
//!
//! ```text
//! image:       container → partition → filesystem, vss → volumes of one host
//! collection:  archive → arranged under original paths
//! folder:      layout → folder
//! ```
//!
//! [`leads`] tells what there is to open; a [`Lead`] opens it when its turn comes.

mod collection;
pub mod container;
mod entry;
mod file;
pub mod filesystem;
mod folder;
mod image;
mod layout;
mod lead;
mod limited;
mod listed;
mod listing;
pub mod live;
mod meter;
pub mod nested;
pub mod partition;
mod stamp;
mod volumes;
pub mod vss;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{EvidencePath, Limits, Os, PathResolver, Problem, ReadAt, Saved, Volatile};

pub use entry::{Entry, FileId, Kind, Remains, State, Times};
pub use folder::{Folder, MAX_DEPTH};
pub use lead::Lead;
pub use limited::Limited;
pub use meter::DiskImage;
pub use stamp::stamp;

/// A file tree of one host, read-only.
pub trait Filesystem: Send + Sync {
    /// Shows every entry once: a directory before what it holds, siblings by
    /// lowercase name and then by bytes. Links are shown and never followed.
    fn walk(&self, visit: &mut dyn FnMut(Entry), problem: &mut dyn FnMut(Problem));

    /// The bytes of a regular file, or of a stream of one, that this tree showed.
    ///
    /// # Errors
    ///
    /// [`SourceError::NotInEvidence`] when there is no such regular file below
    /// the source, without links on the way; [`SourceError::File`] when it cannot
    /// be opened.
    fn open(&self, file: &Entry) -> Result<Box<dyn ReadAt>, SourceError>;

    /// What is known of a file's first bytes without opening it.
    fn start(&self, _file: &Entry) -> Start {
        Start::Unseen
    }

    /// Where a file's first bytes lie: read in the order of these numbers, files lie one
    /// behind the other.
    fn place(&self, file: &Entry) -> u64 {
        file.handle
    }

    /// Where the pieces of a content lie that has several, in the order of the content;
    /// places are those of [`Filesystem::place`]. Empty where that is not known.
    fn pieces(&self, _file: &Entry) -> Vec<Piece> {
        Vec::new()
    }

    /// What is present at that path, with the names as stored; letter case is
    /// ignored where the system's own rules ignore it.
    fn entry(&self, path: &EvidencePath) -> Option<Entry>;

    /// Whether the system that wrote the tree ignores letter case in names.
    fn case_insensitive(&self) -> bool;

    /// Lists of names that the file system keeps beside its files, as entries for
    /// [`Filesystem::open`]: the indexes of NTFS directories.
    fn indexes(&self, _visit: &mut dyn FnMut(Entry)) {}

    /// The directories of the volume that holds `path`, for formats that name
    /// files by reference; `None` where the source is no volume.
    fn directories(&self, _path: &EvidencePath) -> Option<&dyn PathResolver> {
        None
    }

    /// Lists of a volume's files that were copied without the volume, and how many
    /// files each names; known once the tree was walked.
    fn lists(&self) -> Vec<(EvidencePath, u64)> {
        Vec::new()
    }

    /// How the bytes of that path are had: `api` by asking the operating system for the
    /// file, `raw` and `image` from its volume, `vss` from a shadow copy of that.
    fn method(&self, _path: &EvidencePath) -> &'static str {
        "api"
    }

    /// Lets go of bytes kept from earlier readings, see [`ReadAt::forget`].
    fn forget(&self) {}

    /// What turned out wrong with files only while they were read, by path.
    fn late_problems(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// What is known of the first bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// They must be read.
    Unseen,
    /// They were judged when the files were listed: nothing that is looked for.
    Plain,
    /// Only the file's name is in the evidence.
    Nowhere,
}

/// A part of a content that lies in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// As [`Filesystem::place`] says it.
    pub place: u64,
    /// First byte of the content, and how many.
    pub offset: u64,
    pub len: u64,
}

/// Tells whether a content that starts with these bytes is of a format that is
/// looked for under any name; a short content is given whole.
pub type Knows<'a> = dyn Fn(&[u8]) -> bool + Sync + 'a;

/// What sources are opened with.
#[derive(Clone, Copy)]
pub struct Clues<'a> {
    pub letters: &'a DriveLetters<'a>,
    /// Judges short contents while files are listed; `None` leaves them be.
    pub knows: Option<&'a Knows<'a>>,
}

/// How a host's files lie in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layout {
    /// The root of a Windows system volume; paths are `C:\…`.
    WindowsVolume,
    /// One folder per drive letter; paths are `C:\…`, `D:\…`.
    Drives,
    /// What a collector took from a Windows machine; paths are `C:\…`, `D:\…`.
    Collection,
    /// The root of a Linux system; paths are `/…`.
    LinuxRoot,
    /// What a collector took from a Linux machine; paths are `/…`.
    LinuxCollection,
    /// The root of a macOS system; paths are `/…`.
    MacRoot,
    /// What a collector took from a Mac; paths are `/…`.
    MacCollection,
    /// Files in no known order; paths are those below the folder.
    Loose,
    /// One file; its path is its name.
    SingleFile,
}

impl Layout {
    /// The system whose artifacts lie in such a tree; `None` when it may be any.
    pub fn os(self) -> Option<Os> {
        match self {
            Self::WindowsVolume | Self::Drives | Self::Collection => Some(Os::Windows),
            Self::LinuxRoot | Self::LinuxCollection => Some(Os::Linux),
            Self::MacRoot | Self::MacCollection => Some(Os::Macos),
            Self::Loose | Self::SingleFile => None,
        }
    }

    /// Whether places are fixed in such a tree, so that a missing file says something.
    pub fn has_fixed_places(self) -> bool {
        self.os().is_some()
    }

    /// Whether everything that was on the volume is there, so that a name's absence says something.
    pub fn is_whole_volume(self) -> bool {
        matches!(self, Self::WindowsVolume | Self::Drives | Self::LinuxRoot | Self::MacRoot)
    }

    /// What the layout is, in a few words for a person.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WindowsVolume => "Windows volume",
            Self::Drives => "folder of Windows drives",
            Self::Collection => "collection from a Windows machine",
            Self::LinuxRoot => "Linux root",
            Self::LinuxCollection => "collection from a Linux machine",
            Self::MacCollection => "collection from a Mac",
            Self::MacRoot => "macOS root",
            Self::Loose => "loose folder",
            Self::SingleFile => "single file",
        }
    }
}

/// One host's evidence.
pub struct HostEvidence {
    /// The source as the user named it, with the host's folder appended when
    /// the source holds several.
    pub label: String,
    /// The file or folder name that stands for the host until its own name is known.
    pub name: String,
    pub layout: Layout,
    pub filesystem: Box<dyn Filesystem>,
    /// What was wrong with the source before its files could be seen.
    pub problems: Vec<Problem>,
    /// Parts of the source that were recognised and not read.
    pub unread: Vec<Unread>,
    /// The disk image that the files lie in.
    pub image: Option<Arc<DiskImage>>,
    /// In how many disks of other evidence that one lies.
    pub depth: usize,
    /// What only the running system tells; of a live source alone.
    pub volatile: Vec<Volatile>,
    /// How far its files are read.
    pub limits: Limits,
    /// Whether it is the machine that this runs on, which is called as `name` says.
    pub is_running: bool,
    /// Whether its files may change while they are read.
    pub is_live: bool,
    /// Bytes beside the tree that the bundle takes; of a live source alone.
    pub saved: Vec<Saved>,
}

impl HostEvidence {
    /// Files that were taken out of a volume, with what a copied `$MFT` lists besides.
    fn of_files(
        label: String,
        name: String,
        layout: Layout,
        filesystem: impl Filesystem + 'static,
    ) -> Self {
        Self::new(label, name, layout, listed::Listed::new(filesystem))
    }

    /// Evidence of which everything can be seen.
    fn new(
        label: String,
        name: String,
        layout: Layout,
        filesystem: impl Filesystem + 'static,
    ) -> Self {
        Self {
            label,
            name,
            layout,
            filesystem: Box::new(filesystem),
            problems: Vec::new(),
            unread: Vec::new(),
            image: None,
            depth: 0,
            volatile: Vec::new(),
            is_running: false,
            is_live: false,
            limits: Limits::default(),
            saved: Vec::new(),
        }
    }
}

/// A part of a source whose files were not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// `volume3:\\`
    pub path: String,
    /// What it is: `BitLocker`.
    pub what: &'static str,
    pub why: String,
}

/// Reads a SYSTEM hive, with its logs, for the letters it gave to volumes: letter,
/// and what tells the volume (`MountedDevices`).
pub type DriveLetters<'a> = dyn Fn(&dyn ReadAt, &[&dyn ReadAt]) -> Vec<(char, Vec<u8>)> + Sync + 'a;

/// A source, or a file of it, cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{}: no such file or folder; check the spelling and the mount", path.display())]
    Missing { path: PathBuf },
    #[error("{}: cannot be read: {error}; run as root or administrator", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{} is {what}: {advice}", path.display())]
    Unsupported { path: PathBuf, what: &'static str, advice: &'static str },
    #[error(transparent)]
    Image(#[from] container::ContainerError),
    #[error("{path}: no such regular file in the evidence")]
    NotInEvidence { path: EvidencePath },
    #[error("{path}: cannot be opened: {error}")]
    File { path: EvidencePath, error: io::Error },
    #[error("{}: adit failed on it and went on without it ({what}); please report this", path.display())]
    Broken { path: PathBuf, what: String },
}

/// What there is to open in a source: those found by their folders in path order,
/// then the loose rest, if files lie beside them.
///
/// # Errors
///
/// When the source does not exist, cannot be listed, or is of a kind that this
/// version cannot read.
pub fn leads(source: &Path) -> Result<Vec<Lead>, SourceError> {
    let root;
    let source = if cfg!(windows) && is_drive(source) {
        root = PathBuf::from(format!("{}\\", source.display())); // `E:` alone is the drive's current folder
        &root
    } else {
        source
    };
    let metadata = std::fs::metadata(source).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SourceError::Missing { path: source.to_owned() },
        _ => SourceError::Unreadable { path: source.to_owned(), error },
    })?;
    if metadata.is_dir() {
        layout::open_folder(source)
    } else if metadata.is_file() {
        if let Some(hosts) = collection::open(source, collection::Wanted::Anything)? {
            return Ok(vec![Lead::open_already(source, hosts)]);
        }
        if container::open(source)?.is_some() {
            return Ok(vec![Lead::image(source)]);
        }
        layout::open_file(source).map(|host| vec![Lead::open_already(source, vec![host])])
    } else {
        Err(SourceError::Unsupported {
            path: source.to_owned(),
            what: "a device",
            advice: "devices come with a later version; mount it read-only and give the folder",
        })
    }
}

/// Opens everything in a source at once.
///
/// # Errors
///
/// As [`leads`] and [`Lead::open`], whichever fails first.
pub fn open(source: &Path, clues: Clues<'_>) -> Result<Vec<HostEvidence>, SourceError> {
    let hosts: Result<Vec<_>, _> =
        leads(source)?.into_iter().map(|lead| lead.open(clues)).collect();
    Ok(hosts?.into_iter().flatten().collect())
}

/// Whether a file is called as event logs and hives are, wherever it lies.
pub fn is_log_or_hive(path: &str) -> bool {
    const HIVES: [&str; 8] = [
        "system",
        "software",
        "sam",
        "security",
        "default",
        "ntuser.dat",
        "usrclass.dat",
        "amcache.hve",
    ];
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
    HIVES.contains(&name.as_str()) || name.ends_with(".evtx")
}

/// Whether a path is a drive without a folder: `E:`.
fn is_drive(path: &Path) -> bool {
    matches!(path.as_os_str().as_encoded_bytes(), [letter, b':'] if letter.is_ascii_alphabetic())
}
