//! Commands that take the agent away or end it: who types `del agent.exe` or `sc stop` has
//! started nothing, installed nothing and delivered nothing.

use std::fmt::Write as _;

use super::{Tool, path};
use crate::model::{Event, Hit, NO_TOOL, Record, Requirement, RowStage};

/// What a command line does to what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It is no more, or starts no more.
    Removes,
    /// It runs no more.
    Ends,
}

/// Programs and words of PowerShell that remove, whatever they are told.
const REMOVERS: [&str; 15] = [
    "del",
    "erase",
    "rd",
    "remove-item",
    "remove-itemproperty",
    "remove-service",
    "ri",
    "rm",
    "rmdir",
    "sdelete",
    "sdelete64",
    "shred",
    "srm",
    "unlink",
    "unregister-scheduledtask",
];
/// Those that end what runs.
const ENDERS: [&str; 7] =
    ["killall", "pkill", "spps", "stop-process", "stop-service", "taskkill", "tskill"];
/// Programs that do one thing or another, and the words by which they remove.
const REMOVE_WORDS: [(&str, &[&str]); 11] = [
    ("chkconfig", &["--del", "off"]),
    ("docker", &["rm", "rmi"]),
    ("launchctl", &["unload", "remove", "bootout", "disable"]),
    ("nssm", &["remove"]),
    ("podman", &["rm", "rmi"]),
    ("reg", &["delete"]),
    ("sc", &["delete"]),
    ("schtasks", &["/delete", "-delete"]),
    ("systemctl", &["disable", "mask", "revert"]),
    ("update-rc.d", &["remove", "disable"]),
    ("rc-update", &["del", "delete"]),
];
/// And the words by which they end.
const END_WORDS: [(&str, &[&str]); 11] = [
    ("docker", &["stop", "kill"]),
    ("net", &["stop"]),
    ("net1", &["stop"]),
    ("netsh", &["action=block"]),
    ("new-netfirewallrule", &["block"]),
    ("nssm", &["stop"]),
    ("podman", &["stop", "kill"]),
    ("rc-service", &["stop"]),
    ("sc", &["stop"]),
    ("service", &["stop"]),
    ("systemctl", &["stop", "kill"]),
];
/// Programs that run a command, and words before one.
const RUN_BY: [&str; 12] =
    ["&", "bash", "cmd", "doas", "env", "nohup", "powershell", "pwsh", "sh", "sudo", "time", "wsl"];
/// Their options that take a value.
const RUN_BY_VALUED: [&str; 7] =
    ["-ep", "-ex", "-executionpolicy", "-u", "-user", "-w", "-windowstyle"];
/// Programs whose first word that is no option is what they do.
const FIRST_WORD: [&str; 2] = ["docker", "podman"];
/// What stands beside a removal and starts nothing.
const IDLE: [&str; 14] = [
    ":",
    "cd",
    "choice",
    "clear",
    "cls",
    "echo",
    "exit",
    "history",
    "ls",
    "ping",
    "sleep",
    "start-sleep",
    "timeout",
    "true",
];
/// Hits below this score merely name the tool.
const MENTION: u8 = 20;
/// What a removal weighs, and one of which nothing else is known.
const WEIGHT: u8 = 45;
const LONE: u8 = 30;

/// Gives hits on commands that remove or end the stage of what they did; where nothing else
/// of their tool is known, whoever hunts for it types the same.
pub fn restage(events: &mut [Event], tools: &[Tool]) {
    let deeds: Vec<Option<Deed>> = events.iter().map(deed_of).collect();
    for (event, deed) in events.iter_mut().zip(&deeds) {
        if let Some(deed) = deed {
            event.hits.iter_mut().filter(|hit| is_start(hit)).for_each(|hit| stage(hit, *deed));
        }
    }
    for tool in tools.iter().filter(|tool| &*tool.id != NO_TOOL) {
        let mine = |hit: &Hit| hit.tool == tool.id && hit.score > LONE;
        let known =
            |(event, deed): (&Event, &Option<Deed>)| deed.is_none() && event.hits.iter().any(mine);
        if events.iter().zip(&deeds).any(known) {
            continue;
        }
        for hit in events.iter_mut().flat_map(|event| &mut event.hits).filter(|hit| mine(hit)) {
            hit.score = LONE;
            let _ = write!(hit.message, "; nothing else of {} is known here", tool.id);
        }
    }
}

