//! What a host may be called, from the names of its collection.

use std::path::Path;

/// Endings of archives, the longer first.
const ENDINGS: [&str; 6] = [".partial", ".tar.gz", ".tgz", ".tar", ".zip", ".gz"];
/// What collectors put before the host's name.
const BEFORE: [&str; 5] = ["Collection-", "uac-", "adit_", "acquire_", "CyLR_"];
/// What UAC puts after it.
const SYSTEMS: [&str; 9] = [
    "-linux",
    "-macos",
    "-esxi",
    "-freebsd",
    "-openbsd",
    "-netbsd",
    "-netscaler",
    "-solaris",
    "-aix",
];

/// The last part of a path.
pub(super) fn last_part(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().or_else(|| full.file_name());
    name.map_or_else(|| "source".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The host's part of a collection's name: `WS01` of
/// `Collection-WS01-2024-05-06T07_08_09Z.zip`; the name itself if nothing is left.
pub(super) fn host_of(name: &str) -> String {
    let mut rest = name;
    for ending in ENDINGS {
        rest = strip_suffix_any_case(rest, ending).unwrap_or(rest);
    }
    let whole = rest;
    rest = BEFORE.iter().find_map(|before| rest.strip_prefix(before)).unwrap_or(rest);
    rest = without_time(rest);
    if name.starts_with("uac-") {
        rest = SYSTEMS.iter().find_map(|system| rest.strip_suffix(system)).unwrap_or(rest);
    }
    let rest = first_label(rest);
    if rest.is_empty() { whole.to_owned() } else { rest.to_owned() }
}

/// The text without a date, and a time after it, at its end.
fn without_time(text: &str) -> &str {
    let is_time =
        |c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | ':' | 'T' | 'Z' | '.' | '+');
    for (at, _) in text.match_indices(['-', '_']) {
        let after = text.get(at.saturating_add(1)..).unwrap_or_default();
        if after.chars().all(is_time) && starts_with_date(after) {
            return text.get(..at).unwrap_or(text);
        }
    }
    text
}

/// Whether a text starts with a date: `20240506`, `2024-05-06`.
fn starts_with_date(text: &str) -> bool {
    let digits: String =
        text.chars().filter(|c| !matches!(c, '-' | '_')).take_while(char::is_ascii_digit).collect();
    let number = |at: usize, end: usize| digits.get(at..end).and_then(|d| d.parse::<u32>().ok());
    number(0, 4).is_some_and(|year| (1990..2100).contains(&year))
        && number(4, 6).is_some_and(|month| (1..=12).contains(&month))
        && number(6, 8).is_some_and(|day| (1..=31).contains(&day))
}

/// A name without its domain, unless it is an address.
pub(super) fn first_label(name: &str) -> &str {
    if name.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return name;
    }
    name.split('.').next().unwrap_or(name)
}

/// The host that UAC names at the start of its log.
pub(super) fn host_in_uac_log(log: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(log.get(..log.len().min(64 << 10))?);
    let after = text.lines().find_map(|line| line.split_once("Hostname"))?.1;
    let name = after.trim_start_matches([' ', ':', '\t']).trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn strip_suffix_any_case<'a>(text: &'a str, ending: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(ending.len())?;
    let tail = text.get(at..)?;
    if tail.eq_ignore_ascii_case(ending) { text.get(..at) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_part_of_the_name() {
        for (name, host) in [
            ("Collection-WS01-2024-05-06T07_08_09Z.zip", "WS01"),
            ("Collection-ws-01.corp.local-2024-05-06T07_08_09Z.zip", "ws-01"),
            ("uac-web1-linux-20240506070809.tar.gz", "web1"),
            ("adit_JUMP-01_20240506T070809Z.zip.partial", "JUMP-01"),
            ("WS01_20240506070809.tar", "WS01"),
            ("JUMP-01.zip", "JUMP-01"),
            ("10.0.0.1.zip", "10.0.0.1"),
            ("20240506.zip", "20240506"),
            ("WS-2019-20240506.zip", "WS-2019"),
            (".zip", ""),
        ] {
            assert_eq!(host_of(name), host, "{name}");
        }
    }

    #[test]
    fn uac_says_it_in_its_log() {
        let log = b"2024-05-23 18:07:12 -0300 INF Hostname: web1\n";
        assert_eq!(host_in_uac_log(log).as_deref(), Some("web1"));
        assert_eq!(host_in_uac_log(b"nothing"), None);
    }
}
