//! What a shell would make of a record's commands: fields that rules may ask for beside
//! the source's own. Each has one value for each command, its words with one blank between
//! them, free of quotes, of comments and of the commas by which PowerShell parts
//! `-ArgumentList`.
//!
//! * `CommandWords`: what is run here and now.
//! * `SetupWords`: what a task, service or key is told to run, and who tells it.
//! * `RemoteWords`: what is run on another host.
//! * `ActiveWords`: all of these; what only searches texts for a command runs none.
//! * `RemoteForward`: what an ssh client is told to listen to at its server, by `-R` or
//!   `-o RemoteForward`. Options are read as ssh(1) and PuTTY's manual (3.8, 3.11) have
//!   them: up to the second word that is none, where the remote command begins.

use crate::model::{Record, Value};

/// Fields that hold commands.
const COMMANDS: &[&str] = &[
    "CommandLine",
    "ImagePath",
    "ServiceFileName",
    "Wrapped",
    "Details",
    "TaskCommand",
    "HostApplication",
    "ScriptBlockText",
    "AppParameters",
    "FailureCommand",
];
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
/// Programs that take ssh's options.
const CLIENTS: &[&str] = &["ssh", "autossh", "plink", "klink", "kitty", "putty"];
/// Options of ssh that take nothing.
const FLAGS: &str = "46AaCfGgKkMNnqsTtVvXxYy12";
/// Options of ssh, autossh and PuTTY that take a value, `R` aside.
const VALUED: &str = "BbcDEeFIiJLlmOoPpQSWw";
/// PuTTY's longer options that take nothing.
const PUTTY_FLAGS: &[&str] = &[
    "-ssh",
    "-batch",
    "-agent",
    "-noagent",
    "-share",
    "-noshare",
    "-legacy-stdio-prompts",
    "-no-antispoof",
    "-no-trivial-auth",
    "-restrict-acl",
];
/// PuTTY's longer options that take a value.
const PUTTY_VALUED: &[&str] = &[
    "-pw",
    "-pwfile",
    "-hostkey",
    "-load",
    "-proxycmd",
    "-sshlog",
    "-sshrawlog",
    "-logoverwrite",
    "-nc",
    "-cert",
];
/// PowerShell's name for the list of arguments that follows, and its short forms.
const ARGUMENT_LIST: &[&str] = &["-argumentlist", "-args"];
/// How deep commands within words of commands are read (`sh -c "…"`).
const MAX_DEPTH: usize = 3;

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
        "RemoteForward" => |text| remote_forwards(text, 0),
        _ => return None,
    };
    let texts = COMMANDS.iter().filter_map(|field| record.value(field)).flat_map(texts);
    let all: Vec<String> = texts.flat_map(|text| read(text)).collect();
    (!all.is_empty()).then_some(all)
}

/// The record with what its encoded command says in its place; `None` if it has none.
pub(super) fn in_clear(record: &Record) -> Option<Record> {
    let clear = record.text("DecodedCommand")?.to_owned();
    let mut record = record.clone();
    for (name, value) in &mut record.fields {
        let is_command = COMMANDS.contains(&&**name) || AROUND.contains(&&**name);
        let encoded =
            |text: &str| text.contains("-e") || text.contains("-E") || text.contains("/e");
        if is_command && value.as_text().is_some_and(encoded) {
            *value = Value::Text(clear.clone());
        }
    }
    Some(record)
}

