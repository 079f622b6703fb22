//! Asks the rules about records.
//!
//! A profile is a folder: `profile.yaml` says what is known of a tool, the Sigma
//! rules below it say what a record must show. Rules decide alone; what takes
//! several records is correlation's.

mod command;
mod filled;
mod index;
mod literals;
mod load;
mod logsource;
mod message;
mod profile;
mod sigma;
mod template;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Category, Hit, Record, Requirement, RowStage, Tag};
use index::Index;
use load::Loaded;
use sigma::Rule;

pub use profile::{Allow, Arguments, Domain, DomainRole, Profile, VersionHint};

/// A look-up that failed shows an attempt: no more than this.
const ATTEMPT_SCORE: u8 = 20;

/// A profile or rule that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// It is neither built in nor there.
    #[error("no profile, rule or folder `{name}`; built in are: {known}")]
    Unknown { name: String, known: String },
    /// The system cannot read it.
    #[error("{}: cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// It is no rule, no header, or holds something unknown.
    #[error("{path}: {reason}")]
    Invalid { path: String, reason: String },
}

/// The loaded rules.
pub struct Detector {
    profiles: Vec<Profile>,
    rules: Vec<Rule>,
    /// Indices of rules by category; those of every category under the empty name.
    by_category: BTreeMap<String, Vec<usize>>,
    by_name: HashMap<Arc<str>, usize>,
    index: Index,
    remarks: Vec<String>,
}

impl Detector {
    /// The rules of the named profiles; of all built-in ones if none is named.
    ///
    /// A name is that of a built-in profile, a Sigma rule file (`.yml`), or a
    /// folder of rules with or without a `profile.yaml`. A folder whose profile
    /// bears the id of one already loaded adds to it (rules, domains, `allow`).
    ///
    /// # Errors
    ///
    /// When a name means nothing, a file cannot be read, or a rule is not valid.
    pub fn load(selection: &[String]) -> Result<Self, DetectError> {
        Ok(Self::of(load::load(selection)?, false))
    }

    /// The built-in rules that repeat a reference's clause to the letter, mistakes
    /// included: an oracle for tests, never part of a run.
    ///
    /// # Errors
    ///
    /// As [`Detector::load`].
    pub fn load_literal() -> Result<Self, DetectError> {
        Ok(Self::of(load::load(&[])?, true))
    }