/// What the event's command does, if it bears any hit of a tool.
fn deed_of(event: &Event) -> Option<Deed> {
    let is_asked = is_command(&event.record) && event.hits.iter().any(|hit| &*hit.tool != NO_TOOL);
    event.record.commands().next().filter(|_| is_asked).and_then(of)
}

/// Whether a hit takes its event for a run, a set-up or a delivery.
fn is_start(hit: &Hit) -> bool {
    let starts = matches!(
        hit.stage,
        RowStage::Executed | RowStage::Persisted | RowStage::Delivered | RowStage::Context
    );
    starts && &*hit.tool != NO_TOOL && hit.score >= MENTION
}

fn stage(hit: &mut Hit, deed: Deed) {
    let (stage, does) = match deed {
        Deed::Removes => (RowStage::CleanedUp, "takes it away"),
        Deed::Ends => (RowStage::Executed, "ends it"),
    };
    (hit.stage, hit.score) = (stage, hit.score.max(WEIGHT));
    let _ = write!(hit.message, " ({does})");
}

/// What a command line does, where all of it removes or ends.
pub fn of(line: &str) -> Option<Deed> {
    let line = without_redirections(line);
    let words = path::words(&line);
    let own = command_of(&words);
    // `cmd /c "del x.exe"`: a command as one word.
    if let [inner] = own
        && inner.contains(' ')
    {
        return if words.len() > 1 { of(inner) } else { None };
    }
    let mut found = None;
    for words in line.split([';', '|', '&', '\n']).map(path::words) {
        let Some((program, rest)) = command_of(&words).split_first() else { continue };
        let program = name_of(program);
        let mut rest: Vec<String> = rest.iter().map(|word| name_of(word)).collect();
        if FIRST_WORD.contains(&program.as_str()) {
            rest = rest.into_iter().find(|word| !word.starts_with('-')).into_iter().collect();
        }
        let says = |known: &[(&str, &[&str])]| {
            known.iter().any(|(name, by)| {
                *name == program && rest.iter().any(|word| by.contains(&word.as_str()))
            })
        };
        match program.as_str() {
            p if REMOVERS.contains(&p) || says(&REMOVE_WORDS) => found = Some(Deed::Removes),
            p if ENDERS.contains(&p) || says(&END_WORDS) => {
                found = found.or(Some(Deed::Ends));
            }
            p if IDLE.contains(&p) => {}
            _ => return None,
        }
    }
    found
}

/// The words of a command from its own program on: behind what runs it, with its options.
fn command_of(words: &[String]) -> &[String] {
    let mut at = 0usize;
    let mut is_run = false;
    while let Some(word) = words.get(at).map(|word| name_of(word)) {
        let is_option = is_run && (word.starts_with('-') || word.starts_with('/'));
        let is_set = is_run && word.contains('=');
        if RUN_BY_VALUED.contains(&word.as_str()) && is_run {
            at = at.saturating_add(1);
        } else if RUN_BY.contains(&word.as_str()) {
            is_run = true;
        } else if !word.is_empty() && !is_option && !is_set {
            break;
        }
        at = at.saturating_add(1);
    }
    words.get(at..).unwrap_or_default()
}

/// A line without `2>&1`, `>nul`, `&> /dev/null` and the like.
fn without_redirections(line: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut words = line.split(' ');
    while let Some(word) = words.next() {
        let sign = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
        match sign.strip_prefix('>').map(|rest| rest.trim_start_matches('>')) {
            Some("") => drop(words.next()),
            Some(_) => {}
            None => kept.push(word),
        }
    }
    kept.join(" ")
}

/// Whether the record is a command that ends programs of that name, with its ending or
/// without: `taskkill /im agent.exe`, `Stop-Process -Name agent`.
pub fn ends(record: &Record, tail: &str) -> bool {
    let own = stem(tail);
    let is_named = |line: &str| {
        let words = path::words(line);
        let mut parts = words.iter().flat_map(|word| word.split([' ', '\'', ',', '=', ';']));
        parts.any(|word| stem(&path::base_name(word).to_lowercase()) == own)
    };
    is_command(record) && record.commands().any(|line| of(line).is_some() && is_named(line))
}

