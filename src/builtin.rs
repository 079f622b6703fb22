//! The artifact definitions and profiles that are part of the program.
//!
//! They are what the program looks for, and a scanner that looks for the same would
//! take the program for the thing it hunts. So they lie in it packed and scrambled,
//! by `src/build.rs`, and no line of a rule stands in the executable:
//!
//! ```text
//! zlib( { u32 path length, path, u32 content length, content }* )  XOR  key stream
//! ```
//!
//! Numbers are little-endian.

mod scramble;

use std::sync::LazyLock;

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use scramble::scramble;

/// Bytes of everything unpacked; far above what the repository holds.
const MAX_BYTES: usize = 64 << 20;

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/builtin.bin"));

static FILES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| match unpack(PACKED) {
    Some(files) => files,
    None => {
        panic!("this copy of adit is damaged: what is built in cannot be unpacked; copy it anew")
    }
});

/// Path in the repository (with `/`) and content of every built-in file, by path.
///
/// # Panics
///
/// When the executable is damaged: without its rules it would find nothing.
pub fn files() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.iter().map(|(path, content)| (path.as_str(), content.as_slice()))
}

fn unpack(packed: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut bytes = packed.to_vec();
    scramble(&mut bytes);
    let bytes = decompress_to_vec_zlib_with_limit(&bytes, MAX_BYTES).ok()?;
    let (mut rest, mut files) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let path = String::from_utf8(take(&mut rest)?.to_vec()).ok()?;
        files.push((path, take(&mut rest)?.to_vec()));
    }
    Some(files)
}

/// A length and as many bytes.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (bytes, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_what_the_repository_holds() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut before = "";
        for (path, content) in files() {
            assert!(before < path, "{before} before {path}");
            assert_eq!(std::fs::read(root.join(path)).unwrap(), content, "{path}");
            before = path;
        }
        assert!(files().any(|(path, _)| path == "profiles/ngrok/profile.yaml"));
    }

    #[test]
    fn a_damaged_executable_does_not_go_unnoticed() {
        for at in [0, PACKED.len() / 2, PACKED.len() - 1] {
            let mut damaged = PACKED.to_vec();
            damaged[at] ^= 1;
            assert!(unpack(&damaged).is_none(), "byte {at}");
        }
        assert!(unpack(&PACKED[..PACKED.len() - 9]).is_none());
    }
}
