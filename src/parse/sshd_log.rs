//! What OpenSSH's server on Windows writes into a file of its own, where its settings say
//! `SyslogFacility LOCAL0`; else it speaks to the event log.
//!
//! ```text
//! 3776 2020-05-29 04:30:31.655 Accepted password for jane from 127.0.0.1 port 37896 ssh2
//! 5936 13:19:12 620 Accepted password for …           before version 7.9, without a date
//! ```
//!
//! Process, local time, message; most lines of a talkative log are about the protocol.
//! Source: logs in the issues of PowerShell/Win32-OpenSSH (1351, 1415, 1613).

use super::lines::{Encoding, Lines};
use super::message::Message;
use super::{ParseError, Parser, local_time};
use crate::model::{Damage, Extent, Input, Locator, Moment, Precision, Sink};

const FORMAT: &str = "log of sshd";
const MEANING: &str = "Log Line";
/// What signs such a line elsewhere.
const PROGRAM: &str = "sshd";

/// Reads the server's own log; an `ssh_login` or `ssh_logout` record for each line that
/// tells of one, a `syslog` record for others that matter.
pub struct SshdLog;

/// A line in its parts.
struct Line<'a> {
    pid: i64,
    /// Date and time, or the time alone.
    time: &'a str,
    is_dated: bool,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (pid, rest) = line.split_once(' ')?;
        let pid = pid.parse().ok()?;
        let first = rest.split(' ').next()?;
        let is_dated = first.contains('-');
        // The day, or the time of an undated line.
        let (head, text) = if is_dated || first.len() == "00:00:00".len() {
            let second = rest.get(first.len()..)?.strip_prefix(' ')?;
            let len = first.len().checked_add(1)?.checked_add(second.find(' ')?)?;
            (rest.get(..len)?, rest.get(len..)?)
        } else {
            rest.split_at_checked(first.len())?
        };
        let digits = head.bytes().filter(u8::is_ascii_digit).count();
        let is_time = head.bytes().all(|b| b.is_ascii_digit() || b" -:.".contains(&b));
        let expected = if is_dated { 14.. } else { 9.. };
        (is_time && expected.contains(&digits)).then(|| Self {
            pid,
            time: head,
            is_dated,
            text: text.trim_start(),
        })
    }

    fn moment(&self, input: &Input<'_>) -> Moment {
        if self.is_dated {
            return local_time::moment(self.time, input.zone, MEANING);
        }
        let raw = self.time.to_owned();
        Moment { at: None, meaning: MEANING, precision: Precision::Exact, raw }
    }
}

impl Parser for SshdLog {
    fn name(&self) -> &'static str {
        "sshd_log"
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
        let (mut others, mut first_other) = (0_u64, None);
        while let Some(found) = lines.next()? {
            let Some(line) = Line::read(&found.text) else {
                if !found.text.trim().is_empty() {
                    others = others.saturating_add(1);
                    first_other = first_other.or(Some(Locator::Line(found.number)));
                }
                continue;
            };
            let moment = line.moment(input);
            extent.count_at(moment.at);
            let record = Message {
                program: PROGRAM,
                pid: Some(line.pid),
                text: line.text,
                moment,
                locator: Locator::Line(found.number),
                otherwise: "syslog",
            };
            let record = record.into_record();
            let matters =
                record.category != "syslog" || input.filter.admits_text(found.text.as_bytes());
            if matters && sink.record(record).is_break() {
                return Ok(());
            }
        }
        if extent.records == 0 && others > 0 {
            return Err(foreign("no line with a process and a time"));
        }
        if others > 0 {
            let message = format!("{others} lines of another form, this the first");
            sink.damaged(Damage { locator: first_other, message, lost: false });
        }
        sink.extent(extent);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{parse, torment};

    const LOG: &[u8] =
        b"3776 2020-05-29 04:30:31.655 debug3: receive packet: type 50 [preauth]\r\n\
        3776 2020-05-29 04:30:32.001 Accepted password for jane from 127.0.0.1 port 37896 ssh2\r\n\
        8 2020-05-29 04:31:00.000 Failed password for invalid user x from ::1 port 5 ssh2\r\n\
        3776 2020-05-29 05:00:00.500 Disconnected from user jane 127.0.0.1 port 37896\r\n";

    #[test]
    fn logins_with_and_without_a_day() {
        let kept = parse(&SshdLog, LOG).unwrap();
        let logins = kept.records.iter().filter(|record| record.category == "ssh_login");
        let logins: Vec<_> = logins
            .map(|login| {
                let at = login.first_time().map(|at| at.to_string()).unwrap_or_default();
                let text = |name| login.text(name).unwrap_or("-");
                format!("{at} {} {} {}", text("User"), text("IpAddress"), text("Outcome"))
            })
            .collect();
        assert_eq!(
            logins,
            [
                "2020-05-29T04:30:32.001Z jane 127.0.0.1 accepted",
                "2020-05-29T04:31:00Z x ::1 failed"
            ]
        );
        assert!(kept.records.iter().any(|record| record.category == "ssh_logout"));
        for old in ["5936 13:19:12 620 ", "5936 13:19:12:620 "] {
            let line = format!("{old}Accepted password for jane from ::1 port 5 ssh2\n");
            let kept = parse(&SshdLog, line.as_bytes()).unwrap();
            let login = &kept.records[0];
            assert_eq!((login.category, login.first_time()), ("ssh_login", None), "{old}");
            assert!(login.times[0].raw.starts_with("13:19:12"));
        }
    }

    #[test]
    fn damaged_and_foreign() {
        let cut = [LOG, b"a line that was cut\n"].concat();
        let kept = parse(&SshdLog, &cut).unwrap();
        assert_eq!(kept.damage.len(), 1);
        for foreign in [&b"a text\nof something else\n"[..], b"7 apples\n", &[0; 64]] {
            assert!(parse(&SshdLog, foreign).is_err());
        }
        torment(&SshdLog, LOG, 300);
    }
}
