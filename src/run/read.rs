//! Reads located files in parallel: one unit per file, or per part of a large one.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::SourceProgress;
use super::files;
use super::twice::{self, Watch};
use crate::artifact::{Artifacts, Located, Settled};
use crate::model::{
    Damage, Event, Extent, Filter, Hit, Input, PathResolver, ReadAt, Record, Sink, Zone,
    without_snapshot,
};
use crate::parse::{self, ParseError, Parser, encoded_command};
use crate::source::{Entry, Filesystem};

/// Files that are read whole: above this size one at a time of a source, so that memory
/// holds the copies of one only.
const LARGE_WHOLE_BYTES: u64 = 1 << 20;
/// Parsers that read their files whole.
const WHOLE: [&str; 1] = ["registry"];
/// Parsers that follow references all over a file: of one moment, or nothing is sure.
const OF_ONE_PIECE: [&str; 6] =
    ["bits_queue", "registry", "sqlite", "srum", "web_cache", "wmi_repository"];
/// Parts of a file that one task reads.
const PARTS_PER_UNIT: u64 = 128;
/// Events of one file beyond which no more are kept: a bound for hostile input.
const MAX_EVENTS_PER_UNIT: usize = 200_000;

/// Says what a record meets; nothing means that nobody cares for it.
pub type Judge<'a> = dyn Fn(&Record) -> Vec<Hit> + Sync + 'a;

/// The filter for the files of the parser of that name.
pub type FilterOf<'a> = dyn (Fn(&str) -> &'a dyn Filter) + Sync + 'a;

/// What was read of one located file.
#[derive(Debug, Default)]
pub struct FileReading {
    pub events: Vec<Event>,
    pub damages: Vec<Damage>,
    /// One per log or store; most files have none.
    pub extent: Option<Extent>,
    /// Nothing, or nothing more, could be read.
    pub error: Option<String>,
}

/// What is common to every file of a pass.
pub struct Pass<'a> {
    pub filesystem: &'a dyn Filesystem,
    pub artifacts: &'a Artifacts,
    pub source: Arc<str>,
    /// The machine's own name: what its hives and files do not say of themselves.
    pub computer: Option<&'a str>,
    /// The machine's own time zone.
    pub zone: Option<&'a Zone>,
    pub filter: &'a FilterOf<'a>,
    pub judge: &'a Judge<'a>,
    pub progress: &'a SourceProgress,
    /// Files are left out of which it is known that the first pass finds nothing in them.
    pub is_first: bool,
    /// Files may change while they are read.
    pub is_live: bool,
}

struct Unit {
    file: usize,
    /// `None`: the whole file.
    parts: Option<Range<u64>>,
}