    fn of(loaded: Loaded, literal: bool) -> Self {
        let mut remarks = loaded.remarks;
        let mut rules: Vec<Rule> = loaded.rules;
        rules.retain(|rule| {
            if rule.about.scope.is_empty() {
                remarks.push(format!("rule `{}`: no log of its source is read", rule.name));
            }
            rule.about.literal == literal && !rule.about.scope.is_empty()
        });
        let mut by_category: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, rule) in rules.iter().enumerate() {
            if rule.about.scope.categories.is_empty() {
                by_category.entry(String::new()).or_default().push(index);
            }
            for category in &rule.about.scope.categories {
                by_category.entry(category.clone()).or_default().push(index);
            }
        }
        // The first of a name counts.
        let numbered = rules.iter().enumerate().rev();
        let by_name = numbered.map(|(number, rule)| (rule.name.clone(), number)).collect();
        let index = Index::of(rules.iter().map(|rule| &*rule.of_record));
        Self { profiles: loaded.profiles, rules, by_category, by_name, index, remarks }
    }

    /// What each rule needs to see, one per rule.
    pub fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        self.rules.iter().map(|rule| &*rule.requirement)
    }

    /// What the rules need to see that can speak of records of these categories, where one
    /// of the texts beside a category stands in each of its records, if there is any.
    pub fn requirements_of(&self, categories: &[(Category, Vec<String>)]) -> Vec<Requirement> {
        let of = |rule: &Rule| {
            let scope = &rule.about.scope.categories;
            let met = categories.iter().filter(|(category, _)| scope.iter().any(|c| c == category));
            let met: Vec<&[String]> = met.map(|(_, texts)| texts.as_slice()).collect();
            if scope.is_empty() || met.iter().any(|texts| texts.is_empty()) {
                return Some(Requirement::clone(&rule.requirement));
            }
            let sources: Vec<_> = met.concat().into_iter().map(Requirement::Text).collect();
            let needed = || {
                let own = Requirement::clone(&rule.requirement);
                Requirement::All(vec![own, Requirement::Any(sources.clone())])
            };
            (!sources.is_empty()).then(needed)
        };
        self.rules.iter().filter_map(of).collect()
    }

    /// Names of the rules as hits bear them, in the order of [`Detector::requirements`].
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| &*rule.name)
    }

    /// What the rule of that name, as hits bear it, needs to see.
    pub fn requirement_of(&self, rule: &str) -> Option<&Requirement> {
        let number = self.by_name.get(rule)?;
        self.rules.get(*number).map(|rule| &*rule.requirement)
    }

    /// Every rule the record meets, as it is or with its encoded command in clear, sorted
    /// by tool, then rule.
    pub fn evaluate(&self, record: &Record) -> Vec<Hit> {
        let mut hits = self.evaluate_plain(record);
        if let Some(clear) = command::in_clear(record) {
            for mut hit in self.evaluate_plain(&clear) {
                hit.message.push_str(" (decoded from Base64)");
                if hits.iter().all(|known| (&known.tool, &known.rule) != (&hit.tool, &hit.rule)) {
                    hits.push(hit);
                }
            }
            hits.sort_by(|a, b| (&a.tool, &a.rule).cmp(&(&b.tool, &b.rule)));
        }
        hits
    }

    fn evaluate_plain(&self, record: &Record) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut fallbacks = Vec::new();
        let present = self.index.present(record);
        for category in [record.category, ""] {
            for &index in self.by_category.get(category).map(Vec::as_slice).unwrap_or_default() {
                let rule = self.rules.get(index).filter(|_| self.index.admits(index, &present));
                let Some(rule) = rule else { continue };
                if let Some(hit) = rule.evaluate(record) {
                    if rule.about.fallback { fallbacks.push(hit) } else { hits.push(hit) }
                }
            }
        }
        // The strongest fallback first: it silences the others.
        fallbacks.sort_by(|a, b| (b.score, &a.rule).cmp(&(a.score, &b.rule)));
        for hit in fallbacks {
            if hits.iter().all(|other| other.tool != hit.tool) {
                hits.push(hit);
            }
        }
        for hit in &mut hits {
            weigh_attempt(record, hit);
            self.suppress(record, hit);
        }
        hits.sort_by(|a, b| (&a.tool, &a.rule).cmp(&(&b.tool, &b.rule)));
        hits
    }

    /// The loaded profiles, in order of loading.
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// What was passed over while loading, one sentence each.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Marks a hit that the allowlist of its tool's profile covers; whoever weighs
    /// hits gives it no more than a mention's weight.
    pub fn suppress(&self, record: &Record, hit: &mut Hit) {
        let profile = self.profiles.iter().find(|profile| profile.id == hit.tool);
        if let Some(entry) = profile.and_then(|profile| profile.allows(record)) {
            hit.suppressed_by = Some(entry.name.clone());
            hit.tags.insert(0, Tag::Suppressed);
        }
    }
}

/// A name look-up without an answer is an attempt, not contact.
fn weigh_attempt(record: &Record, hit: &mut Hit) {
    if record.category != "dns_query" {
        return;
    }
    let asked_only = matches!(record.number("EventID"), Some(3006 | 3016));
    if asked_only || record.number("QueryStatus").is_some_and(|status| status != 0) {
        hit.score = hit.score.min(ATTEMPT_SCORE);
        hit.stage = RowStage::Context;
        if !hit.tags.contains(&Tag::Attempt) {
            hit.tags.push(Tag::Attempt);
            hit.tags.sort();
        }
    }
}

/// Shared empty list, for profiles and rules that name no techniques.
fn none() -> Arc<[String]> {
    Arc::from([])
}
