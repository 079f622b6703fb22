//! The list of shell items that leads to a target: desktop, drive, folders, file.
//!
//! ```text
//! list = item* 0:u16
//! item = bytes:u16 kind:u8 …
//! file = … kind 0x30-0x3f (0xb0-0xbf in `Recent`), ?:u8 size:u32 date:u16 time:u16 attributes:u16 name [extension]
//! extension = bytes:u16 version:u16 0xbeef0004:u32 created:2×u16 accessed:2×u16 …
//! ```

use jiff::tz::TimeZone;

use super::super::bytes::{ansi, guid, piece, u16_at, u32_at, u64_at, utf16_text};
use super::super::local_time::of_dos;
use crate::model::{FileReference, Moment, Precision};

/// Items that are read.
const MAX_ITEMS: usize = 256;
const EXTENSION: [u8; 4] = [4, 0, 0xef, 0xbe];
/// Mark of an item inside another one.
const DELEGATE: &[u8] = b"CFSF";

#[derive(Debug, Default)]
pub(super) struct Items(Vec<Item>);

/// One step of the way.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    kind: Kind,
    name: String,
    /// FAT date and time, UTC: created, modified, accessed; 0 if none.
    times: [(u16, u16); 3],
    reference: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// A place of the shell, by its GUID.
    #[default]
    Place,
    Volume,
    File,
    Network,
    Address,
}

impl Items {
    /// The items in the first `len` bytes, as far as they are there.
    pub(super) fn read(bytes: &[u8], len: usize) -> Self {
        let mut rest = bytes.get(..len).unwrap_or(bytes);
        let mut items = Vec::new();
        while let Some(size) = u16_at(rest, 0).map(usize::from).filter(|size| *size > 2) {
            if items.len() >= MAX_ITEMS {
                break;
            }
            let item = rest.get(..size).unwrap_or(rest);
            items.extend(Item::read(item));
            rest = rest.get(size..).unwrap_or_default();
        }
        Self(items)
    }

    /// The path that the items spell, if they begin with a drive or share.
    pub(super) fn path(&self) -> Option<String> {
        let start = self.0.iter().position(|i| matches!(i.kind, Kind::Volume | Kind::Network))?;
        let mut path = String::new();
        for item in self.0.get(start..).unwrap_or_default() {
            match item.kind {
                // A server, then its share, which names the server again.
                Kind::Network => path.clone_from(&item.name),
                _ if path.ends_with('\\') => path.push_str(&item.name),
                _ if path.is_empty() => path.push_str(&item.name),
                _ => {
                    path.push('\\');
                    path.push_str(&item.name);
                }
            }
        }
        (!path.is_empty()).then_some(path)
    }

    /// Every name on the way, for a target that no path leads to.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|item| item.name.as_str()).collect();
        if self.path().is_some() { String::new() } else { names.join("\\") }
    }

    pub(super) fn last(&self) -> Option<&Item> {
        self.0.last()
    }

    /// The target's place in the $MFT of its volume.
    pub(super) fn reference(&self) -> String {
        let raw = self.last().and_then(|item| item.reference).filter(|raw| *raw != 0);
        raw.map_or(String::new(), |raw| FileReference::from_raw(raw).to_string())
    }
}

impl Item {
    fn read(bytes: &[u8]) -> Option<Self> {
        let kind = *bytes.get(2)?;
        if bytes.get(6..10) == Some(DELEGATE) {
            return Some(Self::file(bytes, 10, kind));
        }
        match kind {
            0x1f | 0x2e => Some(Self {
                kind: Kind::Place,
                name: guid(bytes.get(4..)?).unwrap_or_default(),
                ..Self::default()
            }),
            0x61 => Some(Self { kind: Kind::Address, name: address(bytes), ..Self::default() }),
            0x20..=0x2f => {
                let name = ansi(bytes.get(3..)?);
                Some(Self { kind: Kind::Volume, name, ..Self::default() })
            }
            0x30..=0x3f | 0xb0..=0xbf => Some(Self::file(bytes, 0, kind)),
            0x40..=0x4f => {
                let name = ansi(bytes.get(5..)?);
                Some(Self { kind: Kind::Network, name, ..Self::default() })
            }
            _ => None,
        }
    }

