//! One artifact definition: the keys of its YAML and what they mean.

use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{ArtifactError, Beside, Pattern};
use crate::model::Os;

/// Where one kind of evidence lies and who reads it.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// `windows.evtx.sysmon`
    pub id: Arc<str>,
    /// Its name for a person, in one line.
    pub title: String,
    /// What it proves, what its times mean, and where it misleads.
    pub description: String,
    pub references: Vec<String>,
    pub os: Os,
    /// The parser's name.
    pub parser: String,
    /// Name of the store that its files hold: an event channel.
    pub store: Option<String>,
    /// Every such system has it, so its absence says something.
    pub expected: bool,
    /// Found under any name by content too.
    pub anywhere: bool,
    /// Larger files are reported and not read.
    pub max_size: Option<u64>,
    /// Of two artifacts of one parser that claim a file, the higher names it; 50 if unsaid.
    pub priority: u8,
    /// The files beside it that complete it, in the parser's order.
    pub sidecars: Vec<Beside>,
    /// Files beside it that belong to it and say nothing by themselves.
    pub ignored: Vec<Beside>,
    /// A parser that its files are not handed to, though it reads their format too.
    pub instead_of: Option<String>,
    /// First bytes of its files (empty: not told); beside what the parser recognises.
    pub magic: Vec<u8>,
    pub patterns: Vec<Pattern>,
    /// SHA-256 of the definition file, in hexadecimal; for run.json.
    pub sha256: String,
}

/// The keys as they stand in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    title: String,
    description: String,
    #[serde(default)]
    references: Vec<String>,
    os: Os,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    anywhere: bool,
    #[serde(default)]
    max_size: Option<u64>,
    parser: String,
    #[serde(default)]
    store: Option<String>,
    #[serde(default)]
    expected: bool,
    #[serde(default = "ordinary")]
    priority: u8,
    #[serde(default)]
    sidecars: Vec<String>,
    #[serde(default)]
    ignored: Vec<String>,
    #[serde(default)]
    instead_of: Option<String>,
}

/// What the files of an artifact hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// First bytes: text as it stands, or hexadecimal after `0x`.
    magic: String,
}

fn ordinary() -> u8 {
    50
}

/// The definition in `bytes`; `file` is named in errors.
pub(super) fn parse(id: &str, file: &str, bytes: &[u8]) -> Result<Artifact, ArtifactError> {
    let keys: Keys = yaml_serde::from_slice(bytes).map_err(|error| ArtifactError::Yaml {
        file: file.to_owned(),
        line: error.location().map_or(1, |at| at.line()),
        message: error.to_string(),
    })?;
    let wrong = |message: &str| ArtifactError::Meaning {
        file: file.to_owned(),
        message: message.to_owned(),
    };
    for (key, text) in [("title", &keys.title), ("description", &keys.description)] {
        if text.trim().is_empty() {
            return Err(wrong(&format!("`{key}` is empty")));
        }
    }
    if keys.parser.is_empty() || !keys.parser.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
        return Err(wrong("`parser` is no parser's name"));
    }
    if keys.paths.is_empty() && !keys.anywhere {
        return Err(wrong("neither `paths` nor `anywhere: true`: it can find nothing"));
    }
    if keys.expected && keys.paths.is_empty() {
        return Err(wrong("`expected` needs `paths`"));
    }
    let beside = |names: &[String]| {
        let names: Option<Vec<Beside>> = names.iter().map(|name| Beside::parse(name)).collect();
        names.ok_or_else(|| wrong("an ending in `sidecars` or `ignored` is empty"))
    };
    let patterns = keys.paths.iter().map(|pattern| {
        Pattern::parse(pattern, keys.os).map_err(|error| ArtifactError::Pattern {
            file: file.to_owned(),
            pattern: pattern.clone(),
            error,
        })
    });
    let magic = keys.content.as_ref().map(|content| magic(&content.magic));
    let digest = Sha256::digest(bytes);
    Ok(Artifact {
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        patterns: patterns.collect::<Result<_, _>>()?,
        magic: magic.unwrap_or(Some(Vec::new())).ok_or_else(|| wrong("`magic` is no hex"))?,
        id: Arc::from(id),
        title: keys.title,
        description: keys.description,
        references: keys.references,
        os: keys.os,
        parser: keys.parser,
        store: keys.store,
        expected: keys.expected,
        anywhere: keys.anywhere,
        max_size: keys.max_size,
        priority: keys.priority,
        instead_of: keys.instead_of,
        sidecars: beside(&keys.sidecars)?,
        ignored: beside(&keys.ignored)?,
    })
}

/// The bytes of a `magic`; `None` when it is wrong or empty.
fn magic(text: &str) -> Option<Vec<u8>> {
    let bytes = match text.strip_prefix("0x") {
        None => text.as_bytes().to_vec(),
        Some(hex) => {
            let digits: Option<Vec<u8>> = hex
                .chars()
                .map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()))
                .collect();
            let digits = digits?;
            let (pairs, []) = digits.as_chunks::<2>() else { return None };
            pairs.iter().map(|[high, low]| high << 4 | low).collect()
        }
    };
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        match parse("windows.x", "x.yaml", text.as_bytes()) {
            Ok(artifact) => format!("{:?} {}", artifact.magic, artifact.patterns.len()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_wrong_key_is_named_with_file_and_line() {
        let said = check("title: t\ndescription: d\nos: windows\npath: [a]\nparser: evtx\n");
        assert!(said.starts_with("x.yaml, line 4: "), "{said}");
        assert!(said.contains("unknown field `path`"), "{said}");
    }

    #[test]
    fn content_is_text_or_hex() {
        let head = "title: t\ndescription: d\nos: windows\nparser: evtx\nanywhere: true\n";
        assert_eq!(check(&format!("{head}content: {{magic: '0x4d5A'}}")), "[77, 90] 0");
        assert_eq!(check(&format!("{head}content: {{magic: MZ}}")), "[77, 90] 0");
        assert_eq!(
            check(&format!("{head}content: {{magic: '0x4d5'}}")),
            "x.yaml: `magic` is no hex"
        );
    }

    #[test]
    fn a_definition_that_finds_nothing_is_refused() {
        let said = check("title: t\ndescription: d\nos: windows\nparser: evtx\n");
        assert!(said.contains("it can find nothing"), "{said}");
    }
}
