//! One hive, its logs replayed, its damage told, its keys by path.
//!
//! A sound hive is read with notatin, whose types stay in this file. A damaged
//! one is not shown to it: its keys are salvaged one by one (`carve`).

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use notatin::cell_key_node::CellKeyNode;
use notatin::parser::Parser as Tree;
use notatin::parser_builder::ParserBuilder;

use crate::model::{Damage, Everything, Input, Locator, MAX_INLINE_BYTES, ReadAt};
use crate::parse::ParseError;

use super::carve::{self, Carved};
use super::cells;
use super::key::{Data, Key, NamedValue};
use super::replay::{Replay, replay};
use super::validate::{Bins, Leftover, Report, check_bins, check_tree};

/// What a header says of a transaction log, in which bins are not where a hive has them.
const LOG_KINDS: [u32; 3] = [1, 2, 6];
/// Keys given by one call of [`Hive::below`].
const MAX_KEYS_BELOW: usize = 1 << 20;

/// A hive that can be asked for keys. Paths are below its root, without regard
/// to ASCII case, with `\` between names.
pub struct Hive {
    image: Vec<u8>,
    reader: Reader,
    bins: Bins,
    leftovers: Vec<Leftover>,
}

enum Reader {
    Tree(Box<Tree>),
    Salvaged(Vec<Key>),
}

impl Hive {
    /// The hive in `input`, changes of its sidecars (LOG1, LOG2) applied, and
    /// what of it is lost.
    ///
    /// # Errors
    ///
    /// When the bytes cannot be read or are no hive.
    pub fn open(input: &Input<'_>) -> Result<(Self, Vec<Damage>), ParseError> {
        let mut image = input.read_all(MAX_INLINE_BYTES)?;
        if !image.starts_with(b"regf") {
            let start = image.get(..4).unwrap_or(&image);
            let found = format!("{:?}", String::from_utf8_lossy(start));
            return Err(ParseError::Foreign { format: "registry hive", found });
        }
        let is_log = cells::u32_at(&image, 28).is_some_and(|kind| LOG_KINDS.contains(&kind));
        if is_log && !image.get(4096..).is_some_and(|bins| bins.starts_with(b"hbin")) {
            let what = "a transaction log; the hive that it belongs to is not beside it".to_owned();
            return Err(ParseError::Broken { format: "registry hive", offset: 28, what });
        }
        let mut report = Report::default();
        let logs = read_logs(&input.sidecars, &mut report);
        let pending = replay(&mut image, &logs);
        drop(logs);
        let bins = check_bins(&image, &mut report);
        let leftovers = check_tree(&image, &mut report);
        let mut damages = report.into_damages();
        let mut reader = None;
        if damages.is_empty() {
            reader = open_tree(&image);
            if reader.is_none() {
                damages.push(lost("the key reader fails; keys are salvaged one by one"));
            }
        }
        damages.extend(pending_damage(&pending));
        let reader = match reader {
            Some(reader) => reader,
            None => {
                let (keys, cut) = carve::all_keys(&image, &bins);
                if cut {
                    damages.push(lost("too many or too large keys; the rest is not salvaged"));
                }
                Reader::Salvaged(keys)
            }
        };
        Ok((Self { image, reader, bins, leftovers }, damages))
    }

    /// The hive's bytes with its logs applied.
    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// Whether the tree leads to a key at `path`: told without reading keys beside it,
    /// for most of what is asked for is not there. A salvaged hive always says yes.
    fn leads_to(&self, path: &str) -> bool {
        let walk = || {
            let mut at = cells::u32_at(&self.image, 36)?;
            for name in path.split('\\').filter(|name| !name.is_empty()) {
                let node = cells::key_node(cells::cell(&self.image, at)?.body)?;
                let mut entries = Vec::new();
                if node.subkeys > 0 {
                    let _ = cells::subkey_entries(&self.image, node.subkey_list, &mut entries);
                }
                let is_next = |entry: &&cells::SubkeyEntry| {
                    cells::cell(&self.image, entry.offset)
                        .and_then(|cell| cells::key_node(cell.body))
                        .is_some_and(|key| key.name.eq_ignore_ascii_case(name))
                };
                at = entries.iter().find(is_next)?.offset;
            }
            Some(())
        };
        matches!(self.reader, Reader::Salvaged(_)) || walk().is_some()
    }

    /// The key at `path`; the empty path is the root.
    pub fn key(&mut self, path: &str) -> Option<Key> {
        if !self.leads_to(path) {
            return None;
        }
        match &mut self.reader {
            Reader::Tree(tree) => guarded(|| node_at(tree, path)).flatten().map(|n| to_key(&n)),
            Reader::Salvaged(keys) => keys
                .iter()
                .filter(|key| key.rooted && key.path.eq_ignore_ascii_case(path))
                .min_by_key(|key| key.recovered)
                .cloned(),
        }
    }

