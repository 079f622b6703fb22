//! Events into rows: one row per event and moment, in total order.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::fact::Fact;
use super::path;
use crate::model::{
    DnsFacts, Event, Hit, Level, Moment, NO_TOOL, Record, Row, RowStage, Tag, Value,
};

/// Logons from loopback below this score make no row of their own.
const IDLE_LOGON: u8 = 20;

/// From this score on, a tool's name stands before a higher score that names none.
pub(super) const NAMED_FOR_SURE: u8 = 40;

/// A row and the event it came from.
#[derive(Clone, Debug)]
pub struct Built {
    pub event: usize,
    /// What the row speaks of.
    pub fact: Fact,
    pub row: Row,
}

/// Row ids of each event.
pub type RowsOf = BTreeMap<usize, Vec<String>>;

/// Every event's rows, secrets taken out; unsorted.
pub fn rows(host: &str, events: &[Event], redact: &dyn Fn(&str) -> String) -> Vec<Built> {
    let mut out = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let Some(best) = best_hit(&event.hits) else { continue };
        if is_ordinary(event, best) {
            continue;
        }
        let base = base_row(host, event, best, redact);
        if event.record.times.is_empty() {
            out.push(built(index, event, base));
            continue;
        }
        for moment in &event.record.times {
            out.push(built(index, event, timed(base.clone(), moment)));
        }
    }
    out
}

fn built(index: usize, event: &Event, row: Row) -> Built {
    Built { event: index, fact: Fact::of(&event.record, &row), row }
}

/// A logon from loopback that no remote desktop record is near: services do it all day.
fn is_ordinary(event: &Event, best: &Hit) -> bool {
    matches!(event.record.category, "logon" | "logon_failed" | "logon_explicit")
        && &*best.tool == NO_TOOL
        && best.score < IDLE_LOGON
        && !event.hits.iter().any(|hit| hit.rule.starts_with("pivot-"))
}

/// Sorts rows by time (none last), source path, locator and meaning, and gives
/// each its id.
pub fn sort(rows: &mut [Built]) {
    rows.sort_by(|a, b| key(&a.row).cmp(&key(&b.row)).then(a.event.cmp(&b.event)));
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for Built { row, .. } in rows {
        let basis = format!(
            "{}\0{}\0{}\0{}",
            row.source_path, row.locator, row.timestamp_desc, row.datetime_raw
        );
        let number = seen.entry(basis.clone()).or_insert(0);
        *number += 1;
        let digest = Sha256::digest(format!("{basis}\0{number}"));
        row.row_id = digest.iter().take(8).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
    }
}

fn key(row: &Row) -> impl Ord + use<> {
    (
        row.datetime.is_none(),
        row.datetime,
        row.source_path.clone(),
        numeric(&row.locator),
        row.locator.clone(),
        row.timestamp_desc.clone(),
        row.tool.clone(),
        row.message.clone(),
    )
}

/// The number in `record:17` or `line:3`, so that 9 stands before 10.
fn numeric(locator: &str) -> u64 {
    locator.split_once(':').and_then(|(_, n)| n.parse().ok()).unwrap_or_default()
}

/// The row ids of every event, in row order.
pub fn index(rows: &[Built]) -> RowsOf {
    let mut out = RowsOf::new();
    for built in rows {
        out.entry(built.event).or_default().push(built.row.row_id.clone());
    }
    out
}

/// The hit that speaks for the row: the highest score, a named tool before none,
/// a rule before a pivot; a tool named for sure before one of the same stage that
/// names none.
pub fn best_hit(hits: &[Hit]) -> Option<&Hit> {
    // A known use stays known where its shape alone would speak of a tunnel.
    let allowed = hits.iter().any(|h| h.suppressed_by.is_some());
    let hits = || hits.iter().filter(|h| !allowed || &*h.tool != NO_TOOL);
    let best = hits().max_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| b.rule.cmp(&a.rule)))?;
    let named = hits()
        .filter(|h| &*best.tool == NO_TOOL && h.stage == best.stage && h.score >= NAMED_FOR_SURE);
    let named = named.filter(|h| &*h.tool != NO_TOOL && h.suppressed_by.is_none());
    named.max_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| b.rule.cmp(&a.rule))).or(Some(best))
}

fn rank(hit: &Hit) -> impl Ord + use<> {
    let is_pivot = hit.rule.starts_with("pivot-");
    (hit.suppressed_by.is_none(), hit.score, &*hit.tool != NO_TOOL, !is_pivot)
}

