//! `adit check`: validates a definition of one's own.

use std::path::Path;

use super::Exit;
use crate::artifact::Artifacts;
use crate::detect::Detector;

/// Says what the file is and whether it is right.
pub fn run(file: &Path) -> Exit {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("adit: {}: cannot be read: {error}", file.display());
            return Exit::NoSource;
        }
    };
    let is_rule =
        text.lines().any(|line| line.starts_with("detection:") || line.starts_with("logsource:"));
    let checked = if is_rule {
        Detector::load(&[file.display().to_string()])
            .map(|_| match text.contains("%tool%") {
                true => "a template of rules that every profile can use".to_owned(),
                false => "a rule that can be used".to_owned(),
            })
            .map_err(|e| e.to_string())
    } else {
        Artifacts::check(file)
            .map(|a| format!("artifact {}, read by {}", a.id, a.parser))
            .map_err(|e| e.to_string())
    };
    match checked {
        Ok(what) => {
            println!("{}: {what}", file.display());
            Exit::Complete
        }
        Err(error) => {
            eprintln!("adit: {error}");
            Exit::Usage
        }
    }
}
