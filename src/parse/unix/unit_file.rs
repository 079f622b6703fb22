//! Files of sections with `key=value`: systemd's units and the desktop's start entries.
//!
//! A value goes on after a backslash at the line's end; keys may repeat. A unit in place can
//! be started; whether it was, the journal says. An entry for the desktop starts at login.
//! Sources: systemd.syntax(7), systemd.service(5), the Desktop Entry Specification.

use std::collections::BTreeMap;

use super::{number, text_of};
use crate::model::{Input, Locator, Record, Sink, Value};
use crate::parse::offer::offer;
use crate::parse::{ParseError, Parser};

/// Keys that are kept of one file.
const MAX_KEYS: usize = 4096;
/// Values of one key that are told.
const MAX_VALUES: usize = 64;
/// Longest value that is kept whole.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// Reads units of systemd and their drop-ins; one `systemd_unit` record.
pub struct SystemdUnit;

/// Reads start entries of the desktop; one `desktop_autostart` record.
pub struct DesktopEntry;

/// A key that becomes a field: section, key, field; a star stands for any section.
type Wanted = (&'static str, &'static str, &'static str);

/// What is told of a unit beside its commands.
const UNIT: [Wanted; 17] = [
    ("Unit", "Description", "Description"),
    ("Service", "User", "User"),
    ("Service", "Type", "Type"),
    ("Service", "Restart", "Restart"),
    ("Service", "WorkingDirectory", "WorkingDirectory"),
    ("Service", "Environment", "Environment"),
    ("Service", "EnvironmentFile", "EnvironmentFile"),
    ("Service", "StandardOutput", "StandardOutput"),
    ("Timer", "Unit", "Starts"),
    ("Timer", "OnCalendar", "OnCalendar"),
    ("Timer", "OnBootSec", "OnBootSec"),
    ("Timer", "OnUnitActiveSec", "OnUnitActiveSec"),
    ("Socket", "ListenStream", "ListenStream"),
    ("Path", "PathExists", "PathExists"),
    ("Install", "WantedBy", "WantedBy"),
    ("Install", "RequiredBy", "RequiredBy"),
    ("Install", "Alias", "Alias"),
];

/// What a unit runs, as systemd comes to it.
const COMMANDS: [&str; 6] =
    ["ExecStart", "ExecStartPre", "ExecStartPost", "ExecCondition", "ExecReload", "ExecStopPost"];

const ENTRY: [Wanted; 6] = [
    ("Desktop Entry", "Name", "Title"),
    ("Desktop Entry", "Comment", "Description"),
    ("Desktop Entry", "TryExec", "TryExec"),
    ("Desktop Entry", "Hidden", "Hidden"),
    ("Desktop Entry", "Path", "WorkingDirectory"),
    ("Desktop Entry", "X-GNOME-Autostart-enabled", "Enabled"),
];

/// One `key=value` and where it stands.
struct Key {
    line: u64,
    section: String,
    name: String,
    value: String,
}

impl Parser for SystemdUnit {
    fn name(&self) -> &'static str {
        "systemd_unit"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let keys = keys(&text_of(input, "unit of systemd")?, "unit of systemd")?;
        let mut record = Record::new("systemd_unit", Locator::Line(1));
        record.push("Name", input.name);
        if input.name.ends_with(".service") {
            record.push("ServiceName", input.name);
        }
        let is_command = |key: &&Key| key.section == "Service" && COMMANDS.contains(&&*key.name);
        let mut commands: Vec<&Key> = keys.iter().filter(is_command).collect();
        commands.sort_by_key(|key| COMMANDS.iter().position(|name| *name == key.name));
        // Marks in front of a program say how it is run.
        let plain = |key: &&Key| {
            key.value.trim_start_matches(['-', '@', ':', '+', '!', '|']).trim().to_owned()
        };
        let variables = variables(&keys);
        let lines = commands.iter().map(plain).filter(|line| !line.is_empty());
        let lines = lines.map(|line| filled(&line, &variables));
        push(&mut record, "CommandLine", lines.take(MAX_VALUES).collect());
        told(&keys, &UNIT, &mut record);
        let _ = offer(record, input, sink);
        Ok(())
    }
}

