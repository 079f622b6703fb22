//! Pages that are merged or move: their lines go to a neighbour or to another page, the
//! level above loses a child or leads elsewhere.

use super::super::page::Page;
use super::image::{Image, Stored};
use super::pages::Pages;
use super::record::{Change, Merge, Move, What};

/// How a page is merged.
const EMPTIED: u8 = 1;
const ALL_RIGHT: u8 = 2;
const SOME_RIGHT: u8 = 3;
const ALL_LEFT: u8 = 5;
const SOME_LEFT: u8 = 6;

impl Pages<'_> {
    /// Makes a merge of all levels; the last one is the page that is merged.
    pub(super) fn merge(&mut self, parts: &[Change<'_>]) {
        let levels = parts.iter().filter_map(|part| match &part.what {
            What::Merge(merge) => Some((part, merge)),
            _ => None,
        });
        let levels: Vec<_> = levels.collect();
        let Some(((leaf, merge), above)) = levels.split_last() else { return };
        let mut child = None;
        for (change, level) in above.iter().rev() {
            let below = child.unwrap_or(leaf.page);
            child = Some(change.page);
            if self.merge_above(change, level, merge, below).is_none() {
                self.stick(change.page);
            }
        }
        if self.merge_leaf(leaf, merge).is_none() {
            self.stick(leaf.page);
        }
    }

    /// A level above: a child goes, or the key that separates two changes.
    fn merge_above(
        &mut self,
        change: &Change<'_>,
        level: &Merge<'_>,
        leaf: &Merge<'_>,
        child: u32,
    ) -> Option<()> {
        let Some(image) = self.due(change) else { return Some(()) };
        let line = change.line;
        if leaf.how == ALL_LEFT && level.loses_node && level.has_other_key {
            (image.line_to(child)? == line).then_some(())?;
            image.lead(line, leaf.left)?;
            let before = line.checked_sub(1)?;
            (before < image.nodes.len()).then(|| image.nodes.remove(before))?;
        } else if level.loses_node {
            (line < image.nodes.len()).then_some(())?;
            let gone = image.nodes.remove(line);
            if gone.key.is_empty()
                && let Some(last) = image.nodes.last_mut().filter(|_| line > 0)
            {
                last.key.clear();
            }
        } else if level.has_other_key {
            let line = if leaf.how == SOME_LEFT { line.checked_sub(1)? } else { line };
            image.nodes.get_mut(line)?.key = leaf.key.to_vec();
        }
        if level.gets_empty {
            image.clear();
        }
        Some(())
    }

    fn merge_leaf(&mut self, change: &Change<'_>, merge: &Merge<'_>) -> Option<()> {
        let (left, right) = (merge.left, merge.right);
        let source = self.due(change).map(|image| image.nodes.clone());
        let to_right = matches!(merge.how, ALL_RIGHT | SOME_RIGHT);
        let to_left = matches!(merge.how, ALL_LEFT | SOME_LEFT);
        let mut due = |page, before| page != 0 && self.due_at(page, before, change.time).is_some();
        let is_left_due = due(left, merge.left_before);
        let is_right_due = due(right, merge.right_before);
        if to_right && is_right_due || to_left && is_left_due {
            let lines = match &source {
                Some(lines) => lines.clone(),
                None => self.page_before(&merge.image)?,
            };
            let moved = moved(lines, merge, to_right);
            let image = self.images.get_mut(if to_right { &right } else { &left })?;
            let at = if to_right { 0 } else { image.nodes.len() };
            image.nodes.splice(at..at, moved);
        }
        if matches!(merge.how, EMPTIED | ALL_LEFT | ALL_RIGHT) {
            if let Some(image) = self.images.get_mut(&left).filter(|_| is_left_due) {
                image.next = right;
            }
            if let Some(image) = self.images.get_mut(&right).filter(|_| is_right_due) {
                image.previous = left;
            }
        }
        let Some(image) = self.images.get_mut(&change.page).filter(|_| source.is_some()) else {
            return Some(());
        };
        match merge.how {
            SOME_RIGHT => image.nodes.truncate(merge.line),
            SOME_LEFT => {
                let kept = merge.line.checked_add(1)?;
                (kept <= image.nodes.len()).then(|| image.nodes.drain(..kept))?;
            }
            _ => {}
        }
        if merge.gets_empty {
            if merge.how != EMPTIED {
                image.nodes.retain(|node| node.deleted);
            }
            image.clear();
        }
        Some(())
    }

    /// Moves a page; its neighbours and the level above lead to the new place.
    pub(super) fn relocate(&mut self, change: &Change<'_>, moved: &Move<'_>) -> Option<()> {
        (!moved.is_root).then_some(())?;
        if self.time_of(moved.to).is_none_or(|time| time < change.time) {
            let page = Page::copy(moved.image.to_vec(), self.is_large);
            let image = Image { time: change.time, ..Image::of(&page)? };
            self.put(moved.to, image)?;
        }
        if let Some(image) = self.due(change) {
            image.nodes.clear();
            image.clear();
        }
        if let Some(parent) = self.due_at(moved.parent, moved.parent_before, change.time) {
            parent.lead(moved.parent_line, moved.to)?;
        }
        if moved.left != 0
            && let Some(left) = self.due_at(moved.left, moved.left_before, change.time)
        {
            left.next = moved.to;
        }
        if moved.right != 0
            && let Some(right) = self.due_at(moved.right, moved.right_before, change.time)
        {
            right.previous = moved.to;
        }
        Some(())
    }
}

