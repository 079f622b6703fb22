//! Pivots: what one finding teaches to hunt for everywhere else.

mod bin;
mod file;
mod script;
mod server;
mod service;
mod task;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

pub use self::bin::{Content, name_of as name_in_bin};
pub use self::file::{is_wiped, reference_of};
pub use self::server::{Server, of_command};
use super::host_program::is_host_program;
use super::{Tool, path, removal};
use crate::model::{Hit, Record, Requirement, RowStage, Value};

/// How long after its start a process id is still taken for that process.
const LONGEST_PROCESS: SignedDuration = SignedDuration::from_hours(12);

/// Provider whose records tell their process by its id alone.
const DNS: &str = "microsoft-windows-dns-client";
/// What Sysmon writes for a process that it did not see start.
const UNKNOWN_IMAGE: &str = "unknown process";

/// Something to hunt for. Ordered, so that passes are reproducible.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pivot {
    pub tool: Arc<str>,
    pub target: Target,
    /// Why: the fact that taught it.
    pub reason: String,
    /// The allowlist entry that covers the fact, if one does.
    pub suppressed_by: Option<String>,
}

/// What a pivot looks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// An agent's file, by its [`path::tail`].
    Program(String),
    /// An agent's configuration, by its [`path::tail`].
    Config(String),
    /// SHA-256 or another hash, lower-case hex.
    Hash(String),
    /// Sysmon's process GUID, as text without braces, lower case. `by_image`: its
    /// program is hunted too, so that only records without one are left.
    ProcessGuid {
        guid: String,
        by_image: bool,
    },
    /// A process of that image (its tail) within its life.
    /// `unnamed_children`: this host's process audits do not name the parent.
    Process {
        pid: u32,
        image: String,
        from: Timestamp,
        unnamed_children: bool,
    },
    /// A script that runs an agent, by its [`path::tail`].
    Script(String),
    /// What the Recycle Bin notes of content that lies in it under that name, lower case.
    Recycled(String, Content),
    /// A file as the change journal knows it: its volume and its reference, `4711-3`.
    Reference(String, String),
    Server(Server),
    Service(String),
    Task(String),
    /// A logon session of the tunnel's use, `0x51f0a0`, and when it began.
    Logon {
        id: u64,
        from: Timestamp,
    },
    /// Records of one connection, by their ActivityID.
    Activity(String),
    /// Further blocks of one script.
    ScriptBlock(String),
}

impl Target {
    /// The hash that is looked for, in hexadecimal.
    pub fn hash(&self) -> Option<&str> {
        match self {
            Self::Hash(hex) => Some(hex),
            _ => None,
        }
    }
}

impl Pivot {
    /// What the screen must see for this pivot to match.
    pub fn requirement(&self) -> Requirement {
        match &self.target {
            Target::Program(tail) => Requirement::Any(vec![
                path_requirement(tail),
                Requirement::All(vec![ascii_run(removal::stem(tail)), removal::requirement()]),
            ]),
            Target::Config(tail) | Target::Script(tail) => path_requirement(tail),
            Target::Server(server) => Requirement::Text(server.host.clone()),
            Target::Hash(hex) => Requirement::Text(hex.clone()),
            // Sysmon names the image of every process that it knows: only what it
            // does not know is found by nothing but the GUID.
            Target::ProcessGuid { guid, by_image: true } => {
                Requirement::All(vec![by_guid(guid), Requirement::Text(UNKNOWN_IMAGE.into())])
            }
            Target::ProcessGuid { guid, by_image: false } => by_guid(guid),
            Target::Activity(guid) => by_guid(guid),
            Target::Process { pid, unnamed_children, .. } => by_pid(*pid, *unnamed_children),
            Target::Recycled(name, _) => Requirement::Text(name.clone()),
            // The journal shows it before the reference of the folder.
            Target::Reference(_, reference) => Requirement::Text(format!("{reference} ")),
            Target::Service(name) => ascii_run(service::stem(name)),
            Target::Task(name) => ascii_run(name.trim_start_matches('\\')),
            Target::Logon { id, .. } => {
                Requirement::Bytes { bytes: id.to_le_bytes().to_vec(), text: format!("{id:#x}") }
            }
            Target::ScriptBlock(id) => Requirement::Text(id.clone()),
        }
    }

