//! One source after the other taken from a host: an answer may lose rows or become
//! unknown, never more certain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const SYSTEM: &str = "Windows/System32";
const PCA: &str = "windows.execution.pca";
const PREFETCH: &str = "windows.execution.prefetch";
const SRUM: &str = "windows.execution.srum";
/// Kept by many hosts and not by all: without it, an answer says that it is not kept.
const OPTIONAL: [&str; 15] = [
    PREFETCH,
    "windows.browser.chromium",
    "windows.browser.firefox",
    "windows.browser.index_dat",
    "windows.browser.web_cache",
    "windows.defender.detection",
    "windows.execution.error_report",
    "windows.network.bits_queue",
    "windows.network.firewall_log",
    "windows.package.log",
    "windows.persistence.startup_script",
    "windows.persistence.startup_shortcut",
    "windows.powershell.history",
    "windows.tasks.job",
    "windows.user.recycle_bin",
];
const NOT_KEPT: &str = "; not kept on this system: ";
const LOGS: &str = "Windows/System32/winevt/Logs";

/// A source: the artifact's id, and where below the root its files begin.
type Source = (&'static str, String);
/// A source that is made: id, path, and the sample below `testdata/parse` after an `@`
/// (below `testdata` with a slash), or the text.
type Made = (&'static str, &'static str, &'static str);

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
        ("windows.registry.software", format!("{SYSTEM}/config/SOFTWARE")),
        ("windows.registry.system", format!("{SYSTEM}/config/SYSTEM")),
    ];
    out.extend(STORES.map(|(id, path, _)| (id, path.to_owned())));
    // What the tool left of its own.
    out.push(("windows.tunnel.ngrok_log", "PerfLogs/ngrok.log".to_owned()));
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

/// Further stores of Windows: a file that belongs to them, and its sample or its text.
const STORES: [Made; 16] = [
    (
        "windows.browser.firefox",
        "Users/lin/AppData/Roaming/Mozilla/Firefox/Profiles/a/places.sqlite",
        "@sqlite/places.sqlite",
    ),
    (
        "windows.browser.index_dat",
        "Users/lin/AppData/Local/Microsoft/Windows/History/index.dat",
        "@index_dat/history.dat",
    ),
    (
        "windows.browser.web_cache",
        "Users/lin/AppData/Local/Microsoft/Windows/WebCache/WebCacheV01.dat",
        "@web_cache/WebCacheV01.dat",
    ),
    (
        "windows.defender.detection",
        "ProgramData/Microsoft/Windows Defender/Scans/History/Service/DetectionHistory/01/6AFE33A0",
        "@defender/DetectionHistory-6AFE33A0",
    ),
    (
        "windows.execution.error_report",
        "ProgramData/Microsoft/Windows/WER/ReportArchive/a/Report.wer",
        "@error_report/Report.wer",
    ),
    (
        "windows.execution.pca",
        "Windows/appcompat/pca/PcaAppLaunchDic.txt",
        "@pca/PcaAppLaunchDic.txt",
    ),
    ("windows.execution.srum", "Windows/System32/sru/SRUDB.dat", "@srum/SRUDB.dat"),
    (
        "windows.network.bits_queue",
        "ProgramData/Microsoft/Network/Downloader/qmgr.db",
        "@bits_queue/qmgr.db",
    ),
    (
        "windows.network.firewall_log",
        "Windows/System32/LogFiles/Firewall/pfirewall.log",
        "#Version: 1.5\r\n#Software: Microsoft Windows Firewall\r\n#Time Format: Local\r\n#Fields: date time action protocol src-ip dst-ip src-port dst-port size tcpflags tcpsyn tcpack tcpwin icmptype icmpcode info path\r\n2024-03-01 10:00:00 ALLOW TCP 10.0.0.5 10.0.0.6 50000 443 0 - 0 0 0 - - - SEND\r\n",
    ),
    (
        "windows.package.log",
        "ProgramData/chocolatey/logs/chocolatey.log",
        "@package/chocolatey.log",
    ),
    (
        "windows.persistence.startup_script",
        "ProgramData/Microsoft/Windows/Start Menu/Programs/StartUp/a.cmd",
        "echo a\r\n",
    ),
    (
        "windows.persistence.startup_shortcut",
        "ProgramData/Microsoft/Windows/Start Menu/Programs/StartUp/a.lnk",
        "@shortcut/example.lnk",
    ),
    (
        "windows.registry.amcache",
        "Windows/appcompat/Programs/Amcache.hve",
        "@/hosts/DEV-WS-11/Users/lin/NTUSER.DAT",
    ),
    ("windows.tasks.job", "Windows/Tasks/old.job", "@task/old.job"),
    (
        "windows.tasks.xml",
        "Windows/System32/Tasks/MicrosoftEdgeUpdateTaskMachineUA",
        "@task/MicrosoftEdgeUpdateTaskMachineUA",
    ),
    (
        "windows.user.recycle_bin",
        "$Recycle.Bin/S-1-5-21-1-2-3-1001/$ID5HSV3.exe",
        "@recycle_bin/$ID5HSV3.exe",
    ),
];

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
    put_all(&STORES, to);
    put(&to.join("$Extend/$J"), &fs::read(samples.join("parse/usn/deletions.bin")).unwrap());
    let classes = b"\0__FilterToConsumerBinding\0__EventFilter\0";
    put(&to.join(SYSTEM).join("wbem/Repository/OBJECTS.DATA"), classes);
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
    assert!(ran.status.success(), "{}", problems(out));
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

/// What could not be read, of all hosts.
fn problems(out: &Path) -> String {
    let all = walkdir::WalkDir::new(out).into_iter().flatten();
    let lists = all.filter(|entry| entry.file_name() == "problems.csv");
    lists.map(|entry| fs::read_to_string(entry.path()).unwrap()).collect()
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

/// Whether a reason names that artifact, and not one whose id begins alike.
fn names(why: &str, id: &str) -> bool {
    let is_of_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    why.split(|c: char| !is_of_id(c)).any(|word| word.trim_end_matches('.') == id)
}

/// Whether the reason says that the system keeps no such source.
fn not_kept(why: &str, id: &str) -> bool {
    why.split_once(NOT_KEPT).is_some_and(|(_, off)| off.split(", ").any(|other| other == id))
}

/// `leaves_off`: what that host's version of Windows does not keep.
fn check(host: &str, leaves_off: &[&str]) -> usize {
    let place = TempDir::new().unwrap();
    let root = place.path().join("sources");
    whole(host, &root);
    degrade(&place, &|to| whole(host, to), &sources(&root), leaves_off)
}

/// Scans a host whole, and once without each source; how many denials there are of the whole.
fn degrade(
    place: &TempDir,
    make: &dyn Fn(&Path),
    sources: &[Source],
    leaves_off: &[&str],
) -> usize {
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
                ("no", "unknown") => !names(basis, id) || names(&why, id),
                // What not every system keeps is said to be not kept.
                ("yes" | "no", "no")
                    if (is_optional(id) || leaves_off.contains(id)) && not_kept(&why, id) =>
                {
                    true
                }
                ("no", "no") => !names(basis.split(NOT_KEPT).next().unwrap(), id),
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

/// Whether systems may be without that source; of Linux none but these are everywhere, and
/// of a Mac none of those that are read.
fn is_optional(id: &str) -> bool {
    let is_unix = id.starts_with("linux.") || id.starts_with("macos.");
    OPTIONAL.contains(&id) || is_unix && !["linux.log.journal", "linux.log.logins"].contains(&id)
}

/// The sources of a made Linux host, and the sample of each or its text.
const LINUX: [Made; 23] = [
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
    ("linux.persistence.cron", "etc/crontab", "30 5 * * * root /usr/bin/true\n"),
    (
        "linux.persistence.at",
        "var/spool/at/a0000101abcdef",
        "#!/bin/sh\n# atrun uid=0 gid=0\n/usr/bin/true\n",
    ),
    (
        "linux.persistence.desktop_autostart",
        "etc/xdg/autostart/a.desktop",
        "[Desktop Entry]\nType=Application\nName=a\nExec=/usr/bin/a\n",
    ),
    (
        "linux.ssh.known_hosts",
        "home/jane/.ssh/known_hosts",
        "db ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==\n",
    ),
    ("linux.package.snap", "var/lib/snapd/state.json", "@unix/state.json"),
    ("linux.package.rpm_database", "var/lib/rpm/rpmdb.sqlite", "@sqlite/rpmdb.sqlite"),
    (
        "linux.browser.chromium",
        "home/jane/.config/google-chrome/Default/History",
        "@sqlite/History",
    ),
    (
        "linux.browser.firefox",
        "home/jane/.mozilla/firefox/a/places.sqlite",
        "@sqlite/places.sqlite",
    ),
    (
        "linux.container.docker",
        "var/lib/docker/containers/a/config.v2.json",
        "@unix/config.v2.json",
    ),
    (
        "linux.container.podman",
        "var/lib/containers/storage/overlay-containers/containers.json",
        "@unix/containers.json",
    ),
];

/// The sources of a made Mac.
const MACOS: [Made; 12] = [
    (
        "macos.browser.chromium",
        "Users/jane/Library/Application Support/Google/Chrome/Default/History",
        "@sqlite/History",
    ),
    (
        "macos.browser.firefox",
        "Users/jane/Library/Application Support/Firefox/Profiles/a/places.sqlite",
        "@sqlite/places.sqlite",
    ),
    (
        "macos.browser.quarantine",
        "Users/jane/Library/Preferences/com.apple.LaunchServices.QuarantineEventsV2",
        "@sqlite/QuarantineEventsV2",
    ),
    ("macos.browser.safari", "Users/jane/Library/Safari/History.db", "@sqlite/History.db"),
    (
        "macos.log.system",
        "private/var/log/system.log",
        "Mar  1 10:00:00 mac syslogd[7]: ASL Sender Statistics\n",
    ),
    (
        "macos.package.homebrew",
        "opt/homebrew/Caskroom/a/.metadata/INSTALL_RECEIPT.json",
        "@unix/INSTALL_RECEIPT.json",
    ),
    ("macos.persistence.cron_user", "private/var/at/tabs/jane", "30 5 * * * /usr/bin/true\n"),
    (
        "macos.persistence.launchd",
        "Library/LaunchDaemons/com.example.agent.plist",
        "@unix/com.example.agent.plist",
    ),
    ("macos.persistence.rc_script", "private/etc/rc.local", "#!/bin/sh\nexit 0\n"),
    ("macos.persistence.shell_profile", "Users/jane/.bashrc", "alias l=ls\n"),
    (
        "macos.ssh.known_hosts",
        "Users/jane/.ssh/known_hosts",
        "db ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==\n",
    ),
    ("macos.user.shell_history", "Users/jane/.zsh_history", ": 1709280000:0;ls\n"),
];

/// Makes the Linux host.
fn linux(to: &Path) {
    put(&to.join("etc/os-release"), b"ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n");
    put(&to.join("etc/hostname"), b"web\n");
    put(
        &to.join("etc/passwd"),
        b"root:x:0:0::/root:/bin/sh\njane:x:1000:1000::/home/jane:/bin/sh\n",
    );
    put_all(&LINUX, to);
}

/// Makes the Mac.
fn mac(to: &Path) {
    let version = b"<plist version=\"1.0\"><dict><key>ProductVersion</key><string>14.4</string></dict></plist>";
    put(&to.join("System/Library/CoreServices/SystemVersion.plist"), version);
    put_all(&MACOS, to);
}

/// Puts made sources in their places; what names the tool in a sample names none.
fn put_all(all: &[Made], to: &Path) {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    for (_, path, of) in all {
        let bytes = match of.strip_prefix('@') {
            Some(sample) => {
                let sample = match sample.strip_prefix('/') {
                    Some(sample) => samples.join(sample),
                    None => samples.join("parse").join(sample),
                };
                let bytes = fs::read(&sample).unwrap();
                let mut plain = Vec::new();
                match flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain) {
                    Ok(_) => plain,
                    Err(_) => bytes,
                }
            }
            None => of.as_bytes().to_vec(),
        };
        put(&to.join(path), &innocent(bytes));
    }
}

/// The bytes with another word of the same length for what names a tool or tells of a way
/// back, however it is written.
fn innocent(mut bytes: Vec<u8>) -> Vec<u8> {
    for name in [&b"ngrok"[..], b"n\0g\0r\0o\0k", b"equinox", b"e\0q\0u\0i\0", b"-\0R\0 \x003\0"] {
        let at = |bytes: &[u8]| {
            bytes.windows(name.len()).position(|part| part.eq_ignore_ascii_case(name))
        };
        while let Some(at) = at(&bytes) {
            bytes[at] = b'a';
        }
    }
    bytes
}

#[test]
fn a_denial_without_its_source_is_unknown() {
    // All seven rungs of the tools that are looked for, the ways back by SSH among them.
    assert_eq!(check("DEV-WS-11", &[PCA]), 21);
}

#[test]
fn a_finding_without_one_source_stays_or_is_unknown() {
    check("JUMP-01", &[PCA, SRUM]);
}

#[test]
fn on_linux_too() {
    let place = TempDir::new().unwrap();
    let sources = LINUX.map(|(id, path, _)| (id, path.to_owned()));
    assert!(degrade(&place, &linux, &sources, &[]) > 0);
}

#[test]
fn on_a_mac_too() {
    let place = TempDir::new().unwrap();
    let sources = MACOS.map(|(id, path, _)| (id, path.to_owned()));
    degrade(&place, &mac, &sources, &[]);
}

/// Artifacts without a file that could be taken away: the names and the contents of all
/// files, which are of the volume itself.
fn has_no_file(id: &str) -> bool {
    let found_by_content =
        ["sibling_config", "sibling_log", "service_wrapper", "ngrok_config", "ngrok_log"];
    id.contains(".filesystem.") || found_by_content.iter().any(|end| id.ends_with(end))
}

#[test]
fn every_source_of_a_denial_is_taken_away_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = TempDir::new().unwrap();
    whole("DEV-WS-11", place.path());
    let mut taken: BTreeSet<String> = LINUX.iter().chain(&MACOS).map(|m| m.0.to_owned()).collect();
    for (id, start) in sources(place.path()) {
        // Of what is not there nothing is taken away; the tool's own is on another host.
        assert!(remove(place.path(), &start) > 0 || id == "windows.tunnel.ngrok_log", "{start}");
        taken.insert(id.to_owned());
    }
    let mut needed = BTreeSet::new();
    for entry in walkdir::WalkDir::new(root.join("profiles")).into_iter().flatten() {
        let name = entry.file_name().to_str().unwrap();
        if !matches!(name, "needs.yaml" | "profile.yaml") {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        let value: Value = yaml_serde::from_str(&text).unwrap();
        let needs = if name == "needs.yaml" { &value } else { &value["needs"] };
        let rungs = needs.as_object().into_iter().flat_map(|systems| systems.values());
        let ids = rungs.flat_map(|rungs| rungs.as_object().unwrap().values());
        let ids = ids.flat_map(|ids| ids.as_array().unwrap().iter());
        needed.extend(ids.map(|id| id.as_str().unwrap().to_owned()));
    }
    // What is only collected is read by nobody, and denies nothing.
    let is_read = |id: &str| {
        let file = root.join("artifacts").join(id.replace('.', "/")).with_extension("yaml");
        fs::read_to_string(file).is_ok_and(|text| !text.contains("parser: none"))
    };
    let missing: Vec<&String> = needed
        .iter()
        .filter(|id| !has_no_file(id) && is_read(id) && !taken.contains(*id))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
