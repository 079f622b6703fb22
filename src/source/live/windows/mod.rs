//! The running Windows: its volumes, read raw where that is allowed, and what only its
//! memory tells.
//!
//! The machine itself is the first host, with the drive it started from and every volume
//! without a Windows of its own, whether it has a letter or not. A foreign Windows on
//! another volume is a host by itself, whose paths begin with the letter that it gave itself.

mod ask;
mod drive;
mod facts;
mod shadow;
mod sid;
mod traces;

use std::path::{Component, Path, PathBuf, Prefix};

use super::{LABEL, Preflight, VolumeFacts, Wanted};
use crate::source::image::{self, Found, Role};
use crate::source::volumes::{Member, Volumes};
use crate::source::{DriveLetters, HostEvidence, Layout, SourceError};

use self::ask::Drive;
use self::drive::{Opened, Part, Place};

/// What a run needs to read what others may not: a backup's right to any file, and a
/// debugger's to ask about any process.
const PRIVILEGES: [&str; 2] = ["SeBackupPrivilege", "SeDebugPrivilege"];

pub(super) fn open(
    wanted: &Wanted,
    letters: &DriveLetters<'_>,
) -> Result<Vec<HostEvidence>, SourceError> {
    ask::keep_quiet();
    let taken = ask::take_privileges(&PRIVILEGES);
    wanted.actions.note(format!("asked for privileges of this process: got {taken:?}"));
    let places = chosen(wanted)?;
    let system = Some(system_drive());
    let own_is_meant =
        wanted.volumes.is_empty() || places.iter().any(|place| place.letter == system);
    let mut parts: Vec<Part> = places.into_iter().map(|place| drive::open(place, wanted)).collect();
    let mut hosts = Vec::new();
    if own_is_meant {
        let (mut own, foreign): (Vec<Part>, Vec<Part>) = parts
            .into_iter()
            .partition(|part| part.place.letter == system || part.role() == Role::Data);
        let order = |part: &Part| {
            let letter = part.place.letter;
            (letter != system, letter.is_none(), letter, part.place.name.clone())
        };
        own.sort_by_key(order);
        hosts.push(machine(own, wanted));
        parts = foreign;
    }
    hosts.extend(parts.into_iter().map(|part| foreign(part, wanted, letters)));
    if let Some(first) = hosts.first_mut().filter(|_| own_is_meant) {
        first.is_running = true;
        if wanted.volatile {
            facts::add(first, wanted);
        }
    }
    traces::note(wanted);
    if hosts.is_empty() {
        let (what, advice) = ("a machine without drives to read", "name one with --volume");
        return Err(SourceError::Unsupported { path: LABEL.into(), what, advice });
    }
    Ok(hosts)
}

/// Where the volumes are that are to be read, in order.
fn chosen(wanted: &Wanted) -> Result<Vec<Place>, SourceError> {
    let all = all();
    if wanted.volumes.is_empty() {
        let reads = |(place, kind): &(Place, Drive)| left_out(place, *kind, wanted).is_none();
        return Ok(all.into_iter().filter(reads).map(|(place, _)| place).collect());
    }
    let mut places = Vec::new();
    for name in &wanted.volumes {
        let place = all.iter().find(|(place, _)| is_called(place, name));
        let missing = || SourceError::Missing { path: name.into() };
        places.push(place.ok_or_else(missing)?.0.clone());
    }
    places.sort();
    places.dedup();
    Ok(places)
}

/// Every volume with a letter, then those without, and how they are connected.
fn all() -> Vec<(Place, Drive)> {
    let letters = ask::drives().into_iter();
    let mut all: Vec<_> = letters.map(|(l, kind)| (Place::of_letter(l), kind)).collect();
    let mut unlettered = ask::volumes_without_letter();
    unlettered.sort();
    for (at, (path, kind)) in unlettered.iter().enumerate() {
        all.push((Place::of_volume(at.saturating_add(1), path), *kind));
    }
    all
}

/// Whether a volume is meant by `d`, `D:`, `volume1:` or `\\?\Volume{…}\`.
fn is_called(place: &Place, name: &str) -> bool {
    let trimmed = name.trim_end_matches('\\');
    match letter_in(name) {
        Some(letter) => place.letter == Some(letter),
        None => [&place.name, &place.path].iter().any(|n| n.eq_ignore_ascii_case(trimmed)),
    }
}

