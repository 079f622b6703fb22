//! Samples of each tool's lines, in their own files and in other logs; damaged and
//! foreign ones.

use super::*;
use crate::parse::testing::{expect, parse, sample, samples, torment};

#[test]
fn every_tool_is_told() {
    let mut shown = String::new();
    for name in samples("sibling_log").iter().filter(|n| !n.contains("/no-")) {
        let bytes = sample(name);
        assert!(SiblingLog.recognizes(bytes.get(..4096).unwrap_or(&bytes)), "{name}");
        let kept = parse(&SiblingLog, &bytes).unwrap();
        shown.push_str(&format!("# {name}\n{}", kept.shown()));
        assert!(kept.damage.is_empty(), "{name}");
    }
    expect("sibling_log", &shown);
}

#[test]
fn other_files_are_none() {
    for name in samples("sibling_log").iter().filter(|n| n.contains("/no-")) {
        assert!(!SiblingLog.recognizes(&sample(name)), "{name}");
    }
    let kept = parse(&SiblingLog, b"one\ntwo\n").unwrap();
    assert!(kept.records.is_empty() && kept.damage.is_empty());
    assert!(parse(&SiblingLog, b"").unwrap().records.is_empty());
    assert!(matches!(parse(&SiblingLog, &[0, 1, 2, 3, 0, 0, 9]), Err(ParseError::Foreign { .. })));
}

#[test]
fn damage_never_stops_it() {
    for name in samples("sibling_log") {
        torment(&SiblingLog, &sample(&name), 30);
    }
}

fn logged(precision: Precision) -> Moment {
    let at = "2024-06-03T02:12:02Z".parse().ok();
    Moment { at, meaning: "Log Line", precision, raw: "logged".into() }
}

#[test]
fn a_line_in_another_log_has_that_logs_time_where_it_is_sure() {
    let line = "2024-06-03T04:12:02.5Z  INFO bore_cli::client: listening at bore.pub:38412";
    let raw = |precision| {
        let record = of_line(line, Locator::Line(1), &logged(precision)).unwrap();
        record.times.first().unwrap().raw.clone()
    };
    assert_eq!(raw(Precision::Second), "logged");
    assert_eq!(raw(Precision::AssumedYear), "2024-06-03T04:12:02.5Z");
    let local = "2024/06/03 04:12:06 client: Connected (Latency 12.1ms)";
    let record = of_line(local, Locator::Line(1), &logged(Precision::AssumedZone)).unwrap();
    assert_eq!(record.times.first().unwrap().raw, "logged");
}

#[test]
fn what_others_say_is_none() {
    for text in [
        "",
        "client: Connected to 192.0.2.1",
        "[proxy] start proxy success",
        "login to server success, get run id [1]",
        "Registered tunnel connection",
        "level=info msg=\"Connection established\" addr=\"192.0.2.1:443\"",
        "Switching ipn state NeedsLogin -> Stopped (WantRunning=false, nm=true)",
        "format(\"Switching ipn state %v -> %v (WantRunning=%v, nm=%v)\") (3 dropped)",
        "open https://vscode.dev/tunnel/x",
        "INFO ci: step 1: grep 'Registered tunnel connection connIndex=0' log",
        "2024-06-03T02:13:00.1Z INFO grep client: Connected (Latency 12.1ms)",
        "INFO[0003] other warning, certificate validation disabled",
        "{\"kind\":\"handler\",\"msg\":\"a <-> b\"}",
    ] {
        assert!(of_line(text, Locator::Line(1), &logged(Precision::Exact)).is_none(), "{text}");
    }
}

#[test]
fn what_a_client_of_a_service_prints_has_no_time() {
    let printed = b"Forwarding TCP connections from serveo.net:40074\n\
        8beaa541ba3dc2.lhr.life tunneled with tls termination, https://8beaa541ba3dc2.lhr.life\n\
        Your tunnel will expire in 60 minutes.\n\
        your url is: https://moody-actors-sin.loca.lt\n\
        Forwarding HTTP traffic from https://example.org\n";
    assert!(!SiblingLog.recognizes(printed));
    let kept = parse(&SiblingLog, printed).unwrap();
    let told: Vec<_> = kept
        .records
        .iter()
        .map(|r| (r.text("Tool").unwrap(), r.text("Url").unwrap_or_default(), r.times.len()))
        .collect();
    assert_eq!(
        told,
        [
            ("serveo", "serveo.net:40074", 0),
            ("localhostrun", "https://8beaa541ba3dc2.lhr.life", 0),
            ("pinggy", "", 0),
            ("localtunnel", "https://moody-actors-sin.loca.lt", 0),
        ]
    );
}

#[test]
fn a_line_needs_no_time_in_another_log() {
    for (text, tool) in [
        ("INFO[0003] Connection established          addr=\"203.0.113.5:11601\"", "ligolo"),
        ("Switching ipn state NeedsLogin -> Running (WantRunning=true, nm=true)", "tailscale"),
        ("2024-06-03T02:13:03Z INF Registered tunnel connection connIndex=0", "cloudflared"),
    ] {
        let record = of_line(text, Locator::Line(1), &logged(Precision::Exact)).unwrap();
        assert_eq!(record.text("Tool"), Some(tool), "{text}");
    }
}

#[test]
fn the_riskiest_of_several_rules_is_told() {
    let config = r#"{"ingress":[{"hostname":"w.example.org","service":"http://localhost:80"},{"hostname":"s.example.org","service":"ssh://localhost"},{"service":"http_status:404"}]}"#;
    let (url, target) = ingress(config).unwrap();
    assert_eq!(
        (url.as_deref(), target.as_deref()),
        (Some("s.example.org"), Some("ssh://localhost"))
    );
    assert_eq!(ingress(r#"{"ingress":[{"service":"http_status:404"}]}"#), None);
    assert_eq!(ingress("{\"ingress\":"), None);
}
