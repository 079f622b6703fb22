//! Disk images as the disk they hold: raw and split raw, EWF (E01, Ex01), VMDK, VHD, VHDX,
//! VDI and QCOW2, told by their content.
//!
//! An image may be made of many files: segments, extents, parents. Segments lie
//! beside the first one under the name that follows. A parent is named by the
//! evidence, so its name is not followed everywhere: see `parent_beside`.
//!
//! Damage never turns into zeros: what cannot be read is an error of the reads that
//! touch it, and a [`Problem`] of the image.

mod bytes;
mod cache;
mod ewf;
mod heads;
mod inflate;
mod kind;
mod log;
mod pages;
mod parts;
mod qcow2;
mod raw;
mod runs;
mod series;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use md5::{Digest, Md5};
use sha1::Sha1;

use crate::model::{Problem, ReadAt};
use crate::source::file::OpenFile;

#[cfg(any(windows, test))]
pub(in crate::source) use cache::Cache;
pub use heads::heads;
pub(in crate::source) use kind::{looks_like_image, of};
use log::Log;
use parts::Parts;

/// Images stacked on one another: a snapshot, its parent, that one's parent.
const MAX_CHAIN: usize = 32;
/// Bytes read at once when a whole disk is hashed.
const VERIFY_BLOCK: usize = 8 << 20;

/// A disk image, opened.
pub struct Image {
    /// The bytes of the disk. A read that touches what is damaged or missing fails
    /// as a whole, with an error that names file and offset.
    pub disk: Arc<dyn ReadAt>,
    /// What it is, in a few words for a person.
    pub format: &'static str,
    /// All files it is made of: the given one first, its segments or extents in
    /// order, then its parents with theirs.
    pub parts: Vec<PathBuf>,
    /// Hashes of the disk that the image itself records, MD5 before SHA-1.
    pub stored: Vec<StoredHash>,
    log: Log,
}

/// A hash that an image records of the disk it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredHash {
    pub kind: HashKind,
    /// Lowercase hexadecimal.
    pub hex: String,
}

/// The hashes that acquisition tools store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashKind {
    Md5,
    Sha1,
}

/// A stored hash beside that of the bytes as they are read today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub stored: StoredHash,
    /// Lowercase hexadecimal.
    pub found: String,
}

impl Verified {
    /// Whether the disk is still the one that was acquired.
    pub fn matches(&self) -> bool {
        self.stored.hex == self.found
    }
}

impl Image {
    /// The damage met so far, at opening and by reads since, in order.
    pub fn problems(&self) -> Vec<Problem> {
        self.log.problems()
    }

    /// Packed chunks unpacked so far, and how many of them not for the first time;
    /// counted for E01 and Ex01.
    pub fn unpacked(&self) -> (u64, u64) {
        self.log.work()
    }

    /// Reads the whole disk and compares it with the stored hashes; empty when none
    /// is stored. `progress` is told the bytes done.
    ///
    /// # Errors
    ///
    /// The first read error.
    pub fn verify(&self, progress: &dyn Fn(u64)) -> io::Result<Vec<Verified>> {
        if self.stored.is_empty() {
            return Ok(Vec::new());
        }
        let (mut md5, mut sha1) = (Md5::new(), Sha1::new());
        let sha1_wanted = self.stored.iter().any(|hash| hash.kind == HashKind::Sha1);
        let mut next = vec![0; VERIFY_BLOCK];
        let mut block = vec![0; VERIFY_BLOCK];
        let mut filled = self.disk.read_at(0, &mut block)?;
        let mut at = 0u64;
        while filled > 0 {
            let bytes = block.get(..filled).unwrap_or_default();
            at = at.saturating_add(filled as u64);
            let hash = || {
                md5.update(bytes);
                if sha1_wanted {
                    sha1.update(bytes);
                }
            };
            let (read, ()) = rayon::join(|| self.disk.read_at(at, &mut next), hash);
            filled = read?;
            progress(at);
            std::mem::swap(&mut block, &mut next);
        }
        let (md5, sha1) = (hex(&md5.finalize()), hex(&sha1.finalize()));
        let found = |kind| match kind {
            HashKind::Md5 => md5.clone(),
            HashKind::Sha1 => sha1.clone(),
        };
        let verified =
            |hash: &StoredHash| Verified { stored: hash.clone(), found: found(hash.kind) };
        Ok(self.stored.iter().map(verified).collect())
    }
}

/// Bytes as lowercase hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file that looks like a disk image and cannot be opened as one.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    #[error("{}: cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}: damaged {format} at offset {offset:#x}: {what}", path.display())]
    Damaged { path: PathBuf, format: &'static str, offset: u64, what: String },
    #[error("{}: {format}: {what}", path.display())]
    Unsupported { path: PathBuf, format: &'static str, what: String },
    #[error("{}: continues {}: give that one", path.display(), first.display())]
    Continuation { path: PathBuf, first: PathBuf },
    #[error("{}: holds only what changed since its parent {parent:?}, which {why}", path.display())]
    Parent { path: PathBuf, parent: String, why: String },
}

impl ContainerError {
    /// A structure of `format` at `offset` of `path` that cannot be.
    fn damaged(path: &Path, format: &'static str, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), format, offset, what: what.into() }
    }

    fn unsupported(path: &Path, format: &'static str, what: impl Into<String>) -> Self {
        Self::Unsupported { path: path.to_owned(), format, what: what.into() }
    }

    fn unreadable(path: &Path, error: io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), error }
    }
}

