//! What a shell would make of a record's commands: fields that rules may ask for beside
//! the source's own. Each has one value for each command, its words with one blank between
//! them, free of quotes, of comments and of the commas by which PowerShell parts
//! `-ArgumentList`.
//!
//! * `CommandWords`: what is run here and now.
//! * `SetupWords`: what a task, service or key is told to run, and who tells it.
//! * `RemoteWords`: what is run on another host.
//! * `ActiveWords`: all of these; what only searches texts for a command runs none.
//! * `RemoteForward`: what an ssh client is told to listen to at its server ([`ssh`]).

mod ssh;
mod words;

use self::words::commands;
use crate::model::{COMMAND_FIELDS, Record, Value};

/// Fields that hold commands among other things.
const AROUND: &[&str] = &["TaskContent"];
/// Programs that only look for texts, or say them.
const SEARCHES: &[&str] = &[
    "findstr",
    "find",
    "grep",
    "egrep",
    "fgrep",
    "zgrep",
    "rg",
    "ack",
    "select-string",
    "sls",
    "wevtutil",
    "get-winevent",
    "get-eventlog",
    "journalctl",
    "write-host",
    "write-output",
];
/// PowerShell's comparisons with a text.
const COMPARES: &[&str] =
    &["-match", "-notmatch", "-imatch", "-cmatch", "-like", "-notlike", "-eq", "-ne", "-contains"];
/// Words by which a search does something to what it finds.
const ACTS: &[&str] = &["-delete", "-exec", "-execdir", "-ok"];
/// Programs that run what follows, and words around it.
const WRAPPERS: &[&str] = &[
    "sudo",
    "doas",
    "nohup",
    "exec",
    "setsid",
    "env",
    "nice",
    "time",
    "start",
    "call",
    "cmd",
    "powershell",
    "pwsh",
    "conhost",
    "xargs",
    "command",
];
/// Commands that have something run later: a program, and the words that make it so.
const SETUPS: &[(&str, &[&str])] = &[
    ("schtasks", &["/create", "-create", "/change", "-change"]),
    ("reg", &["add"]),
    ("sc", &["create", "config", "failure"]),
    ("nssm", &["install", "set"]),
    ("nssm64", &["install", "set"]),
    ("at", &[]),
    ("new-service", &[]),
    ("set-service", &[]),
    ("set-itemproperty", &[]),
    ("new-itemproperty", &[]),
    ("register-scheduledtask", &[]),
    ("new-scheduledtaskaction", &[]),
];
/// Programs that run something on the host that one of their words, or a word's beginning
/// up to a colon or backslash, names.
const REMOTES: &[(&str, &str)] = &[
    ("wmic", "/node:"),
    ("psexec", r"\\"),
    ("psexec64", r"\\"),
    ("paexec", r"\\"),
    ("winrs", "-r:"),
    ("winrs", "/r:"),
    ("invoke-command", "-computername"),
    ("schtasks", "/s"),
];
/// What becomes of the words of a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Run,
    SetUp,
    Remote,
    Search,
}

/// The values of one of the fields above, in the order of the commands; `None` if the
/// record's commands give none or the name is another.
pub(super) fn field(record: &Record, name: &str) -> Option<Vec<String>> {
    let read: fn(&str) -> Vec<String> = match name {
        "CommandWords" => |text| words_of(text, |deed| deed == Deed::Run),
        "SetupWords" => |text| words_of(text, |deed| deed == Deed::SetUp),
        "RemoteWords" => |text| words_of(text, |deed| deed == Deed::Remote),
        "ActiveWords" => |text| words_of(text, |deed| deed != Deed::Search),
        "RemoteForward" => ssh::remote_forwards,
        _ => return None,
    };
    let all: Vec<String> = record.commands().flat_map(read).collect();
    (!all.is_empty()).then_some(all)
}

/// The record with what its encoded command says in its place; `None` if it has none.
pub(super) fn in_clear(record: &Record) -> Option<Record> {
    let clear = record.text("DecodedCommand")?.to_owned();
    let mut record = record.clone();
    for (name, value) in &mut record.fields {
        let is_command = COMMAND_FIELDS.contains(&&**name) || AROUND.contains(&&**name);
        let encoded = |text: &str| {
            let text = text.to_ascii_lowercase();
            text.contains(" -e") || text.contains(" /e")
        };
        if is_command && value.as_text().is_some_and(encoded) {
            *value = Value::Text(clear.clone());
        }
    }
    Some(record)
}

