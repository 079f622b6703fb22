//! A hive that never stands still while it is read and copied: said to be torn in
//! problems.csv, and everything else is as ever.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::kills::{bundle, bundles, verify};
use super::{Machine, QUICK, Ran};

const HIVE: &str = r"C:\Windows\System32\config\SYSTEM";
/// In a hive's first block, where nothing is stored and no checksum counts it.
const UNUSED: u64 = 1024;
/// Who writes to it at a time, and runs that are to notice.
const WRITERS: usize = 3;
const TRIES: usize = 8;

/// Has the writers end, whatever becomes of the runs.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) fn what_changes_while_it_is_read_is_told(machine: &Machine) {
    machine.link("d::", &machine.volume());
    let hive = fs::read(machine.files().join("Windows/System32/config/SYSTEM")).unwrap();
    let device = fs::read(machine.volume()).unwrap();
    let at = memchr::memmem::find(&device, &hive[..4096]).expect("the hive on its volume") as u64;
    let file = File::options().write(true).open(machine.volume()).unwrap();
    let done = AtomicBool::new(false);
    let still = quick(machine, "still");
    let told = |row: &super::Row| {
        row["stage"] == "parse" && row["message"].contains("changed while it was read")
    };
    // On a machine with much to do, the hive may stand still by chance, or until it is copied.
    let busy = std::thread::scope(|scope| {
        let _ends = Ends(&done);
        for _ in 0..WRITERS {
            scope.spawn(|| {
                for n in 1_u64.. {
                    file.write_all_at(&n.to_le_bytes(), at + UNUSED).unwrap();
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    std::thread::yield_now();
                }
            });
        }
        let mut runs = (0..TRIES).map(|n| quick(machine, &format!("busy{n}")));
        runs.find(|run| {
            let problems = run.rows("problems.csv");
            // Nothing but the hive is torn: read, copied or both.
            assert!(problems.iter().all(|row| row["path"] == HIVE), "{problems:#?}");
            assert_eq!(run.code, Some(if problems.is_empty() { 0 } else { 3 }), "{}", run.said);
            problems.iter().any(told)
        })
    });
    file.write_all_at(&hive[UNUSED as usize..][..8], at + UNUSED).unwrap();
    let Some(busy) = busy else {
        // Chance decides here; unit tests hold what becomes of it in any case.
        eprintln!("SKIPPED: no run of {TRIES} met the hive while it was written");
        return;
    };

    assert_eq!(still.code, Some(0), "{}", still.said);
    assert!(still.rows("problems.csv").is_empty());
    for name in ["timeline.csv", "findings.csv"] {
        assert_eq!(still.rows(name), busy.rows(name), "{name}");
    }
    // The bundle tells the same.
    assert!(verify(&busy.out).1.contains(": complete"), "{}", verify(&busy.out).1);
    assert_eq!(bundles(&busy.out).len(), 1);
    let inside = &bundle(&busy.out)["data/results/problems.csv"];
    assert_eq!(String::from_utf8_lossy(inside), busy.text("problems.csv"));
}

fn quick(machine: &Machine, name: &str) -> Ran {
    let out = machine.at(name);
    let mut command = machine.run(&out);
    command.args(QUICK);
    Ran::of(command, "live:D:", out)
}
