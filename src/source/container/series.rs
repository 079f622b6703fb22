//! Numbered files of one image: `x.E01 x.E02`, `x.Ex01 x.Ex02`, `x.001 x.002`, `x.aa x.ab`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::folder_of;

/// Files of one image; E01 to ZZZ are 14,971.
const MAX_SEGMENTS: u64 = 20_000;

/// Words that could be numbers in letters.
const NOT_PARTS: [&str; 6] = ["dd", "raw", "img", "bin", "iso", "vhd"];

/// How the files of an image are numbered by the end of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbering {
    /// `E01` to `E99`, then `EAA` to `ZZZ`; from 1. Also `s01`.
    Ewf,
    /// `Ex01` to `Ex99`, then `ExAA` to `EzZZ`; from 1.
    Ewf2,
    /// `000` or `001` on, of that many digits.
    Digits(usize),
    /// `aa`, `ab`, of that many letters; from 0.
    Letters(usize),
}

/// The place of a file in its series.
pub(super) struct Place {
    numbering: Numbering,
    /// The name without the number.
    stem: String,
    pub(super) number: u64,
    extension: String,
}

impl Place {
    /// The place of an EWF segment, if its name has one.
    pub(super) fn of_ewf(path: &Path) -> Option<Self> {
        Self::new(path, Numbering::Ewf).or_else(|| Self::new(path, Numbering::Ewf2))
    }

    /// The place of a part of a split raw image, if its name has one.
    pub(super) fn of_raw(path: &Path) -> Option<Self> {
        let extension = path.extension()?;
        if NOT_PARTS.iter().any(|name| extension.eq_ignore_ascii_case(name)) {
            return None;
        }
        let len = extension.len();
        Self::new(path, Numbering::Digits(len)).or_else(|| Self::new(path, Numbering::Letters(len)))
    }

    fn new(path: &Path, numbering: Numbering) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_owned();
        let stem = path.file_stem()?.to_str()?.to_owned();
        let number = numbering.number(&extension)?;
        Some(Self { numbering, stem, number, extension })
    }

    /// The numbers that the first file of such a series may bear.
    pub(super) fn first_numbers(&self) -> &'static [u64] {
        match self.numbering {
            Numbering::Ewf | Numbering::Ewf2 => &[1],
            Numbering::Digits(_) => &[0, 1],
            Numbering::Letters(_) => &[0],
        }
    }

    /// The files of the same series in the folder, by number; of two that differ
    /// in letter case alone, the one written like the given file.
    pub(super) fn files(&self, path: &Path) -> BTreeMap<u64, PathBuf> {
        let mut found: BTreeMap<u64, PathBuf> = BTreeMap::new();
        found.insert(self.number, path.to_owned());
        let Ok(entries) = std::fs::read_dir(folder_of(path)) else { return found };
        let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        names.sort();
        for other in names {
            let Some(place) = Self::new(&other, self.numbering) else { continue };
            let same = place.stem.eq_ignore_ascii_case(&self.stem)
                && place.number <= MAX_SEGMENTS
                && other.is_file();
            if same && (place.stem == self.stem || !found.contains_key(&place.number)) {
                let kept = found.entry(place.number).or_insert_with(|| other.clone());
                if place.number != self.number {
                    *kept = other;
                }
            }
        }
        found
    }

    /// The name that the file of that number bears.
    pub(super) fn path(&self, path: &Path, number: u64) -> PathBuf {
        folder_of(path).join(format!("{}.{}", self.stem, self.extension_of(number)))
    }

    fn extension_of(&self, number: u64) -> String {
        let mut letters = self.extension.chars();
        let name = self.numbering.name(number, letters.next().unwrap_or('E'));
        // The second letter of `Ex01` is small in itself.
        let is_small = |c: char| c.is_ascii_lowercase();
        if self.numbering == Numbering::Ewf2 && self.extension.starts_with('E') {
            return if letters.next().is_some_and(is_small) { name } else { name.to_uppercase() };
        }
        if self.extension.chars().any(is_small) { name.to_ascii_lowercase() } else { name }
    }
}

