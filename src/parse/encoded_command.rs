//! PowerShell's `-EncodedCommand`: Base64 of a command in UTF-16LE.
//!
//! PowerShell takes every beginning of the parameter's name from `-e` on, and `-ec`
//! (about_PowerShell_exe). What the text decodes to is what ran.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::model::{Record, Requirement, Value};

/// Longest decoded command that is kept, in bytes of UTF-16.
const MAX_BYTES: usize = 128 << 10;
/// Shortest text that is tried.
const MIN_DIGITS: usize = 16;
/// The parameter's whole name.
const PARAMETER: &str = "encodedcommand";
/// What stands in every text that holds such a command, but for `-e`.
const SIGNS: [&str; 4] = [" -enc", " /enc", " -en ", " -ec "];
/// What follows `-e`: a quote, or the first digit of an ASCII character's Base64.
const FIRST: &str = "\"'abcdefijklmnopqrstuvwxyz";

/// What must stand where an encoded command does.
pub fn requirement() -> Requirement {
    let short = FIRST.chars().map(|first| format!(" -e {first}"));
    let signs = SIGNS.into_iter().map(str::to_owned).chain(short);
    Requirement::Any(signs.map(Requirement::Text).collect())
}

/// Adds `DecodedCommand` to a record of which a field holds an encoded command; the first
/// such field counts.
pub fn add_decoded(record: &mut Record) {
    let texts = record.fields.iter().filter_map(|(_, value)| match value {
        Value::Text(text) => Some(text),
        _ => None,
    });
    if let Some(command) = texts.map(String::as_str).find_map(decoded) {
        record.push("DecodedCommand", command);
    }
}

/// The command that the text has encoded, if it has one.
pub fn decoded(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>'));
    let mut words = words.filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let name = word.strip_prefix(['-', '/', '\u{2013}']).unwrap_or_default();
        let name = name.to_ascii_lowercase();
        if !name.is_empty() && (PARAMETER.starts_with(&name) || name == "ec") {
            // `-e` may be another program's.
            let command = words.next().and_then(of_base64);
            if command.is_some() {
                return command;
            }
        }
    }
    None
}

/// Text of Base64 digits of UTF-16LE; `None` where it is anything else.
fn of_base64(digits: &str) -> Option<String> {
    let digits = digits.trim_end_matches('=');
    if digits.len() < MIN_DIGITS || digits.len() / 4 * 3 > MAX_BYTES {
        return None;
    }
    let bytes = STANDARD_NO_PAD.decode(digits).ok()?;
    let units: Vec<u16> =
        bytes.chunks_exact(2).filter_map(|u| u.try_into().ok()).map(u16::from_le_bytes).collect();
    let text = String::from_utf16(&units).ok()?;
    // Digits of something else give text without words.
    let is_sound = |c: char| !c.is_control() || c.is_whitespace();
    (text.is_ascii() || text.contains(' ')).then_some(text).filter(|t| t.chars().all(is_sound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_as_powershell_takes_them() {
        // `ngrok tcp 3389`
        const DIGITS: &str = "bgBnAHIAbwBrACAAdABjAHAAIAAzADMAOAA5AA==";
        for (line, expected) in [
            (format!("powershell -NoP -EncodedCommand {DIGITS}"), Some("ngrok tcp 3389")),
            (format!("powershell.exe -w hidden -e {DIGITS}"), Some("ngrok tcp 3389")),
            (format!("pwsh -EC \"{DIGITS}\""), Some("ngrok tcp 3389")),
            (format!("cmd /c \"powershell /enc {DIGITS}\""), Some("ngrok tcp 3389")),
            (format!("powershell -ep bypass -enc {DIGITS}"), Some("ngrok tcp 3389")),
            (format!("powershell -x {DIGITS}"), None),
            ("grep -e bgBnAHIAbwBrACA".to_owned(), None),
            ("powershell -e not/base64/of/anything".to_owned(), None),
            ("powershell -enc".to_owned(), None),
            ("powershell -enc ====".to_owned(), None),
            (format!("powershell -enc {}", "A".repeat(1 << 20)), None),
        ] {
            assert_eq!(decoded(&line).as_deref(), expected, "{}", line.get(..60).unwrap_or(&line));
        }
    }
}
