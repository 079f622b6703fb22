//! Permanent consumers of WMI events in the repository, `OBJECTS.DATA`: a command or a
//! script that Windows runs whenever a query matches.
//!
//! The repository is not rebuilt; it is searched for the texts that its objects hold, as
//! the tools of the field do. So consumers are found that were removed and not yet
//! overwritten, and whether one is live cannot be told. An object that is split over
//! pages may be told in part.
//!
//! ```text
//! object = digest:64×u16 since:u64 ?:u64 bytes:u32 … class name, { other values }, { text }
//! text   = 0, Latin-1 characters, 0   or   1, UTF-16 characters, 0 0
//! ```
//! The digest is the SHA-256 of the class's name in capitals (UTF-16), in hexadecimal; the
//! length counts from its own field on. The first time is the same in all objects that one
//! run of the service wrote, and lies before they were written (two real repositories).
//! Among the values is the security identifier of who wrote the object. What has no such
//! head is the rest of an object, or the definition of the class.
//! Texts stand in the order of the class: of a command line consumer its command line,
//! program, name and folder; of a script consumer name, engine, file and text; of a
//! filter namespace, name, query and the query's language. A binding names both:
//! `CommandLineEventConsumer.Name="a"`, `__EventFilter.Name="b"`.
//! Source: W. Ballenthin, M. Graeber, C. Teodorescu, "Windows Management Instrumentation
//! (WMI) Offense, Defense, and Forensics".

use std::collections::BTreeMap;

use memchr::memmem;
use sha2::{Digest, Sha256};

use super::bytes::{read_up_to, sid, u32_at, u64_at, utf16};
use super::{ParseError, Parser};
use crate::model::{Damage, Extent, Input, Locator, Record, Sink, Value, from_filetime, to_iso};

const FORMAT: &str = "WMI repository";
/// A larger repository is read so far; they have some 20 to 100 MB.
const MAX_BYTES: usize = 512 << 20;
/// Bytes behind a class's name in which its object's texts stand.
const OBJECT_BYTES: usize = 16 << 10;
/// Bytes before a class's name in which its object's head stands.
const HEAD_BYTES: usize = 1 << 10;
/// Bytes that may separate the two names of a binding.
const BINDING_BYTES: usize = 2 << 10;
/// Objects of one class, and bindings, that are read.
const MAX_OBJECTS: usize = 10_000;
/// Texts of one object that are read.
const MAX_TEXTS: usize = 32;
/// Shorter runs of characters are no text of an object.
const MIN_TEXT_CHARS: usize = 3;
/// Longest text that is kept.
const MAX_TEXT_BYTES: usize = 16 << 10;

/// Classes of consumers that run something.
const CONSUMERS: [&str; 2] = ["CommandLineEventConsumer", "ActiveScriptEventConsumer"];
const FILTER: &str = "__EventFilter";
/// What stands at the start of a name of an object: `Class.Name="…"`.
const NAME: &str = ".Name=\"";
/// Texts of the definitions of these classes and of what provides them.
const DEFINED: [&str; 6] =
    ["AMENDMENT", "LOCALE", "locale", "CommandLineTemplate", "KillTimeout", "Description"];
const PROVIDER: &str = "__Win32Provider";
const LIVE: &str = "found by its texts; whether it is live or removed cannot be told";

/// Reads WMI repositories; a `wmi_consumer` record for each consumer that runs something.
pub struct WmiRepository;

impl Parser for WmiRepository {
    fn name(&self) -> &'static str {
        "wmi_repository"
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let bytes = read_up_to(input.bytes, 0, MAX_BYTES)?;
        if input.bytes.size() > bytes.len() as u64 {
            sink.damaged(Damage {
                locator: Some(Locator::Offset(bytes.len() as u64)),
                message: format!("{FORMAT}: larger than {MAX_BYTES} bytes, the rest is not read"),
                lost: true,
            });
        }
        // Every repository defines the class that binds.
        let known = ["__FilterToConsumerBinding", FILTER, CONSUMERS[0], CONSUMERS[1]];
        if !known.iter().any(|class| find_either(&bytes, class)) {
            let found = "no class of WMI events".to_owned();
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        let bindings = bindings(&bytes);
        let queries = queries(&bytes);
        let mut told: BTreeMap<(String, Vec<String>), ()> = BTreeMap::new();
        let mut records = 0u64;
        for class in CONSUMERS {
            for object in objects(&bytes, class) {
                // A page that was rewritten leaves the same object behind.
                if told.insert((class.to_owned(), object.texts.clone()), ()).is_some() {
                    continue;
                }
                let Some(record) = consumer(class, &object, &bindings, &queries) else {
                    continue;
                };
                records = records.saturating_add(1);
                if sink.record(record).is_break() {
                    return Ok(());
                }
            }
        }
        sink.extent(Extent { records, ..Extent::default() });
        Ok(())
    }
}

