//! What the Go toolchain writes into a program: its version and modules.
//!
//! ```text
//! 0 "\xff Go buildinf:"  14 size of a pointer  15 flags: 1 big endian, 2 inline
//! inline (Go 1.18 on)    32 length (varint), version, length (varint), modules
//! pointers (before)      16 and 16+size: addresses of string headers (address, length)
//! ```
//!
//! The modules' text stands between two 16-byte marks; its lines are `path`, `mod`,
//! `dep` and `build`, fields parted by tabs. Source: package debug/buildinfo.

use super::bytes::{piece, read_up_to, u32_at, u64_at};
use crate::model::{ReadAt, Record, Value};

/// Bytes of the data section that are searched.
const MAX_SEARCH_BYTES: usize = 1 << 20;
/// Bytes of the version and of the modules' text.
const MAX_VERSION_BYTES: usize = 256;
const MAX_MODULES_BYTES: usize = 1 << 20;
/// Modules that are told.
const MAX_MODULES: usize = 1000;
const MAGIC: &[u8] = b"\xff Go buildinf:";

/// Facts of a program made with Go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GoBuild {
    /// `go1.22.1`
    pub version: String,
    /// Path of the main package.
    pub path: String,
    /// `path@version`, the main module first.
    pub modules: Vec<String>,
}

/// A program as the search needs it.
pub(super) struct Program<'a> {
    pub source: &'a dyn ReadAt,
    /// Offset and size of the section that the toolchain writes to.
    pub data: (u64, u64),
    /// Up to so many bytes at an address of the loaded program.
    pub at: &'a dyn Fn(u64, usize) -> Option<Vec<u8>>,
}

/// What the toolchain wrote; `None` for programs of other languages.
pub(super) fn build(program: &Program<'_>) -> Option<GoBuild> {
    let (offset, size) = program.data;
    let len = usize::try_from(size).unwrap_or(MAX_SEARCH_BYTES).min(MAX_SEARCH_BYTES);
    let bytes = read_up_to(program.source, offset, len).ok()?;
    let at = memchr::memmem::find_iter(&bytes, MAGIC).find(|at| at % 16 == 0)?;
    let start = offset.saturating_add(at as u64);
    let header = bytes.get(at..)?;
    let flags = *header.get(15)?;
    let (version, modules) = if flags & 2 != 0 {
        let whole =
            read_up_to(program.source, start, 64 + MAX_VERSION_BYTES + MAX_MODULES_BYTES).ok()?;
        inline(whole.get(32..)?)?
    } else {
        pointed(program, header, flags)?
    };
    Some(of_texts(&version, &modules))
}

fn inline(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (version, rest) = counted(bytes, MAX_VERSION_BYTES)?;
    let modules = counted(rest, MAX_MODULES_BYTES).map(|(text, _)| text.to_vec());
    Some((version.to_vec(), modules.unwrap_or_default()))
}

/// The bytes behind a varint that counts them, and what follows.
fn counted(bytes: &[u8], limit: usize) -> Option<(&[u8], &[u8])> {
    let mut len = 0u64;
    for (n, byte) in bytes.iter().enumerate().take(5) {
        let shift = u32::try_from(n).ok()?.checked_mul(7)?;
        len |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            let rest = bytes.get(n.checked_add(1)?..)?;
            let len = usize::try_from(len).ok().filter(|len| *len <= limit)?;
            return rest.split_at_checked(len);
        }
    }
    None
}

fn pointed(program: &Program<'_>, header: &[u8], flags: u8) -> Option<(Vec<u8>, Vec<u8>)> {
    if flags & 1 != 0 {
        return None; // no system that is read here is big endian
    }
    let size = usize::from(*header.get(14)?);
    let pointer = |bytes: &[u8], at: usize| match size {
        8 => u64_at(bytes, at),
        4 => u32_at(bytes, at).map(u64::from),
        _ => None,
    };
    let string = |at: usize, limit: usize| {
        let text = (program.at)(pointer(header, at)?, 16)?;
        let len = usize::try_from(pointer(&text, size)?).ok().filter(|len| *len <= limit)?;
        (program.at)(pointer(&text, 0)?, len)
    };
    let version = string(16, MAX_VERSION_BYTES)?;
    let modules = string(size.checked_add(16)?, MAX_MODULES_BYTES).unwrap_or_default();
    Some((version, modules))
}

/// Gives the record of a program what the toolchain says of it.
pub(super) fn describe(record: &mut Record, build: GoBuild) {
    record.push("GoVersion", build.version);
    record.push("GoPath", build.path);
    if !build.modules.is_empty() {
        record.push("GoModules", Value::List(build.modules));
    }
}

fn of_texts(version: &[u8], modules: &[u8]) -> GoBuild {
    const MARK: usize = 16;
    let end = modules.len().saturating_sub(MARK);
    let text = end.checked_sub(MARK).and_then(|len| piece(modules, MARK, len)).unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let mut build =
        GoBuild { version: String::from_utf8_lossy(version).into_owned(), ..GoBuild::default() };
    for line in text.lines() {
        let mut fields = line.split('\t');
        match fields.next() {
            Some("path") => build.path = fields.next().unwrap_or_default().to_owned(),
            Some("mod" | "dep") if build.modules.len() < MAX_MODULES => {
                let path = fields.next().unwrap_or_default();
                let version = fields.next().unwrap_or_default();
                build.modules.push(format!("{path}@{version}"));
            }
            _ => {}
        }
    }
    build
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_text_is_taken_apart() {
        let text = format!(
            "{0}path\texample.com/cmd\nmod\texample.com\t(devel)\t\ndep\ta.b/c\tv1.2.3\th1:x\nbuild\tGOOS=windows\n{0}",
            "0123456789abcdef"
        );
        let build = of_texts(b"go1.22.1", text.as_bytes());
        assert_eq!(build.path, "example.com/cmd");
        assert_eq!(build.modules, ["example.com@(devel)", "a.b/c@v1.2.3"]);
        assert_eq!(of_texts(b"go1.9", b"").modules.len(), 0);
    }

    #[test]
    fn counts_are_checked() {
        assert_eq!(counted(&[3, 1, 2, 3, 9], 10), Some((&[1u8, 2, 3][..], &[9u8][..])));
        assert_eq!(counted(&[0xff; 10], 10), None);
        assert_eq!(counted(&[9, 1], 10), None);
        assert_eq!(counted(&[], 10), None);
    }
}
