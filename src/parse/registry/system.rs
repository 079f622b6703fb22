//! What hives say of the machine: name, version, time zone, profiles.

use crate::model::{Input, SystemFacts, Zone, from_unix};
use crate::parse::ParseError;

use super::{Data, Hive, Key, services, zone};

/// Windows 11 still calls itself 10; it begins with this build.
const FIRST_BUILD_OF_11: u64 = 22_000;
const VERSION: &str = r"Microsoft\Windows NT\CurrentVersion";
const CHANNELS: &str = r"Microsoft\Windows\CurrentVersion\WINEVT\Channels";
const PROFILES: &str = r"Microsoft\Windows NT\CurrentVersion\ProfileList";

/// What one hive knows of the machine: SYSTEM its name and zone, SOFTWARE its
/// version; any other nothing.
///
/// # Errors
///
/// When the bytes cannot be read or are no hive.
pub fn facts_of_hive(input: &Input<'_>) -> Result<SystemFacts, ParseError> {
    Ok(facts(&mut Hive::open(input)?.0))
}

/// What an open hive knows of the machine.
pub fn facts(hive: &mut Hive) -> SystemFacts {
    let mut facts = SystemFacts::default();
    if let Some(set) = services::preferred_set(hive) {
        name_and_zone(hive, &set, &mut facts);
        switches(hive, &set, &mut facts);
    }
    version(hive, &mut facts);
    facts.logs = logs(hive);
    let own = profiles(hive).into_iter().filter(|(sid, _)| is_person(sid));
    facts.profiles = own.map(|(_, folder)| folder).collect();
    facts
}

/// Channels that are switched on; `None` where the hive lists none.
fn logs(hive: &mut Hive) -> Option<Vec<String>> {
    let known = hive.below(CHANNELS, 1);
    let on = |key: &Key| key.number("Enabled").is_some_and(|n| n != 0);
    (!known.is_empty()).then(|| known.into_iter().filter(on).map(|key| key.name).collect())
}

/// Whether a SID is an account's, of a domain, a machine or Entra ID.
fn is_person(sid: &str) -> bool {
    sid.starts_with("S-1-5-21-") || sid.starts_with("S-1-12-1-")
}

/// What either knows; of what both know, the first.
pub fn merge(first: SystemFacts, second: SystemFacts) -> SystemFacts {
    SystemFacts {
        name: first.name.or(second.name),
        os: first.os.or(second.os),
        server: first.server || second.server,
        installed: first.installed.or(second.installed),
        time_zone: first.time_zone.or(second.time_zone),
        bias_minutes: first.bias_minutes.or(second.bias_minutes),
        zone: first.zone.or(second.zone),
        remote_desktop_port: first.remote_desktop_port.or(second.remote_desktop_port),
        remote_desktop: first.remote_desktop.or(second.remote_desktop),
        prefetch: first.prefetch.or(second.prefetch),
        logs: first.logs.or(second.logs),
        profiles: if first.profiles.is_empty() { second.profiles } else { first.profiles },
    }
}

/// Profiles of users from a SOFTWARE hive: SID and folder as written
/// (`%SystemDrive%` may stand in it), in the hive's order.
///
/// # Errors
///
/// When the bytes cannot be read or are no hive.
pub fn profiles_of_hive(input: &Input<'_>) -> Result<Vec<(String, String)>, ParseError> {
    Ok(profiles(&mut Hive::open(input)?.0))
}

/// Profiles of users from an open SOFTWARE hive; of any other none.
pub fn profiles(hive: &mut Hive) -> Vec<(String, String)> {
    let keys = hive.below(PROFILES, 1);
    keys.into_iter()
        .filter_map(|key| Some((key.name.clone(), key.text("ProfileImagePath")?)))
        .collect()
}

/// Drive letters that a SYSTEM hive gave to volumes: letter, and what tells the
/// volume (`MountedDevices\\DosDevices`: disk signature and offset of an MBR
/// partition, or `DMIO:ID:` and the GUID of a GPT one), in order of letters.
///
/// # Errors
///
/// When the bytes cannot be read or are no hive.
pub fn drive_letters_of_hive(input: &Input<'_>) -> Result<Vec<(char, Vec<u8>)>, ParseError> {
    let Some(key) = Hive::open(input)?.0.key("MountedDevices") else { return Ok(Vec::new()) };
    let letter = |name: &str| {
        let rest = name.strip_prefix(r"\DosDevices\")?.strip_suffix(':')?;
        let mut letters = rest.chars().filter(char::is_ascii_alphabetic);
        Some(letters.next()?.to_ascii_uppercase()).filter(|_| rest.len() == 1)
    };
    let mut letters: Vec<(char, Vec<u8>)> = key
        .values
        .into_iter()
        .filter_map(|value| match value.data {
            Data::Binary(device) => Some((letter(&value.name)?, device)),
            _ => None,
        })
        .collect();
    letters.sort();
    Ok(letters)
}

fn name_and_zone(hive: &mut Hive, set: &str, facts: &mut SystemFacts) {
    let mut text = |path: &str, value: &str| hive.key(&format!("{set}\\{path}"))?.text(value);
    facts.name = text(r"Control\ComputerName\ComputerName", "ComputerName")
        .or_else(|| text(r"Services\Tcpip\Parameters", "Hostname"));
    let Some(zone) = hive.key(&format!("{set}\\Control\\TimeZoneInformation")) else { return };
    facts.time_zone = zone.text("TimeZoneKeyName").or_else(|| zone.text("StandardName"));
    facts.bias_minutes = zone::minutes(&zone, "Bias");
    facts.zone = zone::rule(&zone).and_then(|rule| Zone::of_posix(&rule));
}

/// What is switched on or off. Prefetch is on for programs at 1 and 3, and where it is
/// not set.
fn switches(hive: &mut Hive, set: &str, facts: &mut SystemFacts) {
    const PREFETCH: &str = r"Control\Session Manager\Memory Management\PrefetchParameters";
    let mut number = |path: &str, value: &str| hive.key(&format!("{set}\\{path}"))?.number(value);
    let port = number(r"Control\Terminal Server\WinStations\RDP-Tcp", "PortNumber");
    facts.remote_desktop_port = port.and_then(|port| u16::try_from(port).ok());
    facts.remote_desktop = number(r"Control\Terminal Server", "fDenyTSConnections").map(|n| n == 0);
    facts.prefetch = number(PREFETCH, "EnablePrefetcher").map(|n| n & 1 != 0);
}

fn version(hive: &mut Hive, facts: &mut SystemFacts) {
    let Some(key) = hive.key(VERSION) else { return };
    let Some(product) = key.text("ProductName") else { return };
    facts.installed = key.number("InstallDate").and_then(|at| from_unix(at, 0));
    let build = key.text("CurrentBuild").or_else(|| key.text("CurrentBuildNumber"));
    let number = build.as_ref().and_then(|b| b.trim().parse::<u64>().ok()).unwrap_or_default();
    facts.server = key
        .text("InstallationType")
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("server"))
        || product.contains("Server");
    let mut os = product;
    if number >= FIRST_BUILD_OF_11 && !facts.server {
        os = os.replacen("Windows 10", "Windows 11", 1);
    }
    let release = ["DisplayVersion", "ReleaseId", "CSDVersion"];
    if let Some(release) = release.iter().find_map(|name| key.text(name)) {
        os = format!("{os} {release}");
    }
    if let Some(build) = build {
        let update = key.number("UBR").map(|n| format!(".{n}")).unwrap_or_default();
        os = format!("{os} (build {build}{update})");
    }
    facts.os = Some(os);
}
