//! What an ssh client is told to listen to at its server: the options of ssh(1), autossh(1)
//! and PuTTY's manual (3.8, 3.11), up to the second word that is none.

use super::words::commands;
use super::{Deed, deed_of, program_name};

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

/// What the clients among the text's commands are told to forward.
pub(super) fn remote_forwards(text: &str) -> Vec<String> {
    forwards_within(text, 0)
}

fn forwards_within(text: &str, depth: usize) -> Vec<String> {
    let mut all = Vec::new();
    for words in commands(text).into_iter().filter(|words| deed_of(words) != Deed::Search) {
        let Some(client) = words.iter().position(|word| is_client(word)) else {
            if depth < MAX_DEPTH {
                let inner = words.iter().filter(|word| word.contains(char::is_whitespace));
                all.extend(inner.flat_map(|word| forwards_within(word, depth.saturating_add(1))));
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
            ("grep \"ssh -R 9:h:1 x\" notes", ""),
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
            assert_eq!(remote_forwards(command).join("\n"), expected, "{command}");
        }
    }
}
