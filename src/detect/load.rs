//! Finds and reads the files of profiles: built in, and given by the user.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::profile::{DUAL_USE_SCORE, Needs, Profile};
use super::sigma::{self, Rule};
use super::template;
use super::{DetectError, none};
use crate::builtin;
use crate::model::NO_TOOL;

/// Folders below the one given are read to this depth.
const MAX_FOLDER_DEPTH: usize = 16;
/// A rule file is a few kilobytes; a larger file is none.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// The tool of rules that come without a profile.
const NO_PROFILE: &str = "custom";
const HEADER: &str = "profile.yaml";
/// Holds the templates of rules for every profile.
const TEMPLATES: &str = "profiles/every/rules/";
/// What is needed for a "no" by profiles that say nothing of it themselves.
/// Profiles without which no verdict is whole, whatever the tool: who came in and what
/// hides it, and what else may have let somebody in.
const ALWAYS: [&str; 2] = ["reverse-ssh", NO_TOOL];
const NEEDS: &str = "profiles/every/needs.yaml";

#[derive(Default)]
pub(super) struct Loaded {
    pub(super) profiles: Vec<Profile>,
    pub(super) rules: Vec<Rule>,
    pub(super) remarks: Vec<String>,
    templates: Vec<Template>,
}

/// A rule file that is filled in for each profile.
struct Template {
    path: String,
    rules: sigma::Template,
    sha256: [u8; 32],
    /// Given by the user.
    foreign: bool,
}

/// What the files of one profile hold.
struct Contents {
    header: Profile,
    rules: Vec<Rule>,
    remarks: Vec<String>,
    templates: Vec<Template>,
}

/// One file of a profile: path below its folder with `/`, and bytes.
type File<'a> = (String, std::borrow::Cow<'a, [u8]>);

/// Rules of one file, and what was passed over in it.
type RuleFile = (Vec<Rule>, Vec<String>);

/// Everything the selection names. Names of built-in profiles choose among the tools;
/// without one all are loaded, and files and folders add to them.
pub(super) fn load(selection: &[String]) -> Result<Loaded, DetectError> {
    let mut loaded = Loaded::default();
    loaded.add_templates()?;
    let known = builtin_names();
    let named = |name: &&str| selection.iter().any(|of| of == name);
    let mut chosen: Vec<&str> = known.iter().copied().filter(named).collect();
    if chosen.is_empty() {
        chosen.clone_from(&known);
    } else {
        let missing = ALWAYS.iter().filter(|name| !selection.iter().any(|of| of == *name));
        chosen.extend(missing);
    }
    let read: Vec<_> = chosen.par_iter().map(|name| read_builtin(name)).collect();
    for profile in read {
        loaded.add(profile?);
    }
    for name in selection.iter().filter(|name| !known.contains(&name.as_str())) {
        let path = Path::new(name);
        if path.is_dir() {
            loaded.add(read_folder(path)?);
        } else if path.is_file() {
            loaded.add(read_file(path)?);
        } else {
            return Err(DetectError::Unknown { name: name.clone(), known: known.join(", ") });
        }
    }
    loaded.add_needs()?;
    loaded.expand()?;
    Ok(loaded)
}

/// Names of the built-in profiles, sorted.
fn builtin_names() -> Vec<&'static str> {
    let mut names: Vec<_> = builtin::files()
        .filter_map(|(path, _)| path.strip_prefix("profiles/")?.strip_suffix("/profile.yaml"))
        .filter(|name| !name.contains('/'))
        .collect();
    names.sort_unstable();
    names
}

impl Loaded {
    /// The built-in templates.
    fn add_templates(&mut self) -> Result<(), DetectError> {
        let files: Vec<_> = builtin::files()
            .filter(|(path, _)| path.starts_with(TEMPLATES) && is_rule(path))
            .collect();
        let read: Vec<Result<Template, DetectError>> = files
            .into_par_iter()
            .map(|(path, bytes)| Template::read(path.to_string(), utf8(path, bytes)?, false))
            .collect();
        for template in read {
            self.templates.push(template?);
        }
        Ok(())
    }

    /// Gives every profile of a tool the needs of all, before its own.
    fn add_needs(&mut self) -> Result<(), DetectError> {
        let Some((path, bytes)) = builtin::files().find(|(path, _)| *path == NEEDS) else {
            return Ok(());
        };
        let common: Needs = yaml_serde::from_slice(bytes)
            .map_err(|e| DetectError::Invalid { path: (*path).into(), reason: e.to_string() })?;
        for profile in self.profiles.iter_mut().filter(|profile| &*profile.id != NO_TOOL) {
            let own = std::mem::replace(&mut profile.needs, common.clone());
            for (os, rungs) in own {
                let all = profile.needs.entry(os).or_default();
                for (rung, own) in rungs {
                    let all = all.entry(rung).or_default();
                    let new: Vec<String> = own.into_iter().filter(|id| !all.contains(id)).collect();
                    all.extend(new);
                }
            }
        }
        Ok(())
    }

