//! Triggers: a few texts of which one stands in every block that can match, and
//! their search.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;

use super::formula::{Formula, Literal, utf8_forms, utf16};
use super::literals::{Literals, inside};
use super::ordinary::{in_logs, is_ordinary};
use super::sweep::{Form, Sighting, Sweep};

/// So many triggers with a common first word are searched for by that word.
const SIBLINGS: usize = 4;
/// Letters at the start of two triggers that are looked for in place of both.
const COMMON_START: usize = 6;
/// Weight up to which a literal is a bad trigger: three letters, or an ordinary word.
const WEAK: usize = 6;
/// Needles that one sweep takes before too many bytes make it compare.
const NEEDLES_PER_SWEEP: usize = 256;
/// Needles beyond which sweeps are slower than searching for everything at once.
const MAX_NEEDLES: usize = 2 * NEEDLES_PER_SWEEP;
/// Weight of what stands in most blocks.
const ORDINARY: usize = 1;

/// Whether some of many texts stands in another, in any case.
pub(super) enum Trigger {
    /// The search could not be built: every text goes to the second step.
    Always,
    Sweeps(Vec<Sweep>),
    /// There are too many for sweeps.
    Automaton(AhoCorasick),
}

impl Trigger {
    fn of(texts: &[String]) -> Self {
        let forms = texts.iter().flat_map(|text| utf8_forms(text)).enumerate();
        let forms: Vec<(usize, Vec<u8>)> = forms.collect();
        if forms.len() <= MAX_NEEDLES {
            let form = |(needle, bytes)| Form { needle, bytes, stride: 1, folded: true };
            let shares = forms.chunks(NEEDLES_PER_SWEEP);
            return Self::Sweeps(
                shares.map(|share| Sweep::of(share.iter().cloned().map(form).collect())).collect(),
            );
        }
        let mut builder = AhoCorasick::builder();
        let search = builder.ascii_case_insensitive(true).build(forms.into_iter().map(|f| f.1));
        search.map_or(Self::Always, Self::Automaton)
    }

    pub(super) fn found(&self, text: &[u8]) -> bool {
        match self {
            Self::Always => true,
            Self::Sweeps(sweeps) => sweeps.iter().any(|sweep| {
                let mut found = false;
                sweep.each(text, &mut |_| found = true);
                found
            }),
            Self::Automaton(search) => search.is_match(text),
        }
    }

    /// For each of many short texts at least where one is found: they are swept as one.
    pub(super) fn found_in(&self, texts: &[&str]) -> Vec<bool> {
        let Self::Sweeps(sweeps) = self else {
            return texts.iter().map(|text| self.found(text.as_bytes())).collect();
        };
        let mut all = Vec::with_capacity(texts.iter().map(|text| text.len()).sum());
        let mut ends = Vec::with_capacity(texts.len());
        for text in texts {
            all.extend_from_slice(text.as_bytes());
            ends.push(all.len());
        }
        let mut found = vec![false; texts.len()];
        for sweep in sweeps {
            sweep.each(&all, &mut |sighting| {
                let text = ends.partition_point(|end| *end <= sighting.at.start);
                found.get_mut(text).into_iter().for_each(|found| *found = true);
            });
        }
        found
    }
}

/// The literals that decide first whether a block can match.
pub(super) struct Triggers {
    search: Search,
    /// Needle → literals that stand nowhere without it.
    pub(super) literals_of: Vec<Vec<usize>>,
    /// Literal → needles of which each stands wherever it does; none: it may stand
    /// though no needle does.
    pub(super) needles_of: Vec<Vec<usize>>,
    /// Needle → the literal that is the same.
    same: Vec<Option<usize>>,
    /// In text that something else rendered, byte literals included.
    pub(super) rendered: Trigger,
}

/// How needles are found in a binary block.
enum Search {
    Sweeps(Vec<Sweep>),
    /// There are too many: the needles are all literals.
    Literals(Literals),
}

