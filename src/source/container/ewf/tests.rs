//! Images made by hand: split, with segments missing, tables and chunks damaged.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use super::super::{ContainerError, Image, heads, open};
use super::*;

pub(super) const CHUNK: usize = 4096;
const CHUNKS_IN_SEGMENT: usize = 10;

/// A disk whose chunks can be told apart; every third is stored, the others deflated.
fn disk() -> Vec<u8> {
    let mut disk = Vec::new();
    for n in 0..25u32 {
        disk.extend((0..CHUNK as u32 / 4).flat_map(|at| (n.wrapping_mul(77) ^ at).to_le_bytes()));
    }
    disk.truncate(24 * CHUNK + 512);
    disk
}

fn section(file: &mut Vec<u8>, kind: &str, data: &[u8]) {
    let size = 76 + data.len() as u64;
    let next = if matches!(kind, "next" | "done") { 0 } else { size };
    let mut header = vec![0; 72];
    header[..kind.len()].copy_from_slice(kind.as_bytes());
    header[16..24].copy_from_slice(&(file.len() as u64 + next).to_le_bytes());
    header[24..32].copy_from_slice(&size.to_le_bytes());
    header.extend(adler32(&header).to_le_bytes());
    file.extend(header);
    file.extend(data);
}

fn volume(size: usize) -> Vec<u8> {
    let mut data = vec![0; 1048];
    data[4..8].copy_from_slice(&(size.div_ceil(CHUNK) as u32).to_le_bytes());
    data[8..12].copy_from_slice(&8u32.to_le_bytes());
    data[12..16].copy_from_slice(&512u32.to_le_bytes());
    data[16..24].copy_from_slice(&((size / 512) as u64).to_le_bytes());
    data.extend(adler32(&data).to_le_bytes());
    data
}

/// The segments of a disk: two tables in each, and where they lie.
fn segments() -> Vec<Vec<u8>> {
    let disk = disk();
    let chunks: Vec<&[u8]> = disk.chunks(CHUNK).collect();
    let all: Vec<&[&[u8]]> = chunks.chunks(CHUNKS_IN_SEGMENT).collect();
    let mut files = Vec::new();
    for (number, chunks) in all.iter().enumerate() {
        let mut file = Version::One.signature().to_vec();
        file.extend([1, number as u8 + 1, 0, 0, 0]);
        if number == 0 {
            section(&mut file, "volume", &volume(disk.len()));
        }
        for group in chunks.chunks(5) {
            let base = file.len() as u64 + 76;
            let (mut data, mut entries) = (Vec::new(), Vec::new());
            for (n, chunk) in group.iter().enumerate() {
                let mut entry = data.len() as u32;
                if n % 3 == 0 {
                    data.extend(*chunk);
                    data.extend(adler32(chunk).to_le_bytes());
                } else {
                    entry |= 1 << 31;
                    let mut zlib = flate2::write::ZlibEncoder::new(&mut data, Default::default());
                    zlib.write_all(chunk).unwrap();
                    zlib.finish().unwrap();
                }
                entries.extend(entry.to_le_bytes());
            }
            section(&mut file, "sectors", &data);
            let mut table = vec![0; 20];
            table[..4].copy_from_slice(&(group.len() as u32).to_le_bytes());
            table[8..16].copy_from_slice(&base.to_le_bytes());
            table.extend(adler32(&table).to_le_bytes());
            table.extend(&entries);
            table.extend(adler32(&entries).to_le_bytes());
            section(&mut file, "table", &table);
            section(&mut file, "table2", &table);
        }
        let last = number + 1 == all.len();
        section(&mut file, if last { "done" } else { "next" }, &[]);
        files.push(file);
    }
    files
}

pub(super) struct Case {
    folder: tempfile::TempDir,
    extension: &'static str,
}

impl Case {
    fn new(segments: &[Vec<u8>]) -> Self {
        Self::named("E", segments)
    }

    pub(super) fn named(extension: &'static str, segments: &[Vec<u8>]) -> Self {
        let case = Self { folder: tempfile::tempdir().unwrap(), extension };
        for (number, bytes) in segments.iter().enumerate() {
            fs::write(case.path(number + 1), bytes).unwrap();
        }
        case
    }

    pub(super) fn path(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("x.{}{number:02}", self.extension))
    }

    pub(super) fn open(&self) -> Image {
        open(&self.path(1)).unwrap().unwrap()
    }
}

/// The chunks that cannot be read; the others must be right.
fn unreadable(image: &Image) -> Vec<usize> {
    unreadable_of(image, &disk())
}

