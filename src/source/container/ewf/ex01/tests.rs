//! Images made by hand: all forms of chunks, segments missing, every structure damaged.

use std::fs;
use std::io::Write;

use super::super::super::{ContainerError, HashKind, heads, open};
use super::super::head::Version;
use super::super::tests::{CHUNK, Case, unreadable_of};
use super::*;

const CHUNKS_IN_SEGMENT: usize = 12;
const CHUNKS_IN_TABLE: usize = 6;
const SET: [u8; 16] = *b"the set of disks";

/// A disk whose chunks can be told apart; those of number 6n + 3 hold one pattern.
fn disk() -> Vec<u8> {
    let mut disk = Vec::new();
    for n in 0..30u32 {
        if n % 6 == 3 {
            disk.extend([b'p', b'a', b't', n as u8, 1, 2, 3, 4].repeat(CHUNK / 8));
        } else {
            let words = 0..CHUNK as u32 / 4;
            disk.extend(words.flat_map(|at| (n.wrapping_mul(77) ^ at).to_le_bytes()));
        }
    }
    disk.truncate(29 * CHUNK + 512);
    disk
}

fn section(file: &mut Vec<u8>, kind: u32, data: &[u8]) {
    // The descriptor before, if one is there, ends where this data begins.
    let previous = if file.len() == 32 { 0 } else { file.len() as u64 - 64 };
    let mut data = data.to_vec();
    data.resize(data.len().next_multiple_of(16), 0);
    let mut descriptor = vec![0; 60];
    descriptor[..4].copy_from_slice(&kind.to_le_bytes());
    descriptor[4..8].copy_from_slice(&HASHED.to_le_bytes());
    descriptor[8..16].copy_from_slice(&previous.to_le_bytes());
    descriptor[16..24].copy_from_slice(&(data.len() as u64).to_le_bytes());
    descriptor[24..28].copy_from_slice(&64u32.to_le_bytes());
    descriptor[32..48].copy_from_slice(&Md5::digest(&data));
    descriptor.extend(adler32(&descriptor).to_le_bytes());
    file.extend(data);
    file.extend(descriptor);
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
    zlib.write_all(data).unwrap();
    zlib.finish().unwrap()
}

