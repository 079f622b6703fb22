//! Which name lies in which directory.
//!
//! A name says its directory by record and sequence number. For a removed file
//! the directory may be gone as well; it is still the right one when its record
//! was freed once since, and not when the record was given to something else:
//! such a file is shown below `$OrphanFiles`, as The Sleuth Kit does.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::complaint::{Complaints, Wrong};
use super::row::{NONE, Name, Node, node};
use super::table::Table;

/// The root directory's record.
pub(super) const ROOT: u32 = 5;
/// Records below this one are the file system's own.
pub(super) const FIRST_USER: u32 = 16;

/// The names of every directory, sorted.
#[derive(Default)]
pub(super) struct Tree {
    /// For each record the first of its rows in `order`; one more at the end.
    starts: Vec<u32>,
    /// Rows of names: by directory, then by lowercase name, bytes, present
    /// before removed, and record.
    order: Vec<u32>,
    /// Rows of names without a directory, in the same order.
    pub(super) orphans: Vec<u32>,
    /// Removed records without any name, ascending.
    pub(super) nameless: Vec<u32>,
}

impl Tree {
    /// Sorts the names of the table into their directories.
    pub(super) fn of(table: &Table, complaints: &mut Complaints) -> Self {
        let records = table.records();
        let mut parents: Vec<u32> = table.names.iter().map(|name| parent(table, name)).collect();
        break_cycles(table, &mut parents, complaints);
        let mut starts = vec![0u32; (records as usize).saturating_add(1)];
        let mut orphans = Vec::new();
        for (row, (name, parent)) in (0u32..).zip(table.names.iter().zip(&parents)) {
            if let Some(count) = starts.get_mut(*parent as usize) {
                *count = count.saturating_add(1);
            } else if name.owner != ROOT {
                orphans.push(row);
                if table.node(name.owner).is_some_and(|node| node.is(node::IN_USE)) {
                    complaints.add(Wrong::Parent, name.owner);
                }
            }
        }
        let mut end = 0u32;
        for start in &mut starts {
            end = end.saturating_add(*start);
            *start = end;
        }
        let mut order = vec![0u32; end as usize];
        // Backwards, so that each count ends as the start of its own.
        for (row, parent) in parents.iter().enumerate().rev() {
            let Some(start) = starts.get_mut(*parent as usize) else { continue };
            *start = start.saturating_sub(1);
            if let Some(place) = order.get_mut(*start as usize) {
                *place = row as u32;
            }
        }
        drop(parents);
        sort(table, &starts, &mut order);
        sort_names(table, &mut orphans, &mut Vec::new());
        let nameless = (0..records).filter(|number| is_nameless(table, *number)).collect();
        Self { starts, order, orphans, nameless }
    }

    /// The names in a directory, as rows.
    pub(super) fn children(&self, directory: u32) -> &[u32] {
        let at = directory as usize;
        let (Some(start), Some(end)) = (self.starts.get(at), self.starts.get(at.saturating_add(1)))
        else {
            return &[];
        };
        self.order.get(*start as usize..*end as usize).unwrap_or_default()
    }
}

/// The directory that a name lies in; [`NONE`] when it is not there any more.
pub(super) fn parent(table: &Table, name: &Name) -> u32 {
    if name.owner == ROOT {
        return NONE;
    }
    let Some(directory) = table.node(name.parent) else { return NONE };
    let holds = directory.is_file()
        && directory.is(node::DIRECTORY)
        && directory.own_sequence() == name.parent_sequence
        // What is present cannot lie in what is not.
        && (directory.is(node::IN_USE)
            || table.node(name.owner).is_some_and(|node| !node.is(node::IN_USE)));
    if holds { name.parent } else { NONE }
}

/// The row of the name by which a directory is entered: its first that is shown.
pub(super) fn first_name(table: &Table, number: u32) -> Option<u32> {
    table.node(number).map(|node| node.names).filter(|row| *row != NONE)
}

