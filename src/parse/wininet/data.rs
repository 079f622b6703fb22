//! What stands beside an entry: a page's properties, a server's answer, a download.
//!
//! ```text
//! properties = u16 bytes before the first, …, { u16 bytes, u8 property, u8 type, value }
//! answer     = "HTTP/1.1 200 OK", headers, "~U:" user, each line ended by CR and LF
//! download   = …, referrer, type, temporary file, address, file    UTF-16, each ended by 0
//! ```
//! Source: libmsiecf's samples (properties), dissect.target's field order (download).

use crate::parse::address;
use crate::parse::bytes::{u16_at, utf16_text};

/// Properties of one page, lines of one answer, texts of one download.
const MAX_PARTS: usize = 1000;
/// Longest answer that is told, in characters.
const MAX_ANSWER: usize = 4096;
/// A property's number and its type, text in UTF-16.
const TITLE: [u8; 2] = [0x10, 0x1f];

/// The title among a page's properties.
pub(super) fn title(data: &[u8]) -> Option<String> {
    let mut at = usize::from(u16_at(data, 0)?);
    for _ in 0..MAX_PARTS {
        let size = usize::from(u16_at(data, at)?);
        let property = data.get(at..at.checked_add(size)?)?;
        if property.get(2..4)? == TITLE {
            return property.get(4..).map(utf16_text);
        }
        at = at.checked_add(size)?;
    }
    None
}

/// A server's answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// Its lines, joined by `; `, without the user's and what may be secret.
    pub(super) text: String,
    pub(super) kind: String,
    pub(super) user: String,
}

/// The answer that `data` begins with; `None` when it is none.
pub(super) fn answer(data: &[u8]) -> Option<Answer> {
    if !data.starts_with(b"HTTP/") {
        return None;
    }
    let text = String::from_utf8_lossy(data.split(|byte| *byte == 0).next()?).into_owned();
    let mut out = Answer::default();
    let mut lines = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()).take(MAX_PARTS) {
        if let Some(user) = line.strip_prefix("~U:") {
            out.user = user.to_owned();
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-type" => out.kind = value.trim().to_owned(),
            // Its value may open an account.
            "set-cookie" | "authorization" => continue,
            _ => {}
        }
        lines.push(line);
    }
    out.text = lines.join("; ").chars().take(MAX_ANSWER).collect();
    Some(out)
}

/// What a download says of itself; empty where it says nothing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Download {
    pub(super) referrer: String,
    pub(super) kind: String,
    pub(super) temporary: String,
    pub(super) url: String,
    pub(super) target: String,
}

/// The download at the end of `data`; `None` when no address stands there.
pub(super) fn download(data: &[u8]) -> Option<Download> {
    // What stands before the texts may have an odd length.
    [0, 1].into_iter().find_map(|start| {
        let (units, _) = data.get(start..)?.as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
        let texts = units.split(|unit| *unit == 0);
        let texts: Vec<String> = texts.map(String::from_utf16_lossy).collect();
        let texts = texts.get(texts.len().saturating_sub(MAX_PARTS)..)?;
        let at = texts.iter().rposition(|text| is_address(text))?;
        let target = at.checked_add(1).and_then(|at| texts.get(at));
        let text = |back: usize| at.checked_sub(back).and_then(|at| texts.get(at)).cloned();
        Some(Download {
            referrer: text(3).filter(|text| is_address(text)).unwrap_or_default(),
            kind: text(2).filter(|text| is_type(text)).unwrap_or_default(),
            temporary: text(1).filter(|text| is_path(text)).unwrap_or_default(),
            url: text(0)?,
            target: target.filter(|text| is_path(text)).cloned().unwrap_or_default(),
        })
    })
}

fn is_address(text: &str) -> bool {
    address::host(text).is_some() && !text.contains(['\u{fffd}', ' '])
}

fn is_type(text: &str) -> bool {
    text.contains('/') && text.chars().all(|c| c.is_ascii_graphic() || c == ' ')
}

fn is_path(text: &str) -> bool {
    text.starts_with("\\\\") || text.get(1..3) == Some(":\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_of_pages() {
        let mut data = b"\x10\0\x02\0\0\0\0\x10\0\0\0\0\x01\0\0\0".to_vec();
        data.extend(b"\x0c\0\x14\x03\x01\0\0\0\0\0\0\0\x0e\0\x10\x1fh\0\xe9\0y\0\0\0\0\0\0\0");
        assert_eq!(title(&data).as_deref(), Some("h\u{e9}y"));
        assert_eq!(title(&data[..30]), None);
        assert_eq!(title(b"\x10\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), None);
        assert_eq!(title(b""), None);
    }

    #[test]
    fn answers_of_servers() {
        let data = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nSet-Cookie: s=1\r\nX: y\r\n\r\n~U:jane\r\n\0\xde";
        let answer = answer(data).unwrap();
        assert_eq!(answer.text, "HTTP/1.1 200 OK; Content-Type: a/b; X: y");
        assert_eq!((answer.kind.as_str(), answer.user.as_str()), ("a/b", "jane"));
        assert_eq!(super::answer(b"\x10\0"), None);
    }

    #[test]
    fn downloads_with_and_without_a_page() {
        let blob = |texts: &[&str], odd: bool| {
            let mut data = vec![7; if odd { 33 } else { 32 }];
            data.extend([0, 0]);
            let units = texts.iter().flat_map(|text| text.encode_utf16().chain([0]));
            data.extend(units.flat_map(u16::to_le_bytes));
            data
        };
        let all =
            ["https://a.example/", "a/zip", r"C:\T\x.tmp", "https://b.example/x", r"C:\x.zip"];
        for odd in [false, true] {
            let found = download(&blob(&all, odd)).unwrap();
            assert_eq!(found.referrer, all[0]);
            assert_eq!((found.kind.as_str(), found.temporary.as_str()), (all[1], all[2]));
            assert_eq!((found.url.as_str(), found.target.as_str()), (all[3], all[4]));
            let found = download(&blob(&["", "", "", all[3], all[4]], odd)).unwrap();
            assert_eq!((found.referrer.as_str(), found.url.as_str()), ("", all[3]));
        }
        assert_eq!(download(&blob(&["", "x"], false)), None);
        assert_eq!(download(b""), None);
    }
}
