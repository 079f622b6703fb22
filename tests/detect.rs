//! Rules against records: every case of `testdata/detect/*.yaml`, what the
//! references ask for, and what the screen may rely on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use adit::builtin;
use adit::detect::{DetectError, Detector};
use adit::model::{Hit, Locator, Record, Requirement, RowStage, Value};
use serde::Deserialize;

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| Detector::load(&[]).unwrap());
static LITERAL: LazyLock<Detector> = LazyLock::new(|| Detector::load_literal().unwrap());

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    case: String,
    category: String,
    #[serde(default)]
    fields: BTreeMap<String, Field>,
    #[serde(default, flatten)]
    expected: Expected,
    /// What the rules say that repeat the reference to the letter.
    literal: Option<Expected>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Expected {
    /// Rules and clauses that the hits must name.
    expect: Vec<String>,
    /// Rules and clauses that they must not; `*` is any hit.
    reject: Vec<String>,
    /// The highest score among the hits.
    score: Option<u8>,
    stage: Option<String>,
    /// Tags that some hit bears.
    tags: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Field {
    Number(i64),
    Text(String),
    List(Vec<String>),
}

fn record(category: &str, fields: &BTreeMap<String, Field>) -> Record {
    let category = Box::leak(category.to_owned().into_boxed_str());
    let mut record = Record::new(category, Locator::Record(1));
    for (name, field) in fields {
        let value = match field {
            Field::Number(number) => Value::Number(*number),
            Field::Text(text) => Value::Text(text.clone()),
            Field::List(all) => Value::List(all.clone()),
        };
        record.fields.push((name.clone().into(), value));
    }
    record
}

fn check(case: &str, hits: &[Hit], expected: &Expected) -> Vec<String> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for hit in hits {
        names.insert(&hit.rule);
        names.extend(hit.clauses.iter().map(String::as_str));
    }
    let mut faults = Vec::new();
    for name in &expected.expect {
        if !names.contains(name.as_str()) {
            faults.push(format!("{case}: no {name}, but {names:?}"));
        }
    }
    for name in &expected.reject {
        if names.contains(name.as_str()) || (name == "*" && !names.is_empty()) {
            faults.push(format!("{case}: {name} among {names:?}"));
        }
    }
    let highest = hits.iter().map(|hit| hit.score).max();
    if expected.score.is_some() && highest != expected.score {
        faults.push(format!("{case}: score {highest:?}, not {:?}: {names:?}", expected.score));
    }
    if let Some(stage) = &expected.stage
        && !hits.iter().any(|hit| hit.stage.as_str() == stage)
    {
        faults.push(format!("{case}: no stage {stage}: {names:?}"));
    }
    for tag in &expected.tags {
        if !hits.iter().any(|hit| hit.tags.iter().any(|t| t.as_str() == tag)) {
            faults.push(format!("{case}: no tag {tag}: {names:?}"));
        }
    }
    faults
}

fn run(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/detect").join(file);
    let cases: Vec<Case> = yaml_serde::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let mut faults = Vec::new();
    for case in &cases {
        let record = record(&case.category, &case.fields);
        let hits = DETECTOR.evaluate(&record);
        faults.extend(check(&case.case, &hits, &case.expected));
        if let Some(literal) = &case.literal {
            let name = format!("{}, to the letter", case.case);
            faults.extend(check(&name, &LITERAL.evaluate(&record), literal));
        }
        faults.extend(unscreened(&case.case, &record, &hits));
    }
    assert!(!cases.is_empty());
    assert!(faults.is_empty(), "{file}:\n{}", faults.join("\n"));
}

/// Fields that the parsers put together; their text need not stand in the evidence.
const COMPOSED: &[&str] = &["User", "Wrapped", "TaskCommand", "ClearedChannel"];

/// The provider that records of a category come from, where there is but one.
fn provider(category: &str) -> Option<&'static str> {
    match category {
        "logon" | "logon_failed" | "logon_explicit" | "logoff" | "session_reconnect" => {
            Some("microsoft-windows-security-auditing")
        }
        "bits" => Some("microsoft-windows-bits-client"),
        _ => None,
    }
}