fn find_either(bytes: &[u8], text: &str) -> bool {
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    memmem::find(bytes, text.as_bytes()).is_some() || memmem::find(bytes, &wide).is_some()
}

/// Consumer's name to the names of the filters bound to it.
type Bindings = BTreeMap<String, Vec<String>>;

fn consumer(
    class: &str,
    object: &Object,
    bindings: &Bindings,
    queries: &BTreeMap<String, String>,
) -> Option<Record> {
    let texts = object.texts.as_slice();
    let bound = texts.iter().find(|text| bindings.contains_key(text.as_str()));
    let script = class == CONSUMERS[1];
    let is_engine =
        |text: &&String| ["vbscript", "jscript"].contains(&text.to_ascii_lowercase().as_str());
    // Without a binding the place tells: a script's name stands first, a command's last.
    let guess = if script {
        texts.iter().find(|text| !is_engine(text))
    } else {
        texts.get(1..).and_then(<[String]>::last)
    };
    let name = bound.or(guess).cloned().unwrap_or_default();
    let rest: Vec<&String> =
        texts.iter().filter(|text| **text != name && !is_engine(text)).collect();
    let what = if script { rest.iter().max_by_key(|text| text.len()) } else { rest.first() }?;
    let mut record = Record::new("wmi_consumer", Locator::Offset(object.at as u64));
    record.push("Name", name.as_str());
    record.push("Class", class);
    // A script is what is run, as a command is.
    record.push("CommandLine", what.as_str());
    record.push("ScriptText", if script { what.as_str() } else { "" });
    let engine = texts.iter().find(|text| is_engine(text) && script);
    record.push("ScriptingEngine", engine.map(String::as_str).unwrap_or_default());
    if let Some(filters) = bound.and_then(|name| bindings.get(name)) {
        let found: Vec<String> = filters.iter().filter_map(|f| queries.get(f).cloned()).collect();
        record.push("Filter", Value::List(filters.clone()));
        if !found.is_empty() {
            record.push("Query", Value::List(found));
        }
    }
    if let Some(head) = &object.head {
        record.push("UserSid", head.writer.as_deref().unwrap_or_default());
        // Not a time of the object, which is younger.
        record.push("WrittenAfter", head.since.as_deref().unwrap_or_default());
    }
    record.push("Bound", if bound.is_some() { "true" } else { "false" });
    record.push("Strings", Value::List(texts.to_vec()));
    record.push("Remark", LIVE);
    Some(record)
}

/// What the repository holds of one object.
struct Object {
    /// Offset of its class's name.
    at: usize,
    head: Option<Head>,
    texts: Vec<String>,
}

/// What stands before an object's class's name, and among its values.
struct Head {
    /// When the service began that wrote it.
    since: Option<String>,
    /// Security identifier of who wrote it.
    writer: Option<String>,
    /// Offset of its end.
    end: usize,
}

impl Head {
    /// The head with that digest of the object whose class's name stands there.
    fn read(bytes: &[u8], digest: &[u8], at: usize) -> Option<Self> {
        let from = at.saturating_sub(HEAD_BYTES);
        let before = bytes.get(from..at)?;
        let start = from.checked_add(memmem::rfind(before, digest)?)?;
        let field = |at: usize| start.checked_add(digest.len())?.checked_add(at);
        let since = from_filetime(u64_at(bytes, field(0)?)?).map(to_iso);
        let length = usize::try_from(u32_at(bytes, field(16)?)?).ok()?;
        let end = field(16)?.checked_add(length)?.min(bytes.len());
        let body = bytes.get(at..end)?;
        Some(Self { since, writer: writer(body), end })
    }
}

