//! The logs of other tunnel tools: their own files, what they print to a terminal, and
//! their lines in a system's or container's log.
//!
//! | tool | what its lines tell |
//! |---|---|
//! | bore, rathole, chisel, nps, frp, gost | connected; who came in, as far as it is logged |
//! | cloudflared | connected; what it lets out; calls that were refused |
//! | VS Code and Dev Tunnels, playit, zrok | its address; visitors |
//! | wstunnel, ligolo-ng, Tailscale, NetBird | connected |
//! | Serveo, localhost.run, pinggy, localtunnel | its address, or that it is connected |
//!
//! Proves that the tool ran and what it did then. Times without a zone are the host's.
//! Of several things that cloudflared is told to let out at once, the riskiest is told.
//! Sources of the forms: [`form`]; of the sayings: [`saying`].

mod form;
mod saying;

use std::net::IpAddr;
use std::ops::ControlFlow;

use form::Form;
use saying::{Activity, Part, Saying};

use super::lines::{Encoding, Lines, decode};
use super::message::cut;
use super::target::{Target, host_and_port};
use super::{ParseError, Parser};
use crate::model::{Damage, Extent, Input, Locator, Moment, Precision, Record, Sink};

pub(super) use saying::may_say;

/// Records told of one file.
const MAX_RECORDS: usize = 100_000;
/// Lines looked at for recognition.
const SAMPLE_LINES: usize = 40;

/// Reads the logs of other tunnel tools; an `agent_log` record for each line that is one
/// of their sayings.
pub struct SiblingLog;

impl Parser for SiblingLog {
    fn name(&self) -> &'static str {
        "sibling_log"
    }

    fn tells_of_others(&self) -> bool {
        false
    }

    fn is_text(&self) -> bool {
        true
    }

    fn words(&self) -> &'static [&'static str] {
        saying::WORDS.all()
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        if !saying::WORDS.are_mentioned(start) {
            return false;
        }
        let (text, _) = decode(start);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let (mut of_form, mut others, mut says) = (0_usize, 0_usize, false);
        // Texts that quote such lines have others before and between them.
        for line in lines.take(SAMPLE_LINES) {
            let form = Form::read(line);
            let count = if form.is_some() { &mut of_form } else { &mut others };
            *count = count.saturating_add(1);
            says |= form.is_some_and(|form| Saying::of(&form).is_some());
        }
        says && of_form >= others
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(input.bytes)?;
        if lines.encoding() == Encoding::Binary {
            return Err(ParseError::Foreign {
                format: "tunnel tool's log",
                found: "binary".into(),
            });
        }
        let mut extent = Extent::default();
        let mut told = 0_usize;
        while let Some(line) = lines.next()? {
            let form = Form::of_any(&line.text);
            let moment = form.moment(input.zone);
            if let Some(moment) = &moment {
                extent.count_at(moment.at);
            }
            let Some(saying) = Saying::of(&form) else { continue };
            if told >= MAX_RECORDS {
                sink.damaged(Damage {
                    locator: Some(Locator::Line(line.number)),
                    message: format!("further lines not listed: more than {MAX_RECORDS} matter"),
                    lost: true,
                });
                break;
            }
            told = told.saturating_add(1);
            let mut record = record(saying, &form, Locator::Line(line.number));
            record.times.extend(moment);
            if sink.record(record) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
        sink.extent(extent);
        Ok(())
    }
}

/// The record of a tool's line that stands in another log, written there at `logged`.
///
/// Its own time counts where the log's is not sure.
pub(super) fn of_line(text: &str, locator: Locator, logged: &Moment) -> Option<Record> {
    let form = may_say(text).then(|| Form::of_any(text))?;
    let mut record = record(Saying::of(&form)?, &form, locator);
    let is_sure = |moment: &Moment| {
        moment.at.is_some()
            && !matches!(moment.precision, Precision::AssumedZone | Precision::AssumedYear)
    };
    let own = form.moment(None).filter(|own| is_sure(own) && !is_sure(logged));
    record.times.push(own.unwrap_or_else(|| logged.clone()));
    Some(record)
}

