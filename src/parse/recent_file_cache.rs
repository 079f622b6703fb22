//! `RecentFileCache.bcf` of Windows 7 and Server 2008 R2: programs new to the machine,
//! which the next run of the compatibility task (daily) moves on to Amcache.
//!
//! ```text
//! 0 FEFFEEFF · 4 11220000 · 8 03000000 · 12 01000000 · 16 u32 · from 20: entries
//! entry  u32 characters · UTF-16LE path · u16 0
//! ```
//!
//! An entry has no time; it shows that the program was there and most likely ran.
//! Source: libyal's dtformats, "RecentFileCache.bcf format".

use crate::model::{Damage, Extent, Input, Locator, Record, Sink};

use super::bytes::{piece, u32_at};
use super::{ParseError, Parser};

/// Bytes read of one file; real ones have a few thousand.
const MAX_BYTES: u64 = 16 << 20;
/// Bytes before the first entry.
const HEADER: usize = 20;
const SIGNATURE: &[u8] = &[0xFE, 0xFF, 0xEE, 0xFF, 0x11, 0x22, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0];

/// Reads `RecentFileCache.bcf`.
pub struct RecentFileCache;

impl Parser for RecentFileCache {
    fn name(&self) -> &'static str {
        "recent_file_cache"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        start.starts_with(SIGNATURE)
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let data = input.read_all(MAX_BYTES)?;
        if !self.recognizes(&data) {
            let found = format!("{:02x?}", data.get(..4).unwrap_or(&data));
            return Err(ParseError::Foreign { format: "RecentFileCache", found });
        }
        let (mut at, mut records) = (HEADER, 0u64);
        while at < data.len() {
            let Some((path, next)) = entry(&data, at) else {
                let locator = u64::try_from(at).ok().map(Locator::Offset);
                let message = "RecentFileCache: entry reaches beyond the file".to_owned();
                sink.damaged(Damage { locator, message, lost: true });
                break;
            };
            let locator = Locator::Offset(u64::try_from(at).unwrap_or_default());
            at = next;
            records = records.saturating_add(1);
            let mut record = Record::new("amcache", locator);
            record.push("Image", path);
            let text: Vec<String> = record.fields.iter().map(|(n, v)| format!("{n}={v}")).collect();
            if input.filter.admits_text(text.join("\n").as_bytes())
                && sink.record(record).is_break()
            {
                return Ok(());
            }
        }
        sink.extent(Extent { records, ..Extent::default() });
        Ok(())
    }
}

/// The path of the entry at `at`, and where the next one begins.
fn entry(data: &[u8], at: usize) -> Option<(String, usize)> {
    let length = usize::try_from(u32_at(data, at)?).ok()?.checked_mul(2)?;
    let start = at.checked_add(4)?;
    let (pairs, _) = piece(data, start, length)?.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    Some((String::from_utf16_lossy(&units), start.checked_add(length)?.checked_add(2)?))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{parse, torment};
    use super::*;

    fn made() -> Vec<u8> {
        let mut data = [SIGNATURE, &[0; 4]].concat();
        for path in [r"c:\ngrok\ngrok.exe", r"c:\x.exe"] {
            data.extend(u32::try_from(path.len()).unwrap().to_le_bytes());
            data.extend(path.encode_utf16().flat_map(u16::to_le_bytes));
            data.extend([0, 0]);
        }
        data
    }

    #[test]
    fn paths_are_read_and_a_cut_is_told() {
        let data = made();
        let shown = parse(&RecentFileCache, &data).unwrap().shown();
        let expected = "amcache offset:0x14 | Image=c:\\ngrok\\ngrok.exe\n\
                        amcache offset:0x3e | Image=c:\\x.exe\n";
        assert_eq!(shown, expected);
        let cut = parse(&RecentFileCache, &data[..data.len() - 5]).unwrap();
        assert_eq!((cut.records.len(), cut.damage.len()), (1, 1));
        for other in [&b""[..], b"regf", &SIGNATURE[..8]] {
            assert!(matches!(parse(&RecentFileCache, other), Err(ParseError::Foreign { .. })));
        }
        torment(&RecentFileCache, &data, 300);
    }
}
