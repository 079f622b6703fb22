//! What a rule needs to see: from a parsed Sigma rule to a [`Requirement`].
//!
//! The walk over-approximates. Whatever it does not understand becomes
//! [`Requirement::True`], and so does every value that a source may store in
//! another form than the rule writes it: numbers, booleans, SIDs, GUIDs.

use std::collections::HashMap;
use std::sync::Arc;

use rsigma_parser::{
    ArrayQuantifier, ConditionExpr, Detection, DetectionItem, Modifier, Quantifier, SigmaRule,
    SigmaString, SigmaValue, StringPart,
};

use super::filled;
use super::profile::Profile;
use crate::model::Requirement;

/// Shorter runs occur everywhere and skip nothing.
const MIN_LITERAL: usize = 3;
/// Nested conditions deeper than this are not looked into.
const MAX_DEPTH: usize = 32;

/// Categories whose parsers ask no screen: they tell all they find, and of an
/// agent's log every line whose message a rule may name.
const NOT_SCREENED: &[&str] = &["agent_log", "config", "tunnel_endpoint"];

/// A text that stands in every record of the category: part of the only provider's
/// and channel's names that it comes from.
const SOURCES: &[(&str, &str)] = &[
    ("logon", "microsoft-windows-security-auditing"),
    ("logon_explicit", "microsoft-windows-security-auditing"),
    ("logon_failed", "microsoft-windows-security-auditing"),
    ("logon_privileges", "microsoft-windows-security-auditing"),
    ("logoff", "microsoft-windows-security-auditing"),
    ("session_reconnect", "microsoft-windows-security-auditing"),
    ("bits", "bits-client"),
    ("sql_login", "mssql"),
    ("smb_login", "microsoft-windows-smbserver"),
];

/// The text that must stand in a record before the rule can match it, lower-cased.
///
/// A rule on records that no screen holds back asks nothing of it: an empty
/// [`Requirement::Any`]. `of_record` is what a record of it must hold.
pub(super) fn requirement(rule: &SigmaRule, of_record: &Arc<Requirement>) -> Arc<Requirement> {
    let category = rule.logsource.category.as_deref();
    if category.is_some_and(|c| NOT_SCREENED.contains(&c)) {
        return Arc::new(Requirement::Any(Vec::new()));
    }
    let source = SOURCES.iter().find(|(known, _)| category == Some(known));
    match source {
        Some((_, text)) => {
            let source = Requirement::Text((*text).to_owned());
            Arc::new(all([Requirement::clone(of_record), source].into_iter()))
        }
        None => of_record.clone(),
    }
}

/// The text that must stand in a parsed record's fields before the rule can match it. A
/// template's is that of the profile's rule.
pub(super) fn of_record(rule: &SigmaRule, profile: Option<&Profile>) -> Requirement {
    let walk = Walk { category: rule.logsource.category.as_deref(), profile };
    let named = &rule.detection.named;
    any(rule.detection.conditions.iter().map(|c| walk.condition(c, named, MAX_DEPTH)))
}

struct Walk<'a> {
    category: Option<&'a str>,
    /// Whose rule a template is to be.
    profile: Option<&'a Profile>,
}

