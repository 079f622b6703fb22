//! Path patterns of artifact definitions.
//!
//! ```text
//! pattern   = [ variable | drive ":" ] { "\" component }
//! component = "**" | characters with "*" and "?"
//! ```
//!
//! `**` stands for any number of folders, `*` and `?` stay within one name.
//! Windows ignores letter case, and `/` and `\` are one separator there; macOS
//! ignores it too; Linux does not. A variable may stand for several places; on a
//! disk without its hives those are the known ones.

use std::cell::OnceCell;

use crate::model::{Os, without_snapshot};

/// Patterns may not have more components than this.
const MAX_COMPONENTS: usize = 64;

/// A pattern cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("%{0}% is no variable that adit knows")]
    UnknownVariable(String),
    #[error("an empty component")]
    EmptyComponent,
    #[error("`**` must be a component of its own")]
    MixedStars,
    #[error("more than {MAX_COMPONENTS} components")]
    TooLong,
    #[error("starts neither with a variable, a drive, `/` nor `**`")]
    NoStart,
}

/// A path pattern with its variables replaced by every place they stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    os: Os,
    alternatives: Vec<Vec<Component>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Component {
    Name(String),
    Glob(Vec<char>),
    AnyFolders,
}

/// Places below the root of a Windows drive that variables stand for; later
/// variables are made of earlier ones.
const VARIABLES: [(&str, &[&str]); 10] = [
    ("systemdrive", &["*:"]),
    ("systemroot", &["*:/windows", "*:/winnt"]),
    (
        "systemprofile",
        &[
            "%systemroot%/system32/config/systemprofile",
            "%systemroot%/syswow64/config/systemprofile",
        ],
    ),
    (
        "userprofile",
        &[
            "*:/users/*",
            "*:/documents and settings/*",
            "%systemprofile%",
            "%systemroot%/serviceprofiles/*",
        ],
    ),
    (
        "localappdata",
        &["%userprofile%/appdata/local", "%userprofile%/local settings/application data"],
    ),
    ("appdata", &["%userprofile%/appdata/roaming", "%userprofile%/application data"]),
    ("programdata", &["*:/programdata", "*:/documents and settings/all users/application data"]),
    ("programfiles", &["*:/program files", "*:/program files (x86)"]),
    ("temp", &["%systemroot%/temp", "%localappdata%/temp"]),
    // Homes of people, of root and of services, on Linux and macOS.
    (
        "home",
        &[
            "/home/*",
            "/home/*/*",
            "/root",
            "/Users/*",
            "/var/root",
            "/private/var/root",
            "/export/home/*",
            "/var/home/*",
            "/var/lib/*",
            "/var/www",
            "/srv/*",
            "/opt/*",
        ],
    ),
];

/// A path's components as the systems compare them; found when first asked for.
pub(super) struct Spelled<'a> {
    path: &'a str,
    by_os: [OnceCell<Vec<String>>; 3],
}

impl<'a> Spelled<'a> {
    pub(super) fn new(path: &'a str) -> Self {
        Self { path, by_os: Default::default() }
    }

    /// The second component in lowercase, as Windows tells components apart.
    pub(super) fn second(&self) -> Option<&str> {
        self.parts(Os::Windows).get(1).map(String::as_str)
    }

    fn parts(&self, os: Os) -> &[String] {
        let [windows, linux, macos] = &self.by_os;
        let (cell, separators): (_, &[char]) = match os {
            Os::Windows => (windows, &['\\', '/']),
            Os::Linux => (linux, &['/']),
            Os::Macos => (macos, &['/']),
        };
        cell.get_or_init(|| {
            let path = without_snapshot(self.path).1;
            let own = path.split(separators).map(str::to_owned);
            if os == Os::Linux { own.collect() } else { own.map(|p| p.to_lowercase()).collect() }
        })
    }
}

/// What the folder of a pattern's files is called.
pub(super) struct Folders {
    os: Os,
    components: Vec<Component>,
}

impl Folders {
    /// The lowercase name that the second component of every such path has, where the
    /// first is one component too (`*:`, or nothing before a `/`).
    pub(super) fn second(&self) -> Option<String> {
        match self.components.as_slice() {
            [Component::Name(_) | Component::Glob(_), Component::Name(name), ..] => {
                Some(name.to_lowercase())
            }
            _ => None,
        }
    }

    /// Whether files of that folder can be meant; for paths of Windows in the notation
    /// of the others always.
    pub(super) fn admit(&self, folder: &Spelled<'_>) -> bool {
        self.os != Os::Windows && folder.path.contains('\\')
            || matches_all(&self.components, folder.parts(self.os))
    }
}

/// File names with wildcards, in lowercase.
#[derive(PartialEq, Eq)]
pub(super) struct Names {
    glob: Vec<char>,
    /// What stands behind the last wildcard; may be empty.
    ending: String,
}

