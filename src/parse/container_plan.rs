//! Containers that somebody described and that may never have run: compose files, manifests
//! of Kubernetes.
//!
//! ```text
//! services:               kind: Deployment
//!   tunnel:               spec: … containers:
//!     image: a/b:3          - { name: tunnel, image: a/b:3, command: [b], args: [tcp, "22"],
//!     command: tcp 22           env: [{ name: TOKEN, value: x }] }
//! ```
//!
//! Whatever has an `image` is one, wherever in the tree it stands. No time of its own. Of
//! the environment, only what is written out counts: `${TOKEN}` names no account.
//! Sources: the Compose specification; Kubernetes' `v1.Container`.

use super::container::push;
use super::offer::offer;
use super::tunnel_config::{Content, Node, Outline, is_placeholder};
use super::{ParseError, Parser};
use crate::model::{Input, Locator, Record, Sink};

const FORMAT: &str = "description of containers";
/// A larger file describes none.
const MAX_BYTES: u64 = 4 << 20;
/// Containers of one file, and levels that are looked into.
const MAX_CONTAINERS: usize = 1000;
const MAX_DEPTH: usize = 32;

/// Reads compose files and manifests; for each container a `container_plan` record, or a
/// `container_manifest` record if Kubernetes is told of it, and a `container_kept` record
/// beside it, if it is started again whenever it ended.
pub struct ContainerPlan;

impl Parser for ContainerPlan {
    fn name(&self) -> &'static str {
        "container_plan"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let bytes = input.read_all(MAX_BYTES)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| ParseError::Foreign { format: FORMAT, found: error.to_string() })?;
        let mut found = Vec::new();
        for (above, document) in documents(text) {
            let outline = Outline::read(document);
            let kind = outline.root.text("kind").unwrap_or_default().to_owned();
            let first = found.len();
            collect(&outline.root, "", MAX_DEPTH, &mut found);
            for record in found.iter_mut().skip(first) {
                if let Locator::Line(line) = &mut record.locator {
                    *line = line.saturating_add(above);
                }
                if !kind.is_empty() {
                    record.category = "container_manifest";
                }
                record.push("Kind", kind.as_str());
            }
        }
        for record in found {
            let kept =
                is_kept(&record).then(|| Record { category: "container_kept", ..record.clone() });
            for record in [Some(record), kept].into_iter().flatten() {
                if offer(record, input, sink).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The documents of a stream, each with the lines above it.
fn documents(text: &str) -> Vec<(u64, &str)> {
    let (mut all, mut start, mut above, mut lines) = (Vec::new(), 0, 0, 0u64);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" {
            all.push((above, text.get(start..at).unwrap_or_default()));
            (start, above) = (at, lines);
        }
        at = at.saturating_add(line.len());
        lines = lines.saturating_add(1);
    }
    all.push((above, text.get(start..).unwrap_or_default()));
    all.retain(|(_, document)| !document.trim().is_empty());
    all
}

/// Adds every mapping with an image, in the source's order.
fn collect(node: &Node, key: &str, depth: usize, found: &mut Vec<Record>) {
    let Some(depth) = depth.checked_sub(1).filter(|_| found.len() < MAX_CONTAINERS) else { return };
    if let Some(image) = node.text("image") {
        found.push(described(node, key, image));
    }
    for (key, below) in node.entries() {
        collect(below, key, depth, found);
    }
    for item in node.items() {
        collect(item, key, depth, found);
    }
}

fn described(node: &Node, key: &str, image: &str) -> Record {
    let line = node.get("image").map_or(node.line, |image| image.line);
    let mut record = Record::new("container_plan", Locator::Line(line));
    let name = ["container_name", "name"].iter().find_map(|name| node.text(name));
    record.push("Name", name.unwrap_or(key));
    record.push("Image", image);
    // Kubernetes' command is what Compose calls entrypoint.
    let words = ["entrypoint", "command", "args"].iter().filter_map(|key| node.get(key));
    record.push("CommandLine", words.flat_map(Node::texts).collect::<Vec<_>>().join(" "));
    let of = |key| node.get(key).map(pairs).unwrap_or_default();
    let mut environment = [of("environment"), of("env")].concat();
    environment.retain(|pair| is_written_out(pair));
    push(&mut record, "Environment", environment);
    push(&mut record, "Ports", of("ports"));
    let policy = || node.get("deploy")?.get("restart_policy")?.text("condition");
    record.push("Restart", node.text("restart").or_else(policy).unwrap_or_default());
    record
}

