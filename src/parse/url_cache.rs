//! The cache of Windows' certificate library, `CryptnetUrlCache\MetaData`: an address
//! and when it was last fetched.
//!
//! Lists of revoked certificates end up here, and whatever `certutil -urlcache` was told
//! to fetch. Layout (little endian):
//!
//! ```text
//!  12 u32 bytes of the address   16 FILETIME last download
//!  88 FILETIME of the file as the server gave it, or 0
//! 100 u32 bytes of the ETag     112 u32 size of the content
//! 116 address, UTF-16, zero at its end; then the ETag likewise
//! ```
//! Source: public descriptions of the format by analysts.

use super::bytes::{piece, u32_at, u64_at, utf16};
use super::{ParseError, Parser, address};
use crate::model::{Input, Locator, Moment, Record, Sink};

const FORMAT: &str = "CryptnetUrlCache metadata";
/// A larger file is none.
const MAX_BYTES: u64 = 1 << 20;
const ADDRESS_AT: usize = 116;

/// Reads metadata of the cache; one `url_cache` record.
pub struct UrlCache;

impl Parser for UrlCache {
    fn name(&self) -> &'static str {
        "url_cache"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let bytes = input.read_all(MAX_BYTES)?;
        let text = |at: usize, length: Option<u32>| {
            let length = usize::try_from(length?).ok()?;
            Some(utf16(piece(&bytes, at, length)?).trim_end_matches('\0').to_owned())
        };
        let length = u32_at(&bytes, 12);
        let url = text(ADDRESS_AT, length);
        let Some(url) = url.filter(|url| address::host(url).is_some()) else {
            let found = format!("{} bytes without an address at {ADDRESS_AT}", bytes.len());
            return Err(ParseError::Foreign { format: FORMAT, found });
        };
        let mut record = Record::new("url_cache", Locator::Offset(0));
        record.push("HostName", address::host(&url).unwrap_or_default());
        record.push("Url", url);
        let etag_at = ADDRESS_AT
            .saturating_add(usize::try_from(length.unwrap_or_default()).unwrap_or(usize::MAX));
        record.push("ETag", text(etag_at, u32_at(&bytes, 100)).unwrap_or_default());
        if let Some(size) = u32_at(&bytes, 112) {
            record.push("Size", i64::from(size));
        }
        let time = |at: usize, meaning| {
            u64_at(&bytes, at).and_then(|ticks| Moment::of_filetime(ticks, meaning))
        };
        record.times.extend(time(16, "Last Downloaded"));
        record.times.extend(time(88, "Modified at the Server"));
        let _ = sink.record(record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{parse, sample, torment};

    #[test]
    fn address_and_time() {
        let kept = parse(&UrlCache, &sample("url_cache/certutil")).unwrap();
        assert_eq!(
            kept.shown(),
            "url_cache offset:0x0 | HostName=bin.equinox.io | Url=https://bin.equinox.io/c/x/ngrok.zip \
             | ETag=\"5f1\" | Size=9000000 \
             | Last Downloaded 2024-03-18T09:05:00Z exact 2024-03-18T09:05:00.0000000Z\n"
        );
    }

    #[test]
    fn damaged_and_foreign() {
        let good = sample("url_cache/certutil");
        assert!(parse(&UrlCache, &good[..130]).is_err());
        assert!(parse(&UrlCache, b"").is_err());
        assert!(parse(&UrlCache, &[0xff; 200]).is_err());
        torment(&UrlCache, &good, 300);
    }
}
