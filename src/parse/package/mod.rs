//! Package managers: what they installed, where from, and what they wrote about it.
//!
//! Logs of Chocolatey and winget (local time of the host) and the descriptions that
//! packages leave in place: `*.nuspec` (Chocolatey), `manifest.json` and `install.json`
//! (Scoop), `package.json` (npm), `METADATA` (pip), Homebrew's receipts; and what dpkg, apk,
//! pacman, snapd, yum and the like keep on Linux. They prove that a package was there
//! or asked for. A package that a developer installs is no attack; a library is no agent.

mod database;
mod log;
mod manifest;
mod receipt;
mod unix_log;

pub use database::{PackageDatabase, PackageFiles, PackageSource};
pub use log::PackageLog;
pub use manifest::PackageManifest;
pub use receipt::{HomebrewReceipt, SnapState};
pub use unix_log::UnixPackageLog;

#[cfg(test)]
mod tests;
