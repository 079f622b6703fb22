//! The screen: which blocks can possibly matter, decided at memory-scan speed.
//!
//! Rules and pivots say what they need to see ([`Requirement`]); the screen
//! compiles all of it into one search. It works in two steps. *Triggers* are a
//! small set of literals of which at least one stands in every block that can match;
//! one sweep over the block as it is finds them in both encodings, and most blocks end
//! there. Where a trigger stands, the requirements are evaluated as if whatever was not
//! looked for were there; only what is still possible is searched for every literal,
//! record by record. The screen may only reject what provably cannot match.

mod fingerprint;
mod formula;
mod literals;
mod ordinary;
mod part;
mod sweep;
mod triggers;
mod vector;

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::OnceLock;

use self::formula::{Formula, Literal, collect, formula, holds, literals_of, simplify};
use self::literals::Automaton;
use self::part::Part;
use self::sweep::Sighting;
use self::triggers::Triggers;
use crate::model::{Cut, Filter, Requirement};

/// A compiled set of requirements.
pub struct Screen {
    formulas: Vec<Formula>,
    literals: Vec<Literal>,
    /// Literal → formulas that hold nowhere without it or another such literal, in order.
    formulas_of: Vec<Vec<usize>>,
    /// One of these occurs in whatever can match.
    triggers: Triggers,
    /// Every literal in rendered text; built at the first text that asks.
    rendered: OnceLock<Option<Automaton>>,
    /// Some requirement is true of anything.
    open: bool,
}

impl Screen {
    /// Compiles the requirements; any block that satisfies one of them is admitted.
    pub fn compile<'a>(requirements: impl IntoIterator<Item = &'a Requirement>) -> Self {
        let mut table = BTreeSet::new();
        // Many rules need the same.
        let different: HashSet<&Requirement> = requirements.into_iter().collect();
        let simplified: Vec<_> = different.into_iter().map(simplify).collect();
        simplified.iter().for_each(|r| collect(r, &mut table));
        let literals: Vec<Literal> = table.into_iter().collect();
        let open = simplified.contains(&Requirement::True);
        let formulas: BTreeSet<Formula> =
            simplified.iter().filter_map(|r| formula(r, &literals)).collect();
        let formulas: Vec<Formula> = formulas.into_iter().collect();
        let triggers = Triggers::of(&formulas, &literals);
        let mut formulas_of = vec![Vec::new(); literals.len()];
        for (number, formula) in formulas.iter().enumerate() {
            let keys = triggers.keys(formula, &literals);
            // Every formula has a trigger, and so keys; without any, each literal is one.
            for key in keys.unwrap_or_else(|| literals_of(formula)) {
                formulas_of.get_mut(key).into_iter().for_each(|of| of.push(number));
            }
        }
        Self { formulas, literals, formulas_of, triggers, rendered: OnceLock::new(), open }
    }

    /// Whether the triggers of a block leave it possible that it matches.
    pub fn suspects(&self, block: &[u8]) -> bool {
        self.open || Block::suspect(self, block).is_some()
    }

    /// Which of many whole paths or names can match.
    pub fn admits_names(&self, names: &[&str]) -> Vec<bool> {
        let mut admitted = self.triggers.rendered.found_in(names);
        for (name, admitted) in names.iter().zip(&mut admitted) {
            *admitted = self.open || *admitted && self.admits_text(name.as_bytes());
        }
        admitted
    }

    /// The formulas that may hold where only these literals stand, in order.
    fn keyed(&self, literals: impl Iterator<Item = usize>) -> BTreeSet<usize> {
        literals.flat_map(|of| self.formulas_of.get(of).into_iter().flatten().copied()).collect()
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
        if !self.triggers.rendered.found(text) {
            return false;
        }
        let text = text.to_ascii_lowercase();
        let mut present = BTreeSet::new();
        let automaton = self.rendered.get_or_init(|| Automaton::of_text(&self.literals));
        automaton.iter().for_each(|automaton| {
            automaton.each(&text, &mut |literal, _| {
                present.insert(literal);
            });
        });
        let formulas = self.keyed(present.iter().copied());
        let mut formulas = formulas.iter().filter_map(|number| self.formulas.get(*number));
        formulas.any(|formula| holds(formula, &|literal| present.contains(&literal)))
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
    /// What may match.
    formulas: Vec<&'a Formula>,
}