fn bzipped(data: &[u8]) -> Vec<u8> {
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(data).unwrap();
    bzip2.finish().unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// Header, padding, checksum and so on of a sector table.
fn table(first: u64, entries: &[u8]) -> Vec<u8> {
    let mut data = first.to_le_bytes().to_vec();
    data.extend((entries.len() as u32 / 16).to_le_bytes());
    data.extend([0; 4]);
    data.extend(adler32(&data).to_le_bytes());
    data.resize(32, 0);
    data.extend(entries);
    data.extend(adler32(entries).to_le_bytes());
    data
}

/// The data of a chunk as it is stored, its entry's first bytes and its flags.
fn stored(n: usize, chunk: &[u8], at: usize) -> (Vec<u8>, [u8; 8], u32) {
    let at = (at as u64).to_le_bytes();
    match n % 6 {
        0 => {
            let mut bytes = chunk.to_vec();
            bytes.extend(adler32(chunk).to_le_bytes());
            (bytes, at, CHECKED)
        }
        1 | 4 => (deflated(chunk), at, PACKED),
        2 => (bzipped(chunk), at, PACKED),
        3 => (Vec::new(), chunk[..8].try_into().unwrap(), PACKED | PATTERN),
        // As EnCase has it: from the first block on and no further than the last.
        _ => {
            let whole = bzipped(chunk);
            (whole[4..whole.len() - 10].to_vec(), at, PACKED)
        }
    }
}

const PACKED: u32 = 1;
const CHECKED: u32 = 2;
const PATTERN: u32 = 4;

/// The segments of a disk: two tables in each.
fn segments() -> Vec<Vec<u8>> {
    let disk = disk();
    let device = format!("1\nmain\nsn\tbp\tts\n\t512\t{}\n\n", disk.len() / 512);
    let case = "1\nmain\nnm\tcp\tsb\n\t1\t8\n\n";
    let chunks: Vec<(usize, &[u8])> = disk.chunks(CHUNK).enumerate().collect();
    let all: Vec<&[(usize, &[u8])]> = chunks.chunks(CHUNKS_IN_SEGMENT).collect();
    let mut files = Vec::new();
    for (number, chunks) in all.iter().enumerate() {
        let mut file = Version::Two.signature().to_vec();
        file.extend([2, 1, 1, 0, number as u8 + 1, 0, 0, 0]);
        file.extend(SET);
        section(&mut file, DEVICE, &deflated(&utf16(&device)));
        // Packed either way, or not.
        let texts = [bzipped(&utf16(case)), utf16(case), deflated(&utf16(case))];
        section(&mut file, CASE, &texts[number]);
        for group in chunks.chunks(CHUNKS_IN_TABLE) {
            let (mut data, mut entries) = (Vec::new(), Vec::new());
            for (n, chunk) in group {
                let (bytes, place, flags) = stored(*n, chunk, file.len() + data.len());
                entries.extend(place);
                entries.extend((bytes.len() as u32).to_le_bytes());
                entries.extend(flags.to_le_bytes());
                data.extend(bytes);
            }
            section(&mut file, 3, &data);
            section(&mut file, TABLE, &table(group[0].0 as u64, &entries));
        }
        if number + 1 == all.len() {
            let mut hash = Md5::digest(&disk).to_vec();
            hash.extend(adler32(&hash).to_le_bytes());
            section(&mut file, MD5, &hash);
            section(&mut file, DONE, &[]);
        } else {
            section(&mut file, NEXT, &[]);
        }
        files.push(file);
    }
    files
}

/// Offsets of the descriptors of a kind, first to last.
fn places(file: &[u8], kind: u32) -> Vec<usize> {
    let at = (32..file.len() - 63).filter(|at| parse(&file[*at..], *at as u64).is_some());
    at.filter(|at| file[*at..*at + 4] == kind.to_le_bytes()).collect()
}

/// Changes a descriptor and makes its checksum right again.
fn change(file: &mut [u8], at: usize, field: usize, bytes: &[u8]) {
    file[at + field..at + field + bytes.len()].copy_from_slice(bytes);
    let sum = adler32(&file[at..at + 60]);
    file[at + 60..at + 64].copy_from_slice(&sum.to_le_bytes());
}

fn unreadable(files: &[Vec<u8>]) -> (Vec<usize>, Vec<String>) {
    let image = Case::named("Ex", files).open();
    let bad = unreadable_of(&image, &disk());
    (bad, image.problems().into_iter().map(|problem| problem.message).collect())
}

#[test]
fn segments_are_joined_and_nothing_is_wrong() {
    let case = Case::named("Ex", &segments());
    let image = case.open();
    assert_eq!((image.disk.size(), image.parts.len()), (disk().len() as u64, 3));
    assert_eq!(unreadable_of(&image, &disk()), [0; 0]);
    assert_eq!(image.problems(), []);
    assert_eq!(image.format, "Ex01");
    let verified = image.verify(&|_| {}).unwrap();
    assert!(verified.len() == 1 && verified[0].matches());
    assert_eq!(verified[0].stored.kind, HashKind::Md5);
    let given = [3, 1, 2].map(|n| case.path(n));
    assert_eq!(heads(&given), [case.path(1)]);
    let Err(ContainerError::Continuation { first, .. }) = open(&case.path(2)) else { panic!() };
    assert_eq!(first, case.path(1));
    // The last chunk is unpacked once, however often it is read.
    assert_eq!(image.unpacked().1, 0);
}

#[test]
fn a_missing_segment_is_named_and_the_rest_is_read() {
    for (missing, lost) in [(2, 12..24), (3, 24..30)] {
        let case = Case::named("Ex", &segments());
        fs::remove_file(case.path(missing)).unwrap();
        let image = case.open();
        assert_eq!(unreadable_of(&image, &disk()), lost.collect::<Vec<_>>());
        let name = format!("x.Ex{missing:02}");
        let problems = image.problems();
        assert!(problems.iter().any(|problem| {
            problem.path.as_ref().unwrap().as_str().ends_with(&name)
                && problem.message.contains("missing")
        }));
        let error = image.disk.read_at(0, &mut vec![0; disk().len()]).unwrap_err();
        assert!(error.to_string().contains(&name), "{error}");
    }
}

#[test]
fn sections_before_a_damaged_descriptor_are_found() {
    for (kind, nth) in [(NEXT, 0), (TABLE, 1), (3, 1), (TABLE, 0), (CASE, 0), (DEVICE, 0)] {
        let mut files = segments();
        let at = places(&files[1], kind)[nth];
        files[1][at + 20] ^= 1;
        let (bad, problems) = unreadable(&files);
        assert_eq!((bad, problems.len()), (vec![], 1), "{kind} {nth}: {problems:?}");
    }
    // Two in a row: the table, which ends before the second, is not found.
    let mut files = segments();
    for at in [places(&files[1], 3)[1], places(&files[1], TABLE)[1]] {
        files[1][at + 20] ^= 1;
    }
    let (bad, problems) = unreadable(&files);
    assert_eq!(bad, (18..24).collect::<Vec<_>>());
    assert!(problems.iter().any(|problem| problem.contains("6 of 30 chunks")), "{problems:?}");
}

#[test]
fn a_cut_segment_is_read_as_far_as_it_goes() {
    let files = segments();
    let tables = places(&files[1], TABLE);
    for (len, lost) in [(tables[1] + 63, 0..0), (tables[0] + 64 + 40, 18..24), (200, 12..24)] {
        let mut files = files.clone();
        files[1].truncate(len);
        let (bad, problems) = unreadable(&files);
        assert_eq!(bad, lost.collect::<Vec<_>>(), "{len}");
        assert!(!problems.is_empty());
    }
    let mut files = files;
    files[2].extend([0; 4711]);
    assert_eq!(unreadable(&files).0, [0; 0]);
}

#[test]
fn an_image_on_the_disk_is_not_taken_for_this_one() {
    let files = segments();
    let mut outer = files[0][..places(&files[0], CASE)[0] + 64].to_vec();
    outer.extend([7; 33]);
    outer.extend(&files[0]);
    outer.extend([7; 100]);
    let (bad, problems) = unreadable(&[outer]);
    assert_eq!(bad, (0..30).collect::<Vec<_>>());
    assert!(problems.iter().any(|problem| problem.contains("30 of 30 chunks")), "{problems:?}");
}

#[test]
fn a_pattern_by_a_damaged_table_is_not_believed() {
    let mut files = segments();
    let tables = places(&files[1], TABLE);
    // The flags of the first entry of the second table, then its header.
    let data = |files: &[Vec<u8>], at: usize| at - le64(&files[1], at + 16).unwrap() as usize;
    let second = data(&files, tables[1]);
    files[1][second + 32 + 13] ^= 1;
    let (bad, problems) = unreadable(&files);
    assert_eq!(bad, [21]);
    assert!(problems.iter().any(|problem| problem.contains("checksum")), "{problems:?}");
    files[1][second] ^= 1;
    assert_eq!(unreadable(&files).0, (18..24).collect::<Vec<_>>());
}

#[test]
fn a_damaged_chunk_is_an_error_that_names_its_place() {
    let mut files = segments();
    let at = places(&files[1], CASE)[0] + 64;
    files[1][at + 100] ^= 1;
    files[1][at + CHUNK + 4 + 40] ^= 1;
    let case = Case::named("Ex", &files);
    let image = case.open();
    assert_eq!(unreadable_of(&image, &disk()), [12, 13]);
    let error = image.disk.read_at(12 * CHUNK as u64, &mut [0]).unwrap_err();
    assert!(error.to_string().contains("x.Ex02") && error.to_string().contains("chunk 12 at 0x"));
    assert_eq!(image.problems().len(), 2);
}

#[test]
fn a_segment_of_another_image_is_not_believed() {
    let mut files = segments();
    files[1][16] ^= 1;
    let (bad, problems) = unreadable(&files);
    assert_eq!(bad, (12..24).collect::<Vec<_>>());
    assert!(problems.iter().any(|problem| problem.contains("another image")), "{problems:?}");
    let mut files = segments();
    files.swap(1, 2);
    assert!(unreadable(&files).0.iter().all(|chunk| *chunk >= 12));
}

#[test]
fn chains_that_do_not_end_and_absurd_tables_are_refused() {
    let files = segments();
    let at = places(&files[1], TABLE)[1];
    for previous in [at as u64, at as u64 + 64, u64::MAX, u64::MAX - 63, at as u64 - 1] {
        let mut files = files.clone();
        change(&mut files[1], at, 8, &previous.to_le_bytes());
        let (bad, problems) = unreadable(&files);
        assert_eq!((bad, problems.len()), (vec![], 1), "{previous:#x}: {problems:?}");
    }
    let mut sized = files.clone();
    change(&mut sized[1], at, 16, &u64::MAX.to_le_bytes());
    assert_eq!(unreadable(&sized).0, [0; 0]);
    let data = at - le64(&files[1], at + 16).unwrap() as usize;
    for (field, value, lost) in [(8, u32::MAX, 18..24), (8, 0, 18..24), (4, u32::MAX, 18..24)] {
        let mut files = files.clone();
        files[1][data + field..data + field + 4].copy_from_slice(&value.to_le_bytes());
        let sum = adler32(&files[1][data..data + 16]).to_le_bytes();
        files[1][data + 16..data + 20].copy_from_slice(&sum);
        let (bad, problems) = unreadable(&files);
        assert_eq!(bad, lost.collect::<Vec<_>>(), "{field} {value}");
        assert!(!problems.is_empty());
    }
    // A table that says it holds the chunks of another.
    let mut twice = files;
    twice[1][data] = 0;
    let sum = adler32(&twice[1][data..data + 16]).to_le_bytes();
    twice[1][data + 16..data + 20].copy_from_slice(&sum);
    let (bad, problems) = unreadable(&twice);
    assert_eq!(bad, (18..24).collect::<Vec<_>>());
    assert!(problems.iter().any(|problem| problem.contains("stand in others")), "{problems:?}");
}

#[test]
fn what_cannot_be_opened_says_why() {
    let mut files = segments();
    let at = places(&files[0], CASE)[0];
    change(&mut files[0], at, 4, &(HASHED | ENCRYPTED).to_le_bytes());
    let said = |files: &[Vec<u8>]| {
        let case = Case::named("Ex", files);
        open(&case.path(1)).map(|_| ()).unwrap_err().to_string()
    };
    assert!(said(&files).contains("Ex01: encrypted"), "{}", said(&files));
    let mut files = segments();
    for file in &mut files {
        file[40] ^= 1;
    }
    assert!(said(&files).contains("no usable device information"), "{}", said(&files));
    let logical = [b"LEF2\r\n\x81\0", &segments()[0][8..]].concat();
    assert!(said(&[logical]).contains("Lx01: holds files and no disk"));
    for len in [8, 20, 32, 60] {
        assert!(said(&[segments()[0][..len].to_vec()]).contains("Ex01"), "{len}");
    }
}