/// The chunks of that disk that cannot be read; the others must be right.
pub(super) fn unreadable_of(image: &Image, disk: &[u8]) -> Vec<usize> {
    let mut bad = Vec::new();
    for (number, chunk) in disk.chunks(CHUNK).enumerate() {
        let mut buf = vec![0; CHUNK];
        match image.disk.read_at((number * CHUNK) as u64, &mut buf) {
            Ok(n) => assert!(buf[..n] == *chunk, "chunk {number}"),
            Err(_) => bad.push(number),
        }
    }
    bad
}

/// Where a section of that kind begins, the `nth` in the file.
fn find(file: &[u8], kind: &str, nth: usize) -> usize {
    let mut name = kind.as_bytes().to_vec();
    name.resize(16, 0);
    let places = (0..file.len() - 16).filter(|at| file[*at..*at + 16] == *name);
    places.collect::<Vec<_>>()[nth]
}

#[test]
fn segments_are_joined_and_nothing_is_wrong() {
    let case = Case::new(&segments());
    let image = case.open();
    assert_eq!((image.disk.size(), image.parts.len()), (disk().len() as u64, 3));
    assert_eq!(unreadable(&image), [0; 0]);
    assert_eq!(image.problems(), []);
    let mut all = vec![0; disk().len() + 10];
    assert_eq!(image.disk.read_at(0, &mut all).unwrap(), disk().len());
    assert!(all.starts_with(&disk()));
    let given: Vec<PathBuf> = [3, 1, 2].map(|n| case.path(n)).to_vec();
    assert_eq!(heads(&given), [case.path(1)]);
    assert_eq!(heads(&given[..1]), given[..1]);
    let Err(ContainerError::Continuation { first, .. }) = open(&case.path(2)) else { panic!() };
    assert_eq!(first, case.path(1));
}

#[test]
fn a_missing_segment_is_named_and_the_rest_is_read() {
    for (missing, lost) in [(2, 10..20), (3, 20..25)] {
        let case = Case::new(&segments());
        fs::remove_file(case.path(missing)).unwrap();
        let image = case.open();
        assert_eq!(unreadable(&image), lost.collect::<Vec<_>>());
        let name = format!("x.E{missing:02}");
        assert!(image.problems().iter().any(|problem| {
            problem.path.as_ref().unwrap().as_str().ends_with(&name)
                && problem.message.contains("missing")
        }));
        let error = image.disk.read_at(24 * CHUNK as u64 - 1, &mut [0; 2]);
        assert_eq!(error.is_err(), missing == 3);
        let error = image.disk.read_at(0, &mut vec![0; disk().len()]).unwrap_err();
        assert!(error.to_string().contains(&name), "{error}");
    }
}

#[test]
fn the_copy_of_a_damaged_table_is_used() {
    for at in [76, 76 + 8, 76 + 24 + 4] {
        let mut files = segments();
        let table = find(&files[1], "table", 1);
        files[1][table + at] ^= 1;
        let image = Case::new(&files).open();
        assert_eq!(unreadable(&image), [0; 0], "{at}");
        assert_eq!(image.problems().len(), 1, "{at}: {:?}", image.problems());
    }
}

#[test]
fn a_table_lost_in_both_copies_loses_its_chunks_only() {
    let mut files = segments();
    for kind in ["table", "table2"] {
        let table = find(&files[1], kind, 0);
        files[1][table + 76] ^= 0xff;
    }
    let image = Case::new(&files).open();
    assert_eq!(unreadable(&image), [10, 11, 12, 13, 14]);
}

#[test]
fn a_damaged_chunk_is_an_error_that_names_its_place() {
    for within in [100, CHUNK + 4 + 10] {
        let mut files = segments();
        let at = find(&files[1], "sectors", 0) + 76 + within;
        files[1][at] ^= 0x10;
        let case = Case::new(&files);
        let image = case.open();
        let bad = unreadable(&image);
        assert_eq!(bad, [10 + within / CHUNK]);
        let error = image.disk.read_at((bad[0] * CHUNK) as u64, &mut [0]).unwrap_err();
        assert!(error.to_string().contains("x.E02"), "{error}");
        assert_eq!(image.problems().len(), 1);
    }
}

#[test]
fn a_cut_segment_is_read_as_far_as_it_goes() {
    let mut files = segments();
    let end = find(&files[2], "table", 0);
    files[2].truncate(end + 40);
    let image = Case::new(&files).open();
    assert_eq!(unreadable(&image), [20, 21, 22, 23, 24]);
    assert!(!image.problems().is_empty());
}

#[test]
fn segments_with_exchanged_names_are_not_believed() {
    let mut files = segments();
    files.swap(1, 2);
    let image = Case::new(&files).open();
    assert!(unreadable(&image).iter().all(|chunk| *chunk >= 10));
    assert!(!image.problems().is_empty());
}
