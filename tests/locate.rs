//! From a source to the files that parsers get: layouts, links, names, definitions.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::fs;
use std::path::{Path, PathBuf};

use adit::artifact::{Artifacts, Expected, Locations, Presence, Questions, locate};
use adit::model::{EvidencePath, Input, Os, Sink};
use adit::parse::{ParseError, Parser};
use adit::source::{self, Clues, Filesystem, HostEvidence, Kind, Layout, SourceError};

/// Knows a format by its first bytes and reads nothing.
struct Known(&'static str, &'static [u8]);

impl Parser for Known {
    fn name(&self) -> &'static str {
        self.0
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        start.starts_with(self.1)
    }

    fn parse(&self, _: &Input<'_>, _: &mut dyn Sink) -> Result<(), ParseError> {
        Ok(())
    }
}

/// Simple recognisers of the formats that these tests put into files.
const KNOWN: [&dyn Parser; 9] = [
    &Known("evtx", b"ElfFile\0"),
    &Known("event_xml", b"<Event "),
    &Known("registry", b"regf"),
    &Known("ngrok_config", b"authtoken:"),
    &Known("ngrok_log", b"t=2"),
    &Known("pe", b"MZ"),
    &Known("usn_journal", b"USN "),
    &Known("directory_index", b"INDX"),
    &Known("zip", b"PK\x03\x04"),
];

const CLUES: Clues<'_> = Clues { letters: &|_, _| Vec::new(), knows: None };

/// Those, and every other parser as it is.
fn parsers() -> Vec<&'static dyn Parser> {
    let known = |parser: &&&dyn Parser| KNOWN.iter().any(|known| known.name() == parser.name());
    let others = adit::parse::PARSERS.iter().filter(|parser| !known(parser));
    KNOWN.iter().chain(others).copied().collect()
}

const LOG: &str = "ElfFile\0 an event log of sorts";
const HIVE: &str = "regf and some more bytes of it";
const PROGRAM: &str = "MZ and some more bytes of it";
const CONFIG: &str = "authtoken: x\nversion: 2\ntunnels: {}\n";

/// A folder with those files; a path that ends in `/` is an empty folder.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let at = folder.path().join(path);
        if path.ends_with('/') {
            fs::create_dir_all(at).unwrap();
        } else {
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, content).unwrap();
        }
    }
    folder
}

fn open(at: &Path) -> Vec<HostEvidence> {
    source::open(at, CLUES).unwrap()
}

fn refusal(at: &Path) -> String {
    source::open(at, CLUES).err().unwrap().to_string()
}

fn walked(filesystem: &dyn Filesystem) -> Vec<String> {
    let mut paths = Vec::new();
    filesystem.walk(&mut |entry| paths.push(entry.path.to_string()), &mut |_| {});
    paths
}

fn problems(filesystem: &dyn Filesystem) -> Vec<String> {
    let mut messages = Vec::new();
    filesystem.walk(&mut |_| {}, &mut |problem| messages.push(problem.message));
    messages
}

fn located(host: &HostEvidence) -> Locations {
    let artifacts = Artifacts::builtin().unwrap().of(Some(Os::Windows));
    let names = |paths: &[&str]| paths.iter().map(|path| path.contains("ngrok")).collect();
    let questions = Questions { names: &names, settles: &|_, _, _| None };
    locate(host.filesystem.as_ref(), &artifacts, &parsers(), &questions)
}

/// `artifact path +sidecars` of every located file.
fn lines(locations: &Locations) -> Vec<String> {
    let line = |located: &adit::artifact::Located| {
        let sidecars: String =
            located.sidecars.iter().map(|entry| format!(" +{}", entry.path.file_name())).collect();
        format!("{} {}{sidecars}", located.artifact, located.entry.path)
    };
    locations.files.iter().map(line).collect()
}

fn presence(locations: &Locations, artifact: &str) -> Presence {
    let of = |expected: &&Expected| &*expected.artifact == artifact;
    locations.expected.iter().find(of).unwrap().presence
}

fn read(host: &HostEvidence, path: &str) -> Option<String> {
    let entry = host.filesystem.entry(&EvidencePath::new(path))?;
    let file = host.filesystem.open(&entry).ok()?;
    let mut bytes = vec![0; usize::try_from(file.size()).unwrap()];
    let n = file.read_at(0, &mut bytes).unwrap();
    Some(String::from_utf8(bytes[..n].to_vec()).unwrap())
}

