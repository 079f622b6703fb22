//! Mac programs: what a Mach-O file says about itself, alone or among several for other
//! machines in one file.
//!
//! Proves that a program is on the machine, under whatever name: the Go modules it was
//! built from and its hash. Source: mach-o/loader.h and mach-o/fat.h of Apple's XNU.
//!
//! ```text
//! several  0 ca fe ba be (be: 64 bits)  4 count   then 20 (32) bytes each: machine, offset, size
//! header   0 ce (cf: 64 bits) fa ed fe  4 machine  12 type  16 count of commands  20 their bytes
//! segment  0 command 1 (19h)  4 bytes   24 address, size, offset, size; initial rights; sections
//! ```

use std::io;

use super::bytes::{piece, read_up_to, u32_at, u64_at};
use super::{ParseError, Parser, go, program};
use crate::model::{Damage, Input, Locator, ReadAt, Record, Sink, Value};

/// Machines in one file; more, and it is a class of Java.
const MAX_MACHINES: u32 = 20;
/// Commands of one program that are looked at, and their bytes.
const MAX_COMMANDS: u32 = 4096;
const MAX_COMMANDS_BYTES: usize = 1 << 20;
/// Sections of one segment that are looked at.
const MAX_SECTIONS: usize = 256;
const PROGRAM: u32 = 2;
const LIBRARIES: [u32; 2] = [6, 8];

/// Reads Mach-O programs and libraries; one `executable` record if anything in it matters.
pub struct MachO;

impl Parser for MachO {
    fn name(&self) -> &'static str {
        "macho"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        match start {
            [0xca, 0xfe, 0xba, 0xbe | 0xbf, ..] => {
                big(start, 4).is_some_and(|count| (1..=MAX_MACHINES).contains(&count))
            }
            [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => {
                let kind = u32_at(start, 12);
                kind.is_some_and(|kind| kind == PROGRAM || LIBRARIES.contains(&kind))
            }
            _ => false,
        }
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let start = read_up_to(input.bytes, 0, 4096)?;
        if !self.recognizes(&start) {
            let found = format!("{:02x?}", start.get(..4).unwrap_or(&start));
            return Err(ParseError::Foreign { format: "Mach-O", found });
        }
        let mut record = Record::new("executable", Locator::Offset(0));
        let (mut machines, mut build, mut is_program) = (Vec::new(), None, false);
        for part in parts(input.bytes, &start) {
            match Image::read(&part) {
                Ok(image) => {
                    machines.push(machine(image.machine));
                    is_program |= image.kind == PROGRAM;
                    build = build.or_else(|| image.go_build(&part));
                }
                Err(what) => sink.damaged(Damage {
                    locator: Some(Locator::Offset(part.start)),
                    message: format!("Mach-O: {what}"),
                    lost: true,
                }),
            }
        }
        record.push("Machine", machines.join(" "));
        if let Some(build) = build {
            go::describe(&mut record, build);
        }
        if is_program && input.bytes.size() <= program::MAX_HASHED_BYTES {
            record.push("Hashes", format!("SHA256={}", program::sha256(input.bytes)?));
            let hosts = program::host_names(input.bytes, input.filter)?;
            if !hosts.is_empty() {
                record.push("HostNames", Value::List(hosts));
            }
        }
        if input.filter.admits_text(program::rendered(&record).as_bytes()) {
            let _ = sink.record(record);
        }
        Ok(())
    }
}

/// The big-endian 32-bit number at `at`.
fn big(bytes: &[u8], at: usize) -> Option<u32> {
    u32_at(bytes, at).map(u32::swap_bytes)
}

fn machine(number: u32) -> String {
    match number {
        7 => "x86".into(),
        12 => "arm".into(),
        18 => "ppc".into(),
        0x0100_0007 => "x64".into(),
        0x0100_000c => "arm64".into(),
        other => format!("{other:#x}"),
    }
}

/// A program inside the file.
struct Part<'a> {
    source: &'a dyn ReadAt,
    start: u64,
    size: u64,
}

