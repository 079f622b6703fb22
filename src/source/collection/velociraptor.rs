//! Velociraptor's offline collections and exported flows.
//!
//! `uploads/<accessor>/<parts of the path>`: every part percent-encoded, so that
//! `\\.\C:` is `%5C%5C.%5CC%3A`. A file with holes is stored without them, with
//! an index beside it (`<name>.idx`) of the stretches it is made of:
//!
//! ```text
//! {"ranges":[{"file_offset":0,"original_offset":0,"file_length":0,"length":4096}, …]}
//! ```
//!
//! `file_length` 0 is a hole; fields that are zero may be missing. The zip's own
//! extended times are the files' original ones. `client_info.json` and
//! `collection_context.json` tell of the machine.

use serde_json::Value;

use super::super::layout::drive_letter;
use super::archive::Stretch;
use super::outline::{Names, join};
use super::place::{Placed, decoded, is_plain};

/// Accessors whose uploads are files at their own paths; of one path, the copy
/// by the first of these is read.
const ACCESSORS: [&str; 9] =
    ["ntfs", "lazy_ntfs", "mft", "raw_ext4", "auto", "file", "lazy_file", "file_links", "ntfs_vss"];
/// Stretches of one file.
const MAX_RANGES: usize = 1_000_000;

/// Whether a folder holds uploads by accessor.
pub(super) fn is_uploads(names: &dyn Names, at: &str) -> bool {
    names.folders(at).iter().any(|accessor| {
        ACCESSORS.contains(&accessor.as_str()) && !names.folders(&join(at, accessor)).is_empty()
    })
}

/// Whether any upload is of a Windows volume.
pub(super) fn is_windows(names: &dyn Names, base: &str) -> bool {
    let uploads = join(base, "uploads");
    let accessors = names.folders(&uploads);
    let known = accessors.iter().filter(|name| ACCESSORS.contains(&name.as_str()));
    known.flat_map(|name| names.folders(&join(&uploads, name))).any(|name| root(&name).is_some())
}

/// Where a file of a collection lay.
pub(super) fn place(parts: &[&str], windows: bool) -> Placed {
    let [first, accessor, below @ ..] = parts else {
        return if parts == ["uploads"] { Placed::Hidden } else { Placed::Rest };
    };
    let Some(rank) = ACCESSORS.iter().position(|known| known == accessor) else {
        return Placed::Rest;
    };
    if *first != "uploads" {
        return Placed::Rest;
    }
    let rank = u8::try_from(rank).unwrap_or(u8::MAX);
    let (root, below) = match below {
        [] => return Placed::Hidden,
        [volume, below @ ..] if windows => match root(volume) {
            Some(root) => (root, below),
            None => return Placed::Rest,
        },
        _ => ("/".to_owned(), below),
    };
    let parts: Vec<String> = below.iter().map(|part| decoded(part)).collect();
    match parts.iter().all(|part| is_plain(part)) {
        true if parts.is_empty() => Placed::Hidden,
        true => Placed::At { root, parts, rank },
        false => Placed::Rest,
    }
}

/// What paths of a volume begin with: `C:\`, `vss2:C:\` for a snapshot.
fn root(volume: &str) -> Option<String> {
    let device = percent_decoded(volume);
    if let Some((_, number)) = device.split_once("HarddiskVolumeShadowCopy") {
        let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
        // Which volume it is of is not said; the system's is by far the most likely.
        return Some(format!("vss{digits}:C:\\"));
    }
    let device = device.strip_prefix("\\\\.\\").unwrap_or(&device);
    let letter = device.strip_suffix(':').and_then(drive_letter)?;
    Some(format!("{letter}:\\"))
}

/// The text with every `%XX` replaced by its byte.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The stretches of a file with holes and its size, from its index.
pub(super) fn stretches(index: &[u8]) -> Option<(Vec<Stretch>, u64)> {
    let json: Value = serde_json::from_slice(index).ok()?;
    let ranges = json.get("ranges").or_else(|| json.get("Ranges"))?.as_array()?;
    if ranges.is_empty() || ranges.len() > MAX_RANGES {
        return None;
    }
    let mut out = Vec::new();
    let mut size = 0_u64;
    for range in ranges {
        let number = |names: [&str; 2]| {
            let value = names.iter().find_map(|name| range.get(name));
            value.map_or(Some(0), |v| v.as_u64().or_else(|| v.as_str()?.parse().ok()))
        };
        let at = number(["original_offset", "originalOffset"])?;
        let length = number(["length", "Length"])?;
        let stored = number(["file_offset", "fileOffset"])?;
        size = size.max(at.checked_add(length)?);
        if number(["file_length", "fileLength"])? > 0 {
            out.push(Stretch { at, stored, length });
        }
    }
    Some((out, size))
}

