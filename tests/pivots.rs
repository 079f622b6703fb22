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

/// What is found of an agent under that path: rules and records of a log of processes.
fn found_of(agent: &str) -> Vec<String> {
    let place = TempDir::new().unwrap();
    let host = place.path().join("WS-01");
    fs::create_dir_all(host.join("C/ProgramData")).unwrap();
    fs::create_dir_all(host.join("C/Windows/System32/winevt/Logs")).unwrap();
    let config = "version: 2\nauthtoken: 2aBcDeFgHiJkLmNoPqRsTuVwXyZ_4TestFixtureTokenOnly1\ntunnels:\n  a:\n    proto: tcp\n    addr: 3389\n";
    fs::write(host.join("C/ProgramData/c.yml"), config).unwrap();
    let guid = |n: u32| format!("{{11111111-2222-3333-4444-{n:012}}}");
    let event = |number: u32, id: u32, data: &[(&str, &str)]| {
        let data: String = data
            .iter()
            .map(|(name, value)| format!("<Data Name='{name}'>{value}</Data>"))
            .collect();
        format!(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
             <Provider Name='Microsoft-Windows-Sysmon'/><EventID>{id}</EventID>\
             <TimeCreated SystemTime='2026-03-04T10:0{number}:00.000000000Z'/>\
             <EventRecordID>{number}</EventRecordID>\
             <Channel>Microsoft-Windows-Sysmon/Operational</Channel><Computer>WS-01</Computer>\
             </System><EventData><Data Name='UtcTime'>2026-03-04 10:0{number}:00.000</Data>\
             <Data Name='ProcessGuid'>{}</Data>{data}</EventData></Event>\n",
            guid(number)
        )
    };
    let runs = format!("{agent} start --all --config C:\\ProgramData\\c.yml");
    let old = format!("{agent} version");
    let loopback =
        [("DestinationIp", "127.0.0.1"), ("DestinationPort", "3389"), ("SourcePort", "50123")];
    let log = [
        event(1, 1, &[("Image", agent), ("CommandLine", &runs)]),
        event(2, 1, &[("Image", agent), ("CommandLine", &old)]),
        event(3, 3, &[&[("Image", agent)][..], &loopback].concat()),
        event(
            4,
            1,
            &[("Image", r"C:\Windows\System32\svchost.exe"), ("CommandLine", "svchost.exe -k a")],
        ),
        event(5, 3, &[&[("Image", r"C:\Windows\System32\svchost.exe")][..], &loopback].concat()),
        event(6, 1, &[("Image", r"C:\Windows\explorer.exe"), ("CommandLine", "explorer.exe")]),
    ];
    fs::write(
        host.join("C/ProgramData/sysmon.xml"),
        format!("<Events>\n{}</Events>\n", log.concat()),
    )
    .unwrap();
    let ran = lab::scan(&host, Duration::from_secs(300));
    let rows = ran.rows("timeline.csv").into_iter();
    let rows = rows.filter(|row| row["source_path"].ends_with("sysmon.xml"));
    rows.map(|row| format!("{} {} {}", row["locator"], row["level"], row["rule"])).collect()
}

#[test]
fn a_name_of_windows_hides_no_agent_elsewhere() {
    let plain = found_of(r"C:\ProgramData\upd.exe");
    let at = |line: &str| plain.iter().any(|row| row.starts_with(line));
    assert!(at("line:3 ") && at("line:4 "), "{plain:#?}");
    assert!(!at("line:5 ") && !at("line:6 ") && !at("line:7 "), "{plain:#?}");
    for name in ["svchost.exe", "explorer.exe", "lsass.exe", "w3wp.exe"] {
        assert_eq!(found_of(&format!("C:\\ProgramData\\{name}")), plain, "{name}");
    }
}