/// Every rule that hit must find what it needs in the record's own texts.
fn unscreened(case: &str, record: &Record, hits: &[Hit]) -> Vec<String> {
    if matches!(record.category, "agent_log" | "config" | "tunnel_endpoint") {
        return Vec::new();
    }
    let mut texts: Vec<String> = record
        .fields
        .iter()
        .filter(|(name, _)| !COMPOSED.contains(&name.as_ref()))
        .map(|(_, value)| value.to_string().to_ascii_lowercase())
        .collect();
    // What the only provider of such records writes into each of them.
    texts.extend(provider(record.category).map(str::to_owned));
    let text = texts.join("\n");
    hits.iter()
        .filter(|hit| !met(DETECTOR.requirement_of(&hit.rule).unwrap(), &text))
        .map(|hit| format!("{case}: the screen would hold it back from {}", hit.rule))
        .collect()
}

fn met(requirement: &Requirement, text: &str) -> bool {
    match requirement {
        Requirement::True => true,
        Requirement::Text(literal) => text.contains(literal.as_str()),
        Requirement::Bytes { text: literal, .. } => text.contains(literal.as_str()),
        Requirement::All(of) => of.iter().all(|r| met(r, text)),
        Requirement::Any(of) => of.iter().any(|r| met(r, text)),
    }
}

macro_rules! cases {
    ($($name:ident),*) => { $(
        #[test]
        fn $name() {
            run(concat!(stringify!($name), ".yaml"));
        }
    )* };
}

cases!(
    seed_000, seed_003, seed_004, matrix, files, services, powershell, logs, loopback, arguments,
    noise, every, siblings, live, cleanup
);

#[test]
fn every_built_in_rule_is_valid_and_lets_the_screen_skip() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    for tool in ["ngrok", "tunnel"] {
        // Given as a folder, each rule is compiled at once.
        let loaded = Detector::load(&[folder.join(tool).display().to_string()]).unwrap();
        assert!(loaded.remarks().is_empty(), "{:?}", loaded.remarks());
    }
    // A profile with every key that templates ask for.
    let templates = folder.join("every/rules").display().to_string();
    Detector::load(&["cloudflared".to_owned(), templates]).unwrap();
    assert!(DETECTOR.remarks().is_empty());
    for (rule, requirement) in DETECTOR.rules().zip(DETECTOR.requirements()) {
        assert_ne!(requirement, &Requirement::True, "{rule}");
    }
}

/// A template is applied to every loaded profile, the user's own included.
#[test]
fn a_template_of_the_user_serves_every_profile() {
    let folder = tempfile::tempdir().unwrap();
    let header = "id: mole\nname: Mole\nbinaries: [mole.exe, moled]\n";
    std::fs::write(folder.path().join("profile.yaml"), header).unwrap();
    let text = "title: '%name% seen'\nid: 0b8f8b5e-3d0e-4f3f-9b8e-7b1a5f0c1234\nname: '%tool%-seen'\n\
        logsource: {category: seen}\ndetection:\n  s:\n    Image|endswith: '\\%binaries%'\n  \
        condition: s\nadit: {message: '%name%: {Image}'}\n";
    let template = folder.path().join("seen.yml");
    std::fs::write(&template, text).unwrap();
    let detector = Detector::load(&[folder.path().display().to_string()]).unwrap();
    let mut record = Record::new("seen", Locator::Record(1));
    record.push("Image", r"C:\MOLE.EXE");
    let hits = detector.evaluate(&record);
    let [hit] = hits.as_slice() else { panic!("{hits:?}") };
    assert_eq!((&*hit.tool, &*hit.rule), ("mole", "mole-seen"));
    assert_eq!(hit.message, r"Mole: C:\MOLE.EXE");
    let mut ran = Record::new("prefetch", Locator::Record(1));
    ran.push("Image", "MOLE.EXE");
    assert!(detector.evaluate(&ran).iter().any(|hit| &*hit.rule == "mole-ran"));

    std::fs::write(&template, text.replace("%binaries%", "%nothing%")).unwrap();
    let failed = Detector::load(&[folder.path().display().to_string()]).map(|_| ());
    let said = failed.unwrap_err().to_string();
    assert!(said.contains("seen.yml: line 7: no placeholder %nothing%"), "{said}");
}

