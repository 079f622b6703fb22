//! A known file whose times somebody changes.

use jiff::SignedDuration;
use jiff::civil::DateTime;

use crate::correlate::path;
use crate::model::Record;

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
}