#[test]
fn a_windows_volume_is_known_in_any_case() {
    let folder = tree(&[
        ("WINDOWS/system32/WinEvt/Logs/security.EVTX", LOG),
        ("WINDOWS/system32/winevt2/x.txt", "x"),
        ("WINDOWS/system32/config/system", HIVE),
        ("WINDOWS/system32/config/SYSTEM.log1", HIVE),
        ("WINDOWS/system32/config/system.LOG2", ""),
        ("Users/jane/AppData/Local/ngrok/ngrok.yml", "not: recognised by content\n"),
        ("Users/jane/Downloads/notes.txt", PROGRAM),
    ]);
    let hosts = open(folder.path());
    let [host] = &hosts[..] else { panic!("one host") };
    assert_eq!(host.layout, Layout::WindowsVolume);
    assert!(host.filesystem.case_insensitive());
    let found = located(host);
    assert_eq!(
        lines(&found),
        [
            r"windows.tunnel.ngrok_config C:\Users\jane\AppData\Local\ngrok\ngrok.yml",
            r"windows.filesystem.executable C:\Users\jane\Downloads\notes.txt",
            r"windows.registry.system C:\WINDOWS\system32\config\system +SYSTEM.log1 +system.LOG2",
            r"windows.evtx.security C:\WINDOWS\system32\WinEvt\Logs\security.EVTX",
        ]
    );
    let names: Vec<&str> = found.names.iter().map(|entry| entry.path.file_name()).collect();
    assert_eq!(names, ["ngrok", "ngrok.yml"]);
    assert_eq!(presence(&found, "windows.evtx.security"), Presence::InPlace);
    assert_eq!(presence(&found, "windows.evtx.system"), Presence::Absent);
    assert!(found.problems.is_empty(), "{:?}", found.problems);
}

#[test]
fn a_path_is_opened_and_looked_up_without_case() {
    let folder = tree(&[("Windows/System32/a.txt", "abc"), ("Users/Zoë/b.txt", "def")]);
    let hosts = open(folder.path());
    assert_eq!(read(&hosts[0], r"C:\Windows\System32\a.txt").as_deref(), Some("abc"));
    assert_eq!(read(&hosts[0], r"c:\WINDOWS\system32\A.TXT").as_deref(), Some("abc"));
    let entry = hosts[0].filesystem.entry(&EvidencePath::new(r"c:\users\ZOË\B.txt")).unwrap();
    assert_eq!((entry.path.as_str(), entry.size), (r"C:\Users\Zoë\b.txt", 3));
    for path in
        ["", r"C:\", r"C:\Users", r"C:\..\a", r"C:\Windows\..\Users\Zoë\b.txt", r"C:\/etc/passwd"]
    {
        assert_eq!(read(&hosts[0], path), None, "{path}");
    }
}

#[test]
fn drives_side_by_side_are_one_host() {
    for (system, data) in [("C", "D"), ("c", "d"), ("C_", "D_"), ("C%3A", "%5C%5C.%5CD%3A")] {
        let folder = tree(&[
            (&format!("{system}/Windows/System32/winevt/Logs/System.evtx"), LOG),
            (&format!("{data}/tools/n.exe"), PROGRAM),
            ("collection.log", "written by the collector"),
        ]);
        let hosts = open(folder.path());
        assert_eq!(hosts.len(), 1);
        assert_eq!(hosts[0].layout, Layout::Drives);
        assert_eq!(
            lines(&located(&hosts[0])),
            [
                r"windows.evtx.system C:\Windows\System32\winevt\Logs\System.evtx",
                r"windows.filesystem.executable D:\tools\n.exe",
            ]
        );
        assert!(walked(hosts[0].filesystem.as_ref()).contains(&"collection.log".to_owned()));
        assert!(read(&hosts[0], "collection.log").is_some());
    }
    let folder = tree(&[("D/n.exe", PROGRAM)]);
    assert_eq!(open(folder.path())[0].layout, Layout::Drives);
}

#[test]
fn many_hosts_are_told_apart_from_the_rest() {
    let folder = tree(&[
        ("hosts/WS01/C/Windows/System32/x.txt", "x"),
        ("hosts/ws02/Windows/System32/x.txt", "x"),
        ("WS03/uploads/auto/C%3A/Users/jane/x.txt", "x"),
        ("WS03/results/log.json", "{}"),
        ("notes/log.json", "{}"),
        ("srv/etc/hostname", "srv"),
        ("srv/var/log/", ""),
    ]);
    let hosts = open(folder.path());
    let told: Vec<(&str, Layout)> =
        hosts.iter().map(|host| (host.name.as_str(), host.layout)).collect();
    let own = folder.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(
        told,
        [
            ("WS01", Layout::Drives),
            ("ws02", Layout::WindowsVolume),
            ("srv", Layout::LinuxRoot),
            ("WS03", Layout::Collection),
            (own, Layout::Loose),
        ]
    );
    assert_eq!(hosts[2].layout.os(), Some(Os::Linux));
    assert_eq!(walked(hosts[2].filesystem.as_ref())[..2], ["/etc", "/etc/hostname"]);
    let collected = walked(hosts[3].filesystem.as_ref());
    assert!(collected.contains(&r"C:\Users\jane\x.txt".to_owned()), "{collected:?}");
    assert!(collected.contains(&"results/log.json".to_owned()), "{collected:?}");
    let rest = walked(hosts[4].filesystem.as_ref());
    assert!(rest.contains(&"notes/log.json".to_owned()), "{rest:?}");
    assert!(!rest.iter().any(|path| path.starts_with("WS03/")), "{rest:?}");
    assert!(!rest.iter().any(|path| path.ends_with("x.txt")), "{rest:?}");
    assert!(hosts[0].label.ends_with("WS01"), "{}", hosts[0].label);

    let folder = tree(&[
        ("paris/WS01/Windows/System32/x.txt", "x"),
        ("paris/WS02/tree/Windows/System32/x.txt", "x"),
    ]);
    let hosts = open(folder.path());
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["WS01", "WS02"]);
}