#[test]
fn rule_files_are_named_after_their_rules_and_ids_are_unique() {
    #[derive(Deserialize)]
    struct Head {
        id: String,
        name: String,
    }
    let mut ids = BTreeMap::new();
    for (path, bytes) in builtin::files().filter(|(path, _)| path.ends_with(".yml")) {
        let head: Head = yaml_serde::from_slice(bytes).unwrap();
        // A template's name lacks the tool's.
        let name = head.name.strip_prefix("%tool%-").unwrap_or(&head.name);
        assert!(path.ends_with(&format!("/{name}.yml")), "{path}: {name}");
        assert_eq!(head.id.len(), 36, "{path}");
        assert_eq!(ids.insert(head.id, path), None, "{path}");
    }
    assert!(ids.len() > 100);
}

#[test]
fn every_domain_of_the_table_is_noticed() {
    let ngrok = DETECTOR.profiles().iter().find(|p| &*p.id == "ngrok").unwrap();
    assert!(ngrok.domains.len() > 40);
    for domain in &ngrok.domains {
        let mut asked = Record::new("dns_query", Locator::Record(1));
        asked.push("QueryName", domain.suffix.clone());
        asked.push("QueryStatus", "0");
        let hits = DETECTOR.evaluate(&asked);
        assert!(hits.iter().any(|hit| &*hit.tool == "ngrok"), "{}", domain.suffix);
        assert_eq!(ngrok.domain(&domain.suffix), Some(domain));
    }
}

#[test]
fn every_clause_of_a_single_record_has_a_rule() {
    let mut clauses = BTreeSet::new();
    for (path, bytes) in builtin::files().filter(|(path, _)| path.ends_with(".yml")) {
        let rule: yaml_serde::Value = yaml_serde::from_slice(bytes).unwrap();
        if rule["adit"]["literal"].as_bool() == Some(true) {
            continue;
        }
        let Some(named) = rule["adit"]["clauses"].as_sequence() else { continue };
        clauses.extend(named.iter().map(|c| c.as_str().unwrap_or(path).to_owned()));
    }
    for clause in [
        "S000.1", "S000.2", "S000.3", "S000.4", "S000.5", "S000.6", "S000.7", "S000.11", "S000.13",
        "S000.16", "S003.1", "S003.2", "S003.3", "S003.4", "S003.5", "S003.9", "S004.1", "S004.2",
        "S004.3", "S004.4", "S004.5", "S004.6", "S004.7", "S004.8", "S004.9", "S004.12", "S004.13",
    ] {
        assert!(clauses.contains(clause), "{clause}");
    }
}

#[test]
fn hits_are_sorted_and_carry_what_the_references_ask_for() {
    let fields =
        [("Image", r"C:\x\ngrok.exe"), ("CommandLine", "ngrok.exe tcp 3389"), ("Computer", "HOST")];
    let mut started = Record::new("process_creation", Locator::Record(1));
    for (name, value) in fields {
        started.push(name, value);
    }
    let hits = DETECTOR.evaluate(&started);
    assert!(hits.is_sorted_by_key(|hit| (hit.tool.clone(), hit.rule.clone())));
    for hit in &hits {
        assert!(hit.techniques.iter().any(|t| t == "T1572"), "{}", hit.rule);
    }
    let named = hits.iter().find(|hit| &*hit.rule == "ngrok-process").unwrap();
    assert_eq!(&*named.techniques, ["T1572", "T1090", "T1102"]);
    assert_eq!(named.score, 50);
    assert_eq!(named.message, r"A program started C:\x\ngrok.exe on HOST: ngrok.exe tcp 3389");
    let ngrok = DETECTOR.profiles().iter().find(|p| &*p.id == "ngrok").unwrap();
    assert_eq!(ngrok.software, ["S0508"]);
    assert_eq!(ngrok.sha256.len(), 64);
}

