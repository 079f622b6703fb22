//! Rules for every tool at once: a template's placeholders are filled from the
//! header of each profile, which gives one rule per profile.
//!
//! A template is a rule file with `%tool%` in its name. `%tool%` and `%name%` stand
//! for one text each. The others stand for a list: in a quoted value the value is
//! repeated for each item, in a value of a pattern (`|re`) they become
//! `(?:first|second)`. An item's `/` stands for either separator of paths. A profile
//! without a key that the template asks for gets no such rule, nor does a profile
//! that has a rule of that name itself.
//!
//! The rule's name is the template's with the tool's id in it (`frp-process`), which
//! is what rows bear. Its id is a UUID of version 8 (RFC 9562) made from SHA-256 of
//! the template's id and the tool's: it changes only when one of these does.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::profile::{DomainRole, Profile};

/// What follows a program's name in the names of its copies and of its releases.
const DECORATION: &str = r"(?:[_.-](?:v?\d|stable|windows|win|linux|darwin|macos)[\w-]*(?:\.\d+[\w-]*)*| ?\(\d+\)|[-_]?(?:x?86|x?64|32|386|amd64|arm64)|\d)?";
/// The longest placeholder's name.
const MAX_NAME: usize = 24;

/// Whether the text of a rule file is that of a template.
pub(super) fn is_template(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("name:") && line.contains("%tool%"))
}

/// What is wrong with a template whatever the profile.
///
/// # Errors
///
/// Line and reason, when a placeholder is unknown or stands where none can.
pub(super) fn check(text: &str) -> Result<(), String> {
    let nobody = Profile::default();
    for (number, line) in (1..).zip(text.lines()) {
        let wrong = |reason: String| Err(format!("line {number}: {reason}"));
        let line = words(line, &nobody);
        if line.trim_start().starts_with('#') {
            continue;
        }
        let Some((at, name)) = next_placeholder(&line) else { continue };
        if name != "program"
            && let Err(reason) = list_of(name, &nobody)
        {
            return wrong(reason);
        }
        if !line.get(..at).is_some_and(|before| before.contains(": ") && before.contains('\'')) {
            return wrong(format!("%{name}% stands in no quoted value of a key"));
        }
    }
    match text.lines().any(|line| line.starts_with("id:")) {
        true => Ok(()),
        false => Err("a template needs an id".to_owned()),
    }
}

/// The text with the tool's names in it.
pub(super) fn words(text: &str, profile: &Profile) -> String {
    text.replace("%tool%", &profile.id).replace("%name%", profile.name())
}

