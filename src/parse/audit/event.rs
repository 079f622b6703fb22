//! The lines of one audit event as a record.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;

use super::fields::{Fields, Head, decoded, hex};
use crate::model::{Category, Locator, Moment, Precision, Record};
use crate::parse::message::cut;

/// Arguments of a command that are kept.
const MAX_ARGUMENTS: usize = 1000;
/// Bytes of a command line that are kept.
const MAX_COMMAND_BYTES: usize = 64 << 10;

/// An event under way.
pub(super) struct AuditEvent {
    stamp: String,
    node: String,
    at: Option<Timestamp>,
    serial: u64,
    /// Line of its first record.
    line: u64,
    records: Vec<(String, Fields)>,
}

/// What a system call is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Execute,
    Connect,
    Accept,
    Other,
}

impl AuditEvent {
    pub(super) fn new(head: &Head<'_>, line: u64) -> Self {
        let mut event = Self {
            stamp: head.stamp.to_owned(),
            node: head.node.to_owned(),
            at: head.at,
            serial: head.serial,
            line,
            records: Vec::new(),
        };
        event.add(head);
        event
    }

    pub(super) fn is(&self, head: &Head<'_>) -> bool {
        self.serial == head.serial && self.stamp == head.stamp && self.node == head.node
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn add(&mut self, head: &Head<'_>) {
        self.records.push((head.kind.to_owned(), Fields::read(head.body)));
    }

    fn of(&self, kind: &str) -> Option<&Fields> {
        self.records.iter().find(|(name, _)| name == kind).map(|(_, fields)| fields)
    }

    /// The record of what the event says.
    pub(super) fn into_record(self) -> Record {
        let mut record = self.understood().unwrap_or_else(|| self.other());
        record.push("AuditType", self.records.first().map_or("", |(kind, _)| kind.as_str()));
        record.push("AuditSerial", i64::try_from(self.serial).unwrap_or_default());
        record.push("Computer", self.node.as_str());
        record.times.push(Moment {
            at: self.at,
            meaning: "Audit Event",
            precision: Precision::Exact,
            raw: self.stamp.clone(),
        });
        record
    }

    fn record(&self, category: Category) -> Record {
        Record::new(category, Locator::Line(self.line))
    }

    fn understood(&self) -> Option<Record> {
        if let Some(call) = self.of("SYSCALL") {
            return match call_of(call) {
                Call::Execute => self.execution(call),
                Call::Connect => self.connection(call, "true"),
                Call::Accept => self.connection(call, "false"),
                Call::Other => None,
            };
        }
        if self.of("EXECVE").is_some() {
            return self.execution(&Fields::default());
        }
        let (kind, fields) = self.records.first()?;
        match kind.as_str() {
            "USER_LOGIN" => self.login(fields),
            "USER_CMD" => self.command(fields),
            "SERVICE_START" | "SERVICE_STOP" => self.service(kind, fields),
            _ => None,
        }
    }

    fn execution(&self, call: &Fields) -> Option<Record> {
        // A program looked for along the path and not found has not run.
        if call.raw("success") == Some("no") {
            return None;
        }
        let named = self
            .records
            .iter()
            .find(|(kind, fields)| kind == "PATH" && fields.raw("item") == Some("0"));
        let image = call.text("exe").or_else(|| named.and_then(|(_, path)| path.text("name")));
        let command = self.arguments().or_else(|| self.title());
        let mut record = self.record("process_creation");
        record.push("Image", image.unwrap_or_default());
        record.push("CommandLine", command.unwrap_or_default());
        self.actor(&mut record, call);
        // The script that an interpreter was started for.
        if let Some((_, path)) = named {
            let name = path.text("name").unwrap_or_default();
            if record.text("Image") != Some(name.as_str()) {
                record.push("ExecutedFile", name);
            }
        }
        Some(record)
    }

    fn connection(&self, call: &Fields, initiated: &str) -> Option<Record> {
        let (address, port) = socket_address(self.of("SOCKADDR")?.raw("saddr")?)?;
        let mut record = self.record("network_connection");
        record.push("Image", call.text("exe").unwrap_or_default());
        record.push("CommandLine", self.title().unwrap_or_default());
        let own = initiated == "false";
        record.push(if own { "SourceIp" } else { "DestinationIp" }, address);
        record.push(if own { "SourcePort" } else { "DestinationPort" }, i64::from(port));
        record.push("Initiated", initiated);
        self.actor(&mut record, call);
        // 115 means that it is under way.
        if call.raw("success") == Some("no") && call.raw("exit") != Some("-115") {
            record.push("Outcome", format!("failed: {}", call.raw("exit").unwrap_or_default()));
        }
        Some(record)
    }

    fn login(&self, fields: &Fields) -> Option<Record> {
        let exe = fields.text("exe")?;
        let over_ssh = exe.contains("sshd") || exe.contains("dropbear");
        let mut record = self.record(if over_ssh { "ssh_login" } else { "audit" });
        let user = fields.text("acct").or_else(|| name_of(fields, "id"));
        record.push("User", user.unwrap_or_default());
        record.push(
            "IpAddress",
            fields.raw("addr").or_else(|| fields.raw("hostname")).unwrap_or_default(),
        );
        record.push("Outcome", outcome(fields));
        record.push("Tty", fields.raw("terminal").unwrap_or_default());
        record.push("Image", exe);
        push_number(&mut record, "ProcessId", fields.number("pid"));
        push_session(&mut record, fields);
        Some(record)
    }

    fn command(&self, fields: &Fields) -> Option<Record> {
        let mut record = self.record("sudo");
        record.push("CommandLine", fields.text("cmd")?);
        let user = name_of(fields, "auid").or_else(|| name_of(fields, "uid"));
        record.push("User", user.unwrap_or_default());
        record.push("CurrentDirectory", fields.text("cwd").unwrap_or_default());
        record.push("Tty", fields.raw("terminal").unwrap_or_default());
        record.push("Outcome", outcome(fields));
        push_number(&mut record, "ProcessId", fields.number("pid"));
        Some(record)
    }

    fn service(&self, kind: &str, fields: &Fields) -> Option<Record> {
        let mut record = self.record("service_state");
        record.push("ServiceName", fields.text("unit")?);
        record.push("State", if kind == "SERVICE_START" { "started" } else { "stopped" });
        record.push("Outcome", outcome(fields));
        Some(record)
    }

    /// An event that is none of these: its text, and who did it.
    fn other(&self) -> Record {
        let mut record = self.record("audit");
        let mut text = String::new();
        for (kind, fields) in &self.records {
            text.push_str(kind);
            for (key, value) in fields.all() {
                if text.len() > MAX_COMMAND_BYTES {
                    break;
                }
                text.push_str(&format!(" {key}={}", readable(key, value)));
            }
            text.push_str("; ");
        }
        record.push("Message", cut(text.trim_end_matches("; ")));
        if let Some(call) = self.of("SYSCALL") {
            record.push("Image", call.text("exe").unwrap_or_default());
            self.actor(&mut record, call);
        }
        record.push("CommandLine", self.title().unwrap_or_default());
        record
    }

    /// Who did it: user, process and its parent, session.
    fn actor(&self, record: &mut Record, call: &Fields) {
        record.push("User", name_of(call, "uid").unwrap_or_default());
        record.push("LoginUser", name_of(call, "auid").unwrap_or_default());
        push_number(record, "ProcessId", call.number("pid"));
        push_number(record, "ParentProcessId", call.number("ppid"));
        record.push("Tty", call.raw("tty").unwrap_or_default());
        push_session(record, call);
        let cwd = self.of("CWD").and_then(|fields| fields.text("cwd"));
        record.push("CurrentDirectory", cwd.unwrap_or_default());
        record.push("AuditKey", call.text("key").unwrap_or_default());
    }

    /// The arguments of all EXECVE records, parted by blanks; a long one comes in
    /// pieces: `a2_len=… a2[0]=… a2[1]=…`.
    fn arguments(&self) -> Option<String> {
        let mut out: Vec<(usize, String)> = Vec::new();
        for (_, fields) in self.records.iter().filter(|(kind, _)| kind == "EXECVE") {
            for (key, value) in fields.all() {
                let Some(rest) = key.strip_prefix('a') else { continue };
                let (number, piece) = match rest.split_once('[') {
                    Some((number, _)) => (number, true),
                    None => (rest, false),
                };
                let Ok(number) = number.parse::<usize>() else { continue };
                let count = out.len();
                match out.last_mut().filter(|(last, _)| piece && *last == number) {
                    Some((_, text)) => text.push_str(&decoded(value)),
                    None if count < MAX_ARGUMENTS => out.push((number, decoded(value))),
                    None => {}
                }
            }
        }
        let all: Vec<String> = out.into_iter().map(|(_, text)| text).collect();
        let mut line = all.join(" ");
        let mut end = line.len().min(MAX_COMMAND_BYTES);
        while !line.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        line.truncate(end);
        (!line.is_empty()).then_some(line)
    }

    fn title(&self) -> Option<String> {
        self.of("PROCTITLE")?.text("proctitle")
    }
}

fn push_number(record: &mut Record, name: &'static str, value: Option<i64>) {
    if let Some(value) = value {
        record.push(name, value);
    }
}

/// The audit session, which is also the login session's number.
fn push_session(record: &mut Record, fields: &Fields) {
    const NONE: i64 = 4_294_967_295;
    push_number(record, "SessionID", fields.number("ses").filter(|n| *n != NONE && *n >= 0));
}

/// The user behind a number: the name that auditd adds, else the number.
fn name_of(fields: &Fields, key: &str) -> Option<String> {
    let number = fields.raw(key);
    let name = fields.raw(&key.to_uppercase()).or(number)?;
    (!matches!(name, "unset" | "4294967295" | "-1")).then(|| name.to_owned())
}

fn outcome(fields: &Fields) -> &'static str {
    match fields.raw("res") {
        Some("success" | "1") => "accepted",
        Some("failed" | "0") => "failed",
        _ => "",
    }
}

