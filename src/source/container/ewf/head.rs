//! The header of a segment file: which version, which segment of which image.

use std::path::Path;

use super::super::bytes::{array, le16, le32};
use super::super::log::Log;
use super::super::parts::Parts;
use super::super::{ContainerError, ReadAt};
use super::ex01;
use super::section::Segment;
use crate::source::file::OpenFile;

/// Bytes of the longer header.
const HEAD_LEN: usize = 32;

/// The two layouts of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// What the header of a segment file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) version: Version,
    /// From 1 on.
    pub(super) number: u64,
    /// Of version 2: what all segments of an image have in common.
    pub(super) set: Option<[u8; 16]>,
}

/// Whether a file begins as a segment of either version.
pub(in crate::source::container) fn begins_as_segment(start: &[u8]) -> bool {
    version(start).is_some()
}

fn version(start: &[u8]) -> Option<Version> {
    [Version::One, Version::Two].into_iter().find(|it| start.starts_with(it.signature()))
}

impl Version {
    /// First bytes of every segment file.
    pub(super) fn signature(self) -> &'static [u8] {
        match self {
            Self::One => b"EVF\x09\x0d\x0a\xff\x00",
            Self::Two => b"EVF2\x0d\x0a\x81\x00",
        }
    }

    /// What images of it are called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::One => "E01",
            Self::Two => "Ex01",
        }
    }

    /// Whether a file begins as a segment of this version.
    pub(super) fn begins(self, path: &Path) -> bool {
        let mut start = [0; 8];
        let file = OpenFile::open(path);
        file.is_ok_and(|file| file.read_at(0, &mut start).is_ok() && start == self.signature())
    }

    /// Reads the sections of a segment file; what is wrong is noted.
    pub(super) fn segment(self, parts: &Parts, file: usize, log: &Log) -> Segment {
        match self {
            Self::One => Segment::read(parts, file, log),
            Self::Two => ex01::read(parts, file, log),
        }
    }

    /// That an image cannot be opened, since nothing tells its size.
    pub(super) fn no_volume(self, path: &Path) -> ContainerError {
        let (at, what) = match self {
            Self::One => (13, "no usable volume section"),
            Self::Two => (32, "no usable device information and case data"),
        };
        ContainerError::damaged(path, self.name(), at, what)
    }
}

impl Head {
    /// Reads the header of a segment file.
    ///
    /// # Errors
    ///
    /// When it is no EWF file.
    pub(super) fn read(parts: &Parts, file: usize) -> Result<Self, ContainerError> {
        let path = parts.path(file);
        let bytes = parts
            .bytes(file, 0, HEAD_LEN)
            .map_err(|error| ContainerError::unreadable(path, error))?;
        let version = version(&bytes)
            .ok_or_else(|| ContainerError::damaged(path, "E01", 0, "signature is wrong"))?;
        let number = match version {
            Version::One => le16(&bytes, 9).map(u64::from),
            Version::Two => le32(&bytes, 12).map(u64::from),
        };
        let cut = || ContainerError::damaged(path, version.name(), 8, "file header is cut");
        let set = match version {
            Version::One => None,
            Version::Two => Some(array(&bytes, 16).ok_or_else(cut)?),
        };
        Ok(Self { version, number: number.ok_or_else(cut)?, set })
    }
}
