//! Names of members as paths: what leaves the archive is refused, what systems
//! write differently is made one.

/// Parts of a name; deeper ones are refused.
const MAX_PARTS: usize = 256;
/// Bytes of one part of a name.
const MAX_PART_BYTES: usize = 1024;

/// A member's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// From the archive's root down; never empty, without `.`, `..` and separators.
    Parts(Vec<String>),
    /// The archive's root itself.
    Root,
    /// Why the member is not shown.
    Refused(&'static str),
}

/// What separates the parts of names in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separators {
    Slash,
    /// Written by Windows: a backslash cannot be part of a name.
    Both,
}

impl Name {
    /// The name as parts; `a//b`, `./a` and `/a` are `a/b`, `a` and `a`.
    pub(super) fn of(text: &str, separators: Separators) -> Self {
        let is_separator = |c: char| c == '/' || c == '\\' && separators == Separators::Both;
        let mut parts = Vec::new();
        for part in text.split(is_separator) {
            match part {
                "" | "." => {}
                ".." => return Self::Refused("it holds `..` and may leave the archive"),
                _ if parts.len() >= MAX_PARTS => return Self::Refused("it is too deep"),
                _ if part.len() > MAX_PART_BYTES => return Self::Refused("it is too long"),
                _ => parts.push(part.replace('\0', "\u{fffd}")),
            }
        }
        if parts.is_empty() { Self::Root } else { Self::Parts(parts) }
    }
}

/// Whether a name starts at a root: `/a`, `\a`.
pub(super) fn is_absolute(text: &str, separators: Separators) -> bool {
    text.starts_with('/') || separators == Separators::Both && text.starts_with('\\')
}

/// The text of a stored name: UTF-8 if it is that, else code page 437.
pub(super) fn decode(bytes: &[u8]) -> String {
    const HIGH: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
                        └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let character = |byte: &u8| match byte.checked_sub(0x80) {
        None => char::from(*byte),
        Some(high) => HIGH.chars().nth(usize::from(high)).unwrap_or(char::REPLACEMENT_CHARACTER),
    };
    bytes.iter().map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, separators: Separators, expected: &str) {
        let shown = match Name::of(text, separators) {
            Name::Parts(parts) => parts.join("|"),
            Name::Root => "root".to_owned(),
            Name::Refused(_) => "refused".to_owned(),
        };
        assert_eq!(shown, expected, "{text:?}");
    }

    #[test]
    fn names_of_every_system() {
        check("a/b", Separators::Slash, "a|b");
        check("./a//b/", Separators::Slash, "a|b");
        check("/etc/passwd", Separators::Slash, "etc|passwd");
        check(r"C:\Windows\a", Separators::Both, "C:|Windows|a");
        check(r"dev-disk\x2d1", Separators::Slash, r"dev-disk\x2d1");
        check("./", Separators::Slash, "root");
        check("a\0b", Separators::Slash, "a\u{fffd}b");
    }

    #[test]
    fn names_that_leave_are_refused() {
        check("../a", Separators::Slash, "refused");
        check("a/../../b", Separators::Slash, "refused");
        check(r"a\..\b", Separators::Both, "refused");
        check(&"a/".repeat(300), Separators::Slash, "refused");
        check(&"a".repeat(2000), Separators::Slash, "refused");
    }

    #[test]
    fn old_names_are_read_as_the_old_code_page() {
        assert_eq!(decode(b"B\x81cher"), "Bücher");
        assert_eq!(decode("Bücher".as_bytes()), "Bücher");
        assert_eq!(decode(b"\xff"), "\u{a0}");
    }
}
