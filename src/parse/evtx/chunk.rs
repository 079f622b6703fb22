//! One chunk: what its headers promise, what its records hold, what is lost of it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::binxml::{Rendered, Renderer};
use super::cut;
use super::hidden::reveal;
use super::layout::{CHUNK_BYTES, CHUNK_HEADER_BYTES, CHUNK_MAGIC, Chain, ChunkHead, RecordHead};
use super::reach::Reach;
use super::rendered;
use crate::model::{Damage, Filter, Locator, Record, Sink};

/// Record ids above this are no count of events but damage.
const MAX_PLAUSIBLE_ID: u64 = 1 << 48;

/// The bytes of one chunk and where they stand.
pub(super) struct Chunk<'a> {
    /// From 0.
    pub number: u64,
    /// In the file.
    pub offset: u64,
    /// Fewer than a chunk's where the file ends.
    pub bytes: &'a [u8],
    /// The log was not closed: the last chunk's checksums may be stale.
    pub dirty: bool,
    pub counted: Counted,
}

/// Whether the file header counts a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Yes,
    /// The log was closed without it: it is left over from before.
    No,
    Unknown,
}

impl Chunk<'_> {
    /// The place `at` this offset of the chunk.
    fn locator(&self, at: usize) -> Locator {
        Locator::Offset(self.offset.saturating_add(u64::try_from(at).unwrap_or_default()))
    }

    fn damage(&self, at: usize, what: &str, lost: bool) -> Damage {
        Damage {
            locator: Some(self.locator(at)),
            message: format!("event log, chunk {} at {:#x}: {what}", self.number, self.offset),
            lost,
        }
    }
}

/// Reads one chunk: counts it into `reach`, pushes its records that can matter and
/// tells what is lost. Breaks when the sink does.
pub(super) fn read(
    chunk: &Chunk<'_>,
    filter: &dyn Filter,
    renderer: &Renderer,
    reach: &mut Reach,
    sink: &mut dyn Sink,
) -> ControlFlow<()> {
    if filter.passes_over(chunk.bytes) {
        return ControlFlow::Continue(());
    }
    if chunk.bytes.iter().all(|byte| *byte == 0) {
        if chunk.counted == Counted::Yes {
            sink.damaged(chunk.damage(0, "is empty though the file header counts it", true));
        }
        return ControlFlow::Continue(());
    }
    let Some(head) = ChunkHead::read(chunk.bytes) else {
        sink.damaged(chunk.damage(0, "is no chunk of an event log, its records are lost", true));
        return salvage(chunk, filter, renderer, BTreeSet::new(), sink);
    };
    let chain = Chain::follow(chunk.bytes, &head);
    if chunk.bytes.len() < CHUNK_BYTES && chain.broken_at.is_some() {
        let what = format!("the file ends {} bytes into it", chunk.bytes.len());
        sink.damaged(chunk.damage(chunk.bytes.len(), &what, true));
    }
    let fault = head.checksum_fault(chunk.bytes);
    let found = u64::try_from(chain.records.len()).unwrap_or_default();
    let revealed = reveal(chunk.bytes, &chain);
    let whole = chain.broken_at.is_none() && found >= head.promised() && revealed.is_none();
    if whole && fault.is_none() {
        return intact(chunk, &head, &chain, filter, renderer, reach, sink);
    }
    let bytes = revealed.as_ref().map_or(chunk.bytes, |revealed| &revealed.bytes);
    let mended = Chunk { bytes, ..*chunk };
    let mut reading = Reading::new(&mended, filter, sink);
    reading.strict = true;
    revealed.iter().for_each(|revealed| reading.tell_hidden(&revealed.records));
    renderer.each(bytes, &mut |item| reading.take(item, &chain, reach))?;
    reading.finish(&head, &chain, fault)?;
    if chunk.counted != Counted::No {
        let promised = head.promised() > 0;
        let credible = |id| !promised || head.holds(id);
        reading.live.iter().filter(|r| credible(r.id)).for_each(|record| reach.add(record));
    }
    reading.salvage_rest(chunk, renderer)
}

