//! Property lists in XML, read as a stream: of a damaged one what stands before the damage
//! is told.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use super::{FORMAT, MAX_DEPTH, MAX_TEXT_BYTES, MAX_VALUES, Plist};
use crate::model::Damage;
use crate::parse::lines::{Encoding, decode};

/// A list or dictionary that is open.
struct Open {
    is_list: bool,
    /// The key that waits for its value.
    key: Option<String>,
    all: Vec<(String, Plist)>,
}

#[derive(Default)]
struct Reading {
    open: Vec<Open>,
    own: String,
    told: usize,
    top: Option<Plist>,
}

/// The list, and the damage at which it ends early; else what it is instead.
pub(super) fn read(bytes: &[u8]) -> Result<(Plist, Option<Damage>), String> {
    let (text, encoding) = decode(bytes);
    if encoding == Encoding::Binary || !text.contains("<plist") {
        return Err("neither XML with <plist nor binary".to_owned());
    }
    let mut reading = Reading::default();
    let damage = reading.run(&text).err().map(|what| Damage {
        locator: None,
        message: format!("{FORMAT}: {what}; what stands before is told"),
        lost: true,
    });
    while !reading.open.is_empty() {
        reading.close();
    }
    let top = reading.top.ok_or_else(|| "nothing in it".to_owned())?;
    Ok((top, damage))
}

impl Reading {
    fn run(&mut self, text: &str) -> Result<(), String> {
        let mut reader = Reader::from_str(text);
        let mut level = 0usize;
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(start) => {
                    level = level.saturating_add(1);
                    self.start(start.local_name().as_ref())?;
                }
                Event::Empty(start) => {
                    self.start(start.local_name().as_ref())?;
                    self.end(start.local_name().as_ref());
                }
                Event::End(end) => {
                    level = level.saturating_sub(1);
                    self.end(end.local_name().as_ref());
                }
                Event::Text(own) => self.add(&own),
                Event::CData(own) => self.add(&own),
                Event::GeneralRef(entity) => {
                    let c = entity.resolve_char_ref().map_err(|error| error.to_string())?;
                    match (c, resolve_predefined_entity(&entity)) {
                        (Some(c), _) => self.add(c.encode_utf8(&mut [0; 4])),
                        (None, Some(known)) => self.add(known),
                        (None, None) => {}
                    }
                }
                Event::Eof if level == 0 => return Ok(()),
                Event::Eof => return Err("the text ends inside the list".to_owned()),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn add(&mut self, text: &str) {
        if self.own.len().saturating_add(text.len()) <= MAX_TEXT_BYTES {
            self.own.push_str(text);
        }
    }

    fn start(&mut self, name: &str) -> Result<(), String> {
        self.own.clear();
        if matches!(name, "dict" | "array") {
            if self.open.len() >= MAX_DEPTH {
                return Err(format!("lists nest deeper than {MAX_DEPTH}"));
            }
            self.open.push(Open { is_list: name == "array", key: None, all: Vec::new() });
        }
        Ok(())
    }

    fn end(&mut self, name: &str) {
        let text = std::mem::take(&mut self.own);
        match name {
            "dict" | "array" => self.close(),
            "key" => {
                if let Some(open) = self.open.last_mut() {
                    open.key = Some(text);
                }
            }
            "string" => self.value(Plist::Text(text)),
            "integer" => {
                let number = text.trim().parse();
                self.value(number.map_or(Plist::Other, Plist::Number));
            }
            "true" | "false" => self.value(Plist::Bool(name == "true")),
            "real" | "date" | "data" => self.value(Plist::Other),
            _ => {}
        }
    }

    fn close(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let value = match open.is_list {
            true => Plist::List(open.all.into_iter().map(|(_, value)| value).collect()),
            false => Plist::Dict(open.all),
        };
        self.value(value);
    }

    fn value(&mut self, value: Plist) {
        self.told = self.told.saturating_add(1);
        if self.told > MAX_VALUES {
            return;
        }
        match self.open.last_mut() {
            None => self.top = self.top.take().or(Some(value)),
            Some(open) if open.is_list => open.all.push((String::new(), value)),
            Some(open) => {
                if let Some(key) = open.key.take() {
                    open.all.push((key, value));
                }
            }
        }
    }
}