    /// Whether every record that this pivot can match names the tool: then, where the
    /// rule for mere mentions is asked, it has found them all.
    pub fn names_tool(&self, tool: &Tool) -> bool {
        let named = match &self.target {
            Target::Program(tail) | Target::Config(tail) => path::base_name(tail),
            Target::Service(name) | Target::Task(name) => name.as_str(),
            _ => return false,
        };
        self.tool == tool.id && tool.has_word(named)
    }

    /// The hit that this pivot makes of a record, if it matches.
    pub fn matches(&self, record: &Record) -> Option<Hit> {
        let (stage, score, what) = match &self.target {
            Target::Program(tail) => program(record, tail)?,
            Target::Config(tail) => {
                any_text(record, |text| path::mentions(text, tail)).then(|| config(record))?
            }
            Target::Hash(hex) => {
                let found = ["Hashes", "Hash"].iter().any(|f| {
                    record.text(f).is_some_and(|t| t.to_ascii_lowercase().contains(hex.as_str()))
                });
                found.then(|| weight(record.category, true))?
            }
            Target::ProcessGuid { guid, by_image } => {
                let unknown =
                    || any_text(record, |t| t.to_ascii_lowercase().contains(UNKNOWN_IMAGE));
                (!by_image || unknown()).then(|| process_guid(record, guid)).flatten()?
            }
            Target::Process { pid, image, from, unnamed_children } => {
                process(record, i64::from(*pid), image, *from, *unnamed_children)?
            }
            Target::Script(tail) => script::weight(record, tail)?,
            Target::Recycled(name, content) => bin::weight(record, name, *content)?,
            Target::Reference(volume, reference) => file::weight(record, volume, reference)?,
            Target::Server(server) => server::weight(record, server)?,
            Target::Service(name) => service::weight(record, name)?,
            Target::Task(name) => task::weight(record, name)?,
            Target::Logon { id, from } => logon(record, *id, *from)?,
            Target::Activity(id) => {
                let same = record
                    .text("ActivityID")
                    .is_some_and(|t| t.trim_matches(['{', '}']).eq_ignore_ascii_case(id));
                (same && record.category == "rdp").then_some((
                    RowStage::Context,
                    10,
                    "belongs to the connection through loopback",
                ))?
            }
            Target::ScriptBlock(id) => {
                let same = record.text("ScriptBlockId").is_some_and(|t| t.eq_ignore_ascii_case(id));
                same.then_some((RowStage::Context, 10, "is a further block of the same script"))?
            }
        };
        Some(Hit {
            tool: self.tool.clone(),
            rule: Arc::from(self.rule_name()),
            clauses: Arc::from([]),
            techniques: Arc::from([]),
            stage,
            score,
            tags: Vec::new(),
            message: format!("{what} ({})", self.reason),
            suppressed_by: self.suppressed_by.clone(),
        })
    }

    fn rule_name(&self) -> &'static str {
        match self.target {
            Target::Program(_) => "pivot-program",
            Target::Config(_) => "pivot-config",
            Target::Hash(_) => "pivot-hash",
            Target::ProcessGuid { .. } => "pivot-process-guid",
            Target::Process { .. } => "pivot-process",
            Target::Script(_) => "pivot-script-file",
            Target::Recycled(_, Content::Program) => "pivot-recycled-program",
            Target::Recycled(_, Content::Config) => "pivot-recycled-config",
            Target::Recycled(_, Content::Folder) => "pivot-recycled-folder",
            Target::Reference(..) => "pivot-reference",
            Target::Server(_) => "pivot-server",
            Target::Service(_) => "pivot-service",
            Target::Task(_) => "pivot-task",
            Target::Logon { .. } => "pivot-logon",
            Target::ScriptBlock(_) => "pivot-script",
            Target::Activity(_) => "pivot-activity",
        }
    }
}

