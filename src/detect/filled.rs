//! A template read once, and filled in for many profiles.

use rsigma_parser::{Detection, DetectionItem, Modifier, SigmaRule, SigmaString, SigmaValue};

use super::profile::Profile;
use super::template;

/// Why a rule cannot be had: nothing to fill in, or a fault of the template.
enum Void {
    Lacks,
    Wrong(String),
}

/// The rule that the template gives this profile; none when the profile has nothing for
/// one of its placeholders.
///
/// # Errors
///
/// When a placeholder is unknown.
pub(super) fn fill(of: &SigmaRule, profile: &Profile) -> Result<Option<SigmaRule>, String> {
    let mut rule = of.clone();
    for detection in rule.detection.named.values_mut() {
        match fill_detection(detection, profile) {
            Ok(()) => {}
            Err(Void::Lacks) => return Ok(None),
            Err(Void::Wrong(reason)) => return Err(reason),
        }
    }
    rule.title = template::words(&rule.title, profile);
    rule.name = rule.name.map(|name| template::words(&name, profile));
    rule.id = rule.id.map(|id| template::rule_id(&id, &profile.id));
    if let Some(message) = rule.custom_attributes.get_mut("adit").and_then(|a| a.get_mut("message"))
        && let Some(text) = message.as_str()
    {
        *message = template::words(text, profile).into();
    }
    Ok(Some(rule))
}

fn fill_detection(detection: &mut Detection, profile: &Profile) -> Result<(), Void> {
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

fn fill_item(item: &mut DetectionItem, profile: &Profile) -> Result<(), Void> {
    let pattern = item.field.has_modifier(Modifier::Re);
    fill_values(&mut item.values, pattern, profile)
}

fn fill_values(values: &mut Vec<SigmaValue>, re: bool, profile: &Profile) -> Result<(), Void> {
    let mut filled = Vec::with_capacity(values.len());
    for value in values.drain(..) {
        let text = match &value {
            SigmaValue::String(text) if text.original.contains('%') => &text.original,
            _ => {
                filled.push(value);
                continue;
            }
        };
        if re {
            let pattern = template::pattern(text, profile).map_err(Void::Wrong)?;
            let pattern = SigmaString::from_raw(&pattern.ok_or(Void::Lacks)?);
            filled.push(SigmaValue::String(pattern));
        } else {
            let each = template::values(text, profile).map_err(Void::Wrong)?.ok_or(Void::Lacks)?;
            filled.extend(each.iter().map(|text| SigmaValue::String(SigmaString::new(text))));
        }
    }
    *values = filled;
    Ok(())
}
