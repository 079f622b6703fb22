//! Evidence is never written to: neither its bytes nor its times change, also where nothing
//! may be written, and under strace no call of the program could have changed it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod lab;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

const HOST: &str = "testdata/hosts/JUMP-01";
/// What may be asked about evidence without changing it; of these, opening only for reading.
const HARMLESS: [&str; 23] = [
    "access",
    "faccessat",
    "faccessat2",
    "stat",
    "stat64",
    "lstat",
    "fstatat64",
    "newfstatat",
    "statx",
    "readlink",
    "readlinkat",
    "open",
    "openat",
    "openat2",
    "getxattr",
    "lgetxattr",
    "listxattr",
    "llistxattr",
    "statfs",
    "execve",
    "getcwd",
    "chdir",
    "inotify_add_watch",
];
const WRITING: [&str; 5] = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"];
/// Calls by name, and those by descriptor that change a file.
const TRACED: &str =
    "trace=%file,ftruncate,fchmod,fchown,fallocate,fsetxattr,fremovexattr,futimesat,utimensat";

/// What is there: kind, SHA-256, length, last modification, by path.
type State = BTreeMap<String, (bool, String, u64, SystemTime)>;

/// The sample image and a host's files, in a folder that nobody may write to.
fn evidence() -> TempDir {
    let place = TempDir::new().unwrap();
    fs::create_dir(place.path().join("image")).unwrap();
    fs::copy(lab::image(), place.path().join("image/disk.E01")).unwrap();
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join(HOST);
    for entry in walkdir::WalkDir::new(&host).into_iter().flatten() {
        let to = place.path().join("host").join(entry.path().strip_prefix(&host).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(to).unwrap();
        } else if entry.file_type().is_file() {
            fs::copy(entry.path(), to).unwrap();
        }
    }
    forbid(place.path(), true);
    place
}

/// Takes or gives back the permission to write, of everything below a folder.
fn forbid(folder: &Path, readonly: bool) {
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten() {
        let mut permissions = entry.metadata().unwrap().permissions();
        #[allow(clippy::permissions_set_readonly_false)]
        permissions.set_readonly(readonly);
        fs::set_permissions(entry.path(), permissions).unwrap();
    }
}

fn state(folder: &Path) -> State {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            let hash = if entry.file_type().is_file() {
                let digest = Sha256::digest(fs::read(entry.path()).unwrap());
                digest.iter().map(|byte| format!("{byte:02x}")).collect()
            } else {
                String::new()
            };
            let kind = entry.file_type().is_dir();
            let path = entry.path().to_string_lossy().into_owned();
            (path, (kind, hash, metadata.len(), metadata.modified().unwrap()))
        })
        .collect()
}

/// Scans with a bundle, so that evidence is copied, too.
fn arguments(source: &Path, out: &Path) -> Vec<String> {
    let source = source.to_str().unwrap().to_owned();
    let out = out.to_str().unwrap().to_owned();
    let all = ["scan", "--progress", "none", "--collect", "all", "-o"];
    all.into_iter().map(str::to_owned).chain([out, source]).collect()
}

#[test]
fn evidence_is_the_same_after_a_scan() {
    let evidence = evidence();
    let before = state(evidence.path());
    assert!(before.len() > 30);
    for source in ["image/disk.E01", "host", ""] {
        let out = TempDir::new().unwrap();
        let ran = Command::new(env!("CARGO_BIN_EXE_adit"))
            .args(arguments(&evidence.path().join(source), &out.path().join("out")))
            .output()
            .unwrap();
        assert_eq!(
            ran.status.code(),
            Some(0),
            "{source}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        assert!(before == state(evidence.path()), "{source}: the evidence was changed");
    }
    forbid(evidence.path(), false);
}

/// Whether strace is installed and may trace here.
fn strace() -> bool {
    let mut command = Command::new("strace");
    command.args(["-qq", "-e", "trace=none", "true"]).stdin(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
#[cfg(target_os = "linux")]
fn no_call_could_change_the_evidence() {
    if !strace() {
        eprintln!("SKIPPED: strace is not installed or may not trace: calls were not checked");
        return;
    }
    let evidence = evidence();
    for source in ["image/disk.E01", "host"] {
        let source = evidence.path().join(source);
        let out = TempDir::new().unwrap();
        let log = out.path().join("calls");
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-qq", "-s", "4096", "-e", TRACED, "-o"]).arg(&log);
        command.arg(env!("CARGO_BIN_EXE_adit"));
        command.args(arguments(&source, &out.path().join("out"))).current_dir(out.path());
        let ran = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
        let calls = fs::read_to_string(&log).unwrap();
        let place = evidence.path().to_str().unwrap();
        let about: Vec<&str> = calls.lines().filter(|line| line.contains(place)).collect();
        assert!(about.iter().any(|line| call(line).starts_with("open")), "nothing was opened");
        let wrong: Vec<_> = about.iter().filter(|line| !is_harmless(line)).collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", source.display());
    }
    forbid(evidence.path(), false);
}

/// The name of the call of a line: `1234 openat(AT_FDCWD, …`.
fn call(line: &str) -> &str {
    line.split('(').next().unwrap_or_default().rsplit(' ').next().unwrap_or_default()
}

fn is_harmless(line: &str) -> bool {
    // The second half of a call that another thread's interrupted: its first half was judged.
    if line.contains(" resumed>") {
        return true;
    }
    HARMLESS.contains(&call(line))
        && (!call(line).starts_with("open") || !WRITING.iter().any(|flag| line.contains(flag)))
}

#[test]
fn calls_that_write_are_told_from_those_that_read() {
    let open = |flags: &str| format!("17 openat(AT_FDCWD</x>, \"/e/disk\", {flags}) = 3</e/disk>");
    assert!(is_harmless(&open("O_RDONLY|O_CLOEXEC")));
    for flags in ["O_RDWR", "O_WRONLY|O_CREAT|O_TRUNC, 0666", "O_RDONLY|O_CREAT, 0666"] {
        assert!(!is_harmless(&open(flags)), "{flags}");
    }
    assert!(is_harmless("17 statx(AT_FDCWD</x>, \"/e\", AT_STATX_SYNC_AS_STAT, …) = 0"));
    assert!(!is_harmless("17 unlink(\"/e/disk\") = 0"));
    assert!(!is_harmless("17 utimensat(AT_FDCWD</x>, \"/e/disk\", NULL, 0) = 0"));
    assert!(!is_harmless("17 ftruncate(5</e/disk>, 0) = 0"));
}