impl ReadAt for Part<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = left.min(buf.len());
        let Some(buf) = buf.get_mut(..len) else { return Ok(0) };
        self.source.read_at(self.start.saturating_add(offset), buf)
    }
}

/// The programs of a file that starts so.
fn parts<'a>(source: &'a dyn ReadAt, start: &[u8]) -> Vec<Part<'a>> {
    let wide = start.get(3) == Some(&0xbf);
    if start.first() != Some(&0xca) {
        return vec![Part { source, start: 0, size: source.size() }];
    }
    let count = big(start, 4).unwrap_or_default().min(MAX_MACHINES);
    let row = if wide { 32 } else { 20 };
    let rows = start.get(8..).unwrap_or_default().chunks_exact(row);
    let place = |row: &[u8]| {
        let (at, size) = if wide {
            (u64_at(row, 8)?.swap_bytes(), u64_at(row, 16)?.swap_bytes())
        } else {
            (u64::from(big(row, 8)?), u64::from(big(row, 12)?))
        };
        let size = size.min(source.size().saturating_sub(at));
        Some(Part { source, start: at, size })
    };
    rows.take(usize::try_from(count).unwrap_or_default()).filter_map(place).collect()
}

/// A part of the program and where it is loaded.
struct Segment {
    address: u64,
    offset: u64,
    size: u64,
    rights: u32,
}

struct Image {
    machine: u32,
    kind: u32,
    segments: Vec<Segment>,
    /// Where Go writes its facts, by the section's own name.
    facts: Option<(u64, u64)>,
}

impl Image {
    /// The headers of a program; else what is wrong with them.
    fn read(source: &dyn ReadAt) -> Result<Self, String> {
        let cut = || "header cut off".to_owned();
        let start = read_up_to(source, 0, 32).map_err(|error| error.to_string())?;
        let wide = match start.get(..4) {
            Some([0xcf, 0xfa, 0xed, 0xfe]) => true,
            Some([0xce, 0xfa, 0xed, 0xfe]) => false,
            other => return Err(format!("starts with {other:02x?}")),
        };
        let field = |at| u32_at(&start, at).ok_or_else(cut);
        let (machine, kind) = (field(4)?, field(12)?);
        let count = field(16)?.min(MAX_COMMANDS);
        let len = usize::try_from(field(20)?).unwrap_or(usize::MAX).min(MAX_COMMANDS_BYTES);
        let from = if wide { 32 } else { 28 };
        let commands = read_up_to(source, from, len).map_err(|error| error.to_string())?;
        let mut image = Self { machine, kind, segments: Vec::new(), facts: None };
        let mut rest = commands.as_slice();
        for _ in 0..count {
            let len = u32_at(rest, 4).and_then(|len| usize::try_from(len).ok());
            let parts = len.filter(|len| *len >= 8).and_then(|len| rest.split_at_checked(len));
            let (command, after) = parts.ok_or("its commands reach beyond their end")?;
            match (u32_at(command, 0), wide) {
                (Some(0x19), true) => image.segment(command, true),
                (Some(0x01), false) => image.segment(command, false),
                _ => None,
            };
            rest = after;
        }
        Ok(image)
    }

    fn segment(&mut self, command: &[u8], wide: bool) -> Option<()> {
        let number = |narrow: usize, broad: usize| match wide {
            true => u64_at(command, broad),
            false => u32_at(command, narrow).map(u64::from),
        };
        let (rights, count, sections, row) = if wide {
            (u32_at(command, 60)?, u32_at(command, 64)?, 72, 80)
        } else {
            (u32_at(command, 44)?, u32_at(command, 48)?, 56, 68)
        };
        let (address, offset, size) = (number(24, 24)?, number(32, 40)?, number(36, 48)?);
        self.segments.push(Segment { address, offset, size, rights });
        let count = usize::try_from(count).ok()?.min(MAX_SECTIONS);
        let rows = command.get(sections..)?.chunks_exact(row).take(count);
        for section in rows {
            const NAME: &[u8] = b"__go_buildinfo\0\0";
            if piece(section, 0, NAME.len()) == Some(NAME) {
                let (size, offset) = if wide {
                    (u64_at(section, 40)?, u32_at(section, 48)?)
                } else {
                    (u64::from(u32_at(section, 36)?), u32_at(section, 40)?)
                };
                self.facts = Some((u64::from(offset), size));
            }
        }
        Some(())
    }

