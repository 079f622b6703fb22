//! Nothing is written but results: every call of everything that Wine runs for a program
//! is watched, its server's included, and the registry is compared.
//!
//! What Wine does for any program is told by one that does nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Machine, windows_path};

/// Calls that change files, by name or by descriptor; of those that open, `WRITING` tells.
const CALLS: &str = "trace=open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,unlink,unlinkat,\
    rmdir,rename,renameat,renameat2,link,linkat,symlink,symlinkat,truncate,ftruncate,fallocate,\
    chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,utime,utimes,utimensat,futimesat,setxattr,\
    lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr";
const WRITING: [&str; 5] = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"];
/// The registry as Wine keeps it.
const HIVES: [&str; 3] = ["system.reg", "user.reg", "userdef.reg"];

/// What is written where, `call path`, and what keys of the registry.
#[derive(Debug, Default)]
struct Seen {
    files: BTreeSet<String>,
    keys: BTreeSet<String>,
    code: Option<i32>,
    said: String,
}

impl Seen {
    /// What lies below a folder or is that file.
    fn below(&self, at: &Path) -> BTreeSet<&str> {
        let is_below = |line: &&str| {
            line.split_once(' ').is_some_and(|(_, path)| Path::new(path).starts_with(at))
        };
        self.files.iter().map(String::as_str).filter(is_below).collect()
    }
}

/// A key's time and values, by its name.
type Keys = BTreeMap<String, String>;

fn keys(machine: &Machine) -> Keys {
    let mut keys = Keys::new();
    for hive in HIVES {
        let bytes = fs::read(machine.at("prefix").join(hive)).unwrap_or_default();
        let mut key = String::new();
        for line in String::from_utf8_lossy(&bytes).lines() {
            if line.starts_with('[') {
                key = format!("{hive} {}", line.split(']').next().unwrap_or_default());
            }
            let values = keys.entry(key.clone()).or_default();
            values.push_str(line);
            values.push('\n');
        }
    }
    assert!(keys.len() > 100, "the registry is not where it is looked for");
    keys
}

/// Runs a program with a server of its own, all of it watched.
fn watch(machine: &Machine, arguments: &[String]) -> Seen {
    machine.end();
    let before = keys(machine);
    let log = machine.at("calls");

    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "--seccomp-bpf", "-s", "4096", "-e", CALLS, "-o"]).arg(&log);
    let script = r#"wine "$@"; code=$?; wineserver -k; wineserver -w; exit $code"#;
    command.args(["sh", "-c", script, "sh"]).args(arguments).stdin(Stdio::null());
    machine.within(&mut command);
    let output = command.output().unwrap();
    let after = keys(machine);
    let same = |(key, values): &(&String, &String)| before.get(*key) == Some(values);
    let changed = after.iter().filter(|pair| !same(pair)).map(|(key, _)| key.clone());
    let gone = before.keys().filter(|key| !after.contains_key(*key)).cloned();
    let calls = fs::read_to_string(&log).unwrap();
    Seen {
        files: calls.lines().flat_map(|line| changes(machine, line)).collect(),
        keys: changed.chain(gone).collect(),
        code: output.status.code(),
        said: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    }
}

/// What a line of the log changes, as `call path`, drives resolved.
fn changes(machine: &Machine, line: &str) -> Vec<String> {
    // The second half of a call that another interrupted; the first half has the names. And
    // a call of a process that was ended before it made it.
    if line.contains(" resumed>") || line.contains(" ???(") {
        return Vec::new();
    }
    let (call, arguments) = line.split_once('(').unwrap_or_default();
    let call = call.rsplit(' ').next().unwrap_or_default();
    if call.is_empty() || call.starts_with("open") && !WRITING.iter().any(|f| line.contains(f)) {
        return Vec::new();
    }
    let mut named: Vec<&str> = arguments.split('"').skip(1).step_by(2).collect();
    if call.starts_with("symlink") {
        // What it leads to need not be there.
        named = named.split_off(1);
    } else if !call.starts_with("rename") && !call.starts_with("link") {
        named.truncate(1);
    }
    if named.is_empty() {
        named.extend(arguments.split(['<', '>']).nth(1));
    }
    let named = named.into_iter().map(|path| resolved(machine, path));
    named.map(|path| format!("{call} {}", path.display())).collect()
}