impl<'a> Block<'a> {
    /// `None` when nothing of the block can match.
    fn suspect(screen: &'a Screen, bytes: &'a [u8]) -> Option<Self> {
        let sightings = screen.triggers.sightings(bytes);
        let mut block = Self { screen, bytes, sightings, formulas: Vec::new() };
        let whole = block.whole();
        // A formula holds nowhere without a needle.
        let numbers = screen.keyed(whole.possible());
        let formulas = numbers.iter().filter_map(|number| screen.formulas.get(*number));
        block.formulas =
            formulas.filter(|formula| holds(formula, &|l| whole.may_hold(l))).collect();
        (!block.formulas.is_empty()).then_some(block)
    }

    /// The parts of the block as one.
    fn part(&self, ranges: &[Range<usize>]) -> Part<'a> {
        Part::of(&self.screen.triggers, &self.screen.literals, self.bytes, &self.sightings, ranges)
    }

    fn whole(&self) -> Part<'a> {
        let range = 0..self.bytes.len();
        self.part(std::slice::from_ref(&range))
    }

    /// Whether the block as a whole can match.
    fn matches(&self) -> bool {
        let whole = self.whole();
        self.formulas.iter().any(|formula| holds(formula, &|l| whole.holds(l)))
    }

    /// The records that can match through their own text and what they share.
    fn pick(&self, cut: &Cut) -> Vec<usize> {
        let shared = self.part(&cut.shared);
        // What the records share may be all that a formula needs.
        let by_shared = self.formulas.iter().any(|f| holds(f, &|l| shared.may_hold(l)));
        let anywhere = OnceLock::new();
        let can_match = |record: &Option<Range<usize>>| {
            let Some(own) = record else {
                return *anywhere.get_or_init(|| self.matches());
            };
            let own = self.part(std::slice::from_ref(own));
            (by_shared || own.is_suspect())
                && self.formulas.iter().any(|formula| {
                    holds(formula, &|l| own.may_hold(l) || shared.may_hold(l))
                        && holds(formula, &|l| own.holds(l) || shared.holds(l))
                })
        };
        let numbered = cut.records.iter().enumerate();
        numbered.filter(|(_, record)| can_match(record)).map(|(number, _)| number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::formula::utf16;
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
    fn what_stands_in_two_parts_is_found_in_both_or_not_at_all() {
        let screen = Screen::compile(&[Requirement::All(vec![text("ngrok"), text("tcp 3389")])]);
        let block = [b"a tcp 3389 ".to_vec(), b"NGROK ".to_vec(), utf16("Tcp 3389 ngrok")].concat();
        let records = vec![Some(0..11), Some(11..17), Some(17..block.len()), None];
        let picks = |shared: &[Range<usize>]| {
            screen.picks(&block, &|| Cut { shared: shared.to_vec(), records: records.clone() })
        };
        assert_eq!(picks(&[]), [2, 3]);
        assert_eq!(picks(&[0..11, 0..0]), [1, 2, 3]);
        assert_eq!(picks(&[0..11, 11..17]), [0, 1, 2, 3]);
        assert_eq!(picks(&[0..9, 12..17]), [2, 3]);
    }

    #[test]
    fn too_many_texts_for_a_sweep_are_found_all_the_same() {
        let name = |n: usize| format!("{n}-tool-{n}");
        let all: Vec<Requirement> = (0..700).map(|n| text(&name(n))).collect();
        let screen = Screen::compile(&all);
        for n in [0, 7, 699] {
            assert!(screen.admits(&utf16(&format!("x {} y", name(n)))));
            assert!(screen.admits_text(name(n).as_bytes()));
        }
        assert!(!screen.admits(b"2000-tool-2000"));
    }

    #[test]
    fn texts_that_begin_alike_are_found_each() {
        let names = ["pipewire-one.exe", "pipewire-two", "pipewire two", "pipeline"];
        let screen = Screen::compile(&names.map(text));
        for name in names {
            assert!(screen.admits(&utf16(&format!("a {} b", name.to_uppercase()))), "{name}");
            assert!(screen.admits_text(name.as_bytes()), "{name}");
        }
        assert!(!screen.admits(b"pipewire-three") && !screen.admits_text(b"pipewire-three"));
    }

    #[test]
    fn names_together_are_judged_as_each_is() {
        let screen = Screen::compile(&[text("ngrok"), text("intel\\svc.exe")]);
        let names = ["", "a\\NGROK.yml", "x\\ng", "rok", "c:\\Intel\\svc.exe", "", "ngrok"];
        let each: Vec<bool> =
            names.iter().map(|name| screen.admits_text(name.as_bytes())).collect();
        assert_eq!(screen.admits_names(&names), each);
        assert_eq!(each, [false, true, false, false, true, false, true]);
        assert_eq!(Screen::compile(&[Requirement::True]).admits_names(&["x"]), [true]);
        assert!(screen.admits_names(&[]).is_empty());
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
