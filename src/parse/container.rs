//! Containers as their engines keep them: Docker's `config.v2.json`, Podman's
//! `containers.json`.
//!
//! Proves that a container of that image was made, and what it was told to run; if it was
//! started, when it was so last. Times are UTC. Source: Docker's `container.Container`, the
//! containers/storage library.

use serde_json::Value as Json;

use super::offer::offer;
use super::{ParseError, Parser, local_time};
use crate::model::{Input, Locator, Record, Sink, Value};

/// A larger file describes no container.
const MAX_BYTES: u64 = 64 << 20;
/// Containers of one file, and texts of one list, that are told.
const MAX_CONTAINERS: usize = 10_000;
const MAX_TEXTS: usize = 256;

/// Reads the description of a container of Docker; one `container` record.
pub struct DockerContainer;

/// Reads Podman's list of containers; a `container` record for each.
pub struct PodmanContainers;

fn json(input: &Input<'_>, format: &'static str) -> Result<Json, ParseError> {
    let bytes = input.read_all(MAX_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|error| ParseError::Broken {
        format,
        offset: 0,
        what: error.to_string(),
    })
}

impl Parser for DockerContainer {
    fn name(&self) -> &'static str {
        "docker_container"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        const FORMAT: &str = "container of Docker";
        let root = json(input, FORMAT)?;
        let Some(config) = root.get("Config").filter(|_| root.get("ID").is_some()) else {
            let found = "JSON without ID and Config".to_owned();
            return Err(ParseError::Foreign { format: FORMAT, found });
        };
        let mut record = Record::new("container", Locator::Offset(0));
        record.push("Name", text(root.get("Name")).trim_start_matches('/'));
        record.push("Image", text(config.get("Image")));
        let words = std::iter::once(text(root.get("Path")).to_owned());
        let words: Vec<String> = words.chain(texts(root.get("Args"))).collect();
        record.push("CommandLine", words.join(" ").trim());
        record.push("ContainerId", text(root.get("ID")));
        record.push("ContainerUser", text(config.get("User")));
        push(&mut record, "Environment", texts(config.get("Env")));
        push(&mut record, "Ports", keys(config.get("ExposedPorts")));
        let networks = root.get("NetworkSettings").and_then(|settings| settings.get("Networks"));
        push(&mut record, "Networks", keys(networks));
        push(&mut record, "Mounts", mounts(root.get("MountPoints")));
        let state = root.get("State");
        if let Some(running) = state.and_then(|state| state.get("Running")?.as_bool()) {
            record.push("Running", running.to_string());
        }
        let of = |name: &str| state.and_then(|state| state.get(name));
        for (time, meaning) in [
            (root.get("Created"), "Container Created"),
            (of("StartedAt"), "Container Started"),
            (of("FinishedAt"), "Container Stopped"),
        ] {
            note(&mut record, text(time), meaning);
        }
        let _ = offer(record, input, sink);
        Ok(())
    }
}

impl Parser for PodmanContainers {
    fn name(&self) -> &'static str {
        "podman_containers"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        const FORMAT: &str = "containers of Podman";
        let Json::Array(all) = json(input, FORMAT)? else {
            let found = "JSON that is no list".to_owned();
            return Err(ParseError::Foreign { format: FORMAT, found });
        };
        for container in all.iter().take(MAX_CONTAINERS) {
            let id = text(container.get("id"));
            let mut record = Record::new("container", Locator::Member(id.to_owned()));
            // What the engine adds stands as JSON in a text.
            let added: Json =
                serde_json::from_str(text(container.get("metadata"))).unwrap_or(Json::Null);
            let names = texts(container.get("names"));
            record.push("Name", names.first().map(String::as_str).unwrap_or_default());
            record.push("Image", text(added.get("image-name")));
            record.push("ContainerId", id);
            note(&mut record, text(container.get("created")), "Container Created");
            if offer(record, input, sink).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// A time as the engines write it; the year 1 stands for none.
fn note(record: &mut Record, text: &str, meaning: &'static str) {
    if !text.is_empty() && !text.starts_with("0001-") {
        record.times.push(local_time::moment(text, None, meaning));
    }
}

fn text(json: Option<&Json>) -> &str {
    json.and_then(Json::as_str).unwrap_or_default()
}

fn texts(json: Option<&Json>) -> Vec<String> {
    let all = json.and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(Json::as_str).take(MAX_TEXTS).map(str::to_owned).collect()
}

fn keys(json: Option<&Json>) -> Vec<String> {
    let all = json.and_then(Json::as_object);
    all.into_iter().flat_map(|all| all.keys()).take(MAX_TEXTS).cloned().collect()
}

/// `source:destination` of every mount.
fn mounts(json: Option<&Json>) -> Vec<String> {
    let all = json.and_then(Json::as_object);
    let one = |mount: &Json| {
        let source = Some(text(mount.get("Source"))).filter(|source| !source.is_empty());
        let source = source.unwrap_or_else(|| text(mount.get("Name")));
        format!("{source}:{}", text(mount.get("Destination")))
    };
    all.into_iter().flat_map(|all| all.values()).take(MAX_TEXTS).map(one).collect()
}

/// Pushes a list, unless it is empty.
pub(super) fn push(record: &mut Record, name: &'static str, values: Vec<String>) {
    if !values.is_empty() {
        record.push(name, Value::List(values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{parse, torment};

    const DOCKER: &[u8] = br#"{"ID":"36c3","Created":"2024-03-11T02:20:00.118Z","Path":"/e.sh",
        "Args":["tcp","22"],"Name":"/tun","State":{"Running":true,
        "StartedAt":"2024-03-11T02:20:01Z","FinishedAt":"0001-01-01T00:00:00Z"},
        "Config":{"Image":"a/b:3","Env":["X=1"]},
        "MountPoints":{"/d":{"Source":"/s","Destination":"/d"}}}"#;

    #[test]
    fn containers_of_both() {
        let kept = parse(&DockerContainer, DOCKER).unwrap();
        assert_eq!(
            kept.shown(),
            "container offset:0x0 | Name=tun | Image=a/b:3 | CommandLine=/e.sh tcp 22 \
             | ContainerId=36c3 | Environment=X=1 | Mounts=/s:/d | Running=true \
             | Container Created 2024-03-11T02:20:00.118Z exact 2024-03-11T02:20:00.118Z \
             | Container Started 2024-03-11T02:20:01Z second 2024-03-11T02:20:01Z\n"
        );
        let podman = br#"[{"id":"9","names":["n"],"metadata":"{\"image-name\":\"a/b\"}"}]"#;
        let kept = parse(&PodmanContainers, podman).unwrap();
        assert_eq!(kept.records[0].text("Image"), Some("a/b"));
        torment(&PodmanContainers, podman, 200);
    }

    #[test]
    fn damaged_and_foreign() {
        for foreign in [&b"{}"[..], b"<html>", DOCKER.get(..90).unwrap()] {
            assert!(parse(&DockerContainer, foreign).is_err());
            assert!(parse(&PodmanContainers, foreign).is_err());
        }
        torment(&DockerContainer, DOCKER, 300);
    }
}
