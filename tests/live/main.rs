//! `adit live` on Linux, over a tree with its own `proc`: what it records, what it leaves
//! when it is cut short in whatever way, and that it writes nowhere but to its output.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod cut;
#[path = "../kills/mod.rs"]
mod kills;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use kills::{bundle, verify};
use tree::{HOST, PASSWORD, TOKEN};

pub fn adit(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// How the tests look: one tool is enough, and others need not be waited for.
pub const LOOK: [&str; 5] = ["--full-speed", "--profile", "ngrok", "--progress", "none"];

/// `adit live` over a tree into a folder.
pub fn live(root: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = adit(&["live"]);
    command.args(LOOK).arg("--root").arg(root).arg("-o").arg(out).args(more);
    command
}

pub fn run(mut command: Command, code: i32) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    output
}

/// A tree and a place for results beside it.
pub fn place(logs: usize) -> (TempDir, PathBuf, PathBuf) {
    let place = TempDir::new().unwrap();
    let (root, out) = (place.path().join("tree"), place.path().join("out"));
    tree::build(&root, logs);
    (place, root, out)
}

/// The rows of a table of the host.
fn rows(out: &Path, name: &str) -> Vec<BTreeMap<String, String>> {
    let mut table = csv::Reader::from_path(out.join(HOST).join(name)).unwrap();
    table.deserialize().map(|row| row.unwrap()).collect()
}

/// Every file but bundles, by path.
fn texts(out: &Path) -> BTreeMap<String, String> {
    walkdir::WalkDir::new(out)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .filter(|entry| !entry.path().to_string_lossy().contains(".zip"))
        .map(|entry| {
            let name = entry.path().strip_prefix(out).unwrap().to_string_lossy().into_owned();
            (name, String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned())
        })
        .collect()
}

#[test]
fn what_runs_is_reported() {
    let (_place, root, out) = place(1);
    let custody = [
        "--case",
        "C-12",
        "--evidence",
        "E-3",
        "--examiner",
        "R. Roe",
        "--note",
        "by daylight",
        "--clock-offset",
        "-90s",
    ];
    run(live(&root, &out, &custody), 0);
    let timeline = rows(&out, "timeline.csv");
    let of = |artifact: &str| -> Vec<&BTreeMap<String, String>> {
        timeline.iter().filter(|row| row["artifact"] == artifact).collect()
    };
    let process = of("linux.live.process");
    assert_eq!(process.len(), 1, "the agent alone");
    let row = process[0];
    assert_eq!(row["datetime"], "2026-03-04T05:13:20.500000+00:00");
    assert_eq!(row["timestamp_desc"], "Process Start");
    assert_eq!(
        (&*row["process"], &*row["pid"], &*row["user"]),
        ("/dev/shm/.x/ngrok", "812", "dev")
    );
    assert_eq!((&*row["parent"], &*row["locator"]), ("/usr/bin/dash", "pid:812"));
    assert_eq!(row["source_path"], "/proc/812");
    let sockets = of("linux.live.socket");
    assert!(sockets.iter().any(|row| row["remote_host"] == "3.33.125.27"
        && row["remote_port"] == "443"
        && row["local_port"] == "55555"
        && row["locator"] == "pid:812/fd:7"));
    let coverage = rows(&out, "coverage.csv");
    let line = coverage.iter().find(|line| line["source"] == "linux.live.process").unwrap();
    assert_eq!((&*line["state"], &*line["records"]), ("read", "3"));
    let facts = texts(&out).remove(&format!("{HOST}/volatile.jsonl")).unwrap();
    assert_eq!(facts.lines().count(), 7, "three processes, three sockets, a session");
    assert!(facts.contains("its file was removed") && facts.contains("203.0.113.45"));
    assert!(facts.contains("no process holds this port"));
    let run: serde_json::Value =
        serde_json::from_str(&texts(&out)[&format!("{HOST}/run.json")]).unwrap();
    assert_eq!(run["custody"]["case"], "C-12");
    assert_eq!(run["custody"]["clock_offset"], "-90s");
    assert!(run["executable_sha256"].as_str().is_some_and(|hash| hash.len() == 64));
    assert!(run["actions"].as_array().is_some_and(|all| all.len() >= 3), "{}", run["actions"]);
    let members = bundle(&out);
    for name in ["started.json", "actions.log", "results/volatile.jsonl", "manifest.json"] {
        assert!(members.contains_key(&format!("data/{name}")), "{name}");
    }
    let info = String::from_utf8_lossy(&members["bag-info.txt"]).into_owned();
    assert!(info.contains("Examiner: R. Roe\n") && info.contains("Clock-Offset: -90s\n"));
}

#[test]
fn secrets_stay_hidden() {
    let (_place, root, out) = place(1);
    run(live(&root, &out, &[]), 0);
    for (name, text) in texts(&out) {
        assert!(!text.contains(TOKEN) && !text.contains(PASSWORD), "{name}");
    }
    let facts = &texts(&out)[&format!("{HOST}/volatile.jsonl")];
    assert!(facts.contains("2aBcDeFgHiJkLmNoPqRsTuVwXyZ"), "the account's public name is kept");
    assert!(facts.contains("DB_PASSWORD="), "the agent's environment is kept");
    let other = facts.lines().find(|line| line.contains("\"pid:700\"")).unwrap();
    assert!(!other.contains("DB_PASSWORD"), "that of others is not");
}

