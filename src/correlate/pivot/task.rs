//! What other sources say of a scheduled task that was found to be the agent's.

use super::Weight;
use crate::correlate::path;
use crate::model::{Record, RowStage};

/// What a record that speaks of the agent's task of that name is worth.
pub(super) fn weight(record: &Record, name: &str) -> Option<Weight> {
    match record.category {
        "task" => {
            let same = record.text("TaskName").is_some_and(|t| t.eq_ignore_ascii_case(name));
            let removed = matches!(record.number("EventID"), Some(141 | 4699));
            same.then_some(match removed {
                true => (RowStage::CleanedUp, 50, "the agent's task was deleted"),
                false => (RowStage::Persisted, 40, "speaks of the agent's task"),
            })
        }
        "process_creation" | "powershell_history" | "run_dialog" => {
            let line = record.text("CommandLine").unwrap_or_default();
            deletes(line, name).then_some((RowStage::CleanedUp, 50, "deletes the agent's task"))
        }
        _ => None,
    }
}

/// Whether a command deletes the task of that name, `\Folder\Name`.
fn deletes(line: &str, name: &str) -> bool {
    let words = path::words(line);
    let is = |word: &str, text: &str| word.trim_matches('\'').eq_ignore_ascii_case(text);
    let has = |text: &str| words.iter().any(|word| is(word, text));
    let own = name.trim_start_matches('\\');
    let last = own.rsplit('\\').next().unwrap_or(own);
    (has("/delete") || has("-delete")) && (has(own) || has(name))
        || has("unregister-scheduledtask") && has(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    #[test]
    fn known_by_its_name_alone() {
        for (line, expected) in [
            (r"schtasks /delete /tn Upd /f", true),
            (r#"schtasks.exe /Delete /F /TN "\Upd""#, true),
            (r"Unregister-ScheduledTask -TaskName 'upd' -Confirm:$false", true),
            (r"schtasks /delete /tn Upd2 /f", false),
            (r"schtasks /query /tn Upd", false),
        ] {
            let mut record = Record::new("powershell_history", Locator::Line(1));
            record.push("CommandLine", line);
            assert_eq!(weight(&record, r"\Upd").is_some(), expected, "{line}");
        }
    }
}
