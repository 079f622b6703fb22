//! The repository's own order: what a reader may rely on in every file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

const MAX_LINES: usize = 600;

/// Stages that a stage must not know: `run` alone joins them.
const APART: [(&str, &[&str]); 9] = [
    (
        "codec",
        &[
            "model",
            "source",
            "artifact",
            "screen",
            "parse",
            "detect",
            "correlate",
            "export",
            "run",
            "cli",
        ],
    ),
    (
        "model",
        &["source", "artifact", "screen", "parse", "detect", "correlate", "export", "run", "cli"],
    ),
    ("source", &["artifact", "screen", "parse", "detect", "correlate", "export", "run", "cli"]),
    ("artifact", &["screen", "detect", "correlate", "export", "run", "cli"]),
    ("screen", &["source", "artifact", "parse", "correlate", "export", "run", "cli"]),
    ("parse", &["source", "artifact", "screen", "detect", "correlate", "export", "run", "cli"]),
    ("detect", &["source", "artifact", "screen", "parse", "correlate", "export", "run", "cli"]),
    ("correlate", &["source", "artifact", "screen", "export", "run", "cli"]),
    ("export", &["source", "artifact", "screen", "parse", "detect", "correlate", "run", "cli"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every tracked file that is there, relative to the root, in order; without git, every
/// file outside `target`.
fn tracked() -> Vec<String> {
    let git = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let mut files: Vec<String> = match git {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        _ => below("").into_iter().filter(|name| !name.starts_with("target/")).collect(),
    };
    files.retain(|name| root().join(name).is_file());
    files.sort();
    files
}

/// Every file below a folder of the repository, in order.
fn below(folder: &str) -> Vec<String> {
    walkdir::WalkDir::new(root().join(folder))
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.file_name() != ".git")
        .flatten()
        .filter(|entry| entry.file_type().is_file() || entry.path_is_symlink())
        .map(|entry| entry.path().strip_prefix(root()).unwrap().to_string_lossy().into_owned())
        .collect()
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_default()
}

fn sources() -> Vec<(String, String)> {
    let rust = |name: &String| name.starts_with("src/") && name.ends_with(".rs");
    below("src").into_iter().filter(rust).map(|name| (name.clone(), text(&name))).collect()
}

fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn source_files_are_short_and_introduce_themselves() {
    let mut found = Vec::new();
    for (name, code) in sources() {
        let lines = code.lines().count();
        if lines > MAX_LINES {
            found.push(format!("{name}: {lines} lines, {MAX_LINES} are the limit"));
        }
        if !code.starts_with("//!") {
            found.push(format!("{name}: does not begin with //!"));
        }
    }
    none(found);
}

#[test]
fn stages_do_not_know_each_other() {
    let mut found = Vec::new();
    for (name, code) in sources() {
        let stage = name.trim_start_matches("src/").split(['/', '.']).next().unwrap();
        let Some((_, others)) = APART.iter().find(|(of, _)| *of == stage) else { continue };
        for (number, line) in code.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for other in used(code).into_iter().filter(|other| others.contains(&other.as_str())) {
                found.push(format!("{name}:{}: {stage} must not know {other}", number + 1));
            }
        }
    }
    none(found);
}

/// The crate's own modules that a line names: `crate::a`, `crate::{a, b}`.
fn used(line: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut names = Vec::new();
    for rest in line.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => names.extend(list.split(['}', ';']).next().unwrap().split(',').map(word)),
            None => names.push(word(rest)),
        }
    }
    names
}

#[test]
fn every_sample_is_accounted_for() {
    let listed = listed_samples(&text("testdata/SOURCES.md"));
    let mut found = Vec::new();
    // Expectations beside the samples are part of the tests, not evidence.
    let sample = |name: &String| {
        name != "testdata/SOURCES.md"
            && !name.ends_with(".expected")
            && !name.ends_with(".golden")
            && !name.starts_with("testdata/detect/")
    };
    for name in below("testdata").into_iter().filter(sample) {
        let Some(hash) = listed.get(name.trim_start_matches("testdata/")) else {
            found.push(format!("{name}: not in SOURCES.md"));
            continue;
        };
        if let Ok(bytes) = fs::read(root().join(&name)) {
            let is = hex(&Sha256::digest(bytes));
            if is != *hash {
                found.push(format!("{name}: SHA-256 is {is}, SOURCES.md says {hash}"));
            }
        }
    }
    for name in listed.keys() {
        let path: PathBuf = root().join("testdata").join(name);
        if path.symlink_metadata().is_err() {
            found.push(format!("SOURCES.md: {name} does not exist"));
        }
    }
    none(found);
}

