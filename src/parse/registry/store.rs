//! Packages of the Store: those provided for all users and those registered for one.
//!
//! ```text
//! SOFTWARE  …\Appx\AppxAllUserStore\Applications\<package>    Path: its manifest
//! SOFTWARE  …\Appx\AppxAllUserStore\<SID>\<package>
//! UsrClass  …\AppModel\Repository\Packages\<package>          PackageRootFolder, DisplayName
//! ```
//!
//! A package's full name is `Name_Version_Architecture_Resource_Publisher`. The key's time is its last
//! change: the installation, or an update. Source: the hives of testdata and a user's of Windows 10.

use std::ops::ControlFlow;

use super::place::{Extractor, Root, at};
use super::{Key, Output, record_of};

pub const EXTRACTOR: Extractor = Extractor {
    places: &[
        at(
            Root::Software,
            r"Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore\Applications\*",
        ),
        at(Root::Software, r"Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore\S-1-*\*"),
        at(
            Root::Classes,
            r"Local Settings\Software\Microsoft\Windows\CurrentVersion\AppModel\Repository\Packages\*",
        ),
    ],
    read: package,
    live: None,
};

fn package(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    let mut parts = key.name.split('_');
    let (Some(name), Some(version)) = (parts.next(), parts.next()) else {
        return ControlFlow::Continue(());
    };
    let mut record = record_of(key, "package", None);
    record.push("Name", name);
    record.push("Version", version);
    record.push("Source", "store");
    record.push("PackageFullName", key.name.as_str());
    // `@{…}` names a resource of the package, and says nothing without it.
    let title = key.text("DisplayName").filter(|title| !title.starts_with('@'));
    record.push("Title", title.unwrap_or_default());
    let place = key.text("PackageRootFolder").or_else(|| key.text("Path"));
    record.push("Image", place.unwrap_or_default());
    output.add_user(&mut record);
    output.push(record)
}
