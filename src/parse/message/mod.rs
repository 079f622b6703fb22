//! What programs say to a system's log, wherever that keeps it: syslog, journal,
//! a container's output.
//!
//! A few programs are understood: the tunnel agent's own lines and those of other tunnel
//! tools, OpenSSH, sudo, cron and Sysmon for Linux. Everything else stays a message. Sources: the programs' own
//! format strings (OpenSSH auth.c and packet.c, sudo's eventlog, cron's log_it).

mod sshd;
mod sudo;

pub(super) use self::sshd::Logins;
use super::{agent_log, event_xml, sibling_log};
use crate::model::{Category, Locator, Moment, Record};

/// Bytes of a message that are kept in a record.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// One message as a log holds it.
pub(super) struct Message<'a> {
    pub program: &'a str,
    pub pid: Option<i64>,
    pub text: &'a str,
    /// When the log took it.
    pub moment: Moment,
    pub locator: Locator,
    /// Category of what is not understood.
    pub otherwise: Category,
}

impl Message<'_> {
    /// The record of what the message says.
    pub(super) fn into_record(self) -> Record {
        let program = base(self.program).to_owned();
        if let Some(record) = self.understood(&program) {
            return record;
        }
        let mut record = Record::new(self.otherwise, self.locator);
        record.push("Message", cut(self.text));
        common(&mut record, self.program, self.pid, self.moment);
        record
    }

    fn understood(&self, program: &str) -> Option<Record> {
        let at = self.moment.at;
        let agent = program.eq_ignore_ascii_case("ngrok");
        let text = self.text.trim();
        if may_be_agents(text)
            && let Some(mut record) = agent_log::of_line(text, self.locator.clone(), agent)
        {
            let own = record.times.first().and_then(|moment| moment.at);
            record.push("Program", self.program);
            if let Some(pid) = self.pid {
                record.push("ProcessId", pid);
            }
            if own.is_none() || own != at {
                record.times.push(self.moment.clone());
            }
            return Some(record);
        }
        if text.starts_with("<Event") {
            // Damage of one event is not the log's: it stays a message.
            return event_xml::parse_event(text, self.locator.clone()).ok();
        }
        let (category, fields) = match program {
            "sshd" | "sshd-session" | "sshd-auth" | "dropbear" => sshd::said(text)?,
            "sudo" => sudo::said(self.text)?,
            "CRON" | "crond" | "cron" | "anacron" | "fcron" => command_of_cron(text)?,
            _ => return self.of_sibling(text),
        };
        let mut record = Record::new(category, self.locator.clone());
        record.fields = fields;
        record.push("Message", cut(self.text));
        common(&mut record, self.program, self.pid, self.moment.clone());
        Some(record)
    }

    /// What another tunnel tool says of itself.
    fn of_sibling(&self, text: &str) -> Option<Record> {
        let mut record = sibling_log::of_line(text, self.locator.clone(), &self.moment)?;
        record.push("Program", self.program);
        if let Some(pid) = self.pid {
            record.push("ProcessId", pid);
        }
        Some(record)
    }
}

pub(super) type Said = (Category, Vec<(std::borrow::Cow<'static, str>, crate::model::Value)>);

/// Category and fields of what an SSH server says of logins and leaving.
pub(super) fn of_sshd(text: &str) -> Option<Said> {
    sshd::said(text.trim())
}

/// Whether a text can be a line of a tunnel tool's log: a quick look.
pub(super) fn may_be_a_tools(text: &str) -> bool {
    may_be_agents(text) || sibling_log::may_say(text)
}

/// Whether a text can be a line of the agent's log: a quick look.
fn may_be_agents(text: &str) -> bool {
    match text.as_bytes().first() {
        Some(b't' | b'l') => text.contains("lvl="),
        Some(b'{') => text.contains("\"lvl\""),
        Some(0x1b) => true,
        Some(b'I' | b'W' | b'E' | b'D' | b'C') => {
            text.get(..9).is_some_and(|head| head.contains('['))
        }
        _ => false,
    }
}

/// `(root) CMD (command)`
fn command_of_cron(text: &str) -> Option<Said> {
    let (user, rest) = text.strip_prefix('(')?.split_once(") CMD (")?;
    let command = rest.strip_suffix(')').unwrap_or(rest).trim();
    let mut record = Record::new("cron_run", Locator::Line(0));
    record.push("CommandLine", command);
    record.push("User", user);
    Some((record.category, record.fields))
}

fn common(record: &mut Record, program: &str, pid: Option<i64>, moment: Moment) {
    record.push("Program", program);
    if let Some(pid) = pid {
        record.push("ProcessId", pid);
    }
    record.times.push(moment);
}

/// The last part of a program's path, as some sign their messages.
fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// The text up to the limit, at a character's border.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_MESSAGE_BYTES);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
