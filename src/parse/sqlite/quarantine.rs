//! `QuarantineEventsV2` of macOS: what programs fetched from the network, from where.
//!
//! Each file that a browser or mail program saves gets a mark, and the same mark a row
//! here: the address, the page it was on, the program, the time in seconds since 2001, UTC.
//! Rows stay when the file is gone, and after a browser's history was deleted. Programs on
//! the command line (curl, brew) leave none.
//!
//! Source: public descriptions of the database by analysts.

use std::ops::ControlFlow;

use super::database::Database;
use super::web::record_of;
use super::{Kind, Output, apple_moment};

const TABLE: &str = "LSQuarantineEvent";

pub(super) const EVENTS: Kind = Kind { tables: &[TABLE], read };

fn read(database: &Database<'_>, output: &mut Output<'_>) -> ControlFlow<()> {
    const FIELDS: [(&str, &str); 7] = [
        ("Referrer", "LSQuarantineOriginURLString"),
        ("Title", "LSQuarantineOriginTitle"),
        ("Agent", "LSQuarantineAgentName"),
        ("AgentBundle", "LSQuarantineAgentBundleIdentifier"),
        ("Sender", "LSQuarantineSenderName"),
        ("SenderAddress", "LSQuarantineSenderAddress"),
        ("EventId", "LSQuarantineEventIdentifier"),
    ];
    output.push_rows(database, TABLE, &|row| {
        let url = row.text("LSQuarantineDataURLString");
        let mut record = record_of("quarantine", row.locator(), &[url]);
        for (name, column) in FIELDS {
            record.push(name, row.text(column));
        }
        let at = row.real("LSQuarantineTimeStamp");
        record.times.extend(apple_moment(at, "File Downloaded"));
        Some(record)
    })
}
