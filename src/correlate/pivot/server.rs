//! The server that a tunnel leads to, by address and port: learned from commands and
//! configurations of the agent, known again in connections and in keys that were accepted.
//!
//! Addresses of this host and of private networks teach nothing: too much else goes there.

use std::net::IpAddr;

use super::Weight;
use crate::correlate::path;
use crate::model::{Record, RowStage, Value};

/// Programs of ssh, whose port stands apart from the host.
const SSH: [&str; 6] = ["ssh", "autossh", "plink", "klink", "kitty", "putty"];
/// Servers of one command that are kept.
const MAX_SERVERS: usize = 8;

/// A host, in lower case, and a port of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    pub host: String,
    pub port: u16,
}

impl Server {
    /// The server that `host:port` names, with a scheme, an account and a path or without.
    ///
    /// `None` for what has no port, and for hosts that anything may lead to.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim_matches(['"', '\'', ',', ';', '(', ')', '*']);
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        let secure = ["https", "wss", "tls"].iter().any(|end| scheme.ends_with(end));
        let usual = match scheme {
            "http" | "ws" => Some(80),
            _ => secure.then_some(443),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if place.parse::<IpAddr>().is_err() => (host, port.parse().ok()?),
            _ => (place, usual?),
        };
        Self::at(host, port)
    }

    /// The server at a host that can be nobody else's.
    fn at(host: &str, port: u16) -> Option<Self> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let is_own = match host.parse::<IpAddr>() {
            Ok(address) => is_public(address),
            Err(_) => is_name(&host),
        };
        (is_own && port != 0).then_some(Self { host, port })
    }
}

/// The servers that an agent's command leads to, in its order.
pub fn of_command(line: &str) -> Vec<Server> {
    let words = path::words(line);
    let words: Vec<&str> = words.iter().map(|word| word.trim_matches(['\'', ',', '"'])).collect();
    let values = words.iter().map(|word| match word.strip_prefix('-') {
        // `--server=host:port`
        Some(option) => option.split_once('=').map_or("", |(_, value)| value),
        None => word,
    });
    let mut servers: Vec<Server> = values.filter_map(Server::of).collect();
    servers.extend(of_ssh(&words));
    servers.truncate(MAX_SERVERS);
    servers
}

/// The server of a command with the options of ssh or PuTTY: its account or address stands
/// alone, its port behind `-p` or `-P`.
fn of_ssh(words: &[&str]) -> Option<Server> {
    let is_client = |word: &&str| {
        let name = path::base_name(word).to_ascii_lowercase();
        SSH.contains(&name.strip_suffix(".exe").unwrap_or(&name))
    };
    // Under another name PuTTY's clients are known by `-ssh`, all by what they open.
    let speaks_ssh = words.iter().any(|word| is_client(word) || *word == "-ssh")
        || words.iter().any(|word| word.starts_with('-') && word.ends_with('R'));
    if !speaks_ssh {
        return None;
    }
    let mut port = 22;
    let mut host = None;
    let mut words = words.iter().skip(1).copied();
    while let Some(word) = words.next() {
        match word {
            "-p" | "-P" => port = words.next()?.parse().ok()?,
            "-l" | "-i" | "-pw" | "-o" | "-hostkey" => {
                words.next();
            }
            _ if word.starts_with("-p") || word.starts_with("-P") => {
                port = word.get(2..).and_then(|text| text.parse().ok()).unwrap_or(port);
            }
            _ => {
                let place = word.rsplit_once('@').map(|(_, place)| place);
                let place = place.or_else(|| word.parse::<IpAddr>().is_ok().then_some(word));
                host = host.or(place);
            }
        }
    }
    Server::at(host?, port)
}

/// What a record that speaks of the server is worth.
pub(super) fn weight(record: &Record, server: &Server) -> Option<Weight> {
    let is_host = |field: &str| match record.value(field) {
        Some(Value::List(all)) => all.iter().any(|text| is(text, &server.host)),
        Some(value) => value.as_text().is_some_and(|text| is(text, &server.host)),
        None => false,
    };
    let port = |field: &str| record.number(field);
    let wanted = i64::from(server.port);
    match record.category {
        "network_connection" | "firewall_log" => {
            let out = record.text("Initiated").is_none_or(|t| t.eq_ignore_ascii_case("true"));
            let there = is_host("DestinationIp") || is_host("DestinationHostname");
            (out && there && port("DestinationPort") == Some(wanted)).then_some((
                RowStage::Connected,
                50,
                "a connection to the server of the tunnel",
            ))
        }
        "dns_query" => is_host("QueryName").then_some((
            RowStage::Connected,
            40,
            "the server of the tunnel was looked up",
        )),
        "known_host" | "ssh_session" => {
            let there = is_host("IpAddress") || is_host("HostName");
            let own = port("DestinationPort").or_else(|| port("Port")).unwrap_or(22);
            (there && own == wanted).then_some((
                RowStage::Context,
                30,
                "the server of the tunnel was reached from here",
            ))
        }
        _ => None,
    }
}

