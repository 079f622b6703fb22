//! Small volumes for tests, record by record: what no driver would write.

use std::sync::Arc;

use crate::model::{EvidencePath, Problem, ReadAt};
use crate::source::{Entry, Filesystem, State};

use super::Ntfs;

pub(super) const CLUSTER: usize = 512;
/// `$MFT` begins at this cluster.
const MFT: usize = 16;

/// A record under construction.
#[derive(Clone)]
pub(super) struct Rec {
    pub(super) bytes: Vec<u8>,
    id: u16,
}

impl Rec {
    pub(super) fn sized(size: usize, sequence: u16, flags: u16) -> Self {
        let mut bytes = vec![0; size];
        let first = (48 + (size / 512 + 1) * 2).next_multiple_of(8);
        bytes[..4].copy_from_slice(b"FILE");
        bytes[4..6].copy_from_slice(&48u16.to_le_bytes());
        bytes[6..8].copy_from_slice(&((size / 512 + 1) as u16).to_le_bytes());
        bytes[16..18].copy_from_slice(&sequence.to_le_bytes());
        bytes[20..22].copy_from_slice(&(first as u16).to_le_bytes());
        bytes[22..24].copy_from_slice(&flags.to_le_bytes());
        bytes[24..28].copy_from_slice(&(first as u32).to_le_bytes());
        bytes[28..32].copy_from_slice(&(size as u32).to_le_bytes());
        Self { bytes, id: 0 }.times([1, 2, 3, 4])
    }

    /// A present file; flags 0 for a removed one, 3 for a directory.
    pub(super) fn new(sequence: u16, flags: u16) -> Self {
        Self::sized(1024, sequence, flags)
    }

    pub(super) fn base(mut self, number: u64, sequence: u16) -> Self {
        self.bytes[32..40].copy_from_slice(&reference(number, sequence).to_le_bytes());
        self
    }

    pub(super) fn attribute(mut self, kind: u32, name: &str, body: &[u8], content: &[u8]) -> Self {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let head = 16 + body.len();
        let name_at = head.next_multiple_of(8);
        let content_at = (name_at + name.len()).next_multiple_of(8);
        let length = (content_at + content.len()).next_multiple_of(8);
        let mut own = vec![0; length];
        own[..4].copy_from_slice(&kind.to_le_bytes());
        own[4..8].copy_from_slice(&(length as u32).to_le_bytes());
        own[8] = u8::from(body.len() > 8);
        own[9] = (name.len() / 2) as u8;
        own[10..12].copy_from_slice(&(name_at as u16).to_le_bytes());
        own[14..16].copy_from_slice(&self.id.to_le_bytes());
        own[16..head].copy_from_slice(body);
        let place = if body.len() > 8 { 32 } else { 20 };
        own[place..place + 2].copy_from_slice(&(content_at as u16).to_le_bytes());
        own[name_at..name_at + name.len()].copy_from_slice(&name);
        own[content_at..content_at + content.len()].copy_from_slice(content);
        self.id += 1;
        let used = u32::from_le_bytes(self.bytes[24..28].try_into().unwrap()) as usize;
        self.bytes[used..used + length].copy_from_slice(&own);
        self.bytes[24..28].copy_from_slice(&((used + length) as u32).to_le_bytes());
        self
    }

    pub(super) fn resident(self, kind: u32, name: &str, content: &[u8]) -> Self {
        let mut body = [0; 8];
        body[..4].copy_from_slice(&(content.len() as u32).to_le_bytes());
        self.attribute(kind, name, &body, content)
    }

    /// A piece of a content in clusters, from cluster `first` of the content on.
    pub(super) fn extents(self, name: &str, first: u64, size: u64, pairs: &[u8]) -> Self {
        let mut body = [0; 48];
        body[..8].copy_from_slice(&first.to_le_bytes());
        for at in [24, 32, 40] {
            body[at..at + 8].copy_from_slice(&size.to_le_bytes());
        }
        self.attribute(0x80, name, &body, pairs)
    }

    /// Gives the last attribute flags and a compression unit.
    pub(super) fn flagged(mut self, length: usize, flags: u16, unit: u8) -> Self {
        let used = u32::from_le_bytes(self.bytes[24..28].try_into().unwrap()) as usize;
        let own = &mut self.bytes[used - length..];
        own[12..14].copy_from_slice(&flags.to_le_bytes());
        own[34] = unit;
        self
    }

    pub(super) fn times(self, times: [u64; 4]) -> Self {
        let content: Vec<u8> = times.into_iter().flat_map(u64::to_le_bytes).collect();
        self.resident(0x10, "", &[content, vec![0; 16]].concat())
    }

    /// `space`: 1 a long name, 2 an 8.3 name.
    pub(super) fn name_in(self, parent: (u64, u16), space: u8, name: &[u16]) -> Self {
        let mut content = reference(parent.0, parent.1).to_le_bytes().to_vec();
        content.extend([11u64, 12, 13, 14].into_iter().flat_map(u64::to_le_bytes));
        content.extend([0; 24]);
        content.extend([name.len() as u8, space]);
        content.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
        self.resident(0x30, "", &content)
    }

    pub(super) fn name(self, parent: (u64, u16), name: &str) -> Self {
        self.name_in(parent, 1, &name.encode_utf16().collect::<Vec<_>>())
    }

    pub(super) fn data(self, content: &[u8]) -> Self {
        self.resident(0x80, "", content)
    }

