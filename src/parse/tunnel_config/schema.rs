//! What the agent's configuration means, versions 1 to 3.
//!
//! | version | token | entries | agent |
//! |---|---|---|---|
//! | 1 | `auth_token` | `tunnels.<name>.proto.<p>: addr` | 1.x |
//! | none | `authtoken` | `tunnels.<name>.{proto, addr}` | 2.x |
//! | `"2"` | `authtoken` | the same | from 3.0.0 |
//! | `"3"` | `agent.authtoken` | `endpoints[].upstream.url`, `tunnels` too | from 3.16.0 |

use super::outline::{Content, Node};
use crate::parse::secret::{is_ksuid_token, redact_text, redacted_login};
use crate::parse::target::Target;

/// Keys at the top of a configuration, all versions.
const ROOT_KEYS: &[&str] = &[
    "version",
    "agent",
    "endpoints",
    "tunnels",
    "authtoken",
    "auth_token",
    "api_key",
    "region",
    "server_addr",
    "trust_host_root_certs",
    "inspect_addr",
    "http_proxy",
    "socks5_proxy",
    "proxy_url",
    "root_cas",
    "crl_noverify",
    "dns_resolver_ips",
    "metadata",
    "console_ui",
    "console_ui_color",
    "inspect_db_size",
    "heartbeat_interval",
    "heartbeat_tolerance",
    "host_header",
    "log",
    "log_level",
    "log_format",
    "web_addr",
    "web_allow_hosts",
    "remote_management",
    "update",
    "update_check",
    "update_channel",
    "connect_url",
    "connect_cas",
    "connect_timeout",
    "client_id",
    "compression_mode",
];

/// Keys that mark another program's file whatever else it holds.
const FOREIGN_KEYS: &[&str] = &[
    "services",
    "apiVersion",
    "kind",
    "jobs",
    "openapi",
    "swagger",
    "paths",
    "hosts",
    "tasks",
    "entryPoints",
    "http",
    "routers",
    "providers",
    "receivers",
    "spec",
    "image",
    "volumes",
];

/// The shortest text taken for a token.
const MIN_TOKEN_CHARS: usize = 10;

/// What the configuration is, if it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    /// Without `version:`, as the agent 2.x wrote it.
    TwoUnmarked,
    Two,
    Three,
}

impl Version {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::TwoUnmarked | Self::Two => "2",
            Self::Three => "3",
        }
    }

    /// Versions of the agent that write or read it.
    pub(super) fn agent(self) -> &'static str {
        match self {
            Self::One => "1.x",
            Self::TwoUnmarked => "2.x",
            Self::Two => "3.0.0+",
            Self::Three => "3.16.0+",
        }
    }
}

/// The settings of the agent itself: under `agent:` in version 3, else the root.
pub(super) fn setting<'a>(root: &'a Node, key: &str) -> Option<&'a Node> {
    root.get("agent").and_then(|agent| agent.get(key)).or_else(|| root.get(key))
}

/// The token's node, whatever it is called.
pub(super) fn token(root: &Node) -> Option<&Node> {
    setting(root, "authtoken").or_else(|| root.get("auth_token")).filter(|t| is_token(t))
}

/// The API key's node.
pub(super) fn api_key(root: &Node) -> Option<&Node> {
    setting(root, "api_key").filter(|t| is_token(t))
}

/// Whether a token is set, to whatever but a placeholder: servers of one's own take any.
pub(super) fn has_own_token(root: &Node) -> bool {
    let set = setting(root, "authtoken").or_else(|| root.get("auth_token"));
    set.and_then(Node::as_text).is_some_and(|text| !text.is_empty() && !is_placeholder(text))
}

/// Whether a value is a token and not a placeholder for one.
fn is_token(node: &Node) -> bool {
    let Some(text) = node.as_text() else { return false };
    if is_ksuid_token(text) {
        return true;
    }
    text.len() >= MIN_TOKEN_CHARS
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && !is_placeholder(text)
}

/// Whether a value is written in place of the real one.
pub(in crate::parse) fn is_placeholder(text: &str) -> bool {
    const WORDS: [&str; 6] = ["your", "xxxx", "authtoken", "auth_token", "token_here", "changeme"];
    let lower = text.to_ascii_lowercase();
    text.contains(['$', '<', '{']) || WORDS.iter().any(|word| lower.contains(word))
}

