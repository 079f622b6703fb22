//! What a run leaves on the machine, whatever it does: said beforehand, so that nobody
//! takes it for the intruder's.

use super::super::Wanted;

/// Notes the traces of this program by its own name.
pub(super) fn note(wanted: &Wanted) {
    let program = std::env::current_exe().ok();
    let path = program.as_ref().map(|at| at.display().to_string()).unwrap_or_default();
    let name = program.as_ref().and_then(|at| at.file_name());
    let name = name.map(|name| name.to_string_lossy().to_uppercase()).unwrap_or_default();
    for trace in traces(&path, &name) {
        wanted.actions.note(format!("this run leaves, not an intruder: {trace}"));
    }
}

fn traces(path: &str, name: &str) -> [String; 6] {
    [
        format!(r"C:\Windows\Prefetch\{name}-????????.pf, with its entries in the change journal"),
        format!("shim cache (AppCompatCache), Amcache and BAM entries of {path}"),
        format!("UserAssist and MUICache entries of {path}, when it is double-clicked"),
        "the stick itself: USBSTOR, MountedDevices and MountPoints2 keys, setupapi.dev.log, \
         Partition and DeviceSetup events"
            .to_owned(),
        format!("events of process creation, where they are logged (4688, Sysmon 1), for {path}"),
        "last-access times of files that were read by name, where the volume keeps them".to_owned(),
    ]
}
