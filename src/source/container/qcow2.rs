//! QCOW2 of QEMU, versions 2 and 3: clusters plain, deflated or zstd, extended L2
//! entries, backing files. Encrypted images and external data files are refused.
//!
//! All numbers are big-endian. The header names the L1 table, its entries L2 tables,
//! theirs the clusters. QEMU, docs/interop/qcow2 (format specification).

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::bytes::{be32, be64};
use super::cache::{Cache, copy, read_blocks};
use super::inflate::{Inflater, Wrapping};
use super::pages::Pages;
use super::parts::Parts;
use super::runs::by_runs;
use super::{ContainerError, Context, Opened, ParentKind, read_below};
use crate::model::ReadAt;

/// First bytes.
pub(super) const SIGNATURE: &[u8] = b"QFI\xfb";
const FORMAT: &str = "QCOW2";
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// Bytes of a disk: 8 EiB.
const MAX_DISK: u64 = 1 << 63;
/// Bytes of a backing file's name.
const MAX_NAME: u32 = 1023;
/// Extensions of one header.
const MAX_EXTENSIONS: usize = 64;
const BACKING_FORMAT: u32 = 0xe279_2aca;
/// Bits of table entries that are an offset.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const ZEROS: u64 = 1;
/// Incompatible features.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
/// An extended entry splits a cluster in so many.
const SUBCLUSTERS: u64 = 32;

struct Qcow2 {
    parts: Parts,
    pages: Pages,
    clusters: Cache,
    size: u64,
    cluster_bits: u32,
    l1: u64,
    l1_entries: u64,
    extended: bool,
    zstd: bool,
    parent: Option<Arc<dyn ReadAt>>,
}

/// Opens a QCOW2 with its backing files.
///
/// # Errors
///
/// When the header is damaged, the image encrypted or of a kind not supported, or a
/// backing file missing.
pub(super) fn open(path: &Path, context: &Context) -> Result<Opened, ContainerError> {
    let parts = context.parts(path)?;
    let header =
        parts.bytes(0, 0, 4096).map_err(|error| ContainerError::unreadable(path, error))?;
    let cut = || ContainerError::damaged(path, FORMAT, 0, "the header is cut");
    let word = |at| be32(&header, at).ok_or_else(cut);
    let long = |at| be64(&header, at).ok_or_else(cut);
    let refuse = |what: String| Err(ContainerError::unsupported(path, FORMAT, what));
    let version = word(4)?;
    if !(2..=3).contains(&version) {
        return refuse(format!("version {version} is not supported"));
    }
    let features = if version == 3 { long(72)? } else { 0 };
    let unknown = features & !(DIRTY | CORRUPT | EXTERNAL | COMPRESSION | EXTENDED_L2);
    if word(32)? != 0 {
        return refuse("encrypted: decrypt it with qemu-img convert".to_owned());
    }
    if features & EXTERNAL != 0 {
        return refuse("its data lies in another file: not supported".to_owned());
    }
    if unknown != 0 {
        return refuse(format!("features {unknown:#x} are not known"));
    }
    if features & CORRUPT != 0 {
        context.log.note(path, Some(72), "marked as corrupt by QEMU");
    }
    let snapshots = word(60)?;
    if snapshots > 0 {
        let message = format!("holds {snapshots} snapshots: only the current state is read");
        context.log.note(path, Some(60), message);
    }
    let compression = match header.get(104) {
        Some(kind) if features & COMPRESSION != 0 => *kind,
        _ => 0,
    };
    if compression > 1 {
        return refuse(format!("compression {compression} is not known"));
    }
    let (cluster_bits, size, l1_entries, l1) = (word(20)?, long(24)?, word(36)?, long(40)?);
    if !CLUSTER_BITS.contains(&cluster_bits) || size > MAX_DISK {
        let what = format!("a disk of {size} bytes in clusters of 2^{cluster_bits}");
        return Err(ContainerError::damaged(path, FORMAT, 20, what));
    }
    let l1_end = l1.saturating_add(u64::from(l1_entries).saturating_mul(8));
    if l1_end > parts.size(0) {
        context.log.note(path, Some(l1), "the L1 table is cut by the end of the file");
    }
    let mut paths = parts.paths();
    let mut parent = None;
    if long(8)? != 0 {
        let (name, kind) = backing(&parts, &header, version).ok_or_else(|| {
            ContainerError::damaged(path, FORMAT, 8, "the backing file's name cannot be read")
        })?;
        let (_, opened) = context.parent_of_kind(path, &[name], kind)?;
        paths.extend(opened.parts);
        parent = Some(opened.disk);
    }
    let cluster = 1usize << cluster_bits;
    let disk = Qcow2 {
        parts,
        pages: Pages::new(),
        clusters: Cache::of_chunks(cluster),
        size,
        cluster_bits,
        l1,
        l1_entries: l1_entries.into(),
        extended: features & EXTENDED_L2 != 0,
        zstd: compression == 1,
        parent,
    };
    Ok(Opened {
        disk: Arc::new(disk),
        format: FORMAT,
        parts: paths,
        stored: Vec::new(),
        identity: None,
    })
}

