//! Evidence as parsers see it: named bytes that can be read and never written.

use std::fmt;
use std::io;

use super::{Filter, PathResolver, Zone};

/// A path inside the evidence, in the system's own notation: `C:\Windows\…`.
///
/// Case is kept as stored. In a loose folder it is the path below that folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EvidencePath(String);

impl EvidencePath {
    pub fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component, without directories of either notation.
    pub fn file_name(&self) -> &str {
        self.0.rsplit(['\\', '/']).next().unwrap_or_default()
    }
}

impl fmt::Display for EvidencePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of the shadow copy that a path begins with (`vss2:`), and the rest.
pub fn without_snapshot(path: &str) -> (Option<u64>, &str) {
    let parts = path.strip_prefix("vss").and_then(|rest| rest.split_once(':'));
    match parts.and_then(|(number, rest)| Some((number.parse().ok()?, rest))) {
        Some((number, rest)) => (Some(number), rest),
        None => (None, path),
    }
}

/// Random access to the bytes of one file; the only way evidence is read.
pub trait ReadAt: Send + Sync {
    /// Bytes.
    fn size(&self) -> u64;

    /// Reads up to `buf.len()` bytes at `offset`; fewer only at the end.
    ///
    /// # Errors
    ///
    /// What the operating system or the layer below reports.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// The first offset from `offset` on at which something may be stored: sparse
    /// files say what lies before it is zeros, others return `offset` itself.
    fn data_from(&self, offset: u64) -> u64 {
        offset
    }

    /// Lets go of bytes kept from earlier readings: the next is of what is there then.
    fn forget(&self) {}
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let rest = self.get(start..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }
}

/// Files that a parser needs whole are read up to this size.
pub const MAX_INLINE_BYTES: u64 = 512 << 20;

/// One file handed to a parser.
///
/// `sidecars` are the files that complete it (a hive's LOG1 and LOG2), in order.
pub struct Input<'a> {
    pub bytes: &'a dyn ReadAt,
    pub sidecars: Vec<&'a dyn ReadAt>,
    /// The file's own name, for formats whose meaning hangs on it (hives).
    pub name: &'a str,
    /// Last modification of the file (UTC) if the source knows it: the only
    /// year a log without years has.
    pub modified: Option<jiff::Timestamp>,
    /// What can matter; parsers of large files ask it before they parse a block.
    pub filter: &'a dyn Filter,
    /// The directories of the file's volume, for formats that name files by
    /// reference; `None` when the source is no volume.
    pub paths: Option<&'a dyn PathResolver>,
    /// The host's time zone, for sources that write local time; `None` when unknown.
    pub zone: Option<&'a Zone>,
}

impl Input<'_> {
    /// All bytes of the file, at most `limit`.
    ///
    /// # Errors
    ///
    /// The read error, or `FileTooLarge` when the file is larger than `limit`.
    pub fn read_all(&self, limit: u64) -> io::Result<Vec<u8>> {
        read_all(self.bytes, limit)
    }
}

/// All bytes of `source`, at most `limit`.
fn read_all(source: &dyn ReadAt, limit: u64) -> io::Result<Vec<u8>> {
    let size = source.size();
    if size > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{size} bytes, the limit is {limit}"),
        ));
    }
    let mut out = vec![0; usize::try_from(size).unwrap_or_default()];
    let mut filled = 0;
    while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let n = source.read_at(filled as u64, rest)?;
        if n == 0 {
            break;
        }
        filled += n;
    }
    out.truncate(filled);
    Ok(out)
}