/// A value in the words of `ausearch -i`: text that stands in hexadecimal decoded.
fn readable(key: &str, value: &str) -> String {
    const TEXTS: [&str; 12] = [
        "exe",
        "comm",
        "name",
        "cwd",
        "cmd",
        "proctitle",
        "acct",
        "key",
        "data",
        "path",
        "unit",
        "grp",
    ];
    if TEXTS.contains(&key) { decoded(value) } else { value.to_owned() }
}

/// The system call by its name, if auditd added it, else by its number.
fn call_of(call: &Fields) -> Call {
    let by_name = |name: &str| match name {
        "execve" | "execveat" => Call::Execute,
        "connect" => Call::Connect,
        "accept" | "accept4" => Call::Accept,
        _ => Call::Other,
    };
    if let Some(name) = call.raw("SYSCALL") {
        return by_name(name);
    }
    let number = call.raw("syscall").unwrap_or_default();
    match (call.raw("arch").unwrap_or_default(), number) {
        ("c000003e", "59" | "322") | ("40000003", "11" | "358") => Call::Execute,
        ("c00000b7", "221" | "281") | ("40000028", "11" | "387") => Call::Execute,
        ("c000003e", "42") | ("40000003", "362") | ("c00000b7", "203") => Call::Connect,
        ("40000028", "283") => Call::Connect,
        // One call for all of sockets; its first argument says which.
        ("40000003", "102") if call.raw("a0") == Some("3") => Call::Connect,
        ("c000003e", "43" | "288") | ("c00000b7", "202" | "242") => Call::Accept,
        ("40000028", "285" | "366") | ("40000003", "364") => Call::Accept,
        (_, name) => by_name(name),
    }
}

