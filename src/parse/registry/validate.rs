//! Finds what is wrong with a hive: cheap checks of everything its tree needs.
//!
//! Nothing here reads content for records. A sound hive passes without a word;
//! a lost sector, a cut file or a flipped byte in a structure is told with its
//! place, because what hangs below it may be missing from the findings.

use std::collections::HashSet;

use crate::model::{Damage, Locator};

use super::cells::{
    self, BASE_BLOCK, BIN_HEADER, Cell, EntryHash, KeyNode, MAX_VALUES, NO_CELL, PAGE, SubkeyEntry,
    size, u32_at,
};

/// Damages told one by one; the rest are counted.
const MAX_REPORTED: usize = 50;
/// Keys walked.
const MAX_KEYS: usize = 1 << 22;
/// Windows allows 512 levels.
const MAX_DEPTH: u16 = 1024;

/// A hive's damages, in the order of the walk.
#[derive(Default)]
pub struct Report {
    damages: Vec<Damage>,
    unreported: usize,
}

impl Report {
    /// Notes that something at this absolute offset is lost.
    pub fn lost(&mut self, at: usize, message: impl Into<String>) {
        if self.damages.len() >= MAX_REPORTED {
            self.unreported = self.unreported.saturating_add(1);
            return;
        }
        let locator = u64::try_from(at).ok().map(Locator::Offset);
        self.damages.push(Damage { locator, message: message.into(), lost: true });
    }

    /// The damages; the last one sums up those beyond the limit.
    pub fn into_damages(mut self) -> Vec<Damage> {
        if self.unreported > 0 {
            let message = format!("{} further damaged places in this hive", self.unreported);
            self.damages.push(Damage { locator: None, message, lost: true });
        }
        self.damages
    }
}

/// What the bins hold, apart from the tree.
#[derive(Default)]
pub struct Bins {
    /// Absolute ranges of the content of free cells, ascending; only of bins whose
    /// cells are all sound (one wrong size would make all behind it free).
    pub free: Vec<(usize, usize)>,
}

/// Checks bins and cells; gives the free ones.
pub fn check_bins(image: &[u8], report: &mut Report) -> Bins {
    let mut bins = Bins::default();
    let claimed = u32_at(image, 40).map_or(0, size);
    let end = claimed.saturating_add(BASE_BLOCK);
    if claimed == 0 || !claimed.is_multiple_of(PAGE) {
        report.lost(40, format!("hive's size is {claimed}, no multiple of {PAGE}"));
    }
    if image.len() < end {
        let found = image.len();
        report.lost(found, format!("file ends early: {end} bytes expected, {found} found"));
    }
    let end = end.min(image.len());
    let mut at = BASE_BLOCK;
    while at < end {
        match bin_size(image, at) {
            Ok(length) => {
                let stop = at.saturating_add(length);
                if stop > end {
                    report.lost(at, "hive bin reaches beyond the hive");
                }
                check_cells(image, at, stop.min(image.len()), report, &mut bins);
                at = stop;
            }
            Err(why) => {
                report.lost(at, why);
                at = at.saturating_add(PAGE);
                while at < end && image.get(at..at.saturating_add(4)) != Some(b"hbin".as_slice()) {
                    at = at.saturating_add(PAGE);
                }
            }
        }
    }
    bins
}

fn bin_size(image: &[u8], at: usize) -> Result<usize, String> {
    if image.get(at..at.saturating_add(4)) != Some(b"hbin".as_slice()) {
        return Err("no hive bin where one is due".to_owned());
    }
    let field = |n: usize| u32_at(image, at.saturating_add(n)).map_or(0, size);
    let (offset, length) = (field(4), field(8));
    if offset != at.saturating_sub(BASE_BLOCK) {
        return Err(format!("hive bin says that it stands at {offset:#x}"));
    }
    if length == 0 || !length.is_multiple_of(PAGE) {
        return Err(format!("hive bin of impossible size {length:#x}"));
    }
    Ok(length)
}

fn check_cells(image: &[u8], bin: usize, stop: usize, report: &mut Report, bins: &mut Bins) {
    let mut free = Vec::new();
    let mut at = bin.saturating_add(BIN_HEADER);
    while at < stop {
        let Some(cell) = cells::cell_at(image, at) else {
            report.lost(at, "cell of impossible size");
            return;
        };
        let next = at.saturating_add(cell.body.len()).saturating_add(4);
        if next > stop {
            report.lost(at, "cell reaches beyond its hive bin");
            return;
        }
        if !cell.allocated {
            free.push((at.saturating_add(4), next));
        }
        at = next;
    }
    bins.free.extend(free);
}

/// A deleted value that a key's list still points at: key's and value's offsets.
pub type Leftover = (u32, u32);

/// Walks the tree from the root and checks every record it needs.
///
/// Gives the deleted values that stand behind the end of values' lists.
pub fn check_tree(image: &[u8], report: &mut Report) -> Vec<Leftover> {
    let root = u32_at(image, 36).unwrap_or(NO_CELL);
    let mut walk = Walk {
        image,
        segmented: cells::segmented(image),
        seen: HashSet::new(),
        owned: HashSet::new(),
        leftovers: Vec::new(),
    };
    let mut stack = vec![(root, None, 0)];
    while let Some((offset, parent, depth)) = stack.pop() {
        let at = size(offset).saturating_add(BASE_BLOCK);
        if !walk.seen.insert(offset) {
            report.lost(at, "key stands in the tree twice");
            continue;
        }
        if depth > MAX_DEPTH || walk.seen.len() > MAX_KEYS {
            report.lost(at, "tree is deeper or larger than any hive");
            return walk.leftovers;
        }
        let Some(key) = walk.key(offset, parent, report) else { continue };
        for entry in walk.subkeys(&key, at, report) {
            stack.push((entry.offset, Some((offset, entry)), depth.saturating_add(1)));
        }
    }
    walk.leftovers
}

