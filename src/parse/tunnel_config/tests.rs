//! Configurations of every version and encoding, and what only looks like one.

use super::*;
use crate::parse::testing::{Kept, expect, parse, sample, samples, torment};

#[test]
fn every_version_and_encoding() {
    let mut shown = String::new();
    for name in samples("ngrok_config").iter().filter(|n| !n.contains("/no-")) {
        let bytes = sample(name);
        assert!(NgrokConfig.recognizes(&bytes), "{name}");
        let kept = parse(&NgrokConfig, &bytes).unwrap();
        shown.push_str(&format!("# {name}\n{}", kept.shown()));
    }
    for secret in ["4TestFixture", "6TestFixture", "hunter2", "password1234", "0TestFixture"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    expect("ngrok_config", &shown);
}

#[test]
fn other_files_are_none() {
    let names = samples("ngrok_config");
    let decoys: Vec<&String> = names.iter().filter(|n| n.contains("/no-")).collect();
    assert!(decoys.len() > 10);
    for name in decoys {
        assert!(!NgrokConfig.recognizes(&sample(name)), "{name}");
        let foreign = parse(&NgrokConfig, &sample(name));
        assert!(matches!(foreign, Err(ParseError::Foreign { .. })), "{name}");
    }
}

#[test]
fn only_the_first_mebibyte_counts() {
    let mut bytes = sample("ngrok_config/broken.conf");
    bytes.extend(std::iter::repeat_n(b'#', 3 << 20));
    let kept: Kept = parse(&NgrokConfig, &bytes).unwrap();
    assert_eq!(kept.records.len(), 3);
}

#[test]
fn damage_never_stops_it() {
    for name in samples("ngrok_config") {
        torment(&NgrokConfig, &sample(&name), 25);
    }
}