/// The machine's name in a collection's JSON, if it tells.
pub(super) fn host_name(json: &[u8]) -> Option<String> {
    const KEYS: [&str; 4] = ["hostname", "Hostname", "fqdn", "Fqdn"];
    fn find(value: &Value, depth: usize) -> Option<&str> {
        let object = value.as_object().filter(|_| depth < 4)?;
        let named = KEYS.iter().filter_map(|key| object.get(*key)?.as_str());
        let mut named = named.filter(|name| !name.is_empty());
        named.next().or_else(|| object.values().find_map(|value| find(value, depth + 1)))
    }
    // A file of many rows: the first speaks for the machine.
    let mut rows = serde_json::Deserializer::from_slice(json).into_iter::<Value>();
    let value = rows.next()?.ok()?;
    let value = value.as_array().and_then(|rows| rows.first()).unwrap_or(&value);
    find(value, 0).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, windows: bool, expected: &str) {
        let parts: Vec<&str> = path.split('/').collect();
        let shown = match place(&parts, windows) {
            Placed::At { root, parts, .. } => format!("{root}{}", parts.join("|")),
            Placed::Rest => "rest".to_owned(),
            Placed::Hidden => "hidden".to_owned(),
        };
        assert_eq!(shown, expected, "{path}");
    }

    #[test]
    fn uploads_get_their_paths_back() {
        check("uploads/ntfs/%5C%5C.%5CC%3A/Windows/a%25b.evtx", true, "C:\\Windows|a%b.evtx");
        check("uploads/auto/d%3A/x", true, "D:\\x");
        check("uploads/ntfs/%5C%5C.%5CC%3A/$Extend/$UsnJrnl%3A$J", true, "C:\\$Extend|$UsnJrnl:$J");
        let shadow = "%5C%5C%3F%5CGLOBALROOT%5CDevice%5CHarddiskVolumeShadowCopy12";
        check(&format!("uploads/ntfs/{shadow}/a"), true, "vss12:C:\\a");
        check("uploads/auto/etc/passwd", false, "/etc|passwd");
        check("uploads/file/root/%2Ebash_history", false, "/root|.bash_history");
    }

    #[test]
    fn other_files_stay_where_they_are() {
        check("results/a.json", true, "rest");
        check("uploads/registry/HKLM/a", true, "rest");
        check("uploads/ntfs", true, "hidden");
        check("uploads/ntfs/%5C%5C.%5CC%3A", true, "hidden");
        check("uploads/ntfs/%5C%5C.%5CC%3A/%2E%2E/x", true, "rest");
        check("uploads/ntfs/%5C%5C.%5CPhysicalDrive0/x", true, "rest");
    }

    #[test]
    fn a_decoded_separator_stays_part_of_the_name() {
        check("uploads/auto/C%3A/a%5Cb%2Fc", true, "C:\\a\u{fffd}b\u{fffd}c");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%zz%C3%BC"), "%zzü");
    }

    #[test]
    fn an_index_tells_of_holes() {
        let json = br#"{"ranges":[{"original_offset":0,"length":100,"file_length":0},
            {"file_offset":0,"original_offset":100,"file_length":10,"length":10}]}"#;
        let stretch = Stretch { at: 100, stored: 0, length: 10 };
        assert_eq!(stretches(json), Some((vec![stretch], 110)));
        assert_eq!(stretches(b"{}"), None);
        assert_eq!(stretches(b"not json"), None);
    }

    #[test]
    fn the_host_is_named_somewhere() {
        let json = br#"{"client_id":"C.1","os_info":{"system":"windows","hostname":"WS01"}}"#;
        assert_eq!(host_name(json).as_deref(), Some("WS01"));
        assert_eq!(host_name(br#"[{"Hostname":"A"}]"#).as_deref(), Some("A"));
        assert_eq!(host_name(b"["), None);
    }
}
