//! A volume's records: where `$MFT` lies, and one record at a time.

use std::io;
use std::sync::Arc;

use crate::model::ReadAt;

use super::super::bytes::{fill, fill_exactly};
use super::boot::{Copy, Geometry};
use super::content::Content;
use super::list::{self, MAX_LIST};
use super::record::{ATTRIBUTE_LIST, Attribute, Body, DATA, Record, fix};
use super::runs::{MAX_RUNS, Pairs, Run};
use super::scan::{Measures, record_size};

/// Records that `$MFTMirr` repeats at most.
const MAX_MIRROR: usize = 64 << 10;

/// A volume, or an `$MFT` without one.
pub(super) struct Volume {
    /// `None` for an `$MFT` that was copied out of its volume.
    pub(super) disk: Option<(Arc<dyn ReadAt>, Geometry)>,
    pub(super) mft: Arc<dyn ReadAt>,
    pub(super) measures: Measures,
    /// The first records as `$MFTMirr` has them; empty where it cannot be read.
    mirror: Vec<u8>,
    /// What was wrong on the way to the records.
    pub(super) notes: Vec<String>,
}

impl Volume {
    /// Finds `$MFT` by the boot sector, its copy, the first record and `$MFTMirr`.
    ///
    /// # Errors
    ///
    /// Why there is no way to the records.
    pub(super) fn open(disk: Arc<dyn ReadAt>) -> Result<Self, String> {
        let (geometry, copy) = Geometry::read(&*disk)?;
        let mut notes = Vec::new();
        if copy == Copy::Backup {
            notes
                .push("the boot sector is damaged; its copy in the last sector is used".to_owned());
        }
        let measures = Measures {
            record: geometry.record as usize,
            clusters: Some((u64::from(geometry.cluster), geometry.clusters)),
        };
        let mut volume = Self {
            mft: Arc::new(Vec::new()),
            mirror: mirror(&*disk, geometry),
            disk: Some((disk.clone(), geometry)),
            measures,
            notes,
        };
        let first = volume.first(&*disk, geometry)?;
        volume.map(disk, geometry, &first)?;
        Ok(volume)
    }

    /// Takes an `$MFT` that was copied out of its volume.
    ///
    /// # Errors
    ///
    /// When it does not begin with a record.
    pub(super) fn bare(mft: Arc<dyn ReadAt>) -> Result<Self, String> {
        let mut start = [0; 512];
        let n = fill(&*mft, 0, &mut start).map_err(|error| error.to_string())?;
        let record = record_size(start.get(..n).unwrap_or_default())
            .ok_or_else(|| "it does not begin with an $MFT record".to_owned())?;
        let measures = Measures { record, clusters: None };
        Ok(Self { disk: None, mft, measures, mirror: Vec::new(), notes: Vec::new() })
    }

