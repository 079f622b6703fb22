//! A page in memory, as changes leave it.

use std::borrow::Cow;

use super::super::page::{Node, Page, Read};

/// A page, its nodes with their whole keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct Image {
    /// Of the last change it has.
    pub(super) time: u64,
    pub(super) previous: u32,
    pub(in super::super) next: u32,
    pub(in super::super) object: u32,
    pub(in super::super) flags: u32,
    pub(super) nodes: Vec<Stored>,
    /// Nodes that were removed.
    pub(super) removed: Vec<Stored>,
}

/// A node that is held.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stored {
    pub(super) key: Vec<u8>,
    pub(super) data: Vec<u8>,
    pub(super) deleted: bool,
}

impl Stored {
    pub(super) fn new(key: &[u8], data: &[u8]) -> Self {
        Self { key: key.to_vec(), data: data.to_vec(), deleted: false }
    }

    /// A node that leads to a page.
    pub(super) fn to_page(key: &[u8], page: u32) -> Self {
        Self::new(key, &page.to_le_bytes())
    }
}

impl Image {
    /// The page as it was read; `None` when one of its nodes makes no sense, as lines are
    /// counted.
    pub(super) fn of(page: &Page) -> Option<Self> {
        let read = Read::of(page)?;
        let nodes = page.nodes().map(|node| Stored {
            key: node.key.into_owned(),
            data: node.data.to_vec(),
            deleted: node.deleted,
        });
        let nodes: Vec<Stored> = nodes.collect();
        (nodes.len() == read.lines()).then(|| Self {
            time: read.time(),
            previous: read.previous(),
            next: page.next(),
            object: page.object(),
            flags: page.flags(),
            nodes,
            removed: Vec::new(),
        })
    }

    /// Its nodes in order, then those that were removed as deleted ones.
    pub(in super::super) fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        let live = self.nodes.iter().map(|node| (node, node.deleted));
        let all = live.chain(self.removed.iter().map(|node| (node, true)));
        all.map(|(node, deleted)| Node { key: Cow::Borrowed(&node.key), data: &node.data, deleted })
    }

    /// The page is no longer used; what stood on it was removed.
    pub(super) fn clear(&mut self) {
        self.removed.append(&mut self.nodes);
    }

    /// The line that leads to a page.
    pub(super) fn line_to(&self, page: u32) -> Option<usize> {
        self.nodes.iter().position(|node| node.data == page.to_le_bytes())
    }

    /// Lets a line lead to a page.
    pub(super) fn lead(&mut self, line: usize, page: u32) -> Option<()> {
        self.nodes.get_mut(line)?.data = page.to_le_bytes().to_vec();
        Some(())
    }
}
