//! Runs that are cut short: killed, interrupted, with a full target or without one.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::kills::{assert_same, bundles, open, results, survives, verify};
use super::{LOOK, adit, live, place, run, tree};

/// Kills in a usual run.
const KILLS: u64 = 20;

#[test]
fn a_live_run_survives_kills() {
    let (_place, root, _) = place(12);
    let command = |out: &Path, again| live(&root, out, if again { &["--resume"] } else { &[] });
    survives(KILLS, &command, &|out, when| assert_redacted(out, when));
}

#[test]
fn a_scan_survives_kills() {
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/images/LAB-07.E01");
    let command = |out: &Path, again: bool| {
        let mut command = adit(&["scan", "--collect", "all"]);
        command.args(&LOOK[1..]).arg("-o").arg(out).arg(&image).args(again.then_some("--resume"));
        command
    };
    survives(KILLS, &command, &|_, _| {});
}

/// Nothing beside the bundle shows the agent's token, at no time.
fn assert_redacted(out: &Path, when: &str) {
    for entry in walkdir::WalkDir::new(out).into_iter().flatten() {
        if entry.path().to_string_lossy().contains(".zip") {
            continue;
        }
        let bytes = fs::read(entry.path()).unwrap_or_default();
        let found = memchr::memmem::find(&bytes, tree::TOKEN.as_bytes());
        assert!(found.is_none(), "{when}: {} shows a token", entry.path().display());
    }
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
        let listed: usize = bundles(&out).iter().map(|bundle| open(bundle)).sum();
        assert!(listed > 0 || kilobytes < 16, "{kilobytes} KiB: {said}");
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
        bundles(&out).iter().for_each(|bundle| assert!(open(bundle) < 1000));
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
        assert!(bundles(&pulled).iter().all(|bundle| open(bundle) > 0));
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
