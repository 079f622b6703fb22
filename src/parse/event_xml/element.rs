//! One `<Event>…</Event>` to a [`LoggedEvent`], flattened as the binary log's is.

use quick_xml::Reader;
use quick_xml::escape::{resolve_predefined_entity, unescape_with};
use quick_xml::events::{BytesStart, Event};

use crate::model::Value;
use crate::parse::evtx::normalize::{LoggedEvent, whole_number};

/// Elements nested deeper are damage.
const MAX_DEPTH: usize = 64;

/// One element; `text` is only its own.
#[derive(Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The event of this text.
///
/// # Errors
///
/// When it is not well-formed, nests too deep or has no `System`.
pub(super) fn read(text: &str) -> Result<LoggedEvent, String> {
    let root = tree(text)?;
    let system = root.child("System").ok_or("an event without System")?;
    let mut event = LoggedEvent::default();
    read_system(system, &mut event);
    for part in root.children.iter().filter(|part| part.name != "System") {
        if part.name == "RenderingInfo" {
            if let Some(message) = part.child("Message") {
                event.leaf("RenderedMessage".to_owned(), Value::Text(message.text.clone()));
            }
        } else {
            flatten(part, &mut event);
        }
    }
    Ok(event)
}

fn read_system(system: &Element, event: &mut LoggedEvent) {
    let text = |name: &str| system.child(name).map(|child| child.text.trim().to_owned());
    let attribute = |element: &str, name: &str| {
        system.child(element).and_then(|child| child.attribute(name)).map(str::to_owned)
    };
    event.provider = attribute("Provider", "Name").unwrap_or_default();
    event.event_id = text("EventID").as_deref().and_then(whole_number);
    event.channel = text("Channel").unwrap_or_default();
    event.computer = text("Computer").unwrap_or_default();
    event.record_id = text("EventRecordID").as_deref().and_then(whole_number);
    event.process_id = attribute("Execution", "ProcessID").as_deref().and_then(whole_number);
    event.thread_id = attribute("Execution", "ThreadID").as_deref().and_then(whole_number);
    event.user_sid = attribute("Security", "UserID").unwrap_or_default();
    event.activity_id = attribute("Correlation", "ActivityID").unwrap_or_default();
    event.system_time = attribute("TimeCreated", "SystemTime").unwrap_or_default();
}

/// Adds the leaves below `part`, each under its own name; a name that repeats in one
/// element is numbered from the second on, `Data` of one name in a row make a list.
fn flatten(part: &Element, event: &mut LoggedEvent) {
    let mut seen: Vec<(&str, usize)> = Vec::new();
    let mut run: Option<(&str, Vec<String>)> = None;
    for child in &part.children {
        if child.name == "Data" {
            match (child.attribute("Name"), &mut run) {
                (None, _) => event.unnamed.push(child.text.clone()),
                (Some(name), Some((running, all))) if *running == name => {
                    all.push(child.text.clone());
                }
                (Some(name), _) => {
                    end_run(run.take(), &mut seen, event);
                    run = Some((name, vec![child.text.clone()]));
                }
            }
            continue;
        }
        end_run(run.take(), &mut seen, event);
        let name = numbered(&child.name, &mut seen);
        for (key, value) in &child.attributes {
            if LoggedEvent::keeps_attribute(key) {
                event.leaf(format!("{name}_{key}"), Value::Text(value.clone()));
            }
        }
        if child.children.is_empty() {
            event.leaf(name, Value::Text(child.text.clone()));
        } else {
            flatten(child, event);
        }
    }
    end_run(run, &mut seen, event);
}

fn end_run<'a>(
    run: Option<(&'a str, Vec<String>)>,
    seen: &mut Vec<(&'a str, usize)>,
    event: &mut LoggedEvent,
) {
    let Some((name, mut all)) = run else { return };
    let name = numbered(name, seen);
    let value =
        if all.len() == 1 { Value::Text(all.pop().unwrap_or_default()) } else { Value::List(all) };
    event.leaf(name, value);
}

fn numbered<'a>(name: &'a str, seen: &mut Vec<(&'a str, usize)>) -> String {
    match seen.iter_mut().find(|(other, _)| *other == name) {
        Some((_, count)) => {
            *count = count.saturating_add(1);
            format!("{name}_{count}")
        }
        None => {
            seen.push((name, 0));
            name.to_owned()
        }
    }
}

/// The element that this text is.
fn tree(text: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    loop {
        let done = match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return Err(format!("elements nest deeper than {MAX_DEPTH}"));
                }
                open.push(element(&start)?);
                None
            }
            Event::Empty(start) => Some(element(&start)?),
            Event::End(_) => open.pop(),
            Event::Text(own) => {
                add_text(&mut open, &own);
                None
            }
            Event::CData(own) => {
                add_text(&mut open, &own);
                None
            }
            Event::GeneralRef(entity) => {
                let c = entity.resolve_char_ref().map_err(|error| error.to_string())?;
                match (c, resolve_predefined_entity(&entity)) {
                    (Some(c), _) => add_text(&mut open, c.encode_utf8(&mut [0; 4])),
                    (None, Some(known)) => add_text(&mut open, known),
                    (None, None) => add_text(&mut open, &format!("&{};", &*entity)),
                }
                None
            }
            Event::Eof => return Err("an event does not end".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => None,
        };
        match (done, open.last_mut()) {
            (Some(child), Some(parent)) => parent.children.push(child),
            (Some(root), None) => return Ok(root),
            (None, _) => {}
        }
    }
}

fn add_text(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut element =
        Element { name: start.local_name().as_ref().to_owned(), ..Element::default() };
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = without_entities(&attribute.value);
        element.attributes.push((attribute.key.0.to_owned(), value));
    }
    Ok(element)
}

/// The text with its entities resolved; unchanged where they cannot be.
pub(super) fn without_entities(text: &str) -> String {
    unescape_with(text, resolve_predefined_entity)
        .map_or_else(|_| text.to_owned(), |text| text.into_owned())
}
