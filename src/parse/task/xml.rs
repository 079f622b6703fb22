//! A task in XML, read as a stream: of a damaged file all that stands before the
//! damage is told.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use crate::model::{Damage, Locator, Record, Sink, Value, Zone};
use crate::parse::ParseError;
use crate::parse::lines::{self, Encoding, decode};
use crate::parse::local_time;

const FORMAT: &str = "task XML";
/// Elements nested deeper are damage.
const MAX_DEPTH: usize = 64;
/// Actions of one task that are told; Windows allows 32.
const MAX_ACTIONS: usize = 64;
/// Triggers of one task that are told; Windows allows 48.
const MAX_TRIGGERS: usize = 64;
/// Longest text that is kept of one element.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// What starts by a task.
#[derive(Default)]
struct Action {
    /// Line of the element, from 1.
    line: u64,
    command: String,
    arguments: String,
    directory: String,
    class: String,
    data: String,
    /// The element's own name where it starts nothing of these.
    other: &'static str,
}

/// What a task says of itself.
#[derive(Default)]
struct Task {
    facts: Vec<(&'static str, String)>,
    date: String,
    triggers: Vec<String>,
    starts: Vec<String>,
    actions: Vec<Action>,
}

/// Elements whose text becomes a field: their parent, their name, the field.
const FACTS: &[(&str, &str, &str)] = &[
    ("RegistrationInfo", "URI", "Name"),
    ("RegistrationInfo", "Author", "Author"),
    ("RegistrationInfo", "Description", "Description"),
    ("RegistrationInfo", "Source", "Source"),
    ("Principal", "UserId", "User"),
    ("Principal", "GroupId", "GroupId"),
    ("Principal", "LogonType", "LogonType"),
    ("Principal", "RunLevel", "RunLevel"),
    ("Settings", "Hidden", "Hidden"),
    ("Settings", "Enabled", "Enabled"),
];

/// Whether a file that starts so is a task.
pub(super) fn is_task(start: &[u8]) -> bool {
    if lines::first_mark(start) != Some(b'<') || Encoding::of(start) == Encoding::Binary {
        return false;
    }
    let (text, _) = decode(start);
    let text = text.trim_start();
    text.starts_with('<')
        && text.find("<Task").is_some_and(|at| {
            let head = text.get(at..).unwrap_or_default();
            head.contains("schemas.microsoft.com/windows/2004/02/mit/task")
        })
}

/// Tells the actions of the task in `bytes`.
///
/// # Errors
///
/// When it is no task.
pub(super) fn read(
    bytes: &[u8],
    zone: Option<&Zone>,
    sink: &mut dyn Sink,
) -> Result<(), ParseError> {
    let (text, encoding) = decode(bytes);
    if encoding == Encoding::Binary || !text.contains("<Task") {
        let found = if encoding == Encoding::Binary { "binary" } else { "a text without <Task" };
        return Err(ParseError::Foreign { format: FORMAT, found: found.to_owned() });
    }
    let mut reading = Reading { text: &text, ..Reading::default() };
    if let Err(what) = reading.run() {
        let line = reading.line_at(reading.at);
        sink.damaged(Damage {
            locator: Some(Locator::Line(line)),
            message: format!("{FORMAT}: {what}; what stands before is told"),
            lost: true,
        });
    }
    let task = reading.task;
    for action in &task.actions {
        if sink.record(record(&task, action, zone)).is_break() {
            break;
        }
    }
    Ok(())
}

fn record(task: &Task, action: &Action, zone: Option<&Zone>) -> Record {
    let mut record = Record::new("task_file", Locator::Line(action.line.max(1)));
    for (name, value) in &task.facts {
        record.push(*name, value.as_str());
    }
    record.push("CommandLine", command_line(&action.command, &action.arguments));
    record.push("Command", action.command.as_str());
    record.push("Arguments", action.arguments.as_str());
    record.push("WorkingDirectory", action.directory.as_str());
    record.push("ClassId", action.class.as_str());
    record.push("Data", action.data.as_str());
    record.push("Action", action.other);
    for (name, all) in [("Triggers", &task.triggers), ("StartBoundary", &task.starts)] {
        if !all.is_empty() {
            record.push(name, Value::List(all.clone()));
        }
    }
    if !task.date.is_empty() {
        record.push("Date", task.date.as_str());
        record.times.push(local_time::moment(&task.date, zone, "Task Registered (Author's Date)"));
    }
    record
}

/// Program and arguments as one line.
pub(in crate::parse) fn command_line(command: &str, arguments: &str) -> String {
    let quoted = command.starts_with('"') || !command.contains(' ') || arguments.is_empty();
    let line = if quoted {
        format!("{command} {arguments}")
    } else {
        format!("\"{command}\" {arguments}")
    };
    line.trim().to_owned()
}

#[derive(Default)]
struct Reading<'a> {
    text: &'a str,
    /// Names of the elements that are open, outermost first.
    open: Vec<String>,
    /// Text of the innermost one.
    own: String,
    /// Offset in the text up to which all is read.
    at: usize,
    task: Task,
}

