//! Windows programs: what a PE file says about itself.
//!
//! Proves that a program is on the machine, under whatever name: its version
//! resource, the Go modules it was built from, who signed it and its hash. Only
//! headers, the resource, the head of the data section and the certificate are
//! read; the whole file is read for the hash, and that only of programs (not
//! libraries) that are not the system maker's. Formats: Microsoft's "PE Format";
//! Go's package debug/buildinfo; RFC 2315 for the signature.

mod go;
mod image;
mod signature;
mod version;

use std::fmt::Write as _;

use image::Image;
use sha2::{Digest, Sha256};

use super::bytes::read_up_to;
use super::{ParseError, Parser};
use crate::model::{Damage, Input, Locator, ReadAt, Record, Sink, Value};

/// Larger programs are not hashed.
const MAX_HASHED_BYTES: u64 = 256 << 20;
/// Bytes hashed at once.
const BLOCK_BYTES: usize = 1 << 20;

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
        if let Some(build) = go::build(&image) {
            record.push("GoVersion", build.version);
            record.push("GoPath", build.path);
            if !build.modules.is_empty() {
                record.push("GoModules", Value::List(build.modules));
            }
        }
        record.push("Signer", signature::signer(&image).unwrap_or_default());
        if is_worth_hashing(&image, &record) {
            record.push("Hashes", format!("SHA256={}", sha256(input.bytes)?));
        }
        if input.filter.admits_text(rendered(&record).as_bytes()) {
            let _ = sink.record(record);
        }
        Ok(())
    }
}

fn lost(offset: u64, message: String) -> Damage {
    Damage { locator: Some(Locator::Offset(offset)), message, lost: true }
}

fn is_worth_hashing(image: &Image<'_>, record: &Record) -> bool {
    let own = record.text("Company").is_some_and(|company| company.contains("Microsoft"));
    !image.is_dll && !own && image.source.size() <= MAX_HASHED_BYTES
}

/// The SHA-256 of a whole file, in lower-case hexadecimal digits.
fn sha256(source: &dyn ReadAt) -> Result<String, ParseError> {
    let mut hash = Sha256::new();
    let mut offset = 0u64;
    loop {
        let block = read_up_to(source, offset, BLOCK_BYTES)?;
        if block.is_empty() {
            break;
        }
        hash.update(&block);
        offset = offset.saturating_add(block.len() as u64);
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// The record as the filter sees it: a line for each field.
fn rendered(record: &Record) -> String {
    record.fields.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name}={value}");
        text
    })
}

#[cfg(test)]
mod tests;
