//! Paths written as lists of shell items, as far as their names tell.
//!
//! ```text
//! list   (u16 size · item)* · u16 0
//! item   2 kind, by its high nibble:
//!        1 root: 4 GUID · 2 volume: 3 "C:\", or (2E) 4 GUID · 4 network: 5 name
//!        3 file: 4 size · 8 modified · 12 attributes · 14 short name; the last u16
//!          says where its extension begins
//! extension  0 size · 2 version · 4 BEEF0004 · 8, 12 times · 18 [7 on: 18 bytes] ·
//!            u16 · [9 on: 4] · [8 on: 4] · long name
//! ```
//!
//! Source: libyal's libfwsi, "Windows Shell Item format".

use crate::parse::bytes::{piece, u16_at, u32_at};
use crate::parse::known_folder;

use super::cells::size;
use super::task_cache::clsid;
use super::{utf16, utf16_until_nul};

/// Items read of one list.
const MAX_ITEMS: usize = 128;
/// The computer itself, which names nothing.
const COMPUTER: &str = "20D04FE0-3AEA-1069-A2D8-08002B30309D";

/// The path of a list; `None` when nothing in it has a name.
pub fn path(list: &[u8]) -> Option<String> {
    let mut path = String::new();
    let mut rest = list;
    for _ in 0..MAX_ITEMS {
        let Some(item) = first(rest) else { break };
        let name = name(item).unwrap_or_default();
        // A property may hold a path of its own.
        path = if name.get(1..3) == Some(r":\") { name } else { joined(&path, &name) };
        rest = rest.get(item.len()..).unwrap_or_default();
    }
    Some(path).filter(|path| !path.is_empty())
}

/// The first item of a list, its size included.
pub fn first(list: &[u8]) -> Option<&[u8]> {
    let length = u16_at(list, 0).map(usize::from).filter(|n| *n > 2)?;
    list.get(..length)
}

/// `name` below `above`.
pub fn joined(above: &str, name: &str) -> String {
    match (above.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => above.to_owned(),
        _ if above.ends_with('\\') => format!("{above}{name}"),
        _ => format!("{above}\\{name}"),
    }
}

/// The name of one item, its size included; empty for the computer.
pub fn name(item: &[u8]) -> Option<String> {
    let kind = *item.get(2)?;
    match kind {
        0x1F | 0x2E => Some(folder(&clsid(item.get(4..20)?)?)),
        0x20..=0x2F => Some(ansi(item.get(3..)?)),
        0x40..=0x4F => Some(ansi(item.get(5..)?)),
        0 => property(item),
        _ => long_name(item).or_else(|| short_name(kind, item)).filter(|name| !name.is_empty()),
    }
}

fn folder(guid: &str) -> String {
    let bare = guid.trim_matches(['{', '}']);
    if bare == COMPUTER {
        return String::new();
    }
    known_folder::folder(bare).map_or_else(|| guid.to_owned(), ToOwned::to_owned)
}

/// The short name of a file, in Unicode if marked so.
fn short_name(kind: u8, item: &[u8]) -> Option<String> {
    const UNICODE: u8 = 4;
    let bytes = item.get(14..).filter(|_| kind & 0x70 == 0x30)?;
    Some(if kind & UNICODE == 0 { ansi(bytes) } else { utf16_until_nul(bytes) })
}

fn long_name(item: &[u8]) -> Option<String> {
    const SIGNATURE: u32 = 0xBEEF_0004;
    let end = item.len().checked_sub(2)?;
    let at = usize::from(u16_at(item, end)?);
    let extension = item.get(at..end)?;
    if u32_at(extension, 4)? != SIGNATURE {
        return None;
    }
    let version = u16_at(extension, 2)?;
    let mut name = if version >= 7 { 36 } else { 18usize };
    if version < 3 {
        return None;
    }
    for (since, bytes) in [(3, 2), (9, 4), (8, 4)] {
        if version >= since {
            name = name.checked_add(bytes)?;
        }
    }
    let length = extension.len().checked_sub(name)? & !1;
    Some(utf16(piece(extension, name, length)?).split('\0').next()?.to_owned())
}

/// Path or name among an item's properties.
///
/// Each storage begins with its size and `1SPS`, then the GUID of its properties;
/// each of those: 0 size · 4 id · 9 type · 13 value.
fn property(item: &[u8]) -> Option<String> {
    const PATH: (&str, u32) = ("{28636AA6-953D-11D2-B5D6-00C04FD918D0}", 30);
    const NAME: (&str, u32) = ("{B725F130-47EF-101A-A5F1-02608C9EEBAC}", 10);
    let mut name = None;
    let storages = item.windows(4).enumerate().filter(|(_, mark)| *mark == b"1SPS");
    for (mark, _) in storages.take(MAX_ITEMS) {
        let mut rest = item.get(mark.checked_add(4)?..)?;
        let guid = clsid(rest)?;
        rest = rest.get(16..)?;
        while let Some(length) = u32_at(rest, 0).map(size).filter(|n| *n > 13) {
            let Some(value) = rest.get(..length) else { break };
            let id = u32_at(value, 4)?;
            if (guid.as_str(), id) == PATH
                && let Some(path) = wide_property(value)
            {
                return Some(path);
            }
            if (guid.as_str(), id) == NAME {
                name = name.or_else(|| wide_property(value));
            }
            rest = rest.get(length..)?;
        }
    }
    name
}

/// The text of a property of type `VT_LPWSTR`: 13 characters · 17 text.
fn wide_property(value: &[u8]) -> Option<String> {
    const WIDE_TEXT: u16 = 0x1F;
    (u16_at(value, 9)? == WIDE_TEXT).then(|| utf16_until_nul(value.get(17..).unwrap_or_default()))
}

/// Bytes up to the first zero, as Latin-1.
fn ansi(bytes: &[u8]) -> String {
    bytes.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_path() {
        let computer = [
            &[0x14, 0, 0x1F, 0x50][..],
            &[
                0xE0, 0x4F, 0xD0, 0x20, 0xEA, 0x3A, 0x69, 0x10, 0xA2, 0xD8, 8, 0, 0x2B, 0x30, 0x30,
                0x9D,
            ],
        ]
        .concat();
        let drive = [&[0x19, 0, 0x2F][..], b"C:\\", &[0; 19]].concat();
        let file = [&[0x14, 0, 0x32, 0][..], &[0; 10], b"x.exe\0"].concat();
        let list = [&computer[..], &drive, &file, &[0, 0]].concat();
        assert_eq!(path(&list).as_deref(), Some(r"C:\x.exe"));
        for end in 0..list.len() {
            let _ = path(&list[..end]);
        }
        assert_eq!(path(&[]), None);
    }
}