fn is(text: &str, host: &str) -> bool {
    text.trim_end_matches('.').eq_ignore_ascii_case(host)
}

/// Whether an address is one of the internet's; those for documentation count as such.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            // Carriers' own networks (RFC 6598) are private too.
            let shared = first == 100 && (64..128).contains(&second);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || shared)
        }
        IpAddr::V6(v6) => {
            let mapped = v6.to_ipv4_mapped();
            mapped.is_none_or(|v4| is_public(IpAddr::V4(v4)))
                && !(v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.is_unique_local()
                    || v6.is_unicast_link_local())
        }
    }
}

/// Whether a text is the name of a host of the internet: labels and a domain of letters.
fn is_name(text: &str) -> bool {
    const INNER: [&str; 6] = ["local", "lan", "internal", "corp", "home", "localdomain"];
    let label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let Some((_, domain)) = text.rsplit_once('.') else { return false };
    let letters = domain.len() >= 2 && domain.chars().all(|c| c.is_ascii_alphabetic());
    letters && !INNER.contains(&domain) && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    fn check(line: &str, expected: &[&str]) {
        let found = of_command(line);
        let found: Vec<_> = found.iter().map(|s| format!("{} {}", s.host, s.port)).collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn servers_of_commands() {
        check(r"C:\t\a.exe client 203.0.113.4:8080 R:socks", &["203.0.113.4 8080"]);
        check("npc -server=203.0.113.4:8024 -vkey=x", &["203.0.113.4 8024"]);
        check("a -connect '203.0.113.4:11601','-ignore-cert'", &[]);
        check("a client https://Cdn.example.net R:80:10.0.0.5:80", &["cdn.example.net 443"]);
        check("g -L=:8080 -F=relay+wss://u:p@203.0.113.5:443", &["203.0.113.5 443"]);
        check("ssh -N -R 22:localhost:22 -p 443 u@203.0.113.9", &["203.0.113.9 443"]);
        check("/usr/bin/ssh -NR 1080 u@vps.example.org", &["vps.example.org 22"]);
        check(
            r"echo y | C:\x\w.exe -ssh -P 443 -l t -pw x -R 0.0.0.0:1:127.0.0.1:3389 203.0.113.18",
            &["203.0.113.18 443"],
        );
        check("a client 10.0.0.4:8080 R:socks --url http://127.0.0.1:8080", &[]);
        check("a client localhost:80 srv.corp:80 srv:80 C:8080 x.example.org", &[]);
        check("a 203.0.113.4:99999 203.0.113.4:0 [2001:db8::1]:443", &["2001:db8::1 443"]);
        check("", &[]);
    }

    #[test]
    fn known_by_address_and_port() {
        let server = Server::of("203.0.113.9:443").unwrap();
        for (category, fields, expected) in [
            (
                "firewall_log",
                &[("DestinationIp", "203.0.113.9"), ("DestinationPort", "443")][..],
                Some(50),
            ),
            ("firewall_log", &[("DestinationIp", "203.0.113.9"), ("DestinationPort", "80")], None),
            (
                "network_connection",
                &[
                    ("DestinationIp", "203.0.113.9"),
                    ("DestinationPort", "443"),
                    ("Initiated", "false"),
                ],
                None,
            ),
            ("known_host", &[("IpAddress", "203.0.113.9"), ("DestinationPort", "443")], Some(30)),
            ("known_host", &[("IpAddress", "203.0.113.9"), ("Port", "443")], Some(30)),
            ("known_host", &[("IpAddress", "203.0.113.9")], None),
            ("dns_query", &[("QueryName", "203.0.113.9.example.org")], None),
            ("hosts_file", &[("IpAddress", "203.0.113.9")], None),
        ] {
            let mut record = Record::new(category, Locator::Line(1));
            fields.iter().for_each(|(name, value)| record.push(*name, *value));
            assert_eq!(weight(&record, &server).map(|(_, score, _)| score), expected, "{fields:?}");
        }
    }
}
