//! Answers of a tunnel agent's own local interface ("Agent API" of ngrok's
//! documentation), as they were had from the running agent.
//!
//! | resource | what it shows |
//! |---|---|
//! | `/api/status` | version, session and server region |
//! | `/api/tunnels`, `/api/endpoints` | public address, what it leads to, connections so far |
//! | `/api/requests/http` | recent requests: when, from which address, for what |
//!
//! What an endpoint counts proves use; the list of requests holds the last few
//! hundred of HTTP tunnels alone, and none where inspection is off.

use jiff::Timestamp;
use serde_json::Value as Json;

use super::ParseError;
use super::secret::redact_text;
use super::target::{Target, host_and_port};
use crate::model::{Locator, Moment, Record};

/// Most endpoints and requests of one answer.
const MAX_RECORDS: usize = 10_000;
/// Longest text that is taken over, in characters.
const MAX_TEXT: usize = 4096;

/// The records of one answer; locators count its entries from 0.
///
/// # Errors
///
/// When it is no JSON object.
pub fn records(url: &str, body: &[u8]) -> Result<Vec<Record>, ParseError> {
    let foreign =
        |found: String| ParseError::Foreign { format: "answer of the agent's interface", found };
    let answer: Json = serde_json::from_slice(body).map_err(|error| foreign(error.to_string()))?;
    if !answer.is_object() {
        return Err(foreign("no object".to_owned()));
    }
    let list = |name: &str| {
        let items = answer.get(name).and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        items.iter().take(MAX_RECORDS)
    };
    let mut out: Vec<Record> = list("tunnels")
        .chain(list("endpoints"))
        .enumerate()
        .map(|(at, item)| endpoint(at, item))
        .collect();
    out.extend(list("requests").enumerate().map(|(at, item)| request(at, item)));
    if url.ends_with("/api/status") {
        out.push(status(&answer));
    }
    Ok(out)
}

/// The text at a path of keys; a number as its digits.
fn text(json: &Json, keys: &[&str]) -> String {
    let found = keys.iter().try_fold(json, |at, key| at.get(key));
    let text = match found {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    redact_text(&text.chars().take(MAX_TEXT).collect::<String>()).into_owned()
}

fn locator(at: usize) -> Locator {
    Locator::Record(at.try_into().unwrap_or(u64::MAX))
}

fn endpoint(at: usize, item: &Json) -> Record {
    let mut record = Record::new("tunnel_endpoint", locator(at));
    record.push("EndpointName", text(item, &["name"]));
    record.push("Id", text(item, &["ID"]));
    record.push("Proto", text(item, &["proto"]));
    record.push("Public", first(item, &[&["public_url"], &["url"]]));
    let address = first(item, &[&["config", "addr"], &["upstream", "url"], &["upstream", "addr"]]);
    if let Some(target) = Target::new(&address) {
        record.push("Target", target.text);
        if let Some(port) = target.port {
            record.push("TargetPort", i64::from(port));
        }
        record.push("RiskyTarget", target.risk.unwrap_or_default());
    }
    record.push("Connections", text(item, &["metrics", "conns", "count"]));
    record.push("State", "open now, as the agent itself says");
    record
}

fn first(item: &Json, paths: &[&[&str]]) -> String {
    paths.iter().map(|path| text(item, path)).find(|text| !text.is_empty()).unwrap_or_default()
}

fn request(at: usize, item: &Json) -> Record {
    let mut record = Record::new("agent_log", locator(at));
    record.push("Message", "request came through the tunnel");
    record.push("Object", "http");
    record.push("Name", text(item, &["tunnel_name"]));
    record.push("Id", text(item, &["id"]));
    let from = text(item, &["remote_addr"]);
    let (host, port) = host_and_port(&from);
    record.push("RemoteAddress", host.trim_start_matches('[').trim_end_matches(']'));
    if let Some(port) = port {
        record.push("RemotePort", i64::from(port));
    }
    record.push("Method", text(item, &["request", "method"]));
    record.push("Url", text(item, &["request", "uri"]));
    record.push("Status", text(item, &["response", "status"]));
    let raw = text(item, &["start"]);
    if let Ok(at) = raw.parse::<Timestamp>() {
        record.times.push(Moment { raw, ..Moment::exact(at, "Request Received") });
    }
    record
}

fn status(answer: &Json) -> Record {
    let mut record = Record::new("agent_log", locator(0));
    record.push("Message", "tunnel session started");
    record.push("Object", "agent status");
    record.push("Status", text(answer, &["status"]));
    record.push("Version", first(answer, &[&["agent_version"], &["version"]]));
    record.push("Region", text(answer, &["session", "legs", "region"]));
    record.push("Addr", text(answer, &["session", "serverAddr"]));
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(url: &str, body: &str) -> Vec<Vec<(String, String)>> {
        let record = |r: Record| {
            r.fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        records(url, body.as_bytes()).unwrap().into_iter().map(record).collect()
    }

    #[test]
    fn tunnels_and_requests_are_read() {
        let tunnels = r#"{"tunnels":[{"name":"rdp","uri":"/api/tunnels/rdp","proto":"tcp",
            "public_url":"tcp://0.tcp.eu.ngrok.io:12345","config":{"addr":"localhost:3389"},
            "metrics":{"conns":{"count":3}}}],"uri":"/api/tunnels"}"#;
        let found = fields("http://127.0.0.1:4040/api/tunnels", tunnels);
        let has = |name: &str, value: &str| found[0].iter().any(|(n, v)| n == name && v == value);
        assert!(has("Target", "localhost:3389") && has("RiskyTarget", "rdp"));
        assert!(has("Public", "tcp://0.tcp.eu.ngrok.io:12345") && has("Connections", "3"));
        let requests = r#"{"requests":[{"id":"airt_1","tunnel_name":"web",
            "remote_addr":"203.0.113.9:50112","start":"2026-03-04T10:11:12.5+01:00",
            "request":{"method":"GET","uri":"/a?password=x"},"response":{"status":"200 OK"}}]}"#;
        let records = records("u/api/requests/http", requests.as_bytes()).unwrap();
        assert_eq!(records[0].text("RemoteAddress"), Some("203.0.113.9"));
        assert_eq!(records[0].number("RemotePort"), Some(50112));
        let at = records[0].first_time().map(|at| at.to_string());
        assert_eq!(at.as_deref(), Some("2026-03-04T09:11:12.5Z"));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for body in ["", "[]", "<html>", "{\"tunnels\":", "{\"tunnels\":\"x\"}x"] {
            assert!(records("u", body.as_bytes()).is_err(), "{body}");
        }
        assert!(records("u", b"{\"tunnels\":7,\"requests\":[1,null]}").is_ok());
        let deep = "[".repeat(100_000);
        assert!(records("u", deep.as_bytes()).is_err());
    }
}