impl Pass<'_> {
    /// Reads the files; one reading per file, in their order, whatever the threads.
    pub fn read(&self, files: &[&Located]) -> Vec<FileReading> {
        let unread = |file: &Located| !(self.is_first && file.settled.is_some());
        let opened: Vec<_> =
            files.par_iter().map(|file| unread(file).then(|| self.open(file))).collect();
        let known = opened.iter().enumerate();
        let known = known.filter_map(|(file, opened)| Some((file, opened.as_ref()?)));
        let units: Vec<Unit> = known.flat_map(|(file, opened)| units(file, opened)).collect();
        let mut out: Vec<FileReading> = files.iter().map(|file| self.settled(file)).collect();
        let read = |(number, unit): &(usize, &Unit)| {
            let (reading, extents) = match (opened.get(unit.file), files.get(unit.file)) {
                (Some(Some(Ok(open))), Some(file)) => self.unit(open, file, unit.parts.clone()),
                (Some(Some(Err(error))), _) => {
                    (FileReading { error: Some(error.clone()), ..Default::default() }, vec![])
                }
                _ => (FileReading::default(), Vec::new()),
            };
            (*number, unit.file, reading, extents)
        };
        let (large, others): (Vec<_>, Vec<_>) = self
            .in_place_order(files, &units)
            .into_iter()
            .partition(|(_, unit)| files.get(unit.file).is_some_and(|file| is_large(file)));
        // No lock: whoever reads a packed image meanwhile begins other files on its stack.
        let (mut pieces, more): (Vec<_>, Vec<_>) = rayon::join(
            || large.iter().map(read).collect(),
            || others.par_iter().map(read).collect(),
        );
        pieces.extend(more);
        pieces.sort_by_key(|(number, ..)| *number);
        let mut extents: BTreeMap<usize, Vec<Extent>> = BTreeMap::new();
        for (_, file, piece, parts) in pieces {
            extents.entry(file).or_default().extend(parts);
            let Some(whole) = out.get_mut(file) else { continue };
            whole.events.extend(piece.events);
            whole.damages.extend(piece.damages);
            whole.error = whole.error.take().or(piece.error);
        }
        for (file, parts) in extents {
            if let Some(whole) = out.get_mut(file).filter(|_| !parts.is_empty()) {
                whole.extent = Some(Extent::merge(parts));
            }
        }
        self.name_by_store(&mut out);
        out
    }

    /// What is known of a file before it is read: of one that was read already, all.
    fn settled(&self, file: &Located) -> FileReading {
        let Some(settled) = file.settled.as_ref().filter(|_| self.is_first) else {
            return FileReading::default();
        };
        self.progress.done(file.entry.size);
        FileReading { damages: settled.damages.clone(), ..FileReading::default() }
    }

    /// The units, numbered, as they lie in the source: neighbours are read together,
    /// and blocks that cost work to get are made once. A further pass goes the other way:
    /// of what was read last, most is still at hand.
    fn in_place_order<'u>(&self, files: &[&Located], units: &'u [Unit]) -> Vec<(usize, &'u Unit)> {
        let places = files.iter().map(|file| self.filesystem.place(&file.entry));
        let places: Vec<u64> = places.collect();
        let mut ordered: Vec<(usize, &Unit)> = units.iter().enumerate().collect();
        ordered.sort_by_key(|(_, unit)| places.get(unit.file));
        if !self.is_first {
            ordered.reverse();
        }
        ordered
    }

    /// A log's artifact is told by what its records say, not by its file name.
    fn name_by_store(&self, readings: &mut [FileReading]) {
        for event in readings.iter_mut().flat_map(|r| &mut r.events) {
            let store = event.record.text("Channel").and_then(|c| self.artifacts.by_store(c));
            if let Some(artifact) = store {
                event.artifact = artifact.id.clone();
            }
        }
    }

    fn open<'f>(&'f self, file: &'f Located) -> Result<Open<'f>, String> {
        if let Some(why) = self.progress.limits.reached() {
            return Err(why.to_string());
        }
        let parser = parse::by_name(&file.parser)
            .ok_or_else(|| format!("no parser is called {}", file.parser))?;
        let bytes = match &file.held {
            Some(held) => Box::new(held.to_vec()),
            None => self.filesystem.open(&file.entry).map_err(|e| e.to_string())?,
        };
        let sidecars =
            file.sidecars.iter().filter_map(|entry| self.filesystem.open(entry).ok()).collect();
        let paths = self.filesystem.directories(&file.entry.path);
        let mut open = Open { file, parser, bytes, sidecars, paths, zone: self.zone, parts: 1 };
        let parts = open.input((self.filter)(&file.parser), |input| parser.parts(input));
        open.parts = parts;
        Ok(open)
    }

    fn unit(
        &self,
        open: &Open<'_>,
        file: &Located,
        parts: Option<Range<u64>>,
    ) -> (FileReading, Vec<Extent>) {
        // What is read whole is in memory twice while it is taken apart.
        let whole = if is_whole(file) { file.entry.size.saturating_mul(2) } else { 0 };
        let limits = &self.progress.limits;
        if let Some(why) = limits.ended().or_else(|| limits.no_memory_for(whole)) {
            let error = Some(why.to_string());
            return (FileReading { error, ..FileReading::default() }, Vec::new());
        }
        let (reading, extents) = match self.is_live {
            true => self.until_whole(open, file, parts.as_ref()),
            false => self.once(open, None, file, parts.as_ref()),
        };
        let share = parts.map_or(1, |r| open.parts.div_ceil(r.end.saturating_sub(r.start).max(1)));
        let done = file.entry.size / share.max(1);
        self.progress.done(done);
        (reading, extents)
    }

    /// Reads a unit until it was read whole; one that never was is damaged.
    fn until_whole(
        &self,
        open: &Open<'_>,
        file: &Located,
        parts: Option<&Range<u64>>,
    ) -> (FileReading, Vec<Extent>) {
        let mut fresh = None;
        let ((mut reading, extents), torn) = twice::until_whole(|| {
            let open = fresh.as_ref().unwrap_or(open);
            let watch = Watch::new(&*open.bytes, &open.sidecars);
            let (reading, extents) = self.once(open, Some(&watch), file, parts);
            let torn = self.is_torn(open, &watch, &reading);
            fresh = self.open(file).ok().filter(|_| torn).or_else(|| fresh.take());
            ((reading, extents), torn)
        });
        if torn {
            reading.damages.push(Damage { locator: None, message: twice::torn(), lost: true });
        }
        (reading, extents)
    }

    /// Whether a file was changed while it was read, so that its records are not sure. One
    /// that only grows, or whose parts stand for themselves, does no harm by it.
    fn is_torn(&self, open: &Open<'_>, watch: &Watch<'_>, reading: &FileReading) -> bool {
        let lost = reading.error.is_some() || reading.damages.iter().any(|damage| damage.lost);
        let in_use = !is_historic(&open.file.entry) && self.progress.limits.ended().is_none();
        if !in_use || !lost && !OF_ONE_PIECE.contains(&open.parser.name()) {
            return false;
        }
        self.filesystem.forget();
        let changed = watch.changed();
        changed.file || changed.sidecars && lost
    }

    /// Reads a unit once, through `watch` if there is one.
    fn once(
        &self,
        open: &Open<'_>,
        watch: Option<&Watch<'_>>,
        file: &Located,
        parts: Option<&Range<u64>>,
    ) -> (FileReading, Vec<Extent>) {
        let mut sink =
            Collector { pass: self, file, reading: FileReading::default(), extents: Vec::new() };
        let filter = Named { filter: (self.filter)(&file.parser), path: file.entry.path.as_str() };
        let filter = filter.for_parser(&file.parser);
        let result = open.input_through(watch, filter, |input| match parts {
            None => guarded(|| open.parser.parse(input, &mut sink)),
            Some(range) => guarded(|| open.parser.parse_part(input, range.clone(), &mut sink)),
        });
        if let Err(error) = result {
            sink.reading.error = Some(error.to_string());
        }
        (sink.reading, sink.extents)
    }
}

