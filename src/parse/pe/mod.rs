//! Windows programs: what a PE file says about itself.
//!
//! Proves that a program is on the machine, under whatever name: its version
//! resource, the Go modules it was built from, who signed it and its hash. Only
//! headers, the resource, the head of the data section and the certificate are
//! read; the whole file is read for the hash, and that only of programs (not
//! libraries) that are not the system maker's. Formats: Microsoft's "PE Format";
//! Go's package debug/buildinfo; RFC 2315 for the signature.

mod image;
mod signature;
mod version;

use image::Image;

use super::{ParseError, Parser, go, program};
use crate::model::{Damage, Input, Locator, Record, Sink};

/// Strings of the resource, and the fields they become, in the record's order.
const FIELDS: &[(&str, &str)] = &[
    ("CompanyName", "Company"),
    ("ProductName", "Product"),
    ("FileDescription", "Description"),
    ("OriginalFilename", "OriginalFileName"),
    ("InternalName", "InternalName"),
    ("FileVersion", "FileVersion"),
    ("ProductVersion", "ProductVersion"),
    ("LegalCopyright", "LegalCopyright"),
    ("Comments", "Comments"),
];

/// Reads PE files; one `executable` record if anything in it matters.
pub struct Pe;

impl Parser for Pe {
    fn name(&self) -> &'static str {
        "pe"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        start.starts_with(b"MZ")
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let image = match Image::read(input.bytes) {
            Ok(image) => image,
            // Damage of a file is said where it lies; only foreign files are refused.
            Err(ParseError::Broken { offset, what, .. }) => {
                sink.damaged(lost(offset, format!("PE: {what}")));
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let mut record = Record::new("executable", Locator::Offset(0));
        let strings = version::strings(&image).unwrap_or_else(|fault| {
            sink.damaged(lost(fault.offset, format!("PE: {}", fault.what)));
            Vec::new()
        });
        for (name, field) in FIELDS {
            let found = strings
                .iter()
                .find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty());
            if let Some((_, value)) = found {
                record.push(*field, value.as_str());
            }
        }
        record.push("Machine", image.machine_name());
        if let Some(build) = go_build(&image) {
            go::describe(&mut record, build);
        }
        record.push("Signer", signature::signer(&image).unwrap_or_default());
        if is_worth_hashing(&image, &record) {
            record.push("Hashes", format!("SHA256={}", program::sha256(input.bytes)?));
        }
        if input.filter.admits_text(program::rendered(&record).as_bytes()) {
            let _ = sink.record(record);
        }
        Ok(())
    }
}

/// Whether these first bytes are those of a library.
pub(super) fn is_library(start: &[u8]) -> bool {
    Image::read(&start.to_vec()).is_ok_and(|image| image.is_dll)
}

fn lost(offset: u64, message: String) -> Damage {
    Damage { locator: Some(Locator::Offset(offset)), message, lost: true }
}

fn is_worth_hashing(image: &Image<'_>, record: &Record) -> bool {
    let own = record.text("Company").is_some_and(|company| company.contains("Microsoft"));
    !image.is_dll && !own && image.source.size() <= program::MAX_HASHED_BYTES
}

/// What the Go toolchain wrote into its section, or into the first that it may write to.
fn go_build(image: &Image<'_>) -> Option<go::GoBuild> {
    const INITIALIZED: u32 = 0x40;
    const WRITABLE: u32 = 0x8000_0000;
    let named = |name: &str| image.sections.iter().find(|s| s.name == name);
    let section = named(".go.buildinfo").or_else(|| named(".data")).or_else(|| {
        image.sections.iter().find(|s| {
            s.size > 0 && s.characteristics & (INITIALIZED | WRITABLE) == INITIALIZED | WRITABLE
        })
    })?;
    let at =
        |address: u64, len| image.at(u32::try_from(address.checked_sub(image.base)?).ok()?, len);
    let data = (u64::from(section.offset), u64::from(section.size));
    go::build(&go::Program { source: image.source, data, at: &at })
}

#[cfg(test)]
mod tests;
