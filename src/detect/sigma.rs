//! One Sigma rule, ready to be asked about records; the only file that knows rsigma.
//!
//! Our own keys stand under a top-level `adit:` map of the rule ([`Adit`]).

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use rsigma_eval::{CompiledRule, Event as SigmaEvent, EventValue, compile_rule, evaluate_rule};
use rsigma_parser::{Level, SigmaRule, parse_sigma_yaml};
use serde::Deserialize;

use super::command;
use super::filled;
use super::literals;
use super::logsource::Scope;
use super::message;
use super::profile::Profile;
use super::template;
use crate::model::{Hit, Record, Requirement, RowStage, Tag, Value};

/// What a rule of ours adds to Sigma.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Adit {
    /// Tool the rule speaks of; the profile's id by default.
    tool: Option<String>,
    /// 0–100; by the rule's level by default.
    score: Option<u8>,
    stage: Option<String>,
    /// Reference clauses: `S000.2`.
    clauses: Vec<String>,
    message: Option<String>,
    tags: Vec<String>,
    /// A reference's clause to the letter; never loaded for a run.
    literal: bool,
    /// Says nothing when another rule of the tool has spoken.
    fallback: bool,
    /// Shows that something is let out: not weighed down for a tool of dual use.
    exposes: bool,
}

/// A loaded rule.
pub(super) struct Rule {
    pub(super) name: Arc<str>,
    pub(super) tool: Arc<str>,
    techniques: Arc<[String]>,
    pub(super) score: u8,
    message: String,
    pub(super) about: Arc<About>,
    /// What a block of evidence must hold.
    pub(super) requirement: Arc<Requirement>,
    /// What a record must hold.
    pub(super) of_record: Arc<Requirement>,
    source: Source,
    /// Compiled at the first record that asks, because most rules are never asked.
    compiled: OnceLock<Option<CompiledRule>>,
}

/// What a rule says besides its detection, the same for every tool.
pub(super) struct About {
    tool: Option<Arc<str>>,
    clauses: Arc<[String]>,
    /// Its own; empty if it names none.
    techniques: Arc<[String]>,
    stage: RowStage,
    score: u8,
    tags: Vec<Tag>,
    message: Option<String>,
    pub(super) literal: bool,
    pub(super) fallback: bool,
    pub(super) exposes: bool,
    pub(super) scope: Scope,
}

/// The rule as written.
#[derive(Clone)]
enum Source {
    Own(Arc<SigmaRule>),
    /// A template, and whose rule it is.
    Filled(Arc<SigmaRule>, Arc<Profile>),
}

/// The rules of one file, and what was passed over in it.
///
/// # Errors
///
/// The reason, when no rule can be read from it or one is not valid.
pub(super) fn parse(
    text: &str,
    tool: &Arc<str>,
    techniques: &Arc<[String]>,
    check: bool,
) -> Result<(Vec<Rule>, Vec<String>), String> {
    let parsed = parse_sigma_yaml(text).map_err(|error| error.to_string())?;
    let mut remarks = parsed.errors;
    if !parsed.correlations.is_empty() || !parsed.filters.is_empty() {
        remarks.push("correlation and filter documents are passed over".to_owned());
    }
    if parsed.rules.is_empty() {
        return Err(if remarks.is_empty() {
            "it holds no rule".to_owned()
        } else {
            remarks.join("; ")
        });
    }
    let rules = parsed
        .rules
        .into_iter()
        .map(|mut source| {
            let about = Arc::new(About::of(&mut source)?);
            Rule::new(Source::Own(Arc::new(source)), about, tool, techniques, check)
        })
        .collect::<Result<_, _>>()?;
    Ok((rules, remarks))
}

/// A rule that is filled in for each profile.
pub(super) struct Template(Vec<(Arc<SigmaRule>, Arc<About>)>);

