//! Passes over one host's files: rules first, then what was learned, until
//! nothing new comes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use super::SourceProgress;
use super::files;
use super::read::{self, FileReading, FilterOf, Pass, name_computer};
use super::{services, snapshots};
use crate::artifact::{Artifacts, Located, Locations, Settled};
use crate::correlate::{self, Errand, Need, Pivot, Target, Tool, VersionClue};
use crate::detect::{Detector, Profile};
use crate::model::{
    Cut, Event, Everything, Filter, Hit, Os, ReadAt, Record, RowStage, RungName, SystemFacts,
    Volatile,
};
use crate::parse::{self, PARSERS, Parser, encoded_command};
use crate::screen::Screen;
use crate::source::{Entry, Filesystem, HostEvidence};

/// Further passes after which hunting stops, whatever is still to be learned.
const MAX_PASSES: u64 = 8;

/// Everything loaded once for all hosts.
pub struct Definitions<'a> {
    pub artifacts: &'a Artifacts,
    pub detector: &'a Detector,
    /// What hosts of one system can have, and of those whose system is unknown; made when
    /// first asked.
    systems: BTreeMap<Option<Os>, OnceLock<Known>>,
    /// What some rule could care for: names of files, and blocks while the screen is used.
    pub screen: Screen,
    /// The same for parsers whose records are of known categories; made when first asked.
    narrow: BTreeMap<&'static str, OnceLock<Screen>>,
    use_screen: bool,
}

impl<'a> Definitions<'a> {
    pub fn new(artifacts: &'a Artifacts, detector: &'a Detector, use_screen: bool) -> Self {
        let encoded = encoded_command::requirement();
        let screen = Screen::compile(detector.requirements().chain([&encoded]));
        let systems = Os::ALL.into_iter().map(Some).chain([None]);
        let systems = systems.map(|os| (os, OnceLock::new())).collect();
        let narrow = PARSERS.iter().filter(|parser| parser.categories().is_some());
        let narrow = narrow.map(|parser| (parser.name(), OnceLock::new())).collect();
        Self { artifacts, detector, systems, screen, narrow, use_screen }
    }

    /// The artifacts that a host of that system can have; all, where it is unknown.
    pub fn artifacts_of(&self, os: Option<Os>) -> &Artifacts {
        self.known(os).map_or(self.artifacts, |known| &known.artifacts)
    }

    /// The tools as they are judged on that system.
    pub fn tools_of(&self, os: Option<Os>) -> &[Tool] {
        self.known(os).map_or(&[], |known| &known.tools)
    }

    fn known(&self, os: Option<Os>) -> Option<&Known> {
        let known = self.systems.get(&os)?;
        Some(known.get_or_init(|| Known::new(os, self.artifacts, self.detector)))
    }

    /// The screen, or what rejects nothing where it is not used.
    fn filter<'s>(&self, screen: &'s dyn Filter) -> &'s dyn Filter {
        if self.use_screen { screen } else { &Everything }
    }

    /// What rejects of a parser's files only what no rule could care for.
    fn filter_of(&self, parser: &str) -> &dyn Filter {
        let narrow = self.narrow.get(parser).map(|screen| {
            screen.get_or_init(|| {
                let categories = parse::by_name(parser).and_then(|parser| parser.categories());
                let categories = categories.unwrap_or_default();
                let mut needed = self.detector.requirements_of(&categories);
                needed.push(encoded_command::requirement());
                Screen::compile(&needed)
            })
        });
        self.filter(narrow.unwrap_or(&self.screen))
    }

    /// Reads a file that is no log or store: what it came to, if it holds nothing that
    /// a rule could care for; `None` without the screen.
    pub fn settles(
        &self,
        filesystem: &dyn Filesystem,
        entry: &Entry,
        parser: &str,
        bytes: &dyn ReadAt,
    ) -> Option<Settled> {
        let parser = parse::by_name(parser).filter(|parser| !parser.is_store());
        let parser = parser.filter(|_| self.use_screen)?;
        read::settle(parser, (filesystem, entry), bytes, &self.screen)
    }

    /// Id and digest of every profile in use.
    pub fn profile_digests(&self) -> Vec<(String, String)> {
        self.detector.profiles().iter().map(|p| (p.id.to_string(), p.sha256.clone())).collect()
    }

    /// Id and digest of every artifact definition in use.
    pub fn artifact_digests(&self) -> Vec<(String, String)> {
        self.artifacts.iter().map(|a| (a.id.to_string(), a.sha256.clone())).collect()
    }
}

/// What is known of hosts of one system.
struct Known {
    artifacts: Artifacts,
    tools: Vec<Tool>,
}

