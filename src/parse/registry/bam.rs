//! Background and Desktop Activity Moderator: each program's last run by each user.
//!
//! Values of `Services\{bam,dam}\[State\]UserSettings\<SID>`: the name is the
//! program's path on its device, or the name of a packaged app; the data begin with
//! the FILETIME of the last run. Windows 10 1709 on, entries live about a week; since
//! 1809 the key is below `State`. Programs on removable and network drives are not
//! listed.
//!
//! Sources: regipy's and dissect.target's readers; two real hives (`tests/compare`).

use std::ops::ControlFlow;

use crate::model::Moment;
use crate::parse::bytes::u64_at;

use super::place::{Extractor, Root, at};
use super::{Data, Key, Output, value_record};

pub const EXTRACTOR: Extractor = Extractor {
    places: &[
        at(Root::System, r"Services\bam\State\UserSettings\*"),
        at(Root::System, r"Services\bam\UserSettings\*"),
        at(Root::System, r"Services\dam\State\UserSettings\*"),
        at(Root::System, r"Services\dam\UserSettings\*"),
    ],
    read,
    live: None,
};

fn read(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    for value in &key.values {
        let Data::Binary(data) = &value.data else { continue };
        let Some(ticks) = u64_at(data, 0) else { continue };
        let mut record = value_record(key, "bam", &value.name);
        record.push("Image", value.name.as_str());
        record.push("UserSid", key.name.as_str());
        record.times.extend(Moment::of_filetime(ticks, "Last Time Executed"));
        output.push(record)?;
    }
    ControlFlow::Continue(())
}