impl Walk<'_> {
    fn condition(
        &self,
        condition: &ConditionExpr,
        named: &HashMap<String, Detection>,
        depth: usize,
    ) -> Requirement {
        let Some(depth) = depth.checked_sub(1) else { return Requirement::True };
        match condition {
            ConditionExpr::And(of) => all(of.iter().map(|c| self.condition(c, named, depth))),
            ConditionExpr::Or(of) => any(of.iter().map(|c| self.condition(c, named, depth))),
            ConditionExpr::Not(_) => Requirement::True,
            ConditionExpr::Identifier(name) => match named.get(name) {
                Some(detection) => self.detection(detection, depth),
                None => Requirement::True,
            },
            ConditionExpr::Selector { quantifier, pattern } => {
                let mut names: Vec<_> =
                    named.iter().filter(|(n, _)| pattern.matches_detection_name(n)).collect();
                names.sort_by_key(|(name, _)| *name);
                let each = names.into_iter().map(|(_, d)| self.detection(d, depth));
                match quantifier {
                    Quantifier::Count(0) => Requirement::True,
                    Quantifier::Any | Quantifier::Count(_) => any(each),
                    Quantifier::All => all(each),
                }
            }
        }
    }

    fn detection(&self, detection: &Detection, depth: usize) -> Requirement {
        let Some(depth) = depth.checked_sub(1) else { return Requirement::True };
        match detection {
            Detection::AllOf(items) => all(items.iter().map(|item| self.item(item))),
            Detection::AnyOf(of) => any(of.iter().map(|d| self.detection(d, depth))),
            Detection::And(of) => all(of.iter().map(|d| self.detection(d, depth))),
            Detection::Keywords(values) => any(self.values(values, &[]).into_iter()),
            Detection::ArrayMatch { quantifier, body, .. } => match quantifier {
                ArrayQuantifier::Any | ArrayQuantifier::All => self.detection(body, depth),
                ArrayQuantifier::AllOrEmpty | ArrayQuantifier::None => Requirement::True,
            },
            Detection::Conditional { named, condition } => self.condition(condition, named, depth),
        }
    }

    fn item(&self, item: &DetectionItem) -> Requirement {
        let plain = item.field.modifiers.iter().all(|modifier| {
            matches!(
                modifier,
                Modifier::Contains
                    | Modifier::StartsWith
                    | Modifier::EndsWith
                    | Modifier::All
                    | Modifier::Cased
            )
        });
        let joints = match item.field.name.as_deref() {
            None => Some(&[][..]),
            Some(field) => self.joints(field),
        };
        let Some(joints) = joints.filter(|_| plain && !item.values.is_empty()) else {
            return Requirement::True;
        };
        let each = self.values(&item.values, joints).into_iter();
        if item.field.has_modifier(Modifier::All) { all(each) } else { any(each) }
    }

    /// What each value asks for, a placeholder's once for each of its texts.
    fn values(&self, values: &[SigmaValue], joints: &[char]) -> Vec<Requirement> {
        let mut each = Vec::with_capacity(values.len());
        for of in values {
            let filled = self.profile.map(|profile| filled::texts(of, profile));
            match filled {
                Some(Ok(Some(texts))) => each.extend(texts.iter().map(|t| text(t, joints))),
                Some(Err(_)) => each.push(Requirement::True),
                Some(Ok(None)) | None => each.push(value(of, joints)),
            }
        }
        each
    }

    /// Characters at which a parser may have joined the field from parts that
    /// lie apart in the evidence; `None` when the field may not lie there at all.
    fn joints(&self, field: &str) -> Option<&'static [char]> {
        let from_events = self.category.is_some_and(|c| c.starts_with("registry_"));
        match field {
            "User" => Some(&['\\']),
            "TaskCommand" | "Wrapped" => Some(&[' ', '"', '\'', '&', '<', '>']),
            "TargetObject" if !from_events => None,
            "Initiated" | "ClearedChannel" | "RiskyTarget" | "Outcome" => None,
            _ => Some(&[]),
        }
    }
}

fn value(value: &SigmaValue, joints: &[char]) -> Requirement {
    match value {
        SigmaValue::String(of) => text(of, joints),
        SigmaValue::Integer(number) => integer(*number),
        _ => Requirement::True,
    }
}

fn text(of: &SigmaString, joints: &[char]) -> Requirement {
    if binary_form(of) {
        return Requirement::True;
    }
    let runs = of.parts.iter().filter_map(|part| match part {
        StringPart::Plain(plain) => longest_run(plain, joints),
        StringPart::Special(_) => None,
    });
    all(runs.map(Requirement::Text))
}

/// A number as sources store it: little-endian bytes of any width, or text, decimal
/// or hexadecimal. One byte would be everywhere.
fn integer(number: i64) -> Requirement {
    let Some(number) = u64::try_from(number).ok().filter(|n| *n > 0xff) else {
        return Requirement::True;
    };
    let mut bytes = number.to_le_bytes().to_vec();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    Requirement::Any(vec![
        Requirement::Bytes { bytes, text: number.to_string() },
        Requirement::Text(number.to_string()),
        Requirement::Text(format!("{number:#x}")),
    ])
}

/// Whether a source may store the value as something other than its text.
fn binary_form(text: &SigmaString) -> bool {
    let plain = text.original.as_str();
    let hex = plain.strip_prefix("0x").unwrap_or(plain);
    plain.eq_ignore_ascii_case("true")
        || plain.eq_ignore_ascii_case("false")
        || hex
            .chars()
            .all(|c| c.is_ascii_hexdigit() && (hex.len() < plain.len() || c.is_ascii_digit()))
        || plain.starts_with("S-1-")
        || plain.starts_with('{')
        || plain.starts_with("%%")
}

/// The longest run of ASCII letters, figures and signs, lower-cased.
fn longest_run(plain: &str, joints: &[char]) -> Option<String> {
    plain
        .split(|c: char| !(c == ' ' || c.is_ascii_graphic()) || joints.contains(&c))
        .max_by_key(|run| run.len())
        .filter(|run| run.len() >= MIN_LITERAL)
        .map(str::to_ascii_lowercase)
}

