//! Keys and values that the tree does not lead to.
//!
//! Windows frees the cells of a deleted key but leaves their bytes until they
//! are needed again: key, list of values and values can still be joined while
//! all of them lie in free space. The same search over all cells salvages a
//! damaged hive: each key names its parent, so its path needs no list above it.

use std::collections::HashSet;

use crate::model::from_filetime;

use super::cells::{self, BASE_BLOCK, KeyNode, NO_CELL, size, u32_at};
use super::key::{Data, Key, NamedValue};
use super::validate::{Bins, Leftover};

/// Windows allows 512 levels.
const MAX_DEPTH: usize = 512;
/// Bytes of a carved path; what lies above is cut off.
const MAX_PATH: usize = 16 << 10;
/// Values read of one carved key.
const MAX_CARVED_VALUES: usize = 4096;
/// Bytes of paths and values read of all carved keys together.
const MAX_CARVED_BYTES: usize = 256 << 20;
/// Bytes read for a value's record whose cell has no believable size.
const MAX_VALUE_NODE: usize = 1 << 16;
/// Bytes read from a cell that has no believable size.
const MAX_SALVAGED_BYTES: usize = 16 << 10;
/// Keys and orphaned values carved from one hive.
const MAX_CARVED: usize = 1 << 20;

/// What carving finds.
#[derive(Debug, Default)]
pub struct Carved {
    /// Deleted keys, or every key of a damaged hive.
    pub keys: Vec<Key>,
    /// The hive is damaged: names on the way to a key may be wrong.
    pub salvaged: bool,
    /// A limit was met; the rest of the hive was not searched.
    pub cut: bool,
    /// Deleted values of live keys: each key bears only those.
    pub leftovers: Vec<Key>,
    /// Values in free cells, of a damaged hive in any, in the order of the file.
    pub orphans: Vec<Orphan>,
}

/// A value found without its key.
#[derive(Debug)]
pub struct Orphan {
    /// Absolute offset of its cell.
    pub at: usize,
    pub value: NamedValue,
    /// It lies in free space.
    pub deleted: bool,
}

/// The deleted keys in the free cells of a sound hive, in the order of the file.
///
/// The flag is set when a limit was met before the end.
pub fn deleted_keys(image: &[u8], bins: &Bins) -> (Vec<Key>, bool) {
    let mut carver = Carver::new(image, bins, false);
    let mut keys = Vec::new();
    for (start, end) in &bins.free {
        for at in records(image, *start, *end, b"nk") {
            keys.extend(carver.key(at, true));
            if keys.len() >= MAX_CARVED || carver.budget == 0 {
                return (keys, true);
            }
        }
    }
    (keys, false)
}

/// Every key of a damaged hive that can be read, in the order of the file;
/// `recovered` marks those in free cells. The flag is set when a limit was met
/// before the end.
pub fn all_keys(image: &[u8], bins: &Bins) -> (Vec<Key>, bool) {
    let mut carver = Carver::new(image, bins, true);
    let mut keys = Vec::new();
    for at in records(image, BASE_BLOCK, image.len(), b"nk") {
        let allocated = u32_at(image, at).is_some_and(|raw| raw.cast_signed() < 0);
        let free = !allocated || carver.is_free(at.saturating_add(4));
        keys.extend(carver.key(at, free));
        if keys.len() >= MAX_CARVED || carver.budget == 0 {
            return (keys, true);
        }
    }
    (keys, false)
}

/// Deleted values that the lists of live keys still point at.
pub fn leftovers(image: &[u8], found: &[Leftover]) -> Vec<Key> {
    let segmented = cells::segmented(image);
    let mut keys: Vec<Key> = Vec::new();
    let mut last = None;
    for (key, value) in found {
        let Some(node) = cells::cell(image, *key).and_then(|c| cells::key_node(c.body)) else {
            continue;
        };
        let Some(value) = named_value(image, *value, segmented) else { continue };
        if last != Some(key) {
            let (path, rooted) = path_of(image, &node);
            let mut live = Key::live(path, node.name.clone(), node.last_written, Vec::new());
            live.rooted = rooted;
            live.recovered = true;
            keys.push(live);
            last = Some(key);
        }
        if let Some(key) = keys.last_mut() {
            key.values.push(value);
        }
    }
    keys
}

