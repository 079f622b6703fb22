//! What a script is written in: how it comments, goes on in the next line, and prints.

/// The language of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Batch,
    PowerShell,
    Basic,
    JScript,
    Shell,
}

impl Dialect {
    /// The language of a file of that name.
    pub(super) fn of(name: &str) -> Self {
        let end = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        match end.as_str() {
            "bat" | "cmd" => Self::Batch,
            "ps1" | "psm1" => Self::PowerShell,
            "vbs" | "vbe" | "hta" | "wsf" => Self::Basic,
            "js" | "jse" => Self::JScript,
            _ => Self::Shell,
        }
    }

    /// Whether the line begins, is within or ends a comment of several lines. What stands
    /// behind its end in the same line is left out with it.
    pub(super) fn is_commented_out(self, line: &str, inside: &mut bool) -> bool {
        let (opens, closes) = match self {
            Self::PowerShell => ("<#", "#>"),
            Self::JScript => ("/*", "*/"),
            Self::Basic => ("<!--", "-->"),
            Self::Batch | Self::Shell => return false,
        };
        let begins = !*inside && line.starts_with(opens);
        if !*inside && !begins {
            return false;
        }
        *inside = !line.contains(closes);
        true
    }

    /// Whether the line says nothing to the machine.
    pub(super) fn is_comment(self, line: &str) -> bool {
        let is_remark = || {
            let line = line.trim_start_matches('@').trim_start();
            let word = line.split_whitespace().next().unwrap_or_default();
            word.eq_ignore_ascii_case("rem")
        };
        match self {
            // A label is no command either, and `::` is one that nothing can go to.
            Self::Batch => line.starts_with(':') || is_remark(),
            Self::PowerShell | Self::Shell => line.starts_with('#'),
            Self::Basic => line.starts_with('\'') || line.starts_with("//") || is_remark(),
            Self::JScript => line.starts_with("//"),
        }
    }

    /// The part of a line that is the command's, and whether the next line belongs to it.
    pub(super) fn continued(self, line: &str) -> (&str, bool) {
        let body = match self {
            Self::Batch => line.strip_suffix('^'),
            Self::PowerShell => line.strip_suffix('`'),
            Self::Basic => line.strip_suffix(" _"),
            Self::JScript => None,
            Self::Shell => line.strip_suffix('\\'),
        };
        body.map_or((line, false), |body| (body.trim_end(), true))
    }

    /// The command as its language hands it on.
    pub(super) fn unescaped(self, command: &str) -> String {
        match self {
            // A quotation mark is handed to a program behind a backslash.
            Self::Batch if command.matches("\\\"").count() > 1 => {
                bare(command).replace("\\\"", "\"")
            }
            Self::Batch => bare(command),
            // A quotation mark within a text is written twice.
            Self::Basic => command.replace("\"\"", "\""),
            Self::PowerShell | Self::JScript | Self::Shell => command.to_owned(),
        }
    }

    /// Whether a command only prints a text, into no file and no other program.
    pub(super) fn only_says(self, command: &str) -> bool {
        const SAYERS: [&str; 8] = [
            "echo",
            "echo.",
            "printf",
            "title",
            "write-host",
            "write-output",
            "write-verbose",
            "wscript.echo",
        ];
        let mut words = command.split_whitespace();
        let first = words.next().unwrap_or_default().to_ascii_lowercase();
        SAYERS.contains(&first.as_str()) && !command.contains(['|', '>', '&', ';', '`'])
    }
}

/// A command of a batch file without what only hides or escapes.
fn bare(command: &str) -> String {
    command.trim_start_matches('@').trim_start().replace('^', "")
}