impl Known {
    fn new(os: Option<Os>, artifacts: &Artifacts, detector: &Detector) -> Self {
        let own = artifacts.of(os);
        let tool = |profile| tool_of(profile, detector, &own, os.unwrap_or_default());
        Self { tools: detector.profiles().iter().map(tool).collect(), artifacts: own }
    }
}

fn errands_of(profile: &Profile) -> Vec<Errand> {
    let errands = profile.errands.iter().filter_map(|errand| {
        let stage = RowStage::parse(&errand.stage)?;
        Some(Errand { says: errand.says.clone(), stage })
    });
    errands.collect()
}

/// What correlation needs to know of a profile on one system.
fn tool_of(profile: &Profile, detector: &Detector, artifacts: &Artifacts, os: Os) -> Tool {
    let need = |id: &String| Need {
        artifact: id.clone(),
        // What is no artifact (the walk itself) is always there; what has no place of its
        // own is looked for everywhere.
        by_default: artifacts
            .by_id(id)
            .is_none_or(|a| a.expected || a.anywhere && a.patterns.is_empty()),
    };
    let hints = profile.version_hints.clone();
    let signs = profile.server_signs.clone();
    Tool {
        id: profile.id.clone(),
        words: vec![profile.id.to_string()],
        mentions_found: detector.requirement_of(&format!("{}-mention", profile.id)).is_some(),
        binaries: profile.binaries.iter().map(|b| b.to_ascii_lowercase()).collect(),
        errands: errands_of(profile),
        logs_visitors: profile.logs_visitors,
        carries_others: profile.carries_others,
        needs: RungName::ALL
            .into_iter()
            .map(|rung| (rung, profile.needs(os.as_str(), rung).iter().map(need).collect()))
            .collect(),
        is_server: Some(Arc::new(move |record: &Record| {
            signs.iter().any(|sign| sign.is_on(record))
        })),
        clues: Some(Arc::new(move |record: &Record| {
            let hints = hints.iter().filter(|hint| hint.applies(record));
            hints
                .map(|hint| VersionClue {
                    because: hint.because.clone(),
                    at_least: hint.at_least.clone(),
                    before: hint.before.clone(),
                })
                .collect()
        })),
    }
}

/// What all passes over a host's files gave.
#[derive(Debug, Default)]
pub struct Reading {
    /// In the order of files, then within the file.
    pub events: Vec<Event>,
    /// Readings of the first pass, one per located file, without their events.
    pub files: Vec<FileReading>,
}

/// Where an event stands: the same place found twice is one event.
type Place = (usize, u64, String, String);

struct Hunt<'a> {
    definitions: &'a Definitions<'a>,
    evidence: &'a HostEvidence,
    found: &'a Locations,
    progress: &'a SourceProgress,
    system: &'a SystemFacts,
    source: Arc<str>,
    /// What comparing views of the running system gave.
    compared: Vec<Volatile>,
    events: BTreeMap<Place, Event>,
}

/// Reads a host: rules, then pivots to a fixpoint.
pub fn read(
    definitions: &Definitions<'_>,
    evidence: &HostEvidence,
    found: &Locations,
    system: &SystemFacts,
    progress: &SourceProgress,
) -> Reading {
    let mut hunt = Hunt {
        system,
        definitions,
        evidence,
        found,
        progress,
        source: Arc::from(evidence.label.as_str()),
        compared: services::known_to_one(evidence, found),
        events: BTreeMap::new(),
    };
    hunt.volatile(&|record| definitions.detector.evaluate(record));
    let files = hunt.rules();
    let mut known = BTreeSet::new();
    for _ in 0..MAX_PASSES {
        let pivots = hunt.learn(&mut known);
        if pivots.is_empty() || progress.limits.ended().is_some() {
            break;
        }
        progress.passes.fetch_add(1, Ordering::Relaxed);
        hunt.pivots(&pivots);
    }
    let events = snapshots::drop_repeated(hunt.events.into_values().collect());
    Reading { events, files }
}

