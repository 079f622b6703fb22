//! A shadow copy is asked for when it is wanted, and only then. Wine has no shadow copies:
//! a program that answers like PowerShell stands for it.

use std::fs;

use super::{Machine, QUICK, Ran};

const POWERSHELL: &str = "windows/system32/WindowsPowerShell/v1.0/powershell.exe";
const ID: &str = "{2d7a4f0e-9c1b-4f53-8a6e-7b0d3e5c1a92}";

pub(super) fn a_shadow_copy_is_made_when_it_is_wanted(machine: &Machine) {
    machine.link("d::", &machine.volume());
    let program = machine.at("prefix/drive_c").join(POWERSHELL);
    let asked = program.with_extension("exe.asked");
    let own = fs::read(&program).ok();
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&program);
    fs::copy(machine.compile("powershell"), &program).unwrap();

    let unasked = run(machine, "unasked", &[], "");
    assert_eq!((unasked.code, asked.exists()), (Some(0), false), "{}", unasked.said);
    let made = run(machine, "made", &["--create-vss"], &format!("0 {ID}"));
    assert_eq!(made.code, Some(0), "{}", made.said);
    let said = fs::read_to_string(&asked).unwrap();
    assert!(said.contains(r"Win32_ShadowCopy).Create('D:\', 'ClientAccessible')"), "{said}");
    assert!(made.text("run.json").contains(&format!("made shadow copy {ID} of D:")));
    let refused = run(machine, "no-room", &["--create-vss"], "6");
    assert_eq!(refused.code, Some(3), "{}", refused.said);
    let problems = refused.rows("problems.csv");
    let told = |row: &super::Row| row["message"].contains("WMI answers 6 (no room for it)");
    assert!(problems.len() == 1 && told(&problems[0]), "{problems:#?}");
    for ran in [made, refused] {
        assert_eq!(ran.rows("findings.csv"), unasked.rows("findings.csv"));
    }

    let _ = fs::remove_file(asked);
    let _ = fs::remove_file(&program);
    if let Some(own) = own {
        fs::write(program, own).unwrap();
    }
}

fn run(machine: &Machine, name: &str, more: &[&str], answer: &str) -> Ran {
    let out = machine.at(name);
    let mut command = machine.run(&out);
    command.args(QUICK).args(more).env("ANSWER", answer);
    Ran::of(command, "live:D:", out)
}
