//! A shortcut's header and what follows it.
//!
//! ```text
//! link   = size:u32 (76) class:16 flags:u32 attributes:u32 created:u64 accessed:u64
//!          written:u64 bytes:u32 icon:i32 show:u32 hotkey:u16 0:10
//!          [items] [location] [name] [relative] [folder] [arguments] [icon] extra* 0:u32
//! string = characters:u16 text            UTF-16LE if the flag says so
//! ```

use std::borrow::Cow;

use super::super::bytes::{ansi, piece, u16_at, u32_at, u64_at, utf16_text};
use super::super::flags::{FILE_ATTRIBUTES, joined};
use super::extra::Extra;
use super::items::Items;
use super::location::Location;
use crate::model::{Moment, Record};

/// The class that every shortcut names.
pub(in super::super) const CLASS_ID: [u8; 16] =
    [1, 0x14, 2, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46];
/// Bytes of the header.
pub(in super::super) const HEADER_BYTES: usize = 0x4c;

const HAS_ITEMS: u32 = 1;
const HAS_LOCATION: u32 = 1 << 1;
const IS_UNICODE: u32 = 1 << 7;
/// Flags of the strings, in the order they are stored.
const STRINGS: [u32; 5] = [1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6];

/// What a shortcut says.
#[derive(Debug, Default)]
pub(in super::super) struct Link {
    attributes: u32,
    /// FILETIMEs of the target: created, modified, accessed.
    times: [u64; 3],
    size: u32,
    items: Items,
    location: Location,
    /// Name, relative path, folder, arguments, icon.
    strings: [String; 5],
    extra: Extra,
    /// Places that are broken, and how.
    pub(in super::super) faults: Vec<(usize, String)>,
}

impl Link {
    /// The shortcut at the start of `bytes`; `None` if none begins there.
    pub(in super::super) fn read(bytes: &[u8]) -> Option<Self> {
        if !super::is_link(bytes) {
            return None;
        }
        let time = |at| u64_at(bytes, at).unwrap_or_default();
        let flags = u32_at(bytes, 20).unwrap_or_default();
        let mut link = Self {
            attributes: u32_at(bytes, 24).unwrap_or_default(),
            times: [time(28), time(44), time(36)],
            size: u32_at(bytes, 52).unwrap_or_default(),
            ..Self::default()
        };
        if bytes.len() < HEADER_BYTES {
            link.faults.push((bytes.len(), "cut off in its header".to_owned()));
            return Some(link);
        }
        let end = link.read_body(bytes, flags);
        if let Some(at) = end {
            link.extra = Extra::read(bytes, at, &mut link.faults);
        }
        Some(link)
    }

    /// Reads what stands between header and extra data; where that begins, if it is there.
    fn read_body(&mut self, bytes: &[u8], flags: u32) -> Option<usize> {
        let mut at = HEADER_BYTES;
        if flags & HAS_ITEMS != 0 {
            let len = usize::from(self.found(at, "item list", u16_at(bytes, at))?);
            let start = at.checked_add(2)?;
            self.items = Items::read(bytes.get(start..).unwrap_or_default(), len);
            self.found(at, "item list", piece(bytes, start, len))?;
            at = start.checked_add(len)?;
        }
        if flags & HAS_LOCATION != 0 {
            let len = self.found(at, "location", u32_at(bytes, at))?;
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let own = bytes.get(at..at.saturating_add(len).min(bytes.len())).unwrap_or_default();
            self.location = Location::read(own);
            self.found(at, "location", piece(bytes, at, len.max(4)))?;
            at = at.checked_add(len.max(4))?;
        }
        for (n, _) in STRINGS.iter().enumerate().filter(|(_, flag)| flags & **flag != 0) {
            let count = usize::from(self.found(at, "string", u16_at(bytes, at))?);
            let start = at.checked_add(2)?;
            let len = if flags & IS_UNICODE != 0 { count.checked_mul(2)? } else { count };
            let rest = bytes.get(start..).unwrap_or_default();
            let own = rest.get(..len).unwrap_or(rest);
            let text = if flags & IS_UNICODE != 0 { utf16_text(own) } else { ansi(own) };
            if let Some(place) = self.strings.get_mut(n) {
                *place = text;
            }
            self.found(at, "string", (own.len() == len).then_some(()))?;
            at = start.checked_add(len)?;
        }
        Some(at)
    }

