//! What the file system itself says of a file: its name, its times, whose it is,
//! whether it is still there.

use crate::model::{Locator, Moment, Record, without_snapshot};
use crate::source::{Entry, Remains, State, Times};

/// Categories of records that are about a file as a whole.
const ABOUT_FILE: [&str; 5] = ["executable", "archive", "config", "tunnel_endpoint", "file"];

/// Categories of records that each have a file of their own, made when the thing
/// happened that they tell of: what its creation and modification mean.
const OWN_FILE: [(&str, [&str; 2]); 5] = [
    ("prefetch", ["Prefetch File Created", "Prefetch File Modified"]),
    ("shortcut", ["Shortcut Created", "Shortcut Modified"]),
    ("startup_shortcut", ["Shortcut Created", "Shortcut Modified"]),
    ("startup_script", ["Script Created", "Script Modified"]),
    ("script", ["Script Created", "Script Modified"]),
];

/// Categories of records that stand in a small file of settings and have no time of
/// their own, or none that can be trusted: the file's times are theirs.
const IN_FILE: [&str; 17] = [
    "container_kept",
    "container_manifest",
    "container_plan",
    "cron",
    "desktop_autostart",
    "environment_file",
    "hosts_file",
    "known_host",
    "launchd",
    "package_source",
    "rc_script",
    "service_file",
    "shell_profile",
    "ssh_setting",
    "systemd_unit",
    "task_file",
    "wget_hsts",
];

/// Categories of records that name no account: it is the one in whose folder they lie.
const OF_OWNER: [&str; 17] = [
    "container_kept",
    "container_plan",
    "desktop_autostart",
    "launchd",
    "shell_history",
    "shell_profile",
    "systemd_unit",
    "wget_hsts",
    "shortcut",
    "startup_shortcut",
    "startup_script",
    "script",
    "jump_list",
    "recycled",
    "powershell_history",
    "known_host",
    "ssh_setting",
];

/// Gives a record about a file as a whole the file's path and times, and one that
/// has a file of its own, or stands in a file of settings, that file's times; says whose
/// folder it lies in, and of any record of a removed file that it is removed.
pub fn describe(record: &mut Record, entry: &Entry) {
    if let State::Deleted(remains) = entry.state {
        record.push("Deleted", remains_text(remains));
    }
    if let Some((_, meanings)) = OWN_FILE.iter().find(|(of, _)| *of == record.category) {
        let times = [entry.times.created, entry.times.modified].into_iter().zip(meanings);
        record.times.extend(times.filter_map(|(at, what)| Some(Moment::exact(at?, what))));
    }
    if OF_OWNER.contains(&record.category) && record.text("User").is_none() {
        match owner(entry.path.as_str()) {
            Some(Owner::Profile(name)) => record.push("User", name),
            Some(Owner::Sid(sid)) => record.push("UserSid", sid),
            None if record.category == "shell_history" => {
                let folder = entry.path.as_str().rsplit('/').nth(1).unwrap_or_default();
                record.push("User", folder);
            }
            None => {}
        }
    }
    if record.category == "package"
        && record.text("Name").is_none()
        && let Some(name) = brewed(entry.path.as_str())
    {
        record.push("Name", name);
    }
    // A package is described by a file, or spoken of in a log, which has times of its own; an
    // accepted key stands in a file, or in a hive, which has one of each key.
    let in_file = IN_FILE.contains(&record.category)
        && (record.category != "known_host" || record.times.is_empty())
        || record.category == "package" && record.times.is_empty();
    if record.category == "zone_identifier" {
        record.push("TargetFilename", without_mark(entry.path.as_str()));
    } else if in_file {
        record.push("SettingsFile", entry.path.as_str());
    } else if record.category == "executable"
        && let Some(member) = record.text("MemberName")
    {
        let file = inside(entry.path.as_str(), member);
        record.push("TargetFilename", file);
    } else if ABOUT_FILE.contains(&record.category) {
        record.push("TargetFilename", entry.path.as_str());
        if is_set_back(entry) {
            record.push("Timestomped", "created before its name was");
        }
    } else {
        return;
    }
    record.times.extend(moments(entry));
}

/// The path of an archive's member, as if the archive were a folder.
fn inside(archive: &str, member: &str) -> String {
    let parts = member.split(['/', '\\']).filter(|part| !part.is_empty());
    let joint = if archive.contains('\\') { "\\" } else { "/" };
    let parts: Vec<&str> = std::iter::once(archive).chain(parts).collect();
    parts.join(joint)
}

/// The path of the file that bears a mark of the web, from the path of the mark: a
/// stream, or the file that a collector put it into.
fn without_mark(path: &str) -> &str {
    const MARK: &str = "zone.identifier";
    const JOINTS: [&str; 4] = ["%3a", ":", "_", "."];
    let path = path.strip_suffix(":$DATA").unwrap_or(path);
    let Some(at) = path.len().checked_sub(MARK.len()) else { return path };
    let is_mark = path.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(MARK));
    let Some(base) = path.get(..at).filter(|_| is_mark) else { return path };
    let joined = JOINTS.iter().find_map(|joint| {
        let at = base.len().checked_sub(joint.len())?;
        base.get(at..)?.eq_ignore_ascii_case(joint).then(|| base.get(..at))?
    });
    joined.unwrap_or(path)
}

