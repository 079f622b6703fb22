//! Runs that are cut short: killed, interrupted, with a full target or without one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::{LOOK, adit, bundle, bundles, live, place, run, tree, verify};

/// Kills in a usual run; `ADIT_KILLS` asks for more.
const KILLS: u64 = 20;
/// Members of a bundle that tell of the run, not of the evidence.
const OF_THE_RUN: [&str; 5] =
    ["data/results/run.json", "data/started.json", "data/actions.log", "bag-info.txt", "manifest-"];

fn kills() -> u64 {
    std::env::var("ADIT_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS)
}

/// Numbers that look random, from a seed that is told.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        println!("seed {seed}");
        Self(seed)
    }

    /// Below `most`.
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most.max(1)
    }
}

/// Everything that the evidence alone decides: result files, and members of the bundle.
fn results(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all: BTreeMap<String, Vec<u8>> = walkdir::WalkDir::new(out)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(out).unwrap().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).unwrap())
        })
        .filter(|(name, _)| {
            !name.ends_with("run.json") && !name.contains(".zip") && name != ".adit-batch.jsonl"
        })
        .collect();
    let ours = |name: &String| {
        !OF_THE_RUN.iter().any(|of| name.starts_with(of)) && !name.starts_with("tagmanifest")
    };
    all.extend(bundle(out).into_iter().filter(|(name, _)| ours(name)));
    all
}

fn assert_same(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>, when: &str) {
    let names = |all: &BTreeMap<String, Vec<u8>>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(one), names(other), "{when}");
    for (name, bytes) in one {
        assert!(*bytes == other[name], "{when}: {name} differs");
    }
}

/// Kills runs at random moments; what each leaves is consistent, and completed is the
/// same as if nothing had happened.
fn survives(command: &dyn Fn(&Path, bool) -> Command) {
    let place = TempDir::new().unwrap();
    let whole = place.path().join("whole");
    let begun = Instant::now();
    run(command(&whole, false), 0);
    let usual = begun.elapsed();
    let expected = results(&whole);
    let mut random = Random::new();
    let (mut early, mut cut, mut late) = (0, 0, 0);
    for n in 0..kills() {
        let out = place.path().join(format!("out{n}"));
        let mut child =
            command(&out, false).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let after = Duration::from_micros(random.below(usual.as_micros() as u64 * 11 / 10));
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
        let when = format!("kill {n} after {after:?}");
        if out.exists() {
            let (code, said) = verify(&out);
            let consistent = said.contains(": incomplete, consistent");
            assert!(
                consistent && code == 3 || said.contains(": complete") && code == 0,
                "{when}: {said}"
            );
            for bundle in bundles(&out) {
                let (_, said) = verify(&bundle);
                assert!(!said.contains("damaged"), "{when}: {said}");
            }
            if consistent { cut += 1 } else { late += 1 }
        } else {
            early += 1;
        }
        run(command(&out, true), 0);
        assert!(verify(&out).1.contains(": complete"), "{when}: {}", verify(&out).1);
        assert_eq!(bundles(&out).len(), 1, "{when}: one bundle is left");
        assert_same(&expected, &results(&out), &when);
        fs::remove_dir_all(&out).unwrap();
    }
    println!("{early} killed before anything was written, {cut} in between, {late} after the end");
}

#[test]
fn a_live_run_survives_kills() {
    let (_place, root, _) = place(12);
    survives(&|out, again| live(&root, out, if again { &["--resume"] } else { &[] }));
}

#[test]
fn a_scan_survives_kills() {
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/images/LAB-07.E01");
    survives(&|out, again| {
        let mut command = adit(&["scan", "--collect", "all"]);
        command.args(&LOOK[1..]).arg("-o").arg(out).arg(&image).args(again.then_some("--resume"));
        command
    });
}

