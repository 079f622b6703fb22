//! Jobs and files as the service writes them, in either kind of queue.
//!
//! ```text
//! job  = mark (16 bytes, by Windows version), u32 kind, u32 priority, u32 state, u32,
//!        GUID, text name, text description, text program, text arguments, text owner's SID, …
//!        mark of files, u32 files, { file, or its GUID in a database }, mark of files,
//!        u32 errors, { 25 bytes }, u32, u32, u32, FILETIME created, FILETIME modified, …
//! file = text target, text address, text temporary file, u64 bytes, u64 of all bytes, …
//! text = u32 characters with the zero at its end, UTF-16
//! ```
//! Source: the structures that analysts of ANSSI and FireEye published, and a queue of
//! Windows 10; only the latter shows the program that asked, behind the times.

use std::collections::BTreeSet;

use jiff::Timestamp;
use memchr::memmem;

use crate::model::{Moment, Record};
use crate::parse::address;
use crate::parse::bytes::{guid, piece, u32_at, u64_at, utf16};

/// Longest text, in characters; Windows allows addresses of some 2200.
const MAX_TEXT_CHARS: usize = 32 << 10;
/// Errors of one job that are passed over to its times.
const MAX_ERRORS: u32 = 1000;
const ERROR_BYTES: usize = 25;
const GUID_BYTES: usize = 16;
/// A GUID as stored.
pub(super) type Id = [u8; GUID_BYTES];
/// Files of one job in a database; Windows allows 200.
const MAX_FILES: usize = 10_000;
/// The mark of a drive in UTF-16, six bytes behind the begin of a counted path.
pub(super) const DRIVE: &[u8] = b":\0\\\0";
pub(super) const BEFORE_DRIVE: usize = 6;
/// Stands before the files of a job and after them.
const FILES_MARK: [u8; 16] = 0x36DA_5677_6F51_5A43_ACAC_44A2_48FF_F34D_u128.to_be_bytes();
/// Begin a job, from Server 2003 R2 to Windows 8.1, then of Windows 10 and later.
pub(super) const JOB_MARKS: [u128; 10] = [
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
const PRIORITIES: [&str; 4] = ["foreground", "high", "normal", "low"];
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

/// A job that transfers files.
pub(super) struct Job {
    kind: &'static str,
    priority: Option<&'static str>,
    state: &'static str,
    pub(super) id: Id,
    /// Name, description, program, arguments, owner.
    texts: [String; 5],
    times: Vec<Moment>,
    /// The program that asked for it, where it stands behind the times.
    process: String,
    /// Of its files in a database.
    pub(super) files: BTreeSet<Id>,
}

impl Job {
    /// The job whose mark stands at `at`; `bytes` end where it ends at the latest.
    pub(super) fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let number = |n: usize| usize::try_from(u32_at(bytes, at.checked_add(n)?)?).ok();
        let kind = KINDS.get(number(16)?)?;
        let priority = PRIORITIES.get(number(20)?).copied();
        let state = STATES.get(number(24)?)?;
        let id = piece(bytes, at.checked_add(32)?, GUID_BYTES)?.try_into().ok()?;
        let mut next = at.checked_add(48)?;
        let mut texts: [String; 5] = Default::default();
        for own in &mut texts {
            let (text, end) = counted(bytes, next)?;
            (*own, next) = (text, end);
        }
        // Behind the mark that ends a job there may be nothing but zeros.
        texts.iter().any(|text| !text.is_empty()).then_some(())?;
        let (times, process) = times(bytes, next).unwrap_or_default();
        let files = files(bytes, next).unwrap_or_default();
        Some(Self { kind, priority, state, id, texts, times, process, files })
    }

    pub(super) fn describe(&self, record: &mut Record) {
        let [name, description, program, arguments, owner] = &self.texts;
        record.push("JobName", name.as_str());
        record.push("Description", description.as_str());
        record.push("CommandLine", format!("{program} {arguments}").trim());
        record.push("UserSid", owner.as_str());
        record.push("JobType", self.kind);
        record.push("State", self.state);
        record.push("Priority", self.priority.unwrap_or_default());
        record.push("JobId", guid(&self.id).unwrap_or_default());
        record.push("ProcessPath", self.process.as_str());
        record.times.clone_from(&self.times);
    }

    /// When it was last modified, for the order of its states.
    pub(super) fn modified(&self) -> Option<Timestamp> {
        self.times.iter().filter_map(|moment| moment.at).max()
    }

    /// Whether a former state of it says nothing that this one does not.
    pub(super) fn covers(&self, former: &Self) -> bool {
        let pairs = self.texts.iter().zip(&former.texts);
        self.id == former.id && pairs.into_iter().all(|(own, text)| text.is_empty() || own == text)
    }

    /// What tells it from states of itself that say something else.
    pub(super) fn key(&self) -> (Id, String) {
        (self.id, self.texts.join("\n"))
    }
}

