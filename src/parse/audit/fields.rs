//! One line of an audit log, and what its values say.
//!
//! ```text
//! [node=host ]type=NAME msg=audit(seconds.millis:serial): key=value key="value" msg='key=value …'\x1dNAME="value" …
//! ```
//!
//! Text that a user can choose is quoted, or stands in hexadecimal where it holds
//! blanks, quotes or control characters. After `\x1d` auditd adds numbers as names.

use jiff::Timestamp;

use crate::model::from_unix;

/// Keys taken of one line.
const MAX_KEYS: usize = 4096;

/// The beginning of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub node: &'a str,
    /// `EXECVE`, or the number of a type without name.
    pub kind: &'a str,
    pub at: Option<Timestamp>,
    /// `seconds.millis:serial`, by which the lines of an event belong together.
    pub stamp: &'a str,
    pub serial: u64,
    pub body: &'a str,
}

impl<'a> Head<'a> {
    /// The line's beginning; `None` when it is of another form.
    pub(super) fn read(line: &'a str) -> Option<Self> {
        let (node, rest) = match line.strip_prefix("node=") {
            Some(rest) => rest.split_once(' ')?,
            None => ("", line),
        };
        let (kind, rest) = rest.strip_prefix("type=")?.split_once(" msg=audit(")?;
        let (stamp, body) = rest.split_once("):")?;
        let (time, serial) = stamp.split_once(':')?;
        let (seconds, millis) = time.split_once('.').unwrap_or((time, "0"));
        let nanos = millis.parse::<i32>().ok()?.checked_mul(1_000_000)?;
        let kind = kind.strip_prefix("UNKNOWN[").and_then(|k| k.strip_suffix(']')).unwrap_or(kind);
        Some(Self {
            node,
            kind,
            at: from_unix(seconds.parse().ok()?, nanos),
            stamp,
            serial: serial.parse().ok()?,
            body: body.trim(),
        })
    }
}

/// Keys and values of a body, in order; those of an inner `msg='…'` among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn read(body: &str) -> Self {
        let mut all = Vec::new();
        for part in body.split('\u{1d}') {
            pairs(part, &mut all);
        }
        Self(all)
    }

    /// The value as it stands, without quotes; `?`, `(null)` and `(none)` are none.
    pub(super) fn raw(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        let value = value.trim_matches('"');
        (!matches!(value, "" | "?" | "(null)" | "(none)")).then_some(value)
    }

    /// Text that a user could choose, decoded.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        self.raw(key)?;
        Some(decoded(value))
    }

    pub(super) fn number(&self, key: &str) -> Option<i64> {
        self.raw(key)?.parse().ok()
    }

    /// Every key with its value, for what is not understood.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn pairs(text: &str, all: &mut Vec<(String, String)>) {
    let mut rest = text.trim_start();
    while !rest.is_empty() && all.len() < MAX_KEYS {
        let Some((key, after)) = rest.split_once('=') else { return };
        // Words without a value may stand between: `avc:  denied  { read } for  pid=1`.
        let key = key.rsplit([' ', '\t']).next().unwrap_or(key);
        let (value, next) = match after.as_bytes().first() {
            Some(b'\'') => {
                // auditd's own messages in a message: taken apart like the rest.
                let (inner, next) =
                    after.get(1..).and_then(|a| a.split_once('\'')).unwrap_or_default();
                pairs(inner, all);
                rest = next.trim_start();
                continue;
            }
            Some(b'"') => {
                let inside = after.get(1..).unwrap_or_default();
                let end = inside.find('"').unwrap_or(inside.len());
                let end = end.saturating_add(2).min(after.len());
                after.split_at_checked(end).unwrap_or((after, ""))
            }
            Some(b'{') => {
                let end = after.find('}').map_or(after.len(), |end| end.saturating_add(1));
                after.split_at_checked(end).unwrap_or((after, ""))
            }
            _ => after.split_once(' ').unwrap_or((after, "")),
        };
        if !key.is_empty() {
            all.push((key.to_owned(), value.to_owned()));
        }
        rest = next.trim_start();
    }
}

/// The text of a quoted or hexadecimal value; zeros part arguments, as blanks do.
pub(super) fn decoded(value: &str) -> String {
    if let Some(quoted) = value.strip_prefix('"') {
        return quoted.strip_suffix('"').unwrap_or(quoted).to_owned();
    }
    match hex(value) {
        Some(bytes) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            text.trim_end_matches('\0').replace('\0', " ")
        }
        None => value.to_owned(),
    }
}

/// The bytes of an even number of hexadecimal digits.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    bytes.collect::<Option<Vec<u8>>>().filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let line = "node=web type=USER_CMD msg=audit(1709781160.512:403): pid=7 msg='cwd=\"/\" cmd=6964202D75 exe=\"/usr/bin/sudo\" terminal=pts/0 res=success'\u{1d}UID=\"jane\"";
        let head = Head::read(line).unwrap();
        assert_eq!((head.node, head.kind, head.serial), ("web", "USER_CMD", 403));
        assert_eq!(head.at.unwrap().to_string(), "2024-03-07T03:12:40.512Z");
        let fields = Fields::read(head.body);
        assert_eq!(fields.text("cmd").as_deref(), Some("id -u"));
        assert_eq!(fields.raw("res"), Some("success"));
        assert_eq!(fields.raw("UID"), Some("jane"));
        assert_eq!(fields.number("pid"), Some(7));
        for other in ["", "type=X", "type=X msg=audit(1:2", "Mar  6 21:15:20 h a: b"] {
            assert_eq!(Head::read(other), None, "{other}");
        }
    }

    #[test]
    fn values_in_hexadecimal() {
        assert_eq!(decoded("6E67726F6B00746370003232"), "ngrok tcp 22");
        assert_eq!(decoded("\"a b\""), "a b");
        assert_eq!(decoded("abc"), "abc");
        assert_eq!(Fields::read("a=\"x b='q c={ d }").raw("a"), Some("x b='q c={ d }"));
    }
}
