//! What is learned of a tool is looked for in every source, whatever its files are called.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod lab;

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

/// The places of a Linux host in which an agent started with that configuration was found.
fn found(config: &str) -> Vec<String> {
    let place = TempDir::new().unwrap();
    let host = place.path().join("web-01");
    let put = |below: &str, text: &str| {
        let at = host.join(below);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    };
    let runs = format!("/opt/aa start --all --config {config}");
    put("etc/hostname", "web-01\n");
    put("usr/lib/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    put("var/log/dpkg.log", "");
    put("etc/passwd", "ops:x:1000:1000::/home/ops:/bin/bash\n");
    put(
        config.trim_start_matches('/'),
        "version: 2\nauthtoken: 2aBcDeFgHiJkLmNoPqRsTuVwXyZ_4TestFixtureTokenOnly1\ntunnels:\n  ssh:\n    proto: tcp\n    addr: 22\n",
    );
    put("etc/systemd/system/kept.service", &format!("[Service]\nExecStart={runs}\n"));
    put("etc/cron.d/kept", &format!("*/5 * * * * root {runs}\n"));
    put("etc/rc.local", &format!("#!/bin/sh\n{runs} &\n"));
    put("home/ops/.bash_history", &format!("{runs}\n/opt/aa version\n"));
    let ran = lab::scan(&host, Duration::from_secs(300));
    let mut places = Vec::new();
    for file in ["timeline.csv", "notime.csv"] {
        for row in ran.rows(file) {
            assert_eq!(row["tool"], "ngrok", "{row:?}");
            places.push(format!("{} {} {}", row["source_path"], row["locator"], row["stage"]));
        }
    }
    places.sort();
    places.dedup();
    places
}

#[test]
fn a_name_with_the_tool_in_it_hides_nothing() {
    let (named, neutral) = (found("/etc/ngrok.yml"), found("/etc/c.yml"));
    let mut other: Vec<_> =
        neutral.iter().map(|at| at.replace("/etc/c.yml", "/etc/ngrok.yml")).collect();
    other.sort();
    assert_eq!(named, other);
    for place in ["/etc/systemd/system/kept.service", "/etc/cron.d/kept", "/etc/rc.local"] {
        let at = |found: &String| found.starts_with(place) && found.ends_with(" persisted");
        assert!(named.iter().any(at), "{place}: {named:#?}");
    }
    assert!(named.iter().any(|at| at.starts_with("/home/ops/.bash_history")), "{named:#?}");
}
