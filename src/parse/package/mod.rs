//! Package managers: what they installed, where from, and what they wrote about it.
//!
//! Logs of Chocolatey and winget (local time of the host) and the descriptions that
//! packages leave in place: `*.nuspec` (Chocolatey), `manifest.json` and `install.json`
//! (Scoop), `package.json` (npm), `METADATA` (pip). They prove that a package was there
//! or asked for. A package that a developer installs is no attack; a library is no agent.

mod log;
mod manifest;

pub use log::PackageLog;
pub use manifest::PackageManifest;

#[cfg(test)]
mod tests;