/// The version of the configuration with this root; `None` if it is none.
///
/// `template` says that the text holds a token only in a comment or as a
/// placeholder: such a file is documentation, no agent ran with it.
pub(super) fn version(root: &Node, template: bool) -> Option<Version> {
    let known = root.entries().iter().filter(|(k, _)| ROOT_KEYS.contains(&k.as_str())).count();
    let foreign = root.entries().iter().any(|(k, _)| FOREIGN_KEYS.contains(&k.as_str()));
    if foreign || known == 0 || known.saturating_mul(2) < root.entries().len() {
        return None;
    }
    let marked = root.text("version").map(str::trim);
    let has_token = token(root).is_some();
    let at_root = root.get("authtoken").is_some();
    let tunnels = root.get("tunnels").is_some_and(has_tunnel);
    let endpoints = root.get("endpoints").is_some_and(has_endpoint);
    let agent = root.get("agent").is_some_and(|agent| {
        ["authtoken", "connect_url"].iter().any(|key| agent.get(key).is_some())
    });
    let whole = has_token
        && (at_root || agent || root.get("auth_token").is_some_and(|_| first_version(root)));
    let parts =
        agent && marked == Some("3") || endpoints && (agent || marked == Some("3")) || tunnels;
    // A client of a self-hosted 1.x server needs no token.
    let own_server =
        root.get("server_addr").is_some() && root.get("trust_host_root_certs").is_some();
    if !whole && !own_server && (template || !parts) {
        return None;
    }
    Some(match marked {
        Some("3") => Version::Three,
        _ if endpoints || agent => Version::Three,
        Some(_) => Version::Two,
        None if first_version(root) => Version::One,
        None => Version::TwoUnmarked,
    })
}

/// Whether only the agent 1.x (or a server of it) has such a file.
fn first_version(root: &Node) -> bool {
    let own = ["auth_token", "trust_host_root_certs", "inspect_addr"];
    let nested = root.get("tunnels").is_some_and(|tunnels| {
        tunnels
            .entries()
            .iter()
            .any(|(_, t)| t.get("proto").is_some_and(|p| !p.entries().is_empty()))
    });
    root.get("authtoken").is_none()
        && (nested || own.iter().any(|key| root.get(key).is_some()))
        && root.entries().iter().all(|(key, _)| ROOT_KEYS.contains(&key.as_str()))
}

fn has_tunnel(tunnels: &Node) -> bool {
    let proto =
        |p: &str| matches!(p.split(['+', ',']).next(), Some("http" | "https" | "tls" | "tcp"));
    tunnels.entries().iter().any(|(_, tunnel)| match tunnel.get("proto") {
        Some(p) if !p.entries().is_empty() => p.entries().iter().any(|(name, _)| proto(name)),
        Some(p) => tunnel.get("addr").is_some() && p.texts().iter().any(|name| proto(name)),
        None => tunnel.get("addr").is_some() && tunnel.get("labels").is_some(),
    })
}

fn has_endpoint(endpoints: &Node) -> bool {
    endpoints.items().iter().any(|endpoint| upstream(endpoint).is_some())
}

fn upstream(endpoint: &Node) -> Option<&str> {
    let upstream = endpoint.get("upstream")?;
    upstream.text("url").or_else(|| upstream.as_text())
}

/// One thing let out.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Endpoint {
    pub name: String,
    pub proto: String,
    pub target: Option<Target>,
    /// URL, host name, domain or remote address as given.
    pub public: String,
    /// Who may connect, passwords made unreadable.
    pub auth: Vec<String>,
    pub line: u64,
}

/// Every tunnel and endpoint, in the file's order.
pub(super) fn endpoints(root: &Node) -> Vec<Endpoint> {
    let mut all = Vec::new();
    for (name, tunnel) in root.get("tunnels").map_or(&[][..], Node::entries) {
        tunnels_of(name, tunnel, &mut all);
    }
    for node in root.get("endpoints").map_or(&[][..], Node::items) {
        let url = node.text("url").unwrap_or_default();
        let address = upstream(node).unwrap_or_default();
        let scheme =
            |url: &str| url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let protocol = node.get("upstream").and_then(|u| u.text("protocol"));
        all.push(Endpoint {
            name: node.text("name").unwrap_or_default().to_owned(),
            proto: scheme(url)
                .or_else(|| scheme(address))
                .or_else(|| protocol.map(str::to_owned))
                .unwrap_or_default(),
            target: Target::new(address),
            public: redact_text(url).into_owned(),
            auth: auth(node),
            line: node.line,
        });
    }
    all
}

