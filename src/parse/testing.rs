//! What the tests of several parsers need.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::{ParseError, Parser};
use crate::model::{Damage, Everything, Extent, Filter, Input, ReadAt, Record, Sink};

/// Keeps what a parser says.
#[derive(Default)]
pub(crate) struct Kept {
    pub records: Vec<Record>,
    pub damage: Vec<Damage>,
    pub extents: Vec<Extent>,
}

impl Sink for Kept {
    fn record(&mut self, record: Record) -> ControlFlow<()> {
        self.records.push(record);
        ControlFlow::Continue(())
    }

    fn damaged(&mut self, damage: Damage) {
        self.damage.push(damage);
    }

    fn extent(&mut self, extent: Extent) {
        self.extents.push(extent);
    }
}

impl Kept {
    /// The records as text: a line each, `category locator | field=value | meaning time precision raw`.
    pub(crate) fn shown(&self) -> String {
        let mut out = String::new();
        for record in &self.records {
            out.push_str(&format!("{} {}", record.category, record.locator));
            for (name, value) in &record.fields {
                out.push_str(&format!(" | {name}={value}"));
            }
            for m in &record.times {
                let at = m.at.map_or("-".to_owned(), |at| at.to_string());
                out.push_str(&format!(" | {} {at} {} {}", m.meaning, m.precision.as_str(), m.raw));
            }
            out.push('\n');
        }
        out
    }
}

/// Everything `parser` says of `bytes`, with a filter.
pub(crate) fn parse_with(
    parser: &dyn Parser,
    bytes: &dyn ReadAt,
    filter: &dyn Filter,
) -> Result<Kept, ParseError> {
    parse_named(parser, "x", bytes, filter)
}

/// Everything `parser` says of `bytes` in a file of that name, with a filter.
pub(crate) fn parse_named(
    parser: &dyn Parser,
    name: &str,
    bytes: &dyn ReadAt,
    filter: &dyn Filter,
) -> Result<Kept, ParseError> {
    let modified = "2024-03-20T00:00:00Z".parse().ok();
    let input =
        Input { bytes, sidecars: Vec::new(), name, modified, filter, paths: None, zone: None };
    let mut kept = Kept::default();
    parser.parse(&input, &mut kept).map(|()| kept)
}

/// Everything `parser` says of `bytes`.
pub(crate) fn parse(parser: &dyn Parser, bytes: &[u8]) -> Result<Kept, ParseError> {
    parse_with(parser, &bytes.to_vec(), &Everything)
}

/// A sample of the test data.
pub(crate) fn sample(path: &str) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/parse").join(path);
    std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// What `parser` says of every sample in a folder of the test data, damage included.
pub(crate) fn all_shown(folder: &str, parser: impl Fn(&str) -> &'static dyn Parser) -> String {
    let mut shown = String::new();
    for path in samples(folder) {
        let name = path.rsplit('/').next().unwrap();
        let kept = parse_named(parser(name), name, &sample(&path), &Everything).unwrap();
        shown.push_str(&format!("# {name}\n{}", kept.shown()));
        for damage in kept.damage {
            shown.push_str(&format!("{} lost={}\n", damage.message, damage.lost));
        }
    }
    shown
}

/// The names of the samples in a folder of the test data, sorted.
pub(crate) fn samples(folder: &str) -> Vec<String> {
    let at = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/parse").join(folder);
    let mut all: Vec<String> = std::fs::read_dir(at)
        .unwrap()
        .map(|e| format!("{folder}/{}", e.unwrap().file_name().to_string_lossy()))
        .collect();
    all.sort();
    all
}

/// Compares what a parser showed with `testdata/parse/<name>.expected`.
///
/// With `UPDATE_EXPECT` in the environment the file is written instead.
pub(crate) fn expect(name: &str, shown: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/parse");
    let file = folder.join(format!("{name}.expected"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, shown).unwrap();
    }
    assert_eq!(shown, std::fs::read_to_string(&file).unwrap(), "{}", file.display());
}

/// A filter that admits what holds one of these words, ASCII case aside.
pub(crate) struct Words(pub &'static [&'static str]);

impl Filter for Words {
    fn admits(&self, _: &[u8]) -> bool {
        true
    }

    fn admits_text(&self, text: &[u8]) -> bool {
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        self.0.iter().any(|word| text.contains(word))
    }
}

/// Hands `parser` `rounds` truncated and altered copies of `bytes`; it must come back.
pub(crate) fn torment(parser: &dyn Parser, bytes: &[u8], rounds: u64) {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % (below as u64 + 1)).unwrap()
    };
    for _ in 0..rounds {
        let mut copy = bytes.to_vec();
        for _ in 0..next(16) {
            let at = next(copy.len().saturating_sub(1));
            if let Some(byte) = copy.get_mut(at) {
                *byte = [0, 0xff, 0x7f, 0x80, next(255) as u8][next(4)];
            }
        }
        if next(2) == 0 {
            copy.truncate(next(copy.len()));
        }
        parser.recognizes(copy.get(..4096).unwrap_or(&copy));
        let _ = parse(parser, &copy);
    }
}
