//! The hosts that wget knows to want encryption: `.wget-hsts`.
//!
//! ```text
//! # <hostname> <port> <incl. subdomains> <created> <max-age>
//! bin.example 0 1 1709781165 31536000
//! ```
//!
//! Proves that wget spoke with the host; `created` is when it did so last over HTTPS and the
//! host asked for it. What was fetched is not told. Source: GNU Wget's manual, `--hsts-file`.

use std::ops::ControlFlow;

use super::{Teller, number, text_of};
use crate::model::{Input, Locator, Moment, Precision, Record, Sink, from_unix};
use crate::parse::{ParseError, Parser};

const FORMAT: &str = "wget HSTS database";

/// Reads wget's HSTS databases; a `wget_hsts` record for each host.
pub struct WgetHsts;

impl Parser for WgetHsts {
    fn name(&self) -> &'static str {
        "wget_hsts"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let text = text_of(input, FORMAT)?;
        let mut teller = Teller::new(input, sink, FORMAT);
        let mut other = None;
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = number(n).saturating_add(1);
            let Some(record) = host(line, at) else {
                other = other.or(Some(at));
                continue;
            };
            if teller.tell(record) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
        match other {
            Some(line) if teller.told == 0 => {
                let found = format!("line {line} is no host with a time");
                Err(ParseError::Foreign { format: FORMAT, found })
            }
            _ => Ok(()),
        }
    }
}

fn host(line: &str, at: u64) -> Option<Record> {
    let mut columns = line.split_whitespace();
    let (host, port) = (columns.next()?, columns.next()?.parse::<u16>().ok()?);
    let created = columns.nth(1)?;
    let seconds: i64 = created.parse().ok()?;
    let mut record = Record::new("wget_hsts", Locator::Line(at));
    record.push("HostName", host);
    let port = if port == 0 { String::new() } else { format!(":{port}") };
    record.push("Url", format!("https://{host}{port}/"));
    record.times.push(Moment {
        at: from_unix(seconds, 0),
        meaning: "Host Met By wget",
        precision: Precision::Second,
        raw: created.to_owned(),
    });
    Some(record)
}
