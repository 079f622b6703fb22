//! The agent's version as its behaviour brackets it.
//!
//! Source of the table: the agent's public changelog, as the profile's facts
//! give it (hosts by version, options by version, configuration schema).

use std::collections::BTreeSet;

use crate::model::{Event, Record, VersionBracket};

/// One observation: what is seen, and the versions it leaves possible.
struct Clue {
    says: &'static str,
    at_least: Option<&'static str>,
    before: Option<&'static str>,
}

const HOSTS: &[(&str, Clue)] = &[
    ("lennut.com", clue("name of the 2.x fallback host looked up", Some("2.0.0"), Some("3.0.0"))),
    ("tunnel.*.ngrok.com", clue("control host of agents before 3.3.0", None, Some("3.3.0"))),
    ("ngrok-agent.com", clue("control host of agents from 3.3.0", Some("3.3.0"), None)),
    ("crl.ngrok.com", clue("revocation list host of agents before 3.10.0", None, Some("3.10.0"))),
    ("crl.ngrok-agent.com", clue("revocation list host from 3.10.0", Some("3.10.0"), None)),
    ("update.equinox.io", clue("update host of agents before 3.36.0", None, Some("3.36.0"))),
    ("update.ngrok-agent.com", clue("update host from 3.36.0", Some("3.36.0"), None)),
];

const OPTIONS: &[(&str, Clue)] = &[
    (" config add-authtoken ", clue("`config add-authtoken`", Some("3.0.0"), None)),
    (" service ", clue("`service` subcommand", Some("3.0.0"), None)),
    (" --domain", clue("`--domain`", Some("3.2.1"), None)),
    (" --url", clue("`--url`", Some("3.16.0"), None)),
    (" --traffic-policy-file", clue("`--traffic-policy-file`", Some("3.12.1"), None)),
    (" --traffic-policy-url", clue("`--traffic-policy-url`", Some("3.26.0"), None)),
    (" -config", clue("single-dash `-config`", Some("2.0.0"), Some("3.0.0"))),
    (" -region", clue("single-dash `-region`", Some("2.0.0"), Some("3.0.0"))),
];

const fn clue(
    says: &'static str,
    at_least: Option<&'static str>,
    before: Option<&'static str>,
) -> Clue {
    Clue { says, at_least, before }
}

/// The tightest bracket that all observations allow; where they contradict (two
/// versions were used) both bounds stand and `because` tells.
pub fn bracket<'a>(events: impl Iterator<Item = &'a Event>) -> VersionBracket {
    let (mut at_least, mut before, mut because) = (None, None, BTreeSet::new());
    for event in events {
        for (clue, seen) in clues(&event.record) {
            let place = format!("{}: {seen} ({} {})", clue.says, event.path, event.record.locator);
            because.insert((clue.says, place));
            at_least = newer(at_least, clue.at_least);
            before = older(before, clue.before);
        }
    }
    // One place per observation is enough.
    let mut said = BTreeSet::new();
    let because =
        because.into_iter().filter(|(says, _)| said.insert(*says)).map(|(_, place)| place);
    VersionBracket {
        because: because.collect(),
        at_least: at_least.map(str::to_owned),
        before: before.map(str::to_owned),
    }
}

fn clues(record: &Record) -> Vec<(&'static Clue, String)> {
    let mut out = Vec::new();
    if record.category == "dns_query"
        && let Some(name) = record.text("QueryName")
    {
        let lower = name.to_ascii_lowercase();
        let hosts = HOSTS.iter().filter(|(pattern, _)| host_matches(&lower, pattern));
        out.extend(hosts.map(|(_, clue)| (clue, name.to_owned())));
    }
    let named = |f: &str| record.text(f).is_some_and(|t| t.to_ascii_lowercase().contains("ngrok"));
    let line = ["CommandLine", "ImagePath", "Wrapped", "Details", "ScriptBlockText"]
        .iter()
        .find(|f| named(f))
        .and_then(|f| record.text(f));
    if let Some(line) = line {
        let lower = format!("{} ", line.to_ascii_lowercase());
        let options = OPTIONS.iter().filter(|(option, _)| lower.contains(option));
        out.extend(options.map(|(option, clue)| (clue, option.trim().to_owned())));
    }
    match (record.category, record.text("ConfigVersion")) {
        ("config", Some("3")) => out.push((&CONFIG_3, "version: 3".into())),
        ("config", Some("2")) if record.text("HasVersion").is_none_or(|t| t == "true") => {
            out.push((&CONFIG_2, "version: 2".into()));
        }
        _ => {}
    }
    out
}

static CONFIG_3: Clue = clue("configuration of schema 3", Some("3.16.0"), None);
static CONFIG_2: Clue = clue("configuration of schema 2", Some("3.0.0"), None);

/// `tunnel.*.ngrok.com` has one free label; other patterns are suffixes.
fn host_matches(host: &str, pattern: &str) -> bool {
    match pattern.split_once(".*.") {
        Some((first, rest)) => host
            .strip_prefix(first)
            .and_then(|h| h.strip_suffix(rest))
            .is_some_and(|middle| middle.len() > 2 && !middle.trim_matches('.').contains('.')),
        None => host == pattern || host.strip_suffix(pattern).is_some_and(|h| h.ends_with('.')),
    }
}

fn parts(version: &str) -> Vec<u32> {
    version.split('.').map(|p| p.parse().unwrap_or_default()).collect()
}

fn newer(a: Option<&'static str>, b: Option<&'static str>) -> Option<&'static str> {
    [a, b].into_iter().flatten().max_by_key(|v| parts(v))
}

fn older(a: Option<&'static str>, b: Option<&'static str>) -> Option<&'static str> {
    [a, b].into_iter().flatten().min_by_key(|v| parts(v))
}
