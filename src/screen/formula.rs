//! Requirements as formulas over numbered literals, and literals as evidence writes them.

use std::collections::BTreeSet;

use crate::model::Requirement;

/// A requirement over literal numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Formula {
    Literal(usize),
    All(Vec<Formula>),
    Any(Vec<Formula>),
}

/// What is looked for: a text (lower case), or bytes with the text that renders them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Literal {
    Text(String),
    Bytes { bytes: Vec<u8>, text: String },
}

impl Literal {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Bytes { text, .. } => text,
        }
    }
}

/// The same requirement with trivial parts folded; texts in lower case.
pub(super) fn simplify(requirement: &Requirement) -> Requirement {
    match requirement {
        Requirement::Text(text) if text.is_empty() => Requirement::True,
        Requirement::Bytes { bytes, .. } if bytes.is_empty() => Requirement::True,
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

pub(super) fn collect(requirement: &Requirement, into: &mut BTreeSet<Literal>) {
    match requirement {
        Requirement::All(parts) | Requirement::Any(parts) => {
            parts.iter().for_each(|p| collect(p, into));
        }
        leaf => into.extend(as_literal(leaf)),
    }
}

pub(super) fn formula(requirement: &Requirement, literals: &[Literal]) -> Option<Formula> {
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

pub(super) fn holds(formula: &Formula, present: &impl Fn(usize) -> bool) -> bool {
    match formula {
        Formula::Literal(i) => present(*i),
        Formula::All(parts) => parts.iter().all(|p| holds(p, present)),
        Formula::Any(parts) => parts.iter().any(|p| holds(p, present)),
    }
}

/// The literals of the formula.
pub(super) fn literals_of(formula: &Formula) -> BTreeSet<usize> {
    match formula {
        Formula::Literal(i) => BTreeSet::from([*i]),
        Formula::All(parts) | Formula::Any(parts) => parts.iter().flat_map(literals_of).collect(),
    }
}

/// The text as it stands in UTF-8, and as JSON escapes it.
pub(super) fn utf8_forms(text: &str) -> Vec<Vec<u8>> {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    if escaped == text {
        vec![text.as_bytes().to_vec()]
    } else {
        vec![text.as_bytes().to_vec(), escaped.into_bytes()]
    }
}

/// The text in UTF-16LE, without the last character's high byte when that is
/// zero, so that it is also found in big-endian text.
pub(super) fn utf16(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}