    /// Fills in the templates for each profile; a rule of the same name that the
    /// profile has itself takes the template's place.
    fn expand(&mut self) -> Result<(), DetectError> {
        let own: BTreeSet<(&str, &str)> =
            self.rules.iter().map(|rule| (&*rule.tool, &*rule.name)).collect();
        let tools = self.profiles.iter().filter(|profile| profile.names_a_tool());
        let tools: Vec<Arc<Profile>> = tools.map(|profile| Arc::new(profile.clone())).collect();
        let pairs: Vec<(&Arc<Profile>, &Template)> = tools
            .iter()
            .flat_map(|profile| self.templates.iter().map(move |of| (profile, of)))
            .collect();
        let made: Vec<Result<Vec<Rule>, DetectError>> =
            pairs.into_par_iter().map(|(profile, of)| of.rules_for(profile)).collect();
        let mut rules = Vec::new();
        for made in made {
            let made = made?;
            rules.extend(made.into_iter().filter(|r| !own.contains(&(&*r.tool, &*r.name))));
        }
        self.rules.extend(rules);
        let digests: String = self.templates.iter().map(|of| hex(&of.sha256)).collect();
        for profile in &mut self.profiles {
            profile.sha256 = hex(&Sha256::digest(format!("{}{digests}", profile.sha256)));
        }
        Ok(())
    }

    fn add(&mut self, read: Contents) {
        self.templates.extend(read.templates);
        self.rules.extend(read.rules);
        self.remarks.extend(read.remarks);
        self.merge(read.header);
    }

    /// Adds the profile, or adds to the one that bears its id.
    fn merge(&mut self, new: Profile) {
        let Some(old) = self.profiles.iter_mut().find(|profile| profile.id == new.id) else {
            self.profiles.push(new);
            return;
        };
        old.dual_use |= new.dual_use;
        old.carries_others |= new.carries_others;
        old.logs_visitors |= new.logs_visitors;
        old.domains.extend(new.domains);
        old.binaries.extend(new.binaries);
        old.words.extend(new.words);
        old.config_files.extend(new.config_files);
        old.paths.extend(new.paths);
        old.packages.extend(new.packages);
        old.images.extend(new.images);
        old.services.extend(new.services);
        old.hashes.extend(new.hashes);
        old.modules.extend(new.modules);
        old.sources.extend(new.sources);
        old.releases.extend(new.releases);
        old.arguments.extend(new.arguments);
        old.variables.extend(new.variables);
        old.errands.extend(new.errands);
        old.allow.extend(new.allow);
        old.references.extend(new.references);
        old.version_hints.extend(new.version_hints);
        old.server_signs.extend(new.server_signs);
        old.sha256 = hex(&Sha256::digest(format!("{}{}", old.sha256, new.sha256)));
    }
}

/// The built-in profile of that name.
fn read_builtin(name: &str) -> Result<Contents, DetectError> {
    let folder = format!("profiles/{name}/");
    let files = builtin::files()
        .filter_map(|(path, bytes)| Some((path.strip_prefix(&folder)?.to_owned(), bytes.into())))
        .collect();
    Contents::read(&folder, files, false)
}

fn read_folder(folder: &Path) -> Result<Contents, DetectError> {
    let mut files = Vec::new();
    collect(folder, "", MAX_FOLDER_DEPTH, &mut files)?;
    files.sort();
    let files = files
        .into_iter()
        .map(|name| Ok((name.clone(), read(&folder.join(&name))?.into())))
        .collect::<Result<Vec<File>, DetectError>>()?;
    Contents::read(&format!("{}/", folder.display()), files, true)
}