/// Conjunction, without what says nothing.
fn all(of: impl Iterator<Item = Requirement>) -> Requirement {
    let mut parts: Vec<Requirement> = Vec::new();
    for part in of {
        match part {
            Requirement::True => {}
            Requirement::All(inner) => parts.extend(inner),
            other => parts.push(other),
        }
    }
    dedup(&mut parts);
    match parts.len() {
        0 => Requirement::True,
        1 => parts.swap_remove(0),
        _ => Requirement::All(parts),
    }
}

/// Disjunction; one `True` makes it `True`.
fn any(of: impl Iterator<Item = Requirement>) -> Requirement {
    let mut parts: Vec<Requirement> = Vec::new();
    for part in of {
        match part {
            Requirement::True => return Requirement::True,
            Requirement::Any(inner) => parts.extend(inner),
            other => parts.push(other),
        }
    }
    dedup(&mut parts);
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => Requirement::Any(parts),
    }
}

fn dedup(parts: &mut Vec<Requirement>) {
    let mut fresh = Vec::with_capacity(parts.len());
    for part in parts.drain(..) {
        if !fresh.contains(&part) {
            fresh.push(part);
        }
    }
    *parts = fresh;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(detection: &str) -> Requirement {
        of_category("x", detection)
    }

    fn of_category(category: &str, detection: &str) -> Requirement {
        let indented = detection.replace('\n', "\n  ");
        let yaml =
            format!("title: t\nlogsource:\n  category: {category}\ndetection:\n  {indented}\n");
        let parsed = rsigma_parser::parse_sigma_yaml(&yaml).unwrap();
        assert!(parsed.errors.is_empty(), "{:?}\n{yaml}", parsed.errors);
        let rule = &parsed.rules[0];
        Requirement::clone(&requirement(rule, &Arc::new(of_record(rule, None))))
    }

    fn text(t: &str) -> Requirement {
        Requirement::Text(t.to_owned())
    }

    #[test]
    fn plain_values_give_their_text() {
        let got = of("a:\n  Image|endswith: '\\NGROK.exe'\ncondition: a");
        assert_eq!(got, text(r"\ngrok.exe"));
    }

    #[test]
    fn wildcards_split_a_value() {
        let got = of("a:\n  F: 'korgn.*.lennut.com'\ncondition: a");
        assert_eq!(got, Requirement::All(vec![text("korgn."), text(".lennut.com")]));
    }

    #[test]
    fn what_gives_no_text_gives_no_promise() {
        for detection in [
            "a:\n  F|re: 'ngrok'\ncondition: a",
            "a:\n  F|windash|contains: ' -all '\ncondition: a",
            "a:\n  F|cidr: 127.0.0.0/8\ncondition: a",
            "a:\n  F: 46\ncondition: a",
            "a:\n  F: '4688'\ncondition: a",
            "a:\n  F: '0x3e7'\ncondition: a",
            "a:\n  F: S-1-5-18\ncondition: a",
            "a:\n  F: null\ncondition: a",
            "a:\n  F: ab\ncondition: a",
            "a:\n  F: ngrok\ncondition: not a",
            "a:\n  F: ngrok\nb:\n  F|exists: true\ncondition: a or b",
            "a:\n  F:\n    - ngrok\n    - 5\ncondition: a",
            "a:\n  TargetObject|contains: '\\Run\\'\ncondition: a",
        ] {
            assert_eq!(of(detection), Requirement::True, "{detection}");
        }
    }

    #[test]
    fn a_number_stands_as_bytes_or_text() {
        let bytes = Requirement::Bytes { bytes: vec![0x3d, 0x0d], text: "3389".into() };
        let any = vec![bytes, text("3389"), text("0xd3d")];
        assert_eq!(of("a:\n  F: 3389\ncondition: a"), Requirement::Any(any));
    }

    #[test]
    fn negation_weakens_and_all_strengthens() {
        let got = of(
            "a:\n  F|contains|all:\n    - one\n    - two\nb:\n  G: three\ncondition: a and not b",
        );
        assert_eq!(got, Requirement::All(vec![text("one"), text("two")]));
    }

    #[test]
    fn selectors_and_keywords() {
        let got = of("s_1:\n  F: one\ns_2:\n  - two\n  - three\ncondition: 1 of s_*");
        assert_eq!(got, Requirement::Any(vec![text("one"), text("two"), text("three")]));
    }

    #[test]
    fn joined_fields_are_taken_apart() {
        let got = of("a:\n  User: 'NT AUTHORITY\\SYSTEM'\ncondition: a");
        assert_eq!(got, text("nt authority"));
        let got = of_category(
            "registry_set",
            "a:\n  TargetObject|contains: '\\Services\\ngrok'\ncondition: a",
        );
        assert_eq!(got, text(r"\services\ngrok"));
    }

    #[test]
    fn other_scripts_leave_their_ascii_runs() {
        assert_eq!(of("a:\n  F: 'Überwachung'\ncondition: a"), text("berwachung"));
    }
}
