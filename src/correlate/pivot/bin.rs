//! What the Recycle Bin notes of a file that was found in it under another name.

use super::Weight;
use crate::correlate::path;
use crate::model::{Record, RowStage};

/// What lies in the bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    Program,
    Config,
    /// A folder with the agent or its configuration in it.
    Folder,
}

/// The name under which a file, or a folder above it, lies in the bin: `$rab12cd.exe`,
/// lower case; and whether it is the file itself.
///
/// `\$recycle.bin\<user's identifier>\$r…`, as the shell has it since Vista.
pub fn name_of(file: &str) -> Option<(String, bool)> {
    let tail = path::tail(file);
    let (_, below) = tail.rsplit_once("\\$recycle.bin\\")?;
    let mut parts = below.split('\\').skip(1);
    let name = parts.next().filter(|name| name.starts_with("$r"))?;
    Some((name.to_owned(), parts.next().is_none()))
}

/// Stage, score and words for the bin's record of that content.
pub(super) fn weight(record: &Record, name: &str, content: Content) -> Option<Weight> {
    let own = record.text("ContentName").is_some_and(|own| own.to_lowercase() == name);
    let what = match content {
        Content::Program => "the agent's file was thrown away",
        Content::Config => "the agent's configuration was thrown away",
        Content::Folder => "a folder with the agent's file in it was thrown away",
    };
    own.then_some((RowStage::CleanedUp, 45, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_bin() {
        for (file, expected) in [
            (r"C:\$Recycle.Bin\S-1-5-21-7\$RAB12CD.exe", Some(("$rab12cd.exe", true))),
            (r"D:\$RECYCLE.BIN\S-1-5-21-7\$RAB12CD\bin\ngrok.exe", Some(("$rab12cd", false))),
            (r"C:\$Recycle.Bin\S-1-5-21-7\$IAB12CD.exe", None),
            (r"C:\$Recycle.Bin\S-1-5-21-7", None),
            (r"C:\Users\jane\$RAB12CD.exe", None),
        ] {
            let expected = expected.map(|(name, own)| (name.to_owned(), own));
            assert_eq!(name_of(file), expected, "{file}");
        }
    }
}
