//! From the JSON that the `evtx` crate renders to a [`LoggedEvent`].
//!
//! Shape: `{"Event":{"System":{…},"EventData":{name:value,…},"UserData":{…}}}`;
//! attributes stand under `#attributes`, text beside them under `#text`, nameless
//! `<Data>` under `Data` with `#text` a string or a list.

use serde_json::{Map, Value as Json};

use super::normalize::{LoggedEvent, whole_number};
use crate::model::Value;

const ATTRIBUTES: &str = "#attributes";
const TEXT: &str = "#text";

/// The event that this JSON renders.
///
/// # Errors
///
/// When it is no JSON, or no `Event` with a `System`.
pub(super) fn read(json: &[u8]) -> Result<LoggedEvent, String> {
    let mut root: Json = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let Some(Json::Object(parts)) = root.get_mut("Event").map(Json::take) else {
        return Err("no Event element".to_owned());
    };
    let mut event = LoggedEvent::default();
    let mut known = false;
    for (name, part) in parts {
        match (name.as_str(), part) {
            ("System", Json::Object(system)) => {
                known = true;
                read_system(&system, &mut event);
            }
            ("RenderingInfo", Json::Object(info)) => {
                if let Some(message) = info.get("Message").and_then(text_of) {
                    event.leaf("RenderedMessage".to_owned(), Value::Text(message));
                }
            }
            (ATTRIBUTES, _) => {}
            (_, Json::Object(fields)) => read_fields(fields, &mut event),
            _ => {}
        }
    }
    if known { Ok(event) } else { Err("no System element".to_owned()) }
}

fn read_system(system: &Map<String, Json>, event: &mut LoggedEvent) {
    let attribute = |element: &str, name: &str| {
        system.get(element)?.get(ATTRIBUTES)?.get(name).and_then(text_of)
    };
    let text = |element: &str| system.get(element).and_then(text_of);
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

/// Flattens EventData or UserData: every leaf under its own name.
///
/// The depth is that of the JSON, which `serde_json` limits to 128.
fn read_fields(fields: Map<String, Json>, event: &mut LoggedEvent) {
    for (name, value) in fields {
        match value {
            _ if name == ATTRIBUTES || name == TEXT => {}
            Json::Null => {}
            Json::Object(mut inner) => {
                if let Some(Json::Object(attributes)) = inner.shift_remove(ATTRIBUTES) {
                    read_attributes(&name, &attributes, event);
                }
                match inner.shift_remove(TEXT) {
                    Some(Json::Array(all)) if name == "Data" => {
                        event.unnamed.extend(all.iter().map(|v| text_of(v).unwrap_or_default()));
                    }
                    Some(one) if name == "Data" => {
                        event.unnamed.push(text_of(&one).unwrap_or_default());
                    }
                    Some(own) => leaf(name, own, event),
                    None => {}
                }
                read_fields(inner, event);
            }
            other => leaf(name, other, event),
        }
    }
}

fn leaf(name: String, value: Json, event: &mut LoggedEvent) {
    let value = match value {
        Json::Number(n) => n.as_i64().map_or_else(|| Value::Text(n.to_string()), Value::Number),
        Json::Array(all) => {
            Value::List(all.iter().map(|v| text_of(v).unwrap_or_default()).collect())
        }
        Json::String(text) => Value::Text(text),
        other => Value::Text(text_of(&other).unwrap_or_default()),
    };
    event.leaf(name, value);
}

/// Attributes of a leaf, but for namespaces and for the names of `Data`.
fn read_attributes(element: &str, attributes: &Map<String, Json>, event: &mut LoggedEvent) {
    for (name, value) in attributes {
        if let Some(text) = text_of(value).filter(|_| LoggedEvent::keeps_attribute(name)) {
            event.leaf(format!("{element}_{name}"), Value::Text(text));
        }
    }
}

/// The text of a scalar, or of an element that has attributes too.
fn text_of(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(n) => Some(n.to_string()),
        Json::Bool(yes) => Some(yes.to_string()),
        Json::Object(inner) => inner.get(TEXT).filter(|own| !own.is_object()).and_then(text_of),
        Json::Null | Json::Array(_) => None,
    }
}