/// Values in free cells, and of a damaged hive (`all`) in any, whether or not a
/// key claims them; only those with text. The flag is set when a limit was met
/// before the end.
pub fn orphans(image: &[u8], bins: &Bins, all: bool) -> (Vec<Orphan>, bool) {
    let mut carver = Carver::new(image, bins, all);
    let whole = [(BASE_BLOCK, image.len())];
    let ranges = if all { whole.as_slice() } else { bins.free.as_slice() };
    let mut orphans = Vec::new();
    for (start, end) in ranges {
        for at in records(image, *start, *end, b"vk") {
            let Some(offset) = offset_of(at) else { continue };
            let deleted = carver.offset_is_free(offset);
            let value =
                if deleted { carver.free_value(offset) } else { carver.named_value(offset) };
            let Some(value) = value else { continue };
            carver.spend(weight(&value));
            if value.data.text().is_some_and(|text| !text.is_empty()) {
                orphans.push(Orphan { at, value, deleted });
            }
            if orphans.len() >= MAX_CARVED || carver.budget == 0 {
                return (orphans, true);
            }
        }
    }
    (orphans, false)
}

/// Absolute offsets of cells between `start` and `end` whose content begins with
/// `signature`. `start` may be a cell or the content of one.
fn records<'a>(
    image: &'a [u8],
    start: usize,
    end: usize,
    signature: &'a [u8; 2],
) -> impl Iterator<Item = usize> + 'a {
    let first = (start & !7).max(BASE_BLOCK);
    let block = image.get(first..end).unwrap_or_default();
    block
        .chunks(8)
        .enumerate()
        .filter(|(_, chunk)| chunk.get(4..6) == Some(signature.as_slice()))
        .map(move |(i, _)| first.saturating_add(i.saturating_mul(8)))
}

fn offset_of(at: usize) -> Option<u32> {
    u32::try_from(at.checked_sub(BASE_BLOCK)?).ok()
}

struct Carver<'a> {
    image: &'a [u8],
    bins: &'a Bins,
    segmented: bool,
    /// Where a cell's size is wrong, what it should hold is read all the same.
    lenient: bool,
    /// Bytes of values that may still be read.
    budget: usize,
}

impl<'a> Carver<'a> {
    fn new(image: &'a [u8], bins: &'a Bins, lenient: bool) -> Self {
        let segmented = cells::segmented(image);
        Self { image, bins, segmented, lenient, budget: MAX_CARVED_BYTES }
    }

    fn spend(&mut self, bytes: usize) {
        self.budget = self.budget.saturating_sub(bytes);
    }

    /// Whether an absolute offset lies in a free cell.
    fn is_free(&self, at: usize) -> bool {
        let after = self.bins.free.partition_point(|(start, _)| *start <= at);
        after.checked_sub(1).and_then(|i| self.bins.free.get(i)).is_some_and(|(_, end)| at < *end)
    }

    /// Whether a cell is free, or lies in what has become part of a free one.
    fn offset_is_free(&self, offset: u32) -> bool {
        if offset == NO_CELL {
            return false;
        }
        let own = || cells::cell(self.image, offset).is_some_and(|cell| !cell.allocated);
        self.is_free(size(offset).saturating_add(BASE_BLOCK + 4)) || own()
    }

    /// The key whose cell stands at `at`; of a deleted one only values in free space.
    fn key(&mut self, at: usize, deleted: bool) -> Option<Key> {
        let body = self.image.get(at.checked_add(4)?..)?;
        let node = cells::key_node(body.get(..body.len().min(4096))?)?;
        let last_written = from_filetime(node.last_written);
        if !plausible_name(&node.name) || node.name.is_empty() {
            return None;
        }
        if deleted && last_written.is_none() {
            return None;
        }
        let (path, rooted) = path_of(self.image, &node);
        self.spend(path.len());
        let values = self.values(&node, deleted);
        Some(Key { name: node.name, path, rooted, last_written, values, recovered: deleted })
    }

