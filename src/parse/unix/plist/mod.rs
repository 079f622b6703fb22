//! Jobs of launchd: property lists in `LaunchDaemons` and `LaunchAgents`.
//!
//! A job in place is loaded at boot or login unless it is disabled elsewhere; `RunAtLoad`
//! and `KeepAlive` start it at once. That it ran, the logs say. Source: launchd.plist(5).

mod binary;
mod xml;

use crate::model::{Input, Locator, Record, Sink, Value};
use crate::parse::offer::offer;
use crate::parse::{ParseError, Parser};

const FORMAT: &str = "property list";
/// Larger lists are no jobs.
const MAX_BYTES: u64 = 16 << 20;
/// Levels of lists in lists.
const MAX_DEPTH: usize = 64;
/// Values of one file, those that stand in several places counted each time.
const MAX_VALUES: usize = 100_000;
/// Bytes of one text that are kept.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// A value of a property list; dates and bytes are not told.
#[derive(Debug, PartialEq)]
enum Plist {
    Text(String),
    Number(i64),
    Bool(bool),
    List(Vec<Plist>),
    /// In the file's order.
    Dict(Vec<(String, Plist)>),
    Other,
}

impl Plist {
    fn at(&self, key: &str) -> Option<&Plist> {
        let Self::Dict(all) = self else { return None };
        all.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// A text, number or truth as text.
    fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(n) => Some(n.to_string()),
            Self::Bool(is) => Some(is.to_string()),
            Self::List(_) | Self::Dict(_) | Self::Other => None,
        }
    }
}

/// Reads jobs of launchd, in XML and in binary form; one `launchd` record.
pub struct Launchd;

impl Parser for Launchd {
    fn name(&self) -> &'static str {
        "launchd"
    }

    /// Many other things are property lists: only the place tells.
    fn recognizes(&self, _: &[u8]) -> bool {
        false
    }

    fn is_store(&self) -> bool {
        false
    }

    fn tells_of_others(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let bytes = input.read_all(MAX_BYTES)?;
        let read = if bytes.starts_with(binary::MAGIC) {
            binary::read(&bytes).map(|list| (list, None))
        } else {
            xml::read(&bytes)
        };
        let (list, damage) =
            read.map_err(|what| ParseError::Broken { format: FORMAT, offset: 0, what })?;
        damage.into_iter().for_each(|damage| sink.damaged(damage));
        let Plist::Dict(_) = &list else {
            let found = "a list without keys".to_owned();
            return Err(ParseError::Foreign { format: FORMAT, found });
        };
        let _ = offer(job(&list, input.name), input, sink);
        Ok(())
    }
}

fn job(list: &Plist, file: &str) -> Record {
    const FIELDS: [(&str, &str); 11] = [
        ("UserName", "User"),
        ("GroupName", "Group"),
        ("Disabled", "Disabled"),
        ("RunAtLoad", "RunAtLoad"),
        ("StartInterval", "StartInterval"),
        ("WorkingDirectory", "WorkingDirectory"),
        ("StandardOutPath", "StandardOutPath"),
        ("StandardErrorPath", "StandardErrorPath"),
        ("StandardInPath", "StandardInPath"),
        ("RootDirectory", "RootDirectory"),
        ("BundleProgram", "BundleProgram"),
    ];
    let mut record = Record::new("launchd", Locator::Offset(0));
    let text = |key: &str| list.at(key).and_then(Plist::text);
    let label = text("Label").unwrap_or_else(|| file.trim_end_matches(".plist").to_owned());
    record.push("Name", label.as_str());
    record.push("ServiceName", label);
    let program = text("Program").or_else(|| text("BundleProgram"));
    let arguments = match list.at("ProgramArguments") {
        Some(Plist::List(all)) => all.iter().filter_map(Plist::text).collect(),
        _ => Vec::new(),
    };
    // With both, the first argument is only what the program is told it is called.
    let given = arguments.iter().skip(usize::from(program.is_some()));
    let words = program.iter().chain(given).map(|word| quoted(word));
    record.push("CommandLine", words.collect::<Vec<_>>().join(" "));
    record.push("Image", program.or_else(|| arguments.first().cloned()).unwrap_or_default());
    for (key, field) in FIELDS {
        record.push(field, text(key).unwrap_or_default());
    }
    match list.at("KeepAlive") {
        Some(Plist::Dict(_)) => record.push("KeepAlive", "on conditions"),
        Some(value) => record.push("KeepAlive", value.text().unwrap_or_default()),
        None => {}
    }
    if let Some(Plist::Dict(all)) = list.at("EnvironmentVariables") {
        let pairs =
            all.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.text()?)));
        record.push("Environment", Value::List(pairs.collect()));
    }
    record
}

/// An argument as a shell would take it for one.
fn quoted(word: &str) -> String {
    if word.is_empty() || word.contains([' ', '\t', '"']) && !word.contains('\'') {
        return format!("'{word}'");
    }
    word.to_owned()
}
