//! The facts a rule adds to a record beside the log's own fields.

use std::net::{IpAddr, SocketAddr};

use super::event::whole_number;
use crate::model::{Category, Record, Value};
use crate::parse::{message, sql_server};

/// One field added to, or put right in, a record. Later steps see what earlier ones did.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Nameless `<Data>` get these names, in order, unless the record has them.
    Positional(&'static [&'static str]),
    /// Nameless `<Data>` get the names `param1`, `param2`, …
    Params,
    /// The field, unless it is there, is a copy of the first of these that says something.
    Copy(&'static str, &'static [&'static str]),
    /// The field is the whole number that the first of these holds in decimal or `0x` text.
    Number(&'static str, &'static [&'static str]),
    /// The field is `DOMAIN\name` of the first pair (domain, name) that names somebody.
    Account(&'static str, &'static [(&'static str, &'static str)]),
    /// LogonId is this field's number as `0x` and lower-case digits.
    Logon(&'static str),
    /// The field always has this value.
    Is(&'static str, &'static str),
    /// Initiated from WFP's Direction: `%%14593` is outbound.
    Initiated,
    /// Address and SourcePort from `ip:port` or `[ip]:port`.
    Endpoint(&'static str),
    /// HostApplication from the text that PowerShell logs about its host.
    HostApplication,
    /// TaskCommand: command and arguments of TaskContent's XML.
    TaskCommand,
    /// ClearedChannel from the second field of the name Channel, the event's own.
    ClearedChannel,
    /// CommandLine: what a permanent consumer of WMI runs, from the field's text, which
    /// describes it as a MOF file does or is the command itself.
    Consumer(&'static str),
    /// Product from the first nameless `<Data>`: `Product: name -- what became of it`, unless
    /// the record has it; Details: the product and its version.
    Product,
    /// Category and fields of what the SSH server says in the field payload.
    Sshd,
    /// User and IpAddress from the nameless `<Data>` of SQL Server: who, …, `[CLIENT: …]`.
    SqlLogin,
    /// ForeignWorkstation: WorkstationName, where that is not the event's own Computer.
    ForeignWorkstation,
    /// IpAddress from `\\127.0.0.1` or `\\[::1]`.
    Client(&'static str),
}

impl Step {
    /// The categories that it may give a record.
    pub(super) fn categories(&self) -> &'static [Category] {
        match self {
            Self::Sshd => &["ssh_login", "ssh_logout"],
            _ => &[],
        }
    }
}

/// Takes one step.
pub(super) fn apply(step: &Step, record: &mut Record) {
    match *step {
        Step::Positional(names) => name_unnamed(record, names),
        Step::Params => number_unnamed(record),
        Step::Copy(to, from) => copy(record, to, from),
        Step::Number(to, from) => {
            if let Some(n) = from.iter().find_map(|name| record.number(name)) {
                set(record, to, Value::Number(n));
            }
        }
        Step::Account(to, pairs) => account(record, to, pairs),
        Step::Logon(from) => logon(record, from),
        Step::Is(name, value) => set(record, name, Value::from(value)),
        Step::Initiated => initiated(record),
        Step::Endpoint(from) => endpoint(record, from),
        Step::HostApplication => host_application(record),
        Step::TaskCommand => task_command(record),
        Step::Consumer(from) => consumer(record, from),
        Step::Product => product(record),
        Step::Sshd => sshd(record),
        Step::SqlLogin => sql_login(record),
        Step::Client(from) => client(record, from),
        Step::ForeignWorkstation => foreign_workstation(record),
        Step::ClearedChannel => {
            let own = record.fields.iter().filter(|(name, _)| name == "Channel").nth(1);
            if let Some((_, value)) = own.cloned() {
                set(record, "ClearedChannel", value);
            }
        }
    }
}

/// A name of NetBIOS has 15 letters at most; that of a computer may be longer or a DNS name.
fn foreign_workstation(record: &mut Record) {
    const LONGEST: usize = 15;
    let short = |name: &str| {
        let name = name.trim_start_matches('\\').split('.').next().unwrap_or_default();
        name.chars().take(LONGEST).collect::<String>().to_lowercase()
    };
    let Some(other) = record.text("WorkstationName").map(str::trim) else { return };
    let own = record.text("Computer").map(short).filter(|own| !own.is_empty());
    if !matches!(other, "" | "-") && own.is_some_and(|own| own != short(other)) {
        let other = Value::from(other);
        set(record, "ForeignWorkstation", other);
    }
}

/// `CommandLineTemplate = "…";` or `ScriptText = "…";`, in which `\` escapes.
fn consumer(record: &mut Record, from: &str) {
    const KEYS: [&str; 3] = ["CommandLineTemplate", "ExecutablePath", "ScriptText"];
    let Some(text) = record.text(from) else { return };
    let described = KEYS.iter().find_map(|key| {
        let (_, rest) = text.split_once(key)?;
        quoted(rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?)
    });
    // Sysmon gives the command alone, quoted and escaped likewise.
    let alone = || text.trim().strip_prefix('"').and_then(quoted);
    let is_described = text.contains("instance of ");
    let command = described.or_else(|| if is_described { None } else { alone() });
    let command = command.or_else(|| (!is_described).then(|| text.to_owned()));
    if let Some(command) = command.filter(|command| !command.is_empty()) {
        set(record, "CommandLine", Value::from(command));
    }
}

fn product(record: &mut Record) {
    let said = unnamed(record).into_iter().next().unwrap_or_default();
    let has_name = record.value("Product").is_some();
    // The first word is that of the system's language.
    if !has_name
        && let Some((name, _)) = said.rsplit_once(" -- ")
        && let Some((_, name)) = name.split_once(": ")
    {
        set(record, "Product", Value::from(name.trim()));
    }
    if let Some(product) = record.text("Product") {
        let version = record.text("Version").map(|version| format!(" {version}"));
        let details = format!("{product}{}", version.unwrap_or_default());
        set(record, "Details", Value::from(details));
    }
}

/// The text up to the quotation mark that ends it, without the backslashes that escape.
fn quoted(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Some(out),
            '\\' => match chars.next_if(|next| matches!(next, '"' | '\\')) {
                Some(escaped) => out.push(escaped),
                None => out.push(c),
            },
            c => out.push(c),
        }
    }
    None
}

/// Replaces the first field of that name, or adds it.
fn set(record: &mut Record, name: &'static str, value: Value) {
    match record.fields.iter_mut().find(|(n, _)| n == name) {
        Some(field) => field.1 = value,
        None => record.push(name, value),
    }
}

fn unnamed(record: &Record) -> Vec<String> {
    match record.value("Data") {
        Some(Value::List(all)) => all.clone(),
        _ => Vec::new(),
    }
}

fn name_unnamed(record: &mut Record, names: &[&'static str]) {
    for (name, text) in names.iter().zip(unnamed(record)) {
        if record.value(name).is_none() {
            record.push(*name, text);
        }
    }
}

fn number_unnamed(record: &mut Record) {
    const MAX_PARAMS: usize = 99;
    for (i, text) in unnamed(record).into_iter().take(MAX_PARAMS).enumerate() {
        let name = format!("param{}", i.saturating_add(1));
        if record.value(&name).is_none() {
            record.push(name, text);
        }
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        other => other.as_text().is_some_and(|text| !text.is_empty() && text != "-"),
    }
}

fn copy(record: &mut Record, to: &'static str, from: &[&str]) {
    if record.value(to).is_some_and(says_something) {
        return;
    }
    let value = from.iter().filter_map(|name| record.value(name)).find(|v| says_something(v));
    if let Some(value) = value.cloned() {
        set(record, to, value);
    }
}

fn account(record: &mut Record, to: &'static str, pairs: &[(&str, &str)]) {
    let found = pairs.iter().find_map(|(domain, name)| {
        let name = record.text(name)?;
        Some(match record.text(domain) {
            Some(domain) if !name.contains('\\') => format!("{domain}\\{name}"),
            _ => name.to_owned(),
        })
    });
    if let Some(account) = found {
        set(record, to, Value::Text(account));
    }
}

fn logon(record: &mut Record, from: &str) {
    let text = match record.value(from) {
        Some(Value::Number(n)) => format!("{n:#x}"),
        Some(other) => other.as_text().unwrap_or_default().trim().to_ascii_lowercase(),
        None => return,
    };
    if !text.is_empty() && text != "-" {
        set(record, "LogonId", Value::Text(text));
    }
}

fn sshd(record: &mut Record) {
    let Some((category, fields)) = record.text("payload").and_then(message::of_sshd) else {
        return;
    };
    record.category = category;
    for (name, value) in fields {
        record.push(name, value);
    }
}

fn sql_login(record: &mut Record) {
    let texts = unnamed(record);
    if let Some(user) = texts.first().filter(|user| !user.contains("[CLIENT:")) {
        set(record, "User", Value::Text(user.clone()));
    }
    if let Some(address) = texts.iter().find_map(|text| sql_server::client(text)) {
        set(record, "IpAddress", Value::Text(address.to_string()));
    }
}

fn client(record: &mut Record, from: &str) {
    let name = record.text(from).unwrap_or_default().trim_start_matches('\\');
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if let Ok(address) = address {
        set(record, "IpAddress", Value::Text(address.to_string()));
    }
}

fn initiated(record: &mut Record) {
    let value = match record.text("Direction") {
        Some("%%14593") => "true",
        Some("%%14592") => "false",
        _ => return,
    };
    set(record, "Initiated", Value::from(value));
}

fn endpoint(record: &mut Record, from: &str) {
    let Some(text) = record.text(from).map(str::to_owned) else {
        return;
    };
    let (address, port) = split_endpoint(text.trim());
    set(record, "Address", Value::Text(address));
    if let Some(port) = port {
        set(record, "SourcePort", Value::Number(port));
    }
}

/// Address without zone or port, and the port if one is named.
fn split_endpoint(text: &str) -> (String, Option<i64>) {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return (socket.ip().to_string(), Some(i64::from(socket.port())));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return (ip.to_string(), None);
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return (text.to_owned(), None);
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
    match whole_number(port) {
        Some(port) => (bare.to_owned(), Some(port)),
        None => (text.to_owned(), None),
    }
}

/// Takes HostApplication from the nameless texts of Windows PowerShell, where the
/// value runs to `EngineVersion=` (it may hold line breaks), or from ContextInfo.
fn host_application(record: &mut Record) {
    let texts = unnamed(record);
    let classic = texts.iter().find_map(|text| {
        let (_, after) = text.split_once("HostApplication=")?;
        let end = after.find("EngineVersion=").or_else(|| after.find(['\r', '\n']));
        Some(end.and_then(|end| after.get(..end)).unwrap_or(after).trim().to_owned())
    });
    let found = classic.or_else(|| context_line(record.text("ContextInfo")?, "Host Application"));
    if let Some(command) = found {
        set(record, "HostApplication", Value::Text(command));
    }
    let user = record.text("ContextInfo").and_then(|info| context_line(info, "User"));
    if let Some(user) = user.filter(|_| record.value("User").is_none()) {
        record.push("User", user);
    }
}

/// The value of `        Key = value` in 4103's ContextInfo.
fn context_line(info: &str, key: &str) -> Option<String> {
    info.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key && !value.trim().is_empty()).then(|| value.trim().to_owned())
    })
}

/// The task's XML is looked at as text: damaged XML may still name its command.
fn task_command(record: &mut Record) {
    let Some(xml) = record.text("TaskContent") else {
        return;
    };
    let commands: Vec<String> = xml
        .split("<Exec")
        .skip(1)
        .filter_map(|exec| {
            let command = element(exec, "Command")?;
            Some(match element(exec, "Arguments") {
                Some(arguments) => format!("{command} {arguments}"),
                None => command,
            })
        })
        .collect();
    if !commands.is_empty() {
        set(record, "TaskCommand", Value::Text(commands.join("; ")));
    }
}

/// The text of the first `<name>…</name>`, entities resolved.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = after.split_once(&format!("</{name}>"))?;
    let text = quick_xml::escape::unescape(text).map_or_else(|_| text.to_owned(), Into::into);
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    #[test]
    fn another_machine_is_told_from_this_one() {
        for (own, given, expected) in [
            ("FS-ZRH01.helvet.example", "kali", Some("kali")),
            ("FS-ZRH01.helvet.example", "fs-zrh01", None),
            ("a-rather-long-name.corp", "A-RATHER-LONG-N", None),
            ("WS", r"\\WS", None),
            ("WS", "-", None),
            ("", "kali", None),
        ] {
            let mut record = Record::new("logon", Locator::Record(1));
            record.push("Computer", own);
            record.push("WorkstationName", given);
            apply(&Step::ForeignWorkstation, &mut record);
            assert_eq!(record.text("ForeignWorkstation"), expected, "{own} {given}");
        }
    }

    /// As SQL Server 2017 wrote them.
    #[test]
    fn logins_to_sql_server_have_user_and_address() {
        for (data, user, address) in [
            (
                &["sa", " Reason: Password did not match. ", " [CLIENT: 10.0.2.17]"][..],
                Some("sa"),
                Some("10.0.2.17"),
            ),
            (&[r"CORP\jane", " [CLIENT: ::1]"], Some(r"CORP\jane"), Some("::1")),
            (&["sa", " [CLIENT: <local machine>]"], Some("sa"), None),
            (&[" [CLIENT: 127.0.0.1]"], None, Some("127.0.0.1")),
            (&[], None, None),
        ] {
            let mut record = Record::new("sql_login", Locator::Record(1));
            record.push("Data", Value::List(data.iter().map(|text| (*text).to_owned()).collect()));
            apply(&Step::SqlLogin, &mut record);
            assert_eq!((record.text("User"), record.text("IpAddress")), (user, address));
        }
    }

    #[test]
    fn clients_of_shares_are_addresses_or_nothing() {
        for (name, address) in [
            (r"\\127.0.0.1", Some("127.0.0.1")),
            (r"\\[::1]", Some("::1")),
            (r"\\WKS-1", None),
            ("", None),
        ] {
            let mut record = Record::new("smb_login", Locator::Record(1));
            record.push("ClientName", name);
            apply(&Step::Client("ClientName"), &mut record);
            assert_eq!(record.text("IpAddress"), address, "{name}");
        }
    }

    #[test]
    fn endpoints_lose_their_port_and_brackets() {
        for (text, address, port) in [
            ("127.0.0.1:49271", "127.0.0.1", Some(49271)),
            ("[::1]:50000", "::1", Some(50000)),
            ("[fe80::1%5]:50000", "fe80::1", Some(50000)),
            ("10.0.0.1", "10.0.0.1", None),
            ("::1", "::1", None),
            ("", "", None),
            ("LOCAL", "LOCAL", None),
        ] {
            assert_eq!(split_endpoint(text), (address.to_owned(), port), "{text}");
        }
    }
}
