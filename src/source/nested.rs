//! Disks that lie as files in other evidence: those of WSL's distributions, of Docker and
//! of virtual machines.

use std::path::Path;
use std::sync::Arc;

use super::{Clues, Entry, HostEvidence, SourceError, State, container, image};
use crate::model::{ReadAt, without_snapshot};

/// What such files are called.
const ENDINGS: [&str; 8] = [".vhdx", ".avhdx", ".vhd", ".avhd", ".vmdk", ".vdi", ".qcow2", ".qcow"];
/// What WSL calls a distribution's, and Docker its store's.
const SUBSYSTEM: [&str; 2] = ["ext4.vhdx", "docker_data.vhdx"];
/// No smaller one has a file system with files.
const MIN_BYTES: u64 = 128 << 10;

/// Whether a file is called like a disk, and is there today.
pub fn is_disk(file: &Entry) -> bool {
    let path = file.path.as_str();
    let Some(at) = path.rfind('.') else { return false };
    let ending = path.get(at..).unwrap_or_default();
    file.is_file()
        && file.state == State::Present
        && file.size >= MIN_BYTES
        && ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending))
        && without_snapshot(path).0.is_none()
}

/// Whether the disk is called like that of a Linux within Windows: of WSL, or of Docker.
pub fn is_of_subsystem(disk: &Entry) -> bool {
    SUBSYSTEM.iter().any(|name| name.eq_ignore_ascii_case(disk.path.file_name()))
}

/// The hosts on a disk that lies in the evidence of another; none when it is no disk.
/// They are called after both: `disk.E01#C:\\wsl\\ext4.vhdx`.
///
/// # Errors
///
/// When it cannot be read, is damaged where nothing can be read without, or is made of
/// several files.
pub fn open(
    host: &HostEvidence,
    file: &Entry,
    clues: Clues<'_>,
) -> Result<Vec<HostEvidence>, SourceError> {
    let bytes: Arc<dyn ReadAt> = Arc::from(host.filesystem.open(file)?);
    let label = format!("{}#{}", host.label, file.path);
    let Some(disk) = container::open_within(Path::new(&label), bytes)? else {
        return Ok(Vec::new());
    };
    let name = file.path.file_name();
    let name = name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned();
    let mut hosts = image::open((label, name), disk, clues);
    for inner in &mut hosts {
        inner.depth = host.depth.saturating_add(1);
        inner.is_live = host.is_live;
    }
    Ok(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EvidencePath;
    use crate::source::{Kind, Times};

    #[test]
    fn told_by_name_and_state() {
        let file = |path: &str, size| Entry {
            path: EvidencePath::new(path),
            kind: Kind::File,
            size,
            times: Times::default(),
            name_times: None,
            id: None,
            state: State::Present,
            link_target: None,
            handle: 0,
        };
        assert!(is_disk(&file(r"C:\wsl\ext4.VHDX", 1 << 20)));
        assert!(is_disk(&file("/vm/a.qcow2", 1 << 20)));
        assert!(is_of_subsystem(&file(r"C:\wsl\Ext4.vhdx", 1 << 20)));
        assert!(!is_of_subsystem(&file(r"C:\vm\server.vhdx", 1 << 20)));
        for other in [r"C:\wsl.vhdx\ext4", "vss1:C:\\a.vhdx", "C:\\vhdx", "C:\\a.vhdx.txt"] {
            assert!(!is_disk(&file(other, 1 << 20)), "{other}");
        }
        assert!(!is_disk(&file(r"C:\a.vhdx", 1000)));
        let removed = State::Deleted(crate::source::Remains::Nothing);
        assert!(!is_disk(&Entry { state: removed, ..file(r"C:\a.vhdx", 1 << 20) }));
    }
}
