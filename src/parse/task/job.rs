//! A `.job` file: fixed part, then counted UTF-16 texts (MS-TSCH 2.4).
//!
//! ```text
//!  0 u16 Windows version, u16 file version = 1, GUID
//! 20 u16 offset of the program's name = 70, u16 offset of the triggers
//! 40 u32 exit code, u32 status
//! 48 u32 flags
//! 52 SYSTEMTIME of the last run, local time; zeros: never
//! 68 u16 running instances
//! 70 texts, each u16 characters with the zero at its end: program, parameters,
//!    working directory, author, comment
//! ```

use jiff::civil;

use super::xml::command_line;
use crate::model::{Damage, Input, Locator, Moment, Precision, Record, Sink};
use crate::parse::ParseError;
use crate::parse::bytes::{piece, u16_at, u32_at, utf16};
use crate::parse::local_time;

const FORMAT: &str = "task file (.job)";
/// Bytes of the fixed part.
const FIXED_BYTES: usize = 68;
/// Where the running instances are counted and the texts begin.
const NAME_AT: u16 = 70;
/// Where the last run stands in the fixed part.
const LAST_RUN_AT: usize = 52;
/// `TASK_FLAG_DISABLED` and `TASK_FLAG_HIDDEN`.
const DISABLED: u32 = 0x4;
const HIDDEN: u32 = 0x200;
/// Texts of a job, in order.
const TEXTS: [&str; 5] = ["Command", "Arguments", "WorkingDirectory", "Author", "Description"];

/// Whether a file that starts so is a job.
pub(super) fn is_job(start: &[u8]) -> bool {
    const VERSIONS: [u16; 9] = [0x400, 0x500, 0x501, 0x502, 0x600, 0x601, 0x602, 0x603, 0xa00];
    u16_at(start, 0).is_some_and(|version| VERSIONS.contains(&version))
        && u16_at(start, 2) == Some(1)
        && u16_at(start, 20) == Some(NAME_AT)
}

/// Tells the job in `bytes`.
///
/// # Errors
///
/// When it is none.
pub(super) fn read(bytes: &[u8], input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
    if !is_job(bytes) || bytes.len() < FIXED_BYTES {
        let found = format!("{:02x?}", bytes.get(..4).unwrap_or(bytes));
        return Err(ParseError::Foreign { format: FORMAT, found });
    }
    let mut record = Record::new("task_file", Locator::Offset(0));
    record.push("Name", input.name.strip_suffix(".job").unwrap_or(input.name));
    let mut at = usize::from(NAME_AT);
    for name in TEXTS {
        let length = u16_at(bytes, at).map(|count| usize::from(count).saturating_mul(2));
        let start = at.saturating_add(2);
        let Some(text) = length.and_then(|length| piece(bytes, start, length)) else {
            sink.damaged(Damage {
                locator: Some(Locator::Offset(at as u64)),
                message: format!("{FORMAT}: the text {name} reaches beyond the end"),
                lost: true,
            });
            break;
        };
        at = start.saturating_add(text.len());
        record.push(name, utf16(text).trim_end_matches('\0'));
    }
    let text = |name| record.text(name).unwrap_or_default();
    let line = command_line(text("Command"), text("Arguments"));
    record.push("CommandLine", line);
    let flags = u32_at(bytes, 48).unwrap_or_default();
    record.push("Hidden", if flags & HIDDEN == 0 { "false" } else { "true" });
    record.push("Enabled", if flags & DISABLED == 0 { "true" } else { "false" });
    record.times.extend(last_run(bytes, input));
    let _ = sink.record(record);
    Ok(())
}

/// The last run, local time of the host; `None`: never.
fn last_run(bytes: &[u8], input: &Input<'_>) -> Option<Moment> {
    const MEANING: &str = "Task Last Run";
    let part = |n: usize| u16_at(bytes, LAST_RUN_AT.saturating_add(n.saturating_mul(2)));
    let [year, month, _, day, hour, minute, second, milliseconds] =
        [part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, part(5)?, part(6)?, part(7)?];
    if year == 0 {
        return None;
    }
    let raw = format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}"
    );
    let local: Option<civil::DateTime> = raw.parse().ok();
    Some(local.map_or(
        Moment { at: None, meaning: MEANING, precision: Precision::Exact, raw: raw.clone() },
        |local| local_time::of_local(local, &raw, input.zone, MEANING),
    ))
}