impl Triggers {
    pub(super) fn of(formulas: &[Formula], literals: &[Literal]) -> Self {
        let mut chosen = Choice::of(formulas, literals, true);
        // Most stand where a shorter one does: only what is searched for counts.
        if count(&chosen, literals) > MAX_NEEDLES {
            chosen = Choice::of(formulas, literals, false);
        }
        let triggers: Vec<&Literal> = chosen.iter().filter_map(|i| literals.get(*i)).collect();
        let rendered = Trigger::of(&few(triggers.iter().map(|l| l.text())));
        let texts = few(triggers.iter().filter_map(|l| match l {
            Literal::Text(text) => Some(text.as_str()),
            Literal::Bytes { .. } => None,
        }));
        let bytes = triggers.iter().filter(|l| matches!(l, Literal::Bytes { .. }));
        let needles = texts.iter().map(|t| Literal::Text(t.clone()));
        let mut needles: Vec<Literal> = needles.chain(bytes.map(|l| (*l).clone())).collect();
        let search = if needles.len() <= MAX_NEEDLES {
            let numbered: Vec<(usize, &Literal)> = needles.iter().enumerate().collect();
            let shares = numbered.chunks(NEEDLES_PER_SWEEP);
            let forms = |share: &[_]| share.iter().copied().flat_map(forms).collect();
            Search::Sweeps(shares.map(|share| Sweep::of(forms(share))).collect())
        } else {
            needles = literals.to_vec();
            Search::Literals(Literals::of(literals))
        };
        let needles_of = inside(&needles, literals);
        let mut literals_of = vec![Vec::new(); needles.len()];
        for (literal, inside) in needles_of.iter().enumerate() {
            for needle in inside {
                literals_of.get_mut(*needle).into_iter().for_each(|of| of.push(literal));
            }
        }
        let same = needles.iter().map(|needle| literals.binary_search(needle).ok()).collect();
        Self { search, literals_of, needles_of, same, rendered }
    }

    /// Where needles stand in a block, by their start.
    pub(super) fn sightings(&self, block: &[u8]) -> Vec<Sighting> {
        let mut sightings = Vec::new();
        let mut see = |sighting| sightings.push(sighting);
        match &self.search {
            Search::Sweeps(sweeps) => sweeps.iter().for_each(|sweep| sweep.each(block, &mut see)),
            Search::Literals(literals) => literals.each(block, &mut see),
        }
        sightings.sort_unstable_by_key(|sighting| sighting.at.start);
        sightings
    }

    /// Literals of which one stands wherever the formula holds, each with a needle, rare
    /// ones where there is a choice; `None`: there are none such.
    pub(super) fn keys(&self, formula: &Formula, literals: &[Literal]) -> Option<BTreeSet<usize>> {
        match formula {
            Formula::Literal(i) => {
                let has_needle = self.needles_of.get(*i).is_some_and(|of| !of.is_empty());
                has_needle.then(|| BTreeSet::from([*i]))
            }
            Formula::Any(parts) => {
                let keys: Option<Vec<_>> = parts.iter().map(|p| self.keys(p, literals)).collect();
                Some(keys?.into_iter().flatten().collect())
            }
            Formula::All(parts) => {
                let known = parts.iter().filter_map(|p| Some((p, self.keys(p, literals)?)));
                let rarest = known.min_by_key(|(p, _)| std::cmp::Reverse(rarity(p, literals)));
                rarest.map(|(_, keys)| keys)
            }
        }
    }

    /// Whether the literal may stand where only these needles do.
    pub(super) fn may_stand(&self, literal: usize, needles: &BTreeSet<usize>) -> bool {
        let inside = self.needles_of.get(literal);
        inside.is_none_or(|inside| inside.iter().all(|needle| needles.contains(needle)))
    }

