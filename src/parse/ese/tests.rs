//! A real database made small, and pages made by hand.

use std::ops::ControlFlow;

use super::Database;
use super::page::Page;
use super::tree::join;
use crate::model::Damage;
use crate::parse::ParseError;
use crate::parse::testing::sample;

const NETWORK: &str = "{973F5D5C-1D90-4944-BE8E-24B94231A174}";
const PAGE: usize = 4096;

/// Live and recovered rows of the table of network use.
fn rows(bytes: &Vec<u8>, faults: &mut Vec<Damage>) -> (Vec<i64>, Vec<i64>) {
    let base = Database::open(bytes, &[], faults).unwrap();
    let (mut live, mut recovered) = (Vec::new(), Vec::new());
    let _: ControlFlow<()> = base.rows(base.table(NETWORK).unwrap(), faults, &mut |row| {
        let number = row.number("AutoIncId").unwrap();
        if row.recovered {
            recovered.push(number)
        } else {
            live.push(number)
        }
        ControlFlow::Continue(())
    });
    (live, recovered)
}

/// Number and root of the table of network use.
fn place(bytes: &Vec<u8>) -> (u32, usize) {
    let base = Database::open(bytes, &[], &mut Vec::new()).unwrap();
    let table = base.table(NETWORK).unwrap();
    (table.object, usize::try_from(table.root).unwrap())
}

#[test]
fn every_row_of_a_tree() {
    let bytes = sample("srum/SRUDB.dat");
    let mut faults = Vec::new();
    let (live, recovered) = rows(&bytes, &mut faults);
    assert_eq!((live.len(), recovered.len()), (96, 0));
    assert!(faults.is_empty(), "{faults:?}");
    let base = Database::open(&bytes, &[], &mut faults).unwrap();
    assert!(base.unclosed(None).is_none());
    let table = base.table(NETWORK).unwrap();
    let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names.first().zip(names.last()), Some((&"AutoIncId", &"BytesRecvd")));
}

#[test]
fn leaves_beside_the_tree_are_recovered() {
    let mut bytes = sample("srum/SRUDB.dat");
    let at = (place(&bytes).1 + 1) * PAGE;
    assert_eq!(bytes[at + 36] & 2, 0, "the root has children");
    bytes[at + 34] -= 1;
    let mut faults = Vec::new();
    let (live, recovered) = rows(&bytes, &mut faults);
    assert!(!recovered.is_empty());
    assert_eq!(live.len() + recovered.len(), 96);
    let remarks: Vec<bool> = faults.iter().map(|fault| fault.lost).collect();
    assert_eq!(remarks, [false], "the sum of the root: {faults:?}");
}

#[test]
fn deleted_rows_are_recovered() {
    let mut bytes = sample("srum/SRUDB.dat");
    let object = place(&bytes).0;
    let leaf = (1..bytes.len() / PAGE - 1)
        .map(|page| (page + 1) * PAGE)
        .find(|at| {
            let word = |n: usize| u32::from_le_bytes(bytes[at + n..at + n + 4].try_into().unwrap());
            word(24) == object && word(36) & 0xea == 2
        })
        .unwrap();
    // The flags are in the upper bits of the first node's offset.
    bytes[leaf + PAGE - 5] |= 2 << 5;
    assert_eq!(rows(&bytes, &mut Vec::new()).1.len(), 1);
}

#[test]
fn what_is_not_there_or_of_another_is_said() {
    let good = sample("srum/SRUDB.dat");
    let (_, root) = place(&good);
    let mut strange = good.clone();
    strange[(root + 1) * PAGE + 24] ^= 0x40;
    let mut faults = Vec::new();
    rows(&strange, &mut faults);
    assert!(faults.iter().any(|f| f.lost && f.message.contains("of another object")));
    let cut = good[..good.len() / 3].to_vec();
    let mut faults = Vec::new();
    assert!(Database::open(&cut, &[], &mut faults).is_ok());
    let mut dirty = good.clone();
    dirty[52] = 2;
    let base = Database::open(&dirty, &[], &mut faults).unwrap();
    assert!(base.unclosed(None).unwrap().message.contains("not closed"));
    assert!(faults.iter().any(|f| f.message.contains("sum")));
}

#[test]
fn foreign_and_impossible() {
    let good = sample("srum/SRUDB.dat");
    let open = |bytes: &Vec<u8>| Database::open(bytes, &[], &mut Vec::new()).map(|_| ());
    assert!(matches!(open(&Vec::new()), Err(ParseError::Foreign { .. })));
    assert!(matches!(open(&vec![0xff; 9000]), Err(ParseError::Foreign { .. })));
    for (at, value) in [(8, 0x23), (12, 1), (232, 2), (237, 0x11), (238, 0xff), (239, 0xff)] {
        let mut bytes = good.clone();
        bytes[at] = value;
        assert!(matches!(open(&bytes), Err(ParseError::Broken { .. })), "{at}");
    }
    let header = good[..PAGE].to_vec();
    assert!(matches!(open(&header), Err(ParseError::Broken { .. })));
}

/// A page of 32 KiB with a first tag and one node, which has its flags with it.
fn large_page(common: &[u8], node: &[u8]) -> Page {
    let mut bytes = vec![0; 32 << 10];
    bytes[34] = 2;
    bytes[36] = 2;
    bytes[80..80 + common.len()].copy_from_slice(common);
    bytes[100..100 + node.len()].copy_from_slice(node);
    let tags = [(node.len(), 20), (common.len(), 0)];
    for (at, (size, offset)) in [32_760, 32_764].into_iter().zip(tags) {
        bytes[at..at + 2].copy_from_slice(&u16::try_from(size).unwrap().to_le_bytes());
        bytes[at + 2..at + 4].copy_from_slice(&u16::try_from(offset).unwrap().to_le_bytes());
    }
    Page::new(1, bytes, 0x14)
}

#[test]
fn nodes_of_large_pages_keep_their_flags() {
    let page = large_page(b"KEY-", &[4, 0x80, 1, 0, b'x', 7, 8]);
    let nodes: Vec<_> =
        page.nodes().map(|n| (n.key.into_owned(), n.data.to_vec(), n.deleted)).collect();
    assert_eq!(nodes, [(b"KEY-x".to_vec(), vec![7, 8], false)]);
    let page = large_page(b"KEY-", &[1, 0x40, b'x', 7]);
    let nodes: Vec<_> =
        page.nodes().map(|n| (n.key.into_owned(), n.data.to_vec(), n.deleted)).collect();
    assert_eq!(nodes, [(b"x".to_vec(), vec![7], true)]);
    assert_eq!(large_page(b"KEY-", &[9, 0x80, 1, 0, b'x']).nodes().count(), 0, "too long a prefix");
}

#[test]
fn long_values_are_put_together_or_not_given() {
    let pieces = |all: &[(usize, &[u8])]| all.iter().map(|(at, b)| (*at, b.to_vec())).collect();
    assert_eq!(join(5, &pieces(&[(0, b"abc"), (3, b"de")]), false).unwrap(), b"abcde");
    let packed = b"\x18\x09\0\0\0\0\x10abc\x17\0";
    assert_eq!(join(6, &pieces(&[(0, b"abc"), (4, b"de")]), false), None, "a hole");
    assert_eq!(join(9, &pieces(&[(0, b"abc")]), false), None, "cut off");
    assert_eq!(join(usize::MAX, &pieces(&[(0, b"abc")]), true), None);
    assert_eq!(join(40, &pieces(&[(0, packed)]), true), None, "unpacks to 9");
}
