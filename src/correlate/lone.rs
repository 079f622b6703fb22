//! A configuration and nothing else of its tool: written here, kept here, used by nobody
//! that the host knows of.
//!
//! Where somebody keeps work or documents, such a file is most often an example, a
//! sample of a repository or a note; it is scored down with its reason and stays on the
//! list. Where nobody keeps such (a system folder, one for all users, hidden ones, the
//! tool's own), it is what an intruder's clean-up leaves, and keeps its score.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Evidence, Exists, Tool, path};
use crate::model::{Event, Hit, NO_TOOL, RowStage};

/// What is left of a configuration among sources or samples.
const LISTED: u8 = 15;
/// What is left of one that somebody keeps, or that holds a secret.
const KEPT: u8 = 35;
/// From this score on, a hit of another stage is the tool's company.
const COMPANY: u8 = 20;
/// A configuration of this score opens a way in.
const RISKY: u8 = 75;
/// Folders of sources, below a person's or a drive's own.
const SOURCES: &[&str] = &[
    "code",
    "dev",
    "git",
    "github",
    "github.com",
    "gitlab",
    "project",
    "projects",
    "repo",
    "repos",
    "source",
    "sources",
    "src",
    "workspace",
    "workspaces",
];
/// Folders of what is fetched to be built with or read, wherever they are.
const FETCHED: &[&str] = &[
    ".cargo\\registry",
    "dist-packages",
    "go\\pkg\\mod",
    "node_modules",
    "site-packages",
    "testdata",
    "usr\\share\\doc",
];
/// Where programs, too, are none but samples.
const TESTS: &str = "\\testdata\\";
/// What lies in the topmost folder of sources.
const MARKS: &[&str] = &[
    ".git",
    "Cargo.toml",
    "CMakeLists.txt",
    "go.mod",
    "package.json",
    "pom.xml",
    "pyproject.toml",
];
/// Folders above a file of which marks are looked for.
const MAX_ABOVE: usize = 6;

/// Where a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Among samples, or what was fetched to be built with or read.
    Samples,
    /// Among somebody's sources.
    Sources,
    /// Where a person keeps files.
    Kept,
    /// Anywhere else.
    Elsewhere,
}

/// Scores down what lies among samples, and the configurations of every tool of which
/// there is nothing else.
pub fn score_down(events: &mut [Event], tools: &[Tool], evidence: &Evidence<'_>) {
    let cleaned = events.iter().flat_map(|e| &e.hits).any(|h| counts(h) && is_cleanup(h));
    let mut known = BTreeMap::new();
    let mut of = |file: &str| match known.get(file) {
        Some(place) => *place,
        None => {
            let place = place(file, evidence.exists);
            known.insert(file.to_owned(), place);
            place
        }
    };
    let places: Vec<Place> = events.iter().map(|event| place_of(event, &mut of)).collect();
    let used = used(events, &places);
    for (event, _) in events.iter_mut().zip(&places).filter(|(_, place)| **place == Place::Samples)
    {
        if !used.contains(&path::tail(event.path.as_str())) {
            event
                .hits
                .iter_mut()
                .for_each(|hit| lower(hit, LISTED, "it lies among samples or is a copy"));
        }
    }
    for tool in tools.iter().filter(|tool| &*tool.id != NO_TOOL) {
        let left = Remains::of(events, &places, tool).left(cleaned);
        let Some((score, why)) = left else { continue };
        let why = format!(
            "a configuration alone ({why}), no program, run, service or log of {} is known here",
            tool.id
        );
        for (event, place) in events.iter_mut().zip(&places) {
            let mine = event.hits.iter_mut().filter(|hit| hit.tool == tool.id);
            let mine = mine.filter(|hit| is_setting(hit, *place));
            mine.for_each(|hit| lower(hit, score, &why));
        }
    }
}

/// Whether a hit is of a configuration, or of what lies unpacked beside it in sources.
fn is_setting(hit: &Hit, place: Place) -> bool {
    hit.stage == RowStage::Configured || hit.stage == RowStage::Delivered && place == Place::Sources
}

