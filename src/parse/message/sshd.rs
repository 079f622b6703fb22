//! What OpenSSH says of who came, who was refused and who left.
//!
//! ```text
//! Accepted publickey for jane from 127.0.0.1 port 49812 ssh2: ED25519 SHA256:…
//! Failed password for [invalid user ]root from 203.0.113.7 port 40022 ssh2
//! Invalid user test from 203.0.113.7 port 40022
//! Disconnected from [invalid |authenticating ]user jane 127.0.0.1 port 49812 [preauth]
//! Received disconnect from 127.0.0.1 port 49812:11: disconnected by user
//! pam_unix(sshd:session): session closed for user jane
//! Connection closed by [invalid |authenticating ][user jane ]127.0.0.1 port 49812 [preauth]
//! ```

use std::collections::BTreeMap;

use super::Said;
use crate::model::{Category, Locator, Record};

/// Category and fields of a message, if it is one of these.
pub(super) fn said(text: &str) -> Option<Said> {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    if let Some(rest) = text.strip_prefix("Accepted ") {
        return login(rest, "accepted");
    }
    if let Some(rest) = text.strip_prefix("Failed ") {
        return login(rest, "failed");
    }
    let refused = ["Invalid user ", "maximum authentication attempts exceeded for "];
    if let Some(rest) = refused.into_iter().find_map(|start| text.strip_prefix(start)) {
        let rest = rest.strip_prefix("invalid user ").unwrap_or(rest);
        let (user, from) = split_last(rest, " from ")?;
        return Some(finish("ssh_login", user, from, "failed", ""));
    }
    let closed = text.strip_prefix("pam_unix(sshd:session): session closed for user ");
    if let Some(user) = closed {
        return Some(finish("ssh_logout", user.trim(), "", "", ""));
    }
    const LEFT: [&str; 6] = [
        "Disconnected from ",
        "Received disconnect from ",
        "Connection closed by ",
        "Connection reset by ",
        "Disconnecting ",
        "Timeout, client not responding from ",
    ];
    let rest = LEFT.into_iter().find_map(|start| text.strip_prefix(start))?;
    // Before a login nobody has left.
    if rest.contains("[preauth]") || rest.starts_with("authenticating ") {
        return None;
    }
    let named = rest.strip_prefix("invalid ").unwrap_or(rest);
    let (user, from) = match named.strip_prefix("user ") {
        Some(named) => named.split_once(' ')?,
        None => ("", rest),
    };
    address(from)?;
    Some(finish("ssh_logout", user, from, "", ""))
}

/// Logins of one log that nobody was seen to leave, by the server's process: the word of
/// a session's end names no address.
#[derive(Default)]
pub(in crate::parse) struct Logins(BTreeMap<i64, (String, i64)>);

impl Logins {
    /// Logins that are remembered.
    const MOST: usize = 10_000;

    /// Gives an end without an address that of the login of the same process.
    pub(in crate::parse) fn follow(&mut self, record: &mut Record) {
        let from = record.text("IpAddress").map(str::to_owned).zip(record.number("IpPort"));
        match (record.category, from, record.number("ProcessId")) {
            ("ssh_login", Some(from), Some(pid))
                if record.text("Outcome") == Some("accepted") && self.0.len() < Self::MOST =>
            {
                self.0.insert(pid, from);
            }
            // Another process of the server may tell of the parting.
            ("ssh_logout", Some(from), _) => self.0.retain(|_, known| *known != from),
            ("ssh_logout", None, Some(pid)) => {
                if let Some((address, port)) = self.0.remove(&pid) {
                    record.push("IpAddress", address);
                    record.push("IpPort", port);
                }
            }
            _ => {}
        }
    }
}

fn login(rest: &str, outcome: &str) -> Option<Said> {
    let (method, rest) = rest.split_once(" for ")?;
    let rest = rest.strip_prefix("invalid user ").unwrap_or(rest);
    let (user, from) = split_last(rest, " from ")?;
    address(from)?;
    Some(finish("ssh_login", user, from, outcome, method))
}

/// A name may hold the word that ends it: the last one counts.
fn split_last<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    text.rsplit_once(word)
}

/// Address and port of `203.0.113.7 port 40022 ssh2`.
fn address(from: &str) -> Option<(&str, Option<i64>)> {
    let (address, rest) = from.split_once(" port ").unwrap_or((from, ""));
    let address = address.split(' ').next().unwrap_or(address);
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let known = address.contains(['.', ':']) || !digits.is_empty();
    known.then_some((address, digits.parse().ok()))
}

fn finish(category: Category, user: &str, from: &str, outcome: &str, method: &str) -> Said {
    let mut record = Record::new(category, Locator::Line(0));
    record.push("User", user);
    if let Some((address, port)) = address(from) {
        record.push("IpAddress", address);
        if let Some(port) = port {
            record.push("IpPort", port);
        }
    }
    record.push("Outcome", outcome);
    record.push("Method", method);
    (record.category, record.fields)
}
