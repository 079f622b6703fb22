//! From a tree's root to its leaves, to the leaves beside it, and to a long value.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::page::{LEAF, Page, holds_records};
use super::{Damage, Database, Table, lost, packed, remark};
use crate::parse::bytes::{read_up_to, u32_at};

/// Longest long value that is put together.
const MAX_LONG_VALUE: usize = 16 << 20;
/// Pages that one long value may lie on.
const MAX_LONG_PAGES: usize = 16 << 10;
/// Levels of a tree.
const MAX_DEPTH: usize = 32;
/// Pages read at once when looking for leaves beside the tree.
const PAGES_AT_ONCE: usize = 32;

/// One way through a tree; no page is read twice.
pub(super) struct Walk<'a> {
    base: &'a Database<'a>,
    object: u32,
    seen: BTreeSet<u32>,
    /// Pages that are missing or of another object, the first of each, and how many.
    wrong: BTreeMap<&'static str, (u32, u64)>,
}

const ABSENT: &str = "beyond the end of the file";
const STRANGE: &str = "of another object";
const AGAIN: &str = "reached twice";
const UNSOUND: &str = "whose sum does not fit";

impl<'a> Walk<'a> {
    pub(super) fn new(base: &'a Database<'a>, object: u32) -> Self {
        Self { base, object, seen: BTreeSet::new(), wrong: BTreeMap::new() }
    }

    /// Every leaf below a page, in order.
    pub(super) fn leaves(
        &mut self,
        root: u32,
        visit: &mut dyn FnMut(&Page) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut ahead = vec![root];
        while let Some(number) = ahead.pop() {
            if !self.seen.insert(number) {
                self.note(AGAIN, number);
                continue;
            }
            let Some(page) = self.base.page(number) else {
                self.note(ABSENT, number);
                continue;
            };
            if page.object() != self.object {
                self.note(STRANGE, number);
                continue;
            }
            if page.sound() == Some(false) {
                self.note(UNSOUND, number);
            }
            if page.is(LEAF) {
                visit(&page)?;
                continue;
            }
            let live = page.nodes().filter(|node| !node.deleted);
            let mut children: Vec<u32> = live.filter_map(|n| u32_at(n.data, 0)).collect();
            children.reverse();
            ahead.append(&mut children);
        }
        ControlFlow::Continue(())
    }

    /// Every leaf of the object that was not met.
    pub(super) fn beside(
        &mut self,
        visit: &mut dyn FnMut(&Page) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for number in self.base.leaves().get(&self.object).into_iter().flatten() {
            if self.seen.insert(*number) {
                let page = self.base.page(*number).filter(Page::has_records);
                page.map_or(ControlFlow::Continue(()), |page| visit(&page))?;
            }
        }
        ControlFlow::Continue(())
    }

    fn note(&mut self, what: &'static str, page: u32) {
        let (_, count) = self.wrong.entry(what).or_insert((page, 0));
        *count = count.saturating_add(1);
    }

    /// What was wrong, one sentence a kind.
    pub(super) fn faults(&self, table: &str) -> impl Iterator<Item = Damage> {
        self.wrong.iter().map(move |(what, (page, count))| {
            let offset = self.base.offset_of(*page);
            let text = format!("table {table}: {count} pages {what}, the first is {page}");
            if *what == UNSOUND { remark(offset, text) } else { lost(offset, text) }
        })
    }
}

impl Database<'_> {
    /// Every page that looks like a leaf with records, by its object, in order. The file is
    /// gone through once for all tables.
    fn leaves(&self) -> &BTreeMap<u32, BTreeSet<u32>> {
        self.leaves.get_or_init(|| {
            let mut all: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
            for (number, image) in &self.images {
                if holds_records(image.flags) {
                    all.entry(image.object).or_default().insert(*number);
                }
            }
            let mut first = 1u32;
            while first <= self.last_in_file() {
                let many = self.page_size.saturating_mul(PAGES_AT_ONCE);
                let offset = self.offset_of(first);
                let bytes = read_up_to(self.source, offset, many).unwrap_or_default();
                for (number, start) in (first..).zip(bytes.chunks_exact(self.page_size)) {
                    if self.images.contains_key(&number) {
                        continue;
                    }
                    let flags = u32_at(start, 36).unwrap_or_default();
                    if let Some(object) = u32_at(start, 24).filter(|_| holds_records(flags)) {
                        all.entry(object).or_default().insert(number);
                    }
                }
                first = first.saturating_add(u32::try_from(PAGES_AT_ONCE).unwrap_or(1));
            }
            all
        })
    }

    /// The long value that a record's `reference` means; `None` when it is not whole.
    pub(super) fn long_value(
        &self,
        table: &Table,
        reference: &[u8],
        is_packed: bool,
    ) -> Option<Vec<u8>> {
        let id: Vec<u8> = reference.iter().rev().copied().collect();
        if !matches!(id.len(), 4 | 8) {
            return None;
        }
        let mut page = self.leaf_for(table.long_root?, &id)?;
        let (mut size, mut pieces) = (None, BTreeMap::new());
        for _ in 0..MAX_LONG_PAGES {
            for node in page.nodes().filter(|node| !node.deleted) {
                match node.key.strip_prefix(id.as_slice()) {
                    None if *node.key > *id => return join(size?, &pieces, is_packed),
                    None => {}
                    Some([]) => size = usize::try_from(u32_at(node.data, 4)?).ok(),
                    Some(offset) => {
                        let offset = u32::from_be_bytes(offset.try_into().ok()?);
                        pieces.insert(usize::try_from(offset).ok()?, node.data.to_vec());
                    }
                }
            }
            match page.next() {
                0 => break,
                next => page = self.page(next)?,
            }
        }
        join(size?, &pieces, is_packed)
    }

    /// The leaf that would hold a key.
    fn leaf_for(&self, root: u32, key: &[u8]) -> Option<Page> {
        let mut page = self.page(root)?;
        for _ in 0..MAX_DEPTH {
            if page.is(LEAF) {
                return Some(page);
            }
            // A child's keys are below the key that stands beside it; the last has none.
            let below =
                |n: &super::page::Node<'_>| !n.deleted && (n.key.is_empty() || *key < *n.key);
            let child = page.nodes().find(below).and_then(|n| u32_at(n.data, 0))?;
            page = self.page(child)?;
        }
        None
    }
}

/// Puts pieces together; one that is shorter than its place is packed.
pub(super) fn join(
    size: usize,
    pieces: &BTreeMap<usize, Vec<u8>>,
    is_packed: bool,
) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let ends = pieces.keys().skip(1).copied().chain([size]);
    for ((at, piece), end) in pieces.iter().zip(ends) {
        let room = end.checked_sub(*at).filter(|_| *at == out.len() && end <= MAX_LONG_VALUE)?;
        if piece.len() < room && is_packed {
            out.append(&mut packed::unpack(piece)?);
        } else {
            out.extend_from_slice(piece.get(..room)?);
        }
    }
    (out.len() == size).then_some(out)
}