    /// Notes a part that is cut off.
    fn found<T>(&mut self, at: usize, part: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.faults.push((at, format!("cut off in its {part}")));
        }
        value
    }

    /// The target: as the location says, else the items, else the environment.
    pub(in super::super) fn target(&self) -> Option<Cow<'_, str>> {
        let items = self.items.path();
        // The location's narrow text lacks characters of other scripts.
        let located = self.location.path();
        match (located, &items) {
            (Some(path), Some(full)) if path.contains(['?', '\u{fffd}']) => {
                Some(Cow::Owned(full.clone()))
            }
            (Some(path), _) => Some(Cow::Owned(path)),
            (None, Some(path)) => Some(Cow::Owned(path.clone())),
            (None, None) => {
                [&self.extra.environment, &self.extra.parsing_path, &self.extra.installer]
                    .into_iter()
                    .find(|path| !path.is_empty())
                    .map(|path| Cow::Borrowed(path.as_str()))
            }
        }
    }

    /// What it starts, with its arguments.
    pub(in super::super) fn command_line(&self) -> String {
        let [_, relative, _, arguments, _] = &self.strings;
        let target = self.target();
        command_line(target.as_deref().unwrap_or(relative), arguments)
    }

    /// Adds what the shortcut says to a record.
    pub(in super::super) fn describe(&self, record: &mut Record) {
        let [name, relative, folder, arguments, icon] = &self.strings;
        let target = self.target();
        if let Some(target) = &target {
            record.push("Image", target.as_ref());
        }
        if !arguments.is_empty() {
            record.push("CommandLine", self.command_line());
        }
        record.push("Arguments", arguments.as_str());
        record.push("WorkingDirectory", folder.as_str());
        record.push("Description", name.as_str());
        record.push("RelativePath", relative.as_str());
        record.push("IconLocation", icon.as_str());
        let by_items = self.items.path().unwrap_or_default();
        if target.is_none_or(|target| !target.eq_ignore_ascii_case(&by_items)) {
            record.push("ItemPath", by_items);
            record.push("ItemNames", self.items.names());
        }
        if self.size > 0 {
            record.push("TargetSize", i64::from(self.size));
        }
        record.push("TargetAttributes", joined(self.attributes, FILE_ATTRIBUTES));
        record.push("TargetReference", self.items.reference());
        self.location.describe(record);
        self.extra.describe(record);
        record.times.extend(self.moments());
    }

    /// The target's times when the shortcut was written: the header's; where it has
    /// none, those of the last item, to two seconds.
    fn moments(&self) -> Vec<Moment> {
        const MEANINGS: [&str; 3] =
            ["Target Created (LNK)", "Target Modified (LNK)", "Target Accessed (LNK)"];
        let own: Vec<Moment> = self
            .times
            .iter()
            .zip(MEANINGS)
            .filter_map(|(ticks, meaning)| Moment::of_filetime(*ticks, meaning))
            .collect();
        match self.items.last() {
            Some(item) if own.is_empty() => item.moments(MEANINGS),
            _ => own,
        }
    }
}

/// Program and arguments as one line, the program in quotes where it has spaces.
fn command_line(program: &str, arguments: &str) -> String {
    match (program.contains(' '), arguments.is_empty()) {
        (true, true) => format!("\"{program}\""),
        (true, false) => format!("\"{program}\" {arguments}"),
        (false, true) => program.to_owned(),
        (false, false) => format!("{program} {arguments}"),
    }
}
