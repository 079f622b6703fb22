//! What Microsoft Defender was told not to look at: files, programs, kinds, addresses.
//!
//! An exclusion prepares the ground for what a scan would find. The key's time is the
//! last change of any value.

use std::ops::ControlFlow;

use super::place::{Extractor, Root, at};
use super::{Key, Output, record_of, target};

pub const EXTRACTOR: Extractor = Extractor {
    places: &[
        at(Root::Software, r"Microsoft\Windows Defender\Exclusions\*"),
        at(Root::Software, r"Policies\Microsoft\Windows Defender\Exclusions\*"),
    ],
    read,
    live: None,
};

fn read(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    for value in key.values.iter().filter(|value| !value.name.is_empty()) {
        let mut record = record_of(key, "antivirus_exclusion", Some(value.name.clone()));
        let field = match key.name.to_ascii_lowercase().as_str() {
            "ipaddresses" => "IpAddress",
            "extensions" => "Extension",
            _ => "Image",
        };
        record.push(field, value.name.as_str());
        record.push("Kind", key.name.as_str());
        record.push("TargetObject", target(key, Some(&value.name)));
        output.push(record)?;
    }
    ControlFlow::Continue(())
}
