//! What the numbers of programs and users stand for.
//!
//! ```text
//! kind 0   \device\harddiskvolume3\users\…\x.exe [service], or
//!          !!x.exe!2022/03/18:20:18:05!2f31a![group] [service]
//! kind 1   service
//! kind 2   package!application!x.exe!2019/07/26:03:32:46!0!
//! kind 3   security identifier
//! ```

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::model::{Damage, Record};
use crate::parse::bytes::{sid, utf16_text};
use crate::parse::ese::{Cell, Database, Row};

/// Programs and users of one database.
const MAX_NAMES: usize = 1_000_000;
/// Longest name that is kept, in bytes.
const MAX_NAME_BYTES: usize = 64 << 10;
pub(super) const TABLE: &str = "SruDbIdMapTable";

/// By number.
#[derive(Default)]
pub(super) struct Names {
    all: BTreeMap<i64, Name>,
}

enum Name {
    Program(String),
    Service(String),
    Package(String),
    User(String),
}

impl Names {
    pub(super) fn read(base: &Database<'_>, faults: &mut Vec<Damage>) -> Self {
        let mut names = Self::default();
        let Some(table) = base.table(TABLE) else {
            let message = format!("SRUM: no table {TABLE}: programs and users stay numbers");
            faults.push(Damage { locator: None, message, lost: true });
            return names;
        };
        let _: ControlFlow<()> = base.rows(table, faults, &mut |row| {
            if names.all.len() >= MAX_NAMES {
                return ControlFlow::Break(());
            }
            let blob = table.column("IdBlob").and_then(|c| row.cell(c));
            if let (Some(id), Some(kind), Some(Cell::Binary(bytes))) =
                (row.number("IdIndex"), row.number("IdType"), blob)
                && let Some(name) = Name::of(kind, &bytes)
            {
                names.all.entry(id).or_insert(name);
            }
            ControlFlow::Continue(())
        });
        names
    }

    /// Adds program and user of a row.
    pub(super) fn describe(&self, row: &Row<'_>, record: &mut Record) {
        let app = row.number("AppId");
        match app.and_then(|id| self.all.get(&id)) {
            Some(Name::Program(text)) => {
                let image = image(text);
                record.push("Image", image);
                if image != text {
                    record.push("Application", text.as_str());
                }
            }
            Some(Name::Service(text)) => record.push("ServiceName", text.as_str()),
            Some(Name::Package(text)) => {
                let image = image(text);
                if image != text {
                    record.push("Image", image);
                }
                record.push("Application", text.as_str());
            }
            Some(Name::User(text)) => record.push("Application", text.as_str()),
            None => app.into_iter().for_each(|id| record.push("AppId", id)),
        }
        if let Some(id) = row.number("UserId") {
            match self.all.get(&id) {
                Some(Name::User(sid)) => record.push("UserSid", sid.as_str()),
                _ => record.push("UserId", id),
            }
        }
    }
}

impl Name {
    fn of(kind: i64, bytes: &[u8]) -> Option<Self> {
        if kind == 3 {
            return sid(bytes).map(Self::User);
        }
        let text = utf16_text(bytes.get(..MAX_NAME_BYTES).unwrap_or(bytes));
        if text.is_empty() {
            return None;
        }
        Some(match kind {
            1 => Self::Service(text),
            2 => Self::Package(text),
            _ => Self::Program(text),
        })
    }
}

/// The program in a name of several parts: what stands before the day it was linked; the
/// whole when it has no parts.
pub(super) fn image(text: &str) -> &str {
    let is_day = |part: &str| {
        let (digits, signs): (Vec<char>, Vec<char>) = part.chars().partition(char::is_ascii_digit);
        digits.len() == 14 && signs.iter().collect::<String>() == "//:::"
    };
    let parts: Vec<&str> = text.split('!').collect();
    let day = parts.iter().position(|part| is_day(part));
    let before = day.and_then(|at| parts.get(at.checked_sub(1)?)).filter(|part| !part.is_empty());
    if let Some(program) = before {
        return program;
    }
    // A path may be followed by the services that the program holds.
    match text.split_once(" [") {
        Some((path, services)) if path.contains('\\') && services.ends_with(']') => path,
        _ => text,
    }
}
