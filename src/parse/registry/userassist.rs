//! UserAssist: programs and shortcuts that a user started from Explorer.
//!
//! Values of `Explorer\UserAssist\{GUID}\Count`; names are ROT13. A program started
//! at a console leaves nothing here.
//!
//! ```text
//! XP, Vista (16 bytes)  0 session · 4 runs, counted from 5 · 8 last run
//! 7 on (72 bytes)       0 session · 4 runs · 8 times in focus · 12 ms in focus · 60 last run
//! ```
//!
//! Times are FILETIMEs. Source: libyal's winreg-kb, "User Assist".

use std::ops::ControlFlow;

use crate::model::Moment;
use crate::parse::bytes::{u32_at, u64_at};
use crate::parse::known_folder;

use super::place::{Extractor, Root, at};
use super::{Data, Key, Output, value_record};

pub const EXTRACTOR: Extractor = Extractor {
    places: &[at(Root::Software, r"Microsoft\Windows\CurrentVersion\Explorer\UserAssist\*\Count")],
    read,
    live: None,
};

/// What XP's counter begins at.
const FIRST_RUN: u32 = 5;

fn read(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    for value in &key.values {
        let Data::Binary(data) = &value.data else { continue };
        let name = rot13(&value.name);
        let Some(name) = program(&name) else { continue };
        let mut record = value_record(key, "userassist", &value.name);
        let image = known_folder::resolved(name);
        if image != name {
            record.push("EntryName", name);
        }
        record.push("Image", image);
        output.add_user(&mut record);
        let mut number = |name: &'static str, at: usize| {
            if let Some(n) = u32_at(data, at) {
                record.push(name, i64::from(n));
            }
        };
        let last_run = if data.len() < 72 {
            let runs = u32_at(data, 4)
                .map(|n| if n > FIRST_RUN { n.saturating_sub(FIRST_RUN) } else { n });
            if let Some(runs) = runs {
                record.push("RunCount", i64::from(runs));
            }
            u64_at(data, 8)
        } else {
            number("RunCount", 4);
            number("FocusCount", 8);
            number("FocusMilliseconds", 12);
            u64_at(data, 60)
        };
        let moment = last_run.and_then(|at| Moment::of_filetime(at, "Last Time Executed"));
        record.times.extend(moment);
        output.push(record)?;
    }
    ControlFlow::Continue(())
}

/// What was started; `None` for Explorer's own counters.
fn program(name: &str) -> Option<&str> {
    if name.starts_with("UEME_CTL") {
        return None;
    }
    let (kind, rest) = name.split_once(':').unwrap_or_default();
    Some(if kind.starts_with("UEME_") { rest } else { name })
}

/// Letters moved by 13 places; digits and signs stay.
fn rot13(text: &str) -> String {
    let moved = |c: char| match c {
        'a'..='m' | 'A'..='M' => shifted(c, 13),
        'n'..='z' | 'N'..='Z' => shifted(c, -13),
        _ => c,
    };
    text.chars().map(moved).collect()
}

fn shifted(c: char, by: i32) -> char {
    u32::from(c).checked_add_signed(by).and_then(char::from_u32).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_turned_back() {
        assert_eq!(rot13(r"P:\Hfref\wnar\atebx.rkr"), r"C:\Users\jane\ngrok.exe");
        assert_eq!(program("UEME_RUNPATH:C:\\x.exe"), Some("C:\\x.exe"));
        assert_eq!(program("C:\\x.exe"), Some("C:\\x.exe"));
        assert_eq!(program("UEME_CTLSESSION"), None);
    }
}
