//! What is known of one tool: the header of `profiles/<tool>/profile.yaml`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use regex::Regex;
use serde::{Deserialize, Deserializer};

use crate::model::{Record, RowStage, RungName};

/// Ids of artifacts by operating system, then rung.
pub type Needs = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// The most that presence or a run of a [`Profile::dual_use`] tool scores by itself.
pub(super) const DUAL_USE_SCORE: u8 = 20;

/// A tool to hunt for, or the shapes that name none (`tunnel`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// Short name: `ngrok`; the folder's name.
    pub id: Arc<str>,
    /// For people: `ngrok agent, its libraries and its service`.
    pub title: String,
    /// The tool's name in sentences, if it is not its id.
    #[serde(rename = "name")]
    pub called: Option<String>,
    /// A tool that many run for good reasons: rules made from templates alone do
    /// not score above [`DUAL_USE_SCORE`].
    pub dual_use: bool,
    /// Other tools use its programs to get out: where one of these is named, what happened
    /// is that tool's.
    pub carries_others: bool,
    /// ATT&CK software ids: `S0508`.
    pub software: Vec<String>,
    /// ATT&CK technique ids of rules that name none of their own.
    pub techniques: Arc<[String]>,
    /// Addresses of what was published on the tool.
    pub references: Vec<String>,
    /// File names of the program, as installed: names that no other program bears.
    pub binaries: Vec<String>,
    /// Words that stand for the tool in a program's description of itself.
    pub words: Vec<String>,
    /// Names of its configuration files, or ends of their paths (with `/`) where the
    /// name alone is everybody's.
    pub config_files: Vec<String>,
    /// Folders that it makes, as parts of paths, with `/`.
    pub paths: Vec<String>,
    /// Names of packages that bring it, in any package manager.
    pub packages: Vec<String>,
    /// Container images, without tag: `ngrok/ngrok`.
    pub images: Vec<String>,
    /// Names of the services that it installs.
    pub services: Vec<String>,
    /// SHA-256 of published copies, in hexadecimal.
    pub hashes: Vec<String>,
    /// Paths of the Go modules it is built from.
    pub modules: Vec<String>,
    /// Where its source and releases lie: host and path, without scheme.
    pub sources: Vec<String>,
    /// How the names of its published files begin, before version and platform.
    pub releases: Vec<String>,
    /// Arguments by which it is known under any name.
    pub arguments: Vec<Arguments>,
    /// Environment variables that only it reads, of its account and its configuration.
    pub variables: Vec<String>,
    /// Its commands that open no tunnel.
    pub errands: Vec<Errand>,
    /// Its log tells of everybody who comes in, unless it is set otherwise.
    pub logs_visitors: bool,
    /// TCP ports that the program itself listens on by default.
    pub ports: Vec<u16>,
    /// Names that the tool and its users ask for.
    pub domains: Vec<Domain>,
    /// Known uses, whose hits are suppressed.
    pub allow: Vec<Allow>,
    /// What an observation says of the program's version.
    pub version_hints: Vec<VersionHint>,
    /// By which its other side is known, to which agents on other machines come.
    pub server_signs: Vec<Sign>,
    /// By operating system, then rung: every artifact that must have been read
    /// before its silence is a "no".
    pub needs: Needs,
    /// SHA-256 over the profile's files, in hexadecimal; for run.json.
    #[serde(skip)]
    pub sha256: String,
}

impl Profile {
    /// The tool's name in sentences.
    pub fn name(&self) -> &str {
        self.called.as_deref().unwrap_or(&self.id)
    }

    /// The program's file names without `.exe`, each once, in the header's order.
    pub fn stems(&self) -> Vec<String> {
        let mut stems: Vec<String> = Vec::new();
        for name in &self.binaries {
            let stem = name.strip_suffix(".exe").unwrap_or(name);
            if !stems.iter().any(|known| known.eq_ignore_ascii_case(stem)) {
                stems.push(stem.to_owned());
            }
        }
        stems
    }

    /// Whether it speaks of one tool, so that templates can be filled for it.
    pub(super) fn names_a_tool(&self) -> bool {
        !(self.binaries.is_empty() && self.domains.is_empty() && self.arguments.is_empty())
    }

