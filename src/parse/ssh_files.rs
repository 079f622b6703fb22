//! Files of OpenSSH: hosts that were reached, settings and keys that let ports through.
//!
//! `known_hosts` proves that a user accepted a server's key, that is, connected to it.
//! `config`, `sshd_config` and `authorized_keys` tell what is set up, not what was used.
//! Times are the file's. Source: the manual pages sshd(8), ssh_config(5), sshd_config(5).

use std::net::IpAddr;

use super::lines::{Encoding, Lines};
use super::target::host_and_port;
use super::{ParseError, Parser};
use crate::model::{Damage, Input, Locator, Record, Sink, Value};

const FORMAT: &str = "OpenSSH file";
/// Records told of one file.
const MAX_RECORDS: u64 = 100_000;
/// Names of one line that are told.
const MAX_NAMES: usize = 64;
/// Settings that matter to tunnels, in lower case.
const SETTINGS: [&str; 17] = [
    "allowagentforwarding",
    "allowstreamlocalforwarding",
    "allowtcpforwarding",
    "disableforwarding",
    "dynamicforward",
    "exitonforwardfailure",
    "gatewayports",
    "hostname",
    "localforward",
    "permitlisten",
    "permitopen",
    "permittunnel",
    "proxycommand",
    "proxyjump",
    "remoteforward",
    "serveraliveinterval",
    "tunnel",
];

/// Reads `known_hosts`; a `known_host` record for each line.
pub struct KnownHosts;

/// Reads settings and keys; an `ssh_setting` record for each line that matters.
pub struct SshSettings;

impl Parser for KnownHosts {
    fn name(&self) -> &'static str {
        "ssh_known_hosts"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        each_line(input, sink, known_host)
    }
}

impl Parser for SshSettings {
    fn name(&self) -> &'static str {
        "ssh_settings"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let keys = input.name.to_ascii_lowercase().contains("authorized_keys");
        let mut block = String::new();
        each_line(input, sink, |text, record| {
            if keys { authorized_key(text, record) } else { setting(text, &mut block, record) }
        })
    }
}

/// Tells each line of which `read` makes a record's fields and category.
fn each_line(
    input: &Input<'_>,
    sink: &mut dyn Sink,
    mut read: impl FnMut(&str, &mut Record) -> Option<()>,
) -> Result<(), ParseError> {
    let mut lines = Lines::new(input.bytes)?;
    if lines.encoding() == Encoding::Binary {
        return Err(ParseError::Foreign { format: FORMAT, found: "binary".to_owned() });
    }
    let mut told = 0u64;
    while let Some(line) = lines.next()? {
        let text = line.text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let locator = Locator::Line(line.number);
        let mut record = Record::new("ssh_setting", locator.clone());
        if read(text, &mut record).is_none() {
            continue;
        }
        told = told.saturating_add(1);
        if told > MAX_RECORDS {
            let message = format!("{FORMAT}: more than {MAX_RECORDS} lines");
            sink.damaged(Damage { locator: Some(locator), message, lost: true });
            break;
        }
        if sink.record(record).is_break() {
            break;
        }
    }
    Ok(())
}

/// `[@marker] names key-type key [comment]`; a name may be `[host]:port` or a hash.
fn known_host(text: &str, record: &mut Record) -> Option<()> {
    let mut words = text.split_whitespace().peekable();
    let marker = words.next_if(|word| word.starts_with('@')).unwrap_or_default();
    let names = words.next()?;
    let key_type = words.next().filter(|word| is_key_type(word))?;
    words.next()?;
    record.category = "known_host";
    if names.starts_with("|1|") {
        record.push("HashedName", names);
        record.push("Details", "the name is hashed and cannot be read");
    } else {
        let (mut hosts, mut addresses, mut ports) = (Vec::new(), Vec::new(), Vec::new());
        for name in names.split(',').filter(|name| !name.is_empty()).take(MAX_NAMES) {
            let (host, port) = host_and_port(name);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let kind = if host.parse::<IpAddr>().is_ok() { &mut addresses } else { &mut hosts };
            kind.push(host.to_owned());
            ports.extend(port);
        }
        push_all(record, "HostName", hosts);
        push_all(record, "IpAddress", addresses);
        if let Some(port) = ports.first() {
            record.push("DestinationPort", i64::from(*port));
        }
    }
    record.push("KeyType", key_type);
    record.push("Marker", marker);
    Some(())
}

