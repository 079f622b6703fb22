//! What is mounted where (`/proc/self/mountinfo`, proc_pid_mountinfo(5)).

use std::path::{Path, PathBuf};

/// Most mounts that are looked at.
const MAX_MOUNTS: usize = 10_000;

/// File systems without a file that anybody stored: the kernel's own interfaces.
const MACHINERY: [&str; 22] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
    "fuse.portal",
];

/// File systems whose files lie on another machine.
const NETWORK: [&str; 13] = [
    "9p",
    "afs",
    "ceph",
    "cifs",
    "coda",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "nfs",
    "nfs4",
    "smb3",
    "virtiofs",
];

/// Places that a volume is mounted to for a while, to read or to write.
const FOR_A_WHILE: [&str; 3] = ["/media", "/mnt", "/run/media"];

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) point: PathBuf,
    /// `ext4`
    pub(super) kind: String,
    /// Its folder that is mounted: `/` but for bind mounts.
    root: String,
    /// Major and minor number of the device.
    device: String,
}

impl Mount {
    /// Whether no file lies on it that anybody stored.
    pub(super) fn is_machinery(&self) -> bool {
        MACHINERY.contains(&self.kind.as_str())
    }

    /// Whether its files lie on another machine.
    pub(super) fn is_network(&self) -> bool {
        NETWORK.contains(&self.kind.as_str())
    }

    /// Whether the running system needs it where it is: everything but what is
    /// mounted to places for a while, and other machines' files.
    pub(super) fn belongs_to_system(&self) -> bool {
        let below =
            |place: &&str| self.point.starts_with(place) && self.point.as_path() != Path::new("/");
        !FOR_A_WHILE.iter().any(below) && !self.is_network() && !self.is_plugged_in()
    }

    /// Whether its disk hangs on USB, as the kernel's path of the device says.
    fn is_plugged_in(&self) -> bool {
        let device = std::fs::read_link(format!("/sys/dev/block/{}", self.device));
        device.is_ok_and(|path| {
            path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb"))
        }) && self.point.as_path() != Path::new("/")
    }

    /// Whether another mount shows the same files at another place: the root of their
    /// device, or the layers that a container's tree is made of.
    pub(super) fn is_repeated(&self, all: &[Self]) -> bool {
        let shows = |other: &Self| {
            let (root, of) = (Path::new(&self.root), Path::new(&other.root));
            let first = root != of || other.point < self.point;
            other.device == self.device && root.starts_with(of) && first
        };
        let layers = self.kind == "overlay" && self.point.as_path() != Path::new("/");
        layers || all.iter().any(shows)
    }
}

/// Everything mounted, by mount point; what a later mount hides is left out.
pub(super) fn all() -> Vec<Mount> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    parse(&text)
}

/// The mount that a path, or its nearest parent that exists, lies on.
pub(super) fn of(path: &Path) -> Option<Mount> {
    let path = real(path)?;
    let mounts = all().into_iter().filter(|mount| path.starts_with(&mount.point));
    mounts.max_by_key(|mount| mount.point.as_os_str().len())
}

/// The path without links; what of it does not exist yet stands as it is.
pub(super) fn real(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|at| {
        let found = at.canonicalize().ok()?;
        Some(found.join(path.strip_prefix(at).ok()?))
    })
}

/// Fields: id parent device root point options [optional…] - kind source options.
fn parse(text: &str) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for line in text.lines().take(MAX_MOUNTS) {
        let Some((head, tail)) = line.split_once(" - ") else { continue };
        let mut head = head.split(' ').skip(2);
        let (Some(device), Some(root), Some(point)) = (head.next(), head.next(), head.next())
        else {
            continue;
        };
        let mount = Mount {
            point: PathBuf::from(plain(point)),
            kind: tail.split(' ').next().unwrap_or_default().to_owned(),
            root: plain(root),
            device: device.to_owned(),
        };
        // What is mounted later over the same place is what is seen.
        mounts.retain(|earlier| earlier.point != mount.point);
        mounts.push(mount);
    }
    mounts.sort_by(|a, b| a.point.cmp(&b.point));
    mounts
}

/// The text without the octal escapes of space, tab, newline and backslash.
fn plain(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
23 22 0:21 / /proc rw - proc proc rw
24 22 8:2 /var/data /srv/my\\040data rw shared:7 - ext4 /dev/sda2 rw
25 22 0:40 / /var/lib/docker/overlay2/ab/merged rw - overlay overlay rw
26 22 0:50 / /home rw - nfs4 server:/home rw
27 22 8:17 / /media/stick rw - vfat /dev/sdb1 rw
28 22 0:60 / /dev/shm rw - tmpfs tmpfs rw
29 22 0:61 / /home rw - tmpfs tmpfs rw
no mount at all
";

    #[test]
    fn mounts_are_told_apart() {
        let all = parse(TEXT);
        let points = |keep: &dyn Fn(&Mount) -> bool| -> Vec<String> {
            let kept = all.iter().filter(|mount| keep(mount));
            kept.map(|mount| mount.point.display().to_string()).collect()
        };
        let merged = "/var/lib/docker/overlay2/ab/merged";
        let every = ["/", "/dev/shm", "/home", "/media/stick", "/proc", "/srv/my data", merged];
        assert_eq!(points(&|_| true), every);
        assert_eq!(points(&Mount::is_machinery), ["/proc"]);
        assert!(points(&Mount::is_network).is_empty(), "a later mount hides it");
        assert_eq!(points(&|mount| mount.is_repeated(&all)), ["/srv/my data", merged]);
        assert_eq!(points(&|mount| !mount.belongs_to_system()), ["/media/stick"]);
    }
}
