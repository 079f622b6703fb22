//! How NTFS names a file: by its place in the master file table.

use std::fmt;

/// A file of an NTFS volume: record number and how often the record was reused;
/// prints as `4711-3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileReference {
    /// Number of the record in the $MFT (48 bits).
    pub record: u64,
    /// Tells the files apart that used this record one after another.
    pub sequence: u16,
}

impl FileReference {
    /// The root directory's record.
    pub const ROOT_RECORD: u64 = 5;

    /// The reference in its stored form: sequence above, record below.
    pub fn from_raw(raw: u64) -> Self {
        let sequence = u16::try_from(raw >> 48).unwrap_or_default();
        Self { record: raw & 0xffff_ffff_ffff, sequence }
    }
}

impl fmt::Display for FileReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.record, self.sequence)
    }
}

/// Directories above a file that are followed; a loop ends here too.
const MAX_DEPTH: usize = 256;
/// Of longer paths the end is kept: some of Windows's limit of 32767 characters.
const MAX_PATH_BYTES: usize = 8 << 10;

/// What a volume knows of its directories now; the seam between a parser that
/// meets bare references and the $MFT.
pub trait PathResolver: Send + Sync {
    /// The name of that directory and the reference of the one it lies in; `None`
    /// when it is unknown or its record is used by another file.
    fn directory(&self, reference: FileReference) -> Option<(String, FileReference)>;

    /// The path of that directory without a backslash at its end: whole and with the
    /// volume in front if everything above is known, else as much of its end as is.
    fn path(&self, reference: FileReference) -> Option<String> {
        let mut names = Vec::new();
        let (mut at, mut bytes) = (reference, 0usize);
        for _ in 0..MAX_DEPTH {
            if at.record == FileReference::ROOT_RECORD {
                names.push(self.volume().to_owned());
                break;
            }
            let Some((name, parent)) = self.directory(at) else { break };
            bytes = bytes.saturating_add(name.len());
            if bytes > MAX_PATH_BYTES {
                break;
            }
            names.push(name);
            at = parent;
        }
        names.reverse();
        (!names.is_empty()).then(|| names.join("\\"))
    }

    /// What stands before the root's backslash: `C:`, `vss2:C:`.
    fn volume(&self) -> &str;
}
