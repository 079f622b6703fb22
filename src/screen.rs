//! The screen: which blocks can possibly matter, decided at memory-scan speed.
//!
//! Rules and pivots say what they need to see ([`Requirement`]); the screen
//! compiles all of it into one search. It works in two steps. *Triggers* are a
//! small set of texts of which at least one stands in every block that can match;
//! they are searched for with SIMD in both encodings, and most blocks end there.
//! A block with a trigger is searched for every literal, and the requirements are
//! evaluated one by one. The screen may only reject what provably cannot match.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use aho_corasick::packed;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::model::{Cut, Filter, Requirement};

/// Patterns that one SIMD search takes before it slows down.
const PACKED_PATTERNS: usize = 32;
/// SIMD searches beyond which one automaton is faster.
const PACKED_SEARCHES: usize = 6;
/// Bytes of patterns up to which an automaton is built as a table.
const TABLE_BYTES: usize = 24 << 10;
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

/// A compiled set of requirements.
pub struct Screen {
    formulas: Vec<Formula>,
    /// One of these occurs in every block that can match.
    blocks: Triggers,
    /// The same for single records of a block, without what they all share.
    records: Triggers,
    /// Everything, for the second step; pattern index → literal index.
    all_binary: Option<Automaton>,
    all_text: Option<Automaton>,
    all_raw: Option<Automaton>,
    literals: usize,
    /// Some requirement is true of anything.
    open: bool,
}

/// A requirement over literal numbers.
#[derive(Clone, Debug)]
enum Formula {
    Literal(usize),
    All(Vec<Formula>),
    Any(Vec<Formula>),
}

struct Automaton {
    search: AhoCorasick,
    literal_of: Vec<usize>,
}

enum Trigger {
    Never,
    /// The search could not be built: every block goes to the second step.
    Always,
    Packed(Vec<packed::Searcher>),
    Automaton(AhoCorasick),
}

impl Trigger {
    fn found(&self, haystack: &[u8]) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Packed(all) => all.iter().any(|s| s.find(haystack).is_some()),
            Self::Automaton(search) => search.is_match(haystack),
        }
    }
}

/// What is looked for: a text (lower case), or bytes with the text that renders them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Literal {
    Text(String),
    Bytes { bytes: Vec<u8>, text: String },
}

impl Literal {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Bytes { text, .. } => text,
        }
    }

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

/// Where triggers are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Block,
    /// A record without what its block's records share.
    Record,
}

/// Literals of which one is present whenever some requirement can hold.
struct Triggers {
    literals: BTreeSet<usize>,
    texts: Vec<String>,
    /// In a block's lower-case form and its lanes.
    text: Trigger,
    /// In text that something else rendered, byte literals included.
    rendered: Trigger,
    raw: Trigger,
}

