//! Commands that take the agent away or end it: who types `del agent.exe` or `sc stop` has
//! started nothing, installed nothing and delivered nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Tool, path};
use crate::model::{Event, Hit, NO_TOOL, Record, Requirement, RowStage};

/// What a command line does to what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// It is no more, or starts no more.
    Removes,
    /// It runs no more.
    Ends,
}

/// Programs and words of PowerShell that remove, whatever they are told.
const REMOVERS: [&str; 21] = [
    "del",
    "disable-scheduledtask",
    "erase",
    "rd",
    "remove-ciminstance",
    "remove-item",
    "remove-itemproperty",
    "remove-service",
    "remove-wmiobject",
    "ri",
    "rm",
    "rmdir",
    "sdelete",
    "sdelete64",
    "shred",
    "srm",
    "uninstall-module",
    "uninstall-msiproduct",
    "uninstall-package",
    "unlink",
    "unregister-scheduledtask",
];
/// Those that end what runs.
const ENDERS: [&str; 11] = [
    "kill",
    "killall",
    "pkill",
    "spps",
    "spsv",
    "stop-process",
    "stop-scheduledtask",
    "stop-service",
    "suspend-service",
    "taskkill",
    "tskill",
];
/// Programs that do one thing or another, and the words by which they remove.
const REMOVE_WORDS: [(&str, &[&str]); 37] = [
    ("apk", &["del"]),
    ("apt", &["remove", "purge", "autoremove"]),
    ("apt-get", &["remove", "purge", "autoremove"]),
    ("aptitude", &["remove", "purge"]),
    ("brew", &["uninstall", "remove", "rm"]),
    ("cargo", &["uninstall"]),
    ("chkconfig", &["--del", "off"]),
    ("choco", &["uninstall"]),
    ("dnf", &["remove", "erase", "autoremove"]),
    ("docker", &["rm", "rmi"]),
    ("docker-compose", &["rm"]),
    ("dpkg", &["-r", "-p", "--remove", "--purge"]),
    ("find", &["-delete", "rm", "shred"]),
    ("flatpak", &["uninstall", "remove"]),
    ("launchctl", &["unload", "remove", "bootout", "disable"]),
    ("msiexec", &["/x", "-x", "/uninstall"]),
    ("npm", &["uninstall", "remove", "rm", "un", "unlink", "r"]),
    ("nssm", &["remove"]),
    ("pacman", &["-r", "-rs", "-rn", "-rns", "-rsn", "-rc", "-rcns", "--remove"]),
    ("pip", &["uninstall"]),
    ("pip3", &["uninstall"]),
    ("pipx", &["uninstall"]),
    ("podman", &["rm", "rmi"]),
    ("reg", &["delete"]),
    ("rpm", &["-e", "-ev", "-evh", "--erase"]),
    ("sc", &["delete", "disabled", "start=disabled"]),
    ("schtasks", &["/delete", "-delete", "/disable", "-disable"]),
    ("scoop", &["uninstall"]),
    ("set-service", &["disabled"]),
    ("snap", &["remove"]),
    ("systemctl", &["disable", "mask", "revert"]),
    ("update-rc.d", &["remove", "disable"]),
    ("rc-update", &["del", "delete"]),
    ("winget", &["uninstall", "remove", "rm"]),
    ("wmic", &["delete", "uninstall"]),
    ("yum", &["remove", "erase", "autoremove"]),
    ("zypper", &["remove", "rm"]),
];
/// And the words by which they end.
const END_WORDS: [(&str, &[&str]); 16] = [
    ("docker", &["stop", "kill", "down"]),
    ("docker-compose", &["stop", "kill", "down"]),
    ("launchctl", &["stop", "kill"]),
    ("net", &["stop"]),
    ("net1", &["stop"]),
    ("netsh", &["action=block"]),
    ("new-netfirewallrule", &["block"]),
    ("nssm", &["stop"]),
    ("podman", &["stop", "kill", "down"]),
    ("rc-service", &["stop"]),
    ("sc", &["stop"]),
    ("schtasks", &["/end", "-end"]),
    ("service", &["stop"]),
    ("set-service", &["stopped"]),
    ("systemctl", &["stop", "kill"]),
    ("wmic", &["terminate"]),
];
/// The first words of a tool's own command by which it takes itself away or ends itself.
const OWN_REMOVES: [&str; 7] =
    ["delete", "leave", "logout", "remove", "uninstall", "unregister", "unset"];
