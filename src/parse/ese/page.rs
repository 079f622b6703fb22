//! A page of the database and the nodes on it.

use std::borrow::Cow;
use std::rc::Rc;

use super::replay::Image;
use crate::parse::bytes::{piece, u16_at, u32_at, u64_at};

/// Bytes before the first node; large pages have as many again.
const HEADER: usize = 40;
/// Pages from this size on keep the flags of a node with the node.
const LARGE: usize = 16 << 10;
/// Sizes and offsets of nodes on small and on large pages.
const SMALL_MASK: u16 = 0x1fff;
const LARGE_MASK: u16 = 0x7fff;
/// The upper bits of the count of tags mean something else.
const COUNT_MASK: u16 = 0x0fff;
/// Flags of a node, in its upper three bits.
const DELETED: u16 = 2;
const PREFIXED: u16 = 4;
/// Flags of a page.
pub(super) const ROOT: u32 = 0x01;
pub(super) const LEAF: u32 = 0x02;
const EMPTY: u32 = 0x08;
/// Of a tree of free space.
pub(super) const SPACE: u32 = 0x20;
/// Of space, of an index other than the primary one, or of long values.
const OTHER_TREE: u32 = SPACE | 0x40 | 0x80;
/// The checksum leaves out the second word and begins with the page's number.
const NEW_CHECKSUM: u32 = 0x2000;

/// One page.
pub(super) struct Page {
    pub(super) number: u32,
    content: Content,
}

enum Content {
    /// As it stands in the file, and whether nodes keep their own flags.
    Read(Vec<u8>, bool),
    /// As the transaction logs leave it.
    Replayed(Rc<Image>),
}

/// An entry of a page: a record of a leaf, the way to a child elsewhere.
pub(super) struct Node<'a> {
    pub(super) key: Cow<'a, [u8]>,
    pub(super) data: &'a [u8],
    pub(super) deleted: bool,
}

impl Page {
    pub(super) fn new(number: u32, bytes: Vec<u8>, revision: u32) -> Self {
        let large = bytes.len() >= LARGE && revision >= 0x11;
        Self { number, content: Content::Read(bytes, large) }
    }

    /// A copy in a transaction log; the free space in its middle may be left out.
    pub(super) fn copy(bytes: Vec<u8>, large: bool) -> Self {
        Self { number: 0, content: Content::Read(bytes, large) }
    }

    pub(super) fn replayed(number: u32, image: Rc<Image>) -> Self {
        Self { number, content: Content::Replayed(image) }
    }

    /// The page that follows in its tree; 0 when none does.
    pub(super) fn next(&self) -> u32 {
        match &self.content {
            Content::Read(bytes, _) => word(bytes, 20),
            Content::Replayed(image) => image.next,
        }
    }

    /// The object whose tree it is of.
    pub(super) fn object(&self) -> u32 {
        match &self.content {
            Content::Read(bytes, _) => word(bytes, 24),
            Content::Replayed(image) => image.object,
        }
    }

    pub(super) fn flags(&self) -> u32 {
        match &self.content {
            Content::Read(bytes, _) => word(bytes, 36),
            Content::Replayed(image) => image.flags,
        }
    }

    pub(super) fn is(&self, flag: u32) -> bool {
        self.flags() & flag != 0
    }

    /// Whether it holds records of a table.
    pub(super) fn has_records(&self) -> bool {
        holds_records(self.flags())
    }

    /// Whether its simple checksum fits; `None` when there is none that is known.
    pub(super) fn sound(&self) -> Option<bool> {
        let Content::Read(bytes, false) = &self.content else { return None };
        let (from, start) =
            if self.is(NEW_CHECKSUM) { (8, self.number) } else { (4, super::MAGIC) };
        Some(xor(bytes, from, start) == word(bytes, 0))
    }

    /// Its nodes in order; those that reach beyond the page are left out.
    pub(super) fn nodes(&self) -> Box<dyn Iterator<Item = Node<'_>> + '_> {
        match &self.content {
            Content::Read(bytes, large) => {
                Box::new(Read { bytes, large: *large, is_root: self.is(ROOT) }.nodes())
            }
            Content::Replayed(image) => Box::new(image.nodes()),
        }
    }
}

/// A page as it stands in a file.
#[derive(Clone, Copy)]
pub(super) struct Read<'a> {
    bytes: &'a [u8],
    large: bool,
    is_root: bool,
}

impl<'a> Read<'a> {
    /// What the header says that replaying needs; `None` for a page that was replayed.
    pub(super) fn of(page: &'a Page) -> Option<Self> {
        let Content::Read(bytes, large) = &page.content else { return None };
        Some(Self { bytes, large: *large, is_root: page.is(ROOT) })
    }

    /// The last change that it has.
    pub(super) fn time(self) -> u64 {
        u64_at(self.bytes, 8).unwrap_or_default()
    }

    /// The page before it in its tree; 0 when none is.
    pub(super) fn previous(self) -> u32 {
        word(self.bytes, 16)
    }

    /// How many nodes it has, sound or not.
    pub(super) fn lines(self) -> usize {
        let tags = u16_at(self.bytes, 34).unwrap_or_default() & COUNT_MASK;
        usize::from(tags.saturating_sub(1))
    }

    fn nodes(self) -> impl Iterator<Item = Node<'a>> {
        // The first tag is what all keys begin with, on a root something else.
        let common = self.tag(0).map(|(bytes, _)| bytes).filter(|_| !self.is_root);
        let common = common.unwrap_or_default();
        (1..=self.lines()).filter_map(move |index| self.node(index, common))
    }

    fn node(self, index: usize, common: &[u8]) -> Option<Node<'a>> {
        let (raw, flags) = self.tag(index)?;
        let first = u16_at(raw, 0)?;
        let flags = if self.large { first >> 13 } else { flags };
        let (prefix, at) =
            if flags & PREFIXED == 0 { (0, 0) } else { (usize::from(first & SMALL_MASK), 2) };
        let own = usize::from(u16_at(raw, at)? & SMALL_MASK);
        let start = at.checked_add(2)?;
        let own_key = piece(raw, start, own)?;
        let key = match common.get(..prefix)? {
            [] => Cow::Borrowed(own_key),
            common => Cow::Owned([common, own_key].concat()),
        };
        let data = raw.get(start.checked_add(own)?..)?;
        Some(Node { key, data, deleted: flags & DELETED != 0 })
    }

    /// The bytes that a tag points to, and its flags.
    fn tag(self, index: usize) -> Option<(&'a [u8], u16)> {
        let back = index.checked_add(1)?.checked_mul(4)?;
        let at = self.bytes.len().checked_sub(back)?;
        let (size, offset) = (u16_at(self.bytes, at)?, u16_at(self.bytes, at.checked_add(2)?)?);
        let (mask, header) =
            if self.large { (LARGE_MASK, HEADER * 2) } else { (SMALL_MASK, HEADER) };
        let start = header.checked_add(usize::from(offset & mask))?;
        Some((piece(self.bytes, start, usize::from(size & mask))?, offset >> 13))
    }
}

/// Whether a page with these flags is a leaf of a table's own tree.
pub(super) fn holds_records(flags: u32) -> bool {
    flags & LEAF != 0 && flags & (EMPTY | OTHER_TREE) == 0
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32_at(bytes, at).unwrap_or_default()
}

/// All words from an offset on, and `start`, added without carry.
pub(super) fn xor(bytes: &[u8], from: usize, start: u32) -> u32 {
    let (words, _) = bytes.get(from..).unwrap_or_default().as_chunks::<4>();
    words.iter().fold(start, |sum, word| sum ^ u32::from_le_bytes(*word))
}