/// Tails of the configurations that something was run or is started with.
fn used(events: &[Event], places: &[Place]) -> BTreeSet<String> {
    let tail = |event: &Event| path::tail(event.path.as_str());
    let configs = events.iter().filter(|event| event.record.category == "config").map(tail);
    let configs: BTreeSet<String> = configs.collect();
    let runs = |hit: &&Hit| {
        matches!(hit.stage, RowStage::Executed | RowStage::Persisted)
            && &*hit.rule == "pivot-config"
    };
    let own = events.iter().zip(places).filter(|(_, place)| **place != Place::Samples);
    let names = own.flat_map(|(event, _)| event.hits.iter().filter(runs)).filter_map(|hit| {
        let (_, known) = hit.message.split_once("(known from ")?;
        Some(path::tail(known.rsplit_once(' ')?.0))
    });
    names.filter(|name| configs.contains(name)).collect()
}

fn lower(hit: &mut Hit, score: u8, why: &str) {
    if hit.score > score {
        hit.score = score;
        let _ = write!(hit.message, "; scored down: {why}");
    }
}

/// What there is of a tool, where it is only configured.
#[derive(Default)]
struct Remains {
    company: bool,
    secret: bool,
    risky: bool,
    place: Option<Place>,
}

impl Remains {
    fn of(events: &[Event], places: &[Place], tool: &Tool) -> Self {
        let mut out = Self::default();
        for (event, place) in events.iter().zip(places) {
            let mine = |hit: &&Hit| hit.tool == tool.id && counts(hit);
            for hit in event.hits.iter().filter(mine) {
                if is_setting(hit, *place) {
                    out.place = out.place.max(Some(*place));
                    out.risky |= hit.score >= RISKY;
                    out.secret |= has_secret(event);
                } else {
                    out.company |= is_company(event, hit);
                }
            }
        }
        out
    }

    /// The score that is left, and why; none where nothing is taken off.
    fn left(&self, cleaned: bool) -> Option<(u8, &'static str)> {
        match self.place? {
            _ if self.company => None,
            Place::Samples => Some((LISTED, "it lies among samples")),
            Place::Sources if self.secret || cleaned => Some((KEPT, "it lies among sources")),
            Place::Sources => Some((LISTED, "it lies among sources")),
            Place::Kept if !cleaned && !self.risky => {
                Some((KEPT, "it lies where somebody keeps files"))
            }
            Place::Kept | Place::Elsewhere => None,
        }
    }
}

fn counts(hit: &Hit) -> bool {
    hit.score >= COMPANY && hit.suppressed_by.is_none()
}

fn is_cleanup(hit: &Hit) -> bool {
    hit.stage == RowStage::CleanedUp
}

/// Whether a hit says that more of the tool was here than a configuration. Pages that
/// were read are no more.
fn is_company(event: &Event, hit: &Hit) -> bool {
    let read = matches!(event.record.category, "browser_visit" | "browser_search");
    !matches!(hit.stage, RowStage::Configured | RowStage::Context) && !read
}

fn has_secret(event: &Event) -> bool {
    ["Authtoken", "ApiKey", "Credential"].iter().any(|field| event.record.text(field).is_some())
}

/// Where the file lies that an event speaks of. Only a configuration is told by where
/// a person keeps it, and no program by the place of its sources.
fn place_of(event: &Event, place: &mut dyn FnMut(&str) -> Place) -> Place {
    let (record, own) = (&event.record, event.path.as_str());
    let configures = event.hits.iter().any(|hit| hit.stage == RowStage::Configured);
    let named = match record.category {
        "archive" | "executable" if record.text("MemberName").is_some_and(is_collected) => {
            return Place::Samples;
        }
        "executable" if !path::tail(own).contains(TESTS) => return Place::Elsewhere,
        "file" if !configures => return Place::Elsewhere,
        "config" | "tunnel_endpoint" => None,
        _ if configures => ["TargetFilename", "Image"].iter().find_map(|f| record.text(f)),
        _ => None,
    };
    match (place(own), named) {
        (Place::Samples, _) => Place::Samples,
        (_, Some(named)) => place(named),
        (Place::Kept, None) if !configures => Place::Elsewhere,
        (place, None) => place,
    }
}

/// Whether an archive's member is a copy that a collector took of a whole system's file:
/// `…/C/Users/…`.
fn is_collected(member: &str) -> bool {
    let member = member.replace('\\', "/").to_lowercase();
    let drives = ["/c/", "/c:/", "/c%3a/"];
    drives.iter().any(|drive| {
        let below = member.split_once(drive).map(|(_, below)| below);
        below.is_some_and(|b| b.starts_with("users/") || b.starts_with("windows/"))
    })
}

