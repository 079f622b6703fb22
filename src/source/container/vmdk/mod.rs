//! VMDK of VMware: flat, sparse and stream-optimised extents in one or many files,
//! ESX `COWD` extents, and snapshots with their parents.
//!
//! A descriptor, a text of its own or inside the sparse file, lists the extents and
//! names the parent. VMware, Virtual Disk Format 5.0.

mod descriptor;
mod sparse;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::parts::Parts;
use super::{ContainerError, Context, Opened, read_below};
use crate::model::ReadAt;
use descriptor::{Descriptor, Kind};
use sparse::{Caches, Sparse};

/// First bytes of sparse extents, ESX's, and descriptors.
pub(super) const SIGNATURES: [&[u8]; 3] = [b"KDMV", b"COWD", b"# Disk DescriptorFile"];
const FORMAT: &str = "VMDK";
const SECTOR: u64 = 512;
/// Bytes of a descriptor: a text of some lines.
const MAX_DESCRIPTOR: usize = 1 << 20;

struct Vmdk {
    parts: Parts,
    caches: Caches,
    extents: Vec<Extent>,
    parent: Option<Arc<dyn ReadAt>>,
}

/// A stretch of the disk.
struct Extent {
    start: u64,
    size: u64,
    place: Place,
}

enum Place {
    Flat {
        file: usize,
        offset: u64,
    },
    Zero,
    Sparse(Box<Sparse>),
    /// Why it cannot be read.
    Lost(String),
}

/// Opens a VMDK by its descriptor, with its extents and parents.
///
/// # Errors
///
/// When it is an extent without descriptor, the descriptor is damaged, or a parent is
/// missing or another one. Extents that are missing are problems, and errors of the
/// reads that touch them.
pub(super) fn open(path: &Path, context: &Context) -> Result<Opened, ContainerError> {
    let mut parts = context.parts(path)?;
    let unreadable = |error| ContainerError::unreadable(path, error);
    let start = parts.bytes(0, 0, 512).map_err(unreadable)?;
    let (text, own) = match Sparse::read(&parts, 0, &start) {
        Some(Ok(sparse)) => {
            let (at, len) = sparse.descriptor;
            let text = parts.bytes(0, at, len.min(MAX_DESCRIPTOR)).map_err(unreadable)?;
            if at == 0 || !text.starts_with(b"#") {
                let what = "an extent without its descriptor: give the descriptor";
                return Err(ContainerError::unsupported(path, FORMAT, what));
            }
            (text, Some(sparse))
        }
        Some(Err((at, what))) => return Err(ContainerError::damaged(path, FORMAT, at, what)),
        None => (parts.bytes(0, 0, MAX_DESCRIPTOR).map_err(unreadable)?, None),
    };
    let descriptor =
        Descriptor::parse(&text).map_err(|what| ContainerError::damaged(path, FORMAT, 0, what))?;
    let extents = extents(path, &mut parts, &descriptor, own, context);
    let mut paths = parts.paths();
    let mut parent = None;
    if let Some(cid) = descriptor.parent {
        let names: Vec<String> = descriptor.parent_name.iter().cloned().collect();
        let (_, opened) = context.parent(path, &names)?;
        if opened.identity.as_deref() != Some(&*format!("{cid:08x}")) {
            let found = opened.identity.unwrap_or_default();
            return Err(ContainerError::Parent {
                path: path.to_owned(),
                parent: descriptor.parent_name.unwrap_or_default(),
                why: format!("has CID {found} and not {cid:08x}: another one, or changed since"),
            });
        }
        paths.extend(opened.parts);
        parent = Some(opened.disk);
    }
    let identity = Some(format!("{:08x}", descriptor.cid));
    let disk = Vmdk { parts, caches: Caches::new(), extents, parent };
    Ok(Opened { disk: Arc::new(disk), format: FORMAT, parts: paths, stored: Vec::new(), identity })
}

fn extents(
    path: &Path,
    parts: &mut Parts,
    descriptor: &Descriptor,
    mut own: Option<Sparse>,
    context: &Context,
) -> Vec<Extent> {
    let mut extents = Vec::new();
    let mut start = 0u64;
    let alone = descriptor.extents.len() == 1;
    for named in &descriptor.extents {
        let size = named.sectors.saturating_mul(SECTOR);
        let place = match named.kind {
            Kind::Zero => Ok(Place::Zero),
            Kind::Other => Err(format!("extent of type {} is not supported", named.type_name)),
            // A renamed file still names its extent by the old name.
            Kind::Sparse if alone && own.is_some() => {
                own.take().map(|sparse| Place::Sparse(Box::new(sparse))).ok_or_else(String::new)
            }
            kind => place(context.beside(path, &named.name), parts, named, kind),
        };
        let place = place.unwrap_or_else(|what| {
            context.log.note(path, None, format!("extent {:?}: {what}", named.name));
            Place::Lost(format!("{}: extent {:?}: {what}", path.display(), named.name))
        });
        extents.push(Extent { start, size, place });
        start = start.saturating_add(size);
    }
    extents
}

fn place(
    found: Option<PathBuf>,
    parts: &mut Parts,
    named: &descriptor::Extent,
    kind: Kind,
) -> Result<Place, String> {
    let found = found.ok_or_else(|| "does not lie beside the descriptor".to_owned())?;
    let file = parts.add(&found).map_err(|error| error.to_string())?;
    if kind == Kind::Flat {
        return Ok(Place::Flat { file, offset: named.offset.saturating_mul(SECTOR) });
    }
    let start = parts.bytes(file, 0, 512).map_err(|error| error.to_string())?;
    match Sparse::read(parts, file, &start) {
        Some(Ok(sparse)) => Ok(Place::Sparse(Box::new(sparse))),
        Some(Err((at, what))) => Err(format!("damaged at {at:#x}: {what}")),
        None => Err("is no sparse extent".to_owned()),
    }
}

impl Vmdk {
    fn read_extent(&self, extent: &Extent, within: u64, to: &mut [u8]) -> io::Result<()> {
        let below = |at: u64, to: &mut [u8]| {
            read_below(self.parent.as_deref(), extent.start.saturating_add(at), to)
        };
        match &extent.place {
            Place::Flat { file, offset } => {
                self.parts.read_exact(*file, offset.saturating_add(within), to)
            }
            Place::Zero => {
                to.fill(0);
                Ok(())
            }
            Place::Sparse(sparse) => {
                sparse.read_at(&self.parts, &self.caches, (extent.size, within), to, &below)
            }
            Place::Lost(what) => Err(io::Error::new(io::ErrorKind::NotFound, what.clone())),
        }
    }
}

impl ReadAt for Vmdk {
    fn size(&self) -> u64 {
        self.extents.last().map_or(0, |extent| extent.start.saturating_add(extent.size))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0usize;
        let first = self.extents.partition_point(|e| e.start.saturating_add(e.size) <= offset);
        for extent in self.extents.get(first..).unwrap_or_default() {
            let at = offset.saturating_add(filled as u64);
            let within = at.saturating_sub(extent.start);
            let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) else { break };
            let room = usize::try_from(extent.size.saturating_sub(within)).unwrap_or(usize::MAX);
            let n = room.min(rest.len());
            self.read_extent(extent, within, rest.get_mut(..n).unwrap_or_default())?;
            filled = filled.saturating_add(n);
        }
        Ok(filled)
    }
}
