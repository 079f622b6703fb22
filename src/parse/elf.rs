//! Linux programs: what an ELF file says about itself.
//!
//! Proves that a program is on the machine, under whatever name: the Go modules it
//! was built from and its hash. Headers and the section of Go's build facts are
//! read; the whole file is read for the hash, and that only of programs, not of
//! libraries. Format: System V ABI, chapter 4; Go's package debug/buildinfo.
//!
//! ```text
//! header   0 7f "ELF"  4 class (1: 32, 2: 64 bits)  5 data (1: little endian)  16 type  18 machine
//! 32 bits  28 segments' offset  32 sections' offset  42 size, count of segments  46 of sections, names
//! 64 bits  32 segments' offset  40 sections' offset  54 size, count of segments  58 of sections, names
//! ```

use super::bytes::{piece, read_up_to, u16_at, u32_at, u64_at};
use super::{ParseError, Parser, go, program};
use crate::model::{Damage, Input, Locator, ReadAt, Record, Sink, Value};

/// Sections and segments that are looked at.
const MAX_HEADERS: usize = 4096;
/// Bytes of the sections' names.
const MAX_NAMES_BYTES: usize = 1 << 20;

/// Reads ELF programs and libraries; one `executable` record if anything in it matters.
pub struct Elf;

impl Parser for Elf {
    fn name(&self) -> &'static str {
        "elf"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        // Objects and core dumps are no programs.
        start.starts_with(b"\x7fELF") && matches!(start.get(16..18), Some([2 | 3, 0] | [0, 2 | 3]))
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let start = read_up_to(input.bytes, 0, 64)?;
        if !start.starts_with(b"\x7fELF") {
            let found = format!("{:02x?}", start.get(..4).unwrap_or(&start));
            return Err(ParseError::Foreign { format: "ELF", found });
        }
        let mut record = Record::new("executable", Locator::Offset(0));
        record.push("Machine", machine(&start));
        match Image::read(input.bytes, &start) {
            Ok(image) => {
                if let Some(build) = image.go_build() {
                    go::describe(&mut record, build);
                }
                if image.is_program && input.bytes.size() <= program::MAX_HASHED_BYTES {
                    record.push("Hashes", format!("SHA256={}", program::sha256(input.bytes)?));
                    let hosts = program::host_names(input.bytes, input.filter)?;
                    if !hosts.is_empty() {
                        record.push("HostNames", Value::List(hosts));
                    }
                }
            }
            Err(what) => sink.damaged(Damage {
                locator: Some(Locator::Offset(0)),
                message: format!("ELF: {what}"),
                lost: true,
            }),
        }
        if input.filter.admits_text(program::rendered(&record).as_bytes()) {
            let _ = sink.record(record);
        }
        Ok(())
    }
}

/// `x64` and the like.
fn machine(start: &[u8]) -> String {
    let number = match start.get(5) {
        Some(2) => u16_at(start, 18).map(u16::swap_bytes),
        _ => u16_at(start, 18),
    };
    match number.unwrap_or_default() {
        3 => "x86".into(),
        8 => "mips".into(),
        20 | 21 => "ppc".into(),
        22 => "s390".into(),
        40 => "arm".into(),
        62 => "x64".into(),
        183 => "arm64".into(),
        243 => "riscv".into(),
        other => format!("{other:#06x}"),
    }
}

/// A part of the file and where it is loaded.
struct Part {
    kind: u32,
    flags: u64,
    offset: u64,
    address: u64,
    size: u64,
    /// Offset of a section's name in the table of names.
    name: u32,
}

struct Image<'a> {
    source: &'a dyn ReadAt,
    segments: Vec<Part>,
    /// Where Go writes its facts, by the section's own name.
    facts: Option<(u64, u64)>,
    /// A program, not a library.
    is_program: bool,
}

const LOADED: u32 = 1;
const INTERPRETER: u32 = 3;

impl<'a> Image<'a> {
    /// The headers of a file that starts so; else what is wrong with them.
    fn read(source: &'a dyn ReadAt, start: &[u8]) -> Result<Self, String> {
        let wide = match start.get(4) {
            Some(1) => false,
            Some(2) => true,
            other => return Err(format!("class {other:?}, expected 1 or 2")),
        };
        if start.get(5) != Some(&1) {
            // Programs of big-endian machines: nothing but the hash is told.
            return Ok(Self { source, segments: Vec::new(), facts: None, is_program: true });
        }
        let cut = || "header cut off".to_owned();
        let (segments, sections, counts) = if wide {
            (u64_at(start, 32), u64_at(start, 40), 54)
        } else {
            (u32_at(start, 28).map(u64::from), u32_at(start, 32).map(u64::from), 42)
        };
        let count = |n: usize| u16_at(start, counts + 2 * n).map(usize::from).ok_or_else(cut);
        let [segment_size, segment_count, section_size, section_count, names] =
            [count(0)?, count(1)?, count(2)?, count(3)?, count(4)?];
        let read = |at: u64, size: usize, count: usize| {
            let count = count.min(MAX_HEADERS);
            read_up_to(source, at, size.saturating_mul(count)).map_err(|error| error.to_string())
        };
        let table = read(segments.ok_or_else(cut)?, segment_size, segment_count)?;
        if table.len() < segment_size.saturating_mul(segment_count.min(MAX_HEADERS)) {
            return Err("its table of segments reaches beyond the end".into());
        }
        let segments: Vec<Part> =
            chunks(&table, segment_size).filter_map(|row| segment(row, wide)).collect();
        let table = read(sections.ok_or_else(cut)?, section_size, section_count)?;
        let sections: Vec<Part> =
            chunks(&table, section_size).filter_map(|row| section(row, wide)).collect();
        let facts = facts(source, &sections, names);
        let fixed = u16_at(start, 16) == Some(2);
        let is_program = fixed || segments.iter().any(|s| s.kind == INTERPRETER);
        Ok(Self { source, segments, facts, is_program })
    }

