//! Which rules a record can meet at all: by the texts that stand in it.
//!
//! One search over a record's texts finds every literal that some rule needs; only
//! rules whose needs are met are asked. Most are never asked, nor compiled.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::model::{Record, Requirement, Value};

/// The needs of all rules, by their number.
pub(super) struct Index {
    search: Option<AhoCorasick>,
    literals: usize,
    needs: Vec<Need>,
}

/// A requirement over numbered literals.
enum Need {
    Nothing,
    Literal(usize),
    All(Vec<Need>),
    Any(Vec<Need>),
}

/// The literals that stand in one record.
pub(super) struct Present(Vec<u64>);

impl Index {
    /// For rules with these requirements on a record, in the rules' order.
    pub(super) fn of<'a>(requirements: impl Iterator<Item = &'a Requirement>) -> Self {
        let mut numbers = BTreeMap::new();
        let needs: Vec<Need> = requirements.map(|r| Need::of(r, &mut numbers)).collect();
        let mut texts: Vec<(&String, &usize)> = numbers.iter().collect();
        texts.sort_by_key(|(_, number)| **number);
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(texts.iter().map(|(text, _)| text.as_bytes()))
            .ok();
        Self { search, literals: numbers.len(), needs }
    }

    /// The literals that stand in the record's texts.
    pub(super) fn present(&self, record: &Record) -> Present {
        let mut present = Present(vec![0; self.literals.div_ceil(64)]);
        for (_, value) in &record.fields {
            match value {
                Value::Text(text) => self.mark(text, &mut present),
                Value::Number(number) => self.mark(&number.to_string(), &mut present),
                Value::List(all) => all.iter().for_each(|text| self.mark(text, &mut present)),
            }
        }
        present
    }

    fn mark(&self, text: &str, present: &mut Present) {
        let Some(search) = &self.search else { return };
        for found in search.find_overlapping_iter(text) {
            present.add(found.pattern().as_usize());
        }
    }

    /// Whether the rule of that number may be met. Without a search, any may.
    pub(super) fn admits(&self, rule: usize, present: &Present) -> bool {
        self.search.is_none() || self.needs.get(rule).is_none_or(|need| need.met(present))
    }
}

impl Need {
    fn of(requirement: &Requirement, numbers: &mut BTreeMap<String, usize>) -> Self {
        let mut literal = |text: &String| {
            let next = numbers.len();
            Self::Literal(*numbers.entry(text.clone()).or_insert(next))
        };
        match requirement {
            Requirement::True => Self::Nothing,
            Requirement::Text(text) | Requirement::Bytes { text, .. } => literal(text),
            Requirement::All(of) => Self::All(of.iter().map(|r| Self::of(r, numbers)).collect()),
            Requirement::Any(of) => Self::Any(of.iter().map(|r| Self::of(r, numbers)).collect()),
        }
    }

    fn met(&self, present: &Present) -> bool {
        match self {
            Self::Nothing => true,
            Self::Literal(number) => present.has(*number),
            Self::All(of) => of.iter().all(|need| need.met(present)),
            Self::Any(of) => of.iter().any(|need| need.met(present)),
        }
    }
}

impl Present {
    fn add(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    #[test]
    fn a_rule_is_asked_only_if_its_texts_stand_in_the_record() {
        let text = |t: &str| Requirement::Text(t.to_owned());
        let needs = [
            Requirement::True,
            text("ngrok"),
            Requirement::All(vec![text("grok.exe"), text("tcp")]),
            Requirement::Any(vec![text("frpc"), text("3389")]),
            Requirement::Any(Vec::new()),
        ];
        let index = Index::of(needs.iter());
        let asked = |fields: &[(&'static str, Value)]| {
            let mut record = Record::new("x", Locator::Record(1));
            record.fields.extend(fields.iter().map(|(n, v)| ((*n).into(), v.clone())));
            let present = index.present(&record);
            (0..needs.len()).map(|rule| index.admits(rule, &present)).collect::<Vec<_>>()
        };
        assert_eq!(asked(&[("A", "NGROK.EXE".into())]), [true, true, false, false, false]);
        assert_eq!(
            asked(&[("A", "ngrok.exe".into()), ("B", "TCP".into())]),
            [true, true, true, false, false]
        );
        assert_eq!(asked(&[("P", Value::Number(3389))]), [true, false, false, true, false]);
        let list = Value::List(vec!["a".into(), "frpc".into()]);
        assert_eq!(asked(&[("L", list)]), [true, false, false, true, false]);
    }
}
