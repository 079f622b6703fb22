//! The skeleton of a PE file: headers, sections, data directories.
//!
//! ```text
//! MZ      0 "MZ"   60 offset of the PE header
//! PE      0 "PE\0\0"  4 machine  6 sections  20 size of the optional header  22 characteristics  24 optional header
//! optional header   0 magic (0x10b, 0x20b)  92/108 directories' count  96/112 directories (address, size)
//! section (40)      0 name  8 virtual size  12 address  16 raw size  20 raw offset  36 characteristics
//! ```

use crate::model::ReadAt;
use crate::parse::ParseError;
use crate::parse::bytes::{piece, read_up_to, u16_at, u32_at, u64_at};

/// The PE header lies within so many bytes.
const MAX_HEADER_OFFSET: u32 = 64 << 20;
/// Most programs have all headers within so many bytes.
const USUAL_HEADER_BYTES: usize = 1024;
/// The loader takes no more sections.
const MAX_SECTIONS: usize = 96;

/// A section of the file.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub name: String,
    pub address: u32,
    pub virtual_size: u32,
    pub offset: u32,
    pub size: u32,
    pub characteristics: u32,
}

/// A PE file's headers.
pub(super) struct Image<'a> {
    pub source: &'a dyn ReadAt,
    pub machine: u16,
    pub is_dll: bool,
    pub base: u64,
    pub sections: Vec<Section>,
    directories: Vec<(u32, u32)>,
}

fn broken(offset: u64, what: &str) -> ParseError {
    ParseError::Broken { format: "PE", offset, what: what.to_owned() }
}

impl<'a> Image<'a> {
    /// The headers of `source`.
    ///
    /// # Errors
    ///
    /// When it is no PE file, or its headers are cut off.
    pub(super) fn read(source: &'a dyn ReadAt) -> Result<Self, ParseError> {
        let start = read_up_to(source, 0, USUAL_HEADER_BYTES)?;
        if !start.starts_with(b"MZ") {
            let found = format!("{:02x?}", start.get(..2).unwrap_or(&start));
            return Err(ParseError::Foreign { format: "PE", found });
        }
        let at = u32_at(&start, 60).ok_or_else(|| broken(0, "MZ header cut off"))?;
        if at > MAX_HEADER_OFFSET {
            return Err(broken(60, "PE header out of reach"));
        }
        let known = usize::try_from(at).ok().and_then(|at| start.get(at..)).unwrap_or_default();
        let bytes = match header_len(known).filter(|len| *len <= known.len()) {
            Some(len) => known.get(..len).unwrap_or_default().to_vec(),
            None => {
                let fixed = read_up_to(source, u64::from(at), USUAL_HEADER_BYTES)?;
                match header_len(&fixed).filter(|len| *len > fixed.len()) {
                    Some(len) => read_up_to(source, u64::from(at), len)?,
                    None => fixed,
                }
            }
        };
        if !bytes.starts_with(b"PE\0\0") {
            return Err(ParseError::Foreign { format: "PE", found: "MZ without PE header".into() });
        }
        Self::of_headers(source, &bytes).ok_or_else(|| broken(u64::from(at), "headers cut off"))
    }

    fn of_headers(source: &'a dyn ReadAt, bytes: &[u8]) -> Option<Self> {
        const DLL: u16 = 0x2000;
        let section_count = usize::from(u16_at(bytes, 6)?).min(MAX_SECTIONS);
        let optional_len = usize::from(u16_at(bytes, 20)?);
        let optional = piece(bytes, 24, optional_len)?;
        let wide = u16_at(optional, 0)? == 0x20b;
        let (base, count_at) = if wide {
            (u64_at(optional, 24)?, 108)
        } else {
            (u64::from(u32_at(optional, 28)?), 92)
        };
        let count = usize::try_from(u32_at(optional, count_at)?).ok()?.min(16);
        let table = optional.get(count_at.checked_add(4)?..).unwrap_or_default();
        let (pairs, _) = table.as_chunks::<8>();
        let directories = pairs.iter().take(count);
        let directories =
            directories.filter_map(|d| Some((u32_at(d, 0)?, u32_at(d, 4)?))).collect();
        let table = bytes.get(optional_len.checked_add(24)?..).unwrap_or_default();
        let (rows, _) = table.as_chunks::<40>();
        let sections = rows.iter().take(section_count).filter_map(|row| section(row)).collect();
        Some(Self {
            source,
            machine: u16_at(bytes, 4)?,
            is_dll: u16_at(bytes, 22)? & DLL != 0,
            base,
            sections,
            directories,
        })
    }

    /// Address and size of a data directory that is there.
    pub(super) fn directory(&self, index: usize) -> Option<(u32, u32)> {
        self.directories.get(index).copied().filter(|(address, size)| *address != 0 && *size != 0)
    }

    /// Where in the file a relative address lies.
    pub(super) fn offset_of(&self, address: u32) -> Option<u64> {
        let section = self.sections.iter().find(|s| {
            let len = s.virtual_size.max(s.size);
            address >= s.address && address.wrapping_sub(s.address) < len
        })?;
        let within = address.checked_sub(section.address)?;
        (within < section.size).then(|| u64::from(section.offset).saturating_add(u64::from(within)))
    }

    /// Up to `len` bytes at a relative address.
    pub(super) fn at(&self, address: u32, len: usize) -> Option<Vec<u8>> {
        read_up_to(self.source, self.offset_of(address)?, len).ok()
    }

    /// `x64` and the like.
    pub(super) fn machine_name(&self) -> String {
        match self.machine {
            0x014c => "x86".into(),
            0x8664 => "x64".into(),
            0xaa64 => "arm64".into(),
            0x01c4 => "arm".into(),
            other => format!("{other:#06x}"),
        }
    }
}

/// Bytes from the PE header to the end of the section table; `None` where that is no
/// PE header.
fn header_len(bytes: &[u8]) -> Option<usize> {
    let sections = usize::from(u16_at(bytes, 6)?).min(MAX_SECTIONS);
    let optional = usize::from(u16_at(bytes, 20)?);
    bytes
        .starts_with(b"PE\0\0")
        .then(|| sections.saturating_mul(40).saturating_add(optional.saturating_add(24)))
}

fn section(row: &[u8]) -> Option<Section> {
    let name = piece(row, 0, 8)?;
    let name = name.split(|b| *b == 0).next().unwrap_or_default();
    Some(Section {
        name: String::from_utf8_lossy(name).into_owned(),
        virtual_size: u32_at(row, 8)?,
        address: u32_at(row, 12)?,
        size: u32_at(row, 16)?,
        offset: u32_at(row, 20)?,
        characteristics: u32_at(row, 36)?,
    })
}