    fn go_build(&self, source: &dyn ReadAt) -> Option<go::GoBuild> {
        const EXECUTABLE_OR_WRITABLE: u32 = 6;
        const WRITABLE: u32 = 2;
        let writable = || {
            let is = |s: &&Segment| s.rights & EXECUTABLE_OR_WRITABLE == WRITABLE && s.size > 0;
            self.segments.iter().find(is).map(|s| (s.offset, s.size))
        };
        let data = self.facts.or_else(writable)?;
        let at = |address: u64, len: usize| {
            let inside =
                |s: &&Segment| address >= s.address && address.saturating_sub(s.address) < s.size;
            let part = self.segments.iter().find(inside)?;
            let offset = part.offset.checked_add(address.checked_sub(part.address)?)?;
            read_up_to(source, offset, len).ok()
        };
        go::build(&go::Program { source, data, at: &at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{Words, parse, parse_with, torment};

    /// A program for arm64 whose section of Go's facts begins at 512.
    fn program() -> Vec<u8> {
        let mut out = vec![0xcf, 0xfa, 0xed, 0xfe];
        for number in [0x0100_000cu32, 0, PROGRAM, 1, 152, 0, 0, 0x19, 152] {
            out.extend(number.to_le_bytes());
        }
        out.extend(b"__DATA\0\0\0\0\0\0\0\0\0\0");
        for number in [0x1000u64, 1024, 512, 1024] {
            out.extend(number.to_le_bytes());
        }
        for number in [3u32, 3, 1, 0] {
            out.extend(number.to_le_bytes());
        }
        out.extend(b"__go_buildinfo\0\0__DATA\0\0\0\0\0\0\0\0\0\0");
        out.extend(0x1000u64.to_le_bytes());
        out.extend(1024u64.to_le_bytes());
        out.extend(512u32.to_le_bytes());
        out.resize(512, 0);
        out.extend(b"\xff Go buildinf:\x08\x02");
        out.resize(544, 0);
        out.extend(b"\x08go1.22.1");
        let modules = "0123456789abcdefpath\tgolang.example/tool\n0123456789abcdef";
        out.push(u8::try_from(modules.len()).unwrap());
        out.extend(modules.as_bytes());
        out.resize(2048, 0);
        out
    }

    fn several(program: &[u8]) -> Vec<u8> {
        let mut out = vec![0xca, 0xfe, 0xba, 0xbe];
        let size = u32::try_from(program.len()).unwrap();
        for number in [1u32, 0x0100_000c, 0, 4096, size, 12] {
            out.extend(number.to_be_bytes());
        }
        out.resize(4096, 0);
        out.extend(program);
        out
    }

    #[test]
    fn alone_and_among_several() {
        for bytes in [program(), several(&program())] {
            assert!(MachO.recognizes(&bytes));
            let kept = parse(&MachO, &bytes).unwrap();
            let record = &kept.records[0];
            assert_eq!(record.text("Machine"), Some("arm64"));
            assert_eq!(record.text("GoVersion"), Some("go1.22.1"));
            assert_eq!(record.text("GoPath"), Some("golang.example/tool"));
            assert!(record.text("Hashes").is_some());
            let words = Words(&["golang.example"]);
            assert_eq!(parse_with(&MachO, &bytes, &words).unwrap().records.len(), 1);
            assert!(parse_with(&MachO, &bytes, &Words(&["frpc"])).unwrap().records.is_empty());
        }
    }

    #[test]
    fn damaged_and_foreign() {
        let java = b"\xca\xfe\xba\xbe\x00\x00\x00\x34 a class of Java";
        assert!(!MachO.recognizes(java));
        assert!(parse(&MachO, java).is_err());
        let cut = program().get(..100).unwrap().to_vec();
        assert!(!parse(&MachO, &cut).unwrap().damage.is_empty());
        torment(&MachO, &program(), 300);
        torment(&MachO, &several(&program()), 300);
    }
}