const FOREIGN: &str = r"
title: Whoami
id: 0b8f8b5e-3d0e-4f3f-9b8e-7b1a5f0c1234
tags: [attack.discovery, attack.t1033]
logsource: { product: windows, category: process_creation }
detection:
  selection:
    Image|endswith: '\whoami.exe'
  condition: selection
level: medium
";

#[test]
fn a_rule_of_the_user_is_asked_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whoami.yml");
    std::fs::write(&path, FOREIGN).unwrap();
    let detector = Detector::load(&[path.display().to_string()]).unwrap();
    let mut record = Record::new("process_creation", Locator::Record(1));
    record.push("Channel", "Security");
    record.push("Image", r"C:\Windows\System32\WHOAMI.EXE");
    let hits = detector.evaluate(&record);
    let [hit] = hits.as_slice() else { panic!("{hits:?}") };
    assert_eq!(&*hit.tool, "custom");
    assert_eq!(&*hit.rule, "0b8f8b5e-3d0e-4f3f-9b8e-7b1a5f0c1234");
    assert_eq!((hit.score, hit.stage), (45, RowStage::Context));
    assert_eq!(&*hit.techniques, ["T1033"]);
    assert_eq!(hit.message, "Whoami");
}

#[test]
fn services_of_sigma_are_channels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("service.yml");
    std::fs::write(
        &path,
        "title: t\nlogsource: {product: windows, service: system}\ndetection:\n  s:\n    \
         Provider_Name: Service Control Manager\n    EventID: 7045\n  condition: s\nlevel: high\n",
    )
    .unwrap();
    let detector = Detector::load(&[path.display().to_string()]).unwrap();
    let mut record = Record::new("service_install", Locator::Record(1));
    record.push("Channel", "System");
    record.push("Provider", "Service Control Manager");
    record.push("EventID", 7045);
    assert_eq!(detector.evaluate(&record).len(), 1);
    record.fields[0].1 = "Application".into();
    assert!(detector.evaluate(&record).is_empty());
}

#[test]
fn a_rule_on_logs_that_are_not_read_is_said() {
    fn shared<T: Send + Sync>(_: &T) {}
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.yml");
    std::fs::write(
        &path,
        "title: t\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  s:\n    F: x\n  \
         condition: s\n",
    )
    .unwrap();
    let detector = Detector::load(&[path.display().to_string()]).unwrap();
    shared(&detector);
    let built_in = Detector::load(&[]).unwrap();
    assert_eq!(detector.requirements().count(), built_in.requirements().count());
    assert_eq!(detector.remarks(), ["rule `t`: no log of its source is read"]);
}

#[test]
fn a_folder_adds_an_allowance_to_a_built_in_profile() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("profile.yaml"),
        "id: ngrok\nallow:\n  - { name: build host, host: BUILD-*, path: '*\\tools\\*' }\n",
    )
    .unwrap();
    let own = folder.path().display().to_string();
    let detector = Detector::load(&["ngrok".to_owned(), own]).unwrap();
    let ids: Vec<&str> = detector.profiles().iter().map(|profile| &*profile.id).collect();
    assert_eq!(ids, ["ngrok", "reverse-ssh", "tunnel"]);
    let mut record = Record::new("process_creation", Locator::Record(1));
    record.push("Computer", "build-3");
    record.push("Image", r"C:\tools\ngrok\ngrok.exe");
    record.push("CommandLine", "ngrok tcp 3389");
    let hits = detector.evaluate(&record);
    assert!(!hits.is_empty());
    for hit in hits {
        assert_eq!(hit.suppressed_by.as_deref(), Some("build host"));
    }
}

#[test]
fn what_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.yml", "title: t\ndetection: {condition: s}\n  x"),
        ("b.yml", "just text"),
        ("c.yml", "title: t\nlogsource: {}\ndetection:\n  s:\n    F|re: '('\n  condition: s\n"),
        (
            "d.yml",
            "title: t\nlogsource: {}\ndetection:\n  s:\n    F: x\n  condition: s\nadit: {stage: nowhere}\n",
        ),
        (
            "e.yml",
            "title: t\nlogsource: {}\ndetection:\n  s:\n    F: x\n  condition: s\nadit: {scores: 3}\n",
        ),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let loaded = Detector::load(&[path.display().to_string()]);
        assert!(matches!(loaded, Err(DetectError::Invalid { .. })), "{name}");
    }
    assert!(matches!(Detector::load(&["nothing".into()]), Err(DetectError::Unknown { .. })));
}

