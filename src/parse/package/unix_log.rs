//! What package managers of Linux did, and when.
//!
//! ```text
//! dpkg     2024-06-03 10:10:32 install ngrok:amd64 <none> 3.10.0            local time
//! apt      Start-Date: 2024-06-03  10:10:31, Commandline: …, Install: name:arch (version), …
//! term.log Log started: 2024-06-03  10:10:31, then what dpkg printed
//! dnf      2024-06-03T08:10:31+0000 SUBDEBUG Installed: ngrok-3.10.0-1.x86_64
//!          2024-06-03T08:10:20+0000 DDEBUG Command: dnf install -y ngrok
//! yum      Jun 03 10:10:31 Installed: ngrok-3.10.0-1.x86_64                 no year
//! zypper   2024-06-03 10:10:31|install|ngrok|3.10.0-1|x86_64|root@host|repo|
//! pacman   [2024-06-03T10:10:31+0200] [ALPM] installed ngrok (3.10.0-1)
//! ```
//!
//! Sources: dpkg(1), apt's and zypper's documentation, the sample logs.

use std::ops::ControlFlow;

use jiff::civil;

use crate::model::{Extent, Input, Locator, Moment, Precision, ReadAt, Record, Sink};
use crate::parse::bytes::read_up_to;
use crate::parse::lines::{Encoding, Lines};
use crate::parse::offer::{offer, remark};
use crate::parse::packed::{self, Packing};
use crate::parse::{ParseError, Parser, local_time};

const FORMAT: &str = "log of packages";
const MEANING: &str = "Package Log";
/// Packages of one line of apt that are told.
const MAX_PACKAGES: usize = 4096;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads logs of dpkg, apt, yum, dnf, zypper and pacman; a `package` record for each
/// package that something was done with.
pub struct UnixPackageLog;

impl Parser for UnixPackageLog {
    fn name(&self) -> &'static str {
        "unix_package_log"
    }

    fn tells_of_others(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let start = read_up_to(input.bytes, 0, 8)?;
        let Some(packing) = Packing::of(&start) else { return read(input.bytes, input, sink) };
        let (text, fault) = packed::unpack(packing, input.bytes);
        if let Some(fault) = fault {
            sink.damaged(crate::model::Damage {
                lost: true,
                ..remark(format!("{FORMAT}: {fault}"))
            });
        }
        read(&text, input, sink)
    }
}

/// What the lines before say of those that follow.
#[derive(Default)]
struct Block {
    moment: Option<Moment>,
    command: String,
    user: String,
}

fn read(bytes: &dyn ReadAt, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
    let mut lines = Lines::new(bytes)?;
    if lines.encoding() == Encoding::Binary {
        return Err(ParseError::Foreign { format: FORMAT, found: "binary".to_owned() });
    }
    let (mut block, mut extent) = (Block::default(), Extent::default());
    while let Some(line) = lines.next()? {
        let text = line.text.trim_end();
        let own = stamp(text, input);
        let at = own.as_ref().map(|(moment, _)| moment).or(block.moment.as_ref());
        let at = at.and_then(|moment| moment.at);
        let mut told = Vec::new();
        if let Some((moment, rest)) = own {
            let records = requested(rest).unwrap_or_else(|| action(rest).into_iter().collect());
            told.extend(records.into_iter().map(|record| (record, Some(moment.clone()))));
        } else if let Some(record) = block.take(text, input) {
            told = record.into_iter().map(|record| (record, block.moment.clone())).collect();
        } else {
            continue;
        }
        extent.records = extent.records.saturating_add(1);
        extent.first = [extent.first, at].into_iter().flatten().min();
        extent.last = extent.last.max(at);
        for (mut record, moment) in told {
            record.locator = Locator::Line(line.number);
            record.push("CommandLine", block.command.as_str());
            record.push("User", block.user.as_str());
            record.times.extend(moment);
            if offer(record, input, sink) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
    }
    if extent.records == 0 && bytes.size() > 0 {
        let found = "no line of its forms".to_owned();
        return Err(ParseError::Foreign { format: FORMAT, found });
    }
    sink.extent(extent);
    Ok(())
}

/// The time in front of a line and what follows.
fn stamp<'a>(text: &'a str, input: &Input<'_>) -> Option<(Moment, &'a str)> {
    if let Some((stamp, rest)) = text.strip_prefix('[').and_then(|text| text.split_once("] ")) {
        return Some((moment(stamp, input)?, rest));
    }
    if let Some((stamp, rest)) = text.split_once('|') {
        return Some((moment(stamp, input)?, rest));
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let end = if text.get(10..11) == Some("T") { text.find(' ')? } else { 19 };
        return Some((moment(text.get(..end)?, input)?, text.get(end..)?.trim_start()));
    }
    let month = MONTHS.iter().position(|month| text.get(..3) == Some(month))?;
    let (day, time) = (text.get(4..6)?.trim().parse().ok()?, text.get(7..15)?);
    let month = i8::try_from(month).ok()?.checked_add(1)?;
    let time: civil::Time = time.parse().ok()?;
    let latest = input.modified?;
    let year = jiff::tz::Offset::UTC.to_datetime(latest).year();
    let in_year = |year: i16| {
        let local = civil::Date::new(year, month, day).ok()?.to_datetime(time);
        Some(local_time::of_local(local, text.get(..15)?, input.zone, MEANING))
    };
    let now = in_year(year).filter(|moment| moment.at.is_some_and(|at| at <= latest));
    let mut moment = now.or_else(|| in_year(year.checked_sub(1)?))?;
    if moment.precision != Precision::AssumedZone {
        moment.precision = Precision::AssumedYear;
    }
    Some((moment, text.get(15..)?.trim_start()))
}