impl Parser for DesktopEntry {
    fn name(&self) -> &'static str {
        "desktop_entry"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let keys = keys(&text_of(input, "desktop entry")?, "desktop entry")?;
        let is_exec = |key: &&Key| key.section == "Desktop Entry" && key.name == "Exec";
        let Some(exec) = keys.iter().find(is_exec) else { return Ok(()) };
        let mut record = Record::new("desktop_autostart", Locator::Line(exec.line));
        record.push("CommandLine", exec.value.as_str());
        record.push("Name", input.name);
        told(&keys, &ENTRY, &mut record);
        let _ = offer(record, input, sink);
        Ok(())
    }
}

/// What `Environment=` sets: `A=1 "B=2 3"`, later ones in place of earlier
/// (systemd.exec(5)). Files of variables are other files.
fn variables(keys: &[Key]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let settings = keys.iter().filter(|k| k.section == "Service" && k.name == "Environment");
    for key in settings {
        let mut quote = None;
        let words = key.value.split(|c: char| {
            match quote {
                Some(open) if c == open => quote = None,
                None if matches!(c, '"' | '\'') => quote = Some(c),
                _ => {}
            }
            quote.is_none() && c.is_whitespace()
        });
        let words = words.map(|word| word.trim_matches(['"', '\'']));
        all.extend(
            words
                .filter_map(|word| word.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned())),
        );
    }
    all
}

/// The command with `${NAME}` and `$NAME` as systemd fills them in, at most
/// [`MAX_VALUE_BYTES`]; what is not set stays.
fn filled(line: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, following) = match after.strip_prefix('{').and_then(|t| t.split_once('}')) {
            Some(of_braces) => of_braces,
            None => after.split_at(after.find(|c: char| !is_of_name(c)).unwrap_or(after.len())),
        };
        match variables.get(name) {
            Some(value) if out.len().saturating_add(value.len()) <= MAX_VALUE_BYTES => {
                out.push_str(value);
                rest = following;
            }
            _ => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn told(keys: &[Key], wanted: &[Wanted], record: &mut Record) {
    for (section, name, field) in wanted {
        let values = keys.iter().filter(|key| key.section == *section && key.name == *name);
        let values = values.map(|key| key.value.clone()).filter(|value| !value.is_empty());
        push(record, field, values.take(MAX_VALUES).collect());
    }
}

fn push(record: &mut Record, field: &'static str, mut values: Vec<String>) {
    match values.len() {
        0 => {}
        1 => record.push(field, values.swap_remove(0)),
        _ => record.push(field, Value::List(values)),
    }
}

/// Every key of the file, in order.
///
/// # Errors
///
/// `Foreign` for a text that has lines but no section.
fn keys(text: &str, format: &'static str) -> Result<Vec<Key>, ParseError> {
    let mut out: Vec<Key> = Vec::new();
    let (mut section, mut continues, mut other) = (String::new(), false, false);
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with(['#', ';']) || line.is_empty() && !continues {
            continue;
        }
        let (body, more) = match line.strip_suffix('\\') {
            Some(body) => (body.trim_end(), true),
            None => (line, false),
        };
        if let Some(key) = out.last_mut().filter(|_| continues) {
            if key.value.len().saturating_add(body.len()) < MAX_VALUE_BYTES {
                key.value.push(' ');
                key.value.push_str(body);
            }
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((name, value)) = body.split_once('=').filter(|_| !section.is_empty()) {
            if out.len() >= MAX_KEYS {
                break;
            }
            let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
            let line = number(n).saturating_add(1);
            out.push(Key { line, section: section.clone(), name, value });
        } else {
            other = true;
            continue;
        }
        continues = more;
    }
    if other && section.is_empty() {
        return Err(ParseError::Foreign { format, found: "lines of no section".to_owned() });
    }
    Ok(out)
}
