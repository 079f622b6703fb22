//! A template read once, and filled in for many profiles.

use rsigma_parser::{Detection, DetectionItem, Modifier, SigmaRule, SigmaString, SigmaValue};

use super::profile::Profile;
use super::template;

/// Whether the profile has something for every placeholder of the template.
///
/// # Errors
///
/// When a placeholder is unknown.
pub(super) fn can_fill(of: &SigmaRule, profile: &Profile) -> Result<bool, String> {
    let mut can = true;
    for detection in of.detection.named.values() {
        can &= can_fill_detection(detection, profile)?;
    }
    Ok(can)
}

fn can_fill_detection(detection: &Detection, profile: &Profile) -> Result<bool, String> {
    let each = |values: &[SigmaValue]| {
        values.iter().try_fold(true, |can, value| match value {
            SigmaValue::String(text) => Ok(can & template::can_fill(&text.original, profile)?),
            _ => Ok(can),
        })
    };
    match detection {
        Detection::AllOf(items) => {
            items.iter().try_fold(true, |can, item| Ok(can & each(&item.values)?))
        }
        Detection::AnyOf(of) | Detection::And(of) => {
            of.iter().try_fold(true, |can, part| Ok(can & can_fill_detection(part, profile)?))
        }
        Detection::Keywords(values) => each(values),
        Detection::ArrayMatch { body, .. } => can_fill_detection(body, profile),
        Detection::Conditional { named, .. } => {
            named.values().try_fold(true, |can, part| Ok(can & can_fill_detection(part, profile)?))
        }
    }
}

/// The rule that the template gives this profile.
///
/// # Errors
///
/// When a placeholder is unknown, or the profile has nothing for one.
pub(super) fn fill(of: &SigmaRule, profile: &Profile) -> Result<SigmaRule, String> {
    let mut rule = of.clone();
    for detection in rule.detection.named.values_mut() {
        fill_detection(detection, profile)?;
    }
    rule.title = template::words(&rule.title, profile);
    rule.name = rule.name.map(|name| template::words(&name, profile));
    rule.id = rule.id.map(|id| template::rule_id(&id, &profile.id));
    Ok(rule)
}

fn fill_detection(detection: &mut Detection, profile: &Profile) -> Result<(), String> {
    match detection {
        Detection::AllOf(items) => items.iter_mut().try_for_each(|item| fill_item(item, profile)),
        Detection::AnyOf(of) | Detection::And(of) => {
            of.iter_mut().try_for_each(|detection| fill_detection(detection, profile))
        }
        Detection::Keywords(values) => fill_values(values, false, profile),
        Detection::ArrayMatch { body, .. } => fill_detection(body, profile),
        Detection::Conditional { named, .. } => {
            named.values_mut().try_for_each(|detection| fill_detection(detection, profile))
        }
    }
}

fn fill_item(item: &mut DetectionItem, profile: &Profile) -> Result<(), String> {
    let pattern = item.field.has_modifier(Modifier::Re);
    fill_values(&mut item.values, pattern, profile)
}

fn fill_values(values: &mut Vec<SigmaValue>, re: bool, profile: &Profile) -> Result<(), String> {
    let mut filled = Vec::with_capacity(values.len());
    for value in values.drain(..) {
        match &value {
            SigmaValue::String(text) if re && text.original.contains('%') => {
                let pattern = template::pattern(&text.original, profile)?;
                filled.push(SigmaValue::String(SigmaString::from_raw(&pattern)));
            }
            _ => match texts(&value, profile)? {
                Some(texts) => filled.extend(texts.into_iter().map(SigmaValue::String)),
                None => filled.push(value),
            },
        }
    }
    *values = filled;
    Ok(())
}

/// The texts that a value with a placeholder stands for; `None` for any other value.
///
/// # Errors
///
/// As [`template::values`].
pub(super) fn texts(
    value: &SigmaValue,
    profile: &Profile,
) -> Result<Option<Vec<SigmaString>>, String> {
    match value {
        SigmaValue::String(text) if text.original.contains('%') => {
            let texts = template::values(&text.original, profile)?;
            Ok(Some(texts.iter().map(|text| SigmaString::new(text)).collect()))
        }
        _ => Ok(None),
    }
}