/// Whether an entry is of a shadow copy, which nobody writes.
fn is_historic(entry: &Entry) -> bool {
    without_snapshot(entry.path.as_str()).0.is_some()
}

/// What reading a file comes to that gives no record which can match.
pub fn settle(
    parser: &dyn Parser,
    (filesystem, entry): (&dyn Filesystem, &Entry),
    bytes: &dyn ReadAt,
    filter: &dyn Filter,
) -> Option<Settled> {
    let filter = Named { filter, path: entry.path.as_str() };
    let filter = Overhearing { filter: filter.for_parser(parser.name()), hash: Mutex::default() };
    let input = Input {
        bytes,
        sidecars: Vec::new(),
        name: entry.path.file_name(),
        modified: entry.times.modified,
        filter: if is_program(parser.name()) { &filter } else { filter.filter },
        paths: filesystem.directories(&entry.path),
        zone: None,
    };
    let mut silence = Silence::default();
    guarded(|| parser.parse(&input, &mut silence)).ok()?;
    let sha256 = filter.hash.into_inner().unwrap_or_else(PoisonError::into_inner);
    (!silence.is_broken).then_some(Settled { damages: silence.damages, sha256 })
}

/// Whether a parser reads programs.
pub fn is_program(parser: &str) -> bool {
    matches!(parser, "pe" | "elf" | "macho")
}

/// A filter that keeps the hash which a program's record would have: whoever looks for
/// it later need not read the program again.
struct Overhearing<'a> {
    filter: &'a dyn Filter,
    hash: Mutex<Option<String>>,
}

impl Filter for Overhearing<'_> {
    fn admits(&self, block: &[u8]) -> bool {
        self.filter.admits(block)
    }

    fn admits_text(&self, text: &[u8]) -> bool {
        // The last one: what a program says of itself stands before it.
        const BEFORE: &[u8] = b"\nHashes=SHA256=";
        let hash = memchr::memmem::rfind(text, BEFORE);
        let hash = hash.and_then(|at| text.get(at.saturating_add(BEFORE.len())..));
        if let Some(hash) = hash {
            let digits = hash.iter().take_while(|byte| byte.is_ascii_hexdigit());
            let hash: String = digits.map(|byte| char::from(byte.to_ascii_lowercase())).collect();
            *self.hash.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash);
        }
        self.filter.admits_text(text)
    }
}

/// Notes whether anything is told but damage.
#[derive(Default)]
struct Silence {
    is_broken: bool,
    damages: Vec<Damage>,
}

impl Sink for Silence {
    fn record(&mut self, _: Record) -> ControlFlow<()> {
        self.is_broken = true;
        ControlFlow::Break(())
    }

    fn damaged(&mut self, damage: Damage) {
        self.damages.push(damage);
    }

    fn extent(&mut self, _: Extent) {}
}

fn is_whole(file: &Located) -> bool {
    WHOLE.contains(&&*file.parser)
}

