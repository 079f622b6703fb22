//! Settings of WinSW, a program that runs any other as a service of Windows: an XML file
//! beside it that bears its name.
//!
//! Proves what the service was set to start; whether it is installed the registry says. It
//! has no time of its own. Elements as WinSW's description of its XML file has them
//! (versions 1 to 3): `<service>` with `id`, `executable`, `arguments` or `startargument`,
//! `env`.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use super::lines::{self, Encoding, decode};
use super::task::command_line;
use super::{ParseError, Parser};
use crate::model::{Damage, Input, Locator, Record, Sink, Value};

const FORMAT: &str = "settings of a service wrapper";
/// Larger files are none.
const MAX_BYTES: u64 = 1 << 20;
/// Elements nested deeper are passed over.
const DEPTH: usize = 2;
/// Arguments and variables that are kept.
const MAX_VALUES: usize = 256;

/// Reads them; one `service_file` record.
pub struct ServiceWrapper;

impl Parser for ServiceWrapper {
    fn name(&self) -> &'static str {
        "service_wrapper"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        if lines::first_mark(start) != Some(b'<') || Encoding::of(start) == Encoding::Binary {
            return false;
        }
        let (text, _) = decode(start);
        text.contains("<service") && text.contains("<executable>")
    }

    fn is_text(&self) -> bool {
        true
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let bytes = input.read_all(MAX_BYTES)?;
        let (text, encoding) = decode(&bytes);
        if encoding == Encoding::Binary || !text.contains("<service") {
            let found = if encoding == Encoding::Binary { "binary" } else { "no <service>" };
            return Err(ParseError::Foreign { format: FORMAT, found: found.to_owned() });
        }
        let mut settings = Settings::default();
        if let Err(what) = settings.read(&text) {
            sink.damaged(Damage {
                locator: None,
                message: format!("{FORMAT}: {what}; what stands before is told"),
                lost: true,
            });
        }
        if settings.program.is_empty() {
            return Ok(());
        }
        let _ = sink.record(settings.record());
        Ok(())
    }
}

#[derive(Default)]
struct Settings {
    id: String,
    title: String,
    description: String,
    program: String,
    arguments: Vec<String>,
    environment: Vec<String>,
}

impl Settings {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let mut reader = Reader::from_str(text);
        let mut open: Vec<String> = Vec::new();
        let mut own = String::new();
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(start) => {
                    open.push(start.local_name().as_ref().to_owned());
                    own.clear();
                    self.variable(&start, open.len());
                }
                Event::Empty(start) => self.variable(&start, open.len().saturating_add(1)),
                Event::End(_) => {
                    let name = open.pop().unwrap_or_default();
                    if open.len() == DEPTH - 1 {
                        self.keep(&name, own.trim());
                    }
                    own.clear();
                }
                Event::Text(part) => own.push_str(&part),
                Event::CData(part) => own.push_str(&part),
                Event::GeneralRef(entity) => {
                    let c = entity.resolve_char_ref().map_err(|error| error.to_string())?;
                    match (c, resolve_predefined_entity(&entity)) {
                        (Some(c), _) => own.push(c),
                        (None, Some(known)) => own.push_str(known),
                        (None, None) => {}
                    }
                }
                Event::Eof if open.is_empty() => return Ok(()),
                Event::Eof => return Err("the text ends inside an element".to_owned()),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn keep(&mut self, name: &str, text: &str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match name {
            "id" => self.id = text,
            "name" => self.title = text,
            "description" => self.description = text,
            "executable" => self.program = text,
            "arguments" | "argument" | "startarguments" | "startargument"
                if self.arguments.len() < MAX_VALUES =>
            {
                self.arguments.push(text);
            }
            _ => {}
        }
    }

    /// `<env name="A" value="b"/>`
    fn variable(&mut self, start: &BytesStart<'_>, depth: usize) {
        if start.local_name().as_ref() != "env" || depth != DEPTH {
            return;
        }
        let value = |wanted: &str| {
            let mut all = start.attributes().flatten();
            let found = all.find(|attribute| attribute.key.as_ref() == wanted)?;
            Some(found.value.to_string())
        };
        if let (Some(name), Some(value)) = (value("name"), value("value"))
            && self.environment.len() < MAX_VALUES
        {
            self.environment.push(format!("{name}={value}"));
        }
    }

    fn record(&self) -> Record {
        let mut record = Record::new("service_file", Locator::Line(1));
        let name = if self.id.is_empty() { &self.title } else { &self.id };
        record.push("Name", name.as_str());
        record.push("ServiceName", self.id.as_str());
        record.push("DisplayName", self.title.as_str());
        record.push("Description", self.description.as_str());
        record.push("CommandLine", command_line(&self.program, &self.arguments.join(" ")));
        if !self.environment.is_empty() {
            record.push("Environment", Value::List(self.environment.clone()));
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{parse, sample, torment};

    #[test]
    fn what_the_service_starts() {
        let kept = parse(&ServiceWrapper, &sample("service_wrapper/WebUpd.xml")).unwrap();
        let expected = "\
service_file line:1 | Name=WebUpd | ServiceName=WebUpd | DisplayName=Web Update | Description=Keeps & updates | CommandLine=%BASE%\\ngrok.exe start --all --config C:\\ProgramData\\webupd\\n.yml | Environment=NGROK_REGION=eu
";
        assert_eq!(kept.shown(), expected);
        assert!(ServiceWrapper.recognizes(&sample("service_wrapper/WebUpd.xml")));
    }

    #[test]
    fn damaged_and_foreign() {
        assert!(parse(&ServiceWrapper, b"<html></html>").is_err());
        assert!(parse(&ServiceWrapper, &[0, 1, 2, 3, 0, 0, 0, 9]).is_err());
        assert!(!ServiceWrapper.recognizes(b"<service><id>x</id></service>   "));
        let cut = b"<service><id>a</id><executable>C:\\a.exe</executable><argu";
        let kept = parse(&ServiceWrapper, cut).unwrap();
        assert_eq!((kept.records.len(), kept.damage.len()), (1, 1));
        torment(&ServiceWrapper, &sample("service_wrapper/WebUpd.xml"), 300);
    }
}
