//! Where each version of a prefetch file keeps what.
//!
//! ```text
//! information at 84 = metrics:u32 count:u32 chains:u32 count:u32 names:u32 bytes:u32
//!                     volumes:u32 count:u32 bytes:u32 …
//!           17: last run at 120, run count at 144
//!           23: last run at 128, run count at 152
//!       26, 30: eight runs from 128, run count at 208
//!   30, 31 (2): eight runs from 128, run count at 200, program's path: u32 offset at
//!               212 and u32 bytes at 216; told by metrics that begin at 296
//! names  = UTF-16LE, each with a zero behind it
//! volume = path:u32 characters:u32 created:u64 serial:u32 …   offsets from the first
//! ```

use super::super::ParseError;
use super::super::bytes::{piece, u32_at, u64_at, utf16_text};
use super::super::offer::lost;
use super::FORMAT;
use crate::model::{Damage, from_filetime, to_iso};

/// Files that are listed.
const MAX_FILES: usize = 16 << 10;
/// Volumes that are listed.
const MAX_VOLUMES: u32 = 64;
/// Volume numbers tried for a hash.
const MAX_VOLUME_NUMBER: u32 = 32;
/// Where metrics begin in the newer layout of versions 30 and 31.
const NEWER_METRICS: u32 = 296;

/// The places of one file.
pub(super) struct Layout {
    pub(super) version: u32,
    runs: usize,
    run_slots: usize,
    /// Offset of the run count.
    pub(super) run_count: usize,
    volume_bytes: usize,
    /// Offset of the place and size of the program's path.
    program: Option<usize>,
}

impl Layout {
    /// The layout that the header tells.
    ///
    /// # Errors
    ///
    /// `Foreign` without the signature or with an unknown version.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, ParseError> {
        let version = u32_at(bytes, 0).unwrap_or_default();
        let foreign = |found| Err(ParseError::Foreign { format: FORMAT, found });
        if bytes.get(4..8) != Some(b"SCCA") {
            return foreign(format!("{:02x?} where SCCA is expected", bytes.get(4..8)));
        }
        let newer = u32_at(bytes, 84) == Some(NEWER_METRICS);
        let (runs, run_slots, run_count, volume_bytes) = match version {
            17 => (120, 1, 144, 40),
            23 => (128, 1, 152, 104),
            26 => (128, 8, 208, 104),
            30 | 31 => (128, 8, if newer { 200 } else { 208 }, 96),
            other => return foreign(format!("version {other}")),
        };
        let program = (version >= 30 && newer).then_some(212);
        Ok(Self { version, runs, run_slots, run_count, volume_bytes, program })
    }

    /// FILETIMEs of the last runs, newest first; 0 for a slot never used.
    pub(super) fn run_times(&self, bytes: &[u8]) -> Vec<u64> {
        let at = |slot: usize| u64_at(bytes, slot.saturating_mul(8).saturating_add(self.runs));
        (0..self.run_slots).filter_map(at).collect()
    }

    pub(super) fn run_count(&self, bytes: &[u8]) -> Option<u32> {
        u32_at(bytes, self.run_count)
    }

    /// The path of the program, as the kernel names it.
    pub(super) fn program(&self, bytes: &[u8]) -> Option<String> {
        let at = self.program?;
        let text = piece(bytes, number(bytes, at)?, number(bytes, at.checked_add(4)?)?)?;
        Some(utf16_text(text)).filter(|path| path.starts_with('\\'))
    }

    /// Every file touched, in the order kept.
    pub(super) fn files(&self, bytes: &[u8], faults: &mut Vec<Damage>) -> Vec<String> {
        let (at, len) = (number(bytes, 100), number(bytes, 104));
        let (at, len) = (at.unwrap_or_default(), len.unwrap_or_default());
        let names = piece(bytes, at, len).unwrap_or_else(|| {
            let what = format!("{FORMAT}: {len} bytes of names at {at:#x} end outside the file");
            faults.push(lost(at, what));
            bytes.get(at..).unwrap_or_default()
        });
        let (pairs, _) = names.as_chunks::<2>();
        let names = pairs.split(|unit| *unit == [0, 0]).filter(|name| !name.is_empty());
        let mut files: Vec<String> =
            names.take(MAX_FILES.saturating_add(1)).map(|n| utf16_text(n.as_flattened())).collect();
        if files.len() > MAX_FILES {
            faults.push(lost(at, format!("{FORMAT}: more than {MAX_FILES} names")));
            files.truncate(MAX_FILES);
        }
        files
    }

    /// The volumes that those files lie on.
    pub(super) fn volumes(&self, bytes: &[u8], faults: &mut Vec<Damage>) -> Vec<Volume> {
        let base = number(bytes, 108).unwrap_or_default();
        let count = u32_at(bytes, 112).unwrap_or_default();
        let mut volumes = Vec::new();
        for n in 0..count.min(MAX_VOLUMES) {
            let at = base.saturating_add(self.volume_bytes.saturating_mul(n as usize));
            match Volume::at(bytes, base, at) {
                Some(volume) => volumes.push(volume),
                None => {
                    let what = format!("{FORMAT}: volume {n} of {count} ends outside the file");
                    faults.push(lost(at, what));
                    break;
                }
            }
        }
        volumes
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32_at(bytes, at)?).ok()
}

