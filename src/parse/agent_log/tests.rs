//! Samples of the three forms, damaged and foreign ones.

use super::*;
use crate::model::ReadAt;
use crate::parse::testing::{Words, expect, parse, parse_with, sample, samples, torment};

#[test]
fn every_form_and_encoding() {
    let mut shown = String::new();
    for name in samples("ngrok_log").iter().filter(|n| !n.contains("/no-")) {
        let bytes = sample(name);
        assert!(NgrokLog.recognizes(bytes.get(..4096).unwrap_or(&bytes)), "{name}");
        let kept = parse(&NgrokLog, &bytes).unwrap();
        shown.push_str(&format!("# {name}\n{}", kept.shown()));
        for damage in kept.damage {
            shown.push_str(&format!("{damage:?}\n"));
        }
    }
    expect("ngrok_log", &shown);
}

#[test]
fn other_logs_are_none() {
    for name in samples("ngrok_log").iter().filter(|n| n.contains("/no-")) {
        assert!(!NgrokLog.recognizes(&sample(name)), "{name}");
    }
    assert!(matches!(parse(&NgrokLog, b"one\ntwo\n"), Err(ParseError::Foreign { .. })));
    assert!(parse(&NgrokLog, b"").unwrap().records.is_empty());
}

#[test]
fn only_lines_that_matter_are_told() {
    let line = "t=2024-03-18T09:07:00Z lvl=info msg=\"read headers\" obj=csess x=";
    let text = format!("{line}a\n{line}Word\n{}", line.replace("read headers", "started tunnel"));
    let kept = parse_with(&NgrokLog, &text.into_bytes(), &Words(&["word"])).unwrap();
    let lines: Vec<String> = kept.records.iter().map(|r| r.locator.to_string()).collect();
    assert_eq!(lines, ["line:2", "line:3"]);
}

/// A log without end, made on the fly.
struct Endless(u64);

const LINE: &[u8] =
    b"t=2024-03-18T09:07:00Z lvl=info msg=\"join connections\" l=127.0.0.1:22 r=192.0.2.1:5\n";

impl ReadAt for Endless {
    fn size(&self) -> u64 {
        self.0
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.0.saturating_sub(offset)).unwrap().min(buf.len());
        for (n, byte) in buf[..left].iter_mut().enumerate() {
            *byte = LINE[usize::try_from((offset + n as u64) % LINE.len() as u64).unwrap()];
        }
        Ok(left)
    }
}

#[test]
fn a_flood_is_cut_and_said() {
    let kept = parse_with(&NgrokLog, &Endless(LINE.len() as u64 * 100_010), &Words(&[])).unwrap();
    assert_eq!(kept.records.len(), MAX_RECORDS);
    assert!(kept.damage.iter().any(|d| d.lost && d.message.starts_with("further lines")));
}

#[test]
fn damage_never_stops_it() {
    for name in samples("ngrok_log") {
        torment(&NgrokLog, &sample(&name), 30);
    }
}
