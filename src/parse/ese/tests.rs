use std::ops::ControlFlow;

use super::Database;
use crate::model::Damage;
use crate::parse::ParseError;
use crate::parse::testing::sample;

const NETWORK: &str = "{973F5D5C-1D90-4944-BE8E-24B94231A174}";
const PAGE: usize = 4096;

/// Live and recovered rows of the table of network use.
fn rows(bytes: &Vec<u8>, faults: &mut Vec<Damage>) -> (Vec<i64>, Vec<i64>) {
    let base = Database::open(bytes, faults).unwrap();
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
    let base = Database::open(bytes, &mut Vec::new()).unwrap();
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
    let base = Database::open(&bytes, &mut faults).unwrap();
    assert_eq!(base.unclosed(), None);
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
    assert!(Database::open(&cut, &mut faults).is_ok());
    let mut dirty = good.clone();
    dirty[52] = 2;
    let base = Database::open(&dirty, &mut faults).unwrap();
    assert!(base.unclosed().unwrap().contains("not closed"));
    assert!(faults.iter().any(|f| f.message.contains("sum")));
}

#[test]
fn foreign_and_impossible() {
    let good = sample("srum/SRUDB.dat");
    let open = |bytes: &Vec<u8>| Database::open(bytes, &mut Vec::new()).map(|_| ());
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