#[test]
fn a_loose_folder_is_known_by_content_and_names() {
    let folder = tree(&[
        ("logs/Security.evtx", LOG),
        ("logs/renamed.bin", LOG),
        ("hives/SYSTEM", HIVE),
        ("hives/SYSTEM.LOG", HIVE),
        ("hives/SYSTEM.LOG1", PROGRAM),
        ("n.yml", CONFIG),
        ("tiny.exe", "MZ"),
    ]);
    let hosts = open(folder.path());
    assert_eq!(hosts[0].layout, Layout::Loose);
    let found = located(&hosts[0]);
    assert_eq!(
        lines(&found),
        [
            "windows.registry.system hives/SYSTEM +SYSTEM.LOG1",
            "windows.filesystem.executable hives/SYSTEM.LOG1",
            "windows.evtx.other logs/renamed.bin",
            "windows.evtx.security logs/Security.evtx",
            "windows.tunnel.ngrok_config n.yml",
        ]
    );
    assert_eq!(presence(&found, "windows.evtx.security"), Presence::Elsewhere);
}

#[test]
fn a_single_file_is_a_source() {
    let folder = tree(&[("x/renamed.log", LOG), ("x/disk.E01", "EVF\t\r\n\u{1}\0")]);
    let hosts = open(&folder.path().join("x/renamed.log"));
    assert_eq!(hosts[0].layout, Layout::SingleFile);
    assert_eq!(lines(&located(&hosts[0])), ["windows.evtx.other renamed.log"]);
    assert_eq!(read(&hosts[0], "renamed.log").as_deref(), Some(LOG));
    assert_eq!(read(&hosts[0], "disk.E01"), None);
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    let folder = tree(&[("disk.dd", "x"), ("logs.7z", "7z\u{bc}")]);
    fs::write(folder.path().join("disk.E01"), b"EVF\x09\x0d\x0a\xff\x00\x01").unwrap();
    fs::write(folder.path().join("logs.tgz"), b"\x1f\x8b\x08").unwrap();
    let said = |name: &str| refusal(&folder.path().join(name));
    assert!(said("nowhere").contains("no such file or folder"), "{}", said("nowhere"));
    assert!(said("disk.E01").contains("damaged E01 at offset 0x8"), "{}", said("disk.E01"));
    assert!(said("disk.dd").ends_with("convert it to raw or E01"), "{}", said("disk.dd"));
    assert!(said("logs.tgz").ends_with("unpack it and give the folder"), "{}", said("logs.tgz"));
}

#[test]
fn a_file_claimed_as_two_formats_goes_to_both_parsers() {
    let folder =
        tree(&[("Windows/System32/x.txt", "x"), ("Users/jane/.ngrok2/ngrok.yml", PROGRAM)]);
    let hosts = open(folder.path());
    assert_eq!(
        lines(&located(&hosts[0])),
        [
            r"windows.tunnel.ngrok_config C:\Users\jane\.ngrok2\ngrok.yml",
            r"windows.filesystem.executable C:\Users\jane\.ngrok2\ngrok.yml",
        ]
    );
}

