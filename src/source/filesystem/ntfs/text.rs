//! Names and link targets: UTF-16 as stored, to text as shown.

/// Stands for what cannot be shown of a name.
const UNSHOWABLE: char = char::REPLACEMENT_CHARACTER;

/// Whether a shown text is the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    AsStored,
    /// Something could not be shown.
    Altered,
}

/// Appends a file's or stream's name to the arena.
///
/// `\`, `:`, NUL and unpaired surrogates become U+FFFD: the first two join the
/// parts of a path, and so would a name that is only `.` or `..`, or empty.
pub(super) fn push_name(arena: &mut Vec<u8>, utf16: &[u8]) -> Shown {
    let start = arena.len();
    arena.reserve(utf16.len() / 2);
    for pair in utf16.chunks_exact(2) {
        match *pair {
            [low, 0] if low < 0x80 && !matches!(low, b'\\' | b':' | 0) => arena.push(low),
            _ => {
                arena.truncate(start);
                return push_any(arena, utf16);
            }
        }
    }
    match arena.get(start..) {
        Some(b"" | b"." | b"..") => {
            arena.truncate(start);
            push_char(arena, UNSHOWABLE);
            Shown::Altered
        }
        _ => Shown::AsStored,
    }
}

fn push_any(arena: &mut Vec<u8>, utf16: &[u8]) -> Shown {
    let mut shown = Shown::AsStored;
    for unit in char::decode_utf16(units(utf16)) {
        match unit {
            Ok(c) if !matches!(c, '\\' | ':' | '\0') => push_char(arena, c),
            _ => {
                push_char(arena, UNSHOWABLE);
                shown = Shown::Altered;
            }
        }
    }
    shown
}

fn push_char(arena: &mut Vec<u8>, c: char) {
    arena.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The text of UTF-16LE bytes, with U+FFFD for what is none.
pub(super) fn text(utf16: &[u8]) -> String {
    char::decode_utf16(units(utf16)).map(|unit| unit.unwrap_or(UNSHOWABLE)).collect()
}

fn units(utf16: &[u8]) -> impl Iterator<Item = u16> + '_ {
    utf16.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_le_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(units: &[u16], expected: &str, shown: Shown) {
        let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let mut arena = b"before".to_vec();
        assert_eq!(push_name(&mut arena, &bytes), shown);
        assert_eq!(String::from_utf8(arena).unwrap(), format!("before{expected}"));
    }

    fn check_text(text: &str, expected: &str, shown: Shown) {
        check(&text.encode_utf16().collect::<Vec<_>>(), expected, shown);
    }

    #[test]
    fn names_are_shown_so_that_they_stay_one_part_of_a_path() {
        check_text("ngrok.exe", "ngrok.exe", Shown::AsStored);
        check_text("Überweg 😀", "Überweg 😀", Shown::AsStored);
        for name in ["a\\b", "a:b", "a\0b"] {
            check_text(name, "a\u{fffd}b", Shown::Altered);
        }
        for name in ["", ".", ".."] {
            check_text(name, "\u{fffd}", Shown::Altered);
        }
        check(&[0x61, 0xd800, 0x62], "a\u{fffd}b", Shown::Altered);
    }
}