/// Makes an orphan of one directory in every ring of directories.
fn break_cycles(table: &Table, parents: &mut [u32], complaints: &mut Complaints) {
    const UNSEEN: u8 = 0;
    const ON_THE_WAY: u8 = 1;
    const ROOTED: u8 = 2;
    let mut seen = vec![UNSEEN; table.records() as usize];
    let mut way = Vec::new();
    for number in 0..table.records() {
        let mut at = number;
        loop {
            let is_directory = |node: &Node| node.is_file() && node.is(node::DIRECTORY);
            if at == ROOT || !table.node(at).is_some_and(is_directory) {
                break;
            }
            let Some(state) = seen.get_mut(at as usize) else { break };
            if *state == ROOTED {
                break;
            }
            let Some(row) = first_name(table, at) else { break };
            let Some(parent) = parents.get_mut(row as usize) else { break };
            if *state == ON_THE_WAY {
                *parent = NONE;
                complaints.add(Wrong::Cycle, at);
                break;
            }
            *state = ON_THE_WAY;
            way.push(at);
            at = *parent;
        }
        for passed in way.drain(..) {
            if let Some(state) = seen.get_mut(passed as usize) {
                *state = ROOTED;
            }
        }
    }
}

/// A removed file, or a present one, that no name leads to.
fn is_nameless(table: &Table, number: u32) -> bool {
    number >= FIRST_USER
        && table.node(number).is_some_and(|node| {
            let told = node.streams != NONE || node.times != [0; 4];
            node.is_file() && node.names == NONE && told
        })
}

/// Sorts the names of each directory, many directories at a time.
fn sort(table: &Table, starts: &[u32], order: &mut [u32]) {
    let mut directories = Vec::new();
    let mut rest = order;
    let mut before = 0u32;
    for start in starts.iter().skip(1) {
        let count = start.saturating_sub(before) as usize;
        if count > 0 {
            let Some((own, behind)) = std::mem::take(&mut rest).split_at_mut_checked(count) else {
                return;
            };
            if count > 1 {
                directories.push(own);
            }
            rest = behind;
        }
        before = *start;
    }
    directories
        .into_par_iter()
        .with_min_len(64)
        .for_each_init(Vec::new, |keys, rows| sort_names(table, rows, keys));
}

/// Sorts rows of names by lowercase name, bytes, present before removed, record.
fn sort_names(table: &Table, rows: &mut [u32], keys: &mut Vec<(u128, u32)>) {
    keys.clear();
    // Where the names stand first, then the names: each row is a wait by itself.
    let place = |row: &u32| table.names.get(*row as usize).map_or(0, |name| name.text);
    keys.extend(rows.iter().map(|row| (u128::from(place(row)), *row)));
    for (key, row) in keys.iter_mut() {
        *key = start_of(table, *row);
    }
    keys.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| compare(table, a.1, b.1)));
    for (row, (_, sorted)) in rows.iter_mut().zip(&*keys) {
        *row = *sorted;
    }
}

fn shown(table: &Table, row: u32) -> &str {
    table.names.get(row as usize).map_or("", |name| table.text(name.text, name.length))
}

/// The first sixteen bytes of the lowercase name, as a number that sorts alike.
fn start_of(table: &Table, row: u32) -> u128 {
    let name = shown(table, row);
    let mut start = [0u8; 16];
    let copy = |start: &mut [u8; 16], bytes: &[u8]| {
        for (to, from) in start.iter_mut().zip(bytes) {
            *to = from.to_ascii_lowercase();
        }
    };
    if name.is_ascii() {
        copy(&mut start, name.as_bytes());
    } else {
        copy(&mut start, name.to_lowercase().as_bytes());
    }
    u128::from_be_bytes(start)
}

fn compare(table: &Table, a: u32, b: u32) -> Ordering {
    let (left, right) = (shown(table, a), shown(table, b));
    let lower = if left.is_ascii() && right.is_ascii() {
        let lower = |c: u8| c.to_ascii_lowercase();
        left.bytes().map(lower).cmp(right.bytes().map(lower))
    } else {
        left.to_lowercase().cmp(&right.to_lowercase())
    };
    let rest = |row: u32| {
        let owner = table.names.get(row as usize).map_or(NONE, |name| name.owner);
        let removed = table.node(owner).is_none_or(|node| !node.is(node::IN_USE));
        (removed, owner, row)
    };
    lower.then_with(|| left.cmp(right)).then_with(|| rest(a).cmp(&rest(b)))
}