/// Address and port of a `struct sockaddr` in hexadecimal; of the internet only.
fn socket_address(text: &str) -> Option<(String, u16)> {
    const INET: u16 = 2;
    const INET6: u16 = 10;
    let bytes = hex(text)?;
    let pair = |at: usize| bytes.get(at..at.checked_add(2)?)?.try_into().ok();
    let family = u16::from_le_bytes(pair(0)?);
    let port = u16::from_be_bytes(pair(2)?);
    match family {
        INET => {
            let address: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some((Ipv4Addr::from(address).to_string(), port))
        }
        INET6 => {
            let address: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            let address = Ipv6Addr::from(address);
            let shown = address.to_ipv4_mapped().map(|a| a.to_string());
            Some((shown.unwrap_or_else(|| address.to_string()), port))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let v4 = socket_address("020001BB037DDF860000000000000000");
        assert_eq!(v4, Some(("3.125.223.134".into(), 443)));
        let v6 = "0A00001600000000".to_owned() + "00000000000000000000000000000001" + "00000000";
        assert_eq!(socket_address(&v6), Some(("::1".into(), 22)));
        let mapped =
            "0A00001600000000".to_owned() + "00000000000000000000FFFF7F000001" + "00000000";
        assert_eq!(socket_address(&mapped), Some(("127.0.0.1".into(), 22)));
        assert_eq!(socket_address("01002F72756E"), None);
        assert_eq!(socket_address("0200"), None);
    }
}