/// Whether a container comes up again by itself: by its policy in Compose, or since
/// Kubernetes sees to what is of such a kind.
fn is_kept(record: &Record) -> bool {
    const KINDS: [&str; 6] =
        ["DaemonSet", "Deployment", "Pod", "ReplicaSet", "ReplicationController", "StatefulSet"];
    let is_one = |field, of: &[&str]| record.text(field).is_some_and(|text| of.contains(&text));
    is_one("Kind", &KINDS) || is_one("Restart", &["always", "any", "unless-stopped"])
}

/// Whether a `NAME=value` has its value written out.
fn is_written_out(pair: &str) -> bool {
    pair.split_once('=').is_some_and(|(_, value)| !value.is_empty() && !is_placeholder(value))
}

/// `NAME=value` of a mapping, of a list of such texts, or of a list of names and values.
fn pairs(node: &Node) -> Vec<String> {
    let text = |node: &Node| node.as_text().unwrap_or_default().to_owned();
    match &node.content {
        Content::Map(entries) => {
            entries.iter().map(|(name, value)| format!("{name}={}", text(value))).collect()
        }
        Content::List(items) => items.iter().filter_map(item).collect(),
        Content::Scalar(only) => vec![only.clone()],
        Content::Empty => Vec::new(),
    }
}

fn item(node: &Node) -> Option<String> {
    if let Some(text) = node.as_text() {
        return Some(text.to_owned());
    }
    if let Some(name) = node.text("name").filter(|_| node.get("containerPort").is_none()) {
        return Some(format!("{name}={}", node.text("value").unwrap_or_default()));
    }
    node.text("containerPort").or_else(|| node.text("target")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{parse, torment};

    const COMPOSE: &[u8] = b"services:\n  web:\n    image: nginx:1.25\n    ports: ['80:80']\n  \
        tunnel:\n    image: ngrok/ngrok:alpine\n    command:\n      - tcp\n      - host.docker.internal:3389\n    \
        environment:\n      NGROK_AUTHTOKEN: abc\n      A: ${A}\n    restart: always\n";
    const MANIFEST: &[u8] = b"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: x\n---\n\
        apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        \
        - name: agent\n          image: docker.io/ngrok/ngrok:3\n          args: [http, 'web:80']\n          \
        env:\n            - name: NGROK_AUTHTOKEN\n              value: abc\n          \
        ports:\n            - containerPort: 4040\n";

    #[test]
    fn services_of_a_compose_file() {
        assert_eq!(
            parse(&ContainerPlan, COMPOSE).unwrap().shown(),
            "container_plan line:3 | Name=web | Image=nginx:1.25 | Ports=80:80\n\
             container_plan line:6 | Name=tunnel | Image=ngrok/ngrok:alpine \
             | CommandLine=tcp host.docker.internal:3389 | Environment=NGROK_AUTHTOKEN=abc | Restart=always\n\
             container_kept line:6 | Name=tunnel | Image=ngrok/ngrok:alpine \
             | CommandLine=tcp host.docker.internal:3389 | Environment=NGROK_AUTHTOKEN=abc \
             | Restart=always\n"
        );
    }

    #[test]
    fn containers_of_a_manifest_with_several_documents() {
        assert_eq!(
            parse(&ContainerPlan, MANIFEST).unwrap().shown(),
            "container_manifest line:13 | Name=agent | Image=docker.io/ngrok/ngrok:3 \
             | CommandLine=http web:80 | Environment=NGROK_AUTHTOKEN=abc | Ports=4040 \
             | Kind=Deployment\n\
             container_kept line:13 | Name=agent | Image=docker.io/ngrok/ngrok:3 \
             | CommandLine=http web:80 | Environment=NGROK_AUTHTOKEN=abc | Ports=4040 \
             | Kind=Deployment\n"
        );
    }

    #[test]
    fn damaged_and_foreign() {
        assert!(parse(&ContainerPlan, b"\xff\xfe\x00").is_err());
        assert_eq!(parse(&ContainerPlan, b"image\nno: [yaml").unwrap().shown(), "");
        let deep = "a:\n ".repeat(500) + "image: x";
        let _ = parse(&ContainerPlan, deep.as_bytes());
        torment(&ContainerPlan, COMPOSE, 300);
        torment(&ContainerPlan, MANIFEST, 300);
    }
}