impl Names {
    /// Whether it can be one of them, as far as the end of a name tells.
    pub(super) fn may_end(&self, end: &str) -> bool {
        end.ends_with(&self.ending)
    }

    /// Whether it can be one of them: for sure, if it is not and says so in ASCII.
    pub(super) fn may_mean(&self, name: &str) -> bool {
        self.may_end(name) && (!name.is_ascii() || matches_glob(&self.glob, name))
    }
}

impl Pattern {
    /// The pattern that the text writes, for paths of that system.
    ///
    /// # Errors
    ///
    /// When it holds an unknown variable or could match anything unintended.
    pub fn parse(text: &str, os: Os) -> Result<Self, PatternError> {
        let path = if os == Os::Windows { text.replace('\\', "/") } else { text.to_owned() };
        let starts_well = ["%", "/", "**"].iter().any(|start| path.starts_with(start))
            || path.split('/').next().is_some_and(|drive| drive.ends_with(':'));
        if !starts_well {
            return Err(PatternError::NoStart);
        }
        let spelled = |path: &String| match os {
            Os::Linux => components(path),
            Os::Windows | Os::Macos => components(&path.to_lowercase()),
        };
        let alternatives = expand(&path)?.iter().map(spelled).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), os, alternatives })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a path of the evidence is one that the pattern means.
    pub fn matches(&self, path: &str) -> bool {
        self.matches_spelled(&Spelled::new(path))
    }

    /// Whether a path is one that the pattern means.
    pub(super) fn matches_spelled(&self, path: &Spelled<'_>) -> bool {
        self.alternatives.iter().any(|pattern| matches_all(pattern, path.parts(self.os)))
    }

    /// The folders that its files lie in.
    pub(super) fn folders(&self) -> impl Iterator<Item = Folders> + '_ {
        let os = self.os;
        self.alternatives.iter().flat_map(move |path| {
            let (last, folder) = path.split_last().map_or((None, &[][..]), |(l, f)| (Some(l), f));
            // `**` at the end is any file below, and the last folder itself.
            let below = matches!(last, Some(Component::AnyFolders)).then(|| path.clone());
            let own = match below {
                Some(_) => folder.split_last().map_or(&[][..], |(_, above)| above),
                None => folder,
            };
            let all = below.into_iter().chain(std::iter::once(own.to_vec()));
            all.map(move |components| Folders { os, components })
        })
    }

    /// What the files are called that it means.
    pub(super) fn names(&self) -> Names {
        let name = match self.alternatives.first().and_then(|path| path.last()) {
            Some(Component::Name(name)) => name.to_lowercase(),
            Some(Component::Glob(glob)) => String::from_iter(glob).to_lowercase(),
            Some(Component::AnyFolders) | None => "*".to_owned(),
        };
        let ending = name.rsplit(['*', '?']).next().unwrap_or_default().to_owned();
        Names { glob: name.chars().collect(), ending }
    }

    /// The file name that every match has, in lowercase; `None` when it has wildcards.
    pub(super) fn file_name(&self) -> Option<String> {
        match self.alternatives.first()?.last()? {
            Component::Name(name) => Some(name.to_lowercase()),
            _ => None,
        }
    }
}

/// The text with its leading variable replaced, and those of the replacement.
fn expand(text: &str) -> Result<Vec<String>, PatternError> {
    let Some((name, rest)) = text.strip_prefix('%').and_then(|text| text.split_once('%')) else {
        return Ok(vec![text.to_owned()]);
    };
    let name = name.to_lowercase();
    let Some((_, places)) = VARIABLES.iter().find(|(known, _)| *known == name) else {
        return Err(PatternError::UnknownVariable(name));
    };
    let mut all = Vec::new();
    for place in *places {
        all.extend(expand(&format!("{place}{rest}"))?);
    }
    Ok(all)
}

fn components(path: &str) -> Result<Vec<Component>, PatternError> {
    let names: Vec<&str> = path.split('/').collect();
    if names.len() > MAX_COMPONENTS {
        return Err(PatternError::TooLong);
    }
    let component = |(at, name): (usize, &&str)| match *name {
        "" if at > 0 => Err(PatternError::EmptyComponent),
        "**" => Ok(Component::AnyFolders),
        name if name.contains("**") => Err(PatternError::MixedStars),
        name if name.contains(['*', '?']) => Ok(Component::Glob(name.chars().collect())),
        name => Ok(Component::Name(name.to_owned())),
    };
    names.iter().enumerate().map(component).collect()
}

/// Whether the pattern means the whole path.
///
/// The last `**` seen takes one folder more whenever the rest fails; earlier
/// ones need no second try, so the work is at most the product of the lengths.
fn matches_all(pattern: &[Component], path: &[String]) -> bool {
    backtrack(
        pattern,
        path,
        |component| *component == Component::AnyFolders,
        |component, name| match component {
            Component::Name(own) => own == name,
            Component::Glob(glob) => matches_glob(glob, name),
            Component::AnyFolders => false,
        },
    )
}