/// Created and modified, which stand behind the files of the job whose owner ends at
/// `from`; and the program that asked for it.
fn times(bytes: &[u8], from: usize) -> Option<(Vec<Moment>, String)> {
    let at = after_mark(bytes, after_mark(bytes, from)?)?;
    let errors = u32_at(bytes, at).filter(|errors| *errors <= MAX_ERRORS)?;
    let passed = usize::try_from(errors).ok()?.checked_mul(ERROR_BYTES)?.checked_add(16)?;
    let created = at.checked_add(passed)?;
    let moment = |at: usize, meaning| Moment::of_filetime(u64_at(bytes, at)?, meaning);
    let all = [moment(created, "Job Created"), moment(created.checked_add(8)?, "Job Modified")];
    let all: Vec<Moment> = all.into_iter().flatten().filter(|m| m.at.is_some()).collect();
    Some((all, process(bytes.get(created..).unwrap_or_default()).unwrap_or_default()))
}

/// The path of a program among what stands behind the times.
fn process(rest: &[u8]) -> Option<String> {
    let starts = memmem::find_iter(rest, DRIVE).filter_map(|at| at.checked_sub(BEFORE_DRIVE));
    let texts = starts.filter_map(|at| counted(rest, at)).map(|(text, _)| text);
    texts.into_iter().find(|text| text.to_ascii_lowercase().ends_with(".exe"))
}

/// The GUIDs of the files of the job whose owner ends at `from`.
fn files(bytes: &[u8], from: usize) -> Option<BTreeSet<Id>> {
    let at = after_mark(bytes, from)?;
    let count = usize::try_from(u32_at(bytes, at)?).ok().filter(|count| *count <= MAX_FILES)?;
    let start = at.checked_add(4)?;
    let all = piece(bytes, start, count.checked_mul(GUID_BYTES)?)?;
    let end = piece(bytes, start.checked_add(all.len())?, FILES_MARK.len())?;
    let (ids, _) = all.as_chunks::<GUID_BYTES>();
    (end == FILES_MARK).then(|| ids.iter().copied().collect())
}

fn after_mark(bytes: &[u8], from: usize) -> Option<usize> {
    let at = memmem::find(bytes.get(from..)?, &FILES_MARK)?.checked_add(from)?;
    at.checked_add(FILES_MARK.len())
}

/// A file that is transferred.
pub(super) struct File {
    target: String,
    url: String,
    temporary: String,
    transferred: Option<u64>,
    size: Option<u64>,
}

impl File {
    /// The file whose target stands at `at`; `None` where no path and address do.
    pub(super) fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let (target, next) = counted(bytes, at)?;
        let (url, next) = counted(bytes, next)?;
        // Behind each file stand its drive and the volume's name, which are no transfer.
        let is_share = |text: &str| text.starts_with("\\\\") && !text.starts_with("\\\\?\\");
        let is_path = target.chars().nth(1) == Some(':') && target.len() > 3;
        if !(is_path || is_share(&target)) || !(is_share(&url) || address::host(&url).is_some()) {
            return None;
        }
        // A queue cut short or half overwritten may end here.
        let (temporary, sizes) = counted(bytes, next).unwrap_or_default();
        let number = |n: usize| u64_at(bytes, sizes.checked_add(n)?).filter(|n| *n != u64::MAX);
        let (transferred, size) = if sizes == 0 { (None, None) } else { (number(0), number(8)) };
        Some(Self { target, url, temporary, transferred, size })
    }

    /// What all its states have in common.
    pub(super) fn key(&self) -> String {
        format!("{}\n{}\n{}", self.target, self.url, self.temporary)
    }

    /// How far it has come, for the order of its states.
    pub(super) fn progress(&self) -> (Option<u64>, Option<u64>) {
        (self.transferred, self.size)
    }

    pub(super) fn describe(&self, record: &mut Record) {
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