impl Template {
    /// The template of this text.
    ///
    /// # Errors
    ///
    /// The reason, when it is no rule.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let parsed = parse_sigma_yaml(text).map_err(|error| error.to_string())?;
        match parsed.errors.first() {
            Some(error) => Err(error.clone()),
            None if parsed.rules.is_empty() => Err("it holds no rule".to_owned()),
            None => {
                let rules = parsed.rules.into_iter().map(|mut rule| {
                    let about = About::of(&mut rule)?;
                    Ok((Arc::new(rule), Arc::new(about)))
                });
                Ok(Self(rules.collect::<Result<_, String>>()?))
            }
        }
    }

    /// The rules it gives that profile: none when the profile lacks a key.
    ///
    /// # Errors
    ///
    /// The reason, when one of them is not valid.
    pub(super) fn rules_for(
        &self,
        profile: &Arc<Profile>,
        check: bool,
    ) -> Result<Vec<Rule>, String> {
        let mut rules = Vec::new();
        for (of, about) in &self.0 {
            if filled::can_fill(of, profile)? {
                let source = Source::Filled(of.clone(), profile.clone());
                let (tool, techniques) = (&profile.id, &profile.techniques);
                rules.push(Rule::new(source, about.clone(), tool, techniques, check)?);
            }
        }
        Ok(rules)
    }
}

impl About {
    /// What the rule says; its `adit:` map is taken out.
    fn of(source: &mut SigmaRule) -> Result<Self, String> {
        let ours = match source.custom_attributes.remove("adit") {
            Some(value) => yaml_serde::from_value::<Adit>(value)
                .map_err(|error| format!("rule `{}`, adit: {error}", source.title))?,
            None => Adit::default(),
        };
        source.custom_attributes.clear();
        let stage = match ours.stage.as_deref() {
            None => RowStage::Context,
            Some(text) => RowStage::parse(text)
                .ok_or_else(|| format!("rule `{}`: no stage `{text}`", source.title))?,
        };
        let tags = ours.tags.iter().map(|text| {
            Tag::parse(text).ok_or_else(|| format!("rule `{}`: no tag `{text}`", source.title))
        });
        Ok(Self {
            tool: ours.tool.map(Into::into),
            clauses: ours.clauses.into(),
            techniques: techniques_of(&source.tags).into(),
            stage,
            score: ours.score.unwrap_or_else(|| score_of(source.level)).min(100),
            tags: tags.collect::<Result<_, _>>()?,
            message: ours.message,
            literal: ours.literal,
            fallback: ours.fallback,
            exposes: ours.exposes,
            scope: Scope::of(&source.logsource),
        })
    }
}

impl Source {
    /// The rule, with whatever is yet to be filled in.
    fn rule(&self) -> &SigmaRule {
        match self {
            Self::Own(rule) | Self::Filled(rule, _) => rule,
        }
    }

    /// Whose rule a template is to be.
    fn profile(&self) -> Option<&Profile> {
        match self {
            Self::Own(_) => None,
            Self::Filled(_, profile) => Some(profile),
        }
    }

    fn words(&self, text: &str) -> String {
        self.profile().map_or_else(|| text.to_owned(), |profile| template::words(text, profile))
    }

    fn compiled(&self) -> Result<CompiledRule, String> {
        match self {
            Self::Own(rule) => compile_rule(rule),
            Self::Filled(of, profile) => compile_rule(&filled::fill(of, profile)?),
        }
        .map_err(|error| error.to_string())
    }
}

impl Rule {
    fn new(
        source: Source,
        about: Arc<About>,
        tool: &Arc<str>,
        techniques: &Arc<[String]>,
        check: bool,
    ) -> Result<Self, String> {
        let (rule, profile) = (source.rule(), source.profile());
        let name = rule.name.as_deref().or(rule.id.as_deref()).unwrap_or(&rule.title);
        let techniques = match about.techniques.is_empty() {
            true => techniques.clone(),
            false => about.techniques.clone(),
        };
        let of_record = Arc::new(literals::of_record(rule, profile));
        let rule = Self {
            name: source.words(name).into(),
            tool: about.tool.as_ref().unwrap_or(tool).clone(),
            techniques,
            score: about.score,
            message: source.words(about.message.as_deref().unwrap_or(&rule.title)),
            requirement: literals::requirement(rule, &of_record),
            of_record,
            about,
            source,
            compiled: OnceLock::new(),
        };
        if check {
            let compiled = rule.source.compiled();
            let compiled = compiled.map_err(|error| format!("rule `{}`: {error}", rule.name))?;
            let _ = rule.compiled.set(Some(compiled));
        }
        Ok(rule)
    }