#[test]
fn versions_are_told_by_every_source() {
    let profile = DETECTOR.profiles().iter().find(|p| &*p.id == "ngrok").unwrap();
    let told = |field: &'static str, value: &str| {
        let mut record = Record::new("command", Locator::Record(1));
        record.push(field, value);
        let hints: Vec<_> = profile.version_hints.iter().filter(|h| h.applies(&record)).collect();
        let bound = |text: &Option<String>| text.clone().unwrap_or_default();
        hints.iter().map(|h| format!("{}..{}", bound(&h.at_least), bound(&h.before))).collect()
    };
    let cases: [(&'static str, &str, &[&str]); 22] = [
        ("QueryName", "tunnel.us.ngrok.com", &["..3.3.0"]),
        ("QueryName", "korgn.su.lennut.com", &["..3.0.0"]),
        ("DestinationHostname", "connect.eu.ngrok-agent.com", &["3.3.0.."]),
        ("QueryName", "crl.ngrok.com", &["..3.10.0"]),
        ("QueryName", "crl.ngrok-agent.com", &["3.10.0.."]),
        ("QueryName", "update.equinox.io", &["..3.36.0"]),
        ("QueryName", "update.ngrok-agent.com", &["3.36.0.."]),
        ("CommandLine", "ngrok tcp -region eu 22", &["..3.0.0"]),
        ("Message", "COMMAND=/usr/bin/ngrok authtoken abc", &["..3.0.0"]),
        ("CommandLine", "./ngrok config add-authtoken abc", &["3.0.0.."]),
        ("TaskCommand", r"C:\n.exe-ngrok.exe start --config C:\n.yml --all", &["3.0.0.."]),
        ("Wrapped", r"C:\t\ngrok.exe service run", &["3.0.0.."]),
        ("CommandLine", "ngrok http --domain a.ngrok.app 80", &["3.2.1.."]),
        ("CommandLine", "ngrok http --url https://a.ngrok.app 80", &["3.16.0.."]),
        ("Details", "ngrok http 80 --traffic-policy-file p.yml", &["3.12.1.."]),
        ("CommandLine", "ngrok http 80 --traffic-policy-url http://p", &["3.26.0.."]),
        ("Url", "https://bin.equinox.io/c/4VmDzA7iaHb/n.zip", &["..3.0.0"]),
        ("Url", "https://bin.equinox.io/c/bNyj1mQVY4c/n.zip", &["3.0.0.."]),
        ("Product", "ngrok agent", &["3.1.0.."]),
        ("AgentVersionHint", "3.16", &["3.16.0.."]),
        ("AgentVersionHint", "2", &["..3.0.0"]),
        ("CommandLine", "nginx -config x", &[]),
    ];
    for (field, value, expected) in cases {
        let told: Vec<String> = told(field, value);
        assert_eq!(told, expected, "{field}: {value}");
    }
}

/// What a profile says of names, as its file has it.
#[derive(Deserialize)]
struct Named {
    id: String,
    #[serde(default)]
    binaries: Vec<String>,
    #[serde(default)]
    packages: Vec<String>,
    #[serde(default)]
    services: Vec<String>,
    #[serde(default)]
    domains: Vec<Domain>,
}

#[derive(Deserialize)]
struct Domain {
    suffix: String,
}

impl Named {
    fn all() -> Vec<Self> {
        let files = builtin::files().filter(|(path, _)| path.ends_with("/profile.yaml"));
        files.map(|(_, bytes)| yaml_serde::from_slice(bytes).unwrap()).collect()
    }

