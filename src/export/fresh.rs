//! A file that appears whole or not at all, and never through a link.
//!
//! It grows as `NAME.partial` and takes its name when it is finished. Both names
//! are refused when something planted a link there: an output file must not
//! become a way to write elsewhere, least of all onto evidence.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::ExportError;

/// What is kept on the disk is brought there after so many bytes, or so long.
const SETTLE_BYTES: u64 = 16 << 20;
const SETTLE_AFTER: Duration = Duration::from_secs(3);

/// Bytes gathered before the operating system is asked to write.
const BUFFER_BYTES: usize = 128 << 10;

/// An output file in the making.
#[derive(Debug)]
pub(super) struct Fresh {
    file: BufWriter<File>,
    path: PathBuf,
    partial: PathBuf,
    /// Bytes that may not be on the disk yet, and since when; none where the system is
    /// left to decide.
    unsettled: Option<(u64, Instant)>,
}

impl Fresh {
    /// Opens `path` for writing under its `.partial` name; what stood there from
    /// an earlier run is replaced.
    ///
    /// # Errors
    ///
    /// [`ExportError::Link`] when a link stands at either name, else what the
    /// operating system reports.
    pub(super) fn create(path: &Path) -> Result<Self, ExportError> {
        refuse_link(path)?;
        let partial = partial_name(path);
        refuse_link(&partial)?;
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ExportError::at(&partial, error));
            }
            _ => {}
        }
        // `create_new` never follows a link, even one planted since the look above.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&partial)
            .map_err(|error| ExportError::at(&partial, error))?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self { file, path: path.to_owned(), partial, unsettled: None })
    }

    /// The same, brought to the disk all the while: what is pulled out holds it but for
    /// the last moments.
    pub(super) fn kept_on_disk(self) -> Self {
        Self { unsettled: Some((0, Instant::now())), ..self }
    }

    /// Brings everything to the disk if it is kept there.
    fn settle(&mut self) -> io::Result<()> {
        self.file.flush()?;
        if self.unsettled.is_some() {
            self.file.get_ref().sync_data()?;
            self.unsettled = Some((0, Instant::now()));
        }
        Ok(())
    }

    /// Writes elsewhere than at the present place, at once.
    pub(super) fn put(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    }

    /// Ends the file at a byte; what is not handed over yet stays behind.
    pub(super) fn cut(&mut self, size: u64) -> io::Result<()> {
        self.file.get_ref().set_len(size)
    }

    /// The name the file will have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes and gives the file its name.
    pub(super) fn finish(self) -> Result<(), ExportError> {
        self.close(false)
    }

    /// As [`Self::finish`], with everything on the disk before the name is given.
    pub(super) fn finish_durably(self) -> Result<(), ExportError> {
        self.close(true)
    }

    fn close(self, durably: bool) -> Result<(), ExportError> {
        let Self { file, path, partial, .. } = self;
        let file =
            file.into_inner().map_err(|error| ExportError::at(&partial, error.into_error()))?;
        if durably {
            file.sync_all().map_err(|error| ExportError::at(&partial, error))?;
        }
        drop(file);
        refuse_link(&path)?;
        fs::rename(&partial, &path).map_err(|error| ExportError::at(&path, error))
    }
}

impl Write for Fresh {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.file.write(buf)?;
        if let Some((bytes, since)) = &mut self.unsettled {
            *bytes = bytes.saturating_add(n as u64);
            if *bytes >= SETTLE_BYTES || *bytes > 0 && since.elapsed() >= SETTLE_AFTER {
                self.settle()?;
            }
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.settle()
    }
}

impl Read for Fresh {
    /// Only behind a seek, which hands over what was written.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.file.get_mut().read(buf)
    }
}

impl Seek for Fresh {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        self.file.stream_position()
    }
}

/// Writes a small file whole.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    let mut file = Fresh::create(path)?;
    file.write_all(bytes).map_err(|error| ExportError::at(path, error))?;
    file.finish()
}

/// Creates a folder of the output, with its parents.
///
/// # Errors
///
/// [`ExportError::Link`] when the folder itself is a link.
pub(super) fn create_folder(path: &Path) -> Result<(), ExportError> {
    refuse_link(path)?;
    fs::create_dir_all(path).map_err(|error| ExportError::at(path, error))
}

/// Creates a folder in one that exists: where that is gone, it is not made anew, for it
/// may have lain on a volume that was pulled out.
///
/// # Errors
///
/// As [`create_folder`], and when the folder above is gone.
pub(super) fn enter_folder(path: &Path) -> Result<(), ExportError> {
    refuse_link(path)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(ExportError::at(path, error))
        }
        _ => Ok(()),
    }
}

/// An error when a link (or junction) stands at `path`.
pub(super) fn refuse_link(path: &Path) -> Result<(), ExportError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_symlink() => {
            Err(ExportError::Link { path: path.to_owned() })
        }
        _ => Ok(()),
    }
}

fn partial_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(".partial");
    PathBuf::from(name)
}
