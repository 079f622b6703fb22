//! Configurations of other tunnel tools, known by their content under any name.
//!
//! | tool | form | mark | documented at |
//! |---|---|---|---|
//! | frp | INI, TOML, YAML, JSON | server's address and port | github.com/fatedier/frp, `conf/` |
//! | nps | INI | `[common]` with `vkey` and the server | github.com/ehang-io/nps, `conf/npc.conf` |
//! | rathole | TOML | `[client]`, its server and services | github.com/rapiz1/rathole |
//! | cloudflared | YAML; JSON for credentials | tunnel with ingress or credentials | developers.cloudflare.com |
//! | gost | YAML, JSON | services of handler and listener | github.com/go-gost/gost |
//! | zrok | JSON | account token and Ziti identity | github.com/openziti/zrok, `environment/` |
//! | playit | TOML | its secret key alone | github.com/playit-cloud/playit-agent |
//!
//! Each proves that the tool was set up: for which server or account, and for what to
//! let out. One `config` record, one `tunnel_endpoint` record for each thing let out.

use std::ops::ControlFlow;

use super::outline::{Node, Outline};
use super::{MAX_ENDPOINTS, START_BYTES, read_text, sections};
use crate::model::{Input, Locator, Record, Sink};
use crate::parse::lines::{Encoding, Words, decode};
use crate::parse::secret::{redact_text, redacted};
use crate::parse::target::Target;
use crate::parse::{ParseError, Parser};

/// One of these words is in every such configuration.
static WORDS: Words = Words::new(&[
    "server_addr",
    "serverAddr",
    "remote_addr",
    "bind_addr",
    "credentials-file",
    "ingress",
    "TunnelSecret",
    "ziti_identity",
    "secret_key",
    "handler",
]);
/// A secret key of playit is so many hexadecimal digits.
const PLAYIT_KEY: usize = 64;
/// Tables below which things let out are looked for.
const MAX_DEPTH: usize = 6;

/// Reads the configurations of other tunnel tools.
pub struct TunnelConfig;

