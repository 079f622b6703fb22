//! Triggers: a few texts of which one stands in every block that can match, and
//! their search.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;
use aho_corasick::packed;

use super::formula::{Formula, Literal, utf8_forms, utf16};
use super::ordinary::is_ordinary;
use super::sweep::{Form, Sighting, Sweep};

/// Patterns that one SIMD search takes before it slows down.
const PACKED_PATTERNS: usize = 32;
/// SIMD searches beyond which one automaton is faster.
const PACKED_SEARCHES: usize = 6;
/// So many triggers with a common first word are searched for by that word.
const SIBLINGS: usize = 4;
/// Weight up to which a literal is a bad trigger: three letters, or an ordinary word.
const WEAK: usize = 6;
/// Needles that one sweep takes before too many bytes make it compare.
const NEEDLES_PER_SWEEP: usize = 40;
/// Needles beyond which sweeps are slower than searching for everything at once.
const MAX_NEEDLES: usize = 8 * NEEDLES_PER_SWEEP;
/// Weight of what stands in most blocks.
const ORDINARY: usize = 1;
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

/// The literals that decide first whether a block can match.
pub(super) struct Triggers {
    /// In a binary block; none: there are too many of them.
    sweeps: Vec<Sweep>,
    /// Needle → literals that stand nowhere without it.
    literals_of: Vec<Vec<usize>>,
    /// Whether a literal may be there though no needle is.
    unseen: Vec<bool>,
    texts: Vec<String>,
    /// In text that something else rendered, byte literals included.
    pub(super) rendered: Trigger,
}

impl Triggers {
    pub(super) fn of(formulas: &[Formula], literals: &[Literal]) -> Self {
        let mut chosen = choose_triggers(formulas, literals, true);
        // Most stand where a shorter one does: only what is searched for counts.
        if count(&chosen, literals) > MAX_NEEDLES {
            chosen = choose_triggers(formulas, literals, false);
        }
        let triggers: Vec<&Literal> = chosen.iter().filter_map(|i| literals.get(*i)).collect();
        let rendered = few(triggers.iter().map(|l| l.text()));
        let rendered: Vec<Vec<u8>> = rendered.iter().flat_map(|t| utf8_forms(t)).collect();
        let texts = few(triggers.iter().filter_map(|l| match l {
            Literal::Text(text) => Some(text.as_str()),
            Literal::Bytes { .. } => None,
        }));
        let bytes = triggers.iter().filter(|l| matches!(l, Literal::Bytes { .. }));
        let needles: Vec<Literal> = texts
            .iter()
            .map(|t| Literal::Text(t.clone()))
            .chain(bytes.map(|l| (*l).clone()))
            .collect();
        let mut sweeps = Vec::new();
        if needles.len() <= MAX_NEEDLES {
            let numbered: Vec<(usize, &Literal)> = needles.iter().enumerate().collect();
            let shares = numbered.chunks(NEEDLES_PER_SWEEP);
            let forms = |share: &[_]| share.iter().copied().flat_map(forms).collect();
            sweeps.extend(shares.map(|share| Sweep::of(forms(share))));
        }
        let literals_of: Vec<Vec<usize>> = needles
            .iter()
            .map(|needle| {
                (0..).zip(literals).filter(|(_, l)| l.holds(needle)).map(|(i, _)| i).collect()
            })
            .collect();
        let mut unseen = vec![true; literals.len()];
        for literal in literals_of.iter().flatten().filter(|_| !sweeps.is_empty()) {
            if let Some(unseen) = unseen.get_mut(*literal) {
                *unseen = false;
            }
        }
        Self { sweeps, literals_of, unseen, texts, rendered: trigger(&rendered) }
    }

    /// The texts among them, sorted.
    pub(super) fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Where needles stand in a block, by their start.
    pub(super) fn sightings(&self, block: &[u8]) -> Vec<Sighting> {
        let mut sightings = Vec::new();
        for sweep in &self.sweeps {
            sweep.each(block, &mut |sighting| sightings.push(sighting));
        }
        sightings.sort_unstable_by_key(|sighting| sighting.at.start);
        sightings
    }

    /// The literals that may stand where no needle does.
    pub(super) fn unseen(&self) -> Vec<bool> {
        self.unseen.clone()
    }

    /// Adds the literals that may stand where this needle does.
    pub(super) fn see(&self, sighting: &Sighting, possible: &mut [bool]) {
        for literal in self.literals_of.get(sighting.needle).into_iter().flatten() {
            if let Some(possible) = possible.get_mut(*literal) {
                *possible = true;
            }
        }
    }
}

