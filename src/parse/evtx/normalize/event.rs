//! One event as the log has it, and the record it becomes.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::derive::apply;
use super::rules::{Rule, rule_for};
use crate::model::{Locator, Moment, Precision, Record, Value, from_unix};

/// More fields than this are dropped from one event.
const MAX_FIELDS: usize = 4096;
/// Meaning of a time that only says when the event was written.
const LOGGED: &str = "Event Logged";

/// One event, flattened, in the log's own names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoggedEvent {
    pub provider: String,
    pub event_id: Option<i64>,
    pub channel: String,
    pub computer: String,
    pub record_id: Option<i64>,
    pub process_id: Option<i64>,
    pub thread_id: Option<i64>,
    pub user_sid: String,
    pub activity_id: String,
    /// As written: `2024-03-18T09:06:35.0000000Z`.
    pub system_time: String,
    /// Leaves of EventData and UserData.
    leaves: Vec<(String, Value)>,
    /// Texts of the nameless `<Data>`, in order.
    pub unnamed: Vec<String>,
}

impl LoggedEvent {
    /// Adds a leaf of EventData or UserData.
    pub fn leaf(&mut self, name: String, value: Value) {
        if self.leaves.len() < MAX_FIELDS {
            self.leaves.push((name, value));
        }
    }

    /// Whether an attribute of a leaf is a fact, not a namespace or the leaf's name.
    pub fn keeps_attribute(name: &str) -> bool {
        name != "Name" && !name.starts_with("xmlns") && !name.contains(':')
    }

    /// The record of this event. `written` is the time outside of the event's text
    /// (the record header's), for events that name none.
    pub fn into_record(mut self, locator: Locator, written: Option<Timestamp>) -> Record {
        let rule = rule_for(&self.channel, &self.provider, self.event_id);
        let mut record = Record::new(rule.map_or("event", |rule| rule.category), locator);
        if let Some(id) = self.event_id {
            record.push("EventID", id);
        }
        let own_time = std::mem::take(&mut self.system_time);
        record.push("Channel", self.channel);
        record.push("Provider", self.provider);
        record.push("Computer", self.computer);
        let numbers = [
            ("EventRecordID", self.record_id),
            ("ExecutionProcessID", self.process_id),
            ("ExecutionThreadID", self.thread_id),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                record.push(name, number);
            }
        }
        record.push("UserSid", self.user_sid);
        record.push("ActivityID", self.activity_id);
        for (name, value) in self.leaves {
            record.push(name, value);
        }
        if !self.unnamed.is_empty() {
            record.push("Data", Value::List(self.unnamed));
        }
        add_moment(&mut record, rule, own_time, written);
        for step in rule.into_iter().flat_map(|rule| rule.steps) {
            apply(step, &mut record);
        }
        record
    }
}

/// Gives the record its one moment: UtcTime where the rule goes by it, else SystemTime.
fn add_moment(
    record: &mut Record,
    rule: Option<&Rule>,
    own_time: String,
    written: Option<Timestamp>,
) {
    let meaning = rule.map_or(LOGGED, |rule| rule.moment);
    let utc = rule.filter(|rule| rule.by_utc_time).and_then(|_| record.text("UtcTime"));
    if let Some((at, raw)) = utc.and_then(|text| Some((utc_time(text)?, text.to_owned()))) {
        record.push("SystemTime", own_time);
        record.times.push(Moment { at: Some(at), meaning, precision: Precision::Exact, raw });
    } else if own_time.is_empty() {
        record.times.extend(written.map(|at| Moment::exact(at, meaning)));
    } else {
        let at = system_time(&own_time);
        record.times.push(Moment { at, meaning, precision: Precision::Exact, raw: own_time });
    }
}

/// The moment of `2024-03-18T09:06:35.0000000Z`; none of 1601.
pub(crate) fn system_time(text: &str) -> Option<Timestamp> {
    plausible(text.trim().parse().ok()?)
}

/// The moment of Sysmon's `2024-03-18 09:06:35.000`, which is UTC.
fn utc_time(text: &str) -> Option<Timestamp> {
    let civil: DateTime = text.trim().parse().ok()?;
    plausible(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn plausible(at: Timestamp) -> Option<Timestamp> {
    from_unix(at.as_second(), at.subsec_nanosecond())
}

/// The number of a decimal or `0x` text.
pub(crate) fn whole_number(text: &str) -> Option<i64> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
