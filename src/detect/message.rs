//! Rule messages: templates with `{Field}` or `{First|Second}` places.

use crate::model::Record;

/// Longest text a single place takes, in bytes.
const MAX_VALUE_BYTES: usize = 300;

/// The template with every place filled from the record; what is absent is `?`,
/// an alternative after `=` stands for itself (`{ParentImage|=a program}`), and a
/// part in brackets, `[, account {Account}]`, in which anything is absent is left out.
///
/// Line breaks and other control characters become spaces. A long value is cut
/// between words, so that no secret is cut where it would no longer be known as one.
pub(super) fn fill(template: &str, record: &Record) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('[') {
        let Some((part, following)) = after.split_once(']') else { break };
        fill_places(before, record, &mut out);
        let whole = out.len();
        if !fill_places(part, record, &mut out) {
            out.truncate(whole);
        }
        rest = following;
    }
    fill_places(rest, record, &mut out);
    out
}

/// Fills the places of a part; whether all could be filled.
fn fill_places(template: &str, record: &Record, out: &mut String) -> bool {
    let mut is_whole = true;
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((place, following)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            break;
        };
        let alternative = |field: &str| match field.strip_prefix('=') {
            Some(text) => Some(text.to_owned()),
            None => shown(record, field),
        };
        match place.split('|').find_map(alternative) {
            Some(value) => push(out, &value),
            None => {
                out.push('?');
                is_whole = false;
            }
        }
        rest = following;
    }
    out.push_str(rest);
    is_whole
}

fn shown(record: &Record, field: &str) -> Option<String> {
    let value = record.value(field)?.to_string();
    Some(value).filter(|text| !text.is_empty() && text != "-")
}

fn push(out: &mut String, value: &str) {
    let mut length: usize = 0;
    let mut first = true;
    for word in value.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        length = length.saturating_add(word.len()).saturating_add(1);
        if length > MAX_VALUE_BYTES {
            out.push_str(if first { "…" } else { " …" });
            return;
        }
        if !first {
            out.push(' ');
        }
        out.push_str(word);
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    fn check(template: &str, expected: &str) {
        let mut record = Record::new("event", Locator::Record(1));
        record.push("Image", r"C:\x\ngrok.exe");
        record.push("Dash", "-");
        record.push("EventID", 1);
        record.push("Lines", "a\r\n\tb");
        record.push("Long", "word ".repeat(100));
        assert_eq!(fill(template, &record), expected);
    }

    #[test]
    fn places_are_filled() {
        check("{Image} by {EventID}", r"C:\x\ngrok.exe by 1");
        check("{None} {Dash}", "? ?");
        check("{None|Image}", r"C:\x\ngrok.exe");
        check("{Lines}", "a b");
        check("open { and {Image", "open { and {Image");
        check("a[, {Image}][, {None}][ {EventID}]", r"a, C:\x\ngrok.exe 1");
        check("{None|=a b} {Image|=c}", r"a b C:\x\ngrok.exe");
        check("a [{Image}", r"a [C:\x\ngrok.exe");
    }

    #[test]
    fn long_values_are_cut_between_words() {
        check("{Long}", &format!("{} …", vec!["word"; 60].join(" ")));
    }
}