fn words_of(text: &str, wanted: fn(Deed) -> bool) -> Vec<String> {
    let commands = commands(text).into_iter();
    commands.filter(|words| wanted(deed_of(words))).map(|words| words.join(" ")).collect()
}

/// What the first of the words that is no wrapper makes of the others.
fn deed_of(words: &[String]) -> Deed {
    let mut names = words.iter().map(|word| program_name(word));
    let is_around = |name: &String| {
        WRAPPERS.contains(&name.as_str()) || name.starts_with('-') || name.contains('=')
    };
    // `/c` has the name `c`.
    let verb = names.find(|name| !is_around(name) && name.len() > 1).unwrap_or_default();
    let has = |wanted: &[&str]| {
        wanted.is_empty() || words.iter().any(|w| wanted.contains(&w.to_ascii_lowercase().as_str()))
    };
    let names_host = |start: &str| {
        let is_whole = !start.ends_with([':', '\\']);
        words
            .iter()
            .map(|word| word.to_ascii_lowercase())
            .any(|word| word.strip_prefix(start).is_some_and(|rest| !is_whole || rest.is_empty()))
    };
    let compares = words.iter().any(|w| COMPARES.contains(&w.to_ascii_lowercase().as_str()));
    if compares || SEARCHES.contains(&verb.as_str()) && !has(ACTS) {
        Deed::Search
    } else if REMOTES.iter().any(|(name, start)| *name == verb && names_host(start)) {
        Deed::Remote
    } else if SETUPS.iter().any(|(name, wanted)| *name == verb && has(wanted)) {
        Deed::SetUp
    } else {
        Deed::Run
    }
}

/// The last part of a program's path, in lower case and without `.exe`.
fn program_name(word: &str) -> String {
    let word = word.to_ascii_lowercase();
    // A command in quotes, or a path with blanks.
    let first = word.split_whitespace().next().filter(|_| !word.ends_with(".exe"));
    let path = first.unwrap_or(&word);
    let name = path.rsplit(['\\', '/']).next().unwrap_or(path);
    name.strip_suffix(".exe").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    fn check(name: &str, command: &str, expected: &str) {
        let mut record = Record::new("command", Locator::Line(1));
        record.push("CommandLine", command);
        assert_eq!(field(&record, name).unwrap_or_default().join("\n"), expected, "{command}");
    }

    #[test]
    fn words() {
        for (command, expected) in [
            ("a 'b c' \"d\"", "a b c d"),
            (
                "Start-Process x -ArgumentList 'client',\"R:socks\"",
                "Start-Process x -ArgumentList client R:socks",
            ),
            ("& 'x' @('a', 'b'); y", "x a b\ny"),
            ("x 80,443 ${A} { y }", "x 80,443 ${A}\ny"),
            ("", ""),
            ("don't\n\"a b\" 'c'", "don't\na b c"),
        ] {
            check("CommandWords", command, expected);
        }
        for (command, run, set_up, remote) in [
            ("findstr /i \"-connect x\" y", "", "", ""),
            ("dir | Select-String 'a|b' # c", "dir", "", ""),
            ("# ssh -R 80:localhost:3389 h", "", "", ""),
            ("reg add HKCU\\Run /d \"x -c\"", "", "reg add HKCU\\Run /d x -c", ""),
            ("cmd /c schtasks /create /tr x", "", "cmd /c schtasks /create /tr x", ""),
            ("? { $_.Message -match 'client x R:socks' }", "?", "", ""),
            (
                "schtasks /create /sc onlogon /s h /tr x",
                "",
                "",
                "schtasks /create /sc onlogon /s h /tr x",
            ),
            ("schtasks /query /tn x", "schtasks /query /tn x", "", ""),
            ("wmic /node:h process call create x", "", "", "wmic /node:h process call create x"),
            ("wmic process call create x", "wmic process call create x", "", ""),
            ("PsExec64.exe \\\\h x", "", "", "PsExec64.exe \\\\h x"),
        ] {
            check("CommandWords", command, run);
            check("SetupWords", command, set_up);
            check("RemoteWords", command, remote);
        }
    }
}