impl Reading<'_> {
    fn run(&mut self) -> Result<(), String> {
        let mut reader = Reader::from_str(self.text);
        loop {
            self.at = usize::try_from(reader.buffer_position()).unwrap_or_default();
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(start) => self.start(&start)?,
                Event::Empty(start) => {
                    self.start(&start)?;
                    self.end();
                }
                Event::End(_) => self.end(),
                Event::Text(own) => self.add(&own),
                Event::CData(own) => self.add(&own),
                Event::GeneralRef(entity) => {
                    let c = entity.resolve_char_ref().map_err(|error| error.to_string())?;
                    match (c, resolve_predefined_entity(&entity)) {
                        (Some(c), _) => self.add(c.encode_utf8(&mut [0; 4])),
                        (None, Some(known)) => self.add(known),
                        (None, None) => self.add(&format!("&{};", &*entity)),
                    }
                }
                Event::Eof if self.open.is_empty() => return Ok(()),
                Event::Eof => return Err("the text ends inside the task".to_owned()),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("elements nest deeper than {MAX_DEPTH}"));
        }
        let name = start.local_name().as_ref().to_owned();
        match self.open.last().map(String::as_str) {
            Some("Actions") if self.task.actions.len() < MAX_ACTIONS => {
                let other = match name.as_str() {
                    "SendEmail" => "SendEmail",
                    "ShowMessage" => "ShowMessage",
                    _ => "",
                };
                let line = self.line_at(self.at);
                self.task.actions.push(Action { line, other, ..Action::default() });
            }
            Some("Triggers") if self.task.triggers.len() < MAX_TRIGGERS => {
                self.task.triggers.push(name.clone());
            }
            _ => {}
        }
        self.open.push(name);
        self.own.clear();
        Ok(())
    }

    fn add(&mut self, text: &str) {
        if self.own.len().saturating_add(text.len()) <= MAX_TEXT_BYTES {
            self.own.push_str(text);
        }
    }

    /// Keeps the text of the innermost element, which ends here.
    fn end(&mut self) {
        let text = std::mem::take(&mut self.own).trim().to_owned();
        let Some(name) = self.open.pop() else { return };
        let parent = self.open.last().map(String::as_str).unwrap_or_default();
        let outer = self.open.iter().rev().nth(1).map(String::as_str).unwrap_or_default();
        if text.is_empty() {
            return;
        }
        if outer == "Actions" {
            let Some(action) = self.task.actions.last_mut() else { return };
            match name.as_str() {
                "Command" => action.command = text,
                "Arguments" => action.arguments = text,
                "WorkingDirectory" => action.directory = text,
                "ClassId" => action.class = text,
                "Data" => action.data = text,
                _ => {}
            }
        } else if name == "StartBoundary" && self.task.starts.len() < MAX_TRIGGERS {
            self.task.starts.push(text);
        } else if name == "Date" && parent == "RegistrationInfo" {
            self.task.date = text;
        } else {
            let known = FACTS.iter().find(|(of, is, _)| *of == parent && *is == name);
            let facts = &mut self.task.facts;
            if let Some((_, _, field)) = known
                && !facts.iter().any(|(other, _)| other == field)
            {
                facts.push((*field, text));
            }
        }
    }

    /// The line that this offset of the text lies in, from 1.
    fn line_at(&self, at: usize) -> u64 {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count() as u64
    }
}
