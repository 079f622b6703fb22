//! Programs among the members of an archive: what each says of itself, whatever the
//! archive's maker called it.
//!
//! A member's first bytes tell a program. Only those are unpacked whole; libraries of
//! Windows are left alone, of which archives of installers are full.

use std::io::{self, Read};
use std::ops::ControlFlow;

use super::{ParseError, Parser, elf, macho, pe};
use crate::model::{Damage, Extent, Filter, Input, Locator, Moment, Record, Sink};

/// Bytes that tell whether a member is a program.
const START_BYTES: u64 = 4096;
/// A larger program is not unpacked.
const MAX_PROGRAM_BYTES: u64 = 96 << 20;
/// Bytes that are unpacked of one archive's programs.
const MAX_UNPACKED_BYTES: u64 = 1 << 30;
/// Smallest member that is looked into, if programs are called like it.
const MIN_BYTES: u64 = 1 << 10;
/// Smallest member of any other name: no agent is smaller.
const MIN_BYTES_OF_OTHERS: u64 = 256 << 10;

/// The members of one archive, looked into one after the other.
pub(super) struct Programs<'a> {
    input: &'a Input<'a>,
    left: u64,
}

/// A member, as the archive describes it.
pub(super) struct Described<'a> {
    pub name: &'a str,
    /// Bytes when unpacked.
    pub size: u64,
    pub modified: Option<&'a Moment>,
}

impl<'a> Programs<'a> {
    pub(super) fn of(input: &'a Input<'a>) -> Self {
        Self { input, left: MAX_UNPACKED_BYTES }
    }

    /// Tells a member that is a program and matters; of `content`, its bytes from their
    /// beginning, no more is read than that takes.
    pub(super) fn look(
        &mut self,
        member: &Described<'_>,
        content: &mut dyn Read,
        sink: &mut dyn Sink,
    ) -> ControlFlow<()> {
        let mut sink = OfMember { member, sink, ended: ControlFlow::Continue(()) };
        if let Err(error) = self.told(member, content, &mut sink) {
            sink.lost(error.to_string());
        }
        sink.ended
    }

    fn told(
        &mut self,
        member: &Described<'_>,
        content: &mut dyn Read,
        sink: &mut OfMember<'_>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        content.take(START_BYTES.min(member.size)).read_to_end(&mut bytes)?;
        let Some(parser) = parser_of(&bytes) else { return Ok(()) };
        if member.size > MAX_PROGRAM_BYTES.min(self.left) {
            sink.lost(format!("a program of {} bytes, which is not unpacked", member.size));
            return Ok(());
        }
        self.left = self.left.saturating_sub(member.size);
        let rest = member.size.saturating_sub(bytes.len() as u64);
        let unpacked = content.take(rest).read_to_end(&mut bytes);
        let filter = WithName { filter: self.input.filter, name: member.name };
        let input = Input {
            bytes: &bytes,
            sidecars: Vec::new(),
            filter: &filter,
            paths: None,
            ..*self.input
        };
        match parser.parse(&input, sink) {
            Ok(()) | Err(ParseError::Foreign { .. }) => {}
            Err(error) => sink.lost(error.to_string()),
        }
        unpacked.map(|_| ())
    }
}

/// Whether a member may be a program: not a small one whose name says that it is none.
pub(super) fn may_be_program(name: &str, size: u64) -> bool {
    const EXTENSIONS: [&str; 7] = ["bin", "com", "dat", "elf", "exe", "scr", "tmp"];
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_likely = base.rsplit_once('.').is_none_or(|(_, extension)| {
        EXTENSIONS.iter().any(|of| extension.eq_ignore_ascii_case(of))
    });
    size >= if is_likely { MIN_BYTES } else { MIN_BYTES_OF_OTHERS }
}

/// Who reads what starts so; nobody reads a library.
fn parser_of(start: &[u8]) -> Option<&'static dyn Parser> {
    let parsers: [&'static dyn Parser; 3] = [&pe::Pe, &elf::Elf, &macho::MachO];
    parsers.into_iter().find(|parser| parser.recognizes(start) && !pe::is_library(start))
}