fn base_row(host: &str, event: &Event, best: &Hit, redact: &dyn Fn(&str) -> String) -> Row {
    let record = &event.record;
    let text =
        |names: &[&str]| names.iter().find_map(|n| record.text(n)).map(redact).unwrap_or_default();
    let suppressed = best.suppressed_by.is_some();
    // Another hit may weigh more than the one that names the tool.
    let same = event.hits.iter().filter(|h| h.stage == best.stage && h.suppressed_by.is_none());
    let highest = same.filter(|h| &*h.tool == NO_TOOL).map(|h| h.score);
    let score = if suppressed { best.score.min(10) } else { highest.fold(best.score, u8::max) };
    let mut row = Row {
        message: redact(&message(event, best)),
        host: host.to_owned(),
        level: Level::of_score(score),
        stage: best.stage,
        tool: best.tool.to_string(),
        rule: rules(&event.hits),
        technique: techniques(&event.hits, &best.tool),
        score,
        user: user(record, &text),
        parent: text(&["ParentImage"]),
        command_line: command_line(record, &text),
        sha256: event.sha256.clone().or_else(|| digest(record, "SHA256")).unwrap_or_default(),
        hashes: other_hashes(record),
        service: text(&["ServiceName"]),
        logon_id: text(&["LogonId"]),
        session_id: record.number("SessionID").map(|n| n.to_string()).unwrap_or_default(),
        event_id: record.number("EventID"),
        channel: text(&["Channel"]),
        artifact: event.artifact.to_string(),
        source_path: event.path.as_str().to_owned(),
        locator: record.locator.to_string(),
        source: event.source.to_string(),
        tag: tags(event, best),
        original_file_name: text(&["OriginalFileName"]),
        parent_pid: record.number("ParentProcessId"),
        ..Row::default()
    };
    subject(record, &mut row, &text);
    network(record, &mut row, &text);
    row
}

/// What was or is to be run, where the record holds it.
fn command_line(record: &Record, text: &dyn Fn(&[&str]) -> String) -> String {
    // Elsewhere `Details` is what a line of settings says.
    let in_registry = record.category == "run_key" || record.category.starts_with("registry_");
    let details = if in_registry { "Details" } else { "Wrapped" };
    text(&["CommandLine", "Wrapped", details, "TaskCommand", "HostApplication"])
}

/// The account that the record names; the logging account only where that is the
/// one who acted (7045), ran the program (SRUM) or has the package.
fn user(record: &Record, text: &dyn Fn(&[&str]) -> String) -> String {
    let named = text(&["User", "SubjectUserName", "jobOwner"]);
    let has_id = matches!(record.category, "service_install" | "package")
        || record.category.starts_with("srum_");
    if named.is_empty() && has_id { text(&["UserSid"]) } else { named }
}

/// What the row is about: process, file, command.
fn subject(record: &Record, row: &mut Row, text: &dyn Fn(&[&str]) -> String) {
    row.process = text(&["Image", "ProcessName"]);
    row.pid = match record.category {
        "dns_query" | "process_creation" | "process_termination" | "network_connection" => {
            record.number("ProcessId").or_else(|| record.number("ExecutionProcessID"))
        }
        _ => record.number("ProcessId"),
    };
    row.path = match record.category {
        "service" | "service_install" => {
            let wrapped = record.text("Application").or_else(|| record.text("ServiceDll"));
            path::program(wrapped.or_else(|| record.text("ImagePath")).unwrap_or_default())
        }
        "run_key" => path::program(record.text("Details").unwrap_or_default()),
        "task_file" => path::program(record.text("Command").unwrap_or_default()),
        _ => text(&["TargetFilename", "ImageLoaded", "ApplicationPath", "Path", "Image"]),
    };
    if row.command_line.is_empty() && matches!(record.category, "service" | "service_install") {
        row.command_line = text(&["ImagePath"]);
    }
}

fn network(record: &Record, row: &mut Row, text: &dyn Fn(&[&str]) -> String) {
    match record.category {
        "network_connection" | "firewall_log" => {
            let hosts: &[&str] = &["DestinationIp", "DestinationHostname"];
            row.remote_host = text(hosts);
            row.remote_port = record.number("DestinationPort");
            row.local_port = record.number("SourcePort");
        }
        "dns_query" => {
            row.remote_host = text(&["QueryName"]);
            row.dns = Some(dns(record, text));
        }
        "agent_log" | "agent_service_log" => {
            row.remote_host = text(&["RemoteAddress", "Url", "url", "Server"]);
            row.remote_port = record.number("RemotePort").or_else(|| record.number("ServerPort"));
            row.local_port = record.number("LocalPort");
        }
        "tunnel_endpoint" => {
            row.remote_host = text(&["Public"]);
            row.local_port = record.number("TargetPort");
        }
        "hosts_file" | "known_host" => {
            row.remote_host = text(&["HostName", "IpAddress"]);
            row.remote_port = record.number("DestinationPort").or_else(|| record.number("Port"));
        }
        _ => {
            row.remote_host = text(&["Address", "IpAddress", "ClientAddress", "url", "HostName"]);
            row.local_port = record.number("SourcePort");
        }
    }
}

