//! What ordinary logs are full of, and what is therefore no good to look for first.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::sweep::LETTERS;

/// Bad triggers where a rule has a better one.
const TEXTS: &[&str] = &[
    "service",
    "services",
    "start",
    "run",
    "install",
    "config",
    ".exe",
    "\\chrome.exe",
    "\\msedge.exe",
    "\\firefox.exe",
    "\\iexplore.exe",
    "\\brave.exe",
    "\\opera.exe",
    "\\vivaldi.exe",
    "\\safari.exe",
    "\\msedgewebview2.exe",
    "\\powershell.exe",
    "\\cmd.exe",
    "\\windows\\",
    "\\services\\",
    "\\run\\",
    "\\currentversion\\run",
    "\\winlogon\\",
    "http",
    "https",
    "tcp",
    "http ",
    "https://",
    "http://",
    "file:",
    "version",
    "agent",
    " -r",
    "newprocessname",
    "security",
    "microsoft",
    "microsoft-windows-",
];

/// Fingerprints of these texts.
static PRINTS: LazyLock<HashSet<[u8; LETTERS]>> = LazyLock::new(|| {
    TEXTS.iter().flat_map(|text| text.as_bytes().array_windows()).copied().collect()
});

pub(super) fn is_ordinary(text: &str) -> bool {
    TEXTS.contains(&text)
}

/// How much more often letters stand side by side than each alone makes likely, roughly.
pub(super) fn excess(letters: &[u8]) -> f64 {
    let known = letters.as_array().is_some_and(|letters| PRINTS.contains(letters));
    if known { 1e-3 } else { 0.0 }
}

/// How often a byte stands in logs, roughly, as a share of all places.
pub(super) fn frequency(byte: u8) -> f64 {
    FREQUENCIES.get(usize::from(byte)).copied().unwrap_or_default()
}

static FREQUENCIES: LazyLock<Vec<f64>> = LazyLock::new(|| (0..=u8::MAX).map(estimate).collect());

fn estimate(byte: u8) -> f64 {
    match byte.to_ascii_lowercase() {
        0 => 0.3,
        b'a' | b'e' | b'i' | b'n' | b'o' | b'r' | b's' | b't' => 0.04,
        b'a'..=b'z' => 0.015,
        b'0'..=b'9' | b' ' | b'-' | b'.' | b':' | b'\\' => 0.01,
        1..=0x7e => 0.003,
        _ => 0.001,
    }
}