/// The letter of `d`, `D:` or `D:\`.
fn letter_in(name: &str) -> Option<char> {
    let mut letters = name.strip_suffix('\\').unwrap_or(name).chars();
    let letter = letters.next()?.to_ascii_uppercase();
    (letter.is_ascii_uppercase() && matches!(letters.as_str(), "" | ":")).then_some(letter)
}

/// Why a volume is not read when none is named.
fn left_out(place: &Place, kind: Drive, wanted: &Wanted) -> Option<&'static str> {
    match kind {
        Drive::Network => Some("of another machine; not read"),
        Drive::Optical => Some("optical; not read"),
        Drive::Other => Some("of no known kind; not read"),
        _ => left_out_letter(place.letter?, kind, wanted),
    }
}

fn left_out_letter(letter: char, kind: Drive, wanted: &Wanted) -> Option<&'static str> {
    if letter == system_drive() || !may_be_pulled(letter, kind) {
        None
    } else if drive_of(&wanted.output) == Some(letter) {
        Some("takes the results; not read")
    } else if drive_of_program() == Some(letter) {
        Some("adit was started from it; not read")
    } else {
        None
    }
}

fn may_be_pulled(letter: char, kind: Drive) -> bool {
    kind == Drive::Removable || ask::is_external(letter)
}

/// The drive that the running Windows started from.
fn system_drive() -> char {
    let named = std::env::var("SystemDrive").ok();
    named.as_deref().and_then(letter_in).unwrap_or('C')
}

fn drive_of_program() -> Option<char> {
    drive_of(&std::env::current_exe().ok()?)
}

/// The drive that a path really lies on, by the nearest folder that exists.
fn drive_of(path: &Path) -> Option<char> {
    match real(path)?.components().next()? {
        Component::Prefix(prefix) => match prefix.kind() {
            Prefix::Disk(letter) | Prefix::VerbatimDisk(letter) => {
                Some(char::from(letter).to_ascii_uppercase())
            }
            _ => None,
        },
        _ => None,
    }
}

/// Where the nearest folder to a path that exists really lies; the path itself, where none
/// does.
fn real(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    Some(absolute.ancestors().find_map(|at| at.canonicalize().ok()).unwrap_or(absolute))
}

/// The machine that runs: its drives under the letters they have now.
fn machine(parts: Vec<Part>, wanted: &Wanted) -> HostEvidence {
    let mut found = Found::default();
    let is_windows = parts.first().is_some_and(|part| part.role() == Role::Windows);
    for part in parts {
        let prefix = part.place.prefix();
        found.problems.extend(part.problems);
        found.unread.extend(part.unread);
        match part.opened {
            Opened::Raw(volume) => found.add(*volume, &prefix, "raw", None),
            Opened::Files(_) => found.members.push(Member {
                filesystem: Box::new(drive::folder(&part.place, &prefix, wanted)),
                prefix,
                snapshot: String::new(),
                method: "api",
            }),
            Opened::Nothing => {}
        }
    }
    let layout = if is_windows { Layout::WindowsVolume } else { Layout::Loose };
    let name = std::env::var("COMPUTERNAME").unwrap_or_else(|_| "host".to_owned());
    let tree = Volumes::new(found.members, true);
    let host = HostEvidence::new(LABEL.to_owned(), name, layout, tree);
    HostEvidence { problems: found.problems, unread: found.unread, ..host }
}

/// A drive by itself, as an image of it would be: its Windows is not the one that runs.
fn foreign(part: Part, wanted: &Wanted, letters: &DriveLetters<'_>) -> HostEvidence {
    let place = &part.place;
    let label = format!("{LABEL}:{}", place.name);
    let name = place.name.trim_end_matches(':').to_owned();
    let role = part.role();
    let mut host = match part.opened {
        Opened::Raw(volume) => {
            let volumes = vec![*volume];
            let mut known = image::given_by_first(&volumes, letters);
            if let Some(letter) = place.letter.filter(|_| role == Role::Data) {
                known = vec![(letter, place.id())];
            }
            image::assemble((label, name), volumes, &known, "raw", None)
        }
        Opened::Files(Role::Windows) => {
            let tree = drive::folder(place, "C:\\", wanted);
            HostEvidence::new(label, name, Layout::WindowsVolume, tree)
        }
        Opened::Files(_) | Opened::Nothing => {
            let tree = drive::folder(place, &place.prefix(), wanted);
            HostEvidence::new(label, name, Layout::Loose, tree)
        }
    };
    host.problems.extend(part.problems);
    host.unread.extend(part.unread);
    host
}

