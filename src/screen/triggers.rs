//! Triggers: a few texts of which one stands in every block that can match, and
//! their search.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;
use aho_corasick::packed;

use super::formula::{Formula, Literal, utf8_forms};

/// Patterns that one SIMD search takes before it slows down.
const PACKED_PATTERNS: usize = 32;
/// SIMD searches beyond which one automaton is faster.
const PACKED_SEARCHES: usize = 6;
/// So many triggers with a common first word are searched for by that word.
const SIBLINGS: usize = 4;
/// Weight up to which a literal is a bad trigger: three letters, or an ordinary word.
const WEAK: usize = 6;
/// Texts that ordinary logs are full of: bad triggers where a rule has a better one.
const ORDINARY: &[&str] = &[
    "service",
    "services",
    "start",
    "run",
    "install",
    "config",
    ".exe",
    "\\chrome.exe",
    "\\msedge.exe",
    "\\firefox.exe",
    "\\iexplore.exe",
    "\\brave.exe",
    "\\opera.exe",
    "\\vivaldi.exe",
    "\\safari.exe",
    "\\msedgewebview2.exe",
    "\\powershell.exe",
    "\\cmd.exe",
    "\\windows\\",
    "\\services\\",
    "\\run\\",
    "\\currentversion\\run",
    "\\winlogon\\",
    "http",
    "https",
    "tcp",
    "http ",
    "https://",
    "http://",
    "file:",
    "version",
    "agent",
    " -r",
    "newprocessname",
    "security",
    "microsoft",
];

pub(super) enum Trigger {
    Never,
    /// The search could not be built: every block goes to the second step.
    Always,
    Packed(Vec<packed::Searcher>),
    Automaton(AhoCorasick),
}

impl Trigger {
    pub(super) fn found(&self, haystack: &[u8]) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Packed(all) => all.iter().any(|s| s.find(haystack).is_some()),
            Self::Automaton(search) => search.is_match(haystack),
        }
    }
}

/// Where triggers are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Block,
    /// A record without what its block's records share.
    Record,
}

/// Literals of which one is present whenever some requirement can hold.
pub(super) struct Triggers {
    pub(super) literals: BTreeSet<usize>,
    pub(super) texts: Vec<String>,
    /// In a block's lower-case form and its lanes.
    pub(super) text: Trigger,
    /// In text that something else rendered, byte literals included.
    pub(super) rendered: Trigger,
    pub(super) raw: Trigger,
}

impl Triggers {
    pub(super) fn of(formulas: &[Formula], literals: &[Literal], scope: Scope) -> Self {
        let chosen = choose_triggers(formulas, literals, scope);
        let triggers: Vec<&Literal> = chosen.iter().filter_map(|i| literals.get(*i)).collect();
        let texts = few(triggers.iter().filter_map(|l| match l {
            Literal::Text(text) => Some(text.as_str()),
            Literal::Bytes { .. } => None,
        }));
        let rendered = few(triggers.iter().map(|l| l.text()));
        let rendered: Vec<Vec<u8>> = rendered.iter().flat_map(|t| utf8_forms(t)).collect();
        let raw = triggers.iter().filter_map(|l| match l {
            Literal::Bytes { bytes, .. } => Some(bytes.clone()),
            Literal::Text(_) => None,
        });
        Self {
            text: trigger(&texts.iter().map(|t| t.as_bytes().to_vec()).collect::<Vec<_>>()),
            rendered: trigger(&rendered),
            raw: trigger(&raw.collect::<Vec<_>>()),
            literals: chosen,
            texts,
        }
    }
}

/// Literals of which one is present whenever some formula holds: all of an `Any`,
/// of an `All` the part that needs the fewest further and the rarest texts.
fn choose_triggers(formulas: &[Formula], literals: &[Literal], scope: Scope) -> BTreeSet<usize> {
    let mut chosen = BTreeSet::new();
    // What leaves no choice comes first: its triggers may serve the others.
    let (free, forced): (Vec<_>, Vec<_>) = formulas.iter().partition(|f| has_choice(f));
    for formula in forced.into_iter().chain(free) {
        choose(formula, literals, scope, &mut chosen);
    }
    chosen
}