/// What a program says of itself, said of the member.
struct OfMember<'a> {
    member: &'a Described<'a>,
    sink: &'a mut dyn Sink,
    ended: ControlFlow<()>,
}

impl OfMember<'_> {
    fn lost(&mut self, message: String) {
        self.damaged(Damage { locator: None, message, lost: true });
    }
}

impl Sink for OfMember<'_> {
    fn record(&mut self, mut record: Record) -> ControlFlow<()> {
        record.locator = Locator::Member(self.member.name.to_owned());
        record.push("MemberName", self.member.name);
        record.push("MemberSize", i64::try_from(self.member.size).unwrap_or(i64::MAX));
        record.times.extend(self.member.modified.cloned());
        self.ended = self.sink.record(record);
        self.ended
    }

    fn damaged(&mut self, damage: Damage) {
        let locator = Some(Locator::Member(self.member.name.to_owned()));
        let message = format!("member {}: {}", self.member.name, damage.message);
        self.sink.damaged(Damage { locator, message, ..damage });
    }

    fn extent(&mut self, _: Extent) {}
}

/// The filter for what a program says of itself: a rule may ask for its name, too.
struct WithName<'a> {
    filter: &'a dyn Filter,
    name: &'a str,
}

impl Filter for WithName<'_> {
    fn admits(&self, block: &[u8]) -> bool {
        self.filter.admits(block)
    }

    fn admits_text(&self, text: &[u8]) -> bool {
        self.filter.admits_text(&[text, b"\nMemberName=", self.name.as_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Everything;
    use crate::parse::testing::{Kept, sample};

    fn looked(name: &str, size: u64, content: &[u8]) -> Kept {
        let none = Vec::new();
        let input = Input {
            bytes: &none,
            sidecars: Vec::new(),
            name: "x.zip",
            modified: None,
            filter: &Everything,
            paths: None,
            zone: None,
        };
        let mut kept = Kept::default();
        let member = Described { name, size, modified: None };
        let _ = Programs::of(&input).look(&member, &mut &*content, &mut kept);
        kept
    }

    #[test]
    fn a_program_is_told_under_any_name() {
        for of in ["pe/version.exe", "elf/go.elf", "macho/tool"] {
            let bytes = sample(of);
            let kept = looked("a/notes.txt", bytes.len() as u64, &bytes);
            let [record] = kept.records.as_slice() else { panic!("{of}: {:?}", kept.damage) };
            assert_eq!(record.category, "executable");
            assert_eq!(record.locator, Locator::Member("a/notes.txt".into()));
            assert_eq!(record.text("MemberName"), Some("a/notes.txt"));
        }
        assert!(looked("x", 4, b"text").records.is_empty());
        let library = sample("pe/library.dll");
        assert!(looked("x.exe", library.len() as u64, &library).records.is_empty());
    }

    #[test]
    fn what_is_not_unpacked_is_said() {
        let bytes = sample("pe/version.exe");
        let kept = looked("big.exe", MAX_PROGRAM_BYTES + 1, &bytes);
        assert!(kept.records.is_empty() && kept.damage[0].lost, "{:?}", kept.damage);
        assert!(kept.damage[0].message.starts_with("member big.exe: "));
        // A size that lies, either way.
        assert_eq!(looked("a", 1 << 20, &bytes).records.len(), 1);
        let cut = looked("a", 5000, &bytes);
        assert!(cut.damage[0].message.starts_with("member a: "), "{:?}", cut.damage);
    }

    #[test]
    fn names_and_sizes_of_programs() {
        assert!(may_be_program("a/run.EXE", 4000) && may_be_program("bin/agent", 4000));
        assert!(may_be_program("a.txt", 1 << 20) && !may_be_program("a.txt", 4000));
        assert!(!may_be_program("a.exe", 100) && may_be_program("v1.2/agent", 4000));
    }
}