    /// The hit, when the record is in the rule's scope and meets it.
    pub(super) fn evaluate(&self, record: &Record) -> Option<Hit> {
        if !self.about.scope.admits(record) {
            return None;
        }
        let compiled = self.compiled.get_or_init(|| self.source.compiled().ok()).as_ref()?;
        evaluate_rule(compiled, &RecordEvent(record))?;
        Some(Hit {
            tool: self.tool.clone(),
            rule: self.name.clone(),
            clauses: self.about.clauses.clone(),
            techniques: self.techniques.clone(),
            stage: self.about.stage,
            score: self.score,
            tags: self.about.tags.clone(),
            message: message::fill(&self.message, record),
            suppressed_by: None,
        })
    }
}

/// `attack.t1572` of a rule's tags as `T1572`, in the rule's order.
fn techniques_of(tags: &[String]) -> Vec<String> {
    tags.iter()
        .filter_map(|tag| tag.to_ascii_lowercase().strip_prefix("attack.t").map(str::to_owned))
        .filter(|number| number.starts_with(|c: char| c.is_ascii_digit()))
        .map(|number| format!("T{number}"))
        .collect()
}

fn score_of(level: Option<Level>) -> u8 {
    match level {
        Some(Level::Critical) => 85,
        Some(Level::High) => 65,
        Some(Level::Medium) => 45,
        Some(Level::Low) => 25,
        Some(Level::Informational) | None => 10,
    }
}

/// A record as rsigma sees it, without a copy.
struct RecordEvent<'a>(&'a Record);

impl SigmaEvent for RecordEvent<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        let name = if path == "Provider_Name" { "Provider" } else { path };
        let Some(value) = self.0.value(name) else {
            let texts = command::field(self.0, name)?.into_iter();
            return Some(EventValue::Array(texts.map(|t| EventValue::Str(t.into())).collect()));
        };
        Some(match value {
            Value::Text(text) => EventValue::Str(comparable(text)),
            Value::Number(number) => EventValue::Int(*number),
            Value::List(all) => {
                EventValue::Array(all.iter().map(|t| EventValue::Str(comparable(t))).collect())
            }
        })
    }

    fn any_string_value(&self, matches: &dyn Fn(&str) -> bool) -> bool {
        self.0.fields.iter().any(|(_, value)| match value {
            Value::Text(text) => matches(&comparable(text)),
            Value::Number(_) => false,
            Value::List(all) => all.iter().any(|text| matches(&comparable(text))),
        })
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        let mut out = Vec::new();
        for (_, value) in &self.0.fields {
            match value {
                Value::Text(text) => out.push(comparable(text)),
                Value::Number(_) => {}
                Value::List(all) => out.extend(all.iter().map(|text| comparable(text))),
            }
        }
        out
    }

    fn to_json(&self) -> serde_json::Value {
        let fields = self.0.fields.iter().map(|(name, value)| {
            let value = match value {
                Value::Text(text) => text.as_str().into(),
                Value::Number(number) => (*number).into(),
                Value::List(all) => all.clone().into(),
            };
            (name.to_string(), value)
        });
        serde_json::Value::Object(fields.collect())
    }
}

/// The text as rules may compare it.
///
/// The two letters outside ASCII whose lower case is an ASCII letter (the Kelvin
/// sign and the dotted capital I) would match here though the screen, which
/// folds ASCII only as file systems do for these two, would not: they are masked.
fn comparable(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !text.contains(['\u{212a}', '\u{130}']) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.replace(['\u{212a}', '\u{130}'], "\u{fffd}"))
    }
}