/// Whether a name is one that the wildcards mean.
fn matches_glob(glob: &[char], name: &str) -> bool {
    let same = |c: &char, other: char| *c == '?' || *c == other;
    if name.is_ascii() {
        let same = |c: &char, other: &u8| same(c, char::from(*other));
        return backtrack(glob, name.as_bytes(), |c| *c == '*', same);
    }
    let name: Vec<char> = name.chars().collect();
    backtrack(glob, &name, |c| *c == '*', |c, other| same(c, *other))
}

/// Wildcard matching over anything: a `star` stands for any run of `text`.
fn backtrack<P, T>(
    pattern: &[P],
    text: &[T],
    star: impl Fn(&P) -> bool,
    same: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut t) = (0_usize, 0_usize);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(item) = text.get(t) {
        match pattern.get(p) {
            Some(wild) if star(wild) => {
                p = p.saturating_add(1);
                retry = Some((p, t));
            }
            Some(one) if same(one, item) => {
                p = p.saturating_add(1);
                t = t.saturating_add(1);
            }
            _ => {
                let Some((after, from)) = retry else { return false };
                let next = from.saturating_add(1);
                retry = Some((after, next));
                (p, t) = (after, next);
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(star)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern, Os::Windows).unwrap().matches(path)
    }

    #[test]
    fn variables_stand_for_every_place() {
        let log = r"%SystemRoot%\System32\winevt\Logs\Microsoft-Windows-Sysmon%4Operational.evtx";
        let name = "Microsoft-Windows-Sysmon%4Operational.evtx";
        assert!(check(log, &format!(r"C:\Windows\System32\winevt\Logs\{name}")));
        assert!(check(log, &format!(r"D:\WINDOWS\system32\WinEvt\logs\{name}")));
        assert!(!check(log, &format!(r"C:\x\Windows\System32\winevt\Logs\{name}")));
        for profile in [
            r"C:\Users\jane",
            r"C:\Documents and Settings\jane",
            r"C:\Windows\System32\config\systemprofile",
            r"C:\Windows\SysWOW64\config\systemprofile",
            r"C:\Windows\ServiceProfiles\LocalService",
        ] {
            assert!(check(
                r"%UserProfile%\.ngrok2\ngrok.yml",
                &format!(r"{profile}\.ngrok2\NGROK.YML")
            ));
        }
        assert!(!check(r"%UserProfile%\.ngrok2\ngrok.yml", r"C:\Users\a\b\.ngrok2\ngrok.yml"));
    }

    #[test]
    fn stars_know_folders_from_names() {
        assert!(check(r"%SystemDrive%\**\ngrok.log", r"C:\ngrok.log"));
        assert!(check(r"%SystemDrive%\**\ngrok.log", r"C:\a\b\ngrok.log"));
        assert!(check(r"**\ngrok*.yml", "x/y/ngrok-2.yml"));
        assert!(check(r"**\a\**\b", "a/b/a/c/b"));
        assert!(!check(r"%SystemDrive%\*.log", r"C:\a\ngrok.log"));
        assert!(check(r"**\n?rok.yml", "é/ngrok.yml"));
        assert!(check("/etc/ngrok.yml", "/etc/ngrok.yml"));
    }

    #[test]
    fn stars_end_soon() {
        let hostile = "a".repeat(20_000);
        assert!(!check(&format!(r"**\{}b", "*a".repeat(30)), &hostile));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let parse = |text| Pattern::parse(text, Os::Windows);
        let unknown = PatternError::UnknownVariable("homes".to_owned());
        assert_eq!(parse(r"%HOMES%\x"), Err(unknown));
        assert_eq!(parse(r"%SystemRoot%\\x"), Err(PatternError::EmptyComponent));
        assert_eq!(parse(r"%SystemRoot%\a**"), Err(PatternError::MixedStars));
        assert_eq!(parse("x"), Err(PatternError::NoStart));
    }

    #[test]
    fn linux_keeps_letter_case_and_backslashes() {
        fn check(pattern: &str, path: &str, os: Os) -> bool {
            Pattern::parse(pattern, os).unwrap().matches(path)
        }
        let bash = "%home%/.bash_history";
        for home in ["/home/jane", "/home/CORP/jane", "/root", "/var/www", "/var/lib/postgresql"] {
            assert!(check(bash, &format!("{home}/.bash_history"), Os::Linux), "{home}");
        }
        assert!(!check(bash, "/ROOT/.bash_history", Os::Linux));
        assert!(!check("/etc/Ngrok.yml", "/etc/ngrok.yml", Os::Linux));
        assert!(check(
            "/etc/systemd/system/*.service",
            r"/etc/systemd/system/a\x2db.service",
            Os::Linux
        ));
        assert!(check(bash, "/Users/Jane/.bash_history", Os::Macos));
        assert!(check("/Library/X.plist", "/library/x.PLIST", Os::Macos));
    }
}
