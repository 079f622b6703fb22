//! Checks a bundle: is it whole, and does it still hold what was put in?
//!
//! Needs no evidence and no network. Every member is decompressed and hashed; the
//! hashes must be those of the bag's manifests, the manifests must name every
//! member and no other, and the headers before the members must agree with the
//! directory at the end. Where run.json lies beside the bundle, the hash it
//! records for the whole file is compared too.
//!
//! A folder of results is checked as a whole: its bundles, the results beside them, and
//! what the record of the run says is not done.
//!
//! A `.partial`, or a bundle cut off, has no directory: it is read by the headers
//! before the members and is *incomplete, consistent* when all it holds is intact.

mod folder;
mod members;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use self::folder::{is_output, verify_output};
use self::members::{Contents, End, Member};

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BundleState {
    /// Everything that was put in is there and unaltered.
    Complete,
    /// The end is missing, as after a run that died; what is there is unaltered.
    IncompleteConsistent,
    /// Something was altered, is missing or cannot be read.
    Damaged,
}

impl BundleState {
    /// The state in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::IncompleteConsistent => "incomplete, consistent",
            Self::Damaged => "damaged",
        }
    }
}

/// The result of checking one bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// The conclusion; damaged as soon as there is one failure.
    pub state: BundleState,
    /// Members whose content was read and compared.
    pub checked: usize,
    /// What is wrong, one sentence each, in the order of the file.
    pub failures: Vec<String>,
    /// What an incomplete bundle lacks.
    pub remarks: Vec<String>,
}

/// Why a bundle could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The operating system could not open or read the file.
    #[error("{}: cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
}

const DECLARATION: &str = "bagit.txt";
const INFO: &str = "bag-info.txt";
const MANIFEST: &str = "manifest-sha256.txt";
const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";

/// Largest run.json that is looked at, in bytes.
const MAX_RUN_JSON: u64 = 64 << 20;

/// Checks the bundle at `path`.
///
/// # Errors
///
/// [`VerifyError::Read`] when the file cannot be opened or read; what is wrong
/// inside is in the report.
pub fn verify_bundle(path: &Path) -> Result<VerifyReport, VerifyError> {
    let failed = |source| VerifyError::Read { path: path.to_owned(), source };
    let contents = members::read(path).map_err(failed)?;
    let mut check = Check::default();
    check.failures.extend(contents.failures.iter().cloned());
    check.contents(&contents);
    if let Some(recorded) = recorded_hash(path) {
        let (_, found) = crate::export::hash_file(path).map_err(failed)?;
        if !recorded.eq_ignore_ascii_case(&found) {
            check.failures.push(format!(
                "the whole file: run.json beside it records SHA-256 {recorded}, found {found}"
            ));
        }
    }
    let state = match (check.failures.is_empty(), check.remarks.is_empty()) {
        (false, _) => BundleState::Damaged,
        (true, false) => BundleState::IncompleteConsistent,
        (true, true) => BundleState::Complete,
    };
    Ok(VerifyReport {
        state,
        checked: contents.members.len(),
        failures: check.failures,
        remarks: check.remarks,
    })
}

#[derive(Default)]
struct Check {
    failures: Vec<String>,
    remarks: Vec<String>,
}

impl Check {
    fn contents(&mut self, contents: &Contents) {
        if let End::Cut(remark) = &contents.end {
            self.remarks.push(remark.clone());
        }
        let prefix = base_folder(&contents.members);
        let members: BTreeMap<&str, &Member> = contents
            .members
            .iter()
            .map(|member| (member.name.strip_prefix(prefix).unwrap_or(&member.name), member))
            .collect();
        if members.len() != contents.members.len() {
            self.failures.push("two members bear the same name".to_owned());
        }
        match members.get(DECLARATION).map(|member| member.text()) {
            Some(text) if text.starts_with("BagIt-Version: ") => {}
            Some(_) => self.failures.push(format!("{DECLARATION}: is no BagIt declaration")),
            None if members.is_empty() && !contents.failures.is_empty() => {}
            None if members.is_empty() => self.remarks.push("no member is whole".to_owned()),
            None => self.failures.push(format!("{DECLARATION}: missing; this is no bundle")),
        }
        let is_payload = |name: &str| name.starts_with("data/");
        self.manifest(&members, MANIFEST, is_payload);
        self.manifest(&members, TAG_MANIFEST, |name| !is_payload(name) && name != TAG_MANIFEST);
        self.oxum(&members);
    }

