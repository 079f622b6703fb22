//! Paths as logs spell them, brought to one form so that they can be compared.

use std::borrow::Cow;

use super::host_program::is_host_program;
use crate::model::without_snapshot;

/// The path without drive, volume, device prefix or case: `\users\jane\ngrok.exe`.
///
/// Environment variables of the system folder are resolved to their usual place.
pub fn tail(path: &str) -> String {
    let mut text = path.trim().trim_matches('"').replace('/', "\\").to_lowercase();
    for (variable, folder) in [
        ("%systemroot%", "\\windows"),
        ("%windir%", "\\windows"),
        ("\\systemroot", "\\windows"),
        ("%systemdrive%", ""),
        ("%programdata%", "\\programdata"),
        ("%programfiles%", "\\program files"),
    ] {
        if let Some(rest) = text.strip_prefix(variable) {
            text = format!("{folder}{rest}");
            break;
        }
    }
    for prefix in ["\\\\?\\", "\\??\\", "\\\\.\\"] {
        if let Some(rest) = text.strip_prefix(prefix) {
            text = rest.to_owned();
        }
    }
    if let Some(rest) = text.strip_prefix("\\device\\harddiskvolume") {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        text = rest.get(digits..).unwrap_or_default().to_owned();
    }
    // As prefetch files name a volume: by its creation and serial number.
    if let Some((_, rest)) = text.strip_prefix("\\volume{").and_then(|rest| rest.split_once('}')) {
        text = rest.to_owned();
    }
    text = without_snapshot(&text).1.to_owned();
    if let Some((number, rest)) = text.strip_prefix("volume").and_then(|rest| rest.split_once(':'))
        && number.bytes().all(|b| b.is_ascii_digit())
    {
        text = rest.to_owned();
    }
    if text.as_bytes().get(1) == Some(&b':') {
        text = text.get(2..).unwrap_or_default().to_owned();
    }
    text
}

/// Whether a path (any notation, any case) is that of this [`tail`].
pub fn is(path: &str, tail: &str) -> bool {
    folded(&self::tail(path)) == folded(tail)
}

/// Lower-case text in which `ß`, which some make `SS` of when they raise it, is `ss`.
fn folded(text: &str) -> Cow<'_, str> {
    if text.contains('ß') { Cow::Owned(text.replace('ß', "ss")) } else { Cow::Borrowed(text) }
}

/// The last component of a path of either notation.
pub fn base_name(path: &str) -> &str {
    path.trim().trim_matches('"').rsplit(['\\', '/']).next().unwrap_or_default()
}

/// Whether `text` (any notation, any case) names the file with this [`tail`],
/// as a whole path and not as the start of a longer name.
pub fn mentions(text: &str, tail: &str) -> bool {
    if tail.len() < 4 {
        return false;
    }
    let text = text.replace('/', "\\").to_lowercase();
    let (text, tail) = (folded(&text), folded(tail));
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(&*tail)) {
        let end = from + at + tail.len();
        let next = text.get(end..).and_then(|rest| rest.chars().next());
        if !next.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-')) {
            return true;
        }
        from = end;
    }
    false
}