    /// Ids of the artifacts needed for a "no" to that rung, in the profile's
    /// order; empty when the profile does not say.
    pub fn needs(&self, os: &str, rung: RungName) -> &[String] {
        self.needs
            .get(os)
            .and_then(|rungs| rungs.get(rung.as_str()))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The entry of the domain table that covers the name, the longest suffix first.
    pub fn domain(&self, name: &str) -> Option<&Domain> {
        let name = name.trim_end_matches('.');
        self.domains.iter().filter(|d| d.covers(name)).max_by_key(|d| d.suffix.len())
    }

    /// The first allowlist entry that the record meets.
    pub fn allows(&self, record: &Record) -> Option<&Allow> {
        self.allow.iter().find(|entry| entry.admits(record))
    }

    /// The reason why the header is not valid.
    pub(super) fn fault(&self) -> Option<String> {
        for (os, rungs) in &self.needs {
            if let Some(rung) = rungs.keys().find(|rung| RowStage::parse(rung).is_none()) {
                return Some(format!("needs, {os}: no rung `{rung}`"));
            }
        }
        if let Some(errand) = self.errands.iter().find(|e| RowStage::parse(&e.stage).is_none()) {
            return Some(format!("errands, {}: no stage `{}`", errand.says, errand.stage));
        }
        if let Some(sign) = self.server_signs.iter().find(|sign| sign.regex().is_none()) {
            return Some(format!("server_signs: not a pattern: `{}`", sign.pattern));
        }
        if let Some(hint) = self.version_hints.iter().find(|hint| hint.regex().is_none()) {
            return Some(format!("version_hints: not a pattern: `{}`", hint.seen));
        }
        if let Some(wrong) = self.arguments.iter().find(|a| Regex::new(&a.shape).is_err()) {
            return Some(format!("arguments: not a pattern: `{}`", wrong.shape));
        }
        self.allow.iter().find(|entry| entry.is_void()).map(|entry| {
            format!(
                "allow, `{}`: it names no host, user, path, hash, parent or command",
                entry.name
            )
        })
    }
}

/// Arguments that no other program takes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// Regular expression sought in command lines, letter case aside.
    pub shape: String,
    /// A text that stands in whatever the shape matches, or several of which one does:
    /// what the screen looks for.
    #[serde(deserialize_with = "one_or_more")]
    pub has: Vec<String>,
}

fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        More(Vec<String>),
    }
    Ok(match Texts::deserialize(from)? {
        Texts::One(text) => vec![text],
        Texts::More(texts) => texts,
    })
}

/// What a domain of the tool is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainRole {
    /// The agent itself talks to it.
    Control,
    /// The program is fetched from it.
    Download,
    /// The user manages an account there.
    Account,
    /// Somebody's tunnel.
    Endpoint,
    /// The agent's second way when the first is blocked.
    Fallback,
}

/// A domain of the tool.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Covers itself and every name below it.
    pub suffix: String,
    /// What it is for.
    pub role: DomainRole,
    /// First agent version that uses it.
    #[serde(default)]
    pub since: Option<String>,
    /// First agent version that no longer does.
    #[serde(default)]
    pub until: Option<String>,
}

impl Domain {
    /// Whether the name is the domain or below it, ASCII case aside.
    pub fn covers(&self, name: &str) -> bool {
        let Some(at) = name.len().checked_sub(self.suffix.len()) else { return false };
        name.get(at..).is_some_and(|tail| tail.eq_ignore_ascii_case(&self.suffix))
            && (at == 0 || name.get(..at).is_some_and(|head| head.ends_with('.')))
    }
}

/// A use of the tool that its owner knows of; `*` stands for any text.
///
/// A hit is suppressed, and kept, when every given key matches.
/// A command of the tool that opens no tunnel, but installs, sets up or removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Errand {
    /// Words that stand among its arguments in this order: `service install`.
    pub says: String,
    /// What it does: `persisted`, `configured`, `cleaned_up`.
    pub stage: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Allow {
    /// What the `suppressed_by` column says.
    pub name: String,
    /// Computer name.
    pub host: Option<String>,
    /// Account, as the record writes it.
    pub user: Option<String>,
    /// Path of the program or file.
    pub path: Option<String>,
    /// Hexadecimal digits of any hash that the record gives.
    pub hash: Option<String>,
    /// Path of the parent program.
    pub parent: Option<String>,
    /// What is run, with its arguments.
    pub command: Option<String>,
}