impl Hunt<'_> {
    /// The first pass: every file, every rule.
    fn rules(&mut self) -> Vec<FileReading> {
        let detector = self.definitions.detector;
        let judge = |record: &Record| detector.evaluate(record);
        let files: Vec<&Located> = self.found.files.iter().collect();
        let filter = |parser: &str| self.definitions.filter_of(parser);
        let pass = Pass { is_first: true, ..self.pass(&filter, &judge) };
        let mut readings = pass.read(&files);
        for (file, reading) in readings.iter_mut().enumerate() {
            for event in std::mem::take(&mut reading.events) {
                self.keep(file, event);
            }
        }
        self.names();
        readings
    }

    /// What the running system told: after all files and names, in its own order.
    fn volatile(&mut self, judge: &dyn Fn(&Record) -> Vec<Hit>) {
        let (evidence, found) = (self.evidence, self.found);
        let after = found.files.len().saturating_add(found.names.len());
        let compared = std::mem::take(&mut self.compared);
        for (n, fact) in evidence.volatile.iter().chain(&compared).enumerate() {
            let mut record = fact.record.clone();
            name_computer(&mut record, self.system.name.as_deref());
            let hits = judge(&record);
            if hits.is_empty() {
                continue;
            }
            let event = Event {
                artifact: fact.artifact.clone(),
                path: fact.path.clone(),
                record,
                hits,
                source: self.source.clone(),
                sha256: None,
            };
            self.keep(after.saturating_add(n), event);
        }
        self.compared = compared;
    }

    /// Names that rules know; a name adds to what its file's content gave.
    fn names(&mut self) {
        let named: BTreeSet<&str> = self.found.names.iter().map(|e| e.path.as_str()).collect();
        let files = self.found.files.iter().map(|file| file.entry.path.as_str()).enumerate().rev();
        let by_path: BTreeMap<&str, usize> =
            files.filter(|(_, path)| named.contains(path)).map(|(i, path)| (path, i)).collect();
        let after = self.found.files.len();
        for (n, entry) in self.found.names.iter().enumerate().filter(|(_, e)| e.is_file()) {
            let file = as_file(entry, self.evidence.layout.os().unwrap_or_default());
            let mut record = files::name_record(entry);
            name_computer(&mut record, self.system.name.as_deref());
            let hits = self.definitions.detector.evaluate(&record);
            if hits.is_empty() {
                continue;
            }
            let index = by_path.get(entry.path.as_str()).copied();
            let about_file = index.and_then(|i| {
                self.events
                    .range_mut((i, 0, String::new(), String::new())..)
                    .map(|(_, event)| event)
                    .take_while(|event| event.path == entry.path)
                    .find(|e| matches!(e.record.category, "executable" | "archive" | "config"))
            });
            match about_file {
                Some(event) => add_hits(event, hits),
                None => {
                    let event = self.event(&file, record, hits);
                    self.keep(index.unwrap_or(after + n), event);
                }
            }
        }
    }

    fn tools(&self) -> &[Tool] {
        self.definitions.tools_of(self.evidence.layout.os())
    }

    /// New pivots, with the reasons of the first time.
    fn learn(&self, known: &mut BTreeSet<(Arc<str>, Target)>) -> Vec<Pivot> {
        let mut pivots = correlate::pivots(self.events.values(), self.tools());
        pivots.retain(|p| known.insert((p.tool.clone(), p.target.clone())));
        pivots
    }

    /// A further pass: what is new, over logs and hives, and over the files meant.
    fn pivots(&mut self, pivots: &[Pivot]) {
        let detector = self.definitions.detector;
        let judge = |record: &Record| {
            let mut hits: Vec<Hit> = pivots.iter().filter_map(|p| p.matches(record)).collect();
            let open = hits.iter_mut().filter(|hit| hit.suppressed_by.is_none());
            open.for_each(|hit| detector.suppress(record, hit));
            hits
        };
        for event in self.events.values_mut() {
            let hits: Vec<Hit> = judge(&event.record);
            add_hits(event, hits);
        }
        self.volatile(&judge);
        let hashes: Vec<&str> = pivots.iter().filter_map(|p| p.target.hash()).collect();
        let again = |f: &&Located| {
            tells_of_others(f)
                || !hashes.is_empty() && read::is_program(&f.parser) && may_have(f, &hashes)
        };
        let known = |p: &&Pivot| {
            let mut tools = self.tools().iter();
            tools.any(|tool| tool.mentions_found && p.names_tool(tool))
        };
        let compile = |pivots: Vec<&Pivot>| {
            let mut requirements: Vec<_> = pivots.into_iter().map(Pivot::requirement).collect();
            if requirements.is_empty() {
                return None;
            }
            requirements.push(encoded_command::requirement());
            Some(Screen::compile(&requirements))
        };
        let all = compile(pivots.iter().collect());
        let unknown = compile(pivots.iter().filter(|p| !known(p)).collect());
        let (all, unknown) = (all.as_ref().map(Further), unknown.as_ref().map(Further));
        let of = |parser: &str| match is_asked_for_mentions(parser) {
            true => unknown.as_ref(),
            false => all.as_ref(),
        };
        let filter = |parser: &str| match of(parser) {
            Some(further) => self.definitions.filter(further),
            None => &Everything,
        };
        self.again(&filter, &judge, |f| of(&f.parser).is_some() && again(f));
        let tails: BTreeSet<&str> = pivots
            .iter()
            .filter_map(|p| match &p.target {
                Target::Program(tail) | Target::Config(tail) => Some(tail.as_str()),
                _ => None,
            })
            .collect();
        let meant = |f: &&Located| {
            !tells_of_others(f) && tails.contains(correlate::tail(f.entry.path.as_str()).as_str())
        };
        self.again(&|_| &Everything, &judge, meant);
    }

    fn again(
        &mut self,
        filter: &FilterOf<'_>,
        judge: &(dyn Fn(&Record) -> Vec<Hit> + Sync),
        wanted: impl Fn(&&Located) -> bool,
    ) {
        let (indices, files): (Vec<usize>, Vec<&Located>) =
            self.found.files.iter().enumerate().filter(|(_, f)| wanted(f)).unzip();
        let more: u64 = files.iter().fold(0, |sum, f| sum.saturating_add(f.entry.size));
        self.progress.bytes_total.fetch_add(more, Ordering::Relaxed);
        let filter = |parser: &str| filter(parser);
        let readings = self.pass(&filter, judge).read(&files);
        for (file, reading) in indices.into_iter().zip(readings) {
            for event in reading.events {
                self.keep(file, event);
            }
        }
    }

    fn pass<'p>(
        &'p self,
        filter: &'p FilterOf<'p>,
        judge: &'p (dyn Fn(&Record) -> Vec<Hit> + Sync),
    ) -> Pass<'p> {
        Pass {
            filesystem: &*self.evidence.filesystem,
            artifacts: self.definitions.artifacts_of(self.evidence.layout.os()),
            source: self.source.clone(),
            computer: self.system.name.as_deref(),
            zone: self.system.zone.as_ref(),
            filter,
            judge,
            progress: self.progress,
            is_first: false,
            is_live: self.evidence.is_live,
        }
    }

    fn keep(&mut self, file: usize, event: Event) {
        let record = &event.record;
        let number = match &record.locator {
            crate::model::Locator::Record(n)
            | crate::model::Locator::Line(n)
            | crate::model::Locator::Offset(n) => *n,
            _ => 0,
        };
        let time = record.times.first().map(|m| m.raw.clone()).unwrap_or_default();
        let what = format!("{}\0{}\0{}", record.locator, record.category, record.recovered);
        let known = self.events.entry((file, number, what, time));
        match known {
            std::collections::btree_map::Entry::Occupied(mut old) => {
                add_hits(old.get_mut(), event.hits);
            }
            std::collections::btree_map::Entry::Vacant(new) => {
                new.insert(event);
            }
        }
    }

    fn event(&self, file: &Located, record: Record, hits: Vec<Hit>) -> Event {
        Event {
            artifact: file.artifact.clone(),
            path: file.entry.path.clone(),
            record,
            hits,
            source: self.source.clone(),
            sha256: None,
        }
    }
}

