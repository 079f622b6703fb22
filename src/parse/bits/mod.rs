//! The queue of the Background Intelligent Transfer Service: what was to be fetched, to
//! where, for whom, and what was to be started afterwards.
//!
//! `qmgr0.dat` and `qmgr1.dat` up to Windows 8.1 and the first of Windows 10, `qmgr.db` since
//! (1709). The tables of the latter say which file is of which job. Both are searched for
//! the marks of jobs and for addresses with a length before them, too, whatever lies
//! between: so jobs are found that were finished or removed and not yet overwritten. Which
//! of these they are can be told in a database only, by what its tables do not hold.
//!
//! [`layout`] is what both have in common.

mod carve;
mod database;
mod layout;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use memchr::memmem;

use self::database::Queue;
use self::layout::{File, Job};
use super::offer::lost;
use super::{ParseError, Parser, ese};
use crate::model::{Damage, Extent, Input, Locator, MAX_INLINE_BYTES, Record, Sink};

const FORMAT: &str = "BITS queue";
/// Jobs and files told of one queue.
const MAX_RECORDS: u64 = 100_000;
/// Begins `qmgr0.dat` and `qmgr1.dat`.
const FILE_MARK: [u8; 16] = 0x13F7_2BC8_4099_124A_9F1A_3AAE_BD89_4EEA_u128.to_be_bytes();
/// A database of the Extensible Storage Engine, at offset 4.
const ESE_MARK: [u8; 4] = [0xef, 0xcd, 0xab, 0x89];

/// Reads BITS queues; a `bits_job` record for each file, and for jobs that name none.
pub struct BitsQueue;

impl Parser for BitsQueue {
    fn name(&self) -> &'static str {
        "bits_queue"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        start.starts_with(&FILE_MARK)
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let bytes = input.read_all(MAX_INLINE_BYTES)?;
        let mut told = Told { sink, extent: Extent::default() };
        // What is told ends early only where it is asked for or too much.
        let _: ControlFlow<()> = if memmem::find(&bytes, &FILE_MARK).is_some() {
            told.old_queue(&bytes)
        } else if bytes.get(4..8) == Some(&ESE_MARK) {
            told.database(&bytes, input)
        } else {
            let found = format!("{:02x?}", bytes.get(..8).unwrap_or(&bytes));
            return Err(ParseError::Foreign { format: FORMAT, found });
        };
        let Told { sink, extent, .. } = told;
        sink.extent(extent);
        Ok(())
    }
}

struct Told<'a> {
    sink: &'a mut dyn Sink,
    extent: Extent,
}

impl Told<'_> {
    /// In it the files stand between the job that they belong to and the next.
    fn old_queue(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        let (jobs, files) = (carve::jobs(bytes), carve::files(bytes));
        let job_of = |at: usize| jobs.iter().rev().find(|job| job.at < at);
        for job in &jobs {
            let has_files = files.iter().any(|f| job_of(f.at).is_some_and(|own| own.at == job.at));
            if !has_files {
                self.tell(offset(job.at), Some(&job.what), None, false)?;
            }
        }
        for file in &files {
            let job = job_of(file.at).map(|job| &job.what);
            self.tell(offset(file.at), job, Some(&file.what), false)?;
        }
        ControlFlow::Continue(())
    }

    fn database(&mut self, bytes: &[u8], input: &Input<'_>) -> ControlFlow<()> {
        let (mut queue, mut faults) = (Queue::default(), Vec::new());
        let is_read = queue.read_tables(input.bytes, &input.sidecars, &mut faults);
        if let Err(error) = &is_read {
            faults.extend(ese::left_open(bytes));
            faults.push(lost(0, format!("{FORMAT}: {error}: its texts are searched for")));
        }
        faults.into_iter().for_each(|fault| self.sink.damaged(fault));
        queue.carve(bytes, is_read.is_ok());
        queue.each(&mut |job, file| {
            let place = file.map(|file| (&file.locator, file.recovered));
            let place = place.or(job.map(|job| (&job.locator, job.recovered)));
            let Some((locator, recovered)) = place else { return ControlFlow::Continue(()) };
            let (job, file) = (job.map(|job| &job.what), file.map(|file| &file.what));
            self.tell(locator.clone(), job, file, recovered)
        })
    }

    fn tell(
        &mut self,
        locator: Locator,
        job: Option<&Job>,
        file: Option<&File>,
        recovered: bool,
    ) -> ControlFlow<()> {
        if self.extent.records >= MAX_RECORDS {
            let message = format!("{FORMAT}: more than {MAX_RECORDS} jobs and files");
            self.sink.damaged(Damage { locator: Some(locator), message, lost: true });
            return ControlFlow::Break(());
        }
        let mut record = Record::new("bits_job", locator);
        record.recovered = recovered;
        job.into_iter().for_each(|job| job.describe(&mut record));
        file.into_iter().for_each(|file| file.describe(&mut record));
        self.extent.count(&record);
        self.sink.record(record)
    }
}

fn offset(at: usize) -> Locator {
    Locator::Offset(at as u64)
}
