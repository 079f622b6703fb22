//! Programs that start at logon or in another's place: the run keys and their kin, of
//! the machine (SOFTWARE) and of a user (NTUSER.DAT).

use std::fmt::Write;
use std::ops::ControlFlow;

use crate::model::Record;

use super::{Data, Hive, Key, NamedValue, Output, add, record_of, target};

/// A place of programs that start by themselves.
struct Place {
    /// Below `SOFTWARE`, or below `Software` of a user.
    path: &'static str,
    /// Only these values; empty: all.
    values: &'static [&'static str],
    /// Levels below that hold such values too.
    depth: usize,
}

const fn all(path: &'static str) -> Place {
    Place { path, values: &[], depth: 0 }
}

/// Where programs are named that start at logon, or when another one does.
///
/// Source: Microsoft's documentation of Run and RunOnce, Winlogon and the
/// `Windows` key; MITRE ATT&CK T1547.001, T1546.008, T1546.010, T1546.012, T1037.
const PLACES: &[Place] = &[
    all(r"Microsoft\Windows\CurrentVersion\Run"),
    all(r"Microsoft\Windows\CurrentVersion\RunOnce"),
    Place { path: r"Microsoft\Windows\CurrentVersion\RunOnceEx", values: &[], depth: 1 },
    all(r"Microsoft\Windows\CurrentVersion\RunServices"),
    all(r"Microsoft\Windows\CurrentVersion\RunServicesOnce"),
    all(r"Microsoft\Windows\CurrentVersion\Policies\Explorer\Run"),
    all(concat!(
        r"Microsoft\Windows NT\CurrentVersion\Terminal Server\Install\Software\",
        r"Microsoft\Windows\CurrentVersion\Run"
    )),
    all(concat!(
        r"Microsoft\Windows NT\CurrentVersion\Terminal Server\Install\Software\",
        r"Microsoft\Windows\CurrentVersion\RunOnce"
    )),
    Place {
        path: r"Microsoft\Windows NT\CurrentVersion\Winlogon",
        values: &["Shell", "Userinit", "Taskman", "VmApplet", "System", "AppSetup"],
        depth: 0,
    },
    Place {
        path: r"Microsoft\Windows NT\CurrentVersion\Windows",
        values: &["Load", "Run", "AppInit_DLLs", "IconServiceLib"],
        depth: 0,
    },
    Place {
        path: r"Microsoft\Windows NT\CurrentVersion\Image File Execution Options",
        values: &["Debugger", "VerifierDlls"],
        depth: 2,
    },
    Place {
        path: r"Microsoft\Windows NT\CurrentVersion\SilentProcessExit",
        values: &["MonitorProcess"],
        depth: 1,
    },
    Place { path: r"Microsoft\Command Processor", values: &["AutoRun"], depth: 0 },
    Place { path: r"Microsoft\Active Setup\Installed Components", values: &["StubPath"], depth: 1 },
    Place { path: r"Microsoft\NetSh", values: &[], depth: 0 },
    Place {
        path: r"Microsoft\Windows\CurrentVersion\Group Policy\Scripts",
        values: &["Script"],
        depth: 3,
    },
    Place { path: r"Policies\Microsoft\Windows\System\Scripts", values: &["Script"], depth: 3 },
];

/// What stands before a place's path: of the machine, of a user, each also for
/// 32-bit programs.
const PREFIXES: &[&str] = &["", r"Wow6432Node\", r"Software\", r"Software\Wow6432Node\"];
/// Bytes shown of a value that is no text.
const MAX_SHOWN_BYTES: usize = 256;

/// Pushes every value of every place, in the order of the tables.
pub fn push_live(hive: &mut Hive, output: &mut Output<'_>) -> ControlFlow<()> {
    let roots: Vec<String> = hive.below("", 1).into_iter().map(|key| key.name).collect();
    for prefix in PREFIXES {
        let first = prefix.split('\\').next().filter(|name| !name.is_empty());
        if !roots.iter().any(|name| name.eq_ignore_ascii_case(first.unwrap_or("Microsoft"))) {
            continue;
        }
        for place in PLACES {
            let path = format!("{prefix}{}", place.path);
            let Some(key) = hive.key(&path) else { continue };
            push_key(&key, place, output)?;
            for key in hive.below(&path, place.depth) {
                push_key(&key, place, output)?;
            }
        }
    }
    ControlFlow::Continue(())
}

/// Pushes the values of carved keys that are such places, as far as their path
/// tells; in a `damaged` hive one name on the way may be misspelt.
pub fn push_carved(keys: &[Key], damaged: bool, output: &mut Output<'_>) -> ControlFlow<()> {
    let (deleted, live): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| key.recovered);
    for key in live.into_iter().chain(deleted) {
        if let Some(place) = PLACES.iter().find(|place| is_at(key, place, damaged)) {
            push_key(key, place, output)?;
        }
    }
    ControlFlow::Continue(())
}

/// Whether a key is that place, or may be it when only the tail of its path is left.
fn is_at(key: &Key, place: &Place, damaged: bool) -> bool {
    let above = key.path.rsplit_once('\\').map(|(above, _)| above).filter(|_| place.depth > 0);
    [Some(key.path.as_str()), above].into_iter().flatten().any(|path| {
        let exact = |prefix: &&str| path.eq_ignore_ascii_case(&format!("{prefix}{}", place.path));
        if key.rooted && !damaged {
            return PREFIXES.iter().any(exact);
        }
        let whole = path.matches('\\').count() >= place.path.matches('\\').count();
        (whole || !key.rooted) && ends_alike(path, place.path, usize::from(damaged))
    })
}

/// Whether the last names of two paths are the same and at most `misspelt` of
/// those before them differ, as far as both reach.
fn ends_alike(path: &str, place: &str, misspelt: usize) -> bool {
    let pairs = path.rsplit('\\').zip(place.rsplit('\\'));
    let same: Vec<bool> = pairs.map(|(a, b)| a.eq_ignore_ascii_case(b)).collect();
    same.first() == Some(&true) && same.iter().filter(|same| !**same).count() <= misspelt
}

fn push_key(key: &Key, place: &Place, output: &mut Output<'_>) -> ControlFlow<()> {
    for value in &key.values {
        let wanted = place.values.is_empty()
            || place.values.iter().any(|name| name.eq_ignore_ascii_case(&value.name));
        if wanted {
            output.push(run_key(key, value))?;
        }
    }
    ControlFlow::Continue(())
}

fn run_key(key: &Key, value: &NamedValue) -> Record {
    let mut record = record_of(key, "run_key", Some(value.name.clone()));
    add(&mut record, "TargetObject", target(key, Some(&value.name)));
    add(&mut record, "ValueName", value.name.clone());
    add(&mut record, "Details", shown(&value.data));
    record
}

/// Text as it is, numbers in decimal, the rest as hexadecimal digits.
fn shown(data: &Data) -> String {
    match data {
        Data::Dword(n) => n.to_string(),
        Data::Qword(n) => n.to_string(),
        Data::Binary(bytes) => {
            let mut text = String::new();
            for byte in bytes.iter().take(MAX_SHOWN_BYTES) {
                let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
            }
            text
        }
        other => other.text().unwrap_or_default(),
    }
}
