//! Settings that open, hide or redirect: environment, proxies, Remote Desktop, Prefetch,
//! logon entries switched off, networks once joined.
//!
//! The key's time is the last change of any value in it.

use std::ops::ControlFlow;

use jiff::civil;

use crate::model::{Moment, Precision, Record};
use crate::parse::bytes::{piece, u16_at, u32_at, u64_at};

use super::cells::size;
use super::place::{Extractor, Root, at};
use super::{Data, Key, Output, record_of, target, value_record};

/// Variables of a user or of the machine, such as an agent's token.
pub const ENVIRONMENT: Extractor = Extractor {
    places: &[
        at(Root::Hive, "Environment"),
        at(Root::System, r"Control\Session Manager\Environment"),
    ],
    read: |key, output| {
        for value in &key.values {
            let Some(text) = value.data.text() else { continue };
            let mut record = record_of(key, "environment", Some(value.name.clone()));
            record.push("ValueName", value.name.as_str());
            record.push("Details", text.as_str());
            record.push("Environment", format!("{}={text}", value.name));
            record.push("TargetObject", target(key, Some(&value.name)));
            output.add_user(&mut record);
            output.push(record)?;
        }
        ControlFlow::Continue(())
    },
    live: None,
};

/// Single settings of the system that matter by their value.
pub const SYSTEM: Extractor = Extractor {
    places: &[
        at(Root::System, r"Control\Terminal Server"),
        at(Root::System, r"Control\Terminal Server\WinStations\RDP-Tcp"),
        at(Root::System, r"Control\Session Manager\Memory Management\PrefetchParameters"),
        at(Root::System, r"Control\Lsa"),
        at(Root::Software, r"Policies\Microsoft\Windows NT\Terminal Services"),
        at(Root::Software, r"Microsoft\Windows Defender\Real-Time Protection"),
        at(Root::Software, r"Policies\Microsoft\Windows Defender"),
        at(Root::Software, r"Policies\Microsoft\Windows Defender\Real-Time Protection"),
    ],
    read: setting,
    live: None,
};

/// What is told of the keys above.
const SETTINGS: &[&str] = &[
    "fDenyTSConnections",
    "fSingleSessionPerUser",
    "PortNumber",
    "UserAuthentication",
    "SecurityLayer",
    "Shadow",
    "EnablePrefetcher",
    "DisableRestrictedAdmin",
    "LimitBlankPasswordUse",
    "DisableAntiSpyware",
    "DisableRealtimeMonitoring",
];

pub const PROXY: Extractor = Extractor {
    places: &[
        at(Root::Software, r"Microsoft\Windows\CurrentVersion\Internet Settings"),
        at(Root::Software, r"Microsoft\Windows\CurrentVersion\Internet Settings\Connections"),
    ],
    read: proxy,
    live: None,
};

pub const STARTUP_APPROVED: Extractor = Extractor {
    places: &[at(Root::Software, r"Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\*")],
    read: startup_approved,
    live: None,
};

pub const NETWORKS: Extractor = Extractor {
    places: &[at(Root::Software, r"Microsoft\Windows NT\CurrentVersion\NetworkList\Profiles\*")],
    read: network,
    live: None,
};

fn setting(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    for value in &key.values {
        let known = SETTINGS.iter().any(|name| name.eq_ignore_ascii_case(&value.name));
        let Some(number) = value.data.number().filter(|_| known) else { continue };
        let mut record = record_of(key, "setting", Some(value.name.clone()));
        record.push("ValueName", value.name.as_str());
        record.push("Details", number.to_string());
        record.push("TargetObject", target(key, Some(&value.name)));
        output.push(record)?;
    }
    ControlFlow::Continue(())
}

fn proxy(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    for value in &key.values {
        let server = match value.name.to_ascii_lowercase().as_str() {
            "proxyserver" | "autoconfigurl" => value.data.text(),
            "defaultconnectionsettings" | "savedlegacysettings" | "winhttpsettings" => {
                let Data::Binary(data) = &value.data else { continue };
                connection_proxy(data)
            }
            _ => None,
        };
        let Some(server) = server.filter(|server| !server.is_empty()) else { continue };
        let mut record = record_of(key, "proxy_setting", Some(value.name.clone()));
        record.push("HostName", host_of(&server));
        record.push("Details", server);
        if let Some(on) = key.number("ProxyEnable") {
            record.push("Enabled", if on == 0 { "false" } else { "true" });
        }
        record.push("TargetObject", target(key, Some(&value.name)));
        output.add_user(&mut record);
        output.push(record)?;
    }
    ControlFlow::Continue(())
}

/// The proxy of a connection's settings: after 12 bytes a length and Latin-1 text.
fn connection_proxy(data: &[u8]) -> Option<String> {
    let text = piece(data, 16, size(u32_at(data, 12)?))?;
    Some(text.iter().map(|byte| char::from(*byte)).collect())
}

/// The first host of `host:port`, `http=host:port;…` or a URL.
fn host_of(server: &str) -> &str {
    let first = server.split(';').next().unwrap_or_default();
    let rest = first.split_once("://").map_or(first, |(_, rest)| rest);
    let rest = rest.split_once('=').map_or(rest, |(_, rest)| rest);
    rest.split([':', '/']).next().unwrap_or_default()
}

/// Whether an entry of Run keys or the Startup folder is on, and when it was switched off.
fn startup_approved(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    for value in &key.values {
        let Data::Binary(data) = &value.data else { continue };
        let Some(state) = data.first() else { continue };
        let off = state & 1 != 0; // 2 and 6 are on, 3 and 7 off
        let mut record = value_record(key, "startup_approved", &value.name);
        record.push("Name", value.name.as_str());
        record.push("State", if off { "disabled" } else { "enabled" });
        record.push("TargetObject", target(key, Some(&value.name)));
        output.add_user(&mut record);
        let when = u64_at(data, 4).filter(|_| off);
        record.times.extend(when.and_then(|at| Moment::of_filetime(at, "Startup Entry Disabled")));
        output.push(record)?;
    }
    ControlFlow::Continue(())
}

fn network(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    let Some(name) = key.text("ProfileName") else { return ControlFlow::Continue(()) };
    let mut record = record_of(key, "network_profile", None);
    record.times.clear(); // it has times of its own
    record.push("Name", name);
    record.push("Description", key.text("Description").unwrap_or_default());
    for (value, meaning) in [
        ("DateCreated", "Network First Connected"),
        ("DateLastConnected", "Network Last Connected"),
    ] {
        if let Some(Data::Binary(time)) = key.data(value) {
            add_local(&mut record, time, meaning, output);
        }
    }
    output.push(record)
}

/// Adds a SYSTEMTIME of the host's local time.
fn add_local(record: &mut Record, time: &[u8], meaning: &'static str, output: &Output<'_>) {
    let number = |at: usize| u16_at(time, at);
    let small = |at: usize| number(at).and_then(|n| i8::try_from(n).ok());
    let local = || {
        let year = i16::try_from(number(0)?).ok()?;
        let nanos = i32::from(number(14)?).checked_mul(1_000_000)?;
        civil::DateTime::new(year, small(2)?, small(6)?, small(8)?, small(10)?, small(12)?, nanos)
            .ok()
    };
    let Some(local) = local() else { return };
    let (at, precision) = match output.zone {
        Some(zone) => (zone.to_utc(local), Precision::Exact),
        None => (
            local.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp()),
            Precision::AssumedZone,
        ),
    };
    record.times.push(Moment { at, meaning, precision, raw: local.to_string() });
}
