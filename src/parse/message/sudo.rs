//! What sudo says of the commands that it ran or refused.
//!
//! ```text
//!     jane : TTY=pts/0 ; PWD=/home/jane ; USER=root ; COMMAND=/usr/bin/id
//!     jane : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=…
//!     jane : (command continued) …
//! ```
//!
//! Control characters of a command stand as `#012`, three octal digits.

use super::Said;
use crate::model::{Locator, Record};

/// Category and fields of a message, if a command is told in it.
pub(super) fn said(text: &str) -> Option<Said> {
    let (user, rest) = text.trim_start().split_once(" : ")?;
    let mut record = Record::new("sudo", Locator::Line(0));
    record.push("User", user);
    if let Some(more) = rest.strip_prefix("(command continued) ") {
        record.push("CommandLine", unescaped(more));
        return Some((record.category, record.fields));
    }
    // The command is last and may hold anything.
    let (head, command) = match rest.split_once("COMMAND=") {
        Some((head, command)) => (head, unescaped(command)),
        None => return None,
    };
    record.push("CommandLine", command);
    let mut outcome = String::from("accepted");
    for part in head.split(" ; ").map(|part| part.trim_end_matches([' ', ';'])) {
        match part.split_once('=') {
            Some(("TTY", value)) => record.push("Tty", value),
            Some(("PWD", value)) => record.push("CurrentDirectory", value),
            Some(("USER", value)) => record.push("TargetUser", value),
            Some(("GROUP", value)) => record.push("TargetGroup", value),
            Some(("ENV", value)) => record.push("Environment", value),
            Some(_) => {}
            None if part.is_empty() => {}
            None => outcome = format!("refused: {part}"),
        }
    }
    record.push("Outcome", outcome);
    Some((record.category, record.fields))
}

/// The text with `#012` and the like as the characters they stand for.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('#') {
        out.push_str(before);
        let digits = after.get(..3).filter(|d| d.bytes().all(|b| matches!(b, b'0'..=b'7')));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 8).ok());
        // Only what cannot be printed is written so.
        match code.filter(|code| *code < 32 || *code == 127).and_then(char::from_u32) {
            Some(c) => {
                out.push(c);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push('#');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out.trim_end().to_owned()
}
