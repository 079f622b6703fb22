//! Who logged in to SQL Server, as its error log tells: `ERRORLOG`, turned over at each
//! start (`ERRORLOG.1`, …), in UTF-16 on every system.
//!
//! ```text
//! 2024-09-02 21:17:36.12 Logon       Login succeeded for user 'sa'. … [CLIENT: 127.0.0.1]
//! 2024-09-02 21:17:30.40 Logon       Error: 18456, Severity: 14, State: 8.
//! 2024-09-02 21:17:30.40 Logon       Login failed for user 'sa'. Reason: … [CLIENT: 127.0.0.1]
//! ```
//!
//! Local time (`UTC adjustment: 2:00` near its start says which, since 2017), source, text
//! in the server's language; failed logins are told by default, others where it is set so. Only its end, `[CLIENT: …]`, and the number of the
//! error above it are the same in every language. Source: Microsoft's "View the SQL Server
//! error log" and "MSSQLSERVER_18456".

use std::net::IpAddr;

use super::lines::{Encoding, Lines};
use super::{ParseError, Parser, local_time};
use crate::model::{Damage, Extent, Input, Locator, Record, Sink};

const FORMAT: &str = "error log of SQL Server";
const MEANING: &str = "Log Line";
/// Characters of the time at a line's start: `2024-09-02 21:17:36.12`.
const TIME_CHARS: usize = 22;
/// Stands in every record of a login: the provider's name in the event log.
const SERVER: &str = "MSSQL";
/// Records told of one file.
const MAX_RECORDS: u64 = 200_000;

/// Reads SQL Server's error logs; a `sql_login` record for each login that matters.
pub struct SqlErrorLog;

/// The address of `… [CLIENT: 127.0.0.1]`; what comes by memory or a pipe has none.
pub(super) fn client(text: &str) -> Option<IpAddr> {
    let (_, rest) = text.rsplit_once("[CLIENT:")?;
    let (client, _) = rest.split_once(']')?;
    client.trim().parse().ok()
}

/// The first name in quotation marks, of any language.
fn user(text: &str) -> Option<&str> {
    const PAIRS: [(char, char); 4] = [('\'', '\''), ('"', '"'), ('«', '»'), ('„', '“')];
    let of = |(open, close): (char, char)| {
        let at = text.find(open)?;
        let rest = text.get(at.checked_add(open.len_utf8())?..)?;
        Some((at, rest.split_once(close)?.0))
    };
    PAIRS.into_iter().filter_map(of).min_by_key(|(at, _)| *at).map(|(_, name)| name)
}

/// Whether it is `Error: 18456, Severity: 14, State: 8.`, which tells of the next line.
fn is_error(text: &str) -> bool {
    let number = text.split_once(": ").and_then(|(_, rest)| rest.split_once(", "));
    number.is_some_and(|(number, rest)| number.parse::<u32>().is_ok() && rest.contains(": "))
}

/// The offset of `UTC adjustment: -5:30` as times bear it: `-05:30`.
fn adjustment(text: &str) -> Option<String> {
    let (hours, minutes) = text.strip_prefix("UTC adjustment:")?.trim().split_once(':')?;
    let sign = if hours.starts_with('-') { '-' } else { '+' };
    let hours: u8 = hours.trim_start_matches(['-', '+']).parse().ok()?;
    let minutes: u8 = minutes.parse().ok()?;
    Some(format!("{sign}{hours:02}:{minutes:02}"))
}

/// A line with a time in its parts: time, text behind the source.
fn parts(line: &str) -> Option<(&str, &str)> {
    let (time, rest) = line.split_at_checked(TIME_CHARS)?;
    let is_time = |(at, byte): (usize, u8)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b' ',
        13 | 16 => byte == b':',
        19 => byte == b'.' || byte == b',',
        _ => byte.is_ascii_digit(),
    };
    let rest = rest.strip_prefix(' ').filter(|_| time.bytes().enumerate().all(is_time))?;
    // The source is one word, filled up with blanks.
    let (_, text) = rest.split_once(' ')?;
    Some((time, text.trim()))
}

