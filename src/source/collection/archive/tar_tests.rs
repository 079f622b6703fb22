//! Tar files as others write them, and as nobody should.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::testing::{gzip, tar};
use super::tests::{content, names, noise, said, walk};
use super::*;
use crate::source::{Filesystem, Kind};

const AT: u32 = 1_700_000_000;

fn open(bytes: Vec<u8>) -> Option<TarTree> {
    TarTree::open(unwrapped(Arc::new(bytes)).unwrap()).unwrap()
}

fn sample(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/source/collection");
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn holes_long_names_and_links_of_every_form() {
    let long = "n".repeat(120);
    for name in ["gnu.tar.gz", "pax-0.0.tar.gz", "pax-0.1.tar.gz", "pax-1.0.tar.gz"] {
        let tree = open(sample(name)).expect(name);
        assert_eq!(said(&tree), "", "{name}");
        let expected = ["d", "d/plain.txt", "hard", "holes.bin", "link", long.as_str()];
        assert_eq!(names(&tree), expected, "{name}");
        for path in ["holes.bin", "hard"] {
            let bytes = content(&tree, path).unwrap();
            assert_eq!(bytes.len(), 300_000, "{name} {path}");
            let hash: String =
                Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            let known = "30573d9eb6e6090d630b6a6774b7fdd2d48b4623cd5387d42102c3b09cd6013c";
            assert_eq!(hash, known, "{name} {path}");
        }
        assert_eq!(content(&tree, &long).unwrap(), b"long name\n");
        let (entries, _) = walk(&tree);
        assert_eq!(
            (entries[4].kind, entries[4].link_target.as_deref()),
            (Kind::Link, Some("holes.bin"))
        );
        let modified = entries[3].times.modified.unwrap();
        let nanos = if name == "gnu.tar.gz" { 0 } else { 250_000_000 };
        assert_eq!(
            (modified.as_second(), modified.subsec_nanosecond()),
            (AT.into(), nanos),
            "{name}"
        );
    }
}

#[test]
fn packed_in_one_and_in_many_members() {
    let long = noise(1 << 20);
    let bytes = tar(&[("a/1", b'0', "", &long), ("b", b'0', "", b"end")], AT);
    for (name, packed) in
        [("plain", bytes.clone()), ("one", gzip(&bytes, 1)), ("many", gzip(&bytes, 7))]
    {
        let tree = open(packed).expect(name);
        assert_eq!(names(&tree), ["a", "a/1", "b"], "{name}");
        assert_eq!(said(&tree), "", "{name}");
        assert_eq!(content(&tree, "b").unwrap(), b"end", "{name}");
        assert_eq!(content(&tree, "a/1").unwrap(), long, "{name}");
    }
}

#[test]
fn names_that_leave_are_refused_and_specials_shown() {
    let tree = open(tar(
        &[
            ("/etc/passwd", b'0', "", b"abs"),
            ("../../x", b'0', "", b"out"),
            ("./dev/null", b'3', "", b""),
            ("gone", b'1', "nowhere", b""),
            ("twice", b'0', "", b"1"),
            ("twice", b'0', "", b"2"),
            ("sly", b'2', "../../../etc/shadow", b""),
        ],
        AT,
    ))
    .unwrap();
    let expected = ["dev", "dev/null", "etc", "etc/passwd", "sly", "twice", "twice~2"];
    assert_eq!(names(&tree), expected);
    let said = said(&tree);
    assert!(said.contains("may leave the archive") && said.contains("absolute names"), "{said}");
    assert!(said.contains("not in the archive"), "{said}");
    let (entries, _) = walk(&tree);
    assert_eq!(entries[1].kind, Kind::Special);
    assert!(tree.open(&entries[4]).is_err());
}

#[test]
fn what_is_cut_off_is_read_as_far_as_it_goes() {
    let long = noise(200_000);
    let bytes = tar(&[("a", b'0', "", b"whole"), ("b", b'0', "", &long)], AT);
    let cut = &bytes[..100_000];
    let tree = open(cut.to_vec()).unwrap();
    assert_eq!(content(&tree, "a").unwrap(), b"whole");
    assert_eq!(content(&tree, "b").unwrap(), long[..100_000 - 1536]);
    assert!(said(&tree).contains("b: cut off"), "{}", said(&tree));
    let packed = gzip(&bytes, 1);
    let tree = open(packed[..packed.len() / 2].to_vec()).unwrap();
    assert_eq!(content(&tree, "a").unwrap(), b"whole");
    let part = content(&tree, "b").unwrap();
    assert!(part.len() > 50_000 && part == long[..part.len()], "{}", part.len());
    assert!(said(&tree).contains("cut off"), "{}", said(&tree));
}

#[test]
fn a_broken_header_loses_its_member_only() {
    let mut bytes = tar(&[("a", b'0', "", b"1"), ("b", b'0', "", b"2"), ("c", b'0', "", b"3")], AT);
    bytes[1024 + 5] ^= 1;
    let tree = open(bytes).unwrap();
    assert_eq!(names(&tree), ["a", "c"]);
    assert!(said(&tree).contains("bytes 1024 and 2048"), "{}", said(&tree));
}

#[test]
fn a_wrong_checksum_is_said() {
    let mut packed = gzip(&tar(&[("a", b'0', "", &noise(5_000))], AT), 1);
    let at = packed.len() - 8;
    packed[at] ^= 1;
    let tree = open(packed).unwrap();
    assert!(said(&tree).contains("checksum"), "{}", said(&tree));
    assert_eq!(content(&tree, "a").unwrap(), noise(5_000));
}

#[test]
fn what_is_no_tar_is_none() {
    for bytes in
        [Vec::new(), vec![0; 2048], noise(2048), gzip(b"a log\n", 1), b"\x1f\x8b\x08".to_vec()]
    {
        let source = unwrapped(Arc::new(bytes)).unwrap();
        assert!(!matches!(TarTree::open(source), Ok(Some(_))));
    }
}

#[test]
fn damage_never_stops_it() {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for name in ["gnu.tar.gz", "pax-0.0.tar.gz", "pax-0.1.tar.gz", "pax-1.0.tar.gz"] {
        let packed = sample(name);
        let source = unwrapped(Arc::new(packed.clone())).unwrap();
        let mut bytes = vec![0; 200_000];
        let n = read_full(&*source, 0, &mut bytes).unwrap();
        bytes.truncate(n);
        seeds.extend([packed, bytes]);
    }
    let mut state = 9_u32;
    for round in 0..1_200 {
        let mut damaged = seeds[round % seeds.len()].clone();
        for _ in 0..1 + round % 3 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (state >> 8) as usize % damaged.len();
            damaged[at] = (state >> 3) as u8;
        }
        if round % 7 == 0 {
            damaged.truncate((state >> 9) as usize % damaged.len());
        }
        let Ok(source) = unwrapped(Arc::new(damaged)) else { continue };
        let Ok(Some(tree)) = TarTree::open(source) else { continue };
        for entry in walk(&tree).0.iter().filter(|entry| entry.is_file()) {
            let Ok(file) = tree.open(entry) else { continue };
            let mut bytes = vec![0; 5_000];
            let _ = read_full(&*file, 0, &mut bytes);
            let _ = read_full(&*file, entry.size / 2, &mut bytes);
        }
    }
}
