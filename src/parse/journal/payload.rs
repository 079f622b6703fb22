//! A packed value of a journal's field.
//!
//! ```text
//! xz    an .xz stream    zstd  a frame    LZ4   0 size of the value (8 bytes), then a block
//! ```

use std::io::Read;

use super::layout::Packing;
use crate::parse::bytes::u64_at;

/// Bytes of a stored value that are read.
pub(super) const MAX_STORED_BYTES: usize = 16 << 20;
/// Bytes of an unpacked value that are kept; of longer ones the beginning.
const MAX_VALUE_BYTES: u64 = 16 << 20;
/// Memory that an xz stream may ask for, in KiB.
const MAX_XZ_MEMORY_KIB: u32 = 128 << 10;

/// The value, or why it cannot be unpacked.
pub(super) fn unpack(packing: Packing, stored: &[u8]) -> Result<Vec<u8>, String> {
    let read = |reader: &mut dyn Read| {
        let mut out = Vec::new();
        let result = reader.take(MAX_VALUE_BYTES).read_to_end(&mut out);
        result.map(|_| out).map_err(|error| error.to_string())
    };
    match packing {
        Packing::Xz => {
            read(&mut lzma_rust2::XzReader::new_mem_limit(stored, false, MAX_XZ_MEMORY_KIB))
        }
        Packing::Zstd => {
            let mut reader = ruzstd::decoding::StreamingDecoder::new(stored)
                .map_err(|error| error.to_string())?;
            read(&mut reader)
        }
        Packing::Lz4 => {
            let size = u64_at(stored, 0).ok_or("no size before the LZ4 block")?;
            let Some(size) = usize::try_from(size).ok().filter(|_| size <= MAX_VALUE_BYTES) else {
                return Err(format!("{size} bytes, the limit is {MAX_VALUE_BYTES}"));
            };
            let block = stored.get(8..).unwrap_or_default();
            lz4_flex::block::decompress(block, size).map_err(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xz_and_lz4() {
        const XZ: &str = "fd377a585a000000ff12d9410200210116000000742fe5a3e0027d00195d00269146c0d19457e49548617b77f1c2fa916fdad43d6c7cc0000000000000012dfe040000005ebb0100a8000afc020000000000595a";
        let xz: Vec<u8> = (0..XZ.len() / 2)
            .map(|at| u8::from_str_radix(&XZ[at * 2..at * 2 + 2], 16).unwrap())
            .collect();
        let text = format!("MESSAGE={}", "tunnel ".repeat(90));
        assert_eq!(unpack(Packing::Xz, &xz), Ok(text.into_bytes()));
        // Eight letters as they are, then eighteen more from eight bytes before, then one.
        let lz4 = [&27u64.to_le_bytes()[..], &[0x8e], b"A=tunnel", &[8, 0, 0x10, b'!']].concat();
        assert_eq!(unpack(Packing::Lz4, &lz4), Ok(b"A=tunnelA=tunnelA=tunnelA=!".to_vec()));
        for packing in [Packing::Xz, Packing::Lz4, Packing::Zstd] {
            assert!(unpack(packing, b"neither of these").is_err());
        }
    }
}
