//! A registry key as extractors see it, whoever read it.

use jiff::Timestamp;

use crate::model::from_filetime;

use super::{cells, utf16_until_nul};

/// The typed content of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Data {
    Text(String),
    ExpandText(String),
    MultiText(Vec<String>),
    Dword(u32),
    Qword(u64),
    /// Every other type, and content that does not fit its type.
    Binary(Vec<u8>),
}

impl Data {
    /// The content of `bytes` under a registry type (`REG_SZ` = 1, …).
    ///
    /// Text ends at its first NUL, as Windows reads it.
    pub fn decode(kind: u32, bytes: &[u8]) -> Self {
        const TYPE_MASK: u32 = 0xFFF; // the rest marks device properties
        let fixed = |n: usize| bytes.get(..n).filter(|_| bytes.len() == n);
        match kind & TYPE_MASK {
            1 | 6 => Self::Text(utf16_until_nul(bytes)),
            2 => Self::ExpandText(utf16_until_nul(bytes)),
            7 => Self::MultiText(multi_text(bytes)),
            4 => match fixed(4).and_then(|b| b.try_into().ok()) {
                Some(b) => Self::Dword(u32::from_le_bytes(b)),
                None => Self::Binary(bytes.to_vec()),
            },
            5 => match fixed(4).and_then(|b| b.try_into().ok()) {
                Some(b) => Self::Dword(u32::from_be_bytes(b)),
                None => Self::Binary(bytes.to_vec()),
            },
            11 => match fixed(8).and_then(|b| b.try_into().ok()) {
                Some(b) => Self::Qword(u64::from_le_bytes(b)),
                None => Self::Binary(bytes.to_vec()),
            },
            _ => Self::Binary(bytes.to_vec()),
        }
    }

    /// The text of `Text` and `ExpandText`, the strings of `MultiText` joined by a space.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::ExpandText(text) => Some(text.clone()),
            Self::MultiText(all) => Some(all.join(" ")),
            Self::Dword(_) | Self::Qword(_) | Self::Binary(_) => None,
        }
    }

    /// The number of a `Dword` or `Qword` that fits.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Dword(n) => Some(i64::from(*n)),
            Self::Qword(n) => i64::try_from(*n).ok(),
            _ => None,
        }
    }
}

/// The strings of a `REG_MULTI_SZ`, without empty ones.
fn multi_text(bytes: &[u8]) -> Vec<String> {
    let units: Vec<u16> = cells::utf16_units(bytes).collect();
    units
        .split(|unit| *unit == 0)
        .filter(|part| !part.is_empty())
        .map(String::from_utf16_lossy)
        .collect()
}

/// One value of a key; the default value has an empty name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedValue {
    pub name: String,
    pub data: Data,
}

/// One key with its values, in the hive's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub name: String,
    /// Below the hive's root; of a carved key as far as its parents are known.
    pub path: String,
    /// False when the parents of a carved key are lost: `path` is then a tail.
    pub rooted: bool,
    /// UTC.
    pub last_written: Option<Timestamp>,
    pub values: Vec<NamedValue>,
    /// Read from free space.
    pub recovered: bool,
}

impl Key {
    /// A key that the hive's tree holds.
    pub fn live(path: String, name: String, ticks: u64, values: Vec<NamedValue>) -> Self {
        let last_written = from_filetime(ticks);
        Self { name, path, rooted: true, last_written, values, recovered: false }
    }

    /// The first value of that name, ASCII case aside.
    pub fn data(&self, name: &str) -> Option<&Data> {
        self.values.iter().find(|v| v.name.eq_ignore_ascii_case(name)).map(|v| &v.data)
    }

    /// The text of that value.
    pub fn text(&self, name: &str) -> Option<String> {
        self.data(name)?.text().filter(|text| !text.is_empty())
    }

    /// The number of that value.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.data(name)?.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn text_ends_at_its_first_nul() {
        assert_eq!(Data::decode(1, &utf16("a b\0rest")), Data::Text("a b".into()));
        assert_eq!(Data::decode(2, &utf16("%x%")), Data::ExpandText("%x%".into()));
        assert_eq!(Data::decode(1, &[0x41]), Data::Text(String::new()));
    }

    #[test]
    fn multi_text_has_no_empty_strings() {
        let data = Data::decode(7, &utf16("one\0two\0\0"));
        assert_eq!(data, Data::MultiText(vec!["one".into(), "two".into()]));
    }

    #[test]
    fn a_number_of_the_wrong_size_stays_binary() {
        assert_eq!(Data::decode(4, &[2, 0, 0, 0]), Data::Dword(2));
        assert_eq!(Data::decode(4, &[2, 0, 0]), Data::Binary(vec![2, 0, 0]));
        assert_eq!(Data::decode(11, &[1, 0, 0, 0, 0, 0, 0, 0]).number(), Some(1));
    }
}