const OWN_ENDS: [&str; 6] = ["disconnect", "down", "kill", "shutdown", "stop", "terminate"];
/// What may stand before such a word.
const OWN_GROUPS: [&str; 2] = ["service", "tunnel"];
/// Programs that run a command, and words before one.
const RUN_BY: [&str; 18] = [
    "&",
    "bash",
    "cmd",
    "doas",
    "env",
    "if",
    "nohup",
    "powershell",
    "pwsh",
    "py",
    "python",
    "python3",
    "sh",
    "sudo",
    "time",
    "wsl",
    "xargs",
    "zsh",
];
/// Their options that take a value.
const RUN_BY_VALUED: [&str; 8] =
    ["-ep", "-ex", "-executionpolicy", "-u", "-user", "-w", "-windowstyle", "exist"];
/// Programs whose first word that is no option is what they do, and what may stand before it.
const FIRST_WORD: [&str; 9] =
    ["brew", "docker", "docker-compose", "launchctl", "npm", "podman", "scoop", "snap", "winget"];
const FIRST_GROUPS: [&str; 3] = ["compose", "container", "image"];
/// Their options that take a value.
const FIRST_VALUED: [&str; 4] = ["--file", "--project-name", "-f", "-h"];
/// What stands beside a removal and starts nothing.
const IDLE: [&str; 33] = [
    ":",
    "?",
    "attrib",
    "cd",
    "chmod",
    "choice",
    "clear",
    "cls",
    "echo",
    "exit",
    "find",
    "gci",
    "get-childitem",
    "get-ciminstance",
    "get-item",
    "get-process",
    "get-scheduledtask",
    "get-service",
    "get-wmiobject",
    "gps",
    "grep",
    "gwmi",
    "history",
    "ls",
    "pgrep",
    "ping",
    "ps",
    "sleep",
    "start-sleep",
    "timeout",
    "true",
    "where",
    "where-object",
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
    let told = format!(" ({does})");
    if !hit.message.ends_with(&told) {
        hit.message.push_str(&told);
    }
}

/// What a command line does, where all of it removes or ends; the former first.
pub fn of(line: &str) -> Option<Deed> {
    deeds(line, own_deed).into_iter().min()
}

/// All that a command line does, where all of it removes or ends; `own_deed` tells what a word
/// has any other program do to itself.
fn deeds(line: &str, own_deed: fn(&str) -> Option<Deed>) -> BTreeSet<Deed> {
    let line = without_redirections(line);
    let words = path::words(&line);
    let own = command_of(&words);
    // `cmd /c "del x.exe"`: a command as one word.
    if let [inner] = own
        && inner.contains(' ')
    {
        return if words.len() > 1 { deeds(inner, own_deed) } else { BTreeSet::new() };
    }
    let mut found = BTreeSet::new();
    for words in line.split([';', '|', '&', '\n']).map(path::words) {
        let Some((program, rest)) = command_of(&words).split_first() else { continue };
        let program = name_of(program);
        let mut rest: Vec<String> = rest.iter().map(|word| name_of(word)).collect();
        if FIRST_WORD.contains(&program.as_str()) {
            rest = first_word(rest, &FIRST_GROUPS).into_iter().collect();
        }
        let says = |known: &[(&str, &[&str])]| {
            known.iter().any(|(name, by)| {
                *name == program && rest.iter().any(|word| by.contains(&word.as_str()))
            })
        };
        let program = program.as_str();
        let deed = if REMOVERS.contains(&program) || says(&REMOVE_WORDS) {
            Some(Deed::Removes)
        } else if ENDERS.contains(&program) || says(&END_WORDS) {
            Some(Deed::Ends)
        } else if IDLE.contains(&program) {
            continue;
        } else {
            first_word(rest, &OWN_GROUPS).and_then(|word| own_deed(&word))
        };
        let Some(deed) = deed else { return BTreeSet::new() };
        found.insert(deed);
    }
    found
}

/// What that word has a tool do to itself.
fn own_deed(word: &str) -> Option<Deed> {
    let removes = OWN_REMOVES.contains(&word).then_some(Deed::Removes);
    removes.or(OWN_ENDS.contains(&word).then_some(Deed::Ends))
}

