//! What other sources say of a service that was found to be the agent's.

use super::Weight;
use crate::correlate::path;
use crate::model::{Record, RowStage};

/// States by which a service has not run.
const UNSTARTED: [&str; 3] = ["failed to start", "did not answer in time", "start type changed"];

/// What a record that speaks of the agent's service of that name is worth.
pub(super) fn weight(record: &Record, name: &str) -> Option<Weight> {
    let own = stem(name);
    let is_named = |text: &str| stem(text).eq_ignore_ascii_case(own);
    match record.category {
        "service" | "service_install" => record
            .text("ServiceName")
            .is_some_and(is_named)
            .then_some((RowStage::Persisted, 70, "the agent's service")),
        "service_state" => {
            record.text("ServiceName").is_some_and(is_named).then(|| match record.text("State") {
                Some(state) if UNSTARTED.contains(&state) => {
                    (RowStage::Context, 25, "the agent's service, which did not start by that")
                }
                _ => (RowStage::Executed, 40, "the agent's service"),
            })
        }
        "journal" | "syslog" => {
            let of_unit = record.text("Unit").is_some_and(is_named);
            (of_unit || record.text("Message").is_some_and(|text| told_by_systemd(text, own)))
                .then_some((RowStage::Executed, 40, "a line of the agent's service"))
        }
        "process_creation" | "shell_history" | "powershell_history" | "run_dialog" | "sudo"
        | "cron_run" => record
            .text("CommandLine")
            .is_some_and(|line| handles_service(line, is_named))
            .then_some((RowStage::Persisted, 45, "handles the agent's service")),
        _ => None,
    }
}

/// A service's name without systemd's ending.
pub(super) fn stem(name: &str) -> &str {
    name.strip_suffix(".service").unwrap_or(name)
}

/// Whether systemd says that it starts or stops the unit (systemd 249 and later name it).
fn told_by_systemd(message: &str, stem: &str) -> bool {
    const ACTS: [&str; 6] = ["Started", "Starting", "Stopped", "Stopping", "Reloading", "Reloaded"];
    let mut words = message.split_whitespace().map(|word| word.trim_end_matches(['.', ':']));
    let first = words.next().unwrap_or_default();
    let unit = |word: &str| word.strip_suffix(".service").is_some_and(|word| word == stem);
    // `x.service: Main process exited, …`
    unit(first) || ACTS.contains(&first) && words.next().is_some_and(unit)
}

/// Whether a command line has a service manager act on a service of that name.
fn handles_service(line: &str, is_named: impl Fn(&str) -> bool) -> bool {
    const MANAGERS: [&str; 11] = [
        "systemctl",
        "service",
        "rc-service",
        "update-rc.d",
        "chkconfig",
        "sc",
        "net",
        "nssm",
        "start-service",
        "stop-service",
        "remove-service",
    ];
    const LOOKS: [&str; 7] = ["status", "is-active", "is-enabled", "cat", "show", "query", "list"];
    let words = path::words(line);
    let lower = |word: &String| path::base_name(word).to_ascii_lowercase();
    let is_manager = |word: &String| {
        let name = lower(word);
        MANAGERS.contains(&name.strip_suffix(".exe").unwrap_or(&name))
    };
    let Some(manager) = words.iter().position(is_manager) else { return false };
    let of_it = words.get(manager.saturating_add(1)..).unwrap_or_default();
    of_it.iter().any(|word| is_named(word.trim_matches(['\'', ';'])))
        && !of_it.iter().any(|word| LOOKS.contains(&lower(word).as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    #[test]
    fn known_by_its_name_alone() {
        let unit = "kworkerd.service";
        for (category, field, text, expected) in [
            ("journal", "Unit", "kworkerd.service", Some(40)),
            ("journal", "Unit", "kworker.service", None),
            ("syslog", "Message", "Started kworkerd.service - Kernel worker.", Some(40)),
            ("syslog", "Message", "kworkerd.service: Failed with result 'exit-code'.", Some(40)),
            ("syslog", "Message", "Started a mail about kworkerd.service", None),
            ("shell_history", "CommandLine", "sudo systemctl enable --now kworkerd", Some(45)),
            ("shell_history", "CommandLine", "systemctl status kworkerd", None),
            ("shell_history", "CommandLine", "vi kworkerd.service", None),
            (
                "powershell_history",
                "CommandLine",
                r#"C:\Windows\system32\sc.exe stop "KWorkerD""#,
                Some(45),
            ),
            ("service_state", "ServiceName", "kworkerd", Some(40)),
            ("hosts_file", "CommandLine", "systemctl stop kworkerd", None),
        ] {
            let mut record = Record::new(category, Locator::Line(1));
            record.push(field, text);
            assert_eq!(weight(&record, unit).map(|(_, score, _)| score), expected, "{text}");
        }
    }
}
