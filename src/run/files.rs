//! What the file system itself says of a file: its name, its times, whether it
//! is still there.

use crate::model::{Locator, Moment, Record};
use crate::source::{Entry, Remains, State, Times};

/// Categories of records that are about a file as a whole.
const ABOUT_FILE: [&str; 5] = ["executable", "archive", "config", "tunnel_endpoint", "file"];

/// Gives a record about a file as a whole the file's path and times; any record
/// of a removed file says so.
pub fn describe(record: &mut Record, entry: &Entry) {
    if let State::Deleted(remains) = entry.state {
        record.push("Deleted", remains_text(remains));
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
    fn a_removed_file_says_what_is_left() {
        let mut gone = entry(7, None);
        gone.state = State::Deleted(Remains::Likely);
        assert!(said(&gone).last().is_some_and(|text| text.contains("clusters are free")));
    }
}
