//! Files that hold a file tree of their own, told from single files so that nobody
//! takes a look at the wrapping for a look at the evidence.

use std::path::Path;

use crate::model::ReadAt;

use super::vdi;
use crate::source::file::OpenFile;
use crate::source::{SourceError, partition};

const IMAGE: (&str, &str) = (
    "named like a disk image",
    "no disk or volume is in it that adit knows; convert it to raw or E01",
);
const ARCHIVE: (&str, &str) =
    ("an archive", "no evidence in it that can be read in place; unpack it and give the folder");
/// First bytes of EWF (E01, L01, Ex01, Lx01), VMDK, VHDX, VHD, QCOW and AFF files.
const IMAGE_STARTS: [&[u8]; 10] = [
    b"EVF\x09\x0d\x0a\xff\x00",
    b"LVF\x09\x0d\x0a\xff\x00",
    b"EVF2\x0d\x0a\x81\x00",
    b"LEF2\x0d\x0a\x81\x00",
    b"KDMV",
    b"# Disk DescriptorFile",
    b"vhdxfile",
    b"conectix",
    b"QFI\xfb",
    b"AFF10",
];

const IMAGE_NAMES: [&str; 15] = [
    "raw", "dd", "img", "001", "e01", "ex01", "l01", "lx01", "vmdk", "vhd", "vhdx", "vdi", "qcow2",
    "aff4", "ad1",
];

/// First bytes of 7z, RAR, gzip, xz, bzip2 and zstd files.
const ARCHIVE_STARTS: [&[u8]; 6] = [
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\x1f\x8b",
    b"\xfd7zXZ\x00",
    b"BZh",
    b"\x28\xb5\x2f\xfd",
];

/// Formats that parsers read whole; two of their bytes may look like a boot sector's.
const PARSED_STARTS: [&[u8]; 4] = [b"ElfFile\0", b"regf", b"MZ", b"PK"];

/// What a file is that must not be read as one file, and what to do instead.
///
/// # Errors
///
/// When the file cannot be read.
pub(in crate::source) fn of(
    path: &Path,
) -> Result<Option<(&'static str, &'static str)>, SourceError> {
    let unreadable = |error| SourceError::Unreadable { path: path.to_owned(), error };
    let file = OpenFile::open(&path.canonicalize().map_err(unreadable)?).map_err(unreadable)?;
    let mut start = [0; 512];
    let n = file.read_at(0, &mut start).map_err(unreadable)?;
    let start = start.get(..n).unwrap_or_default();
    let is =
        |offset: usize, bytes: &[u8]| start.get(offset..).is_some_and(|s| s.starts_with(bytes));
    let any = |starts: &[&[u8]]| starts.iter().any(|bytes| start.starts_with(bytes));
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let boots = is(510, b"\x55\xaa") && !is_parsed(start);
    if any(&IMAGE_STARTS) || is(3, b"NTFS    ") || boots || IMAGE_NAMES.contains(&&*extension) {
        return Ok(Some(IMAGE));
    }
    if is_archive(start) {
        return Ok(Some(ARCHIVE));
    }
    Ok(None)
}

/// Whether the content of a file among others is that of a disk image, or of a
/// part that begins like one.
pub(in crate::source) fn looks_like_image(path: &Path) -> bool {
    let Ok(file) = OpenFile::open(path) else { return false };
    let mut start = [0; 512];
    let n = file.read_at(0, &mut start).unwrap_or_default();
    let start = start.get(..n).unwrap_or_default();
    if is_archive(start) || is_parsed(start) {
        return false;
    }
    IMAGE_STARTS.iter().any(|bytes| start.starts_with(bytes))
        || vdi::begins_as_vdi(start)
        || partition::holds_disk_or_volume(&file)
}

/// Whether a file begins as an archive does.
pub(super) fn is_archive(start: &[u8]) -> bool {
    ARCHIVE_STARTS.iter().any(|bytes| start.starts_with(bytes))
        || start.get(257..).is_some_and(|tar| tar.starts_with(b"ustar"))
}

/// Whether a file begins as one that a parser reads whole.
pub(super) fn is_parsed(start: &[u8]) -> bool {
    PARSED_STARTS.iter().any(|bytes| start.starts_with(bytes))
}
