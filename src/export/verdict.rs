//! verdict.json: the ladder of every tool, with the row ids behind each answer.

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::ExportError;
use super::fresh::write_whole;
use crate::model::{
    Credential, Exposed, HostReport, Rung, RungName, Session, ToolVerdict, Traffic, VersionBracket,
    to_iso,
};

/// Name and version of the format.
pub const SCHEMA: &str = "adit-verdict/1";

/// Writes the verdict, keys in the documented order.
pub(super) fn write(path: &Path, report: &HostReport) -> Result<(), ExportError> {
    let verdict = &report.verdict;
    let mut value = json!({
        "schema": SCHEMA,
        "host": verdict.host,
        "level": verdict.level.as_str(),
        "tools": verdict.tools.iter().map(tool).collect::<Vec<_>>(),
        "unattributed": verdict.unattributed.iter().map(session).collect::<Vec<_>>(),
    });
    let full = report.system.name.as_ref().filter(|name| !name.is_ascii());
    if let (Some(object), Some(full)) = (value.as_object_mut(), full) {
        object.insert("computer".to_owned(), full.clone().into());
    }
    write_json(path, &value)
}

/// Writes a JSON document, indented, with a final line feed.
pub(super) fn write_json(path: &Path, value: &Value) -> Result<(), ExportError> {
    write_whole(path, &to_text(value).map_err(|error| ExportError::at(path, error))?)
}

/// A JSON document as bytes, indented, with a final line feed.
pub(super) fn to_text(value: &Value) -> std::io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.write_all(b"\n")?;
    Ok(text)
}

fn tool(verdict: &ToolVerdict) -> Value {
    let rungs: Map<String, Value> = RungName::ALL
        .into_iter()
        .map(|name| (name.as_str().to_owned(), rung(verdict.rungs.get(&name))))
        .collect();
    let mut value = json!({
        "tool": verdict.tool,
        "level": verdict.level.as_str(),
        "rungs": rungs,
        "sessions": verdict.sessions.iter().map(session).collect::<Vec<_>>(),
        "credentials": verdict.credentials.iter().map(credential).collect::<Vec<_>>(),
        "agent_version": agent_version(&verdict.agent_version),
        "exposed": verdict.exposed.iter().map(exposed).collect::<Vec<_>>(),
    });
    if let Some(object) = value.as_object_mut() {
        if let Some(all) = &verdict.traffic {
            object.insert("traffic".to_owned(), traffic(all));
        }
        if !verdict.serves.is_empty() {
            object.insert("serves".to_owned(), json!(verdict.serves));
        }
    }
    value
}

fn rung(rung: Option<&Rung>) -> Value {
    match rung {
        Some(rung) => json!({
            "answer": rung.answer.as_str(),
            "first": time(rung.first),
            "last": time(rung.last),
            "confidence": rung.confidence,
            "rows": rung.rows,
            "why": rung.why,
        }),
        None => json!({
            "answer": "unknown",
            "first": null,
            "last": null,
            "confidence": 0,
            "rows": [],
            "why": "not examined",
        }),
    }
}

fn session(session: &Session) -> Value {
    let mut value = json!({
        "kind": session.kind,
        "from": time(session.from),
        "until": time(session.until),
        "user": session.user,
        "local_port": session.local_port,
        "remote_address": session.remote_address,
        "workstation": session.workstation,
        "rows": session.rows,
    });
    if let Some(object) = value.as_object_mut() {
        if !session.zone_hours.is_empty() {
            object.insert("zone_hours".to_owned(), session.zone_hours.as_str().into());
        }
        if let Some(all) = &session.traffic {
            object.insert("traffic".to_owned(), traffic(all));
        }
        if !session.carrier.is_empty() {
            object.insert("carrier".to_owned(), session.carrier.as_str().into());
        }
        if !session.candidates.is_empty() {
            object.insert("candidates".to_owned(), json!(session.candidates));
        }
    }
    value
}

fn credential(credential: &Credential) -> Value {
    json!({ "id": credential.id, "minted": time(credential.minted), "rows": credential.rows })
}

fn agent_version(bracket: &VersionBracket) -> Value {
    json!({
        "at_least": bracket.at_least,
        "before": bracket.before,
        "because": bracket.because,
    })
}

fn exposed(exposed: &Exposed) -> Value {
    json!({ "target": exposed.target, "public": exposed.public, "rows": exposed.rows })
}

fn traffic(traffic: &Traffic) -> Value {
    json!({
        "sent": traffic.sent,
        "received": traffic.received,
        "first": time(traffic.first),
        "last": time(traffic.last),
        "rows": traffic.rows,
    })
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(to_iso)
}