/// A volume that files were read from.
pub(super) struct Volume {
    path: String,
    serial: u32,
    created: u64,
}

impl Volume {
    fn at(bytes: &[u8], base: usize, at: usize) -> Option<Self> {
        let path = base.checked_add(number(bytes, at)?)?;
        let len = number(bytes, at.checked_add(4)?)?.checked_mul(2)?;
        Some(Self {
            path: utf16_text(piece(bytes, path, len)?),
            created: u64_at(bytes, at.checked_add(8)?)?,
            serial: u32_at(bytes, at.checked_add(16)?)?,
        })
    }

    /// Device path, serial number and creation (UTC) as one text.
    pub(super) fn shown(&self) -> String {
        let created = from_filetime(self.created).map_or_else(|| "-".to_owned(), to_iso);
        format!("{} serial {:08X} created {created}", self.path, self.serial)
    }
}

/// The hashes that a program of that path can have: of both ways of reckoning, on
/// any of the first volumes if the path names its volume otherwise.
pub(super) fn hashes(path: &str) -> impl Iterator<Item = u32> {
    let below = path.strip_prefix(r"\VOLUME{").and_then(|rest| rest.split_once('}'));
    let paths: Vec<String> = match below {
        None => vec![path.to_uppercase()],
        Some((_, below)) => (1..=MAX_VOLUME_NUMBER)
            .map(|n| format!(r"\DEVICE\HARDDISKVOLUME{n}{below}").to_uppercase())
            .collect(),
    };
    paths.into_iter().flat_map(|path| [xp_hash(&path), vista_hash(&path)])
}

fn fold(path: &str, start: u32) -> u32 {
    let bytes = path.encode_utf16().flat_map(u16::to_le_bytes);
    bytes.fold(start, |hash, byte| hash.wrapping_mul(37).wrapping_add(u32::from(byte)))
}

fn vista_hash(path: &str) -> u32 {
    fold(path, 314_159)
}

fn xp_hash(path: &str) -> u32 {
    let hash = fold(path, 0).wrapping_mul(314_159_269);
    let hash = if hash > 0x8000_0000 { hash.wrapping_neg() } else { hash };
    hash % 1_000_000_007
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_real_files() {
        let notepad = r"\DEVICE\HARDDISKVOLUME2\WINDOWS\SYSTEM32\NOTEPAD.EXE";
        assert!(hashes(notepad).any(|hash| hash == 0xd841_4f97));
        let cmd = r"\DEVICE\HARDDISKVOLUME1\WINDOWS\SYSTEM32\CMD.EXE";
        assert!(hashes(cmd).any(|hash| hash == 0x087b_4001));
    }
}
