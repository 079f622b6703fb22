//! Names as a volume stores them, made fit for a path.

/// Stands for what cannot be shown of a name.
const UNSHOWABLE: char = char::REPLACEMENT_CHARACTER;

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// As it stands in a path.
    pub(super) shown: String,
    /// As stored, where that differs; escaped for a person.
    pub(super) stored: Option<String>,
}

impl Name {
    /// A name of bytes, in which anything but NUL and `/` may stand (ext).
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let shown = fit(&text, |c| matches!(c, '/' | '\0'));
        let same = shown.as_bytes() == bytes;
        Self { shown, stored: (!same).then(|| bytes.escape_ascii().to_string()) }
    }

    /// A name of UTF-16 units, in which Windows allows no separator, no control
    /// and no colon (FAT, exFAT).
    pub(super) fn of_utf16(units: &[u16]) -> Self {
        Self::of_windows(&String::from_utf16_lossy(units))
    }

    /// A name of Windows in characters.
    pub(super) fn of_windows(text: &str) -> Self {
        let shown = fit(text, |c| matches!(c, '/' | '\\' | ':') || c < ' ');
        let same = shown == text && !text.contains(UNSHOWABLE);
        Self { shown, stored: (!same).then(|| text.escape_debug().to_string()) }
    }
}

/// The text with U+FFFD for each character that cannot stand in a name, and for
/// each dot of `.` and `..`, which would be no names.
fn fit(text: &str, unfit: impl Fn(char) -> bool) -> String {
    let only_dots = matches!(text, "." | "..");
    if text.is_empty() {
        return UNSHOWABLE.to_string();
    }
    text.chars().map(|c| if only_dots || unfit(c) { UNSHOWABLE } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_stand_in_a_path_is_replaced_and_kept() {
        let of = |name: Name| (name.shown, name.stored);
        assert_eq!(of(Name::of_bytes(b"a\\b\n")), ("a\\b\n".into(), None));
        assert_eq!(
            of(Name::of_bytes(b"a/\xff")),
            ("a\u{fffd}\u{fffd}".into(), Some("a/\\xff".into()))
        );
        assert_eq!(
            of(Name::of_windows("a\\:b")),
            ("a\u{fffd}\u{fffd}b".into(), Some("a\\\\:b".into()))
        );
        assert_eq!(Name::of_windows("..").shown, "\u{fffd}\u{fffd}");
        assert_eq!(Name::of_bytes(b"").shown, "\u{fffd}");
        assert_eq!(Name::of_utf16(&[0x61, 0xd800]).stored.as_deref(), Some("a\u{fffd}"));
    }
}