fn tunnels_of(name: &str, tunnel: &Node, all: &mut Vec<Endpoint>) {
    if tunnel.entries().is_empty() {
        return;
    }
    let public = ["url", "hostname", "domain", "remote_addr", "subdomain"]
        .iter()
        .find_map(|key| tunnel.text(key))
        .map(|text| redact_text(text).into_owned())
        .or_else(|| tunnel.text("remote_port").map(|port| format!(":{port}")))
        .or_else(|| tunnel.get("labels").map(|labels| labels.texts().join(" ")))
        .unwrap_or_default();
    let entry = |proto: &str, address: &str| Endpoint {
        name: name.to_owned(),
        proto: proto.to_owned(),
        target: Target::new(address),
        public: public.clone(),
        auth: auth(tunnel),
        line: tunnel.line,
    };
    let address = tunnel.text("addr").unwrap_or_default();
    match tunnel.get("proto").map(|proto| (&proto.content, proto)) {
        Some((Content::Map(protos), _)) => {
            all.extend(protos.iter().map(|(p, at)| entry(p, at.as_text().unwrap_or_default())));
        }
        Some((_, proto)) => all.push(entry(&proto.texts().join("+"), address)),
        None => all.push(entry("", address)),
    }
}

fn auth(node: &Node) -> Vec<String> {
    let logins = ["basic_auth", "auth"].into_iter().filter_map(|key| node.get(key));
    let mut all: Vec<String> = logins.flat_map(Node::texts).map(redacted_login).collect();
    for key in ["traffic_policy", "traffic_policy_file", "traffic_policy_url", "oauth", "oidc"] {
        if let Some(policy) = node.get(key) {
            all.push(match policy.as_text() {
                Some(text) => format!("{key}: {}", redact_text(text)),
                None => key.to_owned(),
            });
        }
    }
    all
}

/// The settings that make the agent harder to see, in a fixed order.
pub(super) fn flags(root: &Node) -> Vec<String> {
    let is = |key: &str, value: &str| {
        setting(root, key).and_then(Node::as_text).is_some_and(|t| t.eq_ignore_ascii_case(value))
    };
    let set = |key: &str| setting(root, key).is_some_and(|node| node.content != Content::Empty);
    let own_server = ["connect_url", "server_addr"].iter().any(|key| {
        setting(root, key).and_then(Node::as_text).is_some_and(|text| !is_provider(text))
    });
    let proxy = ["proxy_url", "http_proxy", "socks5_proxy"].iter().any(|key| set(key));
    [
        (is("crl_noverify", "true"), "crlnoverify"),
        (own_server, "custom_server"),
        (proxy, "proxy"),
        (set("dns_resolver_ips"), "own_dns"),
        (is("update_check", "false") || is("update", "false"), "no_update_check"),
        (is("log", "false"), "no_log"),
        (is("web_addr", "false"), "no_web"),
        (is("remote_management", "false"), "remote_management_off"),
    ]
    .into_iter()
    .filter(|(on, _)| *on)
    .map(|(_, word)| word.to_owned())
    .collect()
}

/// Whether an address is one of the provider's own.
fn is_provider(address: &str) -> bool {
    let host = address.rsplit("://").next().unwrap_or_default().split([':', '/']).next();
    let host = host.unwrap_or_default().to_ascii_lowercase();
    ["ngrok.com", "ngrok-agent.com", "ngrokd.ngrok.com", "lennut.com"].iter().any(|domain| {
        host == *domain || host.strip_suffix(domain).is_some_and(|h| h.ends_with('.'))
    })
}

/// Names that the configuration gives of who uses it.
pub(super) fn operator(root: &Node) -> Vec<String> {
    let mut names = Vec::new();
    let mut add = |text: &str| {
        let text = redact_text(text).into_owned();
        if !text.is_empty() && !names.contains(&text) {
            names.push(text);
        }
    };
    if let Some(text) = setting(root, "metadata").and_then(Node::as_text) {
        add(text);
    }
    let tunnels = root.get("tunnels").map_or(&[][..], Node::entries).iter().map(|(_, node)| node);
    for node in tunnels.chain(root.get("endpoints").map_or(&[][..], Node::items)) {
        for key in ["metadata", "description"] {
            if let Some(text) = node.text(key) {
                add(text);
            }
        }
        for login in
            ["basic_auth", "auth"].iter().filter_map(|key| node.get(key)).flat_map(Node::texts)
        {
            if let Some((user, _)) = login.split_once(':') {
                add(user);
            }
        }
    }
    names
}
