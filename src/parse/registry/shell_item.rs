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
        let Some(length) = u16_at(rest, 0).map(usize::from).filter(|n| *n > 2) else { break };
        let Some(item) = rest.get(..length) else { break };
        path = joined(&path, &name(item).unwrap_or_default());
        rest = rest.get(length..).unwrap_or_default();
    }
    Some(path).filter(|path| !path.is_empty())
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
    let bytes = item.get(14..).filter(|_| kind & 0xF0 == 0x30)?;
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