/// The package in whose folder of Homebrew a path lies.
fn brewed(path: &str) -> Option<&str> {
    let mut parts = path.split('/').skip_while(|part| !matches!(*part, "Cellar" | "Caskroom"));
    parts.nth(1)
}

/// Whose folder a path lies in.
enum Owner<'a> {
    /// The name of a profile's folder.
    Profile(&'a str),
    /// The identifier that a folder of the Recycle Bin is called by.
    Sid(&'a str),
}

/// The folder's owner: a user of Windows, Linux or macOS, one of the accounts that
/// services have, or whose Recycle Bin it is; shared profiles are nobody's.
fn owner(path: &str) -> Option<Owner<'_>> {
    const PROFILES: [&str; 4] = ["users", "documents and settings", "home", "serviceprofiles"];
    const BINS: [&str; 2] = ["$recycle.bin", "recycler"];
    const SHARED: [&str; 5] = ["public", "default", "all users", "default user", "shared"];
    let (_, path) = without_snapshot(path);
    let mut parts = path.split(['\\', '/']).peekable();
    while let Some(part) = parts.next() {
        // What follows must be a folder: files lie in no profile.
        parts.peek()?;
        let lower = part.to_ascii_lowercase();
        let lower = lower.as_str();
        if lower == "systemprofile" {
            return Some(Owner::Profile("SYSTEM"));
        }
        if lower == "root" {
            return Some(Owner::Profile("root"));
        }
        let (profile, bin) = (PROFILES.contains(&lower), BINS.contains(&lower));
        if profile || bin {
            let name = parts.next().filter(|name| !name.is_empty())?;
            parts.peek()?;
            let shared = SHARED.contains(&name.to_ascii_lowercase().as_str());
            return match bin {
                true => name.starts_with("S-1-").then_some(Owner::Sid(name)),
                false => (!shared).then_some(Owner::Profile(name)),
            };
        }
    }
    None
}

/// The record of a name in the file system.
pub fn name_record(entry: &Entry) -> Record {
    let locator = match entry.id {
        Some(id) => Locator::File { number: id.number, sequence: id.sequence },
        None => Locator::Offset(0),
    };
    let mut record = Record::new("file", locator);
    describe(&mut record, entry);
    record
}

/// What a removed file's content is worth, in words.
fn remains_text(remains: Remains) -> &'static str {
    match remains {
        Remains::Whole => "deleted; its record holds the content",
        Remains::Likely => "deleted; its clusters are free, so the content is probably its own",
        Remains::Nothing => "deleted; its content is not left",
    }
}

/// A file's own times. Those kept with the name follow where they differ.
fn moments(entry: &Entry) -> Vec<Moment> {
    let Some(name_times) = &entry.name_times else {
        let times =
            [(entry.times.created, "File Created"), (entry.times.modified, "File Modified")];
        return times.into_iter().filter_map(|(at, what)| Some(Moment::exact(at?, what))).collect();
    };
    let own = listed(&entry.times);
    let named = listed(name_times);
    const OWN: [&str; 4] =
        ["File Created ($SI)", "File Modified ($SI)", "File Changed ($SI)", "File Accessed ($SI)"];
    const NAMED: [&str; 4] =
        ["File Created ($FN)", "File Modified ($FN)", "File Changed ($FN)", "File Accessed ($FN)"];
    let differing = named.iter().zip(own).map(|(named, own)| named.filter(|at| Some(*at) != own));
    let all = own.into_iter().zip(OWN).chain(differing.zip(NAMED));
    all.filter_map(|(at, what)| Some(Moment::exact(at?, what))).collect()
}

fn listed(times: &Times) -> [Option<jiff::Timestamp>; 4] {
    [times.created, times.modified, times.changed, times.accessed]
}