/// The first security identifier among values: its length in bytes, then it.
fn writer(body: &[u8]) -> Option<String> {
    /// Authority of Windows, with the revision and the count of parts before it.
    const NT: &[u8] = &[0, 0, 0, 0, 0, 5];
    memmem::find_iter(body, NT).find_map(|authority| {
        let start = authority.checked_sub(2)?;
        let length = u32_at(body, start.checked_sub(4)?)?;
        let own = body.get(start..start.checked_add(usize::try_from(length).ok()?)?)?;
        let parts = usize::from(*own.get(1)?);
        let fits = own.first() == Some(&1) && own.len() == parts.checked_mul(4)?.checked_add(8)?;
        sid(own).filter(|_| fits)
    })
}

/// The digest by which objects of a class begin.
fn digest_of(class: &str) -> Vec<u8> {
    let name: Vec<u8> = class.to_uppercase().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let digits = Sha256::digest(name).iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    digits.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Whether texts without a head are the class's definition and no rest of an object.
fn is_definition(texts: &[String]) -> bool {
    texts.iter().any(|text| DEFINED.contains(&text.as_str()) || text.contains(PROVIDER))
}

/// Every object of a class, by offset.
fn objects(bytes: &[u8], class: &str) -> Vec<Object> {
    let mark: Vec<u8> = [class.as_bytes(), b"\0"].concat();
    let digest = digest_of(class);
    let mut found = Vec::new();
    for at in memmem::find_iter(bytes, &mark).take(MAX_OBJECTS) {
        // A name of a class inside another word is none.
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        if before.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            continue;
        }
        let head = Head::read(bytes, &digest, at);
        let start = at.saturating_add(mark.len());
        let end = start.saturating_add(OBJECT_BYTES).min(bytes.len());
        let end = head.as_ref().map_or(end, |head| head.end.min(end));
        let texts = texts(bytes.get(start..end).unwrap_or_default());
        if !texts.is_empty() && (head.is_some() || !is_definition(&texts)) {
            found.push(Object { at, head, texts });
        }
    }
    found
}

/// The texts that follow a class's name, up to what belongs to another object.
fn texts(bytes: &[u8]) -> Vec<String> {
    let (mut found, mut at) = (Vec::new(), 0usize);
    while found.len() < MAX_TEXTS {
        let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { break };
        if is_digest(rest) {
            break;
        }
        let (text, length) = match rest {
            [0, after @ ..] => (latin(after), latin_len(after).saturating_add(2)),
            [1, after @ ..] => wide(after),
            _ => (None, 1),
        };
        match text {
            Some(text) if ends_object(&text) => break,
            Some(text) => {
                found.push(text);
                // The zero that ends a text also is the mark of the next if none follows.
                at = at.saturating_add(length);
            }
            None => at = at.saturating_add(1),
        }
    }
    found
}

/// Another object begins with the digest of its class: 64 digits in UTF-16.
fn is_digest(bytes: &[u8]) -> bool {
    let Some(head) = bytes.get(..128) else { return false };
    let (pairs, _) = head.as_chunks::<2>();
    pairs.iter().all(|[low, high]| low.is_ascii_hexdigit() && *high == 0)
}

/// Names of classes and of their parts show that another object or a definition began.
fn ends_object(text: &str) -> bool {
    const PARTS: [&str; 6] =
        ["EventConsumer", "__EventFilter", "__Filter", "CIM_", "Win32_", "MSFT_"];
    !text.contains(' ') && PARTS.iter().any(|part| text.contains(part) && !text.contains('\\'))
        || ["string", "uint32", "boolean", "CIMTYPE"].contains(&text)
}

fn latin_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len())
}

/// Characters up to a zero, all of which can be shown.
fn latin(bytes: &[u8]) -> Option<String> {
    let length = latin_len(bytes);
    let own = bytes.get(..length).filter(|_| length < bytes.len())?;
    let shown = own.iter().all(|byte| matches!(byte, 9 | 10 | 13 | 0x20..=0x7e | 0xa0..=0xff));
    // Account identifiers stand between texts and may look like letters with accents.
    let ascii = own.iter().filter(|byte| byte.is_ascii()).count().saturating_mul(2) > length;
    let fits = (MIN_TEXT_CHARS..=MAX_TEXT_BYTES).contains(&length) && ascii;
    (shown && fits).then(|| own.iter().map(|byte| char::from(*byte)).collect())
}