/// How many needles the chosen literals take.
fn count(chosen: &BTreeSet<usize>, literals: &[Literal]) -> usize {
    let all = || chosen.iter().filter_map(|i| literals.get(*i));
    let bytes = all().filter(|l| matches!(l, Literal::Bytes { .. })).count();
    let texts = all().filter_map(|l| match l {
        Literal::Text(text) => Some(text.as_str()),
        Literal::Bytes { .. } => None,
    });
    few(texts).len().saturating_add(bytes)
}

/// A needle in UTF-8 and UTF-16, or as the bytes that it is.
fn forms((needle, literal): (usize, &Literal)) -> Vec<Form> {
    let form = |bytes, stride, folded| Form { needle, bytes, stride, folded };
    match literal {
        Literal::Text(text) => {
            vec![form(text.clone().into_bytes(), 1, true), form(utf16(text), 2, true)]
        }
        Literal::Bytes { bytes, .. } => vec![form(bytes.clone(), 1, false)],
    }
}

/// Literals of which one is present whenever some formula holds: all of an `Any`, of an
/// `All` one strong part (that needs the fewest further texts, then the rarest), or
/// `every_weak` one, if there is none.
fn choose_triggers(
    formulas: &[Formula],
    literals: &[Literal],
    every_weak: bool,
) -> BTreeSet<usize> {
    let mut chosen = BTreeSet::new();
    // What leaves no choice comes first: its triggers may serve the others.
    let (free, forced): (Vec<_>, Vec<_>) = formulas.iter().partition(|f| has_choice(f));
    for formula in forced.into_iter().chain(free) {
        choose(formula, literals, every_weak, &mut chosen);
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

fn choose(formula: &Formula, literals: &[Literal], every_weak: bool, chosen: &mut BTreeSet<usize>) {
    match formula {
        Formula::Literal(i) => {
            chosen.insert(*i);
        }
        Formula::Any(parts) => {
            parts.iter().for_each(|part| choose(part, literals, every_weak, chosen));
        }
        Formula::All(parts) => {
            let cost = |part: &&Formula| {
                let rarity = rarity(part, literals);
                (rarity <= WEAK, missing(part, literals, chosen), std::cmp::Reverse(rarity))
            };
            let Some(best) = parts.iter().min_by_key(cost) else { return };
            let mut taken = vec![best];
            if every_weak && rarity(best, literals) <= WEAK {
                let others = parts.iter().filter(|part| *part != best);
                taken.extend(others.filter(|part| rarity(part, literals) > ORDINARY));
            }
            taken.into_iter().for_each(|part| choose(part, literals, every_weak, chosen));
        }
    }
}

impl Literal {
    /// The longer, the rarer; a byte counts half a letter.
    fn weight(&self) -> usize {
        match self {
            Self::Text(text) if is_ordinary(text) => ORDINARY,
            // Providers and channels stand in every block of their logs.
            Self::Text(text) if text.starts_with("microsoft-") => WEAK,
            Self::Text(text) => text.len() * 2,
            Self::Bytes { bytes, .. } => bytes.len(),
        }
    }

    /// Whether the needle stands wherever this does.
    fn holds(&self, needle: &Self) -> bool {
        match (self, needle) {
            (Self::Text(text), Self::Text(needle)) => text.contains(needle.as_str()),
            _ => self == needle,
        }
    }
}

/// How many texts triggering on this part would add to those chosen.
fn missing(formula: &Formula, literals: &[Literal], chosen: &BTreeSet<usize>) -> usize {
    match formula {
        Formula::Literal(i) => {
            let Some(literal) = literals.get(*i) else { return 0 };
            let mut known = chosen.iter().filter_map(|c| literals.get(*c));
            let covered = known.any(|known| literal.holds(known));
            usize::from(!covered)
        }
        Formula::Any(parts) => parts.iter().map(|p| missing(p, literals, chosen)).sum(),
        Formula::All(parts) => {
            parts.iter().map(|p| missing(p, literals, chosen)).min().unwrap_or_default()
        }
    }
}

/// The weight of the weakest literal that triggering on this part would need.
fn rarity(formula: &Formula, literals: &[Literal]) -> usize {
    match formula {
        Formula::Literal(i) => literals.get(*i).map_or(0, |l| l.weight()),
        Formula::Any(parts) => parts.iter().map(|p| rarity(p, literals)).min().unwrap_or(0),
        Formula::All(parts) => parts.iter().map(|p| rarity(p, literals)).max().unwrap_or(0),
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
