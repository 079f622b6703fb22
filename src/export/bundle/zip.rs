//! The zip file, written member by member.
//!
//! Every member's sizes and checksum stand in the header before it as soon as it
//! is complete, so a file that was cut off can be read up to the member that was
//! being written; `ending` keeps a directory behind them all the while. Member times are 1980-01-01: the clock stays out of the bundle.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zip::write::{PreparedZipFile, SimpleFileOptions};
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use super::super::ExportError;
use super::super::fresh::Fresh;
use super::ending::Ending;

/// Members that may reach this size get 64-bit sizes. Below 4 GiB, because
/// deflate can grow what it cannot shrink.
const LARGE_BYTES: u64 = 0xF000_0000;

/// A zip file in the making, under its `.partial` name until finished.
pub(super) struct Archive {
    /// None once finished.
    zip: Option<ZipWriter<Ending>>,
    path: PathBuf,
}

impl Archive {
    pub(super) fn create(path: &Path) -> Result<Self, ExportError> {
        let zip = Some(ZipWriter::new(Ending::new(Fresh::create(path)?.kept_on_disk())));
        Ok(Self { zip, path: path.to_owned() })
    }

    /// The name that it will have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a member; what is written from now on belongs to it.
    ///
    /// `size`: its bytes at most, as far as known.
    pub(super) fn begin(&mut self, name: &str, size: u64) -> Result<(), ExportError> {
        let options = options().large_file(size >= LARGE_BYTES);
        self.act(|zip| zip.start_file(name, options).map_err(io::Error::from))
    }

    /// Writes to the member begun last.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.act(|zip| zip.write_all(bytes))
    }

    /// Adds a small member at once; it and all before it are whole on the disk then.
    pub(super) fn add_durably(&mut self, name: &str, bytes: &[u8]) -> Result<(), ExportError> {
        self.act(|zip| {
            let member = PreparedZipFile::from_data(name, options(), bytes)?;
            zip.add_prepared_file(member)?;
            zip.flush()
        })
    }

    /// Writes the directory, brings everything to the disk and names the file.
    pub(super) fn finish(mut self) -> Result<(), ExportError> {
        let Some(zip) = self.zip.take() else { return Ok(()) };
        let whole = zip.finish().map_err(io::Error::from).and_then(Ending::cut);
        whole.map_err(|error| ExportError::at(&self.path, error))?.finish_durably()
    }

    fn act(
        &mut self,
        act: impl FnOnce(&mut ZipWriter<Ending>) -> io::Result<()>,
    ) -> Result<(), ExportError> {
        let closed = || io::Error::other("the bundle is finished already");
        let result = self.zip.as_mut().ok_or_else(closed).and_then(act);
        result.map_err(|error| ExportError::at(&self.path, error))
    }
}

impl Drop for Archive {
    /// What could not be finished stays as it was written: a directory after half a
    /// member would call it whole.
    fn drop(&mut self) {
        if let Some(zip) = self.zip.take() {
            std::mem::forget(zip);
        }
    }
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::DEFAULT
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::DEFAULT)
        .system(System::Unix)
        .unix_permissions(0o644)
}
