//! Ways to damage a file.

/// Marsaglia's xorshift with a multiplier: small, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(number: u64) -> Self {
        Self(number.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % limit.max(1)
    }
}

/// Numbers that lengths, counts and offsets go wrong with.
const EDGES: [u64; 12] = [
    0,
    1,
    2,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_fff8,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// Most changes made to one copy.
const MAX_CHANGES: usize = 8;

/// Makes the sums of a database's transaction log fit, so that what is in it is looked at.
pub fn seal(bytes: &mut [u8]) {
    const SEGMENT: usize = 4096;
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).map(|word| u32::from_le_bytes(word.try_into().unwrap()))
    };
    if word(bytes, 32) != Some(8) || word(bytes, 36) != Some(4000) {
        return;
    }
    for (number, segment) in bytes.chunks_exact_mut(SEGMENT).enumerate() {
        let (from, start) = if number == 0 { (4, 0x89ab_cdef) } else { (8, number as u32) };
        let words = segment[from..].as_chunks::<4>().0.iter();
        let sum = words.fold(start, |sum, word| sum ^ u32::from_le_bytes(*word));
        segment[..4].copy_from_slice(&sum.to_le_bytes());
    }
}

/// A damaged copy of `seed`; pieces of `other` may be in it.
pub fn damage(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(MAX_CHANGES) {
        change(&mut bytes, other, random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = place(bytes.len(), random);
    match random.below(9) {
        0 => bytes.truncate(at),
        1 | 2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        3 | 4 => number(bytes, at, EDGES[random.below(EDGES.len())], random),
        5 => {
            // A number near one that was there.
            let old =
                bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let near = u64::from(old).wrapping_add(random.next() % 16).wrapping_sub(8);
            number(bytes, at, near, random);
        }
        6 => {
            let (from, length) = (random.below(other.len()), random.below(256));
            let piece: Vec<u8> = other.iter().skip(from).take(length).copied().collect();
            for (to, byte) in bytes.iter_mut().skip(at).zip(piece) {
                *to = byte;
            }
        }
        7 => {
            let end = (at + random.below(64)).min(bytes.len());
            bytes.drain(at..end);
        }
        _ => {
            let piece = vec![bytes.get(at).copied().unwrap_or_default(); random.below(64)];
            bytes.splice(at..at, piece);
        }
    }
}

/// Somewhere in the file; heads more often than their size deserves.
fn place(length: usize, random: &mut Random) -> usize {
    match random.below(3) {
        0 => random.below(length.min(512)),
        _ => random.below(length),
    }
}

fn number(bytes: &mut [u8], at: usize, number: u64, random: &mut Random) {
    let size = [1, 2, 4, 8][random.below(4)];
    let mut digits = number.to_le_bytes();
    if random.below(4) == 0 {
        digits[..size].reverse();
    }
    for (to, byte) in bytes.iter_mut().skip(at).zip(&digits[..size]) {
        *to = *byte;
    }
}
