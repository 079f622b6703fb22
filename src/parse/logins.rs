//! Login records of Linux: wtmp, btmp, utmp, and lastlog.
//!
//! wtmp proves sessions with terminal, remote host and, paired by terminal, their
//! end; btmp failed attempts; lastlog the last login of each user number. The
//! address is the client's as the host saw it: that of a tunnel's visitor is
//! loopback. Times are UTC. Format: glibc's `struct utmp` and `struct lastlog`.
//!
//! ```text
//! utmp (384)  0 type  4 process  8 terminal (32)  40 id (4)  44 user (32)  76 host (256)
//!             332 exit status  336 session  340 seconds  344 microseconds  348 address (16)
//! utmp (400)  64-bit times: 336 session (8)  344 seconds (8)  352 microseconds (8)  360 address
//! lastlog     0 seconds  4 terminal (32)  36 host (256); its place is the user's number
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

use super::bytes::{piece, read_up_to, u16_at, u32_at, u64_at};
use super::{ParseError, Parser, program};
use crate::model::{Damage, Extent, Input, Locator, Moment, Precision, Record, Sink, from_unix};

/// Records read of one file.
const MAX_RECORDS: u64 = 4 << 20;
/// Records read at once.
const BLOCK_RECORDS: usize = 4096;
/// Terminals whose sessions are open at a time.
const MAX_OPEN: usize = 16 << 10;
/// Bytes of a lastlog entry.
const LAST_BYTES: usize = 292;

/// Reads wtmp, btmp and utmp files.
pub struct Logins;

impl Parser for Logins {
    fn name(&self) -> &'static str {
        "logins"
    }

    fn tells_of_others(&self) -> bool {
        false
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        let fits = |form: Form| {
            let rows = start.chunks_exact(form.size());
            rows.len() > 0 && rows.take(8).all(|row| form.read(row).is_some_and(|e| e.is_sound()))
        };
        fits(Form::Short) || fits(Form::Long)
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let size = input.bytes.size();
        if size == 0 {
            sink.extent(Extent::default());
            return Ok(());
        }
        let start = read_up_to(input.bytes, 0, 400 * 8)?;
        let form = [Form::Short, Form::Long]
            .into_iter()
            .max_by_key(|form| {
                let rows = start.chunks_exact(form.size());
                let sound = rows.filter(|row| form.read(row).is_some_and(|e| e.is_sound()));
                (sound.count() * form.size(), size.is_multiple_of(form.size() as u64))
            })
            .unwrap_or(Form::Short);
        if !start.chunks_exact(form.size()).any(|row| form.read(row).is_some_and(|e| e.is_sound()))
        {
            let found = format!("{:02x?}", start.get(..4).unwrap_or(&start));
            return Err(ParseError::Foreign { format: "login records", found });
        }
        let failed = input.name.to_ascii_lowercase().contains("btmp");
        Reading { input, form, failed, open: BTreeMap::new(), extent: Extent::default() }.run(sink)
    }
}

/// The two sizes of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Short,
    Long,
}

impl Form {
    fn size(self) -> usize {
        match self {
            Self::Short => 384,
            Self::Long => 400,
        }
    }

    fn read(self, row: &[u8]) -> Option<Entry> {
        let (session, seconds, micros, address) = match self {
            Self::Short => (
                u32_at(row, 336)?,
                i64::from(u32_at(row, 340)?),
                i64::from(u32_at(row, 344)?),
                piece(row, 348, 16)?,
            ),
            Self::Long => (
                u32_at(row, 336)?,
                i64::try_from(u64_at(row, 344)?).ok()?,
                i64::try_from(u64_at(row, 352)?).ok()?,
                piece(row, 360, 16)?,
            ),
        };
        Some(Entry {
            kind: u16_at(row, 0)?,
            process: i64::from(u32_at(row, 4)?),
            terminal: text(piece(row, 8, 32)?),
            user: text(piece(row, 44, 32)?),
            host: text(piece(row, 76, 256)?),
            session: i64::from(session),
            seconds,
            micros,
            address: address_of(address),
        })
    }
}

struct Entry {
    kind: u16,
    process: i64,
    terminal: String,
    user: String,
    host: String,
    session: i64,
    seconds: i64,
    micros: i64,
    address: Option<IpAddr>,
}

const LAST_KIND: u16 = 9;
const USER: u16 = 7;
const DEAD: u16 = 8;

impl Entry {
    /// Whether it can be a record: of a known type, with a time and plain names.
    fn is_sound(&self) -> bool {
        const YEAR_1990: i64 = 631_152_000;
        const YEAR_2100: i64 = 4_102_444_800;
        let plain = |text: &str| !text.chars().any(|c| c.is_control() || c == '\u{fffd}');
        self.kind <= LAST_KIND
            && (self.kind == 0 || (YEAR_1990..YEAR_2100).contains(&self.seconds))
            && (0..1_000_000).contains(&self.micros)
            && plain(&self.terminal)
            && plain(&self.user)
    }