fn record(saying: &Saying, form: &Form, locator: Locator) -> Record {
    let word = |part: Part| {
        let mut tells = saying.tells.iter().filter(|(of, _)| *of == part);
        tells.find_map(|(_, text)| saying::word(&form.whole, part, text))
    };
    let remote = word(Part::Remote).map(split);
    // Who comes from this host goes out through it.
    let is_own = |(host, _): &(&str, Option<u16>)| {
        host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
    };
    let activity =
        if remote.as_ref().is_some_and(is_own) { Activity::Connected } else { saying.activity };
    let mut record = Record::new("agent_log", locator);
    record.push("Tool", saying.tool);
    record.push("Activity", activity.as_str());
    let message = if form.message.is_empty() { &form.whole } else { &form.message };
    record.push("Message", cut(message));
    record.push("Name", word(Part::Name).or_else(|| word(Part::NameBefore)).unwrap_or_default());
    let (mut url, mut target) = (word(Part::Url).map(str::to_owned), None);
    if let Some(config) = form.key("config").filter(|_| saying.activity == Activity::Configured) {
        (url, target) = ingress(&config).unwrap_or_default();
    }
    record.push("Url", url.unwrap_or_default());
    if let Some(text) = target.as_deref().or_else(|| word(Part::Target)) {
        push_target(&mut record, text, activity);
    }
    if let Some(server) = word(Part::Server).and_then(Target::new) {
        push_address(&mut record, split(&server.text), "Server", "ServerPort");
    }
    if let Some(remote) = remote.filter(|remote| !is_own(remote)) {
        push_address(&mut record, remote, "RemoteAddress", "RemotePort");
    }
    record
}

/// What cloudflared was told to let out: the public name and the service of the rule that
/// matters most, a way in before others.
fn ingress(config: &str) -> Option<(Option<String>, Option<String>)> {
    let config: serde_json::Value = serde_json::from_str(config).ok()?;
    let text = |rule: &serde_json::Value, key: &str| rule.get(key)?.as_str().map(str::to_owned);
    let rules: Vec<_> = config.get("ingress")?.as_array()?.iter().collect();
    let leads = |rule: &&serde_json::Value| {
        text(rule, "service").is_some_and(|s| !s.starts_with("http_status:"))
    };
    let is_risky = |rule: &&serde_json::Value| {
        let target = text(rule, "service").and_then(|s| target_of(&s));
        target.is_some_and(|target| target.risk.is_some())
    };
    let mut all = rules.into_iter().filter(leads);
    let first = all.clone().find(is_risky).or_else(|| all.next())?;
    Some((text(first, "hostname"), text(first, "service")))
}

fn push_target(record: &mut Record, text: &str, activity: Activity) {
    record.push("Addr", text);
    let Some(target) = target_of(text) else { return };
    if activity == Activity::Visited {
        push_address(record, split(&target.text), "LocalAddress", "LocalPort");
    }
    record.push("Target", target.text);
    if let Some(port) = target.port {
        record.push("TargetPort", i64::from(port));
    }
    record.push("RiskyTarget", target.risk.unwrap_or_default());
}

/// The target of an address; a scheme of a service has its port where none is written.
fn target_of(text: &str) -> Option<Target> {
    let target = Target::new(text)?;
    match (target.port, port_of_scheme(text)) {
        (None, Some(port)) => Target::new(&format!("{}:{port}", target.text)),
        _ => Some(target),
    }
}

fn port_of_scheme(text: &str) -> Option<u16> {
    Some(match text.split_once("://")?.0 {
        "ssh" => 22,
        "rdp" => 3389,
        "smb" => 445,
        _ => return None,
    })
}

/// The address without brackets, and its port.
fn split(text: &str) -> (&str, Option<u16>) {
    let (host, port) = host_and_port(text);
    (host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host), port)
}

fn push_address(
    record: &mut Record,
    (host, port): (&str, Option<u16>),
    address: &'static str,
    number: &'static str,
) {
    record.push(address, host);
    if let Some(port) = port {
        record.push(number, i64::from(port));
    }
}

#[cfg(test)]
mod tests;
