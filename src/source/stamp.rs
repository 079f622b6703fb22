//! What tells, without reading content, whether evidence is still what it was.

use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use walkdir::WalkDir;

/// Entries of a folder that are looked at; in path order, so that it is the same ones.
const MAX_ENTRIES: usize = 100_000;

/// The stamp of a file, or of a folder with everything in it: the same while names,
/// sizes and times of modification are.
///
/// # Errors
///
/// When there is no such file or folder, or it cannot be listed.
pub fn stamp(path: &Path) -> io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(format!("{} bytes, {}", metadata.len(), modified(&metadata)));
    }
    let (mut hasher, mut entries) = (Sha256::new(), 0_usize);
    for entry in WalkDir::new(path).min_depth(1).sort_by_file_name().into_iter().take(MAX_ENTRIES) {
        let entry = entry?;
        let metadata = entry.metadata()?;
        entries = entries.saturating_add(1);
        let size = if metadata.is_file() { metadata.len() } else { 0 };
        hasher
            .update(entry.path().strip_prefix(path).unwrap_or(path).as_os_str().as_encoded_bytes());
        hasher.update(format!("\0{size}\0{}\n", modified(&metadata)));
    }
    let digest: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{entries} entries, {digest}"))
}

/// Nanoseconds since 1970; 0 where the file system keeps no such time.
fn modified(metadata: &std::fs::Metadata) -> u128 {
    let at = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_change_of_name_size_or_time_is_seen() {
        let place = tempfile::tempdir().unwrap();
        let (at, file) = (place.path(), place.path().join("b/c.evtx"));
        fs::create_dir(at.join("b")).unwrap();
        let write = |bytes: &[u8], seconds| {
            fs::write(&file, bytes).unwrap();
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        };
        write(b"one", 1_000_000_000);
        let (folder, single) = (stamp(at).unwrap(), stamp(&file).unwrap());
        assert_eq!(single, "3 bytes, 1000000000000000000");
        write(b"two", 1_000_000_000);
        assert_eq!((stamp(at).unwrap(), stamp(&file).unwrap()), (folder.clone(), single.clone()));
        write(b"four", 1_000_000_000);
        assert!(stamp(at).unwrap() != folder && stamp(&file).unwrap() != single);
        write(b"one", 1_000_000_001);
        assert!(stamp(at).unwrap() != folder && stamp(&file).unwrap() != single);
        fs::rename(&file, at.join("b/d.evtx")).unwrap();
        assert!(stamp(at).unwrap() != folder && stamp(&file).is_err());
    }
}
