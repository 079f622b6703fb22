//! Names that a script sets to a text, and what they stand for further down.

use std::collections::BTreeMap;

use super::dialect::Dialect;

/// Names that are kept of one script.
const MAX_NAMES: usize = 256;
/// Longest text that a name may stand for.
const MAX_TEXT_BYTES: usize = 4 << 10;
/// Longest command after names were filled in.
const MAX_FILLED_BYTES: usize = 64 << 10;

/// What the names of a script stand for where it is read.
#[derive(Default)]
pub(super) struct Names {
    /// By lowercase name, but in shells, which tell case apart.
    texts: BTreeMap<String, String>,
}

impl Names {
    /// Learns from a command that sets a name to a text; forgets a name that it sets to
    /// anything else.
    pub(super) fn learn(&mut self, command: &str, dialect: Dialect) {
        let Some((name, value)) = assignment(command, dialect) else { return };
        match literal(value, dialect) {
            Some(text) if self.texts.len() < MAX_NAMES => {
                self.texts.insert(name, text.to_owned());
            }
            _ => {
                self.texts.remove(&name);
            }
        }
    }

    /// The command with the texts of its names for them.
    pub(super) fn filled(&self, command: &str, dialect: Dialect) -> String {
        let mark = match dialect {
            Dialect::Batch => '%',
            Dialect::PowerShell | Dialect::Shell => '$',
            Dialect::Basic | Dialect::JScript => return command.to_owned(),
        };
        if self.texts.is_empty() || !command.contains(mark) {
            return command.to_owned();
        }
        // What a name is set to replaces nothing on the left of its sign.
        let start = assignment(command, dialect)
            .and_then(|(_, value)| command.len().checked_sub(value.len()))
            .unwrap_or_default();
        let (head, mut rest) = command.split_at_checked(start).unwrap_or(("", command));
        let mut out = head.to_owned();
        while let Some(at) = rest.find(mark) {
            let (before, found) = rest.split_at(at);
            out.push_str(before);
            let known = reference(found, dialect)
                .and_then(|(name, length)| Some((self.texts.get(&name)?, length)));
            let length = match known {
                Some((text, length)) if out.len() < MAX_FILLED_BYTES => {
                    out.push_str(text);
                    length
                }
                _ => {
                    out.push(mark);
                    mark.len_utf8()
                }
            };
            rest = found.get(length..).unwrap_or_default();
        }
        out.push_str(rest);
        out
    }
}

/// The name that a command sets, as it is kept, and the text behind the sign.
fn assignment(command: &str, dialect: Dialect) -> Option<(String, &str)> {
    let (name, value) = match dialect {
        Dialect::Batch => {
            let (set, rest) = command.split_once(char::is_whitespace)?;
            if !set.eq_ignore_ascii_case("set") {
                return None;
            }
            let rest = rest.trim();
            let quoted = rest.strip_prefix('"').map(|rest| rest.strip_suffix('"').unwrap_or(rest));
            quoted.unwrap_or(rest).split_once('=')?
        }
        Dialect::PowerShell => command.strip_prefix('$')?.split_once('=')?,
        Dialect::Shell => {
            command.strip_prefix("export ").unwrap_or(command).trim_start().split_once('=')?
        }
        Dialect::Basic | Dialect::JScript => return None,
    };
    let name = name.trim_end();
    is_name(name).then(|| (kept(name, dialect), value))
}

/// The text that a value is, if it is nothing but a text.
fn literal(value: &str, dialect: Dialect) -> Option<&str> {
    let value = value.trim();
    let quoted = |quote: char| {
        let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote)).then_some(inner)
    };
    let text = match dialect {
        Dialect::Batch => Some(value),
        Dialect::PowerShell => quoted('"').or_else(|| quoted('\'')),
        _ => {
            let plain = !value.contains([' ', '\t', '(', '`', '"', '\'', ';', '&', '|']);
            quoted('"').or_else(|| quoted('\'')).or(plain.then_some(value))
        }
    };
    text.filter(|text| !text.is_empty() && text.len() <= MAX_TEXT_BYTES)
}

/// The name that a text begins to refer to, as it is kept, and the length of that.
fn reference(text: &str, dialect: Dialect) -> Option<(String, usize)> {
    let (open, close) = match dialect {
        Dialect::Batch => ("%", Some('%')),
        _ if text.starts_with("${") => ("${", Some('}')),
        _ => ("$", None),
    };
    let rest = text.strip_prefix(open)?;
    let end = match close {
        Some(close) => rest.find(close)?,
        None => rest.find(|c: char| !is_part(c)).unwrap_or(rest.len()),
    };
    let name = rest.get(..end).filter(|name| is_name(name))?;
    let length = open.len().saturating_add(end).saturating_add(usize::from(close.is_some()));
    Some((kept(name, dialect), length))
}

fn kept(name: &str, dialect: Dialect) -> String {
    if dialect == Dialect::Shell { name.to_owned() } else { name.to_ascii_lowercase() }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_part)
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