/// Reads the records that can matter of a chunk that is as its headers promise. The
/// first one is always read while nobody has told whose log it is.
fn intact(
    chunk: &Chunk<'_>,
    head: &ChunkHead,
    chain: &Chain,
    filter: &dyn Filter,
    renderer: &Renderer,
    reach: &mut Reach,
    sink: &mut dyn Sink,
) -> ControlFlow<()> {
    if chunk.counted != Counted::No {
        chain.records.iter().for_each(|(_, record)| reach.add(record));
    }
    let mut picked = filter.picks(chunk.bytes, &|| cut::cut(chunk.bytes, chain));
    let stale = picked.pop_if(|last| *last >= chain.records.len()).is_some();
    if reach.anonymous() && picked.first() != Some(&0) {
        picked.insert(0, 0);
    }
    if picked.is_empty() && !stale {
        return ControlFlow::Continue(());
    }
    let (bytes, passed) = cut::keep(chunk.bytes, chain, &picked);
    let mended = Chunk { bytes: &bytes, ..*chunk };
    let mut reading = Reading::new(&mended, filter, sink);
    let others = chain.records.iter().enumerate();
    reading.live = others
        .filter(|(number, _)| picked.binary_search(number).is_err())
        .map(|(_, (_, record))| *record)
        .collect();
    let mut take = |item: Rendered| match &item {
        Rendered::Record { at, .. } if passed.binary_search(at).is_ok() => {
            ControlFlow::Continue(())
        }
        _ => reading.take(item, chain, reach),
    };
    match stale {
        true => renderer.each(&bytes, &mut take)?,
        false => renderer.each_live(&bytes, &mut take)?,
    }
    reading.finish(head, chain, None)?;
    reading.salvage_rest(chunk, renderer)
}

/// Takes channel and machine from a rendered record.
fn learn(reach: &mut Reach, json: &[u8]) {
    if let Ok(event) = rendered::read(json) {
        reach.store = Some(event.channel).filter(|name| !name.is_empty());
        reach.computer = Some(event.computer).filter(|name| !name.is_empty());
    }
}

/// The reading of one chunk whose records are looked into.
struct Reading<'a> {
    chunk: &'a Chunk<'a>,
    filter: &'a dyn Filter,
    sink: &'a mut dyn Sink,
    /// Records that cannot matter are looked into as well.
    strict: bool,
    /// Headers of the live records read, in order.
    live: Vec<RecordHead>,
    /// Ids of records hidden inside others.
    hidden: BTreeSet<u64>,
    /// Places told as damage.
    faults: u64,
    /// Nothing more of the chunk can be read though there may be more.
    stopped: bool,
    /// Carved records, kept until it is known which are live elsewhere in the chunk.
    carved: Vec<(u64, Record)>,
}

impl<'a> Reading<'a> {
    fn new(chunk: &'a Chunk<'a>, filter: &'a dyn Filter, sink: &'a mut dyn Sink) -> Self {
        Self {
            chunk,
            filter,
            sink,
            strict: false,
            live: Vec::new(),
            hidden: BTreeSet::new(),
            faults: 0,
            stopped: false,
            carved: Vec::new(),
        }
    }

    /// Tells of records hidden inside others; they count as recovered.
    fn tell_hidden(&mut self, records: &[(usize, RecordHead)]) {
        for (at, record) in records {
            self.hidden.insert(record.id);
            let what = format!("record {} was hidden inside the one before it", record.id);
            self.sink.damaged(self.chunk.damage(*at, &what, false));
        }
    }

    fn take(&mut self, item: Rendered, chain: &Chain, reach: &mut Reach) -> ControlFlow<()> {
        match item {
            Rendered::Record { id, at, recovered, json }
                if recovered || self.hidden.contains(&id) =>
            {
                if let Some(record) = self.record(id, at, true, &json) {
                    self.carved.push((id, record));
                }
                ControlFlow::Continue(())
            }
            Rendered::Record { id, at, json, .. } => {
                self.live.extend(RecordHead::at(self.chunk.bytes, at));
                if reach.anonymous() {
                    learn(reach, &json);
                }
                match self.record(id, at, self.chunk.counted == Counted::No, &json) {
                    Some(record) => self.sink.record(record),
                    None => ControlFlow::Continue(()),
                }
            }
            Rendered::Unreadable { id, at, why } => {
                let at =
                    at.or_else(|| chain.records.iter().find(|r| Some(r.1.id) == id).map(|r| r.0));
                let name = id.map_or_else(|| "a record".to_owned(), |id| format!("record {id}"));
                self.fault(at.unwrap_or_default(), &format!("{name} cannot be read: {why}"));
                ControlFlow::Continue(())
            }
            Rendered::Stopped { why } => {
                self.stopped = true;
                self.fault(0, &format!("its rest cannot be read: {why}"));
                ControlFlow::Continue(())
            }
        }
    }