impl Numbering {
    fn number(self, extension: &str) -> Option<u64> {
        let bytes = extension.as_bytes();
        let digits = |bytes: &[u8]| {
            let all = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
            all.then(|| std::str::from_utf8(bytes).ok()?.parse::<u64>().ok()).flatten()
        };
        match self {
            Self::Digits(len) => {
                (bytes.len() == len && (2..=6).contains(&len)).then(|| digits(bytes)).flatten()
            }
            Self::Letters(len) => {
                let fits = bytes.len() == len && (2..=4).contains(&len);
                fits.then(|| letters(bytes)).flatten()
            }
            Self::Ewf => {
                let [first, rest @ ..] = bytes else { return None };
                if rest.len() != 2 {
                    return None;
                }
                // E for disks, S for SMART's; both may run on to Z.
                let first = first.to_ascii_uppercase();
                if let Some(number) = digits(rest) {
                    return (matches!(first, b'E' | b'S') && number > 0).then_some(number);
                }
                let block =
                    u64::from(first.checked_sub(b'E').filter(|_| first.is_ascii_uppercase())?);
                letters(rest)?.checked_add(block.checked_mul(676)?)?.checked_add(100)
            }
            Self::Ewf2 => {
                let [first, second, rest @ ..] = bytes else { return None };
                if rest.len() != 2 || !first.eq_ignore_ascii_case(&b'E') {
                    return None;
                }
                let second = second.to_ascii_lowercase();
                if let Some(number) = digits(rest) {
                    return (second == b'x' && number > 0).then_some(number);
                }
                let block = u64::from(second.checked_sub(b'x').filter(|block| *block < 3)?);
                letters(rest)?.checked_add(block.checked_mul(676)?)?.checked_add(100)
            }
        }
    }

    fn name(self, number: u64, first: char) -> String {
        match self {
            Self::Digits(len) => format!("{number:0len$}"),
            Self::Letters(len) => in_letters(number, len),
            Self::Ewf if number < 100 => format!("{}{number:02}", first.to_ascii_uppercase()),
            Self::Ewf => {
                let after = number.saturating_sub(100);
                let first = u8::try_from(after / 676).unwrap_or(u8::MAX).saturating_add(b'E');
                format!("{}{}", char::from(first.min(b'Z')), in_letters(after % 676, 2))
            }
            Self::Ewf2 if number < 100 => format!("Ex{number:02}"),
            Self::Ewf2 => {
                let after = number.saturating_sub(100);
                let second = u8::try_from(after / 676).unwrap_or(u8::MAX).saturating_add(b'x');
                format!("E{}{}", char::from(second.min(b'z')), in_letters(after % 676, 2))
            }
        }
    }
}

/// The number of a word in base 26, `a` being zero.
fn letters(word: &[u8]) -> Option<u64> {
    word.iter().try_fold(0u64, |number, byte| {
        let digit = byte.to_ascii_lowercase().checked_sub(b'a').filter(|digit| *digit < 26)?;
        number.checked_mul(26)?.checked_add(u64::from(digit))
    })
}

fn in_letters(mut number: u64, len: usize) -> String {
    let mut word = vec![b'A'; len];
    for letter in word.iter_mut().rev() {
        *letter = b'A'.saturating_add(u8::try_from(number % 26).unwrap_or_default());
        number /= 26;
    }
    String::from_utf8(word).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_numbered_as_the_tools_do() {
        for (name, number) in
            [("E01", 1), ("E99", 99), ("EAA", 100), ("EZZ", 775), ("FAA", 776), ("ZZZ", 14_971)]
        {
            assert_eq!(Numbering::Ewf.number(name), Some(number), "{name}");
            assert_eq!(Numbering::Ewf.name(number, 'E'), name);
        }
        assert_eq!(Numbering::Ewf.number("E00"), None);
        for (name, number) in
            [("Ex01", 1), ("Ex99", 99), ("ExAA", 100), ("ExZZ", 775), ("EyAA", 776), ("EzZZ", 2127)]
        {
            assert_eq!(Numbering::Ewf2.number(name), Some(number), "{name}");
            assert_eq!(Numbering::Ewf2.name(number, 'E'), name);
        }
        assert_eq!(Numbering::Ewf2.number("Ew01"), None);
        for (first, then) in [("a.Ex01", "a.ExAA"), ("a.ex01", "a.exaa"), ("a.EX01", "a.EXAA")] {
            let first = Path::new(first);
            let place = Place::of_ewf(first).unwrap();
            assert_eq!(place.path(first, 100), Path::new(".").join(then));
        }
        assert_eq!(Numbering::Digits(3).number("010"), Some(10));
        assert_eq!(Numbering::Digits(3).name(10, '0'), "010");
        assert_eq!(Numbering::Letters(2).number("ba"), Some(26));
        assert_eq!(Numbering::Letters(2).name(26, 'a'), "BA");
    }
}
