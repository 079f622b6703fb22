//! What the file system itself says of a file: its name, its times, whether it
//! is still there.

use crate::model::{Locator, Moment, Record};
use crate::source::{Entry, Remains, State, Times};

/// Categories of records that are about a file as a whole.
const ABOUT_FILE: [&str; 5] = ["executable", "archive", "config", "tunnel_endpoint", "file"];

/// Categories of records that each have a file of their own, made when the thing
/// happened that they tell of: what its creation and modification mean.
const OWN_FILE: [(&str, [&str; 2]); 4] = [
    ("prefetch", ["Prefetch File Created", "Prefetch File Modified"]),
    ("shortcut", ["Shortcut Created", "Shortcut Modified"]),
    ("startup_shortcut", ["Shortcut Created", "Shortcut Modified"]),
    ("startup_script", ["Script Created", "Script Modified"]),
];
/// Categories of records in a user's own folders that do not name the user.
const OF_USER: [&str; 5] =
    ["shortcut", "startup_shortcut", "startup_script", "jump_list", "recycled"];

/// Gives a record about a file as a whole the file's path and times, and one that
/// has a file of its own that file's times; says whose folder it lies in, and of
/// any record of a removed file that it is removed.
pub fn describe(record: &mut Record, entry: &Entry) {
    if let State::Deleted(remains) = entry.state {
        record.push("Deleted", remains_text(remains));
    }
    if let Some((_, meanings)) = OWN_FILE.iter().find(|(of, _)| *of == record.category) {
        let times = [entry.times.created, entry.times.modified].into_iter().zip(meanings);
        record.times.extend(times.filter_map(|(at, what)| Some(Moment::exact(at?, what))));
    }
    if OF_USER.contains(&record.category) {
        match owner(entry.path.as_str()) {
            Some(Owner::Profile(name)) => record.push("User", name),
            Some(Owner::Sid(sid)) => record.push("UserSid", sid),
            None => {}
        }
    }
    if !ABOUT_FILE.contains(&record.category) {
        return;
    }
    record.push("TargetFilename", entry.path.as_str());
    record.times.extend(moments(entry));
    if is_set_back(entry) {
        record.push("Timestomped", "created before its name was");
    }
}

/// Whose folder a path lies in.
enum Owner<'a> {
    /// The name of a profile's folder.
    Profile(&'a str),
    /// The identifier that a folder of the Recycle Bin is called by.
    Sid(&'a str),
}

fn owner(path: &str) -> Option<Owner<'_>> {
    const PROFILES: [&str; 2] = ["Users", "Documents and Settings"];
    const BINS: [&str; 2] = ["$Recycle.Bin", "RECYCLER"];
    const SHARED: [&str; 4] = ["Public", "Default", "All Users", "Default User"];
    let one_of =
        |names: &[&str], part: &str| names.iter().any(|name| name.eq_ignore_ascii_case(part));
    let mut parts = path.split(['\\', '/']);
    let folder = parts.find(|part| one_of(&PROFILES, part) || one_of(&BINS, part))?;
    let name = parts.next()?;
    parts.next()?;
    match one_of(&BINS, folder) {
        true => name.starts_with("S-1-").then_some(Owner::Sid(name)),
        false => (!one_of(&SHARED, name)).then_some(Owner::Profile(name)),
    }
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
    fn a_removed_file_says_what_is_left() {
        let mut gone = entry(7, None);
        gone.state = State::Deleted(Remains::Likely);
        assert!(said(&gone).last().is_some_and(|text| text.contains("clusters are free")));
    }
}