#[test]
fn limits_are_kept_and_named() {
    let (_place, root, out) = place(40);
    let limits: [(&[&str], &str); 3] = [
        (&["--timeout", "0s"], "--timeout 0s is over"),
        (&["--max-bytes", "100K"], "--max-bytes 102400 are reached"),
        (&["--max-memory", "1M"], "--max-memory 1048576"),
    ];
    for (limit, reason) in limits {
        let said = run(live(&root, &out, limit), 3);
        assert!(String::from_utf8_lossy(&said.stderr).contains("not everything was examined"));
        let problems = &texts(&out)[&format!("{HOST}/problems.csv")];
        assert!(problems.contains(reason), "{reason}: {problems}");
        let coverage = &texts(&out)[&format!("{HOST}/coverage.csv")];
        assert!(coverage.contains("left out"), "{reason}: {coverage}");
        assert!(verify(&out).1.contains(": incomplete, consistent"), "{limit:?}");
    }
    // What was left out is made up for.
    run(live(&root, &out, &["--resume"]), 0);
    assert!(!texts(&out)[&format!("{HOST}/problems.csv")].contains("left out"));
    assert!(verify(&out).1.contains(": complete"));
}

#[test]
fn output_on_the_evidence_is_refused() {
    let (_place, root, _) = place(1);
    let inside = root.join("var/out");
    run(live(&root, &inside, &[]), 6);
    assert!(!inside.exists());
    run(live(&root, &inside, &["--allow-output-on-source"]), 0);
    let timeline = fs::read_to_string(inside.join(HOST).join("timeline.csv")).unwrap();
    assert!(!timeline.contains("/var/out"), "its own results are no evidence");
    // The running machine's own disk.
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live-refused");
    let mut command = adit(&["live", "--progress", "none", "-o"]);
    command.arg(&here);
    let code = command.output().unwrap().status.code();
    assert_eq!((code, here.exists()), (Some(6), false));
}

/// An agent's interface on the first of its ports that is free; the requests it got.
fn fake_agent() -> Option<(u16, std::thread::JoinHandle<Vec<String>>)> {
    let listener = (4040..=4045).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())?;
    let port = listener.local_addr().ok()?.port();
    let thread = std::thread::spawn(move || {
        let mut got = Vec::new();
        while got.len() < 4 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let n = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..n]).into_owned();
            let line = request.lines().next().unwrap().to_owned();
            let body = match line.split(' ').nth(1).unwrap() {
                "/api/status" => r#"{"status":"online","agent_version":"3.22.1"}"#,
                "/api/tunnels" => {
                    r#"{"tunnels":[{"name":"ssh","proto":"tcp","public_url":"tcp://5.tcp.ngrok.io:17022","config":{"addr":"localhost:22"}}]}"#
                }
                "/api/endpoints" => r#"{"endpoints":[]}"#,
                _ => r#"{"requests":[]}"#,
            };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).unwrap();
            got.push(line);
        }
        got
    });
    Some((port, thread))
}

#[test]
fn an_agent_is_asked_only_if_wanted_and_only_by_get() {
    let (_place, root, out) = place(1);
    let Some((port, agent)) = fake_agent() else {
        eprintln!("SKIPPED: the ports 4040 to 4045 are taken");
        return;
    };
    run(live(&root, &out, &["--query-agent"]), 0);
    let got = agent.join().unwrap();
    assert!(got.iter().all(|line| line.starts_with("GET /api/")), "{got:?}");
    let url = format!("http://127.0.0.1:{port}/api/tunnels");
    let row = rows(&out, "timeline.csv").into_iter().find(|row| row["source_path"] == url).unwrap();
    assert_eq!(
        (&*row["artifact"], &*row["remote_host"]),
        ("live.agent", "tcp://5.tcp.ngrok.io:17022")
    );
    let members = bundle(&out);
    let saved = members.iter().find(|(name, _)| name.ends_with("api/tunnels")).unwrap();
    assert!(String::from_utf8_lossy(saved.1).contains("5.tcp.ngrok.io"));
    let actions = String::from_utf8_lossy(&members["data/actions.log"]).into_owned();
    assert!(actions.contains(&format!("GET {url}: answered 200")), "{actions}");
    assert!(verify(&out).1.contains(": complete"));
}

/// Calls that change files, by name; of those that open, the flags that do.
const CHANGING: [&str; 22] = [
    "creat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "unlink",
    "unlinkat",
    "rmdir",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "truncate",
    "chmod",
    "fchmodat",
    "chown",
    "utimensat",
    "setxattr",
    "removexattr",
];
const WRITING: [&str; 5] = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"];

fn changes(line: &str) -> bool {
    let call = line.split('(').next().unwrap_or_default().rsplit(' ').next().unwrap_or_default();
    CHANGING.contains(&call)
        || call.starts_with("open") && WRITING.iter().any(|flag| line.contains(flag))
        || ["execve", "execveat"].contains(&call) && !line.contains(env!("CARGO_BIN_EXE_adit"))
}

#[test]
fn nothing_is_written_or_run_outside_the_output() {
    let able = Command::new("strace")
        .args(["-qq", "-e", "trace=none", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !able {
        eprintln!("SKIPPED: strace is not installed or may not trace: calls were not checked");
        return;
    }
    let (place, root, out) = place(2);
    let log = place.path().join("calls");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-s", "4096", "-e", "trace=%file,%process", "-o"]).arg(&log);
    command.arg(env!("CARGO_BIN_EXE_adit")).arg("live").args(LOOK).arg("--query-agent");
    command.arg("--root").arg(&root).arg("-o").arg(&out).current_dir(place.path());
    run(command, 0);
    let calls = fs::read_to_string(&log).unwrap();
    let inside = out.to_str().unwrap();
    assert!(calls.lines().any(|line| changes(line) && line.contains(inside)), "nothing is seen");
    let wrong: Vec<&str> =
        calls.lines().filter(|line| changes(line) && !line.contains(inside)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