    /// The keys below `path`, at most `depth` levels down, each before its own subkeys.
    ///
    /// # Limits
    ///
    /// 2^20 keys.
    pub fn below(&mut self, path: &str, depth: usize) -> Vec<Key> {
        if depth == 0 || !self.leads_to(path) {
            return Vec::new();
        }
        match &mut self.reader {
            Reader::Tree(tree) => guarded(|| {
                let mut keys = Vec::new();
                if let Some(mut node) = node_at(tree, path) {
                    collect(tree, &mut node, depth, &mut keys);
                }
                keys
            })
            .unwrap_or_default(),
            Reader::Salvaged(keys) => keys
                .iter()
                .filter(|key| key.rooted && !key.recovered)
                .filter(|key| levels_below(path, &key.path).is_some_and(|n| n <= depth))
                .cloned()
                .collect(),
        }
    }

    /// Deleted keys and values and, of a damaged hive, all there are.
    pub fn carve(&self) -> Carved {
        let mut carved = Carved {
            leftovers: carve::leftovers(&self.image, &self.leftovers),
            ..Carved::default()
        };
        match &self.reader {
            Reader::Tree(_) => {
                (carved.keys, carved.cut) = carve::deleted_keys(&self.image, &self.bins);
            }
            Reader::Salvaged(keys) => {
                carved.keys = keys.clone();
                carved.salvaged = true;
            }
        }
        let (orphans, cut) = carve::orphans(&self.image, &self.bins, carved.salvaged);
        carved.orphans = orphans;
        carved.cut |= cut;
        carved
    }
}

/// How many levels `path` lies below `above`; `None` when it does not.
fn levels_below(above: &str, path: &str) -> Option<usize> {
    let rest = if above.is_empty() {
        path
    } else {
        let head = path.get(..above.len())?;
        if !head.eq_ignore_ascii_case(above) {
            return None;
        }
        path.get(above.len()..)?.strip_prefix('\\')?
    };
    (!rest.is_empty()).then(|| rest.split('\\').count())
}

fn read_logs(sidecars: &[&dyn ReadAt], report: &mut Report) -> Vec<Vec<u8>> {
    let mut logs = Vec::new();
    for bytes in sidecars {
        let log = Input {
            bytes: *bytes,
            sidecars: Vec::new(),
            name: "",
            modified: None,
            filter: &Everything,
            paths: None,
            zone: None,
        };
        match log.read_all(MAX_INLINE_BYTES) {
            Ok(bytes) => logs.push(bytes),
            Err(error) => report.lost(0, format!("transaction log cannot be read: {error}")),
        }
    }
    logs
}

fn lost(message: &str) -> Damage {
    Damage { locator: Some(Locator::Offset(0)), message: message.to_owned(), lost: true }
}

fn pending_damage(pending: &Replay) -> Option<Damage> {
    match pending {
        Replay::Clean => None,
        Replay::Applied(entries) => Some(Damage {
            locator: Some(Locator::Offset(0)),
            message: format!("dirty, {entries} entries of its transaction logs applied"),
            lost: false,
        }),
        Replay::Partly { applied, why } => Some(lost(&format!(
            "dirty, {applied} entries of its transaction logs applied, the rest is damaged: {why}"
        ))),
        Replay::Broken => {
            Some(lost("base block is damaged and no transaction log has a copy of it"))
        }
        Replay::Missing => Some(lost("dirty, transaction logs missing: last changes not seen")),
    }
}

/// What `read` gives, or `None` if the library panics.
fn guarded<T>(read: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok()
}

fn open_tree(image: &[u8]) -> Option<Reader> {
    let bytes = image.to_vec();
    let tree = guarded(|| ParserBuilder::from_file(Cursor::new(bytes)).build())?.ok()?;
    Some(Reader::Tree(Box::new(tree)))
}

fn node_at(tree: &mut Tree, path: &str) -> Option<CellKeyNode> {
    let node = if path.is_empty() { tree.get_root_key() } else { tree.get_key(path, false) };
    node.ok().flatten()
}

fn collect(tree: &mut Tree, node: &mut CellKeyNode, depth: usize, keys: &mut Vec<Key>) {
    let Some(deeper) = depth.checked_sub(1) else { return };
    for mut child in node.read_sub_keys(tree) {
        if keys.len() >= MAX_KEYS_BELOW {
            return;
        }
        keys.push(to_key(&child));
        if child.detail.number_of_sub_keys() > 0 {
            collect(tree, &mut child, deeper, keys);
        }
    }
}

fn to_key(node: &CellKeyNode) -> Key {
    let values = node
        .value_iter()
        .map(|value| {
            let bytes = value.detail.value_bytes().unwrap_or_default();
            NamedValue {
                name: value.detail.value_name(),
                data: Data::decode(value.detail.data_type_raw(), &bytes),
            }
        })
        .collect();
    // notatin's paths start with `\` and the root's own name.
    let path = node.path.trim_start_matches('\\').split_once('\\').map_or("", |(_, rest)| rest);
    let ticks = node.detail.last_key_written_date_and_time();
    Key::live(path.to_owned(), node.key_name.clone(), ticks, values)
}
