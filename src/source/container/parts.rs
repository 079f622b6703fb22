//! The files an image is made of: read at any offset, opened when needed, so that
//! an image of a thousand segments does not hold a thousand handles. One may instead
//! lie within other evidence.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::ContainerError;
use crate::model::ReadAt;
use crate::source::file::OpenFile;

/// Files of one image held open at once.
const MAX_OPEN: usize = 64;

/// Files by number, in the order they were added.
pub(super) struct Parts {
    files: Vec<(PathBuf, u64)>,
    /// The first and only one, where that is no file of this system.
    within: Option<Arc<dyn ReadAt>>,
    /// The most recently used last.
    open: Mutex<VecDeque<(usize, Arc<OpenFile>)>>,
}

impl Parts {
    /// One file.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub(super) fn one(path: &Path) -> Result<Self, ContainerError> {
        let mut parts = Self { files: Vec::new(), within: None, open: Mutex::default() };
        parts.add(path)?;
        Ok(parts)
    }

    /// A file within other evidence, under the path that it is called by.
    pub(super) fn within(path: &Path, bytes: Arc<dyn ReadAt>) -> Self {
        let files = vec![(path.to_owned(), bytes.size())];
        Self { files, within: Some(bytes), open: Mutex::default() }
    }

    /// Adds a file and returns its number.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub(super) fn add(&mut self, path: &Path) -> Result<usize, ContainerError> {
        let unreadable = |error| ContainerError::Unreadable { path: path.to_owned(), error };
        let file = OpenFile::open(path).map_err(unreadable)?;
        let number = self.files.len();
        self.files.push((path.to_owned(), file.size()));
        self.keep(number, Arc::new(file));
        Ok(number)
    }

    /// See [`ReadAt::forget`]; of a file of this system nothing is kept.
    pub(super) fn forget(&self) {
        if let Some(bytes) = &self.within {
            bytes.forget();
        }
    }

    /// Every file, in order.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|(path, _)| path.clone()).collect()
    }

    /// The path of a file.
    pub(super) fn path(&self, number: usize) -> &Path {
        self.files.get(number).map_or(Path::new(""), |(path, _)| path)
    }

    /// The size of a file in bytes, that at opening.
    pub(super) fn size(&self, number: usize) -> u64 {
        self.files.get(number).map_or(0, |(_, size)| *size)
    }

    /// Fills `buf` from `offset` of a file.
    ///
    /// # Errors
    ///
    /// The read error, or `UnexpectedEof` when the file ends before; both name the
    /// file and the offset.
    pub(super) fn read_exact(&self, number: usize, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let n = self.read(number, offset, buf)?;
        if n == buf.len() {
            return Ok(());
        }
        let message = format!(
            "{}: ends at {:#x}, {} bytes are wanted at {offset:#x}",
            self.path(number).display(),
            self.size(number),
            buf.len()
        );
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, message))
    }

    /// Up to `len` bytes at `offset` of a file, fewer only at its end.
    ///
    /// # Errors
    ///
    /// The read error, naming the file and the offset.
    pub(super) fn bytes(&self, number: usize, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let left = self.size(number).saturating_sub(offset);
        let mut out = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(len)];
        let n = self.read(number, offset, &mut out)?;
        out.truncate(n);
        Ok(out)
    }

    fn read(&self, number: usize, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = match &self.within {
            Some(bytes) => bytes.read_at(offset, buf),
            None => self.file(number).and_then(|file| file.read_at(offset, buf)),
        };
        read.map_err(|error| {
            let path = self.path(number).display();
            io::Error::new(error.kind(), format!("{path}: at {offset:#x}: {error}"))
        })
    }

    fn file(&self, number: usize) -> io::Result<Arc<OpenFile>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.iter().position(|(n, _)| *n == number) {
            Some(at) if at.saturating_add(1) == open.len() || self.files.len() <= MAX_OPEN => {
                return open
                    .get(at)
                    .map(|(_, file)| Arc::clone(file))
                    .ok_or_else(|| io::ErrorKind::NotFound.into());
            }
            Some(at) => {
                let (_, file) = open.remove(at).ok_or(io::ErrorKind::NotFound)?;
                open.push_back((number, Arc::clone(&file)));
                return Ok(file);
            }
            None => drop(open),
        }
        let file = Arc::new(OpenFile::open(self.path(number))?);
        self.keep(number, Arc::clone(&file));
        Ok(file)
    }

    fn keep(&self, number: usize, file: Arc<OpenFile>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.iter().any(|(n, _)| *n == number) {
            return;
        }
        if open.len() >= MAX_OPEN {
            open.pop_front();
        }
        open.push_back((number, file));
    }
}
