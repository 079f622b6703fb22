//! The configuration of the ngrok agent, versions 1 to 3, under any name and in
//! any encoding.
//!
//! Proves that the agent was set up: by which account, for what to let out, and
//! with which precautions. Documented at ngrok.com/docs/agent/config; the first
//! version in the source of ngrok 1.x. Recognized by content alone: a token under
//! the agent's key, or tunnels and endpoints in the agent's shape.

mod outline;
mod schema;
mod sections;
mod siblings;

use std::ops::ControlFlow;

pub(super) use outline::{Content, Node, Outline};
use schema::Endpoint;
pub(super) use schema::is_placeholder;
pub use siblings::TunnelConfig;

use super::lines::{Encoding, Words, decode};
use super::secret::{Token, TokenKind, redact_text};
use super::{ParseError, Parser};
use crate::model::{Input, Locator, Moment, Precision, Record, Sink, Value};

/// Only so much of a file is looked at.
const MAX_BYTES: usize = 1 << 20;
/// Tunnels and endpoints told of one file.
const MAX_ENDPOINTS: usize = 1000;
/// Bytes the caller shows for recognition.
const START_BYTES: usize = 4096;

/// Reads the agent's configuration; one `config` record and one
/// `tunnel_endpoint` record for each thing let out.
pub struct NgrokConfig;

impl Parser for NgrokConfig {
    fn name(&self) -> &'static str {
        "ngrok_config"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn is_text(&self) -> bool {
        true
    }

    fn words(&self) -> &'static [&'static str] {
        WORDS.all()
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        if !WORDS.are_mentioned(start) {
            return false;
        }
        let (text, _) = decode(start);
        // The last line may be cut off.
        let whole = match text.rfind('\n') {
            Some(end) if start.len() >= START_BYTES => text.get(..end).unwrap_or(&text),
            _ => &text,
        };
        Config::read(whole).is_some()
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let (text, encoding) = read_text(input)?;
        let config = (encoding != Encoding::Binary).then(|| Config::read(&text)).flatten();
        let Some(config) = config else {
            let found =
                text.lines().next().unwrap_or_default().chars().take(40).collect::<String>();
            let found = redact_text(&found).escape_debug().to_string();
            return Err(ParseError::Foreign { format: "ngrok configuration", found });
        };
        let crlf = if text.contains("\r\n") { "+crlf" } else { "" };
        let mut record = config.record();
        record.push("Encoding", format!("{}{crlf}", encoding.as_str()));
        if sink.record(record) == ControlFlow::Break(()) {
            return Ok(());
        }
        for endpoint in schema::endpoints(&config.outline.root).into_iter().take(MAX_ENDPOINTS) {
            if sink.record(endpoint_record(endpoint)) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The text of a file as far as it is looked at.
fn read_text(input: &Input<'_>) -> Result<(String, Encoding), ParseError> {
    let size = usize::try_from(input.bytes.size()).unwrap_or(MAX_BYTES).min(MAX_BYTES);
    let mut bytes = vec![0; size];
    let mut filled = 0usize;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let n = input.bytes.read_at(filled as u64, rest)?;
        if n == 0 {
            break;
        }
        filled = filled.saturating_add(n);
    }
    bytes.truncate(filled);
    let (text, encoding) = decode(&bytes);
    Ok((text.into_owned(), encoding))
}

/// One of these words is in every configuration of the agent.
static WORDS: Words = Words::new(&["tunnels", "authtoken", "auth_token", "endpoints", "agent"]);

/// A text that is the agent's configuration.
struct Config {
    outline: Outline,
    version: schema::Version,
}

impl Config {
    fn read(text: &str) -> Option<Self> {
        let outline = Outline::read(text);
        let version = schema::version(&outline.root, is_template(text, &outline.root))?;
        Some(Self { outline, version })
    }

    fn record(&self) -> Record {
        let root = &self.outline.root;
        let token = schema::token(root);
        let line = token.map_or(1, |node| node.line.max(1));
        let mut record = Record::new("config", Locator::Line(line));
        record.push("ConfigVersion", self.version.as_str());
        record.push("AgentVersionHint", self.version.agent());
        let key = schema::api_key(root);
        push_token(&mut record, token, TokenKind::Authtoken, ["CredentialId", "Authtoken"]);
        push_token(&mut record, key, TokenKind::ApiKey, ["ApiKeyId", "ApiKey"]);
        for (field, keys) in [
            ("Region", &["region"][..]),
            ("ServerAddr", &["server_addr"]),
            ("ConnectUrl", &["connect_url"]),
            ("WebAddr", &["web_addr", "inspect_addr"]),
            ("LogPath", &["log"]),
            ("ProxyUrl", &["proxy_url", "http_proxy", "socks5_proxy"]),
        ] {
            let text = keys.iter().find_map(|key| schema::setting(root, key)?.as_text());
            record.push(field, redact_text(text.unwrap_or_default()).into_owned());
        }
        let resolvers = schema::setting(root, "dns_resolver_ips").map(Node::texts);
        let resolvers = resolvers.unwrap_or_default().into_iter().map(str::to_owned).collect();
        push_list(&mut record, "DnsResolverIps", resolvers);
        push_list(&mut record, "Flags", schema::flags(root));
        push_list(&mut record, "Operator", schema::operator(root));
        record.push("ValidYaml", if self.outline.valid_yaml { "true" } else { "false" });
        record
    }
}

/// Whether the token stands only in a comment or as a placeholder.
fn is_template(text: &str, root: &Node) -> bool {
    if schema::has_own_token(root) {
        return false;
    }
    text.lines().any(|line| {
        let line = line.trim_start();
        let key = line.trim_start_matches(['#', ' ', '\t', '"', '\'']);
        ["authtoken", "auth_token"].iter().any(|word| {
            key.strip_prefix(word)
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
        })
    })
}

fn push_token(
    record: &mut Record,
    node: Option<&Node>,
    kind: TokenKind,
    fields: [&'static str; 2],
) {
    let Some(text) = node.and_then(Node::as_text) else { return };
    let token = Token::new(text, kind);
    for (field, value) in fields.into_iter().zip([token.id, token.redacted]) {
        record.push(field, value);
    }
    if let Some(at) = token.minted {
        record
            .times
            .push(Moment { precision: Precision::Exact, ..Moment::exact(at, "Token Minted") });
    }
}

fn push_list(record: &mut Record, field: &'static str, values: Vec<String>) {
    if !values.is_empty() {
        record.push(field, Value::List(values));
    }
}

fn endpoint_record(endpoint: Endpoint) -> Record {
    let mut record = Record::new("tunnel_endpoint", Locator::Line(endpoint.line.max(1)));
    record.push("EndpointName", endpoint.name);
    record.push("Proto", endpoint.proto);
    if let Some(target) = endpoint.target {
        record.push("Target", redact_text(&target.text).into_owned());
        if let Some(port) = target.port {
            record.push("TargetPort", i64::from(port));
        }
        record.push("RiskyTarget", target.risk.unwrap_or_default());
    }
    record.push("Public", endpoint.public);
    push_list(&mut record, "Auth", endpoint.auth);
    record
}

#[cfg(test)]
mod tests;