/// A written time, if it is one.
fn moment(stamp: &str, input: &Input<'_>) -> Option<Moment> {
    // pacman and dnf write `+0200`, and minutes only in old logs.
    let mut text = stamp.split_whitespace().collect::<Vec<_>>().join(" ");
    let sign = text.len().checked_sub(5).filter(|at| *at > 15);
    if let Some(at) = sign
        && text.get(at..).is_some_and(|zone| {
            zone.starts_with(['+', '-']) && zone.bytes().skip(1).all(|b| b.is_ascii_digit())
        })
    {
        text.insert(at.saturating_add(3), ':');
    }
    if text.len() == 16 {
        text.push_str(":00");
    }
    let moment = local_time::moment(&text, input.zone, MEANING);
    moment.at.is_some().then_some(moment)
}

/// The packages that a command of dnf asks to install; `None` of a line that tells of none.
fn requested(rest: &str) -> Option<Vec<Record>> {
    let (_, command) = rest.split_once(" Command: ")?;
    let mut words = command.split_whitespace().filter(|word| !word.starts_with('-')).skip(1);
    let verb = words.next().filter(|verb| matches!(*verb, "install" | "localinstall"));
    let record = |name| {
        let mut record = package("asked to install", name, "", "rpm");
        record.push("CommandLine", command.trim_end());
        record
    };
    Some(verb.map(|_| words.take(MAX_PACKAGES).map(record).collect()).unwrap_or_default())
}

/// What a line behind its time says was done with which package.
fn action(rest: &str) -> Option<Record> {
    const VERBS: [&str; 16] = [
        "install",
        "upgrade",
        "remove",
        "purge",
        "configure",
        "trigproc",
        "Installed",
        "Updated",
        "Upgraded",
        "Upgrade",
        "Erased",
        "Removed",
        "Reinstalled",
        "installed",
        "upgraded",
        "removed",
    ];
    let fields: Vec<&str> = rest.split('|').map(str::trim).collect();
    if let [verb, name, version, ..] = fields.as_slice() {
        return Some(package(verb, name, version, "zypper"));
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    let at = words.iter().take(4).position(|word| VERBS.contains(&word.trim_end_matches(':')))?;
    let verb = words.get(at)?.trim_end_matches(':');
    let name = words.get(at.checked_add(1)?)?;
    if verb.starts_with(|c: char| c.is_ascii_uppercase()) {
        let (name, version) = of_rpm(name);
        return Some(package(verb, name, version, "rpm"));
    }
    if words.first() == Some(&"[ALPM]") {
        let version = words.get(at.checked_add(2)?).copied().unwrap_or_default();
        return Some(package(verb, name, version.trim_matches(['(', ')']), "pacman"));
    }
    // `install name:arch old new`; of a removal the old version is the only one.
    let version = words.get(at.saturating_add(2)..).unwrap_or_default();
    let version = version.iter().rfind(|word| **word != "<none>");
    Some(package(verb, name, version.copied().unwrap_or_default(), "dpkg"))
}

/// `1:name-version-release.arch` apart.
fn of_rpm(text: &str) -> (&str, &str) {
    let text = text.split_once(':').map_or(text, |(epoch, rest)| {
        if epoch.bytes().all(|b| b.is_ascii_digit()) { rest } else { text }
    });
    let dashes: Vec<usize> = text.match_indices('-').map(|(at, _)| at).collect();
    let at = dashes.len().checked_sub(2).and_then(|n| dashes.get(n)).copied();
    let parts = at.and_then(|at| Some((text.get(..at)?, text.get(at.checked_add(1)?..)?)));
    parts.unwrap_or((text, ""))
}

fn package(verb: &str, name: &str, version: &str, source: &str) -> Record {
    let mut record = Record::new("package", Locator::Line(0));
    record.push("Action", verb);
    record.push("Name", name.split(':').next().unwrap_or_default());
    record.push("Version", version);
    record.push("Source", source);
    record
}

impl Block {
    /// What a line without a time says: nothing if it belongs to no known form.
    fn take(&mut self, text: &str, input: &Input<'_>) -> Option<Vec<Record>> {
        if let Some(stamp) = text.strip_prefix("Log started:") {
            self.moment = moment(stamp, input);
            return Some(Vec::new());
        }
        if let Some(rest) =
            text.strip_prefix("Setting up ").or_else(|| text.strip_prefix("Unpacking "))
        {
            let mut words = rest.split_whitespace();
            let (name, version) = (words.next()?, words.next().unwrap_or_default());
            let version = version.trim_matches(['(', ')', '.']);
            let verb = if text.starts_with('S') { "configure" } else { "install" };
            return Some(vec![package(verb, name, version, "apt")]);
        }
        let (key, value) = text.split_once(": ")?;
        match key {
            "Start-Date" => {
                *self = Self { moment: moment(value, input), ..Self::default() };
            }
            "Commandline" => value.clone_into(&mut self.command),
            "Requested-By" => {
                value.split(' ').next().unwrap_or_default().clone_into(&mut self.user);
            }
            "End-Date" => {}
            "Install" | "Upgrade" | "Remove" | "Purge" | "Reinstall" | "Downgrade" => {
                // Versions stand in brackets, with a comma between old and new.
                let parts = value.split("), ").take(MAX_PACKAGES).filter_map(|part| {
                    let (name, version) = part.split_once(" (")?;
                    let version = version.trim_end_matches(')').rsplit(", ");
                    let version = version.into_iter().find(|word| *word != "automatic");
                    Some(package(&key.to_lowercase(), name, version.unwrap_or_default(), "apt"))
                });
                return Some(parts.collect());
            }
            _ => return None,
        }
        Some(Vec::new())
    }
}
