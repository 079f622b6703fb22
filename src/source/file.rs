//! One open file of a folder, read at any offset.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use crate::model::ReadAt;

/// An open file; its size is that at opening.
pub(super) struct OpenFile {
    file: File,
    size: u64,
}

impl OpenFile {
    /// Opens a regular file for reading, without touching its access time where
    /// the system allows that.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = open_quietly(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self { file, size: metadata.len() })
    }

    /// Opens what a link of the kernel's stands for.
    #[cfg(target_os = "linux")]
    pub(super) fn open_followed(link: &Path) -> io::Result<Self> {
        let file = File::open(link)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

/// Linux: a link that took the file's place is refused, a pipe does not block,
/// and the access time stays (only the owner and root may ask for that).
#[cfg(target_os = "linux")]
fn open_quietly(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let guards = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true);
    match options.custom_flags(guards | libc::O_NOATIME).open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            options.custom_flags(guards).open(path)
        }
        other => other,
    }
}

/// Windows: everybody else may go on reading, writing and deleting the file; a backup's
/// rights count where this process has them; and what lies only in the cloud is not
/// fetched for it.
#[cfg(windows)]
fn open_quietly(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::{MetadataExt, OpenOptionsExt};
    const FILE_SHARE_READ_WRITE_DELETE: u32 = 7;
    const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
    const FILE_FLAG_OPEN_NO_RECALL: u32 = 0x0010_0000;
    const FILE_ATTRIBUTE_OFFLINE: u32 = 0x1000;
    const FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS: u32 = 0x0040_0000;
    let mut options = OpenOptions::new();
    options.read(true).share_mode(FILE_SHARE_READ_WRITE_DELETE);
    let file =
        options.custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_NO_RECALL).open(path)?;
    let elsewhere = FILE_ATTRIBUTE_OFFLINE | FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS;
    if file.metadata()?.file_attributes() & elsewhere != 0 {
        let why = "its content is not on this machine (cloud or archive); not fetched";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    Ok(file)
}

#[cfg(not(any(target_os = "linux", windows)))]
fn open_quietly(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

impl ReadAt for OpenFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled: usize = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            if at >= self.size {
                break;
            }
            match read_once(&self.file, at, rest) {
                Ok(0) => break,
                Ok(n) => filled = filled.saturating_add(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

#[cfg(unix)]
fn read_once(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(windows)]
fn read_once(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}