/// Whether somebody set the creation back: a whole second, earlier than the time
/// that the system itself noted with the name. Copying and unpacking keep to
/// fractions or set only the modification.
fn is_set_back(entry: &Entry) -> bool {
    let own = entry.times.created;
    let named = entry.name_times.as_ref().and_then(|times| times.created);
    own.zip(named).is_some_and(|(own, named)| {
        own.subsec_nanosecond() == 0 && named.duration_since(own).as_secs() >= 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EvidencePath, from_unix};
    use crate::source::{FileId, Kind};

    fn entry(own: i32, named: Option<(i64, i32)>) -> Entry {
        let at = |seconds, nanos| from_unix(1_710_000_000 + seconds, nanos);
        let times = Times { created: at(0, own), modified: at(0, own), ..Times::default() };
        let name_times =
            named.map(|(s, n)| Box::new(Times { created: at(s, n), ..Times::default() }));
        Entry {
            path: EvidencePath::new(r"C:\a.exe"),
            kind: Kind::File,
            size: 1,
            times,
            name_times,
            id: Some(FileId { number: 4711, sequence: 3 }),
            state: State::Present,
            link_target: None,
            handle: 0,
        }
    }

    fn said(entry: &Entry) -> Vec<String> {
        let record = name_record(entry);
        let mut out: Vec<String> = record.times.iter().map(|m| m.meaning.to_owned()).collect();
        out.push(record.locator.to_string());
        out.extend(
            ["Deleted", "Timestomped"].iter().filter_map(|f| record.text(f)).map(Into::into),
        );
        out
    }

    #[test]
    fn name_times_stand_where_they_differ() {
        let same = ["File Created ($SI)", "File Modified ($SI)", "mft:4711-3"];
        assert_eq!(said(&entry(7, Some((0, 7)))), same);
        let other =
            ["File Created ($SI)", "File Modified ($SI)", "File Created ($FN)", "mft:4711-3"];
        assert_eq!(said(&entry(7, Some((9, 7)))), other);
        assert_eq!(said(&entry(0, None)), ["File Created", "File Modified", "mft:4711-3"]);
    }

    #[test]
    fn a_creation_set_back_to_a_whole_second_is_told() {
        let stomped =
            |own, named| said(&entry(own, Some(named))).iter().any(|t| t.contains("before"));
        assert!(stomped(0, (60, 5)));
        assert!(!stomped(100, (60, 5)), "a copy keeps its fraction");
        assert!(!stomped(0, (0, 0)));
        assert!(!stomped(0, (-60, 0)), "later than the name: moved");
    }

    #[test]
    fn a_shortcut_has_the_times_of_its_own_file_and_the_folders_owner() {
        let mut entry = entry(7, None);
        let mut user = |path: &str, category| {
            entry.path = EvidencePath::new(path);
            let mut record = Record::new(category, Locator::Offset(0));
            describe(&mut record, &entry);
            let times: Vec<&str> = record.times.iter().map(|m| m.meaning).collect();
            let whose = record.text("User").or_else(|| record.text("UserSid"));
            (whose.map(str::to_owned), times)
        };
        let times = vec!["Shortcut Created", "Shortcut Modified"];
        let jane = Some("jane".to_owned());
        assert_eq!(user(r"C:\Users\jane\Recent\a.lnk", "shortcut"), (jane, times.clone()));
        assert_eq!(user(r"C:\Users\Public\Desktop\a.lnk", "shortcut"), (None, times));
        let sid = Some("S-1-5-21-7".to_owned());
        assert_eq!(user(r"C:\$Recycle.Bin\S-1-5-21-7\$I1.exe", "recycled"), (sid, vec![]));
    }

    #[test]
    fn owners_of_profiles() {
        for (path, expected) in [
            (r"C:\Users\Zoë\AppData\x", Some("Zoë")),
            (r"vss2:C:\Documents and Settings\a b\x", Some("a b")),
            (r"C:\Windows\System32\config\systemprofile\x", Some("SYSTEM")),
            (r"C:\Windows\ServiceProfiles\NetworkService\x", Some("NetworkService")),
            ("/home/dev/.ssh/known_hosts", Some("dev")),
            ("/var/root/.ssh/config", Some("root")),
            ("/etc/ssh/sshd_config", None),
        ] {
            let name = owner(path).map(|owner| match owner {
                Owner::Profile(name) | Owner::Sid(name) => name,
            });
            assert_eq!(name, expected, "{path}");
        }
    }

    #[test]
    fn marks_of_the_web_name_their_file() {
        for path in [
            r"C:\a.zip:Zone.Identifier",
            r"C:\a.zip_Zone.Identifier",
            r"C:\a.zip%3AZone.identifier",
        ] {
            assert_eq!(without_mark(path), r"C:\a.zip");
        }
        assert_eq!(without_mark(r"C:\a.zip:Zone.Identifier:$DATA"), r"C:\a.zip");
        assert_eq!(without_mark(r"C:\mark"), r"C:\mark");
        let mut mark = entry(7, None);
        mark.path = EvidencePath::new(r"C:\a.zip:Zone.Identifier");
        let mut record = Record::new("zone_identifier", Locator::Offset(0));
        describe(&mut record, &mark);
        assert_eq!(record.text("TargetFilename"), Some(r"C:\a.zip"));
        assert_eq!(record.times.len(), 2);
    }

    #[test]
    fn a_setting_has_the_times_of_its_file() {
        let mut record = Record::new("hosts_file", Locator::Line(1));
        describe(&mut record, &entry(7, None));
        assert_eq!(record.text("SettingsFile"), Some(r"C:\a.exe"));
        assert_eq!(record.times.len(), 2);
    }

    #[test]
    fn a_removed_file_says_what_is_left() {
        let mut gone = entry(7, None);
        gone.state = State::Deleted(Remains::Likely);
        assert!(said(&gone).last().is_some_and(|text| text.contains("clusters are free")));
    }
}
