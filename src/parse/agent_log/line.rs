//! One line of the agent's log, in each of its three forms.
//!
//! ```text
//! logfmt   t=2020-09-09T11:13:32+0530 lvl=info msg="started tunnel" obj=tunnels …
//! JSON     {"lvl":"info","msg":"started tunnel","obj":"tunnels","t":"2020-…", …}
//! console  INFO[09-09|11:13:29] started tunnel                           obj=tunnels …
//! ```
//!
//! Values are escaped with backslashes, also outside quotes.

use std::borrow::Cow;

use jiff::civil;

use super::stamp::Stamp;

/// Keys taken of one line.
const MAX_KEYS: usize = 64;
/// Bytes of a value that are kept.
const MAX_VALUE_BYTES: usize = 8 << 10;

/// A line taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogLine {
    pub time: Stamp,
    /// The time as the line writes it.
    pub raw_time: String,
    pub level: String,
    pub message: String,
    /// The other keys in the line's order; JSON's are in the file's order too.
    pub pairs: Vec<(String, String)>,
}

impl LogLine {
    /// The line of this text; `None` when it has none of the forms.
    pub(super) fn read(text: &str) -> Option<Self> {
        let plain = without_colours(text);
        let text = plain.trim();
        match text.as_bytes().first()? {
            b'{' => Self::of_json(text),
            b't' | b'l' => Self::of_pairs(pairs(text)?),
            _ => Self::of_console(text),
        }
    }

    fn of_json(text: &str) -> Option<Self> {
        let value: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
        let text_of = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        let all = value.into_iter().take(MAX_KEYS);
        Self::of_pairs(all.map(|(key, value)| (key, text_of(value))).collect())
    }

    /// A line from its keys: `t`, `lvl` and `msg` must be there.
    fn of_pairs(mut pairs: Vec<(String, String)>) -> Option<Self> {
        let mut take = |name: &str| {
            let at = pairs.iter().position(|(key, _)| key == name)?;
            Some(pairs.remove(at).1)
        };
        let (raw_time, level, message) = (take("t")?, take("lvl")?, take("msg")?);
        let time = Stamp::read(&raw_time)?;
        Some(Self { time, raw_time, level, message, pairs })
    }

    fn of_console(text: &str) -> Option<Self> {
        let (level, rest) = text.split_once('[')?;
        let (raw, rest) = rest.split_once(']')?;
        let known = ["INFO", "WARN", "EROR", "ERRO", "ERROR", "DBUG", "DEBUG", "CRIT"];
        if !known.contains(&level) {
            return None;
        }
        let time = Stamp::NoYear(console_time(raw)?);
        let rest = rest.trim();
        let first_key = key_start(rest);
        let message = rest.get(..first_key)?.trim().to_owned();
        let pairs = pairs(rest.get(first_key..)?)?;
        Some(Self {
            time,
            raw_time: raw.to_owned(),
            level: level.to_ascii_lowercase(),
            message,
            pairs,
        })
    }
}

/// Where the first ` key=` of a console line begins; its end if there is none.
fn key_start(text: &str) -> usize {
    let mut at = 0usize;
    for word in text.split(' ') {
        let key = word.split_once('=').map(|(key, _)| key);
        if key.is_some_and(|k| !k.is_empty() && k.bytes().all(is_key_byte)) {
            return at;
        }
        at = at.saturating_add(word.len()).saturating_add(1);
    }
    text.len()
}

fn is_key_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')
}

/// `09-09|11:13:29` in a leap year, so that February 29 stands.
fn console_time(raw: &str) -> Option<civil::DateTime> {
    let (date, time) = raw.split_once('|')?;
    let (month, day) = date.split_once('-')?;
    let mut parts = time.split(':');
    let mut next = || parts.next()?.parse::<i8>().ok();
    let (hour, minute, second) = (next()?, next()?, next()?);
    civil::DateTime::new(2000, month.parse().ok()?, day.parse().ok()?, hour, minute, second, 0).ok()
}