fn is_large(file: &Located) -> bool {
    is_whole(file) && file.entry.size > LARGE_WHOLE_BYTES
}

/// The filter for records about a file as a whole, which get its path as a field:
/// a rule may ask for the name and for what the file says of itself.
struct Named<'a> {
    filter: &'a dyn Filter,
    path: &'a str,
}

impl Named<'_> {
    fn for_parser(&self, parser: &str) -> &dyn Filter {
        if matches!(parser, "pe" | "elf" | "macho" | "zip" | "tar" | "ngrok_config") {
            self
        } else {
            self.filter
        }
    }
}

impl Filter for Named<'_> {
    fn admits(&self, block: &[u8]) -> bool {
        self.filter.admits(block)
    }

    fn admits_text(&self, text: &[u8]) -> bool {
        self.filter.admits_text(&[text, b"\nTargetFilename=", self.path.as_bytes()].concat())
    }
}

/// A parser that panics is a defect of ours; its file must not end the run.
fn guarded(parse: impl FnOnce() -> Result<(), ParseError>) -> Result<(), ParseError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(parse)).unwrap_or_else(|_| {
        Err(ParseError::Broken {
            format: "file",
            offset: 0,
            what: "the parser failed on it and was stopped".into(),
        })
    })
}

struct Open<'f> {
    file: &'f Located,
    parser: &'static dyn Parser,
    bytes: Box<dyn ReadAt>,
    sidecars: Vec<Box<dyn ReadAt>>,
    paths: Option<&'f dyn PathResolver>,
    zone: Option<&'f Zone>,
    parts: u64,
}

impl Open<'_> {
    fn input<T>(&self, filter: &dyn Filter, use_it: impl FnOnce(&Input<'_>) -> T) -> T {
        self.input_through(None, filter, use_it)
    }

    fn input_through<T>(
        &self,
        watch: Option<&Watch<'_>>,
        filter: &dyn Filter,
        use_it: impl FnOnce(&Input<'_>) -> T,
    ) -> T {
        let plain = || self.sidecars.iter().map(|s| &**s as &dyn ReadAt).collect();
        use_it(&Input {
            bytes: watch.map_or(&*self.bytes, Watch::file),
            sidecars: watch.map_or_else(plain, Watch::sidecars),
            name: self.file.entry.path.file_name(),
            modified: self.file.entry.times.modified,
            filter,
            paths: self.paths,
            zone: self.zone,
        })
    }
}

fn units(file: usize, open: &Result<Open<'_>, String>) -> Vec<Unit> {
    match open {
        Ok(open) if open.parts > 1 => (0..open.parts)
            .step_by(usize::try_from(PARTS_PER_UNIT).unwrap_or(usize::MAX))
            .map(|start| {
                let end = start.saturating_add(PARTS_PER_UNIT).min(open.parts);
                Unit { file, parts: Some(start..end) }
            })
            .collect(),
        _ => vec![Unit { file, parts: None }],
    }
}

struct Collector<'a, 'p> {
    pass: &'a Pass<'p>,
    file: &'a Located,
    reading: FileReading,
    extents: Vec<Extent>,
}

impl Sink for Collector<'_, '_> {
    fn record(&mut self, mut record: Record) -> ControlFlow<()> {
        files::describe(&mut record, &self.file.entry);
        name_computer(&mut record, self.pass.computer);
        encoded_command::add_decoded(&mut record);
        let hits = (self.pass.judge)(&record);
        if hits.is_empty() {
            return ControlFlow::Continue(());
        }
        if self.reading.events.len() >= MAX_EVENTS_PER_UNIT {
            self.damaged(Damage {
                locator: Some(record.locator.clone()),
                message: format!("more than {MAX_EVENTS_PER_UNIT} hits; further ones not listed"),
                lost: true,
            });
            return ControlFlow::Break(());
        }
        self.reading.events.push(Event {
            artifact: self.file.artifact.clone(),
            path: self.file.entry.path.clone(),
            record,
            hits,
            source: self.pass.source.clone(),
            sha256: None,
        });
        ControlFlow::Continue(())
    }

    fn damaged(&mut self, damage: Damage) {
        self.reading.damages.push(damage);
    }

    fn extent(&mut self, extent: Extent) {
        self.extents.push(extent);
    }
}

/// Gives a record that names no machine the one it was found on.
pub fn name_computer(record: &mut Record, computer: Option<&str>) {
    if let Some(computer) = computer.filter(|_| record.text("Computer").is_none()) {
        record.push("Computer", computer);
    }
}

#[cfg(test)]
mod tests;