/// The lines that go to the neighbour: not the deleted ones.
fn moved(mut lines: Vec<Stored>, merge: &Merge<'_>, to_right: bool) -> Vec<Stored> {
    let at = match to_right {
        true => merge.line,
        false => merge.line.saturating_add(1),
    };
    let tail = lines.split_off(at.min(lines.len()));
    let moved = if to_right { tail } else { lines };
    moved.into_iter().filter(|node| !node.deleted).collect()
}

#[cfg(test)]
mod tests {
    use super::super::image::{Image, Stored};
    use super::super::pages::Pages;
    use super::super::record::{Change, Merge, Move, PageBefore, What};
    use super::{ALL_LEFT, ALL_RIGHT, EMPTIED, SOME_LEFT, SOME_RIGHT};

    /// Time of the changes, and of the pages before.
    const AFTER: u64 = 9;
    const BEFORE: u64 = 4;

    fn leaf(previous: u32, next: u32, keys: &[&str]) -> Image {
        let nodes = keys.iter().map(|key| Stored::new(key.as_bytes(), b"row")).collect();
        Image { time: BEFORE, previous, next, nodes, ..Image::default() }
    }

    /// Page 1 leads to the leaves 2, 3 and 4.
    fn pages() -> Pages<'static> {
        let mut pages = Pages::new(&|_| None, false);
        let children = [("c", 2), ("f", 3), ("", 4)];
        let nodes = children.map(|(key, page)| Stored::to_page(key.as_bytes(), page)).to_vec();
        pages.images.insert(1, Image { time: BEFORE, nodes, ..Image::default() });
        pages.images.insert(2, leaf(0, 3, &["a", "b"]));
        pages.images.insert(3, leaf(2, 4, &["d", "e"]));
        pages.images.insert(4, leaf(3, 0, &["g"]));
        pages
    }

    fn level(page: u32, line: usize, merge: Merge<'static>) -> Change<'static> {
        let what = What::Merge(merge);
        Change { session: 1, database: 1, page, time: AFTER, before: BEFORE, line, what }
    }

    fn merge(how: u8, line: usize) -> Merge<'static> {
        Merge {
            left: 2,
            left_before: BEFORE,
            right: 4,
            right_before: BEFORE,
            line,
            has_other_key: false,
            loses_node: false,
            gets_empty: false,
            how,
            key: b"dd",
            image: PageBefore::default(),
        }
    }

    /// Keys and children of page 1, and keys of the others.
    fn shown(pages: &Pages<'_>) -> Vec<String> {
        let text = |node: &Stored| match node.data.as_slice() {
            b"row" => String::from_utf8_lossy(&node.key).into_owned(),
            page => format!("{}>{}", String::from_utf8_lossy(&node.key), page[0]),
        };
        let images = pages.images.values();
        images.map(|i| i.nodes.iter().map(text).collect::<Vec<_>>().join(" ")).collect()
    }

    /// Page 3 merged in that way; what its parent (line 1) goes through beside.
    fn merged(how: u8, line: usize, parent: Merge<'static>) -> Pages<'static> {
        let mut pages = pages();
        let all = matches!(how, EMPTIED | ALL_LEFT | ALL_RIGHT);
        let leaf = Merge { gets_empty: all, ..merge(how, line) };
        pages.merge(&[level(1, 1, parent), level(3, 0, leaf)]);
        assert!(pages.stuck.is_empty(), "{:?}", pages.stuck);
        pages
    }

    #[test]
    fn each_way() {
        let gone = || Merge { loses_node: true, ..merge(0, 0) };
        let key = || Merge { has_other_key: true, ..merge(0, 0) };
        let both = || Merge { loses_node: true, has_other_key: true, ..merge(0, 0) };
        let pages = merged(ALL_RIGHT, 0, gone());
        assert_eq!(shown(&pages), ["c>2 >4", "a b", "", "d e g"]);
        assert_eq!((pages.images[&2].next, pages.images[&4].previous), (4, 2));
        let pages = merged(ALL_LEFT, 1, both());
        assert_eq!(shown(&pages), ["f>2 >4", "a b d e", "", "g"]);
        let pages = merged(EMPTIED, 0, gone());
        assert_eq!(shown(&pages), ["c>2 >4", "a b", "", "g"]);
        assert_eq!(pages.images[&3].removed.len(), 2, "what was there is kept");
        assert_eq!(shown(&merged(SOME_RIGHT, 1, key())), ["c>2 dd>3 >4", "a b", "d", "e g"]);
        assert_eq!(shown(&merged(SOME_LEFT, 0, key())), ["dd>2 f>3 >4", "a b d", "e", "g"]);
    }

    #[test]
    fn the_last_child_has_no_key_and_what_was_made_is_not_made_again() {
        let mut pages = pages();
        let leaf = Merge { gets_empty: true, left: 3, right: 0, ..merge(EMPTIED, 0) };
        let parent = Merge { loses_node: true, ..merge(0, 0) };
        let parts = [level(1, 2, parent), level(4, 0, leaf)];
        pages.merge(&parts);
        assert_eq!(shown(&pages), ["c>2 >3", "a b", "d e", ""]);
        let applied = pages.applied;
        pages.merge(&parts);
        assert_eq!((pages.applied, pages.stuck.len()), (applied, 0));
    }

    #[test]
    fn a_page_that_moves_is_followed() {
        let mut pages = pages();
        pages.images.insert(5, Image { time: 1, ..Image::default() });
        let mut image = vec![0; 40];
        image[8] = 7;
        let moved = Move {
            to: 5,
            left: 2,
            left_before: BEFORE,
            right: 4,
            right_before: BEFORE,
            parent: 1,
            parent_before: BEFORE,
            parent_line: 1,
            is_root: false,
            image: &image,
        };
        let change = level(3, 0, merge(0, 0));
        pages.relocate(&change, &moved).unwrap();
        assert_eq!(shown(&pages)[0], "c>2 f>5 >4");
        assert_eq!((pages.images[&2].next, pages.images[&4].previous), (5, 5));
        assert_eq!(pages.images[&5].time, AFTER);
        assert!(pages.relocate(&change, &Move { is_root: true, ..moved }).is_none());
    }
}
