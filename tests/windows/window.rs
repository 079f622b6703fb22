//! Started by a double click: a console of its own that stays until it was read. Below it,
//! the views of one machine compared: what the registry's file and the service manager
//! tell of each other.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::lab;
use super::{Machine, Row};

/// As long as a run may take.
const LIMIT: Duration = Duration::from_secs(60);
/// In the hive of the sample volume, one of which the manager gets to know.
const KNOWN_TO_BOTH: &str = "Dnscache";
const KNOWN_TO_HIVE: &str = "AudioSvcHelper";
const KNOWN_TO_MANAGER: &str = "Newcomer";
const LAST_LINE: &str = "Press Enter to close this window.";

/// A program in a console of its own.
struct Console {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Console {
    fn open(machine: &Machine, line: &str) -> Self {
        let mut command = Command::new("script");
        // Wide enough for a path and a hash in one line.
        command.arg("-qec").arg(format!("stty cols 240 rows 50; wine {line}")).arg("/dev/null");
        machine.within(&mut command);
        command.current_dir(machine.place.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let (mut screen, to) = (child.stdout.take().unwrap(), shown.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = screen.read(&mut buffer) {
                to.lock().unwrap().extend(&buffer[..n]);
            }
        });
        Self { child, shown }
    }

    /// What was shown so far, without what moves the cursor.
    fn text(&self) -> String {
        let shown = String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned();
        let mut parts = shown.split("\u{1b}[");
        let first = parts.next().unwrap_or_default().to_owned();
        let rest = parts.map(|part| part.trim_start_matches(|c: char| !c.is_ascii_alphabetic()));
        rest.fold(first, |text, part| text + part.get(1..).unwrap_or_default())
    }

    /// Waits until it asks for a key; it must not end by itself. Then presses it.
    fn answer(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        while !self.text().contains(LAST_LINE) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the window closed: {ended:?}: {}", self.text());
            assert!(begun.elapsed() < LIMIT, "no end: {}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(300));
        assert!(self.child.try_wait().unwrap().is_none(), "the window did not stay");
        self.child.stdin.as_mut().unwrap().write_all(b"\r").unwrap();
        self.end()
    }

    fn end(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(begun.elapsed() < LIMIT, "no end: {}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        };
        (code, self.text())
    }
}

pub(super) fn a_double_click_examines_the_machine_in_a_window_that_stays(machine: &Machine) {
    if !lab::has("script") {
        eprintln!("SKIPPED: script (bsdutils) is not installed: no console to test in");
        return;
    }
    let stick = machine.at("plugged");
    fs::create_dir_all(&stick).unwrap();
    fs::copy(&machine.exe, stick.join("adit.exe")).unwrap();
    fs::copy(&machine.exe, machine.at("prefix/drive_c/adit.exe")).unwrap();
    fs::copy(machine.at("holder.exe"), machine.at("prefix/drive_c/holder.exe")).unwrap();
    let config = machine.at("prefix/drive_c/windows/system32/config");
    fs::create_dir_all(&config).unwrap();
    let hive = "Windows/System32/config/SYSTEM";
    fs::copy(machine.files().join(hive), config.join("SYSTEM")).unwrap();
    for name in [KNOWN_TO_BOTH, KNOWN_TO_MANAGER] {
        let made = machine.wine(&["sc", "create", name, "binPath=", r"C:\windows\notepad.exe"]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    }
    let removable = [r"HKLM\Software\Wine\Drives", "/v", "e:", "/d", "floppy", "/f"];
    assert!(machine.wine(&[&["reg", "add"], &removable[..]].concat()).status.success());
    machine.end();
    machine.link("e:", &stick);
    // The machine that runs these tests is no part of the evidence.
    machine.unlink("z:");
    machine.unlink("d:");
    machine.unlink("d::");
    // A program that starts while the machine goes down ends without a word.
    let awake = machine.keep(r"C:\holder.exe", &[]);

    let (code, text) = Console::open(machine, r"'E:\adit.exe'").answer();
    assert_eq!(code, Some(3), "{text}");
    the_window_ends_with_what_counts(machine, &text);
    views_are_compared(machine);

    // From a disk of the machine nothing is begun, and the window says what to do.
    let (code, text) = Console::open(machine, r"'C:\adit.exe'").answer();
    assert_eq!(code, Some(6), "{text}");
    assert!(text.contains("stick") && !text.contains("safe to unplug"), "{text}");
    // At a prompt, the window is not its own.
    let (code, text) = Console::open(machine, r"cmd /c 'E:\adit.exe'").end();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Usage") && !text.contains(LAST_LINE), "{text}");
    drop(awake);
    machine.end();
    machine.unlink("e:");
    machine.link("z:", "/".as_ref());
    machine.link("d:", &machine.files());
}

/// The verdict, the bundle and its hash, that the stick may be pulled: in this order, last.
fn the_window_ends_with_what_counts(machine: &Machine, text: &str) {
    let bundle = bundle(machine);
    let hash = adit_hash(&bundle);
    let name = bundle.file_name().unwrap().to_str().unwrap();
    let ends = text.find("no trace of a known tunnel tool").or_else(|| text.find("delivered"));
    let at = [
        ends,
        text.find(&format!("{name}  sha256:{hash}")),
        text.find("safe to unplug"),
        text.find(LAST_LINE),
    ];
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{at:?}: {text}");
}

fn bundle(machine: &Machine) -> std::path::PathBuf {
    let mut all = super::super::kills::bundles(&machine.at("plugged"));
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn adit_hash(path: &std::path::Path) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(fs::read(path).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Services that only the registry's file or only the manager knows are told; what both
/// know is not.
fn views_are_compared(machine: &Machine) {
    let folder = bundle(machine).parent().unwrap().to_owned();
    let mut table = csv::Reader::from_path(folder.join("timeline.csv")).unwrap();
    let mut rows: Vec<Row> = table.deserialize().map(|row| row.unwrap()).collect();
    let mut without = csv::Reader::from_path(folder.join("notime.csv")).unwrap();
    rows.extend(without.deserialize().map(|row| -> Row { row.unwrap() }));
    let about = |name: &str| -> Vec<String> {
        let start = format!("Service {name} on ");
        let view = rows.iter().filter(|row| row["artifact"] == "windows.live.service_view");
        view.map(|row| row["message"].clone()).filter(|text| text.starts_with(&start)).collect()
    };
    let hidden = about(KNOWN_TO_HIVE);
    assert!(
        hidden.len() == 1 && hidden[0].contains("known to the registry and not to its manager"),
        "{hidden:?}"
    );
    let unstored = about(KNOWN_TO_MANAGER);
    assert!(
        unstored.len() == 1 && unstored[0].contains("known to its manager and not to the registry"),
        "{unstored:?}"
    );
    assert_eq!(about(KNOWN_TO_BOTH), Vec::<String>::new());
    // What the system was asked for and gave is covered, each kind for itself.
    let mut table = csv::Reader::from_path(folder.join("coverage.csv")).unwrap();
    let lines: Vec<Row> = table.deserialize().map(|row| row.unwrap()).collect();
    for kind in ["process", "service", "socket"] {
        let source = format!("windows.live.{kind}");
        let line = lines.iter().find(|line| line["source"] == source);
        assert_eq!(line.map(|line| &*line["state"]), Some("read"), "{source}: {line:?}");
    }
}