    /// As it stands on the disk.
    fn stored(mut self) -> Vec<u8> {
        let used = u32::from_le_bytes(self.bytes[24..28].try_into().unwrap()) as usize;
        self.bytes[used..used + 4].copy_from_slice(&[0xff; 4]);
        self.bytes[24..28].copy_from_slice(&((used + 8) as u32).to_le_bytes());
        self.bytes[48..50].copy_from_slice(&[7, 0]);
        for n in 1..=self.bytes.len() / 512 {
            let end = n * 512;
            let last: [u8; 2] = self.bytes[end - 2..end].try_into().unwrap();
            self.bytes[48 + n * 2..50 + n * 2].copy_from_slice(&last);
            self.bytes[end - 2..end].copy_from_slice(&[7, 0]);
        }
        self.bytes
    }
}

pub(super) fn reference(number: u64, sequence: u16) -> u64 {
    number | u64::from(sequence) << 48
}

/// A volume under construction.
pub(super) struct Disk {
    pub(super) records: Vec<Option<Rec>>,
    size: usize,
    /// Clusters in use, as `$Bitmap` says.
    pub(super) bitmap: Vec<u8>,
    /// Further bytes: cluster and content.
    pub(super) clusters: Vec<(usize, Vec<u8>)>,
}

pub(super) const ROOT: (u64, u16) = (5, 5);

impl Disk {
    /// The metafiles that matter and the given records from 24 on.
    pub(super) fn of(files: Vec<Rec>) -> Self {
        Self::sized(1024, files)
    }

    pub(super) fn sized(size: usize, files: Vec<Rec>) -> Self {
        let mut records = vec![None; 24];
        records[5] = Some(Rec::sized(size, 5, 3).name(ROOT, "."));
        records.extend(files.into_iter().map(Some));
        Self { records, size, bitmap: vec![0; 512], clusters: Vec::new() }
    }

    /// Four megabytes: boot sector, `$MFTMirr` at cluster 8, `$MFT`, then the rest.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut disk = vec![0; 4096 * CLUSTER];
        let boot = &mut disk[..512];
        boot[3..11].copy_from_slice(b"NTFS    ");
        boot[11..13].copy_from_slice(&512u16.to_le_bytes());
        boot[13] = 1;
        boot[40..48].copy_from_slice(&4096u64.to_le_bytes());
        boot[48..56].copy_from_slice(&(MFT as u64).to_le_bytes());
        boot[56..64].copy_from_slice(&8u64.to_le_bytes());
        boot[64] = (256 - self.size.trailing_zeros()) as u8;
        boot[68] = 8;
        let boot = boot.to_vec();
        disk[4095 * 512..].copy_from_slice(&boot);
        let mft = self.mft();
        disk[MFT * CLUSTER..][..mft.len()].copy_from_slice(&mft);
        disk[8 * CLUSTER..][..4 * self.size.min(1024)]
            .copy_from_slice(&mft[..4 * self.size.min(1024)]);
        for (cluster, content) in &self.clusters {
            disk[cluster * CLUSTER..][..content.len()].copy_from_slice(content);
        }
        disk
    }

    /// The bytes of `$MFT`.
    pub(super) fn mft(&self) -> Vec<u8> {
        let mut records = self.records.clone();
        let clusters = (records.len() * self.size).div_ceil(CLUSTER) as u16;
        let [low, high] = clusters.to_le_bytes();
        let size = u64::from(clusters) * CLUSTER as u64;
        records[0].get_or_insert_with(|| {
            let own = Rec::sized(self.size, 1, 1).name(ROOT, "$MFT");
            own.extents("", 0, size, &[0x12, low, high, MFT as u8])
        });
        let bitmap = Rec::sized(self.size, 6, 1).name(ROOT, "$Bitmap").data(&self.bitmap);
        records[6].get_or_insert(bitmap);
        let stored = |record: Option<Rec>| record.map_or(vec![0; self.size], Rec::stored);
        records.into_iter().flat_map(stored).collect()
    }

    pub(super) fn open(&self) -> Ntfs {
        Ntfs::open(Arc::new(self.bytes()), "C:\\").unwrap()
    }
}

/// All entries but the metafiles', and the messages of the problems.
pub(super) fn walk(ntfs: &Ntfs) -> (Vec<Entry>, Vec<String>) {
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    ntfs.walk(&mut |entry| entries.push(entry), &mut |problem: Problem| {
        problems.push(problem.message);
    });
    entries.retain(|entry| !entry.path.as_str().starts_with("C:\\$M"));
    entries.retain(|entry| !entry.path.as_str().starts_with("C:\\$B"));
    (entries, problems)
}

/// `path`, `path (deleted …)` of all entries but the metafiles'.
pub(super) fn paths(ntfs: &Ntfs) -> Vec<String> {
    let shown = |entry: Entry| match entry.state {
        State::Present => entry.path.as_str().to_owned(),
        State::Deleted(remains) => format!("{} ({remains:?})", entry.path),
    };
    walk(ntfs).0.into_iter().map(shown).collect()
}

/// The content of the entry shown at a path.
pub(super) fn content(ntfs: &Ntfs, path: &str) -> Result<Vec<u8>, String> {
    let path = EvidencePath::new(path);
    let entry = walk(ntfs).0.into_iter().find(|entry| entry.path == path).unwrap();
    let content = ntfs.open(&entry).map_err(|error| error.to_string())?;
    read(&*content)
}

pub(super) fn read(content: &dyn ReadAt) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; content.size().min(1 << 20) as usize];
    let n = content.read_at(0, &mut bytes).map_err(|error| error.to_string())?;
    bytes.truncate(n);
    Ok(bytes)
}
