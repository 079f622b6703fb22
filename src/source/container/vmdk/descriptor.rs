//! The descriptor of a VMDK: `key=value` lines, and a line for each extent.

/// Extents of one disk; twoGb disks have one for every two GiB.
const MAX_EXTENTS: usize = 65_536;
/// The CID that says there is no parent.
const NO_PARENT: u32 = u32::MAX;

/// What a descriptor says.
#[derive(Debug)]
pub(super) struct Descriptor {
    pub(super) cid: u32,
    pub(super) parent: Option<u32>,
    pub(super) parent_name: Option<String>,
    pub(super) extents: Vec<Extent>,
}

/// One line of the extents.
#[derive(Debug)]
pub(super) struct Extent {
    pub(super) sectors: u64,
    pub(super) kind: Kind,
    pub(super) type_name: String,
    pub(super) name: String,
    /// Of a flat extent in its file, in sectors.
    pub(super) offset: u64,
}

/// How an extent is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Flat,
    Sparse,
    Zero,
    /// A device, or a kind that is not read.
    Other,
}

impl Descriptor {
    /// Reads a descriptor up to its first zero byte.
    ///
    /// # Errors
    ///
    /// When it names no extent or too many, or a CID is none.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        let value = |key: &str| {
            text.lines().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                name.trim()
                    .eq_ignore_ascii_case(key)
                    .then(|| value.trim().trim_matches('"').to_owned())
            })
        };
        let cid = |key: &str| match value(key) {
            Some(text) => u32::from_str_radix(&text, 16)
                .map(Some)
                .map_err(|_| format!("{key} of the descriptor is {text:?}")),
            None => Ok(None),
        };
        let extents: Vec<Extent> =
            text.lines().filter_map(extent).take(MAX_EXTENTS.saturating_add(1)).collect();
        if extents.is_empty() || extents.len() > MAX_EXTENTS {
            return Err(format!("the descriptor names {} extents", extents.len()));
        }
        Ok(Self {
            cid: cid("CID")?.unwrap_or(NO_PARENT),
            parent: cid("parentCID")?.filter(|cid| *cid != NO_PARENT),
            parent_name: value("parentFileNameHint"),
            extents,
        })
    }
}

/// `RW 4192256 SPARSE "disk-s001.vmdk"`, `RW 1048576 FLAT "disk-f001.vmdk" 0`.
fn extent(line: &str) -> Option<Extent> {
    let mut words = line.split_whitespace();
    let access = words.next()?;
    if !["RW", "RDONLY", "NOACCESS"].contains(&access) {
        return None;
    }
    let sectors = words.next()?.parse().ok()?;
    let type_name = words.next()?.to_owned();
    let (name, offset) = match line.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')) {
        Some((name, rest)) => (name.to_owned(), rest.trim().parse().unwrap_or(0)),
        None => (String::new(), 0),
    };
    let kind = match &*type_name {
        _ if access == "NOACCESS" => Kind::Other,
        "FLAT" | "VMFS" => Kind::Flat,
        "SPARSE" | "VMFSSPARSE" => Kind::Sparse,
        "ZERO" => Kind::Zero,
        _ => Kind::Other,
    };
    Some(Extent { sectors, kind, type_name, name, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_and_parent_are_read() {
        let text = b"# Disk DescriptorFile\r\nversion=1\r\nCID=00c0ffee\r\nparentCID=12345678\r\n\
            parentFileNameHint=\"..\\base disk.vmdk\"\r\nRW 100 FLAT \"a b.vmdk\" 7\r\n\
            RW 5 ZERO\r\nRW 9 SESPARSE \"x\"\r\n\0RW 1 ZERO";
        let found = Descriptor::parse(text).unwrap();
        assert_eq!((found.cid, found.parent), (0xc0_ffee, Some(0x1234_5678)));
        assert_eq!(found.parent_name.as_deref(), Some("..\\base disk.vmdk"));
        let kinds: Vec<Kind> = found.extents.iter().map(|extent| extent.kind).collect();
        assert_eq!(kinds, [Kind::Flat, Kind::Zero, Kind::Other]);
        assert_eq!((found.extents[0].name.as_str(), found.extents[0].offset), ("a b.vmdk", 7));
        assert!(Descriptor::parse(b"# Disk DescriptorFile\nCID=1\n").is_err());
        assert!(Descriptor::parse(b"CID=xyz\nRW 1 ZERO\n").is_err());
    }
}