/// What the screen must see of such a command beside the name.
pub fn requirement() -> Requirement {
    Requirement::Any(ENDERS.iter().map(|word| Requirement::Text((*word).to_owned())).collect())
}

/// A program's file name without its ending, from its [`path::tail`].
pub fn stem(tail: &str) -> &str {
    let name = path::base_name(tail);
    name.strip_suffix(".exe").unwrap_or(name)
}

/// Whether the record is of a command that was typed, or started.
fn is_command(record: &Record) -> bool {
    matches!(
        record.category,
        "process_creation"
            | "powershell_history"
            | "ps_script"
            | "run_dialog"
            | "shell_history"
            | "sudo"
    )
}

/// A word's last part, lower case, without what sets it apart and without `.exe`.
fn name_of(word: &str) -> String {
    let word = word.trim_matches(['\'', '(', ')', '{', '}']).trim_start_matches('@');
    let name = path::base_name(word).to_lowercase();
    // `/c` is an option.
    let is_option = word.strip_prefix('/').is_some_and(|rest| !rest.contains('/'));
    let name = if is_option { word.to_lowercase() } else { name };
    name.strip_suffix(".exe").unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    #[test]
    fn what_a_command_does() {
        for (line, expected) in [
            ("rm -f /usr/local/bin/ngrok", Some(Deed::Removes)),
            ("sudo shred -u /usr/local/bin/ngrok && history -c", Some(Deed::Removes)),
            (r"cmd /c del /f /q C:\PerfLogs\wupd.exe", Some(Deed::Removes)),
            (r#"cmd.exe /c "del C:\x.exe""#, Some(Deed::Removes)),
            (r#"powershell -c "Stop-Process -Name x; Remove-Item C:\x.exe""#, Some(Deed::Removes)),
            ("Remove-Item C:\\PerfLogs\\wupd.exe", Some(Deed::Removes)),
            ("sc.exe delete WUpd", Some(Deed::Removes)),
            (r"C:\Windows\System32\sc.exe stop WUpd", Some(Deed::Ends)),
            ("sudo systemctl stop ngrok", Some(Deed::Ends)),
            ("systemctl stop ngrok; systemctl disable ngrok", Some(Deed::Removes)),
            ("systemctl restart ngrok", None),
            ("taskkill /f /im wupd.exe", Some(Deed::Ends)),
            ("pkill ngrok; ngrok tcp 22", None),
            ("rm old.log && ngrok tcp 22", None),
            ("ngrok tcp 22", None),
            ("docker rm -f ngrok", Some(Deed::Removes)),
            ("docker run --rm ngrok/ngrok", None),
            ("schtasks /delete /tn Upd /f", Some(Deed::Removes)),
            ("cd /tmp", None),
            ("rm -f /usr/local/bin/ngrok 2>&1", Some(Deed::Removes)),
            ("sc delete X >nul 2>&1", Some(Deed::Removes)),
            ("rm -f x &> /dev/null || true", Some(Deed::Removes)),
            (r"cmd /c ping 127.0.0.1 -n 3 >nul & del C:\x.exe", Some(Deed::Removes)),
            ("Stop-Process -Name x; Start-Sleep 2; Remove-Item x", Some(Deed::Removes)),
            (r#"powershell -nop -ep bypass -c "Remove-Item C:\x""#, Some(Deed::Removes)),
            ("sudo -u root rm /usr/bin/x", Some(Deed::Removes)),
            ("docker exec web rm /x", None),
            ("docker run --name a img rm", None),
            ("sudo ngrok tcp 22", None),
            (r"New-NetFirewallRule -Program C:\x\ngrok.exe -Action Block", Some(Deed::Ends)),
            (r"New-NetFirewallRule -Program C:\x\ngrok.exe -Action Allow", None),
        ] {
            assert_eq!(of(line), expected, "{line}");
        }
    }

    #[test]
    fn who_ends_a_program_gives_its_name_alone() {
        for (line, expected) in [
            ("taskkill /f /im WUPD.exe", true),
            ("Stop-Process -Name wupd -Force", true),
            ("taskkill /im wupdate.exe", false),
            ("tasklist /fi wupd.exe", false),
        ] {
            let mut record = Record::new("process_creation", Locator::Record(1));
            record.push("CommandLine", line);
            assert_eq!(ends(&record, r"\perflogs\wupd.exe"), expected, "{line}");
        }
    }
}
