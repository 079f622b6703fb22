//! The queue of Windows 10 (1709) and later, a database: what its tables hold, then what
//! else stands in it.
//!
//! ```text
//! Jobs   Id GUID, Blob    a job, which names its files by their Ids
//! Files  Id GUID, Blob    mark (16 bytes), a file
//! ```
//!
//! A job is written anew with every step, and rows are removed when it is done. What is
//! left of former states and of removed jobs is told once, in the last state that is
//! found; a file is told from its row's Id, which stands before it, to be of a job.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::carve;
use super::layout::{File, Id, Job};
use crate::model::{Damage, Locator, ReadAt};
use crate::parse::ParseError;
use crate::parse::ese::Database;
use crate::parse::offer::lost;

/// Jobs or files of one table.
const MAX_ROWS: usize = 100_000;
const MARK_BYTES: usize = 16;

/// A job or a file and where it stands.
pub(super) struct Item<T> {
    pub(super) what: T,
    pub(super) locator: Locator,
    /// Whether no table holds it any more.
    pub(super) recovered: bool,
    /// Of files: the Ids by which jobs name it.
    ids: Vec<Id>,
}

/// Takes a job, a file, or a file with its job.
type Tell<'a> = dyn FnMut(Option<&Item<Job>>, Option<&Item<File>>) -> ControlFlow<()> + 'a;

/// All jobs and files.
#[derive(Default)]
pub(super) struct Queue {
    jobs: Vec<Item<Job>>,
    files: Vec<Item<File>>,
}

impl Queue {
    /// Adds what the tables hold; what is wrong with them goes to `faults`.
    ///
    /// # Errors
    ///
    /// When it is no database that can be read.
    pub(super) fn read_tables(
        &mut self,
        source: &dyn ReadAt,
        logs: &[&dyn ReadAt],
        faults: &mut Vec<Damage>,
    ) -> Result<(), ParseError> {
        let base = Database::open(source, logs, faults)?;
        self.jobs = rows(&base, "Jobs", faults, |blob| Job::read(blob, 0));
        self.files = rows(&base, "Files", faults, |blob| File::read(blob, MARK_BYTES));
        faults.extend(base.unclosed(None));
        Ok(())
    }

    /// Adds what else stands in the queue; `recovered` if its tables could be read.
    pub(super) fn carve(&mut self, bytes: &[u8], recovered: bool) {
        let mut jobs = carve::jobs(bytes);
        jobs.sort_by_key(|job| (job.what.modified(), job.at));
        let mut last: BTreeMap<Id, usize> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for (index, job) in self.jobs.iter().enumerate() {
            last.entry(job.what.id).or_insert(index);
            known.insert(job.what.key());
        }
        for found in jobs.into_iter().rev() {
            let index = last.get(&found.what.id);
            if let Some(job) = index.and_then(|index| self.jobs.get_mut(*index))
                && job.what.covers(&found.what)
            {
                job.what.files.extend(found.what.files);
            } else if known.insert(found.what.key()) {
                last.entry(found.what.id).or_insert(self.jobs.len());
                let locator = Locator::Offset(found.at as u64);
                self.jobs.push(Item { what: found.what, locator, recovered, ids: Vec::new() });
            }
        }
        let ids: BTreeSet<Id> = self.jobs.iter().flat_map(|job| job.what.files.clone()).collect();
        let mut by_key: BTreeMap<String, usize> = BTreeMap::new();
        for (index, file) in self.files.iter().enumerate() {
            by_key.entry(file.what.key()).or_insert(index);
        }
        for found in carve::files(bytes) {
            let id = carve::id_before(bytes, found.at, &ids);
            let locator = Locator::Offset(found.at as u64);
            let index = by_key.entry(found.what.key()).or_insert(self.files.len());
            match self.files.get_mut(*index) {
                Some(file) => {
                    file.ids.extend(id.filter(|id| !file.ids.contains(id)));
                    let is_carved = matches!(file.locator, Locator::Offset(_));
                    if is_carved && found.what.progress() > file.what.progress() {
                        (file.what, file.locator) = (found.what, locator);
                    }
                }
                None => {
                    let ids = id.into_iter().collect();
                    self.files.push(Item { what: found.what, locator, recovered, ids });
                }
            }
        }
    }

    /// Every file with its job, every job without files, every file of no job.
    pub(super) fn each(&self, tell: &mut Tell<'_>) -> ControlFlow<()> {
        let mut by_id: BTreeMap<Id, Vec<usize>> = BTreeMap::new();
        for (index, file) in self.files.iter().enumerate() {
            file.ids.iter().for_each(|id| by_id.entry(*id).or_default().push(index));
        }
        let mut told = BTreeSet::new();
        for job in &self.jobs {
            let indexes: BTreeSet<usize> =
                job.what.files.iter().filter_map(|id| by_id.get(id)).flatten().copied().collect();
            let mut has_files = false;
            for index in indexes.into_iter().filter(|index| told.insert(*index)) {
                has_files = true;
                tell(Some(job), self.files.get(index))?;
            }
            if !has_files {
                tell(Some(job), None)?;
            }
        }
        for (index, file) in self.files.iter().enumerate() {
            if !told.contains(&index) {
                tell(None, Some(file))?;
            }
        }
        ControlFlow::Continue(())
    }
}

fn rows<T>(
    base: &Database<'_>,
    name: &str,
    faults: &mut Vec<Damage>,
    read: fn(&[u8]) -> Option<T>,
) -> Vec<Item<T>> {
    let Some(table) = base.table(name) else {
        faults.push(lost(0, format!("{}: no table {name}", super::FORMAT)));
        return Vec::new();
    };
    let (mut all, mut number, mut strange) = (Vec::new(), 0i64, 0u64);
    let _: ControlFlow<()> = base.rows(table, faults, &mut |row| {
        number = number.saturating_add(1);
        let bytes = |name| table.column(name).and_then(|column| row.bytes(column));
        let id = bytes("Id").and_then(|id| Id::try_from(id.as_ref()).ok());
        match bytes("Blob").and_then(|blob| read(&blob)) {
            Some(what) => all.push(Item {
                what,
                locator: Locator::Row { table: name.to_owned(), row: number },
                recovered: row.recovered,
                ids: id.into_iter().collect(),
            }),
            None if row.recovered => {}
            None => strange = strange.saturating_add(1),
        }
        if all.len() < MAX_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    if strange > 0 {
        let what = format!("{}: table {name}: {strange} rows make no sense", super::FORMAT);
        faults.push(lost(0, what));
    }
    all
}
