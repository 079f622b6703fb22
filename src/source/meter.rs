//! A disk image in use, and how much of it was read.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{Problem, ReadAt};

use super::container::Image;

/// An image whose reads are counted.
pub struct DiskImage {
    image: Image,
    disk: Arc<Meter>,
}

impl DiskImage {
    pub(super) fn new(image: Image) -> Self {
        let disk = Meter { disk: Arc::clone(&image.disk), read: AtomicU64::new(0) };
        Self { image, disk: Arc::new(disk) }
    }

    /// The bytes of the disk; every read of them counts.
    pub(super) fn disk(&self) -> Arc<dyn ReadAt> {
        Arc::clone(&self.disk) as Arc<dyn ReadAt>
    }

    /// What it is, in a few words.
    pub fn format(&self) -> &'static str {
        self.image.format
    }

    /// All files it is made of.
    pub fn parts(&self) -> &[PathBuf] {
        &self.image.parts
    }

    /// Bytes of the disk.
    pub fn size(&self) -> u64 {
        self.disk.size()
    }

    /// Bytes of the disk that were read so far, repeated reads included.
    pub fn bytes_read(&self) -> u64 {
        self.disk.read.load(Ordering::Relaxed)
    }

    /// Packed chunks unpacked so far, and how many of them not for the first time;
    /// counted for E01.
    pub fn unpacked(&self) -> (u64, u64) {
        self.image.unpacked()
    }

    /// The damage met so far.
    pub fn problems(&self) -> Vec<Problem> {
        self.image.problems()
    }
}

/// Counts what is read of a disk.
struct Meter {
    disk: Arc<dyn ReadAt>,
    read: AtomicU64,
}

impl ReadAt for Meter {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.disk.read_at(offset, buf)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn data_from(&self, offset: u64) -> u64 {
        self.disk.data_from(offset)
    }

    fn forget(&self) {
        self.disk.forget();
    }
}
