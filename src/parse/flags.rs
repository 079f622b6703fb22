//! Sets of flags as text, with the names that Windows gives them.

/// File attributes, without `FILE_ATTRIBUTE_`.
pub(crate) const FILE_ATTRIBUTES: &[(u32, &str)] = &[
    (0x0000_0001, "READONLY"),
    (0x0000_0002, "HIDDEN"),
    (0x0000_0004, "SYSTEM"),
    (0x0000_0010, "DIRECTORY"),
    (0x0000_0020, "ARCHIVE"),
    (0x0000_0040, "DEVICE"),
    (0x0000_0080, "NORMAL"),
    (0x0000_0100, "TEMPORARY"),
    (0x0000_0200, "SPARSE_FILE"),
    (0x0000_0400, "REPARSE_POINT"),
    (0x0000_0800, "COMPRESSED"),
    (0x0000_1000, "OFFLINE"),
    (0x0000_2000, "NOT_CONTENT_INDEXED"),
    (0x0000_4000, "ENCRYPTED"),
    (0x0000_8000, "INTEGRITY_STREAM"),
    (0x0001_0000, "VIRTUAL"),
    (0x0002_0000, "NO_SCRUB_DATA"),
    (0x0004_0000, "EA"),
    (0x0008_0000, "PINNED"),
    (0x0010_0000, "UNPINNED"),
    (0x0040_0000, "RECALL_ON_DATA_ACCESS"),
];

/// The names of the bits that are set, lowest first, joined by `|`; bits without
/// a name as one number at the end.
pub(crate) fn joined(bits: u32, names: &[(u32, &str)]) -> String {
    let mut text = String::new();
    let mut rest = bits;
    for (bit, name) in names.iter().filter(|(bit, _)| bits & bit != 0) {
        if !text.is_empty() {
            text.push('|');
        }
        text.push_str(name);
        rest &= !bit;
    }
    if rest != 0 {
        let bar = if text.is_empty() { "" } else { "|" };
        text.push_str(&format!("{bar}{rest:#x}"));
    }
    text
}
