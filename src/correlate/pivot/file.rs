//! A known file whose times or names somebody changes: what the change journal tells of it
//! under whatever name, by its reference.

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::Weight;
use crate::correlate::path;
use crate::model::{Record, RowStage};

/// Whether the record tells of a creation time of that file made earlier (Sysmon 2), by
/// more than the time that unpacking or copying takes.
pub(super) fn is_set_back(record: &Record, tail: &str) -> bool {
    const UNPACKING: SignedDuration = SignedDuration::from_hours(1);
    let time = |field: &str| {
        let text = record.text(field)?.replacen(' ', "T", 1);
        text.parse::<DateTime>().ok()
    };
    record.category == "file_change"
        && record.text("TargetFilename").is_some_and(|file| path::is(file, tail))
        && time("CreationUtcTime")
            .zip(time("PreviousCreationUtcTime"))
            .is_some_and(|(now, before)| before.duration_since(now) > UNPACKING)
}

/// The volume of a record of the journal, lower case (`c:`, or nothing where it is not
/// known), and the reference of its file, `4711-3`.
pub fn reference_of(record: &Record) -> Option<(String, &str)> {
    let reference = record.text("FileReference")?;
    let is_folder = record.text("FileAttributes").is_some_and(|a| a.contains("DIRECTORY"));
    let path = record.text("TargetFilename")?;
    let volume = path.split(['\\', '/']).next().unwrap_or_default().to_lowercase();
    (!is_folder).then_some((volume, reference))
}

/// Stage, score and words for what the journal tells of that file.
pub(super) fn weight(record: &Record, volume: &str, reference: &str) -> Option<Weight> {
    let (other, known) = reference_of(record)?;
    if known != reference || other != volume {
        return None;
    }
    match record.category {
        "file_delete" => Some((RowStage::CleanedUp, 40, "the agent's file was deleted")),
        // Once for each letter of the alphabet.
        "file_rename" if is_wiped(record.text("OldName")?) => {
            Some((RowStage::Context, 10, "the agent's file was renamed to be wiped"))
        }
        "file_rename" if is_wiped(record.text("NewName")?) => {
            Some((RowStage::CleanedUp, 50, "the agent's file was renamed to be wiped"))
        }
        "file_rename" => Some((RowStage::Delivered, 45, "the agent's file was renamed")),
        _ => None,
    }
}

/// Whether a name is one that a program for wiping gives: one letter, again and again.
pub fn is_wiped(name: &str) -> bool {
    const SHORTEST: usize = 3;
    let mut letters = name.chars().filter(|letter| *letter != '.');
    let first = letters.next();
    first.is_some_and(char::is_alphanumeric)
        && name.chars().count() >= SHORTEST
        && letters.all(|letter| Some(letter) == first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    #[test]
    fn a_creation_set_back_hides_when_it_came() {
        let tail = path::tail(r"C:\ProgramData\w\upd.exe");
        for (file, now, expected) in [
            (r"C:\ProgramData\w\upd.exe", "2019-12-07 09:08:26.123", true),
            (r"C:\ProgramData\w\upd.exe", "2024-03-01 09:59:00.000", false),
            (r"C:\ProgramData\w\other.exe", "2019-12-07 09:08:26.123", false),
            (r"C:\ProgramData\w\upd.exe", "?", false),
        ] {
            let mut record = Record::new("file_change", Locator::Record(1));
            record.push("TargetFilename", file);
            record.push("CreationUtcTime", now);
            record.push("PreviousCreationUtcTime", "2024-03-01 10:00:00.512");
            assert_eq!(is_set_back(&record, &tail), expected, "{file} {now}");
        }
    }

    #[test]
    fn a_file_is_followed_by_its_reference() {
        let record = |category, path: &str, new: &str, reference: &str| {
            let mut record = Record::new(category, Locator::Usn(8));
            record.push("TargetFilename", path);
            record.push("OldName", path::base_name(path));
            record.push("NewName", new);
            record.push("FileReference", reference);
            record.push("FileAttributes", "ARCHIVE");
            record
        };
        for (category, path, new, reference, expected) in [
            ("file_delete", r"C:\t\ZZZ.ZZZ", "", "47-3", Some(RowStage::CleanedUp)),
            ("file_rename", r"C:\t\b.exe", "AAA.AAA", "47-3", Some(RowStage::CleanedUp)),
            ("file_rename", r"C:\t\AAA.AAA", "BBB.BBB", "47-3", Some(RowStage::Context)),
            ("file_rename", r"C:\t\b.exe", "c.exe", "47-3", Some(RowStage::Delivered)),
            ("file_delete", r"C:\t\b.exe", "", "47-4", None),
            ("file_delete", r"D:\t\b.exe", "", "47-3", None),
            ("file_change", r"C:\t\b.exe", "", "47-3", None),
        ] {
            let record = record(category, path, new, reference);
            let stage = weight(&record, "c:", "47-3").map(|(stage, ..)| stage);
            assert_eq!(stage, expected, "{category} {path}");
        }
        assert!(is_wiped("ZZZZZ.ZZZ") && !is_wiped("aab.exe") && !is_wiped("..") && !is_wiped("x"));
    }
}
