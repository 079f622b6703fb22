//! One source after the other taken from a host: an answer may lose rows or become
//! unknown, never more certain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const SYSTEM: &str = "Windows/System32";
const PREFETCH: &str = "windows.execution.prefetch";
/// Kept by many hosts and not by all: without it, an answer says that it is not kept.
const OPTIONAL: [&str; 3] = [PREFETCH, "windows.browser.chromium", "windows.powershell.history"];
const NOT_KEPT: &str = "; not kept on this system: ";
const LOGS: &str = "Windows/System32/winevt/Logs";

/// A source: the artifact's id, and where below the root its files begin.
type Source = (&'static str, String);

/// Every log, hive and store that the verdicts on Windows rest on.
fn sources(root: &Path) -> Vec<Source> {
    let log = |name: &str| format!("{LOGS}/{name}.evtx");
    let operational = |name: &str| log(&format!("Microsoft-Windows-{name}%4Operational"));
    let mut out = vec![
        ("windows.evtx.application", log("Application")),
        ("windows.evtx.bits", operational("Bits-Client")),
        ("windows.evtx.defender", operational("Windows Defender")),
        ("windows.evtx.dns_client", operational("DNS-Client")),
        ("windows.evtx.localsessionmanager", operational("TerminalServices-LocalSessionManager")),
        ("windows.evtx.openssh", log("OpenSSH%4Operational")),
        ("windows.evtx.powershell", operational("PowerShell")),
        ("windows.evtx.rdpcorets", operational("RemoteDesktopServices-RdpCoreTS")),
        (
            "windows.evtx.remoteconnectionmanager",
            operational("TerminalServices-RemoteConnectionManager"),
        ),
        ("windows.evtx.security", log("Security")),
        ("windows.evtx.sysmon", operational("Sysmon")),
        ("windows.evtx.system", log("System")),
        ("windows.evtx.taskscheduler", operational("TaskScheduler")),
        ("windows.evtx.windows_powershell", log("Windows PowerShell")),
        (PREFETCH, "Windows/Prefetch/".to_owned()),
        ("windows.filesystem.usn_journal", "$Extend/$J".to_owned()),
        ("windows.network.hosts", format!("{SYSTEM}/drivers/etc/hosts")),
        ("windows.persistence.wmi_repository", format!("{SYSTEM}/wbem/Repository/OBJECTS.DATA")),
        ("windows.registry.amcache", "Windows/appcompat/Programs/Amcache.hve".to_owned()),
        ("windows.registry.software", format!("{SYSTEM}/config/SOFTWARE")),
        ("windows.registry.system", format!("{SYSTEM}/config/SYSTEM")),
        ("windows.tasks.xml", format!("{SYSTEM}/Tasks/")),
    ];
    let users = fs::read_dir(root.join("Users")).unwrap();
    let mut users: Vec<String> =
        users.map(|user| user.unwrap().file_name().into_string().unwrap()).collect();
    users.sort();
    const HISTORY: &str =
        "AppData/Roaming/Microsoft/Windows/PowerShell/PSReadLine/ConsoleHost_history.txt";
    const VISITS: &str = "AppData/Local/Google/Chrome/User Data/Default/History";
    for user in users {
        let own = |below: &str| format!("Users/{user}/{below}");
        out.push(("windows.registry.ntuser", own("NTUSER.DAT")));
        out.push(("windows.powershell.history", own(HISTORY)));
        out.push(("windows.browser.chromium", own(VISITS)));
    }
    out
}

/// A host of the samples with what they lack to answer every question: a journal, an
/// inventory of programs, a WMI repository, a task, the log of a
/// server; none with a trace.
fn whole(host: &str, to: &Path) {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let from = samples.join("hosts").join(host);
    for entry in walkdir::WalkDir::new(&from).into_iter().flatten() {
        let target = to.join(entry.path().strip_prefix(&from).unwrap());
        if entry.file_type().is_file() {
            put(&target, &fs::read(entry.path()).unwrap());
        }
    }
    let quiet = samples.join("hosts/DEV-WS-11/Users/lin/NTUSER.DAT");
    put(&to.join("Windows/appcompat/Programs/Amcache.hve"), &fs::read(quiet).unwrap());
    put(&to.join("$Extend/$J"), &fs::read(samples.join("parse/usn/deletions.bin")).unwrap());
    let classes = b"\0__FilterToConsumerBinding\0__EventFilter\0";
    put(&to.join(SYSTEM).join("wbem/Repository/OBJECTS.DATA"), classes);
    let task = "MicrosoftEdgeUpdateTaskMachineUA";
    let kept = fs::read(samples.join("parse/task").join(task)).unwrap();
    put(&to.join(SYSTEM).join("Tasks").join(task), &kept);
    let ssh = fs::read(samples.join("parse/evtx/openssh.evtx")).unwrap();
    put(&to.join(LOGS).join("OpenSSH%4Operational.evtx"), &ssh);
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Removes a source's files: a folder's, or a file's with its logs.
fn remove(root: &Path, start: &str) -> usize {
    let files = walkdir::WalkDir::new(root).into_iter().flatten();
    let files = files.filter(|entry| entry.file_type().is_file());
    let mine: Vec<PathBuf> = files
        .map(|entry| entry.path().to_owned())
        .filter(|path| {
            let below = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            let rest = below.strip_prefix(start);
            rest.is_some_and(|r| r.is_empty() || r.starts_with(".LOG") || start.ends_with('/'))
        })
        .collect();
    mine.iter().for_each(|path| fs::remove_file(path).unwrap());
    mine.len()
}

/// Verdicts by source folder's name, all from one run.
fn verdicts(roots: &[PathBuf], out: &Path) -> BTreeMap<String, Value> {
    let ran = Command::new(env!("CARGO_BIN_EXE_adit"))
        .args(["scan", "--progress", "none", "--no-bundle", "--quiet"])
        .args(["--profile", "ngrok", "--profile", "tunnel", "--profile", "frp"])
        .arg("--output")
        .arg(out)
        .args(roots)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let table = fs::read(out.join("hosts.csv")).unwrap();
    let mut table = csv::Reader::from_reader(table.as_slice());
    let rows = table.deserialize().map(|row| row.unwrap());
    rows.map(|row: BTreeMap<String, String>| {
        let folder = row["source"].replace('\\', "/");
        let folder = folder.trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
        let verdict = fs::read(out.join(&row["host"]).join("verdict.json")).unwrap();
        (folder, serde_json::from_slice(&verdict).unwrap())
    })
    .collect()
}

/// The answers of every tool and rung: answer and why.
fn answers(verdict: &Value) -> BTreeMap<(String, String), (String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tools = verdict["tools"].as_array().unwrap().iter();
    tools
        .flat_map(|tool| {
            let rungs = tool["rungs"].as_object().unwrap().iter();
            rungs.map(|(rung, of)| {
                let key = (text(&tool["tool"]), rung.clone());
                (key, (text(&of["answer"]), text(&of["why"])))
            })
        })
        .collect()
}

/// Whether the reason says that the system keeps no such source.
fn not_kept(why: &str, id: &str) -> bool {
    why.split_once(NOT_KEPT).is_some_and(|(_, off)| off.split(", ").any(|other| other == id))
}

fn check(host: &str) -> usize {
    let place = TempDir::new().unwrap();
    let root = place.path().join("sources");
    whole(host, &root);
    degrade(&place, &|to| whole(host, to), &sources(&root))
}

/// Scans a host whole, and once without each source; how many denials there are of the whole.
fn degrade(place: &TempDir, make: &dyn Fn(&Path), sources: &[Source]) -> usize {
    let whole_root = place.path().join("whole");
    make(&whole_root);
    let mut roots = vec![whole_root.clone()];
    for (n, (_, start)) in sources.iter().enumerate() {
        let root = place.path().join(format!("without-{n}"));
        make(&root);
        if remove(&root, start) > 0 {
            roots.push(root);
        }
    }
    let verdicts = verdicts(&roots, &place.path().join("out"));
    assert_eq!(verdicts.len(), roots.len());
    let before = answers(&verdicts["whole"]);
    let mut faults = Vec::new();
    for (n, (id, start)) in sources.iter().enumerate() {
        let Some(verdict) = verdicts.get(&format!("without-{n}")) else { continue };
        for (at, (answer, why)) in answers(verdict) {
            let (was, basis) = &before[&at];
            let sound = match (was.as_str(), answer.as_str()) {
                ("yes", "yes" | "unknown") | ("unknown", "unknown") => true,
                // A denial that rested on the source must name it.
                ("no", "unknown") => !basis.contains(id) || why.contains(id),
                // What not every system keeps is said to be not kept.
                ("yes" | "no", "no") if is_optional(id) && not_kept(&why, id) => true,
                ("no", "no") => !basis.split(NOT_KEPT).next().unwrap().contains(id),
                _ => false,
            };
            if !sound {
                faults.push(format!("{start}: {at:?} was {was} ({basis}), is {answer} ({why})"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    before.values().filter(|(answer, _)| answer == "no").count()
}

/// Whether systems may be without that source; of Linux none but these are everywhere.
fn is_optional(id: &str) -> bool {
    let linux = id.starts_with("linux.");
    OPTIONAL.contains(&id) || linux && !["linux.log.journal", "linux.log.logins"].contains(&id)
}

/// The sources of a made Linux host, and the sample of each or its text.
const LINUX: [(&str, &str, &str); 13] = [
    ("linux.log.journal", "var/log/journal/1/system.journal", "@journal/regular.journal.gz"),
    ("linux.log.logins", "var/log/wtmp", "@logins/wtmp"),
    ("linux.log.audit", "var/log/audit/audit.log", "@audit/plain.log"),
    ("linux.log.syslog", "var/log/syslog", "@syslog/classic.log"),
    ("linux.log.auth", "var/log/auth.log", "Mar  1 10:00:00 web sshd[7]: Server listening.\n"),
    ("linux.user.shell_history", "home/jane/.bash_history", "ls\nssh db\n"),
    ("linux.user.wget_hsts", "home/jane/.wget-hsts", "# HSTS 1.0\nexample.com\t0\t0\t1\t1\n"),
    (
        "linux.package.installed",
        "var/lib/dpkg/status",
        "Package: vim\nStatus: install ok installed\n\n",
    ),
    ("linux.package.log", "var/log/dpkg.log", "2024-03-01 10:00:00 install vim:amd64 <none> 9\n"),
    ("linux.persistence.cron_user", "var/spool/cron/crontabs/root", "30 5 * * * /usr/bin/true\n"),
    ("linux.persistence.systemd", "etc/systemd/system/a.service", "[Service]\nExecStart=/bin/a\n"),
    ("linux.persistence.rc_script", "etc/rc.local", "#!/bin/sh\nexit 0\n"),
    ("linux.persistence.shell_profile", "home/jane/.bashrc", "alias l=ls\n"),
];

/// Makes the Linux host.
fn linux(to: &Path) {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/parse");
    put(&to.join("etc/os-release"), b"ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n");
    put(&to.join("etc/hostname"), b"web\n");
    put(
        &to.join("etc/passwd"),
        b"root:x:0:0::/root:/bin/sh\njane:x:1000:1000::/home/jane:/bin/sh\n",
    );
    for (_, path, of) in LINUX {
        let bytes = match of.strip_prefix('@') {
            Some(sample) if sample.ends_with(".gz") => {
                let mut bytes = Vec::new();
                let packed = fs::File::open(samples.join(sample)).unwrap();
                flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
                bytes
            }
            Some(sample) => fs::read(samples.join(sample)).unwrap(),
            None => of.as_bytes().to_vec(),
        };
        put(&to.join(path), &bytes);
    }
}

#[test]
fn a_denial_without_its_source_is_unknown() {
    // All seven rungs of the tools that are looked for, the ways back by SSH among them.
    assert_eq!(check("DEV-WS-11"), 21);
}

#[test]
fn a_finding_without_one_source_stays_or_is_unknown() {
    check("JUMP-01");
}

#[test]
fn on_linux_too() {
    let place = TempDir::new().unwrap();
    let sources = LINUX.map(|(id, path, _)| (id, path.to_owned()));
    assert!(degrade(&place, &linux, &sources) > 0);
}