fn dns(record: &Record, text: &dyn Fn(&[&str]) -> String) -> DnsFacts {
    let results = text(&["QueryResults"]);
    let sysmon = record.text("Channel").is_some_and(|c| c.contains("Sysmon"));
    DnsFacts {
        query: text(&["QueryName"]),
        answers: results
            .split(';')
            .map(|a| a.trim().trim_start_matches("::ffff:").to_owned())
            .filter(|a| !a.is_empty() && a != "-")
            .collect(),
        reply_code: record
            .value("QueryStatus")
            .or_else(|| record.value("Status"))
            .map(ToString::to_string)
            .unwrap_or_default(),
        vendor_product: if sysmon { "Sysmon" } else { "DNS Client" }.into(),
    }
}

fn timed(mut row: Row, moment: &Moment) -> Row {
    row.datetime = moment.at;
    row.timestamp_desc = moment.meaning.to_owned();
    row.time_precision = Some(moment.precision);
    row.datetime_raw.clone_from(&moment.raw);
    // What persists a tool is set up; that it was run by it stands beside.
    if moment.meaning.starts_with("Task Last ")
        && matches!(row.stage, RowStage::Persisted | RowStage::Configured)
    {
        row.stage = RowStage::Executed;
    }
    row
}

/// The rule's sentence, and for a row with further knowledge what that is.
fn message(event: &Event, best: &Hit) -> String {
    let record = &event.record;
    let mut out = if best.rule.starts_with("pivot-") {
        let clear = record.text("DecodedCommand");
        let clear = clear.map(|clear| format!(" (Base64 of {clear})")).unwrap_or_default();
        format!("{}{clear}: {}", headline(record), best.message)
    } else {
        best.message.clone()
    };
    if let Some(name) = &best.suppressed_by {
        let _ = write!(out, " [allowed by {name}]");
    }
    if record.recovered {
        out.push_str(" [recovered]");
    }
    if let Some(how) = record.text("Deleted") {
        let _ = write!(out, " [{how}]");
    }
    out
}

