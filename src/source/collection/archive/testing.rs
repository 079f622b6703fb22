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