impl Triggers {
    fn of(formulas: &[Formula], literals: &[Literal], scope: Scope) -> Self {
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

thread_local! {
    /// One block per thread.
    static VIEW: RefCell<View> = RefCell::new(View::default());
}

impl Screen {
    /// Compiles the requirements; any block that satisfies one of them is admitted.
    pub fn compile(requirements: &[Requirement]) -> Self {
        let mut table = BTreeSet::new();
        let simplified: Vec<_> = requirements.iter().map(simplify).collect();
        simplified.iter().for_each(|r| collect(r, &mut table));
        let literals: Vec<Literal> = table.into_iter().collect();
        let open = simplified.contains(&Requirement::True);
        let formulas: Vec<Formula> =
            simplified.iter().filter_map(|r| formula(r, &literals)).collect();
        Self {
            blocks: Triggers::of(&formulas, &literals, Scope::Block),
            records: Triggers::of(&formulas, &literals, Scope::Record),
            all_binary: automaton(&literals, |l| match l {
                Literal::Text(text) => vec![text.clone().into_bytes(), utf16(text)],
                Literal::Bytes { .. } => Vec::new(),
            }),
            all_text: automaton(&literals, |l| utf8_forms(l.text())),
            all_raw: automaton(&literals, |l| match l {
                Literal::Bytes { bytes, .. } => vec![bytes.clone()],
                Literal::Text(_) => Vec::new(),
            }),
            literals: literals.len(),
            formulas,
            open,
        }
    }

    /// The texts that the first step searches for, sorted.
    pub fn triggers(&self) -> &[String] {
        &self.blocks.texts
    }

    /// Whether a whole path or name can match.
    pub fn admits_name(&self, name: &str) -> bool {
        self.admits_text(name.as_bytes())
    }

    fn satisfied(&self, present: &[bool]) -> bool {
        self.formulas.iter().any(|f| holds(f, present))
    }

    fn mark(automaton: Option<&Automaton>, haystack: &[u8], present: &mut [bool]) {
        let Some(automaton) = automaton else { return };
        for found in automaton.search.find_overlapping_iter(haystack) {
            let literal = automaton.literal_of.get(found.pattern().as_usize());
            if let Some(seen) = literal.and_then(|l| present.get_mut(*l)) {
                *seen = true;
            }
        }
    }
}

impl Filter for Screen {
    fn admits(&self, block: &[u8]) -> bool {
        if self.open {
            return true;
        }
        with_view(|view| {
            view.lower(block);
            view.split();
            let block = Block { screen: self, bytes: block, view };
            let whole = 0..block.bytes.len();
            if !block.triggered(&self.blocks, &whole) {
                return false;
            }
            let mut present = vec![false; self.literals];
            block.mark(&whole, &mut present);
            self.satisfied(&present)
        })
    }

    fn admits_text(&self, text: &[u8]) -> bool {
        if self.open {
            return true;
        }
        with_view(|view| {
            view.lower(text);
            if !self.blocks.rendered.found(&view.lowered) {
                return false;
            }
            let mut present = vec![false; self.literals];
            Self::mark(self.all_text.as_ref(), &view.lowered, &mut present);
            self.satisfied(&present)
        })
    }

    fn picks(&self, block: &[u8], cut: &dyn Fn() -> Cut) -> Vec<usize> {
        if self.open {
            return (0..cut().records.len()).collect();
        }
        with_view(|view| {
            view.lower(block);
            view.split();
            let block = Block { screen: self, bytes: block, view };
            let whole = 0..block.bytes.len();
            if block.triggered(&self.blocks, &whole) { block.pick(&cut()) } else { Vec::new() }
        })
    }
}

/// A block under search, as it is and in lower case.
struct Block<'a> {
    screen: &'a Screen,
    bytes: &'a [u8],
    view: &'a View,
}

impl Block<'_> {
    /// Whether a trigger stands in this part.
    fn triggered(&self, triggers: &Triggers, part: &Range<usize>) -> bool {
        let bytes = self.bytes.get(part.clone()).unwrap_or_default();
        triggers.raw.found(bytes)
            || self.view.part(part).into_iter().any(|text| triggers.text.found(text))
    }

    /// Adds the literals of this part to those present.
    fn mark(&self, part: &Range<usize>, present: &mut [bool]) {
        let [text, ..] = self.view.part(part);
        Screen::mark(self.screen.all_binary.as_ref(), text, present);
        let bytes = self.bytes.get(part.clone()).unwrap_or_default();
        Screen::mark(self.screen.all_raw.as_ref(), bytes, present);
    }

    /// The records that can match through their own text and what they share.
    fn pick(&self, cut: &Cut) -> Vec<usize> {
        let screen = self.screen;
        let mut shared = vec![false; screen.literals];
        cut.shared.iter().for_each(|part| self.mark(part, &mut shared));
        let anywhere = OnceCell::new();
        // What the records share may be all that a requirement, or its trigger, needs.
        let all_triggered = screen.satisfied(&shared)
            || screen.records.literals.iter().any(|l| shared.get(*l).copied().unwrap_or(true));
        let can_match = |record: &Option<Range<usize>>| {
            let Some(own) = record else {
                return *anywhere.get_or_init(|| {
                    let mut present = shared.clone();
                    self.mark(&(0..self.bytes.len()), &mut present);
                    screen.satisfied(&present)
                });
            };
            if !all_triggered && !self.triggered(&screen.records, own) {
                return false;
            }
            let mut present = shared.clone();
            self.mark(own, &mut present);
            screen.satisfied(&present)
        };
        let numbered = cut.records.iter().enumerate();
        numbered.filter(|(_, record)| can_match(record)).map(|(number, _)| number).collect()
    }
}

/// A block in lower case, and its bytes at even and at odd places side by side:
/// UTF-16 of ASCII text reads as plain text in one of these lanes.
#[derive(Default)]
struct View {
    lowered: Vec<u8>,
    even: Vec<u8>,
    odd: Vec<u8>,
}

