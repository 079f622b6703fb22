//! A shadow copy made on demand, so that a volume's state of this moment stays: all that a
//! run writes to the suspect's disks, and only when it is told to.
//!
//! It is asked of WMI through Windows PowerShell, which every Windows since 7 has. WMI's
//! `Win32_ShadowCopy.Create(Volume, Context)` gives a number, 0 when it is done, and the
//! copy's id. The copy stays: `vssadmin delete shadows /shadow={id}` removes it.

use std::os::windows::process::CommandExt;
use std::process::{Command, Stdio};

/// No window is opened for the program (`CREATE_NO_WINDOW`).
const NO_WINDOW: u32 = 0x0800_0000;
/// What WMI calls an ordinary copy, which stays.
const CONTEXT: &str = "ClientAccessible";
/// What its numbers mean, from 1.
const REASONS: [&str; 13] = [
    "access denied",
    "invalid argument",
    "volume not found",
    "volume not supported",
    "context not supported",
    "no room for it",
    "the volume is in use",
    "as many as there may be exist",
    "another one is being made",
    "a provider vetoed it",
    "no provider is registered",
    "a provider failed",
    "unknown error",
];

/// Makes a shadow copy of the volume with that root (`C:\`); its id, in braces.
///
/// # Errors
///
/// Why there is none, in a few words.
pub(super) fn create(root: &str) -> Result<String, String> {
    let system = std::env::var("SystemRoot").unwrap_or_else(|_| r"C:\Windows".to_owned());
    let program = format!(r"{system}\System32\WindowsPowerShell\v1.0\powershell.exe");
    let script = format!(
        "$copy = (Get-WmiObject -List Win32_ShadowCopy).Create('{root}', '{CONTEXT}'); \
         $copy.ReturnValue; $copy.ShadowID"
    );
    let output = Command::new(program)
        .args(["-NoProfile", "-NonInteractive", "-Command", &script])
        .stdin(Stdio::null())
        .creation_flags(NO_WINDOW)
        .output()
        .map_err(|error| format!("PowerShell cannot be started: {error}"))?;
    answer(&String::from_utf8_lossy(&output.stdout))
}

/// The id in what the script prints.
fn answer(said: &str) -> Result<String, String> {
    let mut words = said.split_whitespace();
    let number = words.next().and_then(|word| word.parse::<usize>().ok());
    match (number, words.next()) {
        (Some(0), Some(id)) if id.starts_with('{') => Ok(id.to_owned()),
        (Some(number), _) => {
            let reason = number.checked_sub(1).and_then(|at| REASONS.get(at));
            let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            Err(format!("WMI answers {number}{reason}"))
        }
        (None, _) => Err("PowerShell tells nothing of it".to_owned()),
    }
}