    fn moment(&self, meaning: &'static str) -> Option<Moment> {
        let nanos = i32::try_from(self.micros.checked_mul(1000)?).ok()?;
        let at = from_unix(self.seconds, nanos).filter(|_| self.seconds > 0);
        let raw = format!("{}.{:06}", self.seconds, self.micros);
        (self.seconds != 0).then_some(Moment { at, meaning, precision: Precision::Exact, raw })
    }

    fn kind_name(&self) -> &'static str {
        match (self.kind, self.user.as_str()) {
            (1, "shutdown") => "shutdown",
            (1, _) => "run level",
            (2, _) => "boot",
            (3, _) => "new time",
            (4, _) => "old time",
            (5, _) => "init process",
            (6, _) => "login process",
            (USER, _) => "login",
            (DEAD, _) => "logout",
            (9, _) => "accounting",
            _ => "empty",
        }
    }
}

struct Reading<'a> {
    input: &'a Input<'a>,
    form: Form,
    failed: bool,
    /// Logins whose end is still to come, by terminal.
    open: BTreeMap<String, Record>,
    extent: Extent,
}

impl Reading<'_> {
    fn run(mut self, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let size = self.form.size();
        let mut at = 0u64;
        loop {
            let block = read_up_to(self.input.bytes, at, size.saturating_mul(BLOCK_RECORDS))?;
            for row in block.chunks_exact(size) {
                let offset = at;
                at = at.saturating_add(size as u64);
                if self.row(row, offset, sink).is_break() {
                    return Ok(());
                }
            }
            let rest = block.len() % size;
            if rest > 0 {
                sink.damaged(damage(at, format!("the last record has {rest} of {size} bytes")));
            }
            if block.len() < size.saturating_mul(BLOCK_RECORDS) || self.extent.records > MAX_RECORDS
            {
                break;
            }
        }
        for record in std::mem::take(&mut self.open).into_values() {
            if self.tell(record, sink).is_break() {
                return Ok(());
            }
        }
        sink.extent(self.extent);
        Ok(())
    }

    fn row(&mut self, row: &[u8], offset: u64, sink: &mut dyn Sink) -> ControlFlow<()> {
        let Some(entry) = self.form.read(row).filter(|entry| entry.kind != 0) else {
            return ControlFlow::Continue(());
        };
        if !entry.is_sound() {
            sink.damaged(damage(offset, format!("no login record: type {}", entry.kind)));
            return ControlFlow::Continue(());
        }
        self.extent.records = self.extent.records.saturating_add(1);
        let at = entry.moment("").and_then(|moment| moment.at);
        self.extent.first = [self.extent.first, at].into_iter().flatten().min();
        self.extent.last = self.extent.last.max(at);
        if self.failed || entry.terminal.ends_with(":notty") {
            return self.tell(record(&entry, offset, "failed", "Failed Login"), sink);
        }
        match entry.kind {
            USER => {
                let new = record(&entry, offset, "accepted", "Login");
                let before = self.open.insert(entry.terminal.clone(), new);
                if let Some(before) = before {
                    self.tell(before, sink)?;
                }
                if self.open.len() > MAX_OPEN
                    && let Some((_, oldest)) = self.open.pop_first()
                {
                    self.tell(oldest, sink)?;
                }
                ControlFlow::Continue(())
            }
            DEAD => match self.open.remove(&entry.terminal) {
                Some(mut login) => {
                    login.times.extend(entry.moment("Logout"));
                    self.tell(login, sink)
                }
                None => ControlFlow::Continue(()),
            },
            // A boot or its end closes every session; when each ended is not known.
            1 | 2 => {
                if entry.kind == 2 || entry.user == "shutdown" {
                    for record in std::mem::take(&mut self.open).into_values() {
                        self.tell(record, sink)?;
                    }
                }
                self.tell(record(&entry, offset, "", "Login Record Written"), sink)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn tell(&self, record: Record, sink: &mut dyn Sink) -> ControlFlow<()> {
        if !self.input.filter.admits_text(program::rendered(&record).as_bytes()) {
            return ControlFlow::Continue(());
        }
        sink.record(record)
    }
}

fn damage(offset: u64, what: String) -> Damage {
    let message = format!("login records: {what}");
    Damage { locator: Some(Locator::Offset(offset)), message, lost: true }
}

fn record(entry: &Entry, offset: u64, outcome: &str, meaning: &'static str) -> Record {
    let mut record = Record::new("login_record", Locator::Offset(offset));
    record.push("User", entry.user.as_str());
    push_client(&mut record, &entry.host, entry.address);
    record.push("Tty", entry.terminal.as_str());
    record.push("Kind", if outcome == "failed" { "failed login" } else { entry.kind_name() });
    record.push("Outcome", outcome);
    record.push("ProcessId", entry.process);
    if entry.session != 0 {
        record.push("SessionID", entry.session);
    }
    record.times.extend(entry.moment(meaning));
    record
}

/// The client's name and address: the host field holds either.
fn push_client(record: &mut Record, host: &str, address: Option<IpAddr>) {
    let named: Option<IpAddr> = host.parse().ok();
    if let Some(address) = named.or(address) {
        record.push("IpAddress", address.to_string());
    }
    if named.is_none() {
        record.push("HostName", host);
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// An address as the kernel keeps it: four bytes, or sixteen.
fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    let all: [u8; 16] = bytes.try_into().ok()?;
    if all == [0; 16] {
        return None;
    }
    let [a, b, c, d, rest @ ..] = all;
    Some(if rest == [0; 12] {
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    } else {
        IpAddr::V6(Ipv6Addr::from(all))
    })
}

/// Reads lastlog: the last login of every user number.
pub struct LastLog;

impl Parser for LastLog {
    fn name(&self) -> &'static str {
        "lastlog"
    }

    fn tells_of_others(&self) -> bool {
        false
    }

    // Zeros for users who never came: nothing tells it from other files.
    fn recognizes(&self, _start: &[u8]) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut extent = Extent::default();
        let step = LAST_BYTES as u64;
        let mut at = 0u64;
        while at < input.bytes.size() && extent.records < MAX_RECORDS {
            // The file has holes: user numbers of a directory service are large.
            let stored = input.bytes.data_from(at);
            at = at.max(stored.saturating_sub(stored % step));
            let block = read_up_to(input.bytes, at, LAST_BYTES.saturating_mul(BLOCK_RECORDS))?;
            let rows = block.chunks_exact(LAST_BYTES);
            if rows.len() == 0 {
                if !block.is_empty() {
                    sink.damaged(damage(at, "the last entry is cut off".into()));
                }
                break;
            }
            for row in rows {
                let offset = at;
                at = at.saturating_add(step);
                let Some(record) = last_record(row, offset) else { continue };
                if record.text("User").is_none() && record.times.iter().all(|m| m.at.is_none()) {
                    sink.damaged(damage(offset, "a lastlog entry without a time".into()));
                    continue;
                }
                extent.records = extent.records.saturating_add(1);
                let when = record.first_time();
                extent.first = [extent.first, when].into_iter().flatten().min();
                extent.last = extent.last.max(when);
                let admitted = input.filter.admits_text(program::rendered(&record).as_bytes());
                if admitted && sink.record(record).is_break() {
                    return Ok(());
                }
            }
        }
        sink.extent(extent);
        Ok(())
    }
}

fn last_record(row: &[u8], offset: u64) -> Option<Record> {
    let seconds = i64::from(u32_at(row, 0)?);
    if seconds == 0 {
        return None;
    }
    let host = text(piece(row, 36, 256)?);
    let mut record = Record::new("login_record", Locator::Offset(offset));
    let number = offset.checked_div(LAST_BYTES as u64)?;
    record.push("UserId", i64::try_from(number).ok()?);
    push_client(&mut record, &host, None);
    record.push("Tty", text(piece(row, 4, 32)?));
    record.push("Kind", "last login");
    record.push("Outcome", "accepted");
    record.times.push(Moment {
        at: from_unix(seconds, 0),
        meaning: "Last Login",
        precision: Precision::Second,
        raw: seconds.to_string(),
    });
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{Words, expect, parse, parse_with, sample, torment};

    #[test]
    fn every_sample() {
        let mut shown = String::new();
        for name in ["logins/wtmp", "logins/btmp"] {
            let bytes = sample(name);
            assert!(Logins.recognizes(&bytes), "{name}");
            shown.push_str(&format!("# {name}\n{}", parse(&Logins, &bytes).unwrap().shown()));
        }
        let last = parse(&LastLog, &sample("logins/lastlog")).unwrap();
        shown.push_str(&format!("# logins/lastlog\n{}", last.shown()));
        expect("logins", &shown);
    }

    #[test]
    fn records_with_64_bit_times() {
        let mut row = vec![0u8; 400];
        for (at, bytes) in [(0, &[7u8][..]), (8, b"pts/3"), (44, b"jane"), (76, b"::1")] {
            row[at..at + bytes.len()].copy_from_slice(bytes);
        }
        row[344..352].copy_from_slice(&1_710_000_000u64.to_le_bytes());
        let bytes = row.repeat(3);
        assert!(Logins.recognizes(&bytes));
        let shown = parse(&Logins, &bytes).unwrap().shown();
        assert!(shown.contains("User=jane | IpAddress=::1 | Tty=pts/3"), "{shown}");
        assert!(shown.contains("Login 2024-03-09T16:00:00Z exact"), "{shown}");
    }

    #[test]
    fn damaged_foreign_and_unwanted() {
        let bytes = sample("logins/wtmp");
        let cut = parse(&Logins, bytes.get(..bytes.len() - 10).unwrap()).unwrap();
        assert!(cut.damage.iter().any(|d| d.message.contains("374 of 384")));
        assert!(parse(&Logins, &[0x41; 4096]).is_err());
        assert!(!Logins.recognizes(b"short"));
        assert!(parse(&Logins, b"").is_ok());
        let few = parse_with(&Logins, &bytes, &Words(&["127.0.0.1"])).unwrap();
        assert!(!few.records.is_empty());
        assert!(few.records.len() < parse(&Logins, &bytes).unwrap().records.len());
        torment(&Logins, &bytes, 200);
        torment(&LastLog, &sample("logins/lastlog"), 100);
    }
}
