//! Each form once, damaged and foreign; the plain ones made here.

use super::*;
use crate::model::{Everything, Precision};
use crate::parse::Parser;
use crate::parse::testing::{Kept, parse_named, torment};

fn read(parser: &dyn Parser, name: &str, bytes: &[u8]) -> Kept {
    let bytes = bytes.to_vec();
    parse_named(parser, name, &bytes, &Everything).unwrap()
}

/// Line, text and time of every record.
fn lines(kept: &Kept) -> Vec<String> {
    let one = |record: &Record| {
        let at = record.times.first().and_then(|moment| moment.at);
        let sure = record.times.first().map(|m| m.precision) != Some(Precision::UpperBound);
        let at = at.filter(|_| sure).map(|at| format!(" {}", at.as_second())).unwrap_or_default();
        let text = record.fields.iter().find(|(name, _)| name == "CommandLine");
        let text = text.map(|(_, value)| value.to_string()).unwrap_or_default();
        format!("{}{at} {text}", record.locator)
    };
    kept.records.iter().map(one).collect()
}

#[test]
fn histories_of_every_shell() {
    let bash = b"ls\n#1709782265\nngrok tcp 22\n\n#x\nexit\n";
    let expected = ["line:1 ls", "line:3 1709782265 ngrok tcp 22", "line:5 #x", "line:6 exit"];
    assert_eq!(lines(&read(&ShellHistory, ".bash_history", bash)), expected);
    let tcsh = b"#+1709782265\nls\n";
    assert_eq!(lines(&read(&ShellHistory, ".history", tcsh)), ["line:2 1709782265 ls"]);
    let zsh = b": 1711746955:4;a \\\nb\nls\n: x;y\n: 1711746956:0;Gr\xc3\x83\x9c\n";
    let expected =
        ["line:1 1711746955 a \nb", "line:3 ls", "line:4 : x;y", "line:5 1711746956 Gr\u{fc}"];
    assert_eq!(lines(&read(&ShellHistory, ".zsh_history", zsh)), expected);
    let fish = b"- cmd: a\\nb \\\\c\n  when: 1711746955\n  paths:\n    - x\n- cmd: d\n";
    let expected = ["line:1 1711746955 a\nb \\c", "line:5 d"];
    assert_eq!(lines(&read(&ShellHistory, "fish_history", fish)), expected);
    let python = b"_HiStOrY_V2_\nimport\\040ngrok\n";
    assert_eq!(lines(&read(&ShellHistory, ".python_history", python)), ["line:2 import ngrok"]);
}

#[test]
fn no_history() {
    let program = [b"\x7fELF\x01".as_slice(), &[0, 1, 2, 3]].concat();
    let parsed = parse_named(&ShellHistory, ".bash_history", &program, &Everything);
    assert!(matches!(parsed, Err(ParseError::Foreign { .. })));
    torment(&ShellHistory, b"#1709782265\nls\n: 1:0;x\\\n- cmd: y\n", 200);
}

#[test]
fn schedules() {
    let host =
        b"PATH=/bin\n# x\n17 *\t* * *\troot\tcd / && run\n@reboot bob /opt/a tcp 22\nbad line\n";
    let kept = read(&SystemCrontab, "crontab", host);
    assert_eq!(lines(&kept), ["line:3 cd / && run", "line:4 /opt/a tcp 22"]);
    assert_eq!(kept.records[1].text("User"), Some("bob"));
    assert_eq!(kept.records[1].text("Schedule"), Some("@reboot"));
    let kept = read(&UserCrontab, "eve", b"*/10 2-4 * jan mon,tue /opt/a\n");
    assert_eq!(kept.records[0].text("User"), Some("eve"));
    assert_eq!(kept.records[0].text("CommandLine"), Some("/opt/a"));
    let kept = read(&SystemCrontab, "anacrontab", b"START=3\n1 5 cron.daily nice run\n");
    assert_eq!(lines(&kept), ["line:2 nice run"]);
    for foreign in [&b"<html>\n"[..], &[0, 1, 2, 3, 0, 0, 0, 9]] {
        let foreign = foreign.to_vec();
        assert!(parse_named(&SystemCrontab, "x", &foreign, &Everything).is_err());
        assert!(parse_named(&UserCrontab, "x", &foreign, &Everything).is_err());
    }
    torment(&SystemCrontab, host, 200);
    torment(&UserCrontab, host, 200);
}

#[test]
fn scripts() {
    let script = b"#!/bin/sh\n# x\nif [ -x /opt/a ]; then\n  /opt/a tcp \\\n 22 &\nfi\nA=1\nstart() {\n;;\nexit 0\n";
    let expected = ["line:3 if [ -x /opt/a ]; then", "line:4 /opt/a tcp 22 &", "line:8 start() {"];
    assert_eq!(lines(&read(&RcScript, "rc.local", script)), expected);
    assert_eq!(read(&ShellProfile, ".bashrc", script).records[0].category, "shell_profile");
    let variables = b"# x\nA_TOKEN=b\n\nOPTIONS=\"-c /etc/a\"\n";
    let expected = ["line:2 A_TOKEN=b", "line:4 OPTIONS=\"-c /etc/a\""];
    assert_eq!(lines(&read(&EnvironmentFile, "a", variables)), expected);
    assert_eq!(read(&CronScript, "daily", script).records[0].text("User"), Some("root"));
    let job = b"#!/bin/sh\n# atrun uid=0 gid=0\nA=b; export A\n/opt/a tcp 22\n";
    let kept = read(&AtJob, "a0000101b26d65", job);
    assert_eq!(lines(&kept), ["line:4 1708237740 /opt/a tcp 22"]);
    assert_eq!(kept.records[0].times[0].meaning, "Job Due");
    for parser in [&RcScript as &dyn Parser, &ShellProfile, &EnvironmentFile, &CronScript, &AtJob] {
        assert!(parse_named(parser, "x", &vec![0u8, 1, 2, 3, 0, 0], &Everything).is_err());
        torment(parser, script, 100);
    }
}

