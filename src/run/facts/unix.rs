//! What a Linux or macOS tree says of its machine: name, version, time zone.
//!
//! Links are followed inside the evidence only. Sources: hostname(5),
//! os-release(5), localtime(5), tzfile(5); Apple's property lists of those names.

use crate::model::{EvidencePath, Os, SystemFacts, Zone};
use crate::source::{Entry, Filesystem, HostEvidence, Kind};

/// Larger files are not one of these.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Links followed on the way to one file, as the kernel's own limit.
const MAX_LINKS: usize = 40;
/// Components of a path, links resolved.
const MAX_COMPONENTS: usize = 256;
/// Where a link to a time zone says its name.
const ZONEINFO: &str = "zoneinfo/";

/// Settings of the services that write logs beside the journal.
const LOG_SETTINGS: [(&str, &str); 3] = [
    ("audit", "/etc/audit/auditd.conf"),
    ("syslog", "/etc/rsyslog.conf"),
    ("syslog", "/etc/syslog-ng/syslog-ng.conf"),
];

/// Facts of a Linux or macOS root.
pub fn of(evidence: &HostEvidence, os: Os) -> SystemFacts {
    let tree = Tree(&*evidence.filesystem);
    let mut facts = match os {
        Os::Macos => mac(&tree),
        _ => linux(&tree),
    };
    let (name, zone) = zone(&tree);
    (facts.time_zone, facts.zone) = (name, zone);
    facts
}

fn linux(tree: &Tree<'_>) -> SystemFacts {
    let first_line = |path: &str| {
        let text = tree.text(path)?;
        let line = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#'))?;
        Some(line.to_owned())
    };
    let release = tree.text("/etc/os-release").or_else(|| tree.text("/usr/lib/os-release"));
    let assigned = |text: &str, key: &str| {
        let line = text.lines().find_map(|l| l.trim().strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim().trim_matches(['"', '\'']).to_owned())
    };
    let os = release
        .as_deref()
        .and_then(|text| assigned(text, "PRETTY_NAME").or_else(|| assigned(text, "NAME")))
        .or_else(|| first_line("/etc/redhat-release"))
        .or_else(|| Some(format!("Debian {}", first_line("/etc/debian_version")?)));
    let name = first_line("/etc/hostname").or_else(|| {
        assigned(&tree.text("/etc/sysconfig/network")?, "HOSTNAME").filter(|n| !n.is_empty())
    });
    // What is no root tells nothing of its services.
    let logs = tree.text("/etc/passwd").map(|_| {
        let set_up = LOG_SETTINGS.iter().filter(|(_, path)| tree.text(path).is_some());
        let mut logs: Vec<String> = set_up.map(|(log, _)| (*log).to_owned()).collect();
        logs.dedup();
        logs
    });
    SystemFacts { name, os, logs, ..SystemFacts::default() }
}

fn mac(tree: &Tree<'_>) -> SystemFacts {
    let version = tree.text("/System/Library/CoreServices/SystemVersion.plist");
    let version = version.unwrap_or_default();
    let os = plist_text(&version, "ProductName").map(|name| {
        let number = plist_text(&version, "ProductVersion").unwrap_or_default();
        format!("{name} {number}").trim().to_owned()
    });
    let names = tree.text("/Library/Preferences/SystemConfiguration/preferences.plist");
    let names = names.unwrap_or_default();
    let name = ["HostName", "LocalHostName", "ComputerName"]
        .into_iter()
        .find_map(|key| plist_text(&names, key).filter(|name| !name.is_empty()));
    SystemFacts { name, os, ..SystemFacts::default() }
}

/// The string that follows a key of an XML property list.
fn plist_text(text: &str, key: &str) -> Option<String> {
    let (_, after) = text.split_once(&format!("<key>{key}</key>"))?;
    let value = after.trim_start().strip_prefix("<string>")?.split_once("</string>")?.0;
    Some(value.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}

/// The zone's name and rules: of the file that `localtime` is or leads to, else of
/// the database that comes with the program, by name.
fn zone(tree: &Tree<'_>) -> (Option<String>, Option<Zone>) {
    let written = tree.text("/etc/timezone").map(|text| text.trim().to_owned());
    let linked = tree.link("/etc/localtime").and_then(|target| {
        let (_, name) = target.rsplit_once(ZONEINFO)?;
        Some(name.trim_start_matches("posix/").to_owned())
    });
    // The link is what the C library obeys; the text is a note beside it.
    let name = linked.or(written).filter(|name| !name.is_empty());
    let shown = name.as_deref().unwrap_or("localtime");
    let zone = tree.bytes("/etc/localtime").and_then(|file| Zone::of_tzif(shown, &file));
    let named = || {
        let name = name.as_deref()?;
        let file = tree.bytes(&format!("/usr/share/zoneinfo/{name}"));
        file.and_then(|file| Zone::of_tzif(name, &file)).or_else(|| Zone::of_name(name))
    };
    let zone = zone.or_else(named);
    (name, zone)
}

/// The tree, links followed.
struct Tree<'a>(&'a dyn Filesystem);

impl Tree<'_> {
    fn text(&self, path: &str) -> Option<String> {
        self.bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let entry = self.resolve(path).filter(|e| e.is_file() && e.size <= MAX_FILE_BYTES)?;
        let file = self.0.open(&entry).ok()?;
        let mut out = vec![0; usize::try_from(entry.size).ok()?];
        let mut filled = 0usize;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let n = file.read_at(filled as u64, rest).ok()?;
            if n == 0 {
                break;
            }
            filled = filled.saturating_add(n);
        }
        out.truncate(filled);
        Some(out)
    }

    /// Where the last name of a path points, if it is a link.
    fn link(&self, path: &str) -> Option<String> {
        let (folder, name) = path.rsplit_once('/')?;
        let folder = if folder.is_empty() {
            String::new()
        } else {
            self.resolve(folder)?.path.as_str().trim_end_matches('/').to_owned()
        };
        let entry = self.0.entry(&EvidencePath::new(format!("{folder}/{name}")))?;
        entry.link_target.filter(|_| entry.kind == Kind::Link)
    }

    /// What lies at a path when every link on the way is followed.
    fn resolve(&self, path: &str) -> Option<Entry> {
        let mut left: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut at: Vec<String> = Vec::new();
        let (mut links, mut last) = (0usize, None);
        while let Some(name) = left.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(name),
            }
            let entry = self.0.entry(&EvidencePath::new(format!("/{}", at.join("/"))))?;
            if let Some(target) = entry.link_target.as_deref().filter(|_| entry.kind == Kind::Link)
            {
                links = links.saturating_add(1);
                if links > MAX_LINKS || left.len() > MAX_COMPONENTS {
                    return None;
                }
                at.pop();
                if target.starts_with('/') {
                    at.clear();
                }
                left.extend(target.split('/').rev().map(str::to_owned));
                last = None;
            } else {
                last = Some(entry);
            }
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_property_lists() {
        let text = "<dict><key>HostName</key>\n\t<string>a&amp;b</string></dict>";
        assert_eq!(plist_text(text, "HostName").as_deref(), Some("a&b"));
        assert_eq!(plist_text(text, "ComputerName"), None);
    }
}