/// The backing file's name, and whether it must be taken as raw bytes.
fn backing(parts: &Parts, header: &[u8], version: u32) -> Option<(String, ParentKind)> {
    let len = be32(header, 16).filter(|len| (1..=MAX_NAME).contains(len))?;
    let name = parts.bytes(0, be64(header, 8)?, usize::try_from(len).ok()?).ok()?;
    let name = String::from_utf8_lossy(&name).into_owned();
    let mut at = if version == 3 { usize::try_from(be32(header, 100)?).ok()? } else { 72 };
    for _ in 0..MAX_EXTENSIONS {
        let (Some(kind), Some(len)) = (be32(header, at), be32(header, at.checked_add(4)?)) else {
            break;
        };
        let len = usize::try_from(len).ok()?;
        let data = at.checked_add(8)?;
        if kind == 0 {
            break;
        }
        if kind == BACKING_FORMAT && header.get(data..data.checked_add(len)?) == Some(b"raw") {
            return Some((name, ParentKind::Raw));
        }
        at = data.checked_add(len.checked_next_multiple_of(8)?)?;
    }
    Some((name, ParentKind::ByContent))
}

impl Qcow2 {
    fn fill(&self, number: u64, within: u64, to: &mut [u8]) -> io::Result<()> {
        let at = (number << self.cluster_bits).saturating_add(within);
        let Some((entry, bitmap)) = self.entry(number)? else {
            return read_below(self.parent.as_deref(), at, to);
        };
        if entry & COMPRESSED != 0 {
            let cluster = self.clusters.get(number, || self.expand(entry))?;
            copy(&cluster, within, to);
            return Ok(());
        }
        let host = entry & OFFSET;
        if self.extended {
            return self.fill_parts((number, host), bitmap, within, to);
        }
        if entry & ZEROS != 0 {
            to.fill(0);
            Ok(())
        } else if host == 0 {
            read_below(self.parent.as_deref(), at, to)
        } else {
            self.parts.read_exact(0, host.saturating_add(within), to)
        }
    }

    /// An L2 entry and its bitmap; `None` where there is no L2 table.
    fn entry(&self, number: u64) -> io::Result<Option<(u64, u64)>> {
        let width = if self.extended { 16u64 } else { 8 };
        let per_table = (1u64 << self.cluster_bits) / width;
        let (l1_index, l2_index) = (number / per_table, number % per_table);
        if l1_index >= self.l1_entries {
            let message = format!("{}: cluster {number} is beyond the L1 table", self.name());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let at = self.l1.saturating_add(l1_index.saturating_mul(8));
        let l2 = u64::from_be_bytes(self.pages.array(&self.parts, 0, at)?) & OFFSET;
        if l2 == 0 {
            return Ok(None);
        }
        let at = l2.saturating_add(l2_index.saturating_mul(width));
        let entry = u64::from_be_bytes(self.pages.array(&self.parts, 0, at)?);
        let bitmap = match self.extended {
            true => u64::from_be_bytes(self.pages.array(&self.parts, 0, at.saturating_add(8))?),
            false => 0,
        };
        Ok(Some((entry, bitmap)))
    }

    /// Fills from the parts of a cluster: each is in the file, zero, or below.
    fn fill_parts(
        &self,
        (number, host): (u64, u64),
        bitmap: u64,
        within: u64,
        to: &mut [u8],
    ) -> io::Result<()> {
        let part = (1u64 << self.cluster_bits) / SUBCLUSTERS;
        let place = |part: u64| Ok((bitmap >> part & 1, bitmap >> (SUBCLUSTERS + part) & 1));
        by_runs(part, within, to, place, |place, within, run| match place {
            (1, _) => self.parts.read_exact(0, host.saturating_add(within), run),
            (_, 1) => {
                run.fill(0);
                Ok(())
            }
            _ => {
                let at = (number << self.cluster_bits).saturating_add(within);
                read_below(self.parent.as_deref(), at, run)
            }
        })
    }

    /// The data of a compressed cluster: its entry holds offset and 512-byte sectors.
    fn expand(&self, entry: u64) -> io::Result<Vec<u8>> {
        let bits = 70u32.saturating_sub(self.cluster_bits);
        let low = (1u64 << bits).wrapping_sub(1);
        let offset = entry & low;
        let sectors = (entry & (COMPRESSED - 1)) >> bits;
        let len = sectors.saturating_add(1).saturating_mul(512).saturating_sub(offset & 511);
        let cluster = 1usize << self.cluster_bits;
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(cluster.saturating_mul(2));
        let bytes = self.parts.bytes(0, offset, len)?;
        let data = if self.zstd {
            unzstd(&bytes, cluster)
        } else {
            Inflater::new(Wrapping::Bare).inflate(&bytes, cluster)
        };
        let data = data.and_then(|data| match data.len() {
            n if n == cluster => Ok(data),
            n => Err(format!("{n} bytes instead of {cluster}")),
        });
        data.map_err(|what| {
            let message = format!("{}: compressed cluster at {offset:#x}: {what}", self.name());
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    fn name(&self) -> std::path::Display<'_> {
        self.parts.path(0).display()
    }
}

/// The first `len` bytes of a zstd frame.
fn unzstd(bytes: &[u8], len: usize) -> Result<Vec<u8>, String> {
    let mut decoder =
        ruzstd::decoding::StreamingDecoder::new(bytes).map_err(|error| error.to_string())?;
    let mut out = vec![0; len];
    io::Read::read_exact(&mut decoder, &mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

impl ReadAt for Qcow2 {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let cluster = 1u64 << self.cluster_bits;
        read_blocks((self.size, cluster), offset, buf, |number, within, to| {
            self.fill(number, within, to)
        })
    }
}
