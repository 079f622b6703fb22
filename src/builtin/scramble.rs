//! Makes bytes unlike themselves, and themselves again; for the program and its
//! build script. It keeps no secret.

/// Scrambles bytes, or brings scrambled ones back: XOR with the low bytes of a
/// xorshift generator (Marsaglia, "Xorshift RNGs", 2003).
pub fn scramble(bytes: &mut [u8]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for byte in bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte ^= state.to_le_bytes()[0];
    }
}