    /// A file or folder whose fields begin `base` bytes later than usual.
    fn file(bytes: &[u8], base: usize, kind: u8) -> Self {
        let bytes = bytes.get(base..).unwrap_or_default();
        let short = bytes.get(14..).unwrap_or_default();
        let wide = kind & 4 != 0 && base == 0;
        let short = if wide { utf16_text(short) } else { ansi(short) };
        let date = |at: usize| {
            let part = |at| u16_at(bytes, at).unwrap_or_default();
            (part(at), part(at.saturating_add(2)))
        };
        let mut item = Self { kind: Kind::File, name: short, ..Self::default() };
        item.times = [(0, 0), date(8), (0, 0)];
        let at = memchr::memmem::find(bytes, &EXTENSION).and_then(|at| at.checked_sub(4));
        if let Some(extension) = at.and_then(|at| bytes.get(at..)) {
            item.extend(extension);
        }
        item
    }

    /// Takes what the extension adds: long name, two times, the file's reference.
    fn extend(&mut self, extension: &[u8]) {
        let part = |at| u16_at(extension, at).unwrap_or_default();
        let [created, _, accessed] = &mut self.times;
        *created = (part(8), part(10));
        *accessed = (part(12), part(14));
        let version = part(2);
        let name = match version {
            9.. => 46,
            8 => 42,
            7 => 38,
            3..=6 => 20,
            _ => return,
        };
        if version >= 7 {
            self.reference = u64_at(extension, 20);
        }
        let len = usize::from(part(0));
        let own = extension.get(..len).unwrap_or(extension);
        let long = own.get(name..).map(utf16_text).unwrap_or_default();
        if !long.is_empty() {
            self.name = long;
        }
    }

    /// The item's times under these meanings, to two seconds.
    pub(super) fn moments(&self, meanings: [&'static str; 3]) -> Vec<Moment> {
        let each = self.times.iter().zip(meanings).filter(|(time, _)| time.0 != 0);
        each.map(|((date, time), meaning)| Moment {
            at: of_dos(*date, *time).and_then(|at| TimeZone::UTC.to_timestamp(at).ok()),
            meaning,
            precision: Precision::Second,
            raw: format!("{date:04x} {time:04x}"),
        })
        .collect()
    }
}

/// The address of an item that opens one: after some data, in the text that its flag says.
fn address(bytes: &[u8]) -> String {
    let wide = bytes.get(3).is_some_and(|flags| flags & 0x80 != 0);
    let data = u16_at(bytes, 4).map(usize::from).unwrap_or_default();
    let text = bytes.get(data.saturating_add(6)..).unwrap_or_default();
    if wide { utf16_text(text) } else { ansi(text) }
}

/// The property stores at the start of `bytes`: format, id and text of each text value.
pub(super) fn properties(bytes: &[u8]) -> Vec<(String, u32, String)> {
    const TEXT: u16 = 31;
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(size) = u32_at(rest, 0).and_then(|size| usize::try_from(size).ok()) {
        let Some(store) = rest.get(..size).filter(|_| size > 24 && out.len() < MAX_ITEMS) else {
            break;
        };
        let format = store.get(8..24).and_then(guid).unwrap_or_default();
        let mut values = store.get(24..).unwrap_or_default();
        while let Some(size) = u32_at(values, 0).and_then(|size| usize::try_from(size).ok()) {
            let Some(value) = values.get(..size).filter(|_| size > 9) else { break };
            let len = u32_at(value, 13).and_then(|n| usize::try_from(n).ok()?.checked_mul(2));
            let text = len.and_then(|len| piece(value, 17, len)).map(utf16_text);
            if let (Some(TEXT), Some(id), Some(text)) = (u16_at(value, 9), u32_at(value, 4), text) {
                out.push((format.clone(), id, text));
            }
            values = values.get(size..).unwrap_or_default();
        }
        rest = rest.get(size..).unwrap_or_default();
    }
    out
}