    /// Records that look like the tool's, and are not.
    fn likenesses(&self) -> Vec<(&'static str, &'static str, String)> {
        let mut all = Vec::new();
        let stems: Vec<&str> =
            self.binaries.iter().map(|name| name.strip_suffix(".exe").unwrap_or(name)).collect();
        // What a release adds to a name is free behind `-` and `_`; a name with a dot is an address.
        let is_own = |stem: &&&str| {
            let longer = |of: &&str| stem.starts_with(&format!("{of}_"));
            !stem.contains('.') && !stems.iter().any(longer)
        };
        for stem in stems.iter().filter(is_own) {
            for name in [format!("un{stem}"), format!("{stem}x"), format!("{stem}-view")] {
                let windows = format!(r"C:\Program Files\Acme\{name}.exe");
                let unix = format!("/opt/acme/{name}");
                for image in [&windows, &unix] {
                    all.push(("process_creation", "Image", image.clone()));
                    all.push(("process_creation", "CommandLine", format!("\"{image}\" --help")));
                    all.push(("file", "TargetFilename", image.clone()));
                    all.push(("systemd_unit", "CommandLine", image.clone()));
                }
                all.push(("prefetch", "Image", windows.to_uppercase()));
                all.push(("service", "ImagePath", windows));
                all.push(("shell_history", "CommandLine", name));
            }
            for text in [
                format!("echo {stem}"),
                format!("grep -ri {stem} /var/log"),
                format!("man {stem}"),
                format!("vim notes-on-{stem}.txt"),
                format!("git log --grep {stem}"),
                format!("which {stem}"),
                format!("cd ~/src/{stem}"),
            ] {
                all.push(("shell_history", "CommandLine", text));
            }
            all.push(("powershell_history", "CommandLine", format!("Get-Process {stem}")));
        }
        for Domain { suffix } in &self.domains {
            let parent = suffix.split_once('.').map_or("", |(_, parent)| parent);
            let is_below = self.domains.iter().any(|other| parent.ends_with(&other.suffix));
            let before = (!is_below).then(|| format!("not{suffix}"));
            let others = [suffix.replace('.', "x"), format!("{suffix}.example")];
            for name in before.into_iter().chain(others) {
                all.push(("dns_query", "QueryName", name.clone()));
                all.push(("browser_history", "Url", format!("https://{name}/")));
            }
        }
        for package in self.packages.iter().filter(|package| !package.contains(['/', '.'])) {
            for name in [format!("un{package}"), format!("{package}x")] {
                all.push(("package", "Name", name.clone()));
                all.push(("shell_history", "CommandLine", format!("sudo apt-get install {name}")));
            }
        }
        for service in &self.services {
            all.push(("service", "ServiceName", format!("un{service}")));
            all.push(("service", "ServiceName", format!("{service}x")));
        }
        all
    }
}

/// For every tool: names, domains and texts that merely look like its own.
#[test]
fn what_looks_like_a_tool_is_none() {
    let all = Named::all();
    assert!(all.len() > 40);
    let mut faults = BTreeSet::new();
    for tool in &all {
        for (category, field, value) in tool.likenesses() {
            let mut record = Record::new(category, Locator::Record(1));
            record.push(field, value.clone());
            for hit in DETECTOR.evaluate(&record) {
                if hit.score >= 30 {
                    faults.insert(format!(
                        "{}: {category} {field} {value}: {} {}",
                        tool.id, hit.rule, hit.score
                    ));
                }
            }
        }
    }
    let told: Vec<String> = faults.into_iter().collect();
    assert!(told.is_empty(), "{} of {}:\n{}", told.len(), all.len(), told.join("\n"));
}

/// What administrators and developers run every day: a row that ranks would be a false alarm.
#[test]
fn ordinary_commands_are_no_tool() {
    const SOURCES: [(&str, &str); 6] = [
        ("process_creation", "CommandLine"),
        ("shell_history", "CommandLine"),
        ("powershell_history", "CommandLine"),
        ("service", "ImagePath"),
        ("systemd_unit", "CommandLine"),
        ("task", "TaskCommand"),
    ];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/detect/ordinary_commands.txt");
    let mut faults = Vec::new();
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        for (category, field) in SOURCES {
            let mut record = Record::new(category, Locator::Record(1));
            record.push(field, line);
            for hit in DETECTOR.evaluate(&record).iter().filter(|hit| hit.score > 20) {
                faults.push(format!("{category}: {line}: {} {}", hit.rule, hit.score));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