fn push_all(record: &mut Record, name: &'static str, mut values: Vec<String>) {
    match (values.pop(), values.is_empty()) {
        (Some(only), true) => record.push(name, only),
        (Some(last), false) => {
            values.push(last);
            record.push(name, Value::List(values));
        }
        (None, _) => {}
    }
}

/// `Keyword value` or `Keyword=value`, below the `Host` or `Match` it belongs to.
fn setting(text: &str, block: &mut String, record: &mut Record) -> Option<()> {
    let (name, value) = text.split_once(|c: char| c.is_whitespace() || c == '=')?;
    let value = value.trim_matches(|c: char| c.is_whitespace() || c == '=' || c == '"');
    let lower = name.to_ascii_lowercase();
    if lower == "host" || lower == "match" {
        *block = format!("{name} {value}");
        return None;
    }
    if !SETTINGS.contains(&lower.as_str()) {
        return None;
    }
    record.push("Name", name);
    record.push("Value", value);
    record.push("Block", block.as_str());
    if lower == "hostname" {
        record.push("HostName", value);
    }
    record.push("Details", text);
    Some(())
}

/// Whether a word names a kind of key.
fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| word.starts_with(start))
}

/// `[options] key-type key [comment]`: what the key lets through, and whose it is.
fn authorized_key(text: &str, record: &mut Record) -> Option<()> {
    let mut offset = 0usize;
    let key_type = text.split(' ').find(|word| {
        let found = is_key_type(word);
        if !found {
            offset = offset.saturating_add(word.len()).saturating_add(1);
        }
        found
    })?;
    let options = text.get(..offset)?.trim();
    let after = text.get(offset.saturating_add(key_type.len())..)?.trim();
    let comment = after.split_once(' ').map_or("", |(_, comment)| comment);
    let lower = options.to_ascii_lowercase();
    let barred = (lower.contains("no-port-forwarding") || lower.contains("restrict"))
        && !lower.split(',').any(|option| option.trim() == "port-forwarding");
    record.push("Name", "authorized key");
    record.push("Value", if barred { "no port forwarding" } else { "port forwarding allowed" });
    record.push("KeyType", key_type);
    record.push("Options", options);
    record.push("Comment", comment);
    record.push("Details", format!("{options} {key_type} {comment}").trim());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Everything, Zone};
    use crate::parse::testing::{Kept, expect, parse, sample, torment};

    fn read(name: &str) -> String {
        let bytes = sample(&format!("ssh_files/{name}"));
        let zone: Option<&Zone> = None;
        let input = Input {
            bytes: &bytes,
            sidecars: Vec::new(),
            name,
            modified: None,
            filter: &Everything,
            paths: None,
            zone,
        };
        let mut kept = Kept::default();
        let parser: &dyn Parser = if name == "known_hosts" { &KnownHosts } else { &SshSettings };
        parser.parse(&input, &mut kept).unwrap();
        kept.shown()
    }

    #[test]
    fn hosts_settings_and_keys() {
        for name in ["known_hosts", "sshd_config", "config", "authorized_keys"] {
            expect(&format!("ssh_files/{name}"), &read(name));
        }
    }

    #[test]
    fn damaged_and_foreign() {
        assert!(parse(&KnownHosts, &[0, 1, 2, 3, 0, 0, 0, 9]).is_err());
        assert!(parse(&SshSettings, &[0, 1, 2, 3, 0, 0, 0, 9]).is_err());
        assert!(parse(&KnownHosts, b"a text of others\nx\n").unwrap().records.len() <= 1);
        torment(&KnownHosts, &sample("ssh_files/known_hosts"), 300);
        torment(&SshSettings, &sample("ssh_files/config"), 300);
    }
}
