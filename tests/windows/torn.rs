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
const TRIES: usize = 12;

pub(super) fn what_changes_while_it_is_read_is_told(machine: &Machine) {
    machine.link("d::", &machine.volume());
    let hive = fs::read(machine.files().join("Windows/System32/config/SYSTEM")).unwrap();
    let device = fs::read(machine.volume()).unwrap();
    let at = memchr::memmem::find(&device, &hive[..4096]).expect("the hive on its volume") as u64;
    let file = File::options().write(true).open(machine.volume()).unwrap();
    let done = AtomicBool::new(false);
    let still = quick(machine, "still");
    // On a machine with much to do, the hive may stand still by chance.
    let busy = std::thread::scope(|scope| {
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
        let torn = runs.find(|run| run.code != Some(0));
        done.store(true, Ordering::Relaxed);
        torn
    });
    file.write_all_at(&hive[UNUSED as usize..][..8], at + UNUSED).unwrap();
    let Some(busy) = busy else {
        // Chance decides here; unit tests hold what becomes of it in any case.
        eprintln!("SKIPPED: no run of {TRIES} met the hive while it was written");
        return;
    };

    assert_eq!((still.code, busy.code), (Some(0), Some(3)), "{}", busy.said);
    assert!(still.rows("problems.csv").is_empty());
    let problems = busy.rows("problems.csv");
    let told = |row: &super::Row| {
        row["stage"] == "parse" && row["message"].contains("changed while it was read")
    };
    assert!(problems.iter().any(told), "{problems:#?}");
    // And, if it was caught at it, that its copy is torn.
    assert!(problems.iter().all(|row| row["path"] == HIVE), "{problems:#?}");
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