/// What a format's reader gives.
struct Opened {
    disk: Arc<dyn ReadAt>,
    format: &'static str,
    parts: Vec<PathBuf>,
    stored: Vec<StoredHash>,
    /// What its children know it by: UUID, GUID or CID.
    identity: Option<String>,
}

impl Opened {
    fn logged(self, log: Log) -> Image {
        let Self { disk, format, parts, stored, .. } = self;
        Image { disk, format, parts, stored, log }
    }
}

/// How a parent is to be read.
#[derive(Clone, Copy)]
enum ParentKind {
    ByContent,
    /// The child says that it is raw, whatever it looks like.
    Raw,
}

/// How an image came to be opened: by the user, as the parent of others, or as a file
/// within other evidence.
#[derive(Clone, Default)]
struct Context {
    log: Log,
    /// The images above it, outermost first.
    children: Vec<PathBuf>,
    /// Its bytes, where its path is none of this system: then nothing lies beside it.
    within: Option<Arc<dyn ReadAt>>,
}

impl Context {
    /// The image's own file.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    fn parts(&self, path: &Path) -> Result<Parts, ContainerError> {
        match &self.within {
            Some(bytes) => Ok(Parts::within(path, Arc::clone(bytes))),
            None => Parts::one(path),
        }
    }

    /// What an image names, if it lies where that may be looked for.
    fn beside(&self, image: &Path, name: &str) -> Option<PathBuf> {
        if self.within.is_some() { None } else { parent_beside(image, name) }
    }

    /// Opens the parent of `child`, which must be an image itself.
    ///
    /// # Errors
    ///
    /// When it cannot be found or opened, or the chain is too long or a loop.
    fn parent(&self, child: &Path, names: &[String]) -> Result<(PathBuf, Opened), ContainerError> {
        self.parent_of_kind(child, names, ParentKind::ByContent)
    }

    fn parent_of_kind(
        &self,
        child: &Path,
        names: &[String],
        kind: ParentKind,
    ) -> Result<(PathBuf, Opened), ContainerError> {
        let named = names.first().cloned().unwrap_or_default();
        let fail = |why: String| ContainerError::Parent {
            path: child.to_owned(),
            parent: named.clone(),
            why,
        };
        if self.within.is_some() {
            let why = "is not looked for within evidence: take both out and give the later one";
            return Err(fail(why.to_owned()));
        }
        let Some(path) = names.iter().find_map(|name| self.beside(child, name)) else {
            return Err(fail("does not lie beside it: put it there".to_owned()));
        };
        let mut context = self.clone();
        context.children.push(child.to_owned());
        if context.children.len() > MAX_CHAIN {
            return Err(fail(format!("is the last of more than {MAX_CHAIN}")));
        }
        if context.children.iter().any(|above| same_file(above, &path)) {
            return Err(fail("is its own child".to_owned()));
        }
        let opened = match kind {
            ParentKind::ByContent => open_one(&path, &context),
            ParentKind::Raw => raw::whole(&path).map(Some),
        };
        match opened {
            Ok(Some(opened)) => Ok((path, opened)),
            Ok(None) => Err(fail("is no disk image".to_owned())),
            Err(error) => Err(fail(format!("cannot be opened: {error}"))),
        }
    }
}

/// The file name of an opened image.
fn name_of(opened: &Opened) -> String {
    let name = opened.parts.first().and_then(|path| path.file_name());
    name.unwrap_or_default().to_string_lossy().into_owned()
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The parent that the evidence names, if it lies where one may be looked for.
///
/// A name in an image was written on another machine, or by someone who wants
/// other files read. So a relative name is followed only below the child's folder
/// or, with one leading `..`, below the folder above it, and no link leads out of
/// there; of every name, the last component is then looked for beside the child, in
/// any letter case. Absolute paths are never followed.
fn parent_beside(child: &Path, name: &str) -> Option<PathBuf> {
    let name = name.strip_prefix("file:").unwrap_or(name).replace('\\', "/");
    let folder = folder_of(child);
    let absolute = name.starts_with('/') || name.contains(':');
    let mut components: Vec<&str> =
        name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let last = *components.last()?;
    if !absolute {
        let mut base = folder.to_owned();
        if components.first() == Some(&"..") {
            components.remove(0);
            base.push("..");
        }
        let path = base.join(components.iter().collect::<PathBuf>());
        if !components.contains(&"..") && is_regular_below(&path, &base) {
            return Some(path);
        }
    }
    beside(folder, last)
}

fn is_regular_below(path: &Path, base: &Path) -> bool {
    let (Ok(path), Ok(base)) = (path.canonicalize(), base.canonicalize()) else { return false };
    path.starts_with(base) && path.is_file()
}

/// The regular file of that name in a folder, in any letter case, its own first.
fn beside(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut components = Path::new(name).components();
    if !matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)) {
        return None;
    }
    let regular = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_file());
    let exact = folder.join(name);
    if regular(&exact) {
        return Some(exact);
    }
    let mut others: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().eq_ignore_ascii_case(name))
        .map(|entry| entry.path())
        .collect();
    others.sort();
    others.into_iter().find(|path| regular(path))
}

