//! This process and the machine it runs on: rights, priority, memory, space.

use std::path::Path;

/// Bytes of a page where the kernel tells none; smaller ones do not exist.
const PAGE_BYTES: u64 = 4096;

/// Whose rights there are, and whether they reach everything.
pub(super) fn rights() -> (String, bool) {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return ("root".to_owned(), true);
    }
    let lost = "other users' files and processes, and shadowed logs, cannot be read";
    (format!("user {}, not root: {lost}", user.as_raw()), false)
}

/// The lowest priority; the kernel derives that of the disk from it (ioprio_set(2)).
pub(in super::super) fn be_gentle() -> Result<(), String> {
    rustix::process::setpriority_process(None, 19).map_err(|error| error.to_string())
}

/// Resident bytes, by the second field of `/proc/self/statm` in pages.
pub(in super::super) fn memory_used() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(PAGE_BYTES);
    pages.checked_mul(page)
}

pub(in super::super) fn free_space(at: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(at).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

/// Bytes of a file system, and those in use.
pub(super) fn space(at: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(at).ok()?;
    let used = found.f_blocks.saturating_sub(found.f_bfree);
    Some((found.f_blocks.checked_mul(found.f_frsize)?, used.checked_mul(found.f_frsize)?))
}
