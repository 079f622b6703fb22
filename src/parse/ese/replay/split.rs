//! Pages that are split: some lines move to a new page, the level above gets another child.

use super::super::page::{LEAF, Page, SPACE};
use super::image::{Image, Stored};
use super::pages::Pages;
use super::record::{Change, Split, What};

/// How a page is split: a root's lines all go one level down.
const DOWN: u8 = 0;
/// Only what is new goes to the new page.
const APPEND: u8 = 2;
/// What is done besides.
const INSERT: u8 = 1;
const REPLACE: u8 = 2;
const RESTORE: u8 = 3;

/// One level of a split, from the top.
struct Level<'c, 'a> {
    change: &'c Change<'a>,
    split: &'c Split<'a>,
    /// The page below that is split, and what separates it from its new neighbour.
    below: Option<(u32, &'c Split<'a>)>,
}

impl Pages<'_> {
    /// Makes a split of all levels, and the change for which there was no room.
    pub(super) fn split(&mut self, parts: &[Change<'_>]) {
        let mut splits = Vec::new();
        let mut operation = None;
        for part in parts {
            match &part.what {
                What::Split(split) => splits.push((part, split)),
                other => operation = Some(other),
            }
        }
        if splits.iter().any(|(_, split)| split.new_flags & SPACE != 0) {
            return;
        }
        for (depth, (change, split)) in splits.iter().enumerate() {
            let below = splits.get(depth.saturating_add(1));
            let below = below.map(|(change, split)| (change.page, *split));
            let level = Level { change, split, below: below.filter(|(_, split)| split.new != 0) };
            let done = match split.new {
                0 => self.another_child(&level),
                _ => self.split_level(&level, operation),
            };
            if done.is_none() {
                self.stick(if split.new == 0 { change.page } else { split.new });
            }
        }
    }

    /// A page of which only a child is split.
    fn another_child(&mut self, level: &Level<'_, '_>) -> Option<()> {
        let (child, split) = level.below?;
        let Some(image) = self.due(level.change) else { return Some(()) };
        let line = image.line_to(child)?;
        image.nodes.insert(line, Stored::to_page(split.key, child));
        image.lead(line.checked_add(1)?, split.new)
    }

    fn split_level(&mut self, level: &Level<'_, '_>, operation: Option<&What<'_>>) -> Option<()> {
        let Level { change, split, below } = level;
        let old = self.due(change).map(|image| image.nodes.clone());
        let is_new_due = self.time_of(split.new).is_none_or(|time| time < change.time);
        if old.is_none() && !is_new_due {
            return self.turn_right(change, split);
        }
        let is_leaf = split.new_flags & LEAF != 0;
        let lines = match &old {
            Some(nodes) => nodes.clone(),
            // Only the tail is needed, and that is what is new.
            None if split.how == APPEND => vec![Stored::default(); split.cut],
            None => self.page_before(&split.image)?,
        };
        let lines = with_operation(lines, level, operation);
        let lines = lines.filter(|l| l.len() == split.lines && split.cut <= l.len());
        let Some(mut lines) = lines else {
            if old.is_some() {
                self.stick(change.page);
            }
            return None;
        };
        if let Some((_, below)) = below.filter(|_| !is_leaf) {
            let line = lines.get_mut(split.line.checked_add(1)?)?;
            line.data = below.new.to_le_bytes().to_vec();
        }
        let tail = lines.split_off(split.cut);
        let has_neighbours = is_leaf && split.how != DOWN;
        if is_new_due {
            let image = Image {
                time: change.time,
                previous: if has_neighbours { change.page } else { 0 },
                next: if has_neighbours { split.right } else { 0 },
                object: split.object,
                flags: split.new_flags,
                nodes: tail,
                removed: Vec::new(),
            };
            self.put(split.new, image)?;
        }
        if let Some(image) = self.images.get_mut(&change.page).filter(|_| old.is_some()) {
            if split.how == DOWN {
                image.flags = split.old_flags;
                lines = vec![Stored::to_page(&[], split.new)];
            }
            image.nodes = lines;
            if has_neighbours {
                image.next = split.new;
            }
        }
        self.turn_right(change, split)
    }

    /// Tells the page to the right of its new neighbour.
    fn turn_right(&mut self, change: &Change<'_>, split: &Split<'_>) -> Option<()> {
        if split.right != 0
            && let Some(image) = self.due_at(split.right, split.right_before, change.time)
        {
            image.previous = split.new;
        }
        Some(())
    }

    /// The nodes of a page's copy in a log.
    pub(super) fn page_before(&self, image: &super::record::PageBefore<'_>) -> Option<Vec<Stored>> {
        let bytes = match image.is_packed {
            true => super::super::packed::unpack(image.bytes)?,
            false => image.bytes.to_vec(),
        };
        let page = Page::copy(bytes, self.is_large);
        Image::of(&page).map(|image| image.nodes)
    }
}

/// The lines with what is done besides: on a leaf the change for which there was no room,
/// above it another child.
fn with_operation(
    mut lines: Vec<Stored>,
    level: &Level<'_, '_>,
    operation: Option<&What<'_>>,
) -> Option<Vec<Stored>> {
    let Level { split, below, .. } = level;
    if split.operation == 0 {
        return Some(lines);
    }
    let node = match (below.filter(|_| split.new_flags & LEAF == 0), operation) {
        (Some((child, below)), _) => Stored::to_page(below.key, child),
        (None, Some(What::Insert { key, data })) => Stored::new(key, data),
        (None, Some(What::Replace { data, .. } | What::Restore { data: Some(data), .. })) => {
            Stored::new(&[], data)
        }
        _ => return None,
    };
    match split.operation {
        INSERT => (split.line <= lines.len()).then(|| lines.insert(split.line, node))?,
        REPLACE => lines.get_mut(split.line)?.data = node.data,
        RESTORE => {
            let line = lines.get_mut(split.line)?;
            (line.data, line.deleted) = (node.data, false);
        }
        _ => return None,
    }
    Some(lines)
}
