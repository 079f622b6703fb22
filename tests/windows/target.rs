//! Targets that fill up or vanish: the run says so, what it wrote can be read, and it is
//! completed when there is room again.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::super::kills::{assert_same, bundles, open, results, verify};
use super::{Machine, QUICK};

const ROOMY: &str = "size=64m";
/// Runs that may end before their target is taken away.
const TRIES: usize = 10;

/// A stick as drive E:, mounted until it is dropped; what is on it stays until then even
/// when it is pulled.
struct Stick<'m>(&'m Machine);

impl<'m> Stick<'m> {
    fn new(machine: &'m Machine, size: &str) -> Option<Self> {
        for folder in ["medium", "stick"] {
            fs::create_dir_all(machine.at(folder)).unwrap();
        }
        let stick = Self(machine);
        if !mount(&["-t", "tmpfs", "-o", size, "tmpfs"], &machine.at("medium")) || !stick.plug() {
            eprintln!("SKIPPED: a stick cannot be mounted here (needs root): targets not tested");
            return None;
        }
        machine.link("e:", &machine.at("stick"));
        Some(stick)
    }

    fn plug(&self) -> bool {
        let medium = self.0.at("medium");
        mount(&["--bind", medium.to_str().unwrap()], &self.0.at("stick"))
    }

    /// Takes the stick away, whoever uses it.
    fn pull(&self) {
        let mut command = Command::new("umount");
        command.arg("-l").arg(self.0.at("stick"));
        assert!(command.status().unwrap().success());
    }

    fn grow(&self, size: &str) {
        assert!(mount(&["-o", &format!("remount,{size}")], &self.0.at("medium")));
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = self.0.command(self.0.exe.to_str().unwrap());
        command.args(["live", "--volume", "D:", "--progress", "none", "-o", r"E:\out"]);
        command.args(QUICK).args(more);
        command
    }

    /// Its exit code, and what it said.
    fn run(&self, more: &[&str]) -> (Option<i32>, String) {
        let output = self.command(more).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Stick<'_> {
    fn drop(&mut self) {
        for folder in ["stick", "medium"] {
            let mut command = Command::new("umount");
            let _ = command.arg("-l").arg(self.0.at(folder)).stderr(Stdio::null()).status();
        }
        let _ = fs::remove_file(self.0.at("prefix/dosdevices/e:"));
    }
}

fn mount(how: &[&str], at: &Path) -> bool {
    let mut command = Command::new("mount");
    let status = command.args(how).arg(at).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Bytes that results take as tmpfs counts them, and of these the bundle.
fn sizes(out: &Path) -> (u64, u64) {
    let pages = |path: &Path| fs::metadata(path).unwrap().len().next_multiple_of(4096);
    let files = walkdir::WalkDir::new(out).into_iter().flatten();
    let files = files.filter(|entry| entry.file_type().is_file());
    let all = files.map(|entry| pages(entry.path())).sum();
    (all, bundles(out).iter().map(|bundle| pages(bundle)).sum())
}

/// What a cut run left: consistent, and every bundle opens.
fn assert_readable(out: &Path, when: &str) {
    let said = verify(out).1;
    assert!(said.contains(": incomplete, consistent"), "{when}: {said}");
    bundles(out).iter().for_each(|bundle| assert!(open(bundle) < 1000));
}

pub(super) fn a_full_or_vanishing_target_is_told_readable_and_completed(machine: &Machine) {
    machine.link("d::", &machine.volume());
    let Some(stick) = Stick::new(machine, ROOMY) else { return };
    let (code, said) = stick.run(&[]);
    assert_eq!(code, Some(0), "{said}");
    let expected = results(&machine.at("medium/out"));
    let (all, bundle) = sizes(&machine.at("medium/out"));
    drop(stick);
    // No room for the first table, nor for the bundle's end.
    for bytes in [16 << 10, all - bundle / 3] {
        let size = &format!("size={bytes}");
        let Some(stick) = Stick::new(machine, size) else { return };
        let (code, said) = stick.run(&[]);
        assert_eq!(code, Some(5), "{size}: {said}");
        assert!(said.contains("no space left"), "{size}: {said}");
        let out = machine.at("medium/out");
        if out.exists() {
            assert_readable(&out, size);
        }
        stick.grow(ROOMY);
        let (code, said) = stick.run(&["--resume"]);
        assert_eq!(code, Some(0), "{size}, resumed: {said}");
        assert!(verify(&out).1.contains(": complete"), "{size}: {}", verify(&out).1);
        assert_same(&expected, &results(&out), size);
    }
    // While files are read, and while the bundle is written.
    let reading = |out: &Path| out.join(".adit-batch.jsonl").exists();
    let writing = |out: &Path| !bundles(out).is_empty();
    for (when, is_due) in [("reading", &reading as &dyn Fn(&Path) -> bool), ("writing", &writing)] {
        let Some(stick) = Stick::new(machine, ROOMY) else { return };
        let caught = (0..TRIES).any(|_| is_pulled_in_time(&stick, is_due));
        assert!(caught, "{when}: no run was caught in time");
        let out = machine.at("medium/out");
        assert!(stick.plug());
        assert_readable(&out, when);
        let (code, said) = stick.run(&["--resume"]);
        assert_eq!(code, Some(0), "{when}, resumed: {said}");
        assert!(verify(&out).1.contains(": complete"), "{when}: {}", verify(&out).1);
        assert_same(&expected, &results(&out), when);
    }
}

/// Pulls the stick when it is due; whether the run was still at work. Nothing may be
/// written to where the stick was.
fn is_pulled_in_time(stick: &Stick<'_>, is_due: &dyn Fn(&Path) -> bool) -> bool {
    let (out, place) = (stick.0.at("medium/out"), stick.0.at("stick"));
    let _ = fs::remove_dir_all(&out);
    let mut command = stick.command(&[]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = until(&mut child, &|| is_due(&out));
    stick.pull();
    let code = child.wait().unwrap().code();
    let left: Vec<_> = fs::read_dir(&place).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "made anew where the stick was: {left:?}");
    // What was pulled after the last byte is complete, even if the run could not be sure of it.
    let said = verify(&out).1;
    let complete = said.contains(": complete");
    if begun && code == Some(5) && !complete {
        return true;
    }
    assert!(code == Some(0) || (begun && code == Some(5)), "exit {code:?}: {said}");
    assert!(stick.plug());
    false
}

/// Waits; false when the run ended before.
fn until(child: &mut Child, is_due: &dyn Fn() -> bool) -> bool {
    while !is_due() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}