#[test]
fn too_large_a_file_is_reported_once() {
    let large = format!("{CONFIG}{}", "#".repeat(1 << 20));
    let folder = tree(&[("Windows/System32/", ""), ("ngrok.yml", &large)]);
    let found = located(&open(folder.path())[0]);
    assert!(found.files.is_empty());
    assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
    assert!(found.problems[0].message.contains("at most 1048576"), "{:?}", found.problems);
}

#[cfg(unix)]
#[test]
fn links_are_shown_and_never_followed() {
    use std::os::unix::fs::symlink;
    let folder = tree(&[("Windows/System32/a.txt", "abc")]);
    let outside = tree(&[("secret/b.evtx", LOG)]);
    symlink(outside.path(), folder.path().join("out")).unwrap();
    symlink("..", folder.path().join("Windows/loop")).unwrap();
    symlink(outside.path().join("secret/b.evtx"), folder.path().join("b.evtx")).unwrap();
    let hosts = open(folder.path());
    let mut links = Vec::new();
    hosts[0].filesystem.walk(
        &mut |entry| {
            if entry.kind == Kind::Link {
                links.push((entry.path.to_string(), entry.link_target.unwrap()));
            }
        },
        &mut |problem| panic!("{problem:?}"),
    );
    let paths: Vec<&str> = links.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, [r"C:\b.evtx", r"C:\out", r"C:\Windows\loop"]);
    assert_eq!(links[2].1, "..");
    for path in [r"C:\b.evtx", r"C:\out\secret\b.evtx", r"C:\Windows\loop\Windows\System32\a.txt"] {
        assert_eq!(read(&hosts[0], path), None, "{path}");
    }
    assert!(located(&hosts[0]).files.is_empty());

    // The source itself may be one: that is the user's own choice.
    let link = outside.path().join("evidence");
    symlink(folder.path(), &link).unwrap();
    let hosts = open(&link);
    assert_eq!(read(&hosts[0], r"C:\Windows\System32\a.txt").as_deref(), Some("abc"));
    let link = outside.path().join("one.evtx");
    symlink(outside.path().join("secret/b.evtx"), &link).unwrap();
    assert_eq!(read(&open(&link)[0], "one.evtx").as_deref(), Some(LOG));
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_unicode_can_be_opened() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tree(&[("Windows/System32/", "")]);
    for name in [&b"a\xff.txt"[..], b"a\xfe.txt", b"a\\.txt"] {
        let at = folder.path().join(OsStr::from_bytes(name));
        fs::write(at, format!("{name:?}")).unwrap();
    }
    let hosts = open(folder.path());
    let paths: Vec<String> = walked(hosts[0].filesystem.as_ref())
        .into_iter()
        .filter(|path| path.ends_with("txt") || path.contains('~'))
        .collect();
    assert_eq!(paths, ["C:\\a\u{fffd}.txt", "C:\\a\u{fffd}.txt~2", "C:\\a\u{fffd}.txt~3"]);
    let mut contents: Vec<String> =
        paths.iter().map(|path| read(&hosts[0], path).unwrap()).collect();
    contents.sort();
    contents.dedup();
    assert_eq!(contents.len(), 3);
    assert_eq!(problems(hosts[0].filesystem.as_ref()).len(), 3);
}

#[cfg(target_os = "linux")]
#[test]
fn special_files_are_never_opened() {
    let folder = tree(&[("Windows/System32/", "")]);
    let socket = folder.path().join("socket.evtx");
    let _listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
    let hosts = open(folder.path());
    let kind = hosts[0].filesystem.entry(&EvidencePath::new(r"C:\socket.evtx")).unwrap().kind;
    assert_eq!(kind, Kind::Special);
    assert!(located(&hosts[0]).files.is_empty());
    assert_eq!(read(&hosts[0], r"C:\socket.evtx"), None);
    assert!(matches!(
        source::open(Path::new("/dev/null"), CLUES),
        Err(SourceError::Unsupported { .. })
    ));
}

#[test]
fn depth_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut deep = PathBuf::from(folder.path());
    for _ in 0..source::MAX_DEPTH + 3 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    let hosts = open(folder.path());
    assert_eq!(walked(hosts[0].filesystem.as_ref()).len(), source::MAX_DEPTH);
    let said = problems(hosts[0].filesystem.as_ref());
    assert_eq!(said, ["deeper than 512 directories; not read"]);
}

#[test]
fn a_zero_time_is_no_time() {
    let folder = tree(&[("Windows/System32/a.txt", "abc")]);
    let at = folder.path().join("Windows/System32/a.txt");
    let file = fs::File::options().write(true).open(at).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let path = EvidencePath::new(r"C:\Windows\System32\a.txt");
    assert_eq!(open(folder.path())[0].filesystem.entry(&path).unwrap().times.modified, None);
}