/// A path without the links that stand for drives. What is not absolute is the server's
/// own and numbered.
fn resolved(machine: &Machine, path: &str) -> PathBuf {
    let devices = machine.at("prefix/dosdevices");
    if let Ok(below) = Path::new(path).strip_prefix(&devices) {
        let mut parts = below.components();
        let drive = parts.next().map(|drive| devices.join(drive));
        let target = drive.as_ref().and_then(|drive| drive.canonicalize().ok());
        // An empty rest would add a separator.
        return match (target, parts.as_path()) {
            (Some(target), rest) if rest.as_os_str().is_empty() => target,
            (Some(target), rest) => target.join(rest),
            (None, _) => PathBuf::from(path),
        };
    }
    match Path::new(path) {
        absolute if absolute.starts_with("/proc") => "/proc".into(),
        absolute if absolute.starts_with("/dev") => "/dev".into(),
        // Where the server keeps its socket and what programs share in memory.
        absolute if absolute.is_absolute() && path.contains("/server-") => "/server".into(),
        absolute if absolute.is_absolute() => absolute.to_owned(),
        _ if path.starts_with("reg") && path.ends_with(".tmp") => "reg.tmp".into(),
        relative => path.split('-').next().map_or(relative.into(), PathBuf::from),
    }
}

fn run(machine: &Machine, out: String, more: &[&str]) -> Vec<String> {
    let exe = machine.exe.to_str().unwrap();
    let start = [exe, "live", "--volume", "D:", "--progress", "none", "-o"].map(str::to_owned);
    let more = more.iter().map(|word| (*word).to_owned());
    start.into_iter().chain([out]).chain(more).collect()
}

/// Whether strace is installed, may trace, and knows how to be quick about it.
fn able() -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "--seccomp-bpf", "-e", "trace=openat", "true"]);
    let able = command.stdin(Stdio::null()).stderr(Stdio::null()).status();
    able.is_ok_and(|status| status.success())
}

/// No file of the suspect volume, of its device, or of the drive of the system is opened
/// for writing, made, renamed, removed, cut or given other times, no key of the registry
/// is written: beyond what Wine does for a program that does nothing.
pub(super) fn nothing_is_written_but_results(machine: &Machine) {
    if !able() {
        eprintln!("SKIPPED: strace is not installed or may not trace: writes were not watched");
        return;
    }
    machine.link("d::", &machine.volume());
    let idle = [machine.compile("idle").to_str().unwrap().to_owned()];
    // What a new machine does at its second start, and what at every further one.
    let [_, idle] = [(); 2].map(|()| watch(machine, &idle));
    assert_eq!(idle.code, Some(0), "{}", idle.said);

    let out = machine.at("watched");
    let seen = watch(machine, &run(machine, windows_path(out.clone()), &[]));
    assert_eq!(seen.code, Some(0), "{}", seen.said);
    let results = seen.below(&out);
    assert!(results.iter().any(|line| line.contains("timeline.csv")), "{results:?}");
    let mut wrong: Vec<&str> = seen.files.difference(&idle.files).map(String::as_str).collect();
    wrong.retain(|line| !results.contains(line));
    assert!(wrong.is_empty(), "written outside of the results: {wrong:#?}");
    let suspect = [machine.files(), machine.volume()];
    suspect.iter().for_each(|at| assert!(seen.below(at).is_empty(), "{:?}", seen.below(at)));
    let wrong: Vec<_> = seen.keys.difference(&idle.keys).collect();
    assert!(wrong.is_empty(), "keys of the registry: {wrong:#?}");

    what_is_written_is_seen(machine, &idle);
}

/// The same watch sees what is written to the suspect volume, to the drive of the system
/// and to the registry.
fn what_is_written_is_seen(machine: &Machine, idle: &Seen) {
    let allowed = [&super::QUICK[..], &["--allow-output-on-source"]].concat();
    let seen = watch(machine, &run(machine, r"D:\out".into(), &allowed));
    assert_eq!(seen.code, Some(0), "{}", seen.said);
    let found = seen.below(&machine.files().join("out"));
    for what in ["mkdir", "openat", "rename"] {
        assert!(found.iter().any(|line| line.starts_with(what)), "{what}: {found:#?}");
    }
    fs::remove_dir_all(machine.files().join("out")).unwrap();
    let writer = machine.compile("writer").to_str().unwrap().to_owned();
    let folders = [machine.files(), machine.at("prefix/drive_c/windows")];
    let seen = watch(machine, &[writer, r"D:\".into(), r"C:\windows".into()]);
    assert!(seen.said.contains("written"), "{}", seen.said);
    let own: BTreeSet<&str> = seen.files.difference(&idle.files).map(String::as_str).collect();
    for folder in folders {
        for (call, name) in [
            ("openat", "made"),
            ("rename", "made"),
            ("rename", "renamed"),
            ("utimensat", "renamed"),
            ("unlink", "renamed"),
            ("mkdir", "folder"),
            ("rmdir", "folder"),
        ] {
            let line = format!("{call} {}", folder.join(name).display());
            assert!(own.contains(line.as_str()), "{line} is not in {own:#?}");
        }
    }
    let keys: Vec<_> = seen.keys.difference(&idle.keys).collect();
    assert!(keys.iter().any(|key| key.contains("Writer")), "{keys:#?}");
}