/// The folder that a file lies in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens a file as a disk image; `None` when it is neither a container nor the
/// bytes of a disk or volume.
///
/// # Errors
///
/// When it is one and cannot be read, is damaged where nothing can be read without,
/// lacks its parent, is a later segment, or is of a kind that is not supported.
pub fn open(path: &Path) -> Result<Option<Image>, ContainerError> {
    let linked = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
    let target = if linked {
        path.canonicalize().map_err(|error| ContainerError::unreadable(path, error))?
    } else {
        path.to_owned()
    };
    let context = Context::default();
    let opened = open_one(&target, &context)?;
    Ok(opened.map(|opened| opened.logged(context.log)))
}

/// Opens a file within other evidence as the disk of a virtual machine; `None` when it is
/// none. `path` is what it is called by.
///
/// # Errors
///
/// As [`open`]; also when it is made of several files, which are not looked for there.
pub(in crate::source) fn open_within(
    path: &Path,
    bytes: Arc<dyn ReadAt>,
) -> Result<Option<Image>, ContainerError> {
    let context = Context { within: Some(Arc::clone(&bytes)), ..Context::default() };
    let opened = open_virtual(path, &*bytes, &context)?;
    Ok(opened.map(|opened| opened.logged(context.log)))
}

fn open_one(path: &Path, context: &Context) -> Result<Option<Opened>, ContainerError> {
    let file = OpenFile::open(path).map_err(|error| ContainerError::unreadable(path, error))?;
    let mut start = [0; 512];
    let start = start_of(path, &file, &mut start)?;
    if ewf::begins_as_segment(start) {
        return ewf::open(path, context).map(Some);
    }
    if let Some((format, what)) = refused(start) {
        return Err(ContainerError::unsupported(path, format, what));
    }
    match open_virtual(path, &file, context)? {
        Some(opened) => Ok(Some(opened)),
        None => raw::open(path, &file, context),
    }
}

fn start_of<'b>(
    path: &Path,
    file: &dyn ReadAt,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], ContainerError> {
    let n = file.read_at(0, buffer).map_err(|error| ContainerError::unreadable(path, error))?;
    Ok(buffer.get(..n).unwrap_or_default())
}

/// Opens the disk of a virtual machine.
fn open_virtual(
    path: &Path,
    file: &dyn ReadAt,
    context: &Context,
) -> Result<Option<Opened>, ContainerError> {
    let mut start = [0; 512];
    let start = start_of(path, file, &mut start)?;
    let is = |bytes: &[u8]| start.starts_with(bytes);
    if is(qcow2::SIGNATURE) {
        return qcow2::open(path, context).map(Some);
    }
    if is(vhdx::SIGNATURE) {
        return vhdx::open(path, context).map(Some);
    }
    if vdi::begins_as_vdi(start) {
        return vdi::open(path, context).map(Some);
    }
    if vmdk::SIGNATURES.iter().any(|bytes| is(bytes)) {
        return vmdk::open(path, context).map(Some);
    }
    if is(vhd::SIGNATURE) || vhd::ends_as_vhd(file) {
        return vhd::open(path, context).map(Some);
    }
    Ok(None)
}

/// Fills from the image below at the same place; zeros beyond its end, and where
/// there is none.
fn read_below(parent: Option<&dyn ReadAt>, at: u64, to: &mut [u8]) -> io::Result<()> {
    let mut filled = 0usize;
    if let Some(parent) = parent {
        filled = parent.read_at(at, to)?;
    }
    to.get_mut(filled..).unwrap_or_default().fill(0);
    Ok(())
}

/// Containers that are told and not read.
fn refused(start: &[u8]) -> Option<(&'static str, &'static str)> {
    let known: [(&[u8], &str, &str); 3] = [
        (b"LVF\x09\x0d\x0a\xff\x00", "L01", "holds files and no disk: not supported"),
        (b"LEF2\x0d\x0a\x81\x00", "Lx01", "holds files and no disk: not supported"),
        (b"AFF10\x0d\x0a\x00", "AFF", "not supported: convert it to E01 or raw"),
    ];
    known
        .into_iter()
        .find(|(bytes, ..)| start.starts_with(bytes))
        .map(|(_, format, what)| (format, what))
}
