//! Who signed a program: the subject of the signer's certificate.
//!
//! Only read, never verified. WIN_CERTIFICATE (8 bytes, then PKCS#7 in DER):
//!
//! ```text
//! ContentInfo { oid, [0] SignedData { version, digests, content, [0] certificates, [1] crls, signers } }
//! Certificate { TBS { [0] version, serial, algorithm, issuer, validity, subject, … }, … }
//! SignerInfo  { version, { issuer, serial }, … }
//! ```

use super::image::Image;
use crate::parse::bytes::read_up_to;

/// Bytes of a certificate table that are read.
const MAX_BYTES: usize = 256 << 10;
/// Certificates of one signature.
const MAX_CERTIFICATES: usize = 64;
const CERTIFICATES: usize = 4;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const CONTEXT_0: u8 = 0xa0;
/// 2.5.4.3, the common name.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Common name of the certificate that signed; `None` without a readable signature.
pub(super) fn signer(image: &Image<'_>) -> Option<String> {
    // This one directory holds an offset in the file, not an address.
    let (offset, size) = image.directory(CERTIFICATES)?;
    let len = usize::try_from(size).ok()?.min(MAX_BYTES);
    let bytes = read_up_to(image.source, u64::from(offset), len).ok()?;
    of_pkcs7(bytes.get(8..)?)
}

fn of_pkcs7(bytes: &[u8]) -> Option<String> {
    let (content_info, _) = expect(bytes, SEQUENCE)?;
    let (_, rest) = element(content_info)?;
    let (explicit, _) = expect(rest, CONTEXT_0)?;
    let (signed, _) = expect(explicit, SEQUENCE)?;
    let mut certificates = None;
    let mut signers = None;
    let mut rest = signed;
    // The first set is that of the digests; the signers' comes last.
    while let Some((tag, content, after)) = any(rest) {
        match tag {
            CONTEXT_0 => certificates = Some(content),
            SET => signers = Some(content),
            _ => {}
        }
        rest = after;
    }
    let (signer, _) = expect(signers?, SEQUENCE)?;
    let (_, rest) = element(signer)?;
    let (id, _) = expect(rest, SEQUENCE)?;
    let (_, issuer, rest) = any(id)?;
    let (_, serial, _) = any(rest)?;
    let mut rest = certificates?;
    for _ in 0..MAX_CERTIFICATES {
        let (tag, certificate, after) = any(rest)?;
        if tag == SEQUENCE
            && let Some(subject) = subject_if(certificate, issuer, serial)
        {
            return common_name(subject);
        }
        rest = after;
    }
    None
}

/// The subject of this certificate if it has that issuer and serial number.
fn subject_if<'a>(certificate: &'a [u8], issuer: &[u8], serial: &[u8]) -> Option<&'a [u8]> {
    let (tbs, _) = expect(certificate, SEQUENCE)?;
    let (tag, _, after) = any(tbs)?;
    let rest = if tag == CONTEXT_0 { after } else { tbs };
    let (its_serial, rest) = expect(rest, INTEGER)?;
    let (_, rest) = element(rest)?;
    let (its_issuer, rest) = expect(rest, SEQUENCE)?;
    let (_, rest) = element(rest)?;
    let (subject, _) = expect(rest, SEQUENCE)?;
    (its_serial == serial && its_issuer == issuer).then_some(subject)
}

fn common_name(name: &[u8]) -> Option<String> {
    const WIDE: u8 = 0x1e;
    let mut rest = name;
    while let Some((_, set, after)) = any(rest) {
        let (pair, _) = expect(set, SEQUENCE)?;
        let (_, oid, value) = any(pair)?;
        if oid == COMMON_NAME {
            let (tag, text, _) = any(value)?;
            if tag != WIDE {
                return Some(String::from_utf8_lossy(text).into_owned());
            }
            let (pairs, _) = text.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            return Some(String::from_utf16_lossy(&units));
        }
        rest = after;
    }
    None
}

/// Tag, content and what follows of the element here.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = if first & 0x80 == 0 {
        (usize::from(*first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        let len = digits.iter().fold(0usize, |len, digit| len << 8 | usize::from(*digit));
        (len, rest)
    };
    let (content, after) = rest.split_at_checked(len)?;
    Some((*tag, content, after))
}

fn element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    any(bytes).map(|(_, content, after)| (content, after))
}

fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    any(bytes).filter(|(found, ..)| *found == tag).map(|(_, content, after)| (content, after))
}
