//! The pages that changes are made on.

use std::collections::BTreeMap;

use super::super::page::{Page, SPACE};
use super::image::Image;
use super::record::Change;

/// Pages that are held changed; with the largest pages 256 MiB.
const MAX_IMAGES: usize = 8 << 10;

/// Pages as the changes so far leave them.
pub(super) struct Pages<'a> {
    read: &'a dyn Fn(u32) -> Option<Page>,
    /// Whether nodes keep their own flags.
    pub(super) is_large: bool,
    pub(super) images: BTreeMap<u32, Image>,
    /// Pages whose changes do not fit, and where in its log the first of these stands.
    pub(super) stuck: BTreeMap<u32, u64>,
    pub(super) applied: u64,
    /// Where the change at hand stands.
    pub(super) at: u64,
}

impl<'a> Pages<'a> {
    pub(super) fn new(read: &'a dyn Fn(u32) -> Option<Page>, is_large: bool) -> Self {
        let (images, stuck) = (BTreeMap::new(), BTreeMap::new());
        Self { read, is_large, images, stuck, applied: 0, at: 0 }
    }

    /// The page of a change if it lacks just that: from now on it counts as made.
    pub(super) fn due(&mut self, change: &Change<'_>) -> Option<&mut Image> {
        self.due_at(change.page, change.before, change.time)
    }

    /// The page if it has its changes up to the time `before` and none after.
    pub(super) fn due_at(&mut self, page: u32, before: u64, time: u64) -> Option<&mut Image> {
        match self.time_of(page) {
            Some(has) if has >= time || self.is_of_space(page) => return None,
            Some(has) if has == before => {}
            _ => {
                self.stick(page);
                return None;
            }
        }
        self.applied = self.applied.saturating_add(1);
        let image = self.images.get_mut(&page)?;
        image.time = time;
        Some(image)
    }

    /// Whether it is a page of a tree of free space, whose changes are left out.
    fn is_of_space(&self, page: u32) -> bool {
        self.images.get(&page).is_some_and(|image| image.flags & SPACE != 0)
    }

    /// The last change that a page has; `None` for a page that cannot be read.
    pub(super) fn time_of(&mut self, page: u32) -> Option<u64> {
        if let Some(image) = self.images.get(&page) {
            return Some(image.time);
        }
        if self.images.len() >= MAX_IMAGES {
            return None;
        }
        let image = Image::of(&(self.read)(page)?)?;
        let time = image.time;
        self.images.insert(page, image);
        Some(time)
    }

    /// A page that begins anew, without nodes.
    pub(super) fn begin(&mut self, change: &Change<'_>, object: u32, flags: u32) {
        if self.time_of(change.page).is_none_or(|time| time < change.time) {
            let image = Image { time: change.time, object, flags, ..Image::default() };
            if self.put(change.page, image).is_none() {
                self.stick(change.page);
            }
        }
    }

    /// Puts a new page in place of whatever was there.
    pub(super) fn put(&mut self, page: u32, image: Image) -> Option<()> {
        let has_room = self.images.len() < MAX_IMAGES || self.images.contains_key(&page);
        has_room.then_some(())?;
        self.applied = self.applied.saturating_add(1);
        self.stuck.remove(&page);
        self.images.insert(page, image);
        Some(())
    }

    /// Says that a page's changes do not fit.
    pub(super) fn stick(&mut self, page: u32) {
        self.stuck.entry(page).or_insert(self.at);
    }
}
