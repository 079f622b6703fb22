//! Writes zip files as tests need them: also such as no writer would.

use miniz_oxide::deflate::compress_to_vec;

/// One member to be written; what is `None` is as it should be.
#[derive(Clone, Default)]
pub struct Made {
    pub name: String,
    pub content: Vec<u8>,
    pub stored: bool,
    /// Sizes and checksum stand after the data.
    pub streamed: bool,
    /// Unix time of modification, in an extended field.
    pub modified: Option<u32>,
    /// Of the system that wrote it: 0 Windows, 3 Unix.
    pub system: u8,
    /// Unix mode.
    pub mode: u32,
    pub encrypted: bool,
    pub method: Option<u16>,
    pub crc: Option<u32>,
    pub size: Option<u32>,
    pub packed: Option<Vec<u8>>,
}

impl Made {
    /// A deflated member.
    pub fn new(name: &str, content: &[u8]) -> Self {
        Self { name: name.to_owned(), content: content.to_vec(), system: 3, ..Self::default() }
    }
}

/// The zip file of these members.
pub fn zip(members: &[Made]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for made in members {
        let offset = out.len() as u32;
        let packed = match &made.packed {
            Some(packed) => packed.clone(),
            None if made.stored => made.content.clone(),
            None => compress_to_vec(&made.content, 6),
        };
        let method = made.method.unwrap_or(if made.stored { 0 } else { 8 });
        let flags = u16::from(made.encrypted) | if made.streamed { 8 } else { 0 } | 0x800;
        let crc = made.crc.unwrap_or_else(|| crc32fast::hash(&made.content));
        let size = made.size.unwrap_or(made.content.len() as u32);
        let sums = [crc, packed.len() as u32, size];
        let extra: Vec<u8> = match made.modified {
            Some(at) => [&[0x55, 0x54, 5, 0, 1][..], &at.to_le_bytes()].concat(),
            None => Vec::new(),
        };
        let lengths = [made.name.len() as u16, extra.len() as u16];
        let terms = |sums: [u32; 3]| {
            let mut bytes = Vec::new();
            for value in [20, flags, method, 0, 0x21] {
                bytes.extend(u16::to_le_bytes(value));
            }
            sums.iter().for_each(|sum| bytes.extend(sum.to_le_bytes()));
            lengths.iter().for_each(|length| bytes.extend(length.to_le_bytes()));
            bytes
        };
        out.extend(b"PK\x03\x04");
        out.extend(terms(if made.streamed { [0; 3] } else { sums }));
        out.extend(made.name.as_bytes());
        out.extend(&extra);
        out.extend(&packed);
        if made.streamed {
            out.extend(b"PK\x07\x08");
            sums.iter().for_each(|sum| out.extend(sum.to_le_bytes()));
        }
        directory.extend(b"PK\x01\x02");
        directory.extend([20, made.system]);
        directory.extend(terms(sums));
        directory.extend([0; 6]);
        directory.extend((made.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(made.name.as_bytes());
        directory.extend(&extra);
    }
    let at = out.len() as u32;
    let count = (members.len() as u16).to_le_bytes();
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count);
    out.extend(count);
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// A member of a tar file: name, type, link, content.
pub type Tarred<'a> = (&'a str, u8, &'a str, &'a [u8]);

/// The tar file (ustar) of these members, modified at that Unix time.
pub fn tar(members: &[Tarred<'_>], modified: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind, link, content) in members {
        let mut block = [0; 512];
        let (prefix, name) = match name.len() {
            ..=100 => ("", *name),
            _ => name.rsplit_once('/').expect("a folder"),
        };
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, name.as_bytes());
        put(100, b"0000644\0");
        put(124, format!("{:011o}\0", content.len()).as_bytes());
        put(136, format!("{modified:011o}\0").as_bytes());
        put(148, b"        ");
        put(156, &[*kind]);
        put(157, link.as_bytes());
        put(257, b"ustar\x0000");
        put(345, prefix.as_bytes());
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend(block);
        out.extend(*content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// The gzip file of some bytes, in as many gzip members.
pub fn gzip(bytes: &[u8], members: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for part in bytes.chunks(bytes.len().div_ceil(members).max(1)) {
        out.extend(b"\x1f\x8b\x08\x08\0\0\0\0\0\xffname\0");
        out.extend(compress_to_vec(part, 6));
        out.extend(crc32fast::hash(part).to_le_bytes());
        out.extend((part.len() as u32).to_le_bytes());
    }
    out
}