#[test]
fn units_and_start_entries() {
    let unit = b"[Unit]\nDescription=A tool\n[Service]\nUser=bob\nExecStartPre=-/bin/true\nExecStart=/opt/a \\\n  tcp 22\nEnvironment=X=1\n[Install]\nWantedBy=multi-user.target\n";
    let kept = read(&SystemdUnit, "a.service", unit);
    assert_eq!(lines(&kept), ["line:1 /opt/a tcp 22 /bin/true"]);
    let record = &kept.records[0];
    for (field, value) in [
        ("Name", "a.service"),
        ("Description", "A tool"),
        ("User", "bob"),
        ("Environment", "X=1"),
        ("WantedBy", "multi-user.target"),
    ] {
        assert_eq!(record.text(field), Some(value));
    }
    let unit = b"[Service]\nExecStart=/usr/bin/ssh -R ${RF} $WHO ${GONE} $\nEnvironment=\"RF=9:h:22\" 'WHO=u@h'\nEnvironment=X\n";
    let kept = read(&SystemdUnit, "b.service", unit);
    assert_eq!(lines(&kept), ["line:1 /usr/bin/ssh -R 9:h:22 u@h ${GONE} $"]);
    torment(&SystemdUnit, unit, 200);
    let entry = b"[Desktop Entry]\nName=A\nExec=/opt/a http 80\nHidden=false\n";
    let kept = read(&DesktopEntry, "a.desktop", entry);
    assert_eq!(lines(&kept), ["line:3 /opt/a http 80"]);
    for parser in [&SystemdUnit as &dyn Parser, &DesktopEntry] {
        for foreign in [&b"a text\n"[..], &[0, 1, 2, 3, 0, 0, 0, 9]] {
            assert!(parse_named(parser, "x", &foreign.to_vec(), &Everything).is_err());
        }
        torment(parser, unit, 200);
        torment(parser, entry, 200);
    }
}

#[test]
fn hosts_that_wget_met() {
    let kept = read(&WgetHsts, ".wget-hsts", b"# x\nbin.example\t0\t1\t1709781165\t31536000\n");
    assert_eq!(lines(&kept), ["line:2 1709781165 "]);
    assert_eq!(kept.records[0].text("Url"), Some("https://bin.example/"));
    assert!(parse_named(&WgetHsts, "x", &b"<html>\n".to_vec(), &Everything).is_err());
    torment(&WgetHsts, b"bin.example\t0\t1\t1709781165\t31536000\n", 200);
}

const JOB: &[u8] = br#"<?xml version="1.0"?><plist version="1.0"><dict>
<key>Label</key><string>a.b</string><key>KeepAlive</key><true/>
<key>ProgramArguments</key><array><string>/opt/a &amp; b</string><string>tcp</string></array>
<key>EnvironmentVariables</key><dict><key>X</key><string>1</string></dict>
</dict></plist>"#;

/// `{"Label": "a.b", "ProgramArguments": ["/a", "tcp"]}` in binary form.
fn binary() -> Vec<u8> {
    let objects: [&[u8]; 6] = [
        &[0xd2, 1, 2, 3, 4],
        b"\x55Label",
        b"\x5f\x10\x10ProgramArguments",
        b"\x53a.b",
        &[0xa2, 5, 5],
        b"\x52/a",
    ];
    let mut out = b"bplist00".to_vec();
    let mut offsets = Vec::new();
    for object in objects {
        offsets.push(u8::try_from(out.len()).unwrap());
        out.extend(object);
    }
    let table = out.len();
    out.extend(&offsets);
    out.extend([0, 0, 0, 0, 0, 0, 1, 1]);
    for number in [objects.len(), 0, table] {
        out.extend(u64::try_from(number).unwrap().to_be_bytes());
    }
    out
}

#[test]
fn jobs_of_launchd() {
    let kept = read(&Launchd, "a.plist", JOB);
    let record = &kept.records[0];
    assert_eq!(record.text("CommandLine"), Some("'/opt/a & b' tcp"));
    assert_eq!(record.text("KeepAlive"), Some("true"));
    assert_eq!(record.text("Environment"), Some("X=1"));
    let kept = read(&Launchd, "a.plist", &binary());
    assert_eq!(kept.records[0].text("Name"), Some("a.b"));
    assert_eq!(kept.records[0].text("CommandLine"), Some("/a /a"));
}

#[test]
fn damaged_jobs() {
    let cut = JOB.get(..200).unwrap();
    let kept = read(&Launchd, "a.plist", cut);
    assert_eq!(kept.records[0].text("Name"), Some("a.b"));
    assert!(kept.damage[0].lost);
    // A list that holds itself ends at a limit.
    let mut endless = b"bplist00\xa2\x00\x00\x08".to_vec();
    endless.extend([0, 0, 0, 0, 0, 0, 1, 1]);
    for number in [1u64, 0, 11] {
        endless.extend(number.to_be_bytes());
    }
    for foreign in [b"<html>".to_vec(), binary().get(..60).unwrap().to_vec(), endless] {
        assert!(parse_named(&Launchd, "x", &foreign, &Everything).is_err());
    }
    torment(&Launchd, JOB, 300);
    torment(&Launchd, &binary(), 300);
}