/// What a record is, in a few words, for rows that only correlation knows.
fn headline(record: &Record) -> String {
    let field = |name: &str| record.text(name).unwrap_or("?").to_owned();
    match record.category {
        "process_creation" if record.text("CommandLine").is_none() => {
            format!("{} started", field("Image"))
        }
        "process_creation" => format!("{} started: {}", field("Image"), field("CommandLine")),
        "process_termination" => format!("{} ended", field("Image")),
        "network_connection" => format!(
            "{} connected to {}:{}",
            field("Image"),
            field("DestinationIp"),
            record.value("DestinationPort").map(Value::to_string).unwrap_or_default()
        ),
        "dns_query" => format!("{} looked up {}", field("Image"), field("QueryName")),
        "service" | "service_install" => {
            format!("Service {} runs {}", field("ServiceName"), field("ImagePath"))
        }
        "service_state" => match record.text("State") {
            Some(state) => format!("Service {}: {state}", field("ServiceName")),
            None => format!("Service {} changed its state", field("ServiceName")),
        },
        "run_key" => format!("{} starts {}", field("ValueName"), field("Details")),
        "task_cache" => format!("{} starts {}", field("Name"), field("CommandLine")),
        "task" => format!("Scheduled task {}", field("TaskName")),
        "prefetch" | "pca_launch" | "crash_report" | "bam" | "userassist" | "feature_usage"
        | "recent_app" | "srum_application" | "srum_run" | "srum_timeline" => {
            format!("{} ran", field("Image"))
        }
        "srum_network" => format!(
            "{} sent {} and received {} bytes",
            field("Image"),
            record.number("BytesSent").unwrap_or_default(),
            record.number("BytesRecvd").unwrap_or_default()
        ),
        "shortcut" | "startup_shortcut" | "jump_list" | "recycled" => {
            format!("{} {}", record.category.replace('_', " "), field("Image"))
        }
        "service_file" | "startup_script" | "cron" | "rc_script" | "shell_profile"
        | "systemd_unit" | "launchd" | "desktop_autostart" => {
            format!("{} starts {}", field("Name"), field("CommandLine"))
        }
        "script" => format!("{} would run {}", field("Name"), field("CommandLine")),
        "task_file" => format!("Scheduled task {} starts {}", field("Name"), field("CommandLine")),
        "wmi_consumer" => format!("WMI consumer {}", field("Name")),
        "wmi_event" if record.text("CommandLine").is_some() => {
            format!("A WMI consumer starts {}", field("CommandLine"))
        }
        "known_host" => format!(
            "Key of {} accepted",
            record.text("IpAddress").or_else(|| record.text("HostName")).unwrap_or_default()
        ),
        "firewall_log" => format!(
            "{} {}:{}",
            field("Action"),
            field("DestinationIp"),
            record.value("DestinationPort").map(Value::to_string).unwrap_or_default()
        ),
        "antivirus" if record.text("ThreatName").is_some() => {
            let did = record.text("ActionName").map(|action| format!(" ({action})"));
            let did = did.unwrap_or_default();
            format!("Defender on {}: {}{did}", field("Path"), field("ThreatName"))
        }
        "journal" | "syslog" if record.text("Message").is_some() => {
            let by = record.text("Program").map(|by| format!("{by}: ")).unwrap_or_default();
            format!("{by}{}", field("Message"))
        }
        "antivirus_log" => {
            format!(
                "Defender on {}",
                record.text("Image").map_or_else(|| field("Message"), Into::into)
            )
        }
        "powershell_history" | "shell_history" => {
            format!("{} typed: {}", field("User"), field("CommandLine"))
        }
        "zone_identifier" => format!("{} came from {}", field("TargetFilename"), field("Url")),
        "bits_job" => format!("Transfer of {} to {}", field("Url"), field("TargetFilename")),
        "logon" => format!("{} logged on", field("User")),
        "logoff" => format!("{} logged off", field("User")),
        "file_delete" => format!("{} deleted", field("TargetFilename")),
        "file_rename" if record.text("OldFilename").is_some() => {
            format!("{} renamed to {}", field("OldFilename"), field("NewFilename"))
        }
        "executable" | "archive" | "config" | "file" | "file_event" | "file_rename"
        | "file_change" => field("TargetFilename"),
        _ => match (record.text("Channel"), record.number("EventID")) {
            (Some(channel), Some(id)) => format!("{channel} event {id}"),
            _ if record.text("Image").is_some() => {
                format!("{} {}", record.category.replace('_', " "), field("Image"))
            }
            _ => record.category.to_owned(),
        },
    }
}

/// Ids of all rules met and their clauses, each once, sorted.
fn rules(hits: &[Hit]) -> Vec<String> {
    let mut out: Vec<String> = hits
        .iter()
        .flat_map(|h| std::iter::once(h.rule.to_string()).chain(h.clauses.iter().cloned()))
        .collect();
    out.sort();
    out.dedup();
    out
}

fn techniques(hits: &[Hit], tool: &str) -> Vec<String> {
    let mut out: Vec<String> = hits
        .iter()
        .filter(|h| &*h.tool == tool)
        .flat_map(|h| h.techniques.iter().cloned())
        .collect();
    out.sort();
    out.dedup();
    out
}

fn tags(event: &Event, best: &Hit) -> Vec<Tag> {
    let mut out: Vec<Tag> = best.tags.clone();
    let said = |field: &str| event.record.text(field).is_some();
    let conditions = [
        (event.record.recovered, Tag::Recovered),
        (said("Deleted"), Tag::Deleted),
        (said("Timestomped"), Tag::Timestomped),
    ];
    out.extend(conditions.into_iter().filter(|(holds, _)| *holds).map(|(_, tag)| tag));
    if best.suppressed_by.is_some() {
        out.push(Tag::Suppressed);
    }
    out.sort();
    out.dedup();
    out
}

/// A hash of the record's file, by its name as Sysmon lists them.
fn digest(record: &Record, name: &str) -> Option<String> {
    record.text("Hashes")?.split(',').find_map(|part| {
        let (kind, hex) = part.trim().split_once('=')?;
        kind.eq_ignore_ascii_case(name).then(|| hex.to_ascii_lowercase())
    })
}

/// Weaker hashes, by which hosts that give no SHA-256 are known to have the same file.
fn other_hashes(record: &Record) -> Vec<String> {
    let known = [("SHA1", "sha1"), ("MD5", "md5")];
    let given = |(name, short): (&str, &str)| Some(format!("{short}:{}", digest(record, name)?));
    known.into_iter().filter_map(given).collect()
}

/// Whether the row counts as a trace: level low or above, not suppressed.
pub fn counts(row: &Row) -> bool {
    row.level >= Level::Low && !row.tag.contains(&Tag::Suppressed) && row.stage != RowStage::Context
}