/// The machine's name and the hour it was started, which no restart repeats.
pub(super) fn identity(wanted: &Wanted) -> String {
    let machine = std::env::var("COMPUTERNAME").unwrap_or_default();
    format!("{machine} started {} {:?}", ask::started().unwrap_or_default(), wanted.volumes)
}

pub(super) fn preflight(wanted: &Wanted) -> Preflight {
    ask::keep_quiet();
    let all_rights = ask::is_elevated();
    let rights = if all_rights {
        "administrator".to_owned()
    } else {
        "no administrator: volumes cannot be read raw, so locked hives and logs, removed files, \
         the change journal and other users' files are lost"
            .to_owned()
    };
    let mut volumes = Vec::new();
    for (place, kind) in all() {
        let is_named = wanted.volumes.iter().any(|name| is_called(&place, name));
        let remark = match (wanted.volumes.is_empty(), is_named) {
            (true, _) => left_out(&place, kind, wanted).map(str::to_owned),
            (false, true) => None,
            (false, false) => Some("not asked for; not read".to_owned()),
        };
        // A machine elsewhere and an empty drive are not asked for more.
        let root = Some(place.asked()).filter(|_| kind != Drive::Network);
        let space = root.as_deref().and_then(|root| ask::space(Path::new(root)));
        let (size, free, _) = space.unwrap_or_default();
        let file_system = root.as_deref().and_then(ask::file_system);
        volumes.push(VolumeFacts {
            name: place.name,
            kind: file_system.unwrap_or_default(),
            size,
            used: size.saturating_sub(free),
            remark: remark.unwrap_or_default(),
        });
    }
    Preflight { rights, all_rights, volumes }
}

/// Results may go to what can be pulled or belongs to another machine; with `--volume`,
/// to every drive not named.
pub(super) fn holds_evidence(wanted: &Wanted, folder: &Path) -> Option<PathBuf> {
    let letter = drive_of(folder)?;
    let kind = ask::drives().into_iter().find(|(known, _)| *known == letter)?.1;
    let is_evidence = if wanted.volumes.is_empty() {
        letter == system_drive() || kind == Drive::Fixed && !may_be_pulled(letter, kind)
    } else {
        wanted.volumes.iter().any(|name| letter_in(name) == Some(letter))
            || lies_on_unlettered(wanted, folder)
    };
    is_evidence.then(|| PathBuf::from(format!("{letter}:\\")))
}

/// Whether a folder lies in the place where a named volume without a letter stands.
fn lies_on_unlettered(wanted: &Wanted, folder: &Path) -> bool {
    let Some(real) = real(folder) else { return false };
    let is_meant = |place: &Place| wanted.volumes.iter().any(|name| is_called(place, name));
    let unlettered = all().into_iter().map(|(place, _)| place).filter(|p| p.letter.is_none());
    let mut places =
        unlettered.filter(is_meant).filter_map(|place| ask::places_of(&place.asked())).flatten();
    places.any(|place| is_below(&real, &place))
}

/// Whether a real path (`\\?\C:\mnt\data\out`) is that place or lies below it
/// (`C:\mnt\data\`).
fn is_below(path: &Path, place: &str) -> bool {
    let path = path.to_string_lossy();
    let path = format!("{}\\", path.strip_prefix(r"\\?\").unwrap_or(&path));
    path.get(..place.len()).is_some_and(|start| start.eq_ignore_ascii_case(place))
}

pub(super) fn be_gentle() -> Result<(), String> {
    ask::be_gentle().map_err(|error| error.to_string())
}

pub(super) fn memory_used() -> Option<u64> {
    ask::memory_used()
}

pub(super) fn free_space(at: &Path) -> Option<u64> {
    ask::space(at).map(|(_, _, mine)| mine)
}

pub(super) fn has_own_window() -> bool {
    ask::sole_process_of_console()
}
