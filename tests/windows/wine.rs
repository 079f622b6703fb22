//! A live run on a suspect volume under Wine: drive D: is the sample image's volume, raw
//! (the link `d::`) and as files (the link `d:`), its hives and logs held by another
//! program.
//!
//! What Wine cannot show: sector alignment that the system insists on (unit tests do),
//! rights that are refused, shadow copies, other users' processes, what an EDR says.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use adit::source::{self, Clues, Kind, container, partition};
use tempfile::TempDir;

use super::{exe, kills, lab, root};

mod target;
mod torn;
mod trace;
mod vss;
mod window;

/// How tests look that ask nothing of the findings.
const QUICK: [&str; 3] = ["--profile", "ngrok", "--full-speed"];

/// Kills in a usual run; each takes seconds under Wine.
const KILLS: u64 = 2;
/// Bytes of memory that a run may take, and the time in that of a scan.
const MAX_MEMORY: u64 = 150 << 20;
const MAX_RATIO: f64 = 1.5;
/// Rounds of a measurement; the best counts.
const ROUNDS: usize = 5;
/// Held by another program while adit runs.
const HELD: [&str; 2] =
    [r"Windows\System32\config\SYSTEM", r"Windows\System32\winevt\Logs\Security.evtx"];
/// Results that must be equal, whatever way they were had.
const RESULTS: [&str; 7] = [
    "timeline.csv",
    "notime.csv",
    "findings.csv",
    "summary.csv",
    "verdict.json",
    "coverage.csv",
    "problems.csv",
];

