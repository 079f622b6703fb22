//! One detection: the threat, what it was found in, who, and when.
//!
//! In order: the threat's number, the detection's identifier, `Magic.Version`, the
//! threat's name, numbers; then for each thing it was found in `Magic.Version`, kind,
//! place, numbers and a bag of `ThreatTracking…` entries; then the time the state last
//! changed, the account, the process, the time of detection, the time of removal and
//! the account that removed it, with numbers between.

use super::values::{Content, Value, is_detection, values};
use crate::model::{Damage, Locator, Moment, Record, Sink, Value as Field};
use crate::parse::{ParseError, address};

const FORMAT: &str = "Defender detection";
/// What stands before the threat's name and before each thing found.
const MAGIC: &str = "Magic.Version:";
/// What a hash of the bag is called in the record.
const HASHES: [(&str, &str); 3] = [
    ("ThreatTrackingSha256", "SHA256"),
    ("ThreatTrackingSha1", "SHA1"),
    ("ThreatTrackingMD5", "MD5"),
];
/// Meanings of the times behind the things found, in order.
const TIMES: [&str; 3] = ["Threat Status Changed", "Threat Detected", "Threat Remediated"];

/// Tells the detection in `bytes`.
///
/// # Errors
///
/// When it is none.
pub(super) fn read(bytes: &[u8], sink: &mut dyn Sink) -> Result<(), ParseError> {
    if !is_detection(bytes) {
        let found = format!("{:02x?}", bytes.get(..8).unwrap_or(bytes));
        return Err(ParseError::Foreign { format: FORMAT, found });
    }
    let (values, stopped) = values(bytes);
    if let Some(at) = stopped {
        sink.damaged(Damage {
            locator: Some(Locator::Offset(at as u64)),
            message: format!("{FORMAT}: a value reaches beyond the end"),
            lost: true,
        });
    }
    let _ = sink.record(record(&values));
    Ok(())
}

fn record(values: &[Value]) -> Record {
    let mut record = Record::new("antivirus_log", Locator::Offset(0));
    let is_magic = |value: &Value| matches!(value, Value::Text(text) if text.starts_with(MAGIC));
    let mut parts = values.split(is_magic);
    // Before the first mark stand numbers; after it the threat, then things found.
    let threat = parts.nth(1).and_then(|part| texts(part).next());
    record.push("ThreatName", threat.unwrap_or_default());
    let mut found = Vec::new();
    let mut tail: &[Value] = &[];
    for part in parts {
        let mut texts = texts(part);
        if let (Some(kind), Some(place)) = (texts.next(), texts.next()) {
            found.push((kind, place));
        }
        tail = part.get(2..).unwrap_or_default();
        if let Some(Value::Bag(bag)) = tail.iter().find(|value| matches!(value, Value::Bag(_))) {
            tracking(bag, &mut record);
        }
    }
    resources(&found, &mut record);
    let mut names = texts(tail);
    record.push("User", names.next().unwrap_or_default());
    record.push("ProcessName", names.next().filter(|name| *name != "Unknown").unwrap_or_default());
    record.push("RemediationUser", names.next().unwrap_or_default());
    let times = tail.iter().filter_map(|value| match value {
        Value::Filetime(ticks) => Some(*ticks),
        _ => None,
    });
    let moments = times.zip(TIMES).filter_map(|(ticks, what)| Moment::of_filetime(ticks, what));
    record.times.extend(moments);
    record
}

fn texts(values: &[Value]) -> impl Iterator<Item = &str> {
    values.iter().filter_map(|value| match value {
        Value::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

/// Hashes and size of the first thing found that has them.
fn tracking(bag: &[(String, Content)], record: &mut Record) {
    if record.value("Hashes").is_some() {
        return;
    }
    let content = |name: &str| bag.iter().find(|(own, _)| own == name).map(|(_, is)| is);
    let hashes: Vec<String> = HASHES
        .iter()
        .filter_map(|(name, short)| match content(name) {
            Some(Content::Text(hex)) => Some(format!("{short}={}", hex.to_ascii_uppercase())),
            _ => None,
        })
        .collect();
    record.push("Hashes", hashes.join(","));
    if let Some(Content::Number(size)) = content("ThreatTrackingSize") {
        record.push("Size", i64::try_from(*size).unwrap_or(i64::MAX));
    }
}

/// The file it was found in, the address it came from, and everything as it stands.
fn resources(found: &[(&str, &str)], record: &mut Record) {
    let of = |kind: &str| found.iter().find(|(own, _)| *own == kind).map(|(_, place)| *place);
    let web = of("webfile");
    let file = of("file").or(of("containerfile")).or(web.and_then(|w| w.split('|').next()));
    // A member of an archive stands behind an arrow: `a.zip->b.exe`.
    let (file, member) = file.map_or(("", ""), |path| path.split_once("->").unwrap_or((path, "")));
    record.push("Image", file);
    record.push("MemberName", member);
    record.push("Path", file);
    if let Some(url) = web.and_then(|web| web.split('|').nth(1)) {
        record.push("HostName", address::host(url).unwrap_or_default());
        record.push("Url", url);
    }
    let all: Vec<String> = found.iter().map(|(kind, place)| format!("{kind}:{place}")).collect();
    if !all.is_empty() {
        record.push("Resources", Field::List(all));
    }
}
