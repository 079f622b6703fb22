//! Where the target lies: a path on a volume, or on a share.
//!
//! ```text
//! location = bytes:u32 header:u32 flags:u32 volume:u32 base:u32 share:u32 suffix:u32
//!            [base:u32 suffix:u32]                    of Unicode text if header ≥ 36
//! volume   = bytes:u32 kind:u32 serial:u32 label:u32 [label:u32 if the first is 20]
//! share    = bytes:u32 flags:u32 name:u32 device:u32 ?:u32 [name:u32 device:u32 if > 20]
//! ```

use super::super::bytes::{ansi, u32_at, utf16_text};
use crate::model::Record;

const ON_VOLUME: u32 = 1;
const ON_SHARE: u32 = 2;
const UNICODE_HEADER: u32 = 0x24;
const DRIVE_KINDS: [&str; 7] =
    ["", "no root", "removable", "fixed", "network", "optical", "memory"];

#[derive(Debug, Default)]
pub(super) struct Location {
    base: String,
    suffix: String,
    drive: String,
    serial: Option<u32>,
    label: String,
    share: String,
    device: String,
}

impl Location {
    /// What the location's bytes say; what lies outside them is left out.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut found = Self::default();
        let flags = u32_at(bytes, 8).unwrap_or_default();
        let wide = u32_at(bytes, 4).unwrap_or_default() >= UNICODE_HEADER;
        let suffix = text(bytes, (24, 32), wide);
        found.suffix = suffix.unwrap_or_default();
        if flags & ON_VOLUME != 0 {
            found.base = text(bytes, (16, 28), wide).unwrap_or_default();
            found.volume(bytes);
        }
        if flags & ON_SHARE != 0 {
            found.network(bytes);
        }
        found
    }

    fn volume(&mut self, bytes: &[u8]) {
        let Some(volume) = below(bytes, 12) else { return };
        let kind = u32_at(volume, 4).and_then(|kind| usize::try_from(kind).ok());
        self.drive = kind.and_then(|k| DRIVE_KINDS.get(k)).map_or(String::new(), |k| (*k).into());
        self.serial = u32_at(volume, 8);
        let wide = u32_at(volume, 12) == Some(20);
        self.label = text(volume, (12, 16), wide).unwrap_or_default();
    }

    fn network(&mut self, bytes: &[u8]) {
        let Some(share) = below(bytes, 20) else { return };
        let wide = u32_at(share, 8).is_some_and(|at| at > 20);
        self.share = text(share, (8, 20), wide).unwrap_or_default();
        if u32_at(share, 4).is_some_and(|flags| flags & 1 != 0) {
            self.device = text(share, (12, 24), wide).unwrap_or_default();
        }
    }

    /// The target's path, if one is said.
    pub(super) fn path(&self) -> Option<String> {
        let (base, suffix) = match (self.base.is_empty(), self.share.is_empty()) {
            (false, _) => (&self.base, &self.suffix),
            (true, false) => (&self.share, &self.suffix),
            (true, true) => return None,
        };
        let joint = if suffix.is_empty() || base.ends_with('\\') || self.share.is_empty() {
            ""
        } else {
            "\\"
        };
        Some(format!("{base}{joint}{suffix}"))
    }

    pub(super) fn describe(&self, record: &mut Record) {
        record.push("DriveType", self.drive.as_str());
        if let Some(serial) = self.serial {
            record.push("DriveSerial", format!("{serial:08X}"));
        }
        record.push("VolumeLabel", self.label.as_str());
        record.push("Share", self.share.as_str());
        record.push("ShareDevice", self.device.as_str());
    }
}

/// What lies at the offset that stands at `at`.
fn below(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let offset = usize::try_from(u32_at(bytes, at)?).ok().filter(|offset| *offset > 0)?;
    bytes.get(offset..)
}

/// The text that one of two places points to: narrow, or the other if `wide` and there.
fn text(bytes: &[u8], (narrow, unicode): (usize, usize), wide: bool) -> Option<String> {
    let of_unicode = || below(bytes, unicode).map(utf16_text).filter(|text| !text.is_empty());
    let found = if wide { of_unicode() } else { None };
    found.or_else(|| below(bytes, narrow).map(ansi))
}