/// Path (relative to testdata) to SHA-256 of the table rows of SOURCES.md: of each row
/// with a hash, the path is the first cell, the hash any 64 hexadecimal digits.
fn listed_samples(markdown: &str) -> BTreeMap<String, String> {
    let mut listed = BTreeMap::new();
    for row in markdown.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .filter(|c| !c.is_empty())
            .collect();
        let hash = cells.iter().find(|c| c.len() == 64 && c.bytes().all(|b| b.is_ascii_hexdigit()));
        if let (Some(path), Some(hash)) = (cells.first(), hash) {
            let path = path.trim_start_matches("testdata/").to_owned();
            listed.insert(path, hash.to_ascii_lowercase());
        }
    }
    listed
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn no_file_names_a_machine_it_was_made_on() {
    // Written apart, so that this file does not name them itself.
    let places = ["work", "tmp/scratch", "root", "farm"].map(|place| format!("/{place}/"));
    let mut found = Vec::new();
    for name in tracked().into_iter().filter(|name| !name.starts_with("testdata/")) {
        let Ok(text) = fs::read_to_string(root().join(&name)) else { continue };
        // Artifacts of other systems name the home of root, as evidence.
        let allowed = if name.starts_with("artifacts/") { places[2].as_str() } else { "" };
        for (number, line) in text.lines().enumerate() {
            if places.iter().any(|place| place != allowed && starts_a_path(line, place)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    none(found);
}

#[test]
fn no_file_holds_a_half_done_merge() {
    let markers = ["<".repeat(7) + " ", ">".repeat(7) + " "];
    let mut found = Vec::new();
    for name in tracked() {
        let Ok(text) = fs::read_to_string(root().join(&name)) else { continue };
        for (number, line) in text.lines().enumerate() {
            if markers.iter().any(|marker| line.starts_with(marker)) {
                found.push(format!("{name}:{}: conflict marker", number + 1));
            }
        }
    }
    none(found);
}

/// Whether an absolute path that begins with `place` stands in the line (`/a/work/` does not).
fn starts_a_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~%}*\\)$/".contains(c))
    })
}

#[test]
fn artifacts_name_a_registered_parser() {
    let parsers = registered_parsers();
    let mut found = Vec::new();
    for name in below("artifacts").into_iter().filter(|name| name.ends_with(".yaml")) {
        let yaml = text(&name);
        let id = name.trim_start_matches("artifacts/").trim_end_matches(".yaml");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-/".contains(c);
        if !id.chars().all(plain) {
            found.push(format!("{name}: an id has lower-case letters, digits, _ and - only"));
        }
        if let Some(own) = value_of(&yaml, "id")
            && own != id
        {
            found.push(format!("{name}: its id is {own}, its path says {id}"));
        }
        match value_of(&yaml, "parser") {
            Some(parser) if parsers.contains(&parser) => {}
            Some(parser) => found.push(format!("{name}: no parser {parser} is registered")),
            None => found.push(format!("{name}: names no parser")),
        }
    }
    none(found);
}

/// The names of the parsers whose types stand in a `PARSERS` list of `src/parse/mod.rs`.
fn registered_parsers() -> Vec<String> {
    let list = text("src/parse/mod.rs");
    let list: String =
        list.split("PARSERS").skip(1).filter_map(|rest| rest.split(';').next()).collect();
    let mut names = Vec::new();
    for (_, code) in sources().into_iter().filter(|(name, _)| name.starts_with("src/parse")) {
        for implementation in code.split("impl Parser for ").skip(1) {
            let of: String = implementation.chars().take_while(|c| c.is_alphanumeric()).collect();
            let name =
                implementation.split("fn name(").nth(1).and_then(|rest| rest.split('"').nth(1));
            if let Some(name) = name
                && list.contains(of.as_str())
            {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// The scalar of a top-level key of a YAML text.
fn value_of(yaml: &str, key: &str) -> Option<String> {
    let line = yaml.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.split(" #").next().unwrap().trim().trim_matches(['"', '\'']).to_owned())
}