/// Whether the rule for mere mentions is asked about every record of that parser.
fn is_asked_for_mentions(parser: &str) -> bool {
    matches!(parser, "evtx" | "event_xml")
}

/// The screen of a further pass, which asks for nothing but matches.
struct Further<'a>(&'a Screen);

impl Filter for Further<'_> {
    fn admits(&self, block: &[u8]) -> bool {
        self.0.admits(block)
    }

    fn admits_text(&self, text: &[u8]) -> bool {
        self.0.admits_text(text)
    }

    fn passes_over(&self, block: &[u8]) -> bool {
        !self.0.suspects(block)
    }

    fn picks(&self, block: &[u8], cut: &dyn Fn() -> Cut) -> Vec<usize> {
        self.0.picks(block, cut)
    }
}

/// Adds hits that the event does not have yet.
fn add_hits(event: &mut Event, hits: Vec<Hit>) {
    for hit in hits {
        let known = event.hits.iter().any(|h| h.rule == hit.rule && h.tool == hit.tool);
        if !known {
            event.hits.push(hit);
        }
    }
}

/// Whether a program may have one of these hashes: what its first reading said, if it
/// said anything.
fn may_have(file: &Located, hashes: &[&str]) -> bool {
    let Some(settled) = &file.settled else { return true };
    let own = settled.sha256.as_deref().unwrap_or_default();
    hashes.iter().any(|hash| own.contains(&hash.to_ascii_lowercase()))
}

/// Whether what was learned of other files may stand in this one.
fn tells_of_others(file: &Located) -> bool {
    parse::by_name(&file.parser).is_some_and(Parser::tells_of_others)
}

fn as_file(entry: &Entry, os: Os) -> Located {
    Located {
        artifact: Arc::from(format!("{}.filesystem.name", os.as_str())),
        entry: entry.clone(),
        parser: Arc::from(""),
        sidecars: Vec::new(),
        held: None,
        settled: None,
    }
}
