//! The queue of the Background Intelligent Transfer Service: what was to be fetched, to
//! where, for whom, and what was to be started afterwards.
//!
//! `qmgr0.dat` and `qmgr1.dat` up to Windows 8.1, in Windows 10 and later `qmgr.db`, whose
//! records hold the same texts. Both are searched for the marks of jobs and for addresses
//! with a length before them, whatever lies between: so jobs are found that were finished
//! or removed and not yet overwritten, and which of these they are cannot be told.
//!
//! ```text
//! job  = mark (16 bytes, by Windows version), u32 kind, u32 priority, u32 state, u32,
//!        GUID, text name, text description, text program, text arguments, text owner's SID
//! file = text target, text address, text temporary file, u64 bytes, u64 of all bytes
//! text = u32 characters with the zero at its end, UTF-16
//! end  = mark, u32 files, …, mark, u32 errors, { 25 bytes }, u32, u32, u32,
//!        FILETIME created, FILETIME modified, FILETIME …
//! ```
//! Source: the structures that analysts of ANSSI and FireEye published.

use std::ops::ControlFlow;

use memchr::memmem;

use super::bytes::{piece, u32_at, u64_at, utf16};
use super::{ParseError, Parser, address, ese};
use crate::model::{Damage, Extent, Input, Locator, MAX_INLINE_BYTES, Moment, Record, Sink};

const FORMAT: &str = "BITS queue";
/// Jobs and files told of one queue.
const MAX_RECORDS: u64 = 100_000;
/// Longest text, in characters; Windows allows addresses of some 2200.
const MAX_TEXT_CHARS: usize = 32 << 10;
/// Errors of one job that are passed over to its times.
const MAX_ERRORS: u32 = 1000;
const ERROR_BYTES: usize = 25;

/// Begins `qmgr0.dat` and `qmgr1.dat`.
const FILE_MARK: [u8; 16] = 0x13F7_2BC8_4099_124A_9F1A_3AAE_BD89_4EEA_u128.to_be_bytes();
/// Stands before the files of a job and after them.
const FILES_MARK: [u8; 16] = 0x36DA_5677_6F51_5A43_ACAC_44A2_48FF_F34D_u128.to_be_bytes();
/// A database of the Extensible Storage Engine, at offset 4.
const ESE_MARK: [u8; 4] = [0xef, 0xcd, 0xab, 0x89];
/// Begin a job, from Server 2003 R2 to Windows 8.1, then of Windows 10 and later.
const JOB_MARKS: [u128; 10] = [
    0x9336_2035_A00C_104A_84F3_B17E_7B49_9CD7,
    0x1013_70C8_3653_B341_83E5_8155_7F36_1B87,
    0x8C93_EA64_030F_6840_B46F_F97F_E51D_4DCD,
    0xB346_ED3D_3B10_F944_BC2F_E837_8BD3_1986,
    0xA156_09E1_43AF_C942_92E6_6F98_56EB_A7F6,
    0x9F95_D44C_6470_F24B_84D7_476A_7E62_699F,
    0xF119_26A9_3203_BF4C_9427_8988_1895_8831,
    0xC133_BCDD_FB5A_AF4D_B8A1_2268_B39D_01AD,
    0xD057_568F_2C01_3E4E_AD2C_F4A5_D765_6FAF,
    0x5067_4194_5703_1D46_A4CC_5DD9_9907_06E4,
];
const KINDS: [&str; 3] = ["download", "upload", "upload with reply"];
const STATES: [&str; 9] = [
    "queued",
    "connecting",
    "transferring",
    "suspended",
    "error",
    "transient error",
    "transferred",
    "acknowledged",
    "cancelled",
];

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
        let of_old = memmem::find(&bytes, &FILE_MARK).is_some();
        if !of_old && bytes.get(4..8) != Some(&ESE_MARK) {
            let found = format!("{:02x?}", bytes.get(..8).unwrap_or(&bytes));
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        if let Some(damage) = ese::left_open(&bytes) {
            sink.damaged(damage);
        }
        let jobs = jobs(&bytes);
        let files = files(&bytes);
        // In the old queue the files stand between the job that they belong to and the next.
        let job_of = |at: usize| jobs.iter().rev().find(|job| of_old && job.at < at);
        let mut told = Told { count: 0, sink };
        for job in &jobs {
            let has_files = files.iter().any(|f| job_of(f.at).is_some_and(|own| own.at == job.at));
            if !has_files && told.tell(job.record(job.at)).is_break() {
                return Ok(());
            }
        }
        for file in &files {
            let job = job_of(file.at);
            let mut record = job.map_or_else(|| blank(file.at), |job| job.record(file.at));
            file.describe(&mut record);
            if told.tell(record).is_break() {
                return Ok(());
            }
        }
        let records = told.count;
        sink.extent(Extent { records, ..Extent::default() });
        Ok(())
    }
}

