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

/// The rule of that profile, line by line as the template; none when the profile
/// has no value for a placeholder.
///
/// # Errors
///
/// Line and reason, when a placeholder is unknown or stands where none can.
pub(super) fn expand(text: &str, profile: &Profile) -> Result<Option<String>, String> {
    let mut out = String::with_capacity(text.len() * 2);
    for (number, line) in (1..).zip(text.lines()) {
        let filled = match line.strip_prefix("id:") {
            _ if line.trim_start().starts_with('#') => Some(line.to_owned()),
            Some(id) => Some(format!("id: {}", rule_id(id.trim(), &profile.id))),
            None => {
                fill_line(line, profile).map_err(|reason| format!("line {number}: {reason}"))?
            }
        };
        let Some(filled) = filled else { return Ok(None) };
        out.push_str(&filled);
        out.push('\n');
    }
    Ok(Some(out))
}

/// Faults that hold whatever the profile: asked of a template on its own.
///
/// # Errors
///
/// As [`expand`].
pub(super) fn check(text: &str) -> Result<(), String> {
    expand(text, &Profile::default()).map(drop)?;
    match text.lines().any(|line| line.starts_with("id:")) {
        true => Ok(()),
        false => Err("a template needs an id".to_owned()),
    }
}

/// A UUID of version 8 from the template's id and the tool's.
fn rule_id(template: &str, tool: &str) -> String {
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

/// The line with its placeholders filled; none when the profile lacks a value.
fn fill_line(line: &str, profile: &Profile) -> Result<Option<String>, String> {
    let line = line.replace("%tool%", &profile.id).replace("%name%", profile.name());
    if next_placeholder(&line).is_none() {
        return Ok(Some(line));
    }
    let Some((key, value)) = line.split_once(": ") else {
        return Err("a placeholder stands only in the value of a key".to_owned());
    };
    if key.contains("|re") {
        return Ok(alternate(value, profile)?.map(|value| format!("{key}: {value}")));
    }
    Ok(splice(value, profile)?.map(|value| format!("{key}: {value}")))
}

/// Each placeholder of a pattern as a group of alternatives.
fn alternate(value: &str, profile: &Profile) -> Result<Option<String>, String> {
    let mut value = value.to_owned();
    while let Some((at, name)) = next_placeholder(&value) {
        let name = name.to_owned();
        let (list, tail) = match name.as_str() {
            "program" => ("stems", DECORATION),
            other => (other, ""),
        };
        let items = list_of(list, profile)?;
        if items.is_empty() && !profile.id.is_empty() {
            return Ok(None);
        }
        let pattern = |item: &String| match list {
            "arguments" => item.clone(),
            _ => regex::escape(item).replace('/', r"[\\/]"),
        };
        let items: Vec<_> = items.iter().map(|i| pattern(i).replace('\'', "''")).collect();
        let group = format!("(?:{}){tail}", items.join("|"));
        value.replace_range(at..at + name.len() + 2, &group);
    }
    Ok(Some(value))
}

/// Each quoted text that holds a placeholder, once per item of its list.
fn splice(value: &str, profile: &Profile) -> Result<Option<String>, String> {
    let mut out = Vec::new();
    let mut rest = value;
    while let Some((at, name)) = next_placeholder(rest) {
        let after = at + name.len() + 2;
        let quote = rest.get(..at).and_then(|head| head.rfind('\''));
        let end = rest.get(after..).and_then(|tail| tail.find('\''));
        let (Some(quote), Some(end)) = (quote, end) else {
            return Err(format!("%{name}% stands in no quoted value"));
        };
        let items = list_of(name, profile)?;
        if items.is_empty() && !profile.id.is_empty() {
            return Ok(None);
        }
        let head = rest.get(quote + 1..at).unwrap_or_default();
        let tail = rest.get(after..after + end).unwrap_or_default();
        if next_placeholder(tail).is_some() {
            return Err("two lists in one value".to_owned());
        }
        out.push(rest.get(..quote).unwrap_or_default().to_owned());
        let each = items.iter().flat_map(|item| both_separators(item));
        let each: Vec<_> =
            each.map(|i| format!("'{head}{}{tail}'", i.replace('\'', "''"))).collect();
        out.push(each.join(", "));
        rest = rest.get(after + end + 1..).unwrap_or_default();
    }
    out.push(rest.to_owned());
    let value = out.concat();
    Ok(Some(if value.starts_with('[') { value } else { format!("[{value}]") }))
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
fn list_of(name: &str, profile: &Profile) -> Result<Vec<String>, String> {
    let suffixes = |roles: &[DomainRole]| {
        profile
            .domains
            .iter()
            .filter(|domain| roles.contains(&domain.role))
            .map(|domain| domain.suffix.clone())
            .collect()
    };
    Ok(match name {
        "binaries" => profile.binaries.clone(),
        "stems" => profile.stems(),
        "words" => profile.words.clone(),
        "config_files" => profile.config_files.clone(),
        "packages" => profile.packages.clone(),
        "services" => profile.services.clone(),
        "paths" => profile.paths.clone(),
        "hashes" => profile.hashes.clone(),
        "images" => profile.images.clone(),
        "sources" => profile.sources.clone(),
        "modules" => profile.modules.clone(),
        "arguments" => profile.arguments.iter().map(|a| a.shape.clone()).collect(),
        "argument_texts" => profile.arguments.iter().map(|a| a.has.clone()).collect(),
        "domains" => profile.domains.iter().map(|domain| domain.suffix.clone()).collect(),
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

    fn line(text: &str) -> Option<String> {
        fill_line(text, &profile()).unwrap()
    }

    #[test]
    fn lists_are_spliced() {
        assert_eq!(
            line(r"  Image|endswith: '\%binaries%'").unwrap(),
            r"  Image|endswith: ['\frpc.exe', '\frpc']"
        );
        assert_eq!(line("F: ['a', '%stems%']").unwrap(), "F: ['a', 'frpc']");
        assert_eq!(
            line("F: '%config_files%'").unwrap(),
            r"F: ['frpc.toml', 'x/frpc.ini', 'x\frpc.ini']"
        );
        assert_eq!(
            line("message: 'runs %name%: {Image}'").unwrap(),
            "message: 'runs frp: {Image}'"
        );
        assert_eq!(line("EventID: '%%14593'").unwrap(), "EventID: '%%14593'");
        assert_eq!(line("F: '%domains%'"), None);
    }

    #[test]
    fn patterns_take_alternatives() {
        let got = line(r"F|re: '^(?:%config_files%)$'").unwrap();
        assert_eq!(got, r"F|re: '^(?:(?:frpc\.toml|x[\\/]frpc\.ini))$'");
        let got = line(r"F|re: '^%program%$'").unwrap();
        let pattern = got.strip_prefix("F|re: '").and_then(|p| p.strip_suffix('\'')).unwrap();
        let regex = regex::Regex::new(pattern).unwrap();
        for name in
            ["frpc", "frpc-windows-amd64", "frpc_0.61.0_linux", "frpc (1)", "frpc64", "frpc2"]
        {
            assert!(regex.is_match(name), "{name}");
        }
        for name in ["frpcx", "frpc-like", "frpc.bak", "frpcs"] {
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
        assert!(wrong("F: '%binaries%%domains%'\n").contains("two lists"));
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
