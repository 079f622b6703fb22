//! Security identifiers as text, without asking anybody for the account's name.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 1 | revision, 1 |
//! | 1 | 1 | number of sub-authorities, at most 15 |
//! | 2 | 6 | authority, big-endian |
//! | 8 | 4 each | sub-authorities, little-endian |
//!
//! Source: [MS-DTYP], 2.4.2.

/// More sub-authorities than this no identifier has.
const MAX_PARTS: usize = 15;

/// `S-1-5-21-…` of the identifier that the bytes begin with.
pub fn text(bytes: &[u8]) -> Option<String> {
    let parts = usize::from(*bytes.get(1)?);
    if *bytes.first()? != 1 || parts > MAX_PARTS {
        return None;
    }
    let authority = bytes.get(2..8)?.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    let list = bytes.get(8..)?.get(..parts.checked_mul(4)?)?;
    let parts = list.as_chunks().0.iter().map(|part: &[u8; 4]| u32::from_le_bytes(*part));
    Some(parts.fold(format!("S-1-{authority}"), |text, part| format!("{text}-{part}")))
}

/// The account of an identifier that means the same on every machine.
pub fn account(sid: &str) -> Option<&'static str> {
    Some(match sid {
        "S-1-5-18" => r"NT AUTHORITY\SYSTEM",
        "S-1-5-19" => r"NT AUTHORITY\LOCAL SERVICE",
        "S-1-5-20" => r"NT AUTHORITY\NETWORK SERVICE",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_written_as_windows_writes_them() {
        let system = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
        assert_eq!(text(&system).as_deref(), Some("S-1-5-18"));
        assert_eq!(account("S-1-5-18"), Some(r"NT AUTHORITY\SYSTEM"));
        assert_eq!(text(&system[..11]), None);
        assert_eq!(text(&[1, 16, 0, 0, 0, 0, 0, 5]), None);
        assert_eq!(text(&[]), None);
    }
}
