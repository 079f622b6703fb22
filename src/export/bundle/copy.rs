//! Copies a file of the evidence into the bundle, bad places and all.

use std::io;

use sha2::{Digest, Sha256};

use super::super::{CHUNK_BYTES, ExportError, hex};
use super::zip::Archive;
use crate::model::ReadAt;

/// Unreadable places of one file after which the rest of it is left out.
const MAX_READ_ERRORS: usize = 32;

/// What is said of a copy that no other reading is like.
const TORN: &str = "changed while it was copied: the copy may be of more than one moment";

/// What came of copying a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copied {
    /// Bytes in the bundle.
    pub(super) size: u64,
    /// SHA-256 of what is in the bundle.
    pub(super) before: String,
    /// SHA-256 of the file when it was read for comparison.
    pub(super) after: String,
    /// Unreadable places (zeros in the copy), and changes between the readings.
    pub(super) errors: Vec<String>,
}

/// Reads a file, then adds it under `name`. What differs in the two readings changed: if a
/// third one is like the copy, the copy is whole, else it may be of more than one moment.
///
/// # Errors
///
/// Only of writing; what cannot be read becomes zeros and an entry of `errors`.
pub(super) fn copy(
    archive: &mut Archive,
    name: &str,
    source: &dyn ReadAt,
) -> Result<Copied, ExportError> {
    let hash = || read_whole(source, &mut Vec::new(), |_| Ok::<(), ExportError>(()));
    let (_, mut after) = hash()?;
    archive.begin(name, source.size())?;
    let mut errors = Vec::new();
    let (size, before) = read_whole(source, &mut errors, |bytes| archive.write(bytes))?;
    if before != after && errors.is_empty() {
        after = hash()?.1;
        if before != after {
            errors.push(TORN.to_owned());
        }
    }
    Ok(Copied { size, before, after, errors })
}

/// Passes all bytes to `take`, zeros for unreadable ones; returns size and SHA-256.
fn read_whole<E>(
    source: &dyn ReadAt,
    errors: &mut Vec<String>,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(u64, String), E> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let end = source.size();
    let mut at = 0_u64;
    while at < end {
        let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
        let length = left.min(CHUNK_BYTES);
        let Some(window) = buffer.get_mut(..length) else { break };
        let n = match read_at(source, at, window) {
            Ok(0) => {
                errors.push(format!("ends at byte {at}, expected {end} bytes"));
                break;
            }
            Ok(n) => n.min(length),
            // A limit of the run, not a fault of the file.
            Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
                errors.push(format!("cut at byte {at} of {end}: {error}"));
                break;
            }
            Err(error) => {
                errors.push(format!("bytes {at} to {}: {error}", at.saturating_add(size(length))));
                if errors.len() >= MAX_READ_ERRORS {
                    errors.push(format!("given up at byte {at} of {end}: too many errors"));
                    break;
                }
                window.fill(0);
                length
            }
        };
        let read = buffer.get(..n).unwrap_or_default();
        hasher.update(read);
        take(read)?;
        at = at.saturating_add(size(n));
    }
    Ok((at, hex(&hasher.finalize())))
}

fn read_at(source: &dyn ReadAt, at: u64, window: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read_at(at, window) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn size(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