type Weight = (RowStage, u8, &'static str);

/// Stage, score and words for a record of that category which is about the agent
/// itself (`own`) or merely names it.
fn weight(category: &str, own: bool) -> Weight {
    match (category, own) {
        ("process_creation", true) => (RowStage::Executed, 60, "the agent started"),
        ("process_termination", true) => (RowStage::Executed, 10, "the agent ended"),
        ("network_connection", true) => (RowStage::Connected, 55, "the agent made a connection"),
        ("dns_query", true) => (RowStage::Connected, 45, "the agent looked up a name"),
        ("image_load", true) => (RowStage::Executed, 30, "the agent was loaded"),
        ("executable", _) => (RowStage::Delivered, 60, "the agent's file"),
        ("archive" | "file" | "file_event" | "create_stream_hash" | "file_change", _) => {
            (RowStage::Delivered, 40, "the agent's file")
        }
        ("file_rename", _) => (RowStage::Delivered, 45, "the agent's file was renamed"),
        ("file_delete", _) => (RowStage::CleanedUp, 40, "the agent's file was deleted"),
        ("service" | "service_install", _) => (RowStage::Persisted, 75, "a service runs the agent"),
        ("run_key", _) => (RowStage::Persisted, 65, "the agent starts at logon"),
        ("task" | "task_file", _) => (RowStage::Persisted, 70, "a scheduled task runs the agent"),
        ("registry_set" | "registry_add" | "registry_rename", _) => {
            (RowStage::Persisted, 45, "a registry value names the agent")
        }
        (
            "activity" | "bam" | "crash_report" | "feature_usage" | "pca_launch" | "prefetch"
            | "recent_app" | "srum_application" | "srum_network" | "srum_run" | "srum_timeline"
            | "userassist",
            true,
        ) => (RowStage::Executed, 60, "the agent ran"),
        ("prefetch" | "crash_report", false) => (RowStage::Context, 20, "touched the agent's file"),
        ("startup_shortcut" | "startup_script", _) => {
            (RowStage::Persisted, 70, "the agent starts at logon")
        }
        (
            "service_file" | "systemd_unit" | "launchd" | "cron" | "rc_script" | "shell_profile"
            | "desktop_autostart",
            _,
        ) => (RowStage::Persisted, 70, "the agent starts by itself"),
        ("script", _) => (RowStage::Configured, 40, "a script names the agent"),
        (
            "amcache" | "app_path" | "compatibility" | "jump_list" | "muicache"
            | "open_save_dialog" | "recent_document" | "shell_bag" | "shimcache" | "shortcut"
            | "taskbar_menu",
            true,
        ) => (RowStage::Delivered, 35, "the agent was known here"),
        ("recycled", _) => (RowStage::CleanedUp, 40, "the agent's file was thrown away"),
        ("wmi_event" | "wmi_consumer", _) => {
            (RowStage::Persisted, 70, "a WMI consumer names the agent")
        }
        ("antivirus", _) => (RowStage::Delivered, 55, "Defender speaks of the agent"),
        ("firewall", _) => (RowStage::Connected, 40, "a firewall rule names the agent"),
        ("ps_script" | "ps_module" | "ps_classic_start", _) => {
            (RowStage::Executed, 45, "PowerShell names the agent")
        }
        ("process_creation", false) => (RowStage::Context, 40, "a command line names the agent"),
        ("bits" | "bits_job", _) => (RowStage::Delivered, 50, "a transfer names the agent"),
        ("zone_identifier", _) => (RowStage::Delivered, 45, "tells where the agent came from"),
        ("antivirus_log", _) => (RowStage::Delivered, 40, "Defender saw the agent"),
        ("powershell_history" | "shell_history", _) => {
            (RowStage::Executed, 45, "somebody typed the agent's name")
        }
        _ => (RowStage::Context, 30, "names the agent"),
    }
}

fn config(record: &Record) -> Weight {
    match record.category {
        "config" | "tunnel_endpoint" => (RowStage::Configured, 60, "the agent's configuration"),
        "process_creation" if is_reader(record) => {
            (RowStage::Context, 20, "names the agent's configuration")
        }
        "process_creation" => (RowStage::Executed, 60, "started with the agent's configuration"),
        "service" | "service_install" => {
            (RowStage::Persisted, 75, "a service runs with the agent's configuration")
        }
        "run_key" | "startup_shortcut" | "service_file" | "startup_script" | "systemd_unit"
        | "launchd" | "cron" | "rc_script" | "shell_profile" | "desktop_autostart" => {
            (RowStage::Persisted, 65, "starts with the agent's configuration")
        }
        "prefetch" | "crash_report" if is_reader(record) => {
            (RowStage::Context, 10, "read the agent's configuration")
        }
        "prefetch" | "crash_report" => (RowStage::Executed, 45, "loaded the agent's configuration"),
        "recycled" => (RowStage::CleanedUp, 40, "the agent's configuration was thrown away"),
        "task" | "task_file" => {
            (RowStage::Persisted, 70, "a task runs with the agent's configuration")
        }
        "file_delete" => (RowStage::CleanedUp, 40, "the agent's configuration was deleted"),
        _ => (RowStage::Configured, 40, "names the agent's configuration"),
    }
}

/// Whether the record's program opens files of any kind: editors, indexers, scanners, and
/// those that host other programs.
fn is_reader(record: &Record) -> bool {
    is_editor(record) || is_host_program(record.text("Image").unwrap_or_default())
}

/// Whether the record's program looks into files of any kind, or copies them.
fn is_editor(record: &Record) -> bool {
    const READERS: [&str; 44] = [
        "7z",
        "7zfm",
        "7zg",
        "atom",
        "bat",
        "cat",
        "certutil",
        "clion64",
        "code",
        "code - insiders",
        "cp",
        "cursor",
        "devenv",
        "dropbox",
        "emacs",
        "findstr",
        "gedit",
        "git",
        "goland64",
        "grep",
        "gvim",
        "idea64",
        "less",
        "msmpeng",
        "nano",
        "notepad",
        "notepad++",
        "nvim",
        "onedrive",
        "phpstorm64",
        "pycharm64",
        "rg",
        "rider64",
        "robocopy",
        "rsync",
        "searchindexer",
        "searchprotocolhost",
        "sublime_text",
        "vi",
        "vim",
        "webstorm64",
        "winrar",
        "wordpad",
        "xcopy",
    ];
    let image = record.text("Image").unwrap_or_default();
    let name = path::base_name(image).to_ascii_lowercase();
    let stem = name.strip_suffix(".exe").unwrap_or(&name);
    READERS.contains(&stem)
}

fn program(record: &Record, tail: &str) -> Option<Weight> {
    let own = ["Image", "TargetFilename", "ImageLoaded"]
        .iter()
        .any(|f| record.text(f).is_some_and(|t| path::is(t, tail)));
    if own || any_text(record, |text| path::mentions(text, tail)) {
        let (stage, score, what) = weight(record.category, own);
        if own && is_loopback_service(record) {
            return Some((RowStage::Used, 85, "the agent connects to a local service"));
        }
        if own && is_relayed(record) {
            return Some((RowStage::Used, 80, "the agent connects to a service of another host"));
        }
        if file::is_set_back(record, tail) && !is_editor(record) {
            let what = "the creation time of the agent's file was set back";
            return Some((RowStage::CleanedUp, 45, what));
        }
        let sent = record.number("BytesSent").filter(|_| record.category == "srum_network");
        if own && sent.is_some_and(|bytes| bytes > 0) {
            return Some((RowStage::Connected, 62, "the agent sent data"));
        }
        return Some((stage, score, what));
    }
    // Who ends a program, or moves it from within its folder, gives its name alone.
    removal::ends(record, tail).then_some((RowStage::Executed, 45, "a command names the agent"))
}

/// A connection out of a process to a remote-access port of this host.
fn is_loopback_service(record: &Record) -> bool {
    record.category == "network_connection"
        && record.text("Initiated").is_none_or(|t| t.eq_ignore_ascii_case("true"))
        && record.text("DestinationIp").is_some_and(super::is_loopback)
        && record.number("DestinationPort").is_some_and(|p| super::REMOTE_ACCESS_PORTS.contains(&p))
}

/// A connection on to a way in of another host of the network (N1); ssh aside, by which
/// tools reach their servers, too.
fn is_relayed(record: &Record) -> bool {
    let is_near =
        |address: &str| address.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_private());
    record.category == "network_connection"
        && record.text("Initiated").is_none_or(|t| t.eq_ignore_ascii_case("true"))
        && record.text("DestinationIp").is_some_and(is_near)
        && record
            .number("DestinationPort")
            .is_some_and(|p| p != 22 && super::REMOTE_ACCESS_PORTS.contains(&p))
}

