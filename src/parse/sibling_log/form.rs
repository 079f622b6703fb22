//! One line of a program's own log: its time, and what it says.
//!
//! ```text
//! zerolog   2024-06-03T02:13:03Z INF Registered tunnel connection connIndex=0 …
//! JSON      {"level":"info","time":"2024-06-03T02:13:03Z","message":"Registered …"}
//! tracing   2024-06-03T02:12:02.110301Z  INFO bore_cli::client: listening at …
//! frp, nps  2024/06/03 02:12:04 [I] [service.go:299] [9f1c2d3e] login to server …
//! Go        2024/06/03 02:12:06 client: Connected (Latency 12.1ms)
//! logrus    time="2024-06-03T02:12:06Z" level=info msg="Connection established" …
//! VS Code   [2025-03-11 09:10:31] info [tunnels::connections::…] Opened new client …
//! ```
//!
//! Sources: the loggers' own formats (zerolog, tracing-subscriber, fatedier/golib, beego,
//! Go's `log`, logrus, `cli/src/log.rs` of VS Code).

use crate::model::{Moment, Precision, Zone};
use crate::parse::agent_log::{Stamp, pairs, value, without_colours};

/// Levels as these loggers write them, first after the time.
const LEVELS: [&str; 24] = [
    "INF", "WRN", "ERR", "DBG", "TRC", "FTL", "INFO", "WARN", "ERROR", "DEBUG", "TRACE", "[I]",
    "[W]", "[E]", "[D]", "[T]", "[N]", "info", "warn", "error", "debug", "trace", "critical",
    "warning",
];

/// A line taken apart.
#[derive(Debug)]
pub(super) struct Form {
    stamp: Option<Stamp>,
    raw_time: String,
    /// The line without its colours.
    pub whole: String,
    /// Without its time; of JSON and logrus the message alone.
    pub message: String,
    /// The keys of JSON.
    keys: Vec<(String, String)>,
}

impl Form {
    /// The line in one of the forms; `None` when it has none.
    pub(super) fn read(text: &str) -> Option<Self> {
        let whole = plain(text);
        let (raw_time, message, keys) = match whole.as_bytes().first()? {
            b'{' => of_keys(of_json(&whole)?, &["time", "ts"], &["message", "msg"])?,
            b't' if whole.starts_with("time=") => of_keys(pairs(&whole)?, &["time"], &["msg"])?,
            b'[' => {
                let (time, rest) = whole.strip_prefix('[')?.split_once(']')?;
                let rest = rest.trim_start();
                starts_with_level(rest).then(|| (time.to_owned(), rest.to_owned(), Vec::new()))?
            }
            b'0'..=b'9' => {
                let (time, rest) = time_and_rest(&whole)?;
                let rest = rest.trim_start();
                is_said(rest).then(|| (time.to_owned(), rest.to_owned(), Vec::new()))?
            }
            _ => return None,
        };
        let stamp = Some(stamp(&raw_time)?);
        Some(Self { stamp, raw_time, whole, message, keys })
    }

    /// The line, whatever its form.
    pub(super) fn of_any(text: &str) -> Self {
        Self::read(text).unwrap_or_else(|| {
            let whole = plain(text);
            let message = whole.clone();
            Self { stamp: None, raw_time: String::new(), whole, message, keys: Vec::new() }
        })
    }

    /// The message without the level before it.
    pub(super) fn said(&self) -> &str {
        let message = self.message.trim_start();
        let first = message.split_whitespace().next().unwrap_or_default();
        let rest = message.strip_prefix(first).filter(|_| LEVELS.contains(&first));
        // Of logrus on a terminal: `INFO[0003] …`.
        let timed = || message.split_once("] ").filter(|(level, _)| is_timed_level(level));
        rest.or_else(|| timed().map(|(_, rest)| rest)).unwrap_or(message).trim_start()
    }

    /// What stands under a key of JSON, or behind ` key=`.
    pub(super) fn key(&self, key: &str) -> Option<String> {
        if let Some((_, text)) = self.keys.iter().find(|(name, _)| name == key) {
            return Some(text.clone());
        }
        let (_, after) = self.whole.split_once(&format!(" {key}="))?;
        Some(value(after).0)
    }

    /// When the line says it was written; a local time is the zone's.
    pub(super) fn moment(&self, zone: Option<&Zone>) -> Option<Moment> {
        let moment = self.stamp?.moment(self.raw_time.clone(), None, None);
        let Some(zone) = zone.filter(|_| moment.precision == Precision::AssumedZone) else {
            return Some(moment);
        };
        let local = jiff::tz::Offset::UTC.to_datetime(moment.at?);
        Some(Moment { at: zone.to_utc(local), precision: Precision::Second, ..moment })
    }
}

/// The text without the colours of a terminal, also as rsyslog writes them.
fn plain(text: &str) -> String {
    let text = text.trim();
    if text.contains("#033[") {
        return without_colours(&text.replace("#033[", "\u{1b}[")).trim().to_owned();
    }
    without_colours(text).trim().to_owned()
}

type Parts = (String, String, Vec<(String, String)>);

fn of_json(text: &str) -> Option<Vec<(String, String)>> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let text_of = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Some(object.into_iter().map(|(key, value)| (key, text_of(value))).collect())
}

