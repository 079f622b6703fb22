//! Machines that a user went on to: Remote Desktop's client, PuTTY and its kin, WinSCP.
//!
//! * `Terminal Server Client\Servers\<name>`: a machine with the name last used there;
//!   `Default`: the client's list, most recent first.
//! * `SshHostKeys`: a server whose key was accepted, `rsa2@22:host`; no time of its own.
//! * `Sessions\<name>`: a stored session, its forwarded ports included.
//!
//! Source: PuTTY's documentation, 4.27 and 8; regipy's readers of both.

use std::net::IpAddr;
use std::ops::ControlFlow;

use crate::model::{Moment, Record};

use super::place::{Extractor, Root, at};
use super::{Key, Output, record_of, value_record};

pub const RDP: Extractor = Extractor {
    places: &[
        at(Root::Software, r"Microsoft\Terminal Server Client\Servers\*"),
        at(Root::Software, r"Microsoft\Terminal Server Client\Default"),
    ],
    read: rdp,
    live: None,
};

pub const SSH: Extractor = Extractor {
    places: &[
        at(Root::Software, r"SimonTatham\PuTTY\SshHostKeys"),
        at(Root::Software, r"SimonTatham\PuTTY\Sessions\*"),
        at(Root::Software, r"9bis.com\KiTTY\SshHostKeys"),
        at(Root::Software, r"9bis.com\KiTTY\Sessions\*"),
        at(Root::Software, r"Martin Prikryl\WinSCP 2\SshHostKeys"),
        at(Root::Software, r"Martin Prikryl\WinSCP 2\Sessions\*"),
    ],
    read: ssh,
    live: None,
};

/// Adds a host by address or name.
fn add_host(record: &mut Record, host: &str) {
    let bare = host.trim_matches(['[', ']']);
    let field = if bare.parse::<IpAddr>().is_ok() { "IpAddress" } else { "HostName" };
    record.push(field, bare);
}

/// Host and port of `host:port`; an IPv6 address alone has no port.
fn host_and_port(text: &str) -> (&str, &str) {
    match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && text.parse::<IpAddr>().is_err() => {
            (host, port)
        }
        _ => (text, ""),
    }
}

fn rdp(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    if !key.name.eq_ignore_ascii_case("Default") {
        let mut record = record_of(key, "rdp_client", None);
        let (host, port) = host_and_port(&key.name);
        add_host(&mut record, host);
        record.push("Port", port);
        record.push("RemoteUser", key.text("UsernameHint").unwrap_or_default());
        output.add_user(&mut record);
        return output.push(record);
    }
    for value in key.values.iter().filter(|v| v.name.starts_with("MRU")) {
        let Some(text) = value.data.text() else { continue };
        let mut record = value_record(key, "rdp_client", &value.name);
        let (host, port) = host_and_port(&text);
        add_host(&mut record, host);
        record.push("Port", port);
        output.add_user(&mut record);
        if value.name == "MRU0" {
            record.times.extend(key.last_written.map(|at| Moment::exact(at, "Key Last Written")));
        }
        output.push(record)?;
    }
    ControlFlow::Continue(())
}

fn ssh(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    if !key.name.eq_ignore_ascii_case("SshHostKeys") {
        return session(key, output);
    }
    for value in &key.values {
        let Some((kind, place)) = value.name.split_once('@') else { continue };
        let Some((port, host)) = place.split_once(':') else { continue };
        let mut record = value_record(key, "known_host", &value.name);
        add_host(&mut record, host);
        record.push("Port", port);
        record.push("KeyType", kind);
        record.times.extend(key.last_written.map(|at| Moment::exact(at, "Key Last Written")));
        output.add_user(&mut record);
        output.push(record)?;
    }
    ControlFlow::Continue(())
}

fn session(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    let forwarded = key.text("PortForwardings").unwrap_or_default();
    let Some(host) =
        key.text("HostName").or_else(|| Some(String::new()).filter(|_| !forwarded.is_empty()))
    else {
        return ControlFlow::Continue(());
    };
    let mut record = record_of(key, "ssh_session", None);
    // PuTTY takes `user@host`.
    let (user, host) = host.split_once('@').unwrap_or(("", &host));
    add_host(&mut record, host);
    record.push("Name", key.name.replace("%20", " "));
    if let Some(port) = key.number("PortNumber") {
        record.push("Port", port);
    }
    record.push("RemoteUser", key.text("UserName").unwrap_or_else(|| user.to_owned()));
    record.push("Proxy", key.text("ProxyHost").unwrap_or_default());
    record.push("KeyFile", key.text("PublicKeyFile").unwrap_or_default());
    record.push("Details", forwarded);
    output.add_user(&mut record);
    output.push(record)
}