fn process_guid(record: &Record, guid: &str) -> Option<Weight> {
    let is = |field: &str| {
        record.text(field).is_some_and(|t| t.trim_matches(['{', '}']).eq_ignore_ascii_case(guid))
    };
    if is("ProcessGuid") || is("SourceProcessGuid") || is("SourceProcessGUID") {
        if is_loopback_service(record) {
            return Some((RowStage::Used, 85, "the agent's process connects to a local service"));
        }
        return Some(weight(record.category, true));
    }
    is("ParentProcessGuid").then_some((RowStage::Executed, 40, "started by the agent's process"))
}

fn process(
    record: &Record,
    pid: i64,
    image: &str,
    from: Timestamp,
    unnamed_children: bool,
) -> Option<Weight> {
    let at = record.first_time()?;
    let end = from.checked_add(LONGEST_PROCESS).ok()?;
    if at < from || at > end {
        return None;
    }
    match record.category {
        "process_creation" if unnamed_children => {
            let child = record.number("ParentProcessId") == Some(pid)
                && record.text("NewProcessName").is_some()
                && record.text("ParentImage").is_none_or(|p| path::is(p, image));
            child.then_some((RowStage::Executed, 40, "started by the agent's process"))
        }
        "dns_query" if record.text("Provider").is_some_and(|p| p.eq_ignore_ascii_case(DNS)) => {
            let own = record.number("ExecutionProcessID") == Some(pid);
            own.then(|| weight(record.category, true))
        }
        _ => None,
    }
}