impl View {
    fn lower(&mut self, block: &[u8]) {
        self.lowered.clear();
        self.lowered.extend_from_slice(block);
        self.lowered.make_ascii_lowercase();
    }

    fn split(&mut self) {
        let (pairs, rest) = self.lowered.as_chunks::<2>();
        self.even.resize(pairs.len(), 0);
        self.odd.resize(pairs.len(), 0);
        // Eight bytes at a time: the wanted bytes of a word are drawn together.
        let (words, tail) = pairs.as_chunks::<4>();
        let even = self.even.as_chunks_mut::<4>().0;
        let odd = self.odd.as_chunks_mut::<4>().0;
        for ((word, even), odd) in words.iter().zip(even).zip(odd) {
            let word = u64::from_le_bytes(*word.as_flattened().first_chunk().unwrap_or(&[0; 8]));
            *even = every_other(word);
            *odd = every_other(word >> 8);
        }
        let done = pairs.len().saturating_sub(tail.len());
        let lanes = self.even.iter_mut().zip(&mut self.odd).skip(done);
        for (pair, (even, odd)) in tail.iter().zip(lanes) {
            [*even, *odd] = *pair;
        }
        self.even.extend(rest);
    }

    /// The part of the block in each of its forms.
    fn part(&self, part: &Range<usize>) -> [&[u8]; 3] {
        let up = |n: usize| n.div_ceil(2);
        [
            self.lowered.get(part.clone()),
            self.even.get(up(part.start)..up(part.end)),
            self.odd.get(part.start / 2..part.end / 2),
        ]
        .map(Option::unwrap_or_default)
    }
}

/// Bytes 0, 2, 4 and 6 of a word, counted from the lowest.
fn every_other(word: u64) -> [u8; 4] {
    let word = word & 0x00ff_00ff_00ff_00ff;
    let word = (word | word >> 8) & 0x0000_ffff_0000_ffff;
    let [a, b, _, _, c, d, _, _] = word.to_le_bytes();
    [a, b, c, d]
}

fn with_view<T>(use_it: impl FnOnce(&mut View) -> T) -> T {
    VIEW.with(|view| match view.try_borrow_mut() {
        Ok(mut view) => use_it(&mut view),
        Err(_) => use_it(&mut View::default()),
    })
}

/// The same requirement with trivial parts folded; texts in lower case.
fn simplify(requirement: &Requirement) -> Requirement {
    match requirement {
        Requirement::Text(text) if text.is_empty() => Requirement::True,
        Requirement::Text(text) => Requirement::Text(text.to_ascii_lowercase()),
        Requirement::Bytes { bytes, text } => {
            Requirement::Bytes { bytes: bytes.clone(), text: text.to_ascii_lowercase() }
        }
        Requirement::All(parts) => {
            let parts: Vec<_> =
                parts.iter().map(simplify).filter(|p| *p != Requirement::True).collect();
            if parts.is_empty() { Requirement::True } else { Requirement::All(parts) }
        }
        Requirement::Any(parts) => {
            let parts: Vec<_> = parts.iter().map(simplify).collect();
            if parts.contains(&Requirement::True) {
                Requirement::True
            } else {
                Requirement::Any(parts)
            }
        }
        Requirement::True => Requirement::True,
    }
}

fn as_literal(requirement: &Requirement) -> Option<Literal> {
    match requirement {
        Requirement::Text(text) => Some(Literal::Text(text.clone())),
        Requirement::Bytes { bytes, text } => {
            Some(Literal::Bytes { bytes: bytes.clone(), text: text.clone() })
        }
        _ => None,
    }
}

fn collect(requirement: &Requirement, into: &mut BTreeSet<Literal>) {
    match requirement {
        Requirement::All(parts) | Requirement::Any(parts) => {
            parts.iter().for_each(|p| collect(p, into));
        }
        leaf => into.extend(as_literal(leaf)),
    }
}

fn formula(requirement: &Requirement, literals: &[Literal]) -> Option<Formula> {
    match requirement {
        Requirement::True => None,
        Requirement::All(parts) => {
            Some(Formula::All(parts.iter().filter_map(|p| formula(p, literals)).collect()))
        }
        Requirement::Any(parts) => {
            Some(Formula::Any(parts.iter().filter_map(|p| formula(p, literals)).collect()))
        }
        leaf => {
            let literal = as_literal(leaf)?;
            literals.binary_search(&literal).ok().map(Formula::Literal)
        }
    }
}