/// A UUID of version 8 from the template's id and the tool's.
pub(super) fn rule_id(template: &str, tool: &str) -> String {
    let digest = Sha256::digest(format!("{template}/{tool}"));
    let mut bytes = [0_u8; 16];
    bytes.iter_mut().zip(digest).for_each(|(byte, of)| *byte = of);
    let mut number = u128::from_be_bytes(bytes);
    number = (number & !(0xf << 76)) | (0x8 << 76);
    number = (number & !(0x3 << 62)) | (0x2 << 62);
    let hex = format!("{number:032x}");
    let part = |range| hex.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

/// Whether the profile has something for every placeholder of the text.
///
/// # Errors
///
/// When one is unknown.
pub(super) fn can_fill(text: &str, profile: &Profile) -> Result<bool, String> {
    let mut can = true;
    let mut rest = text;
    while let Some((at, name)) = next_placeholder(rest) {
        can &= match name {
            "tool" | "name" => true,
            "program" => !profile.binaries.is_empty(),
            other => !list_of(other, profile)?.is_empty(),
        };
        rest = rest.get(at + name.len() + 2..).unwrap_or_default();
    }
    Ok(can)
}

/// A pattern with each placeholder as a group of alternatives.
///
/// # Errors
///
/// When a placeholder is unknown.
pub(super) fn pattern(text: &str, profile: &Profile) -> Result<String, String> {
    let mut text = words(text, profile);
    while let Some((at, name)) = next_placeholder(&text) {
        let name = name.to_owned();
        let (list, tail) = match name.as_str() {
            "program" => ("stems", DECORATION),
            other => (other, ""),
        };
        let items = list_of(list, profile)?;
        let alternative = |item: &String| match list {
            "arguments" => item.clone(),
            _ => regex::escape(item).replace('/', r"[\\/]"),
        };
        let items: Vec<_> = items.iter().map(alternative).collect();
        let group = format!("(?:{}){tail}", items.join("|"));
        text.replace_range(at..at + name.len() + 2, &group);
    }
    Ok(text)
}

/// A value, once for each item of the list that it names, in the header's order.
///
/// # Errors
///
/// When a placeholder is unknown, or a second one stands beside it.
pub(super) fn values(text: &str, profile: &Profile) -> Result<Vec<String>, String> {
    let text = words(text, profile);
    let Some((at, name)) = next_placeholder(&text) else { return Ok(vec![text]) };
    let items = list_of(name, profile)?;
    let (head, tail) = (text.get(..at), text.get(at + name.len() + 2..));
    let (Some(head), Some(tail)) = (head, tail) else { return Ok(Vec::new()) };
    if next_placeholder(tail).is_some() {
        return Err("two lists in one value".to_owned());
    }
    let each = items.iter().flat_map(|item| both_separators(item));
    Ok(each.map(|item| format!("{head}{item}{tail}")).collect())
}

/// An item's text, and with backslashes if it is a path.
fn both_separators(item: &str) -> Vec<String> {
    if item.contains('/') {
        vec![item.to_owned(), item.replace('/', r"\")]
    } else {
        vec![item.to_owned()]
    }
}

/// Where the first placeholder begins, and its name.
fn next_placeholder(text: &str) -> Option<(usize, &str)> {
    for (at, _) in text.match_indices('%') {
        let Some(inner) = text.get(at + 1..) else { continue };
        let Some(end) = inner.find('%').filter(|end| (1..=MAX_NAME).contains(end)) else {
            continue;
        };
        let name = inner.get(..end)?;
        if name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            return Some((at, name));
        }
    }
    None
}

/// The items that a placeholder stands for in that profile.
fn list_of<'a>(name: &str, profile: &'a Profile) -> Result<Cow<'a, [String]>, String> {
    let suffixes = |roles: &[DomainRole]| {
        profile
            .domains
            .iter()
            .filter(|domain| roles.contains(&domain.role))
            .map(|domain| domain.suffix.clone())
            .collect::<Vec<_>>()
            .into()
    };
    Ok(match name {
        "binaries" => Cow::Borrowed(&profile.binaries),
        "stems" => profile.stems().into(),
        "words" => Cow::Borrowed(&profile.words),
        "config_files" => Cow::Borrowed(&profile.config_files),
        "packages" => Cow::Borrowed(&profile.packages),
        "services" => Cow::Borrowed(&profile.services),
        "paths" => Cow::Borrowed(&profile.paths),
        "folders" => profile
            .paths
            .iter()
            .map(|path| path.trim_end_matches('/').to_owned())
            .collect::<Vec<_>>()
            .into(),
        "hashes" => Cow::Borrowed(&profile.hashes),
        "images" => Cow::Borrowed(&profile.images),
        "sources" => Cow::Borrowed(&profile.sources),
        "releases" => Cow::Borrowed(&profile.releases),
        "variables" => Cow::Borrowed(&profile.variables),
        "modules" => Cow::Borrowed(&profile.modules),
        "arguments" => profile.arguments.iter().map(|a| a.shape.clone()).collect::<Vec<_>>().into(),
        "argument_texts" => {
            profile.arguments.iter().flat_map(|a| a.has.clone()).collect::<Vec<_>>().into()
        }
        "domains" => {
            profile.domains.iter().map(|domain| domain.suffix.clone()).collect::<Vec<_>>().into()
        }
        "control" => suffixes(&[DomainRole::Control, DomainRole::Fallback]),
        "downloads" => suffixes(&[DomainRole::Download]),
        "accounts" => suffixes(&[DomainRole::Account]),
        "endpoints" => suffixes(&[DomainRole::Endpoint]),
        _ => return Err(format!("no placeholder %{name}%")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        yaml_serde::from_str(
            "id: frp\nbinaries: [frpc.exe, frpc]\nconfig_files: [frpc.toml, x/frpc.ini]\n",
        )
        .unwrap()
    }

    #[test]
    fn lists_are_spliced() {
        let of = |text: &str| values(text, &profile()).unwrap();
        assert_eq!(of(r"\%binaries%"), [r"\frpc.exe", r"\frpc"]);
        assert_eq!(of("%config_files%"), ["frpc.toml", "x/frpc.ini", r"x\frpc.ini"]);
        assert_eq!(of("%tool% %name%"), ["frp frp"]);
        assert_eq!(of("%%14593"), ["%%14593"]);
        assert_eq!(can_fill("%tool%/%binaries%", &profile()), Ok(true));
        assert_eq!(can_fill("%binaries%: %domains%", &profile()), Ok(false));
        assert!(can_fill("%nothing%", &profile()).is_err());
        assert!(values("%nothing%", &profile()).is_err());
        assert!(values("%binaries%%domains%", &profile()).unwrap_err().contains("two lists"));
    }

    #[test]
    fn patterns_take_alternatives() {
        let of = |text: &str| pattern(text, &profile()).unwrap();
        assert_eq!(of("^%config_files%$"), r"^(?:frpc\.toml|x[\\/]frpc\.ini)$");
        let regex = regex::Regex::new(&of("^%program%$")).unwrap();
        for name in
            ["frpc", "frpc-windows-amd64", "frpc_0.61.0_linux", "frpc (1)", "frpc64", "frpc2"]
        {
            assert!(regex.is_match(name), "{name}");
        }
        for name in ["frpcx", "frpc-like", "frpc.bak", "frpcs", "frpc-1.0.zip"] {
            assert!(!regex.is_match(name), "{name}");
        }
    }

    #[test]
    fn faults_say_their_line() {
        let named = "name: '%tool%-x'\nid: 0\n";
        assert!(is_template(named));
        assert!(check(named).is_ok());
        let wrong = |text: &str| check(&format!("{named}{text}")).unwrap_err();
        assert!(wrong("F: '%nothing%'\n").starts_with("line 3: "));
        assert!(wrong("a: b\nF: %binaries%\n").starts_with("line 4: "));
        assert!(wrong("- '%binaries%'\n").starts_with("line 3: "));
        assert!(check("name: '%tool%-x'\n").is_err());
    }

    #[test]
    fn ids_are_stable_and_well_formed() {
        let id = rule_id("4f8ad4ce-0f32-4c0c-8f4c-5f2d7d7b3c11", "frp");
        assert_eq!(id, rule_id("4f8ad4ce-0f32-4c0c-8f4c-5f2d7d7b3c11", "frp"));
        assert_ne!(id, rule_id("4f8ad4ce-0f32-4c0c-8f4c-5f2d7d7b3c11", "nps"));
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'8'));
        assert!(b"89ab".contains(&id.as_bytes()[19]));
    }
}
