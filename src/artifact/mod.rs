//! Where evidence lies and which parser reads it: data in `artifacts/**/*.yaml`.
//!
//! A definition's id is its path with dots (`windows.evtx.sysmon`). It claims
//! files by place (`paths`), by content (`anywhere`), or both.

mod beside;
mod definition;
mod formats;
mod gather;
mod locate;
mod look;
mod pattern;
mod places;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use beside::Beside;
pub use definition::Artifact;
pub use formats::{Formats, MAX_SNIFFED_BYTES, MIN_SNIFFED_BYTES};
pub use locate::{Expected, Located, Locations, Presence, locate};
pub use look::{Questions, Settled};
pub use pattern::{Pattern, PatternError};

use crate::model::Os;

/// Definitions of one's own may not be larger than this.
pub const MAX_DEFINITION_BYTES: u64 = 1 << 20;

/// Every loaded definition, by id.
#[derive(Clone, Debug, Default)]
pub struct Artifacts {
    by_id: BTreeMap<Arc<str>, Artifact>,
}

/// A definition cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error("{}: cannot be read: {error}", path.display())]
    Io { path: PathBuf, error: std::io::Error },
    #[error("{file}, line {line}: {message}")]
    Yaml { file: String, line: usize, message: String },
    #[error("{file}: {message}")]
    Meaning { file: String, message: String },
    #[error("{file}: pattern {pattern}: {error}")]
    Pattern { file: String, pattern: String, error: PatternError },
}

impl Artifacts {
    /// The definitions that are part of the program.
    ///
    /// # Errors
    ///
    /// When one of them is wrong, which a test rules out.
    pub fn builtin() -> Result<Self, ArtifactError> {
        let mut artifacts = Self::default();
        for (path, bytes) in crate::builtin::files() {
            if let Some(below) = path.strip_prefix("artifacts/") {
                artifacts.insert(definition::parse(&id_of(below), path, bytes)?);
            }
        }
        Ok(artifacts)
    }

    /// Those that a host of that system can have; all, where the system is unknown.
    pub fn of(&self, os: Option<Os>) -> Self {
        let fits = |artifact: &Artifact| os.is_none_or(|os| artifact.os == os);
        let own = self.by_id.iter().filter(|(_, artifact)| fits(artifact));
        Self { by_id: own.map(|(id, artifact)| (id.clone(), artifact.clone())).collect() }
    }

    /// Adds the definitions below a folder; one with a known id replaces it.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read or one of its `.yaml` files is wrong.
    pub fn load(&mut self, folder: &Path) -> Result<(), ArtifactError> {
        let cannot = |path: &Path, error| ArtifactError::Io { path: path.to_owned(), error };
        for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
            let entry = entry.map_err(|error| {
                let path = error.path().unwrap_or(folder).to_owned();
                cannot(&path, error.into())
            })?;
            let path = entry.path();
            if entry.file_type().is_file() && path.extension().is_some_and(|e| e == "yaml") {
                let below = path.strip_prefix(folder).unwrap_or(path);
                self.insert(read(&id_of(&below.to_string_lossy()), path)?);
            }
        }
        Ok(())
    }

    /// The definition in one file, for the author of that file; its id is the
    /// path below the last folder named `artifacts`, else the file's name.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with file and line.
    pub fn check(file: &Path) -> Result<Artifact, ArtifactError> {
        let text = file.to_string_lossy().replace('\\', "/");
        let below = text.rsplit_once("artifacts/").map(|(_, below)| below);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        read(&id_of(below.unwrap_or(&name)), file)
    }

    /// Every definition, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Artifact> {
        self.by_id.values()
    }

    /// The definition of that id.
    pub fn by_id(&self, id: &str) -> Option<&Artifact> {
        self.by_id.get(id)
    }

    /// The definition whose files hold that store (an event channel; case is ignored).
    pub fn by_store(&self, store: &str) -> Option<&Artifact> {
        let same = |own: &String| own.to_lowercase() == store.to_lowercase();
        self.iter().find(|artifact| artifact.store.as_ref().is_some_and(same))
    }

    fn insert(&mut self, artifact: Artifact) {
        self.by_id.insert(Arc::clone(&artifact.id), artifact);
    }
}

fn read(id: &str, path: &Path) -> Result<Artifact, ArtifactError> {
    let cannot = |error| ArtifactError::Io { path: path.to_owned(), error };
    if std::fs::metadata(path).map_err(cannot)?.len() > MAX_DEFINITION_BYTES {
        let message = format!("larger than {MAX_DEFINITION_BYTES} bytes");
        return Err(ArtifactError::Meaning { file: path.display().to_string(), message });
    }
    let bytes = std::fs::read(path).map_err(cannot)?;
    definition::parse(id, &path.display().to_string(), &bytes)
}

/// `windows/evtx/sysmon.yaml` → `windows.evtx.sysmon`.
fn id_of(path: &str) -> String {
    path.trim_end_matches(".yaml").replace(['/', '\\'], ".")
}
