//! The mark of the web: the stream `Zone.Identifier` that a browser or mail program
//! leaves at a file it saved, with the zone and often the address it came from.
//!
//! Proves where the file that bears it came from. It has no time of its own; the times
//! are those of the file. Lost when the file is unpacked by a program that does not
//! pass it on, or copied to a file system without streams.

use super::lines::{self, Encoding, decode};
use super::{ParseError, Parser, address};
use crate::model::{Input, Locator, Record, Sink};

const FORMAT: &str = "Zone.Identifier";
/// A larger stream is none; addresses may be long.
const MAX_BYTES: u64 = 1 << 20;
const HEAD: &str = "[ZoneTransfer]";
/// Keys that are kept, beside the zone.
const KEYS: [&str; 6] = [
    "ReferrerUrl",
    "HostUrl",
    "HostIpAddress",
    "LastWriterPackageFamilyName",
    "AppZoneId",
    "AppDefinedZoneId",
];

/// Reads marks of the web; one `zone_identifier` record.
pub struct ZoneIdentifier;

impl Parser for ZoneIdentifier {
    fn name(&self) -> &'static str {
        "zone_identifier"
    }

    fn is_text(&self) -> bool {
        true
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        if lines::first_mark(start) != Some(b'[') {
            return false;
        }
        let (text, encoding) = decode(start);
        encoding != Encoding::Binary && text.trim_start().starts_with(HEAD)
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let bytes = input.read_all(MAX_BYTES)?;
        let (text, encoding) = decode(&bytes);
        if encoding == Encoding::Binary || !text.contains(HEAD) {
            let found = text.chars().take(20).collect();
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        let mut record = Record::new("zone_identifier", Locator::Offset(0));
        for (key, value) in text.lines().filter_map(|line| line.trim().split_once('=')) {
            let (key, value) = (key.trim(), value.trim());
            if key.eq_ignore_ascii_case("ZoneId") {
                match value.parse::<i64>() {
                    Ok(zone) => record.push("ZoneId", zone),
                    Err(_) => record.push("ZoneId", value),
                }
            } else if let Some(known) = KEYS.iter().find(|known| known.eq_ignore_ascii_case(key)) {
                record.push(*known, value);
            }
        }
        // `about:internet` stands for an address that is not told.
        let is_told = |url: &&str| address::host(url).is_some();
        let host_url = record.text("HostUrl").filter(is_told).map(str::to_owned);
        let referrer = record.text("ReferrerUrl").filter(is_told).map(str::to_owned);
        if let Some(referrer) = &referrer {
            record.push("Referrer", referrer.as_str());
        }
        if let Some(url) = host_url.or(referrer) {
            record.push("HostName", address::host(&url).unwrap_or_default());
            record.push("Url", url);
        }
        let _ = sink.record(record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{parse, sample, torment};

    fn check(text: &[u8], expected: &str) {
        assert!(ZoneIdentifier.recognizes(text));
        assert_eq!(parse(&ZoneIdentifier, text).unwrap().shown().trim_end(), expected);
    }

    #[test]
    fn marks_of_browsers() {
        check(
            &sample("zone_identifier/download.zip_Zone.Identifier"),
            "zone_identifier offset:0x0 | ZoneId=3 | ReferrerUrl=https://ngrok.com/download \
             | HostUrl=https://bin.equinox.io/c/bNyj1mQVY4c/ngrok-v3-stable-windows-amd64.zip \
             | Referrer=https://ngrok.com/download | HostName=bin.equinox.io \
             | Url=https://bin.equinox.io/c/bNyj1mQVY4c/ngrok-v3-stable-windows-amd64.zip",
        );
        check(
            b"[ZoneTransfer]\r\nZoneId=3\r\nHostUrl=about:internet\r\n",
            "zone_identifier offset:0x0 | ZoneId=3 | HostUrl=about:internet",
        );
        check(
            b"\xef\xbb\xbf[ZoneTransfer]\nzoneid=x\nReferrerUrl=C:\\a.zip",
            "zone_identifier offset:0x0 | ZoneId=x | ReferrerUrl=C:\\a.zip",
        );
    }

    #[test]
    fn damaged_and_foreign() {
        assert!(parse(&ZoneIdentifier, b"").is_err());
        assert!(parse(&ZoneIdentifier, b"[InternetShortcut]\nURL=https://a.example").is_err());
        let good = sample("zone_identifier/download.zip_Zone.Identifier");
        assert_eq!(parse(&ZoneIdentifier, &good[..30]).unwrap().records.len(), 1);
        torment(&ZoneIdentifier, &good, 300);
    }
}