#[test]
fn a_copy_has_no_birth_of_its_own() {
    let folder = tree(&[("Windows/System32/a.txt", "abc")]);
    let entry = open(folder.path())[0].filesystem.entry(&EvidencePath::new(r"C:\Windows")).unwrap();
    assert!(entry.times.modified.is_some());
    assert!(cfg!(not(target_os = "linux")) || entry.times.created.is_none());
}

#[test]
fn builtin_definitions_are_sound() {
    let artifacts = Artifacts::builtin().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(artifacts.iter().count() >= 30);
    for artifact in artifacts.iter() {
        let file = format!("artifacts/{}.yaml", artifact.id.replace('.', "/"));
        let alone = Artifacts::check(&root.join(&file)).unwrap();
        assert_eq!(alone.id, artifact.id, "{file}");
        assert!(parsers().iter().any(|parser| parser.name() == artifact.parser), "{file}");
        assert!(artifact.description.len() >= 80, "{file} says too little");
        if let Some(store) = &artifact.store {
            assert_eq!(artifacts.by_store(&store.to_uppercase()).unwrap().id, artifact.id);
            let name =
                format!(r"C:\Windows\System32\winevt\Logs\{}.evtx", store.replace('/', "%4"));
            assert!(artifact.patterns[0].matches(&name), "{file}");
        }
    }
}

#[test]
fn own_definitions_add_and_replace() {
    let good = "title: t\ndescription: d\nos: windows\nparser: evtx\npaths: ['%SystemDrive%\\x']\n";
    let folder = tree(&[("windows/evtx/sysmon.yaml", good), ("windows/mine.yaml", good)]);
    let mut artifacts = Artifacts::builtin().unwrap();
    let before = artifacts.iter().count();
    artifacts.load(folder.path()).unwrap();
    assert_eq!(artifacts.iter().count(), before + 1);
    assert_eq!(artifacts.by_id("windows.evtx.sysmon").unwrap().title, "t");
    assert_eq!(artifacts.by_id("windows.mine").unwrap().title, "t");
}

#[test]
fn a_wrong_definition_is_refused_with_file_and_line() {
    let folder =
        tree(&[("windows/bad.yaml", "title: t\ndescription: d\nos: windows\npathes: [x]\n")]);
    let error = Artifacts::default().load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("bad.yaml, line 4: "), "{error}");
    assert!(error.contains("pathes"), "{error}");
}

#[test]
fn a_definition_without_its_parser_is_a_problem() {
    let folder = tree(&[("x.evtx", LOG)]);
    let hosts = open(folder.path());
    let artifacts = Artifacts::builtin().unwrap().of(Some(Os::Windows));
    let mut fewer = parsers();
    fewer.retain(|parser| parser.name() != "usn_journal");
    let questions =
        Questions { names: &|paths| vec![false; paths.len()], settles: &|_, _, _| None };
    let found = locate(hosts[0].filesystem.as_ref(), &artifacts, &fewer, &questions);
    assert_eq!(found.problems.len(), 1);
    let message = "windows.filesystem.usn_journal: there is no parser usn_journal";
    assert_eq!(found.problems[0].message, message);
}

#[test]
fn what_comes_with_the_system_is_judged_by_name_but_for_programs() {
    let folder = tree(&[
        ("Windows/System32/", ""),
        ("Windows/WinSxS/a/agent.exe", PROGRAM),
        ("Windows/WinSxS/a/config.dat", CONFIG),
        ("Windows/WinSxS/a/ngrok.yml", CONFIG),
        ("Windows/Temp/config.dat", CONFIG),
        ("winsxs/config.dat", CONFIG),
        ("Program Files/x/library.dll", PROGRAM),
        ("Program Files/x/settings.dat", CONFIG),
        ("Users/jane/library.dll", PROGRAM),
    ]);
    let found = located(&open(folder.path())[0]);
    assert_eq!(
        lines(&found),
        [
            r"windows.tunnel.ngrok_config C:\Program Files\x\settings.dat",
            r"windows.filesystem.executable C:\Users\jane\library.dll",
            r"windows.tunnel.ngrok_config C:\Windows\Temp\config.dat",
            r"windows.filesystem.executable C:\Windows\WinSxS\a\agent.exe",
            r"windows.tunnel.ngrok_config C:\Windows\WinSxS\a\ngrok.yml",
            r"windows.tunnel.ngrok_config C:\winsxs\config.dat",
        ]
    );
    assert_eq!(found.not_looked_into, 2);
}
