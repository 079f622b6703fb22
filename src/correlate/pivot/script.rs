//! What other sources say of a script that runs the agent.

use super::{Weight, any_text, is_editor};
use crate::correlate::path;
use crate::model::{Record, RowStage};

/// What a record that names the script with this [`path::tail`] is worth.
pub(super) fn weight(record: &Record, tail: &str) -> Option<Weight> {
    if !any_text(record, |text| path::mentions(text, tail)) {
        return None;
    }
    Some(match record.category {
        "run_key" | "startup_shortcut" | "startup_script" | "service" | "service_install"
        | "task" | "task_file" | "wmi_event" | "wmi_consumer" | "service_file" | "systemd_unit"
        | "launchd" | "cron" | "rc_script" | "shell_profile" | "desktop_autostart" => {
            (RowStage::Persisted, 65, "starts a script that runs the agent")
        }
        "process_creation" if is_editor(record) || handles_files(record) => {
            (RowStage::Context, 20, "names a script that runs the agent")
        }
        "process_creation" => (RowStage::Executed, 50, "ran a script that runs the agent"),
        "powershell_history" | "shell_history" | "run_dialog" | "sudo" | "cron_run" => {
            (RowStage::Executed, 40, "somebody typed the name of a script that runs the agent")
        }
        "script" => (RowStage::Configured, 40, "calls a script that runs the agent"),
        "file_delete" | "recycled" => {
            (RowStage::CleanedUp, 40, "a script that runs the agent was deleted")
        }
        _ => (RowStage::Context, 20, "names a script that runs the agent"),
    })
}

/// Whether a command copies, shows or removes files, and runs none.
fn handles_files(record: &Record) -> bool {
    const HANDLERS: [&str; 20] = [
        "attrib",
        "cat",
        "chmod",
        "chown",
        "copy",
        "cp",
        "del",
        "erase",
        "fc",
        "icacls",
        "ls",
        "move",
        "mv",
        "rm",
        "ren",
        "rename",
        "sha256sum",
        "takeown",
        "touch",
        "type",
    ];
    let line = record.text("CommandLine").unwrap_or_default();
    path::words(line).iter().any(|word| {
        let name = path::base_name(word).to_ascii_lowercase();
        HANDLERS.contains(&name.strip_suffix(".exe").unwrap_or(&name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    #[test]
    fn known_by_its_path_alone() {
        let tail = path::tail(r"C:\ProgramData\u\upd.bat");
        for (category, text, expected) in [
            ("run_key", r#"cmd /c "C:\ProgramData\u\upd.bat""#, Some(RowStage::Persisted)),
            ("run_key", r"C:\ProgramData\u\upd.bat.old", None),
            ("run_key", r"C:\Other\upd.bat", None),
            ("script", r"call C:\ProgramData\u\UPD.BAT", Some(RowStage::Configured)),
            ("process_creation", r"cmd /c C:\ProgramData\u\upd.bat", Some(RowStage::Executed)),
            ("process_creation", r"cmd /c del C:\ProgramData\u\upd.bat", Some(RowStage::Context)),
            ("prefetch", r"C:\ProgramData\u\upd.bat", Some(RowStage::Context)),
        ] {
            let mut record = Record::new(category, Locator::Line(1));
            record.push("CommandLine", text);
            assert_eq!(weight(&record, &tail).map(|(stage, ..)| stage), expected, "{text}");
        }
    }
}