impl Parser for TunnelConfig {
    fn name(&self) -> &'static str {
        "tunnel_config"
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
        Setup::read(whole).is_some()
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let (text, encoding) = read_text(input)?;
        let setup = (encoding != Encoding::Binary).then(|| Setup::read(&text)).flatten();
        let Some(setup) = setup else {
            let found: String = text.lines().next().unwrap_or_default().chars().take(40).collect();
            let found = redact_text(&found).escape_debug().to_string();
            return Err(ParseError::Foreign { format: "tunnel configuration", found });
        };
        if sink.record(setup.record()) == ControlFlow::Break(()) {
            return Ok(());
        }
        for exposed in setup.exposed.iter().take(MAX_ENDPOINTS) {
            if sink.record(exposed.record(setup.tool)) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// What a configuration says.
#[derive(Debug, Default)]
struct Setup {
    tool: &'static str,
    line: u64,
    /// Whom it reports to: host and port, or URL.
    server: String,
    /// What names the account or tunnel, where that is no secret.
    credential: String,
    /// What opens it, made unreadable.
    secret: String,
    exposed: Vec<Exposed>,
}

/// A thing let out.
#[derive(Debug, Default)]
struct Exposed {
    name: String,
    proto: String,
    target: String,
    public: String,
    line: u64,
}

impl Setup {
    fn read(text: &str) -> Option<Self> {
        if let Some(root) = sections::read(text) {
            let read = [frp_ini, frp, nps, rathole, playit];
            if let Some(setup) = read.iter().find_map(|read| read(&root)) {
                return Some(setup);
            }
        }
        let outline = Outline::read(text);
        [frp, cloudflared, cloudflared_credentials, gost, zrok]
            .iter()
            .find_map(|read| read(&outline.root))
    }

    fn record(&self) -> Record {
        let mut record = Record::new("config", Locator::Line(self.line.max(1)));
        record.push("Tool", self.tool);
        record.push("Server", redact_text(&self.server).into_owned());
        record.push("CredentialId", self.credential.clone());
        record.push("Credential", self.secret.clone());
        record
    }
}

impl Exposed {
    fn record(&self, tool: &'static str) -> Record {
        let mut record = Record::new("tunnel_endpoint", Locator::Line(self.line.max(1)));
        record.push("Tool", tool);
        record.push("EndpointName", self.name.clone());
        record.push("Proto", self.proto.clone());
        if let Some(target) = Target::new(&self.target) {
            record.push("Target", redact_text(&target.text).into_owned());
            if let Some(port) = target.port {
                record.push("TargetPort", i64::from(port));
            }
            record.push("RiskyTarget", target.risk.unwrap_or_default());
        }
        record.push("Public", redact_text(&self.public).into_owned());
        record
    }
}

/// The text under the first of the keys that has one.
fn first(node: &Node, keys: &[&str]) -> String {
    keys.iter().find_map(|key| node.text(key)).unwrap_or_default().to_owned()
}

fn joined(host: &str, port: &str) -> String {
    match (host, port) {
        ("", "") => String::new(),
        (host, "") => host.to_owned(),
        (host, port) => format!("{host}:{port}"),
    }
}

fn hidden(secret: &str) -> String {
    if secret.is_empty() { String::new() } else { redacted(secret) }
}

/// What frpc has in `[common]` beside the server (github.com/fatedier/frp, `conf/legacy`).
const FRP_COMMON_KEYS: &[&str] = &[
    "token",
    "admin_addr",
    "admin_port",
    "authentication_method",
    "dns_server",
    "login_fail_exit",
    "nat_hole_stun_server",
    "pool_count",
    "protocol",
    "tcp_mux",
    "tls_enable",
];
/// What makes a section a proxy or visitor of frp.
const FRP_PROXY_KEYS: &[&str] = &[
    "remote_port",
    "custom_domains",
    "subdomain",
    "sk",
    "plugin",
    "role",
    "use_encryption",
    "use_compression",
];
/// The same of its files from 0.52 on, where proxies alone may tell.
const FRP_KEYS: &[&str] =
    &["visitors", "auth", "transport", "loginFailExit", "natHoleStunServer", "webServer"];

/// The server's address in `[common]`, things let out in the other sections.
fn frp_ini(root: &Node) -> Option<Setup> {
    let common = root.get("common")?;
    let host = common.text("server_addr")?;
    if common.get("vkey").is_some() {
        return None;
    }
    let mut setup = Setup {
        tool: "frp",
        line: common.line,
        server: joined(host, &first(common, &["server_port"])),
        credential: first(common, &["user"]),
        secret: hidden(&first(common, &["token", "oidc_client_secret"])),
        exposed: Vec::new(),
    };
    frp_proxies(root, host, 0, &mut setup.exposed);
    let is_own = has_any(common, FRP_COMMON_KEYS)
        || root.entries().iter().any(|(_, section)| is_frp_section(section, 0));
    is_own.then_some(setup)
}

/// Whether a section, or one within it, has keys that only a proxy of frp has: other
/// programs' settings name servers and local ports too.
fn is_frp_section(node: &Node, depth: usize) -> bool {
    let is_proxy = (node.get("local_port").is_some() || node.get("plugin").is_some())
        && has_any(node, FRP_PROXY_KEYS);
    let inner = || node.entries().iter().any(|(_, section)| is_frp_section(section, depth + 1));
    is_proxy || depth < MAX_DEPTH && inner()
}

fn has_any(node: &Node, keys: &[&str]) -> bool {
    keys.iter().any(|key| node.get(key).is_some())
}

fn frp_proxies(node: &Node, host: &str, depth: usize, found: &mut Vec<Exposed>) {
    if depth > MAX_DEPTH {
        return;
    }
    for (name, section) in node.entries() {
        if section.get("local_port").is_some() || section.get("plugin").is_some() {
            found.push(frp_proxy(name, section, host));
        } else if !section.entries().is_empty() {
            frp_proxies(section, host, depth + 1, found);
        }
    }
}

fn frp_proxy(name: &str, proxy: &Node, host: &str) -> Exposed {
    let port = first(proxy, &["remote_port", "remotePort"]);
    let domain = ["custom_domains", "customDomains"].iter().find_map(|key| proxy.get(key));
    let domain = domain.and_then(|d| d.texts().first().map(|t| (*t).to_owned()));
    let plugin = proxy.get("plugin").map(|p| p.as_text().or(p.text("type")).unwrap_or_default());
    let local = first(proxy, &["local_ip", "localIP"]);
    let local = if local.is_empty() { "127.0.0.1" } else { &local };
    let target = first(proxy, &["local_port", "localPort"]);
    Exposed {
        name: name.to_owned(),
        proto: plugin.map_or_else(|| first(proxy, &["type"]), str::to_owned),
        target: if target.is_empty() { String::new() } else { joined(local, &target) },
        public: domain
            .or_else(|| (!port.is_empty()).then(|| joined(host, &port)))
            .unwrap_or_else(|| first(proxy, &["subdomain"])),
        line: proxy.line,
    }
}

/// frp from 0.52: TOML, YAML or JSON with `serverAddr` and `proxies`.
fn frp(root: &Node) -> Option<Setup> {
    let host = root.text("serverAddr")?;
    let proxies = root.get("proxies").map_or(&[][..], Node::items);
    let server = joined(host, &first(root, &["serverPort"]));
    let auth = root.get("auth");
    let known = has_any(root, FRP_KEYS)
        || proxies.iter().any(|p| p.get("localPort").is_some() || p.get("plugin").is_some());
    known.then(|| Setup {
        tool: "frp",
        line: root.get("serverAddr").map_or(1, |node| node.line),
        server,
        credential: first(root, &["user"]),
        secret: hidden(&auth.map(|auth| first(auth, &["token"])).unwrap_or_default()),
        exposed: proxies
            .iter()
            .map(|proxy| frp_proxy(&first(proxy, &["name"]), proxy, host))
            .collect(),
    })
}

fn nps(root: &Node) -> Option<Setup> {
    let common = root.get("common")?;
    let (server, key) = (common.text("server_addr")?, common.text("vkey")?);
    let host = server.split(':').next().unwrap_or(server);
    let exposed = root.entries().iter().filter_map(|(name, section)| {
        let mode = first(section, &["mode"]);
        let target = first(section, &["target_addr", "local_path"]);
        let domain = first(section, &["host"]);
        if mode.is_empty() && domain.is_empty() {
            return None;
        }
        let port = first(section, &["server_port"]);
        Some(Exposed {
            name: name.clone(),
            // Several targets share one tunnel; the first stands for them.
            target: target.split(',').next().unwrap_or_default().to_owned(),
            public: if domain.is_empty() { joined(host, &port) } else { domain },
            proto: mode,
            line: section.line,
        })
    });
    Some(Setup {
        tool: "nps",
        line: common.line,
        server: server.to_owned(),
        secret: hidden(key),
        exposed: exposed.collect(),
        ..Setup::default()
    })
}

fn rathole(root: &Node) -> Option<Setup> {
    let client = root.get("client")?;
    let server = client.text("remote_addr")?;
    let services = client.get("services")?.entries();
    let secret = first(client, &["default_token"]);
    let own = services.iter().find_map(|(_, service)| service.text("token"));
    let exposed = services.iter().map(|(name, service)| Exposed {
        name: name.clone(),
        proto: first(service, &["type"]),
        target: first(service, &["local_addr"]),
        public: server.split(':').next().unwrap_or_default().to_owned(),
        line: service.line,
    });
    Some(Setup {
        tool: "rathole",
        line: client.line,
        server: server.to_owned(),
        secret: hidden(own.unwrap_or(&secret)),
        exposed: exposed.collect(),
        ..Setup::default()
    })
}

fn playit(root: &Node) -> Option<Setup> {
    let key = root.text("secret_key")?;
    let known = key.len() == PLAYIT_KEY && key.bytes().all(|b| b.is_ascii_hexdigit());
    // Nothing else of note stands in the file.
    let alone = root.entries().iter().all(|(_, node)| node.entries().is_empty());
    (known && alone && root.entries().len() <= 5).then(|| Setup {
        tool: "playit",
        line: root.get("secret_key").map_or(1, |node| node.line),
        secret: hidden(key),
        ..Setup::default()
    })
}

/// A locally managed tunnel.
fn cloudflared(root: &Node) -> Option<Setup> {
    let ingress = root.get("ingress").map_or(&[][..], Node::items);
    let rules = ingress.iter().filter(|rule| rule.text("service").is_some());
    let credentials = ["credentials-file", "credentials_file"].iter().find_map(|k| root.text(k));
    let tunnel = root.get("tunnel")?.as_text()?;
    if credentials.is_none() && rules.clone().next().is_none() {
        return None;
    }
    let exposed = rules.filter(|rule| !first(rule, &["service"]).starts_with("http_status"));
    let single = root.text("url").map(|url| Exposed {
        target: url.to_owned(),
        line: root.get("url").map_or(1, |node| node.line),
        ..Exposed::default()
    });
    let exposed = exposed.map(|rule| {
        let service = first(rule, &["service"]);
        Exposed {
            name: first(rule, &["path"]),
            proto: service.split_once(':').map(|(scheme, _)| scheme.to_owned()).unwrap_or_default(),
            public: first(rule, &["hostname"]),
            line: rule.line,
            target: service,
        }
    });
    Some(Setup {
        tool: "cloudflared",
        line: root.get("tunnel").map_or(1, |node| node.line),
        credential: tunnel.to_owned(),
        exposed: exposed.chain(single).collect(),
        ..Setup::default()
    })
}

/// The file of a tunnel's credentials, named after the tunnel's id.
fn cloudflared_credentials(root: &Node) -> Option<Setup> {
    let (account, secret, tunnel) =
        (root.text("AccountTag")?, root.text("TunnelSecret")?, root.text("TunnelID")?);
    Some(Setup {
        tool: "cloudflared",
        line: root.get("TunnelID").map_or(1, |node| node.line),
        credential: tunnel.to_owned(),
        server: format!("account {account}"),
        secret: hidden(secret),
        ..Setup::default()
    })
}

/// gost from 3: services, each with a handler and a listener.
fn gost(root: &Node) -> Option<Setup> {
    let services = root.get("services")?.items();
    let kind =
        |node: &Node, part: &str| node.get(part).and_then(|p| p.text("type")).map(str::to_owned);
    let known: Vec<&Node> = services
        .iter()
        .filter(|s| {
            s.text("addr").is_some()
                && kind(s, "handler").is_some()
                && kind(s, "listener").is_some()
        })
        .collect();
    let chain = root.get("chains").map_or(&[][..], Node::items).first();
    let hop =
        chain.and_then(|chain| chain.get("hops")?.items().first()?.get("nodes")?.items().first());
    let exposed = known.iter().map(|service| {
        let nodes = service.get("forwarder").and_then(|f| f.get("nodes"));
        let target = nodes.and_then(|nodes| nodes.items().first()).and_then(|n| n.text("addr"));
        Exposed {
            name: first(service, &["name"]),
            proto: kind(service, "handler").unwrap_or_default(),
            target: target.unwrap_or_default().to_owned(),
            public: first(service, &["addr"]),
            line: service.line,
        }
    });
    (!known.is_empty()).then(|| Setup {
        tool: "gost",
        line: root.get("services").map_or(1, |node| node.line),
        server: hop.map(|node| first(node, &["addr"])).unwrap_or_default(),
        exposed: exposed.collect(),
        ..Setup::default()
    })
}

/// The environment that `zrok enable` leaves.
fn zrok(root: &Node) -> Option<Setup> {
    let (token, identity) = (root.text("zrok_token")?, root.text("ziti_identity")?);
    Some(Setup {
        tool: "zrok",
        line: root.get("zrok_token").map_or(1, |node| node.line),
        server: first(root, &["api_endpoint"]),
        credential: identity.to_owned(),
        secret: hidden(token),
        ..Setup::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{expect, parse, sample, samples, torment};

    #[test]
    fn every_tool_and_form() {
        let mut shown = String::new();
        for name in samples("tunnel_config").iter().filter(|n| !n.contains("/no-")) {
            let bytes = sample(name);
            assert!(TunnelConfig.recognizes(&bytes), "{name}");
            let kept = parse(&TunnelConfig, &bytes).unwrap();
            shown.push_str(&format!("# {name}\n{}", kept.shown()));
        }
        for secret in ["TestFixture", "Q2xvdWRm", "0123456789abcdef"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        expect("tunnel_config", &shown);
    }

    #[test]
    fn other_files_are_none() {
        for name in samples("tunnel_config").iter().filter(|n| n.contains("/no-")) {
            assert!(!TunnelConfig.recognizes(&sample(name)), "{name}");
        }
        for name in samples("ngrok_config") {
            assert!(!TunnelConfig.recognizes(&sample(&name)), "{name}");
        }
    }

    #[test]
    fn damage_never_stops_it() {
        for name in samples("tunnel_config") {
            torment(&TunnelConfig, &sample(&name), 25);
        }
    }
}