impl Parser for SqlErrorLog {
    fn name(&self) -> &'static str {
        "sql_error_log"
    }

    fn is_text(&self) -> bool {
        true
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let foreign = |found: &str| ParseError::Foreign { format: FORMAT, found: found.to_owned() };
        let mut lines = Lines::new(input.bytes)?;
        if lines.encoding() == Encoding::Binary {
            return Err(foreign("binary"));
        }
        let mut extent = Extent::default();
        let (mut told, mut is_any, mut failure) = (0_u64, false, None);
        let mut offset = String::new();
        while let Some(line) = lines.next()? {
            is_any |= !line.text.trim().is_empty();
            // Long messages go on in lines without a time.
            let Some((time, text)) = parts(&line.text) else { continue };
            if let Some(own) = adjustment(text).filter(|_| input.zone.is_none()) {
                // The lines before it were written at the same moment.
                (extent.first, extent.last, offset) = (None, None, own);
            }
            let written = format!("{}{offset}", time.replace(',', "."));
            let mut moment = local_time::moment(&written, input.zone, MEANING);
            time.clone_into(&mut moment.raw);
            extent.count_at(moment.at);
            let failed = failure.take().is_some_and(|before: String| before == time);
            let Some(client) = client(text) else {
                failure = is_error(text).then(|| time.to_owned());
                continue;
            };
            let mut record = Record::new("sql_login", Locator::Line(line.number));
            record.push("Server", SERVER);
            record.push("User", user(text).unwrap_or_default());
            record.push("IpAddress", client.to_string());
            let failed = failed || text.starts_with("Login failed");
            record.push("Outcome", if failed { "failed" } else { "accepted" });
            record.push("Message", text);
            record.times.push(moment);
            let shown = format!("{SERVER} {}", line.text);
            if !input.filter.admits_text(shown.as_bytes()) {
                continue;
            }
            told = told.saturating_add(1);
            if told > MAX_RECORDS {
                let locator = Some(Locator::Line(line.number));
                let message = format!("{FORMAT}: more than {MAX_RECORDS} logins matter");
                sink.damaged(Damage { locator, message, lost: true });
                break;
            }
            if sink.record(record).is_break() {
                return Ok(());
            }
        }
        if extent.records == 0 && is_any {
            return Err(foreign("no line with a time"));
        }
        sink.extent(extent);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{parse, torment};

    const LOG: &str = "2024-09-02 21:00:00.01 Server      Microsoft SQL Server 2019 (RTM) - 15.0.2000.5 (X64) \r\n\
        \tSep 24 2019 13:48:23 \r\n\
        2024-09-02 21:17:30.40 Logon       Error: 18456, Severity: 14, State: 8.\r\n\
        2024-09-02 21:17:30.40 Logon       Login failed for user 'sa'. Reason: Password did not match that for the login provided. [CLIENT: 127.0.0.1]\r\n\
        2024-09-02 21:17:36.12 Logon       Login succeeded for user 'sa'. Connection made using SQL Server authentication. [CLIENT: ::1]\r\n\
        2024-09-02 21:18:00.00 Logon       Login succeeded for user 'CORP\\jane'. Connection made using Windows authentication. [CLIENT: <local machine>]\r\n\
        2024-09-02 21:18:01,00 Anmeldung   Fehler: 18456, Schweregrad: 14, Status: 5.\r\n\
        2024-09-02 21:18:01,00 Anmeldung   Fehler bei der Anmeldung f\u{fc}r den Benutzer \"x\". [CLIENT: 10.0.0.7]\r\n";

    fn wide(text: &str) -> Vec<u8> {
        [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
    }

    fn extent(bytes: &[u8]) -> String {
        let extents = parse(&SqlErrorLog, bytes).unwrap().extents;
        let shown = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        format!("{} {}", shown(extents[0].first), shown(extents[0].last))
    }

    fn logins(bytes: &[u8]) -> Vec<String> {
        let of = |record: &Record| {
            let at = record.first_time().map(|at| at.to_string()).unwrap_or_default();
            let text = |name| record.text(name).unwrap_or("-");
            format!("{at} {} {} {}", text("User"), text("IpAddress"), text("Outcome"))
        };
        parse(&SqlErrorLog, bytes).unwrap().records.iter().map(of).collect()
    }

    #[test]
    fn logins_have_user_address_and_outcome_in_any_language() {
        let expected = [
            "2024-09-02T21:17:30.4Z sa 127.0.0.1 failed",
            "2024-09-02T21:17:36.12Z sa ::1 accepted",
            "2024-09-02T21:18:01Z x 10.0.0.7 failed",
        ];
        assert_eq!(logins(LOG.as_bytes()), expected);
        assert_eq!(logins(&wide(LOG)), expected);
    }

    #[test]
    fn the_servers_own_offset_counts_where_no_other_is_known() {
        let log = "2024-09-02 20:00:00.00 Server      Microsoft SQL Server 2019\r\n\
            2024-09-02 20:00:00.01 Server      UTC adjustment: -5:30\r\n\
            2024-09-02 21:17:36.12 Logon       Login succeeded for user 'sa'. [CLIENT: ::1]\r\n";
        assert_eq!(logins(log.as_bytes()), ["2024-09-03T02:47:36.12Z sa ::1 accepted"]);
        assert_eq!(extent(log.as_bytes()), "2024-09-03T01:30:00.01Z 2024-09-03T02:47:36.12Z");
        assert_eq!(adjustment("UTC adjustment: 0:00").as_deref(), Some("+00:00"));
        assert_eq!(adjustment("UTC adjustment: none"), None);
    }

    #[test]
    fn foreign_files_are_refused_and_empty_ones_are_not() {
        assert!(parse(&SqlErrorLog, b"ERROR 12: no log\n").is_err());
        assert!(parse(&SqlErrorLog, &[0, 1, 2, 0xff, 0, 3]).is_err());
        assert!(logins(b"").is_empty());
    }

    #[test]
    fn damaged_logs_are_read_or_refused() {
        torment(&SqlErrorLog, LOG.as_bytes(), 500);
        torment(&SqlErrorLog, &wide(LOG), 500);
    }
}