fn texts(value: &Value) -> &[String] {
    match value {
        Value::Text(text) => std::slice::from_ref(text),
        Value::List(all) => all,
        Value::Number(_) => &[],
    }
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
    if compares || SEARCHES.contains(&verb.as_str()) {
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

/// The words of each command of the text, in its order; none is empty.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices().peekable();
    // A comma parts words where a quote or a blank stands beside it.
    let mut after_quote = false;
    let mut in_variable = false;
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let closed = std::mem::take(&mut after_quote);
        if let Some(open) = quote {
            if c == open {
                quote = None;
                after_quote = true;
            } else {
                word.push(c);
            }
            continue;
        }
        // A comment goes on to the end of its line.
        if c == '#' && word.is_empty() {
            while chars.peek().is_some_and(|(_, c)| *c != '\n') {
                chars.next();
            }
            continue;
        }
        let ends_command = match c {
            '"' | '\'' if is_closed(text.get(at..).unwrap_or_default(), c) => {
                quote = Some(c);
                continue;
            }
            ';' | '|' | '&' | '\n' | '\r' | ')' => true,
            '{' if word.ends_with('$') => {
                in_variable = true;
                false
            }
            '}' if in_variable => {
                in_variable = false;
                false
            }
            '{' | '}' => true,
            _ => false,
        };
        let parts = match c {
            ',' => closed || next.is_none_or(|n| n.is_whitespace() || matches!(n, '"' | '\'')),
            '(' => true,
            c => c.is_whitespace(),
        };
        if !(ends_command || parts) {
            word.push(c);
            continue;
        }
        if c == '(' && word == "@" {
            word.clear();
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if ends_command && !words.is_empty() {
            all.push(std::mem::take(&mut words));
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    if !words.is_empty() {
        all.push(words);
    }
    all
}

/// Whether the quote that the text begins with ends in its line; if not, it is an apostrophe.
fn is_closed(text: &str, quote: char) -> bool {
    text.chars().skip(1).take_while(|c| *c != '\n').any(|c| c == quote)
}

/// What the clients among the text's commands are told to forward.
fn remote_forwards(text: &str, depth: usize) -> Vec<String> {
    let mut all = Vec::new();
    for words in commands(text) {
        let Some(client) = words.iter().position(|word| is_client(word)) else {
            if depth < MAX_DEPTH {
                let inner = words.iter().filter(|word| word.contains(char::is_whitespace));
                all.extend(inner.flat_map(|word| remote_forwards(word, depth.saturating_add(1))));
            }
            continue;
        };
        all.extend(of_client(words.get(client.saturating_add(1)..).unwrap_or_default()));
    }
    all
}

/// Whether the word is the path of a client, or a setting whose value begins with one.
fn is_client(word: &str) -> bool {
    let value = word.rsplit('=').next().unwrap_or(word);
    let is_path = !value.contains(char::is_whitespace) || value.ends_with(".exe");
    is_path && CLIENTS.contains(&program_name(value).as_str())
}

/// The values of `-R` and `-o RemoteForward` among a client's arguments.
fn of_client(arguments: &[String]) -> Vec<String> {
    let list = arguments.iter().position(|word| is_argument_list(word));
    let split: Vec<&str> = match list.and_then(|at| arguments.get(at.saturating_add(1)..)) {
        Some(list) => list.iter().flat_map(|word| word.split_whitespace()).collect(),
        None => arguments.iter().map(String::as_str).collect(),
    };
    let mut found = Vec::new();
    let mut words = split.into_iter();
    let mut operands: usize = 0;
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            operands = operands.saturating_add(1);
            if operands > 1 {
                break;
            }
            continue;
        };
        if PUTTY_FLAGS.contains(&word) {
            continue;
        }
        if PUTTY_VALUED.contains(&word) {
            words.next();
            continue;
        }
        let Some(at) = letters.find(|letter| !FLAGS.contains(letter)) else { continue };
        let (option, value) = letters.split_at(at);
        let mut value = value.chars();
        let option = value.next().filter(|_| option.len() == at);
        let value = match value.as_str() {
            "" => words.next().unwrap_or_default(),
            inline => inline,
        };
        match option {
            Some('R') if is_forward(value) => found.push(value.to_owned()),
            Some('o') => found.extend(forward_setting(value, &mut words)),
            Some(letter) if letter == 'R' || VALUED.contains(letter) => {}
            _ => break,
        }
    }
    found
}

fn is_argument_list(word: &str) -> bool {
    ARGUMENT_LIST.iter().any(|name| word.eq_ignore_ascii_case(name))
}

/// The value of `RemoteForward=…`, or of `RemoteForward …` in one word or two.
fn forward_setting<'a>(
    setting: &str,
    following: &mut impl Iterator<Item = &'a str>,
) -> Option<String> {
    const NAME: &str = "RemoteForward";
    let name = setting.get(..NAME.len()).filter(|name| name.eq_ignore_ascii_case(NAME))?;
    let value = setting.get(name.len()..)?.trim_start_matches(['=', ' ', '\t']);
    match value {
        "" => following.next().map(str::to_owned),
        value => Some(value.to_owned()),
    }
}