    /// Whether one of these needles is the literal itself.
    pub(super) fn are(&self, needles: &BTreeSet<usize>, literal: usize) -> bool {
        let of = |needle: &usize| self.same.get(*needle).copied().flatten();
        needles.iter().any(|needle| of(needle) == Some(literal))
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

/// Chooses literals of which one is present whenever some formula holds.
struct Choice<'a> {
    literals: &'a [Literal],
    /// Literal → those that stand wherever it does, itself among them.
    inside: Vec<Vec<usize>>,
    /// Where an `All` has weak parts only, all of them count.
    every_weak: bool,
    chosen: BTreeSet<usize>,
}

impl<'a> Choice<'a> {
    /// All of an `Any`, of an `All` one strong part (that needs the fewest further texts,
    /// then the rarest), or `every_weak` one, if there is none.
    fn of(formulas: &[Formula], literals: &'a [Literal], every_weak: bool) -> BTreeSet<usize> {
        let inside = inside(literals, literals);
        let mut choice = Self { literals, inside, every_weak, chosen: BTreeSet::new() };
        // What leaves no choice comes first: its triggers may serve the others.
        let (free, forced): (Vec<_>, Vec<_>) = formulas.iter().partition(|f| has_choice(f));
        for formula in forced.into_iter().chain(free) {
            choice.choose(formula);
        }
        choice.chosen
    }

    fn choose(&mut self, formula: &Formula) {
        match formula {
            Formula::Literal(i) => {
                self.chosen.insert(*i);
            }
            Formula::Any(parts) => parts.iter().for_each(|part| self.choose(part)),
            Formula::All(parts) => {
                let cost = |part: &&Formula| {
                    let rarity = rarity(part, self.literals);
                    (rarity <= WEAK, self.missing(part), std::cmp::Reverse(rarity))
                };
                let Some(best) = parts.iter().min_by_key(cost) else { return };
                let mut taken = vec![best];
                if self.every_weak && rarity(best, self.literals) <= WEAK {
                    let others = parts.iter().filter(|part| *part != best);
                    taken.extend(others.filter(|part| rarity(part, self.literals) > ORDINARY));
                }
                taken.into_iter().for_each(|part| self.choose(part));
            }
        }
    }

    /// How many texts triggering on this part would add to those chosen.
    fn missing(&self, formula: &Formula) -> usize {
        match formula {
            Formula::Literal(i) => {
                let mut inside = self.inside.get(*i).into_iter().flatten();
                usize::from(!inside.any(|known| self.chosen.contains(known)))
            }
            Formula::Any(parts) => parts.iter().map(|p| self.missing(p)).sum(),
            Formula::All(parts) => parts.iter().map(|p| self.missing(p)).min().unwrap_or_default(),
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

fn has_choice(formula: &Formula) -> bool {
    match formula {
        Formula::Literal(_) => false,
        Formula::All(parts) => parts.len() > 1 || parts.iter().any(has_choice),
        Formula::Any(parts) => parts.iter().any(has_choice),
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
}

/// The texts without those that contain another of them, sorted.
fn shortest<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let all: BTreeSet<&str> = texts.collect();
    let all: Vec<Literal> = all.into_iter().map(|text| Literal::Text(text.to_owned())).collect();
    let alone = inside(&all, &all).into_iter().map(|inside| inside.len() == 1);
    let shortest = all.iter().zip(alone).filter(|(_, alone)| *alone);
    shortest.map(|(literal, _)| literal.text().to_owned()).collect()
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
    let mut kept: Vec<&str> = Vec::new();
    let merged = shortest(merged.into_iter());
    for text in &merged {
        match kept.last_mut().and_then(|last| Some((common_start(last, text)?, last))) {
            Some((start, last)) => *last = start,
            None => kept.push(text),
        }
    }
    shortest(kept.into_iter())
}

/// What both texts begin with, if that is as good to look for.
fn common_start<'a>(one: &'a str, other: &str) -> Option<&'a str> {
    let same = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let start = one.get(..same)?;
    (same >= COMMON_START && !is_ordinary(start) && !in_logs(start)).then_some(start)
}

/// The text up to its first blank, that included; all of it if that leaves too little.
fn first_word(text: &str) -> &str {
    text.split_inclusive(' ').next().filter(|word| word.len() * 2 > WEAK).unwrap_or(text)
}