struct Told<'a> {
    count: u64,
    sink: &'a mut dyn Sink,
}

impl Told<'_> {
    fn tell(&mut self, record: Record) -> ControlFlow<()> {
        if self.count >= MAX_RECORDS {
            self.sink.damaged(Damage {
                locator: Some(record.locator),
                message: format!("{FORMAT}: more than {MAX_RECORDS} jobs and files"),
                lost: true,
            });
            return ControlFlow::Break(());
        }
        self.count = self.count.saturating_add(1);
        self.sink.record(record)
    }
}

fn blank(at: usize) -> Record {
    Record::new("bits_job", Locator::Offset(at as u64))
}

struct Job {
    at: usize,
    kind: &'static str,
    state: &'static str,
    /// Name, description, program, arguments, owner.
    texts: [String; 5],
    times: Vec<Moment>,
}

impl Job {
    fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let number = |n: usize| usize::try_from(u32_at(bytes, at.checked_add(n)?)?).ok();
        let kind = KINDS.get(number(16)?)?;
        let state = STATES.get(number(24)?)?;
        let mut next = at.checked_add(48)?;
        let mut texts: [String; 5] = Default::default();
        for own in &mut texts {
            let (text, end) = counted(bytes, next)?;
            (*own, next) = (text, end);
        }
        let times = times(bytes, next).unwrap_or_default();
        Some(Self { at, kind, state, texts, times })
    }

    fn record(&self, at: usize) -> Record {
        let mut record = blank(at);
        let [name, description, program, arguments, owner] = &self.texts;
        record.push("JobName", name.as_str());
        record.push("Description", description.as_str());
        record.push("CommandLine", format!("{program} {arguments}").trim());
        record.push("UserSid", owner.as_str());
        record.push("JobType", self.kind);
        record.push("State", self.state);
        record.times.clone_from(&self.times);
        record
    }
}

struct File {
    at: usize,
    target: String,
    url: String,
    temporary: String,
    transferred: Option<u64>,
    size: Option<u64>,
}

impl File {
    fn describe(&self, record: &mut Record) {
        record.push("HostName", address::host(&self.url).unwrap_or_default());
        record.push("Url", self.url.as_str());
        record.push("TargetFilename", self.target.as_str());
        record.push("TemporaryFile", self.temporary.as_str());
        for (name, value) in [("Transferred", self.transferred), ("Size", self.size)] {
            if let Some(value) = value.and_then(|value| i64::try_from(value).ok()) {
                record.push(name, value);
            }
        }
    }
}

/// Every job, by offset.
fn jobs(bytes: &[u8]) -> Vec<Job> {
    let mut found: Vec<Job> = JOB_MARKS
        .iter()
        .flat_map(|mark| {
            let mark = mark.to_be_bytes();
            let at: Vec<usize> = memmem::find_iter(bytes, &mark).collect();
            at.into_iter().filter_map(|at| Job::read(bytes, at))
        })
        .collect();
    found.sort_by_key(|job| job.at);
    found
}

