//! Where a stored file lay on its host, by collector.

use super::super::layout::drive_letter;
use super::bundle::Bundle;
use super::outline::Collector;
use super::velociraptor;

/// Where something lay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    At {
        /// What the path begins with: `C:\`, `/` or nothing.
        root: String,
        /// The names from there on; not empty.
        parts: Vec<String>,
        /// Of two copies of one file the lower rank is read.
        rank: u8,
    },
    /// Not a file of the host at a known place: shown by its name in the collection.
    Rest,
    /// The collection's own folders and results: not shown.
    Hidden,
}

impl Placed {
    fn at(root: impl Into<String>, parts: &[&str]) -> Self {
        if parts.is_empty() {
            return Self::Hidden;
        }
        let parts = parts.iter().map(|part| (*part).to_owned()).collect();
        Self::At { root: root.into(), parts, rank: 0 }
    }
}

/// What is needed to place the files of one collection.
pub(super) struct Placer {
    pub(super) collector: Collector,
    /// Of a Windows machine.
    pub(super) windows: bool,
    pub(super) bundle: Option<Bundle>,
}

impl Placer {
    /// Where a file lay, by the parts of its name below the collection's folder.
    pub(super) fn place(&self, parts: &[&str]) -> Placed {
        let placed = match self.collector {
            Collector::Bundle => match &self.bundle {
                Some(bundle) => bundle.place(parts),
                None => Placed::Rest,
            },
            Collector::Velociraptor => velociraptor::place(parts, self.windows),
            Collector::Acquire => acquire(parts, self.windows),
            Collector::Uac => match parts {
                ["[root]", below @ ..] => Placed::at("/", below),
                _ => Placed::Rest,
            },
            Collector::Drives => match parts {
                [drive, below @ ..] => match drive_letter(drive) {
                    Some(letter) => Placed::at(format!("{letter}:\\"), below),
                    None => Placed::Rest,
                },
                [] => Placed::Hidden,
            },
            Collector::Windows => Placed::at("C:\\", parts),
            Collector::Unix => Placed::at("/", parts),
            Collector::Loose => Placed::at("", parts),
        };
        match placed {
            Placed::At { root, parts, rank } if root.ends_with('\\') => {
                Placed::At { root, parts: streams(parts), rank }
            }
            placed => placed,
        }
    }
}

/// acquire: `fs/<volume>/…`, in older versions without `fs`.
fn acquire(parts: &[&str], windows: bool) -> Placed {
    let parts = match parts {
        ["fs", below @ ..] => below,
        ["sysvol", ..] => parts,
        [drive, ..] if drive.ends_with(':') => parts,
        _ => return Placed::Rest,
    };
    match parts {
        [] => Placed::Hidden,
        ["$rootfs$", below @ ..] => Placed::at("/", below),
        ["$fs$", ..] => Placed::Rest,
        // The volume that Windows runs from.
        ["sysvol", below @ ..] => Placed::at("C:\\", below),
        [drive, below @ ..] if windows => match drive.strip_suffix(':').and_then(drive_letter) {
            Some(letter) => Placed::at(format!("{letter}:\\"), below),
            None => Placed::Rest,
        },
        _ => Placed::at("/", parts),
    }
}

/// Streams of NTFS's own files get their names back, for which collectors that
/// copy to plain files have their own: `$Extend\$J`, `$Secure_$SDS`.
fn streams(mut parts: Vec<String>) -> Vec<String> {
    let in_extend = parts.len() == 2 && parts.first().is_some_and(|p| p == "$Extend");
    let in_root = parts.len() == 1;
    if let Some(last) = parts.last_mut() {
        let full = match last.as_str() {
            "$J" | "$UsnJrnl$J" | "$UsnJrnl_$J" if in_extend => "$UsnJrnl:$J",
            "$Max" | "$UsnJrnl$Max" | "$UsnJrnl_$Max" if in_extend => "$UsnJrnl:$Max",
            "$SDS" | "$Secure_$SDS" | "$Secure$SDS" if in_root => "$Secure:$SDS",
            _ => return parts,
        };
        full.clone_into(last);
    }
    parts
}

/// A part of a path with its percent codes decoded; a separator in it cannot be shown.
pub(super) fn decoded(part: &str) -> String {
    velociraptor::percent_decoded(part).replace(['/', '\\', '\0'], "\u{fffd}")
}

/// Whether the text can only be a name.
pub(super) fn is_plain(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(collector: Collector, path: &str, expected: &str) {
        let windows = !path.contains("etc");
        let placer = Placer { collector, windows, bundle: None };
        let parts: Vec<&str> = path.split('/').collect();
        let shown = match placer.place(&parts) {
            Placed::At { root, parts, .. } => format!("{root}{}", parts.join("|")),
            Placed::Rest => "rest".to_owned(),
            Placed::Hidden => "hidden".to_owned(),
        };
        assert_eq!(shown, expected, "{path}");
    }

    #[test]
    fn every_collector_has_its_places() {
        check(Collector::Acquire, "fs/C:/Windows/a", "C:\\Windows|a");
        check(Collector::Acquire, "fs/c:/Windows", "C:\\Windows");
        check(Collector::Acquire, "fs/sysvol/Windows/a", "C:\\Windows|a");
        check(Collector::Acquire, "sysvol/Windows/a", "C:\\Windows|a");
        check(Collector::Acquire, "fs/$rootfs$/etc/passwd", "/etc|passwd");
        check(Collector::Acquire, "fs/etc/passwd", "/etc|passwd");
        check(Collector::Acquire, "$metadata$/command-output/x", "rest");
        check(Collector::Acquire, "fs/C:", "hidden");
        check(Collector::Uac, "[root]/etc/passwd", "/etc|passwd");
        check(Collector::Uac, "uac.log", "rest");
        check(Collector::Drives, "C/Windows/a", "C:\\Windows|a");
        check(Collector::Drives, "d%3A/a", "D:\\a");
        check(Collector::Drives, "2024_ConsoleLog.txt", "rest");
        check(Collector::Unix, "var/log/etc", "/var|log|etc");
    }

    #[test]
    fn streams_are_called_as_ntfs_calls_them() {
        check(Collector::Drives, "C/$Extend/$J", "C:\\$Extend|$UsnJrnl:$J");
        check(Collector::Drives, "C/$Secure_$SDS", "C:\\$Secure:$SDS");
        check(Collector::Drives, "C/Users/$J", "C:\\Users|$J");
        check(Collector::Drives, "C/$MFT", "C:\\$MFT");
    }
}