/// The words of a command line, quotes taken off, the program first.
pub fn words(command_line: &str) -> Vec<String> {
    let (mut out, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for c in command_line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                any = true;
            }
            c if c.is_whitespace() && !quoted => {
                if any || !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    if any || !word.is_empty() {
        out.push(word);
    }
    out
}

/// The full path that a command gives to a copy of a program, or renames it to: of a file
/// that `is_program` knows by its name, to what cannot be a folder.
pub fn copy_of(command_line: &str, is_program: impl Fn(&str) -> bool) -> Option<String> {
    const VERBS: [&str; 15] = [
        "copy",
        "copy-item",
        "cp",
        "cpi",
        "install",
        "mi",
        "move",
        "move-item",
        "mv",
        "ren",
        "rename",
        "rename-item",
        "rni",
        "ln",
        "xcopy",
    ];
    // What PowerShell calls the one and the other.
    const FROM: [&str; 3] = ["-path", "-literalpath", "-lp"];
    const TO: [&str; 4] = ["-destination", "-dest", "-newname", "-target"];
    const FOLDERS_OF_PROGRAMS: [&str; 6] = ["bin", "sbin", "libexec", "opt", "shm", "tmp"];
    let words = words(command_line);
    let verb = words.iter().position(|word| {
        let name = base_name(word).to_lowercase();
        VERBS.contains(&name.strip_suffix(".exe").unwrap_or(&name))
    })?;
    let is_option = |word: &str| word.starts_with('-') || word.starts_with('/') && word.len() < 3;
    let (mut from, mut to, mut given) = (None, None, Vec::new());
    let mut rest = words.iter().skip(verb.saturating_add(1));
    while let Some(word) = rest.next().filter(|word| !word.starts_with(['&', '|', ';'])) {
        let option = word.to_lowercase();
        if FROM.contains(&option.as_str()) {
            from = rest.next();
        } else if TO.contains(&option.as_str()) {
            to = rest.next();
        } else if !is_option(word) {
            given.push(word);
        }
        if word.ends_with(';') {
            break;
        }
    }
    let clean = |word: &String| word.trim_matches(['\'', ';', '"', '}', ')']).to_owned();
    // What is not named is in its order.
    let mut given = given.into_iter().map(clean).filter(|word| !word.is_empty());
    let from = from.map(clean).or_else(|| given.next())?;
    let to = to.map(clean).or_else(|| given.next())?;
    if given.next().is_some() {
        return None;
    }
    let (from, to) = (from.as_str(), to.trim_end_matches('*'));
    if !is_program(base_name(from)) || to.ends_with(['/', '\\']) {
        return None;
    }
    let is_whole = |path: &str| path.starts_with('/') || path.get(1..3) == Some(":\\");
    let whole = match (is_whole(to), is_whole(from) && !to.contains(['/', '\\'])) {
        (true, _) => to.to_owned(),
        (false, true) => format!("{}{to}", from.strip_suffix(base_name(from))?),
        (false, false) => return None,
    };
    let name = base_name(&whole);
    let folder = whole.strip_suffix(name)?.trim_end_matches(['/', '\\']);
    let is_file = name.contains('.') || FOLDERS_OF_PROGRAMS.contains(&base_name(folder));
    (is_file && !is_program(name)).then_some(whole)
}

/// The program that a command has another program start (`forfiles /c "x.exe …"`): the first
/// of its further words, and of the words in those, that is one and hosts no others.
pub fn started_program(command_line: &str) -> Option<String> {
    let words = words(command_line).into_iter().skip(1);
    let words = words.flat_map(|word| match is_program(&word) {
        true => vec![word],
        false => word.split_whitespace().map(str::to_owned).collect(),
    });
    words
        .map(|word| word.trim_matches(['"', '\'']).to_owned())
        .find(|word| is_program(word) && !is_host_program(word))
}

fn is_program(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    [".exe", ".scr"].iter().any(|end| word.ends_with(end)) && !word.contains("://")
}

/// The program that a command line starts, also when its unquoted path has spaces:
/// the text up to the first `.exe`, else the first word.
pub fn program(command_line: &str) -> String {
    let line = command_line.trim();
    if !line.starts_with('"')
        && let Some(at) = line.to_ascii_lowercase().find(".exe")
        && let Some(path) = line.get(..at + 4)
        && line.get(at + 4..).is_none_or(|rest| rest.is_empty() || rest.starts_with(' '))
    {
        return path.to_owned();
    }
    words(line).into_iter().next().unwrap_or_default()
}

/// The configuration files that an agent's command line names.
pub fn config_arguments(command_line: &str) -> Vec<String> {
    let words = words(command_line);
    let mut out = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let lower = word.to_ascii_lowercase();
        let value = ["--config=", "-config="].iter().find_map(|p| {
            lower.starts_with(p).then(|| word.get(p.len()..).unwrap_or_default().to_owned())
        });
        let value = value.or_else(|| {
            matches!(lower.as_str(), "--config" | "-config")
                .then(|| words.get(i + 1).cloned())
                .flatten()
        });
        out.extend(value.iter().flat_map(|v| v.split(',')).map(str::to_owned));
    }
    out.retain(|path| path.contains(['\\', '/']));
    out
}

/// The home of the account that a Unix file of settings belongs to: by the account's
/// name, else by where the file lies.
pub fn home_of(user: Option<&str>, file: &str) -> String {
    let below = |root: &str| {
        let name = file.strip_prefix(root)?.split('/').next()?;
        Some(format!("{root}{name}"))
    };
    match user {
        Some("root") => "/root".to_owned(),
        Some(user) if below("/Users/").is_some() || file.starts_with("/private/") => {
            format!("/Users/{user}")
        }
        Some(user) => format!("/home/{user}"),
        None => below("/home/").or_else(|| below("/Users/")).unwrap_or_else(|| "/root".to_owned()),
    }
}