    /// The record of this JSON, if it can matter.
    fn record(&mut self, id: u64, at: usize, recovered: bool, json: &[u8]) -> Option<Record> {
        let admitted = self.filter.admits_text(json);
        if !admitted && (recovered || !self.strict) {
            return None;
        }
        let event = match rendered::read(json) {
            Ok(event) => event,
            Err(_) if recovered => return None,
            Err(why) => {
                self.fault(at, &format!("record {id} cannot be read: {why}"));
                return None;
            }
        };
        if !admitted {
            return None;
        }
        let number = event.record_id.and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
        let locator = match number.unwrap_or(id) {
            id @ 1..=MAX_PLAUSIBLE_ID => Locator::Record(id),
            _ => self.chunk.locator(at),
        };
        let written = RecordHead::at(self.chunk.bytes, at).and_then(|head| head.time());
        let mut record = event.into_record(locator, written);
        record.recovered = recovered;
        Some(record)
    }

    fn fault(&mut self, at: usize, what: &str) {
        self.faults = self.faults.saturating_add(1);
        self.sink.damaged(self.chunk.damage(at, what, true));
    }

    /// Pushes what was carved and judges what is missing.
    fn finish(
        &mut self,
        head: &ChunkHead,
        chain: &Chain,
        checksum: Option<&'static str>,
    ) -> ControlFlow<()> {
        let live: BTreeSet<u64> = self.live.iter().map(|record| record.id).collect();
        for (id, record) in std::mem::take(&mut self.carved) {
            if !live.contains(&id) {
                self.sink.record(record)?;
            }
        }
        let read = self.live.len().saturating_add(self.hidden.len());
        let read = u64::try_from(read).unwrap_or_default();
        let promised = head.promised();
        if read < promised {
            let missing = promised.saturating_sub(read);
            let what = format!("{missing} of its {promised} records are missing");
            self.fault(0, &what);
        }
        if let Some(at) = chain.broken_at.filter(|_| self.faults == 0) {
            self.fault(at, "the chain of records breaks off before the free space");
        }
        if let Some(name) = checksum.filter(|_| self.faults == 0 && !self.chunk.dirty) {
            let what = format!("its {name} does not fit, though every record can be read");
            self.sink.damaged(self.chunk.damage(0, &what, false));
        }
        ControlFlow::Continue(())
    }

    /// Looks for what is left of a chunk whose reading stopped.
    fn salvage_rest(self, chunk: &Chunk<'_>, renderer: &Renderer) -> ControlFlow<()> {
        if !self.stopped {
            return ControlFlow::Continue(());
        }
        let seen = self.live.iter().map(|record| record.id).collect();
        salvage(chunk, self.filter, renderer, seen, self.sink)
    }
}

/// Reads the records of a chunk whose header is destroyed, all as recovered: under a
/// made header that promises nothing, records are found by their own marks. Those
/// `seen` before are left out.
fn salvage(
    chunk: &Chunk<'_>,
    filter: &dyn Filter,
    renderer: &Renderer,
    mut seen: BTreeSet<u64>,
    sink: &mut dyn Sink,
) -> ControlFlow<()> {
    if !filter.admits(chunk.bytes) {
        return ControlFlow::Continue(());
    }
    let bytes = with_made_header(chunk.bytes);
    let mended = Chunk { bytes: &bytes, ..*chunk };
    let mut reading = Reading::new(&mended, filter, sink);
    renderer.each(&bytes, &mut |item| {
        let Rendered::Record { id, at, json, .. } = item else {
            return ControlFlow::Continue(());
        };
        match reading.record(id, at, true, &json).filter(|_| seen.insert(id)) {
            Some(record) => reading.sink.record(record),
            None => ControlFlow::Continue(()),
        }
    })
}

/// The chunk under a header of no names and no templates whose records may be anywhere.
fn with_made_header(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut header = [0u8; CHUNK_HEADER_BYTES];
    let fields: [(usize, &[u8]); 5] = [
        (0, CHUNK_MAGIC),
        (32, &u64::MAX.to_le_bytes()),
        (40, &128u32.to_le_bytes()),
        (44, &len),
        (48, &len),
    ];
    for (at, value) in fields {
        if let Some(to) = header.get_mut(at..at.saturating_add(value.len())) {
            to.copy_from_slice(value);
        }
    }
    let mut made = header.to_vec();
    made.extend_from_slice(bytes.get(CHUNK_HEADER_BYTES..).unwrap_or_default());
    made
}