struct Walk<'a> {
    image: &'a [u8],
    segmented: bool,
    seen: HashSet<u32>,
    /// Lists, values and data: each belongs to one owner.
    owned: HashSet<u32>,
    leftovers: Vec<Leftover>,
}

impl<'a> Walk<'a> {
    fn allocated(&self, offset: u32) -> Option<Cell<'a>> {
        cells::cell(self.image, offset).filter(|cell| cell.allocated)
    }

    fn key(
        &mut self,
        offset: u32,
        parent: Option<(u32, SubkeyEntry)>,
        report: &mut Report,
    ) -> Option<KeyNode> {
        let at = size(offset).saturating_add(BASE_BLOCK);
        let key = self.allocated(offset).and_then(|cell| cells::key_node(cell.body));
        let Some(key) = key else {
            report.lost(at, "no key where the tree has one");
            return None;
        };
        match parent {
            Some((above, entry)) => {
                if key.parent != above {
                    report.lost(at, format!("key {:?} names another parent", key.name));
                }
                if !hash_fits(entry.hash, &key.name) {
                    report.lost(at, format!("key's name {:?} does not fit its hash", key.name));
                }
            }
            None if !key.root => report.lost(at, "root key is not marked as root"),
            None => {}
        }
        let secured = self.allocated(key.security).is_some_and(|c| c.body.starts_with(b"sk"));
        if key.security != NO_CELL && !secured {
            report.lost(at, format!("key {:?} has no security record", key.name));
        }
        let class = key.class != NO_CELL && key.class_length > 0;
        let length = usize::from(key.class_length);
        if class && self.allocated(key.class).is_none_or(|c| c.body.len() < length) {
            report.lost(at, format!("class name of key {:?} is missing", key.name));
        }
        self.values(&key, offset, at, report);
        Some(key)
    }

    fn subkeys(&self, key: &KeyNode, at: usize, report: &mut Report) -> Vec<SubkeyEntry> {
        let mut entries = Vec::new();
        if key.subkeys == 0 {
            return entries;
        }
        if let Err(place) = cells::subkey_entries(self.image, key.subkey_list, &mut entries) {
            report.lost(place, format!("list of subkeys of {:?} cannot be read", key.name));
        } else if entries.len() != size(key.subkeys) {
            let (count, found) = (key.subkeys, entries.len());
            report.lost(at, format!("key {:?}: {count} subkeys expected, {found} found", key.name));
        }
        entries
    }

    fn values(&mut self, key: &KeyNode, offset: u32, at: usize, report: &mut Report) {
        if key.values == 0 {
            return;
        }
        let count = size(key.values);
        let list = self.allocated(key.value_list).map(|cell| cell.body);
        let room = list.map_or(0, |body| body.len() / 4);
        let Some(list) = list.filter(|_| count <= room && count <= MAX_VALUES) else {
            report.lost(at, format!("list of values of key {:?} cannot be read", key.name));
            return;
        };
        for i in 0..room {
            let Some(value) = u32_at(list, i.saturating_mul(4)) else { break };
            if i < count {
                if let Err(why) = self.value(value) {
                    let place = size(value).saturating_add(BASE_BLOCK);
                    report.lost(place, format!("value of key {:?}: {why}", key.name));
                }
            } else if cells::cell(self.image, value)
                .is_some_and(|cell| !cell.allocated && cells::value_node(cell.body).is_some())
            {
                self.leftovers.push((offset, value));
            }
        }
    }

    fn value(&mut self, offset: u32) -> Result<(), &'static str> {
        let value = self.allocated(offset).and_then(|cell| cells::value_node(cell.body));
        let value = value.ok_or("no value where the list has one")?;
        if !self.owned.insert(offset) {
            return Err("another key has it too");
        }
        if value.resident {
            return if value.length <= 4 {
                Ok(())
            } else {
                Err("resident data of impossible size")
            };
        }
        if value.length == 0 {
            return Ok(());
        }
        let body = self.allocated(value.data).ok_or("its data are missing")?.body;
        if !self.owned.insert(value.data) {
            return Err("another value has its data");
        }
        if value.length <= body.len() {
            return Ok(());
        }
        if self.segmented && body.starts_with(b"db") {
            let segments = cells::segment_offsets(self.image, body).unwrap_or_default();
            if !segments.iter().all(|segment| self.owned.insert(*segment)) {
                return Err("another value has a segment of its data");
            }
            let bytes = cells::value_bytes(self.image, &value, true);
            return bytes.map(|_| ()).ok_or("its data are incomplete");
        }
        Err("its data are longer than their cell")
    }
}

/// Whether a subkey list's hash is that of the name; only ASCII names are judged.
fn hash_fits(hash: EntryHash, name: &str) -> bool {
    if !name.is_ascii() {
        return true;
    }
    match hash {
        EntryHash::Nothing => true,
        EntryHash::Start(start) => {
            let kept = start.to_le_bytes();
            let expected = name.bytes().chain(std::iter::repeat(0));
            kept.iter().zip(expected).all(|(a, b)| a.eq_ignore_ascii_case(&b))
        }
        EntryHash::Whole(hash) => {
            let upper = name.bytes().map(|b| u32::from(b.to_ascii_uppercase()));
            hash == upper.fold(0, |sum: u32, c| sum.wrapping_mul(37).wrapping_add(c))
        }
    }
}