/// A word of a Unix command with the home folder for `~` or `$HOME`, and without what a
/// shell or a unit puts before or behind it: `-@/x` and `(/x;` are `/x`.
pub fn at_home(word: &str, home: &str) -> String {
    let word = word.trim_start_matches(['(', '{', '`', '-', '@', '+', '!', ':']);
    let word = word.trim_matches(['\'', '"', ';', '&', ')', '`']);
    let below = ["~/", "$HOME/", "${HOME}/"].iter().find_map(|mark| word.strip_prefix(mark));
    below.map_or_else(|| word.to_owned(), |rest| format!("{home}/{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_for_every_notation() {
        for path in [
            r"C:\Users\Jane\ngrok.exe",
            r"\Device\HarddiskVolume3\Users\Jane\ngrok.exe",
            r"\??\C:\Users\Jane\ngrok.exe",
            "c:/Users/Jane/NGROK.EXE",
        ] {
            assert_eq!(tail(path), r"\users\jane\ngrok.exe", "{path}");
        }
        assert_eq!(tail(r"%SystemRoot%\x.exe"), r"\windows\x.exe");
    }

    #[test]
    fn letters_of_other_scripts_have_no_case_either() {
        let tail = tail(r"C:\Users\Jürgen Groß\n.exe");
        for path in [r"\VOLUME{01d-2c}\USERS\JÜRGEN GROSS\N.EXE", r"\USERS\JÜRGEN GROß\N.EXE"] {
            assert!(is(path, &tail) && mentions(&format!("run {path}"), &tail), "{path}");
        }
        assert!(!is(r"C:\Users\Jurgen Gross\n.exe", &tail));
    }

    #[test]
    fn a_longer_name_is_another_file() {
        assert!(mentions(r#""C:\a\n.exe" tcp 3389"#, r"\a\n.exe"));
        assert!(!mentions(r"C:\a\n.exe.bak", r"\a\n.exe"));
        assert!(mentions(r"del C:\a\n.exe2 C:\a\n.exe", r"\a\n.exe"));
    }

    #[test]
    fn programs_and_configurations_of_command_lines() {
        assert_eq!(program(r#""C:\Program Files\x y.exe" -a"#), r"C:\Program Files\x y.exe");
        assert_eq!(program(r"C:\Program Files\x.exe run"), r"C:\Program Files\x.exe");
        let line = r#"C:\i\s.exe start --all --config="C:\a b\n.yml",C:\c.yml"#;
        assert_eq!(config_arguments(line), [r"C:\a b\n.yml", r"C:\c.yml"]);
        assert_eq!(config_arguments(r"s.exe -config C:\x.dat"), [r"C:\x.dat"]);
    }

    #[test]
    fn copies_under_another_name() {
        let is_ngrok = |name: &str| matches!(name, "ngrok" | "ngrok.exe");
        for (line, expected) in [
            ("mv ngrok /usr/local/bin/kworkerd", Some("/usr/local/bin/kworkerd")),
            ("sudo cp -p ./ngrok /usr/lib/.sys", Some("/usr/lib/.sys")),
            ("cp ngrok /usr/local/bin", None),
            ("cp ngrok /usr/local/bin/", None),
            ("cp ngrok /usr/local/bin/ngrok", None),
            ("cp readme /tmp/x", None),
            (r"ren C:\t\ngrok.exe svc.exe", Some(r"C:\t\svc.exe")),
            (r"Rename-Item -Path 'C:\t\ngrok.exe' -NewName svc.exe", Some(r"C:\t\svc.exe")),
            ("ren ngrok.exe svc.exe", None),
            (r"copy /y ngrok.exe C:\Windows\Temp\a.exe", Some(r"C:\Windows\Temp\a.exe")),
            (r"Copy-Item -Destination C:\x\a.exe -Path .\ngrok.exe -Force", Some(r"C:\x\a.exe")),
            (r"rni -NewName svc.exe C:\t\ngrok.exe", Some(r"C:\t\svc.exe")),
            (r"xcopy /y ngrok.exe C:\x\a.exe*", Some(r"C:\x\a.exe")),
            (r"copy ngrok.exe C:\x\a.exe & start C:\x\a.exe tcp 22", Some(r"C:\x\a.exe")),
            ("cp ./ngrok /usr/bin/.k; chmod +x /usr/bin/.k", Some("/usr/bin/.k")),
            ("cp ngrok notes.txt /tmp/x", None),
        ] {
            assert_eq!(copy_of(line, is_ngrok).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn programs_that_others_start() {
        for (line, expected) in [
            (r#"forfiles /p c:\ /c "cmd /c C:\t\x.exe client y""#, Some(r"C:\t\x.exe")),
            (
                r#"reg add HKCU\Run /v u /d "C:\Program Files\x.exe""#,
                Some(r"C:\Program Files\x.exe"),
            ),
            (r"x.exe client evil.com R:socks", None),
            (r"cmd /c powershell.exe -c x", None),
        ] {
            assert_eq!(started_program(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn words_of_unix_at_home() {
        for (user, file, home) in [
            (Some("root"), "/var/spool/cron/crontabs/root", "/root"),
            (Some("jane"), "/var/spool/cron/crontabs/jane", "/home/jane"),
            (Some("jane"), "/private/var/at/tabs/jane", "/Users/jane"),
            (None, "/home/jane/.bashrc", "/home/jane"),
            (None, "/etc/rc.local", "/root"),
        ] {
            assert_eq!(home_of(user, file), home, "{file}");
        }
        for (word, expected) in [
            ("$HOME/bin/x", "/home/j/bin/x"),
            ("~/x", "/home/j/x"),
            ("${HOME}/x;", "/home/j/x"),
            ("(/usr/lib/x", "/usr/lib/x"),
            ("-/usr/lib/x", "/usr/lib/x"),
            ("--config", "config"),
        ] {
            assert_eq!(at_home(word, "/home/j"), expected, "{word}");
        }
    }
}