fn logon(record: &Record, id: u64, from: Timestamp) -> Option<Weight> {
    let same = record.number("LogonId").and_then(|n| u64::try_from(n).ok()) == Some(id);
    if !same || record.first_time()? < from {
        return None;
    }
    matches!(record.category, "logon" | "logoff" | "session_reconnect" | "logon_privileges")
        .then_some((RowStage::Context, 10, "belongs to the logon that came through loopback"))
}

fn any_text(record: &Record, test: impl Fn(&str) -> bool) -> bool {
    record.fields.iter().any(|(_, value)| match value {
        Value::Text(text) => test(text),
        Value::List(all) => all.iter().any(|t| test(t)),
        Value::Number(_) => false,
    })
}

/// A GUID, as bytes or text.
fn by_guid(guid: &str) -> Requirement {
    match guid_bytes(guid) {
        Some(bytes) => Requirement::Bytes { bytes, text: guid.to_owned() },
        None => Requirement::Text(guid.to_owned()),
    }
}

/// A process id where records tell processes by nothing else: the writer of a
/// DNS client record (32 bits), the parent in process audits that do not name it
/// (64 bits, hexadecimal when rendered).
fn by_pid(pid: u32, unnamed_children: bool) -> Requirement {
    let wide = u64::from(pid).to_le_bytes().to_vec();
    let narrow = pid.to_le_bytes().to_vec();
    let of = |bytes, text, log: &str| {
        Requirement::All(vec![
            Requirement::Bytes { bytes, text },
            Requirement::Text(log.to_owned()),
        ])
    };
    let mut any = vec![of(narrow, pid.to_string(), DNS)];
    if unnamed_children {
        any.push(of(wide, format!("{pid:#x}"), "newprocessname"));
    }
    Requirement::Any(any)
}

/// File name and parent folder must both stand there, as far as they are ASCII.
fn path_requirement(tail: &str) -> Requirement {
    let mut parts = tail.rsplit('\\').filter(|part| !part.is_empty());
    Requirement::All(parts.by_ref().take(2).map(ascii_run).collect())
}

/// The longest ASCII run of a name: case folding elsewhere is not ASCII's.
fn ascii_run(name: &str) -> Requirement {
    let run = name.split(|c: char| !c.is_ascii()).max_by_key(|run| run.len()).unwrap_or_default();
    if run.len() < 3 { Requirement::True } else { Requirement::Text(run.to_owned()) }
}

/// The 16 bytes of a GUID as Windows stores it: the first three groups little endian.
fn guid_bytes(guid: &str) -> Option<Vec<u8>> {
    let hex: String = guid.chars().filter(char::is_ascii_hexdigit).collect();
    let value = u128::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == 32)?;
    let b = value.to_be_bytes();
    let [a0, a1, a2, a3, b0, b1, c0, c1, rest @ ..] = b;
    let mut out = vec![a3, a2, a1, a0, b1, b0, c1, c0];
    out.extend(rest);
    Some(out)
}