fn has_choice(formula: &Formula) -> bool {
    match formula {
        Formula::Literal(_) => false,
        Formula::All(parts) => parts.len() > 1 || parts.iter().any(has_choice),
        Formula::Any(parts) => parts.iter().any(has_choice),
    }
}

fn choose(formula: &Formula, literals: &[Literal], scope: Scope, chosen: &mut BTreeSet<usize>) {
    match formula {
        Formula::Literal(i) => {
            chosen.insert(*i);
        }
        Formula::Any(parts) => parts.iter().for_each(|p| choose(p, literals, scope, chosen)),
        Formula::All(parts) => {
            let best = parts.iter().min_by_key(|part| {
                let rarity = rarity(part, literals, scope);
                (
                    rarity <= 1,
                    rarity <= WEAK,
                    missing(part, literals, chosen),
                    std::cmp::Reverse(rarity),
                )
            });
            if let Some(best) = best {
                choose(best, literals, scope, chosen);
            }
        }
    }
}

impl Literal {
    /// The longer, the rarer; a byte counts half a letter.
    fn weight(&self, scope: Scope) -> usize {
        match self {
            // Names of providers and elements stand in the shared definitions.
            Self::Text(text) if scope == Scope::Record && text.starts_with("microsoft-") => 1,
            Self::Text(text) if ORDINARY.contains(&text.as_str()) => 1,
            Self::Text(text) => text.len() * 2,
            Self::Bytes { bytes, .. } => bytes.len(),
        }
    }
}

/// How many texts triggering on this part would add to those chosen.
fn missing(formula: &Formula, literals: &[Literal], chosen: &BTreeSet<usize>) -> usize {
    match formula {
        Formula::Literal(i) => {
            let Some(literal) = literals.get(*i) else { return 0 };
            let covered = chosen.iter().filter_map(|c| literals.get(*c)).any(|known| {
                matches!((known, literal), (Literal::Text(k), Literal::Text(l)) if l.contains(k.as_str()))
            });
            usize::from(!covered)
        }
        Formula::Any(parts) => parts.iter().map(|p| missing(p, literals, chosen)).sum(),
        Formula::All(parts) => {
            parts.iter().map(|p| missing(p, literals, chosen)).min().unwrap_or_default()
        }
    }
}

/// The weight of the weakest literal that triggering on this part would need.
fn rarity(formula: &Formula, literals: &[Literal], scope: Scope) -> usize {
    match formula {
        Formula::Literal(i) => literals.get(*i).map_or(0, |l| l.weight(scope)),
        Formula::Any(parts) => parts.iter().map(|p| rarity(p, literals, scope)).min().unwrap_or(0),
        Formula::All(parts) => parts.iter().map(|p| rarity(p, literals, scope)).max().unwrap_or(0),
    }
}

/// The texts without those that contain another of them, sorted.
fn shortest<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let all: BTreeSet<&str> = texts.collect();
    all.iter()
        .filter(|t| !all.iter().any(|other| other != *t && t.contains(other)))
        .map(|t| (*t).to_owned())
        .collect()
}

/// A few texts of which one stands in whatever holds one of these.
fn few<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let all = shortest(texts);
    let mut families: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for text in &all {
        families.entry(first_word(text)).or_default().push(text);
    }
    let merged: Vec<&str> = families
        .into_iter()
        .flat_map(|(start, family)| if family.len() < SIBLINGS { family } else { vec![start] })
        .collect();
    shortest(merged.into_iter())
}

/// The text up to its first blank, that included; all of it if that leaves too little.
fn first_word(text: &str) -> &str {
    text.split_inclusive(' ').next().filter(|word| word.len() * 2 > WEAK).unwrap_or(text)
}

fn trigger(patterns: &[Vec<u8>]) -> Trigger {
    if patterns.is_empty() {
        return Trigger::Never;
    }
    if patterns.len() <= PACKED_PATTERNS * PACKED_SEARCHES {
        let searches = patterns.len().div_ceil(PACKED_PATTERNS);
        let share = patterns.len().div_ceil(searches).max(1);
        let searchers: Option<Vec<_>> = patterns.chunks(share).map(packed::Searcher::new).collect();
        if let Some(searchers) = searchers {
            return Trigger::Packed(searchers);
        }
    }
    AhoCorasick::new(patterns).map_or(Trigger::Always, Trigger::Automaton)
}
