//! What a package says of itself where it was installed: XML, JSON or headers, told
//! apart by content.

use serde_json::Value as Json;

use crate::model::{Input, Locator, Record, Sink, Value};
use crate::parse::lines::{Encoding, decode};
use crate::parse::{ParseError, Parser};

const FORMAT: &str = "package description";
/// A larger file describes no package.
const MAX_BYTES: u64 = 4 << 20;
/// Longest text that is kept of one key.
const MAX_TEXT_BYTES: usize = 2 << 10;
/// Programs and addresses that are told of one package.
const MAX_VALUES: usize = 32;
/// Levels of a JSON that are looked into for addresses.
const MAX_DEPTH: usize = 6;

/// Reads descriptions of packages; one `package` record.
pub struct PackageManifest;

impl Parser for PackageManifest {
    fn name(&self) -> &'static str {
        "package_manifest"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let bytes = input.read_all(MAX_BYTES)?;
        let (text, encoding) = decode(&bytes);
        let foreign =
            |found: &str| Err(ParseError::Foreign { format: FORMAT, found: found.to_owned() });
        if encoding == Encoding::Binary {
            return foreign("binary");
        }
        let mut record = Record::new("package", Locator::Offset(0));
        let trimmed = text.trim_start();
        let read = if trimmed.starts_with('{') {
            json(trimmed, &mut record)
        } else if trimmed.starts_with('<') {
            nuspec(trimmed, &mut record)
        } else {
            headers(trimmed, &mut record)
        };
        match read {
            Ok(()) => {
                let _ = sink.record(record);
                Ok(())
            }
            Err(found) => foreign(found),
        }
    }
}

/// A text that is short enough to be kept.
fn kept(text: &str) -> &str {
    let text = text.trim();
    if text.len() <= MAX_TEXT_BYTES { text } else { "" }
}

/// `<package><metadata><id>…</id><version>…</version>…`
fn nuspec(text: &str, record: &mut Record) -> Result<(), &'static str> {
    let tag = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(kept(rest.split_once(&format!("</{name}>"))?.0))
    };
    let id = tag("id").filter(|_| text.contains("<package")).ok_or("XML of no package")?;
    record.push("Name", id);
    record.push("Source", "chocolatey");
    let fields = [
        ("version", "Version"),
        ("title", "Title"),
        ("authors", "Author"),
        ("projectUrl", "Homepage"),
    ];
    for (name, field) in fields {
        record.push(field, tag(name).unwrap_or_default());
    }
    Ok(())
}

/// `Name: …`, up to the first empty line.
fn headers(text: &str, record: &mut Record) -> Result<(), &'static str> {
    if !text.starts_with("Metadata-Version:") {
        return Err("a text of another kind");
    }
    const FIELDS: [(&str, &str); 5] = [
        ("Name", "Name"),
        ("Version", "Version"),
        ("Author", "Author"),
        ("Home-page", "Homepage"),
        ("Summary", "Title"),
    ];
    for line in text.lines().take_while(|line| !line.trim().is_empty()) {
        let Some((key, value)) = line.split_once(':') else { continue };
        if let Some((_, field)) = FIELDS.iter().find(|(own, _)| key.eq_ignore_ascii_case(own)) {
            record.push(*field, kept(value));
        }
    }
    record.push("Source", "pip");
    record.text("Name").map(|_| ()).ok_or("headers without a name")
}

/// npm's `package.json`, Scoop's `manifest.json` and `install.json`.
fn json(text: &str, record: &mut Record) -> Result<(), &'static str> {
    let root: Json = serde_json::from_str(text).map_err(|_| "no JSON, or a damaged one")?;
    let of = |name: &str| root.get(name).and_then(Json::as_str).map(kept).unwrap_or_default();
    if root.get("bucket").is_some() && root.get("version").is_none() {
        record.push("Source", "scoop");
        record.push("Bucket", of("bucket"));
        record.push("Architecture", of("architecture"));
        return Ok(());
    }
    if of("version").is_empty() {
        return Err("JSON without a version");
    }
    let npm = !of("name").is_empty();
    record.push("Name", of("name"));
    record.push("Version", of("version"));
    record.push("Source", if npm { "npm" } else { "scoop" });
    record.push("Title", of("description"));
    record.push("Homepage", of("homepage"));
    let mut urls = Vec::new();
    urls.extend(Some(of("_resolved")).filter(|url| !url.is_empty()).map(str::to_owned));
    if !npm {
        let architectures = root.get("architecture");
        architectures.into_iter().for_each(|all| strings_at(all, "url", MAX_DEPTH, &mut urls));
        root.get("url").into_iter().for_each(|url| leaves(url, 2, &mut urls));
    }
    push_all(record, "Url", urls);
    let mut programs = Vec::new();
    root.get("bin").into_iter().for_each(|bin| leaves(bin, 2, &mut programs));
    push_all(record, "Programs", programs);
    if let Some(Json::Object(others)) = root.get("dependencies") {
        let names = others.keys().take(MAX_VALUES).map(|name| kept(name).to_owned());
        push_all(record, "Dependencies", names.collect());
    }
    Ok(())
}

fn push_all(record: &mut Record, name: &'static str, values: Vec<String>) {
    if !values.is_empty() {
        record.push(name, Value::List(values));
    }
}

/// Texts at a key, wherever it stands.
fn strings_at(json: &Json, key: &str, depth: usize, found: &mut Vec<String>) {
    let Json::Object(all) = json else { return };
    for (name, value) in all.iter().filter(|_| depth > 0) {
        if name == key {
            leaves(value, 2, found);
        } else {
            strings_at(value, key, depth.saturating_sub(1), found);
        }
    }
}

/// Texts of a value, of a list or of an object's values.
fn leaves(json: &Json, depth: usize, found: &mut Vec<String>) {
    match json {
        Json::String(text) if found.len() < MAX_VALUES => found.push(kept(text).to_owned()),
        Json::Array(all) if depth > 0 => {
            all.iter().for_each(|value| leaves(value, depth.saturating_sub(1), found));
        }
        Json::Object(all) if depth > 0 => {
            all.values().for_each(|value| leaves(value, depth.saturating_sub(1), found));
        }
        _ => {}
    }
}