/// What a program is told to do: its first word that is no option and none of these groups.
fn first_word(words: Vec<String>, groups: &[&str]) -> Option<String> {
    let mut words = words.into_iter();
    loop {
        let word = words.next()?;
        if FIRST_VALUED.contains(&word.as_str()) {
            words.next();
        } else if !word.starts_with('-') && !groups.contains(&word.as_str()) {
            return Some(word);
        }
    }
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

/// Whether a command line ends what runs.
pub fn is_end(line: &str) -> bool {
    deeds(line, own_deed).contains(&Deed::Ends)
}

/// Whether all that shows a run of that tool in the event is a command of another program
/// that ends it: who writes `Stop-Process -Name agent` took it to run, perhaps in vain.
pub fn only_ends(event: &Event, tool: &str) -> bool {
    let by_other = |line: &str| deeds(line, |_| None).contains(&Deed::Ends);
    let is_run = |hit: &&Hit| &*hit.tool == tool && hit.stage == RowStage::Executed;
    let mut runs = event.hits.iter().filter(is_run).peekable();
    is_command(&event.record)
        && runs.peek().is_some()
        && (event.record.commands().next().is_some_and(by_other)
            || runs.all(|hit| hit.rule.ends_with("-ended")))
}

/// Whether the record is a command that ends or removes programs of that name, with its
/// ending or without: `taskkill /im agent.exe`, `Stop-Process -Name agent`, `del agent.exe`.
pub fn ends(record: &Record, tail: &str) -> bool {
    let own = stem(tail);
    let is_named = |line: &str| {
        let words = path::words(line);
        let parts = words.iter().flat_map(|word| word.split([' ', '\'', ',', '=', ';']));
        // With a folder it is the program of that folder.
        let bare = |word: &str| word.trim_start_matches(['.', '\\', '/']).to_lowercase();
        parts.map(bare).any(|word| !word.contains(['\\', '/']) && stem(&word) == own)
    };
    is_command(record) && record.commands().any(|line| of(line).is_some() && is_named(line))
}

/// What the screen must see of such a command beside the name.
pub fn requirement() -> Requirement {
    // Two letters stand in any text: with the blank behind them in fewer.
    let word = |word: &&str| match word.len() {
        2 => Requirement::Text(format!("{word} ")),
        _ => Requirement::Text((*word).to_owned()),
    };
    Requirement::Any(ENDERS.iter().chain(&REMOVERS).map(word).collect())
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
        "cron_run"
            | "process_creation"
            | "powershell_history"
            | "ps_engine"
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
            ("sudo apt-get -y purge ngrok", Some(Deed::Removes)),
            ("apt install ngrok", None),
            ("npm uninstall -g localtunnel", Some(Deed::Removes)),
            ("npm install -g localtunnel", None),
            ("npm run rm", None),
            ("python3 -m pip uninstall -y pyngrok", Some(Deed::Removes)),
            ("python3 tunnel.py", None),
            ("choco uninstall ngrok -y", Some(Deed::Removes)),
            ("sudo pacman -Rns frpc", Some(Deed::Removes)),
            ("rpm -ivh ngrok.rpm", None),
            ("docker compose -f /opt/ngrok/compose.yml down", Some(Deed::Ends)),
            ("docker compose -f /opt/ngrok/compose.yml up -d", None),
            ("docker container rm -f ngrok", Some(Deed::Removes)),
            ("find / -name ngrok -delete", Some(Deed::Removes)),
            (r"find / -name ngrok -exec rm -f {} \;", Some(Deed::Removes)),
            ("find / -name ngrok", None),
            ("find . -name 'frpc*' | xargs rm -rf", Some(Deed::Removes)),
            ("kill -9 $(pgrep ngrok)", Some(Deed::Ends)),
            ("Get-Process ngrok | Stop-Process -Force", Some(Deed::Ends)),
            ("Get-Process ngrok", None),
            (r"if exist C:\x\ngrok.exe del /f C:\x\ngrok.exe", Some(Deed::Removes)),
            ("sc config ngrok start= disabled", Some(Deed::Removes)),
            ("sc config ngrok start= auto", None),
            ("schtasks /end /tn Upd", Some(Deed::Ends)),
            ("schtasks /change /tn Upd /disable", Some(Deed::Removes)),
            ("Set-Service -Name ngrok -StartupType Disabled", Some(Deed::Removes)),
            (r"C:\x\ngrok.exe service uninstall", Some(Deed::Removes)),
            ("cloudflared service stop", Some(Deed::Ends)),
            ("cloudflared tunnel run stop", None),
            ("tailscale down", Some(Deed::Ends)),
            ("tailscale up", None),
            ("wmic service where name='x' delete", Some(Deed::Removes)),
            ("wmic process call create ngrok", None),
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
            ("cmd /c del /f wupd.exe", true),
            (r"Remove-Item .\wupd.exe", true),
            (r"del C:\other\wupd.exe", false),
            ("del wupd.log", false),
        ] {
            let mut record = Record::new("process_creation", Locator::Record(1));
            record.push("CommandLine", line);
            assert_eq!(ends(&record, r"\perflogs\wupd.exe"), expected, "{line}");
        }
    }
}
