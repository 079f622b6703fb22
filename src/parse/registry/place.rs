//! Where keys that tell something lie, and who reads them.
//!
//! One reader serves the keys of a sound hive, the salvaged ones of a damaged one
//! and deleted ones: it is handed a key whose path fits one of its places.

use std::ops::ControlFlow;

use super::{Hive, Key, Output};

/// What a place's path begins at.
#[derive(Clone, Copy, Debug)]
pub enum Root {
    /// Each control set of SYSTEM.
    System,
    /// SOFTWARE and a user's `Software`, each also for 32-bit programs.
    Software,
    /// The hive's own root: a user's hive or Amcache.hve.
    Hive,
    /// A user's classes, in a hive of their own or below `Software`.
    Classes,
}

impl Root {
    fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::System => &[r"ControlSet*\"],
            Self::Software => &["", r"Wow6432Node\", r"Software\", r"Software\Wow6432Node\"],
            Self::Hive => &[""],
            Self::Classes => &["", r"Software\Classes\"],
        }
    }
}

/// Where keys of one kind lie. A `*` at the end of a name stands for any rest of it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub root: Root,
    pub path: &'static str,
}

/// The place of `path` below `root`.
pub const fn at(root: Root, path: &'static str) -> Place {
    Place { root, path }
}

/// Pushes what one key says.
pub type Read = fn(&Key, &mut Output<'_>) -> ControlFlow<()>;

/// Reads the keys of one artifact.
pub struct Extractor {
    pub places: &'static [Place],
    pub read: Read,
    /// Reads the tree of a hive instead, where one key alone does not tell all.
    pub live: Option<fn(&mut Hive, &mut Output<'_>) -> ControlFlow<()>>,
}

/// Pushes what the keys of the hive's tree say, in the order of `extractors`.
pub fn push_live(
    extractors: &[Extractor],
    hive: &mut Hive,
    output: &mut Output<'_>,
) -> ControlFlow<()> {
    let roots: Vec<String> = hive.below("", 1).into_iter().map(|key| key.name).collect();
    for extractor in extractors {
        if let Some(live) = extractor.live {
            live(hive, output)?;
            continue;
        }
        for pattern in extractor.places.iter().flat_map(patterns) {
            let (first, rest) = pattern.split_once('\\').unwrap_or((&pattern, ""));
            for root in roots.iter().filter(|root| fits(first, root)) {
                let path = if rest.is_empty() { root.clone() } else { format!("{root}\\{rest}") };
                for key in keys(hive, &path) {
                    (extractor.read)(&key, output)?;
                }
            }
        }
    }
    ControlFlow::Continue(())
}

/// The keys of the tree that fit a pattern.
fn keys(hive: &mut Hive, pattern: &str) -> Vec<Key> {
    let names: Vec<&str> = pattern.split('\\').collect();
    let fixed = names.iter().take_while(|name| !name.ends_with('*')).count();
    let levels = names.len().saturating_sub(fixed);
    let above = names.get(..fixed).unwrap_or_default().join("\\");
    if levels == 0 {
        return hive.key(&above).into_iter().collect();
    }
    let mut keys = hive.below(&above, levels);
    keys.retain(|key| {
        key.path.split('\\').count() == names.len()
            && key.path.split('\\').zip(&names).all(|(name, pattern)| fits(pattern, name))
    });
    keys
}

/// Pushes what carved keys say, as far as their path tells what they are; in a
/// `damaged` hive one name on the way may be misspelt.
pub fn push_carved(
    extractors: &[Extractor],
    keys: &[Key],
    damaged: bool,
    output: &mut Output<'_>,
) -> ControlFlow<()> {
    let all: Vec<(Read, String)> = extractors
        .iter()
        .flat_map(|e| e.places.iter().flat_map(patterns).map(move |pattern| (e.read, pattern)))
        .collect();
    let patterns: Vec<(Read, Vec<&str>)> =
        all.iter().map(|(read, pattern)| (*read, pattern.split('\\').collect())).collect();
    let (deleted, live): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| key.recovered);
    for key in live.into_iter().chain(deleted).filter(|key| !key.values.is_empty()) {
        let names: Vec<&str> = key.path.split('\\').collect();
        for (read, pattern) in &patterns {
            // The tree gives those that are in order.
            let in_tree = key.rooted && !key.recovered && is_at(&names, pattern, true, false);
            if !in_tree && is_at(&names, pattern, key.rooted, damaged) {
                read(key, output)?;
            }
        }
    }
    ControlFlow::Continue(())
}

fn patterns(place: &Place) -> impl Iterator<Item = String> {
    let path = place.path;
    place.root.prefixes().iter().map(move |prefix| format!("{prefix}{path}"))
}

/// Whether a carved key lies at a place: at its whole path, or when its parents are
/// lost, two names of it or more at the end. The last name that is no `*` must be right.
fn is_at(names: &[&str], pattern: &[&str], rooted: bool, damaged: bool) -> bool {
    /// So many names must be right for one that is not.
    const SURE: usize = 3;
    if rooted && names.len() != pattern.len() || !rooted && names.len() < 2 {
        return false;
    }
    let (mut right, mut wrong) = (0usize, 0usize);
    for (name, pattern) in names.iter().rev().zip(pattern.iter().rev()) {
        if *pattern == "*" {
            continue;
        }
        if fits(pattern, name) {
            right = right.saturating_add(1);
        } else if damaged && right > 0 && wrong == 0 {
            wrong = 1;
        } else {
            return false;
        }
    }
    right > 0 && (wrong == 0 || right >= SURE)
}

/// Whether a name is the pattern's, ASCII case aside.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
        None => name.eq_ignore_ascii_case(pattern),
    }
}