/// Runs it where no file may grow beyond so many kilobytes, as if the target were full.
fn confined(root: &Path, out: &Path, kilobytes: u64) -> i32 {
    let adit = env!("CARGO_BIN_EXE_adit");
    let script = format!(
        "trap '' XFSZ; ulimit -f {}; exec \"$@\"",
        // dash counts 512 bytes, bash and others 1024.
        kilobytes * if dash() { 2 } else { 1 }
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", adit, "live"]).args(LOOK).arg("--root");
    command.arg(root).arg("-o").arg(out);
    command.output().unwrap().status.code().unwrap()
}

fn dash() -> bool {
    fs::canonicalize("/bin/sh").is_ok_and(|path| path.ends_with("dash"))
}

#[test]
fn a_full_target_is_told_and_readable() {
    let (place, root, whole) = place(12);
    run(live(&root, &whole, &[]), 0);
    let expected = results(&whole);
    for kilobytes in [0, 1, 4, 16, 64] {
        let out = place.path().join(format!("full{kilobytes}"));
        assert_eq!(confined(&root, &out, kilobytes), 5, "{kilobytes} KiB");
        let said = verify(&out).1;
        assert!(said.contains("incomplete, consistent"), "{kilobytes} KiB: {said}");
        run(live(&root, &out, &["--resume"]), 0);
        assert_same(&expected, &results(&out), &format!("{kilobytes} KiB"));
    }
}

#[test]
fn a_full_volume_is_told_and_readable() {
    let (place, root, _) = place(12);
    let stick = place.path().join("stick");
    fs::create_dir(&stick).unwrap();
    for size in ["size=12k", "size=64k", "size=300k"] {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(&stick).stderr(Stdio::null());
        if !mount.status().is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: a small volume cannot be mounted here (needs root)");
            return;
        }
        let out = stick.join("out");
        let code = live(&root, &out, &[]).output().unwrap().status.code();
        let said = if out.exists() { verify(&out).1 } else { "incomplete, consistent".into() };
        Command::new("umount").arg(&stick).status().unwrap();
        assert_eq!(code, Some(5), "{size}");
        assert!(said.contains("incomplete, consistent"), "{size}: {said}");
    }
}

/// Waits until the bundle is begun; false when the run ended before.
fn begun(out: &Path, child: &mut std::process::Child) -> bool {
    loop {
        if !bundles(out).is_empty() {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_target_that_vanishes_is_not_made_anew() {
    let (place, root, _) = place(80);
    for n in 0..10 {
        let out = place.path().join(format!("out{n}"));
        let mut child = live(&root, &out, &[]).stderr(Stdio::null()).spawn().unwrap();
        if !begun(&out, &mut child) {
            continue;
        }
        fs::rename(&out, place.path().join(format!("pulled{n}"))).unwrap();
        let code = child.wait().unwrap().code();
        let pulled = place.path().join(format!("pulled{n}"));
        assert!(!out.exists(), "the folder was made anew");
        assert_eq!(code, Some(5));
        assert!(verify(&pulled).1.contains("incomplete, consistent"));
        return;
    }
    panic!("no run was caught in time");
}

#[test]
fn ctrl_c_keeps_everything_so_far() {
    let (place, root, _) = place(80);
    for n in 0..10 {
        let out = place.path().join(format!("out{n}"));
        let mut child = live(&root, &out, &[]).stderr(Stdio::null()).spawn().unwrap();
        if !begun(&out, &mut child) {
            continue;
        }
        let asked = Instant::now();
        let pid = child.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status().unwrap();
        let code = child.wait().unwrap().code();
        if code == Some(0) {
            continue;
        }
        assert_eq!(code, Some(130));
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
        let host = out.join(tree::HOST);
        let timeline = fs::read_to_string(host.join("timeline.csv")).unwrap();
        assert!(timeline.contains("linux.live.process"));
        let problems = fs::read_to_string(host.join("problems.csv")).unwrap();
        assert!(problems.contains("the run was stopped"), "{problems}");
        assert!(verify(&out).1.contains(": incomplete, consistent"));
        assert_eq!(bundles(&out).iter().filter(|path| verify(path).0 == 0).count(), 1);
        run(live(&root, &out, &["--resume"]), 0);
        assert!(verify(&out).1.contains(": complete"));
        return;
    }
    panic!("no run was caught in time");
}