    /// The first record, its fixups applied.
    fn first(&mut self, disk: &dyn ReadAt, geometry: Geometry) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; self.measures.record];
        let at = geometry.mft;
        let damage = match fill_exactly(disk, at, &mut bytes) {
            Ok(()) => match fix(&mut bytes, *b"FILE") {
                Ok(()) if maps_itself(&bytes) => return Ok(bytes),
                Ok(()) => "it maps no records".to_owned(),
                Err(damage) => damage.as_str().to_owned(),
            },
            Err(error) => error.to_string(),
        };
        match self.mirrored(0).filter(|bytes| maps_itself(bytes)) {
            Some(mirrored) => {
                self.notes.push(format!(
                    "the first $MFT record at {at:#x} is damaged ({damage}); $MFTMirr is used"
                ));
                Ok(mirrored)
            }
            None => Err(format!("$MFT record 0 at {at:#x}: {damage}; $MFTMirr is no better")),
        }
    }

    /// Follows the run list of `$MFT`, through its own extension records too.
    fn map(
        &mut self,
        disk: Arc<dyn ReadAt>,
        geometry: Geometry,
        first: &[u8],
    ) -> Result<(), String> {
        let record = Record::of_fixed(first).map_err(|damage| damage.as_str().to_owned())?;
        let (mut content, mut listed) = (None, Vec::new());
        for attribute in record.attributes() {
            match (attribute.kind, attribute.body) {
                (DATA, Body::Extents(extents)) if is_plain(&attribute) && extents.first == 0 => {
                    let mut content_of = Content {
                        volume: disk.clone(),
                        cluster: u64::from(geometry.cluster),
                        runs: Vec::new(),
                        size: extents.size,
                        initialized: extents.initialized.min(extents.size),
                    };
                    self.extend(&mut content_of, extents.pairs, 0, geometry);
                    content = Some(content_of);
                }
                (ATTRIBUTE_LIST, _) => {
                    listed = self.list(disk.clone(), geometry, &attribute).unwrap_or_default();
                }
                _ => {}
            }
        }
        let mut content = content.ok_or_else(|| "$MFT has no content".to_owned())?;
        self.follow(&mut content, &listed, geometry);
        let mapped = content.runs.last().map_or(0, Run::end).saturating_mul(content.cluster);
        if mapped < content.initialized {
            self.notes.push(format!(
                "$MFT claims {} bytes, its run list maps {mapped}; the rest is not read",
                content.size
            ));
        }
        content.size = content.size.min(mapped);
        content.initialized = content.initialized.min(mapped);
        self.mft = Arc::new(content);
        Ok(())
    }

    /// Appends the runs of the extension records that the attribute list names.
    fn follow(&mut self, content: &mut Content, listed: &[u8], geometry: Geometry) {
        let mut pieces: Vec<_> = list::entries(listed)
            .filter(|entry| entry.kind == DATA && entry.name.is_empty() && entry.first != 0)
            .collect();
        pieces.sort_by_key(|entry| entry.first);
        let size = self.measures.record as u64;
        for piece in pieces {
            let mut bytes = vec![0; self.measures.record];
            let at = piece.record.number.saturating_mul(size);
            if fill_exactly(content, at, &mut bytes).is_err() {
                continue;
            }
            let Ok(record) = Record::read(&mut bytes) else { continue };
            for attribute in record.attributes().filter(|a| a.kind == DATA && is_plain(a)) {
                let Body::Extents(extents) = attribute.body else { continue };
                if extents.first == content.runs.last().map_or(0, Run::end) {
                    self.extend(content, extents.pairs, extents.first, geometry);
                }
            }
        }
    }

    fn extend(&mut self, content: &mut Content, pairs: &[u8], first: u64, geometry: Geometry) {
        for run in Pairs::new(pairs, first, geometry.clusters) {
            match run {
                Ok(run) if run.lcn.is_some() && content.runs.len() < MAX_RUNS => {
                    content.runs.push(run);
                }
                Ok(_) => return self.notes.push("$MFT's run list holds a hole".to_owned()),
                Err(error) => return self.notes.push(format!("$MFT: {error}")),
            }
        }
    }

    /// The bytes of an attribute list, wherever it lies.
    fn list(
        &self,
        disk: Arc<dyn ReadAt>,
        geometry: Geometry,
        attribute: &Attribute<'_>,
    ) -> io::Result<Vec<u8>> {
        match attribute.body {
            Body::Resident(bytes) => Ok(bytes.to_vec()),
            Body::Extents(extents) => {
                let size = extents.size.min(MAX_LIST);
                let content = Content {
                    volume: disk,
                    cluster: u64::from(geometry.cluster),
                    runs: Pairs::new(extents.pairs, 0, geometry.clusters).flatten().collect(),
                    size,
                    initialized: size,
                };
                let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
                fill_exactly(&content, 0, &mut bytes)?;
                Ok(bytes)
            }
        }
    }

    /// A record by its number, its fixups applied.
    ///
    /// # Errors
    ///
    /// The read error; `InvalidData` when it is damaged here and in `$MFTMirr`.
    pub(super) fn record(&self, number: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.measures.record];
        let at = u64::from(number).saturating_mul(bytes.len() as u64);
        let read = fill_exactly(&*self.mft, at, &mut bytes);
        let fixed = read.and_then(|()| {
            fix(&mut bytes, *b"FILE").map_err(|damage| {
                let message = format!("$MFT record {number}: {}", damage.as_str());
                io::Error::new(io::ErrorKind::InvalidData, message)
            })
        });
        match fixed {
            Ok(()) => Ok(bytes),
            Err(error) => self.mirrored(number).ok_or(error),
        }
    }

    /// A record as `$MFTMirr` has it, its fixups applied.
    pub(super) fn mirrored(&self, number: u32) -> Option<Vec<u8>> {
        let mut bytes = self.mirrored_as_stored(number)?.to_vec();
        fix(&mut bytes, *b"FILE").ok()?;
        Some(bytes)
    }

    /// A record as it stands in `$MFTMirr`.
    pub(super) fn mirrored_as_stored(&self, number: u32) -> Option<&[u8]> {
        let start = usize::try_from(number).ok()?.checked_mul(self.measures.record)?;
        self.mirror.get(start..start.checked_add(self.measures.record)?)
    }
}

/// The records that `$MFTMirr` repeats: four, or as many as fill a cluster.
fn mirror(disk: &dyn ReadAt, geometry: Geometry) -> Vec<u8> {
    let four = (geometry.record as usize).saturating_mul(4);
    let mut bytes = vec![0; (geometry.cluster as usize).max(four).min(MAX_MIRROR.max(four))];
    let n = fill(disk, geometry.mirror, &mut bytes).unwrap_or_default();
    bytes.truncate(n);
    bytes
}

/// Whether the fixed record is one that maps a content: the first of `$MFT` does.
fn maps_itself(fixed: &[u8]) -> bool {
    Record::of_fixed(fixed).is_ok_and(|record| {
        record.attributes().any(|attribute| {
            attribute.kind == DATA
                && is_plain(&attribute)
                && matches!(attribute.body, Body::Extents(extents) if extents.first == 0)
        })
    })
}

fn is_plain(attribute: &Attribute<'_>) -> bool {
    attribute.name.is_empty()
}