    fn go_build(&self) -> Option<go::GoBuild> {
        const EXECUTABLE_OR_WRITABLE: u64 = 3;
        const WRITABLE: u64 = 2;
        let writable = || {
            let is = |s: &&Part| s.kind == LOADED && s.flags & EXECUTABLE_OR_WRITABLE == WRITABLE;
            self.segments.iter().find(is).map(|s| (s.offset, s.size))
        };
        let data = self.facts.or_else(writable)?;
        let at = |address: u64, len: usize| {
            let part = self.segments.iter().find(|s| {
                s.kind == LOADED
                    && address >= s.address
                    && address.saturating_sub(s.address) < s.size
            })?;
            let offset = part.offset.checked_add(address.checked_sub(part.address)?)?;
            read_up_to(self.source, offset, len).ok()
        };
        go::build(&go::Program { source: self.source, data, at: &at })
    }
}

fn chunks(table: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    table.chunks_exact(size.max(1))
}

fn segment(row: &[u8], wide: bool) -> Option<Part> {
    let kind = u32_at(row, 0)?;
    let small = |at| u32_at(row, at).map(u64::from);
    let (flags, offset, address, size) = if wide {
        (small(4)?, u64_at(row, 8)?, u64_at(row, 16)?, u64_at(row, 32)?)
    } else {
        (small(24)?, small(4)?, small(8)?, small(16)?)
    };
    Some(Part { kind, flags, offset, address, size, name: 0 })
}

fn section(row: &[u8], wide: bool) -> Option<Part> {
    let (name, kind) = (u32_at(row, 0)?, u32_at(row, 4)?);
    let small = |at| u32_at(row, at).map(u64::from);
    let (flags, address, offset, size) = if wide {
        (u64_at(row, 8)?, u64_at(row, 16)?, u64_at(row, 24)?, u64_at(row, 32)?)
    } else {
        (small(8)?, small(12)?, small(16)?, small(20)?)
    };
    Some(Part { kind, flags, offset, address, size, name })
}

/// Where the section of Go's build facts lies.
fn facts(source: &dyn ReadAt, sections: &[Part], names: usize) -> Option<(u64, u64)> {
    let table = sections.get(names)?;
    let len = usize::try_from(table.size).unwrap_or(MAX_NAMES_BYTES).min(MAX_NAMES_BYTES);
    let texts = read_up_to(source, table.offset, len).ok()?;
    const NAME: &[u8] = b".go.buildinfo\0";
    let is_named = |section: &&Part| {
        let at = usize::try_from(section.name).unwrap_or(usize::MAX);
        piece(&texts, at, NAME.len()) == Some(NAME)
    };
    sections.iter().find(is_named).map(|s| (s.offset, s.size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{Words, expect, parse, parse_with, sample, samples, torment};

    #[test]
    fn every_sample() {
        let mut shown = String::new();
        for name in samples("elf") {
            let bytes = sample(&name);
            assert!(Elf.recognizes(&bytes), "{name}");
            let kept = parse(&Elf, &bytes).unwrap();
            shown.push_str(&format!("# {name}\n{}", kept.shown()));
            for damage in kept.damage {
                shown.push_str(&format!("{} lost={}\n", damage.message, damage.lost));
            }
        }
        expect("elf", &shown);
    }

    #[test]
    fn what_does_not_matter_is_left_out() {
        let bytes = sample("elf/go.elf");
        assert_eq!(parse_with(&Elf, &bytes, &Words(&["ngrok"])).unwrap().records.len(), 1);
        assert_eq!(parse_with(&Elf, &bytes, &Words(&["frpc"])).unwrap().records.len(), 0);
    }

    #[test]
    fn damaged_and_foreign_files() {
        let bytes = sample("elf/go.elf");
        assert!(!parse(&Elf, bytes.get(..70).unwrap()).unwrap().damage.is_empty());
        assert!(parse(&Elf, b"#!/bin/sh\n").is_err());
        assert!(!Elf.recognizes(b"\x7fELF"));
        torment(&Elf, &bytes, 300);
    }
}
