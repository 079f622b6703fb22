//! The whole program through its command line: a folder of evidence in, results out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::SystemTime;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const JUMP: &str = "testdata/hosts/JUMP-01";
const DEV: &str = "testdata/hosts/DEV-WS-11";
const LOGS: &str = "testdata/parse/evtx";
/// The secret half of every token in the samples.
const SECRET: &[u8] = b"4TestFixtureTokenOnly1";

/// What one call of the program gave.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

/// What one scan gave: the call, and every file it wrote, by path below the output.
struct Scanned {
    ran: Ran,
    files: BTreeMap<String, Vec<u8>>,
}

/// Runs adit at the repository's root.
fn adit(arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_adit"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    Ran {
        code: output.status.code().expect("ended by a signal"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Scans into a new folder and keeps what was written in memory.
fn scan(arguments: &[&str]) -> Scanned {
    let place = TempDir::new().unwrap();
    let out = place.path().join("out");
    let mut all = vec!["scan", "--output", text(&out), "--progress", "none"];
    all.extend(arguments);
    let ran = adit(&all);
    Scanned { ran, files: contents(&out) }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every file below a folder, by path with `/`; links by their target.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| {
            let name = entry.path().strip_prefix(folder).unwrap();
            let bytes = match fs::read_link(entry.path()) {
                Ok(target) => target.to_string_lossy().into_owned().into_bytes(),
                Err(_) => fs::read(entry.path()).unwrap(),
            };
            (text(name).replace('\\', "/"), bytes)
        })
        .collect()
}

/// A copy of a folder, without the links in it.
fn copy(from: &str, to: &Path) {
    for (name, bytes) in contents(&Path::new(env!("CARGO_MANIFEST_DIR")).join(from)) {
        let path = to.join(&name);
        let link = Path::new(env!("CARGO_MANIFEST_DIR")).join(from).join(&name);
        if !link.is_symlink() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

impl Scanned {
    /// The file's text; an empty one when it was not written.
    fn text(&self, name: &str) -> &str {
        str::from_utf8(self.files.get(name).map_or(&[], Vec::as_slice)).unwrap()
    }

    fn verdict(&self, host: &str) -> Value {
        serde_json::from_str(self.text(&format!("{host}/verdict.json"))).unwrap()
    }

    fn rows(&self, host: &str) -> Vec<Value> {
        let lines = self.text(&format!("{host}/timeline.jsonl"));
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The rows of a CSV file, each by column.
    fn table(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        csv::Reader::from_reader(self.text(name).as_bytes())
            .deserialize()
            .map(|row| row.unwrap())
            .collect()
    }

    /// The hosts in the order of hosts.csv.
    fn ranking(&self) -> Vec<String> {
        self.table("hosts.csv").iter().map(|row| row["host"].clone()).collect()
    }

    /// The only bundle of a host, opened: members by name.
    fn bundle(&self, host: &str) -> BTreeMap<String, Vec<u8>> {
        let prefix = format!("{host}/adit_{host}_");
        let mut found = self.files.iter().filter(|(name, _)| name.starts_with(&prefix));
        let bytes = found.next().expect("a bundle").1;
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        (0..zip.len())
            .map(|index| {
                let mut member = zip.by_index(index).unwrap();
                let mut bytes = Vec::new();
                member.read_to_end(&mut bytes).unwrap();
                (member.name().unwrap().into_owned(), bytes)
            })
            .collect()
    }

    /// Every file whose bytes the evidence alone decides.
    fn reproducible(&self) -> BTreeMap<&str, &[u8]> {
        self.files
            .iter()
            .filter(|(name, _)| !name.ends_with("/run.json") && !name.ends_with(".zip"))
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
            .collect()
    }
}

static JUMP_01: LazyLock<Scanned> = LazyLock::new(|| scan(&[JUMP]));
static DEV_WS_11: LazyLock<Scanned> = LazyLock::new(|| scan(&[DEV]));

fn ngrok(verdict: &Value) -> &Value {
    let tools = verdict["tools"].as_array().unwrap();
    tools.iter().find(|tool| tool["tool"] == "ngrok").expect("ngrok in the verdict")
}

/// Local port, user, client's address and client's name of every session, sorted.
fn sessions(list: &Value) -> Vec<(u64, String, String, String)> {
    let word = |session: &Value, key: &str| session[key].as_str().unwrap_or_default().to_owned();
    let mut found: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|session| {
            let port = session["local_port"].as_u64().unwrap_or_default();
            let (user, client) = (word(session, "user"), word(session, "workstation"));
            (port, user, word(session, "remote_address"), client)
        })
        .collect();
    found.sort();
    found
}

fn session(port: u64, user: &str, from: &str, client: &str) -> (u64, String, String, String) {
    (port, user.into(), from.into(), client.into())
}

fn has(bytes: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(bytes, needle).is_some()
}

#[test]
fn a_tunnel_and_who_came_through_it_are_found() {
    assert_eq!(JUMP_01.ran.code, 0, "{}", JUMP_01.ran.stderr);
    let verdict = JUMP_01.verdict("JUMP-01");
    assert_eq!(verdict["host"], "JUMP-01");
    assert_eq!(verdict["level"], "critical");
    let ngrok = ngrok(&verdict);
    for rung in ["delivered", "configured", "executed", "persisted", "connected", "used"] {
        assert_eq!(ngrok["rungs"][rung]["answer"], "yes", "{rung}");
    }
    assert_ne!(ngrok["rungs"]["cleaned_up"]["answer"], "yes");
    assert_eq!(
        sessions(&ngrok["sessions"]),
        [
            session(49271, r"CORP\Administrator", "", "kali"),
            session(50112, r"CORP\svc_backup", "", "DESKTOP-HPLM2TD"),
            session(50944, r"CORP\Administrator", "203.0.113.77", ""),
        ]
    );
    let credentials = ngrok["credentials"].as_array().unwrap();
    assert_eq!(credentials.len(), 1);
    assert_eq!(credentials[0]["id"], "cr_2aBcDeFgHiJkLmNoPqRsTuVwXyZ");
}

#[test]
fn a_session_that_no_tool_explains_is_said_as_such() {
    let verdict = JUMP_01.verdict("JUMP-01");
    let unattributed = sessions(&verdict["unattributed"]);
    assert_eq!(unattributed, [session(49271, r"CORP\Administrator", "", "WORK")]);
}

/// Also when only one tool is hunted: it ran, and its configuration opens the port.
#[test]
fn who_came_in_is_found_without_the_agents_log_and_its_connections() {
    let place = TempDir::new().unwrap();
    let host = place.path().join("JUMP-01");
    copy(JUMP, &host);
    let logs = "Windows/System32/winevt/Logs";
    for log in ["PerfLogs/ngrok.log", &format!("{logs}/Microsoft-Windows-Sysmon%4Operational.evtx")]
    {
        fs::remove_file(host.join(log)).unwrap();
    }
    for more in [&[][..], &["--profile", "ngrok"]] {
        let got = scan(&[&[text(&host), "--no-bundle"], more].concat());
        let verdict = got.verdict("JUMP-01");
        assert_eq!(
            sessions(&ngrok(&verdict)["sessions"]),
            [
                session(49271, r"CORP\Administrator", "", "kali"),
                session(50112, r"CORP\svc_backup", "", "DESKTOP-HPLM2TD"),
                session(50944, r"CORP\Administrator", "", ""),
            ]
        );
        let unattributed = sessions(&verdict["unattributed"]);
        assert_eq!(unattributed, [session(49271, r"CORP\Administrator", "", "WORK")]);
        let rows = got.rows("JUMP-01");
        let told = rows.iter().filter_map(|row| row["message"].as_str());
        assert!(told.filter(|m| m.ends_with("; ngrok ran and opens port 3389")).count() > 3);
    }
}

#[test]
fn every_row_behind_a_rung_is_in_the_timeline() {
    let known: Vec<Value> =
        JUMP_01.rows("JUMP-01").iter().map(|row| row["row_id"].clone()).collect();
    let verdict = JUMP_01.verdict("JUMP-01");
    for (rung, answer) in ngrok(&verdict)["rungs"].as_object().unwrap() {
        for row in answer["rows"].as_array().unwrap() {
            assert!(known.contains(row), "{rung}: {row}");
        }
    }
}

#[test]
fn the_summary_names_what_to_read_first() {
    let said = &JUMP_01.ran.stderr;
    for word in ["JUMP-01", "CRITICAL", "203.0.113.77", "Read first", r"C:\PerfLogs\ngrok.log"] {
        assert!(said.contains(word), "{word} is not in:\n{said}");
    }
    // Paths alone, for scripts.
    let paths: Vec<&str> = JUMP_01.ran.stdout.lines().collect();
    assert_eq!(paths.len(), 3, "{paths:?}");
    assert!(paths[0].ends_with("JUMP-01") && paths[2].ends_with("hosts.csv"));
}

#[test]
fn a_host_without_a_tunnel_is_not_alarmed_on() {
    assert_eq!(DEV_WS_11.ran.code, 0, "{}", DEV_WS_11.ran.stderr);
    for row in DEV_WS_11.rows("DEV-WS-11") {
        assert_eq!(row["level"], "informational", "{row}");
    }
    let verdict = DEV_WS_11.verdict("DEV-WS-11");
    for tool in verdict["tools"].as_array().unwrap() {
        for (rung, answer) in tool["rungs"].as_object().unwrap() {
            assert_ne!(answer["answer"], "yes", "{rung}");
        }
        assert!(sessions(&tool["sessions"]).is_empty());
    }
    assert!(sessions(&verdict["unattributed"]).is_empty());
    // A workstation keeps the usage of programs, and this sample of one has no such file.
    let executed = &ngrok(&verdict)["rungs"]["executed"];
    assert_eq!(executed["answer"], "unknown");
    assert_eq!(executed["why"], "windows.execution.srum absent");
    assert!(DEV_WS_11.table("DEV-WS-11/findings.csv").is_empty());
}

#[test]
fn no_secret_leaves_in_an_output_file() {
    for (name, bytes) in &JUMP_01.files {
        assert!(!has(bytes, SECRET), "{name}");
    }
    assert!(!has(JUMP_01.ran.stderr.as_bytes(), SECRET));
    let bundle = JUMP_01.bundle("JUMP-01");
    for (name, bytes) in bundle.iter().filter(|(name, _)| !name.starts_with("data/evidence/")) {
        assert!(!has(bytes, SECRET), "{name}");
    }
}

#[test]
fn raw_copies_in_the_bundle_are_intact() {
    let bundle = JUMP_01.bundle("JUMP-01");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(JUMP);
    for (member, file) in [
        ("data/evidence/C/PerfLogs/n.yml", "PerfLogs/n.yml"),
        ("data/evidence/C/PerfLogs/ngrok.exe", "PerfLogs/ngrok.exe"),
        ("data/evidence/C/Windows/System32/config/SYSTEM", "Windows/System32/config/SYSTEM"),
    ] {
        assert!(bundle[member] == fs::read(root.join(file)).unwrap(), "{member}");
    }
    assert!(has(&bundle["data/evidence/C/PerfLogs/n.yml"], SECRET));
}

#[test]
fn secrets_are_revealed_only_on_demand() {
    // A command line there sets the token.
    let log = format!("{LOGS}/powershell.evtx");
    let hidden = scan(&[&log]);
    let name = format!("{}/timeline.jsonl", hidden.ranking()[0]);
    assert!(hidden.text(&name).contains("…sha256:"));
    assert!(!has(&hidden.files[&name], SECRET));
    let revealed = scan(&[&log, "--reveal-secrets", "--no-bundle"]);
    assert!(has(&revealed.files[&name], SECRET));
    let run = revealed.text(&name.replace("timeline.jsonl", "run.json"));
    assert!(run.contains("\"reveal_secrets\": true"), "{run}");
}

#[test]
fn the_same_evidence_gives_the_same_bytes() {
    for sources in [&["testdata/hosts"][..], &[LOGS]] {
        let with = |more: &[&str]| scan(&[sources, more].concat());
        let first = with(&["--threads", "1"]);
        for more in [&["--threads", "2"][..], &["--threads", "2"], &["--no-screen"]] {
            let again = with(more);
            let (first, again) = (first.reproducible(), again.reproducible());
            assert!(first.keys().eq(again.keys()), "{sources:?} {more:?}");
            for (name, bytes) in &first {
                assert!(*bytes == again[name], "{sources:?} {more:?}: {name}");
            }
        }
    }
}

#[test]
fn several_sources_are_one_run() {
    let log = format!("{LOGS}/sysmon.evtx");
    let scanned = scan(&[DEV, JUMP, &log, "--no-bundle"]);
    assert_eq!(scanned.ran.code, 0, "{}", scanned.ran.stderr);
    let ranking = scanned.ranking();
    assert_eq!(ranking.len(), 3);
    assert_eq!(ranking[2], "DEV-WS-11");
    for host in &ranking {
        assert!(scanned.files.contains_key(&format!("{host}/verdict.json")), "{host}");
    }
}

#[test]
fn a_folder_of_hosts_gives_each_its_result() {
    let scanned = scan(&["testdata/hosts", "--no-bundle"]);
    assert_eq!(scanned.ranking(), ["JUMP-01", "DEV-WS-11"]);
    let alone = JUMP_01.verdict("JUMP-01");
    assert_eq!(sessions(&ngrok(&scanned.verdict("JUMP-01"))["sessions"]), {
        sessions(&ngrok(&alone)["sessions"])
    });
}

#[test]
fn one_log_is_a_source() {
    let scanned = scan(&[&format!("{LOGS}/sysmon.evtx"), "--no-bundle"]);
    assert_eq!(scanned.ran.code, 0, "{}", scanned.ran.stderr);
    let hosts = scanned.ranking();
    assert_eq!(hosts.len(), 1);
    let verdict = scanned.verdict(&hosts[0]);
    assert_eq!(ngrok(&verdict)["rungs"]["executed"]["answer"], "yes");
    // One log cannot deny what a volume would hold.
    for rung in ["delivered", "configured", "persisted", "used", "cleaned_up"] {
        assert_eq!(ngrok(&verdict)["rungs"][rung]["answer"], "unknown", "{rung}");
    }
}

#[test]
fn a_loose_folder_is_split_by_computer() {
    let scanned = scan(&[LOGS, "--no-bundle"]);
    assert_eq!(scanned.ran.code, 0, "{}", scanned.ran.stderr);
    let hosts = scanned.ranking();
    assert!(hosts.len() > 1, "{hosts:?}");
    for host in &hosts {
        assert!(scanned.files.contains_key(&format!("{host}/timeline.csv")), "{host}");
    }
}

#[test]
fn drives_side_by_side_are_one_host() {
    let place = TempDir::new().unwrap();
    copy(JUMP, &place.path().join("C"));
    fs::create_dir_all(place.path().join("D/tools")).unwrap();
    fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR")).join(JUMP).join("PerfLogs/ngrok.exe"),
        place.path().join("D/tools/ngrok.exe"),
    )
    .unwrap();
    let scanned = scan(&[text(place.path()), "--no-bundle"]);
    assert_eq!(scanned.ranking(), ["JUMP-01"]);
    let rows = scanned.rows("JUMP-01");
    let at = |path: &str| rows.iter().any(|row| row["source_path"] == path);
    assert!(at(r"C:\PerfLogs\ngrok.exe") && at(r"D:\tools\ngrok.exe"));
}

#[test]
fn letter_case_of_folders_does_not_matter() {
    let place = TempDir::new().unwrap();
    let root = place.path().join("volume");
    copy(JUMP, &root);
    fs::rename(root.join("Windows/System32"), root.join("Windows/SYSTEM32")).unwrap();
    fs::rename(root.join("Windows"), root.join("WINDOWS")).unwrap();
    let scanned = scan(&[text(&root), "--no-bundle"]);
    assert_eq!(scanned.ranking(), ["JUMP-01"]);
    assert_eq!(sessions(&ngrok(&scanned.verdict("JUMP-01"))["sessions"]).len(), 3);
}

#[test]
fn hosts_of_one_name_are_kept_apart() {
    let place = TempDir::new().unwrap();
    copy(DEV, &place.path().join("first"));
    copy(DEV, &place.path().join("second"));
    let scanned = scan(&[text(place.path()), "--no-bundle"]);
    assert_eq!(scanned.ranking(), ["DEV-WS-11", "DEV-WS-11~2"]);
    assert_eq!(scanned.verdict("DEV-WS-11~2")["host"], "DEV-WS-11~2");
    assert!(scanned.rows("DEV-WS-11~2").iter().all(|row| row["host"] == "DEV-WS-11~2"));
}

#[test]
fn results_are_not_written_onto_the_evidence_unasked() {
    let place = TempDir::new().unwrap();
    let root = place.path().join("volume");
    copy(DEV, &root);
    let out = root.join("out");
    let before = contents(&root);
    let refused = adit(&["scan", text(&root), "-o", text(&out)]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("--allow-output-on-source"), "{}", refused.stderr);
    assert_eq!(before, contents(&root));
    let asked = adit(&["scan", text(&root), "-o", text(&out), "--allow-output-on-source", "-q"]);
    assert_eq!(asked.code, 0, "{}", asked.stderr);
    assert!(out.join("DEV-WS-11/verdict.json").is_file());
}

#[test]
fn a_source_that_is_missing_is_said() {
    let none = scan(&["testdata/no-such-folder"]);
    assert_eq!(none.ran.code, 4);
    assert!(none.ran.stderr.contains("no-such-folder"), "{}", none.ran.stderr);
    let empty = TempDir::new().unwrap();
    let unmounted = scan(&[text(empty.path())]);
    assert_eq!(unmounted.ran.code, 4);
    assert!(unmounted.ran.stderr.contains("mounted"), "{}", unmounted.ran.stderr);
    let some = scan(&["testdata/no-such-folder", DEV, "--no-bundle"]);
    assert_eq!(some.ran.code, 3);
    assert_eq!(some.ranking(), ["DEV-WS-11"]);
}

#[test]
fn wrong_use_is_code_2() {
    for wrong in [
        &["scan"][..],
        &["scan", JUMP],
        &["dig"],
        &["scan", JUMP, "-o", "x", "--since", "yesterday"],
        &["scan", JUMP, "-o", "x", "--profile", "no-such-profile"],
    ] {
        let ran = adit(wrong);
        assert_eq!(ran.code, 2, "{wrong:?}");
        assert!(!ran.stderr.is_empty(), "{wrong:?}");
    }
    assert_eq!(adit(&[]).code, 0);
    assert!(adit(&[]).stdout.contains("Usage"));
}

#[test]
fn what_comes_later_says_so() {
    let encrypted = ["scan", JUMP, "-o", "x", "--encrypt-to", "age1example"];
    for call in [&["merge", "a", "b", "-o", "x"][..], &encrypted] {
        let ran = adit(call);
        assert_eq!(ran.code, 2, "{call:?}");
        assert!(ran.stderr.contains("comes with a later version"), "{call:?}: {}", ran.stderr);
    }
}

#[test]
fn a_damaged_log_is_a_problem_and_not_a_no() {
    let place = TempDir::new().unwrap();
    let root = place.path().join("volume");
    copy(JUMP, &root);
    let log = root.join("Windows/System32/winevt/Logs/System.evtx");
    let mut bytes = fs::read(&log).unwrap();
    bytes[0x1000 + 0x800..0x1000 + 0x1800].fill(0xa5);
    fs::write(&log, bytes).unwrap();
    let scanned = scan(&[text(&root), "--no-bundle"]);
    assert_eq!(scanned.ran.code, 3, "{}", scanned.ran.stderr);
    let problems = scanned.table("JUMP-01/problems.csv");
    let path = r"C:\Windows\System32\winevt\Logs\System.evtx";
    assert!(problems.iter().any(|row| row["path"] == path && row["locator"].contains("0x")));
    let coverage = scanned.table("JUMP-01/coverage.csv");
    let line = coverage.iter().find(|row| row["path"] == path).unwrap();
    assert_eq!(line["state"], "partial");
    assert_eq!(ngrok(&scanned.verdict("JUMP-01"))["rungs"]["cleaned_up"]["answer"], "unknown");
}

#[test]
fn findings_set_the_exit_code_on_demand() {
    let high = ["--exit-findings", "high", "--no-bundle"];
    assert_eq!(scan(&[&[JUMP], &high[..]].concat()).ran.code, 10);
    assert_eq!(scan(&[&[DEV], &high[..]].concat()).ran.code, 0);
}

#[test]
fn a_bundle_verifies_until_it_is_touched() {
    let place = TempDir::new().unwrap();
    let file = |bytes: &[u8]| -> PathBuf {
        let path = place.path().join("bundle.zip");
        fs::write(&path, bytes).unwrap();
        path
    };
    let (_, bytes) = JUMP_01.files.iter().find(|(name, _)| name.ends_with(".zip")).unwrap();
    let whole = adit(&["verify", text(&file(bytes))]);
    assert_eq!(whole.code, 0, "{}", whole.stdout);
    let mut touched = bytes.clone();
    let middle = touched.len() / 2;
    touched[middle] ^= 1;
    assert_ne!(adit(&["verify", text(&file(&touched))]).code, 0);
    assert_ne!(adit(&["verify", text(&file(&bytes[..middle]))]).code, 0);
}

#[test]
fn nothing_in_the_evidence_changes() {
    let place = TempDir::new().unwrap();
    let root = place.path().join("volume");
    copy(JUMP, &root);
    let state = || -> Vec<(PathBuf, SystemTime, Option<Vec<u8>>)> {
        let entries = walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().flatten();
        entries
            .map(|entry| {
                let modified = entry.metadata().unwrap().modified().unwrap();
                let hash = fs::read(entry.path()).ok().map(|b| Sha256::digest(b).to_vec());
                (entry.into_path(), modified, hash)
            })
            .collect()
    };
    let before = state();
    assert_eq!(scan(&[text(&root), "--collect", "all"]).ran.code, 0);
    assert!(before == state());
}

#[test]
fn a_period_bounds_the_timeline() {
    let log = format!("{LOGS}/sysmon.evtx");
    let times = |more: &[&str]| -> Vec<String> {
        let scanned = scan(&[&[JUMP, "--no-bundle"], more].concat());
        let rows = scanned.rows("JUMP-01");
        rows.iter().map(|row| row["datetime"].as_str().unwrap().to_owned()).collect()
    };
    let since = times(&["--since", "2024-09-03"]);
    assert!(!since.is_empty() && since.iter().all(|time| time.as_str() >= "2024-09-03"));
    // The service is older, and is there all the same.
    let bounded = scan(&[JUMP, "--no-bundle", "--since", "2024-09-03"]);
    assert_eq!(bounded.files["JUMP-01/verdict.json"], JUMP_01.files["JUMP-01/verdict.json"]);
    let until = times(&["--until", "2024-09-03T00:00:00Z"]);
    assert!(!until.is_empty() && until.iter().all(|time| time.as_str() < "2024-09-03"));
    // Back from the last event of the evidence, whatever today's date and the files'.
    let recent = times(&["--since", "90d"]);
    assert!(recent.len() > 20 && recent[0].starts_with("2024-09-02"), "{recent:?}");
    let all = scan(&[&log, "--no-bundle"]);
    let recent = scan(&[&log, "--no-bundle", "--since", "90d"]);
    let none = scan(&[&log, "--no-bundle", "--until", "90d"]);
    let host = &all.ranking()[0];
    assert!(!all.rows(host).is_empty());
    assert_eq!(recent.rows(host), all.rows(host));
    assert!(none.rows(host).is_empty());
}

const OWN_RULE: &str = r"
title: Program below PerfLogs
id: 0b4c1c7e-0c0b-4c57-8a52-5f0d2a1f3a10
logsource: { category: process_creation, product: windows }
detection:
  place: { Image|startswith: 'C:\PerfLogs\' }
  condition: place
level: high
";

#[test]
fn a_sigma_rule_of_ones_own_is_used() {
    let place = TempDir::new().unwrap();
    let rule = place.path().join("own.yml");
    fs::write(&rule, OWN_RULE).unwrap();
    assert_eq!(adit(&["check", text(&rule)]).code, 0);
    let hit = scan(&[JUMP, "--no-bundle", "--profile", text(&rule)]);
    let id = OWN_RULE.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let met = |row: &&Value| row["rule"].as_str().is_some_and(|rules| rules.contains(id));
    let rows = hit.rows("JUMP-01");
    let own: Vec<&Value> = rows.iter().filter(met).collect();
    assert!(own.len() > 1 && own.iter().all(|row| row["process"] == r"C:\PerfLogs\ngrok.exe"));
    // It adds to the built-in rules.
    assert!(rows.iter().any(|row| row["tool"] == "ngrok"));
    let miss = scan(&[DEV, "--no-bundle", "--profile", text(&rule)]);
    assert!(!miss.rows("DEV-WS-11").iter().any(|row| met(&row)));
}

#[test]
fn an_allowlist_marks_and_never_deletes() {
    let place = TempDir::new().unwrap();
    let log = format!("{LOGS}/sysmon.evtx");
    let plain = scan(&[&log, "--no-bundle"]);
    let host = &plain.ranking()[0];
    let profile = |entry: &str| {
        fs::write(place.path().join("profile.yaml"), format!("id: ngrok\nallow:\n  - {entry}\n"))
            .unwrap();
        let own = text(place.path());
        scan(&[&log, "--no-bundle", "--profile", own])
    };
    // Rows of ngrok's own rules: where they stand, and whether they are marked.
    let rows = |scanned: &Scanned| -> BTreeMap<String, bool> {
        let rows = scanned.rows(host);
        rows.iter()
            .filter(|row| row["rule"].as_str().unwrap().contains("ngrok-"))
            .map(|row| {
                let tags = row["tag"].as_str().unwrap_or_default();
                (
                    row["locator"].as_str().unwrap().to_owned(),
                    tags.split(' ').any(|tag| tag == "suppressed"),
                )
            })
            .collect()
    };
    let before = rows(&plain);
    assert!(before.len() > 3 && before.values().all(|marked| !marked));
    let other = profile("{ name: known, host: 'ANOTHER-HOST*' }");
    assert_eq!(rows(&other), before);
    let allowed = profile(&format!("{{ name: known, host: '{host}*' }}"));
    let known = allowed.rows(host);
    for locator in before.keys() {
        assert!(known.iter().any(|row| row["locator"] == **locator), "{locator}");
    }
    let after = rows(&allowed);
    assert!(!after.is_empty() && after.values().all(|marked| *marked), "{after:?}");
    for rung in ngrok(&allowed.verdict(host))["rungs"].as_object().unwrap().values() {
        assert_ne!(rung["answer"], "yes");
    }
}

#[test]
fn an_allowed_host_keeps_every_row() {
    let place = TempDir::new().unwrap();
    let entry = "id: ngrok\nallow:\n  - { name: lab, host: 'JUMP-01*' }\n";
    fs::write(place.path().join("profile.yaml"), entry).unwrap();
    let plain = scan(&[JUMP, "--no-bundle"]);
    let allowed = scan(&[JUMP, "--no-bundle", "--profile", text(place.path())]);
    let places = |scanned: &Scanned| -> BTreeMap<String, String> {
        let rows = scanned.rows("JUMP-01");
        rows.iter().map(|r| (r["row_id"].to_string(), r["level"].to_string())).collect()
    };
    let (before, after) = (places(&plain), places(&allowed));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for row in allowed.rows("JUMP-01").iter().filter(|row| row["tool"] == "ngrok") {
        let tags = row["tag"].as_str().unwrap_or_default();
        let session = row["rule"].as_str().unwrap().contains("loopback");
        assert!(session || tags.contains("suppressed"), "{row}");
    }
}

#[test]
fn an_artifact_with_an_unknown_key_is_refused() {
    let place = TempDir::new().unwrap();
    let folder = place.path().join("windows/evtx");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("own.yaml");
    let good = "title: Own log\ndescription: A log of one's own.\nos: windows\n\
                paths: ['%SystemRoot%\\own.evtx']\nparser: evtx\n";
    fs::write(&file, good).unwrap();
    let taken = scan(&[DEV, "--no-bundle", "--artifacts", text(place.path())]);
    assert_eq!(taken.ran.code, 0, "{}", taken.ran.stderr);
    assert!(taken.text("DEV-WS-11/coverage.csv").contains("windows.evtx.own"));
    fs::write(&file, format!("{good}colour: blue\n")).unwrap();
    let refused = scan(&[DEV, "--artifacts", text(place.path())]);
    assert_eq!(refused.ran.code, 2);
    let said = &refused.ran.stderr;
    assert!(said.contains("own.yaml, line 6") && said.contains("colour"), "{said}");
    assert!(refused.files.is_empty());
}