    fn values(&mut self, node: &KeyNode, deleted: bool) -> Vec<NamedValue> {
        let mut values = Vec::new();
        if node.values == 0 || (deleted && !self.offset_is_free(node.value_list)) {
            return values;
        }
        let count = size(node.values).min(MAX_CARVED_VALUES);
        let Some(list) = self.body(node.value_list, count.saturating_mul(4)) else {
            return values;
        };
        for entry in list.chunks_exact(4).take(count) {
            let Some(offset) = u32_at(entry, 0) else { break };
            let value = if deleted { self.free_value(offset) } else { self.named_value(offset) };
            if let Some(value) = value {
                self.spend(weight(&value));
                values.push(value);
            }
            if self.budget == 0 {
                break;
            }
        }
        values
    }

    /// A value that lies in free space with all its data.
    fn free_value(&self, offset: u32) -> Option<NamedValue> {
        if !self.offset_is_free(offset) {
            return None;
        }
        let node = cells::value_node(cells::cell(self.image, offset)?.body)?;
        if !node.resident && node.length > 0 && !self.offset_is_free(node.data) {
            return None;
        }
        named_value(self.image, offset, self.segmented)
    }

    fn named_value(&self, offset: u32) -> Option<NamedValue> {
        let value = named_value(self.image, offset, self.segmented);
        if value.is_some() || !self.lenient || offset == NO_CELL {
            return value;
        }
        let at = size(offset).checked_add(BASE_BLOCK + 4)?;
        let rest = self.image.get(at..)?;
        let node = cells::value_node(rest.get(..rest.len().min(MAX_VALUE_NODE))?)?;
        if !plausible_name(&node.name) {
            return None;
        }
        let bytes = cells::value_bytes(self.image, &node, self.segmented)
            .or_else(|| Some(self.body(node.data, node.length)?.to_vec()))?;
        Some(NamedValue { data: Data::decode(node.kind, &bytes), name: node.name })
    }

    /// The content of a cell or, of a damaged hive, the `length` bytes that should
    /// be its content.
    fn body(&self, offset: u32, length: usize) -> Option<&'a [u8]> {
        let body = cells::cell(self.image, offset).map(|cell| cell.body);
        if let Some(body) = body.filter(|body| !self.lenient || body.len() >= length) {
            return Some(body);
        }
        if !self.lenient || offset == NO_CELL || length > MAX_SALVAGED_BYTES {
            return None;
        }
        let at = size(offset).checked_add(BASE_BLOCK + 4)?;
        self.image.get(at..at.checked_add(length)?)
    }
}

fn weight(value: &NamedValue) -> usize {
    match &value.data {
        Data::Binary(bytes) => bytes.len(),
        Data::Text(text) | Data::ExpandText(text) => text.len(),
        Data::MultiText(all) => all.iter().map(String::len).sum(),
        Data::Dword(_) | Data::Qword(_) => 8,
    }
}

fn named_value(image: &[u8], offset: u32, segmented: bool) -> Option<NamedValue> {
    let node = cells::value_node(cells::cell(image, offset)?.body)?;
    if !plausible_name(&node.name) {
        return None;
    }
    let bytes = cells::value_bytes(image, &node, segmented)?;
    Some(NamedValue { data: Data::decode(node.kind, &bytes), name: node.name })
}

/// No control characters, no replacement for what is no character.
fn plausible_name(name: &str) -> bool {
    name.chars().all(|c| !c.is_control() && c != char::REPLACEMENT_CHARACTER)
}

/// The path of a key through its parents, and whether it reaches the root.
fn path_of(image: &[u8], node: &KeyNode) -> (String, bool) {
    if node.root {
        return (String::new(), true);
    }
    let mut names = vec![node.name.clone()];
    let mut parent = node.parent;
    let mut seen = HashSet::new();
    let mut rooted = false;
    let mut length = node.name.len();
    while names.len() < MAX_DEPTH && length < MAX_PATH && seen.insert(parent) {
        let above = cells::cell(image, parent).and_then(|cell| cells::key_node(cell.body));
        let Some(above) = above.filter(|key| plausible_name(&key.name)) else { break };
        if above.root {
            rooted = true;
            break;
        }
        length = length.saturating_add(above.name.len());
        names.push(above.name);
        parent = above.parent;
    }
    names.reverse();
    (names.join("\\"), rooted)
}