fn holds(formula: &Formula, present: &[bool]) -> bool {
    match formula {
        Formula::Literal(i) => present.get(*i).copied().unwrap_or(true),
        Formula::All(parts) => parts.iter().all(|p| holds(p, present)),
        Formula::Any(parts) => parts.iter().any(|p| holds(p, present)),
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

/// The text as it stands in UTF-8, and as JSON escapes it.
fn utf8_forms(text: &str) -> Vec<Vec<u8>> {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    if escaped == text {
        vec![text.as_bytes().to_vec()]
    } else {
        vec![text.as_bytes().to_vec(), escaped.into_bytes()]
    }
}

/// The text in UTF-16LE, without the last character's high byte when that is
/// zero, so that it is also found in big-endian text.
fn utf16(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
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

fn automaton(literals: &[Literal], forms: impl Fn(&Literal) -> Vec<Vec<u8>>) -> Option<Automaton> {
    let (mut patterns, mut literal_of) = (Vec::new(), Vec::new());
    for (i, literal) in literals.iter().enumerate() {
        for form in forms(literal) {
            patterns.push(form);
            literal_of.push(i);
        }
    }
    if patterns.is_empty() {
        return None;
    }
    // A table is faster while it is small enough to be built at once.
    let bytes: usize = patterns.iter().map(Vec::len).sum();
    let kind = match bytes < TABLE_BYTES {
        true => AhoCorasickKind::DFA,
        false => AhoCorasickKind::ContiguousNFA,
    };
    let search = AhoCorasick::builder()
        .match_kind(MatchKind::Standard)
        .kind(Some(kind))
        .build(patterns)
        .ok()?;
    Some(Automaton { search, literal_of })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(t: &str) -> Requirement {
        Requirement::Text(t.into())
    }

    #[test]
    fn finds_a_literal_in_any_encoding_and_case() {
        let screen = Screen::compile(&[text("ngrok")]);
        assert!(screen.admits(b"C:\\NGROK.exe"));
        assert!(screen.admits(&utf16("xx NGroK")));
        assert!(!screen.admits(b"nothing here"));
    }

    #[test]
    fn all_parts_must_be_there() {
        let screen = Screen::compile(&[Requirement::All(vec![text("updater.exe"), text("intel")])]);
        assert!(!screen.admits_text(b"C:\\x\\updater.exe"));
        assert!(screen.admits_text(b"C:\\Intel\\updater.exe"));
    }

    #[test]
    fn overlapping_literals_are_all_seen() {
        let screen = Screen::compile(&[
            Requirement::All(vec![text("ngrok"), text("absent")]),
            Requirement::All(vec![text("ngrok.exe"), text("exe tcp")]),
        ]);
        assert!(screen.admits_text(b"ngrok.exe tcp"));
    }

    #[test]
    fn backslashes_match_plain_and_json_text() {
        let screen = Screen::compile(&[text("intel\\svc.exe")]);
        assert!(screen.admits_text(br#"{"Image":"C:\\Intel\\svc.exe"}"#));
        assert!(screen.admits_text(br"C:\Intel\svc.exe"));
    }

    #[test]
    fn bytes_are_exact_and_have_a_rendered_form() {
        let screen = Screen::compile(&[Requirement::Bytes {
            bytes: vec![0xa0, 0xF0, 0x51, 0, 0, 0, 0, 0],
            text: "0x51F0a0".into(),
        }]);
        assert!(screen.admits(&[1, 2, 0xa0, 0xF0, 0x51, 0, 0, 0, 0, 0, 9]));
        assert!(!screen.admits(&[1, 2, 0xa0, 0xF1, 0x51, 0, 0, 0, 0, 0, 9]));
        assert!(screen.admits_text(b"\"0x51f0a0\""));
    }

    #[test]
    fn nothing_required_admits_nothing_and_true_admits_all() {
        assert!(!Screen::compile(&[]).admits(b"x"));
        assert!(Screen::compile(&[Requirement::True]).admits(b"x"));
        assert!(Screen::compile(&[Requirement::All(vec![])]).admits(b"x"));
        assert!(!Screen::compile(&[Requirement::Any(vec![])]).admits(b"x"));
    }
}
