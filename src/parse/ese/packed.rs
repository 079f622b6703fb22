//! Values that the engine packed.
//!
//! The first byte's upper five bits say how: 1 and 2, characters of 7 bits, from one byte
//! or two each; 3, XPRESS. Others (4 to 6, newer XPRESS) are not unpacked.

use crate::codec::lz77;
use crate::parse::bytes::u16_at;

/// The plain bytes; `None` for what is packed in another way.
pub(super) fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    let (first, rest) = bytes.split_first()?;
    match first >> 3 {
        1 => Some(seven_bits(*first, rest).collect()),
        2 => Some(seven_bits(*first, rest).flat_map(|c| [c, 0]).collect()),
        3 => {
            let size = usize::from(u16_at(rest, 0)?);
            Some(lz77::decompress(rest.get(2..)?, size))
        }
        _ => None,
    }
}

/// Characters of seven bits, the lowest bits first; the lowest three bits of the
/// first byte are the number of bits in the last one, less 1.
fn seven_bits(first: u8, rest: &[u8]) -> impl Iterator<Item = u8> {
    let whole = rest.len().saturating_sub(1).saturating_mul(8);
    let bits = whole.saturating_add(usize::from(first & 7)).saturating_add(1);
    (0..bits / 7).map_while(move |index| {
        let at = index.checked_mul(7)?;
        let low = u16::from(*rest.get(at / 8)?);
        let high = u16::from(rest.get(at / 8 + 1).copied().unwrap_or_default());
        u8::try_from((high << 8 | low) >> (at % 8) & 0x7f).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::unpack;

    /// Packs as the engine does.
    fn packed(text: &[u8], how: u8) -> Vec<u8> {
        let bits: Vec<u8> = text.iter().flat_map(|c| (0..7).map(move |n| c >> n & 1)).collect();
        let mut out = vec![how << 3 | u8::try_from((bits.len() - 1) % 8).unwrap()];
        out.extend(bits.chunks(8).map(|all| all.iter().rev().fold(0, |n, bit| n << 1 | bit)));
        out
    }

    #[test]
    fn unpacks_each_way() {
        for text in ["a", "ngrok.exe", "eight ch", "https://bin.equinox.io/c/"] {
            assert_eq!(unpack(&packed(text.as_bytes(), 1)).unwrap(), text.as_bytes());
            let wide: Vec<u8> = text.bytes().flat_map(|c| [c, 0]).collect();
            assert_eq!(unpack(&packed(text.as_bytes(), 2)).unwrap(), wide);
        }
        assert_eq!(unpack(b"\x18\x03\0\0\0\0\0abc").unwrap(), b"abc");
        assert_eq!(unpack(b"\x28abc"), None);
        assert_eq!(unpack(b""), None);
    }
}