    /// Compares the members of one kind with the manifest that lists them.
    fn manifest(
        &mut self,
        members: &BTreeMap<&str, &Member>,
        manifest: &str,
        lists: impl Fn(&str) -> bool,
    ) {
        let Some(list) = members.get(manifest) else {
            self.remarks.push(format!("{manifest}: not written yet"));
            return;
        };
        let mut listed: BTreeMap<&str, &str> = BTreeMap::new();
        let text = list.text();
        for (number, line) in text.lines().enumerate() {
            match line.split_once([' ', '\t']) {
                Some((hash, name)) if hash.len() == 64 => {
                    let name = name.trim_start();
                    listed.insert(name.strip_prefix('*').unwrap_or(name), hash);
                }
                _ => {
                    let number = number.saturating_add(1);
                    self.failures.push(format!("{manifest}: line {number} is no hash and name"));
                }
            }
        }
        for (name, hash) in &listed {
            match members.get(name) {
                Some(member) if member.sha256.eq_ignore_ascii_case(hash) => {}
                Some(member) => self.failures.push(format!(
                    "{name}: {manifest} records SHA-256 {hash}, found {}",
                    member.sha256
                )),
                None => self.failures.push(format!("{name}: missing, though {manifest} lists it")),
            }
        }
        for name in members.keys().filter(|name| lists(name) && !listed.contains_key(*name)) {
            self.failures.push(format!("{name}: not listed in {manifest}"));
        }
    }

    /// Compares bytes and number of the payload with what bag-info.txt says.
    fn oxum(&mut self, members: &BTreeMap<&str, &Member>) {
        let (Some(info), true) = (members.get(INFO), members.contains_key(MANIFEST)) else {
            return;
        };
        let payload = members.iter().filter(|(name, _)| name.starts_with("data/"));
        let (octets, count) = payload.fold((0_u64, 0_u64), |(octets, count), (_, member)| {
            (octets.saturating_add(member.size), count.saturating_add(1))
        });
        let found = format!("{octets}.{count}");
        let text = info.text();
        let said = text.lines().find_map(|line| line.strip_prefix("Payload-Oxum:"));
        if let Some(said) = said.map(str::trim).filter(|said| *said != found) {
            self.failures.push(format!("{INFO}: says Payload-Oxum {said}, found {found}"));
        }
    }
}

/// The folder that holds the bag, if it is not at the top: `name/`.
fn base_folder(members: &[Member]) -> &str {
    let at_top = members.iter().any(|member| member.name == DECLARATION);
    let below = || {
        members.iter().find_map(|member| {
            let folder = member.name.strip_suffix(DECLARATION)?;
            (folder.find('/')? == folder.len().checked_sub(1)?).then_some(folder)
        })
    };
    if at_top { "" } else { below().unwrap_or_default() }
}

/// The hash that run.json beside the bundle records for it.
fn recorded_hash(path: &Path) -> Option<String> {
    let run = path.with_file_name("run.json");
    if fs::metadata(&run).ok()?.len() > MAX_RUN_JSON {
        return None;
    }
    let run: Value = serde_json::from_slice(&fs::read(run).ok()?).ok()?;
    let bundle = run.get("bundle")?;
    let name = bundle.get("name")?.as_str()?;
    let same = path.file_name().is_some_and(|file| file.to_string_lossy() == name);
    same.then(|| bundle.get("sha256")?.as_str().map(str::to_owned)).flatten()
}