fn place(file: &str, exists: &Exists<'_>) -> Place {
    let tail = path::tail(file);
    let folders: Vec<&str> = tail.split('\\').filter(|part| !part.is_empty()).collect();
    let lies_in = |part: &&str| tail.contains(&format!("\\{part}\\"));
    let (home, own) = match folders.as_slice() {
        ["users" | "home" | "documents and settings", user, own @ ..] => (Some(*user), own),
        own => (None, own),
    };
    let hidden = |part: &&str| {
        part.starts_with('.') || matches!(*part, "appdata" | "application data" | "library")
    };
    let is_sample = |name: &&str| {
        name.split(['.', '_', '-', ' '])
            .any(|word| matches!(word, "example" | "sample" | "template"))
    };
    // Nobody keeps samples where files are hidden or run by the system.
    let is_kept = home.is_some() && !own.iter().any(hidden);
    if FETCHED.iter().any(lies_in) || is_kept && own.last().is_some_and(is_sample) {
        return Place::Samples;
    }
    if is_marked(file, own.len(), exists) {
        return Place::Sources;
    }
    let is_source = |part: &&str| SOURCES.contains(part);
    match home {
        Some("public" | "shared" | "default" | "all users") => Place::Elsewhere,
        Some(_) if own.iter().any(hidden) => Place::Elsewhere,
        Some(_) if own.iter().rev().skip(1).any(is_source) => Place::Sources,
        Some(_) => Place::Kept,
        None if file.get(1..2) == Some(":") && own.first().is_some_and(is_source) => Place::Sources,
        None => Place::Elsewhere,
    }
}

/// Whether a folder above the file, below the person's or the drive's own, is the
/// topmost one of sources.
fn is_marked(file: &str, depth: usize, exists: &Exists<'_>) -> bool {
    let separator = if file.contains('\\') { '\\' } else { '/' };
    let above = std::iter::successors(file.rsplit_once(separator), |(above, _)| {
        above.rsplit_once(separator)
    });
    above.take(depth.saturating_sub(1).min(MAX_ABOVE)).any(|(folder, _)| {
        MARKS.iter().any(|mark| exists(&format!("{folder}{separator}{mark}")) == Some(true))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place of a file on a volume that holds these others.
    fn check(file: &str, others: &[&str], expected: Place) {
        let exists = |path: &str| Some(others.contains(&path));
        assert_eq!(place(file, &exists), expected, "{file}");
    }

    #[test]
    fn sources_and_samples_are_told_from_hiding_places() {
        check(r"C:\Users\dev\src\cf\config.yml", &[], Place::Sources);
        check(r"D:\repos\infra\frpc.toml", &[], Place::Sources);
        check("/home/lena/projects/x/frpc.ini", &[], Place::Sources);
        check("/srv/shop/deploy/frpc.ini", &["/srv/shop/.git"], Place::Sources);
        check(r"C:\x\frpc.toml", &[r"C:\package.json"], Place::Elsewhere);
        check(r"C:\Users\a\frpc.toml", &[r"C:\Users\a\package.json"], Place::Kept);
        check("/usr/share/doc/frp/frpc.toml", &[], Place::Samples);
        check(r"C:\Users\a\Desktop\frpc.example.toml", &[], Place::Samples);
        check(r"C:\Users\a\go\pkg\mod\frp\conf\frpc.toml", &[], Place::Samples);
        check(r"C:\Users\a\Desktop\frpc.toml", &[], Place::Kept);
        check("/home/a/frpc.toml", &[], Place::Kept);
    }

    #[test]
    fn collected_copies_are_known() {
        assert!(is_collected("data/evidence/C/Users/jane/Downloads/ngrok.exe"));
        assert!(is_collected("uploads/auto/C%3A/Windows/Temp/a.exe"));
        assert!(!is_collected("c/users/a.exe") && !is_collected("bin/x64/ngrok.exe"));
    }

    #[test]
    fn where_nobody_keeps_work_a_configuration_stands() {
        for file in [
            r"C:\Users\Public\frpc.toml",
            r"C:\ProgramData\x\svc.dat",
            r"C:\Windows\Temp\c.toml",
            r"C:\Users\a\AppData\Local\ngrok\ngrok.yml",
            r"C:\Users\a\.cloudflared\config.yml",
            "/dev/shm/c.toml",
            "/usr/local/src/c.toml",
            "/etc/x/frpc.ini",
            "/opt/frp/frpc.toml",
            "/home/a/.config/ngrok/ngrok.yml",
            "/Users/a/Library/Application Support/ngrok/ngrok.yml",
            "/Users/a/Library/LaunchAgents/com.example.cf.plist",
        ] {
            check(file, &[], Place::Elsewhere);
        }
    }
}
