//! The hosts file: names that the system resolves by itself.
//!
//! Proves that somebody pinned or blocked a name. An entry has no time of its own;
//! those given are the file's, and its last change may have been to another line.
//! Source: hosts(5), and the remarks in the file that Windows brings.

use std::net::IpAddr;

use super::lines::{Encoding, Lines};
use super::{ParseError, Parser};
use crate::model::{Damage, Input, Locator, Record, Sink, Value};

const FORMAT: &str = "hosts file";
/// Entries told of one file: lists against advertising hold some 100,000.
const MAX_ENTRIES: u64 = 1_000_000;
/// Lines before the first entry, after which the file is called foreign.
const MAX_FOREIGN_LINES: u64 = 1000;
/// Names of one line that are told.
const MAX_NAMES: usize = 256;

/// Reads hosts files; a `hosts_file` record for each line that maps a name.
pub struct HostsFile;

impl Parser for HostsFile {
    fn name(&self) -> &'static str {
        "hosts_file"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(input.bytes)?;
        if lines.encoding() == Encoding::Binary {
            return Err(ParseError::Foreign { format: FORMAT, found: "binary".to_owned() });
        }
        let (mut entries, mut foreign, mut first) = (0u64, 0u64, None);
        while let Some(line) = lines.next()? {
            let text = line.text.split('#').next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            let Some((address, names)) = entry(text) else {
                foreign = foreign.saturating_add(1);
                first = first.or(Some(line.number));
                if entries == 0 && foreign >= MAX_FOREIGN_LINES {
                    break;
                }
                continue;
            };
            entries = entries.saturating_add(1);
            if entries > MAX_ENTRIES {
                sink.damaged(Damage {
                    locator: Some(Locator::Line(line.number)),
                    message: format!("{FORMAT}: more than {MAX_ENTRIES} entries"),
                    lost: true,
                });
                break;
            }
            if !input.filter.admits_text(text.as_bytes()) {
                continue;
            }
            let mut record = Record::new("hosts_file", Locator::Line(line.number));
            record.push("IpAddress", address);
            match names.as_slice() {
                [name] => record.push("HostName", name.as_str()),
                _ => record.push("HostName", Value::List(names)),
            }
            record.push("Details", text);
            if sink.record(record).is_break() {
                return Ok(());
            }
        }
        match first {
            Some(line) if entries == 0 => Err(ParseError::Foreign {
                format: FORMAT,
                found: format!("line {line} is no address with a name"),
            }),
            Some(line) => {
                sink.damaged(Damage {
                    locator: Some(Locator::Line(line)),
                    message: format!("{FORMAT}: {foreign} line(s) of another form, this the first"),
                    lost: false,
                });
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The address of a line and the names it stands for.
fn entry(text: &str) -> Option<(&str, Vec<String>)> {
    let mut words = text.split_whitespace();
    let address = words.next()?;
    let plain = address.split('%').next()?;
    plain.parse::<IpAddr>().ok()?;
    let names: Vec<String> = words.take(MAX_NAMES).map(str::to_owned).collect();
    (!names.is_empty()).then_some((address, names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{parse, sample, torment};

    #[test]
    fn entries_and_no_remarks() {
        let kept = parse(&HostsFile, &sample("hosts_file/pinned")).unwrap();
        let expected = "\
hosts_file line:7 | IpAddress=3.125.223.134 | HostName=tunnel.us.ngrok.com | Details=3.125.223.134\ttunnel.us.ngrok.com
hosts_file line:8 | IpAddress=0.0.0.0 | HostName=update.equinox.io | Details=0.0.0.0\tupdate.equinox.io
hosts_file line:9 | IpAddress=fe80::1%3 | HostName=a.example b.example | Details=fe80::1%3 a.example b.example
";
        assert_eq!(kept.shown(), expected);
        assert_eq!(kept.damage.len(), 1, "a line without an address");
    }

    #[test]
    fn damaged_and_foreign() {
        assert!(parse(&HostsFile, b"<html>\n").is_err());
        assert!(parse(&HostsFile, &[0, 1, 2, 3, 0, 0, 0, 9]).is_err());
        assert!(parse(&HostsFile, b"# nothing\n").unwrap().records.is_empty());
        torment(&HostsFile, &sample("hosts_file/pinned"), 300);
    }
}
