//! Which artifacts may claim a file by its place, found fast: files that lie in one
//! folder are judged one after the other, and few patterns mean files of that folder.

use std::collections::HashMap;

use super::pattern::{Folders, Names, Spelled};
use super::{Artifact, pattern};

/// A pattern whose file name has wildcards.
struct Wild {
    folders: Folders,
    /// Position of the names of its files.
    names: usize,
    artifact: usize,
}

/// The patterns of many artifacts, by what must be true of a path.
pub(super) struct Places {
    /// Positions of artifacts with a pattern that ends in this name.
    by_name: HashMap<String, Vec<usize>>,
    /// What files are called that patterns with wildcards mean.
    names: Vec<Names>,
    /// Patterns by the second component of their paths; those that have none such.
    by_second: HashMap<String, Vec<Wild>>,
    everywhere: Vec<Wild>,
    /// Of all patterns with wildcards: names and artifact.
    all: Vec<(usize, usize)>,
}

/// The folder that was asked for last, and what may lie in it.
#[derive(Default)]
pub(super) struct Met {
    folder: String,
    /// Names and artifact, each once.
    wild: Option<Vec<(usize, usize)>>,
    name: String,
}

impl Places {
    /// Of these artifacts, by their positions.
    pub(super) fn new(artifacts: &[&Artifact]) -> Self {
        let mut places = Self {
            by_name: HashMap::new(),
            names: Vec::new(),
            by_second: HashMap::new(),
            everywhere: Vec::new(),
            all: Vec::new(),
        };
        for (at, artifact) in artifacts.iter().enumerate() {
            for pattern in &artifact.patterns {
                match pattern.file_name() {
                    Some(name) => places.by_name.entry(name).or_default().push(at),
                    None => places.add(pattern, at),
                }
            }
        }
        places.all.sort_unstable();
        places.all.dedup();
        places
    }

    fn add(&mut self, pattern: &pattern::Pattern, artifact: usize) {
        let names = pattern.names();
        let known = self.names.iter().position(|own| *own == names);
        let names = known.unwrap_or_else(|| {
            self.names.push(names);
            self.names.len().saturating_sub(1)
        });
        self.all.push((names, artifact));
        for folders in pattern.folders() {
            let second = folders.second();
            let wild = Wild { folders, names, artifact };
            match second {
                Some(second) => self.by_second.entry(second).or_default().push(wild),
                None => self.everywhere.push(wild),
            }
        }
    }

    /// Positions of artifacts with a pattern that ends in this name, in lowercase.
    pub(super) fn named(&self, name: &str) -> &[usize] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// Positions of the artifacts that may claim a path, among them all that do; in order.
    pub(super) fn of(&self, path: &str, met: &mut Met) -> Vec<usize> {
        let cut = path.rfind(['\\', '/']);
        let (folder, name) = cut.map_or(("", path), |at| path.split_at(at));
        let name = name.strip_prefix(['\\', '/']).unwrap_or(name);
        met.name.clear();
        if name.is_ascii() {
            met.name.push_str(name);
            met.name.make_ascii_lowercase();
        } else {
            met.name.push_str(&name.to_lowercase());
        }
        // Linux has backslashes in names: there the folder may be another.
        let is_clear = cut.is_some() && !(folder.contains('/') && path.contains('\\'));
        if is_clear && (met.wild.is_none() || met.folder != folder) {
            met.folder.clear();
            met.folder.push_str(folder);
            met.wild = Some(self.wild_in(folder));
        }
        let wild = met.wild.as_ref().filter(|_| is_clear).unwrap_or(&self.all);
        let fits = |names: usize| match self.names.get(names) {
            Some(names) if is_clear => names.may_mean(&met.name),
            Some(names) => names.may_end(&met.name),
            None => false,
        };
        let wild = wild.iter().filter(|(names, _)| fits(*names)).map(|(_, artifact)| *artifact);
        let mut may: Vec<usize> = self.named(&met.name).iter().copied().chain(wild).collect();
        may.sort_unstable();
        may.dedup();
        may
    }

    /// Names and artifact of the patterns that may mean files of a folder.
    fn wild_in(&self, folder: &str) -> Vec<(usize, usize)> {
        let spelled = Spelled::new(folder);
        let own = spelled.second().and_then(|second| self.by_second.get(second));
        let own = own.into_iter().flatten().chain(&self.everywhere);
        let own = own.filter(|wild| wild.folders.admit(&spelled));
        let mut own: Vec<_> = own.map(|wild| (wild.names, wild.artifact)).collect();
        own.sort_unstable();
        own.dedup();
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Artifacts;

    #[test]
    fn no_pattern_is_lost() {
        let artifacts = Artifacts::builtin().unwrap();
        let all: Vec<&Artifact> = artifacts.iter().collect();
        let places = Places::new(&all);
        let mut met = Met::default();
        let mut claimed = 0;
        for path in [
            r"C:\Windows\System32\winevt\Logs\Security.evtx",
            r"vss2:C:\WINDOWS\system32\WinEvt\Logs\Archive-1.evtx",
            r"C:\Windows\Prefetch\A.EXE-1.pf",
            r"C:\Windows\Prefetch\B.exe-1.PF",
            r"C:\Windows\System32\Tasks\a",
            r"C:\Windows\System32\Tasks\b\c\d",
            r"C:\Users\jane\Downloads\a.exe:Zone.Identifier",
            r"C:\Users\jane\a.lnk",
            r"C:\$Recycle.Bin\S-1-5-21-1\$IABCDEF.exe",
            r"C:\ngrok.log",
            r"a/b/ngrok.log",
            r"MPLog-20240101.log",
            r"x\MPLog-20240101.log",
            "/etc/systemd/system/ngrok.service",
            r"/etc/systemd/system/a\x2db.service",
            "/home/jane/.config/systemd/user/a.service",
            "/var/log/syslog.2.gz",
            "/Users/jane/Library/LaunchAgents/com.x.plist",
            r"D:\x\$Recycle.Bin\S-1-5-21-1\$IABCDEF.exe",
        ] {
            let found = places.of(path, &mut met);
            let spelled = Spelled::new(path);
            for (at, artifact) in all.iter().enumerate() {
                if artifact.patterns.iter().any(|p| p.matches_spelled(&spelled)) {
                    assert!(found.contains(&at), "{path}: {}", artifact.id);
                    claimed += 1;
                }
            }
        }
        assert!(claimed > 15, "{claimed}");
    }
}
