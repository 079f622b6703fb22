//! Programs that installers registered, and what `App Paths` calls them by.
//!
//! The key's time is its last change: the installation, or an update. `InstallDate` is
//! a day of the host's local time that the installer wrote, and stays a field.
//!
//! Source: Microsoft's documentation of the Uninstall and App Paths keys.

use std::ops::ControlFlow;

use super::place::{Extractor, Root, at};
use super::{Key, Output, record_of};

pub const EXTRACTOR: Extractor = Extractor {
    places: &[at(Root::Software, r"Microsoft\Windows\CurrentVersion\Uninstall\*")],
    read: uninstall,
    live: None,
};

pub const APP_PATHS: Extractor = Extractor {
    places: &[at(Root::Software, r"Microsoft\Windows\CurrentVersion\App Paths\*")],
    read: app_path,
    live: None,
};

/// Values and the fields that they become.
const FIELDS: &[(&str, &str)] = &[
    ("DisplayName", "Product"),
    ("Publisher", "Company"),
    ("DisplayVersion", "ProductVersion"),
    ("InstallLocation", "InstallLocation"),
    ("InstallSource", "InstallSource"),
    ("InstallDate", "InstallDate"),
    ("UninstallString", "UninstallString"),
    ("URLInfoAbout", "Url"),
];

fn uninstall(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    let mut record = record_of(key, "uninstall", None);
    for (value, field) in FIELDS {
        let number = || key.number(value).map(|n| n.to_string());
        record.push(*field, key.text(value).or_else(number).unwrap_or_default());
    }
    if record.fields.is_empty() {
        return ControlFlow::Continue(());
    }
    let icon = key.text("DisplayIcon").map(|icon| program_of_icon(&icon).to_owned());
    let image = icon.filter(|icon| icon.to_ascii_lowercase().ends_with(".exe"));
    record.push("Image", image.or_else(|| key.text("InstallLocation")).unwrap_or_default());
    record.push("Name", key.name.as_str());
    output.add_user(&mut record);
    output.push(record)
}

/// `C:\x\y.exe` of `"C:\x\y.exe",-101`.
fn program_of_icon(icon: &str) -> &str {
    let (path, number) = icon.rsplit_once(',').unwrap_or((icon, "0"));
    let path = if number.trim().parse::<i32>().is_ok() { path } else { icon };
    path.trim().trim_matches('"')
}

fn app_path(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    let Some(path) = key.text("") else { return ControlFlow::Continue(()) };
    let mut record = record_of(key, "app_path", None);
    record.push("Image", path.trim_matches('"'));
    record.push("Name", key.name.as_str());
    output.add_user(&mut record);
    output.push(record)
}

#[cfg(test)]
mod tests {
    use super::program_of_icon;

    #[test]
    fn an_icon_names_its_program() {
        for icon in [r#""C:\a, b\y.exe",-101"#, r"C:\a, b\y.exe,0", r"C:\a, b\y.exe"] {
            assert_eq!(program_of_icon(icon), r"C:\a, b\y.exe");
        }
    }
}