/// One rule file, and the header beside it or one folder up, if there is one.
fn read_file(path: &Path) -> Result<Contents, DetectError> {
    let near = path.parent().unwrap_or(Path::new(""));
    let header = [near.join(HEADER), near.join("..").join(HEADER)]
        .into_iter()
        .find(|header| header.is_file());
    let mut files: Vec<File> = Vec::new();
    if let Some(header) = header {
        files.push((HEADER.to_owned(), read(&header)?.into()));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files.push((name, read(path)?.into()));
    Contents::read(&format!("{}/", near.display()), files, true)
}

impl Contents {
    /// One profile from its files, sorted by path.
    fn read(place: &str, files: Vec<File>, foreign: bool) -> Result<Self, DetectError> {
        let header = match files.iter().find(|(name, _)| name == HEADER) {
            Some((_, bytes)) => read_header(&format!("{place}{HEADER}"), bytes, foreign)?,
            None => Profile { id: NO_PROFILE.into(), techniques: none(), ..Profile::default() },
        };
        let mut templates = Vec::new();
        for (name, bytes) in files.iter().filter(|(name, _)| foreign && is_rule(name)) {
            let path = format!("{place}{name}");
            let text = utf8(&path, bytes)?;
            if template::is_template(text) {
                templates.push(Template::read(path, text, true)?);
            }
        }
        let read_rules = |(name, bytes): &File| {
            let path = format!("{place}{name}");
            let invalid = |reason: String| DetectError::Invalid { path: path.clone(), reason };
            let text = utf8(&path, bytes)?;
            if template::is_template(text) {
                return Ok((Vec::new(), Vec::new()));
            }
            let (rules, remarks) =
                sigma::parse(text, &header.id, &header.techniques, foreign).map_err(invalid)?;
            Ok((rules, remarks.into_iter().map(|remark| format!("{path}: {remark}")).collect()))
        };
        // In the files' order, whichever thread is first.
        let read: Vec<Result<RuleFile, DetectError>> =
            files.par_iter().filter(|(name, _)| is_rule(name)).map(read_rules).collect();
        let (mut rules, mut remarks) = (Vec::new(), Vec::new());
        for file in read {
            let (more, said) = file?;
            rules.extend(more);
            remarks.extend(said);
        }
        let header = Profile { sha256: digest(&files), ..header };
        Ok(Self { header, rules, remarks, templates })
    }
}

impl Template {
    fn read(path: String, text: &str, foreign: bool) -> Result<Self, DetectError> {
        let checked = if foreign { template::check(text) } else { Ok(()) };
        match checked.and_then(|()| sigma::Template::read(text)) {
            Ok(rules) => Ok(Self { sha256: Sha256::digest(text).into(), path, rules, foreign }),
            Err(reason) => Err(DetectError::Invalid { path, reason }),
        }
    }

    /// The rules it gives that profile.
    fn rules_for(&self, profile: &Arc<Profile>) -> Result<Vec<Rule>, DetectError> {
        let made = self.rules.rules_for(profile, self.foreign);
        let mut made = made.map_err(|reason| DetectError::Invalid {
            path: self.path.clone(),
            reason: format!("for {}: {reason}", profile.id),
        })?;
        if profile.dual_use {
            let capped = made.iter_mut().filter(|rule| !rule.about.exposes);
            capped.for_each(|rule| rule.score = rule.score.min(DUAL_USE_SCORE));
        }
        Ok(made)
    }
}

fn utf8<'a>(path: &str, bytes: &'a [u8]) -> Result<&'a str, DetectError> {
    str::from_utf8(bytes)
        .map_err(|error| DetectError::Invalid { path: path.to_owned(), reason: error.to_string() })
}

fn read_header(path: &str, bytes: &[u8], foreign: bool) -> Result<Profile, DetectError> {
    let invalid = |reason: String| DetectError::Invalid { path: path.to_owned(), reason };
    let header: Profile =
        yaml_serde::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
    if header.id.is_empty() {
        return Err(invalid("it has no id".to_owned()));
    }
    // Of what is built in, a test rules it out.
    let fault = if foreign { header.fault() } else { None };
    fault.map_or(Ok(header), |fault| Err(invalid(fault)))
}

fn is_rule(name: &str) -> bool {
    name != HEADER && (name.ends_with(".yml") || name.ends_with(".yaml"))
}

/// Adds the names of the YAML files below the folder, with `/` between.
fn collect(
    folder: &Path,
    below: &str,
    depth: usize,
    names: &mut Vec<String>,
) -> Result<(), DetectError> {
    let Some(depth) = depth.checked_sub(1) else { return Ok(()) };
    let failed = |path: PathBuf| move |source| DetectError::Read { path, source };
    let place = folder.join(below);
    for entry in fs::read_dir(&place).map_err(failed(place.clone()))? {
        let entry = entry.map_err(failed(place.clone()))?;
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_dir() {
            collect(folder, &format!("{name}/"), depth, names)?;
        } else if name == HEADER || is_rule(&name) {
            names.push(name);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, DetectError> {
    let failed = |source| DetectError::Read { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > MAX_FILE_BYTES {
        return Err(DetectError::Invalid {
            path: path.display().to_string(),
            reason: format!("{length} bytes, more than a rule file can have"),
        });
    }
    fs::read(path).map_err(failed)
}

/// SHA-256 over names, lengths and bytes, in hexadecimal.
fn digest(files: &[File]) -> String {
    let mut hasher = Sha256::new();
    for (name, bytes) in files {
        hasher.update(name.as_bytes());
        hasher.update([0]);
        hasher.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(bytes);
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_has_no_fault() {
        for profile in load(&[]).unwrap().profiles {
            assert_eq!(profile.fault(), None, "{}", profile.id);
        }
    }

    #[test]
    fn built_in_profiles_are_sorted() {
        let names = builtin_names();
        assert!(names.is_sorted() && names.contains(&"ngrok") && !names.contains(&"every"));
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let failed = load(&["no-such-profile".to_owned()]);
        assert!(matches!(failed, Err(DetectError::Unknown { .. })));
    }
}