/// `key=value` pairs apart; `None` when the text is something else.
pub(in crate::parse) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && all.len() < MAX_KEYS {
        let (key, after) = rest.split_once('=')?;
        if key.is_empty() || !key.bytes().all(is_key_byte) {
            // A word without a value: some of the agent's errors are not quoted.
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            let last: &mut (String, String) = all.last_mut()?;
            last.1.push(' ');
            last.1.push_str(word);
            rest = after.trim_start();
            continue;
        }
        let (value, after) = value(after);
        all.push((key.to_owned(), value));
        rest = after.trim_start();
    }
    Some(all)
}

/// The value at the start of a text, and what follows it.
pub(in crate::parse) fn value(text: &str) -> (String, &str) {
    let quoted = text.strip_prefix('"');
    let inside = quoted.unwrap_or(text);
    let mut out = String::new();
    let mut chars = inside.char_indices();
    let mut next = inside.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if quoted.is_some() => {
                next = at.saturating_add(1);
                break;
            }
            ' ' if quoted.is_none() => {
                next = at;
                break;
            }
            '\\' => {
                let escaped = chars.clone().next().map(|(_, c)| c);
                let plain = match (escaped, quoted.is_some()) {
                    (Some('\\'), _) => Some('\\'),
                    (Some('"'), _) => Some('"'),
                    (Some('n'), true) => Some('\n'),
                    (Some('r'), true) => Some('\r'),
                    (Some('t'), true) => Some('\t'),
                    _ => None,
                };
                if plain.is_some() {
                    chars.next();
                }
                push_within(&mut out, plain.unwrap_or('\\'));
            }
            c => push_within(&mut out, c),
        }
    }
    (out, inside.get(next..).unwrap_or_default())
}

fn push_within(out: &mut String, c: char) {
    if out.len() < MAX_VALUE_BYTES {
        out.push(c);
    }
}

/// The text without the colour codes of a terminal.
pub(in crate::parse) fn without_colours(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    for (n, part) in text.split('\u{1b}').enumerate() {
        let coded = n > 0 && part.starts_with('[');
        let end = if coded { part.find('m').map_or(0, |at| at.saturating_add(1)) } else { 0 };
        out.push_str(part.get(end..).unwrap_or_default());
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, message: &str, pairs: &[(&str, &str)]) {
        let line = LogLine::read(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(line.message, message);
        let found: Vec<(&str, &str)> =
            line.pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, pairs);
    }

    #[test]
    fn all_forms() {
        let pairs = &[("obj", "tunnels"), ("addr", "//localhost:3389")];
        check(
            "t=2020-09-09T11:13:32+0530 lvl=info msg=\"started tunnel\" obj=tunnels addr=//localhost:3389",
            "started tunnel",
            pairs,
        );
        check(
            "{\"addr\":\"x\",\"lvl\":\"info\",\"msg\":\"started tunnel\",\"t\":\"2020-09-09T11:13:32.5+05:30\"}",
            "started tunnel",
            &[("addr", "x")],
        );
        check(
            "INFO[09-09|11:13:29] started tunnel                           obj=tunnels addr=//localhost:3389",
            "started tunnel",
            pairs,
        );
        check(
            "\u{1b}[32mINFO\u{1b}[0m[09-09|11:13:29] started tunnel \u{1b}[32mobj\u{1b}[0m=tunnels addr=//localhost:3389",
            "started tunnel",
            pairs,
        );
        check(
            r#"t=2020-09-09T11:13:32Z lvl=eror msg="failed" path=C:\\Users\\x err="dial \"a\"""#,
            "failed",
            &[("path", r"C:\Users\x"), ("err", "dial \"a\"")],
        );
        check(
            r"t=2020-09-09T11:13:32Z lvl=info msg=open path=C:\Users\new x=",
            "open",
            &[("path", r"C:\Users\new"), ("x", "")],
        );
    }

    #[test]
    fn other_lines_are_none() {
        for text in [
            "",
            "{}",
            "t=now lvl=info msg=x",
            "INFO [09-09|11:13:29] geth",
            "panic: runtime error",
            "t=",
            "{\"t\":1}",
            "INFO[13-40|11:13:29] x",
        ] {
            assert_eq!(LogLine::read(text), None, "{text}");
        }
    }
}