/// Whether ssh takes the text for a forwarding: `[bind:]port[:host:hostport]`, with a path
/// in place of either end, or with variables yet to be filled in.
fn is_forward(text: &str) -> bool {
    let text = text.trim_matches(['"', '\'']);
    let parts = parts(text);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match *parts.as_slice() {
        [port] => is_port(port),
        [bind, port] if is_port(port) => is_host(bind),
        [port, path] => (is_port(port) || is_path(port)) && is_path(path),
        [port, host, to] => {
            (is_port(port) || is_path(port)) && is_host(host) && is_port(to)
                || is_host(port) && is_port(host) && is_path(to)
        }
        [bind, port, host, to] => {
            (bind.is_empty() || is_host(bind)) && is_port(port) && is_host(host) && is_port(to)
        }
        _ => false,
    }
}

/// The text at its colons, but for those within brackets.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut inside = false;
    for c in text.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        match parts.last_mut() {
            Some(last) if c != ':' || inside => last.push(c),
            _ => parts.push(String::new()),
        }
    }
    parts
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() || is_variable(text)
}

/// `$PORT`, `${PORT}` or `%PORT%`.
fn is_variable(text: &str) -> bool {
    let name = match text.strip_prefix('$') {
        Some(rest) => rest.strip_prefix('{').and_then(|r| r.strip_suffix('}')).unwrap_or(rest),
        None => match text.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')) {
            Some(name) => name,
            None => return false,
        },
    };
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_path(text: &str) -> bool {
    text.starts_with('/')
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "[]:._-*%${}".contains(c))
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

    #[test]
    fn forwards() {
        for (command, expected) in [
            ("ssh -R 3389:localhost:3389 u@h", "3389:localhost:3389"),
            ("ssh -fNR 8022:127.0.0.1:22 h", "8022:127.0.0.1:22"),
            ("ssh h -R1080", "1080"),
            ("autossh -M 0 -N -R *:2222:localhost:22 h", "*:2222:localhost:22"),
            ("C:\\x\\plink.exe -ssh -batch -pw s3 -R 9:[::1]:22 h", "9:[::1]:22"),
            ("C:\\Program Files\\PuTTY\\plink.exe h -R 9:10.0.0.1:22", "9:10.0.0.1:22"),
            ("ssh -o 'RemoteForward=9 localhost:22' h", "9 localhost:22"),
            ("ssh -oRemoteForward=9 h", "9"),
            ("sh -c 'ssh -R 9:/tmp/s h'", "9:/tmp/s"),
            ("ssh -R /tmp/a:/tmp/b h", "/tmp/a:/tmp/b"),
            ("ExecStart=/usr/bin/ssh -R ${P}:localhost:22 h", "${P}:localhost:22"),
            ("Start-Process ssh -WindowStyle Hidden -ArgumentList '-R','9:h:1','u@h'", "9:h:1"),
            ("Start-Process plink.exe -ArgumentList \"-R 9:h:1 u@h\"", "9:h:1"),
            ("ssh -R 1:a:2 -R 3:b:4 h", "1:a:2\n3:b:4"),
            // A remote command's, another program's, none.
            ("ssh h grep -R 22 /etc", ""),
            ("ssh h 'ssh -R 9:h:1 x'", ""),
            ("rsync -e ssh -R a b", ""),
            ("ssh-keygen -R 10.0.0.1", ""),
            ("ssh-keygen -f x -R h", ""),
            ("ssh -L 9:localhost:22 h", ""),
            ("ssh -R", ""),
            ("ssh -R h x", ""),
        ] {
            check("RemoteForward", command, expected);
        }
    }
}
