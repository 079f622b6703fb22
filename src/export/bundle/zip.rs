//! The zip file, written member by member.
//!
//! Every member's sizes and checksum stand in the header before it as soon as it
//! is complete, so a file that was cut off can be read up to the member that was
//! being written. Member times are 1980-01-01: the clock stays out of the bundle.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use super::super::ExportError;
use super::super::fresh::Fresh;

/// Members that may reach this size get 64-bit sizes. Below 4 GiB, because
/// deflate can grow what it cannot shrink.
const LARGE_BYTES: u64 = 0xF000_0000;

/// A zip file in the making, under its `.partial` name until finished.
pub(super) struct Archive {
    zip: ZipWriter<Fresh>,
    path: PathBuf,
}

impl Archive {
    pub(super) fn create(path: &Path) -> Result<Self, ExportError> {
        let zip = ZipWriter::new(Fresh::create(path)?);
        Ok(Self { zip, path: path.to_owned() })
    }

    /// Begins a member; what is written from now on belongs to it.
    ///
    /// `size`: its bytes at most, as far as known.
    pub(super) fn begin(&mut self, name: &str, size: u64) -> Result<(), ExportError> {
        let options = SimpleFileOptions::DEFAULT
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::DEFAULT)
            .system(System::Unix)
            .unix_permissions(0o644)
            .large_file(size >= LARGE_BYTES);
        self.zip
            .start_file(name, options)
            .map_err(|error| ExportError::at(&self.path, error.into()))
    }

    /// Writes to the member begun last.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.zip.write_all(bytes).map_err(|error| ExportError::at(&self.path, error))
    }

    /// Writes the directory, brings everything to the disk and names the file.
    pub(super) fn finish(self) -> Result<(), ExportError> {
        let Self { zip, path } = self;
        let file = zip.finish().map_err(|error| ExportError::at(&path, io::Error::from(error)))?;
        file.finish_durably()
    }
}
