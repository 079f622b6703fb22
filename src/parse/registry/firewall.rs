//! Rules of the Windows firewall.
//!
//! Since Vista each is a text `v2.30|Action=Allow|Dir=In|Protocol=6|LPort=…|App=…|Name=…|`
//! under an identifier; XP has `path:scope:Enabled:name` under the path. The first time
//! a program listens, Windows asks and writes a rule for it. The key's time is the last
//! change of any rule.
//!
//! Source: Microsoft, MS-GPFAS 2.2.2 (the rule's grammar).

use std::ops::ControlFlow;

use crate::model::{Record, Value};

use super::place::{Extractor, Root, at};
use super::{Key, NamedValue, Output, record_of, target};

pub const EXTRACTOR: Extractor = Extractor {
    places: &[
        at(Root::System, r"Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"),
        at(Root::System, r"Services\SharedAccess\Parameters\FirewallPolicy\Mdm\FirewallRules"),
        at(
            Root::System,
            r"Services\SharedAccess\Parameters\FirewallPolicy\*\AuthorizedApplications\List",
        ),
        at(
            Root::System,
            r"Services\SharedAccess\Parameters\FirewallPolicy\*\GloballyOpenPorts\List",
        ),
        at(Root::Software, r"Policies\Microsoft\WindowsFirewall\FirewallRules"),
    ],
    read,
    live: None,
};

/// Names in a rule and the fields that they become.
const FIELDS: &[(&str, &str)] = &[
    ("App", "Image"),
    ("Name", "Name"),
    ("Action", "Action"),
    ("Active", "Active"),
    ("Dir", "Direction"),
    ("Protocol", "Protocol"),
    ("LPort", "LocalPort"),
    ("RPort", "RemotePort"),
    ("RA4", "RemoteAddress"),
    ("RA6", "RemoteAddress6"),
    ("Svc", "ServiceName"),
    ("Desc", "Description"),
];

fn read(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    for value in &key.values {
        let Some(rule) = value.data.text() else { continue };
        let mut record = record_of(key, "firewall_rule", Some(value.name.clone()));
        if key.name.eq_ignore_ascii_case("List") {
            add_list_entry(&mut record, value, &rule);
        } else {
            add_rule(&mut record, &rule);
        }
        if record.fields.is_empty() {
            continue;
        }
        record.push("Details", rule);
        record.push("TargetObject", target(key, Some(&value.name)));
        output.push(record)?;
    }
    ControlFlow::Continue(())
}

fn add_rule(record: &mut Record, rule: &str) {
    let parts: Vec<(&str, &str)> = rule.split('|').filter_map(|p| p.split_once('=')).collect();
    for (name, field) in FIELDS {
        let all: Vec<String> =
            parts.iter().filter(|(n, _)| n == name).map(|(_, v)| (*v).to_owned()).collect();
        match all.as_slice() {
            [] => {}
            [one] => record.push(*field, one.as_str()),
            _ => record.push(*field, Value::List(all)),
        }
    }
}

/// A program or, where the value's name begins with a number, a port (`3389:TCP`).
fn add_list_entry(record: &mut Record, value: &NamedValue, rule: &str) {
    let rest = rule.get(value.name.len()..).unwrap_or_default();
    let mut parts = rest.splitn(4, ':').skip(1);
    let (scope, state) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let port = value.name.split_once(':').filter(|(port, _)| port.parse::<u16>().is_ok());
    match port {
        Some((port, protocol)) => {
            record.push("LocalPort", port);
            record.push("Protocol", protocol);
        }
        None => record.push("Image", value.name.as_str()),
    }
    record.push("Name", parts.next().unwrap_or_default());
    record.push("Active", state);
    record.push("RemoteAddress", scope);
}