impl Allow {
    fn is_void(&self) -> bool {
        [&self.host, &self.user, &self.path, &self.hash, &self.parent, &self.command]
            .iter()
            .all(|k| k.is_none())
    }

    /// Whether the record's own fields meet every key of the entry.
    pub fn admits(&self, record: &Record) -> bool {
        let met = |pattern: &Option<String>, fields: &[&str], inside: bool| match pattern {
            None => true,
            Some(pattern) => fields.iter().filter_map(|field| record.value(field)).any(|value| {
                let text = value.to_string().to_lowercase();
                let pattern = pattern.to_lowercase();
                if inside { text.contains(&pattern) } else { glob(&pattern, &text) }
            }),
        };
        !self.is_void()
            && met(&self.host, &["Computer", "Hostname"], false)
            && met(&self.user, &["User", "SubjectUserName", "AccountName"], false)
            && met(&self.path, &["Image", "TargetFilename", "ImagePath", "ApplicationPath"], false)
            && met(&self.hash, &["Hashes"], true)
            && met(&self.parent, &["ParentImage"], false)
            && met(&self.command, &["CommandLine", "ImagePath", "TaskCommand", "Details"], false)
    }
}

/// Whether the text is the pattern, `*` standing for any run of characters.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

/// A regular expression, letter case aside.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "String")]
pub struct Sign {
    pattern: String,
    regex: OnceLock<Option<Regex>>,
}

impl From<String> for Sign {
    fn from(pattern: String) -> Self {
        Self { pattern, regex: OnceLock::new() }
    }
}

impl Sign {
    fn regex(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| Regex::new(&format!("(?i){}", self.pattern)).ok()).as_ref()
    }

    /// Whether a command of the record, its program, file or message has it.
    pub fn is_on(&self, record: &Record) -> bool {
        const FIELDS: [&str; 4] = ["Image", "TargetFilename", "Name", "Message"];
        let Some(regex) = self.regex() else { return false };
        let mut texts = FIELDS.iter().filter_map(|field| record.text(field));
        record.commands().any(|text| regex.is_match(text)) || texts.any(|text| regex.is_match(text))
    }
}

/// An observation that tells something of the agent's version.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VersionHint {
    /// Regular expression, letter case aside, sought in the fields' texts.
    pub seen: String,
    /// Fields to look at, by name.
    pub fields: Vec<String>,
    /// The oldest version it fits.
    pub at_least: Option<String>,
    /// The oldest version it no longer fits.
    pub before: Option<String>,
    /// One sentence.
    pub because: String,
    #[serde(skip)]
    regex: OnceLock<Option<Regex>>,
}

impl VersionHint {
    fn regex(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| Regex::new(&format!("(?i){}", self.seen)).ok()).as_ref()
    }

    /// Whether the record shows it.
    pub fn applies(&self, record: &Record) -> bool {
        let Some(regex) = self.regex() else { return false };
        self.fields
            .iter()
            .filter_map(|field| record.value(field))
            .any(|value| regex.is_match(&value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Locator;

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("*", "", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("aa*aa", "aaa", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn domains_end_on_label_boundaries() {
        let domain = Domain {
            suffix: "ngrok.io".into(),
            role: DomainRole::Endpoint,
            since: None,
            until: None,
        };
        assert!(domain.covers("NGROK.io"));
        assert!(domain.covers("0.tcp.ngrok.io"));
        assert!(!domain.covers("evilngrok.io"));
        assert!(!domain.covers("ngrok.io.evil.tld"));
        assert!(!domain.covers("übngrok.io"));
    }

    #[test]
    fn every_key_of_an_allowance_must_be_met() {
        let entry = Allow {
            name: "dev".into(),
            host: Some("DEV-*".into()),
            path: Some(r"*\scoop\*".into()),
            ..Allow::default()
        };
        let mut record = Record::new("process_creation", Locator::Record(1));
        record.push("Computer", "dev-7.example.org");
        assert!(!entry.admits(&record));
        record.push("Image", r"C:\Users\d\Scoop\apps\ngrok\current\ngrok.exe");
        assert!(entry.admits(&record));
        assert!(!Allow::default().admits(&record));
    }
}
