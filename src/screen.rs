//! The screen: which blocks can possibly matter, decided at memory-scan speed.
//!
//! Rules and pivots say what they need to see ([`Requirement`]); the screen
//! compiles all of it into one search. It works in two steps. *Triggers* are a
//! small set of literals of which at least one stands in every block that can match;
//! one sweep over the block as it is finds them in both encodings, and most blocks end
//! there. Where a trigger stands, the requirements are evaluated as if whatever was not
//! looked for were there; only what is still possible is searched for every literal,
//! record by record. The screen may only reject what provably cannot match.

mod formula;
mod ordinary;
mod sweep;
mod triggers;
mod vector;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use self::formula::{Formula, Literal, collect, formula, holds, simplify, utf8_forms, utf16};
use self::sweep::Sighting;
use self::triggers::Triggers;
use crate::model::{Cut, Filter, Requirement};

/// Bytes of patterns up to which an automaton is built as a table.
const TABLE_BYTES: usize = 24 << 10;
/// A compiled set of requirements.
pub struct Screen {
    formulas: Vec<Formula>,
    /// One of these occurs in whatever can match.
    triggers: Triggers,
    /// Everything, for the second step; pattern index → literal index.
    all_binary: Option<Automaton>,
    all_text: Option<Automaton>,
    all_raw: Option<Automaton>,
    literals: usize,
    /// Some requirement is true of anything.
    open: bool,
}

struct Automaton {
    search: AhoCorasick,
    literal_of: Vec<usize>,
}

impl Screen {
    /// Compiles the requirements; any block that satisfies one of them is admitted.
    pub fn compile(requirements: &[Requirement]) -> Self {
        let mut table = BTreeSet::new();
        let simplified: Vec<_> = requirements.iter().map(simplify).collect();
        simplified.iter().for_each(|r| collect(r, &mut table));
        let literals: Vec<Literal> = table.into_iter().collect();
        let open = simplified.contains(&Requirement::True);
        let formulas: BTreeSet<Formula> =
            simplified.iter().filter_map(|r| formula(r, &literals)).collect();
        let formulas: Vec<Formula> = formulas.into_iter().collect();
        Self {
            triggers: Triggers::of(&formulas, &literals),
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
        self.triggers.texts()
    }

    /// Whether the triggers of a block leave it possible that it matches.
    pub fn suspects(&self, block: &[u8]) -> bool {
        self.open || Block::suspect(self, block).is_some()
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
        self.open || Block::suspect(self, block).is_some_and(|block| block.matches())
    }

    fn admits_text(&self, text: &[u8]) -> bool {
        if self.open {
            return true;
        }
        let text = text.to_ascii_lowercase();
        if !self.triggers.rendered.found(&text) {
            return false;
        }
        let mut present = vec![false; self.literals];
        Self::mark(self.all_text.as_ref(), &text, &mut present);
        self.satisfied(&present)
    }

    fn picks(&self, block: &[u8], cut: &dyn Fn() -> Cut) -> Vec<usize> {
        if self.open {
            return (0..cut().records.len()).collect();
        }
        Block::suspect(self, block).map(|block| block.pick(&cut())).unwrap_or_default()
    }
}

/// A block that may match as far as triggers tell.
struct Block<'a> {
    screen: &'a Screen,
    bytes: &'a [u8],
    /// By their start.
    sightings: Vec<Sighting>,
}

impl<'a> Block<'a> {
    /// `None` when nothing of the block can match.
    fn suspect(screen: &'a Screen, bytes: &'a [u8]) -> Option<Self> {
        let block = Self { screen, bytes, sightings: screen.triggers.sightings(bytes) };
        let mut possible = screen.triggers.unseen();
        block.see(&(0..bytes.len()), &mut possible);
        screen.satisfied(&possible).then_some(block)
    }

    /// Adds the literals that may stand in this part as far as triggers tell; returns
    /// whether there is one.
    fn see(&self, part: &Range<usize>, possible: &mut [bool]) -> bool {
        let from = self.sightings.partition_point(|sighting| sighting.at.start < part.start);
        let started = self.sightings.iter().skip(from);
        let started = started.take_while(|sighting| sighting.at.start < part.end);
        let mut any = false;
        for sighting in started.filter(|sighting| sighting.at.end <= part.end) {
            self.screen.triggers.see(sighting, possible);
            any = true;
        }
        any
    }

    /// Adds the literals of this part to those present.
    fn mark(&self, part: &Range<usize>, present: &mut [bool]) {
        let bytes = self.bytes.get(part.clone()).unwrap_or_default();
        Screen::mark(self.screen.all_binary.as_ref(), &bytes.to_ascii_lowercase(), present);
        Screen::mark(self.screen.all_raw.as_ref(), bytes, present);
    }

    /// Whether the block as a whole can match.
    fn matches(&self) -> bool {
        let mut present = vec![false; self.screen.literals];
        self.mark(&(0..self.bytes.len()), &mut present);
        self.screen.satisfied(&present)
    }

    /// The records that can match through their own text and what they share.
    fn pick(&self, cut: &Cut) -> Vec<usize> {
        let screen = self.screen;
        let mut seen = vec![false; screen.literals];
        let mut possible = screen.triggers.unseen();
        for part in &cut.shared {
            self.see(part, &mut seen);
            self.see(part, &mut possible);
        }
        // What the records share may be all that a requirement needs.
        let all_possible = screen.satisfied(&possible);
        let can_possibly = |own: &Range<usize>| {
            let mut possible = possible.clone();
            all_possible || self.see(own, &mut possible) && screen.satisfied(&possible)
        };
        let (shared, anywhere) = (OnceCell::new(), OnceCell::new());
        let marked = |with: &Vec<bool>, parts: &[Range<usize>]| {
            let mut present = with.clone();
            parts.iter().for_each(|part| self.mark(part, &mut present));
            present
        };
        let can_match = |record: &Option<Range<usize>>| {
            let Some(own) = record else {
                return *anywhere.get_or_init(|| self.matches());
            };
            if !can_possibly(own) {
                return false;
            }
            let own = std::slice::from_ref(own);
            // What they share is searched for every literal only where that decides.
            screen.satisfied(&marked(&seen, own)) || {
                let none = vec![false; screen.literals];
                let shared = shared.get_or_init(|| marked(&none, &cut.shared));
                screen.satisfied(&marked(shared, own))
            }
        };
        let numbered = cut.records.iter().enumerate();
        numbered.filter(|(_, record)| can_match(record)).map(|(number, _)| number).collect()
    }
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