/// Time, message and all keys of a line that has these and a level.
fn of_keys(keys: Vec<(String, String)>, time: &[&str], message: &[&str]) -> Option<Parts> {
    let find = |names: &[&str]| {
        let found = keys.iter().find(|(key, _)| names.contains(&key.as_str()));
        found.map(|(_, text)| text.clone())
    };
    find(&["level"])?;
    Some((find(time)?, find(message).unwrap_or_default(), keys))
}

/// The time at the start of a line, of one word or two, and what follows.
fn time_and_rest(text: &str) -> Option<(&str, &str)> {
    let first = text.find(' ')?;
    let end = if text.get(..first)?.contains('T') {
        first
    } else {
        let after = first.checked_add(1)?;
        after.checked_add(text.get(after..)?.find(' ')?)?
    };
    text.split_at_checked(end)
}

fn stamp(text: &str) -> Option<Stamp> {
    Stamp::read(text).or_else(|| Stamp::read(&text.replace('/', "-")))
}

fn starts_with_level(text: &str) -> bool {
    LEVELS.contains(&text.split_whitespace().next().unwrap_or_default())
}

/// `INFO[0003`
fn is_timed_level(text: &str) -> bool {
    text.split_once('[').is_some_and(|(level, seconds)| {
        LEVELS.contains(&level) && seconds.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Whether it is what a program says of itself, not a log's line with host and program.
fn is_said(text: &str) -> bool {
    let first = text.split(' ').next().unwrap_or_default();
    let is_place = || {
        let (file, line) = first.strip_suffix(':')?.rsplit_once(':')?;
        Some(file.ends_with(".go") && line.parse::<u32>().is_ok())
    };
    starts_with_level(text) || matches!(first, "client:" | "server:") || is_place() == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, at: &str, precision: Precision, message: &str) {
        let form = Form::read(text).unwrap_or_else(|| panic!("{text}"));
        let moment = form.moment(None).unwrap();
        assert_eq!(moment.at.unwrap().to_string(), at, "{text}");
        assert_eq!((moment.precision, form.message.as_str()), (precision, message), "{text}");
    }

    #[test]
    fn every_form() {
        use Precision::{AssumedZone, Exact, Second};
        check("2024-06-03T02:13:03Z INF a b=1", "2024-06-03T02:13:03Z", Second, "INF a b=1");
        check(
            r#"{"level":"info","n":0,"time":"2024-06-03T02:13:03Z","message":"a"}"#,
            "2024-06-03T02:13:03Z",
            Second,
            "a",
        );
        check(
            "\u{1b}[2m2024-06-03T02:12:02.110301Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m x::y: a",
            "2024-06-03T02:12:02.110301Z",
            Exact,
            "INFO x::y: a",
        );
        check(
            "#033[2m2024-06-03T02:12:02Z#033[0m #033[32m INFO#033[0m x::y#033[0m: a",
            "2024-06-03T02:12:02Z",
            Second,
            "INFO x::y: a",
        );
        check(
            "2024/06/03 02:12:04 [I] [a.go:9] b",
            "2024-06-03T02:12:04Z",
            AssumedZone,
            "[I] [a.go:9] b",
        );
        check("2024/06/03 02:12:06 client: a", "2024-06-03T02:12:06Z", AssumedZone, "client: a");
        check(
            "2024/06/03 02:12:06 forward.go:285: a",
            "2024-06-03T02:12:06Z",
            AssumedZone,
            "forward.go:285: a",
        );
        check(
            "time=\"2024-06-03T04:12:06+02:00\" level=info msg=\"a b\" addr=\"x:1\"",
            "2024-06-03T02:12:06Z",
            Second,
            "a b",
        );
        check("[2025-03-11 09:10:31] info a", "2025-03-11T09:10:31Z", AssumedZone, "info a");
    }

    #[test]
    fn a_local_time_is_the_zones() {
        let zone = Zone::of_name("Europe/Berlin").unwrap();
        let at = |text: &str| {
            let moment = Form::read(text).unwrap().moment(Some(&zone)).unwrap();
            (moment.at.unwrap().to_string(), moment.precision)
        };
        let local = at("[2025-07-11 09:10:31] info a");
        assert_eq!(local, ("2025-07-11T07:10:31Z".to_owned(), Precision::Second));
        let own = at("2025-07-11T09:10:31Z INF a");
        assert_eq!(own, ("2025-07-11T09:10:31Z".to_owned(), Precision::Second));
    }

    #[test]
    fn other_lines_are_none() {
        for text in [
            "",
            "Jun  3 02:12:02 host bore[1]: 2024-06-03T02:12:02Z  INFO a",
            "2024-06-03T02:12:02.1+00:00 host bore[1]: INFO a",
            "2024-07-02T01:00:21.1Z stderr F 2024-07-02T01:00:21Z INF a",
            "{\"log\":\"a\",\"time\":\"2024-06-03T02:13:03Z\"}",
            "{\"level\":\"info\"",
            "2024-99-03T02:13:03Z INF a",
            "[section] info a",
            "# 2024/06/03 02:12:06 client: a",
            "2024",
        ] {
            assert!(Form::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn keys_of_both_kinds() {
        let text = "2024-06-03T02:13:03Z INF a ip=192.0.2.1 config=\"{\\\"x\\\":1}\" z=1";
        let form = Form::read(text).unwrap();
        assert_eq!(form.key("ip").as_deref(), Some("192.0.2.1"));
        assert_eq!(form.key("config").as_deref(), Some("{\"x\":1}"));
        assert_eq!(form.key("none"), None);
    }
}