/// Created and modified, which stand behind the files of the job that ends at `from`.
fn times(bytes: &[u8], from: usize) -> Option<Vec<Moment>> {
    let after = |from: usize| {
        let at = memmem::find(bytes.get(from..)?, &FILES_MARK)?.checked_add(from)?;
        at.checked_add(FILES_MARK.len())
    };
    let at = after(after(from)?)?;
    let errors = u32_at(bytes, at).filter(|errors| *errors <= MAX_ERRORS)?;
    let passed = usize::try_from(errors).ok()?.checked_mul(ERROR_BYTES)?.checked_add(16)?;
    let created = at.checked_add(passed)?;
    let moment = |at: usize, meaning| Moment::of_filetime(u64_at(bytes, at)?, meaning);
    let all = [moment(created, "Job Created"), moment(created.checked_add(8)?, "Job Modified")];
    let all: Vec<Moment> = all.into_iter().flatten().filter(|m| m.at.is_some()).collect();
    Some(all)
}

/// Every file that is fetched, by offset: an address behind the path it goes to.
fn files(bytes: &[u8]) -> Vec<File> {
    // The mark of a drive or of a share in UTF-16, six bytes behind a text's length.
    let finder = memmem::Finder::new(b":\0\\\0");
    let mut found = Vec::new();
    for colon in finder.find_iter(bytes) {
        let Some(at) = colon.checked_sub(6) else { continue };
        found.extend(file_at(bytes, at));
    }
    found
}

fn file_at(bytes: &[u8], at: usize) -> Option<File> {
    let (target, next) = counted(bytes, at)?;
    let (url, next) = counted(bytes, next)?;
    // Behind each file stand its drive and the volume's name, which are no transfer.
    let is_share = url.starts_with("\\\\") && !url.starts_with("\\\\?\\");
    let is_path = target.chars().nth(1) == Some(':') && target.len() > 3;
    if !is_path || !(is_share || address::host(&url).is_some()) {
        return None;
    }
    // A queue cut short or half overwritten may end here.
    let (temporary, sizes) = counted(bytes, next).unwrap_or_default();
    let number = |n: usize| u64_at(bytes, sizes.checked_add(n)?).filter(|n| *n != u64::MAX);
    let (transferred, size) = if sizes == 0 { (None, None) } else { (number(0), number(8)) };
    Some(File { at, target, url, temporary, transferred, size })
}

/// A counted text and the offset behind it; `None` if there is none.
fn counted(bytes: &[u8], at: usize) -> Option<(String, usize)> {
    let count = usize::try_from(u32_at(bytes, at)?).ok()?;
    let start = at.checked_add(4)?;
    if count == 0 {
        return Some((String::new(), start));
    }
    if count > MAX_TEXT_CHARS {
        return None;
    }
    let text = piece(bytes, start, count.checked_mul(2)?)?;
    let text = utf16(text);
    let text = text.strip_suffix('\0')?;
    let clean = !text.contains(|c: char| c.is_control() && !c.is_whitespace() || c == '\u{fffd}');
    Some((clean.then(|| text.to_owned())?, start.checked_add(count.checked_mul(2)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{expect, parse, sample, torment};

    #[test]
    fn jobs_of_both_kinds_of_queue() {
        for name in ["qmgr0.dat", "qmgr.db"] {
            let kept = parse(&BitsQueue, &sample(&format!("bits_queue/{name}"))).unwrap();
            expect(&format!("bits_queue/{name}"), &kept.shown());
            assert!(kept.damage.is_empty());
        }
    }

    #[test]
    fn a_database_that_was_not_closed_is_said() {
        let mut bytes = sample("bits_queue/qmgr.db");
        bytes[52] = 2;
        let kept = parse(&BitsQueue, &bytes).unwrap();
        assert!(kept.damage.iter().any(|damage| damage.message.contains("dirty")));
    }

    #[test]
    fn damaged_and_foreign() {
        let good = sample("bits_queue/qmgr0.dat");
        assert!(parse(&BitsQueue, b"").is_err());
        assert!(parse(&BitsQueue, &[0xff; 200]).is_err());
        let cut = good.len() * 2 / 3;
        assert!(!parse(&BitsQueue, &good[..cut]).unwrap().records.is_empty());
        torment(&BitsQueue, &good, 300);
        torment(&BitsQueue, &sample("bits_queue/qmgr.db"), 100);
    }
}