/// The same for UTF-16, with the bytes that the text and its marks take.
fn wide(bytes: &[u8]) -> (Option<String>, usize) {
    let (pairs, _) = bytes.as_chunks::<2>();
    let Some(length) = pairs.iter().position(|pair| *pair == [0, 0]) else { return (None, 1) };
    let own = bytes.get(..length.saturating_mul(2)).unwrap_or_default();
    let text = utf16(own);
    let shown = !text.contains(|c: char| c == '\u{fffd}' || c.is_control() && !c.is_whitespace());
    let fits = (MIN_TEXT_CHARS..=MAX_TEXT_BYTES).contains(&length);
    ((shown && fits).then_some(text), own.len().saturating_add(3))
}

/// The query of every filter, by the filter's name.
fn queries(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for Object { texts, .. } in objects(bytes, FILTER) {
        let is_query =
            |text: &String| text.trim_start().to_ascii_lowercase().starts_with("select ");
        let Some(at) = texts.iter().position(is_query) else { continue };
        let query = texts.get(at).cloned().unwrap_or_default();
        // The name stands before the query, or is the only other text.
        let other = |text: &&String| {
            !text.eq_ignore_ascii_case("wql") && !text.to_ascii_lowercase().starts_with("root\\")
        };
        let name = texts.get(..at).unwrap_or_default().iter().rev().find(other);
        if let Some(name) = name {
            found.entry(name.clone()).or_insert(query);
        }
    }
    found
}

/// Which filters are bound to which consumers.
fn bindings(bytes: &[u8]) -> Bindings {
    let mut found = Bindings::new();
    for class in CONSUMERS {
        let mark = format!("{class}{NAME}");
        for at in memmem::find_iter(bytes, mark.as_bytes()).take(MAX_OBJECTS) {
            let Some(name) = quoted(bytes, at.saturating_add(mark.len())) else { continue };
            let from = at.saturating_sub(BINDING_BYTES);
            let to = at.saturating_add(BINDING_BYTES).min(bytes.len());
            let near = bytes.get(from..to).unwrap_or_default();
            let filter = format!("{FILTER}{NAME}");
            let nearest = memmem::find_iter(near, filter.as_bytes())
                .min_by_key(|found| found.saturating_add(from).abs_diff(at));
            let filters = found.entry(name).or_default();
            let named = nearest.and_then(|at| quoted(near, at.saturating_add(filter.len())));
            if let Some(named) = named
                && !filters.contains(&named)
            {
                filters.push(named);
            }
        }
    }
    found
}

/// The text up to the next quotation mark; `\"` belongs to it.
fn quoted(bytes: &[u8], start: usize) -> Option<String> {
    const MAX_NAME_BYTES: usize = 1 << 10;
    let rest = bytes.get(start..)?;
    let rest = rest.get(..MAX_NAME_BYTES).unwrap_or(rest);
    let end = rest.iter().position(|byte| *byte == b'"')?;
    latin(&[rest.get(..end)?, b"\0"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{expect, parse, sample, torment};

    #[test]
    fn consumers_filters_and_bindings() {
        let kept = parse(&WmiRepository, &sample("wmi_repository/OBJECTS.DATA")).unwrap();
        expect("wmi_repository/OBJECTS.DATA", &kept.shown());
    }

    #[test]
    fn only_objects_of_a_real_one() {
        let bytes = sample("wmi_repository/real_OBJECTS.DATA");
        let kept = parse(&WmiRepository, &bytes).unwrap();
        expect("wmi_repository/real_OBJECTS.DATA", &kept.shown());
        // The rest of an object that has lost its head is told.
        let digest = digest_of("ActiveScriptEventConsumer");
        let head = memmem::find(&bytes, &digest).unwrap();
        let mut rest = bytes;
        rest[head..head + 8].fill(0);
        let kept = parse(&WmiRepository, &rest).unwrap();
        assert_eq!(kept.records[0].text("Name"), Some("KillProcess"));
        assert_eq!(kept.records[0].text("UserSid"), None);
    }

    #[test]
    fn damaged_and_foreign() {
        let good = sample("wmi_repository/OBJECTS.DATA");
        assert!(parse(&WmiRepository, b"").is_err());
        assert!(parse(&WmiRepository, &[0xff; 200]).is_err());
        assert!(!parse(&WmiRepository, &good[..good.len() - 700]).unwrap().records.is_empty());
        torment(&WmiRepository, &good, 300);
    }
}