type Row = BTreeMap<String, String>;
/// What is tried on a machine, and what that is called.
type Step = (&'static str, fn(&Machine));

/// A Wine prefix with the suspect volume.
struct Machine {
    place: TempDir,
    exe: PathBuf,
}

/// None, and why, where it cannot be had.
fn machine() -> Option<Machine> {
    let exe = exe()?;
    if !lab::has("wine") || !lab::has("x86_64-w64-mingw32-gcc") {
        eprintln!("Wine or MinGW is not installed: no live run is tested");
        return None;
    }
    Some(Machine::make(exe))
}

impl Machine {
    fn make(exe: PathBuf) -> Self {
        let place = TempDir::new().unwrap();
        let machine = Self { exe, place };
        fs::create_dir(machine.at("home")).unwrap();
        let image = container::open(&lab::image()).unwrap().expect("an image");
        let volumes = partition::volumes(Arc::clone(&image.disk)).volumes;
        let volume = volumes.iter().max_by_key(|volume| volume.size).expect("a volume");
        let mut bytes = vec![0; volume.size as usize];
        let n = volume.bytes.read_at(0, &mut bytes).unwrap();
        assert_eq!(n, bytes.len());
        lab::write_sparse(&machine.volume(), &bytes);
        extract(&machine.volume(), &machine.files());
        let booted = machine.wine(&["wineboot", "--init"]);
        assert!(booted.status.success(), "{}", String::from_utf8_lossy(&booted.stderr));
        machine.link("d:", &machine.files());
        machine.compile("holder");
        machine
    }

    /// The program of that name in `tests/windows`, with adit.exe's own manifest: Wine
    /// sets itself up for its code page.
    fn compile(&self, name: &str) -> PathBuf {
        let [script, resource, exe] =
            ["rc", "o", "exe"].map(|ending| self.at(&format!("{name}.{ending}")));
        let manifest = root().join(".ci/windows.manifest");
        fs::write(&script, format!("1 24 \"{}\"\n", manifest.display())).unwrap();
        let mut command = Command::new("x86_64-w64-mingw32-windres");
        assert!(command.arg(&script).arg(&resource).status().unwrap().success());
        let mut command = Command::new("x86_64-w64-mingw32-gcc");
        let source = root().join(format!("tests/windows/{name}.c"));
        command.arg(source).arg(&resource).arg("-o").arg(&exe);
        assert!(command.status().unwrap().success());
        exe
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The volume as its device gives it.
    fn volume(&self) -> PathBuf {
        self.at("LAB-07.raw")
    }

    /// The files on it.
    fn files(&self) -> PathBuf {
        self.at("files")
    }

    fn link(&self, name: &str, to: &Path) {
        self.unlink(name);
        std::os::unix::fs::symlink(to, self.at("prefix/dosdevices").join(name)).unwrap();
    }

    fn unlink(&self, name: &str) {
        let _ = fs::remove_file(self.at("prefix/dosdevices").join(name));
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("wine");
        command.arg(program).stdin(Stdio::null());
        self.within(&mut command);
        command
    }

    /// What a program must be told so that its Wine is this machine.
    fn within(&self, command: &mut Command) {
        command.env("WINEPREFIX", self.at("prefix")).env("WINEDEBUG", "-all");
        // No questions for what is not needed.
        command.env("WINEDLLOVERRIDES", "mscoree,mshtml=").env_remove("DISPLAY");
        // Wine makes links to what lies there.
        command.env("HOME", self.at("home"));
    }

    /// Ends everything that runs on it.
    fn end(&self) {
        for how in ["-k", "-w"] {
            let mut command = Command::new("wineserver");
            self.within(&mut command);
            let _ = command.arg(how).status();
        }
    }

    fn wine(&self, arguments: &[&str]) -> Output {
        self.command(arguments[0]).args(&arguments[1..]).output().unwrap()
    }

    /// Opens the held files without sharing, until the returned process ends.
    fn hold(&self) -> Held {
        let program = self.at("holder.exe");
        self.keep(program.to_str().unwrap(), &HELD.map(|path| format!(r"D:\{path}")))
    }

    /// Runs the program that opens files and waits: while it does, the machine stays up.
    fn keep(&self, holder: &str, files: &[String]) -> Held {
        let mut command = self.command(holder);
        command.args(files);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "held");
        Held(child)
    }

    /// A run of adit.exe on drive D: into a folder.
    fn run(&self, out: &Path) -> Command {
        let mut command = self.command(self.exe.to_str().unwrap());
        command.args(["live", "--volume", "D:", "--progress", "none", "-o"]);
        command.arg(windows_path(out.to_owned()));
        command
    }

    /// Runs adit.exe on drive D: into a fresh folder.
    fn live(&self, name: &str) -> Ran {
        let out = self.at(name);
        Ran::of(self.run(&out), "live:D:", out)
    }

    /// Scans an image or folder with the program for this system.
    fn scan(&self, source: &Path, name: &str) -> Ran {
        let out = self.at(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
        command.args(["scan", "--collect", "all", "--progress", "none", "-o"]).arg(&out);
        command.arg(source);
        Ran::of(command, source.to_str().unwrap(), out)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// What a run came to.
struct Ran {
    code: Option<i32>,
    said: String,
    printed: String,
    out: PathBuf,
    /// What results call the evidence.
    source: String,
}

impl Ran {
    fn of(mut command: Command, source: &str, out: PathBuf) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
            printed: String::from_utf8_lossy(&output.stdout).into_owned(),
            out,
            source: source.to_owned(),
        }
    }

    fn text(&self, name: &str) -> String {
        let at = self.out.join(lab::HOST).join(name);
        fs::read_to_string(&at)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}", at.display(), self.said))
    }

    /// The rows of a table, with the evidence called alike.
    fn rows(&self, name: &str) -> Vec<Row> {
        let text = self.text(name);
        let rows = csv::Reader::from_reader(text.as_bytes()).into_deserialize();
        rows.map(|row| row.unwrap()).map(|row: Row| self.anonymous(row)).collect()
    }

    fn anonymous(&self, row: Row) -> Row {
        let alike = |value: String| if value == self.source { "SOURCE".to_owned() } else { value };
        row.into_iter().map(|(column, value)| (column, alike(value))).collect()
    }
}

/// Writes the files that are present on a volume to a folder, with their times.
fn extract(volume: &Path, to: &Path) {
    let hosts = source::open(volume, Clues { letters: &|_, _| Vec::new(), knows: None }).unwrap();
    let tree = &hosts[0].filesystem;
    let mut entries = Vec::new();
    tree.walk(&mut |entry| entries.push(entry), &mut |_| {});
    fs::create_dir_all(to).unwrap();
    for entry in entries.iter().filter(|entry| !entry.is_deleted()) {
        let below = entry.path.as_str().strip_prefix(r"C:\").unwrap();
        if below.starts_with('$') || below.contains(':') {
            continue;
        }
        let at = to.join(below.replace('\\', "/"));
        match entry.kind {
            Kind::Directory => fs::create_dir_all(at).unwrap(),
            Kind::File => {
                let bytes = tree.open(entry).unwrap();
                let mut content = vec![0; entry.size as usize];
                assert_eq!(bytes.read_at(0, &mut content).unwrap(), content.len());
                fs::write(&at, content).unwrap();
                let modified = SystemTime::from(entry.times.modified.unwrap());
                let file = File::options().write(true).open(at).unwrap();
                file.set_times(FileTimes::new().set_modified(modified)).unwrap();
            }
            _ => {}
        }
    }
}

/// Path, size and time of everything below a folder.
fn listing(at: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(at).sort_by_file_name().into_iter().flatten();
    let line = |entry: walkdir::DirEntry| {
        let metadata = entry.metadata().unwrap();
        format!("{} {} {:?}", entry.path().display(), metadata.len(), metadata.modified().ok())
    };
    entries.map(line).collect()
}

/// Fails with what only one of the two has.
fn assert_alike<T: PartialEq + std::fmt::Debug>(what: &str, live: Vec<T>, scan: Vec<T>) {
    let more: Vec<_> = live.iter().filter(|row| !scan.contains(row)).collect();
    let lacks: Vec<_> = scan.iter().filter(|row| !live.contains(row)).collect();
    assert!(live == scan, "{what}: only live {more:#?}, only scan {lacks:#?}");
}

/// One after the other: they share the drive, and Wine is ended with the last.
#[test]
fn live_runs_on_a_suspect_volume() {
    let Some(machine) = &machine() else { return };
    let steps: [Step; 9] = [
        ("raw", a_live_run_on_a_volume_finds_what_a_scan_of_its_image_finds),
        ("by name", without_the_device_files_are_read_by_name_and_held_ones_are_problems),
        ("refused", results_are_not_written_onto_the_evidence),
        ("watched", trace::nothing_is_written_but_results),
        ("shadow copy", vss::a_shadow_copy_is_made_when_it_is_wanted),
        ("torn", torn::what_changes_while_it_is_read_is_told),
        ("kills", killed_runs_are_consistent_and_completed),
        ("targets", target::a_full_or_vanishing_target_is_told_readable_and_completed),
        ("window", window::a_double_click_examines_the_machine_in_a_window_that_stays),
    ];
    for (name, step) in steps {
        let begun = Instant::now();
        step(machine);
        println!("{name}: {:.1?}", begun.elapsed());
    }
    a_run_is_light_and_as_quick_as_a_scan(machine);
}

fn a_live_run_on_a_volume_finds_what_a_scan_of_its_image_finds(machine: &Machine) {
    machine.link("d::", &machine.volume());
    let held = machine.hold();
    let drives = || {
        let (suspect, own) = (machine.files(), machine.at("prefix/drive_c"));
        (listing(&suspect), listing(&own), fs::read(machine.volume()).unwrap())
    };
    let before = drives();
    let live = machine.live("raw");
    let after = drives();
    drop(held);
    assert!(before == after, "the run wrote outside its folder");
    let scan = machine.scan(&machine.volume(), "scan");
    assert_eq!((live.code, scan.code), (Some(0), Some(0)), "{}", live.said);
    for name in RESULTS {
        if name == "verdict.json" {
            assert_eq!(live.text(name), scan.text(name));
        } else {
            assert_alike(name, live.rows(name), scan.rows(name));
        }
    }
    assert!(live.rows("timeline.csv").len() > 10);
    assert!(live.printed.contains("sha256:"), "{}", live.printed);
    assert!(live.said.contains("safe to unplug"), "{}", live.said);
    // What is written for the custodian.
    let run = live.text("run.json");
    assert!(run.contains(r"opened \\\\.\\D: for reading, raw"), "{run}");
    assert!(run.contains("this run leaves, not an intruder"), "{run}");
}

fn without_the_device_files_are_read_by_name_and_held_ones_are_problems(machine: &Machine) {
    machine.unlink("d::");
    let held = machine.hold();
    let live = machine.live("files-live");
    drop(held);
    assert_eq!(live.code, Some(3), "{}", live.said);
    let problems = live.rows("problems.csv");
    for path in HELD {
        let path = format!(r"C:\{path}");
        assert!(problems.iter().any(|row| row["path"] == path), "{path} not in {problems:#?}");
    }
    assert!(problems.iter().any(|row| row["message"].contains("file by file, not raw")));
    // Everything else is what a scan of the files without those gives.
    for path in HELD {
        let held = machine.files().join(path.replace('\\', "/"));
        fs::rename(&held, machine.at(&path.replace('\\', "_"))).unwrap();
    }
    let scan = machine.scan(&machine.files(), "files-scan");
    for path in HELD {
        let held = machine.files().join(path.replace('\\', "/"));
        fs::rename(machine.at(&path.replace('\\', "_")), held).unwrap();
    }
    // A copy's births are not the evidence's, and Wine cannot know that it is one.
    let told = |ran: &Ran| {
        let rows = ran.rows("timeline.csv").into_iter();
        rows.filter(|row| !row["timestamp_desc"].contains("File "))
            .map(|row| {
                (row["datetime_raw"].clone(), row["source_path"].clone(), row["locator"].clone())
            })
            .collect::<Vec<_>>()
    };
    assert_alike("timeline.csv", told(&live), told(&scan));
    assert!(!told(&live).is_empty());
}

fn results_are_not_written_onto_the_evidence(machine: &Machine) {
    let mut command = machine.command(machine.exe.to_str().unwrap());
    command.args(["live", "--volume", "D:", "-o", r"D:\out"]);
    let ran = Ran::of(command, "live:D:", machine.at("refused"));
    assert_eq!(ran.code, Some(6), "{}", ran.said);
    assert!(!machine.files().join("out").exists());
}

fn killed_runs_are_consistent_and_completed(machine: &Machine) {
    machine.link("d::", &machine.volume());
    // Keeps the system up from run to run, as a suspect's is: a kill while Wine itself
    // starts would leave half a system, on which nothing that follows can rely.
    let _held = machine.hold();
    let command = |out: &Path, again: bool| {
        let mut command = machine.run(out);
        command.args(QUICK).args(again.then_some("--resume"));
        command
    };
    kills::survives(KILLS, &command, &|_, _| {});
}

/// Time and the most memory of a run that must succeed.
fn measure(mut command: Command) -> (Duration, u64) {
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kilobytes = line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
        most = most.max(kilobytes.unwrap_or_default() << 10);
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(ended.success(), "{ended}");
    (begun.elapsed(), most)
}

/// Memory is held to its bound always; time, which others on the machine disturb, where
/// `ADIT_BENCH` asks for it (tests/bench/live).
fn a_run_is_light_and_as_quick_as_a_scan(machine: &Machine) {
    machine.link("d::", &machine.volume());
    let asked = std::env::var_os("ADIT_BENCH").is_some();
    let (mut live, mut scan, mut most) = (Duration::MAX, Duration::MAX, 0);
    for round in 0..if asked { ROUNDS } else { 1 } {
        let (took, memory) = measure(machine.run(&machine.at(&format!("quick{round}"))));
        (live, most) = (live.min(took), most.max(memory));
        if asked {
            let mut command = machine.command(machine.exe.to_str().unwrap());
            command.args(["scan", "--collect", "all", "--progress", "none", "-o"]);
            command.args([machine.at(&format!("slow{round}")), machine.volume()].map(windows_path));
            scan = scan.min(measure(command).0);
        }
    }
    println!("adit.exe live: {live:.2?}, at most {} MB", most >> 20);
    assert!(most > 0 && most <= MAX_MEMORY, "{most} bytes of memory, {MAX_MEMORY} are the limit");
    if asked {
        let ratio = live.as_secs_f64() / scan.as_secs_f64();
        println!("adit.exe scan of the same volume: {scan:.2?}; live takes {ratio:.2} of it");
        assert!(ratio <= MAX_RATIO, "{ratio:.2} times a scan, {MAX_RATIO} are the limit");
    }
}

/// The path as Wine shows it.
fn windows_path(at: PathBuf) -> String {
    format!("Z:{}", at.display()).replace('/', "\\")
}
